/* SPDX-License-Identifier: Apache-2.0 */
/* A small pool of threads.  It is not OpenMP, because ThreadSanitizer cannot see through libgomp, and a library must
 * not load a second OpenMP runtime into a process that has one (torch). */
#ifndef VIC_BASE_THREADS_H
#define VIC_BASE_THREADS_H

#include "base/status.h"

struct pool; /* a NULL pool is the calling thread alone */

enum { POOL_MOST_THREADS = 1024 };

/* Returns how many threads this process may use (its CPU affinity), or VIC_THREADS where that is set; at least 1. */
int threads_available(void);

/* Makes a pool of `threads` threads; 0 = threads_available().  The calling thread is one of them, so 1 starts none.
 * */
vic_status pool_create(int threads, struct pool **out, vic_error *err);
int pool_threads(const struct pool *pool);
/* Returns whether the pool was made in another process, before a fork().  Then its threads do not exist in this one,
 * and it can only be freed. */
bool pool_is_foreign(const struct pool *pool);
void pool_free(struct pool *pool); /* NULL is fine */

/* `task` is in [0, tasks) and `worker` in [0, pool_threads()).  A worker runs one task at a time, so that each may have
 * scratch of its own. */
typedef void pool_task(void *context, int64_t task, int worker);

/* Runs all tasks, which workers take one by one in rising order, and returns when all are done.  Everything that the
 * tasks wrote is visible to the caller.  Tasks round to nearest and know subnormal numbers, whatever the caller has set
 * for itself; its own setting is back afterwards.  Calls from several threads run one after the other; a task must not call
 * pool_run() on its own pool. */
void pool_run(struct pool *pool, int64_t tasks, pool_task *run, void *context);

#endif
