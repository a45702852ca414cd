/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: returning one in a single expression, and passing one on. */
#ifndef VIC_BASE_STATUS_H
#define VIC_BASE_STATUS_H

#include "vicinal.h"

#ifdef __cplusplus
extern "C" { /* the CUDA kernels are C++ */
#endif

/* Fill `err` (may be NULL) and return `status`:  return vic_fail(err, VIC_BAD_INPUT, "%s line %d: ...", ...);
 * The text states what was wrong, where, what was expected, what was found, and how to fix it. */
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

/* Structs that begin with their size (vicinal.h), from and to programs built against an older or newer header.
 * struct_take() copies what was given over the defaults; NULL leaves them.  It fails with BAD_ARGUMENT where a newer
 * program sets what this library does not know.  struct_need() is the same, but NULL is an error.  struct_give()
 * fills as much of the caller's struct as it has. */
vic_status struct_take(void *defaults, size_t known, const void *given, const char *type, vic_error *err);
vic_status struct_need(void *out, size_t known, const void *given, const char *type, vic_error *err);
vic_status struct_give(void *out, const void *info, size_t known, const char *type, vic_error *err);
vic_status reserved_check(const void *reserved, size_t n, const char *type, vic_error *err);

/* In a function of the API: declares `type name` and fills it from what was given, whose reserved members must be 0.
 * With TAKE_STRUCT NULL stands for the defaults, with NEED_STRUCT it is an error. */
#define TAKE_STRUCT(type, name, given, err)                                                                          \
    type name = VIC_INIT(type);                                                                                      \
    TRY(struct_take(&name, sizeof name, given, #type, err));                                                         \
    TRY(reserved_check(name.reserved, sizeof name.reserved, #type, err))
#define NEED_STRUCT(type, name, given, err)                                                                          \
    type name = VIC_INIT(type);                                                                                      \
    TRY(struct_need(&name, sizeof name, given, #type, err));                                                         \
    TRY(reserved_check(name.reserved, sizeof name.reserved, #type, err))

/* Returns BAD_ARGUMENT for an argument of the API that may not be NULL: NEED(p, "pattern", "build one first"). */
#define NEED(pointer, name, advice)                                                                                  \
    do {                                                                                                             \
        if (!(pointer)) return vic_fail(err, VIC_BAD_ARGUMENT, "%s is NULL: %s", name, advice);                      \
    } while (0)

/* The same for the pointer to a call's result; the result is NULL until it is made. */
#define NEED_OUT(out)                                                                                                \
    do {                                                                                                             \
        if (!(out)) return vic_fail(err, VIC_BAD_ARGUMENT, "out is NULL: expected where to put the result");         \
        *(out) = NULL;                                                                                               \
    } while (0)

#ifdef __cplusplus
}
#endif

#endif
