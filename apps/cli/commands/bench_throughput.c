/* SPDX-License-Identifier: Apache-2.0 */
/* Queries a second of an engine in this process, and beside it what lone queries and lone processes would reach. */
#include "commands/throughput.h"

#include "arrays/tensor_io.h"
#include "numbers.h"
#include "progress.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const vic_device cpu = { VIC_CPU, 0 };

static void rows(struct throughput_options *o, struct option out[THROUGHPUT_OPTIONS])
{
    struct option bench[BENCH_OPTIONS];
    const struct option own[] = {
        { "--workers", "N", "threads that submit queries; default 8", OPTION_INT, &o->workers, 1, 1024, NULL, NULL },
        { "--in-flight", "N", "queries that each of them has under way; default 16", OPTION_INT, &o->in_flight, 1,
          4096, NULL, NULL },
        { "--seconds", "S", "that are measured; default 10", OPTION_REAL, &o->seconds, 0, 86400, NULL, NULL },
        { "--warm-up", "S", "seconds of load before; default 1", OPTION_REAL, &o->warm_up, -1e-9, 3600, NULL, NULL },
        { "--tensors", "WHERE",
          "resident (default: in memory of the device), host, or pinned (host memory that a GPU reads fast)",
          OPTION_CHOICE, &o->tensors, 0, 0, "resident|host|pinned", NULL },
        { "--max-batch", "N", "queries in a launch at most; default 64", OPTION_INT, &o->max_batch, 1, 1024, NULL,
          NULL },
        { "--max-delay", "US", "microseconds that a query may wait for others to share its launch; default 0",
          OPTION_REAL, &o->max_delay, -1e-9, 1e6, NULL, NULL },
        { "--streams", "N", "launches under way at once (GPU); default 2", OPTION_INT, &o->streams, 1, 64, NULL,
          NULL },
        { "--check", NULL,
          "compare one answer in 1,000, bit for bit, with vic_attention() of that query alone; exit code 1 when one "
          "differs",
          OPTION_FLAG, &o->check, 0, 0, NULL, NULL },
        { "--processes", "N", "queries that are each answered by a process of its own; default 5, 0 = none",
          OPTION_INT, &o->processes, 0, 1000, NULL, NULL },
    };
    enum { OWN = sizeof own / sizeof own[0] };
    memcpy(out, own, sizeof own);
    bench_options_rows(&o->bench, bench);
    for (int i = 0, at = OWN; i < BENCH_OPTIONS; i++)
        if (strcmp(bench[i].name, "--order") == 0 || strcmp(bench[i].name, "--launches") == 0) out[at++] = bench[i];
}

/* ---- what is asked, and its answers ---- */

/* On the device, by the context and plan that made the checked result. */
static vic_status make_result(const struct throughput_options *o, struct throughput_result *r, struct content *c,
                              vic_error *err)
{
    const struct run_options *run = &o->bench.run;
    const vic_device device = r->bench.run.info.device;
    const struct array *from[INPUTS] = { &c->q, &c->k, &c->v };
    const int64_t shape[3] = { r->bench.built.info.n_q, run->heads, run->head_dim_v };
    const size_t bytes = r->bench.run.out.bytes;
    vic_attention_args args = VIC_INIT(vic_attention_args);
    vic_tensor *tensors[TENSORS] = { &args.q, &args.k, &args.v, &args.out };
    vic_status st = VIC_OK;
    args.scale = run->scale;
    for (int t = 0; t < TENSORS; t++) {
        *tensors[t] = vic_tensor_make(NULL, run->dtype, 3, t < INPUTS ? from[t]->shape : shape);
        tensors[t]->device = device;
        TRY_GOTO(vic_memory_alloc(device, t < INPUTS ? from[t]->bytes : bytes, &tensors[t]->data, err), done);
        if (t < INPUTS)
            TRY_GOTO(vic_memory_copy(device, tensors[t]->data, cpu, from[t]->data, from[t]->bytes, err), done);
    }
    TRY_GOTO(allocate((int64_t)bytes, 1, "a result", &c->result, err), done);
    TRY_GOTO(run_attention(&r->bench.run, &args, err), done);
    st = vic_memory_copy(cpu, c->result, device, args.out.data, bytes, err);
done:
    for (int t = 0; t < TENSORS; t++) vic_memory_free(device, tensors[t]->data);
    return st;
}

/* The first is what was checked against float64. */
static vic_status make_contents(const struct throughput_options *o, struct throughput_result *r, vic_error *err)
{
    const struct run_options *run = &o->bench.run;
    const int most = o->workers * o->in_flight;
    const struct array *shapes[INPUTS] = { &r->bench.run.q, &r->bench.run.k, &r->bench.run.v };
    progress_phase("making the queries");
    while (r->n_contents < MOST_CONTENTS && r->n_contents < most) {
        struct content *c = &r->contents[r->n_contents++];
        struct array *arrays[INPUTS] = { &c->q, &c->k, &c->v };
        for (int i = 0; i < INPUTS; i++)
            TRY(tensor_generate(run->seed + (uint64_t)(c - r->contents), i, run->dtype, shapes[i]->shape,
                                run->pattern.structure.threads, arrays[i], err));
        TRY(make_result(o, r, c, err));
    }
    if (memcmp(r->contents[0].result, r->bench.run.out.data, r->bench.run.out.bytes) != 0)
        return fail(err, VIC_FAILED, "two runs of vic_attention() on the same tensors differ");
    return VIC_OK;
}

/* ---- the run ---- */

static vic_status open_engine(const struct throughput_options *o, struct throughput_result *r, vic_error *err)
{
    const struct run_options *run = &o->bench.run;
    vic_engine_options engine = VIC_INIT(vic_engine_options);
    vic_endpoint_options endpoint = VIC_INIT(vic_endpoint_options);
    vic_plan_options plan = attention_plan_options(run);
    plan.device = r->bench.run.info.device;
    plan.pattern_order = o->bench.order == 0;
    engine.device = r->bench.run.info.device;
    engine.threads = run->pattern.structure.threads;
    engine.streams = o->streams;
    endpoint.name = run->pattern.file;
    endpoint.plan = &plan;
    endpoint.max_batch = o->max_batch;
    endpoint.max_queue = o->workers * o->in_flight;
    endpoint.max_delay = 1e-6 * o->max_delay;
    TRY(vic_engine_create(&engine, &r->engine, err));
    TRY(vic_endpoint_create(r->engine, r->bench.built.pattern, &endpoint, &r->endpoint, err));
    r->engine_info = (vic_engine_info)VIC_INIT(vic_engine_info);
    return vic_engine_get(r->engine, &r->engine_info, err);
}

static vic_status measure(struct throughput_options *o, struct throughput_result *r, vic_error *err)
{
    TRY(bench_measure(&o->bench, &r->bench, err));
    TRY(make_contents(o, r, err));
    TRY(open_engine(o, r, err));
    progress_phase("a lone query at a time");
    TRY(throughput_load(o, r, 1, 1, fmin(o->seconds, 2.0), &r->lone, err));
    progress_phase("load");
    return throughput_load(o, r, o->workers, o->in_flight, o->seconds, &r->load, err);
}

static void release(struct throughput_result *r)
{
    free(r->processes.seconds);
    throughput_load_free(&r->load);
    throughput_load_free(&r->lone);
    vic_endpoint_free(r->endpoint);
    vic_engine_free(r->engine);
    for (int i = 0; i < r->n_contents; i++) {
        array_free(&r->contents[i].q);
        array_free(&r->contents[i].k);
        array_free(&r->contents[i].v);
        free(r->contents[i].result);
    }
    bench_close(&r->bench);
}

static const char notes[] =
    "FILE: as of `vicinal bench latency`.  The pattern is built, attention over it compared with float64 and timed "
    "alone;\nthen queries, each with tensors of its own at unrelated addresses, go through an engine "
    "(vicinal_engine.h): one at a\ntime, and --workers x --in-flight at once.  Latency is from submission to callback.  "
    "At last `vicinal run` is\nstarted --processes times, which is what a query costs that nothing is kept for.";

static vic_status check_rest(const struct throughput_options *o, vic_error *err)
{
    if ((int64_t)o->workers * o->in_flight > 65536)
        return fail(err, VIC_BAD_ARGUMENT, "--workers %d with --in-flight %d are %d queries: expected at most 65536",
                    o->workers, o->in_flight, o->workers * o->in_flight);
    if (o->processes > 0 && strcmp(o->bench.run.pattern.file, "-") == 0)
        return fail(err, VIC_BAD_ARGUMENT,
                    "-: standard input can be read once, and each process reads the structure again: give a file, or "
                    "--processes 0");
    return VIC_OK;
}

static vic_status verdict(const struct throughput_result *r, vic_error *err)
{
    const int64_t different = r->load.different + r->lone.different, checked = r->load.checked + r->lone.checked;
    if (different == 0) return VIC_OK;
    return fail(err, VIC_FAILED,
                "%s of %s answers that were compared differ from vic_attention() of that query alone",
                count_text(different).s, count_text(checked).s);
}

vic_status bench_throughput(int argc, char **argv, vic_error *err)
{
    struct throughput_options o = { .workers = 8, .in_flight = 16, .seconds = 10.0, .warm_up = 1.0, .processes = 5 };
    struct throughput_result *r = NULL;
    struct option pattern_rows[PATTERN_OPTIONS], structure_rows[STRUCTURE_OPTIONS], output_rows[OUTPUT_OPTIONS];
    struct option attention_rows[ATTENTION_OPTIONS], own[THROUGHPUT_OPTIONS];
    const struct option_group groups[] = { { "Throughput", own, THROUGHPUT_OPTIONS },
                                           { "Pattern", pattern_rows, PATTERN_OPTIONS },
                                           { "Attention", attention_rows, ATTENTION_OPTIONS },
                                           { "Structure", structure_rows, STRUCTURE_OPTIONS },
                                           { "Output", output_rows, OUTPUT_OPTIONS } };
    const struct syntax syntax = { "bench throughput",
                                   "FILE",
                                   "How many queries a second an engine in this process answers, and how soon.",
                                   notes,
                                   groups,
                                   5 };
    bool helped;
    vic_status st;
    bench_options_init(&o.bench);
    o.bench.sustain = 0.0;
    pattern_options_rows(&o.bench.run.pattern, pattern_rows);
    attention_options_rows(&o.bench.run, attention_rows);
    structure_options_rows(&o.bench.run.pattern.structure, structure_rows);
    output_options_rows(&o.bench.run.pattern.structure, output_rows);
    rows(&o, own);
    TRY(options_read(&syntax, argc, argv, &o.bench.run.pattern.file, &helped, err));
    if (helped) return VIC_OK;
    TRY(check_rest(&o, err));
    attention_options_complete(&o.bench.run);
    run_tensors_room(&o.bench.run, o.workers * o.in_flight);
    TRY(allocate(1, sizeof *r, "the load", &r, err));
    TRY_GOTO(measure(&o, r, err), done);
    progress_phase("one process a query");
    TRY_GOTO(throughput_processes(&o, &groups[0], argc, argv, &r->processes, err), done);
    progress_end();
    if (o.bench.run.pattern.structure.json)
        TRY_GOTO(throughput_json(&o, r, argc, argv, err), done);
    else
        throughput_text(&o, r);
    st = text_end(err);
    if (st == VIC_OK) st = verdict(r, err);
done:
    release(r);
    free(r);
    return st;
}
