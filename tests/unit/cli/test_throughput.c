/* SPDX-License-Identifier: Apache-2.0 */
/* A load that compares answers finds the wrong ones, and only these.  cmocka comes last: `fail` is a macro of it. */
#include "cli/commands/throughput.h"

#include "check.h"

enum { POINTS = 40, HEADS = 2, SIZE = 8, CONTENTS = 3 };

/* Everything that bench_throughput() has before the load, but for the file. */
struct fixture {
    struct throughput_options o;
    struct throughput_result r;
    float numbers[CONTENTS][TENSORS][POINTS * HEADS * SIZE];
    double positions[POINTS][3];
};

static void array_of(struct array *a, float *numbers)
{
    *a = (struct array){ VIC_F32, 3, { POINTS, HEADS, SIZE }, POINTS * HEADS * SIZE * sizeof(float), numbers };
}

static void make_content(struct fixture *f, int index, uint64_t *seed)
{
    struct content *c = &f->r.contents[index];
    vic_attention_args a = VIC_INIT(vic_attention_args);
    vic_error err;
    for (int t = 0; t < INPUTS; t++)
        for (int i = 0; i < POINTS * HEADS * SIZE; i++) f->numbers[index][t][i] = (float)random_normal(seed);
    array_of(&c->q, f->numbers[index][0]);
    array_of(&c->k, f->numbers[index][1]);
    array_of(&c->v, f->numbers[index][2]);
    c->result = f->numbers[index][3];
    a.q = vic_tensor_make(c->q.data, VIC_F32, 3, c->q.shape);
    a.k = vic_tensor_make(c->k.data, VIC_F32, 3, c->k.shape);
    a.v = vic_tensor_make(c->v.data, VIC_F32, 3, c->v.shape);
    a.out = vic_tensor_make(c->result, VIC_F32, 3, c->q.shape);
    CHECK_OK(vic_attention(NULL, f->r.bench.run.plan, &a, &err));
}

static struct fixture *fixture_open(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    vic_points points = VIC_INIT(vic_points);
    vic_plan_options plan = { .size = sizeof plan, .dtype = VIC_F32, .heads = HEADS, .head_dim = SIZE };
    vic_endpoint_options endpoint = { .size = sizeof endpoint, .plan = &plan, .max_batch = 4 };
    vic_engine_options engine = { .size = sizeof engine, .threads = 1 };
    uint64_t seed = 5;
    vic_error err;
    f->o.bench.run = (struct run_options){
        .heads = HEADS, .kv_heads = HEADS, .head_dim = SIZE, .head_dim_v = SIZE, .dtype = VIC_F32
    };
    f->o.check = true;
    for (int i = 0; i < POINTS; i++)
        for (int k = 0; k < 3; k++) f->positions[i][k] = 10.0 * random_uniform(&seed);
    points.positions = vic_tensor_make(f->positions, VIC_F64, 2, (const int64_t[]){ POINTS, 3 });
    CHECK_OK(vic_pattern_cutoff(NULL, &points, NULL, 4.0, NULL, &f->r.bench.built.pattern, &err));
    f->r.bench.built.info = (vic_pattern_info)VIC_INIT(vic_pattern_info);
    CHECK_OK(vic_pattern_get(f->r.bench.built.pattern, &f->r.bench.built.info, &err));
    CHECK_OK(vic_plan_create(NULL, f->r.bench.built.pattern, &plan, &f->r.bench.run.plan, &err));
    f->r.bench.run.info = (vic_plan_info)VIC_INIT(vic_plan_info);
    CHECK_OK(vic_plan_get(f->r.bench.run.plan, &f->r.bench.run.info, &err));
    CHECK_OK(vic_engine_create(&engine, &f->r.engine, &err));
    CHECK_OK(vic_endpoint_create(f->r.engine, f->r.bench.built.pattern, &endpoint, &f->r.endpoint, &err));
    f->r.n_contents = CONTENTS;
    for (int i = 0; i < CONTENTS; i++) make_content(f, i, &seed);
    return f;
}

static void fixture_close(struct fixture *f)
{
    vic_endpoint_free(f->r.endpoint);
    vic_engine_free(f->r.engine);
    vic_plan_free(f->r.bench.run.plan);
    vic_pattern_free(f->r.bench.built.pattern);
    free(f);
}

/* Two threads, three queries each: the first of each thread is compared, which are those of contents 0 and 0 + 3. */
static void right_answers(void **state)
{
    struct fixture *f = fixture_open();
    struct engine_load l = { 0 };
    vic_error err;
    int64_t answered = 0;
    (void)state;
    CHECK_OK(throughput_load(&f->o, &f->r, 2, 3, 1.02, &l, &err));
    assert_true(l.checked >= 2 && l.different == 0);
    assert_true(l.latency.count == l.answered && l.whole_seconds == 1);
    answered = l.each_second[0];
    CHECK(answered <= l.answered, "%lld in one second, %lld in all", (long long)answered, (long long)l.answered);
    throughput_load_free(&l);
    fixture_close(f);
}

static void wrong_answers(void **state)
{
    struct fixture *f = fixture_open();
    struct engine_load l = { 0 };
    vic_error err;
    (void)state;
    /* The last bit of the last number of what content 0 must give. */
    ((unsigned char *)f->r.contents[0].result)[sizeof f->numbers[0][3] - sizeof(float)] ^= 1;
    CHECK_OK(throughput_load(&f->o, &f->r, 1, 1, 0.01, &l, &err));
    assert_true(l.checked >= 1 && l.different == l.checked);
    throughput_load_free(&l);
    l = (struct engine_load){ 0 };
    f->o.check = false;
    CHECK_OK(throughput_load(&f->o, &f->r, 1, 1, 0.01, &l, &err));
    assert_true(l.checked == 0 && l.different == 0);
    throughput_load_free(&l);
    fixture_close(f);
}

/* An engine that takes no more queries ends the load, with its own words. */
static void refused(void **state)
{
    struct fixture *f = fixture_open();
    struct engine_load l = { 0 };
    vic_error err;
    (void)state;
    CHECK_OK(vic_engine_drain(f->r.engine, 10.0, &err));
    CHECK_FAILS(throughput_load(&f->o, &f->r, 2, 2, 3600.0, &l, &err), VIC_BUSY, "drains");
    throughput_load_free(&l);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_answers),
        cmocka_unit_test(wrong_answers),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests_name("cli_throughput", tests, NULL, NULL);
}
