/* SPDX-License-Identifier: Apache-2.0 */
/* Load on a server of the Open Inference Protocol, for a time.
 *
 * Closed loop: each connection has one request under way, and sends the next one when the answer is there.  Open loop:
 * requests are due at times that do not depend on answers, and each waits for a free connection; its latency counts
 * from when it was due, so that a server that stands still is charged with all who would have come meanwhile. */
#ifndef VICINAL_CLI_LOAD_H
#define VICINAL_CLI_LOAD_H

#include "histogram.h"
#include "load/http.h"

enum { LOAD_CODES = 600 };

struct load_options {
    const struct http_server *server;
    const struct http_parts *requests; /* [connections] */
    int connections, threads;
    double rate;      /* requests a second of the open loop; 0 = closed loop */
    bool random_gaps; /* the time between two that are due: exponential, instead of always the same */
    uint64_t seed;    /* of these */
    double warm_up, seconds;
    double timeout; /* seconds that an answer may take; also how long the last ones are waited for at the end */
    int pid;        /* of the server, for its processor time; 0 = not known */

    /* Whether an answer with status 200 is right; called from the thread that has the connection for its first answer
     * and then for every check_every-th. */
    bool (*right)(void *user, int connection, const char *body, const struct http_head *head);
    void *user;
    int check_every;
};

struct load_result {
    double seconds;              /* that were measured, behind the warm-up */
    struct histogram latency;    /* of answers with status 200: from when they were due, or sent in a closed loop */
    struct histogram service;    /* of the same, from when they were sent */
    struct histogram refusals;   /* of answers with status 503, from when they were sent */
    int64_t codes[LOAD_CODES];   /* answers by status */
    int64_t *each_second;        /* [whole_seconds] answers with status 200 that came in it */
    int64_t whole_seconds, done; /* done: those that came while it was measured */
    int64_t due;                 /* requests that were due, or sent in a closed loop, while it was measured */
    int64_t unsent;              /* of these: for which no connection was free before the end */
    int64_t lost, late, refused; /* connections that broke under a request, answers that took longer than timeout,
                                  * connections that could not be made */
    int64_t wrong;               /* answers that are no HTTP/1.1 with a length */
    int64_t checked, different;
    double own_cpu;                /* seconds of processor time of this process */
    double server_cpu;             /* of the server; NaN = not known */
    int64_t rss_before, rss_after; /* of the server, bytes; 0 = not known */
};

/* FAILED: no connection at all could be made.  Free the result by load_free(), also after a failure. */
vic_status load_run(const struct load_options *o, struct load_result *out, vic_error *err);
void load_free(struct load_result *r);

/* Processor time and memory of another process; false where /proc has no such. */
bool process_look(int pid, double *cpu_seconds, int64_t *rss_bytes);

#endif
