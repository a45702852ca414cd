/* SPDX-License-Identifier: Apache-2.0 */
#include "buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct buffer *b, size_t more)
{
    size_t need, capacity = b->capacity ? b->capacity : 256;
    char *data;
    if (b->failed) return false;
    if (__builtin_add_overflow(b->size, more, &need) || need > PTRDIFF_MAX / 2) {
        b->failed = true;
        return false;
    }
    need++; /* the NUL */
    if (need <= b->capacity) return true;
    while (capacity < need) capacity *= 2;
    data = realloc(b->data, capacity);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

void buffer_add(struct buffer *b, const void *bytes, size_t count)
{
    if (!reserve(b, count)) return;
    if (count) memcpy(b->data + b->size, bytes, count);
    b->size += count;
    b->data[b->size] = '\0';
}

void buffer_text(struct buffer *b, const char *text)
{
    buffer_add(b, text, strlen(text));
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args, again;
    int length;
    va_start(args, format);
    va_copy(again, args);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        b->failed = true;
    } else if (reserve(b, (size_t)length)) {
        vsnprintf(b->data + b->size, (size_t)length + 1, format, again);
        b->size += (size_t)length;
    }
    va_end(again);
}

void buffer_base64(struct buffer *b, const void *bytes, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *from = bytes;
    for (size_t i = 0; i < count; i += 3) {
        size_t left = count - i;
        uint32_t group = (uint32_t)from[i] << 16;
        char text[4];
        if (left > 1) group |= (uint32_t)from[i + 1] << 8;
        if (left > 2) group |= from[i + 2];
        for (int k = 0; k < 4; k++) text[k] = digits[group >> (18 - 6 * k) & 63];
        if (left < 3) text[3] = '=';
        if (left < 2) text[2] = '=';
        buffer_add(b, text, 4);
    }
}

vic_status buffer_check(const struct buffer *b, const char *what, vic_error *err)
{
    return b->failed ? fail(err, VIC_NO_MEMORY, "no memory for %s", what) : VIC_OK;
}

void buffer_free(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){ NULL, 0, 0, false };
}
