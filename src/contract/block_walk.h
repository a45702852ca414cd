/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over the blocks of a strip:
 *     for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);) ... w.cluster, w.image, *w.bits
 * visits the full blocks run by run, then the partial ones. */
#ifndef VIC_CONTRACT_BLOCK_WALK_H
#define VIC_CONTRACT_BLOCK_WALK_H

#include "contract/pattern.h"

struct block_walk {
    const struct vic_pattern *p;
    int64_t run, run_end, in_run, partial, partial_end;
    int32_t cluster, image;
    const struct block_bits *bits;
};

static inline struct block_walk block_walk_start(const struct vic_pattern *p, int64_t strip)
{
    struct block_walk w = {
        p, p->full_ptr[strip], p->full_ptr[strip + 1], 0, p->partial_ptr[strip], p->partial_ptr[strip + 1], 0, 0, NULL
    };
    return w;
}

static inline bool block_walk_next(struct block_walk *w)
{
    static const struct block_bits all = BLOCK_BITS_ALL;
    for (; w->run < w->run_end; w->run++, w->in_run = 0) {
        const struct full_run *run = &w->p->full_runs[w->run];
        if (w->in_run == run->count) continue;
        w->cluster = run->first + (int32_t)w->in_run++;
        w->image = run->image;
        w->bits = &all;
        return true;
    }
    if (w->partial >= w->partial_end) return false;
    w->cluster = w->p->partial_cluster[w->partial];
    w->image = w->p->partial_image[w->partial];
    w->bits = &w->p->partial_bits[w->partial];
    w->partial++;
    return true;
}

#endif
