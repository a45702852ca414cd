/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 as far as a load generator needs it: connections that stay open, and answers with a Content-Length, which
 * is all that servers of the Open Inference Protocol send. */
#ifndef VICINAL_CLI_HTTP_H
#define VICINAL_CLI_HTTP_H

#include "buffer.h"

#include <sys/socket.h>

struct http_server {
    struct sockaddr_storage address;
    socklen_t address_size;
    char host[300];    /* for the header of that name */
    char label[320];   /* for reports and errors */
    const char *token; /* sent as a bearer token; NULL = none.  Borrowed */
};

/* `url`: http://HOST:PORT or HOST:PORT.  `unix_path`: the socket there instead, and `url` is not looked at. */
vic_status http_server_find(const char *url, const char *unix_path, struct http_server *out, vic_error *err);

/* A connected socket on which sends do not wait for more to come (TCP_NODELAY), blocking; -1 and errno on failure. */
int http_connect(const struct http_server *s);

/* The head of an answer. */
struct http_head {
    int status;
    size_t head_size, body_size;
    size_t json_size; /* Inference-Header-Content-Length; body_size where there is none */
    bool close;       /* the server closes the connection behind it */
};

enum http_found { HTTP_MORE, HTTP_HEAD, HTTP_WRONG };

/* Reads the head that `size` bytes begin with.  HTTP_MORE: it has not ended yet; HTTP_WRONG: this is no answer with a
 * length, or its head is larger than 16 KiB. */
enum http_found http_head_read(const char *data, size_t size, struct http_head *out);

/* The lines up to and with the empty one.  `json_size` < 0: without Inference-Header-Content-Length. */
void http_request_head(struct buffer *to, const struct http_server *s, const char *verb, const char *path,
                       int64_t json_size, size_t body_size);

/* `text` with what must not stand in a path's segment written as %XX. */
void http_segment(struct buffer *to, const char *text);

/* One request and its whole answer, on a connection of its own.  FAILED: no answer, or none that HTTP allows; `what`
 * names the request in the error.  The body has a NUL behind it; of an inference, *json_size (may be NULL) is how much
 * of it is JSON.  Free the buffer, also after a failure. */
struct http_parts {
    const char *head, *body;
    size_t head_size, body_size;
};
vic_status http_exchange(const struct http_server *s, const char *what, const struct http_parts *request, int *status,
                         size_t *json_size, struct buffer *answer, vic_error *err);

/* The same of a request whose body is text, or that has none (NULL). */
vic_status http_ask(const struct http_server *s, const char *verb, const char *path, const char *body, int *status,
                    struct buffer *answer, vic_error *err);

#endif
