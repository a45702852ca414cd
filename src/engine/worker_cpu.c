/* SPDX-License-Identifier: Apache-2.0 */
/* The one thread that launches on the CPU, on the threads of the engine's context. */
#include "base/clock.h"
#include "context/context.h"
#include "engine/engine.h"

static void run(vic_engine *engine, struct launch *l)
{
    vic_attention_item items[MOST_BATCH];
    vic_attention_args a;
    launch_args(l, items, &a);
    l->status = context_attention(engine->context, l->version->plan, &a, &l->error);
    l->stage_ns[VIC_STAGE_COMPUTE] = clock_ns() - l->taken;
}

/* Queries that are good alone can be in each other's way: a result that lies where another query's tensor does. */
static void run_apart(vic_engine *engine, struct launch *l)
{
    struct launch one;
    while (launch_split(engine, l, &one)) {
        run(engine, &one);
        launch_answer(engine, &one);
    }
}

void *worker_cpu(void *argument)
{
    struct worker *self = argument;
    vic_engine *engine = self->engine;
    struct launch l;
    int64_t until;
    pthread_mutex_lock(&engine->lock);
    while (!engine->stop) {
        bool runs = launch_take(self, &l, &until);
        if (l.n == 0) {
            engine->sleepers++;
            engine_wait(engine, &engine->work, until);
            engine->sleepers--;
            continue;
        }
        pthread_mutex_unlock(&engine->lock);
        if (runs) run(engine, &l);
        if (l.status == VIC_BAD_ARGUMENT && l.n > 1) run_apart(engine, &l);
        launch_answer(engine, &l);
        pthread_mutex_lock(&engine->lock);
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}
