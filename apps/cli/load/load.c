/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "load/load.h"

#include "load/load_worker.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const double ns = 1e9;

static void add(struct load_result *to, const struct load_result *from)
{
    histogram_merge(&to->latency, &from->latency);
    histogram_merge(&to->service, &from->service);
    histogram_merge(&to->refusals, &from->refusals);
    for (int i = 0; i < LOAD_CODES; i++) to->codes[i] += from->codes[i];
    for (int64_t i = 0; i < to->whole_seconds; i++) to->each_second[i] += from->each_second[i];
    to->done += from->done;
    to->due += from->due;
    to->unsent += from->unsent;
    to->lost += from->lost;
    to->late += from->late;
    to->refused += from->refused;
    to->wrong += from->wrong;
    to->checked += from->checked;
    to->different += from->different;
}

/* Fields of /proc/PID/stat, counted from 1 as in proc(5). */
enum { FIELD_NAME = 2, FIELD_USER = 14, FIELD_SYSTEM = 15, FIELD_RSS = 24 };

bool process_look(int pid, double *cpu_seconds, int64_t *rss_bytes)
{
    char path[64], text[1024];
    const char *at;
    unsigned long long fields[FIELD_RSS + 1] = { 0 };
    size_t size;
    FILE *f;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    f = fopen(path, "r");
    if (!f) return false;
    size = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[size] = '\0';
    at = strrchr(text, ')'); /* the end of the program's name, which may hold anything */
    for (int field = FIELD_NAME + 1; field <= FIELD_RSS; field++) {
        at = at ? strchr(at, ' ') : NULL;
        if (!at) return false;
        fields[field] = strtoull(++at, NULL, 10); /* the state, a letter, gives 0 */
    }
    *cpu_seconds = (double)(fields[FIELD_USER] + fields[FIELD_SYSTEM]) / (double)sysconf(_SC_CLK_TCK);
    *rss_bytes = (int64_t)fields[FIELD_RSS] * sysconf(_SC_PAGESIZE);
    return true;
}

static double own_cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void sleep_until(uint64_t time)
{
    struct timespec t = { (time_t)(time / 1000000000u), (long)(time % 1000000000u) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

static vic_status run_workers(const struct load_options *o, struct load_worker *workers, struct load_result *out,
                              vic_error *err)
{
    pthread_t *ids = NULL;
    uint64_t begin = load_now() + (uint64_t)(o->warm_up * ns), end = begin + (uint64_t)(o->seconds * ns);
    double cpu[2] = { 0.0, 0.0 }, own;
    bool known[2] = { false, false };
    int started = 0;
    TRY(allocate(o->threads, sizeof *ids, "the load", &ids, err));
    for (int i = 0; i < o->threads; i++) {
        struct load_worker *w = &workers[i];
        w->begin = begin;
        w->end = end;
        w->give_up = end + (uint64_t)(o->timeout * ns);
        w->gap = o->rate > 0.0 ? ns * o->threads / o->rate : 0.0;
        w->next_due = load_now() + (uint64_t)(w->gap * i / o->threads);
        w->random = o->seed + (uint64_t)i * 0x2545f4914f6cdd1du;
    }
    for (; started < o->threads; started++)
        if (pthread_create(&ids[started], NULL, load_worker_run, &workers[started]) != 0) break;
    sleep_until(begin);
    if (o->pid) known[0] = process_look(o->pid, &cpu[0], &out->rss_before);
    own = own_cpu();
    sleep_until(end);
    if (o->pid) known[1] = process_look(o->pid, &cpu[1], &out->rss_after);
    out->own_cpu = own_cpu() - own;
    out->server_cpu = known[0] && known[1] ? cpu[1] - cpu[0] : NAN;
    for (int i = 0; i < started; i++) pthread_join(ids[i], NULL);
    free(ids);
    return started == o->threads ? VIC_OK : fail(err, VIC_FAILED, "cannot start %d threads", o->threads);
}

vic_status load_run(const struct load_options *o, struct load_result *out, vic_error *err)
{
    struct load_worker *workers = NULL;
    vic_status st;
    memset(out, 0, sizeof *out);
    out->seconds = o->seconds;
    out->whole_seconds = (int64_t)o->seconds;
    TRY(allocate(out->whole_seconds, sizeof *out->each_second, "the load", &out->each_second, err));
    TRY(allocate(o->threads, sizeof *workers, "the load", &workers, err));
    for (int i = 0; i < o->threads; i++) workers[i] = (struct load_worker){ .o = o, .epoll = -1, .timer = -1 };
    for (int i = 0; i < o->threads; i++) {
        int first = (int)((int64_t)o->connections * i / o->threads);
        int last = (int)((int64_t)o->connections * (i + 1) / o->threads);
        TRY_GOTO(load_worker_open(&workers[i], first, last - first, err), done);
    }
    TRY_GOTO(run_workers(o, workers, out, err), done);
    for (int i = 0; i < o->threads; i++) add(out, &workers[i].r);
done:
    for (int i = 0; i < o->threads; i++) load_worker_close(&workers[i]);
    free(workers);
    return st;
}

void load_free(struct load_result *r)
{
    free(r->each_second);
    r->each_second = NULL;
}
