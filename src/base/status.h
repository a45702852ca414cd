/* SPDX-License-Identifier: Apache-2.0 */
/* Failing in one expression, and passing a failure on. */
#ifndef VIC_BASE_STATUS_H
#define VIC_BASE_STATUS_H

#include "vicinal.h"

#ifdef __cplusplus
extern "C" { /* the CUDA rows are C++ */
#endif

/* Fill `err` (may be NULL) and return `status`:  return vic_fail(err, VIC_BAD_INPUT, "%s line %d: ...", ...);
 * The text says what was wrong, where, what was expected, what came, and how to fix it. */
vic_status vic_fail(vic_error *err, vic_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* For functions that own nothing. */
#define TRY(expression)                                                                                              \
    do {                                                                                                             \
        vic_status try_status_ = (expression);                                                                       \
        if (try_status_ != VIC_OK) return try_status_;                                                               \
    } while (0)

/* For functions that own something: `st` is the function's status, `label` frees in reverse and returns it. */
#define TRY_GOTO(expression, label)                                                                                  \
    do {                                                                                                             \
        st = (expression);                                                                                           \
        if (st != VIC_OK) goto label;                                                                                \
    } while (0)

/* Copy an options struct whose first member is its size over defaults, so that older callers keep working:
 *     vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
 *     TRY(options_copy(&o, sizeof o, options, "vic_pattern_options", err));
 * NULL `given` leaves the defaults; a size this library does not know is BAD_ARGUMENT. */
vic_status options_copy(void *defaults, size_t known, const void *given, const char *type, vic_error *err);

#ifdef __cplusplus
}
#endif

#endif
