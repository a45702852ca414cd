// SPDX-License-Identifier: Apache-2.0
// The fused kernels of gradients.  With c = scale log2(e), L a row's lse in units of log2, and D its row term:
//     S = Q K^T,  P = exp2(c S - L) where the pattern has the pair, else 0,  T = dO V^T - D,  dS = P T
//     the pass over queries   dQ = scale dS K                        own rows Q, dO    through the ring K, V
//     the pass over keys      dK = scale dS^T Q,  dV = P^T dO        own rows K, V     through the ring Q, dO, L, D
// Both passes compute P and dS for themselves, so that nothing is added up across CTAs: no atomics, and a row has the
// same bits in every launch.  A warpgroup has a strip of 64 own rows and walks its list of stages, as in the forward
// kernel (attn_fwd.cuh); in the pass over keys scores are S^T, and the pattern is the transposed one.
// Read plan/tiles.h and bwd_config.cuh first.  Method and numbers: docs/kernels/attn_bwd_sm90.md.
#pragma once
#include "kernels/cuda/sm90/bwd_producer.cuh"
#include "kernels/cuda/sm90/ring.cuh"
#include "kernels/cuda/sm90/task.cuh"

namespace sm90
{
// What a thread of a warpgroup holds of its strip, in rows and columns as strip_state has them.
template <typename C, int D> struct gradient_state {
    float sums[C::SUMS][D / 2]; // dQ; or dK, dV
    float l[2];                 // of the pass over queries: L of the thread's two rows
    uint32_t ones[4];           // A operand of the product that takes D off: -D of the rows, or ones
};

// A product with dS that is still to be computed: its operand, the matrix that it needs, and the stage's barrier.
struct late_product {
    uint32_t ds[16], matrix, empty;
};

// ---- Products ------------------------------------------------------------------------------------------------

// Where the warpgroup's own rows are.
template <typename C> __device__ __forceinline__ uint32_t own_rows()
{
    return C::OWN + uniform(threadIdx.x >> 7) * C::OWN_BYTES;
}

// s = or += own rows x `columns` rows of a stage's matrix, over its D columns.
template <half_type TYPE, typename C, int D, bool ACCUMULATE>
__device__ __forceinline__ void multiply_rows(float *s, uint32_t own, uint32_t matrix)
{
    using first = ptx::wgmma_k16<C::COLUMNS, TYPE, false, ACCUMULATE>;
    using next = ptx::wgmma_k16<C::COLUMNS, TYPE, false, true>;
    first::ss(s, C::descriptor(own, 0), C::descriptor(matrix, 0));
#pragma unroll
    for (int k = 1; k < D / 16; k++) {
        const uint32_t offset = 16 * k / C::PANEL * C::PANEL_BYTES + 16 * k % C::PANEL * 2;
        next::ss(s, C::descriptor(own, offset), C::descriptor(matrix, offset));
    }
}

// t = -D: a product of -D and ones, over 16 columns of which all but three are zero.  The operand in shared memory
// lies without a swizzle, core matrices of octets one behind the other: in the pass over keys the octets' terms, else
// always the same ones.
template <half_type TYPE, typename C>
__device__ __forceinline__ void multiply_terms(float *t, const uint32_t (&ones)[4], uint32_t terms)
{
    constexpr uint64_t STRIDE = C::OVER_KEYS ? sizeof(octet_terms) >> 4 : 0;
    ptx::wgmma_k16<C::COLUMNS, TYPE, false, false>::rs(t, ones, STRIDE << 32 | terms >> 4);
}

// sums += weights x the rows of a stage's matrix that they belong to.
template <half_type TYPE, typename C>
__device__ __forceinline__ void multiply_weights(float *sums, const uint32_t *weights, uint32_t matrix)
{
#pragma unroll
    for (int k = 0; k < C::COLUMNS / 16; k++)
#pragma unroll
        for (int panel = 0; panel < C::PANELS; panel++)
            ptx::wgmma_k16<C::PANEL, TYPE, true, true>::rs(sums + panel * (C::PANEL / 2), weights + 4 * k,
                                                           C::descriptor(matrix, panel * C::PANEL_BYTES +
                                                                                     k * 2 * C::OCTET_BYTES));
}

template <half_type TYPE, int N>
__device__ __forceinline__ void pack_all(const float (&from)[N], uint32_t (&to)[N / 2])
{
#pragma unroll
    for (int i = 0; i < N / 2; i++) to[i] = pack<TYPE>(from[2 * i], from[2 * i + 1]);
}

// ---- One step ------------------------------------------------------------------------------------------------

enum class gradient_step { first, masked, full };

// Scores become weights.  l: L of the thread's two rows, or, over keys, of its two columns of each octet.
template <bool MASKED>
__device__ __forceinline__ float weight_of(float s, float scale, float l, uint32_t bits, int bit)
{
    float x = fmaf(s, scale, -l);
    if (MASKED) x = bits >> bit & 1 ? x : -INFINITY; // any scale, any garbage
    return ptx::ex2_approx_ftz(x);
}

// Waits for the product with dS of the step before, of which `RUNNING` products were begun later.
template <int RUNNING, typename C, int D>
__device__ __forceinline__ void finish_late(gradient_state<C, D> &t, const late_product &late)
{
    ptx::wgmma_wait_group<RUNNING>();
    ptx::wgmma_pin(t.sums[0]);
    ptx::mbarrier_arrive(late.empty); // each thread arrives, because each has read a mask word of the stage
}

// Computes the step at `w`, COLUMNS of its scores at a time, and advances `w`.  With LATE, the product with dS of a step
// runs while S and T of the next one do, and `late` is that of the step before, and afterwards that of this one; over
// keys, the product with P is waited for in the next step, too.
template <half_type TYPE, typename C, int D, gradient_step KIND>
__device__ __forceinline__ void gradient_of(const attn_bwd_params &p, list_walk<C> &w, uint32_t own,
                                            gradient_state<C, D> &t, late_product &late)
{
    constexpr bool MASKED = KIND != gradient_step::full, BEHIND = C::LATE && KIND != gradient_step::first;
    constexpr int N = C::COLUMNS / 2, OCTETS = C::COLUMNS / OCTET;
    const uint32_t stage = w.stage(), empty = w.empty();
    const uint32_t stage_terms = C::TERMS + w.at.slot() * C::TERMS_BYTES;
    w.wait();
    const uint32_t bits = MASKED ? w.bits() : WARP;
#pragma unroll
    for (int half = 0; half < STAGE_KEYS / C::COLUMNS; half++) {
        float s[N], u[N];
        const uint32_t matrix1 = stage + half * OCTETS * C::OCTET_BYTES, matrix2 = matrix1 + C::MATRIX_BYTES;
        const uint32_t terms = C::OVER_KEYS ? stage_terms + half * OCTETS * sizeof(octet_terms) : C::ONES;
        // Loads from shared memory come before the products, which fill its pipe.
        float2 l[C::OVER_KEYS ? OCTETS : 1];
        if constexpr (C::OVER_KEYS) {
#pragma unroll
            for (int j = 0; j < OCTETS; j++)
                l[j] = ptx::ld_shared_v2(terms + j * sizeof(octet_terms) + offsetof(octet_terms, l) +
                                         8 * (threadIdx.x & 3));
        }
        ptx::wgmma_fence();
        multiply_rows<TYPE, C, D, false>(s, own, matrix1);
        ptx::wgmma_commit_group();
        multiply_terms<TYPE, C>(u, t.ones, terms);
        multiply_rows<TYPE, C, D, true>(u, own + C::MATRIX_BYTES, matrix2);
        ptx::wgmma_commit_group();
        if constexpr (BEHIND) {
            multiply_weights<TYPE, C>(t.sums[0], late.ds, late.matrix);
            ptx::wgmma_commit_group();
        }
        if (C::LATE) w.advance(p);
        ptx::wgmma_wait_group<BEHIND ? 2 : 1>();
        ptx::wgmma_pin(s);
        if constexpr (BEHIND && C::OVER_KEYS) ptx::wgmma_pin(t.sums[1]); // of the step before
#pragma unroll
        for (int i = 0; i < N; i++) {
            const float row = !C::OVER_KEYS ? t.l[i >> 1 & 1] : i & 1 ? l[i / 4].y : l[i / 4].x;
            s[i] = weight_of<MASKED>(s[i], p.scale_log2, row, bits, i + half * N);
        }
        uint32_t weights[C::OVER_KEYS ? N / 2 : 1];
        if constexpr (C::OVER_KEYS) pack_all<TYPE>(s, weights);
        ptx::wgmma_wait_group<BEHIND ? 1 : 0>();
        ptx::wgmma_pin(u);
        if constexpr (C::OVER_KEYS) {
            ptx::wgmma_fence();
            multiply_weights<TYPE, C>(t.sums[1], weights, matrix2);
            ptx::wgmma_commit_group();
        }
#pragma unroll
        for (int i = 0; i < N; i++) u[i] *= s[i];
        if constexpr (C::LATE) {
            if (BEHIND) finish_late<C::OVER_KEYS ? 1 : 0>(t, late);
            pack_all<TYPE>(u, late.ds);
            late.matrix = matrix1;
            late.empty = empty;
        } else {
            uint32_t ds[N / 2];
            pack_all<TYPE>(u, ds);
            ptx::wgmma_fence();
            multiply_weights<TYPE, C>(t.sums[0], ds, matrix1);
            ptx::wgmma_commit_group();
            if (half == STAGE_KEYS / C::COLUMNS - 1) w.advance(p);
            ptx::wgmma_wait_group<0>();
#pragma unroll
            for (int i = 0; i < C::SUMS; i++) ptx::wgmma_pin(t.sums[i]);
        }
    }
    if (!C::LATE) ptx::mbarrier_arrive(empty);
}

// Takes all stages of the strip's list.
template <half_type TYPE, typename C, int D>
__device__ __forceinline__ void walk_gradient(const attn_bwd_params &p, list_walk<C> &w, gradient_state<C, D> &t)
{
    late_product late;
    const uint32_t own = own_rows<C>();
    if (!w.more()) return;
    if constexpr (C::LATE) gradient_of<TYPE, C, D, gradient_step::first>(p, w, own, t, late);
    while (w.more()) {
#pragma unroll 1
        while (w.full()) gradient_of<TYPE, C, D, gradient_step::full>(p, w, own, t, late);
#pragma unroll 1
        while (w.masked()) gradient_of<TYPE, C, D, gradient_step::masked>(p, w, own, t, late);
    }
    if constexpr (C::LATE) {
        ptx::wgmma_fence();
        multiply_weights<TYPE, C>(t.sums[0], late.ds, late.matrix);
        ptx::wgmma_commit_group();
        finish_late<0>(t, late);
        if constexpr (C::OVER_KEYS) ptx::wgmma_pin(t.sums[1]);
    }
}

// ---- Rows in and out -----------------------------------------------------------------------------------------

// Starts the copies of the warpgroup's own rows, and over queries the loads of their terms.  Rows past the end are
// zeros there; no mask bit uses them.
template <typename C, int D>
__device__ __forceinline__ void start_own_rows(const attn_bwd_params &p, const CUtensorMap *map1,
                                               const CUtensorMap *map2, const tile_task &task, int batch,
                                               gradient_state<C, D> &t)
{
    const int first = task.strip * STRIP_ROWS;
    const uint32_t own = own_rows<C>();
    ptx::barrier_sync(1 + (threadIdx.x >> 7), 128); // no warp of the warpgroup needs the old rows any more
    if ((threadIdx.x & 127) == 0) {
        const uint32_t full = C::OWN_FULL + 8 * (threadIdx.x >> 7);
        ptx::mbarrier_arrive_expect_tx(full, C::OWN_BYTES);
#pragma unroll
        for (int panel = 0; panel < C::PANELS; panel++) {
            const uint32_t to = own + panel * C::PANEL_BYTES;
            ptx::cp_async_bulk_tensor_4d(to, map1, panel * C::PANEL, first, task.head, batch, full);
            ptx::cp_async_bulk_tensor_4d(to + C::MATRIX_BYTES, map2, panel * C::PANEL, first, task.head, batch, full);
        }
    }
    __syncwarp();
    if constexpr (!C::OVER_KEYS) {
        const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5 & 3;
        const octet_terms *terms = p.terms + (static_cast<int64_t>(batch) * p.heads + task.head) * p.octets;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const int own_row = first + 16 * warp + (lane >> 2) + 8 * r;
            const int row = own_row < p.n ? own_row : static_cast<int>(p.n) - 1;
            const octet_terms *octet = terms + row / OCTET;
            t.l[r] = __ldg(octet->l + row % OCTET);
            t.ones[r] = __ldg(reinterpret_cast<const uint32_t *>(octet->minus_d[row % OCTET]) + (lane & 3));
        }
    }
}

template <half_type TYPE, typename C, int D>
__device__ __forceinline__ void store_gradient(const attn_bwd_params &p, int which, const tile_task &task, int batch,
                                               const float (&sums)[D / 2])
{
    const attn_fwd_tensor &out = p.out[which];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5 & 3, columns = p.columns[which];
    const float factor = p.factors[which];
    if (!out.data) return;
    uint16_t *const head = static_cast<uint16_t *>(out.data) + batch * out.batch + task.head * out.head;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int row = task.strip * STRIP_ROWS + 16 * warp + (lane >> 2) + 8 * r;
        if (row >= p.n) continue;
        const int64_t at = p.rows ? p.rows[row] : row;
        uint16_t *to = head + at * out.row + 2 * (lane & 3);
#pragma unroll
        for (int j = 0; j < D / 8; j++) {
            if (8 * j >= columns) continue;
            const uint32_t word = pack<TYPE>(sums[4 * j + 2 * r] * factor, sums[4 * j + 2 * r + 1] * factor);
            if (p.words[which]) {
                reinterpret_cast<uint32_t *>(to)[4 * j] = word;
            } else {
                to[8 * j] = static_cast<uint16_t>(word);
                to[8 * j + 1] = static_cast<uint16_t>(word >> 16);
            }
        }
    }
}

// ---- One task after the other --------------------------------------------------------------------------------

template <half_type TYPE, typename C, int D>
__device__ __forceinline__ void consume_gradient(const attn_bwd_params &p, const CUtensorMap *map1,
                                                 const CUtensorMap *map2)
{
    list_walk<C> w;
    gradient_state<C, D> t;
    // Over keys: rows of ones.  The second core matrix over k is the first once more, so its columns must be zeros.
    t.ones[0] = t.ones[1] = TYPE == half_type::f16 ? 0x3c003c00 : 0x3f803f80;
    t.ones[2] = t.ones[3] = 0;
    uint32_t here = C::TASKS + 2 * sizeof(tile_task) * uniform(threadIdx.x >> 5), there = here + sizeof(tile_task);
    uint32_t parity = 0; // of the phase in which the own rows come
    int batch = 0;
    item_walk items(p);
    if (items.left > 0) {
        batch = items.batch();
        fetch_task<C::WARPGROUPS>(p.tasks, items.item(), here);
        task_fetched();
        const tile_task task = task_at(here);
        w.start(p, task.list);
        ptx::griddepcontrol_wait(); // until here only the plan was read
        start_own_rows<C, D>(p, map1, map2, task, batch, t);
    }
    while (items.left > 0) {
        items.next();
        const int next_batch = items.batch();
        ptx::mbarrier_wait(C::OWN_FULL + 8 * uniform(threadIdx.x >> 7), parity);
        parity ^= 1;
        fetch_task<C::WARPGROUPS>(p.tasks, items.item(), there);
#pragma unroll
        for (int k = 0; k < C::SUMS; k++)
#pragma unroll
            for (int i = 0; i < D / 2; i++) t.sums[k][i] = 0.0f;
                // Over keys, once for each query head of the key head.
#pragma unroll 1
        for (int left = C::OVER_KEYS ? p.heads_per_kv : 1;;) {
            w.ready(p);
            walk_gradient<TYPE, C, D>(p, w, t);
            w.begin = uniform(w.begin + ptx::ld_shared(here + offsetof(tile_task, stages)));
            if (!C::OVER_KEYS || --left == 0) break;
            w.start(p, ptx::ld_shared(here + offsetof(tile_task, list)));
        }
        task_fetched();
        const tile_task task = task_at(here);
        // The loads of the next task run while the rows of this one are stored.
        if (items.left > 0) {
            const tile_task after = task_at(there);
            w.start(p, after.list);
            start_own_rows<C, D>(p, map1, map2, after, next_batch, t);
        }
#pragma unroll
        for (int k = 0; k < C::SUMS; k++) store_gradient<TYPE, C, D>(p, k, task, batch, t.sums[k]);
        batch = next_batch;
        const uint32_t swap = here;
        here = there;
        there = swap;
    }
}

// The tensor maps of the stages' matrices, whose boxes are octets, and of the own rows, whose boxes are strips.
template <half_type TYPE, bwd_pass PASS, int D>
__global__ void __launch_bounds__(attn_bwd_config<PASS, D>::THREADS, 1)
    attn_bwd(const __grid_constant__ CUtensorMap stages1, const __grid_constant__ CUtensorMap stages2,
             const __grid_constant__ CUtensorMap own1, const __grid_constant__ CUtensorMap own2,
             const __grid_constant__ attn_bwd_params p)
{
    using C = attn_bwd_config<PASS, D>;
    extern __shared__ __align__(1024) uint8_t shared[];
    ptx::griddepcontrol_launch_dependents();
    const int warpgroup = __shfl_sync(WARP, threadIdx.x >> 7, 0), warp = __shfl_sync(WARP, threadIdx.x >> 5 & 3, 0);
    if (threadIdx.x == 0) {
        if (ptx::shared_address(shared) != C::BASE) __trap(); // the addresses in attn_bwd_config would be wrong
        for (int i = 0; i < C::RING; i++) {
            ptx::mbarrier_init(C::FULL + 16 * i, C::PRODUCERS);
            ptx::mbarrier_init(C::FULL + 16 * i + 8, C::PRODUCERS);
            ptx::mbarrier_init(C::EMPTY + 8 * i, 128 * C::WARPGROUPS);
        }
        for (int i = 0; i < C::WARPGROUPS; i++) ptx::mbarrier_init(C::OWN_FULL + 8 * i, 1);
        for (int i = 0; i < 2 * C::PAIRS; i++) ptx::mbarrier_init(C::ISSUED + 8 * i, 1);
        ptx::fence_mbarrier_init();
    }
    if (threadIdx.x < OCTET) {
        const uint32_t one = TYPE == half_type::f16 ? 0x3c003c00 : 0x3f803f80;
        ptx::st_shared_v4(C::ONES + 16 * threadIdx.x, one, one, one, one);
    }
    ptx::fence_proxy_async(); // the barriers and the ones are read through it
    __syncthreads();
    if (warpgroup == C::WARPGROUPS) {
        ptx::setmaxnreg_dec<C::PRODUCER_REGISTERS>();
        produce_in_turn<C>(p, warp & 1 ? &stages2 : &stages1, warp);
    } else {
        ptx::setmaxnreg_inc<C::CONSUMER_REGISTERS>();
        consume_gradient<TYPE, C, D>(p, &own1, &own2);
    }
}
} // namespace sm90
