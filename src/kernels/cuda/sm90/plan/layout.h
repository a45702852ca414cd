/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_KERNELS_CUDA_SM90_PLAN_LAYOUT_H
#define VIC_KERNELS_CUDA_SM90_PLAN_LAYOUT_H

#include "base/threads.h"
#include "contract/attention.h"
#include "kernels/cuda/sm90/plan/tiles.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Lay a pattern out in tiles of `places` (at most 4; plan/tiles.h), whose strips are cut where there are few. The
 * list of a place never goes on by more than 2 reach stages at a time, begins within the first reach + 1 stages or
 * with the strip's own, and comes to one of the last `reach`: its warpgroup must not lose sight of the ring.  Where
 * it needs none of these, it takes one with all bits clear.  Long tiles are split where there are few.  A function of
 * its arguments alone.  Cost: O(blocks log blocks of a tile). */
vic_status tiles_make(const struct vic_pattern *p, int places, int reach, struct pool *pool, struct tile_layout *out,
                      vic_error *err);

/* The same with that decided: strips in `parts`, a divisor of `places`, and no tile split. */
vic_status tiles_lay_out(const struct vic_pattern *p, int places, int parts, int reach, struct pool *pool,
                         struct tile_layout *out, vic_error *err);

/* Split the tiles of a layout that has none split: into as few shares as have at most about `most_steps` steps (never
 * less than a stage).  On error the layout is as it was. */
vic_status tiles_split(const struct vic_pattern *p, int reach, int64_t most_steps, struct pool *pool,
                       struct tile_layout *layout, vic_error *err);

/* The `most_steps` with which one head's tiles end soonest; 0 = as they are. */
int64_t split_limit(const struct tile_layout *layout);

/* Of all its places together. */
static inline int64_t share_steps(const struct tile_layout *l, int64_t share)
{
    int64_t steps = 0;
    for (int s = 0; s < l->places; s++) steps += l->strips[share * l->places + s].steps;
    return steps;
}

void tiles_free(struct tile_layout *layout);

/* Deal tiles x heads out to `ctas`, evenly, and so that those worked on at one time read the same keys.  Where shares
 * end sooner, tiles that come last are worked on in these; `whole`: none is. */
vic_status tiles_schedule(const struct tile_layout *layout, const struct attention_shape *shape, int ctas, bool whole,
                          struct tile_schedule *out, vic_error *err);
void tiles_schedule_free(struct tile_schedule *schedule);

#ifdef __cplusplus
}
#endif

#endif
