// SPDX-License-Identifier: Apache-2.0
// The host side of the fused kernels: what a plan brings to the device, how a launch is put together.
#include "kernels/cuda/sm90/launch.h"

#include "base/sizes.h"
#include "kernels/cuda/host.cuh"
#include "kernels/cuda/sm90/instance.h"
#include "kernels/cuda/sm90/params.h"
#include "kernels/cuda/sm90/permute.h"
#include "kernels/cuda/sm90/plan/layout.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <new>

using cuda_host::check;
using cuda_host::on_device;

namespace
{
struct device_plan {
    const void *kernel;        // of the instance: for tiles of one share, or of several
    attn_fwd_params params[2]; // the plan's part, with each schedule; the same twice where there is one
    const int32_t *q_order, *k_order;
    int ctas, places;
    int64_t tiles;
    bool shares;  // there are tiles of several
    void *memory; // all of the above lie in it
};

using encode_tiled = CUresult (*)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *,
                                  const cuuint64_t *, const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave,
                                  CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

// From the driver, at run time: libcuda is not linked.  Kept once it is found; a failure is not.
vic_status find_encode_tiled(encode_tiled *out, vic_error *err)
{
    static std::atomic<encode_tiled> known;
    void *function = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    *out = known;
    if (*out) return VIC_OK;
    TRY(check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found),
              "asking the driver for tensor maps", err));
    if (found != cudaDriverEntryPointSuccess || !function)
        return vic_fail(err, VIC_NO_DEVICE,
                        "the NVIDIA driver has no tensor maps (cuTensorMapEncodeTiled): update it");
    known = *out = reinterpret_cast<encode_tiled>(function);
    return VIC_OK;
}
} // namespace

extern "C" {

const char *cuda_sm90_unavailable(vic_device device)
{
    return cuda_host::hopper_lacks(device);
}

void cuda_sm90_release(vic_plan *plan)
{
    device_plan *d = static_cast<device_plan *>(plan->kernel_data);
    on_device scope(plan->device.index);
    cuda_host::free_memory(d->memory);
    delete d;
}

// What a schedule brings to the device.
static void use_schedule(const device_plan *d, const tile_schedule *schedule, attn_fwd_params *p)
{
    std::memcpy(p->item_first, schedule->first, (size_t)(d->ctas + 1) * sizeof *schedule->first);
    p->n_items = static_cast<uint32_t>(schedule->n_items);
    p->n_joins = static_cast<uint32_t>(schedule->n_joins);
    p->n_slots = static_cast<uint32_t>(schedule->n_slots);
}

static const attn_fwd_instance *instance_of(const vic_plan *plan)
{
    return static_cast<const attn_fwd_instance *>(plan->kernel->instance);
}

// Brings the layout to the device.
static vic_status bring(vic_plan *plan, const tile_layout *l, const tile_schedule *schedules, vic_error *err)
{
    const attn_fwd_instance *instance = instance_of(plan);
    const vic_pattern *p = plan->pattern;
    device_plan *d = new (std::nothrow) device_plan();
    if (!d) return vic_fail(err, VIC_NO_MEMORY, "out of memory: plan");
    plan->kernel_data = d; // from here cuda_sm90_release() frees it
    d->shares = l->shares > l->tiles;
    d->kernel = d->shares ? instance->shares : instance->whole;
    d->ctas = schedules->ctas;
    d->places = l->places;
    d->tiles = l->tiles;
    const bool orders = !plan->pattern_order;
    attn_fwd_params *first = &d->params[SOME_IN_SHARES], *second = &d->params[WHOLE_TILES];
    const tile_schedule *one = &schedules[SOME_IN_SHARES], *other = &schedules[WHOLE_TILES];
    const size_t task_bytes = (size_t)l->places * sizeof(tile_task);
    const struct {
        const void *from;
        size_t bytes;
        const void **to;
    } parts[] = {
        { l->stages, (size_t)(l->n_stages + STAGE_OVERRUN) * sizeof *l->stages, (const void **)&first->stages },
        { l->list, (size_t)(l->n_entries + LIST_OVERRUN) * sizeof *l->list, (const void **)&first->list },
        { l->masks, (size_t)l->n_masks * sizeof *l->masks, (const void **)&first->masks },
        { one->items, (size_t)one->n_items * sizeof *one->items, (const void **)&first->items },
        { one->tasks, (size_t)one->n_items * task_bytes, (const void **)&first->tasks },
        { one->joins, (size_t)one->n_joins * sizeof *one->joins, (const void **)&first->joins },
        { other->items, (size_t)other->n_items * sizeof *other->items, (const void **)&second->items },
        { other->tasks, (size_t)other->n_items * task_bytes, (const void **)&second->tasks },
        { p->q_order, orders ? (size_t)p->n_q * sizeof *p->q_order : 0, (const void **)&d->q_order },
        { p->k_order, orders ? (size_t)p->n_k * sizeof *p->k_order : 0, (const void **)&d->k_order },
    };
    size_t total = 256, at = 0;
    for (const auto &part : parts) total += (part.bytes + 255) / 256 * 256;
    on_device scope(plan->device.index);
    TRY(check(scope.code, "choosing the GPU", err));
    TRY(check(cudaMalloc(&d->memory, total), "allocating the plan's GPU memory", err));
    for (const auto &part : parts) {
        char *to = static_cast<char *>(d->memory) + at;
        if (part.bytes > 0)
            TRY(check(cudaMemcpy(to, part.from, part.bytes, cudaMemcpyHostToDevice), "copying the plan", err));
        *part.to = to;
        at += (part.bytes + 255) / 256 * 256;
    }
    use_schedule(d, one, first);
    first->parts = l->parts;
    first->inboxes = l->inboxes;
    first->n_q = p->n_q;
    first->heads_per_kv = plan->shape.heads / plan->shape.kv_heads;
    first->d_qk = plan->shape.d_qk;
    first->d_v = plan->shape.d_v;
    const tile_item *items = second->items;
    const tile_task *tasks = second->tasks;
    *second = *first;
    if (other->items) {
        second->items = items;
        second->tasks = tasks;
        use_schedule(d, other, second);
    }
    plan->bytes += total;
    return check(cudaFuncSetAttribute(d->kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      static_cast<int>(instance->shared_bytes)),
                 "giving the kernel its shared memory", err);
}

// One CTA a multiprocessor.
static vic_status count_ctas(vic_device device, int *out, vic_error *err)
{
    TRY(cuda_host::check_hopper(device, err));
    TRY(check(cudaDeviceGetAttribute(out, cudaDevAttrMultiProcessorCount, device.index), "asking the GPU", err));
    if (*out > MOST_CTAS) *out = MOST_CTAS;
    return VIC_OK;
}

static vic_status lay_out(const vic_plan *plan, const cuda_sm90_choice *choice, int ctas, pool *pool, tile_layout *l,
                          tile_schedule *schedules, vic_error *err)
{
    const vic_pattern *p = plan->pattern;
    const attn_fwd_instance *instance = instance_of(plan);
    if (choice->parts > 0 && instance->places % choice->parts == 0)
        TRY(tiles_lay_out(p, instance->places, choice->parts, instance->reach, pool, l, err));
    else
        TRY(tiles_make(p, instance->places, instance->reach, pool, l, err));
    if (choice->most_steps > 0 && l->shares == l->tiles)
        TRY(tiles_split(p, instance->reach, choice->most_steps, pool, l, err));
    TRY(tiles_schedule(l, &plan->shape, ctas, choice->whole, &schedules[SOME_IN_SHARES], err));
    if (l->shares > l->tiles) TRY(tiles_schedule(l, &plan->shape, ctas, true, &schedules[WHOLE_TILES], err));
    return VIC_OK;
}

vic_status cuda_sm90_prepare_as(vic_plan *plan, const cuda_sm90_choice *choice, pool *pool, vic_error *err)
{
    tile_layout layout = {};
    tile_schedule schedules[2] = {};
    int ctas;
    TRY(count_ctas(plan->device, &ctas, err));
    vic_status st = lay_out(plan, choice, ctas, pool, &layout, schedules, err);
    plan->computed_pairs = layout.steps * STRIP * STAGE_KEYS;
    if (st == VIC_OK) st = bring(plan, &layout, schedules, err);
    tiles_free(&layout);
    for (auto &schedule : schedules) tiles_schedule_free(&schedule);
    return st;
}

vic_status cuda_sm90_prepare(vic_plan *plan, pool *pool, vic_error *err)
{
    const cuda_sm90_choice as_the_pattern_asks = {};
    return cuda_sm90_prepare_as(plan, &as_the_pattern_asks, pool, err);
}

// Shares on several CTAs are for few items; where there are many, whole tiles occupy all CTAs.
static const attn_fwd_params *params_for(const vic_plan *plan, int64_t batch)
{
    const device_plan *d = static_cast<const device_plan *>(plan->kernel_data);
    const bool many = batch > 1 && d->tiles * plan->shape.heads > (d->ctas - 1) / batch;
    return &d->params[many ? WHOLE_TILES : SOME_IN_SHARES];
}

// K and V in pattern order, [batch, kv_head, n_k, d] each.
static size_t permuted_bytes(const vic_plan *plan, int64_t batch, int d)
{
    const size_t items = size_times(static_cast<size_t>(batch), static_cast<size_t>(plan->shape.kv_heads));
    return size_round_up(size_times(items, static_cast<size_t>(plan->pattern->n_k) * d * 2), 256);
}

// Keys and values in pattern order, where the caller's are not; behind them the slots of split tiles.
static size_t slots_at(const vic_plan *plan, int64_t batch)
{
    if (plan->pattern_order) return 0;
    return size_plus(permuted_bytes(plan, batch, plan->shape.d_qk), permuted_bytes(plan, batch, plan->shape.d_v));
}

size_t cuda_sm90_workspace(const vic_plan *plan, int, int64_t batch)
{
    const device_plan *d = static_cast<const device_plan *>(plan->kernel_data);
    const size_t own = d->shares ? static_cast<size_t>(d->ctas) * d->places : 0;
    const size_t slots = size_plus(size_times(static_cast<size_t>(batch), params_for(plan, batch)->n_slots), own);
    return size_plus(slots_at(plan, batch), size_times(slots, instance_of(plan)->slot_bytes));
}

// {columns, rows, heads, batch}: what lies past the columns or rows reads as zero.
static vic_status make_map(const attention_tensor *t, const vic_plan *plan, int columns, int64_t batch,
                           CUtensorMap *map, vic_error *err)
{
    const int panel = instance_of(plan)->panel;
    encode_tiled encode;
    TRY(find_encode_tiled(&encode, err));
    const int64_t strides[] = { t->row_stride, t->head_stride, t->batch_stride };
    const cuuint64_t sizes[] = { static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(plan->pattern->n_k),
                                 static_cast<cuuint64_t>(plan->shape.kv_heads), static_cast<cuuint64_t>(batch) };
    cuuint64_t bytes[3];
    for (int i = 0; i < 3; i++) {
        // A dimension of one is never stepped along; its stride only has to be legal.
        const bool stepped = sizes[i + 1] > 1;
        if (stepped && (strides[i] <= 0 || strides[i] % 8 != 0))
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "k, v: on the GPU, in pattern order, strides must be positive multiples of 8 elements "
                            "(16 "
                            "bytes), got %lld; copy them, or plan for the caller's order",
                            static_cast<long long>(strides[i]));
        bytes[i] = stepped ? static_cast<cuuint64_t>(strides[i]) * 2 : 16;
    }
    if (reinterpret_cast<uintptr_t>(t->data) % 16 != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "k, v: on the GPU, in pattern order, data must be aligned to 16 bytes");
    const cuuint32_t box[] = { static_cast<cuuint32_t>(panel), GROUP_KEYS, 1, 1 }, step[] = { 1, 1, 1, 1 };
    const CUresult code =
        encode(map,
               plan->shape.dtype == VIC_BF16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 4,
               t->data, sizes, bytes, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
               panel == 64 ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_64B,
               CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (code != CUDA_SUCCESS && code != CUDA_ERROR_INVALID_VALUE)
        return vic_fail(err, VIC_FAILED, "making a tensor map of k, v: CUDA error %d", static_cast<int>(code));
    if (code != CUDA_SUCCESS)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "k, v: the driver refuses a tensor map of these strides (CUDA error %d)",
                        static_cast<int>(code));
    return VIC_OK;
}

// Every row begins at a multiple of `elements`, so that as many can be moved at a time.
static bool aligned(const attention_tensor *t, int elements)
{
    return reinterpret_cast<uintptr_t>(t->data) % (2 * elements) == 0 && t->row_stride % elements == 0 &&
           t->head_stride % elements == 0 && t->batch_stride % elements == 0;
}

static vic_status permute(const device_plan *d, const vic_plan *plan, const attention_tensor *from, int columns,
                          int64_t batch, void *to, attention_tensor *out, cudaStream_t stream, vic_error *err)
{
    permute_params p = {};
    p.from = static_cast<const uint16_t *>(from->data);
    p.to = static_cast<uint16_t *>(to);
    p.rows = d->k_order;
    p.n = plan->pattern->n_k;
    p.row = from->row_stride;
    p.head = from->head_stride;
    p.batch = from->batch_stride;
    p.heads = plan->shape.kv_heads;
    p.batches = static_cast<int>(batch);
    p.d = columns;
    p.vectors = aligned(from, 8);
    out->data = to;
    out->row_stride = columns;
    out->head_stride = p.n * columns;
    out->batch_stride = p.heads * out->head_stride;
    return check(permute_rows(&p, stream), "putting keys and values in order", err);
}

static attn_fwd_tensor device_tensor(const attention_tensor *t)
{
    return { t->data, t->row_stride, t->head_stride, t->batch_stride };
}

vic_status cuda_sm90_launch(const vic_plan *plan, const attention_args *a, const kernel_exec *exec, vic_error *err)
{
    const attn_fwd_instance *instance = instance_of(plan);
    const device_plan *d = static_cast<const device_plan *>(plan->kernel_data);
    cudaStream_t stream = static_cast<cudaStream_t>(exec->stream);
    attention_tensor k = a->k, v = a->v;
    attn_fwd_params p = *params_for(plan, a->batch);
    if (plan->pattern->n_q == 0) return VIC_OK;
    const int64_t join_blocks = static_cast<int64_t>(p.n_joins) * instance->columns / 8;
    const int64_t most = (INT32_MAX - MOST_CTAS) / (p.n_items > join_blocks ? p.n_items : join_blocks);
    if (a->batch > most)
        return vic_fail(err, VIC_BAD_ARGUMENT, "batch: expected at most %lld for a plan of %lld work items, got %lld",
                        (long long)most, (long long)p.n_items, (long long)a->batch);
    on_device scope(plan->device.index);
    TRY(check(scope.code, "choosing the GPU", err));
    if (!plan->pattern_order) {
        char *first = static_cast<char *>(exec->workspace);
        TRY(permute(d, plan, &a->k, plan->shape.d_qk, a->batch, first, &k, stream, err));
        TRY(permute(d, plan, &a->v, plan->shape.d_v, a->batch,
                    first + permuted_bytes(plan, a->batch, plan->shape.d_qk), &v, stream, err));
    }
    CUtensorMap k_map, v_map;
    std::memset(&k_map, 0, sizeof k_map);
    std::memset(&v_map, 0, sizeof v_map);
    if (plan->pattern->n_k > 0) { // else no stage asks for them
        TRY(make_map(&k, plan, plan->shape.d_qk, a->batch, &k_map, err));
        TRY(make_map(&v, plan, plan->shape.d_v, a->batch, &v_map, err));
    }
    p.q = device_tensor(&a->q);
    p.out = device_tensor(&a->out);
    p.lse = device_tensor(&a->lse);
    p.q_rows = plan->pattern_order ? nullptr : d->q_order;
    p.slots = static_cast<char *>(exec->workspace) + slots_at(plan, a->batch);
    p.batch = static_cast<int>(a->batch);
    p.q_words = aligned(&a->q, 2);
    p.q_vectors = aligned(&a->q, 8);
    p.out_words = aligned(&a->out, 2);
    p.scale_log2 = static_cast<float>(a->scale * 1.4426950408889634074);
    void *arguments[] = { &k_map, &v_map, &p };
    // The kernel may begin, up to its griddepcontrol.wait, while the one before it on the stream ends.
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t launch = {};
    launch.gridDim = dim3(d->ctas);
    launch.blockDim = dim3(instance->threads);
    launch.dynamicSmemBytes = instance->shared_bytes;
    launch.stream = stream;
    launch.attrs = &early;
    launch.numAttrs = 1;
    TRY(check(cudaLaunchKernelExC(&launch, d->kernel, arguments), "launching the kernel", err));
    if (p.n_joins == 0) return VIC_OK;
    launch.gridDim = dim3(static_cast<unsigned>(join_blocks * a->batch));
    launch.blockDim = dim3(128);
    launch.dynamicSmemBytes = 0;
    return check(cudaLaunchKernelExC(&launch, instance->join, arguments + 2), "launching the kernel", err);
}

} // extern "C"
