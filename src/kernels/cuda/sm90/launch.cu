// SPDX-License-Identifier: Apache-2.0
// The host side of the fused kernels: it uploads a plan to the device, and launches.
#include "kernels/cuda/sm90/launch.h"

#include "base/memory.h"
#include "base/sizes.h"
#include "base/switches.h"
#include "kernels/cuda/host.cuh"
#include "kernels/cuda/sm90/entries.h"
#include "kernels/cuda/sm90/instance.h"
#include "kernels/cuda/sm90/params.h"
#include "kernels/cuda/sm90/permute.h"
#include "kernels/cuda/sm90/plan/layout.h"
#include "kernels/cuda/sm90/tensors.h"
#include "kernels/cuda/sm90/upload.cuh"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <new>

using cuda_host::on_device;
using sm90_host::arena;
using sm90_host::copy;
using sm90_host::start_device;
using sm90_host::stopwatch;

namespace
{
struct device_plan {
    const void *kernel;                // attn_fwd_instance.whole or .split
    attn_fwd_params params[SCHEDULES]; // what the plan sets; the same twice where there is one schedule
    const int32_t *q_order, *k_order;
    int ctas, places;
    int64_t tiles;
    bool split;   // some tile has several splits
    void *memory; // the arrays of the plan on the device
};
} // namespace

const char *cuda_sm90_unavailable(vic_device device)
{
    return cuda_host::hopper_lacks(device);
}

void cuda_sm90_release(vic_plan *plan)
{
    device_plan *d = static_cast<device_plan *>(plan->kernel_data);
    on_device scope(plan->device, nullptr);
    cuda_array_free(d->memory);
    delete d;
}

static const attn_fwd_instance *instance_of(const vic_plan *plan)
{
    return static_cast<const attn_fwd_instance *>(plan->kernel->instance);
}

// The arrays of a plan: first in an arena on the host, then in the one on the device.
struct plan_arrays {
    tile_arrays tiles;
    tile_item *items[SCHEDULES];
    tile_task *tasks[SCHEDULES];
    tile_combine *combines;
    int32_t *q_order, *k_order;
};

static void list_arrays(const vic_plan *plan, const tile_layout *l, const tile_schedule *schedules, plan_arrays *to,
                        arena *memory)
{
    const bool orders = !plan->pattern_order;
    memory->add(&to->tiles.stages, l->n_stages + STAGE_OVERRUN);
    memory->add(&to->tiles.list, l->n_entries + LIST_OVERRUN);
    memory->add(&to->tiles.masks, l->n_masks);
    for (int i = 0; i < SCHEDULES; i++) {
        memory->add(&to->items[i], schedules[i].n_items);
        memory->add(&to->tasks[i], schedules[i].n_items * l->places);
    }
    memory->add(&to->combines, schedules[SPLIT_OVER_CTAS].n_combines);
    memory->add(&to->q_order, orders ? plan->pattern->n_q : 0);
    memory->add(&to->k_order, orders ? plan->pattern->n_k : 0);
}

static void fill_arrays(const vic_plan *plan, const tile_layout *l, const tile_schedule *schedules, pool *pool,
                        const plan_arrays *to)
{
    layout_fill(plan->pattern, l, pool, &to->tiles);
    for (int i = 0; i < SCHEDULES; i++) {
        copy(to->items[i], schedules[i].items, schedules[i].n_items);
        copy(to->tasks[i], schedules[i].tasks, schedules[i].n_items * l->places);
    }
    copy(to->combines, schedules[SPLIT_OVER_CTAS].combines, schedules[SPLIT_OVER_CTAS].n_combines);
    if (plan->pattern_order) return;
    copy(to->q_order, plan->pattern->q_order, plan->pattern->n_q);
    for (int64_t row = 0; row < plan->pattern->n_k; row++) to->k_order[row] = pattern_key(plan->pattern, row);
}

static void set_params(const vic_plan *plan, const tile_layout *l, const tile_schedule *schedule,
                       const plan_arrays *arrays, int which, attn_fwd_params *p)
{
    p->stages = arrays->tiles.stages;
    p->list = arrays->tiles.list;
    p->masks = *arrays->tiles.masks;
    p->items = arrays->items[which];
    p->tasks = arrays->tasks[which];
    p->combines = arrays->combines;
    std::memcpy(p->item_first, schedule->first, (size_t)(schedule->ctas + 1) * sizeof *schedule->first);
    p->n_items = static_cast<uint32_t>(schedule->n_items);
    p->n_combines = static_cast<uint32_t>(schedule->n_combines);
    p->n_partials = static_cast<uint32_t>(schedule->n_partials);
    p->warpgroup_splits = l->warpgroup_splits;
    p->combine_stages = l->combine_stages;
    p->n_q = plan->pattern->n_q;
    p->heads_per_kv = plan->shape.heads / plan->shape.kv_heads;
    p->d_qk = plan->shape.d_qk;
    p->d_v = plan->shape.d_v;
}

// Where the time of making a plan goes, in seconds, for VIC_LOG=plan.
struct plan_times {
    double device, layout, schedule, fill, copy, kernel;
};

// Writes the arrays of the plan and uploads them to the device.
static vic_status upload(vic_plan *plan, const tile_layout *l, const tile_schedule *schedules,
                         const kernel_setup *setup, stopwatch *watch, plan_times *times, vic_error *err)
{
    const attn_fwd_instance *instance = instance_of(plan);
    const bool two = schedules[WHOLE_TILES].items != nullptr;
    void *host = nullptr;
    plan_arrays arrays = {};
    arena memory;
    device_plan *d = new (std::nothrow) device_plan();
    if (!d) return vic_fail(err, VIC_NO_MEMORY, "out of memory: plan");
    plan->kernel_data = d; // from here cuda_sm90_release() frees it
    d->split = any_split(l);
    d->kernel = d->split ? instance->split : instance->whole;
    d->ctas = schedules->ctas;
    d->places = l->places;
    d->tiles = l->tiles;
    list_arrays(plan, l, schedules, &arrays, &memory);
    plan->bytes += memory.bytes();
    TRY(mem_array(memory.bytes(), 1, "bytes of a plan", &host, err));
    memory.bind(host);
    fill_arrays(plan, l, schedules, setup->pool, &arrays);
    times->fill = watch->lap();
    vic_status st =
        cuda_array_make(setup->memory, host, memory.bytes(), "copying the plan to the GPU", &d->memory, err);
    std::free(host);
    TRY(st);
    times->copy = watch->lap();
    memory.bind(d->memory);
    d->q_order = arrays.q_order;
    d->k_order = arrays.k_order;
    for (int i = 0; i < SCHEDULES; i++) {
        const int which = two ? i : SPLIT_OVER_CTAS;
        set_params(plan, l, &schedules[which], &arrays, which, &d->params[i]);
    }
    st = cuda_check(cudaFuncSetAttribute(d->kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                         static_cast<int>(instance->shared_bytes)),
                    "setting the kernel's shared memory", err);
    times->kernel = watch->lap();
    return st;
}

static vic_status make_schedules(const vic_plan *plan, const tile_layout *l, int ctas, bool whole,
                                 tile_schedule *schedules, vic_error *err)
{
    TRY(schedule_make(l, &plan->shape, ctas, whole, &schedules[SPLIT_OVER_CTAS], err));
    if (any_split(l)) TRY(schedule_make(l, &plan->shape, ctas, true, &schedules[WHOLE_TILES], err));
    return VIC_OK;
}

static void log_plan(const vic_plan *plan, const tile_layout *l, const plan_times *t)
{
    log_line("plan", "%s: %lld tiles, %lld splits, %d warpgroup splits a strip, %lld stages, %lld steps, %.1f MB",
             plan->kernel->name, (long long)l->tiles, (long long)l->splits, l->warpgroup_splits,
             (long long)l->n_stages, (long long)l->steps, 1e-6 * (double)plan->bytes);
    log_line("plan", "ms: start of the GPU %.2f, layout %.2f, schedule %.2f, arrays %.2f, copy %.2f, kernel %.2f",
             1e3 * t->device, 1e3 * t->layout, 1e3 * t->schedule, 1e3 * t->fill, 1e3 * t->copy, 1e3 * t->kernel);
}

vic_status cuda_sm90_prepare_as(vic_plan *plan, const cuda_sm90_choice *choice, const kernel_setup *setup,
                                vic_error *err)
{
    const attn_fwd_instance *instance = instance_of(plan);
    const layout_shape shape = { instance->places, instance->reach, choice->warpgroup_splits, choice->split_steps };
    tile_layout l = {};
    tile_schedule schedules[SCHEDULES] = {};
    plan_times times = {};
    stopwatch watch;
    int ctas = 0;
    TRY(cuda_host::check_hopper(plan->device, err));
    on_device scope(plan->device, err);
    TRY(scope.status);
    TRY(start_device(plan->device, &ctas, err));
    times.device = watch.lap();
    TRY(layout_make(plan->pattern, &shape, setup->pool, &l, err));
    times.layout = watch.lap();
    plan->computed_pairs = l.steps * STRIP * STAGE_KEYS;
    vic_status st = make_schedules(plan, &l, ctas, choice->whole, schedules, err);
    times.schedule = watch.lap();
    if (st == VIC_OK) st = upload(plan, &l, schedules, setup, &watch, &times, err);
    if (st == VIC_OK) log_plan(plan, &l, &times);
    layout_free(&l);
    for (auto &schedule : schedules) schedule_free(&schedule);
    return st;
}

vic_status cuda_sm90_prepare(vic_plan *plan, const kernel_setup *setup, vic_error *err)
{
    const cuda_sm90_choice by_heuristics = {};
    return cuda_sm90_prepare_as(plan, &by_heuristics, setup, err);
}

// Returns the parameters with splits over CTAs where there are few items; many whole tiles occupy all CTAs.
static const attn_fwd_params *params_for(const vic_plan *plan, int64_t batch)
{
    const device_plan *d = static_cast<const device_plan *>(plan->kernel_data);
    const bool many = batch > 1 && d->tiles * plan->shape.heads > (d->ctas - 1) / batch;
    return &d->params[many ? WHOLE_TILES : SPLIT_OVER_CTAS];
}

// Bytes of K or V in pattern order, [batch, kv_head, n_k, d].
static size_t permuted_bytes(const vic_plan *plan, int64_t batch, int d)
{
    const size_t heads = size_times(static_cast<size_t>(batch), static_cast<size_t>(plan->shape.kv_heads));
    return size_round_up(size_times(heads, static_cast<size_t>(plan->pattern->n_k) * d * 2), 256);
}

// Where partial results begin in the workspace: behind keys and values in pattern order, where the caller's are not.
static size_t partials_at(const vic_plan *plan, int64_t batch)
{
    if (plan->pattern_order) return 0;
    return size_plus(permuted_bytes(plan, batch, plan->shape.d_qk), permuted_bytes(plan, batch, plan->shape.d_v));
}

// Where the places of items begin: behind the partial results.  Before them come their tensor maps.
static size_t entries_at(const vic_plan *plan, int64_t batch)
{
    const device_plan *d = static_cast<const device_plan *>(plan->kernel_data);
    const size_t own = d->split ? static_cast<size_t>(d->ctas) * d->places : 0;
    const size_t partials =
        size_plus(size_times(static_cast<size_t>(batch), params_for(plan, batch)->n_partials), own);
    return size_plus(partials_at(plan, batch), size_times(partials, instance_of(plan)->partial_bytes));
}

// A workspace is aligned to 64 bytes only.
enum { MAP_ALIGNMENT = 128, ENTRY_BYTES = 2 * sizeof(CUtensorMap) + sizeof(vic_attention_item) };

size_t cuda_sm90_workspace(const vic_plan *plan, int, int64_t batch, bool items)
{
    const size_t entries = size_times(static_cast<size_t>(batch), ENTRY_BYTES);
    return size_plus(entries_at(plan, batch), items ? size_plus(entries, MAP_ALIGNMENT) : 0);
}

// The addresses of a tensor in all entries, combined by or, so that their alignment can be seen.
struct addresses {
    uintptr_t q, k, v, out;
};

static addresses addresses_of(const attention_args *a)
{
    addresses all = { reinterpret_cast<uintptr_t>(a->q.data), reinterpret_cast<uintptr_t>(a->k.data),
                      reinterpret_cast<uintptr_t>(a->v.data), reinterpret_cast<uintptr_t>(a->out.data) };
    for (int64_t i = 0; a->items && i < a->batch; i++) {
        all.q |= reinterpret_cast<uintptr_t>(a->items[i].q);
        all.k |= reinterpret_cast<uintptr_t>(a->items[i].k);
        all.v |= reinterpret_cast<uintptr_t>(a->items[i].v);
        all.out |= reinterpret_cast<uintptr_t>(a->items[i].out);
    }
    return all;
}

// The tensor map of K or V.
static vic_status make_map(const attention_tensor *t, uintptr_t addresses, const vic_plan *plan, int columns,
                           int64_t batch, CUtensorMap *map, vic_error *err)
{
    const map_shape shape = { columns, plan->pattern->n_k,       plan->shape.kv_heads,         batch,
                              OCTET,   instance_of(plan)->panel, plan->shape.dtype == VIC_BF16 };
    return tensor_map_make(t, addresses, &shape, "k, v", map, err);
}

// Copies K, or with `values` V, to the workspace in pattern order; *out is the tensor there.
static vic_status permute(const device_plan *d, const vic_plan *plan, const attention_args *a, uintptr_t addresses,
                          const vic_attention_item *entries, bool values, void *to, attention_tensor *out,
                          cudaStream_t stream, vic_error *err)
{
    permute_params p = {};
    p.entries = entries;
    p.to = static_cast<uint16_t *>(to);
    p.rows = d->k_order;
    p.n = plan->pattern->n_k;
    p.heads = plan->shape.kv_heads;
    p.batches = static_cast<int>(a->batch);
    p.d = values ? plan->shape.d_v : plan->shape.d_qk;
    p.values = values;
    return tensor_permute(values ? &a->v : &a->k, addresses, &p, out, stream, err);
}

// The workspace of a launch.
struct parts {
    char *permuted[2]; // K, V
    void *partials;
    CUtensorMap *maps;           // [batch, 2] of items in pattern order
    vic_attention_item *entries; // [batch] of items
};

static parts parts_of(const vic_plan *plan, const attention_args *a, void *workspace)
{
    parts w = {};
    char *const first = static_cast<char *>(workspace);
    w.partials = first + partials_at(plan, a->batch);
    if (!plan->pattern_order) {
        w.permuted[0] = first;
        w.permuted[1] = first + permuted_bytes(plan, a->batch, plan->shape.d_qk);
    }
    if (!a->items) return w;
    char *const behind = first + entries_at(plan, a->batch);
    w.maps = reinterpret_cast<CUtensorMap *>(behind + -reinterpret_cast<uintptr_t>(behind) % MAP_ALIGNMENT);
    w.entries = reinterpret_cast<vic_attention_item *>(w.maps + 2 * a->batch);
    return w;
}

// Enqueues writing where the items are to the workspace, with maps of their K and V where `maps` is not NULL.
static vic_status enqueue_entries(const attention_args *a, const CUtensorMap maps[2], const parts *w,
                                  CUtensorMap *to_maps, cudaStream_t stream, vic_error *err)
{
    entries_params p = {};
    p.maps[0] = maps[0];
    p.maps[1] = maps[1];
    for (int64_t first = 0; first < a->batch; first += ENTRIES_AT_ONCE) {
        const int64_t left = a->batch - first, most = ENTRIES_AT_ONCE;
        const int n = static_cast<int>(left < most ? left : most);
        copy(p.items, a->items + first, n);
        p.to = w->entries + first;
        p.to_maps = to_maps ? to_maps + 2 * first : nullptr;
        TRY(cuda_check(write_entries(&p, n, stream), "writing where the items are", err));
    }
    return VIC_OK;
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
    attn_fwd_params p = *params_for(plan, a->batch);
    if (plan->pattern->n_q == 0) return VIC_OK;
    const int64_t combine_blocks = static_cast<int64_t>(p.n_combines) * instance->columns / 8;
    const int64_t most = (INT32_MAX - MOST_CTAS) / (p.n_items > combine_blocks ? p.n_items : combine_blocks);
    if (a->batch > most)
        return vic_fail(err, VIC_BAD_ARGUMENT, "batch: expected at most %lld for a plan of %lld work items, got %lld",
                        (long long)most, (long long)p.n_items, (long long)a->batch);
    on_device scope(plan->device, err);
    TRY(scope.status);
    const addresses all = addresses_of(a);
    const parts w = parts_of(plan, a, exec->workspace);
    const bool straight = plan->pattern_order && plan->pattern->n_k > 0; // K and V come from where they are
    CUtensorMap maps[2];
    std::memset(maps, 0, sizeof maps); // without keys there are no stages, which would use them
    if (straight) {
        const int64_t of_map = a->items ? 1 : a->batch;
        TRY(make_map(&a->k, all.k, plan, plan->shape.d_qk, of_map, &maps[0], err));
        TRY(make_map(&a->v, all.v, plan, plan->shape.d_v, of_map, &maps[1], err));
    }
    p.entries = a->items ? w.entries : nullptr;
    p.maps = a->items && straight ? w.maps : nullptr;
    if (a->items) TRY(enqueue_entries(a, maps, &w, straight ? w.maps : nullptr, stream, err));
    if (!plan->pattern_order) {
        attention_tensor k, v;
        TRY(permute(d, plan, a, all.k, p.entries, false, w.permuted[0], &k, stream, err));
        TRY(permute(d, plan, a, all.v, p.entries, true, w.permuted[1], &v, stream, err));
        if (plan->pattern->n_k > 0) {
            TRY(make_map(&k, 0, plan, plan->shape.d_qk, a->batch, &maps[0], err));
            TRY(make_map(&v, 0, plan, plan->shape.d_v, a->batch, &maps[1], err));
        }
    }
    p.q = device_tensor(&a->q);
    p.out = device_tensor(&a->out);
    p.lse = device_tensor(&a->lse);
    p.q_rows = plan->pattern_order ? nullptr : d->q_order;
    p.partials = w.partials;
    p.batch = static_cast<int>(a->batch);
    p.q_words = tensor_aligned(&a->q, all.q, 2);
    p.q_vectors = tensor_aligned(&a->q, all.q, 8);
    p.out_words = tensor_aligned(&a->out, all.out, 2);
    p.scale_log2 = static_cast<float>(a->scale * 1.4426950408889634074);
    void *arguments[] = { &maps[0], &maps[1], &p };
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
    TRY(cuda_check(cudaLaunchKernelExC(&launch, d->kernel, arguments), "launching the kernel", err));
    if (p.n_combines == 0) return VIC_OK;
    launch.gridDim = dim3(static_cast<unsigned>(combine_blocks * a->batch));
    launch.blockDim = dim3(128);
    launch.dynamicSmemBytes = 0;
    return cuda_check(cudaLaunchKernelExC(&launch, instance->combine, arguments + 2), "launching the kernel", err);
}
