/* SPDX-License-Identifier: Apache-2.0 */
/* The frame that search works in: periodic vectors made short, atoms wrapped into one cell, images enumerated.
 * Nothing here decides a pair; that is contract/pair_rule.h on the positions as given. */
#ifndef VIC_PATTERN_LATTICE_H
#define VIC_PATTERN_LATTICE_H

#include "base/status.h"

struct lattice {
    int rank;              /* number of periodic axes */
    double basis[3][3];    /* rows: the first `rank` are reduced periodic vectors, the others orthogonal to them */
    double inverse[3][3];  /* fractional coordinate k of r is the dot product of r with row k */
    double spacing[3];     /* distance of neighbouring lattice planes along k, A (k < rank) */
    int32_t to_cell[3][3]; /* basis[k] = sum_j to_cell[k][j] * cell[j] (k < rank) */
    double diameter;       /* no two points of the reduced cell are further apart, A */
};

/* Reduces the periodic vectors pairwise until none gets shorter (Lagrange and Gauss's step in every plane, as in
 * Semaev, "A 3-dimensional lattice reduction algorithm", 2001, without its last step): search needs short and nearly
 * orthogonal vectors, not a unique form.  BAD_INPUT when the periodic vectors are not linearly independent. */
vic_status lattice_make(const double cell[3][3], const bool periodic[3], struct lattice *out, vic_error *err);

/* wrapped = r + wrap . cell lies in the reduced cell (up to rounding); wrap in terms of the given cell.
 * Returns false when the atom is too many cells away for 32-bit images. */
bool lattice_wrap(const struct lattice *l, const double r[3], double wrapped[3], int32_t wrap[3]);

/* An image: its integers in terms of the given cell, and its translation. */
struct lattice_image {
    int32_t n[3];
    double shift[3];
};

/* All images that can bring two points of the reduced cell within `reach` A, sorted by n; the zero image is among
 * them.  *out is freed with free(). */
vic_status lattice_images(const struct lattice *l, double reach, struct lattice_image **out, int64_t *count,
                          vic_error *err);

#endif
