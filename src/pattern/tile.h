/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of a cutoff, strip by strip: search, filter, rule. */
#ifndef VIC_PATTERN_TILE_H
#define VIC_PATTERN_TILE_H

#include "pattern/assemble.h"
#include "pattern/blocks.h"
#include "pattern/self_pairs.h"

/* What a worker owns. */
struct tile_scratch {
    struct search_scratch search;
    int64_t tile; /* that `search` has looked around; -1 = none */
    struct strip_rows rows;
    struct block_bits *reached; /* [candidates of a strip], grows */
    struct filtered *filtered;
    size_t reached_capacity, filtered_capacity;
};

struct tile_source {
    struct lattice_image *images;
    struct search search;
    struct block_test test;
    struct self_pairs self; /* where self pairs go by ids; else without slots */
    int workers;
    struct tile_scratch *scratch; /* [workers] */
};

/* For the pattern `p`, whose sizes, cutoff and points are there; p->images and n_images follow.  tile_source_free()
 * also after a failure. */
vic_status tile_source_make(vic_pattern *p, const struct placed *placed, int workers, struct tile_source *out,
                            vic_error *err);
void tile_source_free(struct tile_source *t);

/* A strip_source. */
vic_status tile_source_strip(void *source, int64_t strip, int worker, struct block_list *out, vic_error *err);

#endif
