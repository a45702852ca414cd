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

/* An address says by itself whose memory it is: it is given back even when its device cannot be chosen. */
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
    const bool between = to_device.kind == VIC_CUDA && from_device.kind == VIC_CUDA;
    struct device_scope scope;
    vic_status st;
    TRY_GOTO(device_enter(&scope, to_device.kind == VIC_CUDA ? to_device : from_device, err), done);
    if (between)
        TRY_GOTO(cuda_check(cudaMemcpyPeer(to, to_device.index, from, from_device.index, bytes),
                            "copying between GPUs", err),
                 done);
    else
        TRY_GOTO(cuda_check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "copying to or from the GPU", err), done);
    /* CUDA returns from copies between devices before they are done, and from short ones to a device. */
    TRY_GOTO(cuda_check(cudaStreamSynchronize(NULL), "waiting for a copy", err), done);
done:
    device_leave(&scope);
    return st;
}

vic_status device_synchronize(vic_device device, vic_error *err)
{
    struct device_scope scope;
    vic_status st;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(cuda_check(cudaDeviceSynchronize(), "waiting for the GPU", err), done);
done:
    device_leave(&scope);
    return st;
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
