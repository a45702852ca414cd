/* SPDX-License-Identifier: Apache-2.0 */
/* What every C test needs: cmocka, a status check that prints the error, random numbers, and the data folder. */
#ifndef VIC_TESTS_CHECK_H
#define VIC_TESTS_CHECK_H

#include "vicinal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Which checker watches this build, for sizes: 2 ThreadSanitizer, to which more of the same calls say nothing new; 1
 * AddressSanitizer; 0 none. */
#if defined(__SANITIZE_THREAD__)
enum { SANITIZED = 2 };
#elif defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* CHECK_OK(call(..., &err)): fails with the error's text. */
#define CHECK_OK(expression)                                                                                         \
    do {                                                                                                             \
        vic_status check_status_ = (expression);                                                                     \
        if (check_status_ != VIC_OK) fail_msg("%s: %s: %s", #expression, vic_status_name(check_status_), err.text);  \
    } while (0)

/* CHECK_FAILS(call(..., &err), VIC_BAD_INPUT, "part of the text"): right status, and the text teaches. */
#define CHECK_FAILS(expression, expected, part)                                                                      \
    do {                                                                                                             \
        vic_status check_status_ = (expression);                                                                     \
        if (check_status_ != (expected))                                                                             \
            fail_msg("%s: expected %s, got %s (%s)", #expression, vic_status_name(expected),                         \
                     vic_status_name(check_status_), check_status_ == VIC_OK ? "" : err.text);                       \
        if (!strstr(err.text, part)) fail_msg("%s: no \"%s\" in: %s", #expression, part, err.text);                  \
    } while (0)

#define CHECK(condition, ...)                                                                                        \
    do {                                                                                                             \
        if (!(condition)) {                                                                                          \
            print_error("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                      \
            fail_msg(__VA_ARGS__);                                                                                   \
        }                                                                                                            \
    } while (0)

/* splitmix64: the seed is the state, so a failure is repeated by its printed seed. */
static inline uint64_t random_bits(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline double random_uniform(uint64_t *state) /* [0, 1) */
{
    return (double)(random_bits(state) >> 11) * 0x1p-53;
}

static inline double random_normal(uint64_t *state)
{
    double u = random_uniform(state), v = random_uniform(state);
    return sqrt(-2.0 * log(1.0 - u)) * cos(6.283185307179586 * v);
}

/* Path of a file of the folder of real structures, or NULL with a word of why when it is not there: the test then
 * returns through skip().  VIC_TEST_DATA names the folder; the default is beside the checkout. */
static inline const char *test_data(const char *name)
{
    static char path[4096];
    const char *folder = getenv("VIC_TEST_DATA");
    FILE *file;
    if (!folder || !*folder) folder = "../shared/data";
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (!file) {
        print_message("skipped: no %s (set VIC_TEST_DATA to the folder of real structures)\n", path);
        return NULL;
    }
    fclose(file);
    return path;
}

/* What main() of a program returns that a machine may be unable to run: ctest then says that it was skipped. */
static inline int test_result(int failed, bool nothing_to_test)
{
    return failed ? 1 : nothing_to_test ? 77 : 0;
}

#endif
