/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets. */
#ifndef VICINAL_SERVE_SOCKETS_H
#define VICINAL_SERVE_SOCKETS_H

#include "cli.h"

/* *port: 0 takes a free one, and says which. */
vic_status listen_tcp(const char *host, int *port, int *out, vic_error *err);
/* In place of a socket that nobody listens on any longer; only the server's user may connect. */
vic_status listen_unix(const char *path, int *out, vic_error *err);
bool host_is_loopback(const char *host);

/* Room for `wanted` descriptors, as far as the system allows. */
void raise_descriptors(uint64_t wanted);

/* What systemd is told ("READY=1"), where it wants to know. */
void notify_systemd(const char *state);

#endif
