// SPDX-License-Identifier: Apache-2.0
// What the host side of every GPU kernel needs: CUDA's errors as statuses, and a scope on a device.
#pragma once
#include "base/status.h"

#include <cstdio>
#include <cuda_runtime_api.h>

namespace cuda_host
{
inline vic_status check(cudaError_t code, const char *what, vic_error *err)
{
    if (code == cudaSuccess) return VIC_OK;
    cudaGetLastError(); // told once
    const bool no_device =
        code == cudaErrorNoDevice || code == cudaErrorInvalidDevice || code == cudaErrorInsufficientDriver;
    return vic_fail(err,
                    code == cudaErrorMemoryAllocation ? VIC_NO_MEMORY
                    : no_device                       ? VIC_NO_DEVICE
                                                      : VIC_FAILED,
                    "%s: %s (CUDA error %d)", what, cudaGetErrorString(code), static_cast<int>(code));
}

// For calls that tidy up after something whose outcome has been told.
inline void forget(cudaError_t code)
{
    if (code != cudaSuccess) cudaGetLastError();
}

inline void free_memory(void *memory)
{
    if (memory) forget(cudaFree(memory));
}

// In the place of <<< >>>, which looks a kernel up once and keeps a failure, and whose own errors can be told from
// others' only by cudaGetLastError(), which also finds what the caller left there.
template <typename P>
inline cudaError_t launch(void (*kernel)(P), unsigned grid, unsigned block, cudaStream_t stream, P parameter)
{
    void *arguments[] = { &parameter };
    return cudaLaunchKernel(reinterpret_cast<const void *>(kernel), dim3(grid), dim3(block), arguments, 0, stream);
}

// NO_DEVICE where there is no GPU of this index, or one that the kernels are not compiled for.
inline vic_status check_hopper(vic_device device, vic_error *err)
{
    int devices = 0, major = 0;
    TRY(check(cudaGetDeviceCount(&devices), "looking for GPUs", err));
    if (device.index >= devices)
        return vic_fail(err, VIC_NO_DEVICE, "there is no GPU %d: this machine has %d", device.index, devices);
    TRY(check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device.index), "asking the GPU",
              err));
    if (major != 9)
        return vic_fail(err, VIC_NO_DEVICE, "GPU %d is of compute capability %d.x; the kernel needs Hopper (9.0)",
                        device.index, major);
    return VIC_OK;
}

// NULL when the device is a Hopper GPU, else a phrase that says what is not.  A number that no device has is left to
// check_hopper(), which has a status for it.
inline const char *hopper_lacks(vic_device device)
{
    int devices = 0, major = 0;
    cudaError_t code = cudaGetDeviceCount(&devices);
    forget(code);
    if (code == cudaErrorNoDevice || code == cudaErrorInsufficientDriver || (code == cudaSuccess && devices == 0))
        return "this machine has no GPU that CUDA can use";
    static thread_local char text[128];
    if (code == cudaSuccess && device.index >= devices) return nullptr;
    if (code == cudaSuccess) code = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device.index);
    forget(code);
    if (code != cudaSuccess) {
        std::snprintf(text, sizeof text, "CUDA does not tell what GPUs there are: %s", cudaGetErrorString(code));
        return text;
    }
    return major == 9 ? nullptr : "it needs a Hopper GPU (sm_90)";
}

// The caller's current device comes back at the end of the scope.
class on_device
{
  public:
    explicit on_device(int index)
    {
        code = cudaGetDevice(&before);
        changed = code == cudaSuccess && before != index;
        if (changed) code = cudaSetDevice(index);
        forget(code);
    }
    ~on_device()
    {
        if (changed) forget(cudaSetDevice(before));
    }
    on_device(const on_device &) = delete;
    on_device &operator=(const on_device &) = delete;
    cudaError_t code;

  private:
    int before;
    bool changed;
};
} // namespace cuda_host
