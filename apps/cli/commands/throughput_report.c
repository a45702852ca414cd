/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/throughput.h"
#include "numbers.h"
#include "stats.h"
#include "text.h"

#include <math.h>
#include <stdio.h>

static const char *const stages[VIC_STAGES] = { "queue", "input", "compute", "output", "total" };
static const char *const places[] = { "resident", "host", "pinned" };

/* Of what was measured. */
static double mean_batch(const struct engine_load *l)
{
    const uint64_t launches = l->after.launches - l->before.launches;
    return launches ? (double)(l->after.answered - l->before.answered) / (double)launches : NAN;
}

static double mean_stage(const struct engine_load *l, int stage)
{
    const uint64_t answered = l->after.answered - l->before.answered;
    return answered ? 1e-9 * (double)(l->after.time_ns[stage] - l->before.time_ns[stage]) / (double)answered : NAN;
}

static void json_load(struct json *j, const char *key, const struct engine_load *l)
{
    json_put_object(j, key);
    json_put_real(j, "seconds", l->seconds);
    json_put_int(j, "queries", l->answered);
    json_put_real(j, "queries_per_second", (double)l->answered / l->seconds);
    json_put_array(j, "each_second");
    for (int64_t i = 0; i < l->whole_seconds; i++) json_put_int(j, NULL, l->each_second[i]);
    json_put_array_end(j);
    json_put_real(j, "relative_sigma", variation(l->each_second, l->whole_seconds));
    histogram_json(j, "latency", &l->latency);
    json_put_int(j, "launches", (int64_t)(l->after.launches - l->before.launches));
    json_put_real(j, "mean_batch", mean_batch(l));
    json_put_object(j, "batches_up_to");
    for (int b = 0; b < VIC_BATCH_BUCKETS; b++) {
        char size[16];
        if (l->after.batch[b] == l->before.batch[b]) continue;
        snprintf(size, sizeof size, "%d", 1 << b);
        json_put_int(j, size, (int64_t)(l->after.batch[b] - l->before.batch[b]));
    }
    json_put_object_end(j);
    json_put_object(j, "mean_seconds");
    for (int s = 0; s < VIC_STAGES; s++) json_put_real(j, stages[s], mean_stage(l, s));
    json_put_object_end(j);
    json_put_int(j, "checked", l->checked);
    json_put_int(j, "different", l->different);
    json_put_real(j, "cpu_seconds", l->cpu);
    bench_json_clock(j, &l->gpu);
    json_put_object_end(j);
}

static void json_processes(struct json *j, const struct process_times *p)
{
    if (p->count == 0) return;
    json_put_object(j, "process");
    json_put_array(j, "seconds");
    for (int i = 0; i < p->count; i++) json_put_real(j, NULL, p->seconds[i]);
    json_put_array_end(j);
    json_put_real(j, "p50", p->p50);
    json_put_real(j, "read", p->read);
    json_put_real(j, "order", p->order);
    json_put_real(j, "build", p->build);
    json_put_real(j, "plan", p->plan);
    json_put_real(j, "attention", p->attention);
    json_put_object_end(j);
}

vic_status throughput_json(const struct throughput_options *o, const struct throughput_result *r, int argc,
                           char **argv, vic_error *err)
{
    struct json j = { 0 };
    vic_status st;
    json_put_object(&j, NULL);
    bench_json_context(&j, "throughput", argc, argv, r->bench.run.info.device);
    bench_json_result(&j, &o->bench, &r->bench);
    json_put_int(&j, "workers", o->workers);
    json_put_int(&j, "in_flight", o->in_flight);
    json_put_text(&j, "tensors", places[o->tensors]);
    json_put_int(&j, "streams", r->engine_info.streams);
    json_put_int(&j, "max_batch", o->max_batch ? o->max_batch : 64);
    json_put_real(&j, "max_delay", 1e-6 * o->max_delay);
    json_put_real(&j, "lone_queries_per_second_at_most", 1.0 / r->bench.single.p50);
    json_load(&j, "lone", &r->lone);
    json_load(&j, "engine", &r->load);
    json_processes(&j, &r->processes);
    json_put_object_end(&j);
    st = json_print(&j, err);
    json_free(&j);
    return st;
}

static void text_times(const char *label, const struct histogram *h)
{
    printf("  %-18s%12s %10s %10s %10s %10s %10s\n", label, count_text(h->count).s,
           seconds_text(histogram_quantile(h, 0.5)).s, seconds_text(histogram_quantile(h, 0.95)).s,
           seconds_text(histogram_quantile(h, 0.99)).s, seconds_text(histogram_quantile(h, 0.999)).s,
           seconds_text(histogram_quantile(h, 1.0)).s);
}

static void text_batches(const struct engine_load *l)
{
    char line[256] = "";
    size_t used = 0;
    for (int b = 0; b < VIC_BATCH_BUCKETS && used < sizeof line; b++) {
        const uint64_t count = l->after.batch[b] - l->before.batch[b];
        if (count == 0) continue;
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s of %s%d", used ? ", " : "",
                                 count_text((int64_t)count).s, b ? "up to " : "", 1 << b);
    }
    text_row("launches", "%s, of %s queries in the mean: %s",
             count_text((int64_t)(l->after.launches - l->before.launches)).s, fixed_text(mean_batch(l), 1).s, line);
}

static void text_stages(const struct engine_load *l)
{
    text_row("a query's mean", "%s waiting, %s copying in, %s in the kernel, %s copying out",
             seconds_text(mean_stage(l, VIC_STAGE_QUEUE)).s, seconds_text(mean_stage(l, VIC_STAGE_INPUT)).s,
             seconds_text(mean_stage(l, VIC_STAGE_COMPUTE)).s, seconds_text(mean_stage(l, VIC_STAGE_OUTPUT)).s);
}

static void text_processes(const struct process_times *p)
{
    const double told = p->read + p->order + p->build + p->plan + p->attention;
    if (p->count == 0) return;
    text_row("a process each", "%s, %s a second: %s reading, %s pattern, %s plan, %s attention, %s starting",
             seconds_text(p->p50).s, real_text(1.0 / p->p50, 3).s, seconds_text(p->read).s,
             seconds_text(p->order + p->build).s, seconds_text(p->plan).s, seconds_text(p->attention).s,
             seconds_text(fmax(p->p50 - told, 0.0)).s);
}

void throughput_text(const struct throughput_options *o, const struct throughput_result *r)
{
    const struct run_options *run = &o->bench.run;
    const struct run_check *c = &r->bench.run.check;
    const struct engine_load *l = &r->load;
    const double sigma = variation(l->each_second, l->whole_seconds);
    char device[32] = "cpu";
    if (r->bench.run.info.device.type == VIC_CUDA)
        snprintf(device, sizeof device, "cuda:%d", r->bench.run.info.device.index);
    pattern_text(&run->pattern, &r->bench.built);
    text_title("attention");
    text_row("kernel", "%s on %s, %s", r->bench.run.info.kernel, device, counted(r->bench.run.threads, "thread").s);
    text_row("tensors", "%s (%d of keys) x %d, values x %d, %s, %s order, %s", counted(run->heads, "head").s,
             run->kv_heads, run->head_dim, run->head_dim_v, vic_dtype_name(run->dtype),
             o->bench.order == 0 ? "pattern" : "caller's", places[o->tensors]);
    text_row("error", "%s against float64 (at most %s), %s", real_text(c->relative_frobenius, 3).s,
             real_text(c->bound, 2).s, counted(c->rows, "row").s);
    text_title("one at a time");
    text_row("attention alone", "%s, %s a second at most", seconds_text(r->bench.single.p50).s,
             count_text((int64_t)(1.0 / r->bench.single.p50)).s);
    text_processes(&r->processes);
    text_title("engine");
    text_row("load", "%s with %s in flight each, %s after %s", counted(o->workers, "thread").s,
             count_text(o->in_flight).s, seconds_text(o->seconds).s, seconds_text(o->warm_up).s);
    text_row("queries", "%s, %s a second, %s times attention alone", count_text(l->answered).s,
             count_text((int64_t)((double)l->answered / l->seconds)).s,
             fixed_text((double)l->answered / l->seconds * r->bench.single.p50, 2).s);
    if (!isnan(sigma))
        text_row("variation", "%s %% (sigma over mean of %s)", fixed_text(100.0 * sigma, 2).s,
                 counted(l->whole_seconds, "second").s);
    printf("  %-18s%12s %10s %10s %10s %10s %10s\n", "latency", "queries", "P50", "P95", "P99", "P99.9", "most");
    text_times("under load", &l->latency);
    text_times("a lone query", &r->lone.latency);
    text_batches(l);
    text_stages(l);
    if (o->check)
        text_row("compared", "%s with attention alone, %s different", count_text(l->checked + r->lone.checked).s,
                 count_text(l->different + r->lone.different).s);
    text_row("this process", "%s processors", fixed_text(l->cpu / l->seconds, 2).s);
    if (r->bench.run.info.device.type == VIC_CUDA) bench_text_clock(&l->gpu);
}
