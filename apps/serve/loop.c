/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "loop.h"

#include "handler.h"
#include "infer.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 64, SWEEP_MS = 1000, CLOSING_SWEEP_MS = 100, INCOMPLETE_MS = 1500, RUNS = 16 };

/* ---- what other threads do ---- */

void loop_wake(struct loop *loop)
{
    const uint64_t one = 1;
    (void)!write(loop->wake, &one, sizeof one);
}

/* Many requests that end together wake the loop once. */
void request_done(struct request *r)
{
    struct loop *loop = r->loop;
    struct request *first = atomic_load(&loop->done);
    do r->next = first;
    while (!atomic_compare_exchange_weak(&loop->done, &first, r));
    if (!first) loop_wake(loop);
}

/* ---- connections come and go ---- */

struct arrival {
    struct arrival *next;
    int descriptor;
    const struct gate *gate;
    struct sockaddr_storage address;
    socklen_t size;
};

void loop_leave(struct loop *loop)
{
    struct server *server = loop->server;
    atomic_fetch_sub(&loop->connections, 1);
    /* The first loop may be waiting for room. */
    if (atomic_fetch_sub(&server->connections, 1) >= server->options->connections) loop_wake(server->loops[0]);
}

static void hand_over(struct loop *loop, struct arrival *arrival)
{
    struct arrival *first = atomic_load(&loop->arrivals);
    do arrival->next = first;
    while (!atomic_compare_exchange_weak(&loop->arrivals, &first, arrival));
    if (!first) loop_wake(loop);
}

static struct loop *least_busy(const struct server *server)
{
    struct loop *best = server->loops[0];
    for (int i = 1; i < server->loop_count; i++)
        if (atomic_load(&server->loops[i]->connections) < atomic_load(&best->connections)) best = server->loops[i];
    return best;
}

static void watch(struct loop *loop, bool wanted)
{
    struct server *server = loop->server;
    struct epoll_event event = { .events = EPOLLIN };
    for (int i = 0; i < server->gate_count; i++) {
        event.data.ptr = &server->gates[i];
        if (server->gates[i].socket >= 0)
            epoll_ctl(loop->epoll, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, server->gates[i].socket, &event);
    }
    server->gates_watched = wanted;
}

static void stop_watching(struct loop *loop)
{
    if (loop->server->gates_watched) watch(loop, false);
}

/* Those that wait in front of a gate, while there is room.  Whatever goes wrong is tried again a second later. */
static void take_connections(struct loop *loop, const struct gate *gate)
{
    struct server *server = loop->server;
    while (server->gates_watched && gate->socket >= 0) {
        struct arrival *arrival = NULL;
        struct loop *to;
        if (atomic_load(&server->connections) < server->options->connections) arrival = calloc(1, sizeof *arrival);
        if (!arrival) {
            stop_watching(loop);
            return;
        }
        arrival->gate = gate;
        arrival->size = sizeof arrival->address;
        arrival->descriptor =
            accept4(gate->socket, (struct sockaddr *)&arrival->address, &arrival->size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (arrival->descriptor < 0) {
            free(arrival);
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) stop_watching(loop);
            return;
        }
        to = least_busy(server);
        atomic_fetch_add(&server->connections, 1);
        atomic_fetch_add(&to->connections, 1);
        hand_over(to, arrival);
    }
}

/* libmicrohttpd closes what it does not take; handler_connection() may or may not have heard of it, and clears `gate`. */
static void add_arrivals(struct loop *loop)
{
    struct arrival *list = atomic_exchange(&loop->arrivals, NULL);
    while (list) {
        struct arrival *next = list->next;
        loop->gate = list->gate;
        if (mhd.add_connection(loop->daemon, list->descriptor, (struct sockaddr *)&list->address, list->size) !=
                MHD_YES &&
            loop->gate)
            loop_leave(loop);
        free(list);
        list = next;
    }
}

/* The first loop's: gates are watched while there is room, and closed when the server drains. */
static void watch_gates(struct loop *loop)
{
    struct server *server = loop->server;
    if (server->closing) {
        if (server->closed) return;
        /* Who is in front of a gate has been let in as far as it knows, and may have asked. */
        if (!server->gates_watched) watch(loop, true);
        for (int i = 0; i < server->gate_count; i++) take_connections(loop, &server->gates[i]);
        stop_watching(loop);
        for (int i = 0; i < server->gate_count; i++) {
            if (server->gates[i].socket >= 0) close(server->gates[i].socket);
            server->gates[i].socket = -1;
        }
        server->closed = true;
    } else if (!server->gates_watched && atomic_load(&server->connections) < server->options->connections) {
        watch(loop, true);
    }
}

/* ---- the loop ---- */

static void resume_done(struct loop *loop)
{
    struct request *list = atomic_exchange(&loop->done, NULL), *first = NULL;
    while (list) { /* the first one first */
        struct request *next = list->next;
        list->next = first;
        first = list;
        list = next;
    }
    while (first) {
        struct request *next = first->next;
        first->next = NULL;
        mhd.resume_connection(first->mhd);
        first = next;
    }
}

/* The client sends no more.  While its request is worked on, it has gone: nobody waits for the answer.  Otherwise what
 * it has sent is answered still; libmicrohttpd, which does not see an end that comes with the last bytes, is shown it. */
static void client_ends(struct connection *c, uint32_t events)
{
    if ((events & (EPOLLHUP | EPOLLERR)) == 0 && c->phase != PHASE_WORK) {
        shutdown(c->descriptor, SHUT_RD);
        return;
    }
    if (c->gone) return;
    c->gone = true;
    if (c->phase == PHASE_WORK && c->request) infer_cancel(c->request);
}

static int sweep_ms(const struct loop *loop)
{
    return loop->server->closing ? CLOSING_SWEEP_MS : SWEEP_MS;
}

/* Since the gates began to close, how long a request may still be incomplete: within --drain-timeout in any case. */
static double incomplete_seconds(const struct server *server)
{
    const double half = 0.5 * server->options->drain_timeout;
    return half < 1e-3 * INCOMPLETE_MS ? half : 1e-3 * INCOMPLETE_MS;
}

/* Connections that take too long over what they do; libmicrohttpd sees them end, and cleans up. */
static void sweep(struct loop *loop)
{
    const struct server *server = loop->server;
    const double now = seconds_now(), idle = server->options->idle_timeout;
    const bool last = server->closing && now - server->closing_since > incomplete_seconds(server);
    if (now - loop->swept < 1e-3 * sweep_ms(loop)) return;
    loop->swept = now;
    for (struct connection *c = loop->first; c; c = c->next) {
        const double took = now - c->since;
        double most = idle;
        if (c->phase == PHASE_WORK) continue;
        if (c->phase == PHASE_BODY || c->phase == PHASE_ANSWER)
            most = (idle < GRACE_SECONDS ? idle : GRACE_SECONDS) + (double)c->size / SLOWEST_BYTES;
        if (took > most || (last && c->phase <= PHASE_BODY)) shutdown(c->descriptor, SHUT_RDWR);
    }
}

static int wait_ms(const struct loop *loop)
{
    MHD_UNSIGNED_LONG_LONG ms;
    return mhd.get_timeout(loop->daemon, &ms) == MHD_YES && ms < (unsigned)sweep_ms(loop) ? (int)ms : sweep_ms(loop);
}

/* What an event is about: the loop's own eventfd, its libmicrohttpd, a gate, or a connection. */
static void take_event(struct loop *loop, const struct epoll_event *event)
{
    struct server *server = loop->server;
    void *what = event->data.ptr;
    uint64_t ignored;
    if (what == loop) {
        (void)!read(loop->wake, &ignored, sizeof ignored);
        return;
    }
    if (what == loop->daemon) return; /* it runs anyway */
    for (int i = 0; i < server->gate_count; i++) {
        if (what != &server->gates[i]) continue;
        take_connections(loop, &server->gates[i]);
        return;
    }
    client_ends(what, event->events);
}

/* A large body comes in many pieces, and waiting between them for other things would cost as much as some of them. */
static void run_http(struct loop *loop)
{
    MHD_UNSIGNED_LONG_LONG ms;
    for (int i = 0; i < RUNS; i++) {
        mhd.run(loop->daemon);
        if (atomic_load_explicit(&loop->done, memory_order_relaxed) ||
            atomic_load_explicit(&loop->arrivals, memory_order_relaxed) ||
            mhd.get_timeout(loop->daemon, &ms) != MHD_YES || ms > 0)
            return;
    }
}

static void *run(void *user)
{
    struct loop *loop = user;
    struct epoll_event events[EVENTS];
    pthread_setname_np(pthread_self(), "vicinal-http");
    if (loop == loop->server->loops[0]) watch_gates(loop);
    while (!loop->server->stop) {
        const int count = epoll_wait(loop->epoll, events, EVENTS, wait_ms(loop));
        if (count < 0 && errno != EINTR) break;
        for (int i = 0; i < count; i++) take_event(loop, &events[i]);
        add_arrivals(loop);
        resume_done(loop);
        run_http(loop);
        sweep(loop);
        if (loop == loop->server->loops[0]) watch_gates(loop);
    }
    return NULL;
}

/* ---- its parts ---- */

static bool add_event(struct loop *loop, int descriptor, void *what)
{
    struct epoll_event event = { .events = EPOLLIN };
    event.data.ptr = what;
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

/* What libmicrohttpd has to say is about clients that misbehave. */
static void ignore_log(void *user, const char *format, va_list args)
{
    (void)user;
    (void)format;
    (void)args;
}

/* By the models that there are at the start; with memory of GPUs shared, large tensors come by that. */
static size_t connection_memory(struct server *server)
{
    const size_t body = server->options->cuda_shm ? 0 : models_largest(&server->models);
    if (body <= SMALL_BODY) return SMALL_CONNECTION_MEMORY;
    return body <= LARGE_CONNECTION_MEMORY ? CONNECTION_MEMORY : LARGE_CONNECTION_MEMORY;
}

static vic_status start_daemon(struct loop *loop, vic_error *err)
{
    const union MHD_DaemonInfo *info;
    loop->daemon =
        mhd.start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
                         NULL, NULL, handler_request, loop, MHD_OPTION_EXTERNAL_LOGGER, ignore_log, NULL,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)loop->server->options->connections,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, connection_memory(loop->server),
                         MHD_OPTION_NOTIFY_CONNECTION, handler_connection, loop, MHD_OPTION_NOTIFY_COMPLETED,
                         handler_completed, loop, MHD_OPTION_URI_LOG_CALLBACK, handler_target, loop,
                         MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!loop->daemon) return fail(err, VIC_FAILED, "libmicrohttpd does not start: %s", strerror(errno));
    info = mhd.get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info && add_event(loop, info->epoll_fd, loop->daemon)) return VIC_OK;
    return fail(err, VIC_FAILED, "libmicrohttpd does not wait by epoll");
}

vic_status loop_open(struct server *server, struct loop **out, vic_error *err)
{
    struct loop *loop = NULL;
    *out = NULL;
    TRY(allocate(1, sizeof *loop, "a thread's state", &loop, err));
    loop->server = server;
    loop->pool.room = &server->room;
    for (int i = 0; i < server->options->device_count; i++)
        loop->pool.pins = loop->pool.pins || server->options->devices[i].type == VIC_CUDA;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *out = loop;
    if (loop->epoll < 0 || loop->wake < 0 || !add_event(loop, loop->wake, loop))
        return fail(err, VIC_FAILED, "cannot watch connections: %s", strerror(errno));
    return start_daemon(loop, err);
}

vic_status loop_start(struct loop *loop, vic_error *err)
{
    if (pthread_create(&loop->thread, NULL, run, loop) == 0) return VIC_OK;
    return fail(err, VIC_NO_MEMORY, "no thread for connections could be started");
}

void loop_join(struct loop *loop)
{
    loop_wake(loop);
    pthread_join(loop->thread, NULL);
}

void loop_free(struct loop *loop)
{
    if (!loop) return;
    add_arrivals(loop);
    resume_done(loop); /* libmicrohttpd wants none suspended when it stops */
    if (loop->daemon) {
        mhd.run(loop->daemon);
        mhd.stop_daemon(loop->daemon);
    }
    while (loop->spare) {
        struct request *next = loop->spare->next;
        free(loop->spare);
        loop->spare = next;
    }
    pool_close(&loop->pool);
    if (loop->wake >= 0) close(loop->wake);
    if (loop->epoll >= 0) close(loop->epoll);
    free(loop);
}
