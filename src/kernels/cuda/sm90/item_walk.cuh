// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/cuda/sm90/strip.cuh"

namespace sm90
{
// The items that the CTA works on, one after the other through all of the batch.
struct item_walk {
    int item = -1, last = 0, batch = -1; // item -1 = no more

    __device__ __forceinline__ explicit item_walk(const attn_fwd_params &p)
    {
        next(p);
    }
    __device__ __forceinline__ void next(const attn_fwd_params &p)
    {
        item++;
        while (item == last) {
            if (++batch == p.batch) {
                item = -1;
                return;
            }
            const uint32_t list = (blockIdx.x + static_cast<uint32_t>(batch % gridDim.x) * p.rotation) % gridDim.x;
            item = uniform(p.item_first[list]);
            last = uniform(p.item_first[list + 1]);
        }
    }
};
} // namespace sm90
