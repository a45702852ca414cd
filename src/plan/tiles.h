/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PLAN_TILES_H
#define VIC_PLAN_TILES_H

#include "base/status.h"
#include "contract/pattern.h"
#include "contract/tiles.h"

/* Lay a pattern out in tiles of `strips` (2 or 4) strips.  A strip looks at one of a tile's first `reach` + 1 stages,
 * at one of its last `reach`, and at one of any 2 reach in between, with all bits clear where it needs none: its
 * warpgroup must not lose sight of the ring.  A function of its arguments alone.  Cost: O(blocks log blocks of a
 * tile). */
vic_status tiles_make(const struct vic_pattern *p, int strips, int reach, struct tile_layout *out, vic_error *err);
void tiles_free(struct tile_layout *layout);

/* Share tiles x heads among `ctas`: longest tile first to the CTA with least work so far. */
vic_status tiles_schedule(const struct tile_layout *layout, int heads, int ctas, struct tile_schedule *out,
                          vic_error *err);
void tiles_schedule_free(struct tile_schedule *schedule);

#endif
