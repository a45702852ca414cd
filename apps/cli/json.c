/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include "numbers.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Length of the UTF-8 sequence at `s`, 0 when it is none (overlong and surrogates included). */
static size_t utf8_length(const unsigned char *s)
{
    uint32_t code;
    size_t length;
    if (s[0] < 0x80) return 1;
    length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    code = s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (s[i] & 0x3fu);
    }
    if (length == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) return 0;
    if (length == 4 && (code < 0x10000 || code > 0x10ffff)) return 0;
    return length;
}

static void quoted(struct buffer *b, const char *text)
{
    buffer_text(b, "\"");
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t length = utf8_length(s);
        if (length == 0) {
            buffer_text(b, "\xef\xbf\xbd");
            length = 1;
        } else if (*s == '"' || *s == '\\') {
            buffer_printf(b, "\\%c", *s);
        } else if (*s < 0x20 || *s == 0x7f) {
            buffer_printf(b, "\\u%04x", *s);
        } else {
            buffer_add(b, s, length);
        }
        s += length;
    }
    buffer_text(b, "\"");
}

static void member(struct json *j, const char *key)
{
    if (j->comma) buffer_text(&j->text, ", ");
    j->comma = true;
    if (key) {
        quoted(&j->text, key);
        buffer_text(&j->text, ": ");
    }
}

static void opened(struct json *j, const char *key, const char *bracket)
{
    member(j, key);
    buffer_text(&j->text, bracket);
    j->comma = false;
}

static void closed(struct json *j, const char *bracket)
{
    buffer_text(&j->text, bracket);
    j->comma = true;
}

void json_put_object(struct json *j, const char *key)
{
    opened(j, key, "{");
}

void json_put_object_end(struct json *j)
{
    closed(j, "}");
}

void json_put_array(struct json *j, const char *key)
{
    opened(j, key, "[");
}

void json_put_array_end(struct json *j)
{
    closed(j, "]");
}

void json_put_int(struct json *j, const char *key, int64_t value)
{
    member(j, key);
    buffer_printf(&j->text, "%" PRId64, value);
}

void json_put_real(struct json *j, const char *key, double value)
{
    if (!isfinite(value)) {
        json_put_null(j, key);
        return;
    }
    member(j, key);
    buffer_text(&j->text, exact_text(value).s);
}

void json_put_bool(struct json *j, const char *key, bool value)
{
    member(j, key);
    buffer_text(&j->text, value ? "true" : "false");
}

void json_put_text(struct json *j, const char *key, const char *value)
{
    member(j, key);
    quoted(&j->text, value);
}

void json_put_raw(struct json *j, const char *key, const char *value)
{
    member(j, key);
    buffer_text(&j->text, value);
}

void json_put_null(struct json *j, const char *key)
{
    member(j, key);
    buffer_text(&j->text, "null");
}

vic_status json_print(struct json *j, vic_error *err)
{
    buffer_text(&j->text, "\n");
    TRY(buffer_check(&j->text, "the JSON text", err));
    if (fwrite(j->text.data, 1, j->text.size, stdout) != j->text.size || fflush(stdout) != 0)
        return fail(err, VIC_CANNOT_WRITE, "stdout: cannot write the JSON object");
    return VIC_OK;
}

void json_free(struct json *j)
{
    buffer_free(&j->text);
}

/* ---- reading ---- */

static void blanks(struct json_cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r')) c->at++;
}

bool json_take(struct json_cursor *c, char token)
{
    blanks(c);
    if (c->at >= c->end || *c->at != token) return false;
    c->at++;
    return true;
}

static bool hex4(struct json_cursor *c, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, c->at++) {
        char x = c->at < c->end ? *c->at : '\0';
        uint32_t digit;
        if (x >= '0' && x <= '9')
            digit = (uint32_t)(x - '0');
        else if (x >= 'a' && x <= 'f')
            digit = (uint32_t)(x - 'a') + 10;
        else if (x >= 'A' && x <= 'F')
            digit = (uint32_t)(x - 'A') + 10;
        else
            return false;
        *out = *out << 4 | digit;
    }
    return true;
}

static size_t utf8_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* After a backslash: the bytes it stands for, or 0. */
static size_t escape(struct json_cursor *c, char out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t code, low;
    char x = c->at < c->end ? *c->at++ : '\0';
    for (int i = 0; from[i]; i++) {
        if (x == from[i]) {
            out[0] = to[i];
            return 1;
        }
    }
    if (x != 'u' || !hex4(c, &code) || code == 0) return 0;
    if (code >= 0xd800 && code < 0xdc00) {
        if (c->end - c->at < 2 || c->at[0] != '\\' || c->at[1] != 'u') return 0;
        c->at += 2;
        if (!hex4(c, &low) || low < 0xdc00 || low > 0xdfff) return 0;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    return utf8_encode(code, out);
}

bool json_take_text(struct json_cursor *c, char *out, size_t out_size)
{
    size_t used = 0;
    if (!json_take(c, '"')) return false;
    while (c->at < c->end) {
        char piece[4];
        size_t length = 1;
        char x = *c->at++;
        if (x == '"') {
            if (out_size) out[used] = '\0';
            return true;
        }
        if ((unsigned char)x < 0x20) return false;
        piece[0] = x;
        if (x == '\\') length = escape(c, piece);
        if (length == 0) return false;
        for (size_t i = 0; i < length && used + 1 < out_size; i++) out[used++] = piece[i];
    }
    return false;
}

bool json_take_key(struct json_cursor *c, bool *begun, char *out, size_t out_size)
{
    if (!json_take(c, *begun ? ',' : '{')) return false;
    if (!*begun && json_take(c, '}')) { /* an empty object: its brace stays */
        c->at--;
        *begun = true;
        return false;
    }
    *begun = true;
    return json_take_text(c, out, out_size) && json_take(c, ':');
}

bool json_take_uint(struct json_cursor *c, uint64_t *out)
{
    const char *first;
    blanks(c);
    first = c->at;
    *out = 0;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        if (__builtin_mul_overflow(*out, (uint64_t)10, out)) return false;
        if (__builtin_add_overflow(*out, (uint64_t)(*c->at - '0'), out)) return false;
        c->at++;
    }
    return c->at > first && *out <= INT64_MAX;
}

static bool skip_value(struct json_cursor *c, int depth)
{
    char text[1];
    if (depth > 32) return false;
    blanks(c);
    if (c->at >= c->end) return false;
    if (*c->at == '"') return json_take_text(c, text, 0);
    if (*c->at == '{' || *c->at == '[') {
        bool object = *c->at++ == '{';
        char closing = object ? '}' : ']';
        if (json_take(c, closing)) return true;
        do {
            if (object && (!json_take_text(c, text, 0) || !json_take(c, ':'))) return false;
            if (!skip_value(c, depth + 1)) return false;
        } while (json_take(c, ','));
        return json_take(c, closing);
    }
    /* A number or a word: what it says does not matter here, only where it ends. */
    if (!((*c->at >= '0' && *c->at <= '9') || (*c->at >= 'a' && *c->at <= 'z') || *c->at == '-')) return false;
    while (c->at < c->end && *c->at != ',' && *c->at != '}' && *c->at != ']' && (unsigned char)*c->at > ' ') c->at++;
    return true;
}

bool json_skip(struct json_cursor *c)
{
    return skip_value(c, 0);
}
