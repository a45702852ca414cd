/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of one strip on the CPU: one text, compiled by attention_scalar.c, attention_avx2.c and
 * attention_avx512.c, which define
 *     LANES        floats of a vector: 4, 8, 16
 *     STEP_KEYS    keys whose scores are computed side by side   (STEP_KEYS * 16 / LANES accumulators each, so that
 *     STEP_COLUMNS output columns that are summed side by side    they stay in registers and hide the FMA's latency)
 *     SUFFIX(name) name_scalar, ...
 *
 * Method.  The lanes of a vector are query rows, 16 of them (a group), so that one element of a key or of a value is
 * broadcast to all lanes and neither K nor V has to be transposed or even copied: float32 rows are read where the
 * caller has them.  A key costs a group its arithmetic only when one of the group's 16 mask bits is set.
 *   for chunks of up to 256 keys of the strip that any row needs (full runs first, then partial blocks):
 *     list, per group, the keys that it needs with their 16 bits
 *     for each key head: find the rows of K and V (float16 and bfloat16: convert them, once for all groups and heads)
 *       for each query head that reads it, for each group:
 *         scores:      S = (Q . K) * scale, plus the radial term (radial_body.h); -inf where the bit is not set; and
 *                      their maximum per row
 *         weights:     P = exp(S - max); the running sums shrink by exp(old max - max)
 *         accumulate:  sums += P V, a few columns at a time, in registers over all keys of the chunk
 *   out = sums / weight, lse = max + ln weight
 * What is summed in which order depends on the pattern alone.
 *
 * Finite inputs may still leave float32: scores may overflow, on the way or in the end, and so may the weighted sum;
 * results may come to be where float32 has few digits left.  Each shows in what the row has in the end, or in the
 * smallest of its scores; such rows are done again one by one in double (attention_wide.c).
 *
 * A masked lane has P = 0 and still computes 0 * V, which is NaN where V is not finite.  So a group whose result is
 * not finite is done a second time with V, too, replaced by 0 in masked lanes ("careful"): the other arithmetic is
 * the same, and only real neighbours can make a row non-finite. */
#include "kernels/cpu/attention_cpu.h"

#include "base/half.h"
#include "kernels/cpu/vector.h"

#include <math.h>
#include <string.h>

enum { PARTS = GROUP / LANES }; /* vectors of a group */

/* Full unrolling makes the accumulator arrays registers. */
#define UNROLL _Pragma("GCC unroll 16")

static const _Alignas(64) int32_t lane_bits[GROUP] = { 1,     2,     4,     8,     0x10,   0x20,   0x40,   0x80,
                                                       0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x4000, 0x8000 };

INLINE vi lanes_in(uint16_t bits, int part) /* all ones where the bit is set */
{
    vi lane = *(const vi *)(lane_bits + part * LANES);
    return (lane & (int32_t)bits) == lane;
}

/* ---- Chunks of keys ---------------------------------------------------------------------------------------- */

struct cursor {
    int64_t run, partial;
    int32_t taken; /* clusters of the run that are done */
};

static void add_block(struct strip_scratch *s, int32_t cluster, int32_t image, const uint64_t bits[CLUSTER])
{
    int slots = s->slots;
    for (int key = 0; key < CLUSTER; key++) {
        uint64_t word = bits[key];
        s->rows[slots] = cluster * CLUSTER + key;
        s->images[slots] = image;
        for (int g = 0; g < GROUPS; g++) {
            uint16_t part = (uint16_t)(word >> (GROUP * g));
            s->keys[g][s->key_count[g]] = (struct group_key){ (uint16_t)slots, part };
            s->key_count[g] += part != 0;
        }
        slots += word != 0;
    }
    s->slots = slots;
}

/* The strip's next keys; false when there are no more. */
static bool next_chunk(const struct vic_pattern *p, int64_t strip, struct cursor *at, struct strip_scratch *s)
{
    static const struct block_bits full = BLOCK_BITS_ALL;
    s->slots = 0;
    memset(s->key_count, 0, sizeof s->key_count);
    while (s->slots <= CHUNK - CLUSTER) {
        if (at->run < p->full_ptr[strip + 1]) {
            const struct full_run *run = &p->full_runs[at->run];
            add_block(s, run->first + at->taken, run->image, full.key);
            if (++at->taken == run->count) {
                at->run++;
                at->taken = 0;
            }
        } else if (at->partial < p->partial_ptr[strip + 1]) {
            add_block(s, p->partial_cluster[at->partial], p->partial_image[at->partial],
                      p->partial_bits[at->partial].key);
            at->partial++;
        } else {
            break;
        }
    }
    /* No lane takes a padding key's score; it only has to be readable. */
    for (int g = 0; g < GROUPS; g++)
        for (int pad = 0; pad < KEY_PAD; pad++) s->keys[g][s->key_count[g] + pad] = (struct group_key){ 0, 0 };
    return s->slots > 0;
}

#include "kernels/cpu/rows_body.h"

/* ---- The arithmetic ---------------------------------------------------------------------------------------- */

INLINE void prefetch_row(const float *row, int d)
{
    for (int c = 0; c < d; c += 16) __builtin_prefetch(row + c);
}

/* s->scores = (q . k) * scale for the group's keys, -inf where the bit is not set; max = larger of max and theirs,
 * lowest = smaller of lowest (at most 0) and those whose bit is set. */
static void compute_scores(const struct cpu_run *run, int64_t strip, const float *query, int keys,
                           const struct group_key *key, struct strip_scratch *s, vf max[PARTS], vf lowest[PARTS])
{
    const struct attention_shape *shape = run->shape;
    float scale = (float)run->args->scale;
    for (int i = 0; i < keys; i += STEP_KEYS) {
        if (s->ahead_row < STRIP) look_ahead(run, strip, s);
        const float *k[STEP_KEYS];
        vf dot[STEP_KEYS][PARTS];
        UNROLL for (int u = 0; u < STEP_KEYS; u++)
        {
            k[u] = s->k_row[key[i + u].slot];
            UNROLL for (int w = 0; w < PARTS; w++) dot[u][w] = (vf){ 0 };
        }
        /* Rows come from anywhere in memory: ask for the keys two steps ahead, and for the values used next. */
        for (int u = 0; u < STEP_KEYS; u++) {
            prefetch_row(s->k_row[key[i + KEYS_AHEAD + u].slot], shape->d_qk);
            prefetch_row(s->v_row[key[i + u].slot], shape->d_v);
        }
        for (int c = 0; c < shape->d_qk; c++) {
            const vf *q = (const vf *)(query + c * GROUP);
            UNROLL for (int u = 0; u < STEP_KEYS; u++) UNROLL for (int w = 0; w < PARTS; w++) dot[u][w] +=
                q[w] * k[u][c];
        }
        UNROLL for (int u = 0; u < STEP_KEYS; u++) UNROLL for (int w = 0; w < PARTS; w++)
        {
            vi in = lanes_in(key[i + u].bits, w);
            vf own = (vf)(in & (vi)(dot[u][w] * scale));
            vf score = (vf)((vi)own | (~in & (vi)vec_fill(-INFINITY)));
            ((vf *)s->scores[i + u])[w] = score;
            max[w] = vec_max(score, max[w]);
            lowest[w] = vec_min(own, lowest[w]);
        }
    }
}

#include "kernels/cpu/radial_body.h"

/* s->scores becomes exp(scores - max); adds them up. */
static void compute_weights(int keys, struct strip_scratch *s, const vf max[PARTS], vf total[PARTS])
{
    UNROLL for (int w = 0; w < PARTS; w++) total[w] = (vf){ 0 };
    for (int i = 0; i < keys; i++) {
        vf *p = (vf *)s->scores[i];
        UNROLL for (int w = 0; w < PARTS; w++)
        {
            p[w] = vec_exp(p[w] - max[w]);
            total[w] += p[w];
        }
    }
}

/* Constant offsets from one pointer: written as v[u], GCC keeps an offset register per column, and spills them. */
struct columns {
    float x[STEP_COLUMNS];
};

/* sum = sum * shrink + P V for `columns` columns from `first` on. */
INLINE void accumulate_columns(const int columns, int first, bool careful, int keys, const struct group_key *key,
                               const struct strip_scratch *s, const vf shrink[PARTS], float *sum)
{
    vf part[STEP_COLUMNS][PARTS];
    UNROLL for (int u = 0; u < columns; u++) UNROLL for (int w = 0; w < PARTS; w++) part[u][w] = (vf){ 0 };
    for (int i = 0; i < keys; i++) {
        const struct columns *v = (const void *)(s->v_row[key[i].slot] + first);
        const vf *p = (const vf *)s->scores[i];
        UNROLL for (int u = 0; u < columns; u++) UNROLL for (int w = 0; w < PARTS; w++)
        {
            if (careful)
                part[u][w] += p[w] * vec_select(lanes_in(key[i].bits, w), vec_fill(v->x[u]), (vf){ 0 });
            else
                part[u][w] += p[w] * v->x[u];
        }
    }
    UNROLL for (int u = 0; u < columns; u++) UNROLL for (int w = 0; w < PARTS; w++)
    {
        vf *to = (vf *)(sum + (first + u) * GROUP) + w;
        *to = *to * shrink[w] + part[u][w];
    }
}

INLINE void accumulate(int d, bool careful, int keys, const struct group_key *key, const struct strip_scratch *s,
                       const vf shrink[PARTS], float *sum)
{
    int c = 0;
    for (; c + STEP_COLUMNS <= d; c += STEP_COLUMNS)
        accumulate_columns(STEP_COLUMNS, c, careful, keys, key, s, shrink, sum);
#if STEP_COLUMNS > 8
    if (c < d) accumulate_columns(8, c, careful, keys, key, s, shrink, sum); /* head sizes are multiples of 8 */
#endif
}

/* One group of one head meets the chunk. */
static void group_step(const struct cpu_run *run, int64_t strip, bool careful, int head, int group,
                       struct strip_scratch *s)
{
    const struct attention_shape *shape = run->shape;
    size_t at = (size_t)head * GROUPS + (size_t)group, d_v = (size_t)shape->d_v;
    const struct group_key *key = s->keys[group];
    int keys = s->key_count[group];
    vf *max_at = (vf *)(s->max + at * GROUP), *weight_at = (vf *)(s->weight + at * GROUP);
    vf *lowest_at = (vf *)(s->lowest + at * GROUP);
    float *sum = s->sum + at * d_v * GROUP;
    vf max[PARTS], lowest[PARTS], finite_max[PARTS], shrink[PARTS], total[PARTS];

    UNROLL for (int w = 0; w < PARTS; w++)
    {
        max[w] = max_at[w];
        lowest[w] = lowest_at[w];
    }
    compute_scores(run, strip, s->query + at * (size_t)shape->d_qk * GROUP, keys, key, s, max, lowest);
    UNROLL for (int w = 0; w < PARTS; w++) lowest_at[w] = lowest[w];
    if (run->radial) {
        UNROLL for (int w = 0; w < PARTS; w++) max[w] = max_at[w]; /* scores alone say nothing about it */
        add_radial(run, head, group, strip * STRIP + group * GROUP, s, max);
    }
    UNROLL for (int w = 0; w < PARTS; w++)
    {
        /* A row that has met no key yet: -inf - 0 gives weight 0, where -inf - -inf would give NaN. */
        finite_max[w] = vec_select(max[w] == -INFINITY, (vf){ 0 }, max[w]);
        shrink[w] = vec_exp(max_at[w] - finite_max[w]);
        max_at[w] = max[w];
    }
    compute_weights(keys, s, finite_max, total);
    UNROLL for (int w = 0; w < PARTS; w++) weight_at[w] = weight_at[w] * shrink[w] + total[w];
    if (careful)
        accumulate(shape->d_v, true, keys, key, s, shrink, sum);
    else
        accumulate(shape->d_v, false, keys, key, s, shrink, sum);
}

/* All keys of the strip, for the (head, group) that are to do. */
static void meet_keys(const struct cpu_run *run, int64_t strip, bool careful, struct strip_scratch *s)
{
    const struct attention_shape *shape = run->shape;
    int per_kv = shape->heads / shape->kv_heads;
    struct cursor at = { run->pattern->full_ptr[strip], run->pattern->partial_ptr[strip], 0 };
    for (int i = 0; i < shape->heads * GROUPS; i++) {
        if (!s->todo[i]) continue;
        float *sum = s->sum + (size_t)i * (size_t)shape->d_v * GROUP;
        memset(sum, 0, (size_t)shape->d_v * GROUP * sizeof *sum);
        for (int r = 0; r < GROUP; r++) {
            s->max[i * GROUP + r] = -INFINITY;
            s->lowest[i * GROUP + r] = s->weight[i * GROUP + r] = 0.0f;
        }
    }
    if (run->radial) radial_place_rows(run->pattern, strip, s);
    while (next_chunk(run->pattern, strip, &at, s)) {
        if (run->radial) find_distances(run, s);
        for (int kv = 0; kv < shape->kv_heads; kv++) {
            if (!memchr(s->todo + (size_t)kv * (size_t)per_kv * GROUPS, 1, (size_t)per_kv * GROUPS)) continue;
            find_rows(run, kv, s);
            for (int head = kv * per_kv; head < (kv + 1) * per_kv; head++)
                for (int g = 0; g < GROUPS; g++)
                    if (s->todo[head * GROUPS + g] && s->key_count[g]) group_step(run, strip, careful, head, g, s);
        }
    }
}

#include "kernels/cpu/results_body.h"

void SUFFIX(attention_strip)(const struct cpu_run *run, int64_t strip, int64_t next, struct strip_scratch *s)
{
    s->next_strip = next;
    s->ahead_row = s->ahead_head = 0;
    memset(s->todo, 1, (size_t)run->shape->heads * GROUPS);
    load_queries(run, strip, s);
    meet_keys(run, strip, false, s);
    if (store(run, strip, false, s)) return;
    meet_keys(run, strip, true, s);
    store(run, strip, true, s);
}

void SUFFIX(attention_exp)(int64_t count, const float *x, float *y)
{
    for (int64_t i = 0; i < count; i += LANES) *(vf *)(y + i) = vec_exp(*(const vf *)(x + i));
}
