/* SPDX-License-Identifier: Apache-2.0 */
/* The pair bias: a section of attention_body.h and attention_backward_body.h, compiled with them for each instruction
 * set.  The numbers of a chunk's pairs lie anywhere in memory, but those of a pair's heads mostly side by side: they are
 * fetched pair by pair for up to HEADS_STAGED heads at once, and laid out as scores are.  Adding them is a pass of its
 * own, so that a run without a pair bias pays nothing.
 *
 * Needs chunks_body.h. */
#ifndef UNROLL
#error "pair_bias_body.h is a section of attention_body.h and attention_backward_body.h: include one of these"
#endif
#include "base/half.h"
#include "kernels/cpu/attention_cpu.h"
#include "kernels/cpu/vector.h"

/* Begins a chunk. */
static void find_pairs(const struct cpu_run *run, struct strip_scratch *s)
{
    s->staged = -1;
    s->pairs_before += s->chunk_pairs;
    s->chunk_pairs = 0;
    for (int g = 0; g < STRIP_GROUPS; g++)
        for (int i = 0; i < s->key_count[g]; i++) s->chunk_pairs += __builtin_popcount(s->keys[g][i].bits);
    if (!run->numbers) pair_bias_find_keys(run, s);
}

/* How many heads are staged from `first` on. */
INLINE int staged_heads(const struct cpu_run *run, int first)
{
    int left = (run->exchanged ? run->shape->kv_heads : run->shape->heads) - first;
    return left < HEADS_STAGED ? left : HEADS_STAGED;
}

/* A walk over the chunk's pairs in the order of their numbers: key by key, under it by row. */
struct pair_walk {
    int key, group, at[STRIP_GROUPS]; /* at: how far the groups' lists have come */
};

/* Goes on to the next key of a group's list; its pairs are the bits of *key. */
INLINE bool next_pairs(const struct strip_scratch *s, struct pair_walk *w, struct group_key *key, int *i)
{
    for (; w->key < s->chunk_keys; w->key++, w->group = 0)
        while (w->group < STRIP_GROUPS) {
            int g = w->group++, at = w->at[g];
            if (at == s->key_count[g] || s->keys[g][at].index != w->key) continue;
            *key = s->keys[g][at];
            *i = (g * CHUNK + at) * GROUP_ROWS;
            w->at[g]++;
            return true;
        }
    return false;
}

INLINE float load_number(const vic_dtype dtype, const void *data, int64_t at)
{
    if (dtype == VIC_F32) return ((const float *)data)[at];
    uint16_t half = ((const uint16_t *)data)[at];
    return dtype == VIC_F16 ? f32_from_f16(half) : f32_from_bf16(half);
}

INLINE void stage_as(const vic_dtype dtype, const int heads, const bool windows, const struct cpu_run *run,
                     int64_t strip, int first, struct strip_scratch *s)
{
    const struct pair_bias *b = &run->args->pair_bias;
    const int64_t pair_stride = b->pair_stride, head_stride = b->head_stride;
    const uint32_t *number =
        windows ? NULL : run->numbers->number + run->numbers->strip_first[strip] + s->pairs_before;
    struct pair_walk w = { 0, 0, { 0 } };
    struct group_key key;
    int i;
    while (next_pairs(s, &w, &key, &i)) {
        const uint64_t *row_term = s->row_term + (w.group - 1) * GROUP_ROWS, key_term = s->key_term[key.index];
        for (unsigned left = key.bits; left; left &= left - 1) {
            int lane = __builtin_ctz(left);
            int64_t at = windows ? (int64_t)(row_term[lane] + key_term) : (int64_t)*number++ * pair_stride;
            float *to = s->pair_bias + i + lane;
            at += first * head_stride;
            for (int h = 0; h < heads; h++) to[h * STAGED_HEAD] = load_number(dtype, b->data, at + h * head_stride);
        }
    }
}

INLINE void stage_type(const vic_dtype dtype, const struct cpu_run *run, int64_t strip, int first, int heads,
                       struct strip_scratch *s)
{
    if (heads == HEADS_STAGED)
        run->numbers ? stage_as(dtype, HEADS_STAGED, false, run, strip, first, s)
                     : stage_as(dtype, HEADS_STAGED, true, run, strip, first, s);
    else
        run->numbers ? stage_as(dtype, heads, false, run, strip, first, s)
                     : stage_as(dtype, heads, true, run, strip, first, s);
}

/* Returns where the numbers of the group's keys for a query head are, as scores lie. */
static float (*staged_bias(const struct cpu_run *run, int64_t strip, int head, int group,
                           struct strip_scratch *s))[GROUP_ROWS]
{
    int first = head / HEADS_STAGED * HEADS_STAGED, heads = staged_heads(run, first);
    if (s->staged != first) switch (run->args->pair_bias.dtype) {
        case VIC_F16: stage_type(VIC_F16, run, strip, first, heads, s); break;
        case VIC_BF16: stage_type(VIC_BF16, run, strip, first, heads, s); break;
        default: stage_type(VIC_F32, run, strip, first, heads, s); break;
        }
    s->staged = first;
    return (void *)(s->pair_bias + (head - first) * STAGED_HEAD + group * CHUNK * GROUP_ROWS);
}

/* Adds the bias to s->scores; `max` becomes the largest of itself and of the new scores. */
static void add_pair_bias(const struct cpu_run *run, int64_t strip, int head, int group, struct strip_scratch *s,
                          vf max[VECTORS])
{
    float(*bias)[GROUP_ROWS] = staged_bias(run, strip, head, group, s);
    /* clang-format off */
    for (int i = 0; i < s->key_count[group]; i++)
        UNROLL for (int w = 0; w < VECTORS; w++) {
            vf *score = (vf *)s->scores[i] + w;
            *score = vec_select(lanes_in(s->keys[group][i].bits, w), *score + ((const vf *)bias[i])[w],
                                vec_fill(-INFINITY));
            max[w] = vec_max(*score, max[w]);
        }
    /* clang-format on */
}
