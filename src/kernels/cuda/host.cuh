// SPDX-License-Identifier: Apache-2.0
// Functions that the host side of every GPU kernel uses, beside device/cuda_check.h.
#pragma once
#include "device/cuda_check.h"

#include <cstdio>

namespace cuda_host
{
inline void free_memory(void *memory)
{
    if (memory) cuda_forget(cudaFree(memory));
}

// Launches a kernel without <<< >>>.  That looks a kernel up once and keeps a failure, and its errors are found only
// by cudaGetLastError(), which also returns errors that the caller left there.
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
    TRY(cuda_check(cudaGetDeviceCount(&devices), "counting GPUs", err));
    if (device.index >= devices)
        return vic_fail(err, VIC_NO_DEVICE, "there is no GPU %d: this machine has %d", device.index, devices);
    TRY(cuda_check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device.index),
                   "querying the GPU", err));
    if (major != 9)
        return vic_fail(err, VIC_NO_DEVICE, "GPU %d is of compute capability %d.x; the kernel needs Hopper (9.0)",
                        device.index, major);
    return VIC_OK;
}

// Returns NULL when the device is a Hopper GPU, else a phrase for why it cannot be used.  Also NULL for a number
// that no device has: that is left to check_hopper(), which has a status for it.
inline const char *hopper_lacks(vic_device device)
{
    int devices = 0, major = 0;
    cudaError_t code = cudaGetDeviceCount(&devices);
    cuda_forget(code);
    if (code == cudaErrorNoDevice || code == cudaErrorInsufficientDriver || (code == cudaSuccess && devices == 0))
        return "this machine has no GPU that CUDA can use";
    static thread_local char text[128];
    if (code == cudaSuccess && device.index >= devices) return nullptr;
    if (code == cudaSuccess) code = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device.index);
    cuda_forget(code);
    if (code != cudaSuccess) {
        std::snprintf(text, sizeof text, "cannot query CUDA devices: %s", cudaGetErrorString(code));
        return text;
    }
    return major == 9 ? nullptr : "it needs a Hopper GPU (sm_90)";
}

// Makes a device current, if the status is OK; at the end of the scope the caller's device is current again.
class on_device
{
  public:
    on_device(vic_device device, vic_error *err) : status(device_enter(&scope, device, err))
    {
    }
    ~on_device()
    {
        device_leave(&scope);
    }
    on_device(const on_device &) = delete;
    on_device &operator=(const on_device &) = delete;

  private:
    device_scope scope;

  public:
    const vic_status status;
};
} // namespace cuda_host
