/* SPDX-License-Identifier: Apache-2.0 */
/* What the Python package adds to the library, libvicinal_python.so: patterns by number, with the plans made of them,
 * and the operators of torch and JAX, which take such a number.  Built from C alone: neither torch nor JAX is needed.
 *
 * A number is never used twice, so that one whose pattern is gone is an error and no other pattern.  Any thread may
 * call at any time.  After fork() the child goes on with contexts of its own. */
#ifndef VICINAL_GLUE_H
#define VICINAL_GLUE_H

#include "vicinal.h"

/* Takes over the pattern; a number above 0, or 0 when there is no memory (and the pattern is freed). */
VIC_API int64_t vicpy_keep(vic_pattern *p);
/* One vicpy_drop() more until it is freed. */
VIC_API vic_status vicpy_hold(int64_t number, vic_error *err);
/* Frees the pattern and its plans, once no call uses them any more and nothing else holds them. */
VIC_API void vicpy_drop(int64_t number);
/* Borrowed; NULL when there is none. */
VIC_API vic_pattern *vicpy_pattern(int64_t number);
/* vic_pattern_update(): the number stays, its plans go. */
VIC_API vic_status vicpy_update(int64_t number, const vic_points *queries, const vic_points *keys, vic_error *err);

/* The context of the process for a device, borrowed; made when first asked for. */
VIC_API vic_status vicpy_context(vic_device device, vic_context **out, vic_error *err);
/* Threads of the CPU, 0 = all that the process may use; of calls from now on. */
VIC_API vic_status vicpy_set_threads(int32_t threads, vic_error *err);

/* What the plan for these options is like, made if it is not there yet. */
VIC_API vic_status vicpy_plan_get(int64_t number, const vic_plan_options *options, vic_plan_info *out,
                                  vic_error *err);
/* vic_attention() by the plan for these tensors; made if it is not there yet, but not while a CUDA graph is captured. */
VIC_API vic_status vicpy_attention(int64_t number, const vic_attention_args *args, bool pattern_order,
                                   vic_error *err);
/* The same of vic_attention_backward(), by a plan with `backward`, which from then on is also that of vicpy_attention():
 * the one without is freed, but for one in a CUDA graph.  Who will want gradients can make it before the first call, by
 * vicpy_plan_get(), and saves the plan without. */
VIC_API vic_status vicpy_attention_backward(int64_t number, const vic_attention_backward_args *args,
                                            bool pattern_order, vic_error *err);

/* Registers the operators of torch.c with torch.  libtorch_cpu: a handle of dlopen(); libtorch_cuda: likewise or NULL.  Returns
 * NULL, or the name of what this torch lacks (static). */
VIC_API const char *vicpy_register_torch(void *libtorch_cpu, void *libtorch_cuda);

/* What JAX registers as vicinal_attention and vicinal_attention_backward: handlers of XLA's foreign function interface, of
 * the stages "instantiate" (of both) and "execute".  They return NULL, or an error that XLA frees. */
struct xla_frame;
struct xla_error;
VIC_API struct xla_error *vicpy_jax_instantiate(struct xla_frame *f);
VIC_API struct xla_error *vicpy_jax_cpu(struct xla_frame *f);
VIC_API struct xla_error *vicpy_jax_cuda(struct xla_frame *f);
VIC_API struct xla_error *vicpy_jax_backward_cpu(struct xla_frame *f);
VIC_API struct xla_error *vicpy_jax_backward_cuda(struct xla_frame *f);

/* ---- Between the files of this folder ---- */

struct planned; /* a plan in use */

/* The plan for tensors like those of `args`.  `out` is given back by plan_give(). */
vic_status plan_take(int64_t number, const vic_attention_args *args, bool pattern_order, struct planned **out,
                     vic_error *err);
vic_status plan_take_backward(int64_t number, const vic_attention_backward_args *args, bool pattern_order,
                              struct planned **out, vic_error *err);
void plan_give(struct planned *plan);
/* Bytes of scratch; runs it in the process's context. */
vic_status planned_workspace(const struct planned *plan, int64_t batch, size_t *bytes, vic_error *err);
vic_status planned_run(const struct planned *plan, const vic_attention_args *args, vic_error *err);
/* Of a batch of nothing it writes nothing, not dbias either. */
vic_status planned_run_backward(const struct planned *plan, const vic_attention_backward_args *args, vic_error *err);

/* Whether work on a stream is being recorded into a CUDA graph. */
bool stream_captured(void *stream);
/* Scratch that stays with the plan, for calls on one stream: NULL when there is none of so many bytes, or another thread
 * is enqueueing work with it.  planned_scratch_back() when all work is enqueued.  Not for calls that are captured. */
void *planned_scratch(struct planned *plan, void *stream, size_t bytes);
void planned_scratch_back(struct planned *plan);
/* Keeps `memory` as such, in place of what was kept, and takes it as planned_scratch() does; false when what is kept is
 * of another stream or in use.  `release(owner)` frees it. */
bool planned_keep_scratch(struct planned *plan, void *stream, void *memory, size_t bytes, void *owner,
                          void (*release)(void *owner));

#endif
