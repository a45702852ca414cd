/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/duplicates.h"

#include "base/memory.h"

#include <string.h>

static const double most_at_a_place = 1.1;

/* One place and altloc label, and where names count one name. */
struct place {
    size_t first; /* the row of its first atom, + 1; 0 where the slot is free */
    double occupancy;
};

struct table {
    const struct atoms *atoms;
    struct place *slots;
    size_t mask; /* slots - 1, of a power of 2 */
    bool names;  /* count */
};

static char label_of(const struct atoms *a, size_t row)
{
    return a->has_labels ? a->labels[row].altloc : ' ';
}

static uint64_t hash(const double position[3], char label, const char *name)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ (unsigned char)label, word = 0;
    if (name) memcpy(&word, name, sizeof word);
    h = (h ^ word) * 0xff51afd7ed558ccdu;
    for (size_t i = 0; i < 3; ++i) {
        double x = position[i] + 0.0; /* -0 and 0 are one place */
        memcpy(&word, &x, sizeof word);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

static bool same_name(const struct atoms *a, size_t i, size_t j)
{
    return !a->has_labels || memcmp(a->labels[i].name, a->labels[j].name, sizeof a->labels[i].name) == 0;
}

static bool same_place(const struct table *t, size_t i, size_t j)
{
    const struct atoms *a = t->atoms;
    const double *x = a->positions + 3 * i, *y = a->positions + 3 * j;
    return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && label_of(a, i) == label_of(a, j) &&
           (!t->names || same_name(a, i, j));
}

static bool same_labels(const struct atoms *a, size_t i, size_t j)
{
    const vic_atom_label *x, *y;
    if (!a->has_labels) return true;
    x = &a->labels[i], y = &a->labels[j];
    return same_name(a, i, j) && memcmp(x->residue, y->residue, sizeof x->residue) == 0 &&
           memcmp(x->chain, y->chain, sizeof x->chain) == 0 && x->insertion == y->insertion &&
           x->sequence == y->sequence;
}

static struct place *find(const struct table *t, size_t row)
{
    const char *name = t->names && t->atoms->has_labels ? t->atoms->labels[row].name : NULL;
    size_t i = (size_t)hash(t->atoms->positions + 3 * row, label_of(t->atoms, row), name) & t->mask;
    while (t->slots[i].first && !same_place(t, t->slots[i].first - 1, row)) i = (i + 1) & t->mask;
    return &t->slots[i];
}

static double occupancy_of(const struct atoms *a, size_t row)
{
    float occupancy = a->occupancies ? a->occupancies[row] : 1.0f;
    return occupancy > 0 ? (double)occupancy : 1.0;
}

/* Atoms for which there is no room in their place are marked and counted; of those marked before none is
 * looked at. */
static void look_through(struct table *t, struct duplicates *out, size_t *count)
{
    const struct atoms *a = t->atoms;
    memset(t->slots, 0, (t->mask + 1) * sizeof *t->slots);
    for (size_t row = 0; row < a->count; ++row) {
        struct place *p;
        double occupancy;
        if (out->again[row]) continue;
        p = find(t, row);
        occupancy = p->occupancy + occupancy_of(a, row);
        if (p->first && (occupancy > most_at_a_place || same_labels(a, p->first - 1, row))) {
            if ((*count)++ == 0 && t->names) {
                out->first = p->first - 1;
                out->second = row;
            }
            out->again[row] = t->names;
            continue;
        }
        if (!p->first) p->first = row + 1;
        p->occupancy = occupancy;
    }
}

/* Do two atoms share a place?  Hardly ever, and then nothing else is to be done: four bytes a slot stay in the
 * cache. */
static vic_status any_shared_place(const struct atoms *a, size_t slots, bool *any, vic_error *err)
{
    struct table t = { a, NULL, slots - 1, false };
    uint32_t *rows; /* + 1; 0 where the slot is free */
    *any = false;
    TRY(mem_array_zero(slots, sizeof *rows, "places of atoms", &rows, err));
    for (size_t row = 0; row < a->count && !*any; ++row) {
        size_t i = (size_t)hash(a->positions + 3 * row, label_of(a, row), NULL) & t.mask;
        while (rows[i] && !*any) {
            *any = same_place(&t, rows[i] - 1, row);
            i = (i + 1) & t.mask;
        }
        rows[i] = (uint32_t)row + 1; /* atoms are below 2^31 */
    }
    free(rows);
    return VIC_OK;
}

vic_status duplicates_find(const struct atoms *a, struct duplicates *out, vic_error *err)
{
    struct table t = { a, NULL, 0, false };
    size_t slots = 64;
    bool any;
    while (slots < 2 * a->count) slots *= 2;
    memset(out, 0, sizeof *out);
    TRY(any_shared_place(a, slots, &any, err));
    if (!any) return VIC_OK;
    t.mask = slots - 1;
    TRY(mem_array(slots, sizeof *t.slots, "places of atoms", &t.slots, err));
    if (mem_array_zero(a->count, sizeof *out->again, "flags", &out->again, err) != VIC_OK) {
        free(t.slots);
        return VIC_NO_MEMORY;
    }
    t.names = true;
    look_through(&t, out, &out->count);
    t.names = false;
    look_through(&t, out, &out->crowded);
    free(t.slots);
    return VIC_OK;
}
