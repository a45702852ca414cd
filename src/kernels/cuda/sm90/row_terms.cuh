// SPDX-License-Identifier: Apache-2.0
// The row terms of the gradients: L and D of every query row and head, as both passes read them.
#pragma once
#include "kernels/cuda/sm90/bwd_config.cuh"
#include "kernels/cuda/sm90/bwd_instance.h"
#include "kernels/cuda/sm90/strip.cuh"

#include <cfloat>
#include <cstring>
#include <cuda_fp16.h>

namespace sm90
{
template <half_type TYPE> __device__ __forceinline__ float float_of(uint16_t x)
{
    return TYPE == half_type::f16 ? __half2float(__ushort_as_half(x))
                                  : __uint_as_float(static_cast<uint32_t>(x) << 16);
}

// The nearest number of the type, but no infinity: what is beyond the largest number is left to the terms behind.
template <half_type TYPE> __device__ __forceinline__ uint16_t nearest_finite(float x)
{
    const float most = TYPE == half_type::f16 ? 65504.0f : 3.3895313892515355e38f;
    const float limited = x > most ? most : x < -most ? -most : x; // NaN stays NaN
    return static_cast<uint16_t>(pack<TYPE>(limited, 0.0f));
}

template <half_type TYPE>
__device__ __forceinline__ void load_vector(const attn_fwd_tensor &tensor, int64_t at, bool vectors, float (&to)[8])
{
    const uint16_t *from = static_cast<const uint16_t *>(tensor.data) + at;
    uint16_t halves[8];
    if (vectors) {
        const uint4 words = __ldg(reinterpret_cast<const uint4 *>(from));
        memcpy(halves, &words, sizeof halves);
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++) halves[i] = __ldg(from + i);
    }
#pragma unroll
    for (int i = 0; i < 8; i++) to[i] = float_of<TYPE>(halves[i]);
}

// Of one row and head, by eight threads: `part` is 0 .. 7.  The sum's order depends on d_v alone.
template <half_type TYPE>
__device__ __forceinline__ void terms_of(const row_terms_params &p, int row, int head, int batch, int part)
{
    float d = 0.0f, l = INFINITY;
    if (row < p.n_q) {
        const int64_t at = p.q_rows ? p.q_rows[row] : row;
        const auto place = [&](const attn_fwd_tensor &t) { return at * t.row + head * t.head + batch * t.batch; };
        if (p.dout.data)
            for (int column = 8 * part; column < p.d_v; column += 64) {
                float o[8], g[8];
                load_vector<TYPE>(p.out, place(p.out) + column, p.vectors, o);
                load_vector<TYPE>(p.dout, place(p.dout) + column, p.vectors, g);
#pragma unroll
                for (int i = 0; i < 8; i++) d = fmaf(o[i], g[i], d);
            }
        const unsigned eight = 0xffu << (threadIdx.x & 24);
#pragma unroll
        for (int other = 1; other < 8; other *= 2) d += __shfl_xor_sync(eight, d, other);
        const float lse = static_cast<const float *>(p.lse.data)[place(p.lse)];
        if (p.dlse.data) d -= static_cast<const float *>(p.dlse.data)[place(p.dlse)];
        if (lse == -INFINITY)
            d = 0.0f; // no pair has a weight
        else
            l = fmaf(lse, 1.44269504088896340736f, -static_cast<float>(weight_shift<TYPE>));
    }
    if (part != 0) return;
    // The operand holds no more than three of the type's largest numbers: beyond that the gradients are NaN, not wrong.
    if (!(fabsf(d) <= (TYPE == half_type::f16 ? 3.0f * 65504.0f : FLT_MAX))) d = NAN;
    octet_terms *to = p.terms + (static_cast<int64_t>(batch) * p.heads + head) * p.octets + row / OCTET;
    const uint16_t high = nearest_finite<TYPE>(-d);
    const float rest = -d - float_of<TYPE>(high);
    const uint16_t middle = nearest_finite<TYPE>(rest), low = nearest_finite<TYPE>(rest - float_of<TYPE>(middle));
    *reinterpret_cast<uint4 *>(to->minus_d[row % OCTET]) =
        make_uint4(high | static_cast<uint32_t>(middle) << 16, low, 0, 0);
    to->l[row % OCTET] = l;
}

// Eight threads take a row and head, 8 columns each at a time; heads of a row follow each other, since most tensors
// have them so.
template <half_type TYPE>
__global__ void __launch_bounds__(ROW_TERMS_THREADS) row_terms(const __grid_constant__ row_terms_params p)
{
    const uint32_t number = blockIdx.x * (ROW_TERMS_THREADS / 8) + threadIdx.x / 8, heads = p.heads;
    const int row = static_cast<int>(number / heads), head = static_cast<int>(number % heads);
    const int part = threadIdx.x & 7;
    ptx::griddepcontrol_launch_dependents();
    ptx::griddepcontrol_wait(); // the kernels before may still read what was there, or write what is read here
    if (row >= p.octets * OCTET) return; // all threads of a row do
    for (int batch = blockIdx.y; batch < p.batch; batch += gridDim.y) terms_of<TYPE>(p, row, head, batch, part);
}
} // namespace sm90
