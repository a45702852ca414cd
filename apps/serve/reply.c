/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "reply.h"

#include "log.h"
#include "routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is told of it ---- */

static void log_request(struct request *r, unsigned status)
{
    struct server *server = r->loop->server;
    const bool wrong = status >= 400;
    struct json more;
    atomic_fetch_add_explicit(&server->requests, 1, memory_order_relaxed);
    if (wrong) atomic_fetch_add_explicit(&server->refused, 1, memory_order_relaxed);
    if ((!wrong && !server->options->log_requests) || !log_has_room()) return;
    log_members(&more);
    json_put_int(&more, "request", (int64_t)r->number);
    if (r->id[0]) json_put_text(&more, "request_id", r->id);
    if (r->route) json_put_text(&more, "route", r->route->path);
    if (r->name[0]) json_put_text(&more, "name", r->name);
    json_put_int(&more, "status", status);
    json_put_int(&more, "microseconds", (int64_t)(1e6 * (seconds_now() - r->start)));
    if (wrong) json_put_text(&more, "why", r->why.text);
    log_event(wrong ? LOG_WARNING : LOG_INFO, "request", &more);
}

/* ---- headers ---- */

static void add_headers(struct request *r, struct MHD_Response *response, unsigned status, const char *type,
                        size_t json_size)
{
    char size[24];
    mhd.add_response_header(response, "Content-Type",
                            type            ? type
                            : json_size > 0 ? "application/octet-stream"
                                            : "application/json");
    if (json_size > 0) {
        snprintf(size, sizeof size, "%zu", json_size);
        mhd.add_response_header(response, "Inference-Header-Content-Length", size);
    }
    if (r->id[0]) mhd.add_response_header(response, "X-Request-Id", r->id);
    if (status == 503) mhd.add_response_header(response, "Retry-After", "1");
    if (status == 405 && r->allow) mhd.add_response_header(response, "Allow", r->allow);
    if (status == 401) mhd.add_response_header(response, "WWW-Authenticate", "Bearer");
    if (r->close || atomic_load_explicit(&r->loop->server->closing, memory_order_relaxed))
        mhd.add_response_header(response, "Connection", "close");
}

static enum MHD_Result queue(struct request *r, struct MHD_Response *response, unsigned status, const char *type,
                             size_t size, size_t json_size)
{
    enum MHD_Result queued;
    if (!response) return MHD_NO;
    add_headers(r, response, status, type, json_size);
    log_request(r, status);
    r->stage = STAGE_ANSWERED;
    r->connection->phase = PHASE_ANSWER;
    r->connection->since = seconds_now();
    r->connection->size = size;
    queued = mhd.queue_response(r->mhd, status, response);
    mhd.destroy_response(response);
    return queued;
}

/* ---- bodies ---- */

enum MHD_Result reply_text(struct request *r, unsigned status, const char *type, size_t json_size)
{
    struct buffer text = r->text;
    struct MHD_Response *response;
    if (text.failed) return MHD_NO;
    r->text = (struct buffer){ 0 };
    response = mhd.create_response_from_buffer_with_free_callback_cls(text.size, text.data, free, text.data);
    if (!response) free(text.data);
    return queue(r, response, status, type, text.size, json_size);
}

enum MHD_Result reply_refusal(struct request *r)
{
    struct json j = { 0 };
    buffer_free(&r->text);
    json_put_object(&j, NULL);
    json_put_text(&j, "error", r->why.text);
    json_put_object_end(&j);
    r->text = j.text;
    return reply_text(r, r->why.status, NULL, 0);
}

static void give_back(void *memory)
{
    struct pool *pool;
    /* The pool is written at the start of the memory, which the answer's head does not reach. */
    memcpy(&pool, memory, sizeof pool);
    pool_give(pool, memory);
}

enum MHD_Result reply_pool(struct request *r, char *memory, char *start, size_t size, size_t json_size)
{
    struct pool *pool = &r->loop->pool;
    struct MHD_Response *response =
        mhd.create_response_from_buffer_with_free_callback_cls(size, start, give_back, memory);
    if (!response) {
        pool_give(pool, memory);
        return MHD_NO;
    }
    memcpy(memory, &pool, sizeof pool);
    return queue(r, response, 200, NULL, size, json_size);
}
