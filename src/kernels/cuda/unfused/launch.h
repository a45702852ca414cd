/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of the unfused kernels (launch.cu), for kernels_unfused.c.  Only the first plan finds out whether
 * this machine has cuBLAS, because opening it takes too long for a list of kernels. */
#ifndef VIC_KERNELS_CUDA_UNFUSED_LAUNCH_H
#define VIC_KERNELS_CUDA_UNFUSED_LAUNCH_H

#include "contract/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

const char *cuda_unfused_unavailable(vic_device device);
vic_status cuda_unfused_prepare(struct vic_plan *plan, const struct kernel_setup *setup, vic_error *err);
void cuda_unfused_release(struct vic_plan *plan);
size_t cuda_unfused_workspace(const struct vic_plan *plan, int threads, int64_t batch, bool items);
vic_status cuda_unfused_launch(const struct vic_plan *plan, const struct attention_args *args,
                               const struct kernel_exec *exec, vic_error *err);

#ifdef __cplusplus
}
#endif

#endif
