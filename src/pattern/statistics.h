/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of a pattern, strip by strip: while it is built and its blocks are in the cache, or afterwards. */
#ifndef VIC_PATTERN_STATISTICS_H
#define VIC_PATTERN_STATISTICS_H

#include "base/threads.h"
#include "contract/pattern.h"

enum { STRIPS_PER_BIG = 128 / STRIP };

/* The blocks of one strip, as the contract orders them. */
struct strip_blocks {
    int64_t partials;
    const int32_t *cluster;        /* [partials] */
    const struct block_bits *bits; /* [partials] */
    const uint16_t *pairs;         /* [partials] of each; NULL = not known */
    int64_t runs;
    const struct full_run *run; /* [runs] */
};

/* One worker's sums of the fullest row and of the 128 x 128 blocks. */
struct strip_counter {
    int64_t max_pairs, big, full_big;
    /* Pairs of one row of 128 x 128 blocks, by block column.  Images of one (strip, cluster) are united, so that a
     * pair counts once. */
    int32_t *pairs;   /* [columns], zero where nothing is */
    int32_t *columns; /* those with pairs, n of them */
    int64_t n;
    int32_t *full_in; /* [clusters] the last strip (by `strips`) with which it is full; NULL with one image */
    int32_t strips;   /* added so far */
};
vic_status strip_counter_make(const vic_pattern *p, struct strip_counter *c, vic_error *err);
void strip_counter_free(struct strip_counter *c); /* also after a failure */

/* The strips of a row of 128 x 128 blocks come one after the other. */
void strip_counter_add(struct strip_counter *c, const vic_pattern *p, int64_t strip, const struct strip_blocks *b);
/* What the workers found, into p->info. */
void strip_counters_tell(vic_pattern *p, const struct strip_counter *counters, int workers);

/* The same figures of a pattern that is complete, and the rest of p->info. */
vic_status pattern_statistics(vic_pattern *p, struct pool *pool, vic_error *err);

/* Pairs of each row of a strip, and of each query atom, [n_q]. */
void strip_counts(const vic_pattern *p, int64_t strip, int64_t counts[STRIP]);
void pattern_counts(const vic_pattern *p, int64_t *counts);

/* The body of the public call of the same name. */
vic_status pattern_blocks128(const vic_pattern *p, int64_t *row_ptr, int32_t *column, uint8_t *full, vic_error *err);

#endif
