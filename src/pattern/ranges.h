/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PATTERN_RANGES_H
#define VIC_PATTERN_RANGES_H

#include "pattern/point_set.h"

/* Groups of consecutive queries, each with ranges of keys: packed sequences, documents, pages of a key cache, with a
 * causal mask or a sliding window where wanted.  The ranges of a group, in the order in which they are given, are a
 * sequence of keys, at the end of which its queries stand: of m queries and L keys, query r has place L - m + r.  Of
 * the sets of points, sizes and masks count.  Cost: O(ranges + blocks + queries), and nothing that grows with the keys. */
struct ranges_input {
    int64_t groups;
    const int64_t *first_query; /* [groups + 1] from 0 to n_q */
    const int64_t *range_ptr;   /* [groups + 1] where the ranges of each group begin, from 0 on */
    const int32_t *ranges;      /* [range_ptr[groups], 2] keys start .. end - 1; no key twice in a group */
    int64_t before, after;      /* a query attends to keys at most so many places before and behind its own; -1 = all.
                                 * Causal: after 0; a sliding window of w: before w - 1, after 0 */
    int64_t
        share; /* so many consecutive queries of a group have one place: query r place L - m / share + r / share */
};
/* What is wrong with it, if anything; the second one looks at all but the ranges. */
vic_status ranges_check(int64_t n_q, int64_t n_k, const struct ranges_input *input, vic_error *err);
vic_status ranges_check_places(int64_t n_q, const struct ranges_input *input, vic_error *err);

/* Fills an empty pattern of these sets by ranges that have been checked; p->info.seconds_build is the caller's. */
vic_status ranges_build(const struct point_set *queries, const struct point_set *keys, vic_pattern *p,
                        const struct ranges_input *input, struct pool *pool, vic_error *err);

vic_status pattern_ranges(const struct point_set *queries, const struct point_set *keys,
                          const struct ranges_input *input, struct pool *pool, vic_pattern **out, vic_error *err);

#endif
