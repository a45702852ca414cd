/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L /* nanosleep */
/* A thread that launches on a stream of its own.  Up to GPU_LAUNCHES are under way, so that the GPU has the next one
 * when it is done with one; their queries are answered by the same thread.
 *
 * Waiting: what may come at any moment is looked for, and only after a while slept for, as waking up takes as long as a
 * small launch. */
#include "base/clock.h"
#include "base/memory.h"
#include "context/context.h"
#include "device/memory.h"
#include "device/stream.h"
#include "engine/engine.h"
#include "engine/staging.h"

#include <stdatomic.h>
#include <time.h>

enum {
    LOOK_NS = 100000,   /* for queries to come after the last answer: callers who wait for an answer send the next */
    LOOK_LONG = 500000, /* for a launch to end; then 1 / NAP of the time that it has taken is slept at a time */
    NAP = 16,
    MOST_NAP = 1000000,
};

enum { EVENT_BEGIN, EVENT_INPUT, EVENT_COMPUTE, EVENT_DONE, EVENTS };

struct slot {
    struct launch launch;
    struct staging staging;
    bool staged;
    void *event[EVENTS]; /* of those before DONE the ones of a launch that is staged */
    void *workspace;
    size_t workspace_size;
    int64_t enqueued, gathered_ns; /* when; how long putting tensors together took */
};

struct gpu_worker {
    vic_engine *engine;
    struct worker *self;
    vic_device device;
    void *stream;
    struct slot slot[GPU_LAUNCHES]; /* a ring: under_way of them from `oldest` on */
    int oldest, under_way;
    int64_t last_done;
    vic_attention_item items[MOST_BATCH];
};

/* ---- life ---- */

vic_status gpu_worker_create(vic_engine *engine, struct gpu_worker **out, vic_error *err)
{
    vic_status st;
    struct gpu_worker *w;
    *out = NULL;
    TRY(mem_array_zero(1, sizeof *w, "worker of a GPU", &w, err));
    w->engine = engine;
    w->device = engine->options.device;
    TRY_GOTO(device_stream_create(w->device, &w->stream, err), fail);
    for (int i = 0; i < GPU_LAUNCHES; i++)
        for (int e = 0; e < EVENTS; e++) TRY_GOTO(device_event_create(w->device, &w->slot[i].event[e], err), fail);
    *out = w;
    return VIC_OK;
fail:
    gpu_worker_free(w);
    return st;
}

void gpu_worker_free(struct gpu_worker *w)
{
    if (!w) return;
    for (int i = 0; i < GPU_LAUNCHES; i++) {
        struct slot *s = &w->slot[i];
        device_free_on(w->device, s->workspace, w->stream);
        staging_free(&s->staging, w->engine, w->stream);
        for (int e = 0; e < EVENTS; e++) device_event_free(w->device, s->event[e]);
    }
    if (w->stream) (void)device_wait(w->device, w->stream, NULL);
    device_stream_free(w->device, w->stream);
    free(w);
}

/* ---- a launch ---- */

static vic_status take_workspace(struct gpu_worker *w, struct slot *s, vic_attention_args *a)
{
    vic_error *err = &s->launch.error;
    size_t need;
    TRY(vic_plan_workspace(w->engine->context, s->launch.version->plan, launch_entries(&s->launch), &need, err));
    if (need > s->workspace_size) {
        device_free_on(w->device, s->workspace, w->stream);
        s->workspace = NULL;
        s->workspace_size = 0;
        TRY(device_alloc_on(w->device, w->engine->context->scratch, need, w->stream, &s->workspace, err));
        s->workspace_size = need;
    }
    a->workspace = s->workspace;
    a->workspace_size = s->workspace_size;
    return VIC_OK;
}

static vic_status mark(struct gpu_worker *w, struct slot *s, int event)
{
    if (!s->staged && event != EVENT_DONE) return VIC_OK;
    return device_event_record(w->device, s->event[event], w->stream, &s->launch.error);
}

static vic_status enqueue(struct gpu_worker *w, struct slot *s)
{
    struct launch *l = &s->launch;
    vic_attention_args a;
    launch_args(l, w->items, &a);
    TRY(take_workspace(w, s, &a));
    if (s->staged) TRY(staging_gather(&s->staging, w->engine, l, &a, w->items, w->stream, &l->error));
    s->gathered_ns = clock_ns() - l->taken;
    TRY(mark(w, s, EVENT_BEGIN));
    if (s->staged) TRY(staging_in(&s->staging, w->engine, l, w->stream, &l->error));
    TRY(mark(w, s, EVENT_INPUT));
    a.stream = w->stream;
    s->enqueued = clock_ns();
    TRY(context_attention(w->engine->context, l->version->plan, &a, &l->error));
    TRY(mark(w, s, EVENT_COMPUTE));
    if (s->staged) TRY(staging_out(&s->staging, w->engine, l, w->stream, &l->error));
    return mark(w, s, EVENT_DONE);
}

/* From the events of a launch that is staged, else by the clock: events cost the GPU time between launches. */
static void find_times(const struct gpu_worker *w, struct slot *s, int64_t now)
{
    struct launch *l = &s->launch;
    const int64_t began = s->enqueued > w->last_done ? s->enqueued : w->last_done;
    double seconds[EVENT_DONE] = { 0 };
    if (!s->staged) {
        l->stage_ns[VIC_STAGE_COMPUTE] = now - began;
        return;
    }
    for (int e = 0; e < EVENT_DONE; e++) (void)device_event_between(s->event[e], s->event[e + 1], &seconds[e], NULL);
    for (int e = 0; e < EVENT_DONE; e++) l->stage_ns[VIC_STAGE_INPUT + e] = (int64_t)(1e9 * seconds[e]);
    l->stage_ns[VIC_STAGE_INPUT] += s->gathered_ns;
}

static void set_faulted(vic_engine *engine, const vic_error *why)
{
    pthread_mutex_lock(&engine->lock);
    if (!engine->faulted) engine->fault = *why;
    engine->faulted = true;
    pthread_cond_broadcast(&engine->work);
    pthread_mutex_unlock(&engine->lock);
}

/* Ends a launch of which nothing is under way any more. */
static void end(struct gpu_worker *w, struct slot *s, vic_status st)
{
    struct launch *l = &s->launch;
    const int64_t now = clock_ns();
    l->status = st;
    if (st == VIC_OK) find_times(w, s, now);
    if (s->staged) staging_end(&s->staging, w->engine, l, st == VIC_OK, w->stream);
    if (s->staged && st == VIC_OK) l->stage_ns[VIC_STAGE_OUTPUT] += clock_ns() - now;
    w->last_done = now;
    if (st == VIC_FAILED && device_is_lost(w->device)) set_faulted(w->engine, &l->error);
    launch_answer(w->engine, l);
}

/* Nothing of it may go on when its queries are answered. */
static vic_status wait_after(struct gpu_worker *w, struct slot *s, vic_status st)
{
    vic_status waited = device_wait(w->device, w->stream, st == VIC_OK ? &s->launch.error : NULL);
    return st == VIC_OK ? waited : st;
}

/* Queries that are good alone can be in each other's way: a result that lies where another query's tensor does. */
static void run_apart(struct gpu_worker *w, struct slot *s)
{
    struct launch all = s->launch;
    while (launch_split(w->engine, &all, &s->launch)) end(w, s, wait_after(w, s, enqueue(w, s)));
    launch_answer(w->engine, &all);
}

static void begin(struct gpu_worker *w, struct slot *s)
{
    s->staged = (s->launch.layout.flags & LAYOUT_STAGED) != 0;
    vic_status st = enqueue(w, s);
    if (st == VIC_OK) {
        w->under_way++;
        return;
    }
    (void)wait_after(w, s, st);
    if (st == VIC_BAD_ARGUMENT && s->launch.n > 1)
        run_apart(w, s);
    else
        end(w, s, st);
}

/* ---- waiting ---- */

static void breathe(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static bool news(const vic_engine *engine, uint64_t seen)
{
    return atomic_load_explicit(&engine->arrivals, memory_order_relaxed) != seen;
}

/* Ends the oldest launch, which is done. */
static void reap(struct gpu_worker *w, vic_status st)
{
    struct slot *s = &w->slot[w->oldest];
    w->oldest = (w->oldest + 1) % GPU_LAUNCHES;
    w->under_way--;
    end(w, s, st);
}

static void nap(struct gpu_worker *w, int64_t taken, bool full, uint64_t seen, int64_t until)
{
    vic_engine *engine = w->engine;
    const int64_t length = taken / NAP < MOST_NAP ? taken / NAP : MOST_NAP;
    if (full) { /* with no use for queries that come */
        nanosleep(&(struct timespec){ .tv_nsec = length }, NULL);
        return;
    }
    const int64_t end_of_nap = clock_ns() + length;
    pthread_mutex_lock(&engine->lock);
    engine->lookers--;
    engine->sleepers++;
    w->self->naps = true;
    if (!news(engine, seen)) engine_wait(engine, &engine->work, end_of_nap < until ? end_of_nap : until);
    w->self->naps = false;
    engine->sleepers--;
    engine->lookers++;
    pthread_mutex_unlock(&engine->lock);
}

/* Until the oldest launch is done, when it returns true and sets *st to what came of it, or there may be another to
 * begin. */
static bool watch(struct gpu_worker *w, uint64_t seen, int64_t until, vic_status *st)
{
    const bool full = w->under_way == GPU_LAUNCHES;
    struct slot *s = &w->slot[w->oldest];
    for (;;) {
        bool done;
        *st = device_event_done(s->event[EVENT_DONE], &done, &s->launch.error);
        if (done) return true;
        const int64_t now = clock_ns(), taken = now - s->enqueued;
        if (!full && (news(w->engine, seen) || now >= until)) return false;
        if (taken < LOOK_LONG)
            breathe();
        else
            nap(w, taken, full, seen, until);
    }
}

/* Until there may be something to launch, or for LOOK_NS. */
static void look(const struct gpu_worker *w, uint64_t seen, int64_t until)
{
    const int64_t end_of_look = w->last_done + LOOK_NS;
    for (int64_t now = clock_ns(); now < end_of_look && now < until && !news(w->engine, seen); now = clock_ns())
        breathe();
}

/* Called and returns under the lock.  Does not keep it while it looks for what comes next. */
static void look_on(struct gpu_worker *w, int64_t until)
{
    vic_engine *engine = w->engine;
    const uint64_t seen = atomic_load_explicit(&engine->arrivals, memory_order_relaxed);
    const bool full = w->under_way == GPU_LAUNCHES;
    vic_status st = VIC_OK;
    bool done = false;
    engine->lookers += !full;
    pthread_mutex_unlock(&engine->lock);
    if (w->under_way > 0)
        done = watch(w, seen, until, &st);
    else
        look(w, seen, until);
    pthread_mutex_lock(&engine->lock);
    engine->lookers -= !full;
    if (!done) return;
    pthread_mutex_unlock(&engine->lock);
    reap(w, st);
    pthread_mutex_lock(&engine->lock);
}

void *worker_gpu(void *argument)
{
    struct worker *self = argument;
    struct gpu_worker *w = self->gpu;
    vic_engine *engine = self->engine;
    w->self = self;
    pthread_mutex_lock(&engine->lock);
    while (!engine->stop) {
        struct slot *s = &w->slot[(w->oldest + w->under_way) % GPU_LAUNCHES];
        const bool full = w->under_way == GPU_LAUNCHES;
        int64_t until = INT64_MAX;
        const bool runs = !full && launch_take(self, &s->launch, &until);
        if (!full && s->launch.n > 0) {
            pthread_mutex_unlock(&engine->lock);
            if (runs)
                begin(w, s);
            else
                launch_answer(engine, &s->launch);
            pthread_mutex_lock(&engine->lock);
        } else if (w->under_way > 0 || clock_ns() - w->last_done < LOOK_NS) {
            look_on(w, until);
        } else {
            engine->sleepers++;
            engine_wait(engine, &engine->work, until);
            engine->sleepers--;
        }
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}
