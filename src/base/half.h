/* SPDX-License-Identifier: Apache-2.0 */
/* fp16 and bf16 as bits, converted in plain integer C: exact one way, round to nearest even the other. */
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
    uint32_t u = f32_bits(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u); /* NaN stays NaN, and quiet */
    u += 0x7fffu + ((u >> 16) & 1u);
    return (uint16_t)(u >> 16);
}

/* Branch-free, so that loops over it vectorise: the exponent is re-based by an exact multiplication with 2^112, which
 * also normalises subnormals; infinities and NaNs get their exponent set by hand. */
static inline float f32_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t magnitude = (uint32_t)(h & 0x7fffu) << 13;
    uint32_t special = magnitude >= 0x0f800000u ? 0x7f800000u : 0u;
    float scaled = f32_from_bits(magnitude) * 0x1p112f;
    return f32_from_bits(sign | f32_bits(scaled) | special);
}

static inline uint16_t f16_from_f32(float x)
{
    uint32_t u = f32_bits(x);
    uint32_t sign = (u >> 16) & 0x8000u;
    u &= 0x7fffffffu;
    if (u > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((u >> 13) & 0x1ffu));
    if (u >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* rounds to 65520 or more: infinity */
    if (u < 0x38800000u) {
        /* Subnormal or zero: adding 0.5 makes the FPU round at 2^-24. */
        float rounded = f32_from_bits(u) + 0.5f;
        return (uint16_t)(sign | (f32_bits(rounded) - 0x3f000000u));
    }
    u += 0xfffu + ((u >> 13) & 1u);
    return (uint16_t)(sign | ((u - 0x38000000u) >> 13));
}

#endif
