/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a GPU that processes share. */
#include "device/memory.h"
#include "base/status.h"
#include "vicinal_engine.h"

static vic_status check_device(vic_device device, vic_error *err)
{
    if (device.type == VIC_CUDA) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT,
                    "device.type: expected VIC_CUDA, got %d: only memory of a GPU is shared so", (int)device.type);
}

vic_status vic_memory_export(vic_device device, const void *memory, vic_memory_handle *out, vic_error *err)
{
    _Static_assert(sizeof out->bytes == DEVICE_HANDLE, "a handle has its size");
    NEED(out, "out", "expected room for a handle");
    *out = (vic_memory_handle){ { 0 } };
    NEED(memory, "memory", "expected what vic_memory_alloc() gave");
    TRY(check_device(device, err));
    return device_export(device, memory, out->bytes, err);
}

vic_status vic_memory_open(vic_device device, const vic_memory_handle *handle, size_t bytes, void **out,
                           vic_error *err)
{
    NEED_OUT(out);
    NEED(handle, "handle", "expected the one that vic_memory_export() gave in the other process");
    TRY(check_device(device, err));
    return device_open(device, handle->bytes, bytes, out, err);
}

void vic_memory_close(vic_device device, void *memory)
{
    if (device.type == VIC_CUDA) device_close(device, memory);
}
