/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, written into a buffer and printed at the end, so that a command that fails half-way leaves stdout empty; and
 * a strict reader of the little that the header of a safetensors file needs. */
#ifndef VICINAL_CLI_JSON_H
#define VICINAL_CLI_JSON_H

#include "buffer.h"

struct json {
    struct buffer text;
    bool comma;
};

/* `key` is NULL inside an array and for the outermost object. */
void json_put_object(struct json *j, const char *key);
void json_put_object_end(struct json *j);
void json_put_array(struct json *j, const char *key);
void json_put_array_end(struct json *j);
void json_put_int(struct json *j, const char *key, int64_t value);
void json_put_real(struct json *j, const char *key,
                   double value); /* shortest text that reads back; inf and nan: null */
void json_put_bool(struct json *j, const char *key, bool value);
void json_put_text(struct json *j, const char *key, const char *value); /* bytes that are not UTF-8 become U+FFFD */
void json_put_raw(struct json *j, const char *key, const char *value);  /* which is JSON */
void json_put_null(struct json *j, const char *key);

/* Print the object and a newline on stdout; fails when stdout cannot be written (a full disk, a closed pipe). */
vic_status json_print(struct json *j, vic_error *err);
void json_free(struct json *j);

/* Reading: a cursor over text that need not end in NUL.  Each call skips blanks first; false = not there, and the
 * cursor says where. */
struct json_cursor {
    const char *at, *end;
};
bool json_take(struct json_cursor *c, char token);                      /* one of {}[],: */
bool json_take_text(struct json_cursor *c, char *out, size_t out_size); /* cut to fit; NUL-terminated */
bool json_take_uint(struct json_cursor *c, uint64_t *out);              /* digits alone, below 2^63 */
/* The next key of an object and its colon; false at the object's end, whose brace is still to be taken, and where the
 * text is none.  *begun is false at first. */
bool json_take_key(struct json_cursor *c, bool *begun, char *out, size_t out_size);
bool json_skip(struct json_cursor *c); /* any value, nested at most 32 deep */

#endif
