/* SPDX-License-Identifier: Apache-2.0 */
/* What launches of both directions do with the caller's tensors. */
#ifndef VIC_KERNELS_CUDA_SM90_TENSORS_H
#define VIC_KERNELS_CUDA_SM90_TENSORS_H

#include "contract/attention.h"
#include "kernels/cuda/sm90/permute.h"

#include <cuda.h>

/* A tensor as a map has it, and the map's boxes. */
struct map_shape {
    int columns;
    int64_t rows;
    int heads;
    int64_t batch;
    int box_rows, panel; /* panel: columns of a box, 32 or 64, which is also the swizzle */
    bool bf16;
};

/* Makes a tensor map {columns, rows, heads, batch}, by which everything past the columns or rows reads as zero.
 * `addresses` is t->data, or those of all entries combined by or; `names` stands for the tensor in errors. */
vic_status tensor_map_make(const struct attention_tensor *t, uintptr_t addresses, const struct map_shape *shape,
                           const char *names, CUtensorMap *map, vic_error *err);

/* Whether every row begins at a multiple of `elements`, so that as many can be moved at a time. */
bool tensor_aligned(const struct attention_tensor *t, uintptr_t addresses, int elements);

/* Enqueues copying a tensor in pattern order to p->to; *out is the tensor there.  The caller sets the members of *p
 * that are not the tensor's own. */
vic_status tensor_permute(const struct attention_tensor *from, uintptr_t addresses, struct permute_params *p,
                          struct attention_tensor *out, cudaStream_t stream, vic_error *err);

#endif
