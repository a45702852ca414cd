/* SPDX-License-Identifier: Apache-2.0 */
/* The queries that wait.  Those of one version and one layout stand in one lane, in the order in which they came; the
 * first of a lane and those behind it can share a launch.  Nothing here knows a clock, a thread or a lock: whoever
 * calls holds the engine's. */
#ifndef VIC_ENGINE_QUEUE_H
#define VIC_ENGINE_QUEUE_H

#include "engine/heap.h"
#include "vicinal_engine.h"

enum { TENSOR_Q, TENSOR_K, TENSOR_V, TENSOR_OUT, TENSOR_LSE, TENSORS };

/* What the queries of a launch have in common.  All members have eight bytes, so that memcmp() compares them. */
struct layout {
    uint64_t hash; /* of the others, or 0: layout_hash(); lanes are found by it */
    int64_t most;  /* queries of a launch */
    int64_t batch; /* entries of the batch dimension; 0 = there is none */
    int64_t stride[TENSORS][VIC_MAX_DIMS];
    double scale;
    uint64_t flags; /* enum layout_flags; the last two are shifted to the left by the number of the tensor */
};
enum layout_flags {
    LAYOUT_NOTHING = 1, /* only new positions: there is nothing to launch */
    LAYOUT_LSE = 2,
    LAYOUT_ZERO_SCALE = 4,
    LAYOUT_HOST = 1 << 8,    /* in memory of the CPU, while attention runs on a GPU */
    LAYOUT_PINNED = 1 << 16, /* and there pinned and dense, so that the GPU copies it by itself */
};
enum { LAYOUT_STAGED = ((1 << TENSORS) - 1) * LAYOUT_HOST }; /* any tensor is */

/* A launch that does nothing but compute: it has tensors, and all are where attention runs. */
static inline bool layout_computes(const struct layout *layout)
{
    return (layout->flags & (LAYOUT_NOTHING | LAYOUT_STAGED)) == 0;
}

struct version; /* version.h */
struct lane;

struct query {
    struct heap_node by_deadline;  /* in the queue's heap, if it has one */
    struct query *previous, *next; /* in its lane */
    struct lane *lane;             /* NULL = it does not wait */
    struct version *brings;        /* the version that its new positions make; NULL = none, or it does not wait */
    uint32_t slot, generation;     /* its ticket */
    int64_t submitted, deadline;   /* ns; INT64_MAX = no limit */
    void *data[TENSORS];
    vic_done *done;
    void *user;
};

struct lane {
    struct heap_node turn;
    struct heap *in;              /* the queue's heap in which `turn` is; NULL = its version is not there yet */
    struct lane *previous, *next; /* of the queue's lanes; a lane that is empty is not among them */
    struct lane *older, *younger; /* of the same version */
    struct lane *chained;         /* in the same place of the table */
    struct version *version;
    struct layout layout;
    vic_tensor tensor[TENSORS]; /* of the first query that came; their data is not used */
    struct query *head, *tail;
    int64_t waiting;
};

/* Many lanes cost no more than few: the one of a query is found in a table, the next to launch in a heap. */
struct queue {
    struct lane *lanes, *spare_lanes;
    struct lane **table; /* [table_size], a power of two: the first of those whose hash leads there; NULL = none */
    size_t n_lanes, table_size;
    struct heap ready[2];  /* lanes, by layout_computes() and by when their first query came */
    struct heap delayed;   /* lanes, by when they may be launched */
    struct heap deadlines; /* queries */
    struct query **slots;  /* [n_slots] all queries that there are, waiting, running or spare */
    size_t n_slots, slots_room;
    struct query *spare;   /* linked by `next` */
    struct query **chunks; /* [n_chunks] the memory of the queries */
    size_t n_chunks, chunks_room;
    int64_t waiting;
};

void queue_free(struct queue *q); /* nothing may wait */

/* Appends a query with what `given` has in data, done, user, submitted and deadline.  On failure nothing has changed.
 * A new lane keeps no reference to the version: whoever calls counts those (lane_is_new). */
vic_status queue_add(struct queue *q, struct version *version, const struct layout *layout,
                     const vic_tensor tensor[TENSORS], const struct query *given, struct query **out,
                     bool *lane_is_new, vic_error *err);

/* A version is settled: its lanes may be launched. */
void queue_settle(struct queue *q, const struct version *version);
/* Lanes whose delay is over, or all (`hurry`), are ready.  Returns when the next will be; INT64_MAX = none waits. */
int64_t queue_advance(struct queue *q, int64_t now, bool hurry);
/* Of the lanes that are ready, the one whose first query came first, leaving out those that compute alone unless
 * `computes`; NULL = none is. */
struct lane *queue_first_ready(const struct queue *q, bool computes);

/* Takes a waiting query out; its lane is gone when that was the last one, and then the lane's version is returned,
 * else NULL. */
struct version *queue_remove(struct queue *q, struct query *query);
/* Gives back a query that has been taken out. */
void queue_give_back(struct queue *q, struct query *query);

uint64_t layout_hash(const struct layout *layout);
uint64_t query_ticket(const struct query *query);
struct query *queue_find(const struct queue *q, uint64_t ticket); /* NULL when no waiting query has it */
/* The waiting query with the earliest deadline; NULL when none has one. */
struct query *queue_most_urgent(const struct queue *q);

#endif
