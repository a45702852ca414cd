// SPDX-License-Identifier: Apache-2.0
// A warpgroup's strip in registers, and what else all files of the fused kernel use.
#pragma once
#include "kernels/cuda/ptx/copy.cuh"
#include "kernels/cuda/ptx/mbarrier.cuh"
#include "kernels/cuda/ptx/misc.cuh"
#include "kernels/cuda/ptx/mma.cuh"
#include "kernels/cuda/sm90/config.cuh"
#include "kernels/cuda/sm90/params.h"

namespace sm90
{
using ptx::half_type;
constexpr unsigned WARP = 0xffffffff;
constexpr int STRIP_ROWS = 64;

template <half_type TYPE> __device__ __forceinline__ uint32_t pack(float low, float high)
{
    return TYPE == half_type::f16 ? ptx::cvt_rn_f16x2(low, high) : ptx::cvt_rn_bf16x2(low, high);
}

// Returns the value, which all threads of the warp have, in a uniform register: addresses and branches that are made
// from it need no vector registers.
__device__ __forceinline__ uint32_t uniform(uint32_t x)
{
    return ptx::redux_sync_or(x);
}

// What a thread of a warpgroup holds of the strip: row 16 warp + lane / 4 (index 0 below) and the row 8 behind it
// (index 1); of every 8 columns number 2 (lane % 4) and the next.
template <int D> struct strip_state {
    uint32_t q[D / 4]; // Q as A fragments: 4 words per 16 columns; not used with Q_SHARED
    float o[D / 2];    // O: 4 numbers per 8 columns
    float max[2];      // the rows' maxima (softmax.cuh), integers in units of log2; -inf = not set yet
    float sum[2];      // what this thread has added up of the rows' weights
};

template <int D> __device__ __forceinline__ uint32_t queries_at()
{
    return attn_fwd_config<D>::QUERIES + uniform(threadIdx.x >> 7) * attn_fwd_config<D>::QUERY_BYTES;
}
} // namespace sm90
