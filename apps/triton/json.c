/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 64 };

static const char *blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
    return at;
}

/* Each of these answers where the value that begins at `at` ends; NULL = it is none. */
static const char *string_end(const char *at, const char *end)
{
    if (at == end || *at != '"') return NULL;
    for (at++; at < end && *at != '"'; at++) {
        if ((unsigned char)*at < ' ') return NULL;
        if (*at == '\\' && ++at == end) return NULL;
    }
    return at < end ? at + 1 : NULL;
}

static const char *word_end(const char *at, const char *end)
{
    static const char *const words[] = { "true", "false", "null" };
    const char *start = at;
    for (int i = 0; i < 3; i++) {
        const size_t length = strlen(words[i]);
        if ((size_t)(end - at) >= length && memcmp(at, words[i], length) == 0) return at + length;
    }
    if (at < end && *at == '-') at++;
    if (at == end || *at < '0' || *at > '9') return NULL;
    while (at < end && *at && strchr("0123456789+-.eE", *at)) at++;
    return at - start < 64 ? at : NULL;
}

static const char *value_end(const char *at, const char *end, int depth)
{
    if (at == end || depth > DEEPEST) return NULL;
    if (*at == '"') return string_end(at, end);
    if (*at != '{' && *at != '[') return word_end(at, end);
    const bool object = *at == '{';
    const char close = object ? '}' : ']';
    at = blanks(at + 1, end);
    if (at < end && *at == close) return at + 1;
    for (;;) {
        if (object) {
            at = string_end(at, end);
            if (!at) return NULL;
            at = blanks(at, end);
            if (at == end || *at != ':') return NULL;
            at = blanks(at + 1, end);
        }
        at = value_end(at, end, depth + 1);
        if (!at) return NULL;
        at = blanks(at, end);
        if (at < end && *at == close) return at + 1;
        if (at == end || *at != ',') return NULL;
        at = blanks(at + 1, end);
    }
}

bool json_parse(const char *text, size_t size, struct json *out)
{
    const char *end = text + size, *begin = blanks(text, end);
    const char *last = value_end(begin, end, 0);
    *out = (struct json){ begin, last };
    return last && blanks(last, end) == end;
}

bool json_next(struct json container, struct json *name, struct json *value)
{
    if (!container.begin || (*container.begin != '{' && *container.begin != '[')) return false;
    const char *end = container.end, *at = blanks(value->begin ? value->end : container.begin + 1, end);
    if (value->begin && *at == ',') at = blanks(at + 1, end);
    if (at + 1 >= end) return false; /* at the bracket that closes */
    if (*container.begin == '{') {
        const struct json key = { at, string_end(at, end) };
        if (name) *name = key;
        at = blanks(blanks(key.end, end) + 1, end);
    }
    *value = (struct json){ at, value_end(at, end, 0) };
    return true;
}

struct json json_member(struct json object, const char *name)
{
    struct json key, value = { NULL, NULL };
    const size_t length = strlen(name);
    if (!object.begin || *object.begin != '{') return value;
    while (json_next(object, &key, &value))
        if ((size_t)(key.end - key.begin) == length + 2 && memcmp(key.begin + 1, name, length) == 0) return value;
    return (struct json){ NULL, NULL };
}

static int hex4(const char *at, const char *end)
{
    int value = 0;
    for (int i = 0; i < 4; i++, at++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        const char *found = at < end && *at ? strchr(digits, *at) : NULL;
        if (!found) return -1;
        value = value * 16 + (int)(found - digits) % 16;
    }
    return value;
}

static size_t utf8(uint32_t c, char out[4])
{
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) return out[0] = (char)(0xc0 | c >> 6), out[1] = (char)(0x80 | (c & 63)), 2;
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        return out[1] = (char)(0x80 | (c >> 6 & 63)), out[2] = (char)(0x80 | (c & 63)), 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    return out[2] = (char)(0x80 | (c >> 6 & 63)), out[3] = (char)(0x80 | (c & 63)), 4;
}

bool json_string(struct json value, char *out, size_t size)
{
    size_t n = 0;
    if (!value.begin || *value.begin != '"') return false;
    const char *end = value.end - 1;
    for (const char *at = value.begin + 1; at < end;) {
        char bytes[4] = { *at++ };
        size_t length = 1;
        if (bytes[0] == '\\') {
            static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
            const char *simple = strchr(from, *at);
            if (*at == 'u') {
                int code = hex4(at + 1, end), low = -1;
                at += 5;
                if (code >= 0xd800 && code < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u')
                    low = hex4(at + 2, end);
                if (low >= 0xdc00 && low < 0xe000) {
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    at += 6;
                }
                if (code <= 0 || (code >= 0xd800 && code < 0xe000)) return false;
                length = utf8((uint32_t)code, bytes);
            } else if (simple && *simple) {
                bytes[0] = to[simple - from];
                at++;
            } else {
                return false;
            }
        }
        if (n + length >= size) return false;
        memcpy(out + n, bytes, length);
        n += length;
    }
    if (n >= size) return false;
    out[n] = '\0';
    return true;
}

bool json_int(struct json value, int64_t *out)
{
    char text[64];
    if (!value.begin) return false;
    if (*value.begin == '"') {
        if (!json_string(value, text, sizeof text)) return false;
    } else {
        const size_t length = (size_t)(value.end - value.begin);
        if (length >= sizeof text) return false;
        memcpy(text, value.begin, length);
        text[length] = '\0';
    }
    char *last;
    errno = 0;
    *out = strtoll(text, &last, 10);
    return errno == 0 && last != text && *last == '\0';
}

bool json_true(struct json value)
{
    return value.begin && *value.begin == 't';
}
