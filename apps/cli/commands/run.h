/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `run` share: cmd_run.c runs, run_check.c compares, run_report.c reports; and what `bench` takes
 * from them. */
#ifndef VICINAL_CLI_RUN_H
#define VICINAL_CLI_RUN_H

#include "arrays/array.h"
#include "commands/pattern_report.h"

enum { INPUTS = 3, ATTENTION_OPTIONS = 9 }; /* q, k, v */

struct run_options {
    struct pattern_input pattern;
    int heads, kv_heads, head_dim, head_dim_v, repeat; /* sizes: 0 until given or completed */
    vic_dtype dtype;
    bool dtype_given;
    bool any_device;
    vic_device device;
    const char *kernel;
    const char *radial; /* as given; NULL = none */
    double scale;       /* 0 = the default */
    uint64_t seed;
    const char *input[INPUTS]; /* q, k, v */
    const char *out;
    bool lse, check;
    bool backward; /* the plan has gradients, too */
};

/* One result, in CPU memory. */
struct run_problem {
    vic_context *context;
    const vic_plan *plan;
    const vic_pattern *pattern;
    vic_attention_args args;
    const int32_t *place; /* [atoms] atom -> row of the tensors; NULL = the same */
    int64_t atoms;        /* query atoms */
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
    struct array bias; /* float32 [1 or heads, points]; data NULL = none */
    vic_context *context;
    vic_plan *plan;
    vic_plan_info info;
    int threads;
    double plan_seconds, attention_seconds;
    uint32_t checksum;
    struct run_check check;
    struct run_check twin; /* against the best CPU kernel, where another one ran; rows 0 where not */
    const char *twin_kernel;
};

/* The rows --heads ... --seed; init sets the defaults (and the pattern's), complete those that follow from others. */
void attention_options_init(struct run_options *r);
void attention_options_rows(struct run_options *r, struct option rows[ATTENTION_OPTIONS]);
void attention_options_complete(struct run_options *r);

/* out->context and its threads; with --device auto where the kernel asked for runs, else on a GPU if one is there. */
vic_status attention_context(struct run_options *r, struct run_result *out, vic_error *err);

/* run_tensors.c.  look: q, k and v are all given or none, agree with each other and with the options, and say what is
 * not given; before attention_options_complete().  make: read, or random.  room: what they need is reported to
 * r->pattern. text: "from q.npy, k.npy, v.npy" or "random (seed 0)"; json: the object "inputs". */
vic_status run_tensors_look(struct run_options *r, vic_error *err);
vic_status run_tensors_make(const struct run_options *r, int64_t atoms, int64_t keys, struct run_result *out,
                            vic_error *err);
void run_tensors_room(struct run_options *r, int batch);
void run_tensors_text(const struct run_options *r, char *out, size_t size);
void run_tensors_json(struct json *j, const struct run_options *r);

/* What is asked of a plan, and the plan itself (out->plan, info, plan_seconds); with --device auto a GPU that has no
 * kernel for it hands over to the CPU, which the notes then say. */
vic_plan_options attention_plan_options(const struct run_options *r);
vic_status attention_plan(const struct run_options *r, bool pattern_order, struct pattern_built *built,
                          struct run_result *out, vic_error *err);

/* Compare args.out and args.lse with the float64 reference: all rows of small systems, else a sample spread over all.
 * What passes: relative Frobenius error <= bound, worst row <= 16 bounds, LSE <= 4 bounds, and every neighbour count
 * as in the pattern.  The bound is that of the type (float32 2e-6, float16 5e-4, bfloat16 4e-3); float32's grows with
 * the largest |LSE| / 8, since exp() turns the absolute error of a large score into a relative one. */
vic_status run_check(const struct run_problem *p, struct run_check *out, vic_error *err);

/* Compare all rows of args.out and args.lse with those that the best CPU kernel makes of the same tensors: what a
 * sample would miss, on a GPU above all.  `plan`: as the run's; its device and kernel are not looked at.  The same
 * bounds.  Where that kernel made the result itself nothing is compared, and out->rows is 0. */
vic_status run_check_twin(const struct run_problem *p, const vic_plan_options *plan, struct run_check *out,
                          const char **kernel, vic_error *err);

/* FAILED, with the words that say what differs; for a result that did not pass. */
vic_status run_check_failed(const struct run_result *r, vic_error *err);

/* The table of --radial `spec`: FILE.npy, or a sum of terms like linear:-0.5+cosine over [0, cutoff].  `out` is to be
 * freed also after a failure. */
vic_status run_radial_make(const char *spec, double cutoff, int heads, struct array *out, vic_error *err);

/* vic_attention(), and its end. */
vic_status run_attention(const struct run_result *r, const vic_attention_args *args, vic_error *err);

/* One tensor in the memory of a GPU, a copy with `fill`, to be freed with vic_memory_free(); and back. */
vic_status run_to_device(vic_device device, const struct array *host, bool fill, vic_tensor *out, vic_error *err);
vic_status run_from_device(const vic_tensor *t, struct array *host, vic_error *err);

/* The run's tensors in the memory of a GPU: open fills `args` with copies (out and lse not filled) and a workspace
 * for `batch` items, fetch brings out and lse back.  close() frees what there is, also after a failed open, when
 * `args` was VIC_INIT(vic_attention_args) before. */
vic_status run_device_open(struct run_result *r, vic_device device, int batch, vic_attention_args *args,
                           vic_error *err);
vic_status run_device_fetch(struct run_result *r, const vic_attention_args *args, vic_error *err);
void run_device_close(vic_device device, vic_attention_args *args);

vic_status run_json(const struct run_options *r, const struct pattern_built *b, const struct run_result *out,
                    vic_error *err);
/* `kernel`: with which it was compared, or NULL. */
void run_check_json(struct json *j, const char *key, const char *kernel, const struct run_check *check);
void run_text(const struct run_options *r, const struct pattern_built *b, const struct run_result *out);

#endif
