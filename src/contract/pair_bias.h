/* SPDX-License-Identifier: Apache-2.0 */
/* A stored bias, or its gradient: where the number of a pair and head is in the caller's memory.  Both layouts of
 * vicinal.h are
 *     place = pair_stride * number                                          [pairs, heads]
 *     place = window_stride * w + query_stride * r + key_stride * c         [windows, queries, keys, heads]
 * and the element of a head is at data + place + head * head_stride.  The second is a sum of a term of the query and one
 * of the key, in which everything that the window gives is in the query's. */
#ifndef VIC_CONTRACT_PAIR_BIAS_H
#define VIC_CONTRACT_PAIR_BIAS_H

#include "vicinal.h"

struct pair_bias {
    void *data;                        /* in memory of the plan's device; NULL = none */
    vic_dtype dtype;                   /* F32, F16 or BF16 */
    int64_t batch_stride, head_stride; /* elements; 0 = the same for all */
    int64_t pair_stride;
    int64_t window, key_window; /* queries and keys of a window; 0 = pairs have numbers */
    int64_t window_stride, query_stride, key_stride;
};

enum { NUMBER_PAD = 64 };

/* Number of each pair in the order of vic_pattern_neighbors(): by query atom, then key atom, then image. */
struct pair_numbers {
    int64_t *strip_first; /* [strips + 1] where a strip's pairs begin in `number` */
    /* [pairs + NUMBER_PAD] strip by strip, its blocks as block_walk has them, in a block by key, then row; behind the last
     * zeros, so that who prefetches may look ahead. */
    uint32_t *number;
    int64_t most; /* pairs of a strip */
};

static inline struct pair_bias pair_bias_entry(const struct pair_bias *b, int64_t entry)
{
    struct pair_bias one = *b;
    int64_t size = b->dtype == VIC_F32 ? 4 : 2;
    if (b->data) one.data = (char *)b->data + entry * b->batch_stride * size;
    return one;
}

/* The two terms of a place in windows, for query atom i and key atom j.  Each alone may be far outside the tensor, and
 * with large strides beyond 64 bits: that is why they are unsigned, of which the sum is right all the same. */
static inline uint64_t pair_bias_query_term(const struct pair_bias *b, int64_t i)
{
    int64_t w = i / b->window, first_key = w * b->window - (b->key_window - b->window) / 2;
    return (uint64_t)w * (uint64_t)b->window_stride + (uint64_t)(i % b->window) * (uint64_t)b->query_stride -
           (uint64_t)first_key * (uint64_t)b->key_stride;
}

static inline uint64_t pair_bias_key_term(const struct pair_bias *b, int64_t j)
{
    return (uint64_t)j * (uint64_t)b->key_stride;
}

/* The place of the pair of query atom i and key atom j, whose number is `number` (with windows not looked at). */
static inline int64_t pair_bias_place(const struct pair_bias *b, int64_t i, int64_t j, int64_t number)
{
    if (!b->window) return b->pair_stride * number;
    return (int64_t)(pair_bias_query_term(b, i) + pair_bias_key_term(b, j));
}

#endif
