/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern as other kernels' block masks: blocks of any size of query rows by key rows, images united. */
#ifndef VIC_PATTERN_BLOCK_MASK_H
#define VIC_PATTERN_BLOCK_MASK_H

#include "base/status.h"
#include "contract/pattern.h"

/* Per block row, the columns of blocks that have some of their pairs, and of those that have all that exist, in
 * rising order: the form and the names of FlexAttention's BlockMask, for one batch entry and head. */
struct block_mask_arrays {
    int32_t *kv_num_blocks;      /* [block rows] */
    int32_t *kv_indices;         /* [block rows, stride]; what is behind a row's last is 0; NULL = numbers alone */
    int32_t *full_kv_num_blocks; /* [block rows] */
    int32_t *full_kv_indices;    /* [block rows, stride] or NULL */
    int64_t stride;              /* at least the largest number in a row; ceil(n_k / keys) always is */
};

/* Of how many blocks of `size` rows n rows are, whatever the size. */
static inline int64_t block_mask_count(int64_t n, int64_t size)
{
    return n / size + (n % size != 0);
}

/* Blocks of `rows` query rows by `keys` key rows, both multiples of 16, in the order of the pattern's rows.
 * BAD_ARGUMENT for other sizes, and where a row has more blocks than the stride. */
vic_status pattern_block_mask(const vic_pattern *p, int64_t rows, int64_t keys, const struct block_mask_arrays *out,
                              vic_error *err);

#endif
