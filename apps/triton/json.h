/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the JSON in which Triton hands over configurations, in place: values are spans of its text. */
#ifndef VICINAL_TRITON_JSON_H
#define VICINAL_TRITON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One value: its first byte and the one after its last.  { NULL, NULL } = none, which all functions take. */
struct json {
    const char *begin, *end;
};

/* The one value that the text holds; false where it is not JSON, or nested more than 64 deep.  The others take what
 * came from here. */
bool json_parse(const char *text, size_t size, struct json *out);

/* The next element of an array, or member of an object with its name (may be NULL); *value is { NULL, NULL } to begin
 * with.  false at the end, and of what is neither. */
bool json_next(struct json container, struct json *name, struct json *value);

struct json json_member(struct json object, const char *name); /* none where there is no such member */

/* false where the value is something else or does not fit, with the NUL; \u escapes become UTF-8. */
bool json_string(struct json value, char *out, size_t size);
bool json_int(struct json value, int64_t *out); /* whole numbers, also as text */
bool json_true(struct json value);

#endif
