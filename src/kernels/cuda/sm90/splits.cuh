// SPDX-License-Identifier: Apache-2.0
// Tiles of several shares.  Where CTAs work on shares, each leaves what it has of a strip in a slot of the workspace,
// and a second kernel adds it up and stores the rows.  A CTA that works on all of them keeps the sum of those before
// in a slot of its own.  Either way part by part, and the shares of a part in order.
#pragma once
#include "kernels/cuda/sm90/parts.cuh"
#include "kernels/cuda/sm90/rows_io.cuh"

namespace sm90
{
// A slot: 16 bytes of each thread of the warpgroup, then the next 16; O, at last the rows' references and sums.
template <int D> struct slot_layout {
    static constexpr int VECTORS = D / 8 + 1;
    static constexpr int BYTES = VECTORS * 128 * 16;
};

template <int D> __device__ __forceinline__ float4 *slot_at(const attn_fwd_params &p, int64_t number)
{
    return static_cast<float4 *>(p.slots) + number * (slot_layout<D>::BYTES / 16) + (threadIdx.x & 127);
}

// Of the warpgroup.
template <int D> __device__ __forceinline__ float4 *own_slot(const attn_fwd_params &p)
{
    return slot_at<D>(p, static_cast<int64_t>(p.batch) * p.n_slots + blockIdx.x * attn_fwd_config<D>::WARPGROUPS +
                             (threadIdx.x >> 7));
}

// With row sums added up.
template <int D> __device__ __forceinline__ void put(float4 *slot, const strip_state<D> &t)
{
#pragma unroll
    for (int i = 0; i < D / 8; i++)
        slot[128 * i] = make_float4(t.o[4 * i], t.o[4 * i + 1], t.o[4 * i + 2], t.o[4 * i + 3]);
    slot[128 * (D / 8)] = make_float4(t.max[0], t.max[1], t.sum[0], t.sum[1]);
}

template <int D> __device__ __forceinline__ void add(const float4 *slot, strip_state<D> &t)
{
    add_sums<D>(t, slot[128 * (D / 8)], [=](int i) { return slot[128 * i]; });
}

template <int D> __device__ __forceinline__ void clear(strip_state<D> &t)
{
    t.sum[0] = t.sum[1] = 0.0f;
    t.max[0] = t.max[1] = -INFINITY;
#pragma unroll
    for (int c = 0; c < D / 2; c++) t.o[c] = 0.0f;
}

// Eight columns of a part of a strip: the sum of its shares.
template <int D>
__device__ __forceinline__ void add_shares(const float4 *slot, int columns, int shares, strip_state<8> &t)
{
    constexpr int AT_ONCE = 16; // slots whose loads are under way
    constexpr int64_t NEXT = attn_fwd_config<D>::WARPGROUPS * (slot_layout<D>::BYTES / 16);
    clear<8>(t);
    for (int first = 0; first < shares; first += AT_ONCE) {
        float4 o[AT_ONCE], rows[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            if (first + i >= shares) continue;
            o[i] = __ldcg(slot + (first + i) * NEXT + columns / 8 * 128);
            rows[i] = __ldcg(slot + (first + i) * NEXT + D / 8 * 128);
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++)
            if (first + i < shares) add_sums<8>(t, rows[i], [&](int) { return o[i]; });
    }
}

// A block for each of p.joins, batch entry and eight columns.
template <half_type TYPE, int D>
__global__ void __launch_bounds__(128) join_shares(const __grid_constant__ attn_fwd_params p)
{
    ptx::griddepcontrol_launch_dependents();
    const int columns = blockIdx.x % (D / 8) * 8, number = blockIdx.x / (D / 8), batch = number / p.n_joins;
    const tile_join join = p.joins[number % p.n_joins];
    const float4 *from = slot_at<D>(p, static_cast<int64_t>(batch) * p.n_slots + join.slot);
    strip_state<8> t, part;
    ptx::griddepcontrol_wait(); // until the slots are filled
    add_shares<D>(from, columns, join.shares, t);
    for (int i = 1; i < p.parts; i++) {
        add_shares<D>(from + i * (slot_layout<D>::BYTES / 16), columns, join.shares, part);
        add_sums<8>(t, make_float4(part.max[0], part.max[1], part.sum[0], part.sum[1]),
                    [&](int) { return make_float4(part.o[0], part.o[1], part.o[2], part.o[3]); });
    }
    keep_row_sums_once<8>(t);
    store_rows<TYPE, 8>(p, join.strip * STRIP_ROWS, join.head, batch, t, columns);
}
} // namespace sm90
