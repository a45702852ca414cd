/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* the monotonic clock, adaptive locks */
#include "engine/engine.h"

#include "base/clock.h"
#include "base/dtype.h"
#include "base/memory.h"
#include "base/threads.h"
#include "context/context.h"
#include "device/stream.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

vic_status engine_check_process(const vic_engine *engine, vic_error *err)
{
    /* A context's pool knows; none is there yet while the engine is being made. */
    if (!engine->build_context || !pool_is_foreign(engine->build_context->pool)) return VIC_OK;
    return vic_fail(
        err, VIC_FAILED,
        "the engine was made in another process, before fork(), and its threads are not here: make one in "
        "this process");
}

vic_status engine_fault(const vic_endpoint *e, vic_error *err)
{
    return vic_fail(err, VIC_FAILED,
                    "endpoint %s: the GPU has failed, and only a new process can use it again: end this one; %s",
                    e->name, e->engine->fault.text);
}

/* ---- the lock, and what happens under it ---- */

enum wake engine_tell(vic_engine *engine, bool computes)
{
    atomic_fetch_add_explicit(&engine->arrivals, 1, memory_order_relaxed);
    /* The one that computes looks, or comes when it has room. */
    if (computes && engine->computing) return engine->computing->naps ? WAKE_ALL : WAKE_NOBODY;
    return engine->lookers == 0 && engine->sleepers > 0 ? WAKE_ONE : WAKE_NOBODY;
}

void engine_signal(vic_engine *engine, enum wake wake)
{
    if (wake == WAKE_ONE) pthread_cond_signal(&engine->work);
    if (wake == WAKE_ALL) pthread_cond_broadcast(&engine->work);
}

void engine_wake(vic_engine *engine)
{
    if (engine_tell(engine, false) != WAKE_NOBODY) engine_signal(engine, WAKE_ALL);
}

bool engine_wait(vic_engine *engine, pthread_cond_t *condition, int64_t until)
{
    const struct timespec at = { .tv_sec = until / 1000000000, .tv_nsec = until % 1000000000 };
    if (until != INT64_MAX) return pthread_cond_timedwait(condition, &engine->lock, &at) == 0;
    return pthread_cond_wait(condition, &engine->lock) == 0;
}

int64_t engine_time_in(double seconds)
{
    return seconds < 1e9 ? clock_ns() + (int64_t)(seconds * 1e9) : INT64_MAX;
}

void version_retain(struct version *v)
{
    v->references++;
}

void version_release(struct version *v)
{
    vic_engine *engine = v->endpoint->engine;
    if (--v->references > 0) return;
    if (v->instead) version_release(v->instead);
    v->next = engine->retired;
    engine->retired = v;
    pthread_cond_signal(&engine->build);
}

/* ---- life ---- */

static vic_status check_options(vic_engine_options *o, vic_error *err)
{
    if (o->reserved_1 != 0) return reserved_check(&o->reserved_1, sizeof o->reserved_1, "vic_engine_options", err);
    if (o->device.type == VIC_DEVICE_UNKNOWN) o->device = (vic_device){ VIC_CPU, 0 };
    if (o->build_threads < 0 || o->build_threads > POOL_MOST_THREADS)
        return vic_fail(err, VIC_BAD_ARGUMENT, "build_threads: expected 0 (half of all) to %d, got %d",
                        POOL_MOST_THREADS, o->build_threads);
    if (o->streams < 0 || o->streams > 16)
        return vic_fail(err, VIC_BAD_ARGUMENT, "streams: expected 0 (2) to 16, got %d", o->streams);
    if (o->build_threads == 0) o->build_threads = threads_available() > 1 ? threads_available() / 2 : 1;
    if (o->streams == 0) o->streams = 2;
    if (o->staging_bytes == 0) o->staging_bytes = (size_t)256 << 20;
    return VIC_OK;
}

static vic_status create_contexts(vic_engine *engine, vic_error *err)
{
    vic_context_options o = VIC_INIT(vic_context_options);
    const bool gpu = !device_is_cpu(engine->options.device);
    o.device = engine->options.device;
    o.threads = gpu ? 1 : engine->options.threads; /* a GPU's launches need none */
    o.log = engine->options.log;
    o.user = engine->options.user;
    TRY(context_create(&o, &engine->context, err));
    engine->options.threads = pool_threads(engine->context->pool);
    if (gpu) TRY(device_stream_create(o.device, &engine->build_stream, err));
    o.stream = engine->build_stream;
    o.threads = engine->options.build_threads;
    return context_create(&o, &engine->build_context, err);
}

static void create_lock(vic_engine *engine)
{
    pthread_condattr_t monotonic;
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
#if defined(__GLIBC__) /* it is held for so short a time that waiting for it a little is quicker than sleeping */
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&engine->lock, &kind);
    pthread_mutexattr_destroy(&kind);
    pthread_cond_init(&engine->work, &monotonic);
    pthread_cond_init(&engine->build, &monotonic);
    pthread_cond_init(&engine->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    engine->has_lock = true;
}

static vic_status start(pthread_t *thread, void *(*run)(void *), void *argument, const char *what, vic_error *err)
{
    int code = pthread_create(thread, NULL, run, argument);
    if (code == 0) return VIC_OK;
    return vic_fail(err, VIC_FAILED, "cannot start the engine's %s thread: %s; use fewer threads", what,
                    strerror(code));
}

static vic_status start_threads(vic_engine *engine, vic_error *err)
{
    const bool gpu = !device_is_cpu(engine->options.device);
    const int workers = gpu ? engine->options.streams : 1;
    TRY(start(&engine->builder, builder, engine, "building", err));
    engine->has_builder = true;
    TRY(mem_array_zero((size_t)workers, sizeof *engine->worker, "workers", &engine->worker, err));
    for (int i = 0; i < workers; i++) {
        struct worker *w = &engine->worker[i];
        w->engine = engine;
        engine->workers = i + 1;
        if (gpu) TRY(gpu_worker_create(engine, &w->gpu, err));
        TRY(start(&w->thread, gpu ? worker_gpu : worker_cpu, w, "launching", err));
        w->started = true;
    }
    return VIC_OK;
}

vic_status vic_engine_create(const vic_engine_options *options, vic_engine **out, vic_error *err)
{
    vic_status st = VIC_OK;
    vic_engine *engine = NULL;
    NEED_OUT(out);
    TAKE_STRUCT(vic_engine_options, o, options, err);
    TRY(check_options(&o, err));
    TRY(mem_array_zero(1, sizeof *engine, "engine", &engine, err));
    engine->options = o;
    TRY_GOTO(create_contexts(engine, err), done);
    create_lock(engine);
    TRY_GOTO(start_threads(engine, err), done);
    *out = engine;
    engine = NULL;
done:
    vic_engine_free(engine);
    return st;
}

void vic_engine_free(vic_engine *engine)
{
    if (!engine || engine_check_process(engine, NULL) != VIC_OK)
        return; /* after fork() its lock may be held for ever */
    if (engine->has_lock) {
        pthread_mutex_lock(&engine->lock);
        engine->stop = true;
        pthread_cond_broadcast(&engine->work);
        pthread_cond_broadcast(&engine->build);
        pthread_mutex_unlock(&engine->lock);
        for (int i = 0; i < engine->workers; i++)
            if (engine->worker[i].started) pthread_join(engine->worker[i].thread, NULL);
        if (engine->has_builder) pthread_join(engine->builder, NULL);
        pthread_cond_destroy(&engine->idle);
        pthread_cond_destroy(&engine->build);
        pthread_cond_destroy(&engine->work);
        pthread_mutex_destroy(&engine->lock);
    }
    for (int i = 0; i < engine->workers; i++) gpu_worker_free(engine->worker[i].gpu);
    queue_free(&engine->queue);
    free(engine->worker);
    context_free(engine->build_context);
    device_stream_free(engine->options.device, engine->build_stream);
    context_free(engine->context);
    free(engine);
}

vic_status vic_engine_get(const vic_engine *given, vic_engine_info *out, vic_error *err)
{
    vic_engine_info info = VIC_INIT(vic_engine_info);
    vic_engine *engine = (vic_engine *)(uintptr_t)given; /* its lock changes */
    NEED(engine, "engine", "make one first, with vic_engine_create()");
    TRY(engine_check_process(engine, err));
    pthread_mutex_lock(&engine->lock);
    info.device = engine->options.device;
    info.threads = engine->options.threads;
    info.build_threads = engine->options.build_threads;
    info.streams = device_is_cpu(info.device) ? 0 : engine->options.streams;
    info.endpoints = engine->endpoints;
    info.waiting = engine->queue.waiting;
    info.running = engine->running;
    info.staging_bytes = engine->staging;
    info.draining = engine->draining;
    info.faulted = engine->faulted;
    pthread_mutex_unlock(&engine->lock);
    return struct_give(out, &info, sizeof info, "vic_engine_info", err);
}

vic_status vic_engine_drain(vic_engine *engine, double seconds, vic_error *err)
{
    NEED(engine, "engine", "make one first, with vic_engine_create()");
    TRY(engine_check_process(engine, err));
    if (!(seconds >= 0)) return vic_fail(err, VIC_BAD_ARGUMENT, "seconds: expected 0 or more, got %g", seconds);
    const int64_t until = engine_time_in(seconds);
    bool in_time = true;
    pthread_mutex_lock(&engine->lock);
    engine->draining = true;
    pthread_cond_broadcast(&engine->work); /* nobody waits for others to share a launch any more */
    while (in_time && engine->queue.waiting + engine->running > 0)
        in_time = engine_wait(engine, &engine->idle, until);
    const int64_t waiting = engine->queue.waiting, running = engine->running;
    pthread_mutex_unlock(&engine->lock);
    if (waiting + running == 0) return VIC_OK;
    return vic_fail(err, VIC_DEADLINE,
                    "after %g seconds %lld queries wait and %lld run: call again to wait for longer, or free their "
                    "endpoints",
                    seconds, (long long)waiting, (long long)running);
}
