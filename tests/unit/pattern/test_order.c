/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/order.h"

#include "check.h"
#include "contract/pattern.h"

static void order_of(int64_t n, const double (*x)[3], int threads, int32_t *order)
{
    struct pool *pool;
    vic_error err;
    CHECK_OK(pool_create(threads, &pool, &err));
    CHECK_OK(order_kd(n, x, pool, order, &err));
    pool_free(pool);
}

static void is_a_permutation_whatever_the_points(void **state)
{
    enum { N = 10007 };
    static double x[N][3];
    static int32_t order[N], again[N];
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        uint64_t seed = 5;
        for (int i = 0; i < N; i++)
            for (int k = 0; k < 3; k++)
                x[i][k] = kind == 0   ? random_normal(&seed)
                          : kind == 1 ? 0.0                            /* all on one spot */
                          : kind == 2 ? (double)(i % 20)               /* a crystal: many equal coordinates */
                                      : (double)i * (1 - 2 * (k & 1)); /* sorted already, up and down */
        for (int64_t n = 0; n <= N; n = n < 70 ? n + 1 : n == N ? N + 1 : n * 3 < N ? n * 3 : N) {
            static char seen[N];
            memset(seen, 0, sizeof seen);
            order_of(n, (const double(*)[3])x, 1, order);
            for (int64_t i = 0; i < n; i++) {
                assert_true(order[i] >= 0 && order[i] < n);
                assert_false(seen[order[i]]++);
            }
        }
        order_of(N, (const double(*)[3])x, 5, again);
        assert_memory_equal(order, again, sizeof order);
    }
}

/* What it is for: a strip of a filled cube has a box near the ideal, not the cube's. */
static void strips_are_compact(void **state)
{
    enum { N = 64 * 512 };
    static double x[N][3];
    static int32_t order[N];
    uint64_t seed = 8;
    double sum = 0;
    (void)state;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 3; k++) x[i][k] = 32.0 * random_uniform(&seed); /* one atom per cubic angstrom */
    order_of(N, (const double(*)[3])x, 2, order);
    for (int s = 0; s < N / STRIP; s++) {
        double volume = 1;
        for (int k = 0; k < 3; k++) {
            double low = 1e9, high = -1e9;
            for (int r = 0; r < STRIP; r++) {
                low = fmin(low, x[order[s * STRIP + r]][k]);
                high = fmax(high, x[order[s * STRIP + r]][k]);
            }
            volume *= high - low;
        }
        sum += volume;
    }
    /* 512 boxes of 64 A^3 would fill the cube; sampling makes them a little smaller. */
    assert_true(sum / (N / STRIP) < 64.0);
    assert_true(sum / (N / STRIP) > 40.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_a_permutation_whatever_the_points),
        cmocka_unit_test(strips_are_compact),
    };
    return cmocka_run_group_tests_name("pattern_order", tests, NULL, NULL);
}
