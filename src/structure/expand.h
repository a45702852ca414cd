/* SPDX-License-Identifier: Apache-2.0 */
/* More atoms from those that are given: the space group's copies, and repetitions of the cell. */
#ifndef VIC_STRUCTURE_EXPAND_H
#define VIC_STRUCTURE_EXPAND_H

#include "structure/structure.h"

#define EXPAND_MERGE_DISTANCE 0.1 /* A: nearer copies of one atom are the same atom on a special position */

struct expand_operation { /* x' = rotation x + translation, fractional */
    double rotation[3][3];
    double translation[3];
};

/* Operation by operation, the identity (which must be the first) leaving the atoms as they are.  Copies stay where
 * the operation puts them.  A copy within EXPAND_MERGE_DISTANCE of a kept copy of the same atom, or of a lattice
 * translation of it, is left out.  origin: fractional coordinates of r = 0 (the file's own frame).
 * `name` and `group` are for messages; the total times `repetitions` must not exceed max_atoms. */
vic_status expand_symmetry(struct vic_structure *s, const struct expand_operation *operations, int count,
                           const double origin[3], int64_t repetitions, int64_t max_atoms, const char *name,
                           vic_error *err);

/* Repetitions along a, b, c; the shift along a changes slowest, along c fastest, the atoms of a copy stay
 * together. */
vic_status expand_supercell(struct vic_structure *s, const int repetitions[3], int64_t max_atoms, const char *name,
                            vic_error *err);

/* atoms * repetitions <= max_atoms, without overflow. */
vic_status expand_check_size(int64_t atoms, int64_t repetitions, int64_t max_atoms, const char *name, vic_error *err);

/* The product, INT64_MAX where it overflows. */
int64_t expand_repetitions(const int repetitions[3]);

#endif
