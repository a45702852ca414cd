/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#ifdef VIC_HAVE_CUDA

#include "kernels/cuda/rows_cuda.h"
#include "kernels/cuda/unfused/rows_unfused.h"

static const struct device_row device_row = {
    .tile_shape = cuda_sm90_tile_shape,
    .prepare = cuda_sm90_prepare,
    .release = cuda_sm90_release,
    .workspace = cuda_sm90_workspace,
    .launch = cuda_sm90_launch,
};

/* Head sizes in between run by the next larger row, the rest of it zeros. */
#define ROW(type, bit, d)                                                                                            \
    const struct kernel_row attn_fwd_sm90_##type##_d##d = {                                                          \
        .name = "attn_fwd_sm90_" #type "_d" #d,                                                                      \
        .device = VIC_CUDA,                                                                                          \
        .dtypes = 1u << (bit),                                                                                       \
        .features = FEATURE_LSE | FEATURE_GROUP_QUERY | FEATURE_UNEQUAL_DIMS,                                        \
        .dim_min = 8,                                                                                                \
        .dim_max = (d),                                                                                              \
        .dim_step = 8,                                                                                               \
        .cost = (d),                                                                                                 \
        .unavailable = cuda_sm90_unavailable,                                                                        \
        .device_row = &device_row,                                                                                   \
    };

ROW(f16, VIC_F16, 32)
ROW(f16, VIC_F16, 64)
ROW(f16, VIC_F16, 128)
ROW(bf16, VIC_BF16, 32)
ROW(bf16, VIC_BF16, 64)
ROW(bf16, VIC_BF16, 128)

static const struct device_row unfused_row = {
    .prepare = cuda_unfused_prepare,
    .release = cuda_unfused_release,
    .workspace = cuda_unfused_workspace,
    .launch = cuda_unfused_launch,
};

/* What fusion is measured against, and a second opinion: nobody gets it without asking. */
#define UNFUSED_ROW(type, bit)                                                                                       \
    const struct kernel_row attn_fwd_unfused_##type = {                                                              \
        .name = "attn_fwd_unfused_" #type,                                                                           \
        .device = VIC_CUDA,                                                                                          \
        .dtypes = 1u << (bit),                                                                                       \
        .features = FEATURE_LSE | FEATURE_GROUP_QUERY | FEATURE_UNEQUAL_DIMS,                                        \
        .dim_min = 8,                                                                                                \
        .dim_max = 128,                                                                                              \
        .dim_step = 8,                                                                                               \
        .cost = 1000,                                                                                                \
        .only_by_name = true,                                                                                        \
        .unavailable = cuda_sm90_unavailable,                                                                        \
        .device_row = &unfused_row,                                                                                  \
    };

UNFUSED_ROW(f16, VIC_F16)
UNFUSED_ROW(bf16, VIC_BF16)

#endif
