/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include "base/cpu_features.h"

static void test_switched_off(void **state)
{
    (void)state;
    setenv("VIC_DISABLE_CPU", "avx512,avx2", 1);
    assert_non_null(strstr(cpu_lacks_avx512(), "VIC_DISABLE_CPU"));
    assert_non_null(strstr(cpu_lacks_avx2(), "VIC_DISABLE_CPU"));
    assert_null(cpu_lacks_baseline());
    setenv("VIC_DISABLE_CPU", "avx2", 1);
    assert_non_null(strstr(cpu_lacks_avx2(), "VIC_DISABLE_CPU"));
    assert_true(!cpu_lacks_avx512() || !strstr(cpu_lacks_avx512(), "VIC_DISABLE_CPU"));
    unsetenv("VIC_DISABLE_CPU");
}

static void test_unknown_word_stops_all(void **state)
{
    static const char *const words[] = { "avx", "avx512,", ",avx2", "avx2 ", "avx512,sse", "AVX2" };
    static const bool known[] = { false, true, true, true, false, false };
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        setenv("VIC_DISABLE_CPU", words[i], 1);
        CHECK((cpu_lacks_baseline() == NULL) == known[i], "VIC_DISABLE_CPU=\"%s\"", words[i]);
        if (known[i]) continue;
        assert_non_null(cpu_lacks_avx2());
        assert_non_null(cpu_lacks_avx512());
    }
    unsetenv("VIC_DISABLE_CPU");
}

static void test_agrees_with_the_system(void **state)
{
    char line[8192];
    bool found = false, avx2 = false, avx512 = false;
    FILE *file = fopen("/proc/cpuinfo", "r");
    (void)state;
    unsetenv("VIC_DISABLE_CPU");
    while (file && !found && fgets(line, sizeof line, file)) {
        if (strncmp(line, "flags", 5)) continue;
        found = true;
        avx2 = strstr(line, " avx2 ") && strstr(line, " fma ");
        avx512 = strstr(line, " avx512f ") && strstr(line, " avx512bw ") && strstr(line, " avx512vl ") &&
                 strstr(line, " avx512dq ") && strstr(line, " fma ");
    }
    if (file) fclose(file);
    if (!found) {
        print_message("skipped: no x86 flags in /proc/cpuinfo\n");
        skip();
    }
    assert_int_equal(cpu_lacks_avx2() == NULL, avx2);
    assert_int_equal(cpu_lacks_avx512() == NULL, avx512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switched_off),
        cmocka_unit_test(test_unknown_word_stops_all),
        cmocka_unit_test(test_agrees_with_the_system),
    };
    return cmocka_run_group_tests_name("unit_base_cpu_features", tests, NULL, NULL);
}
