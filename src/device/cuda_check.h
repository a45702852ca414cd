/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA's errors as statuses, and the error of every device call in a build without CUDA. */
#ifndef VIC_DEVICE_CUDA_CHECK_H
#define VIC_DEVICE_CUDA_CHECK_H

#include "base/status.h"

#ifdef VIC_HAVE_CUDA

#include <cuda_runtime_api.h>

static inline vic_status cuda_check(cudaError_t code, const char *what, vic_error *err)
{
    if (code == cudaSuccess) return VIC_OK;
    cudaGetLastError(); /* an error that has been reported must not be found again by the next call */
    return vic_fail(err,
                    code == cudaErrorMemoryAllocation ? VIC_NO_MEMORY
                    : code == cudaErrorNoDevice || code == cudaErrorInvalidDevice ||
                            code == cudaErrorInsufficientDriver
                        ? VIC_NO_DEVICE
                        : VIC_FAILED,
                    "%s: %s (CUDA error %d)", what, cudaGetErrorString(code), (int)code);
}

/* For calls that release something, whose errors are not reported. */
static inline void cuda_forget(cudaError_t code)
{
    if (code != cudaSuccess) cudaGetLastError();
}

/* Sets *out to memory of the current device that holds `bytes` bytes of the host's `from`, and does not change any
 * more: arrays of a plan or of a pattern.  It comes from `pool` (a cudaMemPool_t; NULL = the device's own), and is there
 * when this returns; work on the device goes on meanwhile.  cuda_array_free() gives it back. */
static inline vic_status cuda_array_make(void *pool, const void *from, size_t bytes, const char *what, void **out,
                                         vic_error *err)
{
    cudaStream_t stream = NULL;
    const size_t size = bytes ? bytes : 1;
    *out = NULL;
    TRY(cuda_check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), what, err));
    vic_status st = cuda_check(pool ? cudaMallocFromPoolAsync(out, size, (cudaMemPool_t)pool, stream)
                                    : cudaMallocAsync(out, size, stream),
                               what, err);
    if (st == VIC_OK) st = cuda_check(cudaMemcpyAsync(*out, from, bytes, cudaMemcpyHostToDevice, stream), what, err);
    if (st == VIC_OK) st = cuda_check(cudaStreamSynchronize(stream), what, err);
    if (st != VIC_OK && *out) {
        cuda_forget(cudaFreeAsync(*out, stream));
        *out = NULL;
    }
    cuda_forget(cudaStreamDestroy(stream));
    return st;
}

/* Work that has been enqueued may still read the memory: the calling thread waits for it, and no stream does. */
static inline void cuda_array_free(void *memory)
{
    cudaStream_t stream = NULL;
    if (!memory) return;
    cudaError_t code = cudaDeviceSynchronize();
    cuda_forget(code);
    if (code == cudaErrorStreamCaptureUnsupported)
        return; /* not to be waited for: the memory is lost, no result is */
    code = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cuda_forget(code);
    cuda_forget(code == cudaSuccess ? cudaFreeAsync(memory, stream) : cudaFree(memory));
    if (stream) cuda_forget(cudaStreamDestroy(stream));
}

/* device_enter() makes a device current, and device_leave() the caller's device again.  device_leave() must follow
 * device_enter() whether that succeeded or not. */
struct device_scope {
    int before;
    bool changed;
};

static inline vic_status device_enter(struct device_scope *s, vic_device device, vic_error *err)
{
    /* A thread's current device is 0 from the first, but the driver's own functions, like that for tensor maps, find
     * none before it has been chosen. */
    static __thread bool chosen;
    s->changed = false;
    TRY(cuda_check(cudaGetDevice(&s->before), "querying the current GPU", err));
    if (s->before == device.index && chosen) return VIC_OK;
    s->changed = s->before != device.index;
    TRY(cuda_check(cudaSetDevice(device.index), "choosing the GPU", err));
    chosen = true;
    return VIC_OK;
}

static inline void device_leave(const struct device_scope *s)
{
    if (s->changed) cuda_forget(cudaSetDevice(s->before));
}

#else

static inline vic_status cuda_missing(vic_error *err)
{
    return vic_fail(err, VIC_NO_DEVICE,
                    "this build has no CUDA: build it where nvcc 12.3 or newer is found, or use the CPU");
}

#endif

#endif
