/* SPDX-License-Identifier: Apache-2.0 */
/* Taking queries out of the queue, and answering them. */
#include "base/clock.h"
#include "engine/batch.h"
#include "engine/engine.h"

#include <string.h>

void launch_add(vic_engine *engine, struct launch *l, struct query *q)
{
    vic_endpoint *e = q->lane->version->endpoint;
    struct version *freed = queue_remove(&engine->queue, q);
    if (freed) version_release(freed);
    *(l->first ? &l->last->next : &l->first) = q;
    l->last = q;
    l->n++;
    l->endpoint = e;
    e->waiting--;
    e->running++;
    engine->running++;
}

static void expire(vic_engine *engine, struct launch *l, int64_t now)
{
    struct query *urgent = queue_most_urgent(&engine->queue);
    const vic_endpoint *e = urgent->lane->version->endpoint; /* of others the next time */
    for (; urgent && urgent->deadline <= now && l->n < MOST_BATCH; urgent = queue_most_urgent(&engine->queue)) {
        if (urgent->lane->version->endpoint != e) break;
        launch_add(engine, l, urgent);
    }
    l->status =
        vic_fail(&l->error, VIC_DEADLINE,
                 "endpoint %s: the query was not launched within its time: give it more, or send fewer at once",
                 e->name);
}

static void take(vic_engine *engine, struct launch *l, struct lane *lane, int64_t n)
{
    struct query *q = lane->head;
    l->version = version_used(lane->version);
    l->layout = lane->layout;
    version_retain(l->version);
    memcpy(l->tensor, lane->tensor, sizeof l->tensor);
    for (int t = 0; t < TENSORS; t++) l->tensor[t].data = q->data[t];
    while (l->n < n) {
        struct query *next = q->next;
        launch_add(engine, l, q);
        q = next;
    }
}

/* Is there anything for a worker that does not compute now? */
static bool others_have_work(const vic_engine *engine)
{
    const struct queue *q = &engine->queue;
    const size_t theirs = engine->computing ? q->n_lanes - q->ready[true].n : q->n_lanes;
    return theirs > 0 || queue_most_urgent(q);
}

bool launch_take(const struct worker *worker, struct launch *l, int64_t *until)
{
    vic_engine *engine = worker->engine;
    const int64_t now = clock_ns();
    const bool computes = !engine->computing || engine->computing == worker;
    const struct batch_choice choice = batch_choose(&engine->queue, now, engine->draining, computes);
    *l = (struct launch){ .taken = now };
    *until = choice.until;
    if (choice.step == BATCH_EXPIRE) expire(engine, l, now);
    if (choice.step == BATCH_TAKE) take(engine, l, choice.lane, choice.n);
    if (choice.step == BATCH_TAKE && engine->faulted) l->status = engine_fault(l->endpoint, &l->error);
    const bool runs = choice.step == BATCH_TAKE && l->status == VIC_OK && !(l->layout.flags & LAYOUT_NOTHING);
    l->computing = runs && layout_computes(&l->layout) && (engine->computing || engine->launches_are_long);
    if (l->computing) {
        engine->computing = worker;
        engine->computing_launches++;
    }
    if (choice.step != BATCH_WAIT && others_have_work(engine)) engine_wake(engine);
    return runs;
}

bool launch_split(vic_engine *engine, struct launch *l, struct launch *one)
{
    struct query *q = l->first;
    if (!q) return false;
    *one = *l;
    one->first = one->last = q;
    one->n = 1;
    one->computing = false;  /* *l is, to its end */
    one->taken = clock_ns(); /* those before it were run first */
    l->first = q->next;
    l->n--;
    q->next = NULL;
    for (int t = 0; t < TENSORS; t++) one->tensor[t].data = q->data[t];
    pthread_mutex_lock(&engine->lock);
    version_retain(l->version);
    pthread_mutex_unlock(&engine->lock);
    return true;
}

int64_t launch_entries(const struct launch *l)
{
    return l->layout.batch > 0 ? l->layout.batch : l->n;
}

void launch_args(const struct launch *l, vic_attention_item *items, vic_attention_args *a)
{
    *a = (vic_attention_args){ .size = sizeof *a,
                               .q = l->tensor[TENSOR_Q],
                               .k = l->tensor[TENSOR_K],
                               .v = l->tensor[TENSOR_V],
                               .out = l->tensor[TENSOR_OUT],
                               .lse = l->tensor[TENSOR_LSE],
                               .bias = l->endpoint->bias,
                               .scale = l->layout.scale,
                               .zero_scale = (l->layout.flags & LAYOUT_ZERO_SCALE) != 0 };
    if (l->n < 2) return;
    for (const struct query *q = l->first; q; q = q->next)
        items[a->n_items++] = (vic_attention_item){ q->data[TENSOR_Q], q->data[TENSOR_K], q->data[TENSOR_V],
                                                    q->data[TENSOR_OUT], q->data[TENSOR_LSE] };
    a->items = items;
}

static void times_of(const struct launch *l, const struct query *q, int64_t now, uint64_t time_ns[VIC_STAGES])
{
    for (int s = VIC_STAGE_INPUT; s <= VIC_STAGE_OUTPUT; s++) time_ns[s] = (uint64_t)l->stage_ns[s];
    time_ns[VIC_STAGE_QUEUE] = (uint64_t)(l->taken - q->submitted);
    time_ns[VIC_STAGE_TOTAL] = (uint64_t)(now - q->submitted);
}

static vic_answer answer_of(const struct launch *l, const struct query *q, int64_t now)
{
    vic_answer a = VIC_INIT(vic_answer);
    a.status = l->status;
    a.text = l->status == VIC_OK ? "" : l->error.text;
    a.batch = l->version && !(l->layout.flags & LAYOUT_NOTHING) ? (int32_t)l->n : 0;
    a.version = l->version ? l->version->number : 0;
    times_of(l, q, now, a.time_ns);
    return a;
}

static void count(struct counts *c, const struct launch *l, int64_t now)
{
    const uint64_t n = (uint64_t)l->n;
    if (l->version && !(l->layout.flags & LAYOUT_NOTHING)) {
        c->launches++;
        c->batch[count_bucket(n, VIC_BATCH_BUCKETS)]++;
    }
    switch (l->status) {
    case VIC_OK: c->answered += n; break;
    case VIC_DEADLINE: c->expired += n; break;
    case VIC_CANCELLED: c->cancelled += n; break;
    default: c->failed += n;
    }
    if (l->status != VIC_OK) return;
    for (const struct query *q = l->first; q; q = q->next) {
        uint64_t time_ns[VIC_STAGES];
        times_of(l, q, now, time_ns);
        counts_add_times(c, time_ns);
    }
}

void launch_answer(vic_engine *engine, struct launch *l)
{
    vic_endpoint *e = l->endpoint;
    const int64_t now = clock_ns();
    if (!e) return;
    pthread_mutex_lock(&engine->lock);
    if (l->n > 0) count(&e->counts, l, now); /* before the callbacks, so that who was answered is counted */
    if (l->n > 0 && l->version && l->status == VIC_OK && layout_computes(&l->layout))
        engine->launches_are_long = l->stage_ns[VIC_STAGE_COMPUTE] >= LONG_NS;
    pthread_mutex_unlock(&engine->lock);
    for (const struct query *q = l->first; q; q = q->next) {
        const vic_answer a = answer_of(l, q, now);
        q->done(q->user, &a);
    }
    pthread_mutex_lock(&engine->lock);
    for (struct query *q = l->first, *next; q; q = next) {
        next = q->next;
        queue_give_back(&engine->queue, q);
    }
    engine->running -= l->n;
    e->running -= l->n;
    if (l->version) version_release(l->version);
    if (l->computing && --engine->computing_launches == 0) engine->computing = NULL;
    if (engine->draining || e->closing) pthread_cond_broadcast(&engine->idle);
    pthread_mutex_unlock(&engine->lock);
}
