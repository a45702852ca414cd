/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "base/status.h"

static void test_every_status_has_its_texts(void **state)
{
    static const struct {
        vic_status status;
        const char *name;
        int exit_code, http;
    } expected[] = {
        { VIC_OK, "OK", 0, 200 },
        { VIC_BAD_ARGUMENT, "BAD_ARGUMENT", 2, 400 },
        { VIC_BAD_INPUT, "BAD_INPUT", 3, 422 },
        { VIC_CANNOT_READ, "CANNOT_READ", 3, 404 },
        { VIC_CANNOT_WRITE, "CANNOT_WRITE", 1, 500 },
        { VIC_NO_DEVICE, "NO_DEVICE", 4, 501 },
        { VIC_NO_KERNEL, "NO_KERNEL", 4, 501 },
        { VIC_NO_MEMORY, "NO_MEMORY", 1, 503 },
        { VIC_FAILED, "FAILED", 1, 500 },
    };
    int listed = 0;
#define COUNT_ONE(name, value, exit_code, http, text) listed++;
    VIC_STATUS_LIST(COUNT_ONE)
#undef COUNT_ONE
    (void)state;
    assert_int_equal(listed, sizeof expected / sizeof *expected);
    for (int i = 0; i < listed; i++) {
        assert_string_equal(vic_status_name(expected[i].status), expected[i].name);
        assert_int_equal(vic_status_exit_code(expected[i].status), expected[i].exit_code);
        assert_int_equal(vic_status_http_code(expected[i].status), expected[i].http);
        assert_true(strlen(vic_status_text(expected[i].status)) > 1);
    }
    assert_string_equal(vic_status_name((vic_status)9999), "?");
    assert_string_equal(vic_status_text((vic_status)9999), "?");
    assert_int_equal(vic_status_exit_code((vic_status)9999), 1);
    assert_int_equal(vic_status_http_code((vic_status)9999), 500);
    assert_string_equal(vic_version(), VIC_VERSION);
}

static void test_failing(void **state)
{
    vic_error err = { 0 };
    char long_text[3000];
    (void)state;
    assert_int_equal(vic_fail(&err, VIC_BAD_INPUT, "line %d: %s", 7, "no"), VIC_BAD_INPUT);
    assert_int_equal(err.status, VIC_BAD_INPUT);
    assert_string_equal(err.text, "line 7: no");
    assert_int_equal(vic_fail(NULL, VIC_FAILED, "%s", "unheard"), VIC_FAILED);
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    assert_int_equal(vic_fail(&err, VIC_FAILED, "%s", long_text), VIC_FAILED);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

/* A struct as it is today, and as it was in an older header. */
struct today_options {
    size_t size;
    double cutoff;
    int64_t threads; /* no padding: whole structs are compared */
    double added_later;
};
#define TODAY_INIT                                                                                                   \
    {                                                                                                                \
        sizeof(struct today_options), 1.5, 4, 0.25                                                                   \
    }
struct older_options {
    size_t size;
    double cutoff;
};

static void test_options(void **state)
{
    struct today_options defaults = TODAY_INIT, o = TODAY_INIT, given = { sizeof given, 7.0, 8, 9.0 };
    struct older_options older = { sizeof older, 3.0 };
    size_t wrong[] = { 0, sizeof(size_t) - 1, sizeof o + 1, SIZE_MAX };
    vic_error err;
    (void)state;
    CHECK_OK(options_copy(&o, sizeof o, NULL, "today_options", &err));
    assert_memory_equal(&o, &defaults, sizeof o);
    CHECK_OK(options_copy(&o, sizeof o, &given, "today_options", &err));
    assert_memory_equal(&o, &given, sizeof o);
    o = defaults;
    CHECK_OK(options_copy(&o, sizeof o, &older, "today_options", &err));
    assert_int_equal(o.size, sizeof o);
    assert_true(o.cutoff == 3.0 && o.threads == 4 && o.added_later == 0.25);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        o = defaults;
        given.size = wrong[i];
        CHECK_FAILS(options_copy(&o, sizeof o, &given, "today_options", &err), VIC_BAD_ARGUMENT,
                    "today_options.size");
        assert_memory_equal(&o, &defaults, sizeof o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status_has_its_texts),
        cmocka_unit_test(test_failing),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests_name("unit_base_status", tests, NULL, NULL);
}
