/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns by number (python/glue/registry.c): numbers whose pattern is gone, threads that make, use, update and drop the
 * same ones, fork() in the middle.  What ThreadSanitizer and AddressSanitizer say of it is half of the test. */
#include "glue/glue.h"
#include "objects.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 40, HEADS = 2, DIM = 8, MOST = 2 * N * HEADS * DIM, PLACES = 3, THREADS = 5, ROUNDS = 120, FORKS = 20 };

static float ones[MOST];

static vic_points points_in_a_box(double *at, uint64_t *seed)
{
    for (int i = 0; i < 3 * N; i++) at[i] = 8.0 * random_uniform(seed);
    return points_at(N, at, NULL);
}

static int64_t made(uint64_t *seed)
{
    double at[3 * N];
    const vic_points points = points_in_a_box(at, seed);
    vic_pattern *p;
    return vic_pattern_cutoff(NULL, &points, NULL, 3.0, NULL, &p, NULL) ? 0 : vicpy_keep(p);
}

static vic_status updated(int64_t number, uint64_t *seed, vic_error *err)
{
    double at[3 * N];
    const vic_points points = points_in_a_box(at, seed);
    return vicpy_update(number, &points, NULL, err);
}

/* Each point is a pair of itself, so that whatever the pattern, values of 1 give 1. */
static vic_status attended(int64_t number, int64_t batch, int heads, bool *right, vic_error *err)
{
    float out[MOST] = { 0 };
    vic_attention_args a = VIC_INIT(vic_attention_args);
    a.q = a.k = a.v = tensor_of(ones, VIC_F32, 4, (const int64_t[]){ batch, N, heads, DIM });
    a.out = tensor_of(out, VIC_F32, 4, a.q.shape);
    vic_status st = vicpy_attention(number, &a, heads > 1, err);
    *right = true;
    for (int64_t i = 0; !st && i < batch * N * heads * DIM; i++) *right = *right && fabsf(out[i] - 1.0F) < 1e-5F;
    return st;
}

/* Values of 1 have no gradient by the weights, whatever the pairs; each query's weights are 1 in all, and so are the columns
 * of dv, if the pattern was not updated meanwhile. */
static vic_status differentiated(int64_t number, int heads, bool same_pairs, bool *right, vic_error *err)
{
    float out[MOST] = { 0 }, lse[N * HEADS] = { 0 }, dq[MOST], dv[MOST];
    vic_attention_args a = VIC_INIT(vic_attention_args);
    vic_attention_backward_args b = VIC_INIT(vic_attention_backward_args);
    a.q = a.k = a.v = tensor_of(ones, VIC_F32, 3, (const int64_t[]){ N, heads, DIM });
    a.out = tensor_of(out, VIC_F32, 3, a.q.shape);
    a.lse = tensor_of(lse, VIC_F32, 2, a.q.shape);
    *right = true;
    vic_status st = vicpy_attention(number, &a, false, err);
    if (st) return st;
    b.q = b.k = b.v = b.dout = a.q;
    b.out = a.out;
    b.lse = a.lse;
    b.dq = tensor_of(dq, VIC_F32, 3, a.q.shape);
    b.dv = tensor_of(dv, VIC_F32, 3, a.q.shape);
    st = vicpy_attention_backward(number, &b, false, err);
    for (int column = 0; !st && column < heads * DIM; column++) {
        double sum = 0.0;
        for (int i = 0; i < N; i++) {
            *right = *right && fabsf(dq[i * heads * DIM + column]) < 1e-4F;
            sum += dv[i * heads * DIM + column];
        }
        *right = *right && (!same_pairs || fabs(sum - N) < 1e-3 * N);
    }
    return st;
}

static void numbers_whose_pattern_is_gone(void **state)
{
    uint64_t seed = 1;
    vic_error err;
    bool right;
    (void)state;
    int64_t first = made(&seed), second = made(&seed);
    assert_true(first > 0 && second > 0 && first != second);
    CHECK_OK(vicpy_hold(first, &err));
    vicpy_drop(first);
    CHECK_OK(attended(first, 2, 1, &right, &err));
    assert_true(right);
    vicpy_drop(first);
    int64_t third = made(&seed); /* in the place of the first */
    assert_true(third > 0 && third != first && third != second);
    assert_null(vicpy_pattern(first));
    for (int i = 0; i < 4; i++) {
        const int64_t wrong[] = { first, 0, -1, INT64_MAX };
        CHECK_FAILS(attended(wrong[i], 1, 1, &right, &err), VIC_BAD_ARGUMENT, "is gone");
        CHECK_FAILS(differentiated(wrong[i], 1, true, &right, &err), VIC_BAD_ARGUMENT, "is gone");
        CHECK_FAILS(updated(wrong[i], &seed, &err), VIC_BAD_ARGUMENT, "is gone");
        CHECK_FAILS(vicpy_hold(wrong[i], &err), VIC_BAD_ARGUMENT, "is gone");
        vicpy_drop(wrong[i]);
    }
    CHECK_OK(attended(third, 0, 2, &right, &err)); /* a batch of none */
    CHECK_OK(attended(third, 1, 2, &right, &err));
    assert_true(right);
    vicpy_drop(second);
    vicpy_drop(third);
}

/* The plan of tensors like `a`, as an address to compare, and what it is like. */
static const struct planned *plan_of(int64_t number, const vic_attention_args *a, vic_plan_info *info)
{
    const vic_plan_options o = { .size = sizeof o,
                                 .dtype = VIC_F32,
                                 .out_dtype = VIC_F32,
                                 .device = { VIC_CPU, 0 },
                                 .heads = 1,
                                 .kv_heads = 1,
                                 .head_dim = DIM,
                                 .head_dim_v = DIM };
    struct planned *plan;
    *info = (vic_plan_info)VIC_INIT(vic_plan_info);
    assert_int_equal(plan_take(number, a, false, &plan, NULL), VIC_OK);
    plan_give(plan);
    assert_int_equal(vicpy_plan_get(number, &o, info, NULL), VIC_OK);
    return plan;
}

/* Without gradients nothing is made for them; with them one plan does for both. */
static void plans_with_gradients(void **state)
{
    uint64_t seed = 4;
    vic_error err;
    vic_plan_info info;
    struct planned *held, *with;
    bool right;
    vic_attention_args a = VIC_INIT(vic_attention_args);
    (void)state;
    const int64_t number = made(&seed);
    a.q = a.k = a.v = a.out = tensor_of(ones, VIC_F32, 3, (const int64_t[]){ N, 1, DIM });
    const struct planned *without = plan_of(number, &a, &info);
    const size_t bytes = info.bytes;
    assert_null(info.backward_kernel);
    assert_int_equal(plan_take(number, &a, false, &held, NULL), VIC_OK);
    assert_ptr_equal(held, without);
    CHECK_OK(differentiated(number, 1, true, &right, &err));
    assert_true(right);
    assert_int_equal(plan_take(number, &a, false, &with, NULL), VIC_OK);
    assert_ptr_not_equal(with, held); /* which is in use still */
    assert_ptr_equal(plan_of(number, &a, &info), with);
    assert_non_null(info.backward_kernel);
    assert_true(info.bytes > bytes);
    plan_give(with);
    plan_give(held);
    CHECK_OK(updated(number, &seed, &err));
    (void)plan_of(number, &a, &info);
    assert_null(info.backward_kernel);
    CHECK_OK(differentiated(number, 2, true, &right, &err)); /* no attention before */
    assert_true(right);
    vicpy_drop(number);
}

static struct {
    _Atomic int64_t numbers[PLACES];
    atomic_int right, gone, wrong;
} shared;

static int released;

static void release(void *owner)
{
    released += *(const int *)owner;
}

/* Scratch that stays with a plan is of one stream and of one call at a time, and goes with the plan. */
static void scratch_of_a_plan(void **state)
{
    uint64_t seed = 3;
    char memory[2];
    int stream[2], one = 1, ten = 10;
    struct planned *plan;
    vic_attention_args a = VIC_INIT(vic_attention_args);
    (void)state;
    const int64_t number = made(&seed);
    a.q = a.k = a.v = a.out = tensor_of(ones, VIC_F32, 3, (const int64_t[]){ N, 1, DIM });
    assert_int_equal(plan_take(number, &a, false, &plan, NULL), VIC_OK);
    assert_null(planned_scratch(plan, stream, 8));
    assert_true(planned_keep_scratch(plan, stream, memory, 8, &one, release));
    assert_null(planned_scratch(plan, stream, 8)); /* in use */
    assert_false(planned_keep_scratch(plan, stream, memory + 1, 16, &ten, release));
    planned_scratch_back(plan);
    assert_ptr_equal(planned_scratch(plan, stream, 7), memory);
    planned_scratch_back(plan);
    assert_null(planned_scratch(plan, stream, 9));
    assert_null(planned_scratch(plan, stream + 1, 8));
    assert_false(planned_keep_scratch(plan, stream + 1, memory + 1, 8, &ten, release));
    assert_true(planned_keep_scratch(plan, stream, memory + 1, 16, &ten, release)); /* grows */
    assert_int_equal(released, 1);
    planned_scratch_back(plan);
    plan_give(plan);
    vicpy_drop(number);
    assert_int_equal(released, 11);
}

static void *crowd(void *argument)
{
    uint64_t seed = 10 + (uint64_t)(uintptr_t)argument;
    for (int round = 0; round < ROUNDS; round++) {
        const int place = (int)(random_uniform(&seed) * PLACES), what = (int)(random_uniform(&seed) * 10);
        const int64_t number = atomic_load(&shared.numbers[place]);
        vic_error err = { 0 };
        vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM };
        vic_plan_info info = VIC_INIT(vic_plan_info);
        vic_status st;
        bool right = true;
        if (what == 0) {
            vicpy_drop(atomic_exchange(&shared.numbers[place], made(&seed)));
            continue;
        }
        if (what == 1)
            st = updated(number, &seed, &err);
        else if (what == 2)
            st = vicpy_plan_get(number, &o, &info, &err);
        else if (what == 3 && (st = vicpy_hold(number, &err)) == VIC_OK)
            vicpy_drop(number);
        else if (what < 6)
            st = differentiated(number, 1 + round % HEADS, false, &right, &err);
        else
            st = attended(number, 1 + (int)(random_uniform(&seed) * 2), 1 + round % HEADS, &right, &err);
        if (st && !strstr(err.text, "is gone")) print_message("%s\n", err.text);
        atomic_fetch_add(!st && right                        ? &shared.right
                         : st && strstr(err.text, "is gone") ? &shared.gone
                                                             : &shared.wrong,
                         1);
    }
    return NULL;
}

static void threads_and_forks(void **state)
{
    pthread_t threads[THREADS];
    uint64_t seed = 2;
    (void)state;
    for (int i = 0; i < PLACES; i++) shared.numbers[i] = made(&seed);
    for (uintptr_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, crowd, (void *)i), 0);
    /* The sanitizers' own locks do not survive fork() in a process with threads. */
    for (int i = 0; i < FORKS && !SANITIZED; i++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0) {
            bool right;
            int64_t own = made(&seed);
            _exit(attended(own, 1, 1, &right, NULL) || !right || differentiated(own, 1, true, &right, NULL) ||
                  !right);
        }
        assert_true(child > 0 && waitpid(child, &status, 0) == child);
        assert_int_equal(status, 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < PLACES; i++) vicpy_drop(shared.numbers[i]);
    assert_int_equal(shared.wrong, 0);
    assert_true(shared.right > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(numbers_whose_pattern_is_gone),
                                        cmocka_unit_test(plans_with_gradients), cmocka_unit_test(scratch_of_a_plan),
                                        cmocka_unit_test(threads_and_forks) };
    for (int i = 0; i < MOST; i++) ones[i] = 1.0F;
    return cmocka_run_group_tests_name("glue_registry", tests, NULL, NULL);
}
