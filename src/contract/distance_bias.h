/* SPDX-License-Identifier: Apache-2.0 */
/* The value of a distance-bias table at and between its points; kernels may compute it in single precision.
 *     x = d2 / cutoff^2 * (points - 1), m the whole part of x (at most points - 2), f = x - m
 *     both ends finite   b = (1 - f) table[m] + f table[m + 1]
 *     one end -inf       e^b is linear: b = table[m] + ln(1 - f), or table[m + 1] + ln f
 *     both ends -inf     b = -inf
 * So e^b has no jump wherever the table turns to -inf, and a table that ends in -inf takes an atom's weight to 0 as
 * it leaves the cutoff. */
#ifndef VIC_CONTRACT_DISTANCE_BIAS_H
#define VIC_CONTRACT_DISTANCE_BIAS_H

#include <math.h>
#include <stdint.h>

struct distance_bias {
    const float *table;  /* [heads, points], in memory of the plan's device; NULL = none */
    int points;          /* 2 to 65536 */
    int64_t head_stride; /* 0 = one table for all heads */
};

/* Where a distance lies between the points of a table. */
struct distance_bias_place {
    int m;
    double f, rest; /* rest: 1 - f */
};

/* For 0 <= d2 < cutoff * cutoff, as the pair rule has it.  1 - f comes from the distance to the cutoff, which is
 * exact there: inside the cutoff b is finite next to a finite point. */
static inline struct distance_bias_place distance_bias_find(int points, double d2, double cutoff)
{
    double limit = cutoff * cutoff, intervals = points - 1, x = d2 / limit * intervals;
    struct distance_bias_place at;
    at.m = x < intervals - 1.0 ? (int)x : points - 2;
    at.f = x - at.m;
    at.rest = (limit - d2) / limit * intervals - (points - 2 - at.m);
    return at;
}

static inline double distance_bias_value(const float *table, int points, double d2, double cutoff)
{
    const struct distance_bias_place at = distance_bias_find(points, d2, cutoff);
    double low = (double)table[at.m], high = (double)table[at.m + 1];
    if (low != -INFINITY && high != -INFINITY) return low + at.f * (high - low);
    if (low != -INFINITY) return low + log(at.rest);
    return high + log(at.f); /* -inf where both are */
}

#endif
