/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of atoms that no memory holds. */
#include "check.h"
#include "structure/atoms.h"
#include "structure/expand.h"

static void test_reserve(void **state)
{
    struct atoms a = { 0 };
    vic_error err;
    (void)state;
    CHECK_FAILS(atoms_reserve(&a, SIZE_MAX, &err), VIC_NO_MEMORY, "atoms");
    CHECK_FAILS(atoms_reserve(&a, SIZE_MAX / 24, &err), VIC_NO_MEMORY, "atoms");
    assert_int_equal(a.capacity, 0);
    CHECK_OK(atoms_reserve(&a, 10, &err));
    assert_int_equal(a.capacity, 10);
    atoms_free(&a);
}

static void test_repetitions(void **state)
{
    static const int fine[] = { 2, 3, 4 }, large[] = { INT32_MAX, INT32_MAX, 2 },
                     huge[] = { INT32_MAX, INT32_MAX, 3 };
    vic_error err;
    (void)state;
    assert_int_equal(expand_repetitions(fine), 24);
    assert_true(expand_repetitions(large) == 2 * (int64_t)INT32_MAX * INT32_MAX);
    assert_true(expand_repetitions(huge) == INT64_MAX);
    CHECK_OK(expand_check_size(10, 24, 240, "x", &err));
    CHECK_FAILS(expand_check_size(10, 24, 239, "x", &err), VIC_BAD_INPUT, "expected at most 239 atoms");
    CHECK_FAILS(expand_check_size(10, INT64_MAX, INT64_MAX, "x", &err), VIC_BAD_INPUT, "found 10 in each of");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_reserve), cmocka_unit_test(test_repetitions) };
    return cmocka_run_group_tests_name("structure_sizes", tests, NULL, NULL);
}
