/* SPDX-License-Identifier: Apache-2.0 */
/* Runs plans: checks the tensors against the plan, lends the threads. */
#ifndef VIC_ENGINE_ENGINE_H
#define VIC_ENGINE_ENGINE_H

#include "base/threads.h"
#include "contract/kernel.h"

struct vic_engine {
    struct pool *pool;
};

/* The tensors of `args` as a kernel wants them, for batch item 0; *batch is their number.  BAD_ARGUMENT names the
 * tensor and what was expected.  Without `outputs` all are
 * expected in CPU memory, and out and lse of `args` are not looked at: what the reference needs. */
vic_status engine_bind(const vic_plan *plan, const vic_attention_args *args, bool outputs, struct attention_args *out,
                       int64_t *batch, vic_error *err);

/* Items that `args` seem to have, 1 at least: what a workspace is taken for before engine_bind() looks at them. */
int64_t engine_batch(const vic_attention_args *args);

/* Blocks until done. */
vic_status engine_run(struct vic_engine *e, const vic_plan *plan, const vic_attention_args *args, vic_error *err);

/* For plans on a GPU. */
vic_status engine_enqueue(const vic_plan *plan, const vic_attention_args *args, void *stream, vic_error *err);

/* As vic_attention_time() says. */
vic_status engine_time(struct vic_engine *e, const vic_plan *plan, const vic_attention_args *args,
                       const vic_time_options *o, double *seconds, vic_error *err);

#endif
