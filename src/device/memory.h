/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of GPUs.  In a build without CUDA every call but device_free() fails with NO_DEVICE. */
#ifndef VIC_DEVICE_MEMORY_H
#define VIC_DEVICE_MEMORY_H

#include "base/status.h"

vic_status device_alloc(vic_device device, size_t bytes, void **out, vic_error *err); /* 256-byte aligned */
void device_free(vic_device device, void *memory);                                    /* NULL is fine */
/* At least one of the two is a GPU.  Blocks until done. */
vic_status device_copy(vic_device to_device, void *to, vic_device from_device, const void *from, size_t bytes,
                       vic_error *err);

/* NO_DEVICE with the reason when there is no GPU of that index, or none at all.  Starts CUDA on it, which takes 0.2 s
 * where nothing in the process has done so yet. */
vic_status device_start(vic_device device, vic_error *err);
/* Returns when all that was enqueued on the stream (NULL = the default stream) is done. */
vic_status device_wait(vic_device device, void *stream, vic_error *err);

/* Memory in the order of a stream, from a pool that keeps what is given back (NULL = the device's own pool). */
vic_status device_pool_create(vic_device device, void **pool, vic_error *err);
void device_pool_free(vic_device device, void *pool); /* NULL is fine */
vic_status device_alloc_on(vic_device device, void *pool, size_t bytes, void *stream, void **out, vic_error *err);
void device_free_on(vic_device device, void *memory, void *stream);

/* Pinned memory of the host. */
vic_status device_alloc_host(size_t bytes, void **out, vic_error *err);
void device_free_host(void *memory);

#endif
