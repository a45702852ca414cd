/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "log.h"

#include "limits.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    int64_t second;
    int lines;
    int64_t left_out;
} requests = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void add_time(struct json *j)
{
    struct timespec now;
    struct tm parts;
    char text[64], whole[80];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(whole, sizeof whole, "%s.%03ldZ", text, now.tv_nsec / 1000000);
    json_put_text(j, "time", whole);
}

void log_members(struct json *more)
{
    *more = (struct json){ 0 };
}

void log_event(enum log_level level, const char *event, struct json *more)
{
    static const char *const levels[] = { "info", "warning", "error" };
    struct json line = { 0 };
    size_t done = 0;
    json_put_object(&line, NULL);
    add_time(&line);
    json_put_text(&line, "level", levels[level]);
    json_put_text(&line, "event", event);
    if (more && more->text.size > 0) {
        buffer_text(&line.text, ", ");
        buffer_add(&line.text, more->text.data, more->text.size);
    }
    json_put_object_end(&line);
    buffer_text(&line.text, "\n");
    while (!line.text.failed && done < line.text.size) { /* one write is one line, also among others' */
        const ssize_t wrote = write(STDERR_FILENO, line.text.data + done, line.text.size - done);
        if (wrote < 0 && errno != EINTR) break;
        if (wrote > 0) done += (size_t)wrote;
    }
    json_free(&line);
    if (more) json_free(more);
}

void log_message(enum log_level level, const char *event, const char *format, ...)
{
    struct json more;
    char text[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_members(&more);
    json_put_text(&more, "message", text);
    log_event(level, event, &more);
}

bool log_has_room(void)
{
    const int64_t now = (int64_t)seconds_now();
    int64_t left_out = 0;
    bool room;
    pthread_mutex_lock(&requests.lock);
    if (requests.second != now) {
        left_out = requests.left_out;
        requests.second = now;
        requests.lines = 0;
        requests.left_out = 0;
    }
    room = requests.lines < MOST_LOG_LINES;
    if (room)
        requests.lines++;
    else
        requests.left_out++;
    pthread_mutex_unlock(&requests.lock);
    if (left_out > 0)
        log_message(LOG_WARNING, "log", "%lld more lines about requests were left out", (long long)left_out);
    return room;
}
