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
struct strip_blocks strip_blocks_of(const vic_pattern *p, int64_t strip);

/* Pairs of each row, and of the row that has most. */
void strip_blocks_counts(const struct strip_blocks *b, int64_t counts[STRIP]);
int64_t strip_blocks_fullest(const struct strip_blocks *b);

/* Sums that workers make on their own; zero to begin with. */
struct pattern_summary {
    int64_t max_pairs, blocks, full_blocks; /* blocks of 128 x 128 */
};
void pattern_summary_add(struct pattern_summary *s, const struct pattern_summary *other);
void pattern_summary_tell(vic_pattern *p, const struct pattern_summary *s); /* into p->info */

/* Pairs of one row of 128 x 128 blocks, by block column.  Images of one (strip, cluster) are united, so that a pair
 * counts once. */
struct big_row {
    int32_t *pairs;   /* [columns], zero where nothing is */
    int32_t *columns; /* those with pairs, n of them */
    int64_t n;
    int32_t *full_in; /* [clusters] the last strip (by `strips`) with which it is full; NULL with one image */
    int32_t strips;   /* added so far */
};
vic_status big_row_make(int64_t n_k, bool one_image, struct big_row *row, vic_error *err);
void big_row_free(struct big_row *row); /* also after a failure */

/* Add the strips of a row of big blocks, one after the other, then count it: that clears it for the next. */
void big_row_add(struct big_row *row, const struct strip_blocks *b);
void big_row_count(struct big_row *row, const vic_pattern *p, int64_t big, struct pattern_summary *s);

#endif
