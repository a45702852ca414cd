/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *vic_status_name(vic_status status)
{
    switch (status) {
#define CASE(name, value, text)                                                                                      \
    case VIC_##name: return #name;
        VIC_STATUS_LIST(CASE)
#undef CASE
    }
    return "?";
}

const char *vic_status_text(vic_status status)
{
    switch (status) {
#define CASE(name, value, text)                                                                                      \
    case VIC_##name: return text;
        VIC_STATUS_LIST(CASE)
#undef CASE
    }
    return "?";
}

const char *vic_version(void)
{
    return VIC_VERSION;
}

/* Bytes of the UTF-8 character that begins here; 0 = there is none. */
static int character(const unsigned char *p)
{
    int more = p[0] < 0x80                   ? 0
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 1
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 2
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 3
                                             : -1;
    for (int i = 1; i <= more; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return more + 1;
}

/* Names of files may be any bytes, and a long text is cut anywhere: what is no character becomes a question mark. */
static void keep_utf8(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p;) {
        int bytes = character(p);
        if (bytes == 0) *p = '?';
        p += bytes ? bytes : 1;
    }
}

vic_status vic_fail(vic_error *err, vic_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        err->status = status;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        keep_utf8(err->text);
    }
    return status;
}

static bool all_zero(const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i++)
        if (b[i]) return false;
    return true;
}

static vic_status size_of(const void *given, const char *type, size_t *size, vic_error *err)
{
    memcpy(size, given, sizeof *size);
    if (*size >= sizeof *size && *size <= 65536) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT,
                    "%s.size is %zu: begin the struct with VIC_INIT(%s), or with .size = sizeof", type, *size, type);
}

vic_status struct_take(void *defaults, size_t known, const void *given, const char *type, vic_error *err)
{
    size_t size;
    if (!given) return VIC_OK;
    TRY(size_of(given, type, &size, err));
    if (size > known && !all_zero((const char *)given + known, size - known))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "%s has %zu bytes, and something is set behind the %zu that vicinal " VIC_VERSION
                        " knows: leave the newer members 0, or use a newer library",
                        type, size, known);
    memcpy(defaults, given, size < known ? size : known);
    memcpy(defaults, &known, sizeof known);
    return VIC_OK;
}

vic_status struct_need(void *out, size_t known, const void *given, const char *type, vic_error *err)
{
    if (!given) return vic_fail(err, VIC_BAD_ARGUMENT, "%s is NULL: expected a pointer to one", type);
    return struct_take(out, known, given, type, err);
}

vic_status struct_give(void *out, const void *info, size_t known, const char *type, vic_error *err)
{
    size_t size;
    if (!out) return vic_fail(err, VIC_BAD_ARGUMENT, "%s is NULL: expected where to put it", type);
    TRY(size_of(out, type, &size, err));
    memcpy((char *)out + sizeof size, (const char *)info + sizeof size, (size < known ? size : known) - sizeof size);
    if (size > known) memset((char *)out + known, 0, size - known);
    return VIC_OK;
}

vic_status reserved_check(const void *reserved, size_t n, const char *type, vic_error *err)
{
    if (all_zero(reserved, n)) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT, "%s: a reserved member is not 0: begin the struct with VIC_INIT(%s)", type,
                    type);
}
