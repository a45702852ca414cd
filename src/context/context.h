/* SPDX-License-Identifier: Apache-2.0 */
/* Where work runs: threads of the CPU, or a GPU with its stream; and attention on it: the tensors checked against the
 * plan, workspace found, the kernel launched. */
#ifndef VIC_CONTEXT_CONTEXT_H
#define VIC_CONTEXT_CONTEXT_H

#include "base/threads.h"
#include "contract/kernel.h"
#include "vicinal_dev.h"

struct vic_context {
    vic_context_options options;
    struct pool *pool;
    void *scratch; /* GPU: a pool of its memory, for workspaces */
};

vic_status context_create(const vic_context_options *options, struct vic_context **out, vic_error *err);
void context_free(struct vic_context *c);

/* At the start of every call that works: *pool is where, and lines of the log go to the context's callback.  NULL is
 * the calling thread.  FAILED for a context of another process (after fork()). */
vic_status context_enter(const struct vic_context *c, struct pool **pool, vic_error *err);

/* On which stream of a GPU a call works, and whether it waits for it. */
struct context_stream {
    vic_device device;
    void *stream;
    bool wait;
};
/* BAD_ARGUMENT where `c` is of another device than `device`; `stream` is what the call names, or NULL. */
vic_status context_stream(const struct vic_context *c, vic_device device, void *stream, struct context_stream *out,
                          vic_error *err);
/* Waits if the call does. */
vic_status context_stream_end(const struct context_stream *s, vic_error *err);

/* The tensors of `args` as a kernel wants them.  BAD_ARGUMENT names the tensor and what was expected.  Without
 * `outputs` all are expected in memory of the CPU, and out and lse of `args` are ignored: what the reference needs. */
vic_status context_bind(const vic_plan *plan, const vic_attention_args *args, bool outputs,
                        struct attention_args *out, vic_error *err);

/* As vic_attention() and vic_attention_time() say. */
vic_status context_attention(const struct vic_context *c, const vic_plan *plan, const vic_attention_args *args,
                             vic_error *err);
vic_status context_time(const struct vic_context *c, const vic_plan *plan, const vic_attention_args *args,
                        const vic_time_options *o, double *seconds, vic_error *err);

/* As vic_combine() says. */
vic_status context_combine(const struct vic_context *c, const vic_combine_args *args, vic_error *err);

#endif
