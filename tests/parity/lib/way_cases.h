/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over patterns that are no cutoff, and over many sizes, heads and entries: for every kernel of this
 * machine, as in cases.h.  The reference decides the pairs by each way's definition, not by the blocks. */
#ifndef VIC_TESTS_PARITY_WAY_CASES_H
#define VIC_TESTS_PARITY_WAY_CASES_H

#include "run.h"
#include "ways.h"

void test_blocks(void **state);

void test_ways(void **state);

/* Every number of atoms from 1 to 200: strips, clusters and stages of every length. */
void test_every_size(void **state);

void test_many_heads_and_entries(void **state);

#define WAY_TESTS                                                                                                    \
    cmocka_unit_test(test_blocks), cmocka_unit_test(test_ways), cmocka_unit_test(test_every_size),                   \
        cmocka_unit_test(test_many_heads_and_entries)

#endif
