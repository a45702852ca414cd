/* SPDX-License-Identifier: Apache-2.0 */
/* In which order a plan has its strips done. */
#include "pattern/pattern.h"
#include "plan/plan.h"

#include "check.h"

static int64_t weight(int64_t strip)
{
    return strip * 7919 % 1009;
}

static int64_t pairs(const struct vic_pattern *p, int64_t strip)
{
    (void)p;
    return weight(strip);
}

static const struct kernel_row row = { .name = "row", .device = VIC_CPU, .strip_pairs = pairs };

static void check_order(int64_t strips, int64_t in_order)
{
    const struct plan_request request = { .shape = { VIC_F32, 1, 1, 8, 8 } };
    double *positions = calloc((size_t)strips * STRIP, 3 * sizeof *positions);
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_pattern *p;
    vic_plan *plan;
    uint8_t *seen = calloc((size_t)strips, 1);
    int64_t total = 0;
    vic_error err;
    assert_non_null(positions);
    assert_non_null(seen);
    for (int64_t i = 0; i < strips * STRIP; i++) positions[3 * i] = 2.0 * (double)i;
    o.cutoff = 1.0;
    CHECK_OK(vic_pattern_build_points(strips * STRIP, positions, 0, NULL, NULL, NULL, &o, &p, &err));
    CHECK_OK(plan_make(p, &request, &row, &plan, &err));
    for (int64_t i = 0; i < strips; i++) {
        int32_t strip = plan->strip_order[i];
        CHECK(strip >= 0 && strip < strips && !seen[strip], "strip %d at place %lld", strip, (long long)i);
        seen[strip] = 1;
        total += weight(strip);
        if (i == 0) continue;
        int32_t before = plan->strip_order[i - 1];
        if (i < in_order)
            CHECK(before < strip, "%lld: %d comes before %d", (long long)i, before, strip);
        else
            CHECK(i == in_order || weight(before) >= weight(strip), "%lld: %d is lighter than %d", (long long)i,
                  before, strip);
        if (i >= in_order)
            for (int64_t j = 0; j < in_order; j++)
                CHECK(weight(plan->strip_order[j]) >= weight(strip), "%d should be among the last",
                      plan->strip_order[j]);
    }
    assert_int_equal(plan->computed_pairs, total);
    plan_free(plan);
    vic_pattern_free(p);
    free(positions);
    free(seen);
}

static void neighbours_first_the_lightest_last(void **state)
{
    (void)state;
    check_order(1, 0);
    check_order(63, 0);
    check_order(64, 0);
    check_order(200, 200 - 64);
    check_order(1000, 1000 - 125);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_first_the_lightest_last),
    };
    return cmocka_run_group_tests_name("unit_plan_order", tests, NULL, NULL);
}
