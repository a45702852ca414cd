/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

bool host_is_loopback(const char *host)
{
    struct in_addr four;
    struct in6_addr six;
    if (strcmp(host, "localhost") == 0) return true;
    if (inet_pton(AF_INET, host, &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static vic_status open_address(const struct addrinfo *a, int *out)
{
    const int yes = 1;
    *out = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*out < 0) return VIC_FAILED;
    setsockopt(*out, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(*out, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* which those that are accepted inherit */
    if (bind(*out, a->ai_addr, a->ai_addrlen) == 0 && listen(*out, BACKLOG) == 0) return VIC_OK;
    return VIC_FAILED;
}

static int port_of(int descriptor)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(descriptor, (struct sockaddr *)&address, &size) != 0) return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

vic_status listen_tcp(const char *host, int *port, int *out, vic_error *err)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *list = NULL;
    char service[16];
    vic_status st;
    int code, why;
    snprintf(service, sizeof service, "%d", *port);
    *out = -1;
    code = getaddrinfo(host, service, &hints, &list);
    if (code != 0)
        return fail(err, VIC_BAD_ARGUMENT, "--host: expected an address of this machine, got '%s': %s", host,
                    gai_strerror(code));
    st = open_address(list, out);
    why = errno;
    freeaddrinfo(list);
    if (st == VIC_OK) {
        *port = port_of(*out);
        return VIC_OK;
    }
    if (*out >= 0) close(*out);
    return fail(err, VIC_FAILED, "cannot listen on %s port %d: %s%s", host, *port, strerror(why),
                why == EADDRINUSE ? "; give another --port, or --port 0 for any that is free" : "");
}

/* A socket is left behind by a server that was killed; one that still answers is another server's. */
static bool is_abandoned(const struct sockaddr_un *address)
{
    struct stat s;
    int probe;
    bool dead;
    if (lstat(address->sun_path, &s) != 0 || !S_ISSOCK(s.st_mode)) return false;
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return false;
    dead = connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    close(probe);
    return dead;
}

vic_status listen_unix(const char *path, int *out, vic_error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    mode_t before;
    int why;
    *out = -1;
    if (strlen(path) >= sizeof address.sun_path)
        return fail(err, VIC_BAD_ARGUMENT, "--unix: expected a path of less than %zu bytes, got '%s'",
                    sizeof address.sun_path, path);
    strcpy(address.sun_path, path);
    if (is_abandoned(&address)) unlink(path);
    *out = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*out < 0) return fail(err, VIC_FAILED, "--unix: no socket: %s", strerror(errno));
    before = umask(0177);
    why = bind(*out, (struct sockaddr *)&address, sizeof address) == 0 && listen(*out, BACKLOG) == 0 ? 0 : errno;
    umask(before);
    if (why == 0) return VIC_OK;
    close(*out);
    return fail(err, VIC_FAILED, "--unix: cannot listen on '%s': %s%s", path, strerror(why),
                why == EADDRINUSE ? "; a server listens there, or it is no socket" : "");
}

void raise_descriptors(uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void notify_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = path ? strlen(path) : 0;
    int descriptor;
    if (length < 2 || length >= sizeof address.sun_path || (*path != '/' && *path != '@')) return;
    memcpy(address.sun_path, path, length);
    if (*path == '@') address.sun_path[0] = '\0'; /* an abstract name */
    descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return;
    (void)!sendto(descriptor, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(descriptor);
}
