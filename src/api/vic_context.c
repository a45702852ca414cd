/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts, and memory of devices. */
#include "base/dtype.h"
#include "base/memory.h"
#include "context/context.h"
#include "device/memory.h"

#include <string.h>

vic_status vic_context_create(const vic_context_options *options, vic_context **out, vic_error *err)
{
    NEED_OUT(out);
    TAKE_STRUCT(vic_context_options, o, options, err);
    if (o.reserved_1 != 0) return reserved_check(&o.reserved_1, sizeof o.reserved_1, "vic_context_options", err);
    return context_create(&o, out, err);
}

vic_status vic_context_get(const vic_context *c, vic_context_info *out, vic_error *err)
{
    vic_context_info info = VIC_INIT(vic_context_info);
    struct pool *pool;
    TRY(context_enter(c, &pool, err));
    info.device = c ? c->options.device : (vic_device){ VIC_CPU, 0 };
    info.threads = pool_threads(c ? c->pool : NULL);
    info.stream = c ? c->options.stream : NULL;
    return struct_give(out, &info, sizeof info, "vic_context_info", err);
}

vic_status vic_context_wait(vic_context *c, vic_error *err)
{
    struct pool *pool;
    TRY(context_enter(c, &pool, err));
    if (!c || c->options.device.type == VIC_CPU) return VIC_OK;
    return device_wait(c->options.device, c->options.stream, err);
}

void vic_context_free(vic_context *c)
{
    context_free(c);
}

static vic_status check_device(vic_device device, const char *name, vic_error *err)
{
    if (device_is_cpu(device) || device.type == VIC_CUDA) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT, "%s.type: expected VIC_CPU, VIC_CUDA or VIC_CUDA_HOST, got %d", name,
                    (int)device.type);
}

vic_status vic_memory_alloc(vic_device device, size_t bytes, void **out, vic_error *err)
{
    NEED_OUT(out);
    TRY(check_device(device, "device", err));
    if (device.type == VIC_CPU) return mem_array(bytes, 1, "bytes", out, err);
    if (device.type == VIC_CUDA_HOST) return device_alloc_host(bytes, out, err);
    return device_alloc(device, bytes, out, err);
}

void vic_memory_free(vic_device device, void *memory)
{
    if (device.type == VIC_CPU)
        free(memory);
    else if (device.type == VIC_CUDA_HOST)
        device_free_host(memory);
    else if (device.type == VIC_CUDA)
        device_free(device, memory);
}

vic_status vic_memory_copy(vic_device to_device, void *to, vic_device from_device, const void *from, size_t bytes,
                           vic_error *err)
{
    TRY(check_device(to_device, "to_device", err));
    TRY(check_device(from_device, "from_device", err));
    if (bytes > 0) NEED(to, "to", "expected where to copy the bytes");
    if (bytes > 0) NEED(from, "from", "expected what to copy");
    if (device_is_cuda(to_device) || device_is_cuda(from_device))
        return device_copy(to_device, to, from_device, from, bytes, err);
    if (bytes > 0) memmove(to, from, bytes);
    return VIC_OK;
}
