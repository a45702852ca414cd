/* SPDX-License-Identifier: Apache-2.0 */
/* Results: a section of attention_body.h, compiled with it for each instruction set.  It divides the sums by the
 * weights, finds which rows must be computed again, and stores the others.
 *
 * Needs chunks_body.h and rows_body.h. */
#ifndef UNROLL
#error "results_body.h is a section of attention_body.h: include that file"
#endif
#include "base/half.h"
#include "kernels/cpu/attention_cpu.h"
#include "kernels/cpu/vector.h"

#include <math.h>

/* What normalise() finds among the rows of a group. */
enum { ALL_FINE, DOUBTFUL, NOT_FINITE };

/* A row whose results are all below 2^-111 may have lost more than rounding, because float32 ends at 2^-149. */
enum { TINY_BITS = 0x08000000, BITS_BUT_SIGN = 0x7fffffff };

/* Divides `sum` by `weight` (0 in rows without weight) and lays it out for gather_row().  Returns NOT_FINITE when a
 * result is not finite, DOUBTFUL when some row may be in_doubt(). */
static int normalise(bool bias, int d_v, const float *weight, const float *lowest, float *sum)
{
    vi odd = { 0 }, doubt = { 0 };
    UNROLL for (int w = 0; w < VECTORS; w++)
    {
        vf total = ((const vf *)weight)[w];
        vf factor = 1.0f / total;
        vi any_bits = { 0 };
        for (int c = 0; c < d_v; c += 4) {
            vf *x = (vf *)(sum + c * GROUP_ROWS) + w;
            UNROLL for (int u = 0; u < 4; u++)
            {
                vf *at = x + u * VECTORS;
                *at = vec_select(total == 0.0f, (vf){ 0 }, *at * factor);
                odd |= (*at - *at) != 0.0f;
                any_bits |= (vi)*at;
            }
            vec_transpose(x, x + VECTORS, x + 2 * VECTORS, x + 3 * VECTORS);
        }
        any_bits &= BITS_BUT_SIGN;
        doubt |= (((const vf *)lowest)[w] == -INFINITY) | ((any_bits < TINY_BITS) & (any_bits != 0));
        if (bias) doubt |= total == 0.0f;
    }
    if (!vec_any(odd | doubt)) return ALL_FINE;
    return vec_any(odd) ? NOT_FINITE : DOUBTFUL;
}

/* Returns whether row r of the group, as normalise() left it, may differ from what a float with a wider range would
 * give.  The answer depends on the row alone.  A score of +inf or NaN makes the results NaN.  A score of -inf does
 * not show in them: the pair has no weight (which is right where a bias is -inf), and where all scores
 * are -inf, the row looks as if it had no pair. */
static bool in_doubt(const struct cpu_run *run, size_t at, int r, const struct strip_scratch *s)
{
    int d = run->shape->d_v;
    float values[DIM_MAX], largest = 0.0f;
    if (run->wide || s->lowest[at * GROUP_ROWS + (size_t)r] == -INFINITY) return true;
    if ((run->bias || run->pair_bias) && s->weight[at * GROUP_ROWS + (size_t)r] == 0.0f) return true;
    gather_row(d, s->sum + at * (size_t)d * GROUP_ROWS, r, values);
    for (int c = 0; c < d; c++) {
        if (!isfinite(values[c])) return true;
        largest = fmaxf(largest, fabsf(values[c]));
    }
    return largest > 0.0f && largest < f32_from_bits(TINY_BITS);
}

static __attribute__((noinline)) void redo_rows(const struct cpu_run *run, int64_t strip, int head, int group,
                                                const struct strip_scratch *s)
{
    size_t at = (size_t)head * STRIP_GROUPS + (size_t)group;
    uint64_t rows = 0, lost = 0;
    for (int r = 0; r < GROUP_ROWS; r++) {
        uint64_t bit = UINT64_C(1) << (group * GROUP_ROWS + r);
        if (in_doubt(run, at, r, s)) rows |= bit;
        if (s->weight[at * GROUP_ROWS + (size_t)r] == 0.0f) lost |= bit;
    }
    attention_wide_rows(run, strip, head, rows, lost);
}

static void store_group(const struct cpu_run *run, int64_t first_row, int head, int group,
                        const struct strip_scratch *s)
{
    const struct attention_args *a = run->args;
    int d = run->shape->d_v;
    vic_dtype dtype = run->shape->dtype;
    size_t at = (size_t)head * STRIP_GROUPS + (size_t)group;
    for (int r = 0; r < GROUP_ROWS && first_row + r < run->pattern->n_q; r++) {
        int64_t row = a->q_rows ? a->q_rows[first_row + r] : first_row + r;
        store_row(&a->out, dtype, row, head, d, s->sum + at * (size_t)d * GROUP_ROWS, r);
        if (a->lse.data) {
            float *lse = row_of(&a->lse, VIC_F32, row, head);
            double weight = s->weight[at * GROUP_ROWS + (size_t)r];
            *lse = weight == 0.0 ? -INFINITY : (float)((double)s->max[at * GROUP_ROWS + (size_t)r] + log(weight));
        }
    }
}

/* Stores the (head, group) marked in s->todo whose results are finite (with `always`: all of them), and leaves the
 * others marked.  Returns false when some are left. */
static bool store(const struct cpu_run *run, int64_t strip, bool always, struct strip_scratch *s)
{
    bool all = true;
    for (int g = 0; g < STRIP_GROUPS; g++)
        for (int head = 0; head < run->shape->heads; head++) {
            size_t at = (size_t)head * STRIP_GROUPS + (size_t)g, d_v = (size_t)run->shape->d_v;
            int64_t first_row = strip * STRIP + g * GROUP_ROWS;
            if (!s->todo[at]) continue;
            int found = normalise(run->bias || run->pair_bias, run->shape->d_v, s->weight + at * GROUP_ROWS,
                                  s->lowest + at * GROUP_ROWS, s->sum + at * d_v * GROUP_ROWS);
            s->todo[at] = found == NOT_FINITE && !always;
            if (s->todo[at]) {
                all = false;
                continue;
            }
            store_group(run, first_row, head, g, s);
            if (found != ALL_FINE || run->wide) redo_rows(run, strip, head, g, s);
        }
    return all;
}
