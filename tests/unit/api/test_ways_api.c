/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over patterns of every kind against the reference, which goes by each kind's definition; and small
 * molecules in one pattern against one by one. */
#include "check.h"

enum { HEADS = 2, DIM = 16, ATOMS = 300 };

struct problem {
    vic_engine *engine;
    float *q, *k, *v, *out, *lse;
    double *ref_out, *ref_lse;
    int64_t *counts, *pattern_counts;
};

static float *numbers(uint64_t seed, int64_t n)
{
    float *x = calloc((size_t)n + 1, sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) x[i] = (float)random_normal(&seed);
    return x;
}

static void problem_make(struct problem *m, int64_t n_q, int64_t n_k)
{
    vic_error err;
    size_t rows = (size_t)n_q + 1;
    CHECK_OK(vic_engine_create(NULL, &m->engine, &err));
    m->q = numbers(1, n_q * HEADS * DIM);
    m->k = numbers(2, n_k * HEADS * DIM);
    m->v = numbers(3, n_k * HEADS * DIM);
    m->out = numbers(4, n_q * HEADS * DIM); /* what is left of it must not be seen */
    m->lse = numbers(5, n_q * HEADS);
    m->ref_out = calloc(rows * HEADS * DIM, sizeof *m->ref_out);
    m->ref_lse = calloc(rows * HEADS, sizeof *m->ref_lse);
    m->counts = calloc(rows, sizeof *m->counts);
    m->pattern_counts = calloc(rows, sizeof *m->pattern_counts);
    assert_true(m->ref_out && m->ref_lse && m->counts && m->pattern_counts);
}

static void problem_free(struct problem *m)
{
    free(m->q);
    free(m->k);
    free(m->v);
    free(m->out);
    free(m->lse);
    free(m->ref_out);
    free(m->ref_lse);
    free(m->counts);
    free(m->pattern_counts);
    vic_engine_free(m->engine);
}

static void attend(const struct problem *m, const vic_plan *plan, const vic_pattern_info *info,
                   vic_attention_args *args)
{
    const int64_t q[] = { info->n_q, HEADS, DIM }, k[] = { info->n_k, HEADS, DIM };
    vic_error err;
    *args = (vic_attention_args)VIC_ATTENTION_ARGS_INIT;
    args->q = vic_tensor_make(m->q, VIC_F32, 3, q);
    args->k = vic_tensor_make(m->k, VIC_F32, 3, k);
    args->v = vic_tensor_make(m->v, VIC_F32, 3, k);
    args->out = vic_tensor_make(m->out, VIC_F32, 3, q);
    args->lse = vic_tensor_make(m->lse, VIC_F32, 2, q);
    CHECK_OK(vic_attention(m->engine, plan, args, &err));
}

/* Frees the pattern. */
static void check_pattern(const char *what, vic_pattern *p)
{
    vic_pattern_info info = vic_pattern_get(p);
    vic_plan_options o = VIC_PLAN_OPTIONS_INIT;
    struct problem m;
    vic_attention_args args;
    vic_plan *plan;
    vic_error err;
    int64_t pairs = 0, empty = 0;
    problem_make(&m, info.n_q, info.n_k);
    o.heads = HEADS;
    o.head_dim = DIM;
    CHECK_OK(vic_plan_create(p, &o, &plan, &err));
    attend(&m, plan, &info, &args);
    CHECK_OK(vic_attention_reference(m.engine, plan, &args, info.n_q, NULL, m.ref_out, m.ref_lse, m.counts, &err));
    vic_pattern_counts(p, m.pattern_counts);
    for (int64_t i = 0; i < info.n_q; i++) {
        CHECK(m.counts[i] == m.pattern_counts[i], "%s: row %lld has %lld pairs, by its definition %lld", what,
              (long long)i, (long long)m.pattern_counts[i], (long long)m.counts[i]);
        pairs += m.counts[i];
        empty += m.counts[i] == 0;
        for (int h = 0; h < HEADS; h++) {
            double lse = m.ref_lse[i * HEADS + h], got = m.lse[i * HEADS + h];
            if (m.counts[i] == 0)
                assert_true(lse == -INFINITY && got == -INFINITY);
            else
                CHECK(fabs(got - lse) < 1e-5, "%s: row %lld: LSE %g, expected %g", what, (long long)i, got, lse);
        }
        for (int64_t c = i * HEADS * DIM; c < (i + 1) * HEADS * DIM; c++)
            CHECK(fabs(m.out[c] - m.ref_out[c]) < 2e-5, "%s: row %lld: %g, expected %g", what, (long long)i, m.out[c],
                  m.ref_out[c]);
    }
    CHECK(pairs == info.pairs, "%s: %lld pairs, expected %lld", what, (long long)info.pairs, (long long)pairs);
    vic_plan_free(plan);
    /* The reference as a kernel of its own takes the same way. */
    o.kernel = "attn_fwd_ref";
    CHECK_OK(vic_plan_create(p, &o, &plan, &err));
    attend(&m, plan, &info, &args);
    for (int64_t c = 0; c < info.n_q * HEADS * DIM; c++) assert_true(m.out[c] == (float)m.ref_out[c]);
    vic_plan_free(plan);
    print_message("%s: %lld pairs, %lld empty rows\n", what, (long long)pairs, (long long)empty);
    problem_free(&m);
    vic_pattern_free(p);
}

static double *positions(uint64_t seed, int64_t n, double size)
{
    double *x = malloc((size_t)(3 * n + 1) * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < 3 * n; i++) x[i] = size * random_uniform(&seed);
    return x;
}

static const double cell[3][3] = { { 8, 0, 0 }, { 3, 9, 0 }, { -2, 1, 10 } };

static vic_structure *structure(void)
{
    double *x = positions(7, ATOMS, 25.0);
    vic_structure *s;
    vic_error err;
    CHECK_OK(vic_structure_from_arrays(ATOMS, x, cell, NULL, NULL, &s, &err));
    free(x);
    return s;
}

static vic_pattern *cutoff(double r, const uint8_t *skip)
{
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_structure *s = structure();
    vic_pattern *p;
    vic_error err;
    o.cutoff = r;
    o.skip = skip;
    o.exclude_self = true;
    CHECK_OK(vic_pattern_build(s, &o, &p, &err));
    vic_structure_free(s);
    return p;
}

static void every_way(void **state)
{
    uint8_t skip[ATOMS];
    int32_t query[ATOMS], key[ATOMS], image[3 * ATOMS];
    const int64_t row_ptr[] = { 0, 2, 2, 5, 6 };
    const int32_t column[] = { 1, 4, 0, 2, 3, 4 };
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_structure *s = structure();
    vic_pattern *p, *a, *b;
    vic_error err;
    (void)state;
    for (int i = 0; i < ATOMS; i++) {
        skip[i] = i % 5 == 2;
        query[i] = i;
        key[i] = (7 * i + 3) % ATOMS;
        for (int x = 0; x < 3; x++) image[3 * i + x] = (i + x) % 3 - 1;
    }
    check_pattern("a cutoff without some atoms", cutoff(5.0, skip));
    CHECK_OK(vic_pattern_from_blocks(200, 333, 80, row_ptr, column, NULL, &p, &err)); /* ends within a block */
    o.skip = skip;
    CHECK_FAILS(vic_pattern_from_blocks(200, 0, 80, row_ptr, column, &o, &a, &err), VIC_BAD_INPUT, "column[");
    check_pattern("blocks", p);
    CHECK_OK(vic_pattern_from_blocks(320, 0, 80, row_ptr, (const int32_t[]){ 1, 3, 0, 2, 3, 1 }, NULL, &p, &err));
    check_pattern("square blocks", p);
    CHECK_OK(vic_pattern_generate("blocks:5x7:density=0.4,block=64", NULL, &p, &err));
    check_pattern("generated blocks", p);
    CHECK_OK(vic_pattern_from_pairs(s, ATOMS, 0, ATOMS, query, key, image, &o, &p, &err));
    check_pattern("pairs with images", p);
    CHECK_OK(vic_pattern_from_pairs(NULL, ATOMS, ATOMS + 1, ATOMS, query, key, NULL, NULL, &p, &err));
    check_pattern("pairs", p);
    CHECK_OK(vic_pattern_nearest(s, 40, &o, &p, &err));
    check_pattern("nearest in a cell", p);
    CHECK_OK(vic_pattern_windows(ATOMS, 32, 128, &o, &p, &err));
    check_pattern("windows", p);
    a = cutoff(4.0, skip);
    CHECK_OK(vic_pattern_windows(ATOMS, 8, 24, NULL, &b, &err));
    CHECK_OK(vic_pattern_unite(a, b, &p, &err));
    vic_pattern_free(a);
    vic_pattern_free(b);
    CHECK_OK(vic_pattern_exclude(p, ATOMS, query, key, NULL, &a, &err));
    check_pattern("a union", p);
    vic_pattern_info left = vic_pattern_get(a);
    int32_t *i = malloc((size_t)left.pairs * sizeof *i), *j = malloc((size_t)left.pairs * sizeof *j),
            *n = malloc(3 * (size_t)left.pairs * sizeof *n);
    assert_true(i && j && n);
    CHECK_OK(vic_pattern_pairs(a, left.pairs, i, j, n, &err));
    CHECK_OK(vic_pattern_exclude(a, left.pairs / 3, i, j, n, &b, &err));
    assert_int_equal(vic_pattern_get(b).pairs, left.pairs - left.pairs / 3);
    free(i);
    free(j);
    free(n);
    check_pattern("a union without pairs", a);
    check_pattern("and without images of pairs", b);
    vic_structure_free(s);
}

static void options_that_say_nothing(void **state)
{
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    const uint8_t skip[8] = { 0 };
    vic_pattern *p;
    vic_error err;
    (void)state;
    o.cutoff = 3.0;
    CHECK_FAILS(vic_pattern_windows(8, 2, 4, &o, &p, &err), VIC_BAD_ARGUMENT, "have no cutoff");
    o.cutoff = 0.0;
    o.exclude_self = true;
    CHECK_FAILS(vic_pattern_windows(8, 2, 4, &o, &p, &err), VIC_BAD_ARGUMENT, "vic_pattern_exclude()");
    o.exclude_self = false;
    o.skip_keys = skip;
    CHECK_FAILS(vic_pattern_windows(8, 2, 4, &o, &p, &err), VIC_BAD_ARGUMENT, "`skip` says it for both");
    CHECK_FAILS(vic_pattern_generate("origin:800", &o, &p, &err), VIC_BAD_ARGUMENT, "skip");
}

/* ---- several structures ---- */

enum { MOLECULES = 40 };

static void structures(void **state)
{
    int64_t offsets[MOLECULES + 1] = { 0 };
    double cells[MOLECULES][9] = { { 0 } };
    bool periodic[MOLECULES][3] = { { false } };
    uint64_t seed = 99;
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_plan_options po = VIC_PLAN_OPTIONS_INIT;
    vic_pattern *all;
    vic_error err;
    (void)state;
    po.heads = HEADS;
    po.head_dim = DIM;
    o.cutoff = 5.0;
    for (int s = 0; s < MOLECULES; s++) {
        offsets[s + 1] = offsets[s] + (int64_t)(random_bits(&seed) % 90);
        for (int x = 0; x < 3; x++) {
            cells[s][4 * x] = 6.0 + x;
            periodic[s][x] = random_bits(&seed) % 3 == 0;
        }
    }
    double *x = positions(8, offsets[MOLECULES], 9.0);
    CHECK_OK(vic_pattern_structures(MOLECULES, offsets, x, &cells[0][0], &periodic[0][0], &o, &all, &err));
    vic_pattern_info info = vic_pattern_get(all);
    assert_int_equal(info.structures, MOLECULES);
    struct problem m;
    vic_plan *plan;
    vic_attention_args args;
    problem_make(&m, info.n_q, info.n_k);
    CHECK_OK(vic_plan_create(all, &po, &plan, &err));
    attend(&m, plan, &info, &args);
    vic_plan_free(plan);
    /* One by one: each molecule's rows are those of a pattern of its own. */
    int64_t pairs = 0;
    for (int s = 0; s < MOLECULES; s++) {
        int64_t n = offsets[s + 1] - offsets[s], at = offsets[s] * HEADS * DIM;
        struct problem one = { .engine = m.engine,
                               .q = m.q + at,
                               .k = m.k + at,
                               .v = m.v + at,
                               .out = numbers(1, n * HEADS * DIM),
                               .lse = numbers(1, n * HEADS) };
        vic_pattern *p;
        CHECK_OK(vic_pattern_build_points(n, x + 3 * offsets[s], 0, NULL, (const double(*)[3])(void *)cells[s],
                                          periodic[s], &o, &p, &err));
        vic_pattern_info own = vic_pattern_get(p);
        pairs += own.pairs;
        CHECK_OK(vic_plan_create(p, &po, &plan, &err));
        attend(&one, plan, &own, &args);
        for (int64_t c = 0; c < n * HEADS * DIM; c++) assert_true(fabsf(one.out[c] - m.out[at + c]) < 2e-5f);
        for (int64_t c = 0; c < n * HEADS; c++)
            assert_true(fabsf(one.lse[c] - m.lse[offsets[s] * HEADS + c]) < 1e-5f);
        vic_plan_free(plan);
        vic_pattern_free(p);
        free(one.out);
        free(one.lse);
    }
    assert_int_equal(pairs, info.pairs);
    problem_free(&m);
    free(x);
    check_pattern("several structures", all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way),
        cmocka_unit_test(options_that_say_nothing),
        cmocka_unit_test(structures),
    };
    return cmocka_run_group_tests_name("api_ways", tests, NULL, NULL);
}
