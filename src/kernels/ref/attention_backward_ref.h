/* SPDX-License-Identifier: Apache-2.0 */
/* The gradients of attention in float64, pair by pair: what every kernel of gradients is compared with.  Pairs are
 * decided anew by the rules; blocks, images and wraps are not used, nor the transposed pattern. */
#ifndef VIC_KERNELS_REF_ATTENTION_BACKWARD_REF_H
#define VIC_KERNELS_REF_ATTENTION_BACKWARD_REF_H

#include "base/status.h"
#include "base/threads.h"
#include "contract/attention.h"
#include "vicinal_dev.h"

/* The gradients of one problem, in the rows of its tensors; `args` may have strides, but no batch, and what it would
 * write is not touched.  With `anew` out and lse are computed in float64, and those of `args` not looked at.  Members of
 * `out` that are NULL are not wanted; without a bias those through it are not looked at.  Cost: O(n_q n_k kv_heads);
 * memory: O((n_q + n_k) heads).  The result has the same bits for any number of threads.  BAD_INPUT for atoms more than
 * 10^9 cells apart. */
vic_status attention_backward_ref(const struct vic_pattern *pattern, const struct attention_shape *shape,
                                  const struct attention_backward_args *args, bool anew, struct pool *pool,
                                  const vic_reference_gradients *out, vic_error *err);

#endif
