/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "jobs.h"

#include <pthread.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    struct job *first, **last;
    bool running, stop;
} jobs = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };

static void *work(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&jobs.lock);
    while (jobs.first || !jobs.stop) {
        struct job *job = jobs.first;
        if (!job) {
            pthread_cond_wait(&jobs.wake, &jobs.lock);
            continue;
        }
        jobs.first = job->next;
        if (!jobs.first) jobs.last = &jobs.first;
        pthread_mutex_unlock(&jobs.lock);
        job->run(job);
        pthread_mutex_lock(&jobs.lock);
    }
    pthread_mutex_unlock(&jobs.lock);
    return NULL;
}

vic_status jobs_start(vic_error *err)
{
    jobs.first = NULL;
    jobs.last = &jobs.first;
    jobs.stop = false;
    if (pthread_create(&jobs.thread, NULL, work, NULL) != 0)
        return fail(err, VIC_NO_MEMORY, "no thread for loading models could be started");
    jobs.running = true;
    return VIC_OK;
}

void jobs_add(struct job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&jobs.lock);
    *jobs.last = job;
    jobs.last = &job->next;
    pthread_cond_signal(&jobs.wake);
    pthread_mutex_unlock(&jobs.lock);
}

void jobs_stop(void)
{
    if (!jobs.running) return;
    pthread_mutex_lock(&jobs.lock);
    jobs.stop = true;
    pthread_cond_signal(&jobs.wake);
    pthread_mutex_unlock(&jobs.lock);
    pthread_join(jobs.thread, NULL);
    jobs.running = false;
}
