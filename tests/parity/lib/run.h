/* SPDX-License-Identifier: Apache-2.0 */
/* Running an attention case of the parity tests on kernels: twice with different poison, then compared; batch entries
 * alone and together.  Before anything else main() sets `tested`. */
#ifndef VIC_TESTS_PARITY_RUN_H
#define VIC_TESTS_PARITY_RUN_H

#include "problem.h"

/* Fewer and smaller, for compute-sanitizer, and for ThreadSanitizer, under which all of them took ten minutes: what
 * it looks at, threads that share a pattern and a workspace, is the same in each. */
bool small(void);

/* True, with a word of why, where this machine has no row to test. */
bool nothing_to_test(void);

/* Calls `body` for every kernel of the CPU that this machine can run; on a GPU, for the one that a plan would
 * choose. */
void for_each_kernel(const struct attention_shape *shape, void (*body)(const struct kernel *, void *), void *context);

struct checked {
    const struct attention_case *c;
    struct problem *p;
    uint64_t seed;
};

void check_kernel(const struct kernel *kernel, void *context);

/* What is float32 on the CPU runs in both half types on a GPU. */
void run_case(const struct attention_case *c, uint64_t seed);

/* Of a loop over types: on a GPU run_case() makes both of float32. */
int types_to_run(void);

/* Without run_case(): a GPU has no float32. */
int first_type(void);

#define RUN_ALL(cases, seed)                                                                                         \
    for (size_t i_ = 0; i_ < sizeof(cases) / sizeof *(cases); i_++) run_case(&(cases)[i_], (seed) + i_)

/* Do all elements of out and lse of these rows have the bits that they had in the copies? */
void check_rows_kept(const struct problem *p, const unsigned char *out, const unsigned char *lse, const bool *kept,
                     const char *what);

/* A batch entry has the same bits alone, first of two, and in a batch of three. */
void check_entries(const struct kernel *kernel, void *context);

#endif
