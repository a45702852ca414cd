/* SPDX-License-Identifier: Apache-2.0 */
/* Lines and blank-separated words of a text, and pieces of it fit for an error message. */
#ifndef VIC_STRUCTURE_IO_TEXT_H
#define VIC_STRUCTURE_IO_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct piece { /* of a text; not terminated */
    const char *text;
    size_t length;
};

struct lines {
    const char *at, *end;
    int64_t number; /* of the line last taken; the first is 1 */
    bool open;      /* the line last taken ended with the file, not with a newline */
};

struct lines lines_of(const char *text, size_t size);
/* Without its \n or \r\n; false at the end, so never for the first line of a struct source. */
bool lines_next(struct lines *l, struct piece *line);
bool lines_only_blank_left(const struct lines *l);

bool piece_is_blank(struct piece p);
struct piece piece_trim(struct piece p);
bool piece_next_word(struct piece *rest, struct piece *word); /* separated by blanks and tabs */
bool piece_is(struct piece p, const char *text);

/* Inline, as readers of fixed columns call them a dozen times for each atom. */

/* Columns [from, to), as far as they exist. */
static inline struct piece piece_field(struct piece line, size_t from, size_t to)
{
    struct piece p;
    if (from > line.length) from = line.length;
    if (to > line.length) to = line.length;
    p.text = line.text + from;
    p.length = to - from;
    return p;
}

static inline bool piece_begins(struct piece p, const char *text)
{
    size_t length = strlen(text);
    return p.length >= length && memcmp(p.text, text, length) == 0;
}

/* Short and printable, for "found ...": quoted(p).text is valid until the end of the expression. */
struct quoted {
    char text[56];
};
struct quoted quoted(struct piece p);

#endif
