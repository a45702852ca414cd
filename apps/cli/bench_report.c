/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <stdio.h>

void bench_json_context(struct json *j, const char *name, int argc, char **argv, vic_device device)
{
    enum { MOST_DEVICES = 64 };
    static vic_device_info devices[MOST_DEVICES];
    struct buffer command = { 0 };
    int count = vic_devices(MOST_DEVICES, devices, NULL);
    char text[32] = "cpu";
    buffer_printf(&command, "vicinal bench %s", name);
    for (int i = 0; i < argc; i++) buffer_printf(&command, " %s", argv[i]);
    json_text(j, "bench", name);
    json_text(j, "command", command.data ? command.data : "");
    buffer_free(&command);
    json_text(j, "version", vic_version());
    json_text(j, "build", vic_build_info());
    json_text(j, "machine", devices[0].name);
    json_text(j, "machine_detail", devices[0].detail);
    if (device.kind == VIC_CUDA) snprintf(text, sizeof text, "cuda:%d", device.index);
    json_text(j, "device", text);
    for (int i = 1; i < count && i < MOST_DEVICES && device.kind == VIC_CUDA; i++) {
        if (devices[i].device.index != device.index) continue;
        json_text(j, "gpu", devices[i].name);
        json_text(j, "gpu_detail",
                  devices[i].detail); /* the clock in it is the highest allowed, not a measured one */
    }
}

void bench_json_times(struct json *j, const char *key, const struct bench_options *o, const struct bench_result *r,
                      const struct bench_times *t)
{
    struct bench_rates rates = bench_rates(o, r, t->p50);
    if (t->launches == 0) return;
    json_object(j, key);
    json_int(j, "launches", t->launches);
    json_real(j, "p50", t->p50);
    json_real(j, "p95", t->p95);
    json_real(j, "p99", t->p99);
    json_real(j, "min", t->min);
    json_real(j, "mean", t->mean);
    json_real(j, "sigma", t->sigma);
    json_real(j, "relative_sigma", t->sigma / t->mean);
    json_real(j, "p99_over_p50", t->p99 / t->p50);
    json_real(j, "gpairs_per_second", rates.gpairs);
    json_real(j, "tflops_computed", rates.computed);
    json_real(j, "tflops_useful", rates.useful);
    json_object_end(j);
}

void bench_json_result(struct json *j, const struct bench_options *o, const struct bench_result *r)
{
    const struct run_options *run = &o->run;
    double flop = 2.0 * o->batch * run->heads * (run->head_dim + run->head_dim_v);
    pattern_json(j, &run->pattern, &r->built);
    json_object(j, "pattern_seconds");
    pattern_json_seconds(j, &r->built);
    json_object_end(j);
    json_text(j, "kernel", r->run.info.kernel);
    json_int(j, "threads", r->run.threads);
    json_int(j, "heads", run->heads);
    json_int(j, "kv_heads", run->kv_heads);
    json_int(j, "head_dim", run->head_dim);
    json_int(j, "head_dim_v", run->head_dim_v);
    json_text(j, "dtype", vic_dtype_name(run->dtype));
    json_int(j, "batch", o->batch);
    json_text(j, "row_order", o->order == 0 ? "pattern" : "caller");
    json_real(j, "plan_seconds", r->run.plan_seconds);
    json_int(j, "plan_bytes", (int64_t)r->run.info.bytes);
    json_int(j, "workspace_bytes", (int64_t)r->workspace_bytes);
    json_int(j, "computed_pairs", r->run.info.computed_pairs);
    json_real(j, "flop_computed", flop * (double)r->run.info.computed_pairs);
    json_real(j, "flop_useful", flop * (double)r->built.info.pairs);
    run_check_json(j, "check", NULL, &r->run.check);
    json_object(j, "seconds");
    bench_json_times(j, "single", o, r, &r->single);
    if (r->graph.launches > 0) json_int(j, "in_graph", o->in_graph);
    bench_json_times(j, "graph", o, r, &r->graph);
    bench_json_times(j, "cold", o, r, &r->cold);
    json_object_end(j);
}
