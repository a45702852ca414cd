/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels around the matrix products, for host code.  All pointers are to memory of the device.
 *
 * A call works on `heads` heads of one batch entry, from `head` on.  Product (h, t) is block t of head h of these.
 * Its scores, [size queries, size keys] float32, lie at scores + (h * count + t) * size^2.  The weights that the
 * softmax makes of them, in the tensors' type, lie over the first half of the same rows.  Its partial output, [size,
 * d_v] float32, lies at partials + (h * count + t) * size * d_v. */
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
    int32_t last_column, last_keys; /* the last block column has only `last_keys` keys */
};

struct unfused_call {
    struct unfused_pattern pattern;
    struct attention_tensor q, k, v; /* rows in pattern order, whole blocks of them, at 16-byte boundaries */
    struct attention_tensor out, lse;
    int64_t batch; /* number of the entry */
    int head, heads, heads_per_kv, d_v;
    bool bf16, out_vectors;            /* 4 numbers of out can be written at a time */
    const void **q_at, **k_at, **v_at; /* [heads * count] each: addresses for the matrix products */
    void **scores_at, **partials_at;   /* the same */
    float *scores, *partials;
    float *inverse; /* [heads, n_q] 1 / sum of a row's weights; 0 without any */
};

/* Copies rows of a tensor to pattern order, [batch, head, padded, d], with zeros behind the n that exist. */
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
/* Turns scores, which are in base 2, into weights 2^(score - largest of the row + 15), and writes lse and `inverse`.
 * */
cudaError_t unfused_softmax(const struct unfused_call *c, int most_blocks, cudaStream_t stream);
/* Adds up a row's partial outputs, block after block, and writes the sum times `inverse` to out. */
cudaError_t unfused_sum(const struct unfused_call *c, cudaStream_t stream);

#endif
