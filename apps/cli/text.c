/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LABEL_WIDTH = 18 };

bool stream_is_terminal(FILE *stream)
{
    return isatty(fileno(stream)) == 1;
}

bool stream_has_colour(FILE *stream)
{
    const char *off = getenv("NO_COLOR"), *term = getenv("TERM");
    return stream_is_terminal(stream) && !(off && *off) && term && strcmp(term, "dumb") != 0;
}

/* Colours as SGR codes; "" without. */
static const char *sgr(const char *code)
{
    return stream_has_colour(stdout) ? code : "";
}

void text_title(const char *format, ...)
{
    va_list args;
    fputs(sgr("\033[1m"), stdout);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("%s\n", sgr("\033[0m"));
}

void text_row(const char *label, const char *format, ...)
{
    va_list args;
    printf("  %s%-*s%s", sgr("\033[2m"), LABEL_WIDTH, label, sgr("\033[0m"));
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void text_verdict(bool good, const char *label)
{
    text_row(label, "%s%s%s", sgr(good ? "\033[1;32m" : "\033[1;31m"), good ? "PASS" : "FAIL", sgr("\033[0m"));
}

vic_status text_end(vic_error *err)
{
    if (fflush(stdout) != 0 || ferror(stdout)) return fail(err, VIC_CANNOT_WRITE, "stdout: cannot write the result");
    return VIC_OK;
}
