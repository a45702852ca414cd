/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of the kernels of gradients; all pointers are to memory of the device.  Strides count elements. */
#ifndef VIC_KERNELS_CUDA_SM90_BWD_PARAMS_H
#define VIC_KERNELS_CUDA_SM90_BWD_PARAMS_H

#include "kernels/cuda/sm90/params.h"

/* The row terms of an octet of query rows.  minus_d is a core matrix of a wgmma operand: D is taken off dout . v by a
 * product with ones (attn_bwd.cuh). */
struct octet_terms {
    uint16_t minus_d[OCTET][8]; /* of each row -D, as the sum of three numbers of the tensors' type; then zeros */
    float l[OCTET];             /* the row's lse in units of log2, less the shift of its weights; inf = no weight */
};

struct attn_bwd_params {
    /* the plan of the pass, as in attn_fwd_params */
    const struct tile_stage *stages;
    const uint32_t *list;
    const uint32_t *masks;
    const struct tile_item *items;
    const struct tile_task *tasks;
    uint32_t n_items;
    int32_t item_first[MOST_CTAS + 1];
    /* the problem.  Each strip's own rows are queries in the pass over queries, keys in the pass over keys; the stages'
     * rows are of the other kind.  Both come through tensor maps {d, row, head, batch}. */
    int64_t n;                       /* rows of the pass's own kind */
    int batch, heads, heads_per_kv;  /* heads: of queries */
    const struct octet_terms *terms; /* [batch, heads, octets] of query rows */
    int64_t octets;
    /* What the pass gives: dq, and nothing; or dk and dv.  data NULL = not wanted. */
    struct attn_fwd_tensor out[2];
    int columns[2];      /* of each */
    bool words[2];       /* its rows can be written 4 bytes at a time */
    float factors[2];    /* of what was added up */
    const int32_t *rows; /* [n] pattern row -> row of `out`; NULL = the same */
    float scale_log2;    /* scale * log2(e) */
};

/* The kernel that makes the row terms. */
struct row_terms_params {
    struct attn_fwd_tensor out, dout, lse, dlse; /* dout.data, dlse.data NULL = zeros */
    const int32_t *q_rows;                       /* [n_q] pattern row -> row of these; NULL = the same */
    int64_t n_q, octets;                         /* octets 8 to a strip; rows behind the last one have no weight */
    int batch, heads, d_v;
    bool vectors; /* rows of out and dout can be read 16 bytes at a time */
    struct octet_terms *terms;
};

#endif
