/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "parallel.h"

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

enum { MOST = 64 };

struct part {
    parallel_part *function;
    void *context;
    int64_t first, last;
};

static void *run_part(void *argument)
{
    struct part *p = argument;
    p->function(p->context, p->first, p->last);
    return NULL;
}

void parallel_for(int threads, int64_t n, parallel_part *part, void *context)
{
    pthread_t ids[MOST];
    struct part parts[MOST];
    bool started[MOST];
    if (threads <= 0) threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (threads > MOST) threads = MOST;
    if (threads > n) threads = (int)n;
    if (threads <= 1) {
        if (n > 0) part(context, 0, n);
        return;
    }
    for (int t = 0; t < threads; t++) {
        parts[t] = (struct part){ part, context, n * t / threads, n * (t + 1) / threads };
        started[t] = t > 0 && pthread_create(&ids[t], NULL, run_part, &parts[t]) == 0;
    }
    /* What found no thread is done here. */
    for (int t = 0; t < threads; t++)
        if (!started[t]) run_part(&parts[t]);
    for (int t = 0; t < threads; t++)
        if (started[t]) pthread_join(ids[t], NULL);
}
