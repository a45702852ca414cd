// SPDX-License-Identifier: Apache-2.0
// The fused forward kernel: S = Q K^T, mask, softmax, O += P V for one strip per warpgroup, nothing written in
// between.
//   warpgroup W (the last)    producers: each warp gathers a panel of K or of V into the ring, by the copy engine
//   warpgroups 0 .. W - 1     each takes a strip of the tile and, from the ring, the stages on the strip's list
// Persistent: CTA c works through items[item_first[c] .. item_first[c + 1]), once for every batch entry.
// Read plan/tiles.h and config.cuh first.  Method, drawing and numbers: docs/kernels/attn_fwd_sm90.md.
#pragma once
#include "kernels/cuda/sm90/combine.cuh"
#include "kernels/cuda/sm90/item_walk.cuh"
#include "kernels/cuda/sm90/producer.cuh"
#include "kernels/cuda/sm90/ring_place.cuh"
#include "kernels/cuda/sm90/rows_io.cuh"
#include "kernels/cuda/sm90/softmax.cuh"
#include "kernels/cuda/sm90/splits.cuh"

#include <cstddef>
#include <cstring>

namespace sm90
{
// ---- One step ------------------------------------------------------------------------------------------------

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
                C::descriptor(stage, C::MATRIX_BYTES + panel * C::PANEL_BYTES + k * 2 * C::OCTET_BYTES);
            ptx::wgmma_k16<C::PANEL, TYPE, true, true>::rs(o + panel * (C::PANEL / 2), p + 4 * k, values);
        }
}

// Weights of a step whose P V is still to come, and the stage that it needs.
struct late_product {
    uint32_t weights[16], stage, empty;
};

template <half_type TYPE, int D>
__device__ __forceinline__ void start_p_v(strip_state<D> &t, const late_product &late)
{
    multiply_p_v<TYPE, D>(t.o, late.weights, late.stage);
    ptx::wgmma_commit_group();
}

template <int D> __device__ __forceinline__ void finish_p_v(strip_state<D> &t, const late_product &late)
{
    ptx::wgmma_wait_group<0>();
    ptx::wgmma_pin(t.o);
    ptx::mbarrier_arrive(late.empty); // by each thread, for the mask word that it has read
}

// The stage at `w` meets the strip, and `w` goes on to the next, in the shadow of a product.  LATE: P V runs a step
// behind, during the softmax of the next step (the intra-warpgroup pipeline of FlashAttention-3, arXiv:2407.08608);
// `late` is the step before, then this one.
template <half_type TYPE, int D, step_kind KIND>
__device__ __forceinline__ void step(const attn_fwd_params &p, ring_place<D> &w, strip_state<D> &t,
                                     late_product &late)
{
    constexpr bool MASKED = KIND != step_kind::full, LATE = attn_fwd_config<D>::LATE;
    constexpr bool LATE_P_V = LATE && KIND != step_kind::first; // there is a step before
    const uint32_t stage = w.stage(), empty = w.empty();
    float s[32], part[2];
    w.wait();
    const uint32_t bits = MASKED ? w.bits() : WARP;
    ptx::wgmma_fence();
    multiply_q_k<TYPE, D>(s, t.q, stage);
    ptx::wgmma_commit_group();
    if (LATE_P_V) start_p_v<TYPE, D>(t, late);
    if (LATE) w.advance(p);
    ptx::wgmma_wait_group<LATE_P_V ? 1 : 0>();
    ptx::wgmma_pin(s);
    weigh_step<D, KIND>(p, bits, s, part, t);
    if (LATE_P_V) finish_p_v<D>(t, late);
    sum_weights<TYPE, D, KIND>(p, stage, bits, s, part, t);
    pack_weights<TYPE>(s, late.weights);
    late.stage = stage;
    late.empty = empty;
    if (LATE) return;
    ptx::wgmma_fence();
    start_p_v<TYPE, D>(t, late);
    w.advance(p);
    finish_p_v<D>(t, late);
}

// All stages of the strip's list.
template <half_type TYPE, int D>
__device__ __forceinline__ void walk(const attn_fwd_params &p, ring_place<D> &w, strip_state<D> &t)
{
    late_product late;
    if (!w.more()) return;
    step<TYPE, D, step_kind::first>(p, w, t, late);
    while (w.more()) {
#pragma unroll 1
        while (w.full()) step<TYPE, D, step_kind::full>(p, w, t, late);
#pragma unroll 1
        while (w.masked()) step<TYPE, D, step_kind::masked>(p, w, t, late);
    }
    if constexpr (attn_fwd_config<D>::LATE) {
        ptx::wgmma_fence();
        start_p_v<TYPE, D>(t, late);
        finish_p_v<D>(t, late);
    }
}

// ---- One task after the other --------------------------------------------------------------------------------

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

// All of an item: a split of a tile, or all of its splits one after the other.  `record`: its task's.
template <half_type TYPE, int D, bool SPLIT>
__device__ __forceinline__ void walk_splits(const attn_fwd_params &p, uint32_t record, ring_place<D> &w,
                                            strip_state<D> &t)
{
    clear<D>(t);
    if constexpr (!SPLIT) {
        walk<TYPE, D>(p, w, t);
        return;
    }
    const bool one = static_cast<int>(ptx::ld_shared(record + offsetof(tile_task, partial))) >= 0;
    bool more = false; // than the first
#pragma unroll 1
    for (;;) {
        walk<TYPE, D>(p, w, t);
        if (!w.split_ends() || one) break;
        add_up_row_sums<D>(t);
        if (more) add<D>(own_partial<D>(p), t);
        put<D>(own_partial<D>(p), t);
        clear<D>(t);
        w.advance(p);
        more = true;
    }
    if (!more) return;
    add_up_row_sums<D>(t);
    add<D>(own_partial<D>(p), t);
    keep_row_sums_once<D>(t);
}

template <half_type TYPE, int D, bool SPLIT> __device__ __forceinline__ void consume(const attn_fwd_params &p)
{
    using C = attn_fwd_config<D>;
    ring_place<D> w;
    strip_state<D> t;
    uint32_t here = C::TASKS + 2 * sizeof(tile_task) * uniform(threadIdx.x >> 5), there = here + sizeof(tile_task);
    uint32_t odd = 0; // whether an odd number of items with combine stages is done
    item_walk items(p);
    int batch = 0;
    if (items.left > 0) {
        batch = items.batch();
        fetch_task<D>(p, items.item(), here);
        fetched();
        const tile_task task = task_at(here);
        if (SPLIT) w.begin = uniform(-task.before);
        w.start(p, task.list);
        ptx::griddepcontrol_wait(); // until here only the plan was read
        ask_q<D>(p, task, batch, t);
    }
    while (items.left > 0) {
        items.next();
        const int next_batch = items.batch();
        if constexpr (C::Q_SHARED) q_fetched();
        fetch_task<D>(p, items.item(), there);
        w.ready(p);
        walk_splits<TYPE, D, SPLIT>(p, here, w, t);
        fetched();
        // The next task's loads are under way while this one's rows are stored.
        const tile_task task = task_at(here);
        const bool whole = !SPLIT || task.partial < 0;
        const uint32_t behind = w.begin + (SPLIT ? task.before : 0) + task.stages,
                       number = behind + task.combine_stage;
        w.begin = uniform(behind + (whole ? p.combine_stages : 0));
        if (items.left > 0) {
            const tile_task after = task_at(there);
            if (SPLIT) w.begin = uniform(w.begin - after.before);
            w.start(p, after.list);
            ask_q<D>(p, after, next_batch, t);
        }
        if (!whole) {
            add_up_row_sums<D>(t);
            put<D>(partial_at<D>(p, static_cast<int64_t>(batch) * p.n_partials + task.partial), t);
        } else if (task.warpgroup_split > 0) {
            leave_partial<D>(task.combine_stage, number, t);
        } else {
            if (p.warpgroup_splits > 1)
                combine_partials<D>(task.combine_stage, number, p.warpgroup_splits - 1, odd, t);
            store_rows<TYPE, D>(p, task.strip * STRIP_ROWS, task.head, batch, t);
        }
        odd ^= whole ? 1 : 0;
        batch = next_batch;
        const uint32_t swap = here;
        here = there;
        there = swap;
    }
}

// SPLIT: for tiles of several splits; without it whole tiles take fewer instructions.
template <half_type TYPE, int D, bool SPLIT>
__global__ void __launch_bounds__(attn_fwd_config<D>::THREADS, 1)
    attn_fwd(const __grid_constant__ CUtensorMap k_map, const __grid_constant__ CUtensorMap v_map,
             const __grid_constant__ attn_fwd_params p)
{
    using C = attn_fwd_config<D>;
    extern __shared__ __align__(1024) uint8_t shared[];
    ptx::griddepcontrol_launch_dependents();
    const int warpgroup = __shfl_sync(WARP, threadIdx.x >> 7, 0), warp = __shfl_sync(WARP, threadIdx.x >> 5 & 3, 0);
    if (threadIdx.x == 0) {
        if (ptx::shared_address(shared) != C::BASE) __trap(); // the constants above would be wrong
        for (int i = 0; i < C::RING; i++) {
            ptx::mbarrier_init(C::FULL + 16 * i, C::PRODUCERS);
            ptx::mbarrier_init(C::FULL + 16 * i + 8, C::PRODUCERS);
            ptx::mbarrier_init(C::EMPTY + 8 * i, 128 * C::WARPGROUPS);
        }
        for (int i = 0; i < C::WARPGROUPS - 1; i++) ptx::mbarrier_init(C::WRITTEN + 8 * i, 128);
        ptx::fence_mbarrier_init();
        ptx::fence_proxy_async();
    }
    __syncthreads();
    if (warpgroup == C::WARPGROUPS) {
        ptx::setmaxnreg_dec<C::PRODUCER_REGISTERS>();
        if (warp < C::PRODUCERS) produce<D, SPLIT>(p, &k_map, &v_map, warp);
    } else {
        ptx::setmaxnreg_inc<C::CONSUMER_REGISTERS>();
        consume<TYPE, D, SPLIT>(p);
    }
}
} // namespace sm90
