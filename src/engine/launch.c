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

bool launch_take(vic_engine *engine, struct launch *l, int64_t *until)
{
    const int64_t now = clock_ns();
    const struct batch_choice choice = batch_choose(&engine->queue, now, engine->draining);
    *l = (struct launch){ .taken = now };
    *until = choice.until;
    if (choice.step == BATCH_EXPIRE) expire(engine, l, now);
    if (choice.step == BATCH_TAKE) take(engine, l, choice.lane, choice.n);
    if (choice.step != BATCH_WAIT && engine->queue.lanes) engine_wake(engine); /* another worker, for the rest */
    return choice.step == BATCH_TAKE && !(l->layout.flags & LAYOUT_NOTHING);
}

vic_attention_args launch_args(const struct launch *l)
{
    vic_attention_args a = VIC_INIT(vic_attention_args);
    a.q = l->tensor[TENSOR_Q];
    a.k = l->tensor[TENSOR_K];
    a.v = l->tensor[TENSOR_V];
    a.out = l->tensor[TENSOR_OUT];
    a.lse = l->tensor[TENSOR_LSE];
    a.bias = l->endpoint->bias;
    a.scale = l->layout.scale;
    a.zero_scale = (l->layout.flags & LAYOUT_ZERO_SCALE) != 0;
    return a;
}

static vic_answer answer_of(const struct launch *l, const struct query *q, int64_t now)
{
    vic_answer a = VIC_INIT(vic_answer);
    a.status = l->status;
    a.text = l->status == VIC_OK ? "" : l->error.text;
    a.batch = l->version && !(l->layout.flags & LAYOUT_NOTHING) ? (int32_t)l->n : 0;
    a.version = l->version ? l->version->number : 0;
    for (int s = VIC_STAGE_INPUT; s <= VIC_STAGE_OUTPUT; s++) a.time_ns[s] = (uint64_t)l->stage_ns[s];
    a.time_ns[VIC_STAGE_QUEUE] = (uint64_t)(l->taken - q->submitted);
    a.time_ns[VIC_STAGE_TOTAL] = (uint64_t)(now - q->submitted);
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
        const vic_answer a = answer_of(l, q, now);
        counts_add_times(c, a.time_ns);
    }
}

void launch_answer(vic_engine *engine, struct launch *l)
{
    vic_endpoint *e = l->endpoint;
    const int64_t now = clock_ns();
    if (l->n == 0) return;
    pthread_mutex_lock(&engine->lock);
    count(&e->counts, l, now); /* before the callbacks, so that who was answered is counted */
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
    if (engine->draining || e->closing) pthread_cond_broadcast(&engine->idle);
    pthread_mutex_unlock(&engine->lock);
}
