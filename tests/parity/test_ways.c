/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns that are no cutoff, and many sizes, heads and entries, on every kernel of the CPU. */
#include "lib/way_cases.h"

int main(void)
{
    const struct CMUnitTest tests[] = { WAY_TESTS };
    return cmocka_run_group_tests_name("parity_ways", tests, start_pools, stop_pools);
}
