/* SPDX-License-Identifier: Apache-2.0 */
/* The unfused row's functions, for the table of rows (kernels/cuda/rows.c).  Whether this machine has cuBLAS is found
 * out by the first plan: opening it takes too long for a list of rows. */
#ifndef VIC_KERNELS_CUDA_UNFUSED_ROWS_UNFUSED_H
#define VIC_KERNELS_CUDA_UNFUSED_ROWS_UNFUSED_H

#include "contract/kernel_row.h"

#ifdef __cplusplus
extern "C" {
#endif

vic_status cuda_unfused_prepare(struct vic_plan *plan, const struct tile_layout *layout,
                                const struct tile_schedule *schedule, vic_error *err); /* neither is looked at */
void cuda_unfused_release(struct vic_plan *plan);
size_t cuda_unfused_workspace(const struct vic_plan *plan, int64_t batch);
vic_status cuda_unfused_launch(const struct vic_plan *plan, const struct attention_args *args, void *workspace,
                               void *stream, vic_error *err);

#ifdef __cplusplus
}
#endif

#endif
