/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern in the form in which warpgroups walk it: made by layout.c, read by the CUDA kernels.
 *
 * A tile is up to 4 consecutive strips; a CTA works on a tile, a warpgroup on a strip.  What any strip of the tile
 * needs is gathered once, in stages of eight groups of 8 keys (half a cluster: the rows that a wgmma operand's core
 * matrices have).  Groups that the same strips need share stages, so that a warpgroup uses a stage whole or not at
 * all.  The CTA's stages pass through a ring in shared memory; a strip has the list of stages that it takes from
 * there.
 *
 * Where a pattern has few strips they are cut: a tile is one or two strips, and the warpgroups that share one take a
 * part of its stages each; in the end the parts come together through the ring.  So a tile has a fixed number of
 * places, each for a strip or a part of one, and a warpgroup works on a place.
 *
 * Where a pattern has few tiles, long ones are split: their stages are summed up in several shares, so that several
 * CTAs can work on them.  Each leaves what it has of a strip in a slot of the workspace, and a second kernel adds it
 * up.  One CTA that does all of a tile starts anew at each share, too, and adds up in the same order: a row has the
 * same bits either way. */
#ifndef VIC_KERNELS_CUDA_SM90_PLAN_TILES_H
#define VIC_KERNELS_CUDA_SM90_PLAN_TILES_H

#include <stdint.h>

enum {
    GROUP_KEYS = 8,
    STAGE_GROUPS = 8,
    STAGE_KEYS = 64,
    STEP_WORDS = 128, /* mask words of a step: one per thread of a warpgroup */
};

/* Group g is key rows 8 g .. 8 g + 7.  group[0] carries in bits 28 .. 31 which strips of the tile look at the stage,
 * group[1] there which of these take it with mask words (without: all 64 x 64 pairs are in).  A place without a group
 * repeats the first one; no mask bit is set for it. */
struct tile_stage {
    int32_t group[STAGE_GROUPS];
};
enum { STAGE_USERS_SHIFT = 28, STAGE_GROUP_MASK = (1 << 28) - 1, STAGE_OVERRUN = 8 };

/* An entry of a strip's list: the stage's number in the tile, and which of the stage's masks is the strip's.  The
 * first entry, and the first of each share, always has one. */
enum {
    STEP_STAGE_MASK = (1 << 24) - 1,
    STEP_MASKED = 1 << 24,
    STEP_MASK_SHIFT = 25, /* 2 bits */
    STEP_END = -1,        /* ends a list; LIST_OVERRUN words behind it may be read */
    STEP_SHARE = -2,      /* ends a share, and the next follows */
    LIST_OVERRUN = 64,
};

/* A strip or part in one share of its tile. */
struct tile_strip {
    uint32_t list; /* first entry in tile_layout.list, which goes on to STEP_SHARE or STEP_END */
    int32_t strip; /* of the pattern; past its end in empty places of the last tile */
    int32_t steps; /* entries of the list; 0 only in a tile without stages */
};

/* A CTA's work: one tile, or one of its shares, and one head, as the producer sees it ... */
struct tile_item {
    int32_t stage_first, stages; /* in tile_layout.stages */
    uint32_t mask_first;         /* in tile_layout.masks */
    int32_t head;
    int32_t tile, share, shares; /* the first, how many */
    int32_t slot;                /* the first of a share's; negative = a whole tile, which takes the inboxes */
};

/* ... and as each of its warpgroups does, which takes one of the places: tasks[item * places + warpgroup]. */
struct tile_task {
    uint32_t list; /* of tile_strip */
    int32_t strip;
    int32_t stages; /* of the item */
    uint16_t head;
    uint8_t part;   /* of a cut strip: 0 gathers the others */
    uint8_t inbox;  /* the part's own (tile_layout.inboxes), or the first that it gathers */
    int32_t before; /* stages of the tile before the item's; the list counts from the tile's first */
    int32_t slot;   /* where a share is left; negative = the item is a whole tile, and its rows are stored */
    int32_t unused[2];
};

/* A strip and head whose shares are in slots: share k of its part i in slot + k * places + i. */
struct tile_join {
    int32_t strip, head, slot, shares;
};

/* CTA c works through items[first[c] .. first[c + 1]).  A plan has two schedules: the first for one entry of a batch,
 * in which tiles that come last may be worked on in shares; the second with whole tiles, for many.  Without tiles of
 * several shares there is no second. */
enum { SOME_IN_SHARES, WHOLE_TILES };
struct tile_schedule {
    int ctas;
    int64_t n_items; /* tiles * heads, or more where some are split */
    int64_t n_slots, n_joins;
    struct tile_item *items; /* [n_items] */
    struct tile_task *tasks; /* [n_items, places] */
    struct tile_join *joins; /* [n_joins] */
    int32_t *first;          /* [ctas + 1] */
};

struct tile_layout {
    int places, parts; /* of a tile; of a strip, which divides `places`: 1 = not cut */
    int inboxes;       /* parts of a tile that others gather; each lies in the ring, behind the tile's stages */
    int64_t tiles, shares, n_stages, n_entries, n_masks, steps;
    int32_t *share_first;      /* [tiles + 1] a tile's shares follow each other; most have one */
    int32_t *stage_first;      /* [shares + 1] */
    uint32_t *mask_first;      /* [shares] */
    struct tile_stage *stages; /* [n_stages + STAGE_OVERRUN]: more than there are may be read */
    struct tile_strip *strips; /* [shares * places]; the parts of a strip follow each other */
    uint32_t *list;            /* [n_entries + LIST_OVERRUN] */

    /* [n_masks], by tile, stage and strip.  In the order of wgmma's accumulators: bit 4 j + b of thread t is row
     * 16 (t / 32) + t % 32 / 4 + 8 (b / 2), key 8 j + 2 (t % 4) + b % 2 of the stage. */
    uint32_t (*masks)[STEP_WORDS];
};

#endif
