/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this folder as host code sees them. */
#ifndef VIC_KERNELS_CUDA_SM90_INSTANCE_H
#define VIC_KERNELS_CUDA_SM90_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The fused kernel for one head size and type; its arguments are two tensor maps and struct attn_fwd_params.
 * `combine`, with the latter alone, follows it where splits are in the workspace: 128 threads for each of p.combines,
 * batch entry and 8 of `columns`. */
struct attn_fwd_instance {
    const void *whole, *split, *combine; /* for tiles of one split; of several */
    unsigned threads, shared_bytes;
    size_t partial_bytes; /* of a partial result in the workspace */
    int places, reach;    /* as layouts want them (plan/layout.h) */
    int columns, panel;   /* head size; of a tensor map's box */
    bool bf16;
};

/* attn_fwd_d32.cu and so on. */
extern const struct attn_fwd_instance attn_fwd_f16_d32, attn_fwd_f16_d64, attn_fwd_f16_d128;
extern const struct attn_fwd_instance attn_fwd_bf16_d32, attn_fwd_bf16_d64, attn_fwd_bf16_d128;

#ifdef __cplusplus
}
#endif

#endif
