/* SPDX-License-Identifier: Apache-2.0 */
/* One attention problem as a kernel gets it: checked, strides in elements, nothing optional left to guess. */
#ifndef VIC_CONTRACT_ATTENTION_H
#define VIC_CONTRACT_ATTENTION_H

#include "contract/pattern.h"

struct attention_shape {
    vic_dtype dtype; /* of q, k, v, out */
    int heads;       /* query heads */
    int kv_heads;    /* divides heads: query head h reads key head h / (heads / kv_heads) */
    int d_qk, d_v;   /* 8 to 128 in steps of 8 */
};

/* Element (batch, row, head, c) is at data + batch * batch_stride + row * row_stride + head * head_stride + c. */
struct attention_tensor {
    void *data;
    int64_t row_stride, head_stride, batch_stride;
};

struct attention_args {
    struct attention_tensor q;   /* [n_q, heads, d_qk] of shape.dtype, read only */
    struct attention_tensor k;   /* [n_k, kv_heads, d_qk] */
    struct attention_tensor v;   /* [n_k, kv_heads, d_v] */
    struct attention_tensor out; /* [n_q, heads, d_v] of shape.dtype, every element is written */
    struct attention_tensor lse; /* [n_q, heads] float; data NULL = not wanted */
    const int32_t *q_rows;       /* [n_q] pattern row -> row of q, out, lse; NULL = the same */
    const int32_t *k_rows;       /* [n_k] pattern row -> row of k, v; NULL = the same */
    double scale;
    int64_t batch;     /* items; rows that work on the CPU get them one by one */
    vic_radial radial; /* [heads, points], finite or -inf (contract/radial.h); table NULL = none */
};

#endif
