/* SPDX-License-Identifier: Apache-2.0 */
/* The gradient of the pair bias: a section of attention_backward_body.h, compiled with it for each instruction set.  The
 * ds of a head take the place of its numbers in s->pair_bias, and when all heads that are staged there are done, they are
 * added to s->pair_sums, which has those of the whole strip.
 *
 * Needs pair_bias_body.h and what attention_backward_body.h defines before it includes this. */
#ifndef UNROLL
#error "pair_bias_backward_body.h is a section of attention_backward_body.h: include that file"
#endif
#include "kernels/cpu/attention_backward.h"

/* s->pull is ds. */
static void keep_ds(const struct cpu_backward *b, int64_t strip, const struct work *work, struct strip_scratch *s)
{
    float(*to)[GROUP_ROWS] = staged_bias(&b->run, strip, work->head, work->group, s);
    for (int i = 0; i < work->keys; i++) memcpy(to[i * HEADS_STAGED], s->pull[i], sizeof *to);
}

/* Adds what is staged, up to `head`, where that is the last of these. */
static void add_to_pair_sums(const struct cpu_backward *b, int head, struct strip_scratch *s)
{
    const int heads = b->run.shape->heads, first = head / HEADS_STAGED * HEADS_STAGED;
    float *to = s->pair_sums + s->pairs_before * heads + first;
    int at[STRIP_GROUPS] = { 0 }, from[STRIP_GROUPS];
    if (head != heads - 1 && (head + 1) % HEADS_STAGED != 0) return;
    for (int key = 0; key < s->chunk_keys; key++) {
        find_staged(s->key_word[key], at, from);
        for (uint64_t left = s->key_word[key]; left; left &= left - 1, to += heads) {
            const int r = __builtin_ctzll(left);
            const float *staged = s->pair_bias + from[r / GROUP_ROWS] + r % GROUP_ROWS;
            for (int h = 0; h <= head - first; h++) to[h] = (b->pairs_begin ? 0.0f : to[h]) + staged[h * GROUP_ROWS];
        }
    }
}
