/* SPDX-License-Identifier: Apache-2.0 */
/* A set of points as a caller gives it: what every way to a pattern begins with.  All of them take the queries and
 * the keys as two of these, with keys NULL where the queries are the keys; nothing of it is kept, only copied. */
#ifndef VIC_PATTERN_POINT_SET_H
#define VIC_PATTERN_POINT_SET_H

#include "pattern/points.h"

struct point_set {
    int64_t n;
    const double *positions; /* [n, 3]; NULL = no geometry, and rows are in the order of the points */
    const uint8_t *mask;     /* [n] 1 = takes no part: attends to nothing and is attended to by none; NULL = all do */
    /* Global ids [n], NULL = the point's own number.  A pair with the same id on both sides and at distance 0,
     * exactly, is a self pair: what exclude_self leaves out.  So the copy of an atom that a lattice translation made
     * is a neighbour of its own, and a domain's own atoms among own and ghost keys leave themselves out, as their
     * positions are the same bits.  Between two sets of which neither has ids no pair is a self pair.  Of keys at one
     * distance the k nearest are those with the lower ids, then images, then numbers. */
    const int64_t *ids;
    /* Several groups of points, no pair of which joins two: several structures, say.  Groups of queries and of keys
     * go together by number. */
    int64_t groups;               /* 0 = one, without offsets */
    const int64_t *group_offsets; /* [groups + 1] the first point of each, then n */
    /* The cells of the queries; those of the keys are not looked at. */
    const double *cells; /* [groups or 1, 3, 3] vectors as rows; NULL = none */
    const bool
        *periodic; /* [groups or 1, 3]; NULL = along all axes where there are cells (of groups: not of zeros) */
};

/* BAD_ARGUMENT, with the place, for groups that are none. */
vic_status point_sets_check(const struct point_set *queries, const struct point_set *keys, vic_error *err);

/* The set itself, with positions also where it has no points: for ways that need geometry. */
struct point_set point_set_placed(const struct point_set *s);

/* A pattern with sizes, cell, positions, ids and orders; groups and masks are not looked at.  *placed is freed by the
 * caller where `placed` is not NULL, also after a failure. */
vic_status pattern_begin(const struct point_set *queries, const struct point_set *keys, enum place_wanted wanted,
                         struct pool *pool, struct placed *placed, vic_pattern **out, vic_error *err);

/* The same with the sizes alone: rows in the order of the points. */
vic_status pattern_begin_plain(const struct point_set *queries, const struct point_set *keys, vic_pattern **out,
                               vic_error *err);

/* The masks of the sets, into the rule of `p`. */
vic_status rule_set_masks(const vic_pattern *p, struct pattern_rule *rule, const struct point_set *queries,
                          const struct point_set *keys, vic_error *err);

/* The one cell of a set without groups, zeros along open axes, and that of a group, which has none where it is zeros.
 */
void point_set_cell(const struct point_set *queries, struct pattern_cell *out);
void group_cell(const struct point_set *queries, int64_t group, struct pattern_cell *out);

#endif
