/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of the fused forward kernel; all pointers are to memory of the device.  Strides count elements. */
#ifndef VIC_KERNELS_CUDA_SM90_PARAMS_H
#define VIC_KERNELS_CUDA_SM90_PARAMS_H

#include "kernels/cuda/sm90/plan/tiles.h"
#include "vicinal.h"

#include <stdint.h>

struct CUtensorMap_st; /* cuda.h */

struct attn_fwd_tensor {
    void *data;
    int64_t row, head, batch;
};

/* A GPU may have so many CTAs at most: the largest Hopper die has 144 multiprocessors, and item_first, which has one
 * entry more, is a multiple of 16 bytes. */
enum { MOST_CTAS = 159 };

struct attn_fwd_params {
    /* the plan */
    const struct tile_stage *stages;     /* [n_stages + STAGE_OVERRUN] */
    const uint32_t *list;                /* [n_entries + LIST_OVERRUN] */
    const uint32_t *masks;               /* [n_masks, 128] */
    const struct tile_item *items;       /* [n_items] */
    const struct tile_task *tasks;       /* [n_items, warpgroups] */
    const struct tile_combine *combines; /* [n_combines] */
    uint32_t n_items, n_combines, n_partials;
    int warpgroup_splits, combine_stages; /* of tile_layout */
    int32_t item_first[MOST_CTAS + 1]; /* tile_schedule.first, as a parameter, so that a CTA need not load it first */
    /* the problem; K and V come through tensor maps {d, row, head, batch} */
    struct attn_fwd_tensor q, out, lse; /* lse.data NULL = not wanted */
    const int32_t *q_rows;              /* [n_q] pattern row -> row of q, out, lse; NULL = the same */
    int64_t n_q;
    int batch, heads_per_kv, d_qk, d_v;
    void *partials; /* in the workspace: [batch, n_partials] of partial_layout; behind them [CTAs, warpgroups] */
    bool q_words, out_words; /* rows of q, out can be read, written 4 bytes at a time */
    bool q_vectors;          /* rows of q can be read 16 bytes at a time */
    float scale_log2;        /* scale * log2(e) */
    /* Where entries of the batch are at unrelated addresses (entries.h), else NULL.  `maps` is NULL, too, where K and V
     * come through the workspace, or are none. */
    const vic_attention_item *entries; /* [batch] instead of q.data, out.data, lse.data */
    const struct CUtensorMap_st *maps; /* [batch, 2] of K, V */
};

#endif
