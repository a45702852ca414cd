/* SPDX-License-Identifier: Apache-2.0 */
/* One block's mask bits from positions: a float filter, and the pair rule wherever the filter cannot be sure. */
#ifndef VIC_PATTERN_BLOCKS_H
#define VIC_PATTERN_BLOCKS_H

#include "contract/pattern.h"

/* The 64 query rows of a strip, relative to a centre near them, in float, by component.  Rows past the end are so far
 * away that no test takes them. */
struct strip_rows {
    _Alignas(64) float at[3][STRIP];
    double centre[3];
    float extent; /* no row's component is larger in size */
    int64_t first, count;
};

/* What does not change over a build. */
struct block_test {
    const struct vic_pattern *p; /* positions, orders, wraps, images, cutoff: filled; blocks not yet */
    const double (*q_points)[3]; /* [n_q] wrapped positions in row order */
    const double (*k_points)[3]; /* [n_k] */
    double point_error;          /* a wrapped, shifted point is at most this far from exact, A */
    double cutoff2;
};

void strip_rows_load(const struct block_test *t, int64_t strip, struct strip_rows *rows);

/* Bits of (strip, cluster, image) with its translation; returns the number of pairs, and adds to *boundary the pairs
 * within 1e-9 of the cutoff. */
int block_bits_make(const struct block_test *t, const struct strip_rows *rows, int64_t strip, int32_t cluster,
                    int32_t image, const double shift[3], struct block_bits *bits, int64_t *boundary);

#endif
