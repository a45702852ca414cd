/* SPDX-License-Identifier: Apache-2.0 */
/* Small structures with many pairs at the cutoff itself, which the rule decides one by one: against all pairs. */
#include "pattern/small.h"

#include "pattern/cutoff.h"
#include "unit/pattern/expect.h"

enum { N = 300, GROUPS = 5 };

struct within {
    const struct point_set *set;
    double cutoff;
    bool no_self;
    int64_t boundary;
    struct expected found;
};

static void add_within(void *context, int32_t i, int32_t j, const int32_t n[3], double d2)
{
    struct within *w = context;
    if (fabs(sqrt(d2) - w->cutoff) <= 1e-9 * w->cutoff) w->boundary++;
    if (d2 < w->cutoff * w->cutoff && !(w->no_self && i == j)) expect_pair(&w->found, i, j, n, d2);
}

static void check(const struct point_set *set, double cutoff, bool no_self)
{
    const struct cutoff_input in = { .cutoff = cutoff, .exclude_self = no_self };
    struct within w = { set, cutoff, no_self, 0, { 0 } };
    char what[64];
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    CHECK_OK(pool_create(2, &pool, &err));
    CHECK_OK(pattern_cutoff(set, NULL, &in, pool, &p, &err));
    try_pairs(set, NULL, 0, add_within, &w);
    snprintf(what, sizeof what, "cutoff %.17g", cutoff);
    assert_true(w.boundary > 100);
    assert_int_equal(p->info.boundary_pairs, w.boundary);
    expect_pattern(what, p, &w.found, pool);
    pattern_release(p);
    pool_free(pool);
}

/* Points of a grid with some noise in the last places, so that of the pairs at a cutoff some are in and some are not,
 * by less than a float can tell. */
static void pairs_at_the_cutoff(void **state)
{
    static const int64_t offsets[] = { 0, 40, 40, 104, 105, N };
    static const double distances[] = { 1.0, 2.0, 3.0 };
    uint64_t seed = 12;
    double x[3 * N];
    (void)state;
    for (int i = 0; i < N; i++) {
        const double at[] = { i % 5, i / 5 % 5, i / 25 % 5 };
        for (int c = 0; c < 3; c++) x[3 * i + c] = 1000.0 + at[c] + 1e-12 * (double)(int)(random_bits(&seed) % 3);
    }
    const struct point_set set = { .n = N, .positions = x, .groups = GROUPS, .group_offsets = offsets };
    assert_true(offsets[3] - offsets[2] <= SMALL_ATOMS);
    for (int d = 0; d < 3; d++)
        for (int step = -1; step <= 1; step++)
            for (int no_self = 0; no_self < 2; no_self++) {
                double cutoff = distances[d] + 1e-12 * step;
                check(&set, cutoff, no_self);
                check(&set, nextafter(cutoff, INFINITY), no_self);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(pairs_at_the_cutoff) };
    return cmocka_run_group_tests_name("pattern_small", tests, NULL, NULL);
}
