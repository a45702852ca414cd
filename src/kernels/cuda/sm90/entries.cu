// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/sm90/entries.h"

#include "kernels/cuda/ptx/mbarrier.cuh"
#include "kernels/cuda/ptx/misc.cuh"
#include "kernels/cuda/ptx/tensormap.cuh"

static_assert(sizeof(entries_params) <= 4096, "no driver takes more");

namespace
{
constexpr int WARP = 32;

// A block for each entry, a warp for each of its maps.
__global__ void __launch_bounds__(2 * WARP) entries_kernel(const __grid_constant__ entries_params p)
{
    __shared__ alignas(128) CUtensorMap maps[2];
    const int which = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const vic_attention_item item = p.items[blockIdx.x];
    ptx::griddepcontrol_launch_dependents();
    ptx::griddepcontrol_wait(); // the kernels before may still read what was there
    if (threadIdx.x == 0) p.to[blockIdx.x] = item;
    if (!p.to_maps) return;
    reinterpret_cast<uint32_t *>(&maps[which])[lane] = reinterpret_cast<const uint32_t *>(&p.maps[which])[lane];
    __syncwarp();
    const uint32_t map = ptx::shared_address(&maps[which]);
    if (lane == 0) ptx::tensormap_replace_global_address(map, which ? item.v : item.k);
    __syncwarp();
    ptx::tensormap_cp_fenceproxy(p.to_maps + 2 * blockIdx.x + which, map);
}
} // namespace

cudaError_t write_entries(const entries_params *p, int entries, cudaStream_t stream)
{
    entries_params by_value = *p;
    void *arguments[] = { &by_value };
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t launch = {};
    launch.gridDim = dim3(static_cast<unsigned>(entries));
    launch.blockDim = dim3(2 * WARP);
    launch.stream = stream;
    launch.attrs = &early;
    launch.numAttrs = 1;
    return cudaLaunchKernelExC(&launch, reinterpret_cast<const void *>(entries_kernel), arguments);
}
