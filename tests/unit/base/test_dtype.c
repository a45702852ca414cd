/* SPDX-License-Identifier: Apache-2.0 */
/* Which memory can be used where, and what devices are called. */
#include "check.h"

#include "base/dtype.h"

static const vic_device cpu = { VIC_CPU, 0 }, pinned = { VIC_CUDA_HOST, 0 }, first = { VIC_CUDA, 0 },
                        second = { VIC_CUDA, 1 }, managed = { VIC_CUDA_MANAGED, 0 },
                        unknown = { VIC_DEVICE_UNKNOWN, 0 };

static void same_memory(void **state)
{
    /* of each other, in this order */
    const vic_device devices[] = { cpu, pinned, first, second, managed, unknown };
    static const char *const same[] = { "110000", "110000", "001010", "000110", "001110", "000001" };
    (void)state;
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++)
            CHECK(device_same(devices[i], devices[j]) == (same[i][j] == '1'), "devices %d and %d", i, j);
}

static void kinds_of_memory(void **state)
{
    (void)state;
    assert_true(device_is_cpu(cpu) && device_is_cpu(pinned));
    assert_false(device_is_cpu(first) || device_is_cpu(managed) || device_is_cpu(unknown));
    assert_true(device_is_cuda(first) && device_is_cuda(second) && device_is_cuda(managed));
    assert_false(device_is_cuda(cpu) || device_is_cuda(pinned) || device_is_cuda(unknown));
}

static void names(void **state)
{
    char text[DEVICE_TEXT];
    (void)state;
    assert_string_equal(device_text(cpu, text), "cpu:0");
    assert_string_equal(device_text(second, text), "cuda:1");
    assert_string_equal(device_text(pinned, text), "pinned host memory:0");
    assert_string_equal(device_text(managed, text), "managed memory:0");
    assert_string_equal(device_text(unknown, text), "an unknown device:0");
    assert_string_equal(device_text((vic_device){ VIC_DEVICE_UNKNOWN, INT32_MIN }, text),
                        "an unknown device:-2147483648");
}

/* Dense strides, or as many as there is room for; what does not fit is refused where it is used. */
static void tensors(void **state)
{
    const int64_t shape[] = { 5, 7, 2, 3, 4, 6, 8, 9, 10, 11 }, huge[] = { 3, INT64_MAX, INT64_MAX };
    vic_tensor t = vic_tensor_make(NULL, VIC_F16, 3, shape);
    (void)state;
    assert_true(t.stride[0] == 14 && t.stride[1] == 2 && t.stride[2] == 1 && t.device.type == VIC_CPU);
    t = vic_tensor_make(NULL, VIC_F16, 3, huge);
    assert_true(t.stride[0] == INT64_MAX && t.stride[1] == INT64_MAX && t.stride[2] == 1);
    t = vic_tensor_make(NULL, VIC_F16, VIC_MAX_DIMS + 2, shape);
    assert_true(t.ndim == VIC_MAX_DIMS + 2 && t.stride[VIC_MAX_DIMS - 1] == 1);
    t = vic_tensor_make(NULL, VIC_F16, 2, NULL);
    assert_true(t.shape[0] == 0 && t.stride[1] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_memory),
        cmocka_unit_test(kinds_of_memory),
        cmocka_unit_test(names),
        cmocka_unit_test(tensors),
    };
    return cmocka_run_group_tests_name("base_dtype", tests, NULL, NULL);
}
