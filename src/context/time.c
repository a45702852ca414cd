/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/dtype.h"
#include "base/memory.h"
#include "context/context.h"
#include "device/memory.h"
#include "device/timing.h"

enum { MOST = 1000000 };

struct timed {
    const vic_plan *plan;
    const vic_attention_args *args;
};

static vic_status enqueue(void *context, void *stream, vic_error *err)
{
    const struct timed *t = context;
    vic_attention_args a = *t->args;
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

static vic_status time_on_cpu(const struct vic_context *c, const vic_plan *plan, const vic_attention_args *args,
                              const vic_time_options *o, double *seconds, vic_error *err)
{
    for (int i = -o->warm_up; i < o->launches; i++) {
        double start = clock_seconds();
        TRY(context_attention(c, plan, args, err));
        if (i >= 0) seconds[i] = clock_seconds() - start;
    }
    return VIC_OK;
}

/* Allocates workspace once, so that no launch has to. */
static vic_status take_workspace(struct pool *pool, const vic_plan *plan, vic_attention_args *a, vic_error *err)
{
    int64_t batch = a->items ? a->n_items : a->q.ndim == 4 ? a->q.shape[0] : 1;
    a->workspace_size = plan->kernel->workspace(plan, pool_threads(pool), batch < 1 ? 1 : batch, a->items != NULL);
    if (device_is_cpu(plan->device)) return mem_array(a->workspace_size, 1, "bytes of workspace", &a->workspace, err);
    return device_alloc(plan->device, a->workspace_size, &a->workspace, err);
}

vic_status context_time(const struct vic_context *c, const vic_plan *plan, const vic_attention_args *args,
                        const vic_time_options *o, double *seconds, vic_error *err)
{
    vic_status st;
    vic_attention_args a = *args;
    struct timed t = { plan, &a };
    struct pool *pool;
    TRY(context_enter(c, &pool, err));
    TRY(check_options(plan, o, err));
    if (!args->workspace) TRY(take_workspace(pool, plan, &a, err));
    if (device_is_cpu(plan->device))
        st = time_on_cpu(c, plan, &a, o, seconds, err);
    else
        st = device_time(plan->device, enqueue, &t, o, seconds, err);
    if (args->workspace) return st;
    if (device_is_cpu(plan->device))
        free(a.workspace);
    else
        device_free(plan->device, a.workspace);
    return st;
}
