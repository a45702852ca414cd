/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs of a pattern's rows: while it is built and its blocks are in the cache, or afterwards. */
#ifndef VIC_PATTERN_STATISTICS_H
#define VIC_PATTERN_STATISTICS_H

#include "base/threads.h"
#include "contract/pattern.h"

/* The blocks of one strip, as the contract orders them. */
struct strip_blocks {
    int64_t partials;
    const struct block_bits *bits; /* [partials] */
    int64_t runs;
    const struct full_run *run; /* [runs] */
};

/* Pairs of the fullest row that one worker has met; alone in its cache line. */
struct fullest {
    _Alignas(64) int64_t pairs;
};
void fullest_add(struct fullest *f, const struct strip_blocks *b);
/* Of all workers, into p->info. */
void fullest_report(vic_pattern *p, const struct fullest *f, int workers);

/* The same of a pattern that is complete, and the rest of p->info. */
vic_status pattern_statistics(vic_pattern *p, struct pool *pool, vic_error *err);

/* Pairs of each row of a strip, and of each query atom, [n_q]. */
void strip_counts(const vic_pattern *p, int64_t strip, int64_t counts[STRIP]);
void pattern_counts(const vic_pattern *p, int64_t *counts);

#endif
