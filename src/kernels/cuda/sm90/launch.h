/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of this folder's kernels (launch.cu), for kernels_sm90.c. */
#ifndef VIC_KERNELS_CUDA_SM90_LAUNCH_H
#define VIC_KERNELS_CUDA_SM90_LAUNCH_H

#include "contract/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How strips and tiles are split.  Where all members are 0 the heuristics decide; other values are for tests and
 * measurements. */
struct cuda_sm90_choice {
    int warpgroup_splits; /* as in struct layout_shape */
    int64_t split_steps;  /* as in struct layout_shape */
    bool whole;           /* no tile is split over CTAs: one CTA does all splits of a tile */
};

const char *cuda_sm90_unavailable(vic_device device);
vic_status cuda_sm90_prepare(struct vic_plan *plan, const struct kernel_setup *setup, vic_error *err);
vic_status cuda_sm90_prepare_as(struct vic_plan *plan, const struct cuda_sm90_choice *choice,
                                const struct kernel_setup *setup, vic_error *err);
void cuda_sm90_release(struct vic_plan *plan);
size_t cuda_sm90_workspace(const struct vic_plan *plan, int threads, int64_t batch, bool items);
vic_status cuda_sm90_launch(const struct vic_plan *plan, const struct attention_args *args,
                            const struct kernel_exec *exec, vic_error *err);

#ifdef __cplusplus
}
#endif

#endif
