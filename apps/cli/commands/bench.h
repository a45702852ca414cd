/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `bench` share: bench_measure.c times attention, bench_sustain.c for long, bench_latency.c,
 * bench_scaling.c, bench_pattern.c, bench_throughput.c and bench_serve.c are the subcommands, bench_report.c reports. */
#ifndef VICINAL_CLI_BENCH_H
#define VICINAL_CLI_BENCH_H

#include "commands/gpu_watch.h"
#include "commands/run.h"
#include "vicinal_dev.h"

enum { BENCH_OPTIONS = 7, BENCH_REPLAYS = 50 }; /* replays: how often a graph is timed */

struct bench_options {
    struct run_options run;
    int batch, order; /* order: 0 pattern, 1 caller */
    int items;        /* 0, or as `batch`, which are at unrelated addresses then */
    int launches;     /* 0: 1,000 on a GPU, what fits three seconds on the CPU */
    int in_graph;     /* launches in a graph; GPU only */
    bool cold;
    double sustain; /* seconds, 0 = not; GPU only */
};

/* Of single launches, in seconds. */
struct bench_times {
    int64_t launches; /* 0: not measured */
    double p50, p95, p99, min, mean, sigma;
};

/* Launches without pause, in graphs. */
struct bench_sustained {
    double seconds; /* by the clock */
    int64_t launches;
    struct bench_times times; /* of replays, each by its launches */
    struct gpu_seen gpu;
};

/* The gradients, where they are wanted. */
struct bench_backward {
    struct bench_times single, graph;
    bool whole;          /* of the check: against float64; else by two sums that must agree */
    double error, bound; /* error <= bound */
};

struct bench_result {
    struct pattern_built built;
    struct run_result run; /* context, plan, info, check */
    size_t workspace_bytes;
    vic_attention_item *items; /* [batch] with o->items */
    struct bench_times single, graph, cold;
    struct bench_sustained sustained;
    struct bench_backward backward;
};

void bench_options_init(struct bench_options *o);
void bench_options_rows(struct bench_options *o, struct option rows[BENCH_OPTIONS]);
/* What follows from the options given. */
vic_status bench_options_complete(struct bench_options *o, vic_error *err);

/* Choose where, build the pattern and the plan, make the tensors, check sampled rows of the first and the last batch item against
 * float64, then time.  FAILED, without any time, when the result is wrong.  bench_close() frees, also after a
 * failure, what a zeroed `out` was given. */
vic_status bench_measure(struct bench_options *o, struct bench_result *out, vic_error *err);
void bench_close(struct bench_result *r);

/* One phase of about o->sustain seconds, after r->graph is known. */
vic_status bench_sustain(const struct bench_options *o, struct bench_result *r, const vic_attention_args *args,
                         vic_error *err);

/* The gradients with o->run.backward, when attention is done: checked, FAILED where they are wrong, then timed. */
vic_status bench_backward(const struct bench_options *o, struct bench_result *r, const vic_attention_args *args,
                          vic_error *err);

/* [batch * n, ...] as [batch, n, ...], or item `item` of it alone when that is >= 0. */
vic_tensor bench_view(const struct array *a, void *data, vic_device device, int batch, int item);
/* One item's tensors in memory of the CPU. */
vic_attention_args bench_item(const struct bench_options *o, const struct run_result *r, int item);
/* How many single launches are timed, when the first took `first` seconds. */
void bench_launches(const struct bench_options *o, vic_device device, double first, vic_time_options *out);

/* Sorts `seconds`. */
struct bench_times bench_times_of(double *seconds, int64_t count);

/* A second: 10^9 pairs; 10^12 operations of what is needed and of what the kernel executes; 10^9 bytes of q, k, v and
 * out, each counted once.  Where all pairs are whole blocks of 128 x 128 also as the report counts them that block
 * sparse attention is often compared with: 2 blocks 128^2 d operations, one of the two products, and those over the
 * density of the blocks; 0 elsewhere. */
struct bench_rates {
    double gpairs, useful, computed, gbytes, origin, effective;
};
double bench_bytes(const struct bench_options *o, const struct bench_result *r);
double bench_origin_flop(const struct bench_options *o, const struct bench_result *r);
struct bench_rates bench_rates(const struct bench_options *o, const struct bench_result *r, double seconds);

/* build, machine, command, and the device: who measured what.  argv holds the words of the command line after `name`.
 */
void bench_json_command(struct json *j, const char *name, int argc, char **argv);
void bench_json_context(struct json *j, const char *name, int argc, char **argv, vic_device device);
void bench_json_rates(struct json *j, const struct bench_options *o, const struct bench_result *r, double seconds);
void bench_json_times(struct json *j, const char *key, const struct bench_options *o, const struct bench_result *r,
                      const struct bench_times *t);
void bench_json_result(struct json *j, const struct bench_options *o, const struct bench_result *r);
void bench_json_clock(struct json *j, const struct gpu_seen *g); /* the object "clock", or why there is none */
void bench_text_clock(const struct gpu_seen *g);

vic_status bench_latency(int argc, char **argv, vic_error *err);
vic_status bench_pattern(int argc, char **argv, vic_error *err);
vic_status bench_scaling(int argc, char **argv, vic_error *err);
vic_status bench_throughput(int argc, char **argv, vic_error *err);
vic_status bench_serve(int argc, char **argv, vic_error *err);

#endif
