/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a pattern, and a walk over its blocks. */
#ifndef VIC_PATTERN_PATTERN_H
#define VIC_PATTERN_PATTERN_H

#include "base/threads.h"
#include "contract/pattern.h"

vic_pattern *pattern_retain(vic_pattern *p); /* any thread */
void pattern_release(vic_pattern *p);        /* frees with the last reference; NULL is fine */

void rule_free(struct pattern_rule *rule); /* the arrays that it owns */
/* A pattern's arrays are const to everyone but the one that makes, reuses or frees them. */
static inline void *pattern_memory(const void *memory)
{
    union {
        const void *in;
        void *out;
    } alias = { memory };
    return alias.out;
}

/* for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);) ... w.cluster, w.image, *w.bits
 * visits the blocks of a strip: the full ones run by run, then the partial ones. */
struct block_walk {
    const vic_pattern *p;
    int64_t run, run_end, in_run, partial, partial_end;
    int32_t cluster, image;
    const struct block_bits *bits;
};
struct block_walk block_walk_start(const vic_pattern *p, int64_t strip);
bool block_walk_next(struct block_walk *w);

/* Pairs of each row of a strip. */
void strip_counts(const vic_pattern *p, int64_t strip, int64_t counts[STRIP]);

/* Fill info.max_pairs and info.block128_*; the rest of the pattern is complete. */
vic_status pattern_statistics(vic_pattern *p, struct pool *pool, vic_error *err);

/* The bodies of the public calls of the same names. */
struct neighbour_arrays {
    int32_t *i, *j, *shift; /* [pairs], [pairs], [pairs, 3]; each may be NULL */
    double *distance;       /* [pairs] or NULL */
};
vic_status pattern_neighbours(const vic_pattern *p, struct pool *pool, const struct neighbour_arrays *out,
                              vic_error *err);
vic_status pattern_blocks128(const vic_pattern *p, int64_t *row_ptr, int32_t *column, uint8_t *full, vic_error *err);
vic_status pattern_blocks(const vic_pattern *p, int32_t *strip, int32_t *cluster, int32_t *pairs, vic_error *err);
void pattern_counts(const vic_pattern *p, int64_t *counts);

#endif
