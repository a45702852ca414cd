/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sizes.h"

#include "check.h"

static void test_saturation(void **state)
{
    (void)state;
    assert_int_equal(size_times(6, 7), 42);
    assert_true(size_times(SIZE_MAX / 2, 2) == SIZE_MAX - 1);
    assert_true(size_times(SIZE_MAX / 2 + 1, 2) == SIZE_MAX);
    assert_true(size_times(SIZE_MAX, 0) == 0);
    assert_int_equal(size_plus(6, 7), 13);
    assert_true(size_plus(SIZE_MAX, 1) == SIZE_MAX);
    assert_true(size_plus(SIZE_MAX - 1, 1) == SIZE_MAX);
    assert_int_equal(size_round_up(0, 64), 0);
    assert_int_equal(size_round_up(1, 64), 64);
    assert_int_equal(size_round_up(64, 64), 64);
    assert_true(size_round_up(SIZE_MAX, 64) == SIZE_MAX);
    assert_true(size_round_up(SIZE_MAX - 100, 64) == SIZE_MAX - 63);
}

static void test_reach_of_tensors(void **state)
{
    static const struct {
        int64_t shape[4], stride[4];
        bool fits;
    } tensors[] = {
        { { 2, 3, 4, 5 }, { 60, 20, 5, 1 }, true },
        { { 2, 3, 4, 5 }, { -60, 20, -5, 1 }, true },
        { { 1, 1, 1, 1 }, { INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX }, true }, /* nowhere to step */
        { { 0, 3, 4, 5 }, { INT64_MIN, 20, 5, 1 }, true },
        { { 2, -3, 4, 5 }, { 60, 20, 5, 1 }, false },
        { { 2, 3, 4, 5 }, { INT64_MIN, 20, 5, 1 }, false },
        { { 3, 3, 4, 5 }, { INT64_MAX, 20, 5, 1 }, false },                        /* the product */
        { { 2, 2, 2, 2 }, { INT64_MAX / 2 + 1, INT64_MAX / 2 + 1, 1, 1 }, false }, /* the sum */
        { { 2, 2, 2, 2 }, { INT64_MAX / 8, 1, 1, 1 }, false },                     /* in bytes */
        { { 2, 2, 2, 2 }, { INT64_MAX / 32, 1, 1, 1 }, true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        vic_tensor t = { .dtype = VIC_F32, .ndim = 4 };
        memcpy(t.shape, tensors[i].shape, sizeof tensors[i].shape);
        memcpy(t.stride, tensors[i].stride, sizeof tensors[i].stride);
        CHECK(size_tensor_fits(&t) == tensors[i].fits, "tensor %zu", i);
    }
    vic_tensor t = { .dtype = VIC_F32, .ndim = -1 };
    assert_false(size_tensor_fits(&t));
    t.ndim = VIC_MAX_DIMS;
    assert_true(size_tensor_fits(&t));
    t.ndim++;
    assert_false(size_tensor_fits(&t));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_saturation), cmocka_unit_test(test_reach_of_tensors) };
    return cmocka_run_group_tests_name("base_sizes", tests, NULL, NULL);
}
