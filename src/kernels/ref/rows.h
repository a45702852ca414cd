/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of tensors as the references read and write them. */
#ifndef VIC_KERNELS_REF_ROWS_H
#define VIC_KERNELS_REF_ROWS_H

#include "contract/attention.h"

/* Sets row_of_atom to the tensor row of each atom.  With `rows` the tensors are in the caller's order, where the row
 * is the atom; without, they are in pattern order. */
void ref_atom_rows(int64_t n, const int32_t *order, const int32_t *rows, int32_t *row_of_atom);

/* The first n elements of a row's head. */
void ref_read(const struct attention_tensor *t, vic_dtype dtype, int64_t row, int head, int n, double *to);
/* The same, rounded. */
void ref_write(const struct attention_tensor *t, vic_dtype dtype, int64_t row, int head, int n, const double *from);

/* Sets first [n_q + 1] to the numbers of the atoms' first pairs in the order of a neighbour list.  How many pairs an atom
 * has is taken from the blocks: the only thing that a reference takes from there. */
void ref_first_pairs(const struct vic_pattern *p, int64_t *first);

/* The pair bias of a head for the pair of two atoms with that number; and its gradient there, rounded. */
double ref_pair_bias(const struct pair_bias *b, int64_t query, int64_t key, int64_t number, int head);
void ref_write_pair(const struct pair_bias *b, int64_t query, int64_t key, int64_t number, int head, double x);

#endif
