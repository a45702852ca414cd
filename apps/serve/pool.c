/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <stdlib.h>

/* What a pool keeps at most; beyond that it gives back to the system. */
#define SPARE_MOST ((size_t)256 << 20)
/* What it pins at most, and the smallest piece: for less, the engine's copy costs no more than the GPU's command. */
#define PINNED_MOST  ((size_t)256 << 20)
#define PINNED_LEAST ((size_t)128 << 10)

/* In front of the memory, and as long as its alignment. */
struct pool_block {
    _Alignas(64) struct pool_block *next;
    size_t bytes; /* of the memory behind it */
    int class;
    bool pinned;
};

static const vic_device pinned_memory = { VIC_CUDA_HOST, 0 };

static size_t size_of(int class)
{
    return (size_t)(4 + class % 4) << (POOL_SMALLEST - 2 + class / 4);
}

/* The first that holds them; POOL_CLASSES: none does. */
static int class_of(size_t bytes)
{
    int octave, class;
    if (bytes <= (size_t)1 << POOL_SMALLEST) return 0;
    octave = 63 - __builtin_clzll(bytes - 1);
    class = 4 * (octave - POOL_SMALLEST) + (int)((bytes - 1) >> (octave - 2)) - 3;
    return class < POOL_CLASSES ? class : POOL_CLASSES;
}

static struct pool_block *pin(struct pool *p, size_t size)
{
    void *memory;
    vic_error err;
    if (!p->pins || size < PINNED_LEAST || size > PINNED_MOST - p->pinned) return NULL;
    p->pins = vic_memory_alloc(pinned_memory, sizeof(struct pool_block) + size, &memory, &err) == VIC_OK;
    if (!p->pins) return NULL; /* nor is it tried again: this machine has no more */
    p->pinned += size;
    return memory;
}

static struct pool_block *make(struct pool *p, size_t size, int class)
{
    struct pool_block *block = pin(p, size);
    const bool pinned = block != NULL;
    if (!block) block = aligned_alloc(64, sizeof *block + size);
    if (!block) return NULL;
    block->bytes = size;
    block->class = class;
    block->pinned = pinned;
    return block;
}

static void destroy(struct pool_block *block)
{
    if (block->pinned)
        vic_memory_free(pinned_memory, block);
    else
        free(block);
}

void *pool_take(struct pool *p, size_t bytes)
{
    const int class = class_of(bytes);
    struct pool_block *block;
    size_t size;
    if (class == POOL_CLASSES) return NULL;
    size = size_of(class);
    if (atomic_fetch_add(&p->room->used, size) + size > p->room->most) {
        atomic_fetch_sub(&p->room->used, size);
        return NULL;
    }
    block = p->spare[class];
    if (block) {
        p->spare[class] = block->next;
        if (!block->pinned) p->spare_bytes -= size;
    } else {
        block = make(p, size, class);
        if (!block) {
            atomic_fetch_sub(&p->room->used, size);
            return NULL;
        }
    }
    return block + 1;
}

size_t pool_size(const void *memory)
{
    return ((const struct pool_block *)memory - 1)->bytes;
}

vic_device pool_device(const void *memory)
{
    const vic_device plain = { VIC_CPU, 0 };
    return ((const struct pool_block *)memory - 1)->pinned ? pinned_memory : plain;
}

void pool_give(struct pool *p, void *memory)
{
    struct pool_block *block;
    if (!memory) return;
    block = (struct pool_block *)memory - 1;
    atomic_fetch_sub(&p->room->used, block->bytes);
    if (!block->pinned) {
        if (p->spare_bytes + block->bytes > SPARE_MOST) {
            destroy(block);
            return;
        }
        p->spare_bytes += block->bytes;
    }
    block->next = p->spare[block->class];
    p->spare[block->class] = block;
}

void pool_close(struct pool *p)
{
    for (int class = 0; class < POOL_CLASSES; class ++) {
        while (p->spare[class]) {
            struct pool_block *block = p->spare[class];
            p->spare[class] = block->next;
            destroy(block);
        }
    }
    p->spare_bytes = 0;
}
