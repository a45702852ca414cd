/* SPDX-License-Identifier: Apache-2.0 */
/* The one thread that launches on the CPU, on the threads of the engine's context. */
#include "base/clock.h"
#include "base/memory.h"
#include "context/context.h"
#include "engine/engine.h"

/* Scratch of launches, kept from one to the next. */
struct scratch {
    void *memory;
    size_t size;
};

static vic_status grow(struct scratch *s, size_t size, vic_error *err)
{
    if (size <= s->size) return VIC_OK;
    free(s->memory);
    *s = (struct scratch){ 0 };
    TRY(mem_array(size, 1, "bytes of workspace", &s->memory, err));
    s->size = size;
    return VIC_OK;
}

static vic_status attend(const vic_engine *engine, struct launch *l, struct scratch *scratch)
{
    const vic_plan *plan = l->version->plan;
    vic_attention_item items[MOST_BATCH];
    vic_attention_args a;
    size_t need;
    launch_args(l, items, &a);
    TRY(vic_plan_workspace(engine->context, plan, launch_entries(l), &need, &l->error));
    TRY(grow(scratch, need, &l->error));
    a.workspace = scratch->memory;
    a.workspace_size = scratch->size;
    return context_attention(engine->context, plan, &a, &l->error);
}

static void run(vic_engine *engine, struct launch *l, struct scratch *scratch)
{
    l->status = attend(engine, l, scratch);
    l->stage_ns[VIC_STAGE_COMPUTE] = clock_ns() - l->taken;
}

/* Queries that are good alone can be in each other's way: a result that lies where another query's tensor does. */
static void run_apart(vic_engine *engine, struct launch *l, struct scratch *scratch)
{
    struct launch one;
    while (launch_split(engine, l, &one)) {
        run(engine, &one, scratch);
        launch_answer(engine, &one);
    }
}

void *worker_cpu(void *argument)
{
    struct worker *self = argument;
    vic_engine *engine = self->engine;
    struct scratch scratch = { 0 };
    struct launch l;
    int64_t until;
    pthread_mutex_lock(&engine->lock);
    while (!engine->stop) {
        bool runs = launch_take(engine, &l, &until);
        if (l.n == 0) {
            engine->sleepers++;
            engine_wait(engine, &engine->work, until);
            engine->sleepers--;
            continue;
        }
        pthread_mutex_unlock(&engine->lock);
        if (runs) run(engine, &l, &scratch);
        if (l.status == VIC_BAD_ARGUMENT && l.n > 1) run_apart(engine, &l, &scratch);
        launch_answer(engine, &l);
        pthread_mutex_lock(&engine->lock);
    }
    pthread_mutex_unlock(&engine->lock);
    free(scratch.memory);
    return NULL;
}
