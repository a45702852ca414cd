/* SPDX-License-Identifier: Apache-2.0 */
/* What cmd_run.c and run_check.c share. */
#ifndef VICINAL_CLI_RUN_H
#define VICINAL_CLI_RUN_H

#include "array.h"

struct run_problem {
    vic_engine *engine;
    const vic_plan *plan;
    const vic_pattern *pattern;
    vic_attention_args args;
    int64_t atoms;
    int heads, head_dim_v;
    vic_dtype dtype;
    uint64_t seed; /* of the sampled rows */
};

struct run_check {
    int64_t rows; /* compared: all, or a sample */
    double relative_frobenius;
    int64_t worst_row; /* atom; -1 without rows */
    double worst_row_error;
    double lse_max_error;
    int64_t count_mismatches;
    double bound; /* that relative_frobenius must not pass */
    bool pass;
};

/* Compare args.out and args.lse with the float64 reference: all rows of small systems, else a sample spread over all.
 * What passes: relative Frobenius error <= bound, worst row <= 16 bounds, LSE <= 4 bounds, and every neighbour count
 * as in the pattern.  The bound is that of the type (float32 2e-6, float16 5e-4, bfloat16 4e-3); float32's grows with
 * the largest |LSE| / 8, since exp() turns the absolute error of a large score into a relative one. */
vic_status run_check(const struct run_problem *p, struct run_check *out, vic_error *err);

#endif
