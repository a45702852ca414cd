/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dtype.h"
#include "base/memory.h"
#include "base/overlap.h"
#include "base/sizes.h"
#include "context/bind.h"
#include "device/memory.h"

#include <stdatomic.h>

/* The scratch of one call: the caller's, what the context has kept, or memory that is allocated and freed in the order
 * of the stream. */
struct workspace {
    void *memory;
    bool own;
};

/* Memory of the CPU that one call leaves to the next, because malloc() gives pages back that are freed at its end, and
 * taking them again takes as long as attention between a few atoms.  Whoever exchanges the pointer owns the memory. */
struct kept_scratch {
    _Atomic(struct kept_block *) block;
};
struct kept_block {
    size_t size; /* of the memory that begins at the next multiple of 64 bytes */
};
enum { BLOCK_HEAD = 64 };

vic_status scratch_create(struct kept_scratch **out, vic_error *err)
{
    return mem_array_zero(1, sizeof **out, "context", out, err);
}

void scratch_free(struct kept_scratch *kept)
{
    if (kept) free(atomic_load(&kept->block));
    free(kept);
}

static vic_status scratch_take(const struct vic_context *c, size_t needed, struct workspace *out, vic_error *err)
{
    struct kept_block *block = c && c->kept ? atomic_exchange(&c->kept->block, NULL) : NULL;
    if (!block || block->size < needed) {
        free(block);
        TRY(mem_array(size_plus(needed, BLOCK_HEAD), 1, "bytes of workspace", &block, err));
        block->size = needed;
    }
    out->memory = (char *)block + BLOCK_HEAD;
    return VIC_OK;
}

static void scratch_give(const struct vic_context *c, void *memory)
{
    struct kept_block *block = (void *)((char *)memory - BLOCK_HEAD);
    if (c && c->kept) block = atomic_exchange(&c->kept->block, block);
    free(block);
}

/* What a call brings for scratch. */
struct given {
    void *memory;
    size_t size;
};

static vic_status check_workspace(const struct given *given, size_t needed, vic_error *err)
{
    if (given->size >= needed && (uintptr_t)given->memory % 64 == 0) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT,
                    "workspace: expected %zu bytes at a 64-byte boundary (vic_plan_workspace() for this context and "
                    "batch, in memory of the plan's device), got %zu at %p",
                    needed, given->size, given->memory);
}

/* Scratch may not lie over a tensor. */
static vic_status check_scratch_apart(const struct given *given, const struct named_tensor *tensors, int n,
                                      vic_error *err)
{
    const int64_t most = INT64_MAX / 16; /* no tensor reaches further (size_tensor_fits) */
    const vic_tensor scratch = { .data = given->memory,
                                 .dtype = VIC_U8,
                                 .ndim = 1,
                                 .shape = { given->size < (size_t)most ? (int64_t)given->size : most },
                                 .stride = { 1 } };
    for (int i = 0; i < n; i++)
        if (tensors_overlap(&scratch, tensors[i].tensor))
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "workspace overlaps tensor %s in memory: give it memory of its own", tensors[i].name);
    return VIC_OK;
}

static vic_status check_attention_scratch(const vic_attention_args *args, size_t needed, vic_error *err)
{
    const struct given given = { args->workspace, args->workspace_size };
    vic_attention_args a = *args;
    struct named_tensor tensors[ATTENTION_TENSORS];
    if (!given.memory) return VIC_OK;
    TRY(check_workspace(&given, needed, err));
    attention_tensors(&a, tensors);
    if (!a.items) return check_scratch_apart(&given, tensors, ATTENTION_TENSORS, err);
    for (int64_t i = 0; i < args->n_items; i++) {
        a.q.data = args->items[i].q;
        a.k.data = args->items[i].k;
        a.v.data = args->items[i].v;
        a.out.data = args->items[i].out;
        a.lse.data = args->items[i].lse;
        TRY(check_scratch_apart(&given, tensors, ATTENTION_TENSORS, err));
    }
    return VIC_OK;
}

static vic_status check_backward_scratch(const vic_attention_backward_args *args, size_t needed, vic_error *err)
{
    const struct given given = { args->workspace, args->workspace_size };
    struct named_tensor tensors[BACKWARD_TENSORS];
    if (!given.memory) return VIC_OK;
    TRY(check_workspace(&given, needed, err));
    backward_tensors(args, tensors);
    return check_scratch_apart(&given, tensors, BACKWARD_TENSORS, err);
}

/* `given`: the caller's, which has been checked; NULL = none. */
static vic_status workspace_take(const struct vic_context *c, const struct context_stream *s, void *given,
                                 size_t needed, struct workspace *out, vic_error *err)
{
    *out = (struct workspace){ given, !given };
    if (given || needed == 0) return VIC_OK;
    if (device_is_cpu(s->device)) return scratch_take(c, needed, out, err);
    if (!c || !c->options.allocate)
        return device_alloc_on(s->device, c ? c->scratch : NULL, needed, s->stream, &out->memory, err);
    out->memory = c->options.allocate(c->options.user, needed, s->stream);
    if (out->memory) return VIC_OK;
    return vic_fail(err, VIC_NO_MEMORY, "workspace: the context's allocate() gave no memory for %zu bytes", needed);
}

static void workspace_give(const struct vic_context *c, const struct context_stream *s, struct workspace *w)
{
    if (!w->own || !w->memory) return;
    if (device_is_cpu(s->device))
        scratch_give(c, w->memory);
    else if (!c || !c->options.allocate)
        device_free_on(s->device, w->memory, s->stream);
    else
        c->options.release(c->options.user, w->memory, s->stream);
}

/* Sets *out to the stream for a plan; a plan for the CPU needs none, and runs on the threads of any context. */
static vic_status stream_of(const struct vic_context *c, const vic_plan *plan, void *stream,
                            struct context_stream *out, vic_error *err)
{
    *out = (struct context_stream){ .device = plan->device };
    if (!device_is_cpu(plan->device)) return context_stream(c, plan->device, stream, out, err);
    if (!stream) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT, "stream: the plan is for the CPU, which has none: leave it NULL");
}

/* Kernels that take no items get one after the other. */
static vic_status launch(const vic_plan *plan, const struct attention_args *a, bool one_by_one,
                         const struct kernel_exec *exec, vic_error *err)
{
    if (!one_by_one) return plan->kernel->launch(plan, a, exec, err);
    for (int64_t i = 0; i < a->batch; i++) {
        const struct attention_args one = attention_entry(a, plan->shape.dtype, i);
        TRY(plan->kernel->launch(plan, &one, exec, err));
    }
    return VIC_OK;
}

vic_status context_attention(const struct vic_context *c, const vic_plan *plan, const vic_attention_args *args,
                             vic_error *err)
{
    vic_status st = VIC_OK;
    struct kernel_exec exec = { 0 };
    struct context_stream s;
    struct attention_args a;
    struct workspace w = { 0 };
    TRY(context_enter(c, &exec.pool, err));
    TRY(stream_of(c, plan, args->stream, &s, err));
    TRY(context_bind(plan, args, true, &a, err));
    const bool one_by_one = a.items && !(plan->kernel->features & FEATURE_ITEMS);
    size_t needed =
        plan->kernel->workspace(plan, pool_threads(exec.pool), one_by_one ? 1 : a.batch, a.items && !one_by_one);
    TRY(check_attention_scratch(args, needed, err));
    TRY_GOTO(workspace_take(c, &s, args->workspace, needed, &w, err), done);
    exec.stream = s.stream;
    exec.workspace = w.memory;
    TRY_GOTO(launch(plan, &a, one_by_one, &exec, err), done);
    TRY_GOTO(context_stream_end(&s, err), done);
done:
    workspace_give(c, &s, &w);
    return st;
}

vic_status context_backward(const struct vic_context *c, const vic_plan *plan,
                            const vic_attention_backward_args *args, vic_error *err)
{
    vic_status st = VIC_OK;
    const vic_plan *backward = plan->backward;
    struct kernel_exec exec = { 0 };
    struct context_stream s;
    struct attention_backward_args a;
    struct workspace w = { 0 };
    TRY(context_enter(c, &exec.pool, err));
    if (!backward)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "the plan was made without gradients: set `backward` in vic_plan_options");
    TRY(stream_of(c, backward, args->stream, &s, err));
    TRY(context_bind_backward(backward, args, true, &a, err));
    size_t needed = backward->kernel->workspace(backward, pool_threads(exec.pool), a.batch, false);
    TRY(check_backward_scratch(args, needed, err));
    TRY_GOTO(workspace_take(c, &s, args->workspace, needed, &w, err), done);
    exec.stream = s.stream;
    exec.workspace = w.memory;
    TRY_GOTO(backward->kernel->launch_backward(backward, &a, &exec, err), done);
    TRY_GOTO(context_stream_end(&s, err), done);
done:
    workspace_give(c, &s, &w);
    return st;
}
