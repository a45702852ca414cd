/* SPDX-License-Identifier: Apache-2.0 */
/* Symmetry operations as crystallographic files write them: "-y+1/2, x-y, z". */
#ifndef VIC_STRUCTURE_SYMOP_H
#define VIC_STRUCTURE_SYMOP_H

#include "structure/expand.h"
#include "structure/io/text.h"

/* Fractions ("1/2"), decimals (".333", taken as the nearest 24th when within 0.001) and factors ("2*x") are
 * understood.  false when it is none. */
bool symop_read(struct piece text, struct expand_operation *out);

/* Put the identity first and drop operations that are there twice.  What is left must be a group (up to lattice
 * translations), as expand_symmetry() relies on it: otherwise `problem` says what is missing, and *count is 0. */
void symop_arrange(struct expand_operation *operations, int *count, char *problem, size_t problem_size);

#endif
