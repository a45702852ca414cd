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

enum { EVENTS = 64, SWEEP_MS = 1000, RUNS = 16 };

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

/* Connections that take too long over what they do; libmicrohttpd sees them end, and cleans up. */
static void sweep(struct loop *loop)
{
    const struct server *server = loop->server;
    const double now = seconds_now(), idle = server->options->idle_timeout;
    if (now - loop->swept < 1e-3 * SWEEP_MS) return;
    loop->swept = now;
    for (struct connection *c = loop->first; c; c = c->next) {
        const double took = now - c->since;
        double most = idle;
        if (c->phase == PHASE_WORK) continue;
        if (c->phase == PHASE_BODY || c->phase == PHASE_ANSWER)
            most = (idle < GRACE_SECONDS ? idle : GRACE_SECONDS) + (double)c->size / SLOWEST_BYTES;
        if (server->closing && c->phase <= PHASE_HEAD && most > 1.0) most = 1.0;
        if (took > most) shutdown(c->descriptor, SHUT_RDWR);
    }
}

static int wait_ms(const struct loop *loop)
{
    int least = SWEEP_MS;
    for (int i = 0; i < loop->door_count; i++) {
        MHD_UNSIGNED_LONG_LONG ms;
        if (mhd.get_timeout(loop->doors[i].daemon, &ms) == MHD_YES && ms < (MHD_UNSIGNED_LONG_LONG)least)
            least = (int)ms;
    }
    return least;
}

static void take_events(struct loop *loop, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        void *what = events[i].data.ptr;
        bool door = what == loop;
        for (int d = 0; d < loop->door_count; d++) door = door || what == &loop->doors[d];
        if (what == loop) {
            uint64_t ignored;
            (void)!read(loop->wake, &ignored, sizeof ignored);
        } else if (!door) {
            client_ends(what, events[i].events);
        }
    }
}

/* Nobody else gets in; who is there is served. */
static void close_doors(struct loop *loop)
{
    for (int i = 0; i < loop->door_count; i++) {
        const MHD_socket own = mhd.quiesce_daemon(loop->doors[i].daemon);
        if (own != MHD_INVALID_SOCKET) close(own);
    }
    loop->closed = true;
}

/* A large body comes in many pieces, and waiting between them for other things would cost as much as some of them. */
static void run_door(struct loop *loop, struct door *door)
{
    MHD_UNSIGNED_LONG_LONG ms;
    for (int i = 0; i < RUNS; i++) {
        mhd.run(door->daemon);
        if (atomic_load_explicit(&loop->done, memory_order_relaxed) ||
            mhd.get_timeout(door->daemon, &ms) != MHD_YES || ms > 0)
            return;
    }
}

static void *run(void *user)
{
    struct loop *loop = user;
    struct epoll_event events[EVENTS];
    char name[16];
    snprintf(name, sizeof name, "vicinal-http");
    pthread_setname_np(pthread_self(), name);
    while (!loop->server->stop) {
        const int count = epoll_wait(loop->epoll, events, EVENTS, wait_ms(loop));
        if (count < 0 && errno != EINTR) break;
        if (loop->server->closing && !loop->closed) close_doors(loop);
        take_events(loop, events, count);
        resume_done(loop);
        for (int i = 0; i < loop->door_count; i++) run_door(loop, &loop->doors[i]);
        sweep(loop);
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
    return VIC_OK;
}

/* What libmicrohttpd has to say is about clients that misbehave. */
static void ignore_log(void *user, const char *format, va_list args)
{
    (void)user;
    (void)format;
    (void)args;
}

/* By the models that there are at the start. */
static size_t connection_memory(struct server *server)
{
    return models_largest(&server->models) > LARGE_CONNECTION_MEMORY ? LARGE_CONNECTION_MEMORY : CONNECTION_MEMORY;
}

vic_status loop_add_door(struct loop *loop, int socket, bool admin, bool local, vic_error *err)
{
    const struct serve_options *options = loop->server->options;
    struct door *door = &loop->doors[loop->door_count];
    const union MHD_DaemonInfo *info;
    const int own = dup(socket);
    const unsigned most = (unsigned)((options->connections + options->loops - 1) / options->loops);
    *door = (struct door){ .loop = loop, .admin = admin, .local = local };
    if (own < 0) return fail(err, VIC_FAILED, "cannot listen: %s", strerror(errno));
    door->daemon =
        mhd.start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, handler_request,
                         door, MHD_OPTION_EXTERNAL_LOGGER, ignore_log, NULL, MHD_OPTION_LISTEN_SOCKET, own,
                         MHD_OPTION_CONNECTION_LIMIT, most, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                         connection_memory(loop->server), MHD_OPTION_NOTIFY_CONNECTION, handler_connection, door,
                         MHD_OPTION_NOTIFY_COMPLETED, handler_completed, door, MHD_OPTION_URI_LOG_CALLBACK,
                         handler_target, door, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!door->daemon) {
        close(own);
        return fail(err, VIC_FAILED, "libmicrohttpd does not start: %s", strerror(errno));
    }
    info = mhd.get_daemon_info(door->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info || !add_event(loop, info->epoll_fd, door)) {
        mhd.stop_daemon(door->daemon);
        return fail(err, VIC_FAILED, "libmicrohttpd does not wait by epoll");
    }
    loop->door_count++;
    return VIC_OK;
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
    resume_done(loop); /* libmicrohttpd wants none suspended when it stops */
    for (int i = 0; i < loop->door_count; i++) {
        mhd.run(loop->doors[i].daemon);
        mhd.stop_daemon(loop->doors[i].daemon);
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
