/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "handler.h"

#include "body.h"
#include "hygiene.h"
#include "infer.h"
#include "loop.h"
#include "reply.h"
#include "routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

/* ---- connections ---- */

static void set_phase(struct connection *c, enum phase phase, size_t size)
{
    c->phase = phase;
    c->since = seconds_now();
    c->size = size;
}

static struct connection *open_connection(struct loop *loop, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = mhd.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *c = calloc(1, sizeof *c);
    struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET };
    if (!c || !info) {
        free(c);
        return NULL;
    }
    c->loop = loop;
    c->gate = loop->gate;
    c->descriptor = info->connect_fd;
    set_phase(c, PHASE_IDLE, 0);
    c->next = loop->first;
    c->at = &loop->first;
    if (c->next) c->next->at = &c->next;
    loop->first = c;
    /* libmicrohttpd does not look at a connection while its request is worked on: this tells when a client goes. */
    event.data.ptr = c;
    epoll_ctl(loop->epoll, EPOLL_CTL_ADD, c->descriptor, &event);
    return c;
}

static void close_connection(struct connection *c)
{
    epoll_ctl(c->loop->epoll, EPOLL_CTL_DEL, c->descriptor, NULL);
    *c->at = c->next;
    if (c->next) c->next->at = c->at;
    infer_head_close(&c->head);
    free(c);
}

void handler_connection(void *user, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code)
{
    struct loop *loop = user;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = open_connection(loop, connection);
        loop->gate = NULL;
        return;
    }
    if (*socket_context) close_connection(*socket_context);
    *socket_context = NULL;
    loop_leave(loop);
}

/* ---- a request begins ---- */

static struct request *take_request(struct loop *loop)
{
    struct request *r = loop->spare;
    if (r)
        loop->spare = r->next;
    else
        r = calloc(1, sizeof *r);
    return r;
}

/* In the path, as libmicrohttpd, which decodes it, no longer shows: it would part what a proxy takes for one name. */
static bool has_encoded_slash(const char *target)
{
    const size_t path = strcspn(target, "?");
    for (size_t i = 0; i + 2 < path; i++)
        if (strncasecmp(target + i, "%2f", 3) == 0) return true;
    return false;
}

/* Its first line is there; `target` as it was sent.  NULL: no memory, and the connection is closed. */
void *handler_target(void *user, const char *target, struct MHD_Connection *connection)
{
    static _Atomic uint64_t numbers;
    struct loop *loop = user;
    const union MHD_ConnectionInfo *info = mhd.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct request *r = info && info->socket_context ? take_request(loop) : NULL;
    if (!r) return NULL;
    r->loop = loop;
    r->connection = info->socket_context;
    r->connection->request = r;
    r->mhd = connection;
    r->number = atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed) + 1;
    r->start = seconds_now();
    /* A path with a NUL would end there for us, and not for a proxy. */
    r->target_bad = target && (strstr(target, "%00") || strlen(target) > MOST_TARGET);
    r->target_slash = target && has_encoded_slash(target);
    r->connection->phase = PHASE_HEAD; /* counted from the last answer on */
    return r;
}

bool same_secret(const char *given, const char *expected)
{
    const size_t size = strlen(given);
    size_t i = 0;
    unsigned differ = 0;
    for (; expected[i]; i++) differ |= (unsigned char)expected[i] ^ (unsigned char)(i < size ? given[i] : 0);
    return differ == 0 && size == i;
}

static bool check_token(struct request *r)
{
    const char *token = r->loop->server->token, *given = r->authorization;
    if (!token || (r->route->flags & ROUTE_OPEN)) return true;
    if (given && strncasecmp(given, "Bearer ", 7) == 0 && same_secret(given + 7, token)) return true;
    return refuse(&r->why, 401, "expected the server's token: Authorization: Bearer TOKEN");
}

/* "localhost", or an address as numbers, with or without a port: no name that somebody else could give an address. */
static bool is_own_address(const char *host)
{
    const size_t name = strcspn(host, ":");
    if (*host == '[') return strspn(host, "[]:.%0123456789abcdefABCDEF") == strlen(host);
    return (name == 9 && strncasecmp(host, "localhost", 9) == 0) || (name > 0 && strspn(host, "0123456789.") == name);
}

/* A page from elsewhere in a browser of this machine must not use the server.  What it sends has its Origin; where it
 * has made its own name lead here, the Host is that name. */
static bool check_origin(struct request *r)
{
    const char *authority = r->origin ? strstr(r->origin, "://") : NULL;
    if (!r->browser) return true;
    if (!r->loop->server->token && (!r->host || !is_own_address(r->host)))
        return refuse(&r->why, 403,
                      "a browser may ask by http://127.0.0.1, another address or localhost; by a name only with "
                      "--token-file");
    if (!r->origin || (authority && r->host && strcasecmp(authority + 3, r->host) == 0)) return true;
    return refuse(&r->why, 403, "requests of web pages from elsewhere are not answered");
}

static bool check_gate(struct request *r)
{
    const struct serve_options *options = r->loop->server->options;
    if (!(r->route->flags & ROUTE_ADMIN)) return true;
    if (options->no_admin) return refuse(&r->why, 403, "loading and unloading is off (--no-admin)");
    if (options->admin_port < 0 || r->connection->gate->admin) return true;
    return refuse(&r->why, 403, "loading and unloading is on the admin port alone (--admin-port)");
}

static bool check_head(struct request *r, const char *method, const char *url, const char *version)
{
    if (r->target_bad) {
        r->close = true;
        return refuse(&r->why, 414, "the path: expected at most %d bytes, and no NUL", MOST_TARGET);
    }
    if (!hygiene_check(r, method, url, version)) return false;
    if (r->loop->server->faulted) return refuse(&r->why, 503, "a GPU has failed: the server ends");
    if (r->target_slash) return refuse(&r->why, 404, "Not Found: no name has a slash (%%2F) in it");
    r->route = route_find(method, url, r);
    return r->route && check_origin(r) && check_token(r) && check_gate(r) &&
           (r->route->body != BODY_TENSORS || infer_has_room(r)) && body_begin(r);
}

/* Refused by its head.  An answer now would close the connection, so a body is read first, and thrown away: a short one,
 * or any of those who shall come again.  Who asks first whether to send a longer one does not send it. */
static enum MHD_Result refuse_early(struct request *r)
{
    const bool comes = r->why.status == 503 && !r->asks_first;
    const size_t most = comes ? (size_t)r->loop->server->options->max_body : MOST_SMALL_BODY;
    if (!r->close && !r->chunked && r->body_length <= most) {
        r->skip_body = true;
        r->connection->size = r->body_length;
        return MHD_YES;
    }
    r->close = true;
    return reply_refusal(r);
}

/* ---- work and answer ---- */

static enum MHD_Result answer(struct request *r, unsigned status)
{
    if (status >= 400) {
        r->why.status = status;
        return reply_refusal(r);
    }
    return reply_text(r, status, r->route->type, 0);
}

static enum MHD_Result work(struct request *r)
{
    unsigned status;
    if (!body_end(r)) return reply_refusal(r);
    set_phase(r->connection, PHASE_WORK, 0);
    r->stage = STAGE_WORK;
    r->counted = true;
    atomic_fetch_add(&r->loop->server->under_way, 1);
    status = r->route->work(r);
    if (status != 0) return answer(r, status);
    mhd.suspend_connection(r->mhd); /* it is resumed by this thread, after this */
    return MHD_YES;
}

static enum MHD_Result go_on(struct request *r)
{
    if (r->connection->gone) return MHD_NO;
    if (r->loop->server->faulted) {
        refuse(&r->why, 503, "a GPU has failed: the server ends");
        return reply_refusal(r);
    }
    return r->route->finish ? answer(r, r->route->finish(r)) : infer_answer(r);
}

/* libmicrohttpd takes no answer before a body's end, so what chunks bring beyond the limit is thrown away, up to as much
 * again.  false: close the connection. */
static bool take_piece(struct request *r, const char *bytes, size_t size)
{
    if (!r->skip_body) {
        r->skip_body = !body_take(r, bytes, size);
        return !r->skip_body || r->why.status != 0;
    }
    if (!r->chunked) return true;
    return !__builtin_add_overflow(r->body_size, size, &r->body_size) && r->body_size / 2 <= r->body_most;
}

enum MHD_Result handler_request(void *loop, struct MHD_Connection *connection, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_size, void **request)
{
    struct request *r = *request;
    (void)loop;
    (void)connection;
    if (!r) return MHD_NO;
    switch (r->stage) {
    case STAGE_HEAD:
        r->stage = STAGE_BODY;
        set_phase(r->connection, PHASE_BODY, 0);
        if (!check_head(r, method, url, version)) return refuse_early(r);
        r->connection->size = r->chunked ? 0 : r->body_length;
        return MHD_YES;
    case STAGE_BODY:
        if (*upload_size == 0) return r->skip_body ? reply_refusal(r) : work(r);
        if (!take_piece(r, upload, *upload_size)) return MHD_NO;
        if (r->chunked) r->connection->size = r->body_size; /* how much is to come is not known */
        *upload_size = 0;
        return MHD_YES;
    case STAGE_WORK: return go_on(r);
    default: return MHD_NO;
    }
}

void handler_completed(void *user, struct MHD_Connection *connection, void **request,
                       enum MHD_RequestTerminationCode code)
{
    struct request *r = *request;
    struct loop *loop;
    (void)user;
    (void)connection;
    (void)code;
    if (!r) return;
    loop = r->loop;
    if (r->counted) atomic_fetch_sub(&loop->server->under_way, 1);
    infer_end(r);
    pool_give(&loop->pool, r->body);
    buffer_free(&r->text);
    r->connection->request = NULL;
    set_phase(r->connection, PHASE_IDLE, 0);
    memset(r, 0, offsetof(struct request, query));
    memset(&r->job, 0, sizeof *r - offsetof(struct request, job));
    r->next = loop->spare;
    loop->spare = r;
    *request = NULL;
}
