/* SPDX-License-Identifier: Apache-2.0 */
/* From positions to results through the public API: patterns as the library builds them, every kernel, both orders of
 * rows, against the float64 reference, which knows neither blocks nor orders. */
#include "lib/brute.h"
#include "objects.h"
#include "vicinal_dev.h"
#include "vicinal_structure.h"

enum { HEADS = 4, KV_HEADS = 2, D_QK = 24, D_V = 40 };

static vic_context *context;

struct rows {
    float *q, *k, *v, *out, *lse;
};

static vic_tensor rows_tensor(float *data, int64_t n, int heads, int d)
{
    const int64_t shape[] = { n, heads, d };
    return vic_tensor_make(data, VIC_F32, 3, shape);
}

static vic_attention_args rows_args(const struct rows *r, int64_t n_q, int64_t n_k)
{
    vic_attention_args a = VIC_INIT(vic_attention_args);
    const int64_t lse_shape[] = { n_q, HEADS };
    a.q = rows_tensor(r->q, n_q, HEADS, D_QK);
    a.k = rows_tensor(r->k, n_k, KV_HEADS, D_QK);
    a.v = rows_tensor(r->v, n_k, KV_HEADS, D_V);
    a.out = rows_tensor(r->out, n_q, HEADS, D_V);
    a.lse = vic_tensor_make(r->lse, VIC_F32, 2, lse_shape);
    return a;
}

static struct rows rows_make(int64_t n_q, int64_t n_k)
{
    return (struct rows){ brute_alloc(n_q * HEADS * D_QK, sizeof(float)),
                          brute_alloc(n_k * KV_HEADS * D_QK, sizeof(float)),
                          brute_alloc(n_k * KV_HEADS * D_V, sizeof(float)),
                          brute_alloc(n_q * HEADS * D_V, sizeof(float)), brute_alloc(n_q * HEADS, sizeof(float)) };
}

static void rows_free(struct rows *r)
{
    free(r->q);
    free(r->k);
    free(r->v);
    free(r->out);
    free(r->lse);
}

static void compare(const char *what, const char *kernel, int64_t n_q, const struct rows *got, const double *out,
                    const double *lse)
{
    double difference2 = 0.0, size2 = 0.0;
    for (int64_t i = 0; i < n_q * HEADS; i++) {
        for (int c = 0; c < D_V; c++) {
            double want = out[i * D_V + c], x = (double)got->out[i * D_V + c];
            CHECK(fabs(x - want) <= 1e-5, "%s, %s: out[atom %lld, head %lld, %d]: expected %.9g, got %.9g", what,
                  kernel, (long long)(i / HEADS), (long long)(i % HEADS), c, want, x);
            difference2 += (x - want) * (x - want);
            size2 += want * want;
        }
        double x = (double)got->lse[i];
        CHECK(lse[i] == -INFINITY ? x == lse[i] : fabs(x - lse[i]) <= 2e-6 * (1.0 + fabs(lse[i])),
              "%s, %s: lse[atom %lld, head %lld]: expected %.9g, got %.9g", what, kernel, (long long)(i / HEADS),
              (long long)(i % HEADS), lse[i], x);
    }
    CHECK(difference2 <= 4e-12 * size2, "%s, %s: relative error %.3g", what, kernel, sqrt(difference2 / size2));
}

static void check_pattern(const char *what, const vic_pattern *p, uint64_t seed)
{
    vic_pattern_info info = info_of(p);
    int64_t n_q = info.n_q, n_k = info.n_k, pairs = 0;
    struct rows r = rows_make(n_q, n_k), sorted = rows_make(n_q, n_k), back = rows_make(n_q, n_k);
    double *out = brute_alloc(n_q * HEADS * D_V, sizeof *out), *lse = brute_alloc(n_q * HEADS, sizeof *lse);
    int64_t *expected = brute_alloc(n_q, sizeof *expected), *counts = brute_alloc(n_q, sizeof *counts);
    vic_attention_args a = rows_args(&r, n_q, n_k), in_order = rows_args(&sorted, n_q, n_k);
    vic_attention_args sorted_back = rows_args(&back, n_q, n_k);
    uint64_t state = seed;
    bool known = false; /* what the reference says; the first kernels may not run on this machine */
    vic_error err;
    for (int64_t i = 0; i < n_q * HEADS * D_QK; i++) r.q[i] = (float)random_normal(&state);
    for (int64_t i = 0; i < n_k * KV_HEADS * D_QK; i++) r.k[i] = (float)random_normal(&state);
    for (int64_t i = 0; i < n_k * KV_HEADS * D_V; i++) r.v[i] = (float)random_normal(&state);
    CHECK_OK(vic_pattern_sort(context, p, VIC_QUERY, &a.q, &in_order.q, NULL, &err));
    CHECK_OK(vic_pattern_sort(context, p, VIC_KEY, &a.k, &in_order.k, NULL, &err));
    CHECK_OK(vic_pattern_sort(context, p, VIC_KEY, &a.v, &in_order.v, NULL, &err));

    for (int i = 0; i < vic_kernel_count(); i++) {
        vic_kernel_info kernel = VIC_INIT(vic_kernel_info);
        vic_plan_options o = { .size = sizeof o,
                               .dtype = VIC_F32,
                               .heads = HEADS,
                               .kv_heads = KV_HEADS,
                               .head_dim = D_QK,
                               .head_dim_v = D_V };
        vic_plan *plan, *sorted_plan;
        CHECK_OK(vic_kernel_get(i, &kernel, &err));
        if (kernel.backward) continue;
        if (!kernel.available || strcmp(kernel.device, "cpu") != 0) {
            print_message("%s: skipped: %s\n", kernel.name, kernel.reason);
            continue;
        }
        o.kernel = kernel.name;
        CHECK_OK(vic_plan_create(context, p, &o, &plan, &err));
        o.pattern_order = true;
        CHECK_OK(vic_plan_create(context, p, &o, &sorted_plan, &err));
        if (!known) {
            known = true;
            CHECK_OK(vic_attention_reference(context, plan, &a, n_q, NULL, out, lse, expected, &err));
            CHECK_OK(vic_pattern_counts(p, counts, &err));
            for (int64_t atom = 0; atom < n_q; atom++) {
                pairs += expected[atom];
                CHECK(counts[atom] == expected[atom], "%s: atom %lld has %lld pairs in the pattern, %lld by the rule",
                      what, (long long)atom, (long long)counts[atom], (long long)expected[atom]);
            }
            assert_int_equal(pairs, info.pairs);
        }
        CHECK_OK(vic_attention(context, plan, &a, &err));
        compare(what, kernel.name, n_q, &r, out, lse);
        /* The arithmetic does not know where rows lie: the same bits in pattern order. */
        CHECK_OK(vic_attention(context, sorted_plan, &in_order, &err));
        CHECK_OK(vic_pattern_unsort(context, p, VIC_QUERY, &in_order.out, &sorted_back.out, NULL, &err));
        CHECK_OK(vic_pattern_unsort(context, p, VIC_QUERY, &in_order.lse, &sorted_back.lse, NULL, &err));
        assert_memory_equal(back.out, r.out, (size_t)(n_q * HEADS * D_V) * sizeof(float));
        assert_memory_equal(back.lse, r.lse, (size_t)(n_q * HEADS) * sizeof(float));
        vic_plan_free(plan);
        vic_plan_free(sorted_plan);
    }
    assert_true(known);
    rows_free(&r);
    rows_free(&sorted);
    rows_free(&back);
    free(out);
    free(lse);
    free(expected);
    free(counts);
}

static void test_random_points(void **state)
{
    static const struct {
        const char *what;
        enum brute_cell cell;
        int64_t n_q, n_k; /* n_k -1: one set */
        double box, cutoff;
        bool exclude_self;
    } cases[] = {
        { "open", OPEN, 1500, -1, 25, 5, false },
        { "open, no self", OPEN, 700, -1, 20, 5, true },
        { "two sets", OPEN, 500, 900, 20, 5, false },
        { "cubic", CUBIC, 1000, -1, 22, 5, false },
        { "skewed", SKEWED, 1000, -1, 22, 5, true },
        { "small skewed cell", SKEWED, 60, -1, 6, 7, false },
        { "slab", SLAB, 600, -1, 16, 5, false },
        { "wire", WIRE, 400, -1, 14, 5, false },
        { "two sets, skewed", SKEWED, 300, 500, 12, 6, false },
        { "one atom", CUBIC, 1, -1, 3, 7, true },
        { "sparse", OPEN, 400, -1, 60, 4, true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (SANITIZED == 2 && cases[i].n_q > 600) continue;
        struct brute_points made = brute_points(cases[i].cell, cases[i].n_q, cases[i].n_k, cases[i].n_k < 0,
                                                cases[i].box, cases[i].cutoff, false, 50 + i);
        const struct brute_points *points = &made;
        const vic_pattern_options o = { .size = sizeof o, .exclude_self = cases[i].exclude_self };
        vic_points q = points_at(points->n_q, points->q, cases[i].cell == OPEN ? NULL : &points->cell[0][0]);
        vic_points k = points_at(points->n_k, points->k, NULL);
        vic_pattern *p;
        vic_error err;
        q.periodic = points->periodic;
        CHECK_OK(vic_pattern_cutoff(context, &q, points->one_set ? NULL : &k, cases[i].cutoff, &o, &p, &err));
        check_pattern(cases[i].what, p, i);
        vic_pattern_free(p);
        brute_points_free(&made);
    }
}

static void test_real_structures(void **state)
{
    static const struct {
        const char *file;
        double cutoff;
        bool symmetry;
    } cases[] = { { "small/1crn.pdb", 8.0, false },
                  { "small/1UBQ.cif", 10.0, false },
                  { "small/1UBQ.pdb", 7.0, true } };
    (void)state;
    for (size_t i = 0; i < (SANITIZED == 2 ? 1 : sizeof cases / sizeof *cases); i++) {
        const vic_read_options read = { .size = sizeof read, .symmetry = cases[i].symmetry };
        vic_points points = VIC_INIT(vic_points);
        const char *path = test_data(cases[i].file);
        vic_structure *s;
        vic_pattern *p;
        vic_error err;
        if (!path) skip();
        CHECK_OK(vic_structure_read(path, &read, &s, &err));
        CHECK_OK(vic_structure_points(s, &points, &err));
        CHECK_OK(vic_pattern_cutoff(context, &points, NULL, cases[i].cutoff, NULL, &p, &err));
        check_pattern(cases[i].file, p, 100 + i);
        vic_pattern_free(p);
        vic_structure_free(s);
    }
}

static int start(void **state)
{
    (void)state;
    context = context_of(0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    vic_context_free(context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_points),
        cmocka_unit_test(test_real_structures),
    };
    return cmocka_run_group_tests_name("parity_public", tests, start, stop);
}
