/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/memory.h"
#include "device/memory.h"
#include "device/timing.h"
#include "engine/engine.h"

enum { MOST = 1000000 };

struct timed {
    const vic_plan *plan;
    const vic_attention_args *args;
};

static vic_status enqueue(void *context, void *stream, vic_error *err)
{
    const struct timed *t = context;
    return engine_enqueue(t->plan, t->args, stream, err);
}

static vic_status check_options(const struct vic_engine *e, const vic_plan *plan, const vic_time_options *o,
                                vic_error *err)
{
    if (o->launches < 1 || o->launches > MOST || o->warm_up < 0 || o->warm_up > MOST)
        return vic_fail(err, VIC_BAD_ARGUMENT, "launches, warm_up: expected 1 to %d and 0 to %d, got %d and %d", MOST,
                        MOST, o->launches, o->warm_up);
    if (o->in_graph < 0 || o->in_graph > MOST)
        return vic_fail(err, VIC_BAD_ARGUMENT, "in_graph: expected 0 to %d, got %d", MOST, o->in_graph);
    if (plan->device.kind == VIC_CPU && (o->in_graph > 0 || o->cold))
        return vic_fail(err, VIC_BAD_ARGUMENT, "in_graph, cold: the plan is for the CPU; these need one for a GPU");
    if (plan->device.kind == VIC_CPU && !e)
        return vic_fail(err, VIC_BAD_ARGUMENT, "engine is NULL: a plan for the CPU runs on an engine's threads");
    if (o->in_graph > 0 && o->cold)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "cold: the launches of a graph find L2 as the one before left it: ask for one of the two");
    return VIC_OK;
}

static vic_status time_on_cpu(struct vic_engine *e, const vic_plan *plan, const vic_attention_args *args,
                              const vic_time_options *o, double *seconds, vic_error *err)
{
    for (int i = -o->warm_up; i < o->launches; i++) {
        double start = clock_seconds();
        TRY(engine_run(e, plan, args, err));
        if (i >= 0) seconds[i] = clock_seconds() - start;
    }
    return VIC_OK;
}

/* Taken once, so that no launch pays for it. */
static vic_status take_workspace(struct vic_engine *e, const vic_plan *plan, vic_attention_args *a, vic_error *err)
{
    if (plan->device.kind == VIC_CUDA) {
        a->workspace_size = plan->kernel->workspace(plan, 0, engine_batch(a));
        return device_alloc(plan->device, a->workspace_size, &a->workspace, err);
    }
    a->workspace_size = plan->kernel->workspace(plan, pool_threads(e->pool), engine_batch(a));
    return mem_array(a->workspace_size, 1, "bytes of workspace", &a->workspace, err);
}

vic_status engine_time(struct vic_engine *e, const vic_plan *plan, const vic_attention_args *args,
                       const vic_time_options *o, double *seconds, vic_error *err)
{
    vic_status st;
    vic_attention_args a = *args;
    struct timed t = { plan, &a };
    TRY(check_options(e, plan, o, err));
    if (!args->workspace) TRY(take_workspace(e, plan, &a, err));
    if (plan->device.kind == VIC_CUDA)
        st = device_time(plan->device, enqueue, &t, o, seconds, err);
    else
        st = time_on_cpu(e, plan, &a, o, seconds, err);
    if (args->workspace) return st;
    if (plan->device.kind == VIC_CUDA)
        device_free(plan->device, a.workspace);
    else
        free(a.workspace);
    return st;
}
