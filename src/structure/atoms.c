/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/atoms.h"

#include "base/memory.h"

#include <string.h>

vic_status atoms_reserve(struct atoms *a, size_t capacity, vic_error *err)
{
    size_t grown = a->capacity, c;
    if (capacity <= a->capacity) return VIC_OK;
    if (capacity > SIZE_MAX / 3 / sizeof(double) / 2)
        return vic_fail(err, VIC_NO_MEMORY, "out of memory: %zu atoms", capacity);
    if (grown + grown / 2 > capacity) capacity = grown + grown / 2;
    /* Each column starts from the same capacity, so all end at the same. */
    c = 3 * grown;
    TRY(mem_grow(&a->positions, &c, 3 * capacity, sizeof(double), "coordinates", err));
    c = grown;
    TRY(mem_grow(&a->numbers, &c, capacity, sizeof(uint8_t), "elements", err));
    if (a->has_labels) {
        c = grown;
        TRY(mem_grow(&a->labels, &c, capacity, sizeof(vic_atom_label), "atom labels", err));
    }
    if (a->has_segments) {
        c = grown;
        TRY(mem_grow(&a->segments, &c, capacity, sizeof *a->segments, "segments", err));
    }
    if (a->has_b_factors) {
        c = grown;
        TRY(mem_grow(&a->b_factors, &c, capacity, sizeof(float), "B-factors", err));
    }
    if (a->has_occupancies) {
        c = grown;
        TRY(mem_grow(&a->occupancies, &c, capacity, sizeof(float), "occupancies", err));
    }
    a->capacity = capacity;
    return VIC_OK;
}

vic_status atoms_append(struct atoms *a, const struct atom *row, vic_error *err)
{
    size_t i = a->count;
    if (i == a->capacity) TRY(atoms_reserve(a, i < 1024 ? 1024 : i + i / 2, err));
    memcpy(a->positions + 3 * i, row->position, sizeof row->position);
    a->numbers[i] = row->number;
    if (a->has_labels) a->labels[i] = row->label;
    if (a->has_segments) memcpy(a->segments[i], row->segment, sizeof row->segment);
    if (a->has_b_factors) a->b_factors[i] = row->b_factor;
    if (a->has_occupancies) a->occupancies[i] = row->occupancy;
    a->count = i + 1;
    return VIC_OK;
}

void atoms_copy_row(struct atoms *a, size_t to, size_t from)
{
    if (to == from) return;
    memcpy(a->positions + 3 * to, a->positions + 3 * from, 3 * sizeof(double));
    a->numbers[to] = a->numbers[from];
    if (a->has_labels) a->labels[to] = a->labels[from];
    if (a->has_segments) memcpy(a->segments[to], a->segments[from], sizeof *a->segments);
    if (a->has_b_factors) a->b_factors[to] = a->b_factors[from];
    if (a->has_occupancies) a->occupancies[to] = a->occupancies[from];
}

void atoms_keep(struct atoms *a, const bool *keep)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->count; ++i)
        if (keep[i]) atoms_copy_row(a, kept++, i);
    a->count = kept;
}

void atoms_drop_segments(struct atoms *a)
{
    free(a->segments);
    a->segments = NULL;
    a->has_segments = false;
}

void atoms_free(struct atoms *a)
{
    free(a->positions);
    free(a->numbers);
    free(a->labels);
    free(a->segments);
    free(a->b_factors);
    free(a->occupancies);
    memset(a, 0, sizeof *a);
}
