/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "base/status.h"

static void test_every_status_has_its_texts(void **state)
{
    static const struct {
        vic_status status;
        const char *name;
        int value;
    } expected[] = {
        { VIC_OK, "OK", 0 },
        { VIC_BAD_ARGUMENT, "BAD_ARGUMENT", 10 },
        { VIC_BAD_INPUT, "BAD_INPUT", 20 },
        { VIC_CANNOT_READ, "CANNOT_READ", 21 },
        { VIC_CANNOT_WRITE, "CANNOT_WRITE", 22 },
        { VIC_NO_DEVICE, "NO_DEVICE", 30 },
        { VIC_NO_KERNEL, "NO_KERNEL", 31 },
        { VIC_NO_MEMORY, "NO_MEMORY", 40 },
        { VIC_FAILED, "FAILED", 50 },
        { VIC_BUSY, "BUSY", 60 },
        { VIC_DEADLINE, "DEADLINE", 61 },
        { VIC_CANCELLED, "CANCELLED", 62 },
    };
    int listed = 0;
#define COUNT_ONE(name, value, text) listed++;
    VIC_STATUS_LIST(COUNT_ONE)
#undef COUNT_ONE
    (void)state;
    assert_int_equal(listed, sizeof expected / sizeof *expected);
    for (int i = 0; i < listed; i++) {
        assert_string_equal(vic_status_name(expected[i].status), expected[i].name);
        assert_int_equal(expected[i].status, expected[i].value); /* which stay */
        assert_true(strlen(vic_status_text(expected[i].status)) > 1);
    }
    assert_string_equal(vic_status_name((vic_status)9999), "?");
    assert_string_equal(vic_status_text((vic_status)9999), "?");
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

/* A struct as it is today, as it was in an older header, and as it will be in a newer one. */
struct today {
    size_t size;
    double cutoff;
    int64_t threads; /* no padding: whole structs are compared */
    double added_later;
};
static const struct today defaults = { sizeof defaults, 1.5, 4, 0.25 };
struct older {
    size_t size;
    double cutoff;
};
struct newer {
    struct today today;
    double added[2];
};

static void test_structs_that_are_given(void **state)
{
    struct today o = defaults, given = { sizeof given, 7.0, 8, 9.0 };
    const struct older older = { sizeof older, 3.0 };
    struct newer newer = { .today = { sizeof newer, 7.0, 8, 9.0 } };
    vic_error err;
    (void)state;
    CHECK_OK(struct_take(&o, sizeof o, NULL, "vic_today", &err));
    assert_memory_equal(&o, &defaults, sizeof o);
    CHECK_OK(struct_take(&o, sizeof o, &given, "vic_today", &err));
    assert_memory_equal(&o, &given, sizeof o);
    o = defaults;
    CHECK_OK(struct_take(&o, sizeof o, &older, "vic_today", &err));
    assert_int_equal(o.size, sizeof o);
    assert_true(o.cutoff == 3.0 && o.threads == 4 && o.added_later == 0.25);
    CHECK_OK(struct_take(&o, sizeof o, &newer, "vic_today", &err)); /* and says nothing new */
    assert_memory_equal(&o, &given, sizeof o);
    o = defaults;
    newer.added[1] = 1e-300;
    CHECK_FAILS(struct_take(&o, sizeof o, &newer, "vic_today", &err), VIC_BAD_ARGUMENT,
                "vic_today has 48 bytes, and something is set behind the 32 that vicinal " VIC_VERSION " knows");
    assert_memory_equal(&o, &defaults, sizeof o);
    CHECK_OK(struct_need(&o, sizeof o, &given, "vic_today", &err));
    assert_memory_equal(&o, &given, sizeof o);
    CHECK_FAILS(struct_need(&o, sizeof o, NULL, "vic_today", &err), VIC_BAD_ARGUMENT, "vic_today is NULL");
}

static void test_structs_of_no_size(void **state)
{
    static const size_t wrong[] = { 0, sizeof(size_t) - 1, 65537, SIZE_MAX };
    struct today o = defaults, given = defaults;
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        given.size = wrong[i];
        CHECK_FAILS(struct_take(&o, sizeof o, &given, "vic_today", &err), VIC_BAD_ARGUMENT, "vic_today.size is");
        CHECK_FAILS(struct_give(&given, &defaults, sizeof defaults, "vic_today", &err), VIC_BAD_ARGUMENT,
                    "vic_today.size is");
        assert_memory_equal(&o, &defaults, sizeof o);
    }
}

static void test_structs_that_are_filled(void **state)
{
    struct today o = { .size = sizeof o };
    struct older older[2] = { { sizeof *older, 0 }, { 77, 88 } };
    struct newer newer = { .today = { .size = sizeof newer }, .added = { 1, 2 } };
    vic_error err;
    (void)state;
    CHECK_OK(struct_give(&o, &defaults, sizeof defaults, "vic_today", &err));
    assert_memory_equal(&o, &defaults, sizeof o);
    CHECK_OK(struct_give(older, &defaults, sizeof defaults, "vic_today", &err));
    assert_true(older[0].size == sizeof *older && older[0].cutoff == 1.5);
    assert_true(older[1].size == 77 && older[1].cutoff == 88);
    CHECK_OK(struct_give(&newer, &defaults, sizeof defaults, "vic_today", &err));
    assert_true(newer.today.size == sizeof newer && newer.today.added_later == 0.25);
    assert_true(newer.added[0] == 0 && newer.added[1] == 0);
    CHECK_FAILS(struct_give(NULL, &defaults, sizeof defaults, "vic_today", &err), VIC_BAD_ARGUMENT, "is NULL");
}

static void test_reserved_members(void **state)
{
    uint64_t reserved[2] = { 0, 0 };
    vic_error err;
    (void)state;
    CHECK_OK(reserved_check(reserved, sizeof reserved, "vic_today", &err));
    reserved[1] = (uint64_t)1 << 63;
    CHECK_FAILS(reserved_check(reserved, sizeof reserved, "vic_today", &err), VIC_BAD_ARGUMENT,
                "vic_today: a reserved member is not 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status_has_its_texts), cmocka_unit_test(test_failing),
        cmocka_unit_test(test_structs_that_are_given),     cmocka_unit_test(test_structs_of_no_size),
        cmocka_unit_test(test_structs_that_are_filled),    cmocka_unit_test(test_reserved_members),
    };
    return cmocka_run_group_tests_name("unit_base_status", tests, NULL, NULL);
}
