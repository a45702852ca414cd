// SPDX-License-Identifier: Apache-2.0
// The parts of a cut strip come together: each warpgroup but the one that gathers leaves its sums in a place of the
// ring that the producer keeps free for it behind the item's stages.
#pragma once
#include "kernels/cuda/sm90/softmax.cuh"

namespace sm90
{
// `place`: its number among all stages.
template <int D> __device__ __forceinline__ void leave_part(uint32_t place, int part, strip_state<D> &t)
{
    using C = attn_fwd_config<D>;
    const uint32_t slot = uniform(place % C::RING), turn = uniform(place / C::RING), thread = threadIdx.x & 127;
    const uint32_t sums = C::BASE + slot * C::STAGE_BYTES + 16 * thread;
    const uint32_t rows = C::MASKS + slot * (C::WARPGROUPS * C::MASK_BYTES) + 16 * (thread >> 2);
    const float sum0 = quad_sum(t.sum[0]), sum1 = quad_sum(t.sum[1]);
    ptx::mbarrier_wait(C::FULL + 16 * slot + 8 * (turn & 1), turn >> 1 & 1); // nothing was copied: the place is free
#pragma unroll
    for (int i = 0; i < D / 8; i++)
        ptx::st_shared_v4(sums + 2048 * i, make_float4(t.o[4 * i], t.o[4 * i + 1], t.o[4 * i + 2], t.o[4 * i + 3]));
    if ((thread & 3) == 0) ptx::st_shared_v4(rows, make_float4(t.max[0], t.max[1], sum0, sum1));
    ptx::fence_proxy_async(); // copies will fill the place again
    ptx::mbarrier_arrive(C::WRITTEN + 8 * (part - 1));
    ptx::mbarrier_arrive(C::EMPTY + 8 * slot);
}

// The strip's state becomes that of all parts together, in their order.  Factors are powers of two.  `odd`: the CTA
// has had an odd number of cut strips before.
template <int D>
__device__ __forceinline__ void gather_parts(uint32_t first_place, int places, uint32_t odd, strip_state<D> &t)
{
    using C = attn_fwd_config<D>;
    const uint32_t thread = threadIdx.x & 127;
    t.sum[0] = quad_sum(t.sum[0]);
    t.sum[1] = quad_sum(t.sum[1]);
#pragma unroll 1
    for (int i = 0; i < places; i++) {
        const uint32_t slot = uniform((first_place + i) % C::RING);
        const uint32_t sums = C::BASE + slot * C::STAGE_BYTES + 16 * thread;
        const uint32_t rows = C::MASKS + slot * (C::WARPGROUPS * C::MASK_BYTES) + 16 * (thread >> 2);
        ptx::mbarrier_wait(C::WRITTEN + 8 * i, odd);
        const float4 row = ptx::ld_shared_v4(rows);
        const float max[2] = { row.x, row.y }, sum[2] = { row.z, row.w };
        float ours[2], theirs[2];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            // A part without weight counts for nothing, whatever its sums hold.
            const float top = fmaxf(t.max[r], max[r]);
            ours[r] = t.sum[r] == 0.0f ? 0.0f : ptx::ex2_approx_ftz(t.max[r] - top);
            theirs[r] = sum[r] == 0.0f ? 0.0f : ptx::ex2_approx_ftz(max[r] - top);
            t.sum[r] = t.sum[r] * ours[r] + sum[r] * theirs[r];
            t.max[r] = top;
        }
#pragma unroll
        for (int j = 0; j < D / 8; j++) {
            const float4 x = ptx::ld_shared_v4(sums + 2048 * j);
            const float their[4] = { x.x, x.y, x.z, x.w };
#pragma unroll
            for (int k = 0; k < 4; k++) {
                float &o = t.o[4 * j + k];
                o = (ours[k >> 1] == 0.0f ? 0.0f : o * ours[k >> 1]) +
                    (theirs[k >> 1] == 0.0f ? 0.0f : their[k] * theirs[k >> 1]);
            }
        }
        ptx::fence_proxy_async();
        ptx::mbarrier_arrive(C::EMPTY + 8 * slot);
    }
    if ((thread & 3) != 0) t.sum[0] = t.sum[1] = 0.0f; // store_rows() adds up the four
}
} // namespace sm90
