// SPDX-License-Identifier: Apache-2.0
// How a consumer warp comes by its task of an item.
#pragma once
#include "kernels/cuda/sm90/strip.cuh"

#include <cstring>

namespace sm90
{
// Starts to copy a warp's task to shared memory at `to`.
template <int WARPGROUPS> __device__ __forceinline__ void fetch_task(const tile_task *tasks, int item, uint32_t to)
{
    const int warpgroup = uniform(threadIdx.x >> 7), lane = threadIdx.x & 31;
    const tile_task *task = tasks + (static_cast<int64_t>(item) * WARPGROUPS + warpgroup);
    __syncwarp(); // the task that was there has been read
    if (lane < static_cast<int>(sizeof *task / 16))
        ptx::cp_async_16(to + 16 * lane, reinterpret_cast<const char *>(task) + 16 * lane);
}

__device__ __forceinline__ void task_fetched()
{
    ptx::cp_async_wait_all();
    __syncwarp();
}

__device__ __forceinline__ tile_task task_at(uint32_t at)
{
    tile_task task;
    uint32_t words[sizeof task / 4];
#pragma unroll
    for (int i = 0; i < static_cast<int>(sizeof task / 4); i++) words[i] = ptx::ld_shared(at + 4 * i);
    memcpy(&task, words, sizeof task);
    return task;
}
} // namespace sm90
