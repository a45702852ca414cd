/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PATTERN_CUTOFF_H
#define VIC_PATTERN_CUTOFF_H

#include "pattern/point_set.h"

/* Who is within a cutoff of whom.  Masked points get rows behind all others, so they cost nothing. */
struct cutoff_input {
    double cutoff;
    bool exclude_self;
    size_t max_bytes;               /* of sets without groups; 0 = no limit */
    vic_pattern_estimate *estimate; /* NULL = not wanted */
};
vic_status pattern_cutoff(const struct point_set *queries, const struct point_set *keys,
                          const struct cutoff_input *input, struct pool *pool, vic_pattern **out, vic_error *err);

#endif
