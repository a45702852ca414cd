/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns that are no cutoff, and many sizes, heads and entries, on a GPU's kernels; skipped where there is none. */
#include "parity/lib/way_cases.h"

int main(void)
{
    const struct CMUnitTest tests[] = { WAY_TESTS };
    tested = VIC_CUDA;
    return test_result(cmocka_run_group_tests_name("gpu_ways", tests, start_pools, stop_pools), nothing_to_test());
}
