/* SPDX-License-Identifier: Apache-2.0 */
/* Mask bits of blocks from positions: a float filter, and the pair rule wherever the filter cannot be sure. */
#ifndef VIC_PATTERN_BLOCKS_H
#define VIC_PATTERN_BLOCKS_H

#include "contract/pattern.h"
#include "pattern/search.h"

/* The 64 query rows of a strip, relative to a centre near them, in float. */
struct strip_rows {
    _Alignas(64) float at[3][STRIP];
    float length2[STRIP];
    double centre[3];
    float radius; /* no row is further than this from the centre, nor any step on the way to its float coordinates */
};

/* What the filter says of a candidate. */
struct filtered {
    uint16_t pairs;  /* surely in */
    uint16_t unsure; /* 1: there are pairs that only the rule can decide */
};

/* What does not change over a build. */
struct block_test;

/* Filters n candidates of a strip: inside[i] gets the pairs that are surely in, reached[i] those that may be. */
typedef void block_filter(const struct block_test *t, const struct strip_rows *rows, const struct candidate *c,
                          size_t n, struct block_bits *inside, struct block_bits *reached, struct filtered *out);

/* One body, blocks_body.h, for each instruction set; all give the same bits once the rule has decided. */
block_filter block_filter_scalar, block_filter_avx2, block_filter_avx512;
block_filter *block_filter_choose(void); /* the best that may run here: base/cpu_features.h */

struct block_test {
    const struct vic_pattern *p; /* positions, orders, wraps, images, cutoff: filled; blocks not yet */
    const struct points *queries, *keys;
    const struct lattice_image *images;
    block_filter *filter;
    double point_error; /* a wrapped, shifted point is at most this far from exact, A */
    double cutoff2;
    bool exclude_diagonal; /* self pairs go, and queries are keys without ids: (i, i, image 0) */
};

void strip_rows_load(const struct block_test *t, int64_t strip, struct strip_rows *rows);

/* Finishes what the filter began for one candidate: decides what it left open, takes out self pairs where asked.
 * Returns the number of pairs, and adds to *boundary those within 1e-9 of the cutoff. */
int block_settle(const struct block_test *t, int64_t strip, const struct candidate *c, struct filtered filtered,
                 struct block_bits *inside, const struct block_bits *reached, int64_t *boundary);

#endif
