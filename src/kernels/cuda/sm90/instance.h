/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this folder, for host code. */
#ifndef VIC_KERNELS_CUDA_SM90_INSTANCE_H
#define VIC_KERNELS_CUDA_SM90_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The fused kernel for one head size and type.  Its arguments are two tensor maps and struct attn_fwd_params.  Where
 * partial results are in the workspace, `combine` follows it, whose only argument is struct attn_fwd_params: a block
 * of 128 threads for each of p.combines, batch entry and 8 of `columns`. */
struct attn_fwd_instance {
    const void *whole, *split; /* the fused kernel where no tile has several splits, and where some do */
    const void *combine;
    unsigned threads, shared_bytes;
    size_t partial_bytes; /* of a partial result in the workspace */
    int places, reach;    /* of layout_shape (plan/layout.h) */
    int columns, panel;   /* the head size; the columns of a tensor map's box */
    bool bf16;
};

/* attn_fwd_d32.cu and so on. */
extern const struct attn_fwd_instance attn_fwd_f16_d32, attn_fwd_f16_d64, attn_fwd_f16_d128;
extern const struct attn_fwd_instance attn_fwd_bf16_d32, attn_fwd_bf16_d64, attn_fwd_bf16_d128;

#ifdef __cplusplus
}
#endif

#endif
