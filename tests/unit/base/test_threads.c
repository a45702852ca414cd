/* SPDX-License-Identifier: Apache-2.0 */
/* Plain (not atomic) writes throughout, so that ThreadSanitizer sees whether the pool orders them. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include "base/clock.h"
#include "base/threads.h"

#include <fenv.h>
#include <pthread.h>

enum { TASKS = 1000, MOST_THREADS = 8 };

struct job {
    int done[TASKS];            /* how often each task ran */
    int64_t sums[MOST_THREADS]; /* each worker's own */
    int workers;
};

static void one_task(void *context, int64_t task, int worker)
{
    struct job *job = context;
    job->done[task]++;
    if (worker >= 0 && worker < job->workers) job->sums[worker] += task + 1;
}

static void run_and_check(struct pool *pool, int64_t tasks)
{
    struct job job = { .workers = pool_threads(pool) };
    int64_t sum = 0;
    pool_run(pool, tasks, one_task, &job);
    for (int i = 0; i < TASKS; i++) assert_int_equal(job.done[i], i < tasks);
    for (int i = 0; i < MOST_THREADS; i++) sum += job.sums[i];
    assert_int_equal(sum, tasks * (tasks + 1) / 2);
}

static void test_every_task_runs_once(void **state)
{
    vic_error err;
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        struct pool *pool;
        CHECK_OK(pool_create(threads, &pool, &err));
        assert_int_equal(pool_threads(pool), threads);
        for (int64_t tasks = 0; tasks <= TASKS; tasks = tasks * 3 + 1) run_and_check(pool, tasks);
        for (int repeat = 0; repeat < 100; repeat++) run_and_check(pool, 5);
        pool_free(pool);
    }
}

struct caller {
    struct pool *shared;
    const char *complaint;
    pthread_t thread;
};

static void inner_task(void *context, int64_t task, int worker)
{
    (void)worker;
    ((int64_t *)context)[task] = task;
}

/* A task that runs a pool of its own. */
static void nested_task(void *context, int64_t task, int worker)
{
    struct pool *own;
    int64_t inner[20];
    (void)worker;
    memset(inner, 0xff, sizeof inner);
    if (pool_create(2, &own, NULL) != VIC_OK) return;
    pool_run(own, 20, inner_task, inner);
    pool_free(own);
    for (int i = 0; i < 20; i++)
        if (inner[i] != i) return;
    ((struct job *)context)->done[task]++;
}

static void *call_often(void *argument)
{
    struct caller *caller = argument;
    for (int repeat = 0; repeat < 20; repeat++) {
        struct job job = { .workers = 0 };
        pool_run(caller->shared, 200, one_task, &job);
        for (int i = 0; i < TASKS; i++)
            if (job.done[i] != (i < 200)) caller->complaint = "a task did not run once";
        pool_run(caller->shared, 3, nested_task, &job);
        for (int i = 0; i < 3; i++)
            if (job.done[i] != 2) caller->complaint = "a nested pool failed";
    }
    return NULL;
}

static void test_callers_take_turns(void **state)
{
    struct caller callers[4];
    struct pool *pool;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(3, &pool, &err));
    for (int i = 0; i < 4; i++) {
        callers[i] = (struct caller){ .shared = pool };
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(callers[i].thread, NULL);
        CHECK(callers[i].complaint == NULL, "caller %d: %s", i, callers[i].complaint);
    }
    pool_free(pool);
}

/* Whether 1 / 3 is rounded to nearest, and whether subnormal operands and results are there. */
static bool modes_are_defaults(void)
{
    volatile float one = 1.0f, three = 3.0f, tiny = 0x1p-130f, small = 0x1p-100f;
    return one / three == 0x1.555556p-2f && -one / three == -0x1.555556p-2f && tiny * 0x1p100f > 0.0f &&
           small * 0x1p-40f > 0.0f;
}

static void modes_task(void *context, int64_t task, int worker)
{
    (void)worker;
    ((bool *)context)[task] = modes_are_defaults();
}

/* A float16 value below 2^-14 once counted on some threads and not on others: XLA calls with subnormals switched off. */
static void test_modes_of_the_caller_do_not_matter(void **state)
{
    enum { MODES_TASKS = 200 };
    const int before = fegetround();
    struct pool *made_before, *made_then;
    vic_error err;
    (void)state;
    assert_true(modes_are_defaults());
    CHECK_OK(pool_create(3, &made_before, &err));
    fesetround(FE_DOWNWARD);
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040); /* results and operands that are subnormal are 0 */
#endif
    CHECK_OK(pool_create(3, &made_then, &err));
    struct pool *pools[] = { NULL, made_before, made_then };
    for (int i = 0; i < 3; i++) {
        bool good[MODES_TASKS] = { false };
        pool_run(pools[i], MODES_TASKS, modes_task, good);
        for (int task = 0; task < MODES_TASKS; task++) CHECK(good[task], "pool %d, task %d", i, task);
        assert_false(modes_are_defaults());
        assert_int_equal(fegetround(), FE_DOWNWARD);
    }
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() & ~0x8040u);
#endif
    fesetround(before);
    pool_free(made_before);
    pool_free(made_then);
}

static void test_number_of_threads(void **state)
{
    struct pool *pool = (struct pool *)1;
    vic_error err;
    (void)state;
    CHECK_FAILS(pool_create(-1, &pool, &err), VIC_BAD_ARGUMENT, "got -1");
    assert_null(pool);
    CHECK_FAILS(pool_create(1025, &pool, &err), VIC_BAD_ARGUMENT, "got 1025");
    setenv("VIC_THREADS", "3", 1);
    assert_int_equal(threads_available(), 3);
    CHECK_OK(pool_create(0, &pool, &err));
    assert_int_equal(pool_threads(pool), 3);
    pool_free(pool);
    setenv("VIC_THREADS", "0", 1); /* as unset */
    assert_true(threads_available() >= 1);
    setenv("VIC_THREADS", "100000", 1);
    assert_int_equal(threads_available(), 1024);
    unsetenv("VIC_THREADS");
    assert_true(threads_available() >= 1);
    pool_free(NULL);
}

static void test_clock_does_not_run_back(void **state)
{
    double last = clock_seconds();
    (void)state;
    for (int i = 0; i < 10000; i++) {
        double now = clock_seconds();
        assert_true(now >= last);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_runs_once),
        cmocka_unit_test(test_callers_take_turns),
        cmocka_unit_test(test_modes_of_the_caller_do_not_matter),
        cmocka_unit_test(test_number_of_threads),
        cmocka_unit_test(test_clock_does_not_run_back),
    };
    return cmocka_run_group_tests_name("unit_base_threads", tests, NULL, NULL);
}
