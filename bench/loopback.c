/* SPDX-License-Identifier: Apache-2.0 */
/* What the loopback itself gives: a server that counts the bytes of a request, throws them away, and sends an answer of
 * the same size every time.  It says of itself what `vicinal bench serve` asks a server for, so that the same client
 * loads it and `vicinal serve` (bench/loopback.py).  It is no HTTP server: a client must behave.
 * usage: bench_loopback POINTS HEADS HEAD_DIM [THREADS]     "PORT" on stdout, then it runs until it is ended
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_HEAD = 16384, READ = 256 * 1024, EVENTS = 64, BACKLOG = 1024 };

struct answer {
    char *bytes;
    size_t size;
};

struct connection {
    int descriptor;
    char head[MOST_HEAD];
    size_t head_size; /* that is there */
    size_t left;      /* bytes of the body that are still to come */
    bool in_body;
    const struct answer *answer; /* that is being sent */
    size_t sent;
};

static struct answer about_server, about_model, result, nothing;
static int listener;

static struct answer make_answer(const char *status, const char *json, size_t tensor)
{
    struct answer a;
    char head[256];
    const size_t json_size = strlen(json);
    const int head_size =
        tensor ? snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\nInference-Header-Content-Length: "
                          "%zu\r\nContent-Length: %zu\r\n\r\n",
                          status, json_size, json_size + tensor)
               : snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", status,
                          json_size);
    a.size = (size_t)head_size + json_size + tensor;
    a.bytes = calloc(a.size, 1);
    if (!a.bytes) exit(1);
    memcpy(a.bytes, head, (size_t)head_size);
    memcpy(a.bytes + head_size, json, json_size);
    return a;
}

static void make_answers(long points, long heads, long head_dim)
{
    char json[1024], shape[96];
    const size_t bytes = (size_t)points * (size_t)heads * (size_t)head_dim * sizeof(float);
    snprintf(shape, sizeof shape, "\"datatype\":\"FP32\",\"shape\":[%ld,%ld,%ld]", points, heads, head_dim);
    about_server = make_answer("200 OK", "{\"name\":\"loopback\",\"version\":\"1\",\"extensions\":[]}", 0);
    nothing = make_answer("404 Not Found", "{\"error\":\"Not Found\"}", 0);
    snprintf(json, sizeof json,
             "{\"name\":\"model\",\"versions\":[\"1\"],\"platform\":\"loopback\",\"inputs\":[{\"name\":\"Q\",%s},"
             "{\"name\":\"K\",%s},{\"name\":\"V\",%s}],\"outputs\":[{\"name\":\"O\",%s}]}",
             shape, shape, shape, shape);
    about_model = make_answer("200 OK", json, 0);
    snprintf(json, sizeof json,
             "{\"model_name\":\"model\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"O\",%s,\"parameters\":"
             "{\"binary_data_size\":%zu}}]}",
             shape, bytes);
    result = make_answer("200 OK", json, bytes);
}

static const struct answer *answer_to(const char *head)
{
    if (strncmp(head, "GET /v2 ", 8) == 0) return &about_server;
    if (strncmp(head, "GET /v2/models/model ", 21) == 0) return &about_model;
    if (strncmp(head, "POST /v2/models/model/infer ", 28) == 0) return &result;
    return &nothing;
}

/* What of `bytes` belongs to the head is kept; returns how many those are. */
static ssize_t take_head(struct connection *c, const char *bytes, size_t size)
{
    const size_t before = c->head_size, room = MOST_HEAD - 1 - before, taken = size < room ? size : room;
    const char *end, *length;
    memcpy(c->head + before, bytes, taken);
    c->head[before + taken] = '\0';
    end = strstr(c->head, "\r\n\r\n");
    if (!end) {
        c->head_size += taken;
        return taken < size ? -1 : (ssize_t)taken;
    }
    length = strcasestr(c->head, "\r\nContent-Length:");
    c->left = length && length < end ? strtoull(length + 17, NULL, 10) : 0;
    c->in_body = true;
    c->head_size = 0;
    return end + 4 - c->head - (ssize_t)before;
}

/* false: the connection is over. */
static bool send_more(struct connection *c)
{
    while (c->answer) {
        const ssize_t sent = send(c->descriptor, c->answer->bytes + c->sent, c->answer->size - c->sent, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN;
        c->sent += (size_t)sent;
        if (c->sent == c->answer->size) c->answer = NULL;
    }
    return true;
}

static bool take_bytes(struct connection *c, const char *bytes, size_t size)
{
    while (size > 0 || (c->in_body && c->left == 0)) {
        ssize_t used;
        if (!c->in_body) {
            used = take_head(c, bytes, size);
            if (used < 0) return false;
        } else {
            used = (ssize_t)(size < c->left ? size : c->left);
            c->left -= (size_t)used;
        }
        bytes += used;
        size -= (size_t)used;
        if (!c->in_body || c->left > 0) continue;
        c->in_body = false;
        c->answer = answer_to(c->head);
        c->sent = 0;
        if (!send_more(c)) return false;
    }
    return true;
}

static bool go_on(struct connection *c, char *room)
{
    if (!send_more(c)) return false;
    while (!c->answer) {
        const ssize_t size = recv(c->descriptor, room, READ, 0);
        if (size < 0) return errno == EAGAIN;
        if (size == 0 || !take_bytes(c, room, (size_t)size)) return false;
    }
    return true;
}

static void open_connection(int epoll)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
    struct connection *c;
    const int yes = 1, descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) return; /* another thread was sooner */
    c = calloc(1, sizeof *c);
    if (!c) exit(1);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    c->descriptor = descriptor;
    event.data.ptr = c;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) exit(1);
}

static void *run(void *unused)
{
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN }, events[EVENTS];
    char *room = malloc(READ);
    (void)unused;
    if (epoll < 0 || !room || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0) exit(1);
    for (;;) {
        const int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                open_connection(epoll);
            } else if (!go_on(c, room)) {
                close(c->descriptor);
                free(c);
            }
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    const long points = argc > 3 ? atol(argv[1]) : 0, heads = argc > 3 ? atol(argv[2]) : 0;
    const long head_dim = argc > 3 ? atol(argv[3]) : 0, threads = argc > 4 ? atol(argv[4]) : 1;
    if (points < 1 || heads < 1 || head_dim < 1 || threads < 1) {
        fprintf(stderr, "usage: bench_loopback POINTS HEADS HEAD_DIM [THREADS]\n");
        return 2;
    }
    make_answers(points, heads, head_dim);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, BACKLOG) != 0 || getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        perror("bench_loopback: cannot listen");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (long i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run, NULL) != 0) return 1;
    }
    run(NULL);
    return 0;
}
