/* SPDX-License-Identifier: Apache-2.0 */
/* One attention problem as kernels take it: it has been checked, strides count elements, and defaults are filled in.
 * */
#ifndef VIC_CONTRACT_ATTENTION_H
#define VIC_CONTRACT_ATTENTION_H

#include "contract/distance_bias.h"
#include "contract/pair_bias.h"
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
    int64_t batch;              /* entries */
    struct distance_bias bias;  /* [heads, points], finite or -inf (contract/distance_bias.h); table NULL = none */
    struct pair_bias pair_bias; /* contract/pair_bias.h; data NULL = none */
    /* [batch] where the tensors of each entry are; then the tensors above have the first one's addresses, and batch
     * strides of 0.  NULL = by batch strides. */
    const vic_attention_item *items;
};

/* The gradients of a loss with respect to everything that attention takes, from its gradients with respect to out and
 * lse.  Tensors have the shapes of attention_args.  For one head, query i, and pairs e = (i, j, n) with scores
 * s = scale q_i . k_j + b(d_e) + z_e, z_e the pair bias, with L_i the row's lse:
 *     p_e  = exp(s_e - L_i)                  0 where L_i is -inf: such a row has no pair with weight
 *     D_i  = dout_i . out_i - dlse_i         dlse counts as 0 where L_i is -inf
 *     ds_e = p_e (dout_i . v_j - D_i)
 *     dq_i = scale sum_j ds_e k_j,  dk_j = scale sum_i ds_e q_i,  dv_j = sum_i p_e dout_i,  dz_e = ds_e
 * dk and dv of a key head are sums over its query heads.  With x = d2 / cutoff^2 (points - 1), m and f as in
 * contract/distance_bias.h, and e = sum over heads of ds_e b'(d2):
 *     dtable[m] += ds_e (1 - f), dtable[m + 1] += ds_e f; where one end is -inf, all of ds_e goes to the other
 *     dr_i -= 2 e d_e, dr_j += 2 e d_e, dcell[a] += 2 e n_a d_e          d_e = r_j + n . cell - r_i */
struct attention_backward_args {
    struct attention_tensor q, k, v;
    struct attention_tensor out, lse;   /* what the forward pass gave */
    struct attention_tensor dout;       /* [n_q, heads, d_v] of shape.dtype; data NULL = zeros */
    struct attention_tensor dlse;       /* [n_q, heads] float; data NULL = zeros */
    struct attention_tensor dq, dk, dv; /* of shape.dtype, every element is written; data NULL = not wanted */
    const int32_t *q_rows, *k_rows;
    double scale;
    int64_t batch;
    struct distance_bias bias;  /* the table of the forward pass */
    struct pair_bias pair_bias; /* the numbers of the forward pass */
    /* [.., heads] sums of ds_e, every element is written: 0 where there is no pair.  data NULL = not wanted.  With a
     * batch_stride of 0 summed over the batch, with a head_stride of 0 over heads. */
    struct pair_bias dpair_bias;
    /* Through the distance bias, summed over the batch and written whole; NULL = not wanted. */
    float *dtable;              /* [tables, points] */
    int64_t dtable_head_stride; /* 0 = one table for all heads, whose gradient is summed over them */
    double *dq_positions;       /* [n_q, 3] by atom; where queries are keys, the sum for both roles */
    double *dk_positions;       /* [n_k, 3] by atom; NULL where queries are keys */
    double *dcell;              /* [3, 3] */
};

/* The tensors of one entry of a batch. */
static inline struct attention_tensor attention_tensor_entry(const struct attention_tensor *t, size_t element_size,
                                                             int64_t entry)
{
    struct attention_tensor one = *t;
    if (t->data) one.data = (char *)t->data + entry * t->batch_stride * (int64_t)element_size;
    return one;
}

static inline struct attention_args attention_entry(const struct attention_args *args, vic_dtype dtype, int64_t entry)
{
    const size_t element_size = dtype == VIC_F32 ? 4 : 2;
    struct attention_args one = *args;
    one.batch = 1;
    one.items = NULL;
    one.pair_bias = pair_bias_entry(&args->pair_bias, entry);
    if (args->items) {
        const vic_attention_item *item = &args->items[entry];
        one.q.data = item->q;
        one.k.data = item->k;
        one.v.data = item->v;
        one.out.data = item->out;
        one.lse.data = item->lse;
        return one;
    }
    one.q = attention_tensor_entry(&args->q, element_size, entry);
    one.k = attention_tensor_entry(&args->k, element_size, entry);
    one.v = attention_tensor_entry(&args->v, element_size, entry);
    one.out = attention_tensor_entry(&args->out, element_size, entry);
    one.lse = attention_tensor_entry(&args->lse, sizeof(float), entry);
    return one;
}

/* The tensors of one entry; what is summed over the batch stays as it is. */
static inline struct attention_backward_args attention_backward_entry(const struct attention_backward_args *args,
                                                                      vic_dtype dtype, int64_t entry)
{
    const size_t element_size = dtype == VIC_F32 ? 4 : 2;
    struct attention_backward_args one = *args;
    struct attention_tensor *const elements[] = { &one.q,    &one.k,  &one.v,  &one.out,
                                                  &one.dout, &one.dq, &one.dk, &one.dv };
    for (int t = 0; t < 8; t++) *elements[t] = attention_tensor_entry(elements[t], element_size, entry);
    one.lse = attention_tensor_entry(&args->lse, sizeof(float), entry);
    one.dlse = attention_tensor_entry(&args->dlse, sizeof(float), entry);
    one.pair_bias = pair_bias_entry(&args->pair_bias, entry);
    one.dpair_bias = pair_bias_entry(&args->dpair_bias, entry);
    one.batch = 1;
    return one;
}

#endif
