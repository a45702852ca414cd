// SPDX-License-Identifier: Apache-2.0
// The fused forward kernel: S = Q K^T, mask, softmax, O += P V for one strip per warpgroup, nothing written in
// between.
//   warpgroup W (the last)    producers: each warp gathers a panel of K or of V into the ring, by the copy engine
//   warpgroups 0 .. W - 1     each takes a strip of the tile and, from the ring, the stages on the strip's list
// Persistent: CTA c works through items[item_first[c] .. item_first[c + 1]), once for every batch entry.
// Read contract/tiles.h and config.cuh first.  Method, drawing and numbers: docs/kernels/attn_fwd_sm90.md.
#pragma once
#include "kernels/cuda/ptx/copy.cuh"
#include "kernels/cuda/ptx/mbarrier.cuh"
#include "kernels/cuda/ptx/misc.cuh"
#include "kernels/cuda/ptx/mma.cuh"
#include "kernels/cuda/sm90/config.cuh"
#include "kernels/cuda/sm90/params.h"

#include <cstring>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace sm90
{
using ptx::half_type;
constexpr unsigned WARP = 0xffffffff;
constexpr int STRIP_ROWS = 64;

// A step's weights may add up to this much per thread and row before the row's reference is raised: below float16's
// largest number, and P V's sums stay exact enough.
constexpr float WEIGHT_LIMIT = 4096.0f;

template <half_type TYPE> __device__ __forceinline__ uint32_t pack(float low, float high)
{
    return TYPE == half_type::f16 ? ptx::cvt_rn_f16x2(low, high) : ptx::cvt_rn_bf16x2(low, high);
}

// The value that all threads of the warp have, in a uniform register: addresses and branches made from it cost the
// vector registers nothing.
__device__ __forceinline__ uint32_t uniform(uint32_t x)
{
    return ptx::redux_sync_or(x);
}

// ---- Producer ------------------------------------------------------------------------------------------------

// Producer warp `warp` brings panel warp / 2 of K (even) or V (odd); the first one mask words, too.
template <int D>
__device__ __forceinline__ void produce(const attn_fwd_params &p, const CUtensorMap *k_map, const CUtensorMap *v_map,
                                        int warp)
{
    using C = attn_fwd_config<D>;
    uint32_t slot = 0, turn = 0;
    const CUtensorMap *map = warp & 1 ? v_map : k_map;
    const int lane = threadIdx.x & 31, column = warp / 2 * C::PANEL;
    const uint32_t into = C::BASE + (warp & 1) * C::MATRIX_BYTES + warp / 2 * C::PANEL_BYTES;
    const int first = p.item_first[blockIdx.x], last = p.item_first[blockIdx.x + 1];
    for (int batch = 0; batch < p.batch; batch++) {
        for (int i = first; i < last; i++) {
            const tile_item item = p.items[i];
            const int kv_head = item.head / p.heads_per_kv;
            const uint32_t *masks = p.masks + static_cast<int64_t>(item.mask_first) * STEP_WORDS;
            const int32_t *stages = p.stages[item.stage_first].group + lane % STAGE_GROUPS;
            int32_t next = __ldg(stages);
            for (int s = 0; s < item.stages; s++) {
                const int32_t mine = next;
                next = __ldg(stages += STAGE_GROUPS); // the array ends with one that is never used
                int rows[STAGE_GROUPS];
#pragma unroll
                for (int g = 0; g < STAGE_GROUPS; g++)
                    rows[g] = (__shfl_sync(WARP, mine, g) & STAGE_GROUP_MASK) * GROUP_KEYS;
                const int looking = __popc(__shfl_sync(WARP, static_cast<uint32_t>(mine), 0) >> STAGE_USERS_SHIFT);
                const uint32_t mask_bytes =
                    __popc(__shfl_sync(WARP, static_cast<uint32_t>(mine), 1) >> STAGE_USERS_SHIFT) * C::MASK_BYTES;
                ptx::mbarrier_wait(C::EMPTY + 8 * slot, ~turn & 1); // a fresh one counts as complete in parity 1
                if (ptx::elect_sync()) {
                    const uint32_t full = C::FULL + 16 * slot + 8 * (turn & 1), to = into + slot * C::STAGE_BYTES;
                    if (warp == 0) {
                        ptx::mbarrier_arrive_expect_tx(full, C::PANEL_BYTES + mask_bytes);
                        if (mask_bytes > 0)
                            ptx::cp_async_bulk(C::MASKS + slot * (C::WARPGROUPS * C::MASK_BYTES), masks, mask_bytes,
                                               full);
                        // For the warpgroups that will not look at this stage.
                        if (looking < C::WARPGROUPS)
                            ptx::mbarrier_arrive(C::EMPTY + 8 * slot, 128 * (C::WARPGROUPS - looking));
                    } else {
                        ptx::mbarrier_arrive_expect_tx(full, C::PANEL_BYTES);
                    }
#pragma unroll
                    for (int g = 0; g < STAGE_GROUPS; g++)
                        ptx::cp_async_bulk_tensor_4d(to + g * C::GROUP_BYTES, map, column, rows[g], kv_head, batch,
                                                     full);
                }
                __syncwarp();
                masks += mask_bytes / 4;
                if (++slot == C::RING) {
                    slot = 0;
                    turn++;
                }
            }
        }
    }
}

// ---- Consumer ------------------------------------------------------------------------------------------------

// What a warpgroup's thread holds of its strip: rows 16 warp + lane / 4 (index 0 below) and 8 further (index 1); of
// every 8 columns, 2 (lane % 4) and the next.
template <int D> struct strip_state {
    uint32_t q[D / 4]; // Q as A fragments: 4 words per 16 columns; not used with Q_SHARED
    float o[D / 2];    // O: 4 numbers per 8 columns
    float max[2];      // the rows' references, integers in units of log2; -inf = not set yet
    float sum[2];      // this thread's part of the rows' weights
};

template <int D> __device__ __forceinline__ uint32_t queries_at()
{
    return attn_fwd_config<D>::QUERIES + uniform(threadIdx.x >> 7) * attn_fwd_config<D>::QUERY_BYTES;
}

template <half_type TYPE, int D, bool ACCUMULATE>
__device__ __forceinline__ void multiply_q_k_16(float (&s)[32], const uint32_t *q, uint32_t queries, uint32_t stage,
                                                int column)
{
    using C = attn_fwd_config<D>;
    using wgmma = ptx::wgmma_k16<64, TYPE, false, ACCUMULATE>;
    const uint32_t offset = column / C::PANEL * C::PANEL_BYTES + column % C::PANEL * 2;
    if constexpr (C::Q_SHARED)
        wgmma::ss(s, C::descriptor(queries, offset), C::descriptor(stage, offset));
    else
        wgmma::rs(s, q + column / 4, C::descriptor(stage, offset));
}

template <half_type TYPE, int D>
__device__ __forceinline__ void multiply_q_k(float (&s)[32], const uint32_t (&q)[D / 4], uint32_t stage)
{
    const uint32_t queries = queries_at<D>();
    multiply_q_k_16<TYPE, D, false>(s, q, queries, stage, 0);
#pragma unroll
    for (int k = 1; k < D / 16; k++) multiply_q_k_16<TYPE, D, true>(s, q, queries, stage, 16 * k);
}

template <half_type TYPE, int D>
__device__ __forceinline__ void multiply_p_v(float (&o)[D / 2], const uint32_t (&p)[16], uint32_t stage)
{
    using C = attn_fwd_config<D>;
#pragma unroll
    for (int k = 0; k < STAGE_KEYS / 16; k++)
#pragma unroll
        for (int panel = 0; panel < C::PANELS; panel++) {
            const uint64_t values =
                C::descriptor(stage, C::MATRIX_BYTES + panel * C::PANEL_BYTES + k * 2 * C::GROUP_BYTES);
            ptx::wgmma_k16<C::PANEL, TYPE, true, true>::rs(o + panel * (C::PANEL / 2), p + 4 * k, values);
        }
}

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
    float top[2] = { -INFINITY, -INFINITY };
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
    float top[2] = { -INFINITY, -INFINITY };
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

// Where a warpgroup stands in its strip's list and in the ring.
// A barrier has one bit of phase, which tells a fill from the one before it on the same barrier only to those who
// know that one to be complete.  Each slot has two barriers in turn, so that one is the fill two turns of the ring
// before; and a warpgroup has met one of the last 2 REACH <= RING stages (tiles_make()).  To issue that one, or any
// behind it, the producer had issued all before it, among them one in the same slot a turn ago; and that only after
// the fill two turns ago had been there and was used.
template <int D> struct ring_place {
    using C = attn_fwd_config<D>;
    uint32_t begin = 0;       // stages before the item's first
    uint32_t loaded, list;    // the next 32 entries of the list, one a lane; where the ones after them are
    uint32_t words, lane;     // the present 32, each made into all that its step needs; which lane comes next
    uint32_t word;            // of the step to take
    uint32_t barrier, parity; // that says that its stage is there

    // A word: 2 slot + which of its barriers; parity; slot * WARPGROUPS + which mask; STEP_MASKED; negative = the
    // end.
    enum { PARITY_SHIFT = 6, MASK_SHIFT = 8 };
    __device__ __forceinline__ uint32_t word_of(uint32_t entry) const
    {
        const uint32_t number = begin + (entry & STEP_STAGE_MASK), turn = number / C::RING,
                       slot = number - turn * C::RING;
        if (entry == static_cast<uint32_t>(STEP_END)) return entry;
        return slot << 1 | (turn & 1) | (turn >> 1 & 1) << PARITY_SHIFT |
               (slot * C::WARPGROUPS + (entry >> STEP_MASK_SHIFT & 3)) << MASK_SHIFT | (entry & STEP_MASKED);
    }
    __device__ __forceinline__ void load(const attn_fwd_params &p)
    {
        loaded = ptx::ld_global_nc(p.list + list);
        list += 32;
    }
    __device__ __forceinline__ void prepare(const attn_fwd_params &p)
    {
        words = word_of(loaded);
        load(p);
        lane = 0;
    }
    __device__ __forceinline__ void advance(const attn_fwd_params &p)
    {
        word = uniform((threadIdx.x & 31) == lane ? words : 0);
        barrier = C::FULL + 8 * (word & 63);
        parity = word >> PARITY_SHIFT & 1;
        if (++lane == 32) prepare(p);
    }
    // A new list: start() asks for the first entries, ready() waits for them.
    __device__ __forceinline__ void start(const attn_fwd_params &p, uint32_t first_entry)
    {
        list = first_entry + (threadIdx.x & 31);
        load(p);
    }
    __device__ __forceinline__ void ready(const attn_fwd_params &p)
    {
        prepare(p);
        advance(p);
    }

    __device__ __forceinline__ void wait() const
    {
        ptx::mbarrier_wait(barrier, parity);
    }
    __device__ __forceinline__ uint32_t stage() const
    {
        return C::BASE + (word >> 1 & 31) * C::STAGE_BYTES;
    }
    __device__ __forceinline__ uint32_t empty() const
    {
        return C::EMPTY + 4 * (word & 62);
    }
    // This thread's mask bits, which come with the stage.
    __device__ __forceinline__ uint32_t bits() const
    {
        return ptx::ld_shared(C::MASKS + (word >> MASK_SHIFT & 255) * C::MASK_BYTES + 4 * (threadIdx.x & 127));
    }
    __device__ __forceinline__ bool more() const
    {
        return static_cast<int>(word) >= 0;
    }
    __device__ __forceinline__ bool masked() const
    {
        return static_cast<int>(word) >= STEP_MASKED;
    }
    __device__ __forceinline__ bool full() const
    {
        return word < STEP_MASKED;
    }
};

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

// The stage at `w` meets the strip, and `w` goes on to the next, in the shadow of P V.
template <half_type TYPE, int D, step_kind KIND>
__device__ __forceinline__ void step(const attn_fwd_params &p, ring_place<D> &w, strip_state<D> &t)
{
    constexpr bool MASKED = KIND != step_kind::full;
    const uint32_t stage = w.stage(), empty = w.empty();
    float s[32], part[2];
    uint32_t weights[16];
    w.wait();
    const uint32_t bits = MASKED ? w.bits() : WARP;
    ptx::wgmma_fence();
    multiply_q_k<TYPE, D>(s, t.q, stage);
    ptx::wgmma_commit_group();
    ptx::wgmma_wait_group<0>();
    ptx::wgmma_pin(s);
    weigh_step<D, KIND>(p, bits, s, part, t);
    sum_weights<TYPE, D, KIND>(p, stage, bits, s, part, t);
    pack_weights<TYPE>(s, weights);
    ptx::wgmma_fence();
    multiply_p_v<TYPE, D>(t.o, weights, stage);
    ptx::wgmma_commit_group();
    w.advance(p);
    ptx::wgmma_wait_group<0>();
    ptx::wgmma_pin(t.o);
    ptx::mbarrier_arrive(empty); // by each thread, for the mask word that it has read
}

// The same with P V a step behind, so that it runs during the softmax of the next step (the intra-warpgroup pipeline
// of FlashAttention-3, arXiv:2407.08608).  `weights` are those of the stage at `last`, which is still to be
// multiplied.
template <half_type TYPE, int D, step_kind KIND>
__device__ __forceinline__ void late_step(const attn_fwd_params &p, ring_place<D> &w, strip_state<D> &t,
                                          uint32_t (&weights)[16], uint32_t &last_stage, uint32_t &last_empty)
{
    constexpr bool MASKED = KIND != step_kind::full;
    const uint32_t stage = w.stage(), empty = w.empty();
    float s[32], part[2];
    w.wait();
    const uint32_t bits = MASKED ? w.bits() : WARP;
    ptx::wgmma_fence();
    multiply_q_k<TYPE, D>(s, t.q, stage);
    ptx::wgmma_commit_group();
    if (KIND != step_kind::first) {
        multiply_p_v<TYPE, D>(t.o, weights, last_stage);
        ptx::wgmma_commit_group();
        w.advance(p);
        ptx::wgmma_wait_group<1>();
    } else {
        w.advance(p);
        ptx::wgmma_wait_group<0>();
    }
    ptx::wgmma_pin(s);
    weigh_step<D, KIND>(p, bits, s, part, t);
    if (KIND != step_kind::first) {
        ptx::wgmma_wait_group<0>();
        ptx::wgmma_pin(t.o);
        ptx::mbarrier_arrive(last_empty);
    }
    sum_weights<TYPE, D, KIND>(p, stage, bits, s, part, t);
    pack_weights<TYPE>(s, weights);
    last_stage = stage;
    last_empty = empty;
}

// All stages of the strip's list.
template <half_type TYPE, int D>
__device__ __forceinline__ void walk(const attn_fwd_params &p, ring_place<D> &w, strip_state<D> &t)
{
    if constexpr (attn_fwd_config<D>::LATE) {
        uint32_t weights[16], stage = 0, empty = 0;
        if (!w.more()) return;
        late_step<TYPE, D, step_kind::first>(p, w, t, weights, stage, empty);
        while (w.more()) {
#pragma unroll 1
            while (w.full()) late_step<TYPE, D, step_kind::full>(p, w, t, weights, stage, empty);
#pragma unroll 1
            while (w.masked()) late_step<TYPE, D, step_kind::masked>(p, w, t, weights, stage, empty);
        }
        ptx::wgmma_fence();
        multiply_p_v<TYPE, D>(t.o, weights, stage);
        ptx::wgmma_commit_group();
        ptx::wgmma_wait_group<0>();
        ptx::wgmma_pin(t.o);
        ptx::mbarrier_arrive(empty);
    } else {
        if (!w.more()) return;
        step<TYPE, D, step_kind::first>(p, w, t);
        while (w.more()) {
#pragma unroll 1
            while (w.full()) step<TYPE, D, step_kind::full>(p, w, t);
#pragma unroll 1
            while (w.masked()) step<TYPE, D, step_kind::masked>(p, w, t);
        }
    }
}

__device__ __forceinline__ const uint16_t *row_of(const attn_fwd_params &p, const attn_fwd_tensor &tensor, int row,
                                                  int head, int batch)
{
    const int64_t at = p.q_rows ? p.q_rows[row] : row;
    return static_cast<const uint16_t *>(tensor.data) + at * tensor.row + head * tensor.head + batch * tensor.batch;
}

// Words of Q's columns, all asked for before the first is waited for.  Rows past the end load the last row: no mask
// bit takes their scores.  Columns past the head's size are zero, as the tensor maps make those of K.
template <int D>
__device__ __forceinline__ void load_q(const attn_fwd_params &p, int first_row, int head, int batch,
                                       strip_state<D> &t)
{
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5 & 3;
    const uint16_t *from[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int row = first_row + 16 * warp + (lane >> 2) + 8 * r;
        from[r] = row_of(p, p.q, row < p.n_q ? row : static_cast<int>(p.n_q) - 1, head, batch) + 2 * (lane & 3);
    }
    if (p.q_words && p.d_qk == D) {
#pragma unroll
        for (int half = 0; half < D / 8; half++) // 8 columns each
#pragma unroll
            for (int r = 0; r < 2; r++)
                t.q[half / 2 * 4 + half % 2 * 2 + r] = __ldg(reinterpret_cast<const uint32_t *>(from[r] + 8 * half));
    } else {
#pragma unroll
        for (int half = 0; half < D / 8; half++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                uint32_t word = 0;
                if (8 * half < p.d_qk) // head sizes are multiples of 8
                    word = __ldg(from[r] + 8 * half) | static_cast<uint32_t>(__ldg(from[r] + 8 * half + 1)) << 16;
                t.q[half / 2 * 4 + half % 2 * 2 + r] = word;
            }
    }
}

// With Q_SHARED: the rows on their way to where wgmma reads them, 8 columns at a time.
template <int D> __device__ __forceinline__ void fetch_q(const attn_fwd_params &p, int first_row, int head, int batch)
{
    using C = attn_fwd_config<D>;
    constexpr int CHUNKS = D / 8, STEP = 128 / CHUNKS;
    const int thread = threadIdx.x & 127, column = thread % CHUNKS * 8;
    const uint32_t queries = queries_at<D>();
    ptx::barrier_sync(1 + (threadIdx.x >> 7), 128); // no warp of the warpgroup multiplies by the old ones any more
#pragma unroll 4
    for (int r = thread / CHUNKS; r < STRIP_ROWS; r += STEP) {
        const int row = first_row + r < p.n_q ? first_row + r : static_cast<int>(p.n_q) - 1;
        const uint16_t *from = row_of(p, p.q, row, head, batch) + column;
        const uint32_t to = queries + C::swizzled(r, column);
        if (column >= p.d_qk) {
            ptx::st_shared_v4(to, 0, 0, 0, 0);
        } else if (p.q_vectors) {
            ptx::cp_async_16(to, from);
        } else {
            uint32_t words[4];
#pragma unroll
            for (int i = 0; i < 4; i++)
                words[i] = __ldg(from + 2 * i) | static_cast<uint32_t>(__ldg(from + 2 * i + 1)) << 16;
            ptx::st_shared_v4(to, words[0], words[1], words[2], words[3]);
        }
    }
}

__device__ __forceinline__ void q_fetched()
{
    ptx::cp_async_wait_all();
    ptx::fence_proxy_async();
    ptx::barrier_sync(1 + (threadIdx.x >> 7), 128);
}

template <half_type TYPE, int D>
__device__ __forceinline__ void store_rows(const attn_fwd_params &p, int first_row, int head, int batch,
                                           const strip_state<D> &t)
{
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5 & 3;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int row = first_row + 16 * warp + (lane >> 2) + 8 * r;
        const float sum = quad_sum(t.sum[r]);
        if (row >= p.n_q) continue;
        // A row without weight is zero, whatever its sums hold.
        const float factor = __frcp_rn(sum);
        uint16_t *to = const_cast<uint16_t *>(row_of(p, p.out, row, head, batch)) + 2 * (lane & 3);
        if (p.out_words && p.d_v == D) {
#pragma unroll
            for (int j = 0; j < D / 8; j++)
                reinterpret_cast<uint32_t *>(to)[4 * j] =
                    sum == 0.0f ? 0u : pack<TYPE>(t.o[4 * j + 2 * r] * factor, t.o[4 * j + 2 * r + 1] * factor);
        } else {
#pragma unroll
            for (int j = 0; j < D / 8; j++) {
                if (8 * j >= p.d_v) continue;
                const uint32_t word =
                    sum == 0.0f ? 0u : pack<TYPE>(t.o[4 * j + 2 * r] * factor, t.o[4 * j + 2 * r + 1] * factor);
                to[8 * j] = static_cast<uint16_t>(word);
                to[8 * j + 1] = static_cast<uint16_t>(word >> 16);
            }
        }
        if (p.lse.data && (lane & 3) == 0) {
            const int64_t at = p.q_rows ? p.q_rows[row] : row;
            float *lse = static_cast<float *>(p.lse.data) + at * p.lse.row + head * p.lse.head + batch * p.lse.batch;
            *lse = sum == 0.0f ? -INFINITY : (t.max[r] + log2f(sum)) * 0.69314718055994530942f;
        }
    }
}

// A warp's record of its task, on its way to shared memory at `to`.
template <int D> __device__ __forceinline__ void fetch_task(const attn_fwd_params &p, int item, uint32_t to)
{
    const int warpgroup = uniform(threadIdx.x >> 7), lane = threadIdx.x & 31;
    const tile_task *task = p.tasks + (static_cast<int64_t>(item) * attn_fwd_config<D>::WARPGROUPS + warpgroup);
    __syncwarp(); // what was there has been read
    if (lane < static_cast<int>(sizeof *task / 16))
        ptx::cp_async_16(to + 16 * lane, reinterpret_cast<const char *>(task) + 16 * lane);
}

__device__ __forceinline__ void fetched()
{
    ptx::cp_async_wait_all();
    __syncwarp();
}

__device__ __forceinline__ tile_task task_at(uint32_t at)
{
    tile_task task;
    uint32_t words[sizeof task / 4];
#pragma unroll
    for (int i = 0; i < static_cast<int>(sizeof task / 4); i++) words[i] = ptx::ld_shared(at + 4 * i);
    memcpy(&task, words, sizeof task);
    return task;
}

template <int D>
__device__ __forceinline__ void ask_q(const attn_fwd_params &p, const tile_task &task, int batch, strip_state<D> &t)
{
    if constexpr (attn_fwd_config<D>::Q_SHARED)
        fetch_q<D>(p, task.strip * STRIP_ROWS, task.head, batch);
    else
        load_q<D>(p, task.strip * STRIP_ROWS, task.head, batch, t);
}

template <half_type TYPE, int D> __device__ __forceinline__ void consume(const attn_fwd_params &p)
{
    using C = attn_fwd_config<D>;
    ring_place<D> w;
    strip_state<D> t;
    const int first = uniform(p.item_first[blockIdx.x]), last = uniform(p.item_first[blockIdx.x + 1]);
    uint32_t here = C::TASKS + 2 * sizeof(tile_task) * uniform(threadIdx.x >> 5), there = here + sizeof(tile_task);
    int item = first, batch = 0, left = (last - first) * p.batch;
    if (left > 0) {
        fetch_task<D>(p, item, here);
        fetched();
        const tile_task task = task_at(here);
        w.start(p, task.list);
        ask_q<D>(p, task, batch, t);
    }
    for (; left > 0; left--) {
        const bool wraps = item + 1 == last;
        const int next = wraps ? first : item + 1, next_batch = batch + (wraps ? 1 : 0);
        if constexpr (C::Q_SHARED) q_fetched();
        fetch_task<D>(p, next, there);
        w.ready(p);
        t.sum[0] = t.sum[1] = 0.0f;
        t.max[0] = t.max[1] = -INFINITY;
#pragma unroll
        for (int c = 0; c < D / 2; c++) t.o[c] = 0.0f;
        walk<TYPE, D>(p, w, t);
        fetched();
        // The next task's loads are under way while this one's rows are stored.
        const tile_task task = task_at(here);
        w.begin = uniform(w.begin + task.stages);
        if (left > 1) {
            const tile_task after = task_at(there);
            w.start(p, after.list);
            ask_q<D>(p, after, next_batch, t);
        }
        store_rows<TYPE, D>(p, task.strip * STRIP_ROWS, task.head, batch, t);
        item = next;
        batch = next_batch;
        const uint32_t swap = here;
        here = there;
        there = swap;
    }
}

template <half_type TYPE, int D>
__global__ void __launch_bounds__(attn_fwd_config<D>::THREADS, 1)
    attn_fwd(const __grid_constant__ CUtensorMap k_map, const __grid_constant__ CUtensorMap v_map,
             const __grid_constant__ attn_fwd_params p)
{
    using C = attn_fwd_config<D>;
    extern __shared__ __align__(1024) uint8_t shared[];
    const int warpgroup = __shfl_sync(WARP, threadIdx.x >> 7, 0), warp = __shfl_sync(WARP, threadIdx.x >> 5 & 3, 0);
    if (threadIdx.x == 0) {
        if (ptx::shared_address(shared) != C::BASE) __trap(); // the constants above would be wrong
        for (int i = 0; i < C::RING; i++) {
            ptx::mbarrier_init(C::FULL + 16 * i, C::PRODUCERS);
            ptx::mbarrier_init(C::FULL + 16 * i + 8, C::PRODUCERS);
            ptx::mbarrier_init(C::EMPTY + 8 * i, 128 * C::WARPGROUPS);
        }
        ptx::fence_mbarrier_init();
        ptx::fence_proxy_async();
    }
    __syncthreads();
    if (warpgroup == C::WARPGROUPS) {
        ptx::setmaxnreg_dec<C::PRODUCER_REGISTERS>();
        if (warp < C::PRODUCERS) produce<D>(p, &k_map, &v_map, warp);
    } else {
        ptx::setmaxnreg_inc<C::CONSUMER_REGISTERS>();
        consume<TYPE, D>(p);
    }
}
} // namespace sm90
