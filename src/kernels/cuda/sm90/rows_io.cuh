// SPDX-License-Identifier: Apache-2.0
// Loads rows of Q and stores rows of O and LSE, through the caller's order where there is one.
#pragma once
#include "kernels/cuda/sm90/softmax.cuh"

namespace sm90
{
// Where the rows of a batch entry begin, in a tensor that has the address `own` in entries.
__device__ __forceinline__ void *entry_of(const attn_fwd_params &p, const attn_fwd_tensor &tensor,
                                          void *vic_attention_item::*own, int batch, int element_size)
{
    if (p.entries) return p.entries[batch].*own;
    return static_cast<char *>(tensor.data) + batch * tensor.batch * element_size;
}

__device__ __forceinline__ const uint16_t *row_of(const attn_fwd_params &p, const attn_fwd_tensor &tensor,
                                                  const void *entry, int row, int head)
{
    const int64_t at = p.q_rows ? p.q_rows[row] : row;
    return static_cast<const uint16_t *>(entry) + at * tensor.row + head * tensor.head;
}

// Loads Q as words of two columns, all of them before it waits for the first.  Rows past the end load the last row:
// no mask bit uses their scores.  Columns past the head's size are zero, as the tensor maps make those of K.
template <int D>
__device__ __forceinline__ void load_q(const attn_fwd_params &p, int first_row, int head, int batch,
                                       strip_state<D> &t)
{
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5 & 3;
    // A choice where entry_of() branches (with items the stride is 0): with a branch here ptxas assigns uniform
    // registers in another way, which costs the loops over stages at D = 32 four instructions a step.
    const void *data = p.entries ? p.entries[batch].q : p.q.data;
    const uint16_t *entry = static_cast<const uint16_t *>(data) + batch * p.q.batch;
    const uint16_t *from[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int row = first_row + 16 * warp + (lane >> 2) + 8 * r;
        from[r] = row_of(p, p.q, entry, row < p.n_q ? row : static_cast<int>(p.n_q) - 1, head) + 2 * (lane & 3);
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

// With Q_SHARED: starts copies of the rows to where wgmma reads them, 8 columns at a time.
template <int D> __device__ __forceinline__ void fetch_q(const attn_fwd_params &p, int first_row, int head, int batch)
{
    using C = attn_fwd_config<D>;
    constexpr int VECTORS = D / 8, ROWS_AT_ONCE = 128 / VECTORS;
    const int thread = threadIdx.x & 127, column = thread % VECTORS * 8;
    const uint32_t queries = queries_at<D>();
    const void *entry = entry_of(p, p.q, &vic_attention_item::q, batch, 2);
    ptx::barrier_sync(1 + (threadIdx.x >> 7), 128); // no warp of the warpgroup needs the old rows any more
#pragma unroll 4
    for (int r = thread / VECTORS; r < STRIP_ROWS; r += ROWS_AT_ONCE) {
        const int row = first_row + r < p.n_q ? first_row + r : static_cast<int>(p.n_q) - 1;
        const uint16_t *from = row_of(p, p.q, entry, row, head) + column;
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

// Stores columns `first` .. `first` + D - 1, and with the first of all columns the LSE.
template <half_type TYPE, int D>
__device__ __forceinline__ void store_rows(const attn_fwd_params &p, int first_row, int head, int batch,
                                           const strip_state<D> &t, int first = 0)
{
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5 & 3;
    void *const entry = entry_of(p, p.out, &vic_attention_item::out, batch, 2);
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int row = first_row + 16 * warp + (lane >> 2) + 8 * r;
        float sum = quad_sum(t.sum[r]);
        if (row >= p.n_q) continue;
        // A row without pairs is zero, whatever its sums hold.  A row that has pairs but no weight is NaN.
        if (sum == 0.0f && t.max[r] != -INFINITY) sum = NAN;
        const float factor = __frcp_rn(sum);
        uint16_t *to = const_cast<uint16_t *>(row_of(p, p.out, entry, row, head)) + first + 2 * (lane & 3);
        if (p.out_words && p.d_v >= first + D) {
#pragma unroll
            for (int j = 0; j < D / 8; j++)
                reinterpret_cast<uint32_t *>(to)[4 * j] =
                    sum == 0.0f ? 0u : pack<TYPE>(t.o[4 * j + 2 * r] * factor, t.o[4 * j + 2 * r + 1] * factor);
        } else {
#pragma unroll
            for (int j = 0; j < D / 8; j++) {
                if (first + 8 * j >= p.d_v) continue;
                const uint32_t word =
                    sum == 0.0f ? 0u : pack<TYPE>(t.o[4 * j + 2 * r] * factor, t.o[4 * j + 2 * r + 1] * factor);
                to[8 * j] = static_cast<uint16_t>(word);
                to[8 * j + 1] = static_cast<uint16_t>(word >> 16);
            }
        }
        if (p.lse.data && first == 0 && (lane & 3) == 0) {
            const int64_t at = p.q_rows ? p.q_rows[row] : row;
            void *const sums = entry_of(p, p.lse, &vic_attention_item::lse, batch, 4);
            float *lse = static_cast<float *>(sums) + at * p.lse.row + head * p.lse.head;
            *lse = sum == 0.0f ? -INFINITY : (t.max[r] + log2f(sum)) * 0.69314718055994530942f;
        }
    }
}
} // namespace sm90
