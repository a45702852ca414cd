/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a tensor in another order. */
#ifndef VIC_DEVICE_PERMUTE_H
#define VIC_DEVICE_PERMUTE_H

#include "base/threads.h"
#include "contract/pattern.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Row r is `inner[0]` x `inner[1]` runs of `run` bytes, which lie together; strides count bytes. */
struct device_permutation {
    const void *from;
    void *to;
    int64_t n; /* rows */
    int64_t inner[2], run;
    int64_t from_row, from_inner[2], to_row, to_inner[2];
    bool scatter; /* row r goes to row order[r]; otherwise it comes from there */
};

/* In memory of the CPU. */
void cpu_permute(const struct device_permutation *m, const int32_t *order, struct pool *pool);

/* On a GPU, by the pattern's order of a side, which the pattern keeps on the device from its first use there on (that
 * use blocks, and cannot be captured in a graph).  Enqueues on `stream`.  In a build without CUDA: NO_DEVICE. */
vic_status device_permute(vic_device device, const struct device_permutation *m, const vic_pattern *p, vic_side side,
                          void *stream, vic_error *err);

#ifdef __cplusplus
}
#endif

#endif
