/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/heap.h"

#include "base/memory.h"

vic_status heap_reserve(struct heap *h, size_t n, vic_error *err)
{
    return mem_grow(&h->node, &h->room, n, sizeof(struct heap_node *), "queries", err);
}

void heap_free(struct heap *h)
{
    free(h->node);
    *h = (struct heap){ 0 };
}

static void place(struct heap *h, size_t at, struct heap_node *node)
{
    h->node[at - 1] = node;
    node->at = at;
}

/* Of node[at - 1], whose key may be anything. */
static void settle(struct heap *h, size_t at, struct heap_node *node)
{
    for (; at > 1 && h->node[at / 2 - 1]->key > node->key; at /= 2) place(h, at, h->node[at / 2 - 1]);
    for (size_t child; (child = 2 * at) <= h->n; at = child) {
        if (child < h->n && h->node[child]->key < h->node[child - 1]->key) child++;
        if (h->node[child - 1]->key >= node->key) break;
        place(h, at, h->node[child - 1]);
    }
    place(h, at, node);
}

void heap_put(struct heap *h, struct heap_node *node, int64_t key)
{
    node->key = key;
    settle(h, node->at ? node->at : ++h->n, node);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    struct heap_node *last = h->node[--h->n];
    const size_t at = node->at;
    node->at = 0;
    if (last != node) settle(h, at, last);
}
