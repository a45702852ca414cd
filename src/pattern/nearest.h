/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PATTERN_NEAREST_H
#define VIC_PATTERN_NEAREST_H

#include "pattern/point_set.h"

/* The k nearest keys of each query; needs positions.  Masked points keep their places among the rows, but for sets
 * with groups, where they get rows behind all others. */
struct nearest_input {
    int64_t k;
    bool exclude_self;
    size_t max_bytes;               /* 0 = no limit */
    vic_pattern_estimate *estimate; /* NULL = not wanted */
};
vic_status pattern_nearest(const struct point_set *queries, const struct point_set *keys,
                           const struct nearest_input *input, struct pool *pool, vic_pattern **out, vic_error *err);

#endif
