/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PLAN_TILES_H
#define VIC_PLAN_TILES_H

#include "base/threads.h"
#include "contract/attention.h"
#include "contract/tiles.h"

/* Lay a pattern out in tiles of `places` (at most 4; contract/tiles.h), whose strips are cut where there are few. The
 * list of a place never goes on by more than 2 reach stages at a time, begins within the first reach + 1 stages or
 * with the strip's own, and comes to one of the last `reach`: its warpgroup must not lose sight of the ring.  Where
 * it needs none of these, it takes one with all bits clear.  A function of its arguments alone.  Cost: O(blocks log
 * blocks of a tile). */
vic_status tiles_make(const struct vic_pattern *p, int places, int reach, struct pool *pool, struct tile_layout *out,
                      vic_error *err);

/* The same with that decided: strips in `parts`, a divisor of `places`. */
vic_status tiles_lay_out(const struct vic_pattern *p, int places, int parts, int reach, struct pool *pool,
                         struct tile_layout *out, vic_error *err);
void tiles_free(struct tile_layout *layout);

/* Share tiles x heads among `ctas`, evenly, and so that those worked on at one time read the same keys. */
vic_status tiles_schedule(const struct tile_layout *layout, const struct attention_shape *shape, int ctas,
                          struct tile_schedule *out, vic_error *err);
void tiles_schedule_free(struct tile_schedule *schedule);

#endif
