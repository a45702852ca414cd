/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns from rectangles of atoms, which need no geometry: block masks (BSR), generated ones, sequence windows. */
#ifndef VIC_PATTERN_MASKS_H
#define VIC_PATTERN_MASKS_H

#include "pattern/assemble.h"
#include "pattern/frame.h"

/* Square blocks of `block` atoms, a multiple of 16; the last row and column of blocks may be cut.  In CSR form by
 * block row, the columns of a row in any order.  BAD_INPUT, with the place, for a column that does not exist or comes
 * twice, or a row_ptr that does not rise from 0. */
struct block_mask {
    int64_t n_q, n_k;
    bool one_set;
    int64_t block;
    const int64_t *row_ptr; /* [ceil(n_q / block) + 1] */
    const int32_t *column;  /* [row_ptr[last]] */
};
vic_status pattern_from_blocks(const struct block_mask *mask, const uint8_t *q_skip, const uint8_t *k_skip,
                               struct pool *pool, vic_pattern **out, vic_error *err);

/* "blocks:63x63:n=800,seed=1", "blocks:126x126:density=0.2,block=64", "origin:800". */
vic_status pattern_generate(const char *text, struct pool *pool, vic_pattern **out, vic_error *err);

/* Query atom i sits in window i / queries, which attends to the `keys` keys around its middle: those from
 * queries * window - (keys - queries) / 2 on, as far as they exist. */
vic_status pattern_windows(int64_t atoms, int64_t queries, int64_t keys, const uint8_t *skip, struct pool *pool,
                           vic_pattern **out, vic_error *err);

#endif
