/* SPDX-License-Identifier: Apache-2.0 */
/* Which periodic images of a key can be within a cutoff; the pair rule alone decides which are. */
#ifndef VIC_KERNELS_REF_IMAGES_H
#define VIC_KERNELS_REF_IMAGES_H

#include "base/status.h"

/* For a displacement x, dual[a] . x is its coordinate along cell vector a.  |dual[a] . x| <= |dual[a]| |x|, so x
 * within the cutoff lies within reach[a] = |dual[a]| * cutoff of 0 along every periodic axis. */
struct image_search {
    bool periodic[3];
    double dual[3][3];
    double reach[3]; /* widened, so that rounding cannot lose an image */
};

/* No two atoms are further apart than `extent`.  BAD_INPUT for atoms more than 10^9 cells apart. */
vic_status image_search_make(const double cell[3][3], const bool periodic[3], double extent, double cutoff,
                             struct image_search *s, vic_error *err);

/* Sets first .. last to the images along each axis for which a key at `difference` from the query can be in reach.
 * Returns false when there are none. */
bool image_search_range(const struct image_search *s, const double difference[3], int32_t first[3], int32_t last[3]);

/* The largest distance from the origin. */
double largest_norm(int64_t n, const double *positions);

#endif
