/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "progress.h"

#include "text.h"

#include <pthread.h>
#include <time.h>

/* One line for the process, since there is one stderr. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t ticker;
    bool running, stop, shown;
    const char *phase;
    double since;
} progress = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };

static void *tick(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&progress.lock);
    while (!progress.stop) {
        struct timespec until;
        double elapsed = seconds_now() - progress.since;
        if (elapsed >= 1.0) {
            fprintf(stderr, "\r\033[K%s ... %.0f s", progress.phase, elapsed);
            fflush(stderr);
            progress.shown = true;
        }
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 250000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&progress.wake, &progress.lock, &until);
    }
    pthread_mutex_unlock(&progress.lock);
    return NULL;
}

void progress_phase(const char *phase)
{
    if (!stream_is_terminal(stderr)) return;
    pthread_mutex_lock(&progress.lock);
    progress.phase = phase;
    progress.since = seconds_now();
    if (!progress.running) {
        progress.stop = false;
        /* Without the thread there is no line, and nothing else is lost. */
        progress.running = pthread_create(&progress.ticker, NULL, tick, NULL) == 0;
    }
    pthread_mutex_unlock(&progress.lock);
}

void progress_end(void)
{
    if (!progress.running) return;
    pthread_mutex_lock(&progress.lock);
    progress.stop = true;
    pthread_cond_signal(&progress.wake);
    pthread_mutex_unlock(&progress.lock);
    pthread_join(progress.ticker, NULL);
    progress.running = false;
    if (progress.shown) fputs("\r\033[K", stderr);
    progress.shown = false;
}
