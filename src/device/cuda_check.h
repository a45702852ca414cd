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

/* From memory of the host to the current device, and done when it returns: cudaMemcpy() may return while the last bytes
 * are still on their way, and a stream that does not wait for the default stream would run before they are there. */
static inline vic_status cuda_upload(void *to, const void *from, size_t bytes, const char *what, vic_error *err)
{
    TRY(cuda_check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), what, err));
    return cuda_check(cudaStreamSynchronize(NULL), what, err);
}

/* device_enter() makes a device current, and device_leave() the caller's device again.  device_leave() must follow
 * device_enter() whether that succeeded or not. */
struct device_scope {
    int before;
    bool changed;
};

static inline vic_status device_enter(struct device_scope *s, vic_device device, vic_error *err)
{
    s->changed = false;
    TRY(cuda_check(cudaGetDevice(&s->before), "querying the current GPU", err));
    if (s->before == device.index) return VIC_OK;
    s->changed = true;
    return cuda_check(cudaSetDevice(device.index), "choosing the GPU", err);
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
