/* SPDX-License-Identifier: Apache-2.0 */
/* What only gradients have, for every kernel of them: test_backward.c runs these on kernels of the CPU,
 * tests/gpu/test_backward_gpu.c on those of a GPU, which take no distance bias. */
#ifndef VIC_TESTS_PARITY_GRADIENT_CASES_H
#define VIC_TESTS_PARITY_GRADIENT_CASES_H

#include "gradients.h"
#include "run.h"

struct checked_case {
    const struct attention_case *c;
    struct gradients *g;
};

/* Calls `body` with a struct checked_case for every kernel that takes the case. */
void with_gradients(const struct attention_case *c, uint64_t seed, void (*body)(const struct kernel *, void *));

/* dq, dk and dv of an entry have the same bits alone and in a batch. */
void test_entries(void **state);

/* Any choice of results. */
void test_choices(void **state);

/* Without dout, without dlse, without both. */
void test_given(void **state);

#endif
