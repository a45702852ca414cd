// SPDX-License-Identifier: Apache-2.0
// Scores to weights, without a row maximum where none is needed.
#pragma once
#include "kernels/cuda/sm90/strip.cuh"

#include <cfloat>

namespace sm90
{
// A step's weights may add up to this much per thread and row before the row's reference is raised: below float16's
// largest number, and P V's sums stay exact enough.
constexpr float WEIGHT_LIMIT = 4096.0f;

__device__ __forceinline__ float quad_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(WARP, x, 1));
    return fmaxf(x, __shfl_xor_sync(WARP, x, 2));
}

__device__ __forceinline__ float quad_sum(float x)
{
    x += __shfl_xor_sync(WARP, x, 1);
    return x + __shfl_xor_sync(WARP, x, 2);
}

// A reference that is not set, subtracted from scores of -inf, must leave them there.
__device__ __forceinline__ float reference(float max)
{
    return max == -INFINITY ? 0.0f : max;
}

// What the largest of a row's scores in a step is at least: where all are below float32 (-inf) though the row has a
// pair, float32's last number, by which store_rows() tells such a row from one without pairs.
__device__ __forceinline__ float least_score(int r, uint32_t bits)
{
    return bits & (r == 0 ? 0x33333333u : 0xccccccccu) ? -FLT_MAX : -INFINITY;
}

// Scores to weights.  `bits` are the thread's mask bits; s becomes exp2(s * scale - max), part gets their sums.  A
// row whose reference is not set gets infinite weights where it has a pair, and asks for more by that.
template <bool MASKED>
__device__ __forceinline__ void weigh(float (&s)[32], uint32_t bits, float scale, const float (&max)[2],
                                      float (&part)[2])
{
    part[0] = part[1] = 0.0f;
#pragma unroll
    for (int i = 0; i < 32; i++) {
        float x = fmaf(s[i], scale, -max[i >> 1 & 1]);
        if (MASKED) x = bits >> i & 1 ? x : -INFINITY; // after the multiplication: any scale, any garbage
        s[i] = ptx::ex2_approx_ftz(x);
        part[i >> 1 & 1] += s[i];
    }
}

// The first step of a strip sets the references of the rows that have a pair in it: their largest score, rounded up.
__device__ __forceinline__ void set_references(const float (&s)[32], uint32_t bits, float scale, float (&max)[2])
{
    float top[2] = { least_score(0, bits), least_score(1, bits) };
#pragma unroll
    for (int i = 0; i < 32; i++) {
        const float x = bits >> i & 1 ? s[i] * scale : -INFINITY;
        top[i >> 1 & 1] = fmaxf(top[i >> 1 & 1], x);
    }
    max[0] = ceilf(quad_max(top[0]));
    max[1] = ceilf(quad_max(top[1]));
}

// Some row of this warp has weights over the limit (or NaN, or no reference yet): its scores are computed once more,
// by this warp alone, and its reference becomes their maximum.  Other rows keep what they have, bit for bit, so a
// row's result does not depend on its neighbours.  All factors are powers of two.
template <half_type TYPE, int D>
__device__ __forceinline__ void weigh_again(float (&s)[32], uint32_t bits, float scale, uint32_t stage, bool over0,
                                            bool over1, float (&part)[2], strip_state<D> &t)
{
    using C = attn_fwd_config<D>;
    const unsigned quad = 0xfu << (threadIdx.x & 28);
    const bool asks[2] = { (__ballot_sync(WARP, over0) & quad) != 0, (__ballot_sync(WARP, over1) & quad) != 0 };
    // This path is rare and must not cost the other one registers: a rolled loop, its results in local memory.
    volatile float scores[32];
    const uint32_t queries = queries_at<D>();
    float top[2] = { least_score(0, bits), least_score(1, bits) };
#pragma unroll 1
    for (int j = 0; j < 8; j++) {
        const int thread = ptx::mov_volatile(threadIdx.x) & 127, lane = thread & 31;
        const int row = thread / 32 * 16 + (lane >> 2), key = 8 * j + (lane >> 2), column = 2 * (lane & 3);
        float dot[4] = { 0.0f, 0.0f, 0.0f, 0.0f };
#pragma unroll
        for (int k = 0; k < D / 16; k++) {
            uint32_t q[4];
#pragma unroll
            for (int i = 0; i < 4; i++)
                q[i] = C::Q_SHARED
                           ? ptx::ld_shared(queries + C::swizzled(row + 8 * (i % 2), 16 * k + 8 * (i / 2) + column))
                           : t.q[4 * k + i];
            ptx::mma_m16n8k16<TYPE>(dot, q, ptx::ld_shared(stage + C::swizzled(key, 16 * k + column)),
                                    ptx::ld_shared(stage + C::swizzled(key, 16 * k + 8 + column)));
        }
#pragma unroll
        for (int b = 0; b < 4; b++) {
            const float x = bits >> (4 * j + b) & 1 ? dot[b] * scale : -INFINITY;
            scores[4 * j + b] = x;
            top[b >> 1] = fmaxf(top[b >> 1], x);
        }
    }
    float shrink[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const float raised = fmaxf(t.max[r], ceilf(quad_max(top[r])));
        shrink[r] = asks[r] ? (t.max[r] == -INFINITY ? 0.0f : ptx::ex2_approx_ftz(t.max[r] - raised)) : 1.0f;
        if (asks[r]) {
            t.max[r] = raised;
            t.sum[r] *= shrink[r];
            part[r] = 0.0f;
        }
    }
    const float base[2] = { reference(t.max[0]), reference(t.max[1]) };
#pragma unroll
    for (int i = 0; i < 32; i++) {
        const int r = i >> 1 & 1;
        if (!asks[r]) continue;
        s[i] = ptx::ex2_approx_ftz(scores[i] - base[r]);
        part[r] += s[i];
    }
#pragma unroll
    for (int i = 0; i < D / 2; i++) t.o[i] *= shrink[i >> 1 & 1];
}

enum class step_kind { first, masked, full };

template <int D, step_kind KIND>
__device__ __forceinline__ void weigh_step(const attn_fwd_params &p, uint32_t bits, float (&s)[32], float (&part)[2],
                                           strip_state<D> &t)
{
    if (KIND == step_kind::first) {
        set_references(s, bits, p.scale_log2, t.max);
        const float base[2] = { reference(t.max[0]), reference(t.max[1]) };
        weigh<true>(s, bits, p.scale_log2, base, part);
    } else {
        weigh<KIND == step_kind::masked>(s, bits, p.scale_log2, t.max, part);
    }
}

// Adds the row sums; before that, where weights got too large, corrects them and all that came before.
template <half_type TYPE, int D, step_kind KIND>
__device__ __forceinline__ void sum_weights(const attn_fwd_params &p, uint32_t stage, uint32_t bits, float (&s)[32],
                                            float (&part)[2], strip_state<D> &t)
{
    if (KIND != step_kind::first) { // whose weights are at most 1
        const bool over0 = !(part[0] <= WEIGHT_LIMIT), over1 = !(part[1] <= WEIGHT_LIMIT);
        if (__any_sync(WARP, over0 | over1)) weigh_again<TYPE>(s, bits, p.scale_log2, stage, over0, over1, part, t);
    }
    t.sum[0] += part[0];
    t.sum[1] += part[1];
}

template <half_type TYPE> __device__ __forceinline__ void pack_weights(const float (&s)[32], uint32_t (&weights)[16])
{
#pragma unroll
    for (int i = 0; i < 16; i++) weights[i] = pack<TYPE>(s[2 * i], s[2 * i + 1]);
}
} // namespace sm90
