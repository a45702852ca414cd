/* SPDX-License-Identifier: Apache-2.0 */
/* The reference against pairs found by brute force over a fixed range of images, and against known answers. */
#include "base/threads.h"
#include "kernels/ref/attention_ref.h"
#include "lib/brute.h"

enum { HEADS = 2, D = 8 };

static struct pool *pool;

static struct attention_tensor dense(float *data)
{
    return (struct attention_tensor){ data, HEADS * D, D, 0 };
}

static float *random_floats(int64_t n, uint64_t *state)
{
    float *x = brute_alloc(n, sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = (float)random_normal(state);
    return x;
}

/* The formula over all images -4 .. 4, with nothing shared but the pair rule.  A score may be subtracted from all, so
 * there is no maximum to get wrong: scores are small here. */
static void check_geometry(enum brute_cell cell, int64_t n_q, int64_t n_k, double box, double cutoff, bool exclude,
                           uint64_t seed)
{
    struct brute_points made = brute_points(cell, n_q, n_k, n_k < 0, box, cutoff, false, seed);
    const struct brute_points *points = &made;
    struct vic_pattern p;
    struct attention_shape shape = { VIC_F32, HEADS, HEADS, D, D };
    struct attention_args args = { .scale = 0.25 };
    uint64_t state = seed;
    vic_error err;
    made.exclude_self = exclude;
    int64_t *expected = brute_alloc(n_q, sizeof *expected), *counts = brute_alloc(n_q, sizeof *counts);
    brute_build(points, seed + 1, &p, expected);
    const double *k_positions = p.k_positions;
    float *q = random_floats(n_q * HEADS * D, &state), *k = random_floats(p.n_k * HEADS * D, &state);
    float *v = random_floats(p.n_k * HEADS * D, &state);
    double *out = brute_alloc(n_q * HEADS * D, sizeof *out), *lse = brute_alloc(n_q * HEADS, sizeof *lse);
    args.q = dense(q);
    args.k = dense(k);
    args.v = dense(v);
    args.q_rows = p.q_order;
    args.k_rows = p.k_order;
    CHECK_OK(attention_ref_rows(&p, &shape, &args, pool, n_q, NULL, out, lse, counts, &err));
    for (int64_t i = 0; i < n_q; i++) {
        CHECK(counts[i] == expected[i], "seed %llu: atom %lld has %lld pairs, expected %lld",
              (unsigned long long)seed, (long long)i, (long long)counts[i], (long long)expected[i]);
        for (int h = 0; h < HEADS; h++) {
            double weight = 0.0, sum[D] = { 0.0 };
            for (int64_t j = 0; j < p.n_k; j++) {
                int pairs = 0;
                double dot = 0.0;
                for (int image = 0; image < 729; image++) {
                    int n[3] = { image / 81 - 4, image / 9 % 9 - 4, image % 9 - 4 };
                    bool inside = true;
                    for (int a = 0; a < 3; a++) inside = inside && (points->periodic[a] || n[a] == 0);
                    if (!inside || (exclude && i == j && !n[0] && !n[1] && !n[2])) continue;
                    pairs += pair_distance2(points->q + 3 * i, k_positions + 3 * j, points->cell, n[0], n[1], n[2]) <
                             cutoff * cutoff;
                }
                for (int c = 0; c < D; c++)
                    dot += (double)q[(i * HEADS + h) * D + c] * (double)k[(j * HEADS + h) * D + c];
                weight += pairs * exp(0.25 * dot);
                for (int c = 0; c < D; c++) sum[c] += pairs * exp(0.25 * dot) * (double)v[(j * HEADS + h) * D + c];
            }
            double got = lse[i * HEADS + h];
            CHECK(weight == 0.0 ? got == -INFINITY : fabs(got - log(weight)) < 1e-12,
                  "seed %llu: lse of atom %lld, head %d: expected %.15g, got %.15g", (unsigned long long)seed,
                  (long long)i, h, log(weight), got);
            for (int c = 0; c < D; c++) {
                double want = weight == 0.0 ? 0.0 : sum[c] / weight;
                CHECK(fabs(out[(i * HEADS + h) * D + c] - want) < 1e-12,
                      "seed %llu: out of atom %lld, head %d, %d: expected %.15g, got %.15g", (unsigned long long)seed,
                      (long long)i, h, c, want, out[(i * HEADS + h) * D + c]);
            }
        }
    }
    /* Some rows, in any order and twice, are the same rows. */
    const int64_t some[] = { n_q - 1, 0, n_q / 2, 0 };
    double few[4 * HEADS * D];
    CHECK_OK(attention_ref_rows(&p, &shape, &args, pool, 4, some, few, NULL, NULL, &err));
    for (int r = 0; r < 4; r++)
        assert_memory_equal(few + r * HEADS * D, out + some[r] * HEADS * D, HEADS * D * sizeof(double));
    free(q);
    free(k);
    free(v);
    free(out);
    free(lse);
    free(expected);
    free(counts);
    brute_free(&p);
    brute_points_free(&made);
}

static void test_geometries(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        check_geometry(OPEN, 40, -1, 10, 5, false, seed);
        check_geometry(OPEN, 40, 60, 10, 5, false, seed + 10);
        check_geometry(CUBIC, 30, -1, 8, 6, true, seed + 20);
        check_geometry(SKEWED, 30, -1, 8, 6, false, seed + 30);
        check_geometry(SKEWED, 20, 30, 8, 6, false, seed + 40);
        check_geometry(SLAB, 30, -1, 7, 5, true, seed + 50);
        check_geometry(WIRE, 30, -1, 7, 5, false, seed + 60);
        check_geometry(CUBIC, 1, -1, 3, 6.5, true, seed + 70);
    }
}

/* Simple cubic lattice, spacing 1: 0, 6, 18, 26, 32 neighbours below 1, sqrt 2, sqrt 3, 2, sqrt 5; with q = k = 0 the
 * lse is the logarithm of their number. */
static void test_shells_of_a_lattice(void **state)
{
    static const double cutoffs[] = { 1.0, 1.2, 1.5, 1.9, 2.1 }, shells[] = { 0, 6, 18, 26, 32 };
    double origin[3] = { 1e3, -2e3, 0.3 }, lse[HEADS];
    int32_t order[1] = { 0 };
    float zeros[HEADS * D] = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof cutoffs / sizeof *cutoffs; i++)
        for (int exclude = 0; exclude < 2; exclude++) {
            struct vic_pattern p = { .n_q = 1,
                                     .n_k = 1,
                                     .strips = 1,
                                     .clusters = 1,
                                     .one_set = true,
                                     .exclude_self = exclude,
                                     .cutoff = cutoffs[i],
                                     .cell = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } },
                                     .periodic = { true, true, true },
                                     .q_positions = origin,
                                     .k_positions = origin,
                                     .q_order = order,
                                     .k_order = order };
            struct attention_shape shape = { VIC_F32, HEADS, HEADS, D, D };
            struct attention_args args = { .q = dense(zeros), .k = dense(zeros), .v = dense(zeros), .scale = 1.0 };
            int64_t pairs;
            vic_error err;
            CHECK_OK(attention_ref_rows(&p, &shape, &args, pool, 1, NULL, NULL, lse, &pairs, &err));
            double expected = shells[i] + (exclude ? 0 : 1);
            assert_int_equal(pairs, (int64_t)expected);
            CHECK(expected == 0 ? lse[0] == -INFINITY : fabs(lse[0] - log(expected)) < 1e-14, "lse %.17g", lse[0]);
        }
}

static void test_refusals(void **state)
{
    double positions[6] = { 0, 0, 0, 1e12, 0, 0 };
    int32_t order[2] = { 0, 1 };
    float zeros[2 * HEADS * D] = { 0 };
    const int64_t bad[] = { 0, 2 };
    struct vic_pattern p = { .n_q = 2,
                             .n_k = 2,
                             .strips = 1,
                             .clusters = 1,
                             .one_set = true,
                             .cutoff = 1.0,
                             .cell = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } },
                             .periodic = { true, true, true },
                             .q_positions = positions,
                             .k_positions = positions,
                             .q_order = order,
                             .k_order = order };
    struct attention_shape shape = { VIC_F32, HEADS, HEADS, D, D };
    struct attention_args args = { .q = dense(zeros), .k = dense(zeros), .v = dense(zeros), .scale = 1.0 };
    vic_error err;
    (void)state;
    CHECK_FAILS(attention_ref_rows(&p, &shape, &args, pool, 2, NULL, NULL, NULL, NULL, &err), VIC_BAD_INPUT,
                "axis 1");
    CHECK_FAILS(attention_ref_rows(&p, &shape, &args, pool, 2, bad, NULL, NULL, NULL, &err), VIC_BAD_ARGUMENT,
                "rows[1]: expected a query atom from 0 to 1, got 2");
    CHECK_FAILS(attention_ref_rows(&p, &shape, &args, pool, 1, NULL, NULL, NULL, NULL, &err), VIC_BAD_ARGUMENT,
                "expected the pattern's 2");
}

static int start(void **state)
{
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(2, &pool, &err));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    pool_free(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_geometries),
        cmocka_unit_test(test_shells_of_a_lattice),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("parity_reference", tests, start, stop);
}
