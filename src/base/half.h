/* SPDX-License-Identifier: Apache-2.0 */
/* float16 and bfloat16 as bits, converted in plain C: exactly to float, with rounding to nearest even from float. */
#ifndef VIC_BASE_HALF_H
#define VIC_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t f32_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float f32_from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline float f32_from_bf16(uint16_t h)
{
    return f32_from_bits((uint32_t)h << 16);
}

static inline uint16_t bf16_from_f32(float x)
{
    uint32_t u = f32_bits(x), rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded); /* NaN stays NaN, and quiet */
}

/* Without branches, so that loops over it vectorise.  An exact multiplication with 2^112 corrects the exponent, and
 * also normalises subnormals; infinities and NaNs get their exponent separately. */
static inline float f32_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t magnitude = (uint32_t)(h & 0x7fffu) << 13;
    uint32_t special = magnitude >= 0x0f800000u ? 0x7f800000u : 0u;
    float scaled = f32_from_bits(magnitude) * 0x1p112f;
    return f32_from_bits(sign | f32_bits(scaled) | special);
}

/* Chooses by arithmetic, because GCC compiles several choices in a row to branches, and then uses no vectors. */
static inline uint32_t half_choose(uint32_t condition, uint32_t yes, uint32_t no)
{
    uint32_t mask = 0u - condition;
    return (yes & mask) | (no & ~mask);
}

/* Also without branches: all possible results are computed, and one is chosen. */
static inline uint16_t f16_from_f32(float x)
{
    uint32_t u = f32_bits(x), sign = (u >> 16) & 0x8000u, magnitude = u & 0x7fffffffu;
    /* Subnormal or zero: adding 0.5 makes the FPU round at 2^-24. */
    uint32_t small = f32_bits(f32_from_bits(magnitude) + 0.5f) - 0x3f000000u;
    uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    uint32_t half = half_choose(magnitude < 0x38800000u, small, (rounded - 0x38000000u) >> 13);
    half = half_choose(magnitude >= 0x477ff000u, 0x7c00u, half); /* rounds to 65520 or more: infinity */
    half = half_choose(magnitude > 0x7f800000u, 0x7e00u | ((magnitude >> 13) & 0x1ffu), half);
    return (uint16_t)(sign | half);
}

#endif
