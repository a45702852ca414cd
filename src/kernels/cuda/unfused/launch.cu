// SPDX-License-Identifier: Apache-2.0
// Attention over whole blocks in separate steps: S = Q K^T of all blocks in one batched product, the softmax of their
// rows, P V of all blocks in another product, and the sum of each row's partial outputs.  The reasons are in
// docs/kernels/attn_fwd_unfused.md.
#include "kernels/cuda/unfused/launch.h"

#include "base/sizes.h"
#include "kernels/cuda/host.cuh"
#include "kernels/cuda/unfused/cublas.h"
#include "kernels/cuda/unfused/kernels.h"
#include "kernels/cuda/unfused/square_blocks.h"

#include <cstring>
#include <mutex>
#include <new>

using cuda_host::on_device;

namespace
{
constexpr int64_t ENOUGH = 1024 * 128 * 128; // pairs of one batched product that fill a GPU
constexpr int MOST_PRODUCTS = 32768;         // of one call of cuBLAS: their number is a grid's third dimension

struct device_plan {
    const cublas *blas;
    void *handle;
    std::mutex lock; // a handle has one stream and one workspace at a time; several threads may launch
    unfused_pattern pattern;
    const int32_t *k_order; // NULL = the same
    int64_t padded_q, padded_k;
    int most_blocks; // of a row
    int call_heads;  // heads of a call: a divisor of all heads, so that every call has the same shape, and so cuBLAS
                     // sums in the same order whatever the batch
    void *memory;    // the arrays on the device
};

vic_status check_blas(const cublas *blas, int code, const char *what, vic_error *err)
{
    if (code == 0) return VIC_OK;
    return vic_fail(err, code == CUBLAS_NO_MEMORY ? VIC_NO_MEMORY : VIC_FAILED, "%s: cuBLAS reports %s (%d)", what,
                    blas->status_text(code), code);
}

// Where the arrays of a workspace begin, in bytes, and how many bytes it has in all.
struct offsets {
    size_t blas, pointers, scores, partials, inverse, q, k, v, total;
};

offsets workspace_offsets(const vic_plan *plan, int64_t batch)
{
    const device_plan *d = static_cast<const device_plan *>(plan->kernel_data);
    const attention_shape &s = plan->shape;
    const size_t size = static_cast<size_t>(d->pattern.size), heads = static_cast<size_t>(d->call_heads);
    const size_t products = size_times(heads, static_cast<size_t>(d->pattern.count)), b = static_cast<size_t>(batch);
    const size_t q_rows = size_times(b, static_cast<size_t>(d->padded_q) * s.heads);
    const size_t k_rows = size_times(b, static_cast<size_t>(d->padded_k) * s.kv_heads);
    offsets p = {};
    size_t at = 0;
    const struct {
        size_t *offset, bytes;
    } arrays[] = {
        { &p.blas, CUBLAS_WORKSPACE },
        { &p.pointers, size_times(products, 5 * sizeof(void *)) },
        { &p.scores, size_times(products, size_times(size, size * sizeof(float))) },
        { &p.partials, size_times(products, size * s.d_v * sizeof(float)) },
        { &p.inverse, size_times(heads, static_cast<size_t>(d->pattern.n_q) * sizeof(float)) },
        { &p.q, size_times(q_rows, 2 * s.d_qk) },
        { &p.k, size_times(k_rows, 2 * s.d_qk) },
        { &p.v, size_times(k_rows, 2 * s.d_v) },
    };
    for (const auto &array : arrays) {
        *array.offset = at;
        at = size_round_up(size_plus(at, array.bytes), 256);
    }
    p.total = size_plus(at, 256); // the caller's workspace is aligned to 64 bytes, cuBLAS needs 256
    return p;
}

bool is_identity(const int32_t *order, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (order[i] != i) return false;
    return true;
}

// Uploads the plan's arrays to the device.
vic_status upload(device_plan *d, const vic_plan *plan, const square_blocks &b, size_t *bytes, vic_error *err)
{
    const vic_pattern *p = plan->pattern;
    const bool q_order = !plan->pattern_order && !is_identity(p->q_order, p->n_q);
    const bool k_order = !plan->pattern_order && p->k_order && !is_identity(p->k_order, p->n_k);
    const struct {
        const int32_t *from;
        int64_t count;
        const int32_t **to;
    } arrays[] = {
        { b.row_ptr, b.rows + 1, &d->pattern.row_ptr },    { b.row, b.count, &d->pattern.row },
        { b.column, b.count, &d->pattern.column },         { p->q_order, q_order ? p->n_q : 0, &d->pattern.q_order },
        { p->k_order, k_order ? p->n_k : 0, &d->k_order },
    };
    size_t total = 0, at = 0;
    for (const auto &array : arrays) total += static_cast<size_t>(array.count) * sizeof(int32_t);
    TRY(cuda_check(cudaMalloc(&d->memory, total), "allocating the plan's GPU memory", err));
    for (const auto &array : arrays) {
        const size_t size = static_cast<size_t>(array.count) * sizeof(int32_t);
        void *to = static_cast<char *>(d->memory) + at;
        *array.to = array.count > 0 ? static_cast<const int32_t *>(to) : nullptr;
        if (array.count > 0)
            TRY(cuda_check(cudaMemcpy(to, array.from, size, cudaMemcpyHostToDevice), "copying the plan", err));
        at += size;
    }
    *bytes = total;
    return VIC_OK;
}

void describe(device_plan *d, const vic_plan *plan, const square_blocks &b)
{
    const int64_t pairs = b.count * b.size * b.size;
    d->pattern.size = b.size;
    d->pattern.log2_size = __builtin_ctz(static_cast<unsigned>(b.size));
    d->pattern.n_q = plan->pattern->n_q;
    d->pattern.n_k = plan->pattern->n_k;
    d->pattern.count = b.count;
    d->pattern.last_column = static_cast<int32_t>(b.columns - 1);
    d->pattern.last_keys = static_cast<int32_t>(plan->pattern->n_k - (b.columns - 1) * b.size);
    d->padded_q = b.rows * b.size;
    d->padded_k = b.columns * b.size;
    d->most_blocks = b.most;
    d->call_heads = plan->shape.heads;
    for (int n = plan->shape.heads; n >= 1; n--)
        if (plan->shape.heads % n == 0 && n * pairs >= ENOUGH) d->call_heads = n;
}

// Launches once on zeros, because what cuBLAS and the runtime load at their first launch would break the capture of a
// graph.
vic_status warm_up(const vic_plan *plan, vic_error *err)
{
    const device_plan *d = static_cast<const device_plan *>(plan->kernel_data);
    const attention_shape &s = plan->shape;
    const int64_t rows = d->padded_q > d->padded_k ? d->padded_q : d->padded_k;
    const int64_t numbers = rows * s.heads * (s.d_qk > s.d_v ? s.d_qk : s.d_v);
    const size_t workspace = workspace_offsets(plan, 1).total,
                 bytes = size_plus(workspace, size_times(2 * sizeof(uint16_t), numbers));
    attention_args a = {};
    void *memory = nullptr;
    TRY(cuda_check(cudaMalloc(&memory, bytes), "allocating GPU memory for a first launch", err));
    vic_status st = cuda_check(cudaMemset(memory, 0, bytes), "clearing GPU memory", err);
    a.q.data = static_cast<char *>(memory) + workspace;
    a.k = a.v = a.q;
    a.q.row_stride = int64_t(s.heads) * s.d_qk;
    a.k.row_stride = int64_t(s.kv_heads) * s.d_qk;
    a.v.row_stride = int64_t(s.kv_heads) * s.d_v;
    a.q.head_stride = a.k.head_stride = s.d_qk;
    a.v.head_stride = s.d_v;
    a.out.data = static_cast<uint16_t *>(a.q.data) + numbers;
    a.out.row_stride = int64_t(s.heads) * s.d_v;
    a.out.head_stride = s.d_v;
    a.scale = 1.0;
    a.batch = 1;
    kernel_exec exec = {};
    exec.workspace = memory;
    if (st == VIC_OK) st = cuda_unfused_launch(plan, &a, &exec, err);
    if (st == VIC_OK) st = cuda_check(cudaStreamSynchronize(nullptr), "waiting for a first launch", err);
    cuda_host::free_memory(memory);
    return st;
}

// Whether the matrix products can read the tensor where it is: they read whole blocks of rows, 16 bytes at a time.
bool usable(const attention_tensor &t, int d, int64_t n, int64_t padded)
{
    return n == padded && reinterpret_cast<uintptr_t>(t.data) % 16 == 0 && t.row_stride >= d &&
           t.row_stride <= INT32_MAX && t.row_stride % 8 == 0 && t.head_stride % 8 == 0 && t.batch_stride % 8 == 0;
}

// Sets *out to the tensor in pattern order, which is copied to `to` unless it can be read where it is.
vic_status pack(const attention_tensor &from, const int32_t *order, int64_t n, int64_t padded, int64_t batch,
                int heads, int d, void *to, attention_tensor *out, cudaStream_t stream, vic_error *err)
{
    unfused_pack p = {};
    *out = from;
    if (!order && usable(from, d, n, padded)) return VIC_OK;
    p.from = from;
    p.to = to;
    p.order = order;
    p.n = n;
    p.padded = padded;
    p.batches = batch;
    p.heads = heads;
    p.d = d;
    p.vectors = reinterpret_cast<uintptr_t>(from.data) % 16 == 0 && from.row_stride % 8 == 0 &&
                from.head_stride % 8 == 0 && from.batch_stride % 8 == 0;
    out->data = to;
    out->row_stride = d;
    out->head_stride = padded * d;
    out->batch_stride = heads * out->head_stride;
    return cuda_check(unfused_pack_rows(&p, stream), "putting rows in order", err);
}

// cuBLAS is column-major, so our rows are its columns: scores^T = K Q^T, partials^T = V^T P^T.
vic_status products(const device_plan *d, const unfused_call &c, const attention_shape &s, float factor,
                    bool of_scores, vic_error *err)
{
    const int type = c.bf16 ? CUBLAS_TYPE_BF16 : CUBLAS_TYPE_F16, size = d->pattern.size;
    const float nothing = 0.0f;
    const int64_t all = c.heads * c.pattern.count;
    for (int64_t at = 0; at < all; at += MOST_PRODUCTS) {
        const int n = static_cast<int>(all - at < MOST_PRODUCTS ? all - at : MOST_PRODUCTS);
        if (of_scores)
            TRY(check_blas(d->blas,
                           d->blas->gemm_batched(d->handle, CUBLAS_TRANSPOSED, CUBLAS_NORMAL, size, size, s.d_qk,
                                                 &factor, c.k_at + at, type, static_cast<int>(c.k.row_stride),
                                                 c.q_at + at, type, static_cast<int>(c.q.row_stride), &nothing,
                                                 c.scores_at + at, CUBLAS_TYPE_F32, size, n, CUBLAS_SUMS_F32,
                                                 CUBLAS_DEFAULT),
                           "scores", err));
        else
            TRY(check_blas(d->blas,
                           d->blas->gemm_batched(d->handle, CUBLAS_NORMAL, CUBLAS_NORMAL, s.d_v, size, size, &factor,
                                                 c.v_at + at, type, static_cast<int>(c.v.row_stride),
                                                 c.scores_at + at, type, 2 * size, &nothing, c.partials_at + at,
                                                 CUBLAS_TYPE_F32, s.d_v, n, CUBLAS_SUMS_F32, CUBLAS_DEFAULT),
                           "weighted values", err));
    }
    return VIC_OK;
}

vic_status run_call(const device_plan *d, const vic_plan *plan, const unfused_call &c, double scale,
                    cudaStream_t stream, vic_error *err)
{
    const float base_2 = static_cast<float>(scale * 1.4426950408889634074);
    if (c.pattern.count > 0) {
        TRY(cuda_check(unfused_set_pointers(&c, stream), "writing the addresses of blocks", err));
        TRY(products(d, c, plan->shape, base_2, true, err));
    }
    TRY(cuda_check(unfused_softmax(&c, d->most_blocks, stream), "softmax", err));
    if (c.pattern.count > 0) TRY(products(d, c, plan->shape, 1.0f, false, err));
    return cuda_check(unfused_sum(&c, stream), "adding up the blocks", err);
}
} // namespace

extern "C" {

void cuda_unfused_release(vic_plan *plan)
{
    device_plan *d = static_cast<device_plan *>(plan->kernel_data);
    on_device scope(plan->device, nullptr);
    if (d->handle) d->blas->destroy(d->handle);
    cuda_host::free_memory(d->memory);
    delete d;
}

const char *cuda_unfused_unavailable(vic_device device)
{
    return cuda_host::hopper_lacks(device);
}

vic_status cuda_unfused_prepare(vic_plan *plan, const kernel_setup *, vic_error *err)
{
    square_blocks blocks;
    size_t bytes = 0;
    TRY(cuda_host::check_hopper(plan->device, err));
    if (!cublas_load())
        return vic_fail(err, VIC_NO_KERNEL,
                        "%s needs cuBLAS, and the loader finds no libcublas.so.13 or .12: install NVIDIA's package "
                        "libcublas-13-0 (it comes with the CUDA toolkit), or name its folder in LD_LIBRARY_PATH",
                        plan->kernel->name);
    TRY(square_blocks_find(plan->pattern, &blocks, err));
    device_plan *d = new (std::nothrow) device_plan();
    plan->kernel_data = d; // from here cuda_unfused_release() frees it
    on_device scope(plan->device, err);
    vic_status st = d ? scope.status : vic_fail(err, VIC_NO_MEMORY, "out of memory: plan");
    if (st == VIC_OK) {
        d->blas = cublas_load();
        describe(d, plan, blocks);
        plan->computed_pairs = blocks.count * blocks.size * blocks.size;
        st = upload(d, plan, blocks, &bytes, err);
    }
    square_blocks_free(&blocks);
    TRY(st);
    plan->bytes += bytes;
    TRY(check_blas(d->blas, d->blas->create(&d->handle), "starting cuBLAS", err));
    return warm_up(plan, err);
}

size_t cuda_unfused_workspace(const vic_plan *plan, int, int64_t batch, bool)
{
    return workspace_offsets(plan, batch).total;
}

vic_status cuda_unfused_launch(const vic_plan *plan, const attention_args *a, const kernel_exec *exec, vic_error *err)
{
    device_plan *d = static_cast<device_plan *>(plan->kernel_data);
    const attention_shape &s = plan->shape;
    const vic_pattern *p = plan->pattern;
    const offsets at = workspace_offsets(plan, a->batch);
    cudaStream_t stream = static_cast<cudaStream_t>(exec->stream);
    char *base = static_cast<char *>(exec->workspace);
    unfused_call c = {};
    if (p->n_q == 0) return VIC_OK;
    base += (256 - reinterpret_cast<uintptr_t>(base) % 256) % 256;
    const size_t products = static_cast<size_t>(d->call_heads) * static_cast<size_t>(d->pattern.count);
    void **pointers = reinterpret_cast<void **>(base + at.pointers);
    on_device scope(plan->device, err);
    TRY(scope.status);
    std::lock_guard<std::mutex> guard(d->lock);
    TRY(check_blas(d->blas, d->blas->set_stream(d->handle, stream), "choosing the stream", err));
    TRY(check_blas(d->blas, d->blas->set_workspace(d->handle, base + at.blas, CUBLAS_WORKSPACE),
                   "giving cuBLAS its workspace", err));
    TRY(pack(a->q, d->pattern.q_order, p->n_q, d->padded_q, a->batch, s.heads, s.d_qk, base + at.q, &c.q, stream,
             err));
    TRY(pack(a->k, d->k_order, p->n_k, d->padded_k, a->batch, s.kv_heads, s.d_qk, base + at.k, &c.k, stream, err));
    TRY(pack(a->v, d->k_order, p->n_k, d->padded_k, a->batch, s.kv_heads, s.d_v, base + at.v, &c.v, stream, err));
    c.pattern = d->pattern;
    c.out = a->out;
    c.lse = a->lse;
    c.heads = d->call_heads;
    c.heads_per_kv = s.heads / s.kv_heads;
    c.d_v = s.d_v;
    c.bf16 = s.dtype == VIC_BF16;
    c.out_vectors = reinterpret_cast<uintptr_t>(a->out.data) % 8 == 0 && a->out.row_stride % 4 == 0 &&
                    a->out.head_stride % 4 == 0 && a->out.batch_stride % 4 == 0;
    c.q_at = const_cast<const void **>(pointers);
    c.k_at = const_cast<const void **>(pointers + products);
    c.v_at = const_cast<const void **>(pointers + 2 * products);
    c.scores_at = pointers + 3 * products;
    c.partials_at = pointers + 4 * products;
    c.scores = reinterpret_cast<float *>(base + at.scores);
    c.partials = reinterpret_cast<float *>(base + at.partials);
    c.inverse = reinterpret_cast<float *>(base + at.inverse);
    for (c.batch = 0; c.batch < a->batch; c.batch++)
        for (c.head = 0; c.head < s.heads; c.head += d->call_heads) TRY(run_call(d, plan, c, a->scale, stream, err));
    return VIC_OK;
}

} // extern "C"
