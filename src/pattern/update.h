/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PATTERN_UPDATE_H
#define VIC_PATTERN_UPDATE_H

#include "base/threads.h"
#include "contract/pattern.h"

/* Whether it is a pattern of a cutoff or of the nearest, which can follow its points. */
bool pattern_follows(const vic_pattern *p);

/* The cutoff pattern, or that of the nearest, of the same points after they moved: positions of queries and, of two
 * sets, of keys; cell NULL = as before (and as it must be for several structures).  Masks, ids and groups stay.
 *
 * On failure *p is what it was.  Otherwise it is the new one, and the old one is released.  Where nobody else holds
 * that and it has neither masks nor groups, its memory stays with the new one for the update after this, so that in a
 * run of updates two patterns take turns in memory that is in use already. */
vic_status pattern_update(vic_pattern **p, const double *q_positions, const double *k_positions,
                          const double cell[3][3], struct pool *pool, vic_error *err);

/* The same for a pattern of one set that stays as it is: *out is another one.  `spare` (NULL = none) is a pattern of
 * the same points at other places.  It is released, and its memory becomes the new one's where nobody else holds it. */
vic_status pattern_moved(const vic_pattern *p, const double *positions, const double cell[3][3], vic_pattern *spare,
                         struct pool *pool, vic_pattern **out, vic_error *err);

#endif
