/* SPDX-License-Identifier: Apache-2.0 */
#include "arrays/tensor_io.h"
#include "commands/bench.h"
#include "progress.h"
#include "stats.h"
#include "vicinal_dev.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GPU_LAUNCHES = 1000, CPU_MOST = 1000, CPU_LEAST = 5, WARM_UP = 10 };
static const double cpu_seconds = 3.0;

static const vic_device cpu = { VIC_CPU, 0 };

void bench_options_init(struct bench_options *o)
{
    memset(o, 0, sizeof *o);
    attention_options_init(&o->run);
    o->batch = 1;
    o->in_graph = 20;
    o->sustain = 1.0;
}

void bench_options_rows(struct bench_options *o, struct option rows[BENCH_OPTIONS])
{
    const struct option all[BENCH_OPTIONS] = {
        { "--order", "WHICH", "rows of the tensors: pattern (sorted before; default) or caller (in the file's order)",
          OPTION_CHOICE, &o->order, 0, 0, "pattern|caller", NULL },
        { "--batch", "B", "so many sets of tensors over one pattern in a launch; default 1", OPTION_INT, &o->batch, 1,
          4096, NULL, NULL },
        { "--items", "N", "as --batch, but each set at an address of its own, as queries of a server are", OPTION_INT,
          &o->items, 1, 4096, NULL, NULL },
        { "--launches", "N", "default: 1000 on a GPU; on the CPU what fits three seconds, at least 5", OPTION_INT,
          &o->launches, 1, 1000000, NULL, NULL },
        { "--in-graph", "N", "launches in one graph (GPU); default 20", OPTION_INT, &o->in_graph, 1, 10000, NULL,
          NULL },
        { "--sustain", "S", "seconds of launches without pause, with clock and power (GPU); default 1, 0 = none",
          OPTION_REAL, &o->sustain, -1e-9, 3600, NULL, NULL },
        { "--cold", NULL, "also with L2 flushed before each launch (GPU)", OPTION_FLAG, &o->cold, 0, 0, NULL, NULL },
    };
    memcpy(rows, all, sizeof all);
}

vic_status bench_options_complete(struct bench_options *o, vic_error *err)
{
    attention_options_complete(&o->run);
    if (o->items > 0 && o->batch > 1)
        return fail(err, VIC_BAD_ARGUMENT, "--batch %d and --items %d: give one of them", o->batch, o->items);
    if (o->items > 0 && o->run.backward)
        return fail(err, VIC_BAD_ARGUMENT, "--items and --backward: gradients take no items; give --batch %d",
                    o->items);
    if (o->items > 0) o->batch = o->items;
    run_tensors_room(&o->run, o->batch);
    return VIC_OK;
}

struct bench_times bench_times_of(double *seconds, int64_t count)
{
    struct bench_times t = { .launches = count };
    double squares = 0.0;
    sort_doubles(seconds, count);
    for (int64_t i = 0; i < count; i++) t.mean += seconds[i] / (double)count;
    for (int64_t i = 0; i < count; i++) squares += (seconds[i] - t.mean) * (seconds[i] - t.mean);
    t.sigma = count > 1 ? sqrt(squares / (double)(count - 1)) : 0.0;
    t.p50 = quantile(seconds, count, 0.50);
    t.p95 = quantile(seconds, count, 0.95);
    t.p99 = quantile(seconds, count, 0.99);
    t.min = seconds[0];
    return t;
}

/* ---- tensors: the items of a batch one behind the other ---- */

static vic_status make_inputs(const struct bench_options *o, int64_t n_q, int64_t n_k, struct run_result *out,
                              vic_error *err)
{
    const struct run_options *r = &o->run;
    struct array *arrays[INPUTS] = { &out->q, &out->k, &out->v };
    const int64_t shapes[INPUTS][3] = { { o->batch * n_q, r->heads, r->head_dim },
                                        { o->batch * n_k, r->kv_heads, r->head_dim },
                                        { o->batch * n_k, r->kv_heads, r->head_dim_v } };
    progress_phase("making the tensors");
    for (int i = 0; i < INPUTS; i++)
        TRY(tensor_generate(r->seed, i, r->dtype, shapes[i], r->pattern.structure.threads, arrays[i], err));
    return VIC_OK;
}

static vic_status make_outputs(const struct bench_options *o, int64_t n_q, struct run_result *out, vic_error *err)
{
    const struct run_options *r = &o->run;
    const int64_t rows = o->batch * n_q;
    out->out = (struct array){ r->dtype, 3, { rows, r->heads, r->head_dim_v }, 0, NULL };
    out->lse = (struct array){ VIC_F32, 2, { rows, r->heads }, 0, NULL };
    if (!array_bytes(3, out->out.shape, vic_dtype_size(r->dtype), &out->out.bytes) ||
        !array_bytes(2, out->lse.shape, sizeof(float), &out->lse.bytes))
        return fail(err, VIC_NO_MEMORY, "a result of this many atoms, heads and items does not fit this machine");
    TRY(allocate((int64_t)out->out.bytes, 1, "the result", &out->out.data, err));
    return allocate((int64_t)out->lse.bytes, 1, "the log-sum-exp", &out->lse.data, err);
}

vic_tensor bench_view(const struct array *a, void *data, vic_device device, int batch, int item)
{
    int64_t shape[4] = { batch, batch > 0 ? a->shape[0] / batch : 0, a->shape[1], a->ndim == 3 ? a->shape[2] : 0 };
    size_t item_bytes = batch > 0 ? a->bytes / (size_t)batch : 0;
    bool whole = item < 0 && batch > 1;
    vic_tensor t = vic_tensor_make((char *)data + (item > 0 ? (size_t)item * item_bytes : 0), a->dtype,
                                   a->ndim + whole, shape + !whole);
    t.device = device;
    return t;
}

static void set_args(const struct bench_options *o, const struct run_result *r, void *const data[INPUTS + 2],
                     vic_device device, int item, vic_attention_args *args)
{
    args->q = bench_view(&r->q, data[0], device, o->batch, item);
    args->k = bench_view(&r->k, data[1], device, o->batch, item);
    args->v = bench_view(&r->v, data[2], device, o->batch, item);
    args->out = bench_view(&r->out, data[3], device, o->batch, item);
    args->lse = bench_view(&r->lse, data[4], device, o->batch, item);
    args->scale = o->run.scale;
}

vic_attention_args bench_item(const struct bench_options *o, const struct run_result *r, int item)
{
    void *const data[] = { r->q.data, r->k.data, r->v.data, r->out.data, r->lse.data };
    vic_attention_args args = VIC_INIT(vic_attention_args);
    set_args(o, r, data, cpu, item, &args);
    return args;
}

/* The items of the batch in an order in which no two distances are the same: they take the way that memory from
 * anywhere takes. */
static vic_status set_items(const struct bench_options *o, struct bench_result *r, void *const data[INPUTS + 2],
                            vic_device device, vic_attention_args *args, vic_error *err)
{
    enum { STEP = 7919 }; /* a prime beyond the largest batch */
    if (o->items == 0) return VIC_OK;
    TRY(allocate(o->batch, sizeof *r->items, "items", &r->items, err));
    for (int i = 0; i < o->batch; i++) {
        vic_attention_args one = VIC_INIT(vic_attention_args);
        set_args(o, &r->run, data, device, (int)((int64_t)i * STEP % o->batch), &one);
        r->items[i] = (vic_attention_item){ one.q.data, one.k.data, one.v.data, one.out.data, one.lse.data };
    }
    set_args(o, &r->run, data, device, 0, args);
    args->items = r->items;
    args->n_items = o->batch;
    return VIC_OK;
}

/* ---- check ---- */

static vic_status check_item(const struct bench_options *o, const struct bench_result *r, const int32_t *place,
                             int item, struct run_check *out, vic_error *err)
{
    struct run_problem problem = {
        r->run.context, r->run.plan,       r->built.pattern, bench_item(o, &r->run, item), place, r->built.info.n_q,
        o->run.heads,   o->run.head_dim_v, o->run.dtype,     o->run.seed + (uint64_t)item
    };
    return run_check(&problem, out, err);
}

static vic_status check(const struct bench_options *o, struct bench_result *r, vic_error *err)
{
    const int32_t *order;
    int32_t *place = NULL;
    struct run_check last;
    vic_status st;
    progress_phase("checking against the reference");
    TRY(vic_pattern_order(r->built.pattern, VIC_QUERY, &order, err));
    TRY(allocate(r->built.info.n_q, sizeof *place, "the check", &place, err));
    for (int64_t row = 0; row < r->built.info.n_q; row++) place[order[row]] = (int32_t)row;
    TRY_GOTO(check_item(o, r, o->order == 0 ? place : NULL, 0, &r->run.check, err), done);
    if (o->batch > 1 && r->run.check.pass) {
        TRY_GOTO(check_item(o, r, o->order == 0 ? place : NULL, o->batch - 1, &last, err), done);
        if (!last.pass || last.relative_frobenius > r->run.check.relative_frobenius) r->run.check = last;
    }
    if (!r->run.check.pass) st = run_check_failed(&r->run, err);
done:
    free(place);
    return st;
}

/* ---- time ---- */

static vic_status measure(const struct bench_result *r, const vic_attention_args *args, const vic_time_options *o,
                          struct bench_times *out, vic_error *err)
{
    double *seconds = NULL;
    vic_status st;
    TRY(allocate(o->launches, sizeof *seconds, "the times", &seconds, err));
    st = vic_attention_time(r->run.context, r->run.plan, args, o, seconds, err);
    if (st == VIC_OK) *out = bench_times_of(seconds, o->launches);
    free(seconds);
    return st;
}

void bench_launches(const struct bench_options *o, vic_device device, double first, vic_time_options *out)
{
    const double fit = cpu_seconds / fmax(first, 1e-9);
    if (device.type == VIC_CUDA) {
        out->launches = o->launches > 0 ? o->launches : GPU_LAUNCHES;
        out->warm_up = 2 * WARM_UP;
        return;
    }
    out->launches = fit > CPU_MOST ? CPU_MOST : fit < CPU_LEAST ? CPU_LEAST : (int)fit;
    if (o->launches > 0) out->launches = o->launches;
    out->warm_up = out->launches < WARM_UP ? 1 : WARM_UP;
}

static vic_status measure_on_cpu(const struct bench_options *o, struct bench_result *r,
                                 const vic_attention_args *args, double first, vic_error *err)
{
    vic_time_options t = VIC_INIT(vic_time_options);
    bench_launches(o, cpu, first, &t);
    progress_phase("timing");
    TRY(measure(r, args, &t, &r->single, err));
    return o->run.backward ? bench_backward(o, r, args, err) : VIC_OK;
}

static vic_status measure_on_gpu(const struct bench_options *o, struct bench_result *r,
                                 const vic_attention_args *args, vic_error *err)
{
    vic_time_options t = VIC_INIT(vic_time_options);
    bench_launches(o, r->run.info.device, 0.0, &t);
    progress_phase("timing");
    TRY(measure(r, args, &t, &r->single, err));
    if (o->cold) {
        t.cold = true;
        TRY(measure(r, args, &t, &r->cold, err));
    }
    t = (vic_time_options){ .size = sizeof t, .warm_up = 1, .launches = BENCH_REPLAYS, .in_graph = o->in_graph };
    TRY(measure(r, args, &t, &r->graph, err));
    if (o->sustain > 0.0) TRY(bench_sustain(o, r, args, err));
    return o->run.backward ? bench_backward(o, r, args, err) : VIC_OK;
}

static vic_status run_on_cpu(const struct bench_options *o, struct bench_result *r, vic_error *err)
{
    void *const data[] = { r->run.q.data, r->run.k.data, r->run.v.data, r->run.out.data, r->run.lse.data };
    vic_attention_args args = VIC_INIT(vic_attention_args);
    double start;
    set_args(o, &r->run, data, cpu, -1, &args);
    TRY(set_items(o, r, data, cpu, &args, err));
    TRY(vic_plan_workspace(r->run.context, r->run.plan, o->batch, &r->workspace_bytes, err));
    progress_phase("attention");
    start = seconds_now();
    TRY(run_attention(&r->run, &args, err));
    start = seconds_now() - start;
    TRY(check(o, r, err));
    return measure_on_cpu(o, r, &args, start, err);
}

static vic_status run_on_gpu(const struct bench_options *o, struct bench_result *r, vic_error *err)
{
    vic_attention_args dense = VIC_INIT(vic_attention_args), args = VIC_INIT(vic_attention_args);
    vic_device device = r->run.info.device;
    vic_status st;
    TRY_GOTO(run_device_open(&r->run, device, o->batch, &dense, err), done);
    {
        void *const data[] = { dense.q.data, dense.k.data, dense.v.data, dense.out.data, dense.lse.data };
        set_args(o, &r->run, data, device, -1, &args);
        TRY_GOTO(set_items(o, r, data, device, &args, err), done);
    }
    args.workspace = dense.workspace;
    args.workspace_size = r->workspace_bytes = dense.workspace_size;
    progress_phase("attention");
    TRY_GOTO(run_attention(&r->run, &args, err), done);
    TRY_GOTO(run_device_fetch(&r->run, &dense, err), done);
    TRY_GOTO(check(o, r, err), done);
    TRY_GOTO(measure_on_gpu(o, r, &args, err), done);
done:
    run_device_close(device, &dense);
    return st;
}

vic_status bench_measure(struct bench_options *o, struct bench_result *out, vic_error *err)
{
    TRY(attention_context(&o->run, &out->run, err));
    TRY(pattern_open(out->run.context, &o->run.pattern, &out->built, err));
    TRY(attention_plan(&o->run, o->order == 0, &out->built, &out->run, err));
    if (out->run.info.device.type == VIC_CPU && o->cold)
        return fail(err, VIC_BAD_ARGUMENT, "--cold: only a GPU's L2 can be flushed; this runs on the CPU");
    TRY(make_inputs(o, out->built.info.n_q, out->built.info.n_k, &out->run, err));
    TRY(make_outputs(o, out->built.info.n_q, &out->run, err));
    return out->run.info.device.type == VIC_CUDA ? run_on_gpu(o, out, err) : run_on_cpu(o, out, err);
}

void bench_close(struct bench_result *r)
{
    free(r->items);
    vic_plan_free(r->run.plan);
    vic_context_free(r->run.context);
    array_free(&r->run.lse);
    array_free(&r->run.out);
    array_free(&r->run.v);
    array_free(&r->run.k);
    array_free(&r->run.q);
    pattern_close(&r->built);
    memset(r, 0, sizeof *r);
}
