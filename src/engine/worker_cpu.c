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

static vic_status run(vic_engine *engine, struct launch *l, struct scratch *scratch)
{
    const vic_plan *plan = l->version->plan;
    vic_attention_args a = launch_args(l);
    size_t need = plan->kernel->workspace(plan, engine->options.threads, 1);
    TRY(grow(scratch, need, &l->error));
    a.workspace = scratch->memory;
    a.workspace_size = scratch->size;
    for (const struct query *q = l->first; q; q = q->next) {
        void *const *data = q->data;
        a.q.data = data[TENSOR_Q];
        a.k.data = data[TENSOR_K];
        a.v.data = data[TENSOR_V];
        a.out.data = data[TENSOR_OUT];
        a.lse.data = data[TENSOR_LSE];
        TRY(context_attention(engine->context, plan, &a, &l->error));
    }
    return VIC_OK;
}

void *worker_cpu(void *argument)
{
    struct worker *self = argument;
    vic_engine *engine = self->engine;
    struct launch l;
    struct scratch scratch = { 0 };
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
        if (runs) {
            l.status = run(engine, &l, &scratch);
            l.stage_ns[VIC_STAGE_COMPUTE] = clock_ns() - l.taken;
        }
        launch_answer(engine, &l);
        pthread_mutex_lock(&engine->lock);
    }
    pthread_mutex_unlock(&engine->lock);
    free(scratch.memory);
    return NULL;
}
