/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this folder as host code sees them. */
#ifndef VIC_KERNELS_CUDA_SM90_LAUNCH_H
#define VIC_KERNELS_CUDA_SM90_LAUNCH_H

#include "kernels/cuda/sm90/params.h"

#include <cuda_runtime_api.h>

/* One instance of the fused kernel; its arguments are two tensor maps and struct attn_fwd_params.  `join`, with the
 * latter alone, follows it where shares are in slots: 128 threads for each of p.joins, batch entry and 8 of
 * `columns`. */
struct attn_fwd_instance {
    const void *kernel, *join;
    unsigned threads, shared_bytes;
    size_t slot_bytes;
    int places, reach;  /* as tiles_make() wants them */
    int columns, panel; /* head size; of a tensor map's box */
};

/* `shares`: for tiles of several. */
struct attn_fwd_instance attn_fwd_d32(bool bf16, bool shares);
struct attn_fwd_instance attn_fwd_d64(bool bf16, bool shares);
struct attn_fwd_instance attn_fwd_d128(bool bf16, bool shares);

/* K or V of the caller, any strides, to rows [batch, head, n, d] in pattern order.  rows NULL = already in order. */
struct permute_params {
    const uint16_t *from;
    uint16_t *to;
    const int32_t *rows;
    int64_t n, row, head, batch; /* strides of `from`, elements */
    int heads, batches, d;
    bool vectors; /* rows of `from` can be read 16 bytes at a time */
};
cudaError_t permute_rows(const struct permute_params *p, cudaStream_t stream);

#endif
