/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: one lock, which guards the queue, all versions and all counts, and is held for moments only; workers,
 * which take batches out of the queue and launch them; and a builder, which makes the versions of new positions.
 *
 * The way of a query: submit.c checks it and puts it into the queue (queue.c); a worker that is free asks the policy
 * (batch.c) and takes a batch (launch.c), runs it (worker_cpu.c, worker_gpu.c) and answers it (launch.c). */
#ifndef VIC_ENGINE_ENGINE_H
#define VIC_ENGINE_ENGINE_H

#include "engine/queue.h"
#include "engine/version.h"

#include <pthread.h>

enum {
    MOST_BATCH = 1024,  /* queries of a launch */
    GPU_LAUNCHES = 2,   /* under way in a stream */
    LONG_NS = 100000,   /* that a launch takes, so that one thread prepares and answers others meanwhile */
    MOST_UPDATES = 256, /* new positions of an endpoint that wait to be built */
};

struct worker {
    vic_engine *engine;
    struct gpu_worker *gpu; /* NULL on the CPU */
    pthread_t thread;
    bool started;
    bool naps; /* guarded by the engine's lock: it waits for `work` while a launch of its own is under way */
};

struct vic_engine {
    vic_engine_options options; /* with defaults filled in */
    vic_context *context;       /* what attention runs on */
    vic_context *build_context; /* what patterns and plans are made on */
    void *build_stream;         /* GPU: its stream */

    pthread_mutex_t lock; /* guards what follows up to the threads, which do not change once they run */
    pthread_cond_t work;  /* a worker may have something to do */
    pthread_cond_t build; /* the builder may */
    pthread_cond_t idle;  /* a launch or an update has ended: for drain and free */
    struct queue queue;
    int64_t running; /* queries taken out of the queue whose callbacks have not all returned */
    int endpoints;
    int sleepers; /* workers that wait for `work` */
    int lookers;  /* workers that look at `arrivals` all the time, so that nobody has to be woken */
    /* The worker that has long launches under way which do nothing but compute, and how many; NULL = none has.  Others
     * begin none: two at a time share the GPU's memory, and take longer than one after the other. */
    const struct worker *computing;
    int computing_launches;
    bool launches_are_long; /* as the last one of that kind was */
    bool draining, stop, faulted;
    vic_error fault;           /* why, once `faulted` is set; it does not change then */
    size_t staging;            /* bytes held */
    _Atomic uint64_t arrivals; /* grows with all that workers may have to do; they look at it without the lock */
    struct version *updates, *last_update; /* to be built, in the order of acceptance */
    struct version *retired;               /* to be destroyed */

    int workers;           /* that have been made */
    struct worker *worker; /* [options.streams, or 1] */
    pthread_t builder;
    bool has_builder, has_lock;
};

/* What vic_endpoint_info counts. */
struct counts {
    uint64_t accepted, answered, failed, expired, cancelled, refused, launches, updates;
    uint64_t time_ns[VIC_STAGES];
    uint64_t time[VIC_STAGES][VIC_TIME_BUCKETS];
    uint64_t batch[VIC_BATCH_BUCKETS];
};

struct vic_endpoint {
    vic_engine *engine;
    char *name, *kernel;           /* kernel NULL = the best */
    vic_plan_options plan_options; /* of every version */
    struct attention_shape shape;
    void *bias_memory;
    vic_tensor bias; /* of every launch; none = without */
    int64_t max_batch, max_queue;
    int64_t max_delay, timeout; /* ns; timeout INT64_MAX = none */

    /* Guarded by the engine's lock: */
    struct version *newest;  /* which queries are accepted for; a reference */
    struct version *current; /* the newest that is ready; a reference */
    uint64_t last_number, last_family;
    int64_t waiting, running, updates_waiting;
    int64_t versions;   /* not destroyed yet */
    vic_pattern *spare; /* memory for the next update, of the newest family */
    bool closing;
    struct counts counts;
};

/* FAILED in another process than the one that made the engine, whose threads are not there. */
vic_status engine_check_process(const vic_engine *engine, vic_error *err);

/* FAILED, as the GPU has failed for good. */
vic_status engine_fault(const vic_endpoint *endpoint, vic_error *err);

/* ---- All under the lock ---- */

void version_retain(struct version *v);
void version_release(struct version *v); /* with the last reference it goes to the builder, to be destroyed */
/* Tells workers that there may be something to do for any of them. */
void engine_wake(vic_engine *engine);
/* Tells a worker that a query has come, one that `computes` alone or one for any worker.  Returns whom to wake when the
 * lock has been given back, by engine_signal(). */
enum wake { WAKE_NOBODY, WAKE_ONE, WAKE_ALL };
enum wake engine_tell(vic_engine *engine, bool computes);
void engine_signal(vic_engine *engine, enum wake wake);
/* Waits for the condition, or until a time of clock_ns(), INT64_MAX = for ever.  Returns false when that has come. */
bool engine_wait(vic_engine *engine, pthread_cond_t *condition, int64_t until);
/* The time `seconds` from now; INT64_MAX where that is too far to tell. */
int64_t engine_time_in(double seconds);

/* ---- Launches (launch.c) ---- */

/* Queries that were taken out of the queue together. */
struct launch {
    vic_endpoint *endpoint;
    struct version *version; /* a reference; NULL = they were not launched */
    struct layout layout;
    vic_tensor tensor[TENSORS]; /* of the first, with its data */
    struct query *first, *last; /* linked by `next` */
    int64_t n;
    bool computing;               /* one of the engine's `computing_launches` */
    int64_t taken;                /* ns */
    int64_t stage_ns[VIC_STAGES]; /* INPUT, COMPUTE, OUTPUT */
    vic_status status;
    vic_error error;
};

/* Under the lock: takes a waiting query out of the queue, as a running one. */
void launch_add(vic_engine *engine, struct launch *l, struct query *query);
/* Under the lock: does what the policy says for this worker.  Returns true with a launch to run, else false: there may be
 * something to answer (l->n > 0, with the status set), or nothing to do before *until. */
bool launch_take(const struct worker *worker, struct launch *l, int64_t *until);
/* Not under the lock: counts, calls the callbacks, and gives all back. */
void launch_answer(vic_engine *engine, struct launch *l);
/* Not under the lock: moves the first query of a launch into another, of its own.  Returns false when there is none. */
bool launch_split(vic_engine *engine, struct launch *l, struct launch *one);
/* Sets *a to the arguments of the launch; room for its queries in `items`. */
void launch_args(const struct launch *l, vic_attention_item *items, vic_attention_args *a);
/* What vic_plan_workspace() is asked for. */
int64_t launch_entries(const struct launch *l);

/* ---- Counts (counts.c) ---- */

/* The smallest b with value <= 2^b, at most `buckets` - 1. */
int count_bucket(uint64_t value, int buckets);
void counts_add_times(struct counts *c, const uint64_t time_ns[VIC_STAGES]);

/* ---- Threads ---- */

void *worker_cpu(void *worker);
void *worker_gpu(void *worker);
vic_status gpu_worker_create(vic_engine *engine, struct gpu_worker **out, vic_error *err);
void gpu_worker_free(struct gpu_worker *w); /* NULL is fine */
void *builder(void *engine);

#endif
