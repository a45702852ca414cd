/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where blocks become the CSR arrays of contract/pattern.h: every way to a pattern ends here. */
#ifndef VIC_PATTERN_ASSEMBLE_H
#define VIC_PATTERN_ASSEMBLE_H

#include "base/threads.h"
#include "pattern/block_list.h"

/* Appends the blocks of one strip to `out` (block_list.h says in which form).  `worker` is below pool_threads(); four
 * consecutive strips, from a multiple of four on, come one after the other to the same worker. */
typedef vic_status strip_source(void *context, int64_t strip, int worker, struct block_list *out, vic_error *err);

/* Fill the blocks of `p`, whose sizes, orders and images are there, and all of p->info but the seconds.  Arrays of
 * blocks that it has already are used again.  The work goes in waves: what a wave of strips finds is in the cache
 * when it is gathered, and is never held twice. */
vic_status assemble(vic_pattern *p, struct pool *pool, strip_source *source, void *context, vic_error *err);

/* Tasks of four strips of one wave: enough that threads end it together, few enough for the cache. */
int64_t wave_tasks(int64_t tasks, int workers);

#endif
