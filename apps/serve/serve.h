/* SPDX-License-Identifier: Apache-2.0 */
/* `vicinal serve`: the Open Inference Protocol with Triton's extensions over HTTP/1.1 (docs/protocol.md).  The command
 * says where models come from; this folder knows nothing of its options. */
#ifndef VICINAL_SERVE_H
#define VICINAL_SERVE_H

#include "limits.h"
#include "vicinal_engine.h"

/* What a model is to be made of. */
struct serve_want {
    const char *name;
    /* Of a client that loads; NULL = as on the command line, or in the file DIR/NAME.json. */
    const char *settings;  /* a JSON object: names of options and their values */
    const char *structure; /* path of the bytes that it sent */
    bool from_client;      /* then settings must not name files */
};

/* What it is.  All of it belongs to the builder, and lives until close(). */
struct serve_built {
    vic_pattern *pattern;
    vic_plan_options plan;
    vic_tensor bias;
    double scale;
    int max_batch; /* 0: tensors have no batch dimension in the model's description */
    void *inside;
};

struct serve_gpu {
    char uuid[96];
    double utilization, power_watt;
    uint64_t memory_used, memory_total;
};

/* Where models come from. */
struct serve_source {
    void *user;
    /* Called from one thread at a time.  CANNOT_READ: there is no such model. */
    vic_status (*build)(void *user, const struct serve_want *want, struct serve_built *out, vic_error *err);
    void (*close)(void *user, struct serve_built *built);
    /* Calls `each` with the name of every model there is to load; at most MOST_MODELS. */
    void (*list)(void *user, void (*each)(void *to, const char *name), void *to);
    /* A GPU's use at the moment; false where nothing is known. */
    bool (*watch_gpu)(void *user, vic_device device, struct serve_gpu *out);
};

struct serve_options {
    const char *host, *unix_path, *token_file; /* NULL: none */
    int port, admin_port;                      /* admin_port -1: none of its own; port -1: no TCP; 0: any free one */
    bool no_admin, client_shm, cuda_shm, log_requests;
    double drain_delay, drain_timeout, timeout, idle_timeout; /* seconds */
    int64_t max_body, memory;                                 /* bytes */
    int queue, connections, loops;                            /* loops: threads that speak HTTP, 1 or more */
    int threads, build_threads, max_launch;                   /* of the engine; 0: its defaults */
    double max_delay;
    vic_device devices[MOST_DEVICES];
    int device_count;
    struct serve_source source;
};

/* Serves until SIGTERM or SIGINT.  OK: all that was accepted was answered. */
vic_status serve(const struct serve_options *options, vic_error *err);

/* What a supervisor is told when a GPU has failed. */
enum { SERVE_EXIT_FAULT = 70 };

#endif
