/* SPDX-License-Identifier: Apache-2.0 */
/* A program with CUDA kernels in it starts and answers on a machine without GPU and driver. */
#include "check.h"

#ifdef VIC_HAVE_CUDA
#include "kernels/cuda/sm90/compiled_arch.h"
#endif

static void test_kernels_are_in_the_binary(void **state)
{
    (void)state;
#ifdef VIC_HAVE_CUDA
    assert_int_equal(cuda_compiled_arch(), 90);
#else
    print_message("skipped: built without CUDA\n");
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels_are_in_the_binary),
    };
    return cmocka_run_group_tests_name("unit_kernels_compiled_arch", tests, NULL, NULL);
}
