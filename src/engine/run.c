/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "engine/engine.h"

static void *batch_item(const vic_tensor *t, int64_t index)
{
    return t->data ? (char *)t->data + index * t->stride[0] * (int64_t)vic_dtype_size(t->dtype) : NULL;
}

vic_status engine_run(struct vic_engine *e, const vic_plan *plan, const vic_attention_args *args, vic_error *err)
{
    vic_status st = VIC_OK;
    struct attention_args a;
    int64_t batch;
    void *own = NULL, *workspace = args->workspace;
    size_t needed = plan->kernel->workspace(plan, pool_threads(e->pool));
    TRY(engine_bind(plan, args, true, &a, &batch, err));
    if (!workspace) {
        TRY(mem_array(needed, 1, "bytes of workspace", &own, err));
        workspace = own;
    } else if (args->workspace_size < needed || (uintptr_t)workspace % 64 != 0) {
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "workspace: expected %zu bytes at a 64-byte boundary (vic_plan_workspace_size() with %d "
                        "threads), "
                        "got %zu at %p",
                        needed, pool_threads(e->pool), args->workspace_size, workspace);
    }
    TRY_GOTO(plan->kernel->launch(plan, &a, e->pool, workspace, err), done);
    for (int64_t b = 1; b < batch; b++) {
        a.q.data = batch_item(&args->q, b);
        a.k.data = batch_item(&args->k, b);
        a.v.data = batch_item(&args->v, b);
        a.out.data = batch_item(&args->out, b);
        a.lse.data = batch_item(&args->lse, b);
        TRY_GOTO(plan->kernel->launch(plan, &a, e->pool, workspace, err), done);
    }
done:
    free(own);
    return st;
}
