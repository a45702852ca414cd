// SPDX-License-Identifier: Apache-2.0
// Splits of a strip over warpgroups (plan/tiles.h).  Each warpgroup but the one that combines stores its partial
// result in a combine stage: a slot of the ring that the producers leave empty for it behind the item's stages.
#pragma once
#include "kernels/cuda/sm90/softmax.cuh"

namespace sm90
{
// Where in a combine stage this thread's O is, and where its rows' maxima and sums are.
template <int D> __device__ __forceinline__ uint32_t combine_stage_o(uint32_t slot)
{
    return attn_fwd_config<D>::BASE + slot * attn_fwd_config<D>::STAGE_BYTES + 16 * (threadIdx.x & 127);
}

template <int D> __device__ __forceinline__ uint32_t combine_stage_rows(uint32_t slot)
{
    using C = attn_fwd_config<D>;
    return C::MASKS + slot * (C::WARPGROUPS * C::MASK_BYTES) + 4 * (threadIdx.x & 124);
}

// Waits until the producers have left the slot empty.  Then the combine stage's last reader is done with it, too, so
// that WRITTEN is in this item's phase.
template <int D> __device__ __forceinline__ void wait_for_combine_stage(uint32_t number)
{
    using C = attn_fwd_config<D>;
    const uint32_t slot = uniform(number % C::RING), lap = uniform(number / C::RING);
    ptx::mbarrier_wait(C::FULL + 16 * slot + 8 * (lap & 1), lap >> 1 & 1);
}

template <int D> __device__ __forceinline__ void add_up_row_sums(strip_state<D> &t)
{
    t.sum[0] = quad_sum(t.sum[0]);
    t.sum[1] = quad_sum(t.sum[1]);
}

// Afterwards one of a row's four threads has its sum and the others 0, because store_rows() adds these up.
template <int D> __device__ __forceinline__ void keep_row_sums_once(strip_state<D> &t)
{
    if ((threadIdx.x & 3) != 0) t.sum[0] = t.sum[1] = 0.0f;
}

// Combines the strip's state, whose sums have been added up over the four threads of a row, with another partial
// result: `rows` is its maxima and sums, `o`(j) its O, as numbers 4 j .. 4 j + 3 of t.o.  Factors are powers of two.
template <int D, typename F> __device__ __forceinline__ void add_sums(strip_state<D> &t, float4 rows, const F &o)
{
    const float max[2] = { rows.x, rows.y }, sum[2] = { rows.z, rows.w };
    float ours[2], theirs[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        // A partial result without weight counts for nothing, whatever its sums hold.
        const float top = fmaxf(t.max[r], max[r]);
        ours[r] = t.sum[r] == 0.0f ? 0.0f : ptx::ex2_approx_ftz(t.max[r] - top);
        theirs[r] = sum[r] == 0.0f ? 0.0f : ptx::ex2_approx_ftz(max[r] - top);
        t.sum[r] = t.sum[r] * ours[r] + sum[r] * theirs[r];
        t.max[r] = top;
    }
#pragma unroll
    for (int j = 0; j < D / 8; j++) {
        const float4 x = o(j);
        const float their[4] = { x.x, x.y, x.z, x.w };
#pragma unroll
        for (int k = 0; k < 4; k++) {
            float &mine = t.o[4 * j + k];
            mine = (ours[k >> 1] == 0.0f ? 0.0f : mine * ours[k >> 1]) +
                   (theirs[k >> 1] == 0.0f ? 0.0f : their[k] * theirs[k >> 1]);
        }
    }
}

// Stores a partial result.  `stage` is the number of the combine stage among the item's, `number` that among all
// stages of the CTA.
template <int D>
__device__ __forceinline__ void store_partial(uint32_t stage, uint32_t number, const strip_state<D> &t)
{
    using C = attn_fwd_config<D>;
    const uint32_t slot = uniform(number % C::RING), o_at = combine_stage_o<D>(slot);
    const float sum0 = quad_sum(t.sum[0]), sum1 = quad_sum(t.sum[1]);
    wait_for_combine_stage<D>(number);
#pragma unroll
    for (int i = 0; i < D / 8; i++)
        ptx::st_shared_v4(o_at + 2048 * i, make_float4(t.o[4 * i], t.o[4 * i + 1], t.o[4 * i + 2], t.o[4 * i + 3]));
    if ((threadIdx.x & 3) == 0)
        ptx::st_shared_v4(combine_stage_rows<D>(slot), make_float4(t.max[0], t.max[1], sum0, sum1));
    ptx::mbarrier_arrive(C::WRITTEN + 8 * stage);
    ptx::fence_proxy_async(); // copies will fill the slot again
    ptx::mbarrier_arrive(C::EMPTY + 8 * slot);
}

// Combines the strip's state with the partial results of its other splits, in their order; their combine stages
// follow each other.  `odd` = 1 when the CTA has had an odd number of items with combine stages before.
template <int D>
__device__ __forceinline__ void combine_partials(uint32_t stage, uint32_t number, int stages, uint32_t odd,
                                                 strip_state<D> &t)
{
    using C = attn_fwd_config<D>;
    add_up_row_sums<D>(t);
#pragma unroll 1
    for (int i = 0; i < stages; i++) {
        const uint32_t slot = uniform((number + i) % C::RING), o_at = combine_stage_o<D>(slot);
        wait_for_combine_stage<D>(number + i);
        ptx::mbarrier_wait(C::WRITTEN + 8 * (stage + i), odd);
        add_sums<D>(t, ptx::ld_shared_v4(combine_stage_rows<D>(slot)),
                    [=](int j) { return ptx::ld_shared_v4(o_at + 2048 * j); });
    }
    ptx::fence_proxy_async();
    for (int i = 0; i < stages; i++) ptx::mbarrier_arrive(C::EMPTY + 8 * uniform((number + i) % C::RING));
    keep_row_sums_once<D>(t);
}
} // namespace sm90
