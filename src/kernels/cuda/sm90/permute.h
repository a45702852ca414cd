/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_KERNELS_CUDA_SM90_PERMUTE_H
#define VIC_KERNELS_CUDA_SM90_PERMUTE_H

#include "vicinal.h"

#include <cuda_runtime_api.h>
#include <stdint.h>

/* Copies K or V of the caller, with any strides, to rows [batch, head, n, d] in pattern order. */
struct permute_params {
    const void *from;
    const vic_attention_item *entries; /* [batches] where the entries are, instead of `from`; NULL = by stride */
    uint16_t *to;
    const int32_t *rows;         /* [n] row of `from`; NULL = the same */
    int64_t n, row, head, batch; /* strides of `from`, elements */
    int heads, batches, d;
    bool values;  /* of entries: V, not K */
    bool vectors; /* rows of `from` can be read 16 bytes at a time */
};
cudaError_t permute_rows(const struct permute_params *p, cudaStream_t stream);

#endif
