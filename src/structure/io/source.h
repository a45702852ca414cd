/* SPDX-License-Identifier: Apache-2.0 */
/* A whole text file in memory, inflated if it was gzipped. */
#ifndef VIC_STRUCTURE_IO_SOURCE_H
#define VIC_STRUCTURE_IO_SOURCE_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Most text that is read, after inflating, where VIC_READ_LIMIT_MB says nothing else: some 25 million atoms as PDB. A
 * gzip bomb stops here. */
#define SOURCE_LIMIT_MB 2048
size_t source_limit(void);

struct source {
    char name[256]; /* the path for messages, its end where it is long */
    char *text;     /* size bytes, one at least, and a NUL; holds no other NUL; a byte order mark is cut,
                     * lines end in \n or \r\n */
    size_t size;
};

/* Read until the end, so pipes work.  Gzip is found by its first bytes, in any number of members.  CANNOT_READ when
 * the file cannot be opened or read, BAD_INPUT when it is empty, larger than `limit`, broken or binary. */
vic_status source_read(const char *path, size_t limit, struct source *out, vic_error *err);
/* The same of bytes in memory, which are copied and not inflated; `name` is for messages. */
vic_status source_from_bytes(const char *name, const void *bytes, size_t size, struct source *out, vic_error *err);
int64_t source_line(const struct source *s, size_t at); /* of the byte at `at`; counts from the beginning */
void source_free(struct source *s);

#endif
