/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "load/load_worker.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64, FIRST_ROOM = 65536, GLANCE_MS = 50, RETRY_NS = 100000000 };
static const double ns = 1e9;

struct connection {
    int on;    /* -1: lost */
    int index; /* of all */
    bool busy, waits_to_send, has_head;
    uint64_t due, sent; /* ns */
    size_t out, in;     /* bytes sent and received so far */
    char *answer;
    size_t room;
    struct http_head head;
};

uint64_t load_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool measured(const struct load_worker *w, uint64_t time)
{
    return time >= w->begin && time < w->end;
}

/* ---- connections ---- */

static void watch(struct load_worker *w, struct connection *c, int action, bool to_send)
{
    struct epoll_event event = { .events = EPOLLIN | (to_send ? (uint32_t)EPOLLOUT : 0), .data.ptr = c };
    (void)epoll_ctl(w->epoll, action, c->on, &event);
    c->waits_to_send = to_send;
}

static bool connection_open(struct load_worker *w, struct connection *c)
{
    c->on = http_connect(w->o->server);
    if (c->on < 0) return false;
    watch(w, c, EPOLL_CTL_ADD, false);
    return true;
}

static void send_next(struct load_worker *w, struct connection *c, uint64_t now);

/* The connection is free for the next request. */
static void set_free(struct load_worker *w, struct connection *c, uint64_t now)
{
    c->busy = false;
    if (w->o->rate > 0.0)
        w->idle[w->idles++] = (int)(c - w->connections);
    else if (now < w->end)
        send_next(w, c, now);
}

/* Closes it, and opens it anew where there is time left for requests. */
static void connection_renew(struct load_worker *w, struct connection *c, uint64_t now)
{
    close(c->on);
    c->on = -1;
    c->busy = false;
    if (now >= w->end) return;
    if (connection_open(w, c)) {
        set_free(w, c, now);
        return;
    }
    w->r.refused++;
    w->lost++;
    w->retry = now + RETRY_NS;
}

static void open_lost(struct load_worker *w, uint64_t now)
{
    w->retry = now + RETRY_NS;
    for (int i = 0; i < w->count; i++) {
        struct connection *c = &w->connections[i];
        if (c->on >= 0) continue;
        if (!connection_open(w, c)) {
            w->r.refused++;
            return;
        }
        w->lost--;
        set_free(w, c, now);
    }
}

/* ---- a request ---- */

static void fail_request(struct load_worker *w, struct connection *c, int64_t *counter, uint64_t now)
{
    if (c->busy && measured(w, c->due)) ++*counter;
    connection_renew(w, c, now);
}

static void send_rest(struct load_worker *w, struct connection *c)
{
    const struct http_parts *q = &w->o->requests[c->index];
    while (c->out < q->head_size + q->body_size) {
        struct iovec parts[2];
        struct msghdr message = { .msg_iov = parts };
        size_t skip = c->out > q->head_size ? c->out - q->head_size : 0;
        ssize_t count;
        if (c->out < q->head_size)
            parts[message.msg_iovlen++] =
                (struct iovec){ (void *)(uintptr_t)(q->head + c->out), q->head_size - c->out };
        if (skip < q->body_size)
            parts[message.msg_iovlen++] = (struct iovec){ (void *)(uintptr_t)(q->body + skip), q->body_size - skip };
        count = sendmsg(c->on, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (!c->waits_to_send) watch(w, c, EPOLL_CTL_MOD, true);
            return;
        }
        /* A server may refuse what it has not read to the end, and the refusal be there to read: recv() tells. */
        if (count <= 0) {
            if (c->waits_to_send) watch(w, c, EPOLL_CTL_MOD, false);
            return;
        }
        c->out += (size_t)count;
    }
    if (c->waits_to_send) watch(w, c, EPOLL_CTL_MOD, false);
}

static void send_request(struct load_worker *w, struct connection *c, uint64_t due, uint64_t now)
{
    c->busy = true;
    c->has_head = false;
    c->out = c->in = 0;
    c->due = due;
    c->sent = now;
    if (measured(w, due)) w->r.due++;
    send_rest(w, c);
}

static void send_next(struct load_worker *w, struct connection *c, uint64_t now)
{
    send_request(w, c, now, now);
}

static void count_answer(struct load_worker *w, struct connection *c, uint64_t now)
{
    const int status = c->head.status;
    if (status == 200 && measured(w, now)) {
        uint64_t second = (now - w->begin) / 1000000000u;
        w->r.done++;
        if ((int64_t)second < w->r.whole_seconds) w->r.each_second[second]++;
    }
    if (!measured(w, c->due)) return;
    w->r.codes[status < LOAD_CODES ? status : LOAD_CODES - 1]++;
    if (status == 200) {
        histogram_add(&w->r.latency, now - c->due);
        histogram_add(&w->r.service, now - c->sent);
        if (w->o->right && w->r.codes[200] % w->o->check_every == 1 % w->o->check_every) {
            w->r.checked++;
            w->r.different += !w->o->right(w->o->user, c->index, c->answer + c->head.head_size, &c->head);
        }
    } else if (status == 503) {
        histogram_add(&w->r.refusals, now - c->sent);
    }
}

/* The answer is whole. */
static void answered(struct load_worker *w, struct connection *c)
{
    const struct http_parts *q = &w->o->requests[c->index];
    const uint64_t now = load_now();
    count_answer(w, c, now);
    if (c->head.close || c->out < q->head_size + q->body_size)
        connection_renew(w, c, now);
    else
        set_free(w, c, now);
}

static bool make_room(struct connection *c, size_t bytes)
{
    char *more;
    if (bytes <= c->room) return true;
    more = realloc(c->answer, bytes);
    if (!more) return false;
    c->answer = more;
    c->room = bytes;
    return true;
}

static void receive(struct load_worker *w, struct connection *c)
{
    for (;;) {
        ssize_t count = recv(c->on, c->answer + c->in, c->room - c->in, MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (count <= 0) {
            fail_request(w, c, &w->r.lost, load_now());
            return;
        }
        c->in += (size_t)count;
        if (!c->busy) { /* an answer to nothing */
            c->busy = true;
            fail_request(w, c, &w->r.wrong, load_now());
            return;
        }
        if (!c->has_head) {
            enum http_found found = http_head_read(c->answer, c->in, &c->head);
            if (found == HTTP_WRONG) {
                fail_request(w, c, &w->r.wrong, load_now());
                return;
            }
            c->has_head = found == HTTP_HEAD;
        }
        if (c->has_head && c->in >= c->head.head_size + c->head.body_size) {
            if (c->in > c->head.head_size + c->head.body_size)
                fail_request(w, c, &w->r.wrong, load_now());
            else
                answered(w, c);
            return;
        }
        if (c->has_head && !make_room(c, c->head.head_size + c->head.body_size)) {
            fail_request(w, c, &w->r.wrong, load_now());
            return;
        }
    }
}

/* ---- a thread ---- */

/* splitmix64. */
static double exponential(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return -log1p(-(double)(z >> 11) * 0x1p-53);
}

static void set_next_due(struct load_worker *w)
{
    w->next_due += (uint64_t)(w->o->random_gaps ? w->gap * exponential(&w->random) : w->gap);
}

/* What was due in the warm-up and never sent is forgotten when that ends: what is measured begins with nobody waiting
 * for a connection. */
static void send_due(struct load_worker *w, uint64_t now)
{
    while (now >= w->begin && w->next_due < w->begin) set_next_due(w);
    while (w->next_due <= now && w->next_due < w->end && w->idles > 0) {
        uint64_t due = w->next_due;
        set_next_due(w);
        send_request(w, &w->connections[w->idle[--w->idles]], due, now);
    }
}

/* Those whose answers take too long, looked for now and then. */
static void drop_late(struct load_worker *w, uint64_t now)
{
    const uint64_t patience = (uint64_t)(w->o->timeout * ns);
    if (now - w->looked < (uint64_t)GLANCE_MS * 1000000u) return;
    w->looked = now;
    for (int i = 0; i < w->count; i++) {
        struct connection *c = &w->connections[i];
        if (c->on >= 0 && c->busy && now > c->sent && now - c->sent > patience) fail_request(w, c, &w->r.late, now);
    }
}

static bool any_busy(const struct load_worker *w)
{
    for (int i = 0; i < w->count; i++)
        if (w->connections[i].on >= 0 && w->connections[i].busy) return true;
    return false;
}

static void arm(struct load_worker *w)
{
    const uint64_t at = w->next_due < w->end ? w->next_due : w->end;
    struct itimerspec t = { .it_value = { (time_t)(at / 1000000000u), (long)(at % 1000000000u) } };
    (void)timerfd_settime(w->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

/* Due before the end, and never sent. */
static void count_unsent(struct load_worker *w)
{
    for (; w->next_due < w->end; set_next_due(w)) {
        if (!measured(w, w->next_due)) continue;
        w->r.due++;
        w->r.unsent++;
    }
}

void *load_worker_run(void *argument)
{
    struct load_worker *w = argument;
    struct epoll_event events[EVENTS];
    uint64_t now = load_now();
    for (int i = 0; i < w->count; i++) set_free(w, &w->connections[i], now);
    while (now < w->give_up && (now < w->end || any_busy(w))) {
        int count;
        if (w->o->rate > 0.0 && now < w->end) {
            send_due(w, now);
            if (w->idles > 0) arm(w);
        }
        count = epoll_wait(w->epoll, events, EVENTS, GLANCE_MS);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            uint64_t expired;
            if (!c) {
                (void)!read(w->timer, &expired, sizeof expired);
                continue;
            }
            if (events[i].events & EPOLLOUT) send_rest(w, c);
            if (events[i].events & ~(uint32_t)EPOLLOUT) receive(w, c);
        }
        now = load_now();
        drop_late(w, now);
        if (w->lost > 0 && now >= w->retry && now < w->end) open_lost(w, now);
    }
    for (int i = 0; i < w->count; i++)
        if (w->connections[i].busy && measured(w, w->connections[i].due)) w->r.late++;
    if (w->o->rate > 0.0) count_unsent(w);
    return NULL;
}

vic_status load_worker_open(struct load_worker *w, int first, int count, vic_error *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (w->epoll < 0 || w->timer < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->timer, &event) != 0)
        return fail(err, VIC_FAILED, "cannot wait for connections: %s", strerror(errno));
    w->r.whole_seconds = (int64_t)w->o->seconds;
    TRY(allocate(w->r.whole_seconds, sizeof *w->r.each_second, "the load", &w->r.each_second, err));
    TRY(allocate(count, sizeof *w->connections, "the connections", &w->connections, err));
    TRY(allocate(count, sizeof *w->idle, "the connections", &w->idle, err));
    for (; w->count < count; w->count++) {
        struct connection *c = &w->connections[w->count];
        *c = (struct connection){ .on = -1, .index = first + w->count, .room = FIRST_ROOM };
        TRY(allocate(FIRST_ROOM, 1, "an answer", &c->answer, err));
        if (!connection_open(w, c)) {
            free(c->answer);
            return fail(err, VIC_FAILED, "%s: connection %d of %d: %s", w->o->server->label, c->index + 1,
                        w->o->connections, strerror(errno));
        }
    }
    return VIC_OK;
}

void load_worker_close(struct load_worker *w)
{
    for (int i = 0; i < w->count; i++) {
        if (w->connections[i].on >= 0) close(w->connections[i].on);
        free(w->connections[i].answer);
    }
    free(w->connections);
    free(w->idle);
    free(w->r.each_second);
    if (w->epoll >= 0) close(w->epoll);
    if (w->timer >= 0) close(w->timer);
}
