/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem */
#include "load/http.h"

#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST_HEAD = 16384, PIECE = 65536, PATIENCE = 60 };
static const size_t most_body = (size_t)1 << 34;

/* ---- who is asked ---- */

static vic_status find_unix(const char *path, struct http_server *out, vic_error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return fail(err, VIC_BAD_ARGUMENT, "--unix: expected a path of at most %zu characters, got '%s'",
                    sizeof address.sun_path - 1, path);
    memcpy(address.sun_path, path, strlen(path));
    memcpy(&out->address, &address, sizeof address);
    out->address_size = sizeof address;
    snprintf(out->host, sizeof out->host, "localhost");
    snprintf(out->label, sizeof out->label, "unix:%s", path);
    return VIC_OK;
}

/* HOST:PORT or [ADDRESS]:PORT, of at most 255 and 5 characters. */
static bool split(const char *text, char host[256], char port[8])
{
    const char *end = *text == '[' ? strchr(text, ']') : NULL, *colon = end ? end + 1 : strrchr(text, ':');
    const char *first = end ? text + 1 : text;
    int64_t number;
    if (!colon || *colon != ':') return false;
    if (!end) end = colon;
    if (end == first || end - first > 255 || !number_int64(colon + 1, &number) || number < 1 || number > 65535)
        return false;
    snprintf(host, 256, "%.*s", (int)(end - first), first);
    snprintf(port, 8, "%d", (int)number);
    return true;
}

vic_status http_server_find(const char *url, const char *unix_path, struct http_server *out, vic_error *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    char text[300], host[256], port[8];
    size_t length;
    int code;
    memset(out, 0, sizeof *out);
    if (unix_path) return find_unix(unix_path, out, err);
    if (strncmp(url, "https://", 8) == 0)
        return fail(err, VIC_BAD_ARGUMENT, "URL: https is not spoken here: expected http://HOST:PORT, got '%s'", url);
    snprintf(text, sizeof text, "%s", strncmp(url, "http://", 7) == 0 ? url + 7 : url);
    length = strlen(text);
    if (length > 0 && text[length - 1] == '/') text[length - 1] = '\0';
    if (!split(text, host, port))
        return fail(err, VIC_BAD_ARGUMENT, "URL: expected http://HOST:PORT, as in http://127.0.0.1:8000, got '%s'",
                    url);
    code = getaddrinfo(host, port, &hints, &found);
    if (code != 0)
        return fail(err, VIC_BAD_ARGUMENT, "URL: %s: %s", host,
                    code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
    memcpy(&out->address, found->ai_addr, found->ai_addrlen);
    out->address_size = found->ai_addrlen;
    freeaddrinfo(found);
    snprintf(out->host, sizeof out->host, "%s", text);
    snprintf(out->label, sizeof out->label, "http://%s", text);
    return VIC_OK;
}

int http_connect(const struct http_server *s)
{
    const struct timeval patience = { .tv_sec = PATIENCE };
    int one = 1, on = socket(s->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), kept;
    if (on < 0) return -1;
    (void)setsockopt(on, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* of connect() too */
    (void)setsockopt(on, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (s->address.ss_family != AF_UNIX) (void)setsockopt(on, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(on, (const struct sockaddr *)&s->address, s->address_size) == 0) return on;
    kept = errno;
    close(on);
    errno = kept;
    return -1;
}

/* ---- answers ---- */

/* Digits alone, as the whole value. */
static bool take_size(const char *value, size_t length, size_t *out)
{
    if (length == 0 || length > 18) return false;
    *out = 0;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)value[i])) return false;
        *out = *out * 10 + (size_t)(value[i] - '0');
    }
    return true;
}

static bool is(const char *name, size_t length, const char *expected)
{
    return strlen(expected) == length && strncasecmp(name, expected, length) == 0;
}

/* One line of the head, without its end. */
static bool take_line(const char *line, size_t length, struct http_head *out, bool *sized, bool *json)
{
    const char *colon = memchr(line, ':', length), *value;
    size_t name;
    if (!colon) return false;
    name = (size_t)(colon - line);
    value = colon + 1;
    length -= name + 1;
    while (length > 0 && (*value == ' ' || *value == '\t')) value++, length--;
    while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t')) length--;
    if (is(line, name, "Content-Length")) {
        if (*sized || !take_size(value, length, &out->body_size)) return false;
        *sized = true;
    } else if (is(line, name, "Inference-Header-Content-Length")) {
        if (*json || !take_size(value, length, &out->json_size)) return false;
        *json = true;
    } else if (is(line, name, "Connection")) {
        out->close = is(value, length, "close");
    } else if (is(line, name, "Transfer-Encoding")) {
        return false;
    }
    return true;
}

enum http_found http_head_read(const char *data, size_t size, struct http_head *out)
{
    const char *end = size ? memmem(data, size < MOST_HEAD ? size : MOST_HEAD, "\r\n\r\n", 4) : NULL, *line, *next;
    bool sized = false, json = false;
    memset(out, 0, sizeof *out);
    if (!end) return size < MOST_HEAD ? HTTP_MORE : HTTP_WRONG;
    if (end - data < 12 || strncmp(data, "HTTP/1.1 ", 9) != 0) return HTTP_WRONG;
    for (int i = 9; i < 12; i++) {
        if (!isdigit((unsigned char)data[i])) return HTTP_WRONG;
        out->status = out->status * 10 + data[i] - '0';
    }
    if (out->status < 200 || (data[12] != ' ' && data[12] != '\r')) return HTTP_WRONG;
    out->head_size = (size_t)(end - data) + 4;
    for (line = memmem(data, out->head_size, "\r\n", 2); line < end; line = next) {
        line += 2;
        next = memmem(line, out->head_size - (size_t)(line - data), "\r\n", 2);
        if (!take_line(line, (size_t)(next - line), out, &sized, &json)) return HTTP_WRONG;
    }
    if (!sized && out->status != 204 && out->status != 304) return HTTP_WRONG;
    if (out->body_size > most_body) return HTTP_WRONG;
    if (!json) out->json_size = out->body_size;
    return out->json_size <= out->body_size ? HTTP_HEAD : HTTP_WRONG;
}

/* ---- requests ---- */

void http_request_head(struct buffer *to, const struct http_server *s, const char *verb, const char *path,
                       int64_t json_size, size_t body_size)
{
    buffer_printf(to, "%s %s HTTP/1.1\r\nHost: %s\r\n", verb, path, s->host);
    if (s->token) buffer_printf(to, "Authorization: Bearer %s\r\n", s->token);
    if (json_size >= 0)
        buffer_printf(to, "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: %lld\r\n",
                      (long long)json_size);
    else if (body_size > 0)
        buffer_text(to, "Content-Type: application/json\r\n");
    if (strcmp(verb, "GET") != 0) buffer_printf(to, "Content-Length: %zu\r\n", body_size);
    buffer_text(to, "\r\n");
}

void http_segment(struct buffer *to, const char *text)
{
    for (; *text; text++) {
        if (isalnum((unsigned char)*text) || strchr("-._~", *text))
            buffer_add(to, text, 1);
        else
            buffer_printf(to, "%%%02X", (unsigned char)*text);
    }
}

static bool send_all(int on, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(on, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

/* Until the answer is whole, and nothing beyond it. */
static vic_status receive(int on, struct buffer *answer, struct http_head *head, const char *label, const char *what,
                          vic_error *err)
{
    enum http_found found = HTTP_MORE;
    char piece[PIECE];
    do {
        ssize_t count = recv(on, piece, sizeof piece, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0)
            return fail(err, VIC_FAILED, "%s: %s: %s after %zu bytes of its answer", label, what,
                        count == 0 ? "the server closed the connection" : strerror(errno), answer->size);
        buffer_add(answer, piece, (size_t)count);
        TRY(buffer_check(answer, "an answer", err));
        if (found == HTTP_MORE) found = http_head_read(answer->data, answer->size, head);
        if (found == HTTP_WRONG)
            return fail(err, VIC_FAILED, "%s: %s: expected an HTTP/1.1 answer with a Content-Length, got '%.*s'",
                        label, what, (int)strcspn(answer->data, "\r\n"), answer->data);
    } while (found == HTTP_MORE || answer->size < head->head_size + head->body_size);
    memmove(answer->data, answer->data + head->head_size, head->body_size);
    answer->size = head->body_size;
    answer->data[answer->size] = '\0';
    return VIC_OK;
}

vic_status http_exchange(const struct http_server *s, const char *what, const struct http_parts *request, int *status,
                         size_t *json_size, struct buffer *answer, vic_error *err)
{
    struct http_head head = { 0 };
    vic_status st;
    int on = http_connect(s);
    if (on < 0)
        return fail(err, VIC_FAILED, "%s: cannot connect: %s; is the server running there?", s->label,
                    strerror(errno));
    answer->size = 0;
    if (!send_all(on, request->head, request->head_size) || !send_all(on, request->body, request->body_size))
        st = fail(err, VIC_FAILED, "%s: %s: cannot send: %s", s->label, what, strerror(errno));
    else
        st = receive(on, answer, &head, s->label, what, err);
    close(on);
    *status = head.status;
    if (json_size) *json_size = head.json_size;
    return st;
}

vic_status http_ask(const struct http_server *s, const char *verb, const char *path, const char *body, int *status,
                    struct buffer *answer, vic_error *err)
{
    struct buffer head = { 0 }, what = { 0 };
    const size_t size = body ? strlen(body) : 0;
    vic_status st;
    http_request_head(&head, s, verb, path, -1, size);
    buffer_printf(&what, "%s %s", verb, path);
    st = buffer_check(head.failed ? &head : &what, "a request", err);
    if (st == VIC_OK) {
        const struct http_parts request = { head.data, body, head.size, size };
        st = http_exchange(s, what.data, &request, status, NULL, answer, err);
    }
    buffer_free(&what);
    buffer_free(&head);
    return st;
}
