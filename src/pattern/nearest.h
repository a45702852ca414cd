/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PATTERN_NEAREST_H
#define VIC_PATTERN_NEAREST_H

#include "pattern/point_set.h"

/* The k nearest keys of each query of one set; needs positions. */
struct nearest_input {
    int64_t k;
    bool exclude_self;
    size_t max_bytes;               /* 0 = no limit */
    vic_pattern_estimate *estimate; /* NULL = not wanted */
};
vic_status pattern_nearest(const struct point_set *points, const struct nearest_input *input, struct pool *pool,
                           vic_pattern **out, vic_error *err);

#endif
