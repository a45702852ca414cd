/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of three doubles. */
#ifndef VIC_BASE_VEC3_H
#define VIC_BASE_VEC3_H

#include <math.h>

static inline double vec3_dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static inline void vec3_cross(const double a[3], const double b[3], double out[3])
{
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

/* Without overflow, however long the vector. */
static inline double vec3_length(const double a[3])
{
    return hypot(hypot(a[0], a[1]), a[2]);
}

#endif
