/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in float64, straight from the pair rule and the formula: what every other kernel is compared with.  It
 * uses the pattern's positions, cell, cutoff, exclude_self and rules, and the orders only to find tensor rows.  It
 * never uses blocks, images or wraps. */
#ifndef VIC_KERNELS_REF_ATTENTION_REF_H
#define VIC_KERNELS_REF_ATTENTION_REF_H

#include "base/status.h"
#include "base/threads.h"
#include "contract/attention.h"

/* For `n_rows` query atoms `rows` (atom numbers; NULL = all n_q, n_rows must be n_q): out [n_rows, heads, d_v],
 * lse [n_rows, heads] (natural logarithm; -inf for a row without pair), counts [n_rows] pairs.  Each of the three may
 * be NULL.  args->out and args->lse are not touched.  Cost: O(n_rows * n_k); memory O(n_q + n_k * threads).
 * BAD_ARGUMENT for an atom that does not exist, BAD_INPUT for atoms more than 10^9 cells apart. */
vic_status attention_ref_rows(const struct vic_pattern *pattern, const struct attention_shape *shape,
                              const struct attention_args *args, struct pool *pool, int64_t n_rows,
                              const int64_t *rows, double *out, double *lse, int64_t *counts, vic_error *err);

#endif
