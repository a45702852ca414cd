/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine refuses, with what it says. */
#include "unit/engine/fixture.h"

static void refused(struct system *s, const vic_query *q, const char *part)
{
    uint64_t ticket = 0;
    vic_error err;
    CHECK_FAILS(vic_submit(s->endpoint, q, &ticket, &err), VIC_BAD_ARGUMENT, part);
    assert_int_equal(ticket, 0);
}

/* Each query that is wrong is refused alone: those around it are answered. */
static void test_queries(void **state)
{
    struct system *s = *state;
    const vic_query good = query_of(s, 0, true);
    vic_query q;
    hold(s);
    submit(s, &good);
#define WITH(change, part)                                                                                           \
    do {                                                                                                             \
        q = good;                                                                                                    \
        change;                                                                                                      \
        refused(s, &q, part);                                                                                        \
    } while (0)
    WITH(q.size = 3, "vic_query.size");
    WITH(q.reserved[3] = 1, "reserved");
    WITH(q.reserved_1[6] = true, "reserved");
    WITH(q.done = NULL, "done");
    WITH(q.timeout = -1, "timeout");
    WITH(q.timeout = NAN, "timeout");
    WITH(q.scale = INFINITY, "scale");
    WITH((q.scale = 2, q.zero_scale = true), "zero_scale");
    WITH(q.q.shape[0] = N - 1, "tensor q");
    WITH(q.k.data = NULL, "tensor k");
    WITH(q.v = (vic_tensor){ 0 }, "tensor v");
    WITH(q.out.dtype = VIC_F16, "tensor out");
    WITH(q.lse.shape[1] = 1, "tensor lse");
    WITH(q.q.data = (char *)q.q.data + 1, "not aligned");
    WITH(q.v.stride[2] = 2, "contiguous");
    WITH(q.out.stride[0] = 0, "overwrite each other");
    WITH(q.out = q.k, "tensor out overlaps k");
    WITH(q.lse.data = q.out.data, "tensor lse overlaps");
    WITH(q.q.device = ((vic_device){ VIC_CUDA, 0 }), "memory of");
    WITH((q.q = q.k = q.v = q.out = q.lse = (vic_tensor){ 0 }), "expected tensors, new positions, or both");
    WITH(q.positions = tensor_of(s->x[1], VIC_F64, 2, ((const int64_t[]){ N - 1, 3 })), "positions: expected shape");
    WITH(q.positions = tensor_of(s->x[1], VIC_I32, 2, ((const int64_t[]){ N, 3 })), "float32 or float64");
    WITH((q.positions = tensor_of(s->x[1], VIC_F64, 2, ((const int64_t[]){ N, 3 })),
          q.positions.device = (vic_device){ VIC_CUDA, 0 }),
         "positions: expected memory of the CPU");
#undef WITH
    vic_error err;
    CHECK_FAILS(vic_submit(s->endpoint, NULL, NULL, &err), VIC_BAD_ARGUMENT, "vic_query is NULL");
    CHECK_FAILS(vic_submit(NULL, &good, NULL, &err), VIC_BAD_ARGUMENT, "endpoint is NULL");
    submit(s, &good);
    let_go(s);
    wait_for(&s->answers, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(s->answers.answer[i].status, VIC_OK);
    assert_int_equal(endpoint_info(s->endpoint).accepted, 3);
    assert_int_equal(endpoint_info(s->endpoint).version, 1);
}

/* Patterns that do not follow points, and cells that there are not. */
static void test_positions(void **state)
{
    struct system *s = *state;
    vic_points open = points_at(N, s->x[0], NULL), half = points_at(N / 2, s->x[0], cell);
    vic_points whole = points_at(N, s->x[0], cell);
    vic_pattern *patterns[3] = { windows_pattern(N, 16, 32), cutoff_pattern(&open, cutoff), NULL };
    static const char *const why[] = { "kind windows", "periodic along no axis", "two sets" };
    vic_query q = VIC_INIT(vic_query);
    vic_error err;
    CHECK_OK(vic_pattern_cutoff(NULL, &whole, &half, cutoff, NULL, &patterns[2], &err));
    q.positions = tensor_of(s->x[1], VIC_F64, 2, (const int64_t[]){ N, 3 });
    q.cell = cell;
    q.done = note;
    q.user = &s->answers;
    for (int i = 0; i < 3; i++) {
        CHECK_OK(vic_endpoint_replace(s->endpoint, patterns[i], NULL, &err));
        refused(s, &q, why[i]);
        vic_pattern_free(patterns[i]);
    }
}

static void test_engine_options(void **state)
{
    vic_engine *engine;
    vic_error err;
    (void)state;
#define REFUSED(member, value, status, part)                                                                         \
    do {                                                                                                             \
        const vic_engine_options o = { .size = sizeof o, .member = value };                                          \
        CHECK_FAILS(vic_engine_create(&o, &engine, &err), status, part);                                             \
        assert_null(engine);                                                                                         \
    } while (0)
    REFUSED(threads, -1, VIC_BAD_ARGUMENT, "threads");
    REFUSED(build_threads, -1, VIC_BAD_ARGUMENT, "build_threads");
    REFUSED(build_threads, 1025, VIC_BAD_ARGUMENT, "build_threads: expected 0 (half of all) to 1024");
    REFUSED(streams, 17, VIC_BAD_ARGUMENT, "streams");
    REFUSED(reserved_1, 1, VIC_BAD_ARGUMENT, "reserved");
    REFUSED(reserved[0], 1, VIC_BAD_ARGUMENT, "reserved");
    REFUSED(device.type, (vic_device_type)7, VIC_BAD_ARGUMENT, "device.type");
#undef REFUSED
    CHECK_FAILS(vic_engine_create(NULL, NULL, &err), VIC_BAD_ARGUMENT, "out is NULL");
    CHECK_OK(vic_engine_create(NULL, &engine, &err));
    vic_engine_info info = VIC_INIT(vic_engine_info);
    CHECK_OK(vic_engine_get(engine, &info, &err));
    assert_true(info.threads >= 1 && info.build_threads >= 1 && info.device.type == VIC_CPU && info.endpoints == 0);
    vic_engine_free(engine);
    vic_engine_free(NULL);
    CHECK_FAILS(vic_engine_get(NULL, &info, &err), VIC_BAD_ARGUMENT, "engine is NULL");
    CHECK_FAILS(vic_engine_drain(NULL, 1, &err), VIC_BAD_ARGUMENT, "engine is NULL");
}

static void test_endpoint_options(void **state)
{
    struct system *s = *state;
    vic_plan_options po = plan_options();
    vic_endpoint *e;
    vic_error err;
#define REFUSED(member, value, part)                                                                                 \
    do {                                                                                                             \
        vic_endpoint_options o = { .size = sizeof o, .plan = &po };                                                  \
        o.member = value;                                                                                            \
        CHECK_FAILS(vic_endpoint_create(s->engine, s->pattern, &o, &e, &err), VIC_BAD_ARGUMENT, part);               \
        assert_null(e);                                                                                              \
    } while (0)
    REFUSED(max_batch, -1, "max_batch");
    REFUSED(max_batch, 1025, "max_batch");
    REFUSED(max_queue, -1, "max_queue");
    REFUSED(max_delay, -0.1, "max_delay");
    REFUSED(timeout, NAN, "timeout");
    REFUSED(reserved[1], 1, "reserved");
    REFUSED(plan, NULL, "vic_plan_options is NULL");
    REFUSED(bias.data, s->q, "without one");
    po.head_dim = 7;
    REFUSED(max_batch, 1, "head_dim");
    po = plan_options();
    po.device = (vic_device){ VIC_CUDA, 0 };
    REFUSED(max_batch, 1, "plan.device");
    po = plan_options();
    po.bias = VIC_BIAS_DISTANCE;
    REFUSED(max_batch, 1, "the tensor has no data");
    po = plan_options();
#undef REFUSED
    const vic_endpoint_options o = { .size = sizeof o, .plan = &po };
    CHECK_FAILS(vic_endpoint_create(NULL, s->pattern, &o, &e, &err), VIC_BAD_ARGUMENT, "engine is NULL");
    CHECK_FAILS(vic_endpoint_create(s->engine, NULL, &o, &e, &err), VIC_BAD_ARGUMENT, "pattern is NULL");
    CHECK_FAILS(vic_endpoint_create(s->engine, s->pattern, NULL, &e, &err), VIC_BAD_ARGUMENT, "is NULL");
    CHECK_FAILS(vic_endpoint_create(s->engine, s->pattern, &o, NULL, &err), VIC_BAD_ARGUMENT, "out is NULL");
    CHECK_FAILS(vic_endpoint_replace(NULL, s->pattern, NULL, &err), VIC_BAD_ARGUMENT, "endpoint is NULL");
    CHECK_FAILS(vic_endpoint_replace(s->endpoint, NULL, NULL, &err), VIC_BAD_ARGUMENT, "pattern is NULL");
    vic_pattern *p;
    CHECK_FAILS(vic_endpoint_pattern(NULL, &p, &err), VIC_BAD_ARGUMENT, "endpoint is NULL");
    CHECK_FAILS(vic_endpoint_get(NULL, NULL, &err), VIC_BAD_ARGUMENT, "endpoint is NULL");
    CHECK_FAILS(vic_endpoint_get(s->endpoint, NULL, &err), VIC_BAD_ARGUMENT, "vic_endpoint_info is NULL");
    vic_endpoint_free(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_queries),
        TEST(test_positions),
        TEST(test_engine_options),
        TEST(test_endpoint_options),
    };
    return cmocka_run_group_tests_name("engine_refusals", tests, NULL, NULL);
}
