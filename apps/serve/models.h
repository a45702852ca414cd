/* SPDX-License-Identifier: Apache-2.0 */
/* The repository: models by name, each a pattern with an endpoint on every device. */
#ifndef VICINAL_SERVE_MODELS_H
#define VICINAL_SERVE_MODELS_H

#include "json.h"
#include "serve.h"
#include "tensors.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LAUNCH_SIZES = 129 }; /* launches of 1 to 128 queries are counted by size, larger ones with the last */

/* What the protocol's statistics want and the engine does not keep. */
struct model_counts {
    _Atomic uint64_t success, failed, success_ns, failed_ns, inferences;
    _Atomic uint64_t stage_ns[VIC_STAGES];
    _Atomic int64_t last_ms; /* of the last answer, since 1970 */
    struct {
        _Atomic uint64_t answers, input_ns, compute_ns, output_ns;
    } launch[LAUNCH_SIZES];
};

struct model {
    char name[MOST_NAME + 1];
    struct models *owner;
    _Atomic int references;
    vic_endpoint *endpoint[MOST_DEVICES]; /* by engine */
    vic_plan_options plan;
    double scale;
    int max_batch;
    _Atomic int64_t n_q, n_k;
    _Atomic int in_flight;
    pthread_mutex_t order; /* new positions reach all endpoints in one order */
    struct model_counts counts;
};

struct models {
    const struct serve_options *options;
    vic_engine *engine[MOST_DEVICES];
    _Atomic int load[MOST_DEVICES]; /* queries there */
    int engines;
    pthread_rwlock_t lock;
    struct model *list[MOST_MODELS];
    int count;
    pthread_mutex_t building;
};

/* Starts an engine on every device.  models_close() is harmless on a zeroed struct. */
vic_status models_open(struct models *m, const struct serve_options *options, vic_error *err);
void models_close(struct models *m);

/* A reference, which model_release() gives back; NULL: not loaded. */
struct model *models_find(struct models *m, const char *name);
void model_release(struct model *model); /* NULL is fine; a query holds one, so that the last never waits for any */

/* Loads, or loads again: queries under way are answered by what they were accepted for.  Waits. */
vic_status models_load(struct models *m, const struct serve_want *want, vic_error *err);
/* Takes it out of the table; true: it was there.  Its queries are answered all the same. */
bool models_unload(struct models *m, const char *name);

/* Calls `each` with every loaded model, with a reference held meanwhile. */
void models_each(struct models *m, void (*each)(void *to, struct model *model), void *to);
/* Bytes of Q, K and V of one query, of the model where they are most. */
size_t models_largest(struct models *m);
/* The protocol's index: what is loaded and, unless `ready`, what could be. */
void models_index(struct models *m, bool ready, struct json *out);

/* The engine that has least to do, or the one of `device` where that is a GPU; -1: there is none. */
int models_place(struct models *m, vic_device device);
bool models_faulted(const struct models *m);

#endif
