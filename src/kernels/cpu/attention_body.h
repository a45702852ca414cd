/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of one strip on the CPU.  This text is compiled three times, by attention_scalar.c, attention_avx2.c and
 * attention_avx512.c, which define
 *     LANES        floats of a vector: 4, 8, 16
 *     STEP_KEYS    keys whose scores are computed side by side   (STEP_KEYS * 16 / LANES accumulators each, so that
 *     STEP_COLUMNS output columns that are summed side by side    they stay in registers and hide the FMA's latency)
 *     SUFFIX(name) name_scalar, ...
 *
 * Method.  The lanes of a vector are query rows.  A strip's 64 rows are four row groups of 16, "groups" in these
 * files.  One element of a key or of a value is broadcast to all lanes, so that neither K nor V has to be transposed
 * or even copied: float32 rows are read where the caller has them.  A group computes with a key only when one of the
 * group's 16 mask bits is set.
 *   for chunks of up to 256 keys of the strip that any row needs (full runs first, then partial blocks):
 *     list, per group, the keys that it needs with their 16 bits
 *     for each key head: find the rows of K and V (float16 and bfloat16: convert them, once for all groups and heads)
 *       for each query head that reads it, for each group:
 *         scores:      S = (Q . K) * scale, plus biases (bias_body.h, pair_bias_body.h); -inf where the bit is not
 *                      set; and their maximum per row
 *         weights:     P = exp(S - max); the running sums shrink by exp(old max - max)
 *         accumulate:  sums += P V, a few columns at a time, in registers over all keys of the chunk
 *   out = sums / weight, lse = max + ln weight
 * The order of every sum depends on the pattern alone.
 *
 * Finite inputs may still leave the range of float32: scores may overflow, on the way or in the end, and so may the
 * weighted sum; results may be so small that float32 has few digits left.  Each of these shows in the row's results,
 * or in the smallest of its scores; such rows are computed again one by one in double (attention_wide.c).
 *
 * A masked lane has P = 0 and still computes 0 * V, which is NaN where V is not finite.  So a group whose result is
 * not finite is computed a second time, with V replaced by 0 in masked lanes as well ("careful"): the other
 * arithmetic is the same, and only real neighbours can make a row non-finite. */
#include "kernels/cpu/attention_cpu.h"

#include "kernels/cpu/vector.h"

#include <math.h>
#include <string.h>

#include "kernels/cpu/chunks_body.h"

#include "kernels/cpu/products_body.h"
#include "kernels/cpu/rows_body.h"

/* ---- The arithmetic ---------------------------------------------------------------------------------------- */

/* s->scores = (q . k) * scale for the group's keys, -inf where the bit is not set.  `max` becomes the largest of
 * itself and of these scores, `lowest` (at most 0) the smallest of itself and of the scores whose bit is set. */
static void compute_scores(const struct cpu_run *run, int64_t strip, const float *query, int keys,
                           const struct group_key *key, struct strip_scratch *s, vf max[VECTORS], vf lowest[VECTORS])
{
    const struct attention_shape *shape = run->shape;
    float scale = (float)run->args->scale;
    for (int i = 0; i < keys; i += STEP_KEYS) {
        if (s->ahead_row < STRIP) prefetch_ahead(run, strip, s);
        const float *k[STEP_KEYS];
        vf dot[STEP_KEYS][VECTORS];
        UNROLL for (int u = 0; u < STEP_KEYS; u++) k[u] = s->k_row[key[i + u].index];
        /* Rows lie anywhere in memory: prefetch keys two steps ahead, and the values that are used next. */
        for (int u = 0; u < STEP_KEYS; u++) {
            prefetch_row(s->k_row[key[i + KEYS_AHEAD + u].index], shape->d_qk);
            prefetch_row(s->v_row[key[i + u].index], shape->d_v);
        }
        dot_products(shape->d_qk, query, k, dot);
        /* clang-format off */
        UNROLL for (int u = 0; u < STEP_KEYS; u++)
            UNROLL for (int w = 0; w < VECTORS; w++) {
                vi in = lanes_in(key[i + u].bits, w);
                vf own = (vf)(in & (vi)(dot[u][w] * scale));
                vf score = (vf)((vi)own | (~in & (vi)vec_fill(-INFINITY)));
                ((vf *)s->scores[i + u])[w] = score;
                max[w] = vec_max(score, max[w]);
                lowest[w] = vec_min(own, lowest[w]);
            }
        /* clang-format on */
    }
}

#include "kernels/cpu/bias_body.h"
#include "kernels/cpu/pair_bias_body.h"

/* Turns s->scores into exp(scores - max), and sets `total` to the sum of these. */
static void compute_weights(int keys, struct strip_scratch *s, const vf max[VECTORS], vf total[VECTORS])
{
    UNROLL for (int w = 0; w < VECTORS; w++) total[w] = (vf){ 0 };
    for (int i = 0; i < keys; i++) {
        vf *p = (vf *)s->scores[i];
        UNROLL for (int w = 0; w < VECTORS; w++)
        {
            p[w] = vec_exp(p[w] - max[w]);
            total[w] += p[w];
        }
    }
}

/* The chunk's keys for one group of one head: scores, weights, sums. */
static void attend_group(const struct cpu_run *run, int64_t strip, bool careful, int head, int group,
                         struct strip_scratch *s)
{
    const struct attention_shape *shape = run->shape;
    size_t at = (size_t)head * STRIP_GROUPS + (size_t)group, d_v = (size_t)shape->d_v;
    const struct group_key *key = s->keys[group];
    int keys = s->key_count[group];
    vf *max_at = (vf *)(s->max + at * GROUP_ROWS), *weight_at = (vf *)(s->weight + at * GROUP_ROWS);
    vf *lowest_at = (vf *)(s->lowest + at * GROUP_ROWS);
    float *sum = s->sum + at * d_v * GROUP_ROWS;
    vf max[VECTORS], lowest[VECTORS], finite_max[VECTORS], shrink[VECTORS], total[VECTORS];

    UNROLL for (int w = 0; w < VECTORS; w++)
    {
        max[w] = max_at[w];
        lowest[w] = lowest_at[w];
    }
    compute_scores(run, strip, s->query + at * (size_t)shape->d_qk * GROUP_ROWS, keys, key, s, max, lowest);
    UNROLL for (int w = 0; w < VECTORS; w++) lowest_at[w] = lowest[w];
    if (run->bias) {
        UNROLL for (int w = 0; w < VECTORS; w++) max[w] = max_at[w]; /* add_bias() takes it from the biased scores */
        add_bias(run, head, group, strip * STRIP + group * GROUP_ROWS, s, max);
    }
    if (run->pair_bias) {
        UNROLL for (int w = 0; w < VECTORS; w++) max[w] = max_at[w]; /* likewise */
        add_pair_bias(run, strip, head, group, s, max);
    }
    UNROLL for (int w = 0; w < VECTORS; w++)
    {
        /* For a row that has had no key yet -inf - 0 gives weight 0, where -inf - -inf would give NaN. */
        finite_max[w] = vec_select(max[w] == -INFINITY, (vf){ 0 }, max[w]);
        shrink[w] = vec_exp(max_at[w] - finite_max[w]);
        max_at[w] = max[w];
    }
    compute_weights(keys, s, finite_max, total);
    UNROLL for (int w = 0; w < VECTORS; w++) weight_at[w] = weight_at[w] * shrink[w] + total[w];
    if (careful)
        accumulate(shape->d_v, true, keys, key, s->scores, s->v_row, shrink, sum);
    else
        accumulate(shape->d_v, false, keys, key, s->scores, s->v_row, shrink, sum);
}

/* Computes all keys of the strip for each (head, group) that is marked in s->todo. */
static void walk_keys(const struct cpu_run *run, int64_t strip, bool careful, struct strip_scratch *s)
{
    const struct attention_shape *shape = run->shape;
    int per_kv = shape->heads / shape->kv_heads;
    struct cursor at = { run->pattern->full_ptr[strip], run->pattern->partial_ptr[strip], 0 };
    for (int i = 0; i < shape->heads * STRIP_GROUPS; i++) {
        if (!s->todo[i]) continue;
        float *sum = s->sum + (size_t)i * (size_t)shape->d_v * GROUP_ROWS;
        memset(sum, 0, (size_t)shape->d_v * GROUP_ROWS * sizeof *sum);
        for (int r = 0; r < GROUP_ROWS; r++) {
            s->max[i * GROUP_ROWS + r] = -INFINITY;
            s->lowest[i * GROUP_ROWS + r] = s->weight[i * GROUP_ROWS + r] = 0.0f;
        }
    }
    if (run->bias) bias_find_rows(run->pattern, strip, s);
    if (run->pair_bias) pair_bias_find_rows(run, strip, s);
    while (next_chunk(run->pattern, strip, &at, s)) {
        if (run->bias) find_bias_points(run, s);
        if (run->pair_bias) find_pairs(run, s);
        for (int kv = 0; kv < shape->kv_heads; kv++) {
            if (!memchr(s->todo + (size_t)kv * (size_t)per_kv * STRIP_GROUPS, 1, (size_t)per_kv * STRIP_GROUPS))
                continue;
            find_rows(run, kv, s);
            for (int head = kv * per_kv; head < (kv + 1) * per_kv; head++)
                for (int g = 0; g < STRIP_GROUPS; g++)
                    if (s->todo[head * STRIP_GROUPS + g] && s->key_count[g])
                        attend_group(run, strip, careful, head, g, s);
        }
    }
}

#include "kernels/cpu/results_body.h"

void SUFFIX(attention_strip)(const struct cpu_run *run, int64_t strip, int64_t next, struct strip_scratch *s)
{
    s->next_strip = next;
    s->ahead_row = s->ahead_head = 0;
    memset(s->todo, 1, (size_t)run->shape->heads * STRIP_GROUPS);
    load_rows(run, &run->args->q, run->shape->d_qk, strip, s->query);
    walk_keys(run, strip, false, s);
    if (store(run, strip, false, s)) return;
    walk_keys(run, strip, true, s);
    store(run, strip, true, s);
}

void SUFFIX(attention_exp)(int64_t count, const float *x, float *y)
{
    for (int64_t i = 0; i < count; i += LANES) *(vf *)(y + i) = vec_exp(*(const vf *)(x + i));
}
