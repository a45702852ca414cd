/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_KERNELS_CUDA_SM90_PLAN_LAYOUT_H
#define VIC_KERNELS_CUDA_SM90_PLAN_LAYOUT_H

#include "base/threads.h"
#include "contract/attention.h"
#include "kernels/cuda/sm90/plan/tiles.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a pattern is laid out. */
struct layout_shape {
    int places; /* of a tile, at most 4 */
    int reach;  /* the list of a place never goes on by more than 2 reach stages at a time, begins within the first
                   reach + 1 stages or with the strip's diagonal one, and comes to one of the last `reach`; see the
                   ring's invariant in ring_place.cuh */
    /* For tests and measurements; zeros: as the heuristics say. */
    int warpgroup_splits; /* of each strip, where that divides `places`; then no tile is split unless ... */
    int64_t split_steps;  /* ... it has more steps than this */
};

/* Where everything goes: tiles, their stages, how they are split.  A function of its arguments alone, whatever the
 * number of threads.  Cost: O(blocks). */
vic_status layout_make(const struct vic_pattern *p, const struct layout_shape *shape, struct pool *pool,
                       struct tile_layout *out, vic_error *err);

/* Writes the arrays of a layout of this pattern; each has the size that tiles.h says. */
void layout_fill(const struct vic_pattern *p, const struct tile_layout *layout, struct pool *pool,
                 const struct tile_arrays *out);

void layout_free(struct tile_layout *layout);

/* Of all places together. */
static inline int64_t split_steps(const struct tile_layout *l, int64_t split)
{
    int64_t steps = 0;
    for (int s = 0; s < l->places; s++) steps += l->strips[split * l->places + s].steps;
    return steps;
}

static inline bool any_split(const struct tile_layout *l)
{
    return l->splits > l->tiles;
}

/* Deal tiles x heads out to `ctas`, evenly, and so that those worked on at one time read the same keys.  Where that
 * ends sooner, tiles that come last are split over CTAs; `whole`: none is. */
vic_status schedule_make(const struct tile_layout *layout, const struct attention_shape *shape, int ctas, bool whole,
                         struct tile_schedule *out, vic_error *err);
void schedule_free(struct tile_schedule *schedule);

#ifdef __cplusplus
}
#endif

#endif
