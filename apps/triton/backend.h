/* SPDX-License-Identifier: Apache-2.0 */
/* The objects behind Triton's handles: one backend a process, which has an engine for each device in use; a model, with
 * an endpoint on each device that it has instances on; instances, which are threads of Triton's that hand requests in. */
#ifndef VICINAL_TRITON_BACKEND_H
#define VICINAL_TRITON_BACKEND_H

#include "config.h"

#include <pthread.h>

enum { MOST_DEVICES = 64 };

struct shared_engine {
    vic_device device;
    vic_engine *engine;
    int users; /* endpoints; with the last one the engine goes */
};

struct backend {
    int32_t threads, build_threads, streams; /* of --backend-config=vicinal,threads=4; 0 = the engine's defaults */
    int64_t staging_mb;
    pthread_mutex_t lock; /* guards `engines` */
    struct shared_engine engines[MOST_DEVICES];
};

struct shared_endpoint {
    vic_device device;
    vic_endpoint *endpoint;
    vic_engine *engine;
    int users; /* instances */
};

struct model {
    struct backend *backend;
    char name[256];
    struct config config;
    vic_pattern *pattern;
    int64_t n_q, n_k;
    pthread_mutex_t lock; /* guards `endpoints` */
    struct shared_endpoint endpoints[MOST_DEVICES];
};

struct instance {
    struct model *model;
    struct shared_endpoint *shared;
    vic_device device;
    struct batch *batch; /* memory of its executions (execute.c) */
};

/* Threads for patterns of models that are loaded while others are queried. */
int32_t backend_build_threads(const struct backend *b);

/* The engine of a device, started where it is the first use; each is given back. */
vic_status backend_engine(struct backend *b, vic_device device, vic_engine **out, vic_error *err);
void backend_engine_release(struct backend *b, const vic_engine *engine);

vic_status batch_new(struct batch **out, vic_error *err);
void batch_free(struct batch *b); /* NULL is fine */
/* Answers and releases all requests. */
TRITONSERVER_Error *batch_run(struct batch *b, struct instance *instance, TRITONBACKEND_ModelInstance *handle,
                              TRITONBACKEND_Request **requests, uint32_t count);

#endif
