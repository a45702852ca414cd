/* SPDX-License-Identifier: Apache-2.0 */
/* In which order threads take the strips. */
#include "kernels/cpu/strip_order.h"

#include "check.h"

static void check_order(int64_t strips, int64_t in_order)
{
    int64_t *work = calloc((size_t)strips + 1, sizeof *work);
    int32_t *order = calloc((size_t)strips + 1, sizeof *order);
    uint8_t *seen = calloc((size_t)strips + 1, 1);
    vic_error err;
    assert_true(work && order && seen);
    for (int64_t s = 0; s < strips; s++) work[s] = s * 7919 % 1009;
    CHECK_OK(strip_order(strips, work, order, &err));
    for (int64_t i = 0; i < strips; i++) {
        int32_t strip = order[i];
        CHECK(strip >= 0 && strip < strips && !seen[strip], "strip %d at place %lld", strip, (long long)i);
        seen[strip] = 1;
        if (i == 0) continue;
        int32_t before = order[i - 1];
        if (i < in_order)
            CHECK(before < strip, "%lld: %d comes before %d", (long long)i, before, strip);
        else
            CHECK(i == in_order || work[before] >= work[strip], "%lld: %d is lighter than %d", (long long)i, before,
                  strip);
        for (int64_t j = 0; i >= in_order && j < in_order; j++)
            CHECK(work[order[j]] >= work[strip], "%d should be among the last", order[j]);
    }
    free(work);
    free(order);
    free(seen);
}

static void neighbours_first_the_lightest_last(void **state)
{
    (void)state;
    check_order(0, 0);
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
    return cmocka_run_group_tests_name("kernels_strip_order", tests, NULL, NULL);
}
