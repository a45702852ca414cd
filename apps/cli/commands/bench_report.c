/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/bench.h"
#include "text.h"
#include "vicinal_dev.h"

#include <stdio.h>

static void json_machine(struct json *j)
{
    vic_device_info cpu = VIC_INIT(vic_device_info);
    if (vic_device_get(0, &cpu, NULL) != VIC_OK) return;
    json_put_text(j, "machine", cpu.name);
    json_put_text(j, "machine_detail", cpu.detail);
}

static void json_gpu(struct json *j, int32_t index)
{
    vic_device_info gpu = VIC_INIT(vic_device_info);
    for (int i = 1; vic_device_get(i, &gpu, NULL) == VIC_OK; i++) {
        if (gpu.device.index != index) continue;
        json_put_text(j, "gpu", gpu.name);
        json_put_text(j, "gpu_detail", gpu.detail); /* the clock in it is the highest allowed, not a measured one */
    }
}

void bench_json_command(struct json *j, const char *name, int argc, char **argv)
{
    struct buffer command = { 0 };
    buffer_printf(&command, "vicinal bench %s", name);
    for (int i = 0; i < argc; i++) buffer_printf(&command, " %s", argv[i]);
    json_put_text(j, "bench", name);
    json_put_text(j, "command", command.data ? command.data : "");
    buffer_free(&command);
    json_put_text(j, "version", vic_version());
    json_put_text(j, "build", vic_build_info());
    json_machine(j);
}

void bench_json_context(struct json *j, const char *name, int argc, char **argv, vic_device device)
{
    char text[32] = "cpu";
    bench_json_command(j, name, argc, argv);
    if (device.type == VIC_CUDA) snprintf(text, sizeof text, "cuda:%d", device.index);
    json_put_text(j, "device", text);
    if (device.type == VIC_CUDA) json_gpu(j, device.index);
}

double bench_bytes(const struct bench_options *o, const struct bench_result *r)
{
    const struct run_options *run = &o->run;
    double rows = (double)r->built.info.n_q * run->heads + (double)r->built.info.n_k * run->kv_heads;
    return o->batch * rows * (run->head_dim + run->head_dim_v) * (double)vic_dtype_size(run->dtype);
}

double bench_origin_flop(const struct bench_options *o, const struct bench_result *r)
{
    const vic_block_mask *blocks = &r->built.block128;
    if (blocks->partial > 0) return 0.0;
    return 2.0 * (double)blocks->full * 128 * 128 * o->run.head_dim * o->batch * o->run.heads;
}

struct bench_rates bench_rates(const struct bench_options *o, const struct bench_result *r, double seconds)
{
    double items = (double)o->batch * o->run.heads / seconds;
    double flop = 2.0 * (o->run.head_dim + o->run.head_dim_v) * items / 1e12;
    double pairs = (double)r->built.info.pairs, origin = bench_origin_flop(o, r) / seconds / 1e12;
    return (struct bench_rates){
        .gpairs = pairs * items / 1e9,
        .useful = pairs * flop,
        .computed = (double)r->run.info.computed_pairs * flop,
        .gbytes = bench_bytes(o, r) / seconds / 1e9,
        .origin = origin,
        .effective = origin > 0.0 ? origin / pattern_density(&r->built) : 0.0,
    };
}

void bench_json_rates(struct json *j, const struct bench_options *o, const struct bench_result *r, double seconds)
{
    struct bench_rates rates = bench_rates(o, r, seconds);
    json_put_real(j, "gpairs_per_second", rates.gpairs);
    json_put_real(j, "tflops_computed", rates.computed);
    json_put_real(j, "tflops_useful", rates.useful);
    json_put_real(j, "gb_per_second", rates.gbytes);
    if (rates.origin <= 0.0) return;
    json_put_real(j, "tflops_origin", rates.origin);
    json_put_real(j, "tflops_origin_effective", rates.effective);
}

void bench_json_clock(struct json *j, const struct gpu_seen *g)
{
    if (g->samples == 0) {
        json_put_text(j, "clock", g->note);
        return;
    }
    json_put_object(j, "clock");
    json_put_int(j, "samples", g->samples);
    json_put_real(j, "sm_mhz_before", g->before.sm_mhz);
    json_put_real(j, "sm_mhz_least", g->least_mhz);
    json_put_real(j, "sm_mhz_median", g->median_mhz);
    json_put_real(j, "sm_mhz_after", g->after.sm_mhz);
    json_put_real(j, "watt_before", g->before.watt);
    json_put_real(j, "watt_most", g->most_watt);
    json_put_real(j, "watt_after", g->after.watt);
    json_put_object_end(j);
}

void bench_text_clock(const struct gpu_seen *g)
{
    if (g->samples == 0)
        text_row("SM clock", "%s", g->note);
    else
        text_row("SM clock", "%.0f MHz before, %.0f median and %.0f least meanwhile, %.0f after; at most %.0f W",
                 g->before.sm_mhz, g->median_mhz, g->least_mhz, g->after.sm_mhz, g->most_watt);
}

static void json_sustained(struct json *j, const struct bench_options *o, const struct bench_result *r)
{
    const struct bench_sustained *s = &r->sustained;
    if (s->launches == 0) return;
    json_put_object(j, "sustained");
    json_put_real(j, "seconds", s->seconds);
    json_put_int(j, "launches", s->launches);
    json_put_real(j, "launches_per_second", (double)s->launches / s->seconds);
    bench_json_rates(j, o, r, s->seconds / (double)s->launches);
    bench_json_times(j, "replays", o, r, &s->times);
    bench_json_clock(j, &s->gpu);
    json_put_object_end(j);
}

void bench_json_times(struct json *j, const char *key, const struct bench_options *o, const struct bench_result *r,
                      const struct bench_times *t)
{
    if (t->launches == 0) return;
    json_put_object(j, key);
    json_put_int(j, "launches", t->launches);
    json_put_real(j, "p50", t->p50);
    json_put_real(j, "p95", t->p95);
    json_put_real(j, "p99", t->p99);
    json_put_real(j, "min", t->min);
    json_put_real(j, "mean", t->mean);
    json_put_real(j, "sigma", t->sigma);
    json_put_real(j, "relative_sigma", t->sigma / t->mean);
    json_put_real(j, "p99_over_p50", t->p99 / t->p50);
    bench_json_rates(j, o, r, t->p50);
    json_put_object_end(j);
}

void bench_json_result(struct json *j, const struct bench_options *o, const struct bench_result *r)
{
    const struct run_options *run = &o->run;
    double flop = 2.0 * o->batch * run->heads * (run->head_dim + run->head_dim_v);
    pattern_json(j, &run->pattern, &r->built);
    json_put_object(j, "pattern_seconds");
    pattern_json_seconds(j, &r->built);
    json_put_object_end(j);
    json_put_text(j, "kernel", r->run.info.kernel);
    json_put_int(j, "threads", r->run.threads);
    json_put_int(j, "heads", run->heads);
    json_put_int(j, "kv_heads", run->kv_heads);
    json_put_int(j, "head_dim", run->head_dim);
    json_put_int(j, "head_dim_v", run->head_dim_v);
    json_put_text(j, "dtype", vic_dtype_name(run->dtype));
    run_tensors_json(j, run);
    json_put_int(j, "batch", o->batch);
    json_put_bool(j, "items", o->items > 0);
    json_put_text(j, "row_order", o->order == 0 ? "pattern" : "caller");
    json_put_real(j, "plan_seconds", r->run.plan_seconds);
    json_put_int(j, "plan_bytes", (int64_t)r->run.info.bytes);
    json_put_int(j, "workspace_bytes", (int64_t)r->workspace_bytes);
    json_put_int(j, "computed_pairs", r->run.info.computed_pairs);
    json_put_real(j, "flop_computed", flop * (double)r->run.info.computed_pairs);
    json_put_real(j, "flop_useful", flop * (double)r->built.info.pairs);
    if (bench_origin_flop(o, r) > 0.0) json_put_real(j, "flop_origin", bench_origin_flop(o, r));
    json_put_real(j, "tensor_bytes", bench_bytes(o, r));
    run_check_json(j, "check", NULL, &r->run.check);
    json_put_object(j, "seconds");
    bench_json_times(j, "single", o, r, &r->single);
    if (r->graph.launches > 0) json_put_int(j, "in_graph", o->in_graph);
    bench_json_times(j, "graph", o, r, &r->graph);
    bench_json_times(j, "cold", o, r, &r->cold);
    json_put_object_end(j);
    json_sustained(j, o, r);
}
