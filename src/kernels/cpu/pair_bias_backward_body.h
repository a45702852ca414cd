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
    memcpy(to, s->pull, (size_t)work->keys * sizeof *to);
}

/* Adds what is staged, up to `head`, where that is the last of these. */
static void add_to_pair_sums(const struct cpu_backward *b, int head, struct strip_scratch *s)
{
    const int heads = b->run.shape->heads, first = head / HEADS_STAGED * HEADS_STAGED;
    float *to = s->pair_sums + s->pairs_before * heads + first;
    struct pair_walk w = { 0, 0, { 0 } };
    struct group_key key;
    int i;
    if (head != heads - 1 && (head + 1) % HEADS_STAGED != 0) return;
    while (next_pairs(s, &w, &key, &i))
        for (unsigned left = key.bits; left; left &= left - 1, to += heads) {
            const float *from = s->pair_bias + i + __builtin_ctz(left);
            for (int h = 0; h <= head - first; h++) to[h] = (b->pairs_begin ? 0.0f : to[h]) + from[h * STAGED_HEAD];
        }
}
