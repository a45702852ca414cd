/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern in the form in which warpgroups walk it: made by src/plan/tiles.c, read by the CUDA kernels.
 *
 * A tile is 2 or 4 consecutive strips; a CTA works on a tile, a warpgroup on a strip.  What any strip of the tile
 * needs is gathered once, in stages of four clusters (64 keys).  Clusters that the same strips need share stages, so
 * that a warpgroup uses a stage whole or not at all.  The CTA's stages pass through a ring in shared memory; a strip
 * has the list of stages that it takes from there. */
#ifndef VIC_CONTRACT_TILES_H
#define VIC_CONTRACT_TILES_H

#include <stdint.h>

enum {
    STAGE_CLUSTERS = 4,
    STAGE_KEYS = 64,
    STEP_WORDS = 128, /* mask words of a step: one per thread of a warpgroup */
};

/* cluster[0] carries in bits 28 .. 31 which strips of the tile take the stage.  A place without a cluster repeats the
 * first one; no mask bit is set for it. */
struct tile_stage {
    int32_t cluster[STAGE_CLUSTERS];
};
enum { STAGE_USERS_SHIFT = 28, STAGE_CLUSTER_MASK = (1 << 28) - 1 };

/* An entry of a strip's list: the stage's number in the tile, and how to take it. */
enum {
    STEP_STAGE_MASK = (1 << 24) - 1,
    STEP_MASKED = 1 << 24, /* with mask words (without: all 64 x 64 pairs are in) */
    STEP_FIRST = 1 << 25,  /* the strip's first step, always masked: it sets the rows' references */
    STEP_END = -1,         /* ends a list; one word behind it may be read */
};

struct tile_strip {
    uint32_t list;  /* first entry in tile_layout.list, which goes on to STEP_END */
    uint32_t masks; /* first step in tile_layout.masks; masked steps follow in list order */
    int32_t strip;  /* of the pattern; -1 = this place of the last tile is empty */
    int32_t steps;  /* entries of the list; 0 = no pair at all */
    int32_t stages; /* of the tile */
};

/* A CTA's work: one tile and one head.  Warpgroup w takes the strip in bits 2w, 2w + 1 of `places`. */
struct tile_item {
    int32_t tile;
    uint16_t head;
    uint16_t places;
};

struct tile_layout {
    int strips_per_tile;
    int64_t tiles, n_stages, n_entries, n_masks, steps;
    int32_t *stage_first;      /* [tiles + 1] */
    struct tile_stage *stages; /* [n_stages + 1], the last one a copy that only prefetches read */
    struct tile_strip *strips; /* [tiles * strips_per_tile] */
    uint32_t *list;            /* [n_entries + 2] */
    uint32_t (
        *masks)[STEP_WORDS]; /* [n_masks + 1] in the order of wgmma's accumulators: bit 4 j + b of thread t is row
                              * 16 (t / 32) + t % 32 / 4 + 8 (b / 2), key 8 j + 2 (t % 4) + b % 2 of the stage */
};

#endif
