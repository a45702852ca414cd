/* SPDX-License-Identifier: Apache-2.0 */
#include "device/memory.h"
#include "device/cuda_check.h"

#ifdef VIC_HAVE_CUDA

#include <cuda.h>
#include <string.h>

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

/* Sets *base and *bytes to the allocation that `memory` is in, on the current device.  libcuda is not linked, so its
 * function is looked up. */
static vic_status find_allocation(const void *memory, uintptr_t *base, size_t *bytes, vic_error *err)
{
    CUresult (*find)(CUdeviceptr * base, size_t * bytes, CUdeviceptr at);
    enum cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    void *function = NULL;
    CUdeviceptr first = 0;
    TRY(cuda_check(cudaGetDriverEntryPointByVersion("cuMemGetAddressRange", &function, 12000, cudaEnableDefault,
                                                    &found),
                   "looking for the driver's function for sizes of memory", err));
    if (found != cudaDriverEntryPointSuccess || !function)
        return vic_fail(err, VIC_NO_DEVICE, "the NVIDIA driver has no cuMemGetAddressRange: update it");
    memcpy(&find, &function, sizeof find); /* C has no cast */
    const CUresult code = find(&first, bytes, (CUdeviceptr)(uintptr_t)memory);
    if (code == CUDA_ERROR_NOT_FOUND || code == CUDA_ERROR_INVALID_VALUE)
        return vic_fail(err, VIC_BAD_ARGUMENT, "memory: %p is no memory of the GPU", memory);
    if (code != CUDA_SUCCESS)
        return vic_fail(err, VIC_FAILED, "querying the size of GPU memory: CUDA error %d", (int)code);
    *base = (uintptr_t)first;
    return VIC_OK;
}

vic_status device_export(vic_device device, const void *memory, void *handle, vic_error *err)
{
    _Static_assert(sizeof(cudaIpcMemHandle_t) == DEVICE_HANDLE, "a handle has its size");
    struct device_scope scope;
    vic_status st;
    uintptr_t base = 0;
    size_t bytes = 0;
    cudaIpcMemHandle_t made;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(find_allocation(memory, &base, &bytes, err), done);
    if (base != (uintptr_t)memory) { /* the handle would be that of the beginning */
        st = vic_fail(err, VIC_BAD_ARGUMENT,
                      "memory: expected what vic_memory_alloc() gave, got an address %zu bytes behind its beginning",
                      (size_t)((uintptr_t)memory - base));
        goto done;
    }
    TRY_GOTO(cuda_check(cudaIpcGetMemHandle(&made, (void *)(uintptr_t)memory), "exporting GPU memory", err), done);
    memcpy(handle, &made, sizeof made);
done:
    device_leave(&scope);
    return st;
}

static vic_status open_handle(const void *handle, void **out, vic_error *err)
{
    cudaIpcMemHandle_t given;
    memcpy(&given, handle, sizeof given);
    const cudaError_t code = cudaIpcOpenMemHandle(out, given, cudaIpcMemLazyEnablePeerAccess);
    if (code != cudaErrorInvalidValue && code != cudaErrorInvalidResourceHandle &&
        code != cudaErrorMapBufferObjectFailed && code != cudaErrorDeviceUninitialized)
        return cuda_check(code, "opening GPU memory of another process", err);
    cuda_forget(code);
    return vic_fail(err, VIC_BAD_ARGUMENT,
                    "handle: expected one of memory that another process on this machine has exported and not freed "
                    "(%s, CUDA error %d)",
                    cudaGetErrorString(code), (int)code);
}

vic_status device_open(vic_device device, const void *handle, size_t bytes, void **out, vic_error *err)
{
    struct device_scope scope;
    vic_status st;
    uintptr_t base = 0;
    size_t all = 0;
    void *memory = NULL;
    *out = NULL;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(open_handle(handle, &memory, err), done);
    TRY_GOTO(find_allocation(memory, &base, &all, err), done);
    if (bytes > all - ((uintptr_t)memory - base)) {
        st = vic_fail(err, VIC_BAD_ARGUMENT, "bytes: the memory of the other process has %zu, and %zu are wanted",
                      all - (size_t)((uintptr_t)memory - base), bytes);
        goto done;
    }
    *out = memory;
    memory = NULL;
done:
    if (memory) cuda_forget(cudaIpcCloseMemHandle(memory));
    device_leave(&scope);
    return st;
}

void device_close(vic_device device, void *memory)
{
    struct device_scope scope;
    if (!memory) return;
    (void)device_enter(&scope, device, NULL);
    cuda_forget(cudaIpcCloseMemHandle(memory));
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

vic_status device_export(vic_device device, const void *memory, void *handle, vic_error *err)
{
    (void)device;
    (void)memory;
    (void)handle;
    return cuda_missing(err);
}

vic_status device_open(vic_device device, const void *handle, size_t bytes, void **out, vic_error *err)
{
    (void)device;
    (void)handle;
    (void)bytes;
    *out = NULL;
    return cuda_missing(err);
}

void device_close(vic_device device, void *memory)
{
    (void)device;
    (void)memory;
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
