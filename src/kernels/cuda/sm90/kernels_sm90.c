/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#ifdef VIC_HAVE_CUDA

#include "kernels/cuda/sm90/instance.h"
#include "kernels/cuda/sm90/launch.h"

/* Head sizes in between run by the next larger kernel, whose remaining columns are zeros. */
#define KERNEL(type, bit, d)                                                                                         \
    const struct kernel attn_fwd_sm90_##type##_d##d = {                                                              \
        .name = "attn_fwd_sm90_" #type "_d" #d,                                                                      \
        .operation = ATTENTION_FORWARD,                                                                              \
        .device = VIC_CUDA,                                                                                          \
        .dtypes = (bit),                                                                                             \
        .features = FEATURE_LSE | FEATURE_GROUP_QUERY | FEATURE_UNEQUAL_DIMS | FEATURE_ITEMS,                        \
        .dim_min = 8,                                                                                                \
        .dim_max = (d),                                                                                              \
        .dim_step = 8,                                                                                               \
        .cost = (d),                                                                                                 \
        .instance = &attn_fwd_##type##_d##d,                                                                         \
        .unavailable = cuda_sm90_unavailable,                                                                        \
        .prepare = cuda_sm90_prepare,                                                                                \
        .release = cuda_sm90_release,                                                                                \
        .workspace = cuda_sm90_workspace,                                                                            \
        .launch = cuda_sm90_launch,                                                                                  \
    };

KERNEL(f16, DTYPE_F16, 32)
KERNEL(f16, DTYPE_F16, 64)
KERNEL(f16, DTYPE_F16, 128)
KERNEL(bf16, DTYPE_BF16, 32)
KERNEL(bf16, DTYPE_BF16, 64)
KERNEL(bf16, DTYPE_BF16, 128)

#endif
