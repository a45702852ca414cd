// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/cuda/sm90/strip.cuh"

namespace sm90
{
// A CTA's walk over its items: those of its list, once for every entry of the batch; or, where there are fewer items
// than CTAs, those of the whole batch, which CTAs take round robin.
// It divides instead of looping over lists: with a loop here ptxas assigns uniform registers in another way, which
// costs the loops over stages eight instructions a step.
struct item_walk {
    uint32_t first, n, at, step;
    int left;

    template <typename P> __device__ __forceinline__ explicit item_walk(const P &p)
    {
        const uint32_t ctas = gridDim.x, begin = p.item_first[blockIdx.x];
        const bool few = p.n_items < ctas;
        first = few ? 0 : uniform(begin);
        n = few ? p.n_items : uniform(p.item_first[blockIdx.x + 1] - begin);
        at = few ? blockIdx.x : 0;
        step = few ? ctas : 1;
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
