/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "base/memory.h"

/* The sanitizers end a program that asks for more than there is, unless told to answer as malloc() does. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void test_arrays(void **state)
{
    vic_error err;
    (void)state;
    for (size_t count = 0; count < 300; count += 7) {
        double *plain = NULL;
        unsigned char *clear = NULL;
        CHECK_OK(mem_array(count, sizeof *plain, "numbers", &plain, &err));
        assert_non_null(plain);
        assert_int_equal((uintptr_t)plain % 64, 0);
        for (size_t i = 0; i < count; i++) plain[i] = 1.0;
        CHECK_OK(mem_array_zero(count, 1, "bytes", &clear, &err));
        for (size_t i = 0; i < count; i++) assert_int_equal(clear[i], 0);
        free(plain);
        free(clear);
    }
}

static void test_overflow_is_out_of_memory(void **state)
{
    static const size_t sizes[][2] = { { SIZE_MAX, 2 },     { SIZE_MAX / 8 + 1, 8 }, { SIZE_MAX, SIZE_MAX },
                                       { SIZE_MAX - 3, 1 }, { PTRDIFF_MAX, 1 },      { (size_t)1 << 62, 4 } };
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        vic_error err = { 0 };
        char text[64];
        void *p = &err, *grown = NULL;
        size_t capacity = 0;
        snprintf(text, sizeof text, "%zu things of %zu bytes", sizes[i][0], sizes[i][1]);
        CHECK_FAILS(mem_array(sizes[i][0], sizes[i][1], "things", &p, &err), VIC_NO_MEMORY, text);
        assert_null(p);
        CHECK_FAILS(mem_array_zero(sizes[i][0], sizes[i][1], "things", &p, &err), VIC_NO_MEMORY, text);
        CHECK_FAILS(mem_grow(&grown, &capacity, sizes[i][0], sizes[i][1], "things", &err), VIC_NO_MEMORY, text);
        assert_null(grown);
        assert_int_equal(capacity, 0);
        assert_int_equal(mem_array(sizes[i][0], sizes[i][1], "things", &p, NULL), VIC_NO_MEMORY);
    }
}

static void test_growing_keeps_the_content(void **state)
{
    int *numbers = NULL;
    size_t capacity = 0, changes = 0;
    vic_error err;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        size_t before = capacity;
        CHECK_OK(mem_grow(&numbers, &capacity, (size_t)i + 1, sizeof *numbers, "numbers", &err));
        assert_true(capacity > (size_t)i);
        changes += capacity != before;
        numbers[i] = i;
    }
    assert_true(changes < 40); /* by at least half each time */
    for (int i = 0; i < 100000; i++) assert_int_equal(numbers[i], i);
    /* A failure leaves the old array owned and whole. */
    size_t kept = capacity;
    CHECK_FAILS(mem_grow(&numbers, &capacity, SIZE_MAX / 2, sizeof *numbers, "numbers", &err), VIC_NO_MEMORY,
                "numbers");
    assert_int_equal(capacity, kept);
    assert_int_equal(numbers[99999], 99999);
    free(numbers);
}

/* To nothing, to sizes that get huge pages, and back; a size that no memory has leaves all as it was. */
static void test_resizing_keeps_the_content(void **state)
{
    static const size_t counts[] = { 3, 1000, 0, 5, 3 << 20, 7 << 20, 100, 5 << 20, 1 };
    int32_t *array = NULL;
    size_t valid = 0;
    vic_error err;
    (void)state;
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        CHECK_OK(mem_resize(&array, counts[k], sizeof *array, "numbers", &err));
        if (valid > counts[k]) valid = counts[k];
        for (size_t i = 0; i < valid; i++) assert_int_equal(array[i], (int32_t)i);
        for (valid = 0; valid < counts[k]; valid++) array[valid] = (int32_t)valid;
    }
    int32_t *before = array;
    CHECK_FAILS(mem_resize(&array, SIZE_MAX / 2, sizeof *array, "numbers", &err), VIC_NO_MEMORY, "numbers");
    CHECK_FAILS(mem_resize(&array, SIZE_MAX / 2 + 1, 1, "bytes", &err), VIC_NO_MEMORY, "bytes");
    assert_ptr_equal(array, before);
    assert_int_equal(array[0], 0);
    free(array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_overflow_is_out_of_memory),
        cmocka_unit_test(test_growing_keeps_the_content),
        cmocka_unit_test(test_resizing_keeps_the_content),
    };
    return cmocka_run_group_tests_name("unit_base_memory", tests, NULL, NULL);
}
