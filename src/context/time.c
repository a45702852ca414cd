/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/dtype.h"
#include "base/memory.h"
#include "context/context.h"
#include "device/memory.h"
#include "device/timing.h"

enum { MOST = 1000000 };

/* What is timed: one of the two. */
struct timed {
    const vic_plan *plan;
    const vic_attention_args *forward;
    const vic_attention_backward_args *backward;
};

static vic_status run(const struct vic_context *c, const struct timed *t, vic_error *err)
{
    return t->backward ? context_backward(c, t->plan, t->backward, err)
                       : context_attention(c, t->plan, t->forward, err);
}

static vic_status enqueue(void *context, void *stream, vic_error *err)
{
    const struct timed *t = context;
    if (t->backward) {
        vic_attention_backward_args a = *t->backward;
        a.stream = stream;
        return context_backward(NULL, t->plan, &a, err);
    }
    vic_attention_args a = *t->forward;
    a.stream = stream;
    return context_attention(NULL, t->plan, &a, err);
}

static vic_status check_options(const vic_plan *plan, const vic_time_options *o, vic_error *err)
{
    bool gpu = !device_is_cpu(plan->device);
    if (o->launches < 1 || o->launches > MOST || o->warm_up < 0 || o->warm_up > MOST)
        return vic_fail(err, VIC_BAD_ARGUMENT, "launches, warm_up: expected up to %d each, got %d and %d", MOST,
                        o->launches, o->warm_up);
    if (o->in_graph < 0 || o->in_graph > MOST)
        return vic_fail(err, VIC_BAD_ARGUMENT, "in_graph: expected 0 to %d, got %d", MOST, o->in_graph);
    if (!gpu && (o->in_graph > 0 || o->cold))
        return vic_fail(err, VIC_BAD_ARGUMENT, "in_graph, cold: the plan is for the CPU; these need one for a GPU");
    if (o->in_graph > 0 && o->cold)
        return vic_fail(
            err, VIC_BAD_ARGUMENT,
            "in_graph, cold: L2 cannot be cleared between the launches of a graph; choose one of the two");
    return VIC_OK;
}

static vic_status time_on_cpu(const struct vic_context *c, const struct timed *t, const vic_time_options *o,
                              double *seconds, vic_error *err)
{
    for (int i = -o->warm_up; i < o->launches; i++) {
        double start = clock_seconds();
        TRY(run(c, t, err));
        if (i >= 0) seconds[i] = clock_seconds() - start;
    }
    return VIC_OK;
}

static int64_t entries_of(const vic_tensor *q)
{
    return q->ndim == 4 && q->shape[0] > 1 ? q->shape[0] : 1;
}

static size_t bytes_needed(struct pool *pool, const struct timed *t)
{
    const vic_plan *plan = t->backward ? t->plan->backward : t->plan;
    const vic_attention_args *a = t->forward;
    const bool items = a && a->items;
    const int64_t batch = t->backward ? entries_of(&t->backward->q) : items ? a->n_items : entries_of(&a->q);
    return plan ? plan->kernel->workspace(plan, pool_threads(pool), batch < 1 ? 1 : batch, items) : 0;
}

/* Takes workspace once, so that no launch has to. */
static vic_status workspace_alloc(const vic_plan *plan, size_t size, void **out, vic_error *err)
{
    if (device_is_cpu(plan->device)) return mem_array(size, 1, "bytes of workspace", out, err);
    return device_alloc(plan->device, size, out, err);
}

static void workspace_free(const vic_plan *plan, void *memory)
{
    if (device_is_cpu(plan->device))
        free(memory);
    else
        device_free(plan->device, memory);
}

vic_status context_time(const struct vic_context *c, const vic_plan *plan, const vic_attention_args *args,
                        const vic_attention_backward_args *backward, const vic_time_options *o, double *seconds,
                        vic_error *err)
{
    vic_status st;
    vic_attention_args a = args ? *args : (vic_attention_args){ 0 };
    vic_attention_backward_args b = backward ? *backward : (vic_attention_backward_args){ 0 };
    struct timed t = { plan, args ? &a : NULL, backward ? &b : NULL };
    struct pool *pool;
    void *own = NULL;
    TRY(context_enter(c, &pool, err));
    TRY(check_options(plan, o, err));
    if (!(backward ? b.workspace : a.workspace)) {
        const size_t size = bytes_needed(pool, &t);
        TRY(workspace_alloc(plan, size, &own, err));
        a.workspace = b.workspace = own;
        a.workspace_size = b.workspace_size = size;
    }
    if (device_is_cpu(plan->device))
        st = time_on_cpu(c, &t, o, seconds, err);
    else
        st = device_time(plan->device, enqueue, &t, o, seconds, err);
    if (own) workspace_free(plan, own);
    return st;
}
