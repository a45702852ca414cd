/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/io/duplicates.h"

#include "base/memory.h"
#include "structure/element.h"

#include <string.h>

struct duplicate_slot {
    char key[24]; /* name, residue, altloc */
    size_t row;
    uint32_t generation; /* a slot of an older residue counts as free */
};

static uint64_t hash(const char key[24])
{
    uint64_t h = 0x9e3779b97f4a7c15u, word;
    for (size_t i = 0; i < 24; i += 8) {
        memcpy(&word, key + i, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

static struct duplicate_slot *find(struct duplicate_slot *slots, size_t capacity, uint32_t generation,
                                   const char key[24])
{
    size_t i = (size_t)hash(key) & (capacity - 1);
    while (slots[i].generation == generation && memcmp(slots[i].key, key, 24) != 0) i = (i + 1) & (capacity - 1);
    return &slots[i];
}

static vic_status grow(struct duplicates *d, vic_error *err)
{
    size_t capacity = d->capacity ? 2 * d->capacity : 128;
    struct duplicate_slot *slots;
    TRY(mem_array_zero(capacity, sizeof *slots, "atom names", &slots, err));
    for (size_t i = 0; i < d->capacity; ++i)
        if (d->slots[i].generation == d->generation)
            *find(slots, capacity, d->generation, d->slots[i].key) = d->slots[i];
    free(d->slots);
    d->slots = slots;
    d->capacity = capacity;
    return VIC_OK;
}

void duplicates_new_residue(struct duplicates *d)
{
    if (++d->generation == 0) { /* after 2^32 residues: no slot may pass for one of this */
        duplicates_free(d);
        d->generation = 1;
    }
    d->used = 0;
}

vic_status duplicates_add(struct duplicates *d, const vic_atom_label *label, size_t row, size_t *first,
                          vic_error *err)
{
    char key[24] = { 0 };
    struct duplicate_slot *slot;
    if (2 * (d->used + 1) > d->capacity) TRY(grow(d, err));
    memcpy(key, label->name, sizeof label->name);
    memcpy(key + 8, label->residue, sizeof label->residue);
    key[16] = label->altloc;
    slot = find(d->slots, d->capacity, d->generation, key);
    if (slot->generation == d->generation) {
        *first = slot->row;
        return VIC_OK;
    }
    memcpy(slot->key, key, sizeof key);
    slot->row = row;
    slot->generation = d->generation;
    d->used++;
    *first = row;
    return VIC_OK;
}

bool duplicates_name_is_no_identity(const vic_atom_label *label, uint8_t number)
{
    const char *symbol = element_symbol(number);
    for (size_t i = 0;; ++i) { /* up to the symbol's end, or before */
        char c = label->name[i];
        if (c >= 'A' && c <= 'Z' && i == 1) c = (char)(c - 'A' + 'a');
        if (c != symbol[i]) return false;
        if (!c) break;
    }
    return !residue_is_polymer(label->residue) && !residue_is_water(label->residue);
}

void duplicates_free(struct duplicates *d)
{
    free(d->slots);
    memset(d, 0, sizeof *d);
}
