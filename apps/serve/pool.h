/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of bodies and answers.  Taking and giving back a megabyte from and to the system costs several times what
 * reading it does, so each loop keeps what it has used.  A pool belongs to one thread.
 *
 * Where an engine is on a GPU, large pieces are pinned: the GPU then copies from and to them by itself, and the engine
 * need not copy them before.  Pinning and unpinning stall a GPU, so that what has been pinned stays so. */
#ifndef VICINAL_SERVE_POOL_H
#define VICINAL_SERVE_POOL_H

#include "vicinal.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sizes of 4 KiB, 5, 6, 7, 8, 10, ... : four an octave. */
enum { POOL_SMALLEST = 12, POOL_CLASSES = 112 };

struct pool_room { /* of all pools together */
    size_t most;
    _Atomic size_t used;
};

struct pool {
    struct pool_room *room;
    struct pool_block *spare[POOL_CLASSES];
    size_t spare_bytes; /* that are not pinned */
    bool pins;
    size_t pinned; /* bytes, spare or not */
};

/* At least `bytes`, aligned to 64; NULL: more than there is room for. */
void *pool_take(struct pool *p, size_t bytes);
size_t pool_size(const void *memory);
/* What a tensor in it is to say: VIC_CPU, or VIC_CUDA_HOST where it is pinned. */
vic_device pool_device(const void *memory);
void pool_give(struct pool *p, void *memory); /* NULL is fine */
void pool_close(struct pool *p);

#endif
