/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "cli/numbers.h"

#define SAYS(call, expected) assert_string_equal((call).s, expected)

static void counts(void **state)
{
    (void)state;
    SAYS(count_text(0), "0");
    SAYS(count_text(999), "999");
    SAYS(count_text(-1000), "-1,000");
    SAYS(count_text(INT64_MAX), "9,223,372,036,854,775,807");
    SAYS(count_text(INT64_MIN), "-9,223,372,036,854,775,808");
}

static void reals(void **state)
{
    (void)state;
    SAYS(real_text(0, 3), "0");
    SAYS(fixed_text(-0.004, 2), "0.00");
    SAYS(fixed_text(-0.006, 2), "-0.01");
    SAYS(fixed_text(-10, 2), "-10.00");
    SAYS(real_text(12345.6, 6), "12,345.6");
    SAYS(real_text(123456789, 3), "123,456,789");
    SAYS(real_text(0.00123, 3), "0.00123");
    SAYS(real_text(1.2e-9, 2), "1.2e-09");
    SAYS(real_text(1e15, 3), "1e+15");
    SAYS(real_text((double)NAN, 3), "nan");
    SAYS(real_text(-HUGE_VAL, 3), "-inf");
    SAYS(fixed_text(-12345.6, 2), "-12,345.60");
    SAYS(fixed_text(-999999999999999.0, 20), "-999,999,999,999,999.00000000000000000000"); /* the most characters */
    SAYS(fixed_text(1e300, 2), "1e+300");
    SAYS(plain_text(7.35), "7.35");
}

/* Three digits, also where rounding reaches the next unit. */
static void seconds(void **state)
{
    (void)state;
    SAYS(seconds_text(0), "0 us");
    SAYS(seconds_text(12.34e-6), "12.3 us");
    SAYS(seconds_text(999.4e-6), "999 us");
    SAYS(seconds_text(999.7e-6), "1 ms");
    SAYS(seconds_text(0.0123), "12.3 ms");
    SAYS(seconds_text(0.9994), "999 ms");
    SAYS(seconds_text(0.9997), "1 s");
    SAYS(seconds_text(59.96), "60 s");
    SAYS(seconds_text(999.4), "999 s");
    SAYS(seconds_text(999.7), "1000 s");
    SAYS(seconds_text(12345.6), "12346 s");
}

static void bytes(void **state)
{
    (void)state;
    SAYS(bytes_text(0), "0 B");
    SAYS(bytes_text(999), "999 B");
    SAYS(bytes_text(999500), "1 MB");
    SAYS(bytes_text(1250000), "1.25 MB");
    SAYS(bytes_text(UINT64_MAX), "18.4 EB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(reals),
        cmocka_unit_test(seconds),
        cmocka_unit_test(bytes),
    };
    return cmocka_run_group_tests_name("cli_numbers", tests, NULL, NULL);
}
