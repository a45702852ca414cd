/* SPDX-License-Identifier: Apache-2.0 */
/* Which clusters, under which images, may have a pair with a strip.  Boxes alone decide; what they let through, the
 * tests of blocks.h look at. */
#ifndef VIC_PATTERN_SEARCH_H
#define VIC_PATTERN_SEARCH_H

#include "pattern/points.h"

enum {
    TILE_STRIPS = 4, /* 256 rows: a subtree of the order, whose strips share the walk through the tree */
};

/* A block that may have pairs: in the groups of 16 query rows whose bit is set. */
struct candidate {
    int32_t cluster, image;
    uint32_t groups;
};

/* What does not change over a build. */
struct search {
    const struct points *queries, *keys;
    const struct lattice_image *images;
    int64_t n_images;
    float reach; /* with the slack for rounding */
};

/* One worker's. */
struct search_scratch {
    uint64_t *near, *merged; /* 64 keys under an image that come near the tile: see search.c; grow */
    size_t n_near, near_capacity, merged_capacity;
    size_t *runs; /* where in near[] each image's begin, and the end; grows */
    size_t n_runs, run_capacity;
    const struct box4 *groups;    /* [TILE_STRIPS] of the tile's strips, a lane per 16 rows */
    int32_t *found;               /* [strips of keys] */
    struct candidate *candidates; /* of a strip, by cluster, then image; grows */
    size_t n_candidates, candidate_capacity;
};

vic_status search_scratch_make(const struct search *s, struct search_scratch *w, vic_error *err);
void search_scratch_free(struct search_scratch *w);

/* First the tile, then each strip of it. */
vic_status search_tile(const struct search *s, struct search_scratch *w, int64_t tile, vic_error *err);
vic_status search_strip(const struct search *s, struct search_scratch *w, int strip_in_tile, vic_error *err);

#endif
