/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/queue.h"

#include "base/memory.h"
#include "engine/version.h"

#include <string.h>

enum { CHUNK = 64 }; /* queries that are allocated together */

void queue_free(struct queue *q)
{
    for (struct lane *l = q->spare_lanes, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    for (size_t i = 0; i < q->n_chunks; i++) free(q->chunks[i]);
    free(q->chunks);
    free(q->slots);
    free(q->heap);
    *q = (struct queue){ 0 };
}

/* ---- deadlines: a heap ---- */

static void heap_put(struct queue *q, size_t at, struct query *query)
{
    q->heap[at - 1] = query;
    query->heap_at = at;
}

static void heap_up(struct queue *q, size_t at, struct query *query)
{
    while (at > 1 && q->heap[at / 2 - 1]->deadline > query->deadline) {
        heap_put(q, at, q->heap[at / 2 - 1]);
        at /= 2;
    }
    heap_put(q, at, query);
}

static void heap_down(struct queue *q, size_t at, struct query *query)
{
    for (size_t child; (child = 2 * at) <= q->in_heap; at = child) {
        if (child < q->in_heap && q->heap[child]->deadline < q->heap[child - 1]->deadline) child++;
        if (q->heap[child - 1]->deadline >= query->deadline) break;
        heap_put(q, at, q->heap[child - 1]);
    }
    heap_put(q, at, query);
}

static void heap_remove(struct queue *q, struct query *query)
{
    size_t at = query->heap_at;
    struct query *last = q->heap[--q->in_heap];
    query->heap_at = 0;
    if (last == query) return;
    if (at > 1 && q->heap[at / 2 - 1]->deadline > last->deadline)
        heap_up(q, at, last);
    else
        heap_down(q, at, last);
}

struct query *queue_most_urgent(const struct queue *q)
{
    return q->in_heap > 0 ? q->heap[0] : NULL;
}

/* ---- queries ---- */

static vic_status more_queries(struct queue *q, vic_error *err)
{
    struct query *chunk;
    size_t room = q->slots_room;
    TRY(mem_grow(&q->chunks, &q->chunks_room, q->n_chunks + 1, sizeof *q->chunks, "queries", err));
    TRY(mem_grow(&q->slots, &room, q->n_slots + CHUNK, sizeof *q->slots, "queries", err));
    q->slots_room = room;
    TRY(mem_resize(&q->heap, room, sizeof *q->heap, "queries", err));
    TRY(mem_array_zero(CHUNK, sizeof *chunk, "queries", &chunk, err));
    q->chunks[q->n_chunks++] = chunk;
    for (size_t i = 0; i < CHUNK; i++) {
        chunk[i].slot = (uint32_t)q->n_slots;
        chunk[i].next = q->spare;
        q->spare = &chunk[i];
        q->slots[q->n_slots++] = &chunk[i];
    }
    return VIC_OK;
}

uint64_t query_ticket(const struct query *query)
{
    return (uint64_t)query->generation << 32 | query->slot;
}

struct query *queue_find(const struct queue *q, uint64_t ticket)
{
    size_t slot = ticket & UINT32_MAX;
    struct query *query = slot < q->n_slots ? q->slots[slot] : NULL;
    return query && query->lane && query_ticket(query) == ticket ? query : NULL;
}

void queue_give_back(struct queue *q, struct query *query)
{
    query->next = q->spare;
    q->spare = query;
}

/* ---- lanes ---- */

static struct lane *find_lane(const struct version *version, const struct layout *layout)
{
    struct lane *l = version->lanes;
    while (l && memcmp(&l->layout, layout, sizeof *layout) != 0) l = l->sibling;
    return l;
}

static vic_status new_lane(struct queue *q, struct version *version, const struct layout *layout,
                           const vic_tensor tensor[TENSORS], struct lane **out, vic_error *err)
{
    struct lane *l = q->spare_lanes;
    if (l)
        q->spare_lanes = l->next;
    else
        TRY(mem_array(1, sizeof *l, "lane of queries", &l, err));
    *l = (struct lane){ .next = q->lanes, .sibling = version->lanes, .version = version, .layout = *layout };
    memcpy(l->tensor, tensor, sizeof l->tensor);
    if (q->lanes) q->lanes->previous = l;
    q->lanes = version->lanes = l;
    *out = l;
    return VIC_OK;
}

static void end_lane(struct queue *q, struct lane *l)
{
    struct lane **at = &l->version->lanes;
    while (*at != l) at = &(*at)->sibling;
    *at = l->sibling;
    if (l->next) l->next->previous = l->previous;
    if (l->previous)
        l->previous->next = l->next;
    else
        q->lanes = l->next;
    l->next = q->spare_lanes;
    q->spare_lanes = l;
}

vic_status queue_add(struct queue *q, struct version *version, const struct layout *layout,
                     const vic_tensor tensor[TENSORS], const struct query *given, struct query **out,
                     bool *lane_is_new, vic_error *err)
{
    struct lane *lane = find_lane(version, layout);
    if (!q->spare) TRY(more_queries(q, err));
    *lane_is_new = !lane;
    if (!lane) TRY(new_lane(q, version, layout, tensor, &lane, err));
    struct query *query = q->spare;
    q->spare = query->next;
    const uint32_t slot = query->slot, generation = query->generation + 1;
    *query = *given;
    query->slot = slot;
    query->generation = generation ? generation : 1; /* no ticket is 0 */
    query->lane = lane;
    query->previous = lane->tail;
    query->next = NULL;
    *(lane->tail ? &lane->tail->next : &lane->head) = query;
    lane->tail = query;
    lane->waiting++;
    q->waiting++;
    query->heap_at = 0;
    if (query->deadline != INT64_MAX) heap_up(q, ++q->in_heap, query);
    *out = query;
    return VIC_OK;
}

struct version *queue_remove(struct queue *q, struct query *query)
{
    struct lane *lane = query->lane;
    struct version *version = lane->version;
    *(query->previous ? &query->previous->next : &lane->head) = query->next;
    *(query->next ? &query->next->previous : &lane->tail) = query->previous;
    lane->waiting--;
    q->waiting--;
    if (query->heap_at) heap_remove(q, query);
    if (query->brings) query->brings->bringer = NULL;
    query->brings = NULL;
    query->lane = NULL;
    query->previous = query->next = NULL;
    if (lane->head) return NULL;
    end_lane(q, lane);
    return version;
}
