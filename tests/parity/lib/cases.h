/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of attention, one body for every kernel that this machine can run: test_attention.c runs them on kernels
 * of the CPU, tests/gpu/test_attention_gpu.c on those of a GPU. */
#ifndef VIC_TESTS_PARITY_CASES_H
#define VIC_TESTS_PARITY_CASES_H

#include "run.h"

void test_sizes(void **state);

void test_geometries(void **state);

void test_head_sizes(void **state);

void test_heads_and_layouts(void **state);

void test_values(void **state);

/* Scores that float32 does not hold.  float16 holds no such q and k. */
void test_scores_below_float(void **state);

/* Patterns as the library builds them: near atoms in near rows, full blocks, shared clusters. */
void test_built_patterns(void **state);

/* Rows whose first pairs come in the second, third or fourth 64 keys of their strip, among rows that begin at once.
 */
void test_first_keys_masked(void **state);

void test_batches(void **state);

/* ---- A row depends on nothing but its own query and its keys ------------------------------------------------- */

void test_rows_do_not_see_each_other(void **state);

void test_items_do_not_see_each_other(void **state);

/* items.c: one launch of problems at unrelated addresses, as a batch and alone. */
void test_items_at_unrelated_addresses(void **state);

#define SHARED_TESTS                                                                                                 \
    cmocka_unit_test(test_sizes), cmocka_unit_test(test_geometries), cmocka_unit_test(test_head_sizes),              \
        cmocka_unit_test(test_heads_and_layouts), cmocka_unit_test(test_values),                                     \
        cmocka_unit_test(test_scores_below_float), cmocka_unit_test(test_built_patterns),                            \
        cmocka_unit_test(test_first_keys_masked), cmocka_unit_test(test_batches),                                    \
        cmocka_unit_test(test_rows_do_not_see_each_other), cmocka_unit_test(test_items_do_not_see_each_other),       \
        cmocka_unit_test(test_items_at_unrelated_addresses)

#endif
