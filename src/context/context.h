/* SPDX-License-Identifier: Apache-2.0 */
/* A context is where work runs: threads of the CPU, or a GPU with its stream.  Attention in a context checks the
 * tensors against the plan, finds workspace and launches the kernel. */
#ifndef VIC_CONTEXT_CONTEXT_H
#define VIC_CONTEXT_CONTEXT_H

#include "base/threads.h"
#include "contract/kernel.h"
#include "vicinal_dev.h"

struct vic_context {
    vic_context_options options;
    struct pool *pool;
    void *scratch;             /* GPU: a pool of its memory, for workspaces and plans */
    struct kept_scratch *kept; /* CPU: the workspace of one call, kept for the next */
};

vic_status context_create(const vic_context_options *options, struct vic_context **out, vic_error *err);
void context_free(struct vic_context *c);

vic_status scratch_create(struct kept_scratch **out, vic_error *err);
void scratch_free(struct kept_scratch *kept); /* NULL is fine */

/* Begins every call that works.  Sets *pool to the threads that it works on, NULL for the calling thread, and sends
 * lines of the log to the context's callback.  FAILED for a context of another process, after fork(). */
vic_status context_enter(const struct vic_context *c, struct pool **pool, vic_error *err);

/* The stream of a GPU that a call works on, and whether the call waits for it. */
struct context_stream {
    vic_device device;
    void *stream;
    bool wait;
};
/* Sets *out to the stream for work on `device`; `stream` is the one that the call names, or NULL.  BAD_ARGUMENT where
 * `c` is of another device. */
vic_status context_stream(const struct vic_context *c, vic_device device, void *stream, struct context_stream *out,
                          vic_error *err);
/* Waits for the stream if the call does. */
vic_status context_stream_end(const struct context_stream *s, vic_error *err);

/* Checks the tensors of `args` and sets *out to what kernels take.  BAD_ARGUMENT names the tensor and what was
 * expected.  Without `outputs`, which is for the reference, tensors must be in memory of the CPU, and out and lse are
 * ignored. */
vic_status context_bind(const vic_plan *plan, const vic_attention_args *args, bool outputs,
                        struct attention_args *out, vic_error *err);
/* The same of the gradients; without `outputs` also the gradients and lse are ignored. */
vic_status context_bind_backward(const vic_plan *plan, const vic_attention_backward_args *args, bool outputs,
                                 struct attention_backward_args *out, vic_error *err);
/* The same of the table of a plan with a distance bias. */
vic_status context_bind_bias(const vic_plan *plan, const vic_tensor *t, struct distance_bias *out, vic_error *err);

/* Of arguments with items: the first checks their number, and gives the tensors the addresses of the first item; the
 * second checks the addresses of all, when the tensors are known to fit.  Both return OK where there are none. */
vic_status context_take_items(vic_attention_args *args, vic_error *err);
vic_status context_check_items(const vic_attention_args *args, vic_error *err);

/* These do what vic_attention(), vic_attention_time() and vic_combine() are described to do. */
vic_status context_attention(const struct vic_context *c, const vic_plan *plan, const vic_attention_args *args,
                             vic_error *err);
/* For a plan with a plan of gradients, BAD_ARGUMENT for another. */
vic_status context_backward(const struct vic_context *c, const vic_plan *plan,
                            const vic_attention_backward_args *args, vic_error *err);
/* Either of the two is timed, and the other one NULL. */
vic_status context_time(const struct vic_context *c, const vic_plan *plan, const vic_attention_args *args,
                        const vic_attention_backward_args *backward, const vic_time_options *o, double *seconds,
                        vic_error *err);
vic_status context_combine(const struct vic_context *c, const vic_combine_args *args, vic_error *err);

#endif
