/* SPDX-License-Identifier: Apache-2.0 */
#include "device/memory.h"
#include "device/cuda_check.h"

#ifdef VIC_HAVE_CUDA

vic_status device_alloc(vic_device device, size_t bytes, void **out, vic_error *err)
{
    *out = NULL;
    TRY(cuda_check(cudaSetDevice(device.index), "choosing the GPU", err));
    return cuda_check(cudaMalloc(out, bytes ? bytes : 1), "allocating GPU memory", err);
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
    TRY(cuda_check(cudaSetDevice(gpu.index), "choosing the GPU", err));
    if (to_device.kind == VIC_CUDA && from_device.kind == VIC_CUDA)
        return cuda_check(cudaMemcpyPeer(to, to_device.index, from, from_device.index, bytes), "copying between GPUs",
                          err);
    return cuda_check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "copying to or from the GPU", err);
}

vic_status device_synchronize(vic_device device, vic_error *err)
{
    TRY(cuda_check(cudaSetDevice(device.index), "choosing the GPU", err));
    return cuda_check(cudaDeviceSynchronize(), "waiting for the GPU", err);
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

vic_status device_synchronize(vic_device device, vic_error *err)
{
    (void)device;
    return cuda_missing(err);
}

#endif
