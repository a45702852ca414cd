/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of one tile: which groups of keys its strips need, gathered so that strips share them. */
#ifndef VIC_KERNELS_CUDA_SM90_PLAN_STAGES_H
#define VIC_KERNELS_CUDA_SM90_PLAN_STAGES_H

#include "base/status.h"
#include "contract/pattern.h"
#include "kernels/cuda/sm90/plan/tiles.h"

enum { MAX_PLACES = 4 };

/* A group that strips of the tile need.  A strip that sees a group under several images needs it as often; images do
 * not matter otherwise, so strips share it even when they see it under different ones. */
struct need {
    int32_t group, turn;              /* turn: under how many images the strip has seen it before */
    unsigned users;                   /* bit per strip */
    bool full;                        /* for every user */
    const uint64_t *bits[MAX_PLACES]; /* of each strip, [GROUP_KEYS] as in block_bits */
};

struct stage {
    int32_t need[STAGE_GROUPS]; /* index, or -1 */
    unsigned users;             /* who need it */
    unsigned watchers;          /* who look at it only so as not to lose sight of the ring */
    unsigned masked;            /* who of these take it with mask words */
    bool full, taken;
};

/* One tile while it is made; reused from tile to tile. */
struct tile {
    int64_t strip;     /* the first */
    int places, parts; /* as in tile_layout */
    struct need *needs;
    size_t n_needs, need_capacity;
    struct stage *stages;
    size_t n_stages, stage_capacity;
    int32_t *left; /* needs that filled no stage of their class */
    size_t n_left, left_capacity;
    size_t *cuts; /* where shares begin, and the end */
    size_t cut_capacity;
};

/* Fill t->stages for t->strip, t->places, t->parts; users are strips. */
vic_status tile_stages_make(const struct vic_pattern *p, struct tile *t, vic_error *err);

/* Deal the stages out to the places, which are the users from here on; `reach` as for tiles_make(). */
void tile_stages_deal_out(struct tile *t, int reach);
void tile_free(struct tile *t);

/* Needs it, or only keeps the ring in sight with it. */
static inline bool looks_at(const struct stage *stage, int s)
{
    return (stage->users | stage->watchers) >> s & 1;
}

/* Which strip of the pattern, counted from t->strip, place s of the tile works on. */
static inline int strip_of(const struct tile *t, int s)
{
    return s / t->parts;
}

/* The strip's own stage, which is at the front with the others' own ones; -1 = it has none. */
int64_t own_stage(const struct tile *t, int s);

#endif
