// SPDX-License-Identifier: Apache-2.0
// The host side of the kernels of gradients: it lays out and uploads both passes, and launches row terms and passes.
#include "kernels/cuda/sm90/launch_bwd.h"

#include "base/memory.h"
#include "base/sizes.h"
#include "base/switches.h"
#include "kernels/cuda/host.cuh"
#include "kernels/cuda/sm90/bwd_instance.h"
#include "kernels/cuda/sm90/bwd_params.h"
#include "kernels/cuda/sm90/plan/layout.h"
#include "kernels/cuda/sm90/tensors.h"
#include "kernels/cuda/sm90/upload.cuh"

#include <cmath>
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
enum { OVER_QUERIES, OVER_KEYS, PASSES };

struct device_plan {
    attn_bwd_params params[PASSES]; // what the plan sets
    const int32_t *orders[PASSES];  // of the rows of each pass; NULL = the caller's rows are in pattern order
    int ctas;
    void *memory; // the arrays of the plan on the device
};

// What a pass is made from: its pattern, whose queries are the pass's own rows, and its layout and schedule.
struct pass_layout {
    tile_layout layout;
    tile_schedule schedule;
};

struct pass_arrays {
    tile_arrays tiles;
    tile_item *items;
    tile_task *tasks;
    int32_t *order;
};
} // namespace

static const attn_bwd_instance *instance_of(const vic_plan *plan)
{
    return static_cast<const attn_bwd_instance *>(plan->kernel->instance);
}

static const attn_bwd_pass *pass_of(const vic_plan *plan, int pass)
{
    return pass == OVER_KEYS ? &instance_of(plan)->over_keys : &instance_of(plan)->over_queries;
}

static const vic_pattern *pattern_of(const vic_plan *plan, int pass)
{
    return pass == OVER_KEYS ? plan->transposed : plan->pattern;
}

void cuda_sm90_bwd_release(vic_plan *plan)
{
    device_plan *d = static_cast<device_plan *>(plan->kernel_data);
    on_device scope(plan->device, nullptr);
    cuda_array_free(d->memory);
    delete d;
}

// ---- Making a plan -------------------------------------------------------------------------------------------

// No strip and no tile is split, so that a row is added up in one order whatever the heads, the batch or the GPU.
static vic_status lay_out(const vic_plan *plan, int pass, int ctas, pool *pool, pass_layout *out, vic_error *err)
{
    const layout_shape shape = { pass_of(plan, pass)->places, pass_of(plan, pass)->reach, 1, 0 };
    attention_shape of_pass = plan->shape;
    if (pass == OVER_KEYS) of_pass.heads = of_pass.kv_heads; // an item is a key head with all of its query heads
    TRY(layout_make(pattern_of(plan, pass), &shape, pool, &out->layout, err));
    return schedule_make(&out->layout, &of_pass, ctas, true, &out->schedule, err);
}

static void list_arrays(const vic_plan *plan, int pass, const pass_layout *from, pass_arrays *to, arena *memory)
{
    const tile_layout *l = &from->layout;
    memory->add(&to->tiles.stages, l->n_stages + STAGE_OVERRUN);
    memory->add(&to->tiles.list, l->n_entries + LIST_OVERRUN);
    memory->add(&to->tiles.masks, l->n_masks);
    memory->add(&to->items, from->schedule.n_items);
    memory->add(&to->tasks, from->schedule.n_items * l->places);
    memory->add(&to->order, plan->pattern_order ? 0 : pattern_of(plan, pass)->n_q);
}

static void fill_arrays(const vic_plan *plan, int pass, const pass_layout *from, pool *pool, const pass_arrays *to)
{
    const vic_pattern *pattern = pattern_of(plan, pass);
    layout_fill(pattern, &from->layout, pool, &to->tiles);
    copy(to->items, from->schedule.items, from->schedule.n_items);
    copy(to->tasks, from->schedule.tasks, from->schedule.n_items * from->layout.places);
    if (!plan->pattern_order) copy(to->order, pattern->q_order, pattern->n_q);
}

static void set_params(const vic_plan *plan, int pass, const tile_schedule *schedule, const pass_arrays *arrays,
                       attn_bwd_params *p)
{
    p->stages = arrays->tiles.stages;
    p->list = arrays->tiles.list;
    p->masks = *arrays->tiles.masks;
    p->items = arrays->items;
    p->tasks = arrays->tasks;
    p->n_items = static_cast<uint32_t>(schedule->n_items);
    copy(p->item_first, schedule->first, schedule->ctas + 1);
    p->n = pattern_of(plan, pass)->n_q;
    p->heads = plan->shape.heads;
    p->heads_per_kv = plan->shape.heads / plan->shape.kv_heads;
    p->octets = plan->pattern->strips * (STRIP / OCTET);
    p->columns[0] = plan->shape.d_qk;
    p->columns[1] = plan->shape.d_v;
    p->rows = plan->pattern_order ? nullptr : arrays->order;
}

static vic_status upload(vic_plan *plan, const pass_layout *passes, int ctas, const kernel_setup *setup,
                         vic_error *err)
{
    void *host = nullptr;
    pass_arrays arrays[PASSES] = {};
    arena memory;
    device_plan *d = new (std::nothrow) device_plan();
    if (!d) return vic_fail(err, VIC_NO_MEMORY, "out of memory: plan");
    plan->kernel_data = d; // from here cuda_sm90_bwd_release() frees it
    d->ctas = ctas;
    for (int i = 0; i < PASSES; i++) list_arrays(plan, i, &passes[i], &arrays[i], &memory);
    plan->bytes += memory.bytes();
    TRY(mem_array(memory.bytes(), 1, "bytes of a plan", &host, err));
    memory.bind(host);
    for (int i = 0; i < PASSES; i++) fill_arrays(plan, i, &passes[i], setup->pool, &arrays[i]);
    const vic_status st =
        cuda_array_make(setup->memory, host, memory.bytes(), "copying the plan to the GPU", &d->memory, err);
    std::free(host);
    TRY(st);
    memory.bind(d->memory);
    for (int i = 0; i < PASSES; i++) {
        set_params(plan, i, &passes[i].schedule, &arrays[i], &d->params[i]);
        d->orders[i] = d->params[i].rows;
        TRY(cuda_check(cudaFuncSetAttribute(pass_of(plan, i)->kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                            static_cast<int>(pass_of(plan, i)->shared_bytes)),
                       "setting the kernel's shared memory", err));
    }
    return VIC_OK;
}

static void log_plan(const vic_plan *plan, const pass_layout *passes, double seconds)
{
    for (int i = 0; i < PASSES; i++)
        log_line("plan", "%s, pass over %s: %lld tiles, %lld stages, %lld steps, %lld masks", plan->kernel->name,
                 i == OVER_KEYS ? "keys" : "queries", (long long)passes[i].layout.tiles,
                 (long long)passes[i].layout.n_stages, (long long)passes[i].layout.steps,
                 (long long)passes[i].layout.n_masks);
    log_line("plan", "%s: %.1f MB, made in %.2f ms", plan->kernel->name, 1e-6 * (double)plan->bytes, 1e3 * seconds);
}

vic_status cuda_sm90_bwd_prepare(vic_plan *plan, const kernel_setup *setup, vic_error *err)
{
    pass_layout passes[PASSES] = {};
    stopwatch watch;
    vic_status st = VIC_OK;
    int ctas = 0;
    TRY(cuda_host::check_hopper(plan->device, err));
    on_device scope(plan->device, err);
    TRY(scope.status);
    TRY(start_device(plan->device, &ctas, err));
    for (int i = 0; i < PASSES && st == VIC_OK; i++) st = lay_out(plan, i, ctas, setup->pool, &passes[i], err);
    plan->computed_pairs = // of the mean pass
        (passes[OVER_QUERIES].layout.steps + passes[OVER_KEYS].layout.steps) * STRIP * STAGE_KEYS / 2;
    if (st == VIC_OK) st = upload(plan, passes, ctas, setup, err);
    if (st == VIC_OK) log_plan(plan, passes, watch.lap());
    for (auto &pass : passes) {
        layout_free(&pass.layout);
        schedule_free(&pass.schedule);
    }
    return st;
}

// ---- The workspace -------------------------------------------------------------------------------------------

// Where dout is not given its tensor map is of one row of so many zeros.
enum { ZEROS_BYTES = 256 };
static_assert(ZEROS_BYTES >= 2 * 128, "the largest head size");

namespace
{
// Offsets in the workspace.  Tensors in pattern order, [batch, head, n, d], are there where the caller's are not.
struct workspace_layout {
    size_t terms, zeros, q, dout, k, v, bytes;
};
} // namespace

static size_t tensor_bytes(int64_t batch, int heads, int64_t n, int d)
{
    const size_t rows =
        size_times(size_times(static_cast<size_t>(batch), static_cast<size_t>(heads)), static_cast<size_t>(n));
    return size_times(rows, static_cast<size_t>(d) * 2);
}

static workspace_layout lay_out_workspace(const vic_plan *plan, int64_t batch)
{
    const attention_shape *s = &plan->shape;
    const vic_pattern *p = plan->pattern;
    workspace_layout w = {};
    const auto take = [&](size_t bytes) {
        const size_t at = w.bytes;
        w.bytes = size_plus(w.bytes, size_round_up(bytes, 256));
        return at;
    };
    const size_t octets = size_times(size_times(static_cast<size_t>(batch), static_cast<size_t>(s->heads)),
                                     static_cast<size_t>(p->strips) * (STRIP / OCTET));
    w.terms = take(size_times(octets, sizeof(octet_terms)));
    w.zeros = take(ZEROS_BYTES);
    if (plan->pattern_order) return w;
    w.q = take(tensor_bytes(batch, s->heads, p->n_q, s->d_qk));
    w.dout = take(tensor_bytes(batch, s->heads, p->n_q, s->d_v));
    w.k = take(tensor_bytes(batch, s->kv_heads, p->n_k, s->d_qk));
    w.v = take(tensor_bytes(batch, s->kv_heads, p->n_k, s->d_v));
    return w;
}

size_t cuda_sm90_bwd_workspace(const vic_plan *plan, int, int64_t batch, bool)
{
    return lay_out_workspace(plan, batch).bytes;
}

// ---- Launching -----------------------------------------------------------------------------------------------

static uintptr_t address_of(const attention_tensor *t)
{
    return reinterpret_cast<uintptr_t>(t->data);
}

static attn_fwd_tensor device_tensor(const attention_tensor *t)
{
    return { t->data, t->row_stride, t->head_stride, t->batch_stride };
}

namespace
{
// A tensor that comes through tensor maps: once with boxes of octets, for stages, once with boxes of strips.
struct mapped_tensor {
    CUtensorMap octets, strips;
};
} // namespace

static vic_status make_maps(const vic_plan *plan, const attention_tensor *t, int columns, int64_t rows, int heads,
                            int64_t batch, const char *name, mapped_tensor *out, vic_error *err)
{
    map_shape shape = { columns, rows, heads, batch, OCTET, instance_of(plan)->panel, instance_of(plan)->bf16 };
    TRY(tensor_map_make(t, address_of(t), &shape, name, &out->octets, err));
    shape.box_rows = STRIP;
    return tensor_map_make(t, address_of(t), &shape, name, &out->strips, err);
}

// Makes the maps of a tensor of the rows of `pass`; in the caller's order, of a copy of it in pattern order, at `to`.
static vic_status map_tensor(const vic_plan *plan, int pass, const attention_tensor *t, int columns, int64_t batch,
                             const char *name, void *to, mapped_tensor *out, cudaStream_t stream, vic_error *err)
{
    const device_plan *d = static_cast<const device_plan *>(plan->kernel_data);
    const int heads = pass == OVER_KEYS ? plan->shape.kv_heads : plan->shape.heads;
    const int64_t rows = pattern_of(plan, pass)->n_q;
    attention_tensor ordered = *t;
    if (rows == 0) return VIC_OK; // no copy uses the maps
    if (!plan->pattern_order) {
        permute_params p = {};
        p.to = static_cast<uint16_t *>(to);
        p.rows = d->orders[pass];
        p.n = rows;
        p.heads = heads;
        p.batches = static_cast<int>(batch);
        p.d = columns;
        TRY(tensor_permute(t, address_of(t), &p, &ordered, stream, err));
    }
    return make_maps(plan, &ordered, columns, rows, heads, batch, name, out, err);
}

// Maps by which everything reads as zero.
static vic_status map_zeros(const vic_plan *plan, void *zeros, mapped_tensor *out, cudaStream_t stream,
                            vic_error *err)
{
    attention_tensor one_row = {};
    one_row.data = zeros;
    TRY(cuda_check(cudaMemsetAsync(zeros, 0, ZEROS_BYTES, stream), "clearing the workspace", err));
    return make_maps(plan, &one_row, plan->shape.d_v, 1, 1, 1, "dout", out, err);
}

// A kernel may begin, up to its griddepcontrol.wait, while the one before it on the stream ends.
static vic_status launch_early(const void *kernel, dim3 grid, unsigned threads, unsigned shared_bytes,
                               void **arguments, cudaStream_t stream, vic_error *err)
{
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t launch = {};
    launch.gridDim = grid;
    launch.blockDim = dim3(threads);
    launch.dynamicSmemBytes = shared_bytes;
    launch.stream = stream;
    launch.attrs = &early;
    launch.numAttrs = 1;
    return cuda_check(cudaLaunchKernelExC(&launch, kernel, arguments), "launching the kernel", err);
}

static vic_status launch_terms(const vic_plan *plan, const attention_backward_args *a, octet_terms *terms,
                               cudaStream_t stream, vic_error *err)
{
    const device_plan *d = static_cast<const device_plan *>(plan->kernel_data);
    row_terms_params p = {};
    p.out = device_tensor(&a->out);
    p.dout = device_tensor(&a->dout);
    p.lse = device_tensor(&a->lse);
    p.dlse = device_tensor(&a->dlse);
    p.q_rows = d->orders[OVER_QUERIES];
    p.n_q = plan->pattern->n_q;
    p.octets = d->params[OVER_QUERIES].octets;
    p.batch = static_cast<int>(a->batch);
    p.heads = plan->shape.heads;
    p.d_v = plan->shape.d_v;
    p.vectors = tensor_aligned(&a->out, address_of(&a->out), 8) && tensor_aligned(&a->dout, address_of(&a->dout), 8);
    p.terms = terms;
    const int64_t threads = p.octets * OCTET * p.heads * 8;
    const int64_t blocks = (threads + ROW_TERMS_THREADS - 1) / ROW_TERMS_THREADS, entries = a->batch;
    if (blocks * ROW_TERMS_THREADS / 8 > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "%lld query rows of %d heads: expected fewer than 2^31 of both together", (long long)p.n_q,
                        p.heads);
    void *arguments[] = { &p };
    return launch_early(instance_of(plan)->row_terms,
                        dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(entries < 65535 ? entries : 65535)),
                        ROW_TERMS_THREADS, 0, arguments, stream, err);
}

static vic_status launch_pass(const vic_plan *plan, int pass, const attention_backward_args *a, octet_terms *terms,
                              mapped_tensor *stages1, mapped_tensor *stages2, mapped_tensor *own1,
                              mapped_tensor *own2, cudaStream_t stream, vic_error *err)
{
    const device_plan *d = static_cast<const device_plan *>(plan->kernel_data);
    const attn_bwd_pass *instance = pass_of(plan, pass);
    const double weight = std::ldexp(1.0, -instance_of(plan)->weight_shift);
    const attention_tensor *const out[] = { pass == OVER_KEYS ? &a->dk : &a->dq, &a->dv };
    attn_bwd_params p = d->params[pass];
    p.batch = static_cast<int>(a->batch);
    p.terms = terms;
    for (int i = 0; i < (pass == OVER_KEYS ? 2 : 1); i++) {
        p.out[i] = device_tensor(out[i]);
        p.words[i] = tensor_aligned(out[i], address_of(out[i]), 2);
    }
    p.factors[0] = static_cast<float>(a->scale * weight);
    p.factors[1] = static_cast<float>(weight);
    p.scale_log2 = static_cast<float>(a->scale * 1.4426950408889634074);
    void *arguments[] = { &stages1->octets, &stages2->octets, &own1->strips, &own2->strips, &p };
    return launch_early(instance->kernel, dim3(static_cast<unsigned>(d->ctas)), instance->threads,
                        instance->shared_bytes, arguments, stream, err);
}

static vic_status check_batch(const vic_plan *plan, int64_t batch, vic_error *err)
{
    const device_plan *d = static_cast<const device_plan *>(plan->kernel_data);
    for (const attn_bwd_params &p : d->params) {
        const int64_t items = p.n_items > 0 ? p.n_items : 1, most = (INT32_MAX - MOST_CTAS) / items;
        if (batch > most)
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "batch: expected at most %lld for a plan of %lld work items, got %lld", (long long)most,
                            (long long)items, (long long)batch);
    }
    return VIC_OK;
}

vic_status cuda_sm90_bwd_launch(const vic_plan *plan, const attention_backward_args *a, const kernel_exec *exec,
                                vic_error *err)
{
    cudaStream_t stream = static_cast<cudaStream_t>(exec->stream);
    const bool over_queries = a->dq.data && plan->pattern->n_q > 0;
    const bool over_keys = (a->dk.data || a->dv.data) && plan->pattern->n_k > 0;
    if (!over_queries && !over_keys) return VIC_OK;
    TRY(check_batch(plan, a->batch, err));
    on_device scope(plan->device, err);
    TRY(scope.status);
    char *const memory = static_cast<char *>(exec->workspace);
    const workspace_layout w = lay_out_workspace(plan, a->batch);
    octet_terms *const terms = reinterpret_cast<octet_terms *>(memory + w.terms);
    const int d_qk = plan->shape.d_qk, d_v = plan->shape.d_v;
    mapped_tensor q, dout, k, v;
    for (mapped_tensor *map : { &q, &dout, &k, &v }) std::memset(map, 0, sizeof *map);
    TRY(map_tensor(plan, OVER_QUERIES, &a->q, d_qk, a->batch, "q", memory + w.q, &q, stream, err));
    if (a->dout.data)
        TRY(map_tensor(plan, OVER_QUERIES, &a->dout, d_v, a->batch, "dout", memory + w.dout, &dout, stream, err));
    else
        TRY(map_zeros(plan, memory + w.zeros, &dout, stream, err));
    TRY(map_tensor(plan, OVER_KEYS, &a->k, d_qk, a->batch, "k", memory + w.k, &k, stream, err));
    TRY(map_tensor(plan, OVER_KEYS, &a->v, d_v, a->batch, "v", memory + w.v, &v, stream, err));
    if (plan->pattern->n_q > 0) TRY(launch_terms(plan, a, terms, stream, err));
    if (over_queries) TRY(launch_pass(plan, OVER_QUERIES, a, terms, &k, &v, &q, &dout, stream, err));
    if (over_keys) TRY(launch_pass(plan, OVER_KEYS, a, terms, &q, &dout, &k, &v, stream, err));
    return VIC_OK;
}
