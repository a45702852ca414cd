/* SPDX-License-Identifier: Apache-2.0 */
/* One thread of a load, with its share of the connections: load_worker.c runs it, load.c starts and sums them. */
#ifndef VICINAL_CLI_LOAD_WORKER_H
#define VICINAL_CLI_LOAD_WORKER_H

#include "load/load.h"

struct connection;

struct load_worker {
    const struct load_options *o;
    struct load_result r; /* its own share */
    struct connection *connections;
    int count, lost;
    int *idle, idles; /* a stack of connections, of the open loop */
    int epoll, timer;
    uint64_t begin, end, give_up; /* what is measured, and when answers are waited for no longer */
    uint64_t next_due, retry, looked;
    double gap; /* between two that are due, ns */
    uint64_t random;
};

uint64_t load_now(void); /* ns, monotonic */

/* `w` has its options, and is zeroed beside `epoll` and `timer`, which are -1.  Connections are opened; close() takes
 * what there is. */
vic_status load_worker_open(struct load_worker *w, int first, int count, vic_error *err);
void *load_worker_run(void *worker); /* of a thread: until the end, and until the last answers have come */
void load_worker_close(struct load_worker *w);

#endif
