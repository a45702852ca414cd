/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of attention, the same as the CPU's, on a GPU's rows; skipped where there is none. */
#include "parity/attention_cases.h"

/* In pattern order keys and values go straight from the caller's tensors, whose strides the copy engine must know. */
static void test_odd_strides_are_refused(void **state)
{
    struct attention_case c = {
        .name = "odd strides", .n_q = 100, .n_k = -1, .box = 9, .cutoff = 4, .dtype = VIC_F16, .layout = PADDED
    };
    struct plan_request request = { .device = the_gpu };
    const struct kernel_row *kernel;
    struct problem p;
    vic_error err;
    (void)state;
    if (nothing_to_test()) skip();
    make_problem(&c, 7100, &p);
    request.shape = p.shape;
    CHECK_OK(plan_choose(&request, kernel_table, kernel_table_size, &kernel, &err));
    p.args.q_rows = p.args.k_rows = NULL;
    CHECK_FAILS(launch_on_gpu(kernel, &p, &err), VIC_BAD_ARGUMENT, "strides must be positive multiples of 8");
    free_problem(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED_TESTS,
        cmocka_unit_test(test_odd_strides_are_refused),
    };
    tested = VIC_CUDA;
    return cmocka_run_group_tests_name("gpu_attention", tests, start_pools, stop_pools);
}
