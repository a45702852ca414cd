/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that makes the versions of new positions, in the order of their acceptance, and destroys those that nobody
 * needs any more, so that neither holds up a worker. */
#include "context/context.h"
#include "engine/engine.h"
#include "pattern/pattern.h"
#include "pattern/update.h"

#include <stdlib.h>

/* Destroys a version and keeps its pattern's memory for the endpoint's next update.  Called without the lock, returns
 * with it. */
static void retire(vic_engine *engine, struct version *v)
{
    vic_endpoint *e = v->endpoint;
    const uint64_t family = v->model.family;
    vic_pattern *alone = version_destroy(v);
    pthread_mutex_lock(&engine->lock);
    if (alone && !e->spare && !e->closing && family == e->last_family) {
        e->spare = alone;
        alone = NULL;
    }
    pthread_mutex_unlock(&engine->lock);
    pattern_release(alone);
    pthread_mutex_lock(&engine->lock);
    e->versions--; /* from here on the endpoint may be gone */
    pthread_cond_broadcast(&engine->idle);
}

static vic_status make(vic_engine *engine, struct version *v, vic_pattern *spare, vic_error *err)
{
    const struct version *base = version_used(v->base);
    const vic_pattern *from = base->pattern;
    struct pool *pool;
    TRY(context_enter(engine->build_context, &pool, err));
    TRY(pattern_moved(from, v->positions ? v->positions : from->q_positions,
                      v->has_cell ? (const double(*)[3])v->cell : NULL, spare, pool, &v->pattern, err));
    return vic_plan_create(engine->build_context, v->pattern, &v->endpoint->plan_options, &v->plan, err);
}

/* Under the lock: the version is there, or its queries go on with the one before. */
static void settle(vic_engine *engine, struct version *v, vic_status st)
{
    vic_endpoint *e = v->endpoint;
    struct version *base = v->base;
    v->base = NULL;
    e->updates_waiting--;
    if (st == VIC_OK) {
        v->ready = true;
        e->counts.updates++;
        if (!e->closing && v->number > e->current->number) {
            version_release(e->current);
            e->current = v;
            version_retain(v);
        }
    } else {
        v->instead = version_used(base);
        version_retain(v->instead);
        if (e->newest == v) {
            e->newest = v->instead;
            version_retain(e->newest);
            version_release(v);
        }
    }
    queue_settle(&engine->queue, v);
    version_release(base);
}

/* Who brought positions that are no good is answered with what is wrong with them. */
static void answer_bringer(vic_engine *engine, struct launch *l, struct version *v, vic_status st)
{
    struct query *q = v->bringer;
    if (st == VIC_OK || !q) return;
    l->status = st;
    l->taken = q->submitted;
    launch_add(engine, l, q);
}

/* Called and returns under the lock. */
static void build(vic_engine *engine, struct version *v)
{
    vic_endpoint *e = v->endpoint;
    struct launch l = { 0 };
    vic_pattern *spare = e->spare;
    vic_status st;
    const bool closing = e->closing;
    if (v->model.family == e->last_family)
        e->spare = NULL;
    else
        spare = NULL;
    pthread_mutex_unlock(&engine->lock);
    if (closing) {
        pattern_release(spare);
        st = vic_fail(&l.error, VIC_CANCELLED, "endpoint %s: it is being freed", e->name);
    } else {
        st = make(engine, v, spare, &l.error);
    }
    free(v->positions);
    v->positions = NULL;
    pthread_mutex_lock(&engine->lock);
    answer_bringer(engine, &l, v, st);
    settle(engine, v, st);
    version_release(v);
    pthread_cond_broadcast(&engine->idle);
    engine_wake(engine);
    if (l.n == 0) return;
    pthread_mutex_unlock(&engine->lock);
    launch_answer(engine, &l);
    pthread_mutex_lock(&engine->lock);
}

void *builder(void *argument)
{
    vic_engine *engine = argument;
    pthread_mutex_lock(&engine->lock);
    for (;;) {
        struct version *v;
        while (!engine->stop && !engine->retired && !engine->updates)
            pthread_cond_wait(&engine->build, &engine->lock);
        if ((v = engine->retired)) {
            engine->retired = v->next;
            pthread_mutex_unlock(&engine->lock);
            retire(engine, v);
        } else if ((v = engine->updates)) {
            engine->updates = v->next;
            if (!engine->updates) engine->last_update = NULL;
            build(engine, v);
        } else {
            break;
        }
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}
