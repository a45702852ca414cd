/* SPDX-License-Identifier: Apache-2.0 */
/* The estimate against the pattern itself, and what is refused by it. */
#include "brute.h"
#include "objects.h"

static const bool all_axes[3] = { true, true, true };

static double *gas(uint64_t seed, int64_t n, double edge)
{
    double *x = malloc((size_t)(3 * n) * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < 3 * n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x[i] = (double)(seed >> 11) * 0x1p-53 * edge;
    }
    return x;
}

/* A limit just above what there is lets it pass after a sample, which must then say what comes. */
static void agrees_with_the_pattern(void **state)
{
    static const double cutoffs[] = { 3.0, 8.0, 25.0, 60.0 };
    enum { CUTOFFS = SANITIZED == 2 ? 2 : SANITIZED == 1 ? 3 : 4 }; /* the last have nearly all pairs */
    struct pool *pool;
    vic_error err;
    int sampled = 0;
    (void)state;
    CHECK_OK(pool_create(2, &pool, &err));
    for (int periodic = 0; periodic < 2; periodic++) {
        double *x = gas(5, 20000, 60.0);
        for (size_t c = 0; c < CUTOFFS; c++) {
            vic_pattern_estimate e;
            vic_pattern *p = NULL;
            struct pattern_input in = { .n_q = 20000, .q_positions = x, .cutoff = cutoffs[c], .estimate = &e };
            for (int k = 0; k < 3; k++) in.cell[k][k] = 60.0;
            if (periodic) memcpy(in.periodic, all_axes, sizeof all_axes);
            in.max_bytes = 1;
            CHECK_FAILS(pattern_build(&in, pool, &p, &err), VIC_NO_MEMORY, "max_bytes");
            assert_true(e.refused && e.fitting_cutoff == 0.0 && e.cutoff <= cutoffs[c]);
            in.max_bytes = (size_t)3 << 30;
            CHECK_OK(pattern_build(&in, pool, &p, &err));
            assert_true(e.pairs == 0.0 || e.cutoff == cutoffs[c]);
            size_t bytes = p->info.bytes;
            double pairs = (double)p->info.pairs;
            pattern_release(p);
            in.max_bytes = 2 * bytes + (64 << 20);
            CHECK_OK(pattern_build(&in, pool, &p, &err));
            pattern_release(p);
            if (e.pairs == 0.0) continue; /* fits whatever comes */
            sampled++;
            CHECK(fabs(e.pairs - pairs) < 0.1 * pairs, "%g A: %g pairs, not %g", cutoffs[c], e.pairs, pairs);
            CHECK(e.bytes > 0.9 * (double)bytes && e.bytes < (double)in.max_bytes, "%g A: %g bytes, not %zu",
                  cutoffs[c], e.bytes, bytes);
        }
        free(x);
    }
    assert_true(sampled >= CUTOFFS);
    pool_free(pool);
}

/* The cutoff that it names is built, and one somewhat larger is not; an absurd one is refused in no time. */
static void names_a_cutoff_that_fits(void **state)
{
    enum { ATOMS = 6000 };
    double *x = gas(6, ATOMS, 40.0);
    vic_pattern_estimate e;
    struct pattern_input in = {
        .n_q = ATOMS, .q_positions = x, .cutoff = 1000.0, .max_bytes = 8 << 20, .estimate = &e
    };
    struct pool *pool;
    vic_error err;
    vic_pattern *p;
    (void)state;
    for (int k = 0; k < 3; k++) in.cell[k][k] = 40.0;
    memcpy(in.periodic, all_axes, sizeof all_axes);
    CHECK_OK(pool_create(2, &pool, &err));
    CHECK_FAILS(pattern_build(&in, pool, &p, &err), VIC_NO_MEMORY, "would fit");
    assert_null(p);
    assert_true(e.refused && e.cutoff < 1000.0 && e.fitting_cutoff > 0.0 && e.fitting_cutoff < e.cutoff);
    in.cutoff = e.fitting_cutoff;
    CHECK_OK(pattern_build(&in, pool, &p, &err));
    assert_true(p->info.bytes < in.max_bytes);
    pattern_release(p);
    in.cutoff *= 1.5;
    CHECK_FAILS(pattern_build(&in, pool, &p, &err), VIC_NO_MEMORY, "cutoff: the pattern of");
    in.max_bytes = 0;
    CHECK_OK(pattern_build(&in, pool, &p, &err));
    pattern_release(p);
    pool_free(pool);
    free(x);
}

static void lists_of_nearest_are_counted(void **state)
{
    enum { ATOMS = 500 };
    double *x = gas(7, ATOMS, 20.0);
    vic_pattern_estimate e = VIC_INIT(vic_pattern_estimate);
    const vic_pattern_options o = { .size = sizeof o, .max_bytes = 1 << 20, .estimate = &e };
    vic_points points = points_at(ATOMS, x, NULL);
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_FAILS(vic_pattern_nearest(NULL, &points, NULL, 400, &o, &p, &err), VIC_NO_MEMORY,
                "k: the pattern of the 400 nearest");
    assert_true(e.refused && e.pairs == 400.0 * ATOMS && e.bytes >= 16.0 * e.pairs);
    CHECK_OK(vic_pattern_nearest(NULL, &points, NULL, 40, &o, &p, &err));
    assert_true(!e.refused && e.pairs == (double)info_of(p).pairs);
    vic_pattern_free(p);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_pattern),
        cmocka_unit_test(names_a_cutoff_that_fits),
        cmocka_unit_test(lists_of_nearest_are_counted),
    };
    return cmocka_run_group_tests_name("unit_pattern_estimate", tests, NULL, NULL);
}
