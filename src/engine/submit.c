/* SPDX-License-Identifier: Apache-2.0 */
/* Handing queries in, and taking them back.  A query is checked here, so that one that is wrong is refused alone. */
#include "api/dense.h"
#include "base/clock.h"
#include "base/dtype.h"
#include "base/memory.h"
#include "context/context.h"
#include "engine/engine.h"
#include "engine/staging.h"

#include <string.h>

/* A query on its way into the queue. */
struct submission {
    vic_endpoint *endpoint;
    struct model model; /* of the version that it is checked for */
    vic_query given;
    struct layout layout;
    vic_tensor tensor[TENSORS];
    struct version *brings; /* with its positions; NULL = none */
    enum wake wake;         /* when it is in the queue */
};

static vic_status take_query(const vic_query *given, vic_query *out, vic_error *err)
{
    NEED_STRUCT(vic_query, q, given, err);
    TRY(reserved_check(q.reserved_1, sizeof q.reserved_1, "vic_query", err));
    if (!q.done) return vic_fail(err, VIC_BAD_ARGUMENT, "done is NULL: expected what to call with the answer");
    if (!(q.timeout >= 0))
        return vic_fail(err, VIC_BAD_ARGUMENT, "timeout: expected seconds, 0 (the endpoint's) or more, got %g",
                        q.timeout);
    *out = q;
    return VIC_OK;
}

/* ---- tensors ---- */

static bool has_tensors(const vic_query *q)
{
    const vic_tensor *tensors[TENSORS] = { &q->q, &q->k, &q->v, &q->out, &q->lse };
    for (int t = 0; t < TENSORS; t++)
        if (tensors[t]->data || tensors[t]->ndim) return true;
    return false;
}

/* The checks of vic_attention(), for a plan of the endpoint's options and patterns of these numbers of points. */
static vic_status check_tensors(struct submission *s, vic_error *err)
{
    const vic_device device = s->endpoint->engine->options.device;
    struct vic_pattern sizes = { .n_q = s->model.n_q, .n_k = s->model.n_k };
    const vic_plan plan = { .pattern = &sizes, .shape = s->endpoint->shape, .device = device, .pattern_order = true };
    vic_attention_args a = VIC_INIT(vic_attention_args);
    struct attention_args bound;
    vic_tensor *const tensors[TENSORS] = { &a.q, &a.k, &a.v, &a.out, &a.lse };
    for (int t = 0; t < TENSORS; t++) {
        *tensors[t] = s->tensor[t];
        if (s->layout.flags & (uint64_t)LAYOUT_HOST << t) tensors[t]->device = device; /* where it will be */
    }
    a.scale = s->given.scale;
    a.zero_scale = s->given.zero_scale;
    return context_bind(&plan, &a, true, &bound, err);
}

/* On the CPU more queries than keep all threads busy gain nothing, and are answered together, so late: so many strips a
 * thread are enough. */
enum { STRIPS_A_THREAD = 64 };

static int64_t most_together(const struct submission *s)
{
    const vic_engine *engine = s->endpoint->engine;
    const int64_t strips = (s->model.n_q + STRIP - 1) / STRIP, most = s->endpoint->max_batch;
    if (!device_is_cpu(engine->options.device) || strips == 0) return most;
    const int64_t enough = ((int64_t)engine->options.threads * STRIPS_A_THREAD + strips - 1) / strips;
    return enough < most ? enough : most;
}

static vic_status lay_out(struct submission *s, vic_error *err)
{
    const vic_query *q = &s->given;
    const vic_tensor tensors[TENSORS] = { q->q, q->k, q->v, q->out, q->lse };
    const int64_t most = most_together(s);
    memcpy(s->tensor, tensors, sizeof s->tensor);
    s->layout = (struct layout){ .most = most, .flags = LAYOUT_NOTHING };
    if (!has_tensors(q)) return VIC_OK;
    s->layout.scale = q->scale;
    s->layout.flags = (q->lse.data ? LAYOUT_LSE : 0u) | (q->zero_scale ? LAYOUT_ZERO_SCALE : 0u);
    if (!device_is_cpu(s->endpoint->engine->options.device)) s->layout.flags |= staging_flags(s->tensor);
    TRY(check_tensors(s, err));
    s->layout.batch = q->q.ndim == 4 ? q->q.shape[0] : 0;
    for (int t = 0; t < TENSORS; t++)
        for (int i = 0; tensors[t].data && i < tensors[t].ndim; i++) s->layout.stride[t][i] = tensors[t].stride[i];
    if (s->layout.batch > 0)
        s->layout.most = 1; /* a launch of its own */
    else if (s->layout.flags & LAYOUT_STAGED)
        s->layout.most = staging_fits(s->endpoint->engine, &s->layout, s->tensor, most);
    s->layout.hash = layout_hash(&s->layout);
    return VIC_OK;
}

/* ---- positions ---- */

static vic_status check_moves(const struct submission *s, vic_error *err)
{
    const struct model *m = &s->model;
    if (!m->moves)
        return vic_fail(
            err, VIC_BAD_ARGUMENT,
            "positions: only patterns of a cutoff or of the nearest follow their points, and this one is of "
            "kind %s: replace the whole pattern instead",
            m->kind);
    if (!m->one_set)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "positions: queries and keys of the endpoint's pattern are two sets of points: replace the "
                        "whole pattern instead");
    if (s->given.cell && (m->groups || !m->periodic))
        return vic_fail(err, VIC_BAD_ARGUMENT, "cell: %s: give none",
                        m->groups ? "the pattern has several structures, whose cells stay"
                                  : "the pattern is periodic along no axis");
    if (s->given.positions.data && !device_is_cpu(s->given.positions.device))
        return vic_fail(err, VIC_BAD_ARGUMENT, "positions: expected memory of the CPU");
    return VIC_OK;
}

static vic_status copy_positions(struct submission *s, double **out, vic_error *err)
{
    const struct dense_form form = { "positions", VIC_F64, s->model.n_q, 3 };
    struct dense taken;
    vic_status st = VIC_OK;
    TRY(dense_take(&s->given.positions, &form, &taken, err));
    *out = taken.owned;
    if (!taken.data || taken.owned) return VIC_OK;
    const size_t n = (size_t)s->model.n_q;
    st = mem_array(n, 3 * sizeof **out, "positions", out, err);
    if (st == VIC_OK) memcpy(*out, taken.data, 3 * n * sizeof **out);
    return st;
}

static vic_status take_positions(struct submission *s, vic_error *err)
{
    const vic_query *q = &s->given;
    double *positions;
    s->brings = NULL;
    if (!q->positions.data && !q->cell) {
        if (!(s->layout.flags & LAYOUT_NOTHING)) return VIC_OK;
        return vic_fail(err, VIC_BAD_ARGUMENT, "vic_query: expected tensors, new positions, or both; got neither");
    }
    TRY(check_moves(s, err));
    TRY(copy_positions(s, &positions, err));
    vic_status st = version_new(s->endpoint, &s->model, &s->brings, err);
    if (st != VIC_OK) {
        free(positions);
        return st;
    }
    s->brings->positions = positions;
    s->brings->has_cell = q->cell != NULL;
    if (q->cell) memcpy(s->brings->cell, q->cell, sizeof s->brings->cell);
    return VIC_OK;
}

/* ---- into the queue ---- */

enum outcome { ACCEPTED, REPLACED, CLOSING, DRAINING, FAULTED, QUEUE_FULL, UPDATES_FULL, NO_ROOM };

static void put_update(struct submission *s, struct query *query)
{
    vic_endpoint *e = s->endpoint;
    vic_engine *engine = e->engine;
    struct version *v = s->brings;
    v->number = ++e->last_number;
    v->base = e->newest; /* with the endpoint's reference */
    e->newest = v;
    version_retain(v); /* the builder's */
    v->bringer = query;
    query->brings = v;
    e->versions++;
    e->updates_waiting++;
    *(engine->updates ? &engine->last_update->next : &engine->updates) = v;
    engine->last_update = v;
    pthread_cond_signal(&engine->build);
}

/* Under the lock. */
static enum outcome accept_query(struct submission *s, const struct query *q, uint64_t *ticket, vic_error *err)
{
    vic_endpoint *e = s->endpoint;
    vic_engine *engine = e->engine;
    struct version *v = s->brings ? s->brings : e->newest;
    struct query *query;
    bool lane_is_new;
    if (e->closing) return CLOSING;
    if (e->newest->model.family != s->model.family) return REPLACED;
    if (engine->draining) return DRAINING;
    if (engine->faulted) return FAULTED;
    if (e->waiting >= e->max_queue) return QUEUE_FULL;
    if (s->brings && e->updates_waiting >= MOST_UPDATES) return UPDATES_FULL;
    if (queue_add(&engine->queue, v, &s->layout, s->tensor, q, &query, &lane_is_new, err) != VIC_OK) return NO_ROOM;
    if (lane_is_new) version_retain(v);
    if (s->brings) put_update(s, query);
    s->brings = NULL;
    e->waiting++;
    e->counts.accepted++;
    *ticket = query_ticket(query);
    if (queue_most_urgent(&engine->queue) == query) /* somebody has to wait for its deadline */
        s->wake = engine_tell(engine, false);
    else if (version_settled(v))
        s->wake = engine_tell(engine, layout_computes(&s->layout));
    return ACCEPTED;
}

static vic_status explain(enum outcome outcome, const vic_endpoint *e, vic_error *err)
{
    switch (outcome) {
    case CLOSING:
        return vic_fail(err, VIC_CANCELLED, "endpoint %s is being freed and takes no more queries", e->name);
    case DRAINING:
        return vic_fail(err, VIC_BUSY, "endpoint %s: the engine drains and takes no more queries", e->name);
    case FAULTED: return engine_fault(e, err);
    case QUEUE_FULL:
        return vic_fail(err, VIC_BUSY, "endpoint %s: %lld queries wait already: try again later, or raise max_queue",
                        e->name, (long long)e->max_queue);
    case UPDATES_FULL:
        return vic_fail(err, VIC_BUSY, "endpoint %s: %d new positions wait already: try again later", e->name,
                        MOST_UPDATES);
    default: return VIC_NO_MEMORY;
    }
}

static struct query query_of(const struct submission *s)
{
    const vic_query *q = &s->given;
    struct query new = { .submitted = clock_ns(), .deadline = INT64_MAX, .done = q->done, .user = q->user };
    if (q->timeout > 0)
        new.deadline = engine_time_in(q->timeout);
    else if (s->endpoint->timeout != INT64_MAX)
        new.deadline = new.submitted + s->endpoint->timeout;
    for (int t = 0; t < TENSORS; t++) new.data[t] = s->tensor[t].data;
    return new;
}

/* *outcome is REPLACED where the endpoint has got another pattern since the query was checked. */
static vic_status try_submit(struct submission *s, uint64_t *ticket, enum outcome *outcome, vic_error *err)
{
    vic_endpoint *e = s->endpoint;
    vic_engine *engine = e->engine;
    pthread_mutex_lock(&engine->lock);
    *outcome = e->closing ? CLOSING : NO_ROOM; /* callbacks submit while it is freed */
    if (!e->closing) s->model = e->newest->model;
    pthread_mutex_unlock(&engine->lock);
    if (*outcome == CLOSING) return explain(*outcome, e, err);
    s->wake = WAKE_NOBODY;
    TRY(lay_out(s, err));
    TRY(take_positions(s, err));
    const struct query new = query_of(s);
    pthread_mutex_lock(&engine->lock);
    *outcome = accept_query(s, &new, ticket, err);
    e->counts.refused += *outcome == DRAINING || *outcome == QUEUE_FULL || *outcome == UPDATES_FULL;
    pthread_mutex_unlock(&engine->lock);
    engine_signal(engine, s->wake);
    if (s->brings) version_destroy(s->brings); /* it was not accepted */
    return *outcome == ACCEPTED ? VIC_OK : explain(*outcome, e, err);
}

vic_status vic_submit(vic_endpoint *endpoint, const vic_query *query, uint64_t *ticket, vic_error *err)
{
    struct submission s;
    enum outcome outcome;
    uint64_t number;
    vic_status st;
    NEED(endpoint, "endpoint", "make one first, with vic_endpoint_create()");
    TRY(take_query(query, &s.given, err));
    TRY(engine_check_process(endpoint->engine, err));
    s.endpoint = endpoint;
    do st = try_submit(&s, ticket ? ticket : &number, &outcome, err);
    while (outcome == REPLACED);
    return st;
}

bool vic_cancel(vic_endpoint *e, uint64_t ticket)
{
    struct launch l = { .n = 0 };
    if (!e || engine_check_process(e->engine, NULL) != VIC_OK) return false;
    pthread_mutex_lock(&e->engine->lock);
    l.taken = clock_ns();
    struct query *query = queue_find(&e->engine->queue, ticket);
    if (query && query->lane->version->endpoint == e) launch_add(e->engine, &l, query);
    pthread_mutex_unlock(&e->engine->lock);
    if (l.n == 0) return false;
    l.status = vic_fail(&l.error, VIC_CANCELLED, "endpoint %s: the query was cancelled", e->name);
    launch_answer(e->engine, &l);
    return true;
}
