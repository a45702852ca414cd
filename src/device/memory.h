/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of GPUs.  In a build without CUDA every call but those that free fails with NO_DEVICE. */
#ifndef VIC_DEVICE_MEMORY_H
#define VIC_DEVICE_MEMORY_H

#include "base/status.h"

vic_status device_alloc(vic_device device, size_t bytes, void **out, vic_error *err); /* 256-byte aligned */
void device_free(vic_device device, void *memory);                                    /* NULL is fine */
/* Copies where at least one of the two devices is a GPU.  Blocks until done. */
vic_status device_copy(vic_device to_device, void *to, vic_device from_device, const void *from, size_t bytes,
                       vic_error *err);

/* Starts CUDA on a GPU, which takes 0.2 s where nothing in the process has done so yet.  NO_DEVICE when there is no
 * GPU of that index. */
vic_status device_start(vic_device device, vic_error *err);
/* Returns when all that was enqueued on the stream (NULL = the default stream) is done. */
vic_status device_wait(vic_device device, void *stream, vic_error *err);

/* Memory that is allocated and freed in the order of a stream, from a pool that keeps what is freed; a NULL pool is
 * the device's own. */
vic_status device_pool_create(vic_device device, void **pool, vic_error *err);
void device_pool_free(vic_device device, void *pool); /* NULL is fine */
vic_status device_alloc_on(vic_device device, void *pool, size_t bytes, void *stream, void **out, vic_error *err);
void device_free_on(vic_device device, void *memory, void *stream);

/* Memory that processes on one machine share.  `memory` is what device_alloc() gave; `handle` has DEVICE_HANDLE bytes.
 * device_open() is for other processes, and refuses memory of fewer than `bytes` bytes with BAD_ARGUMENT, as it does a
 * handle that is none. */
enum { DEVICE_HANDLE = 64 };
vic_status device_export(vic_device device, const void *memory, void *handle, vic_error *err);
vic_status device_open(vic_device device, const void *handle, size_t bytes, void **out, vic_error *err);
void device_close(vic_device device, void *memory); /* NULL is fine */

/* Pinned memory of the host. */
vic_status device_alloc_host(size_t bytes, void **out, vic_error *err);
void device_free_host(void *memory);

#endif
