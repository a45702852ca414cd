/* SPDX-License-Identifier: Apache-2.0 */
/* Combines attention over parts of the keys on a GPU, as vic_combine() does. */
#ifndef VIC_DEVICE_COMBINE_H
#define VIC_DEVICE_COMBINE_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The strides of batch entries, rows and heads count elements. */
struct combine_tensor {
    void *data;
    int64_t stride[3];
};

enum { COMBINE_PARTS = 16 }; /* at most */
struct combine_problem {
    int64_t batch, rows, heads, d;
    int parts;
    vic_dtype part_dtype, out_dtype; /* F32, F16, BF16 */
    struct combine_tensor out, lse;  /* lse.data NULL = not wanted */
    struct combine_tensor part_out[COMBINE_PARTS], part_lse[COMBINE_PARTS];
};

/* Enqueues on `stream`.  In a build without CUDA: NO_DEVICE. */
vic_status device_combine(vic_device device, const struct combine_problem *p, void *stream, vic_error *err);

#ifdef __cplusplus
}
#endif

#endif
