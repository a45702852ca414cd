/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of gradients, for host code. */
#ifndef VIC_KERNELS_CUDA_SM90_BWD_INSTANCE_H
#define VIC_KERNELS_CUDA_SM90_BWD_INSTANCE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One pass for one head size and type.  Its arguments are four tensor maps, of the stages' two matrices and of the own
 * rows' two, and struct attn_bwd_params. */
struct attn_bwd_pass {
    const void *kernel;
    unsigned threads, shared_bytes;
    int places, reach; /* of layout_shape (plan/layout.h) */
};

struct attn_bwd_instance {
    struct attn_bwd_pass over_queries, over_keys;
    const void *row_terms; /* struct row_terms_params; ROW_TERMS_THREADS threads a block, 8 for each row and head */
    int columns, panel;    /* the head size; the columns of a tensor map's box */
    int weight_shift;      /* weights are 2^shift times as large */
    bool bf16;
};

enum { ROW_TERMS_THREADS = 256 };

/* attn_bwd_d64.cu and so on. */
extern const struct attn_bwd_instance attn_bwd_f16_d32, attn_bwd_f16_d64, attn_bwd_f16_d128;
extern const struct attn_bwd_instance attn_bwd_bf16_d32, attn_bwd_bf16_d64, attn_bwd_bf16_d128;

#ifdef __cplusplus
}
#endif

#endif
