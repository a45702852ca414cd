/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of this folder's kernels of gradients (launch_bwd.cu), for kernels_bwd_sm90.c. */
#ifndef VIC_KERNELS_CUDA_SM90_LAUNCH_BWD_H
#define VIC_KERNELS_CUDA_SM90_LAUNCH_BWD_H

#include "contract/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

vic_status cuda_sm90_bwd_prepare(struct vic_plan *plan, const struct kernel_setup *setup, vic_error *err);
void cuda_sm90_bwd_release(struct vic_plan *plan);
size_t cuda_sm90_bwd_workspace(const struct vic_plan *plan, int threads, int64_t batch, bool items);
vic_status cuda_sm90_bwd_launch(const struct vic_plan *plan, const struct attention_backward_args *args,
                                const struct kernel_exec *exec, vic_error *err);

#ifdef __cplusplus
}
#endif

#endif
