/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `run` share: cmd_run.c runs, run_check.c compares, run_report.c tells. */
#ifndef VICINAL_CLI_RUN_H
#define VICINAL_CLI_RUN_H

#include "array.h"
#include "pattern_report.h"

enum { INPUTS = 3 }; /* q, k, v */

struct run_options {
    struct pattern_input pattern;
    int heads, kv_heads, head_dim, head_dim_v, repeat;
    vic_dtype dtype;
    bool any_device;
    vic_device device;
    const char *kernel;
    const char *radial; /* as given; NULL = none */
    double scale;
    uint64_t seed;
    const char *input[INPUTS]; /* q, k, v */
    const char *out;
    bool lse, check;
};

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

struct run_result {
    struct array q, k, v, out, lse;
    struct array radial; /* [1 or heads, points]; data NULL = none */
    vic_engine *engine;
    vic_plan *plan;
    vic_plan_info info;
    int threads;
    double plan_seconds, attention_seconds;
    uint32_t checksum;
    struct run_check check;
};

/* Compare args.out and args.lse with the float64 reference: all rows of small systems, else a sample spread over all.
 * What passes: relative Frobenius error <= bound, worst row <= 16 bounds, LSE <= 4 bounds, and every neighbour count
 * as in the pattern.  The bound is that of the type (float32 2e-6, float16 5e-4, bfloat16 4e-3); float32's grows with
 * the largest |LSE| / 8, since exp() turns the absolute error of a large score into a relative one. */
vic_status run_check(const struct run_problem *p, struct run_check *out, vic_error *err);

/* The table of --radial `spec`: FILE.npy, or a sum of terms like linear:-0.5+cosine over [0, cutoff].  `out` is to be
 * freed also after a failure. */
vic_status run_radial_make(const char *spec, double cutoff, int heads, struct array *out, vic_error *err);

/* The run's tensors in the memory of a GPU: open fills `args` with copies (out and lse not filled) and a workspace,
 * fetch brings out and lse back.  close() frees what there is, also after a failed open, when `args` was
 * VIC_ATTENTION_ARGS_INIT before. */
vic_status run_device_open(struct run_result *r, vic_device device, vic_attention_args *args, vic_error *err);
vic_status run_device_fetch(struct run_result *r, const vic_attention_args *args, vic_error *err);
void run_device_close(vic_device device, vic_attention_args *args);

vic_status run_json(const struct run_options *r, const struct pattern_built *b, const struct run_result *out,
                    vic_error *err);
void run_text(const struct run_options *r, const struct pattern_built *b, const struct run_result *out);

#endif
