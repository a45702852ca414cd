/* SPDX-License-Identifier: Apache-2.0 */
#include "device/memory.h"
#include "device/cuda_check.h"

#ifdef VIC_HAVE_CUDA

vic_status device_alloc(vic_device device, size_t bytes, void **out, vic_error *err)
{
    struct device_scope scope;
    vic_status st;
    *out = NULL;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(cuda_check(cudaMalloc(out, bytes ? bytes : 1), "allocating GPU memory", err), done);
done:
    device_leave(&scope);
    return st;
}

/* CUDA knows by an address which device it belongs to, so memory is freed even when its device cannot be chosen. */
void device_free(vic_device device, void *memory)
{
    struct device_scope scope;
    if (!memory) return;
    (void)device_enter(&scope, device, NULL);
    cuda_forget(cudaFree(memory));
    device_leave(&scope);
}

vic_status device_copy(vic_device to_device, void *to, vic_device from_device, const void *from, size_t bytes,
                       vic_error *err)
{
    const bool between = to_device.type == VIC_CUDA && from_device.type == VIC_CUDA;
    struct device_scope scope;
    vic_status st;
    TRY_GOTO(device_enter(&scope, to_device.type == VIC_CUDA ? to_device : from_device, err), done);
    if (between)
        TRY_GOTO(cuda_check(cudaMemcpyPeer(to, to_device.index, from, from_device.index, bytes),
                            "copying between GPUs", err),
                 done);
    else
        TRY_GOTO(cuda_check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "copying to or from the GPU", err), done);
    /* CUDA returns from copies between devices, and from short copies to a device, before they are done. */
    TRY_GOTO(cuda_check(cudaStreamSynchronize(NULL), "waiting for a copy", err), done);
done:
    device_leave(&scope);
    return st;
}

vic_status device_start(vic_device device, vic_error *err)
{
    struct device_scope scope;
    vic_status st;
    int count = 0;
    TRY(cuda_check(cudaGetDeviceCount(&count), "counting GPUs", err));
    if (device.index < 0 || device.index >= count)
        return vic_fail(err, VIC_NO_DEVICE, "there is no GPU %d: this machine has %d", device.index, count);
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(cuda_check(cudaFree(NULL), "starting the GPU", err), done);
done:
    device_leave(&scope);
    return st;
}

vic_status device_wait(vic_device device, void *stream, vic_error *err)
{
    struct device_scope scope;
    vic_status st;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(cuda_check(cudaStreamSynchronize(stream), "waiting for the GPU", err), done);
done:
    device_leave(&scope);
    return st;
}

vic_status device_pool_create(vic_device device, void **out, vic_error *err)
{
    struct cudaMemPoolProps props = { .allocType = cudaMemAllocationTypePinned,
                                      .location = { .type = cudaMemLocationTypeDevice, .id = device.index } };
    uint64_t keep = UINT64_MAX;
    cudaMemPool_t pool = NULL;
    struct device_scope scope;
    vic_status st;
    *out = NULL;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(cuda_check(cudaMemPoolCreate(&pool, &props), "making a pool of GPU memory", err), done);
    *out = pool;
    TRY_GOTO(cuda_check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep),
                        "making a pool of GPU memory", err),
             done);
done:
    device_leave(&scope);
    if (st != VIC_OK) {
        device_pool_free(device, *out);
        *out = NULL;
    }
    return st;
}

void device_pool_free(vic_device device, void *pool)
{
    struct device_scope scope;
    if (!pool) return;
    (void)device_enter(&scope, device, NULL);
    cuda_forget(cudaMemPoolDestroy(pool));
    device_leave(&scope);
}

vic_status device_alloc_on(vic_device device, void *pool, size_t bytes, void *stream, void **out, vic_error *err)
{
    struct device_scope scope;
    vic_status st;
    *out = NULL;
    TRY_GOTO(device_enter(&scope, device, err), done);
    if (pool)
        TRY_GOTO(cuda_check(cudaMallocFromPoolAsync(out, bytes, pool, stream), "allocating GPU memory", err), done);
    else
        TRY_GOTO(cuda_check(cudaMallocAsync(out, bytes, stream), "allocating GPU memory", err), done);
done:
    device_leave(&scope);
    return st;
}

void device_free_on(vic_device device, void *memory, void *stream)
{
    struct device_scope scope;
    if (!memory) return;
    (void)device_enter(&scope, device, NULL);
    cuda_forget(cudaFreeAsync(memory, stream));
    device_leave(&scope);
}

vic_status device_alloc_host(size_t bytes, void **out, vic_error *err)
{
    *out = NULL;
    return cuda_check(cudaMallocHost(out, bytes ? bytes : 1), "allocating pinned memory", err);
}

void device_free_host(void *memory)
{
    if (memory) cuda_forget(cudaFreeHost(memory));
}

#else

vic_status device_alloc(vic_device device, size_t bytes, void **out, vic_error *err)
{
    (void)device;
    (void)bytes;
    *out = NULL;
    return cuda_missing(err);
}

void device_free(vic_device device, void *memory)
{
    (void)device;
    (void)memory;
}

vic_status device_copy(vic_device to_device, void *to, vic_device from_device, const void *from, size_t bytes,
                       vic_error *err)
{
    (void)to_device;
    (void)to;
    (void)from_device;
    (void)from;
    (void)bytes;
    return cuda_missing(err);
}

vic_status device_start(vic_device device, vic_error *err)
{
    (void)device;
    return cuda_missing(err);
}

vic_status device_wait(vic_device device, void *stream, vic_error *err)
{
    (void)device;
    (void)stream;
    return cuda_missing(err);
}

vic_status device_pool_create(vic_device device, void **out, vic_error *err)
{
    (void)device;
    *out = NULL;
    return cuda_missing(err);
}

void device_pool_free(vic_device device, void *pool)
{
    (void)device;
    (void)pool;
}

vic_status device_alloc_on(vic_device device, void *pool, size_t bytes, void *stream, void **out, vic_error *err)
{
    (void)device;
    (void)pool;
    (void)bytes;
    (void)stream;
    *out = NULL;
    return cuda_missing(err);
}

void device_free_on(vic_device device, void *memory, void *stream)
{
    (void)device;
    (void)memory;
    (void)stream;
}

vic_status device_alloc_host(size_t bytes, void **out, vic_error *err)
{
    (void)bytes;
    *out = NULL;
    return cuda_missing(err);
}

void device_free_host(void *memory)
{
    (void)memory;
}

#endif
