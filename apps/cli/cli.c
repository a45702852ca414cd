/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

vic_status fail(vic_error *err, vic_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err->status = status;
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return status;
}

int status_exit_code(vic_status status)
{
    switch (status) {
    case VIC_OK: return 0;
    case VIC_BAD_ARGUMENT: return 2;
    case VIC_BAD_INPUT:
    case VIC_CANNOT_READ: return 3;
    case VIC_NO_DEVICE:
    case VIC_NO_KERNEL: return 4;
    default: return 1;
    }
}

bool size_product(int64_t a, int64_t b, size_t size, size_t *product)
{
    int64_t count;
    if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &count)) return false;
    return !__builtin_mul_overflow((size_t)count, size, product) && *product <= PTRDIFF_MAX;
}

vic_status allocate(int64_t count, size_t size, const char *what, void *out, vic_error *err)
{
    size_t bytes;
    void *memory = NULL;
    if (size_product(count, 1, size, &bytes)) memory = calloc(bytes ? bytes : 1, 1);
    memcpy(out, &memory, sizeof memory);
    if (!memory)
        return fail(err, VIC_NO_MEMORY, "no memory for %s: %lld times %zu bytes", what, (long long)count, size);
    return VIC_OK;
}

vic_status context_open(int threads, vic_device device, vic_context **out, vic_error *err)
{
    const vic_context_options options = { .size = sizeof options, .device = device, .threads = threads };
    return vic_context_create(&options, out, err);
}

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
