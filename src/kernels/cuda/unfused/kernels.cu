// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/unfused/kernels.h"

#include "kernels/cuda/host.cuh"
#include "kernels/cuda/ptx/misc.cuh"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace
{
constexpr int HELD = 20;      // steps of a row's scores that a thread holds
constexpr int TOGETHER = 4;   // so many steps, or partial outputs, are loaded or skipped together
constexpr int MOST_WARPS = 8; // for a row; rows that are longer than all of them hold are read twice
constexpr int ROWS = 4;       // of a CTA, where a warp holds a row
constexpr int PARTIALS = 8;   // partial outputs that a thread of the sum holds
constexpr int THREADS = 128;  // of a CTA of the pointers' and the sum's kernel
constexpr int MOST_Y = 65535; // the largest second dimension of a grid
constexpr float TOP = 15.0f;  // the largest weight is 2^15: float16 has its full precision down to 2^-29 of it
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
    const int vectors = p.d / 8; // of 8 numbers, in a row
    const int64_t total = p.batches * p.heads * p.padded * vectors;
    for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total;
         i += int64_t(gridDim.x) * blockDim.x) {
        const int64_t vector = i % vectors, row = i / vectors % p.padded, rest = i / vectors / p.padded;
        uint4 words = {};
        if (row < p.n) {
            const char *from =
                element(p.from, rest / p.heads, rest % p.heads, p.order ? p.order[row] : row) + 16 * vector;
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
    for (int h = blockIdx.y; h < c.heads; h += gridDim.y) {
        const int64_t i = h * c.pattern.count + t, head = c.head + h, kv_head = head / c.heads_per_kv;
        c.q_at[i] = element(c.q, c.batch, head, row);
        c.k_at[i] = element(c.k, c.batch, kv_head, column);
        c.v_at[i] = element(c.v, c.batch, kv_head, column);
        c.scores_at[i] = c.scores + i * size * size;
        c.partials_at[i] = c.partials + i * size * c.d_v;
    }
}

template <bool MAXIMUM> __device__ float combine(float a, float b)
{
    return MAXIMUM ? fmaxf(a, b) : a + b;
}

// Combines x over the threads of a row's warps, in an order that depends on their number alone.  Maxima and sums
// have an array each, so that a warp that is ahead does not write where others still read.
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

// The scores of a row that belong to one thread.  A step is 128 keys, four for each lane of a warp: one block of
// 128, or 2, 4, 8 smaller blocks.  A row's warps take its steps round robin, so every block of a row belongs to one
// warp, and from step to step a thread advances by the same distance.
struct row_scores {
    char *first;  // the four scores of this thread's first step
    int stride;   // bytes from one step's scores to the next
    int steps;    // of this thread
    int chunks;   // of HELD steps; the most that any thread of the warp has
    int in_block; // index of the first of its four keys in a block
    int cut;      // this thread's step in the last block column, where that is cut, or -1
    int keys;     // keys that exist in the last block column

    __device__ row_scores(const unfused_call &c, int h, int64_t row, int64_t begin, int64_t end, bool ragged)
    {
        const unfused_pattern &p = c.pattern;
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, log2_lanes = p.log2_size - 2; // for a block
        const int log2_blocks = 5 - log2_lanes, log2_apart = log2_blocks + __ffs(blockDim.x / 32) - 1;
        const int block = (warp << log2_blocks) + (lane >> log2_lanes); // this thread's first
        const int n = static_cast<int>(end - begin), apart = 1 << log2_apart;
        in_block = 4 * (lane & ((1 << log2_lanes) - 1));
        steps = (n - block + apart - 1) >> log2_apart;
        chunks = (((n - (warp << log2_blocks) + apart - 1) >> log2_apart) + HELD - 1) / HELD;
        stride = apart << (2 * p.log2_size + 2);
        first = reinterpret_cast<char *>(c.scores + ((h * p.count + begin + block) << 2 * p.log2_size) +
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

    // Writes the weights and returns their sum.  They overwrite the first half of the scores of the same block and
    // row, so the warp must have read all of these.
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

// A warp computes a row's weights, or a CTA where one warp cannot hold the row.  The last rows come first: what the
// matrix product wrote last is still in L2, and the product after this kernel begins with what is written last here.
template <typename T> __global__ void __launch_bounds__(32 * MOST_WARPS, 2) softmax_kernel(unfused_call c)
{
    __shared__ float maxima[MOST_WARPS], sums[MOST_WARPS];
    const unfused_pattern &p = c.pattern;
    const int64_t row = (gridDim.x - 1 - blockIdx.x) * int64_t(blockDim.y) + threadIdx.y;
    if (row >= p.n_q) return; // a whole warp returns; CTAs of more than one row have no barriers
    const int64_t begin = p.row_ptr[row >> p.log2_size], end = p.row_ptr[(row >> p.log2_size) + 1];
    const bool ragged = p.last_keys < p.size && end > begin && p.column[end - 1] == p.last_column;
    ptx::griddepcontrol_wait(); // until here only the plan was read
    for (int back = blockIdx.y; back < c.heads; back += gridDim.y) {
        const int h = c.heads - 1 - back;
        const row_scores s(c, h, row, begin, end, ragged);
        float4 x[HELD];
        float most = -INFINITY, sum = 0.0f;
        for (int chunk = s.chunks - 1; chunk >= 0; chunk--) { // the first chunk comes last, and stays in x
            s.load(chunk, x);
            most = fmaxf(most, s.largest(chunk, x));
        }
        most = over_row<true>(most, maxima);
        if (most == -INFINITY) most = 0.0f; // no pair, or no pair with weight
        for (int chunk = 0; chunk < s.chunks; chunk++) {
            if (chunk > 0) s.load(chunk, x);
            __syncwarp();
            sum += s.store<T>(chunk, x, most);
        }
        sum = over_row<false>(sum, sums);
        if (threadIdx.x > 0) continue;
        // A row whose scores are all below float32 has no weight; it must not look like a row without pairs.
        const bool no_pairs = begin == end;
        c.inverse[h * p.n_q + row] = no_pairs ? 0.0f : sum == 0.0f ? NAN : 1.0f / sum;
        if (!c.lse.data) continue;
        float *lse =
            static_cast<float *>(c.lse.data) + c.batch * c.lse.batch_stride + (c.head + h) * c.lse.head_stride;
        lse[(p.q_order ? p.q_order[row] : row) * c.lse.row_stride] = no_pairs ? -INFINITY
                                                                     : sum == 0.0f
                                                                         ? NAN
                                                                         : (most + (log2f(sum) - TOP)) * LN_2;
    }
}

// A thread computes four numbers of a row.  The last rows come first, as in the softmax.
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
    for (int back = blockIdx.y; back < c.heads; back += gridDim.y) {
        const int h = c.heads - 1 - back;
        const float inverse = c.inverse[h * p.n_q + row];
        const float *partial = c.partials + (h * p.count + begin) * stride + (row & (p.size - 1)) * c.d_v + 4 * quad;
        float4 sum = {};
#pragma unroll 1
        for (int t = 0; t < n; t += PARTIALS, partial += PARTIALS * stride) {
            float4 x[PARTIALS]; // loaded and added in two loops, so that many loads run at a time
#pragma unroll
            for (int some = 0; some < PARTIALS; some += TOGETHER) {
                if (t + some >= n) break;
#pragma unroll
                for (int i = some; i < some + TOGETHER; i++) {
                    x[i] = float4();
                    if (t + i < n) x[i] = *reinterpret_cast<const float4 *>(partial + i * stride);
                }
            }
#pragma unroll
            for (int some = 0; some < PARTIALS; some += TOGETHER) {
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
        if (inverse == 0.0f) sum = float4(); // the weights are zeros, but 0 times a value that is not finite is NaN
        const uint2 words = pack4<T>(sum);
        char *out = const_cast<char *>(element(c.out, c.batch, c.head + h, out_row)) + 8 * quad;
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

// Launches CTAs of `a_block` rows or blocks for each head of the call.  The kernel may begin, up to its
// griddepcontrol.wait, while the kernel before it on the stream ends.
cudaError_t launch_early(void (*kernel)(unfused_call), const unfused_call *c, int64_t count, int a_block,
                         dim3 threads, cudaStream_t stream)
{
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t launch = {};
    launch.gridDim = dim3(grid_of(count, a_block), static_cast<unsigned>(c->heads < MOST_Y ? c->heads : MOST_Y));
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
    unsigned warps = 1; // for a row; a power of 2
    while (warps < MOST_WARPS && warps * HELD < steps) warps *= 2;
    const dim3 threads(32 * warps, warps == 1 ? ROWS : 1);
    return launch_early(c->bf16 ? softmax_kernel<__nv_bfloat16> : softmax_kernel<__half>, c, c->pattern.n_q,
                        threads.y, threads, stream);
}

cudaError_t unfused_sum(const struct unfused_call *c, cudaStream_t stream)
{
    return launch_early(c->bf16 ? sum_kernel<__nv_bfloat16> : sum_kernel<__half>, c, c->pattern.n_q,
                        THREADS / (c->d_v / 4), dim3(THREADS), stream);
}
