/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "triton.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

vic_status fail(vic_error *err, vic_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (err) {
        err->status = status;
        vsnprintf(err->text, sizeof err->text, format, list);
    }
    va_end(list);
    return status;
}

vic_status taken(TRITONSERVER_Error *error, vic_error *err)
{
    if (!error) return VIC_OK;
    fail(err, VIC_FAILED, "Triton: %s", TRITONSERVER_ErrorMessage(error));
    TRITONSERVER_ErrorDelete(error);
    return VIC_FAILED;
}

/* HTTP and gRPC make of these 400 INVALID_ARGUMENT, 404 NOT_FOUND, 503 UNAVAILABLE, 501 UNIMPLEMENTED, 500 INTERNAL. */
static TRITONSERVER_Error_Code code(vic_status status)
{
    switch (status) {
    case VIC_BAD_ARGUMENT:
    case VIC_BAD_INPUT: return TRITONSERVER_ERROR_INVALID_ARG;
    case VIC_CANNOT_READ: return TRITONSERVER_ERROR_NOT_FOUND;
    case VIC_NO_DEVICE:
    case VIC_NO_KERNEL: return TRITONSERVER_ERROR_UNSUPPORTED;
    case VIC_NO_MEMORY:
    case VIC_BUSY:
    case VIC_DEADLINE: return TRITONSERVER_ERROR_UNAVAILABLE;
    case VIC_CANCELLED: return TRITONSERVER_ERROR_CANCELLED;
    case VIC_OK:
    case VIC_CANNOT_WRITE:
    case VIC_FAILED: break;
    }
    return TRITONSERVER_ERROR_INTERNAL;
}

TRITONSERVER_Error *given(vic_status status, const vic_error *err)
{
    return status == VIC_OK ? NULL : TRITONSERVER_ErrorNew(code(status), err->text);
}

void say(TRITONSERVER_LogLevel level, const char *format, ...)
{
    char text[1200];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    TRITONSERVER_Error *error = TRITONSERVER_LogMessage(level, "vicinal", 0, text);
    if (error) TRITONSERVER_ErrorDelete(error);
}

void noted(TRITONSERVER_Error *error)
{
    if (!error) return;
    say(TRITONSERVER_LOG_ERROR, "vicinal: %s", TRITONSERVER_ErrorMessage(error));
    TRITONSERVER_ErrorDelete(error);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
