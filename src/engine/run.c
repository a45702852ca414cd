/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "device/memory.h"
#include "engine/engine.h"

int64_t engine_batch(const vic_attention_args *args)
{
    return args->q.ndim == 4 && args->q.shape[0] > 0 ? args->q.shape[0] : 1;
}

static vic_status check_workspace(const vic_attention_args *args, size_t needed, const char *how, vic_error *err)
{
    if (args->workspace_size >= needed && (needed == 0 || args->workspace) && (uintptr_t)args->workspace % 64 == 0)
        return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT, "workspace: expected %zu bytes at a 64-byte boundary (%s), got %zu at %p",
                    needed, how, args->workspace_size, args->workspace);
}

static vic_status run_on_cpu(struct vic_engine *e, const vic_plan *plan, const vic_attention_args *args,
                             vic_error *err)
{
    vic_status st;
    struct attention_args a;
    int64_t batch;
    void *own = NULL, *workspace = args->workspace;
    size_t needed;
    TRY(engine_bind(plan, args, true, &a, &batch, err));
    needed = plan->kernel->workspace(plan, pool_threads(e->pool), a.batch);
    if (!workspace) {
        TRY(mem_array(needed, 1, "bytes of workspace", &own, err));
        workspace = own;
    } else {
        TRY(check_workspace(args, needed, "vic_plan_workspace_size() for the engine's threads", err));
    }
    const struct kernel_exec exec = { .pool = e->pool, .workspace = workspace };
    st = plan->kernel->launch(plan, &a, &exec, err);
    free(own);
    return st;
}

vic_status engine_enqueue(const vic_plan *plan, const vic_attention_args *args, void *stream, vic_error *err)
{
    struct attention_args a;
    int64_t batch;
    size_t needed;
    if (plan->device.kind == VIC_CPU)
        return vic_fail(err, VIC_BAD_ARGUMENT, "the plan is for the CPU, which has no streams: use vic_attention()");
    TRY(engine_bind(plan, args, true, &a, &batch, err));
    needed = plan->kernel->workspace(plan, 0, a.batch);
    if (needed > 0)
        TRY(check_workspace(args, needed, "vic_plan_workspace_size() for this batch, in device memory", err));
    const struct kernel_exec exec = { .stream = stream, .workspace = args->workspace };
    return plan->kernel->launch(plan, &a, &exec, err);
}

static vic_status run_on_device(const vic_plan *plan, const vic_attention_args *args, vic_error *err)
{
    vic_status st = VIC_OK;
    vic_attention_args a = *args;
    void *own = NULL;
    if (!a.workspace) {
        a.workspace_size = plan->kernel->workspace(plan, 0, engine_batch(args));
        TRY(device_alloc(plan->device, a.workspace_size, &own, err));
        a.workspace = own;
    }
    TRY_GOTO(engine_enqueue(plan, &a, NULL, err), done);
    TRY_GOTO(device_synchronize(plan->device, err), done);
done:
    device_free(plan->device, own);
    return st;
}

vic_status engine_run(struct vic_engine *e, const vic_plan *plan, const vic_attention_args *args, vic_error *err)
{
    if (plan->device.kind == VIC_CUDA) return run_on_device(plan, args, err);
    if (!e) return vic_fail(err, VIC_BAD_ARGUMENT, "engine is NULL: a plan for the CPU runs on an engine's threads");
    return run_on_cpu(e, plan, args, err);
}
