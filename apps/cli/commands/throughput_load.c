/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that keep an engine loaded: each submits, sleeps until answers are there, counts them and submits anew. */
#define _POSIX_C_SOURCE 200809L
#include "commands/throughput.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { CHECK_EVERY = 1000 };

static const vic_device cpu = { VIC_CPU, 0 };

struct worker;

/* A query that is under way, again and again. */
struct slot {
    struct worker *worker;
    struct slot *next; /* of those answered */
    vic_query query;
    const struct content *content;
    uint64_t submitted, answered; /* ns */
    vic_status status;
    bool compare;
};

/* Everything up to `answered` is the thread's own. */
struct worker {
    const struct throughput_options *o;
    vic_endpoint *endpoint;
    struct slot *slots;
    int count;
    uint64_t begin, end;
    atomic_bool *stop;    /* of all: one has failed */
    struct engine_load l; /* its share */
    int64_t submissions;
    void *fetched; /* [bytes of out] */
    vic_status status;
    vic_error err;

    _Atomic(struct slot *) answered; /* a stack, which callbacks push to */
    atomic_bool sleeps;
    atomic_int callbacks; /* that have begun and still touch this */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    vic_error first_failure; /* of an answer; under the lock */
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- queries ---- */

/* From a thread of the engine.  The thread that submitted is woken only where it sleeps, once for many answers. */
static void on_answer(void *user, const vic_answer *answer)
{
    struct slot *s = user;
    struct worker *w = s->worker;
    atomic_fetch_add_explicit(&w->callbacks, 1, memory_order_relaxed);
    s->answered = now_ns();
    s->status = answer->status;
    if (s->status != VIC_OK) {
        pthread_mutex_lock(&w->lock);
        if (w->first_failure.status == VIC_OK)
            (void)fail(&w->first_failure, s->status, "a query failed: %s", answer->text);
        pthread_mutex_unlock(&w->lock);
    }
    s->next = atomic_load_explicit(&w->answered, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&w->answered, &s->next, s)) {
    }
    if (atomic_load(&w->sleeps)) {
        pthread_mutex_lock(&w->lock);
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
    }
    atomic_fetch_sub(&w->callbacks, 1);
}

/* All that have been answered, waiting for the first. */
static struct slot *take_answered(struct worker *w)
{
    struct slot *all = atomic_exchange(&w->answered, NULL);
    if (all) return all;
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->sleeps, true);
    while (!(all = atomic_exchange(&w->answered, NULL))) pthread_cond_wait(&w->wake, &w->lock);
    atomic_store(&w->sleeps, false);
    pthread_mutex_unlock(&w->lock);
    return all;
}

static size_t out_bytes(const struct slot *s)
{
    const vic_tensor *t = &s->query.out;
    return (size_t)(t->shape[0] * t->shape[1] * t->shape[2]) * vic_dtype_size(t->dtype);
}

/* What was there before is wiped, so that a query that writes nothing is found out. */
static vic_status submit(struct worker *w, struct slot *s)
{
    s->compare = w->o->check && w->submissions++ % CHECK_EVERY == 0;
    if (s->compare) {
        memset(w->fetched, 0xff, out_bytes(s));
        TRY(vic_memory_copy(s->query.out.device, s->query.out.data, cpu, w->fetched, out_bytes(s), &w->err));
    }
    s->submitted = now_ns();
    return vic_submit(w->endpoint, &s->query, NULL, &w->err);
}

static vic_status count(struct worker *w, struct slot *s)
{
    if (s->status != VIC_OK) {
        pthread_mutex_lock(&w->lock);
        w->err = w->first_failure;
        pthread_mutex_unlock(&w->lock);
        return s->status;
    }
    if (s->answered >= w->begin && s->answered < w->end) {
        const int64_t second = (int64_t)((s->answered - w->begin) / 1000000000u);
        w->l.answered++;
        if (second < w->l.whole_seconds) w->l.each_second[second]++;
        histogram_add(&w->l.latency, s->answered - s->submitted);
    }
    if (!s->compare) return VIC_OK;
    TRY(vic_memory_copy(cpu, w->fetched, s->query.out.device, s->query.out.data, out_bytes(s), &w->err));
    w->l.checked++;
    w->l.different += memcmp(w->fetched, s->content->result, out_bytes(s)) != 0;
    return VIC_OK;
}

static bool go_on(struct worker *w)
{
    if (w->status != VIC_OK) atomic_store(w->stop, true);
    return !atomic_load_explicit(w->stop, memory_order_relaxed);
}

static void *work(void *argument)
{
    struct worker *w = argument;
    int under_way = 0;
    for (int i = 0; i < w->count && go_on(w); i++) {
        w->status = submit(w, &w->slots[i]);
        under_way += w->status == VIC_OK;
    }
    while (under_way > 0) {
        for (struct slot *s = take_answered(w), *next; s; s = next) {
            next = s->next; /* before it is under way again */
            under_way--;
            if (w->status == VIC_OK) w->status = count(w, s);
            if (!go_on(w) || s->answered >= w->end) continue;
            w->status = submit(w, s);
            under_way += w->status == VIC_OK;
        }
    }
    return NULL;
}

/* ---- tensors ---- */

static vic_device place_of(const struct throughput_options *o, const struct throughput_result *r)
{
    if (o->tensors == TENSORS_HOST) return cpu;
    if (o->tensors == TENSORS_PINNED) return (vic_device){ VIC_CUDA_HOST, 0 };
    return r->bench.run.info.device;
}

static vic_status slot_open(const struct throughput_options *o, const struct throughput_result *r, int number,
                            struct slot *s, vic_error *err)
{
    const struct run_options *run = &o->bench.run;
    const struct content *c = &r->contents[number % r->n_contents];
    const struct array *from[INPUTS] = { &c->q, &c->k, &c->v };
    const int64_t out_shape[3] = { r->bench.built.info.n_q, run->heads, run->head_dim_v };
    vic_tensor *tensors[TENSORS] = { &s->query.q, &s->query.k, &s->query.v, &s->query.out };
    const vic_device place = place_of(o, r);
    s->content = c;
    s->query = (vic_query){ .size = sizeof s->query, .done = on_answer, .user = s, .scale = run->scale };
    for (int t = 0; t < TENSORS; t++) {
        *tensors[t] = vic_tensor_make(NULL, run->dtype, 3, t < INPUTS ? from[t]->shape : out_shape);
        tensors[t]->device = place;
        TRY(vic_memory_alloc(place, t < INPUTS ? from[t]->bytes : out_bytes(s), &tensors[t]->data, err));
        if (t < INPUTS) TRY(vic_memory_copy(place, tensors[t]->data, cpu, from[t]->data, from[t]->bytes, err));
    }
    return VIC_OK;
}

static void slot_close(struct slot *s)
{
    vic_tensor *tensors[TENSORS] = { &s->query.q, &s->query.k, &s->query.v, &s->query.out };
    for (int t = 0; t < TENSORS; t++) vic_memory_free(tensors[t]->device, tensors[t]->data);
}

static vic_status worker_open(const struct throughput_options *o, const struct throughput_result *r, int number,
                              int in_flight, double seconds, struct worker *w, vic_error *err)
{
    w->o = o;
    w->endpoint = r->endpoint;
    w->l.whole_seconds = (int64_t)seconds;
    TRY(allocate(w->l.whole_seconds, sizeof *w->l.each_second, "the load", &w->l.each_second, err));
    TRY(allocate(in_flight, sizeof *w->slots, "queries", &w->slots, err));
    for (int i = 0; i < in_flight; i++) {
        w->slots[i].worker = w;
        w->count++;
        TRY(slot_open(o, r, number * in_flight + i, &w->slots[i], err));
    }
    return allocate((int64_t)out_bytes(&w->slots[0]), 1, "a result", &w->fetched, err);
}

/* The last answer may have been taken before its callback has returned. */
static void worker_close(struct worker *w)
{
    while (atomic_load(&w->callbacks) > 0) sched_yield();
    for (int i = 0; i < w->count; i++) slot_close(&w->slots[i]);
    free(w->slots);
    free(w->fetched);
    throughput_load_free(&w->l);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
}

/* ---- a phase ---- */

static double own_cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Until that time, or until a thread has failed. */
static void sleep_until(uint64_t time, atomic_bool *stop)
{
    for (uint64_t now = now_ns(); now < time && !atomic_load(stop); now = now_ns()) {
        const uint64_t step = time - now < 50000000u ? time - now : 50000000u;
        nanosleep(&(struct timespec){ 0, (long)step }, NULL);
    }
}

static vic_status run(const struct throughput_options *o, const struct throughput_result *r, struct worker *workers,
                      int count, struct engine_load *out, vic_error *err)
{
    const uint64_t begin = now_ns() + (uint64_t)(o->warm_up * 1e9), end = begin + (uint64_t)(out->seconds * 1e9);
    struct gpu_watch *watch;
    pthread_t *ids = NULL;
    atomic_bool stop = false;
    int started = 0;
    vic_status st, last;
    TRY(allocate(count, sizeof *ids, "the load", &ids, err));
    for (int i = 0; i < count; i++) {
        workers[i].begin = begin;
        workers[i].end = end;
        workers[i].stop = &stop;
    }
    for (; started < count; started++)
        if (pthread_create(&ids[started], NULL, work, &workers[started]) != 0) break;
    st = started == count ? VIC_OK : fail(err, VIC_FAILED, "cannot start %d threads", count);
    if (st != VIC_OK) atomic_store(&stop, true);
    sleep_until(begin, &stop);
    out->before = out->after = (vic_endpoint_info)VIC_INIT(vic_endpoint_info);
    watch = gpu_watch_start(r->bench.run.info.device);
    out->cpu = own_cpu();
    last = vic_endpoint_get(r->endpoint, &out->before, err);
    if (st == VIC_OK) st = last;
    sleep_until(end, &stop);
    out->cpu = own_cpu() - out->cpu;
    last = vic_endpoint_get(r->endpoint, &out->after, err);
    if (st == VIC_OK) st = last;
    gpu_watch_stop(watch, &out->gpu);
    for (int i = 0; i < started; i++) pthread_join(ids[i], NULL);
    for (int i = 0; i < started && st == VIC_OK; i++) {
        st = workers[i].status;
        *err = workers[i].err;
    }
    free(ids);
    return st;
}

static void add(struct engine_load *to, const struct engine_load *from)
{
    histogram_merge(&to->latency, &from->latency);
    to->answered += from->answered;
    to->checked += from->checked;
    to->different += from->different;
    for (int64_t i = 0; i < to->whole_seconds; i++) to->each_second[i] += from->each_second[i];
}

vic_status throughput_load(const struct throughput_options *o, struct throughput_result *r, int workers,
                           int in_flight, double seconds, struct engine_load *out, vic_error *err)
{
    struct worker *all = NULL;
    vic_status st = VIC_OK;
    out->seconds = seconds;
    out->whole_seconds = (int64_t)seconds;
    TRY(allocate(out->whole_seconds, sizeof *out->each_second, "the load", &out->each_second, err));
    TRY(allocate(workers, sizeof *all, "the load", &all, err));
    for (int i = 0; i < workers; i++) {
        pthread_mutex_init(&all[i].lock, NULL);
        pthread_cond_init(&all[i].wake, NULL);
    }
    for (int i = 0; i < workers; i++) TRY_GOTO(worker_open(o, r, i, in_flight, seconds, &all[i], err), done);
    TRY_GOTO(run(o, r, all, workers, out, err), done);
    for (int i = 0; i < workers; i++) add(out, &all[i].l);
done:
    for (int i = 0; i < workers; i++) worker_close(&all[i]);
    free(all);
    return st;
}

void throughput_load_free(struct engine_load *l)
{
    free(l->each_second);
    l->each_second = NULL;
}
