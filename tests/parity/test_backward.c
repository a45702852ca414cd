/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of attention on every kernel of gradients, against the reference of the gradients in float64. */
#include "lib/cases.h"
#include "lib/gradients.h"
#include "lib/way_cases.h"

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_geometries),
        cmocka_unit_test(test_head_sizes),
        cmocka_unit_test(test_heads_and_layouts),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_built_patterns),
        cmocka_unit_test(test_first_keys_masked),
        cmocka_unit_test(test_batches),
        WAY_TESTS,
    };
    tested_operation = ATTENTION_BACKWARD;
    return cmocka_run_group_tests_name("parity_backward", tests, start_pools, stop_pools);
}
