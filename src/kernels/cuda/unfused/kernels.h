/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels around the matrix products, as host code sees them.  All pointers are the device's.
 *
 * A call works on `items` heads of one batch item, from `head` on.  Slot (item, t) is block t of that head: its
 * scores, [size queries, size keys] float32, lie at scores + (item * count + t) * size^2; the weights that the
 * softmax makes of them, in the tensors' type, lie over the first half of the same rows; its share of the output,
 * [size, d_v] float32, at shares + (item * count + t) * size * d_v. */
#ifndef VIC_KERNELS_CUDA_UNFUSED_KERNELS_H
#define VIC_KERNELS_CUDA_UNFUSED_KERNELS_H

#include "contract/attention.h"

#include <cuda_runtime_api.h>

struct unfused_pattern {
    int size, log2_size;
    int64_t n_q, n_k, count;
    const int32_t *row_ptr;         /* [block rows + 1] */
    const int32_t *row, *column;    /* [count] */
    const int32_t *q_order;         /* [n_q] row -> row of out and lse; NULL = the same */
    int32_t last_column, last_keys; /* the column at the end of the keys has so many */
};

struct unfused_call {
    struct unfused_pattern pattern;
    struct attention_tensor q, k, v; /* rows in pattern order, whole blocks of them, at 16-byte boundaries */
    struct attention_tensor out, lse;
    int64_t batch; /* this item */
    int head, items, heads_per_kv, d_v;
    bool bf16, out_vectors; /* 4 numbers of out can be written at a time */
    const void **q_at, **k_at, **v_at;
    void **scores_at, **shares_at; /* [items * count] each: what the matrix products take */
    float *scores, *shares;
    float *inverse; /* [items, n_q] 1 / sum of a row's weights; 0 without any */
};

/* Rows of a tensor in pattern order, [batch, head, padded, d], zeros behind the n that exist. */
struct unfused_pack {
    struct attention_tensor from;
    void *to;
    const int32_t *order; /* [n] row -> row of `from`; NULL = the same */
    int64_t n, padded, batches;
    int heads, d;
    bool vectors; /* rows of `from` can be read 16 bytes at a time */
};

cudaError_t unfused_pack_rows(const struct unfused_pack *p, cudaStream_t stream);
cudaError_t unfused_set_pointers(const struct unfused_call *c, cudaStream_t stream);
/* The scores come in base 2: their weights are 2^(score - largest of the row + 15).  Writes lse. */
cudaError_t unfused_softmax(const struct unfused_call *c, int most_blocks, cudaStream_t stream);
/* A row's shares, block after block, times `inverse`: writes out. */
cudaError_t unfused_sum(const struct unfused_call *c, cudaStream_t stream);

#endif
