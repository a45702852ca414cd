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
vic_status device_synchronize(vic_device device, vic_error *err);

#endif
