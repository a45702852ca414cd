/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of one tile: which octets of keys its strips need, gathered so that strips share them; and who takes
 * them. */
#ifndef VIC_KERNELS_CUDA_SM90_PLAN_STAGES_H
#define VIC_KERNELS_CUDA_SM90_PLAN_STAGES_H

#include "base/status.h"
#include "contract/pattern.h"
#include "kernels/cuda/sm90/plan/tiles.h"

/* Which bits of the pattern: half `bits % 2` of partial block `bits / 2`, or: */
enum { BITS_NONE = -1, BITS_ALL = -2 };

/* An octet that strips of the tile need.  A strip that sees an octet under several images needs it as often; images
 * do not matter otherwise, so strips share it even when they see it under different ones. */
struct need {
    int32_t octet;
    uint8_t users;            /* bit per strip */
    bool full;                /* all bits of every user */
    bool placed;              /* it is in a stage */
    int32_t bits[MAX_PLACES]; /* of each strip */
};

struct stage {
    int32_t need[STAGE_OCTETS]; /* of the piece; the first `octets` */
    uint8_t octets;
    uint8_t strips; /* which need it */
    bool full;      /* all 64 x 64 pairs, for each of them */
    /* By stages_deal_out(), bits per place: */
    uint8_t users;  /* that need it */
    uint8_t idle;   /* that take it with all bits clear (the ring's invariant: ring_place.cuh) */
    uint8_t masked; /* that take it with mask words */
};

/* The needs and stages of some tiles, one behind the other. */
struct stage_list {
    struct need *needs;
    struct stage *stages;
    size_t n_needs, n_stages, need_capacity, stage_capacity;
};
void stage_list_free(struct stage_list *list);

/* What a worker needs to make one tile; reused from tile to tile. */
struct stage_scratch {
    struct seen *seen;
    int32_t *order;
    struct stage *stages;
    size_t seen_capacity, order_capacity, stage_capacity;
};
void stage_scratch_free(struct stage_scratch *scratch);

/* Appends the stages of strips first .. first + strips - 1 to the list. */
vic_status stages_make(const struct vic_pattern *p, int64_t first, int strips, struct stage_scratch *scratch,
                       struct stage_list *list, vic_error *err);

/* Some stages of a tile that are walked in one go: all, or those of a split. */
struct stage_run {
    struct stage *stages;
    const struct need *needs;
    int64_t n;
    int64_t strip; /* the tile's first */
    int places, warpgroup_splits;
};

/* Deals the stages out to the places, and keeps the ring's invariant for `reach` (layout.h). */
void stages_deal_out(const struct stage_run *run, int reach);

static inline bool takes(const struct stage *stage, int place)
{
    return (stage->users | stage->idle) >> place & 1;
}

/* Which strip of the tile a place works on. */
static inline int strip_of(const struct stage_run *run, int place)
{
    return place / run->warpgroup_splits;
}

/* The stage that a place takes first: its strip's diagonal one, if it has it, although others may stand before it,
 * since the front of the ring is there together.  -1 = it takes none. */
int64_t first_stage(const struct stage_run *run, int place);

#endif
