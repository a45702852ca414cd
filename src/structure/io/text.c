/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/io/text.h"

#include <string.h>

struct lines lines_of(const char *text, size_t size)
{
    struct lines l = { text, text + size, 0, false };
    return l;
}

bool lines_next(struct lines *l, struct piece *line)
{
    const char *newline;
    if (l->at == l->end) return false;
    newline = memchr(l->at, '\n', (size_t)(l->end - l->at));
    l->open = !newline;
    line->text = l->at;
    line->length = (size_t)((newline ? newline : l->end) - l->at);
    if (line->length && line->text[line->length - 1] == '\r') --line->length;
    l->at = newline ? newline + 1 : l->end;
    ++l->number;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

bool lines_only_blank_left(const struct lines *l)
{
    struct piece rest = { l->at, (size_t)(l->end - l->at) };
    return piece_is_blank(rest);
}

bool piece_is_blank(struct piece p)
{
    for (size_t i = 0; i < p.length; ++i)
        if (!is_blank(p.text[i])) return false;
    return true;
}

struct piece piece_trim(struct piece p)
{
    while (p.length && is_blank(*p.text)) ++p.text, --p.length;
    while (p.length && is_blank(p.text[p.length - 1])) --p.length;
    return p;
}

bool piece_next_word(struct piece *rest, struct piece *word)
{
    while (rest->length && is_blank(*rest->text)) ++rest->text, --rest->length;
    word->text = rest->text;
    word->length = 0;
    while (rest->length && !is_blank(*rest->text)) ++rest->text, --rest->length, ++word->length;
    return word->length > 0;
}

bool piece_is(struct piece p, const char *text)
{
    return strlen(text) == p.length && memcmp(p.text, text, p.length) == 0;
}

struct quoted quoted(struct piece p)
{
    struct quoted q;
    size_t most = sizeof q.text - 6, length, at = 0;
    bool cut;
    p = piece_trim(p);
    if (p.length == 0) {
        memcpy(q.text, "nothing", 8);
        return q;
    }
    cut = p.length > most;
    length = cut ? most : p.length;
    q.text[at++] = '"';
    for (size_t i = 0; i < length; ++i) q.text[at++] = p.text[i] >= ' ' && p.text[i] <= '~' ? p.text[i] : '?';
    if (cut) memcpy(q.text + at, "...", 3), at += 3;
    q.text[at++] = '"';
    q.text[at] = 0;
    return q;
}
