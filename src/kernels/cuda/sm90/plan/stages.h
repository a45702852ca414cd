/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of one tile: which octets of keys its strips need, how these are put together so that strips share
 * stages, and which places take each stage. */
#ifndef VIC_KERNELS_CUDA_SM90_PLAN_STAGES_H
#define VIC_KERNELS_CUDA_SM90_PLAN_STAGES_H

#include "base/status.h"
#include "contract/pattern.h"
#include "kernels/cuda/sm90/plan/tiles.h"

/* Which bits of the pattern a strip has in an octet: half `bits % 2` of partial block `bits / 2`, or one of these. */
enum { BITS_NONE = -1, BITS_ALL = -2 };

/* An octet that strips of the tile need.  A strip that has an octet under several images needs it as often.
 * Otherwise images do not matter: strips share an octet even when they have it under different images. */
struct need {
    int32_t octet;
    uint8_t users; /* a bit for each strip that needs it */
    bool full;     /* every user has all bits of it */
    bool in_stage;
    int32_t bits[MAX_PLACES]; /* by strip */
};

struct stage {
    int32_t need[STAGE_OCTETS]; /* the first `octets` are indices into stage_list.needs */
    uint8_t octets;
    uint8_t strips; /* a bit for each strip that needs it */
    bool full;      /* each of these strips has all 64 x 64 pairs */
    /* A bit for each place, set by stages_assign(): */
    uint8_t users;  /* places that need the stage */
    uint8_t idle;   /* places that take it with all mask bits clear, to keep the ring's invariant (ring.cuh) */
    uint8_t masked; /* places that take it with mask words */
};

/* The needs and stages of some tiles, one tile behind the other. */
struct stage_list {
    struct need *needs;
    struct stage *stages;
    size_t n_needs, n_stages, need_capacity, stage_capacity;
};
void stage_list_free(struct stage_list *list);

/* Scratch with which a worker makes one tile; reused from tile to tile. */
struct stage_scratch {
    struct strip_octet *octets;
    int32_t *order;
    struct stage *stages;
    size_t octet_capacity, order_capacity, stage_capacity;
};
void stage_scratch_free(struct stage_scratch *scratch);

/* Appends the stages of strips first .. first + strips - 1 to the list. */
vic_status stages_make(const struct vic_pattern *p, int64_t first, int strips, struct stage_scratch *scratch,
                       struct stage_list *list, vic_error *err);

/* Stages of a tile that follow each other: all, or those of a split. */
struct stage_run {
    struct stage *stages;
    const struct need *needs;
    int64_t n;
    int64_t strip; /* the tile's first */
    int places, warpgroup_splits;
};

/* Assigns the stages to the places, and keeps the ring's invariant for `reach` (layout.h). */
void stages_assign(const struct stage_run *run, int reach);

static inline bool takes(const struct stage *stage, int place)
{
    return (stage->users | stage->idle) >> place & 1;
}

/* Which strip of the tile a place works on. */
static inline int strip_of(const struct stage_run *run, int place)
{
    return place / run->warpgroup_splits;
}

/* Returns the stage that a place takes first; -1 = it takes none.  This is its strip's diagonal stage, if the place
 * takes that, even when it takes others that come before it: the first stages of a tile fit into the ring together.
 * */
int64_t first_stage(const struct stage_run *run, int place);

#endif
