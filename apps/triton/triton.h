/* SPDX-License-Identifier: Apache-2.0 */
/* What every file of the backend shares: errors of both sides, and the objects behind Triton's handles. */
#ifndef VICINAL_TRITON_H
#define VICINAL_TRITON_H

#include "json.h"
#include "triton_api.h"
#include "vicinal_engine.h"

/* Fill `err` and return `status`; the text says what was wrong, where, what was expected, what came, what to do. */
vic_status fail(vic_error *err, vic_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define TRY(expression)                                                                                              \
    do {                                                                                                             \
        vic_status try_status_ = (expression);                                                                       \
        if (try_status_ != VIC_OK) return try_status_;                                                               \
    } while (0)

#define TRY_GOTO(expression, label)                                                                                  \
    do {                                                                                                             \
        st = (expression);                                                                                           \
        if (st != VIC_OK) goto label;                                                                                \
    } while (0)

/* An error of Triton's as one of ours, deleting it. */
vic_status taken(TRITONSERVER_Error *error, vic_error *err);
/* One of ours as one of Triton's, which has its own codes; NULL for OK. */
TRITONSERVER_Error *given(vic_status status, const vic_error *err);
/* Calls of Triton of which nothing depends: an error goes into the log. */
void noted(TRITONSERVER_Error *error);
void say(TRITONSERVER_LogLevel level, const char *format, ...) __attribute__((format(printf, 2, 3)));

uint64_t now_ns(void); /* of the monotonic clock */

#endif
