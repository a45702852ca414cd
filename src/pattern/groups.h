/* SPDX-License-Identifier: Apache-2.0 */
/* Cutoff and nearest patterns of points of which not all take part, or that form groups: each group is built on its
 * own, from the points that take part.  The rows of groups follow one another without padding, so small ones share
 * strips; points that take no part get the last rows, so they cost nothing. */
#ifndef VIC_PATTERN_GROUPS_H
#define VIC_PATTERN_GROUPS_H

#include "pattern/point_set.h"

/* `how`: a rule of kind CUTOFF (cutoff) or NEAREST (count), with exclude_self.  The sets are checked, and have
 * positions.  max_bytes and estimate are those of a cutoff without groups. */
vic_status groups_build(const struct point_set *queries, const struct point_set *keys, const struct pattern_rule *how,
                        size_t max_bytes, vic_pattern_estimate *estimate, struct pool *pool, vic_pattern **out,
                        vic_error *err);

#endif
