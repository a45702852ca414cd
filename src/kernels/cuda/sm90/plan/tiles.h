/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern in the form in which warpgroups walk it: made by layout.c and schedule.c, read by the CUDA kernels.
 *
 *     tile     up to 4 consecutive strips, the work of a CTA; its consumer warpgroups take a strip each
 *     octet    8 consecutive key rows, half a cluster: the rows of a core matrix of a wgmma operand
 *     stage    eight octets, with mask words: 64 keys that any strip of the tile needs, gathered once for all of them
 *     ring     the shared memory that a CTA's stages pass through; it has RING slots (config.cuh), of a stage each
 *     list     the stages that one strip takes from the ring, in order
 *     step     what a warpgroup does with one stage: 64 x 64 scores, their weights, and P V
 *     item     a tile, or a split of one, for one head: the unit of work of a CTA
 *     task     what one warpgroup has to do for an item
 *
 * Octets that the same strips need are put into the same stages, so that a warpgroup uses a stage whole or not at
 * all.
 *
 * Splits.  Where a pattern has too few strips or tiles to occupy a GPU, the keys of a strip are split over several
 * workers.  Each of them has a partial result (O, maximum and sum of every row), and combining these gives the
 * strip's result:
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
 * A strip may be split over warpgroups, and its tile over CTAs as well.  A tile has a fixed number of places, one for
 * each consumer warpgroup; a place is a strip, or one of its warpgroup splits.  A split of a tile over CTAs is some
 * of its stages, consecutive ones.  What is split depends on the pattern and the head size alone, and all kinds of
 * splits are added up in the same order, so that a row has the same bits whatever the number of heads, the batch or
 * the GPU. */
#ifndef VIC_KERNELS_CUDA_SM90_PLAN_TILES_H
#define VIC_KERNELS_CUDA_SM90_PLAN_TILES_H

#include <stdint.h>

enum {
    MAX_PLACES = 4,
    OCTET = 8, /* keys */
    STAGE_OCTETS = 8,
    STAGE_KEYS = OCTET * STAGE_OCTETS,
    STEP_WORDS = 128, /* mask words of a step: one for each thread of a warpgroup */
};

/* Octet o is key rows 8 o .. 8 o + 7.  Bits 28 .. 31 of octet[0] are the places of the tile that take the stage,
 * those of octet[1] the places that take it with mask words; for the others all 64 x 64 pairs are in the pattern.
 * Where a stage has fewer than eight octets the first one is repeated, and no mask bit is set for the repetitions.
 * */
struct tile_stage {
    int32_t octet[STAGE_OCTETS];
};
enum {
    STAGE_PLACES_SHIFT = 28,
    STAGE_OCTET_MASK = (1 << STAGE_PLACES_SHIFT) - 1,
    STAGE_OVERRUN = 8, /* so many stages behind the last one may be read: producers read four at a time, four ahead */
};

/* An entry of a place's list: the stage's number in the tile, and which of the stage's masks belongs to the place.
 * The first entry of each split always has a mask. */
enum {
    STEP_STAGE_MASK = (1 << 24) - 1,
    STEP_MASKED = 1 << 24,
    STEP_MASK_SHIFT = 25, /* 2 bits */
    STEP_END = -1,        /* ends a list */
    STEP_SPLIT = -2,      /* ends a split; the list goes on with the next split */
    LIST_OVERRUN = 64,    /* so many entries behind the last one may be read: a warp reads 32 at a time, 32 ahead */
};

/* A place in one split of its tile. */
struct tile_strip {
    uint32_t list; /* the first entry of its list, which goes on to STEP_SPLIT or STEP_END */
    int32_t strip; /* number in the pattern; behind the last strip in empty places of the last tile */
    int32_t steps; /* entries of the list; 0 only in a tile without stages */
};

/* An item as the producer needs it: one head of a tile, or of one of its splits.  Splits are numbered through all
 * tiles. */
struct tile_item {
    int32_t stage_first, stages; /* the first of its stages, and how many it has */
    uint32_t mask_first;
    int32_t head;
    int32_t tile, split, splits; /* its first split, and how many it has */
    int32_t partial;             /* the first of its partial results; negative = the item is a whole tile */
};

/* A task: an item as one of its consumer warpgroups needs it.  Each of them takes one of the places:
 * tasks[item * places + warpgroup].  A task is fetched by two copies of 16 bytes. */
struct tile_task {
    uint32_t list; /* as in tile_strip */
    int32_t strip;
    int32_t stages; /* of the item */
    uint16_t head;
    uint8_t warpgroup_split; /* which split of the strip this is; split 0 combines the others */
    uint8_t
        combine_stage; /* its combine stage (tile_layout.combine_stages); of split 0, the first that it combines */
    int32_t before;    /* stages of the tile before the item's: the list counts from the tile's first */
    int32_t
        partial; /* where the split's result is stored; negative = the item is a whole tile, and rows are stored */
    int32_t unused[2];
};

/* A strip and head whose partial results are in the workspace: that of split k of the tile and warpgroup split i of
 * the strip is partial + k * places + i. */
struct tile_combine {
    int32_t strip, head, partial, splits;
};

/* CTA c works through items[first[c] .. first[c + 1]).  A plan has two schedules.  In the first, for one entry of a
 * batch, tiles that come last may be split over CTAs; in the second, for many entries, each item is a whole tile.
 * Where no tile has several splits there is no second. */
enum { SPLIT_OVER_CTAS, WHOLE_TILES, SCHEDULES };
struct tile_schedule {
    int ctas;
    int64_t n_items; /* tiles * heads, or more where some tiles are split */
    int64_t n_partials, n_combines;
    struct tile_item *items;       /* [n_items] */
    struct tile_task *tasks;       /* [n_items, places] */
    struct tile_combine *combines; /* [n_combines] */
    int32_t *first;                /* [ctas + 1] */
};

/* Where everything is in the arrays, which layout_fill() writes. */
struct tile_layout {
    int places;           /* of a tile */
    int warpgroup_splits; /* of a strip; divides `places`; 1 = strips are not split over warpgroups */
    int combine_stages;   /* of a tile: stages of the ring, behind the tile's own, through which partial results go */
    int64_t tiles, splits, n_stages, n_entries, n_masks, steps;
    int32_t *split_first;        /* [tiles + 1] a tile's splits follow each other; most tiles have one */
    int32_t *stage_first;        /* [splits + 1] */
    uint32_t *mask_first;        /* [splits] */
    struct tile_strip *strips;   /* [splits * places]; the warpgroup splits of a strip follow each other */
    struct layout_chunk *chunks; /* [n_chunks], of layout.c */
    int64_t n_chunks;
};

struct tile_arrays {
    struct tile_stage *stages; /* [n_stages + STAGE_OVERRUN] */
    uint32_t *list;            /* [n_entries + LIST_OVERRUN] */

    /* [n_masks], by tile, stage and place.  In the order of wgmma's accumulators: bit 4 j + b of thread t is row
     * 16 (t / 32) + t % 32 / 4 + 8 (b / 2), key 8 j + 2 (t % 4) + b % 2 of the stage. */
    uint32_t (*masks)[STEP_WORDS];
};

#endif
