// SPDX-License-Identifier: Apache-2.0
// Splits of a tile over CTAs (plan/tiles.h).  Where each split has a CTA of its own, this CTA stores its partial
// results in the workspace, and a second kernel combines them and stores the rows.  A CTA that does all splits of a
// tile keeps the sum of the splits before in a partial of its own.  Both add up one warpgroup split after the other,
// and the splits of each in order.
#pragma once
#include "kernels/cuda/sm90/combine.cuh"
#include "kernels/cuda/sm90/rows_io.cuh"

namespace sm90
{
// A partial result in the workspace: 16 bytes of each thread of the warpgroup, then the next 16 bytes of each.  O
// comes first, the rows' maxima and sums last.
template <int D> struct partial_layout {
    static constexpr int VECTORS = D / 8 + 1;
    static constexpr int BYTES = VECTORS * 128 * 16;
};

template <int D> __device__ __forceinline__ float4 *partial_at(const attn_fwd_params &p, int64_t number)
{
    return static_cast<float4 *>(p.partials) + number * (partial_layout<D>::BYTES / 16) + (threadIdx.x & 127);
}

// The partial that belongs to this warpgroup of this CTA.
template <int D> __device__ __forceinline__ float4 *own_partial(const attn_fwd_params &p)
{
    return partial_at<D>(p, static_cast<int64_t>(p.batch) * p.n_partials +
                                blockIdx.x * attn_fwd_config<D>::WARPGROUPS + (threadIdx.x >> 7));
}

// Row sums must be added up before.
template <int D> __device__ __forceinline__ void put(float4 *partial, const strip_state<D> &t)
{
#pragma unroll
    for (int i = 0; i < D / 8; i++)
        partial[128 * i] = make_float4(t.o[4 * i], t.o[4 * i + 1], t.o[4 * i + 2], t.o[4 * i + 3]);
    partial[128 * (D / 8)] = make_float4(t.max[0], t.max[1], t.sum[0], t.sum[1]);
}

template <int D> __device__ __forceinline__ void add(const float4 *partial, strip_state<D> &t)
{
    add_sums<D>(t, partial[128 * (D / 8)], [=](int i) { return partial[128 * i]; });
}

template <int D> __device__ __forceinline__ void clear(strip_state<D> &t)
{
    t.sum[0] = t.sum[1] = 0.0f;
    t.max[0] = t.max[1] = -INFINITY;
#pragma unroll
    for (int c = 0; c < D / 2; c++) t.o[c] = 0.0f;
}

// Sets t to the sum over the splits of a tile, for eight columns of a strip or of one of its warpgroup splits.
template <int D>
__device__ __forceinline__ void add_splits(const float4 *partial, int columns, int splits, strip_state<8> &t)
{
    constexpr int AT_ONCE = 16; // partials whose loads are under way
    constexpr int64_t NEXT = attn_fwd_config<D>::WARPGROUPS * (partial_layout<D>::BYTES / 16);
    clear<8>(t);
    for (int first = 0; first < splits; first += AT_ONCE) {
        float4 o[AT_ONCE], rows[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            if (first + i >= splits) continue;
            o[i] = __ldcg(partial + (first + i) * NEXT + columns / 8 * 128);
            rows[i] = __ldcg(partial + (first + i) * NEXT + D / 8 * 128);
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++)
            if (first + i < splits) add_sums<8>(t, rows[i], [&](int) { return o[i]; });
    }
}

// The second kernel: a block for each of p.combines, batch entry and eight columns.
template <half_type TYPE, int D>
__global__ void __launch_bounds__(128) combine_splits(const __grid_constant__ attn_fwd_params p)
{
    ptx::griddepcontrol_launch_dependents();
    const int columns = blockIdx.x % (D / 8) * 8, number = blockIdx.x / (D / 8), batch = number / p.n_combines;
    const tile_combine combine = p.combines[number % p.n_combines];
    const float4 *from = partial_at<D>(p, static_cast<int64_t>(batch) * p.n_partials + combine.partial);
    strip_state<8> t, other;
    ptx::griddepcontrol_wait(); // until the partials are written
    add_splits<D>(from, columns, combine.splits, t);
    for (int i = 1; i < p.warpgroup_splits; i++) {
        add_splits<D>(from + i * (partial_layout<D>::BYTES / 16), columns, combine.splits, other);
        add_sums<8>(t, make_float4(other.max[0], other.max[1], other.sum[0], other.sum[1]),
                    [&](int) { return make_float4(other.o[0], other.o[1], other.o[2], other.o[3]); });
    }
    keep_row_sums_once<8>(t);
    store_rows<TYPE, 8>(p, combine.strip * STRIP_ROWS, combine.head, batch, t, columns);
}
} // namespace sm90
