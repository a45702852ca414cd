/* SPDX-License-Identifier: Apache-2.0 */
/* A growing table of atoms, column by column: what readers fill and a structure owns. */
#ifndef VIC_STRUCTURE_ATOMS_H
#define VIC_STRUCTURE_ATOMS_H

#include "base/status.h"
#include "vicinal_structure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ATOMS_MOST ((int64_t)INT32_MAX + 1 - 65) /* 2^31 - 65: rows are int32 and padded to strips of 64 */

/* One row.  What the columns of the table do not hold is not read. */
struct atom {
    double position[3];
    uint8_t number;
    vic_atom_label label;
    char segment[8]; /* what distinguishes residues of one chain and number: PDB's segment, mmCIF's label_asym_id */
    float b_factor;
    float occupancy;
};

/* Set has_... before the first row; columns without it stay NULL. */
struct atoms {
    size_t count, capacity;
    bool has_labels, has_segments, has_b_factors, has_occupancies;
    double *positions; /* [count, 3] */
    uint8_t *numbers;
    vic_atom_label *labels;
    char (*segments)[8];
    float *b_factors;
    float *occupancies;
};

vic_status atoms_reserve(struct atoms *a, size_t capacity, vic_error *err);
vic_status atoms_append(struct atoms *a, const struct atom *row, vic_error *err);
void atoms_copy_row(struct atoms *a, size_t to, size_t from); /* every column; both below capacity */
void atoms_keep(struct atoms *a, const bool *keep);           /* in order */
void atoms_drop_segments(struct atoms *a);                    /* nothing asks for them any more */
void atoms_free(struct atoms *a);

/* Copy into a field of a label, filled up with zeros: blanks around cut, cut to fit, unprintable bytes as '?'.
 * Inline, as each atom has four. */
static inline void label_set(char *field, size_t size, const char *text, size_t length)
{
    while (length && (*text == ' ' || *text == '\t')) ++text, --length;
    while (length && (text[length - 1] == ' ' || text[length - 1] == '\t' || text[length - 1] == '\r')) --length;
    if (length > size - 1) length = size - 1;
    memset(field, 0, size);
    for (size_t i = 0; i < length; ++i) field[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
}

#endif
