/* SPDX-License-Identifier: Apache-2.0 */
/* A small pool of threads.  Our own and not OpenMP: ThreadSanitizer cannot see through libgomp, and a library must
 * not bring a second OpenMP runtime into a process that has one (torch). */
#ifndef VIC_BASE_THREADS_H
#define VIC_BASE_THREADS_H

#include "base/status.h"

struct pool; /* NULL is one, too: the calling thread alone */

/* What this process may use (its CPU affinity), or VIC_THREADS where that is set; at least 1. */
int threads_available(void);

/* `threads` 0 = threads_available().  The calling thread counts as one of them, so 1 starts none. */
vic_status pool_create(int threads, struct pool **out, vic_error *err);
int pool_threads(const struct pool *pool);
/* Was it made in another process, before a fork()?  Then its threads are not here, and it can only be freed. */
bool pool_is_foreign(const struct pool *pool);
void pool_free(struct pool *pool); /* NULL is fine */

/* task in [0, tasks); worker in [0, pool_threads()): one worker runs one task at a time, so it may own scratch. */
typedef void pool_task(void *context, int64_t task, int worker);

/* Run all tasks, handed out one by one in rising order, and return when all are done.  Everything the tasks wrote is
 * visible to the caller.  Calls from several threads take turns; a task must not call pool_run() on its own pool. */
void pool_run(struct pool *pool, int64_t tasks, pool_task *run, void *context);

#endif
