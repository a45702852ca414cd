/* SPDX-License-Identifier: Apache-2.0 */
#include "device/memory.h"

#ifdef VIC_HAVE_CUDA

#include <cuda_runtime_api.h>

static vic_status check(cudaError_t code, const char *what, vic_error *err)
{
    if (code == cudaSuccess) return VIC_OK;
    cudaGetLastError(); /* an error of a call, once told, must not be found again by the next one */
    return vic_fail(err,
                    code == cudaErrorMemoryAllocation ? VIC_NO_MEMORY
                    : code == cudaErrorNoDevice || code == cudaErrorInvalidDevice ||
                            code == cudaErrorInsufficientDriver
                        ? VIC_NO_DEVICE
                        : VIC_FAILED,
                    "%s: %s (CUDA error %d)", what, cudaGetErrorString(code), (int)code);
}

vic_status device_alloc(vic_device device, size_t bytes, void **out, vic_error *err)
{
    *out = NULL;
    TRY(check(cudaSetDevice(device.index), "choosing the GPU", err));
    return check(cudaMalloc(out, bytes ? bytes : 1), "allocating GPU memory", err);
}

void device_free(vic_device device, void *memory)
{
    if (!memory || cudaSetDevice(device.index) != cudaSuccess) return;
    cudaFree(memory);
}

vic_status device_copy(vic_device to_device, void *to, vic_device from_device, const void *from, size_t bytes,
                       vic_error *err)
{
    vic_device gpu = to_device.kind == VIC_CUDA ? to_device : from_device;
    TRY(check(cudaSetDevice(gpu.index), "choosing the GPU", err));
    if (to_device.kind == VIC_CUDA && from_device.kind == VIC_CUDA)
        return check(cudaMemcpyPeer(to, to_device.index, from, from_device.index, bytes), "copying between GPUs",
                     err);
    return check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "copying to or from the GPU", err);
}

vic_status device_synchronize(vic_device device, vic_error *err)
{
    TRY(check(cudaSetDevice(device.index), "choosing the GPU", err));
    return check(cudaDeviceSynchronize(), "waiting for the GPU", err);
}

#else

static vic_status without_cuda(vic_error *err)
{
    return vic_fail(err, VIC_NO_DEVICE,
                    "this build has no CUDA: build it where nvcc 12.3 or newer is found, or use the CPU");
}

vic_status device_alloc(vic_device device, size_t bytes, void **out, vic_error *err)
{
    (void)device;
    (void)bytes;
    *out = NULL;
    return without_cuda(err);
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
    return without_cuda(err);
}

vic_status device_synchronize(vic_device device, vic_error *err)
{
    (void)device;
    return without_cuda(err);
}

#endif
