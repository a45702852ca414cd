/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "body.h"

#include "routes.h"

#include <string.h>
#include <strings.h>
#include <zlib.h>

enum { ALIGNMENT = 64, FIRST_CHUNKS = 64 * 1024 };

static size_t most_of(const struct request *r)
{
    const size_t most = (size_t)r->loop->server->options->max_body;
    switch (r->route->body) {
    case BODY_TENSORS: return most;
    case BODY_LOAD: return MOST_LOAD_BODY;
    default: return MOST_SMALL_BODY;
    }
}

static bool no_room(struct request *r)
{
    return refuse(&r->why, 503, "the memory for requests is in use (--memory): try again");
}

bool body_begin(struct request *r)
{
    const bool packed = r->encoding && strcasecmp(r->encoding, "identity") != 0;
    r->body_most = most_of(r);
    if (!r->chunked && r->body_length > r->body_most)
        return refuse(&r->why, 413, "a body of %zu bytes: expected at most %zu", r->body_length, r->body_most);
    if (packed && strcasecmp(r->encoding, "gzip") != 0 && strcasecmp(r->encoding, "deflate") != 0)
        return refuse(&r->why, 415, "Content-Encoding: expected gzip, deflate or identity");
    if (!r->chunked && r->body_length == 0) return true;
    /* The JSON has any length; behind it, tensors shall lie as a kernel wants them. */
    if (r->has_json_size && !packed) r->body_skip = (ALIGNMENT - r->json_size % ALIGNMENT) % ALIGNMENT;
    r->body = pool_take(&r->loop->pool, r->body_skip + (r->chunked ? FIRST_CHUNKS : r->body_length));
    return r->body || no_room(r);
}

/* Chunks say nothing of what is to come. */
static bool grow(struct request *r, size_t size)
{
    char *larger = pool_take(&r->loop->pool, 2 * (r->body_skip + r->body_size) + size);
    if (!larger) return false;
    memcpy(larger, r->body, r->body_skip + r->body_size);
    pool_give(&r->loop->pool, r->body);
    r->body = larger;
    return true;
}

/* What came, up to `end`; handler.c counts what else comes. */
static void throw_away(struct request *r, size_t end)
{
    r->body_size = end;
    pool_give(&r->loop->pool, r->body);
    r->body = NULL;
}

bool body_take(struct request *r, const char *bytes, size_t size)
{
    size_t end;
    if (!r->body) return false;
    if (__builtin_add_overflow(r->body_size, size, &end) || end > r->body_most) {
        throw_away(r, end);
        return refuse(&r->why, 413, "a body of more than %zu bytes: expected at most that", r->body_most);
    }
    if (r->body_skip + end > pool_size(r->body) && !grow(r, size)) {
        throw_away(r, end);
        return no_room(r);
    }
    memcpy(r->body + r->body_skip + r->body_size, bytes, size);
    r->body_size = end;
    return true;
}

/* Into `to`; false: it is not what it says, or larger than a body may be. */
static bool inflate_into(const struct request *r, z_stream *z, char **to, size_t *size, struct pool *pool)
{
    size_t room = 4 * r->body_size < r->body_most ? 4 * r->body_size : r->body_most;
    int code = Z_OK;
    *size = 0;
    *to = pool_take(pool, room ? room : 1);
    while (*to && code != Z_STREAM_END) {
        room = pool_size(*to) < r->body_most ? pool_size(*to) : r->body_most;
        z->next_out = (Bytef *)*to + *size;
        z->avail_out = (uInt)(room - *size < (1u << 30) ? room - *size : 1u << 30);
        code = inflate(z, Z_NO_FLUSH);
        *size = (size_t)((char *)z->next_out - *to);
        if (code != Z_OK && code != Z_STREAM_END && !(code == Z_BUF_ERROR && z->avail_out == 0)) return false;
        if (code == Z_STREAM_END || z->avail_out > 0) continue;
        if (*size >= r->body_most) return false;
        if (*size == room) {
            char *larger = pool_take(pool, 2 * room);
            if (larger) memcpy(larger, *to, *size);
            pool_give(pool, *to);
            *to = larger;
        }
    }
    return *to && z->avail_in == 0;
}

bool body_end(struct request *r)
{
    z_stream z = { 0 };
    char *plain = NULL;
    size_t size;
    bool good;
    if (!r->chunked && r->body_size != r->body_length)
        return refuse(&r->why, 400, "the body ends after %zu of %zu bytes", r->body_size, r->body_length);
    if (!r->encoding || strcasecmp(r->encoding, "identity") == 0 || r->body_size == 0) return true;
    if (r->body_size > UINT32_MAX || inflateInit2(&z, 15 + 32) != Z_OK)
        return no_room(r); /* gzip or zlib, by its head */
    z.next_in = (Bytef *)(r->body + r->body_skip);
    z.avail_in = (uInt)r->body_size;
    good = inflate_into(r, &z, &plain, &size, &r->loop->pool);
    inflateEnd(&z);
    if (!good) {
        if (!plain) return no_room(r);
        pool_give(&r->loop->pool, plain);
        return refuse(&r->why, 400, "the body is not what Content-Encoding says, or unpacks to more than %zu bytes",
                      r->body_most);
    }
    pool_give(&r->loop->pool, r->body);
    r->body = plain;
    r->body_skip = 0;
    r->body_size = size;
    return true;
}
