/* SPDX-License-Identifier: Apache-2.0 */
/* Workers of a GPU on what stands in for one: tensors anywhere in any mixture, streams and staging of all sizes, launches
 * that take a while, and a GPU that fails. */
#include "unit/engine/fixture.h"
#include "unit/engine/gpu_stand_in.h"

enum { PLACEMENTS = 5 };

static const vic_device gpu = { VIC_CUDA, 0 }, pinned = { VIC_CUDA_HOST, 0 };

/* Memory is the same, whatever it is called; strides 2 and 3 have heads first. */
static void put(vic_query *q, int placement, bool strided)
{
    vic_tensor *const tensors[] = { &q->q, &q->k, &q->v, &q->out, &q->lse };
    for (int t = 0; t < 5; t++) {
        if (!tensors[t]->data) continue;
        const int of = placement < 3 ? placement : (placement * 7 + t) % 3;
        if (of) tensors[t]->device = of == 1 ? gpu : pinned;
        if (!strided || t == 4) continue;
        tensors[t]->stride[0] = DIM;
        tensors[t]->stride[1] = N * DIM;
    }
}

static void check_placed(struct system *s, const vic_plan *plan, vic_query q)
{
    q.q.device = q.k.device = q.v.device = q.out.device = q.lse.device = (vic_device){ VIC_CPU, 0 };
    check_bits(s, plan, &q);
}

static void change_engine(struct system *s, int streams, size_t staging_bytes, vic_endpoint_options o)
{
    const vic_engine_options eo = {
        .size = sizeof eo, .device = gpu, .build_threads = 1, .streams = streams, .staging_bytes = staging_bytes
    };
    vic_error err;
    vic_endpoint_free(s->endpoint);
    vic_engine_free(s->engine);
    CHECK_OK(vic_engine_create(&eo, &s->engine, &err));
    s->endpoint = endpoint_of(s, o);
}

static vic_engine_info engine_info(const struct system *s)
{
    vic_engine_info info = VIC_INIT(vic_engine_info);
    vic_error err;
    CHECK_OK(vic_engine_get(s->engine, &info, &err));
    return info;
}

static void test_placements(void **state)
{
    static const struct {
        int streams, takes; /* ns */
        size_t staging;
    } engines[] = {
        { 1, 0, 0 }, { 1, 100000, 0 }, { 2, 5000, 0 }, { 3, 3000000, (size_t)1 << 20 }, { 1, 1000, 1024 },
    };
    struct system *s = *state;
    for (size_t k = 0; k < sizeof engines / sizeof *engines; k++) {
        vic_query q[MOST];
        stand_in_takes(engines[k].takes);
        change_engine(s, engines[k].streams, engines[k].staging, (vic_endpoint_options){ 0 });
        for (int i = 0; i < MOST; i++) {
            q[i] = query_of(s, i, i % 3 != 0);
            memset(q[i].out.data, 0xff, SIZE * sizeof(float));
            put(&q[i], i % PLACEMENTS, i % 4 == 1);
            submit(s, &q[i]);
        }
        wait_for(&s->answers, MOST);
        for (int i = 0; i < MOST; i++) {
            assert_int_equal(s->answers.answer[i].status, VIC_OK);
            check_placed(s, s->plan, q[i]);
        }
        forget(&s->answers);
        const vic_engine_info info = engine_info(s);
        const size_t most = engines[k].staging ? engines[k].staging : (size_t)256 << 20;
        assert_true(info.staging_bytes <= most && (info.staging_bytes > 0 || engines[k].staging == 1024));
        assert_int_equal(info.streams, engines[k].streams);
    }
    stand_in_takes(0);
}

/* Two launches under way, positions that change between them. */
static void test_updates(void **state)
{
    struct system *s = *state;
    vic_query q[40];
    stand_in_takes(30000);
    for (int i = 0; i < 40; i++) {
        q[i] = query_of(s, i, true);
        put(&q[i], i % PLACEMENTS, false);
        if (i % 8 == 4) q[i].positions = tensor_of(s->x[i / 8 % 2 ? 0 : 1], VIC_F64, 2, (const int64_t[]){ N, 3 });
        submit(s, &q[i]);
    }
    wait_for(&s->answers, 40);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(s->answers.answer[i].status, VIC_OK);
        check_placed(s, (i + 4) / 8 % 2 ? s->moved_plan : s->plan, q[i]);
    }
    stand_in_takes(0);
}

/* Waits for events, as the machine may be busy. */
static void wait_until_busy(int streams)
{
    while (stand_in_most_busy < streams) nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
}

/* Submits queries of one placement each from `from` up to `to`, which stay where they are. */
static void submit_placed(struct system *s, vic_query *q, int from, int to, int placement)
{
    for (int i = from; i < to; i++) {
        q[i] = query_of(s, i, true);
        put(&q[i], placement, false);
        submit(s, &q[i]);
    }
}

/* Whether all launches that were answered count as long; a worker that was held up takes them for shorter. */
static bool all_long(const struct answers *a)
{
    bool found = true;
    for (int i = 0; i < a->n; i++) found = found && a->answer[i].time_ns[VIC_STAGE_COMPUTE] >= 100000;
    return found;
}

enum { RESIDENT = 1 };
static const int64_t until_told = INT64_MAX;

/* Long launches that only compute are under way in one stream at a time, while those that copy use others. */
static void test_one_stream(void **state)
{
    static const int copied[] = { 0, 2 };
    struct system *s = *state;
    vic_query q[MOST];
    bool judged;
    change_engine(s, 3, 0, (vic_endpoint_options){ .max_batch = 1 });
    stand_in_takes(200000);
    do {
        forget(&s->answers);
        submit_placed(s, q, 0, 1, RESIDENT);
        wait_for(&s->answers, 1);
        stand_in_most_busy = 0;
        submit_placed(s, q, 0, 40, RESIDENT);
        wait_for(&s->answers, 41);
        judged = all_long(&s->answers);
        assert_true(!judged || stand_in_most_busy == 1);
    } while (!judged);
    for (int i = 0; i < 40; i++) check_placed(s, s->plan, q[i]);
    for (int c = 0; c < 2; c++) {
        forget(&s->answers);
        stand_in_most_busy = 0;
        stand_in_takes(until_told);
        submit_placed(s, q, 0, 4, RESIDENT);
        submit_placed(s, q, 4, 12, copied[c]);
        wait_until_busy(3);
        stand_in_takes(200000);
        wait_for(&s->answers, 12);
        for (int i = 0; i < 12; i++) check_placed(s, s->plan, q[i]);
    }
    stand_in_takes(0);
}

/* Short ones, between which a GPU would wait for the thread, use all. */
static void test_all_streams(void **state)
{
    struct system *s = *state;
    vic_query q[MOST];
    int tries = 0;
    change_engine(s, 3, 0, (vic_endpoint_options){ .max_batch = 1 });
    stand_in_takes(0);
    do {
        if (++tries > 100) {
            print_message("no launch was short: the machine is busy, or a sanitizer slow\n");
            skip();
        }
        forget(&s->answers);
        submit_placed(s, q, 0, 1, RESIDENT);
        wait_for(&s->answers, 1);
    } while (all_long(&s->answers));
    stand_in_most_busy = 0;
    stand_in_takes(until_told);
    submit_placed(s, q, 0, 8, RESIDENT);
    wait_until_busy(3);
    stand_in_takes(0);
    wait_for(&s->answers, 9);
    for (int i = 0; i < 8; i++) check_placed(s, s->plan, q[i]);
}

static void test_in_each_others_way(void **state)
{
    struct system *s = *state;
    vic_query q[4];
    renew(s, (vic_endpoint_options){ .max_batch = 4, .max_delay = 1000 });
    for (int i = 0; i < 4; i++) {
        q[i] = query_of(s, i, false);
        put(&q[i], 1, false);
    }
    q[2].out = q[1].out;
    for (int i = 0; i < 4; i++) submit(s, &q[i]);
    wait_for(&s->answers, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(s->answers.answer[i].status, VIC_OK);
        assert_int_equal(s->answers.answer[i].batch, 1);
        if (i != 1) check_placed(s, s->plan, q[i]);
    }
}

/* Work that fails once is told as such, and the next is done. */
static void test_failure(void **state)
{
    struct system *s = *state;
    vic_query q = query_of(s, 0, true);
    stand_in_fail(false);
    submit(s, &q);
    wait_for(&s->answers, 1);
    stand_in_mend();
    assert_int_equal(s->answers.answer[0].status, VIC_FAILED);
    assert_non_null(strstr(s->answers.text, "work on the stand-in failed"));
    submit(s, &q);
    wait_for(&s->answers, 2);
    assert_int_equal(s->answers.answer[1].status, VIC_OK);
    check_bits(s, s->plan, &q);
    assert_false(engine_info(s).faulted);
}

/* A GPU that is gone: everything that was accepted is answered, nothing is any more, and all can be freed. */
static void test_lost(void **state)
{
    struct system *s = *state;
    vic_query q[MOST];
    vic_error err;
    change_engine(s, 2, 0, (vic_endpoint_options){ .max_batch = 4 });
    stand_in_takes(200000);
    for (int i = 0; i < MOST; i++) {
        q[i] = query_of(s, i, true);
        put(&q[i], i % PLACEMENTS, false);
        if (i == MOST / 2) q[i].positions = tensor_of(s->x[1], VIC_F64, 2, (const int64_t[]){ N, 3 });
        if (vic_submit(s->endpoint, &q[i], NULL, &err) != VIC_OK) break; /* it is known */
        if (i == 8) stand_in_fail(true);
    }
    const vic_endpoint_info info = endpoint_info(s->endpoint);
    wait_for(&s->answers, (int)info.accepted);
    int failed = 0;
    for (int i = 0; i < (int)info.accepted; i++) failed += s->answers.answer[i].status == VIC_FAILED;
    assert_true(failed > 0 && engine_info(s).faulted);
    CHECK_FAILS(vic_submit(s->endpoint, &q[0], NULL, &err), VIC_FAILED, "the stand-in");
    CHECK_OK(vic_engine_drain(s->engine, 100, &err));
    vic_endpoint_free(s->endpoint);
    vic_engine_free(s->engine);
    stand_in_mend();
    stand_in_takes(0);
    const vic_engine_options eo = { .size = sizeof eo, .device = gpu };
    CHECK_OK(vic_engine_create(&eo, &s->engine, &err));
    s->endpoint = endpoint_of(s, (vic_endpoint_options){ 0 });
}

static void test_bias_and_other_devices(void **state)
{
    struct system *s = *state;
    float table[8] = { 0, -1, -2, -3, -4, -5, -6, -7 };
    vic_plan_options po = plan_options();
    vic_query q = query_of(s, 0, false);
    vic_plan *plan;
    vic_error err;
    po.bias = VIC_BIAS_DISTANCE;
    const vic_tensor bias = tensor_of(table, VIC_F32, 2, (const int64_t[]){ 1, 8 });
    CHECK_OK(vic_plan_create(NULL, s->pattern, &po, &plan, &err));
    renew(s, (vic_endpoint_options){ .plan = &po, .bias = bias });
    submit(s, &q);
    wait_for(&s->answers, 1);
    vic_attention_args a = { .size = sizeof a, .q = q.q, .k = q.k, .v = q.v, .bias = bias };
    a.out = tensor_of(s->expected, VIC_F32, 3, shape);
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
    assert_memory_equal(q.out.data, s->expected, SIZE * sizeof(float));
    vic_plan_free(plan);
    q.k.device = (vic_device){ VIC_CUDA, 1 };
    CHECK_FAILS(vic_submit(s->endpoint, &q, NULL, &err), VIC_BAD_ARGUMENT, "tensor k: expected memory of cuda:0");
    q.k.device = pinned;
    q.k.ndim = 70;
    CHECK_FAILS(vic_submit(s->endpoint, &q, NULL, &err), VIC_BAD_ARGUMENT, "tensor k: expected shape");
}

static int nothing_left(void **state)
{
    (void)state;
    return stand_in_things() == 0 ? 0 : -1;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_placements),         TEST(test_updates), TEST(test_one_stream), TEST(test_all_streams),
        TEST(test_in_each_others_way), TEST(test_failure), TEST(test_lost),       TEST(test_bias_and_other_devices),
    };
    return cmocka_run_group_tests_name("engine_staging", tests, NULL, nothing_left);
}
