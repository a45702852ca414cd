/* SPDX-License-Identifier: Apache-2.0 */
/* A request from its first line to the end of its answer, and the connection and the thread that it belongs to.  All
 * that is here is touched by that thread alone, but for what says otherwise. */
#ifndef VICINAL_SERVE_REQUEST_H
#define VICINAL_SERVE_REQUEST_H

#include "jobs.h"
#include "mhd.h"
#include "models.h"
#include "pool.h"
#include "regions.h"

#include "buffer.h"

struct request;

/* A listening socket.  All belong to the first loop, which gives each connection to the loop that has the fewest. */
struct gate {
    int socket;        /* -1: closed */
    bool admin, local; /* the admin port; nobody but this machine gets in */
};

enum { MOST_GATES = 3 };

/* What all threads share. */
struct server {
    const struct serve_options *options;
    struct models models;
    struct region_table *regions;
    struct pool_room room;
    char *token; /* NULL: none is asked for */
    struct loop *loops[MOST_LOOPS];
    int loop_count;
    struct gate gates[MOST_GATES];
    int gate_count;
    bool gates_watched; /* by the first loop: not while there are as many connections as there may be */
    double started;
    double closing_since;  /* set before `closing` */
    _Atomic bool ready;    /* as health says; off when draining begins */
    _Atomic bool closing;  /* answers close their connections, and the first loop its gates */
    _Atomic bool closed;   /* which it has: nobody else gets in */
    _Atomic bool faulted;  /* a GPU has failed: no further 200 */
    _Atomic bool stop;     /* the loops end */
    _Atomic int under_way; /* requests that are being worked on or answered */
    _Atomic int connections;
    _Atomic uint64_t requests, refused; /* answered; of these with an error */
};

enum { CACHE_MOST = 4096 };

struct loop {
    struct server *server;
    struct MHD_Daemon *daemon;
    int epoll, wake;                    /* wake: an eventfd */
    _Atomic(struct request *) done;     /* any thread: requests to go on with, the last first */
    _Atomic(struct arrival *) arrivals; /* likewise, connections */
    _Atomic int connections;
    const struct gate *gate; /* of the connection that is being added */
    struct pool pool;
    struct request *spare;
    struct connection *first;
    double swept;
    pthread_t thread;
};

enum phase { PHASE_IDLE, PHASE_HEAD, PHASE_BODY, PHASE_WORK, PHASE_ANSWER };

struct connection {
    struct connection *next, **at; /* of the loop */
    struct loop *loop;
    const struct gate *gate;
    int descriptor;
    enum phase phase;
    double since; /* when the phase began */
    size_t size;  /* bytes that it may take time for */
    bool gone;    /* the client has closed */
    struct request *request;
    /* The last request's JSON and what it said: clients send the same one over and over. */
    size_t cached_size;
    struct infer_head head;
    char cached[CACHE_MOST];
};

/* One of a request's tensors that was copied, or a region that it uses. */
struct query {
    struct model *model;
    int place; /* engine */
    uint64_t ticket;
    bool submitted;
    const struct infer_head *head;
    struct infer_head own; /* where the connection's cannot be kept */
    vic_query query;
    int64_t batch; /* -1: tensors without that dimension */
    void *copy[INPUTS];
    char *out; /* room for the answer's head, O, LSE */
    struct region *region[INPUTS + OUTPUTS];
    double cell[9];
    /* The answer, written by the engine's thread before the request comes back to its loop. */
    vic_status status;
    uint64_t version;
    int launch;
    uint64_t time_ns[VIC_STAGES];
    char text[400];
};

struct request {
    struct request *next; /* of the loop's done or spare ones */
    struct loop *loop;
    struct connection *connection;
    struct MHD_Connection *mhd;
    const struct route *route;
    uint64_t number;
    double start;
    enum { STAGE_HEAD, STAGE_BODY, STAGE_WORK, STAGE_ANSWERED } stage;
    bool target_bad, target_slash, chunked, asks_first, close, skip_body, counted; /* asks_first: 100-continue */
    /* From the path and the headers; texts as libmicrohttpd keeps them. */
    char name[MOST_NAME + 1];
    bool name_good, version_given, version_good;
    const char *authorization, *origin, *host, *encoding;
    const char *allow;      /* verbs of a path that was asked by another; NULL elsewhere */
    bool browser;           /* sends what only browsers send */
    char id[MOST_NAME + 1]; /* X-Request-Id, "" = none */
    bool has_json_size;
    size_t json_size;   /* Inference-Header-Content-Length */
    size_t body_length; /* Content-Length; SIZE_MAX: chunked */
    /* The body, `body_size` bytes from body + body_skip on. */
    char *body;
    size_t body_skip, body_size, body_most;
    struct refusal why;
    struct query query;
    struct job job; /* of what a route does elsewhere; `result` is what came of it */
    unsigned result;
    struct buffer text; /* of an answer that is text */
};

/* From any thread: the request's work is done, and its loop shall answer. */
void request_done(struct request *r);

static inline const char *request_body(const struct request *r)
{
    return r->body ? r->body + r->body_skip : "";
}

#endif
