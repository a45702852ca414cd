/* SPDX-License-Identifier: Apache-2.0 */
/* What libmicrohttpd calls: connections that open and close, and requests piece by piece. */
#ifndef VICINAL_SERVE_HANDLER_H
#define VICINAL_SERVE_HANDLER_H

#include "request.h"

void handler_connection(void *loop, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code);
void *handler_target(void *loop, const char *target, struct MHD_Connection *connection);
enum MHD_Result handler_request(void *loop, struct MHD_Connection *connection, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_size, void **request);
void handler_completed(void *loop, struct MHD_Connection *connection, void **request,
                       enum MHD_RequestTerminationCode code);

/* Compares all of `expected` whatever `given` is, so that time tells nothing of it. */
bool same_secret(const char *given, const char *expected);

#endif
