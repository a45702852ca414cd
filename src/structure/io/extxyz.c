/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/io/extxyz.h"

#include "structure/number.h"

#include <string.h>

struct context {
    const char *file;
    int64_t line;
    vic_error *err;
};

static vic_status bad(const struct context *c, const char *expected, struct piece found)
{
    return vic_fail(c->err, VIC_BAD_INPUT, "%s line %lld: expected %s, found %s; mend the comment line", c->file,
                    (long long)c->line, expected, quoted(found).text);
}

static bool same_word(struct piece p, const char *word)
{
    size_t i = 0;
    for (; i < p.length && word[i]; ++i)
        if ((p.text[i] >= 'A' && p.text[i] <= 'Z' ? p.text[i] | 0x20 : p.text[i]) != word[i]) return false;
    return i == p.length && !word[i];
}

bool extxyz_read_flag(struct piece p, bool *value)
{
    static const char *const yes[] = { "t", "true", ".true.", "1" }, *const no[] = { "f", "false", ".false.", "0" };
    for (int i = 0; i < 4; ++i) {
        if (same_word(p, yes[i])) return *value = true, true;
        if (same_word(p, no[i])) return *value = false, true;
    }
    return false;
}

static char closing(char open)
{
    switch (open) {
    case '"': return '"';
    case '\'': return '\'';
    case '{': return '}';
    case '[': return ']';
    default: return 0;
    }
}

/* A value: up to the closing quote or bracket (brackets nest, quotes may be escaped), or up to the next blank. */
static bool take_value(struct piece *rest, struct piece *value)
{
    char open = rest->length ? *rest->text : 0, close = closing(open);
    size_t at = close ? 1 : 0;
    int depth = 1;
    if (!close) {
        piece_next_word(rest, value);
        return true;
    }
    for (; at < rest->length; ++at) {
        char c = rest->text[at];
        if (c == '\\' && open != '[' && open != '{') {
            ++at;
            continue;
        }
        if (c == open && open != close) ++depth;
        if (c == close && --depth == 0) break;
    }
    if (at >= rest->length) return false;
    value->text = rest->text + 1;
    value->length = at - 1;
    rest->text += at + 1;
    rest->length -= at + 1;
    return true;
}

/* key, key=value; blanks around the = are allowed where the value is quoted.  false at the end or (with *fine false)
 * at an open quote. */
static bool take_pair(struct piece *rest, struct piece *key, struct piece *value, bool *fine)
{
    size_t at = 0;
    struct piece after;
    while (rest->length && (*rest->text == ' ' || *rest->text == '\t')) ++rest->text, --rest->length;
    *fine = true;
    if (!rest->length) return false;
    value->text = rest->text;
    value->length = 0;
    if (closing(*rest->text)) { /* a quoted key, or a stray quotation in a title */
        struct piece whole = *rest;
        if (!take_value(rest, key)) {
            *key = whole;
            rest->text += rest->length;
            rest->length = 0;
        }
    } else {
        while (at < rest->length && rest->text[at] != '=' && rest->text[at] != ' ' && rest->text[at] != '\t') ++at;
        key->text = rest->text;
        key->length = at;
        rest->text += at;
        rest->length -= at;
    }
    after = *rest;
    while (after.length && (*after.text == ' ' || *after.text == '\t')) ++after.text, --after.length;
    if (!after.length || *after.text != '=') return true;
    ++after.text, --after.length;
    while (after.length && (*after.text == ' ' || *after.text == '\t')) ++after.text, --after.length;
    *rest = after;
    *fine = take_value(rest, value);
    return *fine;
}

/* Words of a value; commas and brackets of the newer array syntax count as blanks. */
static bool next_item(struct piece *rest, struct piece *item)
{
    while (rest->length && strchr(" \t,[]{}", *rest->text)) ++rest->text, --rest->length;
    item->text = rest->text;
    item->length = 0;
    while (rest->length && !strchr(" \t,[]{}", *rest->text)) ++rest->text, --rest->length, ++item->length;
    return item->length > 0;
}

static vic_status read_lattice(const struct context *c, struct piece value, struct extxyz_header *h)
{
    struct piece rest = value, item;
    double v[9];
    int count = 0;
    while (next_item(&rest, &item)) {
        if (count == 9 || !number_read(item.text, item.length, 0, &v[count]))
            return bad(c, "Lattice as 9 numbers (or 3, the diagonal)", value);
        ++count;
    }
    if (count != 9 && count != 3) return bad(c, "Lattice as 9 numbers (or 3, the diagonal)", value);
    memset(h->lattice, 0, sizeof h->lattice);
    for (int i = 0, step = count == 3 ? 4 : 1; i < count; ++i) h->lattice[step * i / 3][step * i % 3] = v[i];
    h->has_lattice = true;
    return VIC_OK;
}

static vic_status read_pbc(const struct context *c, struct piece value, struct extxyz_header *h)
{
    struct piece rest = value, item;
    int count = 0;
    while (next_item(&rest, &item)) {
        if (count == 3 || !extxyz_read_flag(item, &h->pbc[count])) return bad(c, "pbc as three of T and F", value);
        ++count;
    }
    if (count == 1) h->pbc[1] = h->pbc[2] = h->pbc[0];
    if (count != 1 && count != 3) return bad(c, "pbc as three of T and F", value);
    h->has_pbc = true;
    return VIC_OK;
}

/* One of name:type:count. */
static bool take_field(struct piece *rest, struct piece *field)
{
    field->text = rest->text;
    field->length = 0;
    while (rest->length && *rest->text != ':') ++rest->text, --rest->length, ++field->length;
    if (rest->length) ++rest->text, --rest->length;
    return field->length > 0;
}

static vic_status read_properties(const struct context *c, struct piece value, struct extxyz_header *h)
{
    struct piece rest = value, type, count;
    h->property_count = 0;
    while (rest.length) {
        struct extxyz_property *p = &h->properties[h->property_count];
        if (h->property_count == EXTXYZ_MAX_PROPERTIES) return bad(c, "at most 128 Properties", value);
        if (!take_field(&rest, &p->name) || !take_field(&rest, &type) || !take_field(&rest, &count) ||
            type.length != 1 || !strchr("SRIL", *type.text) ||
            !number_read_integer(count.text, count.length, &p->columns) || p->columns < 1 || p->columns > 100000)
            return bad(c, "Properties as name:type:columns, type S, R, I or L", value);
        p->type = *type.text;
        h->property_count++;
    }
    return VIC_OK;
}

static vic_status find_used(const struct context *c, struct extxyz_header *h, struct piece comment)
{
    h->species = h->position = -1;
    for (int i = 0; i < h->property_count; ++i) {
        const struct extxyz_property *p = &h->properties[i];
        bool species = same_word(p->name, "species") || same_word(p->name, "element") ||
                       same_word(p->name, "elements") || same_word(p->name, "symbols");
        bool number =
            same_word(p->name, "z") || same_word(p->name, "numbers") || same_word(p->name, "atomic_numbers");
        bool position = same_word(p->name, "pos") || same_word(p->name, "positions");
        if (position && (p->type != 'R' || p->columns != 3)) return bad(c, "pos:R:3 in Properties", comment);
        if (position && h->position < 0) h->position = i;
        if (species && p->columns == 1 && (p->type == 'S' || p->type == 'I') && h->species < 0) h->species = i;
        if (number && p->columns == 1 && p->type == 'I' && h->species < 0) h->species = i;
    }
    if (h->position < 0) return bad(c, "a pos:R:3 in Properties", comment);
    return VIC_OK;
}

vic_status extxyz_read_header(const char *file, int64_t number, struct piece comment, struct extxyz_header *h,
                              vic_error *err)
{
    static const char usual[] = "species:S:1:pos:R:3";
    const struct context c = { file, number, err };
    struct piece rest = comment, key, value, properties = { NULL, 0 };
    bool fine;
    memset(h, 0, sizeof *h);
    while (take_pair(&rest, &key, &value, &fine)) {
        if (same_word(key, "lattice") && value.length) {
            TRY(read_lattice(&c, value, h));
        } else if (same_word(key, "properties") && value.length) {
            properties = value;
        } else if (same_word(key, "pbc") && value.length) {
            TRY(read_pbc(&c, value, h));
        }
    }
    h->extended = h->has_lattice || properties.text || h->has_pbc;
    if (!fine && h->extended) return bad(&c, "a closing quote or bracket after each value", key);
    if (!fine && (same_word(key, "lattice") || same_word(key, "properties") || same_word(key, "pbc")))
        return bad(&c, "a closing quote or bracket after each value", key);
    if (!h->extended) return VIC_OK;
    if (!properties.text) {
        properties.text = usual;
        properties.length = sizeof usual - 1;
    }
    TRY(read_properties(&c, properties, h));
    return find_used(&c, h, properties);
}
