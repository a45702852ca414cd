/* SPDX-License-Identifier: Apache-2.0 */
/* The float filter of blocks, written once and compiled for each instruction set (blocks_scalar.c, blocks_avx2.c,
 * blocks_avx512.c).  The includer sets
 *     LANES          rows tested at once: 16, 8 or 4
 *     SUFFIX(name)   the name of this variant
 *
 * With positions relative to the strip's centre, |q - k|^2 < c^2 is |q|^2 - 2 q.k < c^2 - |k|^2: three multiply-adds
 * and two comparisons (surely in, may be in) per row and key.
 *
 * What it may get wrong.  u = 2^-24, Q and K the largest |q| and |k|, S = Q + K.  A row is its cluster's centre plus
 * a difference: two roundings to float and a float sum, each of something of size S at most, so a component of q - k
 * is off by 4 u S + 2 point_error and |q - k| by e = sqrt(3) times that, which we round up to 7 u S + 4 point_error.
 * Around the cutoff that changes the square by 2 c e + e^2.  Arithmetic on top: |q|^2 and |k|^2 are off by 3 u of
 * themselves, the sum of products by 5 u (Q^2 + 2 Q K) however it is contracted, and the limit by u (c^2 + K^2): in
 * all less than 10 u S^2 + u c^2, with second-order terms less than 11 u S^2 + 2 u c^2.  What is computed below
 * limit - band is therefore in, and what is computed above limit + band is out.  1e-8 c^2 makes the band wide enough
 * to meet every boundary pair. */
#include "pattern/blocks.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if LANES != 16 && LANES != 8 && LANES != 4
#error "define LANES as 16, 8 or 4 before including this file"
#endif
enum { GROUP = CLUSTER }; /* rows of a group of candidate.groups */

typedef float vf __attribute__((vector_size(LANES * 4), may_alias));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));

/* Bit per lane: a < b. */
static inline unsigned less_mask(vf a, vf b)
{
#if LANES == 16
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ);
#elif LANES == 8
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_LT_OQ));
#else
    return lanes_mask(a < b);
#endif
}

/* Byte of a mask word where the 16 bits of a group begin. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define GROUP_BYTE(group) (6 - 2 * (group))
#else
#define GROUP_BYTE(group) (2 * (group))
#endif

/* Keys of a cluster in the strip's frame, prepared for the test. */
struct test_keys {
    _Alignas(64) float at[3][CLUSTER];       /* times -2 */
    float sure_in[CLUSTER], may_be[CLUSTER]; /* limits */
};

static inline void load_keys(const struct block_test *t, const struct strip_rows *rows, const struct candidate *c,
                             struct test_keys *out)
{
    const float u = 0x1p-24f;
    const struct cluster_points *k = &t->keys->clusters[c->cluster];
    const double *shift = t->images[c->image].shift;
    float offset[3], cutoff = (float)t->p->cutoff * (1.0f + 4 * u), cutoff2 = (float)t->cutoff2;
    for (int x = 0; x < 3; x++) offset[x] = (float)(((double)k->centre[x] + shift[x]) - rows->centre[x]);
    /* The sum of components is longer than the offset; 1e-5 of it is more than the bounds' own roundings. */
    float s = (rows->radius + k->radius + (fabsf(offset[0]) + fabsf(offset[1]) + fabsf(offset[2]))) * 1.00001f;
    float e = 7 * u * s + 4 * (float)t->point_error;
    float band = (11 * u * s * s + 2 * cutoff * e + e * e + (2 * u + 1e-8f) * cutoff2 + 4 * u * cutoff2) * 1.00001f;
    float in = cutoff2 - band, out_limit = cutoff2 + band;
    for (int i = 0; i < CLUSTER; i++) {
        float x = k->at[0][i] + offset[0], y = k->at[1][i] + offset[1], z = k->at[2][i] + offset[2];
        float length2 = x * x + y * y + z * z;
        out->at[0][i] = -2 * x;
        out->at[1][i] = -2 * y;
        out->at[2][i] = -2 * z;
        out->sure_in[i] = in - length2;
        out->may_be[i] = out_limit - length2;
    }
}

/* 16 rows against 16 keys. */
static inline void test_group(const struct strip_rows *rows, int group, const struct test_keys *keys,
                              struct block_bits *inside, struct block_bits *reached)
{
    enum { PARTS = GROUP / LANES };
    vf x[PARTS], y[PARTS], z[PARTS], length2[PARTS];
    for (int i = 0; i < PARTS; i++) {
        int first = group * GROUP + i * LANES;
        memcpy(&x[i], &rows->at[0][first], sizeof x[i]);
        memcpy(&y[i], &rows->at[1][first], sizeof y[i]);
        memcpy(&z[i], &rows->at[2][first], sizeof z[i]);
        memcpy(&length2[i], &rows->length2[first], sizeof length2[i]);
    }
    for (int k = 0; k < CLUSTER; k++) {
        vf sure_in = keys->sure_in[k] - (vf){ 0 }, may_be = keys->may_be[k] - (vf){ 0 };
        unsigned in = 0, may = 0;
        for (int i = 0; i < PARTS; i++) {
            vf d = x[i] * keys->at[0][k] + length2[i];
            d = y[i] * keys->at[1][k] + d;
            d = z[i] * keys->at[2][k] + d;
            in |= less_mask(d, sure_in) << (i * LANES);
            may |= less_mask(d, may_be) << (i * LANES);
        }
        uint16_t in16 = (uint16_t)in, may16 = (uint16_t)may;
        memcpy((char *)&inside->key[k] + GROUP_BYTE(group), &in16, sizeof in16);
        memcpy((char *)&reached->key[k] + GROUP_BYTE(group), &may16, sizeof may16);
    }
}

void SUFFIX(block_filter)(const struct block_test *t, const struct strip_rows *rows, const struct candidate *c,
                          size_t n, struct block_bits *inside, struct block_bits *reached, struct filtered *out)
{
    for (size_t i = 0; i < n; i++) {
        struct test_keys keys;
        memset(&inside[i], 0, sizeof inside[i]);
        memset(&reached[i], 0, sizeof reached[i]);
        load_keys(t, rows, &c[i], &keys);
        for (unsigned groups = c[i].groups; groups; groups &= groups - 1)
            test_group(rows, __builtin_ctz(groups), &keys, &inside[i], &reached[i]);
    }
    /* Counted afterwards: read back at once, words that were written in parts would stall the pipeline. */
    for (size_t i = 0; i < n; i++) {
        uint64_t open = 0;
        int pairs = 0;
        for (int k = 0; k < CLUSTER; k++) {
            pairs += __builtin_popcountll(inside[i].key[k]);
            open |= inside[i].key[k] ^ reached[i].key[k];
        }
        out[i] = (struct filtered){ (uint16_t)pairs, open != 0 };
    }
}
