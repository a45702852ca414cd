/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over parts of the keys, put together: what vic_combine() says, on a GPU. */
#ifndef VIC_DEVICE_COMBINE_H
#define VIC_DEVICE_COMBINE_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Strides count elements: of batch items, rows, heads. */
struct combine_tensor {
    void *data;
    int64_t stride[3];
};

enum { COMBINE_PARTS = 16 }; /* of one launch */
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
