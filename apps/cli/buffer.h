/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that grow.  A failed allocation is remembered, later additions do nothing, and buffer_check() reports it
 * once: writers of JSON and SVG need no test a line. */
#ifndef VICINAL_CLI_BUFFER_H
#define VICINAL_CLI_BUFFER_H

#include "cli.h"

struct buffer {
    char *data; /* NUL after the last byte, once something was added */
    size_t size, capacity;
    bool failed;
};

void buffer_add(struct buffer *b, const void *bytes, size_t count);
void buffer_text(struct buffer *b, const char *text);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_base64(struct buffer *b, const void *bytes, size_t count);
vic_status buffer_check(const struct buffer *b, const char *what, vic_error *err);
void buffer_free(struct buffer *b);

#endif
