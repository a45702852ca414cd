// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/unfused/kernels.h"

#include "kernels/cuda/host.cuh"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace
{
constexpr int HELD = 8;        // float4 of a row's scores that a thread holds
constexpr int MOST_WARPS = 16; // of a row; rows longer than all of them hold are read twice
constexpr float TOP = 15.0f;   // the largest weight is 2^15: float16 has its full precision 29 powers below
constexpr float LN_2 = 0.69314718055994531f;
constexpr unsigned ALL = 0xffffffffu;

__device__ __half2 pair_of(float x, float y, __half)
{
    return __floats2half2_rn(x, y);
}

__device__ __nv_bfloat162 pair_of(float x, float y, __nv_bfloat16)
{
    return __floats2bfloat162_rn(x, y);
}

// Four numbers of type T at a time.
template <typename T> __device__ uint2 pack4(float4 x)
{
    uint2 words;
    const auto low = pair_of(x.x, x.y, T()), high = pair_of(x.z, x.w, T());
    memcpy(&words.x, &low, 4);
    memcpy(&words.y, &high, 4);
    return words;
}

__device__ const char *element(const attention_tensor &t, int64_t batch, int64_t head, int64_t row)
{
    return static_cast<const char *>(t.data) +
           2 * (batch * t.batch_stride + head * t.head_stride + row * t.row_stride);
}

__global__ void pack_kernel(unfused_pack p)
{
    const int pieces = p.d / 8;
    const int64_t total = p.batches * p.heads * p.padded * pieces;
    for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total;
         i += int64_t(gridDim.x) * blockDim.x) {
        const int64_t piece = i % pieces, row = i / pieces % p.padded, rest = i / pieces / p.padded;
        uint4 words = {};
        if (row < p.n) {
            const char *from =
                element(p.from, rest / p.heads, rest % p.heads, p.order ? p.order[row] : row) + 16 * piece;
            if (p.vectors) {
                words = *reinterpret_cast<const uint4 *>(from);
            } else {
                uint16_t halves[8];
                for (int c = 0; c < 8; c++) halves[c] = reinterpret_cast<const uint16_t *>(from)[c];
                memcpy(&words, halves, sizeof words);
            }
        }
        static_cast<uint4 *>(p.to)[i] = words;
    }
}

__global__ void pointers_kernel(unfused_call c)
{
    const int64_t total = c.items * c.pattern.count, size = c.pattern.size;
    const int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
    if (i >= total) return;
    const int64_t t = i % c.pattern.count, head = c.head + i / c.pattern.count, kv_head = head / c.heads_per_kv;
    c.q_at[i] = element(c.q, c.batch, head, c.pattern.row[t] * size);
    c.k_at[i] = element(c.k, c.batch, kv_head, c.pattern.column[t] * size);
    c.v_at[i] = element(c.v, c.batch, kv_head, c.pattern.column[t] * size);
    c.scores_at[i] = c.scores + i * size * size;
    c.shares_at[i] = c.shares + i * size * c.d_v;
}

template <bool MAXIMUM> __device__ float combine(float a, float b)
{
    return MAXIMUM ? fmaxf(a, b) : a + b;
}

// Over the CTA, in an order that depends on its size alone.
template <bool MAXIMUM> __device__ float over_row(float x, float *shared)
{
    for (int step = 16; step > 0; step /= 2) x = combine<MAXIMUM>(x, __shfl_xor_sync(ALL, x, step));
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
    __syncthreads();
    x = shared[0];
    for (int warp = 1; warp < static_cast<int>(blockDim.x / 32); warp++) x = combine<MAXIMUM>(x, shared[warp]);
    __syncthreads();
    return x;
}

// The difference is exact where it matters, also of scores so large that adding 15 would be lost in rounding.
__device__ float weight(float score, float most)
{
    return exp2f((score - most) + TOP);
}

// One row's scores: units of four keys, size / 4 of them in a block.
struct row_scores {
    float *first; // of the row in its first block
    int64_t units;
    int64_t keys; // what lies behind, in the last block, does not exist
    int log2_size;

    __device__ float *unit(int64_t u) const
    {
        const int64_t t = u >> (log2_size - 2), in_block = u & ((1 << (log2_size - 2)) - 1);
        return first + (t << 2 * log2_size) + 4 * in_block;
    }

    __device__ int64_t place(int64_t chunk, int held) const
    {
        return (chunk * HELD + held) * blockDim.x + threadIdx.x;
    }

    __device__ void load(int64_t chunk, float4 (&x)[HELD]) const
    {
        const float none = -INFINITY;
#pragma unroll
        for (int h = 0; h < HELD; h++) {
            const int64_t u = place(chunk, h);
            x[h] = u < units ? *reinterpret_cast<const float4 *>(unit(u)) : make_float4(none, none, none, none);
            if (4 * u + 3 < keys) continue;
            if (4 * u >= keys) x[h].x = none;
            if (4 * u + 1 >= keys) x[h].y = none;
            if (4 * u + 2 >= keys) x[h].z = none;
            x[h].w = none;
        }
    }
};

// A CTA makes one row's weights.  They lie over the row's own scores: the first half of its place in each block,
// whose units all belong to threads of one warp, which has read them before any of its threads writes.
template <typename T> __global__ void softmax_kernel(unfused_call c)
{
    __shared__ float shared[MOST_WARPS];
    const unfused_pattern &p = c.pattern;
    for (int64_t at = blockIdx.x; at < c.items * p.n_q; at += gridDim.x) {
        const int64_t item = at / p.n_q, row = at % p.n_q, block_row = row >> p.log2_size;
        const int64_t begin = p.row_ptr[block_row], end = p.row_ptr[block_row + 1];
        row_scores s;
        s.first = c.scores + ((item * p.count + begin) << 2 * p.log2_size) + ((row & (p.size - 1)) << p.log2_size);
        s.units = (end - begin) << (p.log2_size - 2);
        s.keys = (end - begin) << p.log2_size;
        if (end > begin && p.column[end - 1] == p.last_column) s.keys -= p.size - p.last_keys;
        s.log2_size = p.log2_size;
        const int64_t chunks = (s.units + HELD * blockDim.x - 1) / (HELD * blockDim.x);
        float4 x[HELD];
        float most = -INFINITY, sum = 0.0f;
        for (int64_t chunk = chunks - 1; chunk >= 0; chunk--) { // the first one stays
            s.load(chunk, x);
#pragma unroll
            for (int h = 0; h < HELD; h++) most = fmaxf(most, fmaxf(fmaxf(x[h].x, x[h].y), fmaxf(x[h].z, x[h].w)));
        }
        most = over_row<true>(most, shared);
        if (most == -INFINITY) most = 0.0f; // no pair, or scores that leave none a weight
        for (int64_t chunk = 0; chunk < chunks; chunk++) {
            if (chunk > 0) s.load(chunk, x);
            __syncwarp();
#pragma unroll
            for (int h = 0; h < HELD; h++) {
                const int64_t u = s.place(chunk, h);
                if (u >= s.units) continue;
                const float4 w = make_float4(weight(x[h].x, most), weight(x[h].y, most), weight(x[h].z, most),
                                             weight(x[h].w, most));
                sum += (w.x + w.y) + (w.z + w.w);
                const int64_t in_block = u & (p.size / 4 - 1);
                *reinterpret_cast<uint2 *>(reinterpret_cast<char *>(s.unit(u)) - 8 * in_block) = pack4<T>(w);
            }
        }
        sum = over_row<false>(sum, shared);
        if (threadIdx.x > 0) continue;
        c.inverse[at] = sum == 0.0f ? 0.0f : 1.0f / sum;
        if (!c.lse.data) continue;
        float *lse =
            static_cast<float *>(c.lse.data) + c.batch * c.lse.batch_stride + (c.head + item) * c.lse.head_stride;
        lse[(p.q_order ? p.q_order[row] : row) * c.lse.row_stride] =
            sum == 0.0f ? -INFINITY : (most + (log2f(sum) - TOP)) * LN_2;
    }
}

// A thread makes four numbers of a row.
template <typename T> __global__ void sum_kernel(unfused_call c)
{
    const unfused_pattern &p = c.pattern;
    const int quads = c.d_v / 4;
    const int64_t total = c.items * p.n_q * quads;
    for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total;
         i += int64_t(gridDim.x) * blockDim.x) {
        const int64_t quad = i % quads, at = i / quads, item = at / p.n_q, row = at % p.n_q;
        const int64_t block_row = row >> p.log2_size, begin = p.row_ptr[block_row], end = p.row_ptr[block_row + 1];
        const int64_t stride = int64_t(p.size) * c.d_v;
        const float *share = c.shares + (item * p.count + begin) * stride + (row & (p.size - 1)) * c.d_v + 4 * quad;
        const float inverse = c.inverse[at];
        float4 sum = {};
        if (inverse != 0.0f) { // else the weights are zeros, and what they meet need not be finite
#pragma unroll 8
            for (int64_t t = begin; t < end; t++, share += stride) {
                const float4 x = *reinterpret_cast<const float4 *>(share);
                sum.x += x.x;
                sum.y += x.y;
                sum.z += x.z;
                sum.w += x.w;
            }
            sum.x *= inverse;
            sum.y *= inverse;
            sum.z *= inverse;
            sum.w *= inverse;
        }
        const uint2 words = pack4<T>(sum);
        char *out =
            const_cast<char *>(element(c.out, c.batch, c.head + item, p.q_order ? p.q_order[row] : row)) + 8 * quad;
        if (c.out_vectors) {
            *reinterpret_cast<uint2 *>(out) = words;
        } else {
            uint16_t halves[4];
            memcpy(halves, &words, sizeof halves);
            for (int x = 0; x < 4; x++) reinterpret_cast<uint16_t *>(out)[x] = halves[x];
        }
    }
}

unsigned grid_of(int64_t threads, int64_t a_block)
{
    const int64_t blocks = (threads + a_block - 1) / a_block;
    return static_cast<unsigned>(blocks < INT32_MAX ? blocks : INT32_MAX);
}
} // namespace

cudaError_t unfused_pack_rows(const struct unfused_pack *p, cudaStream_t stream)
{
    const int64_t total = p->batches * p->heads * p->padded * (p->d / 8);
    if (total == 0) return cudaSuccess;
    return cuda_host::launch(pack_kernel, grid_of(total, 256), 256, stream, *p);
}

cudaError_t unfused_set_pointers(const struct unfused_call *c, cudaStream_t stream)
{
    return cuda_host::launch(pointers_kernel, grid_of(c->items * c->pattern.count, 128), 128, stream, *c);
}

cudaError_t unfused_softmax(const struct unfused_call *c, int most_blocks, cudaStream_t stream)
{
    const int64_t units = int64_t(most_blocks) << (c->pattern.log2_size - 2),
                  warps = (units + 32 * HELD - 1) / (32 * HELD);
    const unsigned threads = 32 * static_cast<unsigned>(warps < 1 ? 1 : warps < MOST_WARPS ? warps : MOST_WARPS);
    const unsigned grid = grid_of(c->items * c->pattern.n_q, 1);
    return cuda_host::launch(c->bf16 ? softmax_kernel<__nv_bfloat16> : softmax_kernel<__half>, grid, threads, stream,
                             *c);
}

cudaError_t unfused_sum(const struct unfused_call *c, cudaStream_t stream)
{
    const unsigned grid = grid_of(c->items * c->pattern.n_q * (c->d_v / 4), 128);
    return cuda_host::launch(c->bf16 ? sum_kernel<__nv_bfloat16> : sum_kernel<__half>, grid, 128, stream, *c);
}
