/* SPDX-License-Identifier: Apache-2.0 */
/* For those who check, measure and draw: the float64 reference, timing, generated patterns, blocks, and what this
 * build and machine have.  The rules are those of vicinal.h, but what stands here may change in any version. */
#ifndef VICINAL_DEV_H
#define VICINAL_DEV_H

#include "vicinal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Reference --------------------------------------------------------------------------------------------- */

/* The same rows in float64, by brute force over all keys and shifts straight from the pair rule; it shares nothing
 * with the pattern's blocks or the kernels, so agreement checks both.  For `n_rows` queries `rows` (NULL = all): out
 * [n_rows, heads, d_v], lse [n_rows, heads] or NULL, counts [n_rows] or NULL (pairs).  The tensors are in memory of
 * the CPU also when the plan is for a GPU; out and lse of `args` are ignored.  No batches.  Cost: O(n_rows * n_k). */
VIC_API vic_status vic_attention_reference(vic_context *c, const vic_plan *plan, const vic_attention_args *args,
                                           int64_t n_rows, const int64_t *rows, double *out, double *lse,
                                           int64_t *counts, vic_error *err) VIC_CHECK_RESULT;

/* The gradients in float64, in the same way: dq, dk, dv [n, heads, d] in the rows' order of the tensors, dbias [heads or
 * 1, points] as the bias has them, dquery_positions and dkey_positions [n, 3], dcell [3, 3]; each may be NULL, and is
 * written whole.  out and lse are computed anew; they and what `args` would have written are ignored.  The plan need not
 * be made with `backward`; where vic_attention_backward() has no such gradient, its member must be NULL.  Cost:
 * O(n_q * n_k * kv_heads). */
typedef struct vic_reference_gradients {
    VIC_SIZE_OF(vic_reference_gradients);
    double *dq, *dk, *dv, *dbias, *dquery_positions, *dkey_positions, *dcell;
    double *dpair_bias; /* [pairs, heads], pairs in the order of vic_pattern_neighbors() in either layout */
    uint64_t reserved[1];
} vic_reference_gradients;
VIC_API vic_status vic_attention_backward_reference(vic_context *c, const vic_plan *plan,
                                                    const vic_attention_backward_args *args,
                                                    const vic_reference_gradients *out,
                                                    vic_error *err) VIC_CHECK_RESULT;

/* mask [n_q, n_k] bytes in the caller's order: number of shifts of the pair, at most 255.  Quadratic. */
VIC_API vic_status vic_pattern_dense(const vic_pattern *p, uint8_t *mask, vic_error *err) VIC_CHECK_RESULT;

/* ---- Timing ------------------------------------------------------------------------------------------------ */

typedef struct vic_time_options {
    VIC_SIZE_OF(vic_time_options);
    int32_t warm_up;  /* launches that are not counted; 0 = 10, negative = none */
    int32_t launches; /* 0 = 1000 */
    int32_t in_graph; /* GPU: above 0, each figure is the mean in one replay of a graph of so many launches */
    bool cold;        /* GPU: L2 is flushed before each launch; not in a graph */
    bool reserved_1[3];
    uint64_t reserved[2];
} vic_time_options;

/* Times vic_attention(): seconds [launches], on a GPU each between two events around a launch, queued without waiting
 * for the one before; on the CPU by the clock.  `options` may be NULL; the rest is as for vic_attention(). */
VIC_API vic_status vic_attention_time(vic_context *c, const vic_plan *plan, const vic_attention_args *args,
                                      const vic_time_options *options, double *seconds,
                                      vic_error *err) VIC_CHECK_RESULT;
/* The same of vic_attention_backward(). */
VIC_API vic_status vic_attention_backward_time(vic_context *c, const vic_plan *plan,
                                               const vic_attention_backward_args *args,
                                               const vic_time_options *options, double *seconds,
                                               vic_error *err) VIC_CHECK_RESULT;

/* ---- Patterns ---------------------------------------------------------------------------------------------- */

/* "blocks:63x63:n=800,seed=1", "blocks:126x126:density=0.2,block=64", or "origin:800" (or 1600, 3200): short for
 * "blocks:63x63:n=800,seed=1" and the like (docs/performance.md).  `options` may be NULL. */
VIC_API vic_status vic_pattern_generate(vic_context *c, const char *text, const vic_pattern_options *options,
                                        vic_pattern **out, vic_error *err) VIC_CHECK_RESULT;

/* The 64 x 16 blocks by strip and cluster, for pictures: strip, cluster, pairs of each, [info.blocks]. */
VIC_API vic_status vic_pattern_list_blocks(const vic_pattern *p, int32_t *strip, int32_t *cluster, int32_t *pairs,
                                           vic_error *err) VIC_CHECK_RESULT;

/* ---- What this build and machine have ---------------------------------------------------------------------- */

typedef struct vic_kernel_info {
    VIC_SIZE_OF(vic_kernel_info);
    const char *name;   /* "attn_fwd_cpu_avx2", "attn_bwd_ref"; static */
    const char *device; /* "cpu", "cuda"; static */
    const char *reason; /* why it is not available; "" when it is; static */
    bool available;     /* on this machine */
    bool backward;      /* it computes gradients */
    bool reserved_1[6];
    uint64_t reserved[2];
} vic_kernel_info;
VIC_API int vic_kernel_count(void);
/* 0 <= index < vic_kernel_count(), those of attention, then those of gradients; best first within a device. */
VIC_API vic_status vic_kernel_get(int index, vic_kernel_info *out, vic_error *err) VIC_CHECK_RESULT;

typedef struct vic_device_info {
    VIC_SIZE_OF(vic_device_info);
    vic_device device;
    int64_t memory_bytes; /* 0 = not known */
    char name[128];
    char detail[128]; /* "2 threads, avx512" ; "sm_90, 132 multiprocessors, ..." */
    uint64_t reserved[2];
} vic_device_info;
/* Index 0 is the CPU, GPUs follow.  NO_DEVICE past the last, with a sentence about CUDA where no GPU can be used. */
VIC_API vic_status vic_device_get(int index, vic_device_info *out, vic_error *err) VIC_CHECK_RESULT;

typedef struct vic_switch_info {
    VIC_SIZE_OF(vic_switch_info);
    const char *name;  /* environment variable; static */
    const char *value; /* "" when unset; lives until the environment changes */
    const char *help;  /* static */
    uint64_t reserved[2];
} vic_switch_info;
VIC_API int vic_switch_count(void);
VIC_API vic_status vic_switch_get(int index, vic_switch_info *out, vic_error *err) VIC_CHECK_RESULT;
/* BAD_ARGUMENT when a switch has a value that it does not take.  Each is also checked where it is used. */
VIC_API vic_status vic_switches_check(vic_error *err) VIC_CHECK_RESULT;
VIC_API const char *vic_build_info(void); /* compiler, flags, CUDA, commit: one line; static */

#ifdef __cplusplus
}
#endif
#endif
