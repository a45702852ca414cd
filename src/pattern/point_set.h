/* SPDX-License-Identifier: Apache-2.0 */
/* A set of points as a caller gives it: what every way to a pattern begins with. */
#ifndef VIC_PATTERN_POINT_SET_H
#define VIC_PATTERN_POINT_SET_H

#include "pattern/points.h"

struct point_set {
    int64_t n;
    const double *positions; /* [n, 3]; NULL = no geometry, and rows are in the order of the points */
    const uint8_t *mask;     /* [n] 1 = takes no part: attends to nothing and is attended to by none; NULL = all do */
    const double *cell;      /* [3, 3] vectors as rows, NULL = none; of the queries, also for the keys */
    const int64_t *ids, *group_offsets;
    int64_t groups;
    const bool *periodic;    /* [3] or NULL: along all axes where there is a cell */
};

/* A pattern with sizes, cell, positions and orders: a copy of the sets.  `keys` NULL = the queries are the keys.
 * *placed is freed by the caller where `placed` is not NULL, also after a failure. */
vic_status pattern_begin(const struct point_set *queries, const struct point_set *keys, enum place_wanted wanted,
                         struct pool *pool, struct placed *placed, vic_pattern **out, vic_error *err);

/* The masks of the sets, into the rule of `p`. */
vic_status rule_set_masks(const vic_pattern *p, struct pattern_rule *rule, const struct point_set *queries,
                          const struct point_set *keys, vic_error *err);

#endif
