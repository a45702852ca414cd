/* SPDX-License-Identifier: Apache-2.0 */
/* The pair bias: a section of attention_body.h and attention_backward_body.h, compiled with them for each instruction
 * set.  The numbers of a chunk's pairs lie anywhere in memory, but those of a pair's heads mostly side by side: they are
 * fetched pair by pair for up to HEADS_STAGED heads at once, and laid out as scores are, the heads of a key side by side.  Adding them is a pass of its
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
    memset(s->key_word, 0, (size_t)s->chunk_keys * sizeof *s->key_word);
    for (int g = 0; g < STRIP_GROUPS; g++)
        for (int i = 0; i < s->key_count[g]; i++) {
            s->key_word[s->keys[g][i].index] |= (uint64_t)s->keys[g][i].bits << (GROUP_ROWS * g);
            s->chunk_pairs += __builtin_popcount(s->keys[g][i].bits);
        }
    if (!run->numbers) pair_bias_find_keys(run, s);
}

/* How many heads are staged from `first` on. */
INLINE int staged_heads(const struct cpu_run *run, int first)
{
    int left = (run->exchanged ? run->shape->kv_heads : run->shape->heads) - first;
    return left < HEADS_STAGED ? left : HEADS_STAGED;
}

/* Sets to[g] to where what is staged of a key for group g lies in s->pair_bias, and goes on in the groups' lists, in which
 * the key is number at[g]. */
INLINE void find_staged(uint64_t word, int at[STRIP_GROUPS], int to[STRIP_GROUPS])
{
    for (int g = 0; g < STRIP_GROUPS; g++) {
        to[g] = (g * CHUNK + at[g]) * HEADS_STAGED * GROUP_ROWS;
        at[g] += (uint16_t)(word >> (GROUP_ROWS * g)) != 0;
    }
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
    int at[STRIP_GROUPS] = { 0 }, to[STRIP_GROUPS];
    for (int key = 0; key < s->chunk_keys; key++) {
        const uint64_t word = s->key_word[key];
        find_staged(word, at, to);
        for (uint64_t left = word; left; left &= left - 1) {
            const int r = __builtin_ctzll(left);
            float *staged = s->pair_bias + to[r / GROUP_ROWS] + r % GROUP_ROWS;
            if (!windows)
                __builtin_prefetch((const char *)b->data +
                                   ((int64_t)number[PAIRS_AHEAD] * pair_stride + first * head_stride) *
                                       (dtype == VIC_F32 ? 4 : 2));
            int64_t from = windows ? (int64_t)(s->row_term[r] + s->key_term[key]) : (int64_t)*number++ * pair_stride;
            from += first * head_stride;
            for (int h = 0; h < heads; h++)
                staged[h * GROUP_ROWS] = load_number(dtype, b->data, from + h * head_stride);
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

/* Fetches the numbers of the heads from `first` on. */
static __attribute__((noinline)) void stage_heads(const struct cpu_run *run, int64_t strip, int first,
                                                  struct strip_scratch *s)
{
    const int heads = staged_heads(run, first);
    switch (run->args->pair_bias.dtype) {
    case VIC_F16: stage_type(VIC_F16, run, strip, first, heads, s); break;
    case VIC_BF16: stage_type(VIC_BF16, run, strip, first, heads, s); break;
    default: stage_type(VIC_F32, run, strip, first, heads, s); break;
    }
    s->staged = first;
}

/* Returns where the numbers of the group's first key for a query head are; those of the next keys are HEADS_STAGED rows
 * further on. */
static float (*staged_bias(const struct cpu_run *run, int64_t strip, int head, int group,
                           struct strip_scratch *s))[GROUP_ROWS]
{
    const int first = head / HEADS_STAGED * HEADS_STAGED;
    if (s->staged != first) stage_heads(run, strip, first, s);
    return (void *)(s->pair_bias + (group * CHUNK * HEADS_STAGED + head - first) * GROUP_ROWS);
}

/* Adds the bias to s->scores; `max` becomes the largest of itself and of the new scores. */
static __attribute__((noinline)) void add_pair_bias(const struct cpu_run *run, int64_t strip, int head, int group,
                                                    struct strip_scratch *s, vf max[VECTORS])
{
    float(*bias)[GROUP_ROWS] = staged_bias(run, strip, head, group, s);
    /* clang-format off */
    for (int i = 0; i < s->key_count[group]; i++)
        UNROLL for (int w = 0; w < VECTORS; w++) {
            vf *score = (vf *)s->scores[i] + w;
            *score = vec_select(lanes_in(s->keys[group][i].bits, w), *score + ((const vf *)bias[i * HEADS_STAGED])[w],
                                vec_fill(-INFINITY));
            max[w] = vec_max(*score, max[w]);
        }
    /* clang-format on */
}
