/* SPDX-License-Identifier: Apache-2.0 */
/* vicinal's engine: attention for many callers at once, over patterns that stay in memory.
 *
 *     vic_engine     the threads, or the GPU with its streams, that queries run on
 *     vic_endpoint   a pattern with its plan, and the queue in front of it
 *     vic_submit()   a query: it returns at once, and its callback comes when the answer is there
 *
 * Queries that wait at one endpoint and have the same layout are answered by one launch, whatever their addresses; no
 * query is held back for others to come unless max_delay says so.  A query's bits are those of vic_attention() for it
 * alone.  Queues are bounded: what finds one full is refused at once with BUSY.
 *
 * The rules are those of vicinal.h: words, units, ownership, errors, structs with a size.  Every function may be called
 * from any thread; _free() by one, when no other call on the object is under way.  An engine does not survive fork(): in
 * the child its calls answer FAILED, and _free() frees nothing. */
#ifndef VICINAL_ENGINE_H
#define VICINAL_ENGINE_H

#include "vicinal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Engines ----------------------------------------------------------------------------------------------- */

typedef struct vic_engine vic_engine;

typedef struct vic_engine_options {
    VIC_SIZE_OF(vic_engine_options);
    vic_device device;     /* where attention runs; unknown = the CPU */
    int32_t threads;       /* CPU: that attention runs on; 0 = all that this process may use */
    int32_t build_threads; /* for patterns and plans of new positions, beside running queries; 0 = half of the
                            * threads that this process may use, at least 1 */
    int32_t streams; /* GPU: launches under way at once; 0 = 2.  Long ones of queries whose tensors are all in the
                            * GPU's memory are under way in one stream at a time, whatever this says */
    int32_t reserved_1;
    /* GPU: pinned memory, and of the GPU, for queries whose tensors are not there, shared out over the launches under
     * way (two a stream); 0 = 256 MiB.  Taken when first needed.  A query that is larger than a launch's share is
     * copied without it, alone and more slowly. */
    size_t staging_bytes;
    void (*log)(void *user, const char *line); /* as in vic_context_options, from any thread */
    void *user;
    uint64_t reserved[4];
} vic_engine_options;

/* Starts the threads, and the GPU.  `options` may be NULL. */
VIC_API vic_status vic_engine_create(const vic_engine_options *options, vic_engine **out,
                                     vic_error *err) VIC_CHECK_RESULT;

typedef struct vic_engine_info {
    VIC_SIZE_OF(vic_engine_info);
    vic_device device;
    int32_t threads, build_threads, streams, endpoints;
    int64_t waiting, running; /* queries of all endpoints: in queues, in launches */
    size_t staging_bytes;     /* held at the moment */
    bool draining;
    bool faulted; /* the GPU has failed in a way that only a new process mends: every query is answered FAILED */
    bool reserved_1[6];
    uint64_t reserved[4];
} vic_engine_info;
VIC_API vic_status vic_engine_get(const vic_engine *engine, vic_engine_info *out, vic_error *err) VIC_CHECK_RESULT;

/* From now on every query is refused with BUSY.  Returns when all accepted ones are answered, or with DEADLINE after
 * `seconds`; it may be called again. */
VIC_API vic_status vic_engine_drain(vic_engine *engine, double seconds, vic_error *err) VIC_CHECK_RESULT;

/* Endpoints must be freed before.  NULL is fine. */
VIC_API void vic_engine_free(vic_engine *engine);

/* ---- Endpoints --------------------------------------------------------------------------------------------- */

typedef struct vic_endpoint vic_endpoint;

typedef struct vic_endpoint_options {
    VIC_SIZE_OF(vic_endpoint_options);
    const char *name;             /* in errors and in the log; copied; NULL = "endpoint" */
    const vic_plan_options *plan; /* heads, head size, type, order, bias; its device is the engine's; copied,
                                   * without gradients */
    vic_tensor bias;              /* of plans with VIC_BIAS_DISTANCE: the table of every query, in memory of the CPU;
                                    * copied */
    int32_t max_batch;            /* queries of a launch at most, on the CPU fewer where these keep all threads busy;
                                   * 0 = 64 */
    int32_t max_queue;            /* queries waiting; 0 = 4096 */
    double max_delay;             /* seconds that a query may wait for others to share its launch; 0 = none */
    double timeout;               /* seconds in which a query that brings none must be launched; 0 = no limit */
    uint64_t reserved[4];
} vic_endpoint_options;

/* The endpoint keeps its own reference to the pattern.  Cost: that of vic_plan_create(), on the build threads. */
VIC_API vic_status vic_endpoint_create(vic_engine *engine, const vic_pattern *pattern,
                                       const vic_endpoint_options *options, vic_endpoint **out,
                                       vic_error *err) VIC_CHECK_RESULT;

/* Another pattern, of any size, for all queries submitted after the call has returned; those accepted before keep what
 * they were accepted for.  Plans beside running queries; on failure the endpoint is what it was.  *version (may be
 * NULL) is the number that answers name: 1 at first, and one more with each change; the number of new positions that
 * could not be used is left out. */
VIC_API vic_status vic_endpoint_replace(vic_endpoint *endpoint, const vic_pattern *pattern, uint64_t *version,
                                        vic_error *err) VIC_CHECK_RESULT;

/* The pattern that a query submitted now would be answered with, as a reference of the caller's own; where new positions
 * are accepted and not yet in use it waits for them. */
VIC_API vic_status vic_endpoint_pattern(const vic_endpoint *endpoint, vic_pattern **out,
                                        vic_error *err) VIC_CHECK_RESULT;

/* Where a query's time goes. */
typedef enum vic_stage {
    VIC_STAGE_QUEUE = 0,   /* from submission to the launch that takes it */
    VIC_STAGE_INPUT = 1,   /* copying q, k, v to the GPU */
    VIC_STAGE_COMPUTE = 2, /* the kernel */
    VIC_STAGE_OUTPUT = 3,  /* copying out and lse back */
    VIC_STAGE_TOTAL = 4,   /* from submission to the callback */
    VIC_STAGES = 5
} vic_stage;

enum { VIC_TIME_BUCKETS = 28, VIC_BATCH_BUCKETS = 12 };

/* Bucket b of `time` counts queries that took at most 2^b microseconds and more than half of that; the first those
 * that took less, the last those that took longer.  Bucket b of `batch` counts launches of at most 2^b queries. */
typedef struct vic_endpoint_info {
    VIC_SIZE_OF(vic_endpoint_info);
    uint64_t version; /* the newest in use */
    int64_t n_q, n_k;
    const char *kernel;       /* static */
    size_t bytes;             /* pattern and plan of this version */
    int64_t waiting, running; /* queries */
    int64_t updates_waiting;  /* new positions accepted and not yet in use */
    /* Queries.  `answered` is those with OK, `refused` those that were good and met BUSY.  At any moment `accepted` is
     * the sum of waiting, running, answered, failed, expired and cancelled. */
    uint64_t accepted, answered, failed, expired, cancelled, refused;
    uint64_t launches, updates;
    uint64_t time_ns[VIC_STAGES];                /* sums over answered queries */
    uint64_t time[VIC_STAGES][VIC_TIME_BUCKETS]; /* counts of answered queries */
    uint64_t batch[VIC_BATCH_BUCKETS];           /* counts of launches */
    uint64_t reserved[4];
} vic_endpoint_info;
VIC_API vic_status vic_endpoint_get(const vic_endpoint *endpoint, vic_endpoint_info *out,
                                    vic_error *err) VIC_CHECK_RESULT;

/* Waiting queries are answered CANCELLED, and so are those that callbacks submit meanwhile, by vic_submit() itself;
 * returns when running ones are answered.  NULL is fine. */
VIC_API void vic_endpoint_free(vic_endpoint *endpoint);

/* ---- Queries ----------------------------------------------------------------------------------------------- */

/* What came of a query.  It lives until the callback returns. */
typedef struct vic_answer {
    VIC_SIZE_OF(vic_answer);
    vic_status status; /* OK; DEADLINE, CANCELLED; what failed */
    int32_t batch;     /* queries of the launch that it was in; 0 = it was in none */
    const char *text;  /* why it failed; "" */
    uint64_t version;  /* of the endpoint's pattern that it was answered with; 0 = with none */
    uint64_t time_ns[VIC_STAGES];
    uint64_t reserved[2];
} vic_answer;

typedef void vic_done(void *user, const vic_answer *answer);

/* Tensors as in vic_attention(), without or with a batch dimension (a batch counts as one query of the queue), in
 * memory of the CPU (pinned or not) or, for an engine on a GPU, of that GPU, each by itself.  Those of the GPU must be
 * ready when the query is submitted: work that writes them has been waited for.  They are borrowed until the callback:
 * queries under way may share what they read, but in which order they run is not defined, so that none may have as
 * q, k, v, out or lse what another writes. */
typedef struct vic_query {
    VIC_SIZE_OF(vic_query);
    vic_tensor q, k, v, out, lse; /* lse may be none; all none = only new positions */
    double scale;                 /* as in vic_attention_args */
    bool zero_scale;
    bool reserved_1[7];
    /* New positions for this query and for all that are submitted after it, until others come: the endpoint's pattern
     * is updated (vic_pattern_update()), and this query is answered with the new one.  Queries accepted before it are
     * not held up, those after it wait until the new pattern is there.  Where no pattern can be made of the positions
     * this query is answered with what is wrong, and those after it with the pattern before.  Copied when the query is
     * submitted.  BUSY where 256 of an endpoint wait. */
    vic_tensor positions; /* [n, 3] float32 or float64, in memory of the CPU; none = no change */
    const double *cell;   /* [9]; NULL = no change */
    double timeout;       /* seconds from now in which it must be launched; 0 = the endpoint's */
    vic_done *done;       /* called once, from a thread of the engine or of whoever cancels, drains or frees; it must
                           * not block, and may call vic_submit() */
    void *user;
    uint64_t reserved[4];
} vic_query;

/* Hands a query in.  Where it answers anything but OK, `done` is never called; BUSY: the queue is full, or the engine
 * drains.  *ticket (may be NULL) is for vic_cancel().  Cost: a few microseconds. */
VIC_API vic_status vic_submit(vic_endpoint *endpoint, const vic_query *query, uint64_t *ticket,
                              vic_error *err) VIC_CHECK_RESULT;

/* Takes a query back that has not been launched; its callback comes with CANCELLED before this returns, and true is
 * returned.  false: it is running, or answered, or not a query of this endpoint (which may be NULL).  New positions
 * that it brought stay. */
VIC_API bool vic_cancel(vic_endpoint *endpoint, uint64_t ticket);

/* ---- Memory of a GPU that processes share -------------------------------------------------------------------- */

/* A handle by which another process on this machine opens memory that vic_memory_alloc() gave here; it is CUDA's
 * cudaIpcMemHandle_t. */
typedef struct vic_memory_handle {
    uint8_t bytes[64];
} vic_memory_handle;
VIC_API vic_status vic_memory_export(vic_device device, const void *memory, vic_memory_handle *out,
                                     vic_error *err) VIC_CHECK_RESULT;
/* Opens what another process has exported.  It must not be used after that process has freed it.  `bytes` is checked
 * against the size of the allocation.  Closed by vic_memory_close(). */
VIC_API vic_status vic_memory_open(vic_device device, const vic_memory_handle *handle, size_t bytes, void **out,
                                   vic_error *err) VIC_CHECK_RESULT;
VIC_API void vic_memory_close(vic_device device, void *memory); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
