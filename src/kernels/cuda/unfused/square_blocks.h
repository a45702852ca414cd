/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern as a mask of whole square blocks, because matrix products of one shape can compute nothing else. */
#ifndef VIC_KERNELS_CUDA_UNFUSED_SQUARE_BLOCKS_H
#define VIC_KERNELS_CUDA_UNFUSED_SQUARE_BLOCKS_H

#include "contract/pattern.h"

#ifdef __cplusplus
extern "C" {
#endif

struct square_blocks {
    int size; /* rows and keys of a block: 128, 64, 32 or 16 */
    int64_t rows, columns, count;
    int32_t *row_ptr; /* [rows + 1] */
    int32_t *row;     /* [count] */
    int32_t *column;  /* [count], rising in a row */
    int32_t most;     /* blocks of one row, at most */
};

/* Finds the largest size for which the pairs are whole blocks; blocks at the end of the rows or keys may be cut.
 * NO_KERNEL where there is none, with the first pairs that do not fit.  Free with square_blocks_free(). */
vic_status square_blocks_find(const struct vic_pattern *p, struct square_blocks *out, vic_error *err);
void square_blocks_free(struct square_blocks *b); /* zeroed is fine */

#ifdef __cplusplus
}
#endif

#endif
