/* SPDX-License-Identifier: Apache-2.0 */
/* Percentiles against those of the sorted times themselves.  cmocka comes last: `fail` is a macro of it. */
#include "cli/histogram.h"

#include "check.h"

enum { TIMES = 20000 };

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Spread over 1 ns to 2^40 ns, every power of two alike. */
static void make_times(uint64_t seed, uint64_t times[TIMES])
{
    for (int i = 0; i < TIMES; i++) times[i] = (uint64_t)exp2(40.0 * random_uniform(&seed));
}

static void percentiles_of_any_times(void **state)
{
    static struct histogram h;
    static uint64_t times[TIMES];
    const double shares[] = { 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999 };
    (void)state;
    memset(&h, 0, sizeof h);
    make_times(11, times);
    for (int i = 0; i < TIMES; i++) histogram_add(&h, times[i]);
    qsort(times, TIMES, sizeof *times, compare);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        double exact = 1e-9 * (double)times[(int)ceil(shares[i] * TIMES) - 1];
        double found = histogram_quantile(&h, shares[i]);
        CHECK(fabs(found - exact) <= 0.004 * exact + 1e-18, "%g: expected %g, got %g", shares[i], exact, found);
    }
    assert_true(histogram_quantile(&h, 0.0) == 1e-9 * (double)times[0]);
    assert_true(histogram_quantile(&h, 1.0) == 1e-9 * (double)times[TIMES - 1]);
}

static void small_times_are_exact(void **state)
{
    static struct histogram h;
    (void)state;
    memset(&h, 0, sizeof h);
    for (uint64_t ns = 0; ns < 256; ns++) histogram_add(&h, ns);
    for (int i = 1; i <= 256; i++) {
        double found = histogram_quantile(&h, i / 256.0);
        CHECK(found == (i - 1) * 1e-9, "%d of 256: got %g", i, found);
    }
    CHECK(fabs(histogram_mean(&h) - 127.5e-9) < 1e-20, "got %g", histogram_mean(&h));
}

/* Both sides of every boundary between classes: the percentile of a lone value is that value. */
static void boundaries(void **state)
{
    static struct histogram h;
    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        for (int64_t step = -1; step <= 1; step++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)step;
            double found, exact = 1e-9 * (double)value;
            memset(&h, 0, sizeof h);
            histogram_add(&h, 0);
            for (int i = 0; i < 3; i++) histogram_add(&h, value);
            histogram_add(&h, UINT64_MAX);
            found = histogram_quantile(&h, 0.5);
            if (value < UINT64_C(1) << 42 && value != UINT64_MAX)
                CHECK(fabs(found - exact) <= 0.004 * exact, "2^%d + %d: got %g, expected %g", bit, (int)step, found,
                      exact);
            else
                CHECK(found > 4380.0, "2^%d: got %g s, expected the last class", bit, found);
        }
    }
}

static void merging_is_adding(void **state)
{
    static struct histogram all, parts[3], merged;
    static uint64_t times[TIMES];
    (void)state;
    memset(&all, 0, sizeof all);
    memset(parts, 0, sizeof parts);
    memset(&merged, 0, sizeof merged);
    make_times(12, times);
    for (int i = 0; i < TIMES; i++) {
        histogram_add(&all, times[i]);
        histogram_add(&parts[i % 2], times[i]); /* parts[2] stays empty */
    }
    for (int i = 2; i >= 0; i--) histogram_merge(&merged, &parts[i]);
    assert_memory_equal(&all, &merged, sizeof all);
}

static void nothing(void **state)
{
    static const struct histogram h;
    struct json j = { 0 };
    (void)state;
    assert_true(isnan(histogram_quantile(&h, 0.5)) && isnan(histogram_mean(&h)));
    json_put_object(&j, NULL);
    histogram_json(&j, "latency", &h);
    json_put_object_end(&j);
    assert_string_equal(j.text.data, "{\"latency\": null}");
    json_free(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_of_any_times),
        cmocka_unit_test(small_times_are_exact),
        cmocka_unit_test(boundaries),
        cmocka_unit_test(merging_is_adding),
        cmocka_unit_test(nothing),
    };
    return cmocka_run_group_tests_name("cli_histogram", tests, NULL, NULL);
}
