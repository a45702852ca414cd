/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that speak HTTP: each has its connections, its memory and its own instance of libmicrohttpd, so that none
 * waits for another. */
#ifndef VICINAL_SERVE_LOOP_H
#define VICINAL_SERVE_LOOP_H

#include "request.h"

vic_status loop_open(struct server *server, struct loop **out, vic_error *err);
/* One connection is no more. */
void loop_leave(struct loop *loop);
vic_status loop_start(struct loop *loop, vic_error *err);
void loop_wake(struct loop *loop);
/* Ends when server->stop is set and it was woken. */
void loop_join(struct loop *loop);
void loop_free(struct loop *loop); /* NULL is fine */

#endif
