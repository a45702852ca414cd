/* SPDX-License-Identifier: Apache-2.0 */
/* What a pattern will take, before it is built: a sample of its strips is searched and tested as all will be, so that
 * nothing is modelled but the average. */
#ifndef VIC_PATTERN_ESTIMATE_H
#define VIC_PATTERN_ESTIMATE_H

#include "pattern/points.h"

struct estimate_input {
    const vic_pattern *p; /* sizes, cutoff, orders and wraps are there, images and blocks are not */
    const struct placed *placed;
    size_t max_bytes;
};

/* NO_MEMORY when building would take more than max_bytes.  Smaller cutoffs are looked at first, so that this is found
 * in little time however large the cutoff is.  *out stays zero where no number of blocks could be too large. */
vic_status pattern_estimate(const struct estimate_input *in, struct pool *pool, vic_pattern_estimate *out,
                            vic_error *err);

#endif
