// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/unfused/kernels.h"

#include "kernels/cuda/host.cuh"
#include "kernels/cuda/ptx/misc.cuh"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace
{
constexpr int HELD = 20;      // steps of a row's scores that a thread holds
constexpr int TOGETHER = 4;   // of which, and of shares, so many are skipped or not at a time
constexpr int MOST_WARPS = 8; // of a row; rows longer than all of them hold are read twice
constexpr int ROWS = 4;       // of a CTA, where a warp holds a row
constexpr int SHARES = 8;     // of a row that a thread of the sum holds
constexpr int THREADS = 128;  // of the pointers and the sum
constexpr int MOST_Y = 65535; // a grid's second dimension
constexpr float TOP = 15.0f;  // the largest weight is 2^15: float16 has its full precision 29 powers below
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
    const int64_t t = blockIdx.x * int64_t(blockDim.x) + threadIdx.x, size = c.pattern.size;
    const bool exists = t < c.pattern.count;
    const int64_t row = exists ? c.pattern.row[t] * size : 0, column = exists ? c.pattern.column[t] * size : 0;
    ptx::griddepcontrol_wait(); // until here only the plan was read
    if (!exists) return;
    for (int item = blockIdx.y; item < c.items; item += gridDim.y) {
        const int64_t i = item * c.pattern.count + t, head = c.head + item, kv_head = head / c.heads_per_kv;
        c.q_at[i] = element(c.q, c.batch, head, row);
        c.k_at[i] = element(c.k, c.batch, kv_head, column);
        c.v_at[i] = element(c.v, c.batch, kv_head, column);
        c.scores_at[i] = c.scores + i * size * size;
        c.shares_at[i] = c.shares + i * size * c.d_v;
    }
}

template <bool MAXIMUM> __device__ float combine(float a, float b)
{
    return MAXIMUM ? fmaxf(a, b) : a + b;
}

// Over the warps of a row, in an order that depends on their number alone.  One array for maxima and one for sums:
// then a warp that is ahead writes what nobody reads any more.
template <bool MAXIMUM> __device__ float over_row(float x, float *shared)
{
    for (int step = 16; step > 0; step /= 2) x = combine<MAXIMUM>(x, __shfl_xor_sync(ALL, x, step));
    if (blockDim.x == 32) return x;
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
    __syncthreads();
    x = shared[0];
    for (int warp = 1; warp < static_cast<int>(blockDim.x / 32); warp++) x = combine<MAXIMUM>(x, shared[warp]);
    return x;
}

// The difference is exact where it matters, also of scores so large that adding 15 would be lost in rounding.
__device__ float weight(float score, float most)
{
    return ptx::ex2_approx_ftz((score - most) + TOP);
}

// The part of a row's scores that is a thread's.  A step is 128 keys, four for each lane of a warp: one block of 128
// or 2, 4, 8 of the smaller ones.  A row's warps take its steps in turn, so every block of a row is one warp's, and
// from step to step a thread moves by the same distance.
struct row_scores {
    char *first;  // the four scores of this thread's first step
    int stride;   // bytes to the next
    int steps;    // of this thread
    int chunks;   // of HELD steps, as many as any thread of the warp has
    int in_block; // the first of its keys in their blocks
    int cut;      // its step in the block at the end of the keys, or -1
    int keys;     // that exist there

    __device__ row_scores(const unfused_call &c, int item, int64_t row, int64_t begin, int64_t end, bool ragged)
    {
        const unfused_pattern &p = c.pattern;
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, log2_lanes = p.log2_size - 2; // of a block
        const int log2_blocks = 5 - log2_lanes, log2_apart = log2_blocks + __ffs(blockDim.x / 32) - 1;
        const int block = (warp << log2_blocks) + (lane >> log2_lanes); // this thread's first
        const int n = static_cast<int>(end - begin), apart = 1 << log2_apart;
        in_block = 4 * (lane & ((1 << log2_lanes) - 1));
        steps = (n - block + apart - 1) >> log2_apart;
        chunks = (((n - (warp << log2_blocks) + apart - 1) >> log2_apart) + HELD - 1) / HELD;
        stride = apart << (2 * p.log2_size + 2);
        first = reinterpret_cast<char *>(c.scores + ((item * p.count + begin + block) << 2 * p.log2_size) +
                                         ((row & (p.size - 1)) << p.log2_size) + in_block);
        cut = ragged && block + (steps - 1) * apart == n - 1 ? steps - 1 : -1;
        keys = p.last_keys;
    }

    __device__ void load(int chunk, float4 (&x)[HELD]) const
    {
        const float none = -INFINITY;
        const char *from = first + int64_t(chunk) * HELD * stride;
        const int left = steps - chunk * HELD;
#pragma unroll
        for (int some = 0; some < HELD; some += TOGETHER) {
            if (some >= left) break;
#pragma unroll
            for (int h = some; h < some + TOGETHER; h++) {
                x[h] = make_float4(none, none, none, none);
                if (h < left) x[h] = *reinterpret_cast<const float4 *>(from + h * stride);
            }
        }
        if (cut < 0) return;
#pragma unroll
        for (int h = 0; h < HELD; h++) {
            if (h + chunk * HELD != cut) continue;
            if (in_block >= keys) x[h].x = none;
            if (in_block + 1 >= keys) x[h].y = none;
            if (in_block + 2 >= keys) x[h].z = none;
            if (in_block + 3 >= keys) x[h].w = none;
        }
    }

    __device__ float largest(int chunk, const float4 (&x)[HELD]) const
    {
        float most = -INFINITY;
#pragma unroll
        for (int some = 0; some < HELD; some += TOGETHER) {
            if (some >= steps - chunk * HELD) break;
#pragma unroll
            for (int h = some; h < some + TOGETHER; h++)
                most = fmaxf(most, fmaxf(fmaxf(x[h].x, x[h].y), fmaxf(x[h].z, x[h].w)));
        }
        return most;
    }

    // Writes the weights and returns their sum.  They lie over the scores of the same block and row, in their first
    // half: the warp must have read all of them.
    template <typename T> __device__ float store(int chunk, const float4 (&x)[HELD], float most) const
    {
        float sum = 0.0f;
        char *to = first - 2 * in_block + int64_t(chunk) * HELD * stride;
        const int left = steps - chunk * HELD;
#pragma unroll
        for (int some = 0; some < HELD; some += TOGETHER) {
            if (some >= left) break;
#pragma unroll
            for (int h = some; h < some + TOGETHER; h++) {
                const float4 w = make_float4(weight(x[h].x, most), weight(x[h].y, most), weight(x[h].z, most),
                                             weight(x[h].w, most));
                sum += (w.x + w.y) + (w.z + w.w);
                if (h < left) *reinterpret_cast<uint2 *>(to + h * stride) = pack4<T>(w);
            }
        }
        return sum;
    }
};

// A warp makes a row's weights, or where it does not hold one a CTA.  The last rows come first: what the matrix
// product wrote last is still in L2, and the product behind this kernel begins with what is written last here.
template <typename T> __global__ void __launch_bounds__(32 * MOST_WARPS, 2) softmax_kernel(unfused_call c)
{
    __shared__ float maxima[MOST_WARPS], sums[MOST_WARPS];
    const unfused_pattern &p = c.pattern;
    const int64_t row = (gridDim.x - 1 - blockIdx.x) * int64_t(blockDim.y) + threadIdx.y;
    if (row >= p.n_q) return; // a whole warp; CTAs of more than one row do not meet at barriers
    const int64_t begin = p.row_ptr[row >> p.log2_size], end = p.row_ptr[(row >> p.log2_size) + 1];
    const bool ragged = p.last_keys < p.size && end > begin && p.column[end - 1] == p.last_column;
    ptx::griddepcontrol_wait(); // until here only the plan was read
    for (int back = blockIdx.y; back < c.items; back += gridDim.y) {
        const int item = c.items - 1 - back;
        const row_scores s(c, item, row, begin, end, ragged);
        float4 x[HELD];
        float most = -INFINITY, sum = 0.0f;
        for (int chunk = s.chunks - 1; chunk >= 0; chunk--) { // the first one stays
            s.load(chunk, x);
            most = fmaxf(most, s.largest(chunk, x));
        }
        most = over_row<true>(most, maxima);
        if (most == -INFINITY) most = 0.0f; // no pair, or scores that leave none a weight
        for (int chunk = 0; chunk < s.chunks; chunk++) {
            if (chunk > 0) s.load(chunk, x);
            __syncwarp();
            sum += s.store<T>(chunk, x, most);
        }
        sum = over_row<false>(sum, sums);
        if (threadIdx.x > 0) continue;
        // Scores below float32 leave a row that has pairs no weight; it must not look like one without pairs.
        const bool no_pairs = begin == end;
        c.inverse[item * p.n_q + row] = no_pairs ? 0.0f : sum == 0.0f ? NAN : 1.0f / sum;
        if (!c.lse.data) continue;
        float *lse =
            static_cast<float *>(c.lse.data) + c.batch * c.lse.batch_stride + (c.head + item) * c.lse.head_stride;
        lse[(p.q_order ? p.q_order[row] : row) * c.lse.row_stride] = no_pairs ? -INFINITY
                                                                     : sum == 0.0f
                                                                         ? NAN
                                                                         : (most + (log2f(sum) - TOP)) * LN_2;
    }
}

// A thread makes four numbers of a row; the last rows first, as in the softmax.
template <typename T> __global__ void __launch_bounds__(THREADS) sum_kernel(unfused_call c)
{
    const unfused_pattern &p = c.pattern;
    const int quads = c.d_v / 4, rows = THREADS / quads, row_of_cta = threadIdx.x / quads;
    const int64_t row = (gridDim.x - 1 - blockIdx.x) * int64_t(rows) + row_of_cta;
    if (row_of_cta >= rows || row >= p.n_q) return;
    const int64_t begin = p.row_ptr[row >> p.log2_size], stride = int64_t(p.size) * c.d_v;
    const int n = static_cast<int>(p.row_ptr[(row >> p.log2_size) + 1] - begin), quad = threadIdx.x % quads;
    const int64_t out_row = p.q_order ? p.q_order[row] : row;
    ptx::griddepcontrol_wait(); // until here only the plan was read
    for (int back = blockIdx.y; back < c.items; back += gridDim.y) {
        const int item = c.items - 1 - back;
        const float inverse = c.inverse[item * p.n_q + row];
        const float *share = c.shares + (item * p.count + begin) * stride + (row & (p.size - 1)) * c.d_v + 4 * quad;
        float4 sum = {};
#pragma unroll 1
        for (int t = 0; t < n; t += SHARES, share += SHARES * stride) {
            float4 x[SHARES]; // in two loops with branches: else few loads are under way at a time
#pragma unroll
            for (int some = 0; some < SHARES; some += TOGETHER) {
                if (t + some >= n) break;
#pragma unroll
                for (int i = some; i < some + TOGETHER; i++) {
                    x[i] = float4();
                    if (t + i < n) x[i] = *reinterpret_cast<const float4 *>(share + i * stride);
                }
            }
#pragma unroll
            for (int some = 0; some < SHARES; some += TOGETHER) {
                if (t + some >= n) break;
#pragma unroll
                for (int i = some; i < some + TOGETHER; i++) {
                    sum.x += x[i].x;
                    sum.y += x[i].y;
                    sum.z += x[i].z;
                    sum.w += x[i].w;
                }
            }
        }
        sum.x *= inverse;
        sum.y *= inverse;
        sum.z *= inverse;
        sum.w *= inverse;
        if (inverse == 0.0f) sum = float4(); // the weights are zeros, and what they met need not be finite
        const uint2 words = pack4<T>(sum);
        char *out = const_cast<char *>(element(c.out, c.batch, c.head + item, out_row)) + 8 * quad;
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

// CTAs of `a_block` rows or blocks for every item.  The kernel may begin, up to its griddepcontrol.wait, while the
// one before it on the stream ends.
cudaError_t launch_early(void (*kernel)(unfused_call), const unfused_call *c, int64_t count, int a_block,
                         dim3 threads, cudaStream_t stream)
{
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t launch = {};
    launch.gridDim = dim3(grid_of(count, a_block), static_cast<unsigned>(c->items < MOST_Y ? c->items : MOST_Y));
    launch.blockDim = threads;
    launch.stream = stream;
    launch.attrs = &early;
    launch.numAttrs = 1;
    return cudaLaunchKernelEx(&launch, kernel, *c);
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
    return launch_early(pointers_kernel, c, c->pattern.count, THREADS, dim3(THREADS), stream);
}

cudaError_t unfused_softmax(const struct unfused_call *c, int most_blocks, cudaStream_t stream)
{
    const int64_t steps = ((int64_t(most_blocks) << c->pattern.log2_size) + 127) / 128;
    unsigned of_row = 1; // warps, a power of 2
    while (of_row < MOST_WARPS && of_row * HELD < steps) of_row *= 2;
    const dim3 threads(32 * of_row, of_row == 1 ? ROWS : 1);
    return launch_early(c->bf16 ? softmax_kernel<__nv_bfloat16> : softmax_kernel<__half>, c, c->pattern.n_q,
                        threads.y, threads, stream);
}

cudaError_t unfused_sum(const struct unfused_call *c, cudaStream_t stream)
{
    return launch_early(c->bf16 ? sum_kernel<__nv_bfloat16> : sum_kernel<__half>, c, c->pattern.n_q,
                        THREADS / (c->d_v / 4), dim3(THREADS), stream);
}
