/* SPDX-License-Identifier: Apache-2.0 */
/* Engines from outside: what queries are answered with and how many share a launch, limits, deadlines, cancellation,
 * draining, and the ends of endpoints and processes. */
#include "unit/engine/fixture.h"

#include <sys/wait.h>
#include <unistd.h>

/* 64 queries of four layouts, some with addresses that no vector register is aligned to: each layout is one launch. */
static void test_bits_of_batches(void **state)
{
    struct system *s = *state;
    vic_query q[MOST - 1];
    int expected[4] = { 0 };
    hold(s);
    for (int i = 0; i < MOST - 1; i++) {
        int kind = i * 7 % 4;
        q[i] = query_of(s, i, kind & 1);
        if (kind & 2) { /* heads first, a number further on than where rows begin */
            q[i].q.data = (float *)q[i].q.data + 1;
            q[i].q.stride[0] = DIM;
            q[i].q.stride[1] = N * DIM;
        }
        expected[kind]++;
        submit(s, &q[i]);
    }
    assert_int_equal(endpoint_info(s->endpoint).waiting, MOST - 1);
    let_go(s);
    wait_for(&s->answers, MOST);
    for (int i = 1; i < MOST; i++) {
        assert_int_equal(s->answers.answer[i].status, VIC_OK);
        assert_int_equal(s->answers.answer[i].version, 1);
        assert_in_range(s->answers.answer[i].batch, 15, 16);
    }
    for (int i = 0; i < MOST - 1; i++) check_bits(s, s->plan, &q[i]);
    vic_endpoint_info info = endpoint_info(s->endpoint);
    assert_int_equal(info.launches, 1 + 4);
    assert_int_equal(info.batch[0], 1);
    assert_int_equal(info.batch[4], 4); /* of 16 and of 15 */
    assert_int_equal(info.answered, MOST);
    assert_int_equal(info.accepted, MOST);
    assert_int_equal(expected[0] + expected[1] + expected[2] + expected[3], MOST - 1);
}

static void test_max_batch(void **state)
{
    struct system *s = *state;
    renew(s, (vic_endpoint_options){ .max_batch = 5 });
    hold(s);
    for (int i = 0; i < 12; i++) {
        vic_query q = query_of(s, i, true);
        submit(s, &q);
    }
    let_go(s);
    wait_for(&s->answers, 13);
    for (int i = 0; i < 12; i++) assert_int_equal(s->answers.answer[1 + i].batch, i < 10 ? 5 : 2);
}

/* Results in one place: good queries alone, and each gets its answer.  Where they are copied back from a GPU each has a
 * place of its own there. */
static void test_in_each_others_way(void **state)
{
    struct system *s = *state;
#ifdef ENGINE_ON_GPU
    const bool staged = true;
#else
    const bool staged = false;
#endif
    vic_query q[3];
    hold(s);
    for (int i = 0; i < 3; i++) {
        q[i] = query_of(s, i, false);
        if (i == 1) q[1].out = q[0].out;
        submit(s, &q[i]);
    }
    let_go(s);
    wait_for(&s->answers, 4);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(s->answers.answer[i].status, VIC_OK);
        assert_int_equal(s->answers.answer[i].batch, staged ? 3 : 1);
    }
    for (int i = 1; i < 3; i++) check_bits(s, s->plan, &q[i]);
    assert_int_equal(endpoint_info(s->endpoint).answered, 4);
}

/* One after the other: none is told the time that those before it took as its own. */
static void test_times_of_queries_apart(void **state)
{
    enum { QUERIES = 40 };
    struct system *s = *state;
    const vic_query q = query_of(s, 0, false);
    uint64_t computing = 0;
#ifdef ENGINE_ON_GPU
    skip(); /* copied tensors are not in each other's way */
#endif
    hold(s);
    for (int i = 0; i < QUERIES; i++) submit(s, &q);
    let_go(s);
    wait_for(&s->answers, 1 + QUERIES);
    for (int i = 1; i <= QUERIES; i++) {
        assert_int_equal(s->answers.answer[i].batch, 1);
        computing += s->answers.answer[i].time_ns[VIC_STAGE_COMPUTE];
    }
    assert_true(computing <= s->answers.answer[QUERIES].time_ns[VIC_STAGE_TOTAL]);
}

static void test_scales_and_batch_dimension(void **state)
{
    struct system *s = *state;
    const int64_t batched[] = { 3, N, HEADS, DIM };
    vic_query q[3] = { query_of(s, 0, false), query_of(s, 1, false), query_of(s, 2, false) };
    vic_query items = query_of(s, 10, false);
    q[1].scale = 0.5;
    q[2].zero_scale = true;
    vic_tensor *const tensors[] = { &items.q, &items.k, &items.v, &items.out };
    for (int t = 0; t < 4; t++) *tensors[t] = tensor_of(tensors[t]->data, VIC_F32, 4, batched);
    hold(s);
    for (int i = 0; i < 3; i++) submit(s, &q[i]);
    submit(s, &items);
    submit(s, &items); /* again: each is a launch of its own */
    let_go(s);
    wait_for(&s->answers, 6);
    for (int i = 1; i < 6; i++) {
        assert_int_equal(s->answers.answer[i].status, VIC_OK);
        assert_int_equal(s->answers.answer[i].batch, 1);
    }
    for (int i = 0; i < 3; i++) {
        check_bits(s, s->plan, &q[i]);
        vic_query item = query_of(s, 10 + i, false);
        check_bits(s, s->plan, &item);
    }
}

static void test_bias(void **state)
{
    struct system *s = *state;
    enum { POINTS = 16 };
    float table[POINTS];
    vic_plan_options po = plan_options();
    po.bias = VIC_BIAS_DISTANCE;
    for (int i = 0; i < POINTS; i++) table[i] = -0.1f * (float)i;
    const vic_tensor bias = tensor_of(table, VIC_F32, 2, (const int64_t[]){ 1, POINTS });
    vic_plan *plan;
    vic_error err;
    CHECK_OK(vic_plan_create(NULL, s->pattern, &po, &plan, &err));
    renew(s, (vic_endpoint_options){ .plan = &po, .bias = bias });
    vic_query q[2] = { query_of(s, 0, true), query_of(s, 1, true) };
    hold(s);
    for (int i = 0; i < 2; i++) submit(s, &q[i]);
    for (int i = 0; i < POINTS; i++) table[i] = 0; /* it was copied */
    let_go(s);
    wait_for(&s->answers, 3);
    for (int i = 0; i < POINTS; i++) table[i] = -0.1f * (float)i;
    for (int i = 0; i < 2; i++) {
        vic_attention_args a = { .size = sizeof a, .q = q[i].q, .k = q[i].k, .v = q[i].v, .bias = bias };
        a.out = tensor_of(s->expected, VIC_F32, 3, shape);
        CHECK_OK(vic_attention(NULL, plan, &a, &err));
        assert_memory_equal(q[i].out.data, s->expected, SIZE * sizeof(float));
    }
    vic_plan_free(plan);
    table[3] = NAN;
    const vic_endpoint_options bad = { .size = sizeof bad, .plan = &po, .bias = bias };
    vic_endpoint *e;
    CHECK_FAILS(vic_endpoint_create(s->engine, s->pattern, &bad, &e, &err), VIC_BAD_ARGUMENT, "point 3");
    assert_null(e);
}

/* Options that were made for training serve as well, and take no more memory. */
static void test_plans_without_gradients(void **state)
{
    struct system *s = *state;
    vic_plan_options po = plan_options();
    vic_endpoint_info without = VIC_INIT(vic_endpoint_info), with = without;
    vic_error err;
    CHECK_OK(vic_endpoint_get(s->endpoint, &without, &err));
    po.backward = true;
    po.backward_kernel = "attn_bwd_ref";
    renew(s, (vic_endpoint_options){ .plan = &po });
    CHECK_OK(vic_endpoint_get(s->endpoint, &with, &err));
    assert_int_equal(with.bytes, without.bytes);
}

static void test_full_queue(void **state)
{
    struct system *s = *state;
    vic_error err;
    renew(s, (vic_endpoint_options){ .max_queue = 3 });
    hold(s);
    vic_query q = query_of(s, 0, false);
    for (int i = 0; i < 3; i++) submit(s, &q);
    CHECK_FAILS(vic_submit(s->endpoint, &q, NULL, &err), VIC_BUSY, "3 queries wait already");
    let_go(s);
    wait_for(&s->answers, 4);
    vic_endpoint_info info = endpoint_info(s->endpoint);
    assert_int_equal(info.refused, 1);
    assert_int_equal(info.accepted, 4);
    submit(s, &q);
    wait_for(&s->answers, 5);
}

/* Of a query that waits while a launch runs, of one that waits for others, and of the endpoint. */
static void test_deadlines(void **state)
{
    struct system *s = *state;
    vic_query q = query_of(s, 0, false), patient = query_of(s, 1, false);
    hold(s);
    q.timeout = 1e-3;
    submit(s, &q);
    submit(s, &patient);
    sleep_ms(5);
    let_go(s);
    wait_for(&s->answers, 3);
    assert_int_equal(s->answers.answer[1].status, VIC_DEADLINE);
    assert_int_equal(s->answers.answer[1].version, 0);
    assert_int_equal(s->answers.answer[2].status, VIC_OK);
    assert_non_null(strstr(s->answers.text, "within its time"));
    forget(&s->answers);
    assert_int_equal(endpoint_info(s->endpoint).expired, 1);
    renew(s, (vic_endpoint_options){ .max_delay = 1000, .timeout = 0.005 });
    q.timeout = 0;
    patient.timeout = 1000;
    submit(s, &patient);
    submit(s, &q);
    wait_for(&s->answers, 1);
    assert_int_equal(s->answers.answer[0].status, VIC_DEADLINE);
    assert_true(s->answers.answer[0].time_ns[VIC_STAGE_TOTAL] >= 5000000);
    assert_int_equal(endpoint_info(s->endpoint).waiting, 1);
}

/* A launch that waits for others goes when it is full, when its time has come, and when the engine drains. */
static void test_delay(void **state)
{
    struct system *s = *state;
    vic_error err;
    vic_query q = query_of(s, 0, false);
    renew(s, (vic_endpoint_options){ .max_delay = 1000, .max_batch = 2 });
    submit(s, &q);
    submit(s, &q);
    wait_for(&s->answers, 2);
    renew(s, (vic_endpoint_options){ .max_delay = 0.003, .max_batch = 2 });
    submit(s, &q);
    wait_for(&s->answers, 3);
    assert_true(s->answers.answer[2].time_ns[VIC_STAGE_QUEUE] >= 3000000);
    renew(s, (vic_endpoint_options){ .max_delay = 1000, .max_batch = 2 });
    submit(s, &q);
    CHECK_OK(vic_engine_drain(s->engine, 100, &err));
    assert_int_equal(answers_now(&s->answers), 4);
}

static void test_cancel(void **state)
{
    struct system *s = *state;
    vic_query q = query_of(s, 0, false);
    vic_endpoint *other = endpoint_of(s, (vic_endpoint_options){ 0 });
    hold(s);
    uint64_t first = submit(s, &q), second = submit(s, &q);
    assert_true(first != second);
    assert_false(vic_cancel(other, second));
    assert_true(vic_cancel(s->endpoint, second));
    assert_int_equal(answers_now(&s->answers), 2); /* before it returned */
    assert_int_equal(s->answers.answer[1].status, VIC_CANCELLED);
    assert_false(vic_cancel(s->endpoint, second));
    assert_false(vic_cancel(s->endpoint, 0));
    assert_false(vic_cancel(s->endpoint, UINT64_MAX));
    assert_false(vic_cancel(NULL, first));
    uint64_t third = submit(s, &q); /* in the memory of the second */
    assert_false(vic_cancel(s->endpoint, second));
    let_go(s);
    wait_for(&s->answers, 4);
    assert_false(vic_cancel(s->endpoint, third));
    assert_int_equal(endpoint_info(s->endpoint).cancelled, 1);
    vic_endpoint_free(other);
}

static void test_drain(void **state)
{
    struct system *s = *state;
    vic_engine_info info = VIC_INIT(vic_engine_info);
    vic_error err;
    vic_query q = query_of(s, 0, false);
    hold(s);
    submit(s, &q);
    CHECK_FAILS(vic_engine_drain(s->engine, 0.002, &err), VIC_DEADLINE, "1 queries wait and 1 run");
    CHECK_FAILS(vic_submit(s->endpoint, &q, NULL, &err), VIC_BUSY, "drains");
    CHECK_OK(vic_engine_get(s->engine, &info, &err));
    assert_true(info.draining && info.waiting == 1 && info.running == 1 && info.endpoints == 1);
    let_go(s);
    CHECK_OK(vic_engine_drain(s->engine, 100, &err));
    assert_int_equal(answers_now(&s->answers), 2);
    CHECK_FAILS(vic_engine_drain(s->engine, -1, &err), VIC_BAD_ARGUMENT, "seconds");
}

/* Queries of an endpoint that goes are answered, wherever they wait. */
static void test_freed_endpoint(void **state)
{
    struct system *s = *state;
    vic_endpoint *kept = s->endpoint;
    vic_query q = query_of(s, 0, false), moving = query_of(s, 1, false);
    moving.positions = tensor_of(s->x[1], VIC_F64, 2, (const int64_t[]){ N, 3 });
    for (int updates = 0; updates < 2; updates++) {
        s->endpoint = endpoint_of(s, (vic_endpoint_options){ .max_delay = 1000 });
        for (int i = 0; i < 20; i++) submit(s, updates ? &moving : &q);
        vic_endpoint_free(s->endpoint);
        assert_int_equal(answers_now(&s->answers), 20);
        for (int i = 0; i < 20; i++) assert_int_equal(s->answers.answer[i].status, VIC_CANCELLED);
        forget(&s->answers);
    }
    s->endpoint = kept;
    submit(s, &q);
    wait_for(&s->answers, 1);
}

/* ---- callbacks ---- */

struct closed_loop {
    struct system *s;
    vic_endpoint *endpoint;
    vic_query query;
    bool ended;
    vic_error why;
};

static void submit_again(void *user, const vic_answer *answer)
{
    struct closed_loop *c = user;
    note(&c->s->answers, answer);
    c->ended = vic_submit(c->endpoint, &c->query, NULL, &c->why) != VIC_OK;
}

static void *free_endpoint(void *endpoint)
{
    vic_endpoint_free(endpoint);
    return NULL;
}

/* Callers whose callbacks send the next query are told so when their endpoint goes: those of queries that wait, and
 * that of the one that runs, which comes when the endpoint has no pattern any more. */
static void test_freed_under_closed_loops(void **state)
{
    struct system *s = *state;
    struct closed_loop loops[3] = { 0 };
    vic_endpoint *kept = s->endpoint;
    pthread_t freeing;
    s->endpoint = endpoint_of(s, (vic_endpoint_options){ 0 });
    for (int i = 0; i < 3; i++) {
        loops[i] = (struct closed_loop){ .s = s, .endpoint = s->endpoint, .query = query_of(s, i, false) };
        loops[i].query.done = submit_again;
        loops[i].query.user = &loops[i];
        if (i == 0)
            hold_with(s, &loops[0].query);
        else
            submit(s, &loops[i].query);
    }
    assert_int_equal(pthread_create(&freeing, NULL, free_endpoint, s->endpoint), 0);
    wait_for(&s->answers, 3);
    sleep_ms(5); /* for vic_endpoint_free() to wait for the first */
    let_go(s);
    pthread_join(freeing, NULL);
    s->endpoint = kept;
    assert_int_equal(answers_now(&s->answers), 3);
    for (int i = 0; i < 3; i++) {
        assert_true(loops[i].ended);
        assert_int_equal(loops[i].why.status, VIC_CANCELLED);
        assert_non_null(strstr(loops[i].why.text, "endpoint e is being freed"));
    }
}

static void check_sum(void *user, const vic_answer *answer)
{
    struct system *s = user;
    const vic_endpoint_info i = endpoint_info(s->endpoint);
    const uint64_t ended = i.answered + i.failed + i.expired + i.cancelled;
    CHECK(i.accepted == ended + (uint64_t)(i.waiting + i.running),
          "%llu accepted, %llu ended, %lld waiting, %lld running", (unsigned long long)i.accepted,
          (unsigned long long)ended, (long long)i.waiting, (long long)i.running);
    note(&s->answers, answer);
}

static void test_counts_add_up(void **state)
{
    struct system *s = *state;
    vic_query q = query_of(s, 0, false);
    q.done = check_sum;
    q.user = s;
    for (int i = 0; i < 20; i++) {
        submit(s, &q);
        q.timeout = i % 3 == 0 ? 1e-9 : 0;
    }
    wait_for(&s->answers, 20);
    assert_true(endpoint_info(s->endpoint).expired > 0);
}

struct chain {
    struct system *s;
    int left;
};

static void submit_next(void *user, const vic_answer *answer)
{
    struct chain *c = user;
    vic_query q = query_of(c->s, 0, false);
    vic_error err;
    assert_int_equal(answer->status, VIC_OK);
    if (--c->left == 0) {
        note(&c->s->answers, answer);
        return;
    }
    q.done = submit_next;
    q.user = c;
    CHECK_OK(vic_submit(c->s->endpoint, &q, NULL, &err));
}

static void test_submit_in_callback(void **state)
{
    struct system *s = *state;
    struct chain c = { s, 100 };
    vic_query q = query_of(s, 0, false);
    q.done = submit_next;
    q.user = &c;
    submit(s, &q);
    wait_for(&s->answers, 1);
    assert_int_equal(endpoint_info(s->endpoint).answered, 100);
}

static void test_times(void **state)
{
    struct system *s = *state;
    uint64_t most = 0;
    vic_query q = query_of(s, 0, false);
    for (int i = 0; i < 10; i++) {
        submit(s, &q);
        wait_for(&s->answers, i + 1);
    }
    vic_endpoint_info info = endpoint_info(s->endpoint);
    for (int stage = 0; stage < VIC_STAGES; stage++) {
        uint64_t sum = 0, counted = 0;
        for (int i = 0; i < 10; i++) sum += s->answers.answer[i].time_ns[stage];
        for (int b = 0; b < VIC_TIME_BUCKETS; b++) counted += info.time[stage][b];
        assert_int_equal(counted, 10);
        assert_int_equal(info.time_ns[stage], sum);
        if (stage < VIC_STAGE_TOTAL) most += sum;
    }
    assert_true(info.time_ns[VIC_STAGE_COMPUTE] > 0 && most <= info.time_ns[VIC_STAGE_TOTAL]);
}

/* ---- processes ---- */

static void test_fork(void **state)
{
    struct system *s = *state;
    int status = 0;
#if defined(__SANITIZE_THREAD__)
    skip(); /* no calls of locks after fork() */
#endif
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        vic_query q = query_of(s, 0, false);
        vic_engine_info info = VIC_INIT(vic_engine_info);
        vic_endpoint *e;
        vic_pattern *p;
        const vic_plan_options po = plan_options();
        const vic_endpoint_options o = { .size = sizeof o, .plan = &po };
        int right = vic_submit(s->endpoint, &q, NULL, NULL) == VIC_FAILED;
        right += vic_engine_get(s->engine, &info, NULL) == VIC_FAILED;
        right += vic_engine_drain(s->engine, 1, NULL) == VIC_FAILED;
        right += vic_endpoint_create(s->engine, s->pattern, &o, &e, NULL) == VIC_FAILED;
        right += vic_endpoint_replace(s->endpoint, s->pattern, NULL, NULL) == VIC_FAILED;
        right += vic_endpoint_pattern(s->endpoint, &p, NULL) == VIC_FAILED;
        right += !vic_cancel(s->endpoint, 1);
        vic_endpoint_free(s->endpoint);
        vic_engine_free(s->engine);
        _exit(right);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_bits_of_batches),
        TEST(test_max_batch),
        TEST(test_in_each_others_way),
        TEST(test_times_of_queries_apart),
        TEST(test_scales_and_batch_dimension),
        TEST(test_bias),
        TEST(test_plans_without_gradients),
        TEST(test_full_queue),
        TEST(test_deadlines),
        TEST(test_delay),
        TEST(test_cancel),
        TEST(test_drain),
        TEST(test_freed_endpoint),
        TEST(test_submit_in_callback),
        TEST(test_freed_under_closed_loops),
        TEST(test_counts_add_up),
        TEST(test_times),
        TEST(test_fork),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
