/* SPDX-License-Identifier: Apache-2.0 */
/* The float filter of each instruction set against the pair rule: what it is sure of is true, however large, small or
 * far from the origin things are, and it is rarely unsure where floats are fine enough. */
#include "pattern/blocks.h"

#include "base/cpu_features.h"
#include "check.h"
#include "contract/pair_rule.h"

static const struct {
    const char *name;
    block_filter *filter;
    const char *(*lacks)(void);
} variants[] = {
    { "scalar", block_filter_scalar, cpu_lacks_baseline },
#if defined(__x86_64__)
    { "avx2", block_filter_avx2, cpu_lacks_avx2 },
    { "avx512", block_filter_avx512, cpu_lacks_avx512 },
#endif
};
enum { VARIANTS = sizeof variants / sizeof *variants };

struct tally {
    int64_t in, out, unsure;
};

/* Every (strip, cluster) of n points in an open system. */
static struct tally check_filter(const char *what, int v, int n, const double *x, double cutoff)
{
    struct lattice lattice;
    struct lattice_image image = { { 0, 0, 0 }, { 0, 0, 0 } };
    struct points points;
    struct points_kept kept = { 0 };
    struct tally tally = { 0 };
    const double no_cell[3][3] = { { 0 } };
    const bool open[3] = { false };
    struct pool *pool;
    vic_error err;
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_OK(lattice_make(no_cell, open, &lattice, &err));
    CHECK_OK(points_make("input", n, x, &lattice, pool, &kept, &points, &err));
    struct vic_pattern p = { .n_q = n, .n_k = n, .cutoff = cutoff };
    struct block_test t = { .p = &p, .queries = &points, .keys = &points, .images = &image };
    t.cutoff2 = cutoff * cutoff;
    t.point_error = 32 * 0x1p-53 * (points.largest + 3 * cutoff);
    int strips = (n + STRIP - 1) / STRIP, clusters = 4 * strips;
    struct candidate *c = malloc((size_t)clusters * sizeof *c);
    struct block_bits *inside = malloc((size_t)clusters * sizeof *inside);
    struct block_bits *reached = malloc((size_t)clusters * sizeof *reached);
    struct filtered *filtered = malloc((size_t)clusters * sizeof *filtered);
    assert_true(c && inside && reached && filtered);
    for (int strip = 0; strip < strips; strip++) {
        struct strip_rows rows;
        strip_rows_load(&t, strip, &rows);
        for (int i = 0; i < clusters; i++) c[i] = (struct candidate){ i, 0, i % 7 == 3 ? 5 : 15 };
        variants[v].filter(&t, &rows, c, (size_t)clusters, inside, reached, filtered);
        for (int i = 0; i < clusters; i++) {
            int pairs = 0;
            bool unsure = false;
            for (int k = 0; k < CLUSTER; k++) {
                for (int r = 0; r < STRIP; r++) {
                    int64_t row = strip * STRIP + r, key = i * CLUSTER + k;
                    bool in = inside[i].key[k] >> r & 1, may = reached[i].key[k] >> r & 1;
                    bool tested = c[i].groups >> (r / CLUSTER) & 1 && row < n && key < n;
                    double d2 = INFINITY;
                    if (tested)
                        d2 = pair_distance2(x + 3 * kept.order[row], x + 3 * kept.order[key], no_cell, 0, 0, 0);
                    pairs += in;
                    unsure = unsure || in != may;
                    CHECK(!in || d2 < t.cutoff2, "%s, %s: d^2 = %.17g is said to be in", what, variants[v].name, d2);
                    CHECK(may || !(d2 < t.cutoff2), "%s, %s: d^2 = %.17g is said to be out", what, variants[v].name,
                          d2);
                    CHECK(may || !(fabs(sqrt(d2) - cutoff) <= 1e-9 * cutoff),
                          "%s, %s: boundary pair d = %.17g missed", what, variants[v].name, sqrt(d2));
                    tally.in += in;
                    tally.unsure += may && !in;
                    tally.out += !may;
                }
            }
            assert_int_equal(filtered[i].pairs, pairs);
            assert_int_equal(filtered[i].unsure, unsure);
        }
    }
    free(c);
    free(inside);
    free(reached);
    free(filtered);
    free(kept.positions);
    free(kept.order);
    points_free(&points);
    pool_free(pool);
    return tally;
}

static void skip_unless_runnable(int v)
{
    if (!variants[v].lacks()) return;
    print_message("skipped: %s\n", variants[v].lacks());
    skip();
}

static void check_variant(int v)
{
    enum { N = 333 };
    double x[3 * N];
    skip_unless_runnable(v);
    for (int exponent = -9; exponent <= 4; exponent += 3) {
        double scale = pow(10.0, exponent);
        for (int far = 0; far < 3; far++) { /* from the origin: not, a little, much */
            uint64_t seed = 17;
            for (int i = 0; i < 3 * N; i++)
                x[i] = scale * (10.0 * random_uniform(&seed) + (far == 2 ? 1e7 : 33.0 * far));
            struct tally t = check_filter("scaled", v, N, x, 4.0 * scale);
            assert_true(t.in > 5000 && t.out > 5000);
            if (far < 2) assert_true(t.unsure < t.in / 500);
        }
    }
    /* distances in steps of the cutoff, to its last bit and around it */
    for (int step = -2; step <= 2; step++) {
        double spacing = 1.25;
        for (int k = 0; k < abs(step); k++) spacing = nextafter(spacing, step < 0 ? 0.0 : 2.0);
        for (int i = 0; i < N; i++) {
            x[3 * i] = spacing * (i % 7);
            x[3 * i + 1] = spacing * (i / 7 % 7);
            x[3 * i + 2] = spacing * (i / 49);
        }
        assert_true(check_filter("lattice", v, N, x, 1.25).unsure > 6 * N / 2);
    }
    /* all on one spot, with a cutoff whose square is nothing in float */
    memset(x, 0, sizeof x);
    check_filter("one spot", v, N, x, 1e-30);
    for (int i = 0; i < N; i++) x[3 * i] = 1e-30 * (i % 3);
    check_filter("tiny", v, N, x, 1e-30);
    for (int i = 0; i < N; i++) x[3 * i + i % 3] = (i % 5 == 0 ? 1e9 : 1.0) * i;
    check_filter("far apart", v, N, x, 3.0);
    check_filter("far apart, wide", v, N, x, 1e9);
}

static void scalar_is_right(void **state)
{
    (void)state;
    check_variant(0);
}

#if defined(__x86_64__)
static void avx2_is_right(void **state)
{
    (void)state;
    check_variant(1);
}

static void avx512_is_right(void **state)
{
    (void)state;
    check_variant(2);
}
#endif

static void choice_follows_the_switch(void **state)
{
    (void)state;
    for (int off = VARIANTS; off > 0; off--) {
        setenv("VIC_DISABLE_CPU", off == 3 ? "" : off == 2 ? "avx512" : "avx2,avx512", 1);
        int best = off - 1;
        while (variants[best].lacks()) best--;
        assert_true(block_filter_choose() == variants[best].filter);
    }
    unsetenv("VIC_DISABLE_CPU");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalar_is_right),
#if defined(__x86_64__)
        cmocka_unit_test(avx2_is_right),
        cmocka_unit_test(avx512_is_right),
#endif
        cmocka_unit_test(choice_follows_the_switch),
    };
    return cmocka_run_group_tests_name("pattern_blocks", tests, NULL, NULL);
}
