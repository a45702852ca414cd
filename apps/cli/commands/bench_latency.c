/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/bench.h"
#include "numbers.h"
#include "progress.h"
#include "text.h"

#include <stdio.h>

static void times_json(struct json *j, const char *key, const struct bench_times *t)
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
    json_put_object_end(j);
}

static void backward_json(struct json *j, const struct bench_options *o, const struct bench_result *r)
{
    const struct bench_backward *b = &r->backward;
    if (!o->run.backward) return;
    json_put_object(j, "backward");
    json_put_text(j, "kernel", r->run.info.backward_kernel);
    json_put_text(j, "checked", b->whole ? "reference" : "sums");
    json_put_real(j, "error", b->error);
    json_put_real(j, "bound", b->bound);
    json_put_object(j, "seconds");
    times_json(j, "single", &b->single);
    times_json(j, "graph", &b->graph);
    json_put_object_end(j);
    json_put_object_end(j);
}

static vic_status print_json(const struct bench_options *o, const struct bench_result *r, int argc, char **argv,
                             vic_error *err)
{
    struct json j = { 0 };
    vic_status st;
    json_put_object(&j, NULL);
    bench_json_context(&j, "latency", argc, argv, r->run.info.device);
    bench_json_result(&j, o, r);
    backward_json(&j, o, r);
    json_put_object_end(&j);
    st = json_print(&j, err);
    json_free(&j);
    return st;
}

static void print_times(const char *what, const struct bench_options *o, const struct bench_result *r,
                        const struct bench_times *t)
{
    struct bench_rates rates = bench_rates(o, r, t->p50);
    if (t->launches == 0) return;
    printf("  %-18s%8s %10s %10s %10s %10s %7.2f%% %8.3f %9.2f %9.2f %9.2f %9.1f\n", what, count_text(t->launches).s,
           seconds_text(t->p50).s, seconds_text(t->p95).s, seconds_text(t->p99).s, seconds_text(t->min).s,
           100.0 * t->sigma / t->mean, t->p99 / t->p50, rates.gpairs, rates.computed, rates.useful, rates.gbytes);
}

static void print_gradients(const char *what, const struct bench_times *t)
{
    if (t->launches == 0) return;
    text_row(what, "%s, P50 %s, P95 %s, P99 %s, least %s", counted(t->launches, "call").s, seconds_text(t->p50).s,
             seconds_text(t->p95).s, seconds_text(t->p99).s, seconds_text(t->min).s);
}

static void print_sustained(const struct bench_options *o, const struct bench_result *r)
{
    const struct bench_sustained *s = &r->sustained;
    if (s->launches == 0) return;
    print_times("without pause", o, r, &s->times);
    text_row("throughput", "%s launches a second for %s, %s TFLOP/s",
             count_text((int64_t)((double)s->launches / s->seconds)).s, seconds_text(s->seconds).s,
             fixed_text(bench_rates(o, r, s->seconds / (double)s->launches).computed, 2).s);
    bench_text_clock(&s->gpu);
}

/* The single launches': what the reports that count so have measured. */
static void print_origin(const struct bench_options *o, const struct bench_result *r)
{
    struct bench_rates rates = bench_rates(o, r, r->single.p50);
    if (rates.origin <= 0.0) return;
    text_row("one product", "%s TFLOP/s by 2 x %s x 128 x 128 x %d a head; over their density, %s: %s",
             fixed_text(rates.origin, 2).s, counted(r->built.block128.full, "block").s, o->run.head_dim,
             real_text(pattern_density(&r->built), 3).s, fixed_text(rates.effective, 2).s);
}

static void print_backward(const struct bench_options *o, const struct bench_result *r)
{
    const struct bench_backward *b = &r->backward;
    char graph[48];
    if (b->single.launches == 0) return;
    snprintf(graph, sizeof graph, "in graphs of %d", o->in_graph);
    text_title("gradients");
    text_row("kernel", "%s", r->run.info.backward_kernel);
    text_row("error", "%s %s (at most %s)", real_text(b->error, 3).s,
             b->whole ? "against float64" : "by the sums that must agree", real_text(b->bound, 2).s);
    print_gradients("single launches", &b->single);
    print_gradients(graph, &b->graph);
    text_row("beside attention", "%s times as long", fixed_text(b->single.p50 / r->single.p50, 2).s);
}

static void print_text(const struct bench_options *o, const struct bench_result *r)
{
    const struct run_options *run = &o->run;
    const struct run_check *c = &r->run.check;
    char device[32] = "cpu", graph[48], inputs[64];
    if (r->run.info.device.type == VIC_CUDA) snprintf(device, sizeof device, "cuda:%d", r->run.info.device.index);
    snprintf(graph, sizeof graph, "in graphs of %d", o->in_graph);
    pattern_text(&run->pattern, &r->built);
    text_title("attention");
    text_row("kernel", "%s on %s, %s", r->run.info.kernel, device, counted(r->run.threads, "thread").s);
    run_tensors_text(run, inputs, sizeof inputs);
    text_row("tensors", "%d x %s (%d of keys) x %d, values x %d, %s, %s order%s, %s", o->batch,
             counted(run->heads, "head").s, run->kv_heads, run->head_dim, run->head_dim_v, vic_dtype_name(run->dtype),
             o->order == 0 ? "pattern" : "caller's", o->items ? ", at unrelated addresses" : "", inputs);
    text_row("plan", "%s, %s", seconds_text(r->run.plan_seconds).s, bytes_text(r->run.info.bytes).s);
    text_row("computed pairs", "%s a head, %s a useful one", count_text(r->run.info.computed_pairs).s,
             real_text(r->built.info.pairs ? (double)r->run.info.computed_pairs / (double)r->built.info.pairs : 0.0,
                       3)
                 .s);
    text_row("error", "%s against float64 (at most %s), %s", real_text(c->relative_frobenius, 3).s,
             real_text(c->bound, 2).s, counted(c->rows, "row").s);
    printf("  %-18s%8s %10s %10s %10s %10s %8s %8s %9s %9s %9s %9s\n", "", "launches", "P50", "P95", "P99", "least",
           "sigma", "P99/P50", "Gpairs/s", "TFLOP/s", "useful", "GB/s");
    print_times("single launches", o, r, &r->single);
    print_times(graph, o, r, &r->graph);
    print_times("L2 flushed", o, r, &r->cold);
    print_sustained(o, r);
    print_origin(o, r);
    print_backward(o, r);
}

static const char notes[] =
    "FILE: a structure, or dense:N, N points that all see each other.  Nothing is timed before "
    "rows of the result were\ncompared with float64.  On a GPU single launches are queued and "
    "each lies between two events; what a launch in a graph\ntakes is a replay's time divided "
    "by its launches.  TFLOP/s count what the kernel computes; useful: pairs in the pattern; GB/s: q, k, v and out "
    "once.";

vic_status bench_latency(int argc, char **argv, vic_error *err)
{
    struct bench_options o;
    struct bench_result r = { 0 };
    struct option pattern_rows[PATTERN_OPTIONS], structure_rows[STRUCTURE_OPTIONS], output_rows[OUTPUT_OPTIONS];
    struct option attention_rows[ATTENTION_OPTIONS], bench_rows[BENCH_OPTIONS + 1];
    const struct option_group groups[] = { { "Pattern", pattern_rows, PATTERN_OPTIONS },
                                           { "Attention", attention_rows, ATTENTION_OPTIONS },
                                           { "Timing", bench_rows, BENCH_OPTIONS + 1 },
                                           { "Structure", structure_rows, STRUCTURE_OPTIONS },
                                           { "Output", output_rows, OUTPUT_OPTIONS } };
    const struct syntax syntax = {
        "bench latency", "FILE", "How long one launch of attention takes, and how much that varies.", notes, groups, 5
    };
    bool helped;
    vic_status st;
    bench_options_init(&o);
    pattern_options_rows(&o.run.pattern, pattern_rows);
    attention_options_rows(&o.run, attention_rows);
    bench_options_rows(&o, bench_rows);
    bench_rows[BENCH_OPTIONS] =
        (struct option){ "--backward", NULL, "also the gradients of q, k and v", OPTION_FLAG, &o.run.backward, 0, 0,
                         NULL,         NULL };
    structure_options_rows(&o.run.pattern.structure, structure_rows);
    output_options_rows(&o.run.pattern.structure, output_rows);
    TRY(options_read(&syntax, argc, argv, &o.run.pattern.file, &helped, err));
    if (helped) return VIC_OK;
    TRY(bench_options_complete(&o, err));
    TRY_GOTO(bench_measure(&o, &r, err), done);
    progress_end();
    if (o.run.pattern.structure.json)
        TRY_GOTO(print_json(&o, &r, argc, argv, err), done);
    else
        print_text(&o, &r);
done:
    bench_close(&r);
    return st;
}
