/* SPDX-License-Identifier: Apache-2.0 */
/* A vector of LANES floats (16, 8 or 4: the includer's choice) and the few operations on it that attention_body.h
 * needs, in GCC's vector extensions, so that one text serves every instruction set. */
#ifndef VIC_KERNELS_CPU_VECTOR_H
#define VIC_KERNELS_CPU_VECTOR_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__SSE__)
#include <immintrin.h>
#endif

#ifndef LANES
#error "define LANES as 16, 8 or 4 before including this file"
#endif

/* may_alias: they are laid over scratch memory that is also read as plain floats. */
typedef float vf __attribute__((vector_size(LANES * 4), may_alias));
typedef int32_t vi __attribute__((vector_size(LANES * 4), may_alias));
typedef uint32_t vu __attribute__((vector_size(LANES * 4), may_alias));

#define INLINE static inline __attribute__((always_inline))

/* A lane of `mask` is all ones, which takes a, or zero, which takes b. */
INLINE vf vec_select(vi mask, vf a, vf b)
{
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

/* The larger and the smaller of a and b; b where a is NaN, and b of two zeros.  That is what x86 does in one
 * instruction, which compilers do not find by themselves. */
#if LANES == 16 && defined(__AVX512F__)
INLINE vf vec_max(vf a, vf b)
{
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
}

INLINE vf vec_min(vf a, vf b)
{
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
}
#elif LANES == 8 && defined(__AVX__)
INLINE vf vec_max(vf a, vf b)
{
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
}

INLINE vf vec_min(vf a, vf b)
{
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
}
#elif LANES == 4 && defined(__SSE__)
INLINE vf vec_max(vf a, vf b)
{
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
}

INLINE vf vec_min(vf a, vf b)
{
    return (vf)_mm_min_ps((__m128)a, (__m128)b);
}
#else
INLINE vf vec_max(vf a, vf b)
{
    return vec_select(a > b, a, b);
}

INLINE vf vec_min(vf a, vf b)
{
    return vec_select(a < b, a, b);
}
#endif

INLINE bool vec_any(vi mask)
{
    int32_t any = 0;
    for (int lane = 0; lane < LANES; lane++) any |= mask[lane];
    return any != 0;
}

INLINE vf vec_fill(float x)
{
    return x - (vf){ 0 };
}

/* vec_transpose() treats four vectors as 4 x 4 matrices, one in each quarter (four lanes from i on), and transposes
 * them by merging two vectors at a time.  A quarter of LOW_ONES and so on lists its four lanes of the merged vector
 * as lanes of the pair (a, b), those of b from LANES on:
 *
 *             x0   a0 a1 a2 a3    LOW_ONES(x0, x1)   a0 b0 a1 b1    LOW_PAIRS    a0 b0 c0 d0   new x0
 *             x1   b0 b1 b2 b3    LOW_ONES(x2, x3)   c0 d0 c1 d1    HIGH_PAIRS   a1 b1 c1 d1   new x1
 *             x2   c0 c1 c2 c3    HIGH_ONES(x0, x1)  a2 b2 a3 b3    LOW_PAIRS    a2 b2 c2 d2   new x2
 *             x3   d0 d1 d2 d3    HIGH_ONES(x2, x3)  c2 d2 c3 d3    HIGH_PAIRS   a3 b3 c3 d3   new x3
 *
 * LOW_PAIRS and HIGH_PAIRS merge the two lines of LOW_ONES above, and again those of HIGH_ONES.  IN_QUARTERS(four)
 * repeats such a list for every quarter of a vector. */
#if LANES == 16
#define IN_QUARTERS(four) four(0), four(4), four(8), four(12)
#elif LANES == 8
#define IN_QUARTERS(four) four(0), four(4)
#else
#define IN_QUARTERS(four) four(0)
#endif
#define LOW_ONES(i)   (i), LANES + (i), (i) + 1, LANES + (i) + 1
#define HIGH_ONES(i)  (i) + 2, LANES + (i) + 2, (i) + 3, LANES + (i) + 3
#define LOW_PAIRS(i)  (i), (i) + 1, LANES + (i), LANES + (i) + 1
#define HIGH_PAIRS(i) (i) + 2, (i) + 3, LANES + (i) + 2, LANES + (i) + 3
#if defined(__clang__)
#define VEC_MERGE(a, b, four) __builtin_shufflevector(a, b, IN_QUARTERS(four))
#else
#define VEC_MERGE(a, b, four) __builtin_shuffle(a, b, (vi){ IN_QUARTERS(four) })
#endif

/* Transposes the 4 x 4 matrices of all quarters. */
INLINE void vec_transpose(vf *x0, vf *x1, vf *x2, vf *x3)
{
    vf low01 = VEC_MERGE(*x0, *x1, LOW_ONES), high01 = VEC_MERGE(*x0, *x1, HIGH_ONES);
    vf low23 = VEC_MERGE(*x2, *x3, LOW_ONES), high23 = VEC_MERGE(*x2, *x3, HIGH_ONES);
    *x0 = VEC_MERGE(low01, low23, LOW_PAIRS);
    *x1 = VEC_MERGE(low01, low23, HIGH_PAIRS);
    *x2 = VEC_MERGE(high01, high23, LOW_PAIRS);
    *x3 = VEC_MERGE(high01, high23, HIGH_PAIRS);
}

/* e^x for x <= 0: at most 1.02 units in the last place in [-87, 0] (all floats tried), exactly 0 below (-inf too),
 * NaN for NaN.  x = n ln 2 + r with |r| <= ln 2 / 2 and ln 2 as a sum of two numbers, high and low, so that n * high
 * is exact even where a*b+c rounds twice; e^r by the polynomial of Cephes' expf; 2^n by its exponent bits.  Adding
 * 1.5 * 2^23 leaves round(x / ln 2) in the low bits of the sum.  The limit -87 keeps 2^n and the result normal: a
 * weight that is set to 0 is below 1.7e-38 of the row's largest. */
INLINE vf vec_exp(vf x)
{
    const float shift = 0x1.8p23f;
    vf shifted = x * 0x1.715476p0f + shift;
    vf n = shifted - shift;
    vf r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
    vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = (p * r) * r + r + 1.0f;
    vf power = (vf)(((vu)shifted << 23) + 0x3f800000u);
    return (vf)(~(x < -87.0f) & (vi)(p * power));
}

#endif
