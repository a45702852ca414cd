/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a tensor in another order. */
#ifndef VIC_DEVICE_PERMUTE_H
#define VIC_DEVICE_PERMUTE_H

#include "base/threads.h"
#include "contract/pattern.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A row is `inner[0]` x `inner[1]` runs of `run` consecutive bytes; strides count bytes. */
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

/* Enqueues the permutation by a side's order, `order` in memory of the CPU, on `stream`.  The pattern keeps the order on the device from its first
 * use there on; that first use blocks, and cannot be captured in a graph.  In a build without CUDA: NO_DEVICE. */
vic_status device_permute(vic_device device, const struct device_permutation *m, const vic_pattern *p, vic_side side,
                          const int32_t *order, void *stream, vic_error *err);

#ifdef __cplusplus
}
#endif

#endif
