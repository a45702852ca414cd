/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a tensor in another order, in the memory of a GPU. */
#ifndef VIC_DEVICE_PERMUTE_H
#define VIC_DEVICE_PERMUTE_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Row r is `inner[0]` x `inner[1]` pieces of `run` bytes, which lie together; strides count bytes. */
struct device_permutation {
    const void *from;
    void *to;
    int64_t n; /* rows */
    int64_t inner[2], run;
    int64_t from_row, from_inner[2], to_row, to_inner[2];
    bool scatter; /* row r goes to row order[r]; otherwise it comes from there */
};

/* order [n] in CPU memory.  Blocks until done, after all work that was enqueued on the default stream.  In a build
 * without CUDA: NO_DEVICE. */
vic_status device_permute(vic_device device, const struct device_permutation *p, const int32_t *order,
                          vic_error *err);

#ifdef __cplusplus
}
#endif

#endif
