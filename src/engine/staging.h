/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of queries that are not in memory of the GPU that attention runs on: through pinned memory, where those of a
 * launch are put together so that they are copied at once, or, where they are pinned and dense themselves, each by a
 * copy of its own. */
#ifndef VIC_ENGINE_STAGING_H
#define VIC_ENGINE_STAGING_H

#include "engine/engine.h"

/* LAYOUT_HOST and LAYOUT_PINNED of each tensor. */
uint64_t staging_flags(const vic_tensor tensor[TENSORS]);
/* How many queries of a layout, up to `most`, fit in what the engine's options give a launch; at least 1. */
int64_t staging_fits(const vic_engine *engine, const struct layout *layout, const vic_tensor tensor[TENSORS],
                     int64_t most);

/* What a launch has of it, kept from one to the next. */
struct staging {
    void *host, *gpu; /* [size] pinned memory, and the same places in memory of the GPU; NULL = not needed so far */
    /* Of a query that is larger than that, for its launch alone; `large_host` is not pinned. */
    void *large_host, *large_gpu;
};

/* Makes room, and gathers q, k and v in it.  Changes the addresses in *a, or in its items, which are at `items`. */
vic_status staging_gather(struct staging *s, vic_engine *engine, const struct launch *l, vic_attention_args *a,
                          vic_attention_item *items, void *stream, vic_error *err);
/* Enqueues copies of q, k and v. */
vic_status staging_in(struct staging *s, const vic_engine *engine, const struct launch *l, void *stream,
                      vic_error *err);
/* Enqueues copies of out and lse. */
vic_status staging_out(struct staging *s, const vic_engine *engine, const struct launch *l, void *stream,
                       vic_error *err);
/* When all of it is done: puts out and lse where the queries want them, if `good`, and gives back what was of this
 * launch alone. */
void staging_end(struct staging *s, const vic_engine *engine, const struct launch *l, bool good, void *stream);
void staging_free(struct staging *s, const vic_engine *engine, void *stream);

#endif
