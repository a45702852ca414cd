/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/threads.h"

#include "base/memory.h"
#include "base/switches.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct worker {
    struct pool *pool;
    int index;
    pthread_t thread;
};

struct pool {
    int threads;
    unsigned forks; /* how many this process had behind it when the pool was made */
    int started;    /* workers 1 .. started run; worker 0 is the caller of pool_run() */
    struct worker *workers;
    pthread_mutex_t one_run; /* held by pool_run(), so that one runs at a time */
    pthread_mutex_t lock;    /* guards the members below */
    pthread_cond_t work, idle;
    uint64_t generation; /* counts calls of pool_run(), so that a worker recognises a new one */
    int busy;
    bool stop;
    pool_task *run;
    void *context;
    int64_t tasks;
    _Atomic int64_t next;
};

int threads_available(void)
{
    int wanted = switch_int(SWITCH_THREADS, 0);
    cpu_set_t set;
    if (wanted > 0) return wanted < POOL_MOST_THREADS ? wanted : POOL_MOST_THREADS;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        int count = CPU_COUNT(&set);
        if (count > 0) return count < POOL_MOST_THREADS ? count : POOL_MOST_THREADS;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > POOL_MOST_THREADS ? POOL_MOST_THREADS : (int)online;
}

/* How floating-point numbers are rounded, and whether subnormal ones count: as C has it, whatever the caller has set.
 * XLA, torch.set_flush_denormal() and -ffast-math switch subnormals off, and float16 goes through them. */
#if defined(__x86_64__)
typedef unsigned modes;
enum { DEFAULT_MODES = 0x1f80 };

static modes modes_get(void)
{
    return __builtin_ia32_stmxcsr();
}

static void modes_set(modes m)
{
    __builtin_ia32_ldmxcsr(m);
}
#elif defined(__aarch64__) && defined(__GNUC__) && !defined(__clang__)
typedef unsigned modes;
enum { DEFAULT_MODES = 0 };

static modes modes_get(void)
{
    return __builtin_aarch64_get_fpcr();
}

static void modes_set(modes m)
{
    __builtin_aarch64_set_fpcr(m);
}
#else
typedef int modes;
enum { DEFAULT_MODES = 0 };

static modes modes_get(void)
{
    return 0;
}

static void modes_set(modes m)
{
    (void)m;
}
#endif

static void take_tasks(struct pool *pool, int worker)
{
    for (;;) {
        int64_t task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (task >= pool->tasks) return;
        pool->run(pool->context, task, worker);
    }
}

static void *worker_main(void *argument)
{
    struct worker *self = argument;
    struct pool *pool = self->pool;
    uint64_t seen = 0;
    modes_set(DEFAULT_MODES); /* the thread begins with those of the one that made it */
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->stop && pool->generation == seen) pthread_cond_wait(&pool->work, &pool->lock);
        if (pool->stop) break;
        seen = pool->generation;
        pthread_mutex_unlock(&pool->lock);
        take_tasks(pool, self->index);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0) pthread_cond_signal(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Counts the forks that lead to this process, so that every call can tell a pool of another one without asking the
 * system for its number. */
static _Atomic unsigned forks;
static int fork_code;

static void count_fork(void)
{
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
    fork_code = pthread_atfork(NULL, NULL, count_fork);
}

vic_status pool_create(int threads, struct pool **out, vic_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    vic_status st = VIC_OK;
    struct pool *pool = NULL;
    *out = NULL;
    pthread_once(&once, watch_forks);
    if (fork_code) return vic_fail(err, VIC_NO_MEMORY, "out of memory: watching for fork()");
    if (threads < 0 || threads > POOL_MOST_THREADS)
        return vic_fail(err, VIC_BAD_ARGUMENT, "threads: expected 0 (all) to %d, got %d", POOL_MOST_THREADS, threads);
    TRY(switch_check(SWITCH_LOG, err));
    if (threads == 0) {
        TRY(switch_check(SWITCH_THREADS, err));
        threads = threads_available();
    }
    TRY(mem_array_zero(1, sizeof *pool, "thread pool", &pool, err));
    pool->threads = threads;
    pool->forks = atomic_load_explicit(&forks, memory_order_relaxed);
    atomic_init(&pool->next, 0);
    pthread_mutex_init(&pool->one_run, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->idle, NULL);
    TRY_GOTO(mem_array_zero((size_t)threads, sizeof *pool->workers, "workers", &pool->workers, err), fail);
    for (int i = 1; i < threads; i++) {
        struct worker *w = &pool->workers[i];
        w->pool = pool;
        w->index = i;
        int code = pthread_create(&w->thread, NULL, worker_main, w);
        if (code != 0) {
            st = vic_fail(err, VIC_FAILED, "cannot start thread %d of %d: %s; use fewer threads", i + 1, threads,
                          strerror(code));
            goto fail;
        }
        pool->started = i;
    }
    *out = pool;
    return VIC_OK;
fail:
    pool_free(pool);
    return st;
}

int pool_threads(const struct pool *pool)
{
    return pool ? pool->threads : 1;
}

bool pool_is_foreign(const struct pool *pool)
{
    return pool && pool->forks != atomic_load_explicit(&forks, memory_order_relaxed);
}

void pool_free(struct pool *pool)
{
    if (!pool || pool_is_foreign(pool)) return; /* after fork() its mutexes may be locked for ever */
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i <= pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->one_run);
    free(pool->workers);
    free(pool);
}

static void run_alone(int64_t tasks, pool_task *run, void *context)
{
    for (int64_t task = 0; task < tasks; task++) run(context, task, 0);
}

static void run_shared(struct pool *pool, int64_t tasks, pool_task *run, void *context)
{
    pthread_mutex_lock(&pool->lock);
    pool->run = run;
    pool->context = context;
    pool->tasks = tasks;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    pool->busy = pool->started;
    pool->generation++;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    take_tasks(pool, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->busy > 0) pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void pool_run(struct pool *pool, int64_t tasks, pool_task *run, void *context)
{
    const modes callers = modes_get();
    modes_set(DEFAULT_MODES);
    if (pool) pthread_mutex_lock(&pool->one_run);
    if (pool && pool->started > 0 && tasks > 1)
        run_shared(pool, tasks, run, context);
    else
        run_alone(tasks, run, context);
    if (pool) pthread_mutex_unlock(&pool->one_run);
    modes_set(callers);
}
