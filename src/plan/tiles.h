/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PLAN_TILES_H
#define VIC_PLAN_TILES_H

#include "base/status.h"
#include "contract/pattern.h"
#include "contract/tiles.h"

/* Lay a pattern out in tiles of `strips_per_tile` (2 or 4) strips for a ring of `ring` (5 or more) stages.  A
 * function of its arguments alone.  Cost: O(blocks log blocks of a tile). */
vic_status tiles_make(const struct vic_pattern *p, int strips_per_tile, struct tile_layout *out, vic_error *err);
void tiles_free(struct tile_layout *layout);

/* Share tiles x heads among `ctas`: longest tile first to the CTA with least work so far.  *items [tiles * heads] and
 * *first [ctas + 1] are freed with free(). */
vic_status tiles_schedule(const struct tile_layout *layout, int heads, int ctas, struct tile_item **items,
                          int32_t **first, vic_error *err);

#endif
