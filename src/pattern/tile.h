/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of a tile of 256 query rows: search, filter, rule, statistics, one strip after the other. */
#ifndef VIC_PATTERN_TILE_H
#define VIC_PATTERN_TILE_H

#include "pattern/blocks.h"
#include "pattern/statistics.h"

/* What all tiles share. */
struct tile_frame {
    struct lattice_image *images;
    struct search search;
    struct block_test test;
};

/* For the pattern `p`, whose sizes, cutoff and points are there; p->images and n_images follow.  tile_frame_free()
 * also after a failure. */
vic_status tile_frame_make(vic_pattern *p, const struct lattice *lattice, const struct points *queries,
                           const struct points *keys, struct tile_frame *out, vic_error *err);
void tile_frame_free(struct tile_frame *f);

/* Tiles built at a time: enough that threads end a wave together, few enough that what they find stays in the cache.
 */
int64_t tiles_of_wave(int64_t tiles, int workers);

/* What was found for the strips of a tile, in order. */
struct tile_found {
    size_t n_partial, cluster_capacity, image_capacity, bits_capacity;
    int32_t *cluster, *image;
    struct block_bits *bits;
    size_t n_runs, run_capacity;
    struct full_run *runs;
    int64_t partial_count[TILE_STRIPS], run_count[TILE_STRIPS];
    int64_t partial_first, run_first; /* where they go in the pattern */
    int64_t pairs, boundary, full;
    size_t most_room; /* blocks that there had to be room for at once */
    vic_status status;
    vic_error error;
};

/* What a worker owns. */
struct tile_scratch {
    struct search_scratch search;
    struct strip_rows rows;
    struct block_bits *reached; /* [candidates of a strip], grows */
    struct filtered *filtered;
    uint16_t *pairs; /* of the strip's partial blocks */
    size_t reached_capacity, filtered_capacity, pairs_capacity;
    struct big_row big_row;
    struct pattern_summary summary;
};

vic_status tile_scratch_make(const struct tile_frame *f, struct tile_scratch *s, vic_error *err);
void tile_scratch_free(struct tile_scratch *s); /* also after a failure */

/* Finds all blocks of a tile into *found, whose arrays are used again. */
vic_status tile_build(const struct tile_frame *f, int64_t tile, struct tile_scratch *s, struct tile_found *found,
                      vic_error *err);
/* Those of one strip alone; what the scratch then has of statistics says nothing. */
vic_status tile_build_strip(const struct tile_frame *f, int64_t strip, struct tile_scratch *s,
                            struct tile_found *found, vic_error *err);
void tile_found_free(struct tile_found *found);

#endif
