/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#ifdef VIC_HAVE_CUDA

#include "kernels/cuda/sm90/bwd_instance.h"
#include "kernels/cuda/sm90/launch.h"
#include "kernels/cuda/sm90/launch_bwd.h"

/* Head sizes in between run by the next larger kernel, whose remaining columns are zeros.  They have not yet run on a
 * GPU, so they must be requested by name. */
#define KERNEL(type, bit, d)                                                                                         \
    const struct kernel attn_bwd_sm90_##type##_d##d = {                                                              \
        .name = "attn_bwd_sm90_" #type "_d" #d,                                                                      \
        .operation = ATTENTION_BACKWARD,                                                                             \
        .device = VIC_CUDA,                                                                                          \
        .dtypes = (bit),                                                                                             \
        .features = FEATURE_LSE | FEATURE_GROUP_QUERY | FEATURE_UNEQUAL_DIMS,                                        \
        .dim_min = 8,                                                                                                \
        .dim_max = (d),                                                                                              \
        .dim_step = 8,                                                                                               \
        .cost = (d),                                                                                                 \
        .only_by_name = true,                                                                                        \
        .instance = &attn_bwd_##type##_d##d,                                                                         \
        .unavailable = cuda_sm90_unavailable,                                                                        \
        .prepare = cuda_sm90_bwd_prepare,                                                                            \
        .release = cuda_sm90_bwd_release,                                                                            \
        .workspace = cuda_sm90_bwd_workspace,                                                                        \
        .launch_backward = cuda_sm90_bwd_launch,                                                                     \
    };

KERNEL(f16, DTYPE_F16, 32)
KERNEL(f16, DTYPE_F16, 64)
KERNEL(f16, DTYPE_F16, 128)
KERNEL(bf16, DTYPE_BF16, 32)
KERNEL(bf16, DTYPE_BF16, 64)
KERNEL(bf16, DTYPE_BF16, 128)

#endif
