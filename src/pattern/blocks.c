/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/blocks.h"

#include "contract/pair_rule.h"

#include <math.h>

static const float far_away = 1e18f; /* its square is finite in float, and above every cutoff's */

void strip_rows_load(const struct block_test *t, int64_t strip, struct strip_rows *rows)
{
    double low[3], high[3];
    rows->first = strip * STRIP;
    rows->count = t->p->n_q - rows->first < STRIP ? t->p->n_q - rows->first : STRIP;
    const double(*points)[3] = t->q_points + rows->first;
    for (int x = 0; x < 3; x++) low[x] = high[x] = points[0][x];
    for (int64_t r = 1; r < rows->count; r++) {
        for (int x = 0; x < 3; x++) {
            low[x] = points[r][x] < low[x] ? points[r][x] : low[x];
            high[x] = points[r][x] > high[x] ? points[r][x] : high[x];
        }
    }
    rows->extent = 0.0f;
    for (int x = 0; x < 3; x++) {
        rows->centre[x] = 0.5 * (low[x] + high[x]);
        for (int r = 0; r < STRIP; r++) {
            rows->at[x][r] = r < rows->count ? (float)(points[r][x] - rows->centre[x]) : far_away;
            if (r < rows->count) rows->extent = fmaxf(rows->extent, fabsf(rows->at[x][r]));
        }
    }
}

/* A bit per row of the half strip: below `limit`.  The constant table lets the compiler do it in vectors. */
static const uint32_t row_bit[32] = {
    1u << 0,  1u << 1,  1u << 2,  1u << 3,  1u << 4,  1u << 5,  1u << 6,  1u << 7,  1u << 8,  1u << 9,  1u << 10,
    1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15, 1u << 16, 1u << 17, 1u << 18, 1u << 19, 1u << 20, 1u << 21,
    1u << 22, 1u << 23, 1u << 24, 1u << 25, 1u << 26, 1u << 27, 1u << 28, 1u << 29, 1u << 30, 1u << 31,
};

struct half_result {
    uint32_t inside, unsure;
};

static inline struct half_result test_half(const float *x, const float *y, const float *z, float kx, float ky,
                                           float kz, float sure_in, float sure_out)
{
    uint32_t inside = 0, reached = 0;
    for (int r = 0; r < 32; r++) {
        float dx = x[r] - kx, dy = y[r] - ky, dz = z[r] - kz;
        float d2 = dx * dx + dy * dy + dz * dz;
        inside |= d2 < sure_in ? row_bit[r] : 0u;
        reached |= d2 < sure_out ? row_bit[r] : 0u;
    }
    return (struct half_result){ inside, reached & ~inside };
}

/* Half-width of the band of computed d2 in which the float filter decides nothing.
 * With u = 2^-24 and A the largest component in the frame: a component is off by at most A u from its conversion and
 * by point_error from wrapping, a difference of two by e = 2 (A u + point_error) + 2 A u, and d2 near the cutoff c by
 * 2 sqrt(3) c e + 3 e^2 + 4 u c^2 (each of the five roundings of d2 is relative).  Beyond the cutoff the error grows
 * more slowly than d2 does, so what exceeds c^2 + band in float is truly outside.  Twice that, for good measure, and
 * wide enough to meet every boundary pair. */
static double filter_band(double c, double A, double point_error)
{
    const double u = 0x1p-24;
    double e = 4 * A * u + 2 * point_error;
    return 2 * (2 * sqrt(3.0) * c * e + 3 * e * e + 4 * u * c * c) + 1e-8 * c * c;
}

/* The rule itself for one pair. */
static bool pair_is_in(const struct block_test *t, int64_t q_row, int64_t k_row, int32_t image, int64_t *boundary)
{
    const struct vic_pattern *p = t->p;
    int32_t i = p->q_order[q_row], j = p->k_order[k_row], n[3];
    for (int x = 0; x < 3; x++)
        n[x] = p->images[image][x] + (p->k_wrap ? p->k_wrap[j][x] : 0) - (p->q_wrap ? p->q_wrap[i][x] : 0);
    double d2 =
        pair_distance2(p->q_positions + 3 * (int64_t)i, p->k_positions + 3 * (int64_t)j, p->cell, n[0], n[1], n[2]);
    if (fabs(sqrt(d2) - p->cutoff) <= 1e-9 * p->cutoff) ++*boundary;
    return d2 < t->cutoff2;
}

int block_bits_make(const struct block_test *t, const struct strip_rows *rows, int64_t strip, int32_t cluster,
                    int32_t image, const double shift[3], struct block_bits *bits, int64_t *boundary)
{
    int64_t first = (int64_t)cluster * CLUSTER;
    int keys = (int)(t->p->n_k - first < CLUSTER ? t->p->n_k - first : CLUSTER);
    int pairs = 0;
    float at[CLUSTER][3];
    double largest = rows->extent;
    for (int c = 0; c < keys; c++) {
        for (int x = 0; x < 3; x++) {
            at[c][x] = (float)((t->k_points[first + c][x] + shift[x]) - rows->centre[x]);
            largest = fmax(largest, fabs((double)at[c][x]));
        }
    }
    double band = filter_band(t->p->cutoff, largest, t->point_error);
    float sure_in = nextafterf((float)(t->cutoff2 - band), -INFINITY);
    float sure_out = nextafterf((float)(t->cutoff2 + band), INFINITY);
    for (int c = 0; c < keys; c++) {
        const float *x = rows->at[0], *y = rows->at[1], *z = rows->at[2];
        struct half_result a = test_half(x, y, z, at[c][0], at[c][1], at[c][2], sure_in, sure_out);
        struct half_result b = test_half(x + 32, y + 32, z + 32, at[c][0], at[c][1], at[c][2], sure_in, sure_out);
        uint64_t inside = a.inside | (uint64_t)b.inside << 32;
        uint64_t unsure = a.unsure | (uint64_t)b.unsure << 32;
        if (rows->count < STRIP) unsure &= ((uint64_t)1 << rows->count) - 1; /* a wide band may reach the padding */
        while (unsure) {
            int r = __builtin_ctzll(unsure);
            unsure &= unsure - 1;
            if (pair_is_in(t, rows->first + r, first + c, image, boundary)) inside |= (uint64_t)1 << r;
        }
        bits->key[c] = inside;
        pairs += __builtin_popcountll(inside);
    }
    for (int c = keys; c < CLUSTER; c++) bits->key[c] = 0;
    /* Rows and keys are in one order, so a self pair stands at the same row; its image is the block's own. */
    if (t->p->exclude_self && cluster / (STRIP / CLUSTER) == strip && t->p->images[image][0] == 0 &&
        t->p->images[image][1] == 0 && t->p->images[image][2] == 0) {
        for (int c = 0; c < keys; c++) {
            uint64_t self = (uint64_t)1 << (first + c - rows->first);
            pairs -= (bits->key[c] & self) != 0;
            bits->key[c] &= ~self;
        }
    }
    return pairs;
}
