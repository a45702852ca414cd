// SPDX-License-Identifier: Apache-2.0
// Tensor maps that are made on the device: one function per instruction.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-tensormap-cp-fenceproxy
#pragma once
#include <cstdint>
#include <cuda.h>

namespace ptx
{
// Changes the address of the tensor in a map in shared memory at `map`.
__device__ __forceinline__ void tensormap_replace_global_address(uint32_t map, const void *address)
{
    asm volatile("tensormap.replace.tile.global_address.shared::cta.b1024.b64 [%0], %1;" ::"r"(map), "l"(address)
                 : "memory");
}

// A warp copies a map from shared memory to global memory, for those who acquire it there.
__device__ __forceinline__ void tensormap_cp_fenceproxy(CUtensorMap *to, uint32_t from)
{
    asm volatile("tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned"
                 " [%0], [%1], 128;" ::"l"(to),
                 "r"(from)
                 : "memory");
}

// Before the first copy by a map in global memory that the GPU has written.  ptxas 13.0 lets the fence alone not be
// waited for: a copy behind it may still find the old map in the cache.  A group of copies, even an empty one, is.
__device__ __forceinline__ void fence_proxy_tensormap_acquire(const CUtensorMap *map)
{
    asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;\n"
                 "cp.async.bulk.commit_group;\n"
                 "cp.async.bulk.wait_group.read 0;" ::"l"(map)
                 : "memory");
}
} // namespace ptx
