/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "hygiene.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* libmicrohttpd up to 0.9.75 takes lines that end in LF alone, folded lines, spaces before a colon, and cuts values at
 * a NUL.  It parses in place, though, and says where each name and value lies and how long all of it is: in a head
 * without such things the pieces lie behind each other, with exactly a colon, blanks and CRLF in between.  Later
 * versions refuse by themselves. */
struct walk {
    struct request *r;
    uintptr_t end; /* of the last value, or of the version */
    int count;
    size_t bytes;
    int lengths, encodings, types; /* Content-Length, Transfer-Encoding, Inference-Header-Content-Length */
    bool good;
};

static bool is_token(const char *text, size_t size)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)text[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || !strchr(others, c))) return false;
    }
    return size > 0;
}

/* Visible characters, blanks and bytes above ASCII. */
static bool is_value(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

static bool is_digits(const char *text, size_t size, size_t *out)
{
    *out = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        if (__builtin_mul_overflow(*out, (size_t)10, out) ||
            __builtin_add_overflow(*out, (size_t)(text[i] - '0'), out))
            return false;
    }
    return size > 0;
}

static bool is_named(const char *key, size_t size, const char *name)
{
    return strlen(name) == size && strncasecmp(key, name, size) == 0;
}

/* What the server looks at, by the length of its name first. */
static bool take_header(struct walk *w, const char *key, size_t key_size, const char *value, size_t size)
{
    struct request *r = w->r;
    if (is_named(key, key_size, "Content-Length")) {
        if (w->lengths++) return refuse(&r->why, 400, "two Content-Length headers");
        return is_digits(value, size, &r->body_length) || refuse(&r->why, 400, "Content-Length: expected digits");
    }
    if (is_named(key, key_size, "Transfer-Encoding")) {
        if (w->encodings++) return refuse(&r->why, 400, "two Transfer-Encoding headers");
        r->chunked = true;
        return strcasecmp(value, "chunked") == 0 || refuse(&r->why, 501, "Transfer-Encoding: expected chunked alone");
    }
    if (is_named(key, key_size, "Inference-Header-Content-Length")) {
        r->has_json_size = true;
        if (w->types++) return refuse(&r->why, 400, "two Inference-Header-Content-Length headers");
        return is_digits(value, size, &r->json_size) ||
               refuse(&r->why, 400, "Inference-Header-Content-Length: expected digits");
    }
    if (is_named(key, key_size, "Host")) {
        if (r->host) return refuse(&r->why, 400, "two Host headers");
        r->host = value;
    }
    if (is_named(key, key_size, "Content-Encoding")) {
        if (r->encoding) return refuse(&r->why, 400, "two Content-Encoding headers");
        r->encoding = value;
    }
    if (is_named(key, key_size, "Authorization")) {
        if (r->authorization) return refuse(&r->why, 400, "two Authorization headers");
        r->authorization = value;
    }
    if (is_named(key, key_size, "Origin")) {
        if (r->origin) return refuse(&r->why, 400, "two Origin headers");
        r->origin = value;
    }
    if (is_named(key, key_size, "Expect")) r->asks_first = strcasecmp(value, "100-continue") == 0;
    if (is_named(key, key_size, "Origin") || is_named(key, key_size, "Sec-Fetch-Site")) r->browser = true;
    if (is_named(key, key_size, "X-Request-Id") && good_name(value)) snprintf(r->id, sizeof r->id, "%s", value);
    return true;
}

static enum MHD_Result look(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_size, const char *value,
                            size_t size)
{
    struct walk *w = cls;
    (void)kind;
    if (!value) {
        value = "";
        size = 0;
    }
    w->bytes += key_size + size + 4;
    if (++w->count > MOST_HEADERS || w->bytes > MOST_HEADER_BYTES)
        w->good = refuse(&w->r->why, 431, "the headers: expected at most %d of %d bytes in all", MOST_HEADERS,
                         MOST_HEADER_BYTES);
    else if (!is_token(key, key_size) || !is_value(value, size) || (mhd.lenient && (uintptr_t)key != w->end + 2))
        w->good = refuse(&w->r->why, 400, "a header line is malformed: expected 'Name: value' and CRLF, unfolded");
    else
        w->good = take_header(w, key, key_size, value, size);
    w->end = (uintptr_t)(value + size);
    return w->good ? MHD_YES : MHD_NO;
}

/* The request line: one blank between its parts, and nothing behind it. */
static bool check_line(struct walk *w, const char *method, const char *url, const char *version)
{
    if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
        return refuse(&w->r->why, 505, "expected HTTP/1.1 or HTTP/1.0");
    if (*url != '/' || (mhd.lenient && (uintptr_t)url != (uintptr_t)method + strlen(method) + 1))
        return refuse(&w->r->why, 400, "the request line: expected METHOD /path HTTP/1.1");
    w->end = (uintptr_t)(version + strlen(version));
    return true;
}

/* Behind the last header come CRLF CRLF, and no line that was not seen. */
static bool check_end(const struct walk *w, const char *method)
{
    const union MHD_ConnectionInfo *size =
        mhd.get_connection_info(w->r->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (!mhd.lenient) return true;
    if (size && w->end + 4 == (uintptr_t)method + size->header_size) return true;
    return refuse(&w->r->why, 400, "the header is malformed: expected lines that end in CRLF, and an empty one");
}

bool hygiene_check(struct request *r, const char *method, const char *url, const char *version)
{
    struct walk w = { .r = r, .good = true };
    if (!check_line(&w, method, url, version)) goto refused;
    mhd.get_connection_values_n(r->mhd, MHD_HEADER_KIND, look, &w);
    if (!w.good || !check_end(&w, method)) goto refused;
    if (r->chunked && w.lengths) {
        refuse(&r->why, 400, "Content-Length beside Transfer-Encoding");
        goto refused;
    }
    if (r->chunked) { /* chunk sizes are read leniently, so nothing that follows is taken for a request */
        r->body_length = SIZE_MAX;
        r->close = true;
    }
    return true;
refused:
    r->close = true;
    return false;
}
