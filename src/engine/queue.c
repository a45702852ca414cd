/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/queue.h"

#include "base/memory.h"
#include "engine/version.h"

#include <string.h>

enum { CHUNK = 64 }; /* queries that are allocated together; places of the smallest table */

void queue_free(struct queue *q)
{
    for (struct lane *l = q->spare_lanes, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    for (size_t i = 0; i < q->n_chunks; i++) free(q->chunks[i]);
    free(q->chunks);
    free(q->slots);
    free(q->table);
    for (int i = 0; i < 2; i++) heap_free(&q->ready[i]);
    heap_free(&q->delayed);
    heap_free(&q->deadlines);
    *q = (struct queue){ 0 };
}

/* ---- queries ---- */

static vic_status more_queries(struct queue *q, vic_error *err)
{
    struct query *chunk;
    size_t room = q->slots_room;
    TRY(mem_grow(&q->chunks, &q->chunks_room, q->n_chunks + 1, sizeof *q->chunks, "queries", err));
    TRY(mem_grow(&q->slots, &room, q->n_slots + CHUNK, sizeof *q->slots, "queries", err));
    q->slots_room = room;
    TRY(heap_reserve(&q->deadlines, q->n_slots + CHUNK, err));
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

struct query *queue_most_urgent(const struct queue *q)
{
    return (struct query *)heap_first(&q->deadlines);
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

/* ---- the table of lanes ---- */

/* Words are mixed as in a congruential generator, whose upper bits depend on all. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    return (hash ^ word) * 0x9e3779b97f4a7c15u + (hash >> 32);
}

uint64_t layout_hash(const struct layout *layout)
{
    struct layout words = *layout;
    uint64_t hash = 0, word;
    words.hash = 0;
    for (size_t at = 0; at < sizeof words; at += sizeof word) {
        memcpy(&word, (const char *)&words + at, sizeof word);
        hash = mix(hash, word);
    }
    return hash;
}

/* The place in the table, which is not empty. */
static struct lane **table_at(const struct queue *q, const struct version *version, const struct layout *layout)
{
    return &q->table[(mix(layout->hash, (uintptr_t)version) >> 32) & (q->table_size - 1)];
}

static vic_status grow_table(struct queue *q, vic_error *err)
{
    const size_t size = q->table_size ? 2 * q->table_size : CHUNK;
    struct lane **table;
    if (q->n_lanes < q->table_size) return VIC_OK;
    TRY(mem_array_zero(size, sizeof(struct lane *), "lanes of queries", &table, err));
    free(q->table);
    q->table = table;
    q->table_size = size;
    for (struct lane *l = q->lanes; l; l = l->next) {
        struct lane **at = table_at(q, l->version, &l->layout);
        l->chained = *at;
        *at = l;
    }
    return VIC_OK;
}

static struct lane *find_lane(const struct queue *q, const struct version *version, const struct layout *layout)
{
    struct lane *l = q->table_size ? *table_at(q, version, layout) : NULL;
    while (l && (l->version != version || memcmp(&l->layout, layout, sizeof *layout) != 0)) l = l->chained;
    return l;
}

/* ---- lanes ---- */

/* The time from which the lane may be launched; INT64_MIN = at once. */
static int64_t due(const struct lane *l)
{
    const int64_t delay = l->version->max_delay;
    if (delay == 0 || l->waiting >= l->layout.most || (l->layout.flags & LAYOUT_NOTHING)) return INT64_MIN;
    return l->head->submitted + delay;
}

static struct heap *ready_heap(struct queue *q, const struct lane *l)
{
    return &q->ready[layout_computes(&l->layout)];
}

static void move_to(struct lane *l, struct heap *heap, int64_t key)
{
    if (l->in && l->in != heap) heap_remove(l->in, &l->turn);
    l->in = heap;
    if (heap) heap_put(heap, &l->turn, key);
}

/* Where a lane belongs after any change of it. */
static void place_lane(struct queue *q, struct lane *l)
{
    const int64_t from = due(l);
    if (!version_settled(l->version)) return;
    if (from == INT64_MIN)
        move_to(l, ready_heap(q, l), l->head->submitted);
    else
        move_to(l, &q->delayed, from);
}

void queue_settle(struct queue *q, const struct version *version)
{
    for (struct lane *l = version->lanes; l; l = l->older) place_lane(q, l);
}

int64_t queue_advance(struct queue *q, int64_t now, bool hurry)
{
    struct heap_node *first;
    while ((first = heap_first(&q->delayed)) && (hurry || first->key <= now)) {
        struct lane *l = (struct lane *)first;
        move_to(l, ready_heap(q, l), l->head->submitted);
    }
    return first ? first->key : INT64_MAX;
}

struct lane *queue_first_ready(const struct queue *q, bool computes)
{
    struct heap_node *first = heap_first(&q->ready[false]);
    struct heap_node *other = computes ? heap_first(&q->ready[true]) : NULL;
    return (struct lane *)(!first || (other && other->key < first->key) ? other : first);
}

static vic_status new_lane(struct queue *q, struct version *version, const struct layout *layout,
                           const vic_tensor tensor[TENSORS], struct lane **out, vic_error *err)
{
    struct lane *l = q->spare_lanes;
    TRY(grow_table(q, err));
    TRY(heap_reserve(&q->ready[layout_computes(layout)], q->n_lanes + 1, err));
    TRY(heap_reserve(&q->delayed, q->n_lanes + 1, err));
    if (l)
        q->spare_lanes = l->next;
    else
        TRY(mem_array(1, sizeof *l, "lane of queries", &l, err));
    struct lane **at = table_at(q, version, layout);
    *l = (struct lane){
        .next = q->lanes, .older = version->lanes, .chained = *at, .version = version, .layout = *layout
    };
    memcpy(l->tensor, tensor, sizeof l->tensor);
    if (l->next) l->next->previous = l;
    if (l->older) l->older->younger = l;
    q->lanes = version->lanes = *at = l;
    q->n_lanes++;
    *out = l;
    return VIC_OK;
}

static void end_lane(struct queue *q, struct lane *l)
{
    struct lane **at = table_at(q, l->version, &l->layout);
    while (*at != l) at = &(*at)->chained;
    *at = l->chained;
    move_to(l, NULL, 0);
    *(l->younger ? &l->younger->older : &l->version->lanes) = l->older;
    if (l->older) l->older->younger = l->younger;
    *(l->previous ? &l->previous->next : &q->lanes) = l->next;
    if (l->next) l->next->previous = l->previous;
    q->n_lanes--;
    l->next = q->spare_lanes;
    q->spare_lanes = l;
}

vic_status queue_add(struct queue *q, struct version *version, const struct layout *layout,
                     const vic_tensor tensor[TENSORS], const struct query *given, struct query **out,
                     bool *lane_is_new, vic_error *err)
{
    struct lane *lane = find_lane(q, version, layout);
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
    query->by_deadline.at = 0;
    if (query->deadline != INT64_MAX) heap_put(&q->deadlines, &query->by_deadline, query->deadline);
    place_lane(q, lane);
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
    if (query->by_deadline.at) heap_remove(&q->deadlines, &query->by_deadline);
    if (query->brings) query->brings->bringer = NULL;
    query->brings = NULL;
    query->lane = NULL;
    query->previous = query->next = NULL;
    if (lane->head) {
        place_lane(q, lane);
        return NULL;
    }
    end_lane(q, lane);
    return version;
}
