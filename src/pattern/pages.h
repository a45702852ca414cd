/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PATTERN_PAGES_H
#define VIC_PATTERN_PAGES_H

#include "pattern/point_set.h"

/* Patterns from ranges (ranges.h) whose keys lie in pages of a cache: group g has the first length[g] keys of the pages
 * in row g of the table, of which page number x is keys x page .. (x + 1) page - 1.  The pattern becomes one of
 * ranges: one for each page that a query of the group can see; the others are not looked at, so they may be anything.
 * Cost: O(pages + blocks + queries), and nothing that grows with the cache. */
struct pages_input {
    int64_t groups, page;       /* page: keys of one, a multiple of CLUSTER */
    const int64_t *first_query; /* [groups + 1] from 0 to n_q */
    const int64_t *length;      /* [groups] */
    const int32_t *table;       /* [groups, stride]; no page twice in what is seen of a row */
    int64_t stride;
    int64_t before, after, share; /* see struct ranges_input */
};

vic_status pattern_pages(const struct point_set *queries, const struct point_set *keys,
                         const struct pages_input *input, struct pool *pool, vic_pattern **out, vic_error *err);

#endif
