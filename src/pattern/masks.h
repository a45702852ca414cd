/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns from rectangles of atoms, which need no geometry: block masks (BSR) and sequence windows.  Of
 * the sets of points, sizes and masks count; `keys` NULL = the queries are the keys. */
#ifndef VIC_PATTERN_MASKS_H
#define VIC_PATTERN_MASKS_H

#include "pattern/point_set.h"

/* Square blocks of `block` atoms, a multiple of 16; the last row and column of blocks may be cut.  In CSR form by
 * block row, the columns of a row in any order.  BAD_INPUT, with the place, for a column that does not exist or comes
 * twice, or a row_ptr that does not rise from 0. */
struct block_mask {
    int64_t block;
    const int64_t *row_ptr; /* [ceil(n_q / block) + 1] */
    const int32_t *column;  /* [row_ptr[last]] */
};
vic_status pattern_from_blocks(const struct point_set *queries, const struct point_set *keys,
                               const struct block_mask *mask, struct pool *pool, vic_pattern **out, vic_error *err);

/* Query atom i sits in window i / queries, which attends to the `keys` keys around its middle: those from
 * queries * window - (keys - queries) / 2 on, as far as they exist. */
vic_status pattern_windows(const struct point_set *points, int64_t queries, int64_t keys, struct pool *pool,
                           vic_pattern **out, vic_error *err);

#endif
