/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that did not come from positions, into the CSR arrays of contract/pattern.h: what every other way to a
 * pattern ends in. */
#ifndef VIC_PATTERN_ASSEMBLE_H
#define VIC_PATTERN_ASSEMBLE_H

#include "base/threads.h"
#include "contract/pattern.h"

/* The blocks of a strip as they are found: in any order, and (cluster, image) may come again, which adds its bits. */
struct block_entry {
    int32_t cluster, image;
    struct block_bits bits;
};
struct block_entries {
    struct block_entry *list;
    size_t n, capacity;
};

vic_status entries_add(struct block_entries *e, int32_t cluster, int32_t image, const struct block_bits *bits,
                       vic_error *err);
/* The query rows of the strip that are set in `rows`, with each key row of first .. end - 1, under image 0. */
vic_status entries_add_rectangle(struct block_entries *e, uint64_t rows, int64_t first, int64_t end, vic_error *err);
/* One entry for each (cluster, image), by cluster and image; those without a bit are gone. */
vic_status entries_unite(struct block_entries *e, vic_error *err);

/* Appends the blocks of one strip to `out`, which comes empty.  `worker` is below pool_threads(). */
typedef vic_status strip_source(void *context, int64_t strip, int worker, struct block_entries *out, vic_error *err);

/* Fill the blocks of `p`, whose sizes, orders and images are there; its n_partial, n_full and info.pairs follow. */
vic_status assemble(vic_pattern *p, struct pool *pool, strip_source *source, void *context, vic_error *err);

/* The counts and sizes in p->info, all but the statistics. */
void pattern_fill_info(vic_pattern *p);
/* The last step of every way: what `info` says beyond info.pairs and info.boundary_pairs, which are there. */
vic_status pattern_finish(vic_pattern *p, struct pool *pool, vic_error *err);

#endif
