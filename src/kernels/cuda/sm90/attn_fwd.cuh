// SPDX-License-Identifier: Apache-2.0
// The fused forward kernel: S = Q K^T, mask, softmax, O += P V for one strip per warpgroup, with nothing written to
// global memory in between.
//   warpgroup W (the last)    producers: each warp gathers a panel of K or of V into the ring, by the copy engine
//   warpgroups 0 .. W - 1     consumers: each takes a strip of the tile and, from the ring, the stages on its list
// The kernel is persistent: CTA c works through items[item_first[c] .. item_first[c + 1]), once for every batch
// entry.  Read plan/tiles.h and config.cuh first.  Method, drawing and numbers: docs/kernels/attn_fwd_sm90.md.
#pragma once
#include "kernels/cuda/sm90/combine.cuh"
#include "kernels/cuda/sm90/item_walk.cuh"
#include "kernels/cuda/sm90/producer.cuh"
#include "kernels/cuda/sm90/ring.cuh"
#include "kernels/cuda/sm90/rows_io.cuh"
#include "kernels/cuda/sm90/softmax.cuh"
#include "kernels/cuda/sm90/splits.cuh"
#include "kernels/cuda/sm90/task.cuh"

#include <cstddef>

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

// A product P V that is still to be computed: the weights of its step, and the stage that it needs.
struct pending_product {
    uint32_t weights[16], stage, empty;
};

template <half_type TYPE, int D>
__device__ __forceinline__ void start_p_v(strip_state<D> &t, const pending_product &pending)
{
    multiply_p_v<TYPE, D>(t.o, pending.weights, pending.stage);
    ptx::wgmma_commit_group();
}

template <int D> __device__ __forceinline__ void finish_p_v(strip_state<D> &t, const pending_product &pending)
{
    ptx::wgmma_wait_group<0>();
    ptx::wgmma_pin(t.o);
    ptx::mbarrier_arrive(pending.empty); // each thread arrives, because each has read a mask word of the stage
}

// Computes the step at `w`, and advances `w` to the next while a product runs.  With OVERLAP, P V of a step runs
// during the softmax of the next step (the intra-warpgroup overlap of FlashAttention-3, arXiv:2407.08608): `pending`
// is the product of the step before, and afterwards that of this one.
template <half_type TYPE, int D, step_kind KIND>
__device__ __forceinline__ void step(const attn_fwd_params &p, list_walk<attn_fwd_config<D>> &w, strip_state<D> &t,
                                     pending_product &pending)
{
    constexpr bool MASKED = KIND != step_kind::full, OVERLAP = attn_fwd_config<D>::OVERLAP;
    constexpr bool P_V_PENDING = OVERLAP && KIND != step_kind::first; // that of the step before
    const uint32_t stage = w.stage(), empty = w.empty();
    float s[32], step_sum[2];
    w.wait();
    const uint32_t bits = MASKED ? w.bits() : WARP;
    ptx::wgmma_fence();
    multiply_q_k<TYPE, D>(s, t.q, stage);
    ptx::wgmma_commit_group();
    if (P_V_PENDING) start_p_v<TYPE, D>(t, pending);
    if (OVERLAP) w.advance(p);
    ptx::wgmma_wait_group<P_V_PENDING ? 1 : 0>();
    ptx::wgmma_pin(s);
    exponentiate_step<D, KIND>(p, bits, s, step_sum, t);
    if (P_V_PENDING) finish_p_v<D>(t, pending);
    add_step<TYPE, D, KIND>(p, stage, bits, s, step_sum, t);
    pack_weights<TYPE>(s, pending.weights);
    pending.stage = stage;
    pending.empty = empty;
    if (OVERLAP) return;
    ptx::wgmma_fence();
    start_p_v<TYPE, D>(t, pending);
    w.advance(p);
    finish_p_v<D>(t, pending);
}

// Takes all stages of the strip's list, up to the end of a split.
template <half_type TYPE, int D>
__device__ __forceinline__ void walk(const attn_fwd_params &p, list_walk<attn_fwd_config<D>> &w, strip_state<D> &t)
{
    pending_product pending;
    if (!w.more()) return;
    step<TYPE, D, step_kind::first>(p, w, t, pending);
    while (w.more()) {
#pragma unroll 1
        while (w.full()) step<TYPE, D, step_kind::full>(p, w, t, pending);
#pragma unroll 1
        while (w.masked()) step<TYPE, D, step_kind::masked>(p, w, t, pending);
    }
    if constexpr (attn_fwd_config<D>::OVERLAP) {
        ptx::wgmma_fence();
        start_p_v<TYPE, D>(t, pending);
        finish_p_v<D>(t, pending);
    }
}

// ---- One task after the other --------------------------------------------------------------------------------

template <int D>
__device__ __forceinline__ void start_q(const attn_fwd_params &p, const tile_task &task, int batch, strip_state<D> &t)
{
    if constexpr (attn_fwd_config<D>::Q_SHARED)
        fetch_q<D>(p, task.strip * STRIP_ROWS, task.head, batch);
    else
        load_q<D>(p, task.strip * STRIP_ROWS, task.head, batch, t);
}

// Computes an item: a split of a tile, or all of its splits one after the other.  `task` is where its task is.
template <half_type TYPE, int D, bool SPLIT>
__device__ __forceinline__ void walk_splits(const attn_fwd_params &p, uint32_t task, list_walk<attn_fwd_config<D>> &w,
                                            strip_state<D> &t)
{
    clear<D>(t);
    if constexpr (!SPLIT) {
        walk<TYPE, D>(p, w, t);
        return;
    }
    const bool one = static_cast<int>(ptx::ld_shared(task + offsetof(tile_task, partial))) >= 0;
    bool later = false; // this split is not the first
#pragma unroll 1
    for (;;) {
        walk<TYPE, D>(p, w, t);
        if (!w.split_ends() || one) break;
        add_up_row_sums<D>(t);
        if (later) add<D>(own_partial<D>(p), t);
        put<D>(own_partial<D>(p), t);
        clear<D>(t);
        w.advance(p);
        later = true;
    }
    if (!later) return;
    add_up_row_sums<D>(t);
    add<D>(own_partial<D>(p), t);
    keep_row_sums_once<D>(t);
}

template <half_type TYPE, int D, bool SPLIT> __device__ __forceinline__ void consume(const attn_fwd_params &p)
{
    using C = attn_fwd_config<D>;
    list_walk<C> w;
    strip_state<D> t;
    // Where the task of this item is, and where that of the next item comes to be.
    uint32_t here = C::TASKS + 2 * sizeof(tile_task) * uniform(threadIdx.x >> 5), there = here + sizeof(tile_task);
    uint32_t odd = 0; // 1 after an odd number of items with combine stages
    item_walk items(p);
    int batch = 0;
    if (items.left > 0) {
        batch = items.batch();
        fetch_task<C::WARPGROUPS>(p.tasks, items.item(), here);
        task_fetched();
        const tile_task task = task_at(here);
        if (SPLIT) w.begin = uniform(-task.before);
        w.start(p, task.list);
        ptx::griddepcontrol_wait(); // until here only the plan was read
        start_q<D>(p, task, batch, t);
    }
    while (items.left > 0) {
        items.next();
        const int next_batch = items.batch();
        if constexpr (C::Q_SHARED) q_fetched();
        fetch_task<C::WARPGROUPS>(p.tasks, items.item(), there);
        w.ready(p);
        walk_splits<TYPE, D, SPLIT>(p, here, w, t);
        task_fetched();
        // The loads of the next task run while the rows of this one are stored.
        const tile_task task = task_at(here);
        const bool whole = !SPLIT || task.partial < 0;
        const uint32_t end = w.begin + (SPLIT ? task.before : 0) + task.stages, number = end + task.combine_stage;
        w.begin = uniform(end + (whole ? p.combine_stages : 0));
        if (items.left > 0) {
            const tile_task after = task_at(there);
            if (SPLIT) w.begin = uniform(w.begin - after.before);
            w.start(p, after.list);
            start_q<D>(p, after, next_batch, t);
        }
        if (!whole) {
            add_up_row_sums<D>(t);
            put<D>(partial_at<D>(p, static_cast<int64_t>(batch) * p.n_partials + task.partial), t);
        } else if (task.warpgroup_split > 0) {
            store_partial<D>(task.combine_stage, number, t);
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

// With SPLIT the kernel can take tiles of several splits; without it the loops have fewer instructions.
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
        if (ptx::shared_address(shared) != C::BASE) __trap(); // the addresses in attn_fwd_config would be wrong
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
