/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include "base/switches.h"

#include <unistd.h>

static void test_values(void **state)
{
    static const struct {
        const char *text;
        int expected;
    } numbers[] = { { "3", 3 },   { "0", 0 },        { "1000000", 1000000 },
                    { "", -7 },   { "x", -7 },       { "3x", -7 },
                    { "-1", -7 }, { "1000001", -7 }, { "99999999999999999999", -7 } };
    (void)state;
    unsetenv("VIC_THREADS");
    assert_string_equal(switch_value(SWITCH_THREADS), "");
    assert_int_equal(switch_int(SWITCH_THREADS, -7), -7);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        setenv("VIC_THREADS", numbers[i].text, 1);
        assert_string_equal(switch_value(SWITCH_THREADS), numbers[i].text);
        assert_int_equal(switch_int(SWITCH_THREADS, -7), numbers[i].expected);
    }
    unsetenv("VIC_THREADS");
}

static void test_words(void **state)
{
    (void)state;
    setenv("VIC_DISABLE_CPU", "avx512,,avx2", 1);
    assert_true(switch_has_word(SWITCH_DISABLE_CPU, "avx512"));
    assert_true(switch_has_word(SWITCH_DISABLE_CPU, "avx2"));
    assert_false(switch_has_word(SWITCH_DISABLE_CPU, "avx"));
    assert_false(switch_has_word(SWITCH_DISABLE_CPU, "avx512f"));
    assert_null(switch_disable_cpu_wrong());
    setenv("VIC_DISABLE_CPU", "avx2,sse", 1);
    assert_non_null(switch_disable_cpu_wrong());
    unsetenv("VIC_DISABLE_CPU");
    assert_false(switch_has_word(SWITCH_DISABLE_CPU, "avx2"));
    assert_null(switch_disable_cpu_wrong());
}

/* Each switch takes what its help says, and nothing else passes for a switch that is not set. */
static void test_checks(void **state)
{
    static const struct {
        enum switch_id id;
        const char *name, *value;
        bool good;
    } cases[] = {
        { SWITCH_THREADS, "VIC_THREADS", "3", true },
        { SWITCH_THREADS, "VIC_THREADS", "", true },
        { SWITCH_THREADS, "VIC_THREADS", "abc", false },
        { SWITCH_THREADS, "VIC_THREADS", "-1", false },
        { SWITCH_THREADS, "VIC_THREADS", "2x", false },
        { SWITCH_THREADS, "VIC_THREADS", "1000001", false },
        { SWITCH_READ_LIMIT, "VIC_READ_LIMIT_MB", "7", true },
        { SWITCH_READ_LIMIT, "VIC_READ_LIMIT_MB", "1e3", false },
        { SWITCH_LOG, "VIC_LOG", "plan , pattern", true },
        { SWITCH_LOG, "VIC_LOG", "plans", false },
        { SWITCH_LOG, "VIC_LOG", "pattern,all", false },
        { SWITCH_LOG, "VIC_LOG", ",", true },
        { SWITCH_DISABLE_CPU, "VIC_DISABLE_CPU", "avx2", true },
        { SWITCH_DISABLE_CPU, "VIC_DISABLE_CPU", "sse", false },
        { SWITCH_FORCE_KERNEL, "VIC_FORCE_KERNEL", "attn_fwd_ref", true },
        { SWITCH_FORCE_KERNEL, "VIC_FORCE_KERNEL", "attn_fwd_reg", false },
        { SWITCH_FORCE_KERNEL, "VIC_FORCE_KERNEL", "attn_bwd_ref", false },
        { SWITCH_FORCE_BACKWARD_KERNEL, "VIC_FORCE_BACKWARD_KERNEL", "attn_bwd_ref", true },
        { SWITCH_FORCE_BACKWARD_KERNEL, "VIC_FORCE_BACKWARD_KERNEL", "attn_fwd_ref", false },
    };
    vic_error err;
    (void)state;
    CHECK_OK(vic_switches_check(&err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv(cases[i].name, cases[i].value, 1);
        vic_status all = vic_switches_check(&err);
        CHECK((all == VIC_OK) == cases[i].good, "%s=%s", cases[i].name, cases[i].value);
        if (!cases[i].good) assert_ptr_equal(strstr(err.text, cases[i].name), err.text);
        if (cases[i].id != SWITCH_FORCE_KERNEL && cases[i].id != SWITCH_FORCE_BACKWARD_KERNEL) /* another layer's */
            CHECK((switch_check(cases[i].id, &err) == VIC_OK) == cases[i].good, "%s=%s", cases[i].name,
                  cases[i].value);
        unsetenv(cases[i].name);
    }
}

static void test_listing(void **state)
{
    vic_switch_info info = VIC_INIT(vic_switch_info);
    vic_error err;
    (void)state;
    assert_int_equal(vic_switch_count(), SWITCH_COUNT);
    setenv("VIC_LOG", "plan", 1);
    bool seen = false;
    for (int i = 0; i < vic_switch_count(); i++) {
        CHECK_OK(vic_switch_get(i, &info, &err));
        assert_true(strncmp(info.name, "VIC_", 4) == 0 && strlen(info.help) > 10);
        if (strcmp(info.name, "VIC_LOG") == 0) {
            seen = true;
            assert_string_equal(info.value, "plan");
        }
    }
    assert_true(seen);
    CHECK_FAILS(vic_switch_get(-1, &info, &err), VIC_BAD_ARGUMENT, "got -1");
    CHECK_FAILS(vic_switch_get(SWITCH_COUNT, &info, &err), VIC_BAD_ARGUMENT, "index: expected 0 to");
    unsetenv("VIC_LOG");
}

/* What log_line() puts on stderr. */
static void logged(const char *topic, char *text, size_t size)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    assert_non_null(file);
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    log_line(topic, "%d blocks", 12);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void test_log(void **state)
{
    char text[256];
    (void)state;
    setenv("VIC_LOG", "pattern,plan", 1);
    logged("plan", text, sizeof text);
    assert_string_equal(text, "vicinal plan: 12 blocks\n");
    logged("context", text, sizeof text);
    assert_string_equal(text, "");
    unsetenv("VIC_LOG");
    logged("plan", text, sizeof text);
    assert_string_equal(text, "");
}

static void keep(void *user, const char *line)
{
    snprintf(user, 256, "%s", line);
}

/* Elsewhere than to stderr: without the newline, for this thread, until it is taken back. */
static void test_log_elsewhere(void **state)
{
    char text[256], kept[256] = "";
    (void)state;
    setenv("VIC_LOG", "plan", 1);
    log_to(keep, kept);
    logged("plan", text, sizeof text);
    assert_string_equal(text, "");
    assert_string_equal(kept, "vicinal plan: 12 blocks");
    log_to(NULL, NULL);
    logged("plan", text, sizeof text);
    assert_string_equal(text, "vicinal plan: 12 blocks\n");
    unsetenv("VIC_LOG");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),  cmocka_unit_test(test_words), cmocka_unit_test(test_checks),
        cmocka_unit_test(test_listing), cmocka_unit_test(test_log),   cmocka_unit_test(test_log_elsewhere),
    };
    return cmocka_run_group_tests_name("unit_base_switches", tests, NULL, NULL);
}
