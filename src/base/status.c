/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *vic_status_name(vic_status status)
{
    switch (status) {
#define CASE(name, value, exit_code, http, text)                                                                     \
    case VIC_##name: return #name;
        VIC_STATUS_LIST(CASE)
#undef CASE
    }
    return "?";
}

const char *vic_status_text(vic_status status)
{
    switch (status) {
#define CASE(name, value, exit_code, http, text)                                                                     \
    case VIC_##name: return text;
        VIC_STATUS_LIST(CASE)
#undef CASE
    }
    return "?";
}

int vic_status_exit_code(vic_status status)
{
    switch (status) {
#define CASE(name, value, exit_code, http, text)                                                                     \
    case VIC_##name: return exit_code;
        VIC_STATUS_LIST(CASE)
#undef CASE
    }
    return 1;
}

int vic_status_http_code(vic_status status)
{
    switch (status) {
#define CASE(name, value, exit_code, http, text)                                                                     \
    case VIC_##name: return http;
        VIC_STATUS_LIST(CASE)
#undef CASE
    }
    return 500;
}

const char *vic_version(void)
{
    return VIC_VERSION;
}

vic_status vic_fail(vic_error *err, vic_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        err->status = status;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}

vic_status options_copy(void *defaults, size_t known, const void *given, const char *type, vic_error *err)
{
    size_t size;
    if (!given) return VIC_OK;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size || size > known)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "%s.size is %zu, and vicinal " VIC_VERSION
                        " knows sizes up to %zu: start from the _INIT macro of a header that is not newer than the "
                        "library",
                        type, size, known);
    memcpy(defaults, given, size);
    memcpy(defaults, &known, sizeof known);
    return VIC_OK;
}
