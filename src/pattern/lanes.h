/* SPDX-License-Identifier: Apache-2.0 */
/* Four floats at once, in GCC's vector extensions: an SSE register on x86, whatever else there is elsewhere. */
#ifndef VIC_PATTERN_LANES_H
#define VIC_PATTERN_LANES_H

#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef float lanes __attribute__((vector_size(16)));
typedef int32_t lanes_test __attribute__((vector_size(16))); /* all ones where a comparison holds */

static inline lanes lanes_larger(lanes a, lanes b)
{
    lanes_test more = a > b;
    return (lanes)(((lanes_test)a & more) | ((lanes_test)b & ~more));
}

/* Bit per lane. */
static inline unsigned lanes_mask(lanes_test t)
{
#if defined(__SSE2__)
    return (unsigned)_mm_movemask_ps((__m128)t);
#else
    unsigned mask = 0;
    for (int i = 0; i < 4; i++) mask |= (t[i] != 0 ? 1u : 0u) << i;
    return mask;
#endif
}

#endif
