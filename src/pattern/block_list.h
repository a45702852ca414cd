/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of a few consecutive strips while they are found, before they go into a pattern. */
#ifndef VIC_PATTERN_BLOCK_LIST_H
#define VIC_PATTERN_BLOCK_LIST_H

#include "base/status.h"
#include "contract/pattern.h"

enum { LIST_STRIPS = 4 };

/* A source appends the blocks of one strip after those of the strips before it, which it leaves alone.  In the end
 * there is one block for each (cluster, image), in this order, with at least one pair, and `pairs` counts them;
 * a source that finds them otherwise calls block_list_unite() last.  block_list_close() then takes the full ones out
 * into runs, as contract/pattern.h has them. */
struct block_list {
    size_t n, capacity;
    int32_t *cluster, *image; /* [n] */
    struct block_bits *bits;  /* [n] */
    uint16_t *pairs;          /* [n] */
    size_t n_runs, run_capacity;
    struct full_run *runs;
    int64_t partial_count[LIST_STRIPS], run_count[LIST_STRIPS]; /* of each strip that is closed */
    int64_t n_pairs, n_full;                                    /* of all that are */
    int64_t boundary_pairs;                                     /* a source that knows them adds them */
};

void block_list_clear(struct block_list *l); /* keeps its memory; a zeroed one is clear */
void block_list_free(struct block_list *l);

/* Room for so many blocks more. */
vic_status block_list_room(struct block_list *l, size_t more, vic_error *err);
vic_status block_list_add(struct block_list *l, int32_t cluster, int32_t image, const struct block_bits *bits,
                          vic_error *err);
/* The query rows of the strip that are set in `rows`, with each key row of first .. end - 1, under image number 0. */
vic_status block_list_add_rectangle(struct block_list *l, uint64_t rows, int64_t first, int64_t end, vic_error *err);

/* Of the blocks from `first` on: those of one (cluster, image) become one, sorted, those without a pair are gone, and
 * pairs are counted. */
vic_status block_list_unite(struct block_list *l, size_t first, vic_error *err);

/* Takes the pairs of `other`, which is sorted, out of the blocks from `first` on, which are sorted too. */
void block_list_subtract(struct block_list *l, size_t first, const struct block_list *other);
/* The first block of a cluster among those from `first` on, which are sorted. */
size_t block_list_find(const struct block_list *l, size_t first, int32_t cluster);
/* Of the blocks from `first` on, which are counted, those without a pair go. */
void block_list_drop_empty(struct block_list *l, size_t first);

/* The blocks from `first` on are those of strip `number` of the list, and complete. */
vic_status block_list_close(struct block_list *l, size_t first, int number, vic_error *err);

static inline int block_pairs(const struct block_bits *bits)
{
    int pairs = 0;
    for (int c = 0; c < CLUSTER; c++) pairs += __builtin_popcountll(bits->key[c]);
    return pairs;
}

#endif
