/* SPDX-License-Identifier: Apache-2.0 */
/* The log: a JSON object a line on stderr, written at once.  Any thread. */
#ifndef VICINAL_SERVE_LOG_H
#define VICINAL_SERVE_LOG_H

#include "json.h"

enum log_level { LOG_INFO, LOG_WARNING, LOG_ERROR };

/* {"time": ..., "level": ..., "event": ... and what `more` (may be NULL) has of members, which it frees. */
void log_event(enum log_level level, const char *event, struct json *more);
/* With one member "message". */
void log_message(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* One about a request, of which MOST_LOG_LINES a second are written and the others counted. */
bool log_has_room(void);

/* Begins the members of `more`. */
void log_members(struct json *more);

#endif
