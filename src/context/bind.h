/* SPDX-License-Identifier: Apache-2.0 */
/* What binding the arguments of attention and of its gradients have in common. */
#ifndef VIC_CONTEXT_BIND_H
#define VIC_CONTEXT_BIND_H

#include "context/context.h"

struct named_tensor {
    const char *name;
    const vic_tensor *tensor;
};

/* Checks a tensor against the shape [batch,] expected[0] x ..., and sets *out to its address and strides.  With three
 * dimensions the last is the head's components, and must be contiguous.  *batch: -1 for the first tensor of a call, and
 * then what that had, 0 = no batch dimension. */
vic_status bind_tensor(const vic_tensor *t, const char *name, vic_device device, vic_dtype dtype, int dims,
                       const int64_t *expected, int64_t *batch, struct attention_tensor *out, vic_error *err);
/* Checks that no two elements of a tensor that is written lie in one place. */
vic_status bind_written(const vic_tensor *t, const char *name, vic_error *err);
/* Checks that a tensor that is written has no byte in common with `n` others. */
vic_status bind_apart(const struct named_tensor *written, const struct named_tensor *others, int n, vic_error *err);
/* Checks a pair bias, or its gradient, against the plan's layout; `batch` as the other tensors have it. */
vic_status bind_pair_bias(const vic_plan *plan, const vic_tensor *t, const char *name, int64_t batch,
                          struct pair_bias *out, vic_error *err);
vic_status bind_scale(const vic_plan *plan, double scale, bool zero_scale, double *out, vic_error *err);

/* The tensors of the arguments, those that are read first; tensors that are none have no data. */
enum { ATTENTION_TENSORS = 7, BACKWARD_TENSORS = 17 };
/* A pair bias that is written, without the dimensions in which its elements are sums. */
vic_tensor bind_without_sums(const vic_tensor *t, const struct pair_bias *bound);
void attention_tensors(const vic_attention_args *a, struct named_tensor out[ATTENTION_TENSORS]);
void backward_tensors(const vic_attention_backward_args *a, struct named_tensor out[BACKWARD_TENSORS]);

#endif
