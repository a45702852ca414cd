// SPDX-License-Identifier: Apache-2.0
// What plans of both directions are made and uploaded with.
#pragma once
#include "base/clock.h"
#include "base/sizes.h"
#include "device/cuda_check.h"
#include "kernels/cuda/sm90/params.h"

#include <cstring>

namespace sm90_host
{
// One block of memory for all arrays of a plan, so that they are copied from the host to the device at once.
class arena
{
  public:
    // Adds an array of `count` objects; bind() sets *to.
    template <typename T> void add(T **to, int64_t count)
    {
        arrays[n++] = { reinterpret_cast<void **>(to), size };
        size += size_round_up(size_times(sizeof(T), static_cast<size_t>(count)), 256);
    }
    // Sets the pointers to all arrays to where they are in `memory`.
    void bind(void *memory) const
    {
        for (int i = 0; i < n; i++) *arrays[i].to = static_cast<char *>(memory) + arrays[i].offset;
    }
    size_t bytes() const
    {
        return size;
    }

  private:
    struct {
        void **to;
        size_t offset;
    } arrays[12];
    int n = 0;
    size_t size = 0;
};

template <typename T> inline void copy(T *to, const T *from, int64_t count)
{
    if (count > 0) std::memcpy(to, from, static_cast<size_t>(count) * sizeof *from);
}

class stopwatch
{
  public:
    // Returns the seconds since the last call.
    double lap()
    {
        const double before = last;
        last = clock_seconds();
        return last - before;
    }

  private:
    double last = clock_seconds();
};

// Starts the GPU and sets *ctas to one CTA for each multiprocessor.  The first call of a process on a GPU starts CUDA
// there, which takes long.
inline vic_status start_device(vic_device device, int *ctas, vic_error *err)
{
    TRY(cuda_check(cudaDeviceGetAttribute(ctas, cudaDevAttrMultiProcessorCount, device.index), "querying the GPU",
                   err));
    if (*ctas > MOST_CTAS) *ctas = MOST_CTAS;
    return cuda_check(cudaFree(nullptr), "starting the GPU", err);
}
} // namespace sm90_host
