// SPDX-License-Identifier: Apache-2.0
// Softmax: scores become weights.  What is subtracted from a row's scores is its "maximum", strip_state.max: that of
// the first step in which the row has a pair, rounded up, and raised later only when a step's weights get too large.
#pragma once
#include "kernels/cuda/sm90/strip.cuh"

#include <cfloat>

namespace sm90
{
// A step's weights may add up to this much per thread and row before the row's maximum is raised.  It is below
// float16's largest number, and the sums of P V stay exact enough.
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

// The maximum as a number to subtract: where it is not set (-inf), scores of -inf must stay what they are.
__device__ __forceinline__ float finite_max(float max)
{
    return max == -INFINITY ? 0.0f : max;
}

// The least that the largest of a row's scores in a step can be.  Where the row has a pair, but all of its scores are
// below float32 (-inf), that is float32's last number, by which store_rows() tells such a row from one without pairs.
__device__ __forceinline__ float least_score(int r, uint32_t bits)
{
    return bits & (r == 0 ? 0x33333333u : 0xccccccccu) ? -FLT_MAX : -INFINITY;
}

// Turns scores into weights: s becomes exp2(s * scale - max), and step_sum their sums.  `bits` are the thread's mask
// bits.  A row whose maximum is not set gets infinite weights where it has a pair, and so is rescaled.
template <bool MASKED>
__device__ __forceinline__ void exponentiate(float (&s)[32], uint32_t bits, float scale, const float (&max)[2],
                                             float (&step_sum)[2])
{
    step_sum[0] = step_sum[1] = 0.0f;
#pragma unroll
    for (int i = 0; i < 32; i++) {
        float x = fmaf(s[i], scale, -max[i >> 1 & 1]);
        if (MASKED) x = bits >> i & 1 ? x : -INFINITY; // after the multiplication: any scale, any garbage
        s[i] = ptx::ex2_approx_ftz(x);
        step_sum[i >> 1 & 1] += s[i];
    }
}

// Sets the maxima of the rows that have a pair in the strip's first step: their largest score there, rounded up.
__device__ __forceinline__ void set_maxima(const float (&s)[32], uint32_t bits, float scale, float (&max)[2])
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

// Rescales the rows of this warp that have weights over the limit (or NaN, or no maximum yet).  The warp computes the
// step's scores once more, by itself, raises the maxima of these rows, and computes their weights again.  Other rows
// keep what they have, bit for bit, so that a row's result does not depend on its neighbours.  All factors are powers
// of two.
template <half_type TYPE, int D>
__device__ __forceinline__ void rescale(float (&s)[32], uint32_t bits, float scale, uint32_t stage, bool over0,
                                        bool over1, float (&step_sum)[2], strip_state<D> &t)
{
    using C = attn_fwd_config<D>;
    const unsigned quad = 0xfu << (threadIdx.x & 28);
    const bool raise[2] = { (__ballot_sync(WARP, over0) & quad) != 0, (__ballot_sync(WARP, over1) & quad) != 0 };
    // This path is rare and must not cost the common one registers: the loop is rolled, its results in local memory.
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
        shrink[r] = raise[r] ? (t.max[r] == -INFINITY ? 0.0f : ptx::ex2_approx_ftz(t.max[r] - raised)) : 1.0f;
        if (raise[r]) {
            t.max[r] = raised;
            t.sum[r] *= shrink[r];
            step_sum[r] = 0.0f;
        }
    }
    const float base[2] = { finite_max(t.max[0]), finite_max(t.max[1]) };
#pragma unroll
    for (int i = 0; i < 32; i++) {
        const int r = i >> 1 & 1;
        if (!raise[r]) continue;
        s[i] = ptx::ex2_approx_ftz(scores[i] - base[r]);
        step_sum[r] += s[i];
    }
#pragma unroll
    for (int i = 0; i < D / 2; i++) t.o[i] *= shrink[i >> 1 & 1];
}

enum class step_kind { first, masked, full };

template <int D, step_kind KIND>
__device__ __forceinline__ void exponentiate_step(const attn_fwd_params &p, uint32_t bits, float (&s)[32],
                                                  float (&step_sum)[2], strip_state<D> &t)
{
    if (KIND == step_kind::first) {
        set_maxima(s, bits, p.scale_log2, t.max);
        const float base[2] = { finite_max(t.max[0]), finite_max(t.max[1]) };
        exponentiate<true>(s, bits, p.scale_log2, base, step_sum);
    } else {
        exponentiate<KIND == step_kind::masked>(s, bits, p.scale_log2, t.max, step_sum);
    }
}

// Adds the step's weights to the row sums; before that it rescales rows whose weights are too large.
template <half_type TYPE, int D, step_kind KIND>
__device__ __forceinline__ void add_step(const attn_fwd_params &p, uint32_t stage, uint32_t bits, float (&s)[32],
                                         float (&step_sum)[2], strip_state<D> &t)
{
    if (KIND != step_kind::first) { // the weights of a first step are at most 1
        const bool over0 = !(step_sum[0] <= WEIGHT_LIMIT), over1 = !(step_sum[1] <= WEIGHT_LIMIT);
        if (__any_sync(WARP, over0 | over1)) rescale<TYPE>(s, bits, p.scale_log2, stage, over0, over1, step_sum, t);
    }
    t.sum[0] += step_sum[0];
    t.sum[1] += step_sum[1];
}

template <half_type TYPE> __device__ __forceinline__ void pack_weights(const float (&s)[32], uint32_t (&weights)[16])
{
#pragma unroll
    for (int i = 0; i < 16; i++) weights[i] = pack<TYPE>(s[2 * i], s[2 * i + 1]);
}
} // namespace sm90
