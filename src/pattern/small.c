/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/small.h"

#include "base/memory.h"
#include "contract/pair_rule.h"
#include "pattern/order.h"

#include <math.h>
#include <string.h>

vic_status small_make(int64_t rows, double cutoff, bool exclude_self, struct small *out, vic_error *err)
{
    *out = (struct small){ .cutoff = cutoff, .exclude_self = exclude_self };
    TRY(mem_array((size_t)rows, sizeof *out->atom, "rows", &out->atom, err));
    TRY(mem_array((size_t)rows, sizeof *out->at, "rows", &out->at, err));
    TRY(mem_array((size_t)rows, sizeof *out->extent, "rows", &out->extent, err));
    for (int x = 0; x < 3; x++) TRY(mem_array_zero((size_t)rows + STRIP, sizeof(float), "rows", &out->near[x], err));
    return VIC_OK;
}

void small_free(struct small *s)
{
    for (int x = 0; x < 3; x++) free(s->near[x]);
    free(s->extent);
    free(s->at);
    free(s->atom);
}

vic_status small_place(struct small *s, int64_t first, int64_t n, const double *positions, struct pool *pool,
                       vic_error *err)
{
    double points[SMALL_ATOMS][3], middle[3];
    float extent = 0.0f;
    if (n == 0) return VIC_OK;
    memcpy(points, positions, (size_t)n * sizeof *points);
    TRY(order_kd(n, (const double(*)[3])points, pool, s->atom + first, err));
    for (int x = 0; x < 3; x++) {
        double low = points[0][x], high = points[0][x];
        for (int64_t i = 1; i < n; i++) {
            low = points[i][x] < low ? points[i][x] : low;
            high = points[i][x] > high ? points[i][x] : high;
        }
        middle[x] = 0.5 * (low + high);
    }
    for (int64_t row = first; row < first + n; row++) {
        memcpy(s->at[row], points[s->atom[row]], sizeof *s->at);
        for (int x = 0; x < 3; x++) {
            s->near[x][row] = (float)(s->at[row][x] - middle[x]);
            extent = fmaxf(extent, fabsf(s->near[x][row]));
        }
    }
    s->extent[first] = extent;
    return VIC_OK;
}

/* A bit per row; the constant table lets the compiler compare in vectors. */
#define BIT4(n) 1u << (n), 2u << (n), 4u << (n), 8u << (n)
static const uint32_t row_bit[32] = { BIT4(0), BIT4(4), BIT4(8), BIT4(12), BIT4(16), BIT4(20), BIT4(24), BIT4(28) };

/* Which of 32 rows are surely in, and which may be. */
static inline void compare(const float *x, const float *y, const float *z, const float k[3], float sure_in,
                           float sure_out, uint32_t *in, uint32_t *reached)
{
    uint32_t a = 0, b = 0;
    for (int r = 0; r < 32; r++) {
        float dx = x[r] - k[0], dy = y[r] - k[1], dz = z[r] - k[2], d2 = dx * dx + dy * dy + dz * dz;
        a |= d2 < sure_in ? row_bit[r] : 0u;
        b |= d2 < sure_out ? row_bit[r] : 0u;
    }
    *in = a;
    *reached = b;
}

/* Half-width of the band of d2 in which floats decide nothing; the bound and its reasons are those of blocks.c. */
static double filter_band(const struct small *s, double extent)
{
    const double u = 0x1p-24, c = s->cutoff;
    double e = 4 * extent * u + 8 * 0x1p-53 * s->far_component;
    return 2 * (2 * sqrt(3.0) * c * e + 3 * e * e + 4 * u * c * c) + 1e-8 * c * c;
}

/* Rows near the cutoff, one by one: which are in, and how many are boundary pairs. */
static uint64_t decide(const struct small *s, int64_t row, int64_t key, uint64_t unsure, int64_t *boundary)
{
    static const double no_cell[3][3] = { { 0 } };
    uint64_t in = 0;
    for (; unsure; unsure &= unsure - 1) {
        int r = __builtin_ctzll(unsure);
        double d2 = pair_distance2(s->at[row + r], s->at[key], no_cell, 0, 0, 0);
        if (fabs(sqrt(d2) - s->cutoff) <= 1e-9 * s->cutoff) ++*boundary;
        if (d2 < s->cutoff * s->cutoff) in |= (uint64_t)1 << r;
    }
    return in;
}

vic_status small_strip(const struct small *s, int64_t first, int64_t n, int64_t strip, int32_t image,
                       struct block_list *out, vic_error *err)
{
    double limit = s->cutoff * s->cutoff, band = filter_band(s, n > 0 ? (double)s->extent[first] : 0.0);
    float sure_in = nextafterf((float)(limit - band), -INFINITY);
    float sure_out = nextafterf((float)(limit + band), INFINITY);
    int64_t row = first > strip * STRIP ? first : strip * STRIP;
    int64_t end = first + n < strip * STRIP + STRIP ? first + n : strip * STRIP + STRIP;
    int down = (int)(row - strip * STRIP);
    uint64_t mine = end - row >= STRIP ? UINT64_MAX : end > row ? ((uint64_t)1 << (end - row)) - 1 : 0;
    for (int64_t cluster = first / CLUSTER; mine && cluster * CLUSTER < first + n; cluster++) {
        struct block_bits bits = { { 0 } };
        for (int c = 0; c < CLUSTER; c++) {
            int64_t key = cluster * CLUSTER + c;
            uint32_t in_part[2], reached_part[2];
            if (key < first || key >= first + n) continue;
            const float k[3] = { s->near[0][key], s->near[1][key], s->near[2][key] };
            for (int half = 0; half < 2; half++)
                compare(s->near[0] + row + 32 * half, s->near[1] + row + 32 * half, s->near[2] + row + 32 * half, k,
                        sure_in, sure_out, &in_part[half], &reached_part[half]);
            uint64_t in = (in_part[0] | (uint64_t)in_part[1] << 32) & mine;
            uint64_t reached = (reached_part[0] | (uint64_t)reached_part[1] << 32) & mine;
            if (reached != in) in |= decide(s, row, key, reached & ~in, &out->boundary_pairs);
            if (s->exclude_self && key >= row && key < end) in &= ~((uint64_t)1 << (key - row));
            bits.key[c] = in << down;
        }
        TRY(block_list_add(out, (int32_t)cluster, image, &bits, err));
    }
    return VIC_OK;
}
