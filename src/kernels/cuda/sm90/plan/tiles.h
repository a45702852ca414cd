/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern in the form in which warpgroups walk it: made by layout.c and schedule.c, read by the CUDA kernels.
 *
 * A tile is up to 4 consecutive strips; a CTA works on a tile, a warpgroup on a strip.  What any strip of the tile
 * needs is gathered once, in stages of eight octets of keys (an octet is half a cluster: the rows of a wgmma
 * operand's core matrices).  Octets that the same strips need share stages, so that a warpgroup uses a stage whole or
 * not at all. The CTA's stages pass through a ring in shared memory; a strip has the list of stages that it takes
 * from there.
 *
 * Splitting.  Where a pattern has too few strips or tiles to occupy a GPU, the keys of a strip are split over several
 * workers.  Each has a partial result (O, reference and sum of every row), and combining these gives the strip's:
 *
 *     split over           where             partial results go          combined by
 *     ------------------   ---------------   -------------------------   ------------------------------------------
 *     nothing              most patterns     -                           -
 *     the warpgroups of    few strips        through the ring, in        the warpgroup that has split 0
 *     a CTA                                  combine stages              (combine.cuh)
 *     CTAs, a CTA each     few, long tiles   to the workspace, each in   a second kernel (splits.cuh)
 *                                            a partial of its own
 *     CTAs, but one CTA    the same, where   to the workspace, in one    this CTA, at the end of each split
 *     does all of them     items are many    partial of the warpgroup    (splits.cuh)
 *
 * The first kind goes with either of the last two.  A tile has a fixed number of places, one a warpgroup, and a place
 * is a strip or one of its warpgroup splits.  The splits of a tile over CTAs are consecutive stages.  Which are split
 * depends on the pattern and the head size alone, and all kinds add up in the same order: a row has the same bits
 * whatever the number of heads, the batch or the GPU. */
#ifndef VIC_KERNELS_CUDA_SM90_PLAN_TILES_H
#define VIC_KERNELS_CUDA_SM90_PLAN_TILES_H

#include <stdint.h>

enum {
    MAX_PLACES = 4,
    OCTET = 8, /* keys */
    STAGE_OCTETS = 8,
    STAGE_KEYS = OCTET * STAGE_OCTETS,
    STEP_WORDS = 128, /* mask words of a step: one per thread of a warpgroup */
};

/* Octet o is key rows 8 o .. 8 o + 7.  octet[0] carries in bits 28 .. 31 which places of the tile take the stage,
 * octet[1] there which of these take it with mask words (without: all 64 x 64 pairs are in).  Where a stage has fewer
 * than eight octets the first one stands in the rest; no mask bit is set for it. */
struct tile_stage {
    int32_t octet[STAGE_OCTETS];
};
enum {
    STAGE_PLACES_SHIFT = 28,
    STAGE_OCTET_MASK = (1 << STAGE_PLACES_SHIFT) - 1,
    STAGE_OVERRUN = 8, /* stages behind the last one that may be read: producers read four at a time, one set ahead */
};

/* An entry of a place's list: the stage's number in the tile, and which of the stage's masks is the place's.  The
 * first entry, and the first of each split, always has one. */
enum {
    STEP_STAGE_MASK = (1 << 24) - 1,
    STEP_MASKED = 1 << 24,
    STEP_MASK_SHIFT = 25, /* 2 bits */
    STEP_END = -1,        /* ends a list */
    STEP_SPLIT = -2,      /* ends a split, and the next follows */
    LIST_OVERRUN = 64,    /* entries behind the last one that may be read: a warp reads 32 at a time, one set ahead */
};

/* A place in one split of its tile. */
struct tile_strip {
    uint32_t list; /* first entry of the list, which goes on to STEP_SPLIT or STEP_END */
    int32_t strip; /* of the pattern; past its end in empty places of the last tile */
    int32_t steps; /* entries of the list; 0 only in a tile without stages */
};

/* A CTA's work: one tile, or one of its splits, and one head, as the producer sees it ... */
struct tile_item {
    int32_t stage_first, stages;
    uint32_t mask_first;
    int32_t head;
    int32_t tile, split, splits; /* the first of the layout's, how many */
    int32_t partial;             /* the first of a split's; negative = a whole tile */
};

/* ... and as each of its warpgroups does, which takes one of the places: tasks[item * places + warpgroup].  A record
 * is fetched by two copies of 16 bytes. */
struct tile_task {
    uint32_t list; /* of tile_strip */
    int32_t strip;
    int32_t stages; /* of the item */
    uint16_t head;
    uint8_t warpgroup_split; /* of the strip: 0 combines the others */
    uint8_t combine_stage;   /* its own (tile_layout.combine_stages), or the first that it combines */
    int32_t before;          /* stages of the tile before the item's; the list counts from the tile's first */
    int32_t partial; /* where a split's result is left; negative = the item is a whole tile, and rows are stored */
    int32_t unused[2];
};

/* A strip and head whose splits are in the workspace: split k, of warpgroup split i, in partial + k * places + i. */
struct tile_combine {
    int32_t strip, head, partial, splits;
};

/* CTA c works through items[first[c] .. first[c + 1]).  A plan has two schedules: the first for one entry of a batch,
 * in which tiles that come last may be split over CTAs; the second with whole tiles, for many.  Where no tile has
 * several splits there is no second. */
enum { SPLIT_OVER_CTAS, WHOLE_TILES, SCHEDULES };
struct tile_schedule {
    int ctas;
    int64_t n_items; /* tiles * heads, or more where some are split */
    int64_t n_partials, n_combines;
    struct tile_item *items;       /* [n_items] */
    struct tile_task *tasks;       /* [n_items, places] */
    struct tile_combine *combines; /* [n_combines] */
    int32_t *first;                /* [ctas + 1] */
};

/* Where everything is; the arrays themselves are written by layout_fill(). */
struct tile_layout {
    int places;           /* of a tile */
    int warpgroup_splits; /* of a strip, which divides `places`: 1 = not split over warpgroups */
    int combine_stages;   /* of a tile; they lie in the ring behind the tile's stages */
    int64_t tiles, splits, n_stages, n_entries, n_masks, steps;
    int32_t *split_first;      /* [tiles + 1] a tile's splits follow each other; most have one */
    int32_t *stage_first;      /* [splits + 1] */
    uint32_t *mask_first;      /* [splits] */
    struct tile_strip *strips; /* [splits * places]; the warpgroup splits of a strip follow each other */
    struct layout_piece *pieces;
    int64_t n_pieces;
};

struct tile_arrays {
    struct tile_stage *stages; /* [n_stages + STAGE_OVERRUN] */
    uint32_t *list;            /* [n_entries + LIST_OVERRUN] */

    /* [n_masks], by tile, stage and place.  In the order of wgmma's accumulators: bit 4 j + b of thread t is row
     * 16 (t / 32) + t % 32 / 4 + 8 (b / 2), key 8 j + 2 (t % 4) + b % 2 of the stage. */
    uint32_t (*masks)[STEP_WORDS];
};

#endif
