/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/duplicates.h"

#include "base/memory.h"

#include <string.h>

static const double most_at_a_place = 1.1;

/* One place and altloc label. */
struct place {
    size_t first; /* the row of its first atom, + 1; 0 where the slot is free */
    double occupancy;
};

struct table {
    const struct atoms *atoms;
    struct place *slots;
    size_t mask; /* slots - 1, of a power of 2 */
};

static char label_of(const struct atoms *a, size_t row)
{
    return a->has_labels ? a->labels[row].altloc : ' ';
}

static uint64_t hash(const double position[3], char label)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ (unsigned char)label, word;
    for (size_t i = 0; i < 3; ++i) {
        double x = position[i] + 0.0; /* -0 and 0 are one place */
        memcpy(&word, &x, sizeof word);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

static bool same_place(const struct atoms *a, size_t i, size_t j)
{
    const double *x = a->positions + 3 * i, *y = a->positions + 3 * j;
    return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && label_of(a, i) == label_of(a, j);
}

static bool same_names(const struct atoms *a, size_t i, size_t j)
{
    const vic_atom_label *x, *y;
    if (!a->has_labels) return true;
    x = &a->labels[i], y = &a->labels[j];
    return memcmp(x->name, y->name, sizeof x->name) == 0 && memcmp(x->residue, y->residue, sizeof x->residue) == 0 &&
           memcmp(x->chain, y->chain, sizeof x->chain) == 0 && x->insertion == y->insertion &&
           x->sequence == y->sequence;
}

static struct place *find(const struct table *t, size_t row)
{
    size_t i = (size_t)hash(t->atoms->positions + 3 * row, label_of(t->atoms, row)) & t->mask;
    while (t->slots[i].first && !same_place(t->atoms, t->slots[i].first - 1, row)) i = (i + 1) & t->mask;
    return &t->slots[i];
}

static double occupancy_of(const struct atoms *a, size_t row)
{
    float occupancy = a->occupancies ? a->occupancies[row] : 1.0f;
    return occupancy > 0 ? (double)occupancy : 1.0;
}

vic_status duplicates_find(const struct atoms *a, struct duplicates *out, vic_error *err)
{
    struct table t = { a, NULL, 0 };
    size_t slots = 64;
    while (slots < 2 * a->count) slots *= 2; /* atoms are below 2^31 */
    memset(out, 0, sizeof *out);
    t.mask = slots - 1;
    TRY(mem_array_zero(slots, sizeof *t.slots, "places of atoms", &t.slots, err));
    if (mem_array_zero(a->count, sizeof *out->again, "flags", &out->again, err) != VIC_OK) {
        free(t.slots);
        return VIC_NO_MEMORY;
    }
    for (size_t row = 0; row < a->count; ++row) {
        struct place *p = find(&t, row);
        double occupancy = p->occupancy + occupancy_of(a, row);
        if (p->first && (same_names(a, p->first - 1, row) || occupancy > most_at_a_place)) {
            if (out->count++ == 0) {
                out->first = p->first - 1;
                out->second = row;
            }
            out->again[row] = true;
            continue;
        }
        if (!p->first) p->first = row + 1;
        p->occupancy = occupancy;
    }
    free(t.slots);
    return VIC_OK;
}
