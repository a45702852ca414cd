/* SPDX-License-Identifier: Apache-2.0 */
/* What attention_backward_body.h, compiled once per instruction set, shares with kernels_backward_cpu.c. */
#ifndef VIC_KERNELS_CPU_ATTENTION_BACKWARD_H
#define VIC_KERNELS_CPU_ATTENTION_BACKWARD_H

#include "kernels/cpu/attention_cpu.h"

/* The largest scale, and the smallest beside 0, for which there are gradients: see `lse` below. */
#define GRADIENT_SCALE_MAX 0x1p100
#define GRADIENT_SCALE_MIN 0x1p-126

/* What the pairs of one strip give through the distance bias, summed over heads and over calls. */
struct bias_sums {
    double *table;             /* [tables, points], or NULL */
    int64_t table_head_stride; /* 0 = one table for all heads */
    bool forces;               /* the two below are wanted */
    double position[3][STRIP]; /* to the strip's rows, in the role that they have in the pass */
    double cell[3][3];         /* with the images of keys alone, k_wrap included */
};

/* One of the two passes, for one entry of the batch.
 *
 * The pass over queries is attention once more.  The pass over keys is the same with the roles exchanged: what the
 * files of the CPU kernels call queries, the rows of a strip, are then the keys of the problem, and what they call
 * keys are its queries; `run.shape` has its heads, `run.pattern` the transposed one, and `run.args` these tensors:
 *                          q    k    v       values    gradient of q, of values
 *     over queries         q    k    v       dout      dq           none
 *     over keys            k    q    dout    v         dk           dv
 * In both the score of a pair is scale q . k, and its pull is values . v - projection. */
struct cpu_backward {
    struct cpu_run run; /* args->out: where results go, or any of them with data NULL; lse is not used */
    bool over_keys;
    struct attention_tensor values;
    struct attention_tensor dq, dvalues; /* data NULL = not wanted */
    struct bias_sums *sums;              /* NULL = none wanted */
    bool walk;                           /* something of the pass is wanted beside `terms` */
    bool pairs;                          /* the gradient of the pair bias is wanted, of a pass over queries */
    bool pairs_begin, pairs_end;         /* this is the first, and the last, of the entries that are summed */

    /* [strips of queries, query heads, 2, STRIP] for each query its lse and its projection, which is
     * dout . out - dlse.  The pass over queries writes them, the pass over keys reads them.
     * A row without weights has lse +inf and projection 0: all its weights are 0.  Where lse is beyond float32, or the
     * scale is, NaN stands there, so that it shows in every gradient that the row has a part in. */
    float *terms;
    const struct attention_backward_args *args; /* of the entry */
};

/* pair_bias.c: stores the gradients of the strip's pairs; `sums` [pairs, heads]. */
void pair_bias_store(const struct cpu_backward *b, int64_t strip, const float *sums);

/* Computes what one strip's 64 rows are given in a pass, all heads, and adds to `sums`. */
typedef void attention_backward_strip(const struct cpu_backward *b, int64_t strip, int64_t next,
                                      struct strip_scratch *scratch);

attention_backward_strip attention_backward_strip_scalar;
#if defined(__x86_64__)
attention_backward_strip attention_backward_strip_avx2, attention_backward_strip_avx512;
#endif

#endif
