/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_KERNELS_CUDA_SM90_PLAN_LAYOUT_H
#define VIC_KERNELS_CUDA_SM90_PLAN_LAYOUT_H

#include "base/threads.h"
#include "contract/attention.h"
#include "kernels/cuda/sm90/plan/tiles.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a layout must fit. */
struct layout_shape {
    int places; /* of a tile, at most 4 */
    int reach; /* the list of a place never advances by more than 2 reach stages at a time; it begins within the first
                   reach + 1 stages or with the strip's diagonal stage, and takes one of the last `reach`.  This keeps
                   the ring's invariant (ring.cuh) */
    /* For tests and measurements; where both are 0 the heuristics decide. */
    int warpgroup_splits; /* of each strip, where that divides `places`; then no tile is split unless ... */
    int64_t split_steps;  /* ... it has more steps than this */
};

/* Decides where everything goes: tiles, their stages, and how they are split.  The result depends on the pattern and
 * the shape alone, not on the number of threads.  Cost: O(blocks). */
vic_status layout_make(const struct vic_pattern *p, const struct layout_shape *shape, struct pool *pool,
                       struct tile_layout *out, vic_error *err);

/* Writes the arrays of a layout of this pattern; each has the size that is stated in tiles.h. */
void layout_fill(const struct vic_pattern *p, const struct tile_layout *layout, struct pool *pool,
                 const struct tile_arrays *out);

void layout_free(struct tile_layout *layout);

/* The steps of a split, of all places together. */
static inline int64_t split_steps(const struct tile_layout *l, int64_t split)
{
    int64_t steps = 0;
    for (int s = 0; s < l->places; s++) steps += l->strips[split * l->places + s].steps;
    return steps;
}

/* Whether some tile is split. */
static inline bool any_split(const struct tile_layout *l)
{
    return l->splits > l->tiles;
}

/* Assigns tiles x heads to `ctas` CTAs, evenly, and so that CTAs read the same keys at one time.  Tiles that come
 * last are split over CTAs where that ends sooner, but never with `whole`. */
vic_status schedule_make(const struct tile_layout *layout, const struct attention_shape *shape, int ctas, bool whole,
                         struct tile_schedule *out, vic_error *err);
void schedule_free(struct tile_schedule *schedule);

#ifdef __cplusplus
}
#endif

#endif
