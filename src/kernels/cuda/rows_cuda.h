/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of the GPU's rows (rows_cuda.cu), for the table of rows (rows.c). */
#ifndef VIC_KERNELS_CUDA_ROWS_CUDA_H
#define VIC_KERNELS_CUDA_ROWS_CUDA_H

#include "contract/kernel_row.h"
#include "contract/tiles.h"

#ifdef __cplusplus
extern "C" {
#endif

const char *cuda_sm90_unavailable(void);
vic_status cuda_sm90_tile_shape(const struct vic_plan *plan, struct tile_shape *out, vic_error *err);
vic_status cuda_sm90_prepare(struct vic_plan *plan, const struct tile_layout *layout,
                             const struct tile_schedule *schedules, vic_error *err);
void cuda_sm90_release(struct vic_plan *plan);
size_t cuda_sm90_workspace(const struct vic_plan *plan, int64_t batch);
vic_status cuda_sm90_launch(const struct vic_plan *plan, const struct attention_args *args, void *workspace,
                            void *stream, vic_error *err);

#ifdef __cplusplus
}
#endif

#endif
