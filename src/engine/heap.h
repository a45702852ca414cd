/* SPDX-License-Identifier: Apache-2.0 */
/* A heap of things that have a time, the earliest first.  What is in one has a node as its first member, and knows its
 * place, so that it can be taken out from anywhere. */
#ifndef VIC_ENGINE_HEAP_H
#define VIC_ENGINE_HEAP_H

#include "base/status.h"

#include <stdint.h>

struct heap_node {
    int64_t key;
    size_t at; /* place, from 1; 0 = in no heap */
};

struct heap {
    struct heap_node **node; /* [n] */
    size_t n, room;
};

/* Makes room for `n` nodes in all; heap_put() needs it, and cannot fail. */
vic_status heap_reserve(struct heap *h, size_t n, vic_error *err);
void heap_free(struct heap *h);
/* Puts a node in, or where it belongs now if it is in this heap already. */
void heap_put(struct heap *h, struct heap_node *node, int64_t key);
void heap_remove(struct heap *h, struct heap_node *node);

/* The earliest; NULL when it is empty. */
static inline struct heap_node *heap_first(const struct heap *h)
{
    return h->n > 0 ? h->node[0] : NULL;
}

#endif
