/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#ifdef VIC_HAVE_CUDA

#include "kernels/cuda/unfused/launch.h"

/* The baseline of the fused kernel, and a second opinion: these kernels must be requested by name. */
#define KERNEL(type, bit)                                                                                            \
    const struct kernel attn_fwd_unfused_##type = {                                                                  \
        .name = "attn_fwd_unfused_" #type,                                                                           \
        .operation = ATTENTION_FORWARD,                                                                              \
        .device = VIC_CUDA,                                                                                          \
        .dtypes = (bit),                                                                                             \
        .features = FEATURE_LSE | FEATURE_GROUP_QUERY | FEATURE_UNEQUAL_DIMS,                                        \
        .dim_min = 8,                                                                                                \
        .dim_max = 128,                                                                                              \
        .dim_step = 8,                                                                                               \
        .only_by_name = true,                                                                                        \
        .unavailable = cuda_unfused_unavailable,                                                                     \
        .prepare = cuda_unfused_prepare,                                                                             \
        .release = cuda_unfused_release,                                                                             \
        .workspace = cuda_unfused_workspace,                                                                         \
        .launch = cuda_unfused_launch,                                                                               \
    };

KERNEL(f16, DTYPE_F16)
KERNEL(bf16, DTYPE_BF16)

#endif
