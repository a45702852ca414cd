/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `bench throughput` share: bench_throughput.c measures, throughput_load.c loads an engine,
 * throughput_processes.c starts a process a query, throughput_report.c reports. */
#ifndef VICINAL_CLI_THROUGHPUT_H
#define VICINAL_CLI_THROUGHPUT_H

#include "commands/bench.h"
#include "histogram.h"
#include "vicinal_engine.h"

enum { THROUGHPUT_OPTIONS = 12, MOST_CONTENTS = 8, TENSORS = 4 /* q, k, v, out */ };
enum tensors_are { TENSORS_RESIDENT, TENSORS_HOST, TENSORS_PINNED };

struct throughput_options {
    struct bench_options bench;
    int workers, in_flight, max_batch, streams, processes, tensors;
    double seconds, warm_up, max_delay; /* max_delay: microseconds */
    bool check;
};

/* What queries are made of: a few sets of numbers, each with its result as vic_attention() gives it for it alone. */
struct content {
    struct array q, k, v;
    void *result;
};

/* One phase of load. */
struct engine_load {
    double seconds;       /* that were measured, behind the warm-up */
    int64_t answered;     /* in them */
    int64_t *each_second; /* [whole_seconds] */
    int64_t whole_seconds;
    struct histogram latency; /* from submission to callback, of those */
    int64_t checked, different;
    vic_endpoint_info before, after; /* of the endpoint, around what was measured */
    double cpu;                      /* seconds of processor time of this process */
    struct gpu_seen gpu;
};

/* A query each from processes of their own. */
struct process_times {
    int count; /* 0: not measured */
    double *seconds;
    double p50, min, max;
    double read, order, build, plan, attention; /* as the process of median time told; the rest is starting */
};

struct throughput_result {
    struct bench_result bench;
    struct content contents[MOST_CONTENTS];
    int n_contents;
    vic_engine *engine;
    vic_endpoint *endpoint;
    vic_engine_info engine_info;
    struct engine_load load, lone;
    struct process_times processes;
};

/* workers x in_flight queries under way, each with tensors of its own, for o->warm_up and then `seconds`.  With
 * o->check the first query of each worker and every thousandth after it is compared, bit for bit. */
vic_status throughput_load(const struct throughput_options *o, struct throughput_result *r, int workers,
                           int in_flight, double seconds, struct engine_load *out, vic_error *err);
void throughput_load_free(struct engine_load *l);

/* `vicinal run` with the words of the command line but for those options of `own`, o->processes times. */
vic_status throughput_processes(const struct throughput_options *o, const struct option_group *own, int argc,
                                char **argv, struct process_times *out, vic_error *err);

vic_status throughput_json(const struct throughput_options *o, const struct throughput_result *r, int argc,
                           char **argv, vic_error *err);
void throughput_text(const struct throughput_options *o, const struct throughput_result *r);

#endif
