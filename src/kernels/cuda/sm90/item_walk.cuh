// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/cuda/sm90/strip.cuh"

namespace sm90
{
// The items that the CTA works on: its list, once for every entry of the batch; or, where there are fewer items than
// CTAs, those of the whole batch in turn.
// Divisions instead of a loop over lists: a loop here costs the walks' loops eight instructions a step, as ptxas then
// deals out uniform registers in another way.
struct item_walk {
    uint32_t first, n, at, step;
    int left;

    __device__ __forceinline__ explicit item_walk(const attn_fwd_params &p)
    {
        const uint32_t ctas = gridDim.x, begin = p.item_first[blockIdx.x];
        const bool in_turn = p.n_items < ctas;
        first = in_turn ? 0 : uniform(begin);
        n = in_turn ? p.n_items : uniform(p.item_first[blockIdx.x + 1] - begin);
        at = in_turn ? blockIdx.x : 0;
        step = in_turn ? ctas : 1;
        left = static_cast<int>(n * p.batch + step - 1 - at) / static_cast<int>(step);
    }
    __device__ __forceinline__ void next()
    {
        at += step;
        left--;
    }
    __device__ __forceinline__ int item() const
    {
        return static_cast<int>(first + at % n);
    }
    __device__ __forceinline__ int batch() const
    {
        return static_cast<int>(at / n);
    }
};
} // namespace sm90
