/* SPDX-License-Identifier: Apache-2.0 */
/* What a GPU does when it is never idle: throughput, and the clock that power and heat leave it. */
#include "commands/bench.h"
#include "progress.h"
#include "vicinal_dev.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_REPLAYS = 1000000, MOST_IN_GRAPH = 1000 };
static const double replay_seconds = 1e-3; /* at least, so that replays follow each other without gaps */

vic_status bench_sustain(const struct bench_options *o, struct bench_result *r, const vic_attention_args *args,
                         vic_error *err)
{
    vic_time_options t = VIC_INIT(vic_time_options);
    struct bench_sustained *s = &r->sustained;
    struct gpu_watch *watch;
    double *seconds = NULL, start, launch = fmax(r->graph.p50, 1e-7);
    vic_status st;
    t.in_graph = (int)fmin(fmax(ceil(replay_seconds / launch), o->in_graph), fmax(o->in_graph, MOST_IN_GRAPH));
    t.launches = (int)fmin(fmax(ceil(o->sustain / (launch * t.in_graph)), 1), MOST_REPLAYS);
    t.warm_up = -1;
    progress_phase("launching without pause");
    TRY(allocate(t.launches, sizeof *seconds, "the times", &seconds, err));
    watch = gpu_watch_start(r->run.info.device);
    start = seconds_now();
    st = vic_attention_time(r->run.context, r->run.plan, args, &t, seconds, err);
    s->seconds = seconds_now() - start;
    gpu_watch_stop(watch, &s->gpu);
    if (st == VIC_OK) {
        s->launches = (int64_t)t.launches * t.in_graph;
        s->times = bench_times_of(seconds, t.launches);
    }
    free(seconds);
    return st;
}
