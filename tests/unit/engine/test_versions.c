/* SPDX-License-Identifier: Apache-2.0 */
/* New positions and other patterns: who is answered with what. */
#include "unit/engine/fixture.h"

static const int64_t positions_shape[] = { N, 3 };

static vic_query moving(struct system *s, int item, int to)
{
    vic_query q = query_of(s, item, true);
    q.positions = tensor_of(s->x[to], VIC_F64, 2, positions_shape);
    return q;
}

/* Queries before new positions keep what they were accepted for, and those after have the new ones, bit for bit what a
 * pattern made anew gives. */
static void test_new_positions(void **state)
{
    struct system *s = *state;
    vic_query q[9];
    hold(s);
    for (int i = 0; i < 9; i++) {
        q[i] = i == 3 ? moving(s, i, 1) : i == 6 ? moving(s, i, 0) : query_of(s, i, i & 1);
        submit(s, &q[i]);
    }
    s->x[1][0] += 5; /* they were copied */
    let_go(s);
    wait_for(&s->answers, 10);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(s->answers.answer[1 + i].status, VIC_OK);
        check_bits(s, i < 3 || i >= 6 ? s->plan : s->moved_plan, &q[i]);
    }
    int of_version[4] = { 0 };
    for (int i = 0; i < 10; i++) of_version[s->answers.answer[i].version]++;
    assert_int_equal(of_version[1], 4);
    assert_int_equal(of_version[2], 3);
    assert_int_equal(of_version[3], 3);
    vic_endpoint_info info = endpoint_info(s->endpoint);
    assert_int_equal(info.version, 3);
    assert_int_equal(info.updates, 2);
    assert_int_equal(info.updates_waiting, 0);
}

/* Two hundred steps of a walk: float32 positions, cells that change, positions or cells alone. */
static void test_walk(void **state)
{
    struct system *s = *state;
    uint64_t seed = 11;
    double x[3 * N], box[9];
    float coarse[3 * N];
    memcpy(x, s->x[0], sizeof x);
    memcpy(box, cell, sizeof box);
    for (int step = 0; step < 200; step++) {
        vic_query q = query_of(s, 0, true);
        if (step % 3 != 2) {
            for (int i = 0; i < 3 * N; i++) coarse[i] = (float)(x[i] + 0.1 * random_normal(&seed));
            for (int i = 0; i < 3 * N; i++) x[i] = (double)coarse[i];
            q.positions =
                step % 2 ? tensor_of(coarse, VIC_F32, 2, positions_shape) : tensor_of(x, VIC_F64, 2, positions_shape);
        }
        if (step % 3 != 0) {
            box[4] = 12 + 0.3 * random_uniform(&seed);
            q.cell = box;
        }
        submit(s, &q);
        wait_for(&s->answers, 1);
        assert_int_equal(s->answers.answer[0].status, VIC_OK);
        assert_int_equal(s->answers.answer[0].version, 2 + step);
        forget(&s->answers);
        vic_points points = points_at(N, x, box);
        vic_pattern *anew = cutoff_pattern(&points, cutoff);
        vic_plan *plan = plan_for(anew);
        check_bits(s, plan, &q);
        vic_plan_free(plan);
        vic_pattern_free(anew);
    }
}

/* Positions that no pattern can be made of: who brought them is told so, and the others go on as before. */
static void test_bad_positions(void **state)
{
    struct system *s = *state;
    vic_query q[4];
    double nowhere[3 * N];
    memcpy(nowhere, s->x[1], sizeof nowhere);
    nowhere[7] = NAN;
    for (int round = 0; round < 2; round++) {
        hold(s);
        for (int i = 0; i < 4; i++) q[i] = query_of(s, i, false);
        q[1].positions = tensor_of(nowhere, VIC_F64, 2, positions_shape);
        for (int i = 0; i < 4; i++) submit(s, &q[i]);
        let_go(s);
        wait_for(&s->answers, 5);
        int failed = 0;
        for (int i = 0; i < 5; i++) {
            failed += s->answers.answer[i].status == VIC_BAD_INPUT;
            if (s->answers.answer[i].status == VIC_OK) assert_int_equal(s->answers.answer[i].version, 1);
        }
        assert_int_equal(failed, 1);
        assert_non_null(strstr(s->answers.text, "2"));
        for (int i = 0; i < 4; i++)
            if (i != 1) check_bits(s, s->plan, &q[i]);
        forget(&s->answers);
    }
    vic_query good = moving(s, 0, 1);
    submit(s, &good);
    wait_for(&s->answers, 1);
    assert_int_equal(s->answers.answer[0].version, 4); /* the numbers of the two that failed are left out */
    check_bits(s, s->moved_plan, &good);
    vic_endpoint_info info = endpoint_info(s->endpoint);
    assert_int_equal(info.failed, 2);
    assert_int_equal(info.updates, 1);
}

static void test_only_positions(void **state)
{
    struct system *s = *state;
    vic_query positions = VIC_INIT(vic_query), q = query_of(s, 0, false);
    positions.positions = tensor_of(s->x[1], VIC_F64, 2, positions_shape);
    positions.done = note;
    positions.user = &s->answers;
    submit(s, &positions);
    submit(s, &q);
    wait_for(&s->answers, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(s->answers.answer[i].status, VIC_OK);
        assert_int_equal(s->answers.answer[i].version, 2);
    }
    check_bits(s, s->moved_plan, &q);
    assert_int_equal(endpoint_info(s->endpoint).launches, 1);
}

/* Positions stay, also when the query that brought them does not. */
static void test_cancelled_bringer(void **state)
{
    struct system *s = *state;
    vic_query bringer = moving(s, 0, 1), q = query_of(s, 1, false);
    hold(s);
    uint64_t ticket = submit(s, &bringer);
    submit(s, &q);
    assert_true(vic_cancel(s->endpoint, ticket));
    let_go(s);
    wait_for(&s->answers, 3);
    check_bits(s, s->moved_plan, &q);
    assert_int_equal(endpoint_info(s->endpoint).version, 2);
}

static void test_pattern(void **state)
{
    struct system *s = *state;
    vic_query q = moving(s, 0, 1);
    const double *x;
    vic_pattern *p;
    vic_error err;
    CHECK_OK(vic_endpoint_pattern(s->endpoint, &p, &err));
    CHECK_OK(vic_pattern_positions(p, VIC_QUERY, &x, &err));
    assert_memory_equal(x, s->x[0], sizeof s->x[0]);
    vic_pattern_free(p);
    submit(s, &q);
    CHECK_OK(vic_endpoint_pattern(s->endpoint, &p, &err)); /* that of a query submitted now */
    CHECK_OK(vic_pattern_positions(p, VIC_QUERY, &x, &err));
    assert_memory_equal(x, s->x[1], sizeof s->x[1]);
    for (int i = 0; i < 4; i++) { /* held by us it is nobody's spare memory */
        q = moving(s, 0, i & 1);
        submit(s, &q);
        wait_for(&s->answers, 2 + i);
    }
    assert_memory_equal(x, s->x[1], sizeof s->x[1]);
    vic_pattern_free(p);
}

/* Another pattern, of another size: queries accepted before keep theirs, positions before it do not touch it, and
 * positions after it are its own. */
static void test_replace(void **state)
{
    struct system *s = *state;
    enum { FEW = 90 };
    const int64_t few[] = { FEW, HEADS, DIM };
    uint64_t version = 0;
    vic_error err;
    vic_points points = points_at(FEW, s->x[0], cell);
    vic_pattern *small = cutoff_pattern(&points, cutoff);
    vic_plan *plan = plan_for(small);
    vic_query before = query_of(s, 0, true), moved = moving(s, 1, 1), after = query_of(s, 2, false);
    vic_tensor *const tensors[] = { &after.q, &after.k, &after.v, &after.out };
    hold(s);
    submit(s, &before);
    submit(s, &moved);
    CHECK_OK(vic_endpoint_replace(s->endpoint, small, &version, &err));
    assert_int_equal(version, 3);
    CHECK_FAILS(vic_submit(s->endpoint, &before, NULL, &err), VIC_BAD_ARGUMENT, "expected shape [90 x 2 x 16]");
    for (int t = 0; t < 4; t++) *tensors[t] = tensor_of(tensors[t]->data, VIC_F32, 3, few);
    submit(s, &after);
    let_go(s);
    wait_for(&s->answers, 4);
    check_bits(s, s->plan, &before);
    check_bits(s, s->moved_plan, &moved);
    vic_attention_args a = { .size = sizeof a, .q = after.q, .k = after.k, .v = after.v };
    a.out = tensor_of(s->expected, VIC_F32, 3, few);
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
    assert_memory_equal(after.out.data, s->expected, FEW * HEADS * DIM * sizeof(float));
    after.positions = tensor_of(s->x[1], VIC_F64, 2, (const int64_t[]){ FEW, 3 });
    submit(s, &after);
    wait_for(&s->answers, 5);
    assert_int_equal(s->answers.answer[4].status, VIC_OK);
    assert_int_equal(s->answers.answer[4].version, 4);
    vic_endpoint_info info = endpoint_info(s->endpoint);
    assert_int_equal(info.version, 4);
    assert_int_equal(info.n_q, FEW);
    vic_plan_free(plan);
    vic_pattern_free(small);
}

/* A pattern that no plan can be made for leaves the endpoint as it was. */
static void test_replace_fails(void **state)
{
    struct system *s = *state;
    float table[2] = { 0, -1 };
    vic_plan_options po = plan_options();
    uint64_t version = 77;
    vic_error err;
    vic_pattern *windows = windows_pattern(N, 16, 32);
    po.bias = VIC_BIAS_DISTANCE;
    renew(s, (vic_endpoint_options){ .plan = &po, .bias = tensor_of(table, VIC_F32, 2, (const int64_t[]){ 1, 2 }) });
    CHECK_FAILS(vic_endpoint_replace(s->endpoint, windows, &version, &err), VIC_BAD_ARGUMENT, "bias");
    assert_int_equal(version, 77);
    assert_int_equal(endpoint_info(s->endpoint).version, 1);
    vic_pattern_free(windows);
}

/* While the thread that builds stands in a callback. */
static void test_too_many_updates(void **state)
{
    struct system *s = *state;
    enum { UPDATES = 256 };
    double nowhere[3 * N] = { NAN };
    vic_query positions = VIC_INIT(vic_query);
    vic_error err;
    positions.positions = tensor_of(nowhere, VIC_F64, 2, positions_shape);
    positions.done = note;
    positions.user = &s->answers;
    hold_with(s, &positions);
    positions.positions.data = s->x[1];
    for (int i = 0; i < UPDATES; i++) submit(s, &positions);
    assert_int_equal(endpoint_info(s->endpoint).updates_waiting, UPDATES);
    CHECK_FAILS(vic_submit(s->endpoint, &positions, NULL, &err), VIC_BUSY, "256 new positions wait already");
    vic_query q = query_of(s, 0, false); /* which wait for the last of them */
    submit(s, &q);
    let_go(s);
    wait_for(&s->answers, 1 + UPDATES + 1);
    check_bits(s, s->moved_plan, &q);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_new_positions),     TEST(test_walk),    TEST(test_bad_positions), TEST(test_only_positions),
        TEST(test_cancelled_bringer), TEST(test_pattern), TEST(test_replace),       TEST(test_replace_fails),
        TEST(test_too_many_updates),
    };
    return cmocka_run_group_tests_name("engine_versions", tests, NULL, NULL);
}
