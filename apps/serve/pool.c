/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <stdlib.h>

/* What a pool keeps at most; beyond that it gives back to the system. */
#define SPARE_MOST ((size_t)256 << 20)

/* In front of the memory, and as long as its alignment. */
struct pool_block {
    _Alignas(64) struct pool_block *next;
    size_t bytes; /* of the memory behind it */
    int class;
};

static int class_of(size_t bytes)
{
    int class = 0;
    while (class < POOL_CLASSES && ((size_t)1 << (POOL_SMALLEST + class)) < bytes) class ++;
    return class;
}

void *pool_take(struct pool *p, size_t bytes)
{
    const int class = class_of(bytes);
    struct pool_block *block;
    size_t size;
    if (class == POOL_CLASSES) return NULL;
    size = (size_t)1 << (POOL_SMALLEST + class);
    if (atomic_fetch_add(&p->room->used, size) + size > p->room->most) {
        atomic_fetch_sub(&p->room->used, size);
        return NULL;
    }
    block = p->spare[class];
    if (block) {
        p->spare[class] = block->next;
        p->spare_bytes -= size;
    } else {
        block = aligned_alloc(64, sizeof *block + size);
        if (!block) {
            atomic_fetch_sub(&p->room->used, size);
            return NULL;
        }
        block->bytes = size;
        block->class = class;
    }
    return block + 1;
}

size_t pool_size(const void *memory)
{
    return ((const struct pool_block *)memory - 1)->bytes;
}

void pool_give(struct pool *p, void *memory)
{
    struct pool_block *block;
    if (!memory) return;
    block = (struct pool_block *)memory - 1;
    atomic_fetch_sub(&p->room->used, block->bytes);
    if (p->spare_bytes + block->bytes > SPARE_MOST) {
        free(block);
        return;
    }
    block->next = p->spare[block->class];
    p->spare[block->class] = block;
    p->spare_bytes += block->bytes;
}

void pool_close(struct pool *p)
{
    for (int class = 0; class < POOL_CLASSES; class ++) {
        while (p->spare[class]) {
            struct pool_block *block = p->spare[class];
            p->spare[class] = block->next;
            free(block);
        }
    }
    p->spare_bytes = 0;
}
