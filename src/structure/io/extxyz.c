/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/io/extxyz.h"

#include "structure/number.h"

#include <stdio.h>
#include <string.h>

struct context {
    const char *file;
    int64_t line;
    vic_error *err;
};

static vic_status bad(const struct context *c, const char *expected, struct piece found)
{
    return vic_fail(c->err, VIC_BAD_INPUT, "%s line %lld: expected %s, found %s; fix the comment line", c->file,
                    (long long)c->line, expected, quoted(found).text);
}

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool same_word(struct piece p, const char *word)
{
    size_t i = 0;
    for (; i < p.length && word[i]; ++i)
        if ((p.text[i] >= 'A' && p.text[i] <= 'Z' ? p.text[i] | 0x20 : p.text[i]) != word[i]) return false;
    return i == p.length && !word[i];
}

static bool read_flag(struct piece p, bool *value)
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

/* Within brackets a string in double quotes may hold any of them; a quote that is not closed is a character. */
static size_t end_of_string(struct piece p, size_t begin)
{
    for (size_t at = begin + 1; at < p.length; ++at) {
        if (p.text[at] == '"') return at;
        if (p.text[at] == '\\') ++at;
    }
    return begin;
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
        if (c == '"' && open != close) at = end_of_string(*rest, at);
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

/* key, key=value; blanks around the = are allowed where the value is quoted.  false at the end.  A value whose quote
 * is not closed ends at the next blank; *closed says so. */
static bool take_pair(struct piece *rest, struct piece *key, struct piece *value, bool *closed)
{
    size_t at = 0;
    struct piece after;
    while (rest->length && (*rest->text == ' ' || *rest->text == '\t')) ++rest->text, --rest->length;
    *closed = true;
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
    *closed = take_value(rest, value);
    if (!*closed) piece_next_word(rest, value);
    return true;
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

static void read_lattice(struct piece value, bool closed, struct extxyz_header *h)
{
    struct piece rest = value, item;
    double v[9];
    int count = 0;
    bool fine = closed;
    h->has_lattice = false;
    h->lattice_problem[0] = 0;
    while (fine && next_item(&rest, &item)) {
        fine = count < 9 && number_read(item.text, item.length, 0, &v[count]);
        ++count;
    }
    if (!fine || (count != 9 && count != 3)) {
        snprintf(h->lattice_problem, sizeof h->lattice_problem,
                 closed ? "expected Lattice as 9 numbers (or 3, the diagonal), found %s"
                        : "expected a closing quote or bracket behind Lattice, found %s",
                 quoted(value).text);
        return;
    }
    memset(h->lattice, 0, sizeof h->lattice);
    for (int i = 0, step = count == 3 ? 4 : 1; i < count; ++i) h->lattice[step * i / 3][step * i % 3] = v[i];
    h->has_lattice = true;
}

/* A quote too many before it makes Lattice a part of another value: a cell would be lost in silence. */
static void look_for_lost_lattice(struct piece comment, struct extxyz_header *h)
{
    for (size_t at = 0; at + 9 < comment.length; ++at) {
        struct piece key = piece_field(comment, at, at + 7), rest = piece_field(comment, at + 8, comment.length),
                     item;
        double number;
        int count = 0;
        if (!same_word(key, "lattice") || comment.text[at + 7] != '=' || !closing(*rest.text)) continue;
        ++rest.text, --rest.length;
        while (count < 2 && next_item(&rest, &item) && number_read(item.text, item.length, 0, &number)) ++count;
        if (count < 2) continue;
        snprintf(h->lattice_problem, sizeof h->lattice_problem,
                 "expected Lattice as a key of its own, found it inside of another value (a quote or bracket before "
                 "it is not closed): %s",
                 quoted(piece_field(comment, at, comment.length)).text);
        return;
    }
}

/* "name{unit}", as i-PI states units. */
static bool take_unit(struct piece word, struct piece *name, struct piece *unit)
{
    const char *open = word.length ? memchr(word.text, '{', word.length) : NULL;
    if (!open || open == word.text || word.text[word.length - 1] != '}') return false;
    *name = piece_field(word, 0, (size_t)(open - word.text));
    *unit = piece_field(word, name->length + 1, word.length - 1);
    return true;
}

/* Behind the cell: cell{angstrom} and what the rows are, positions{angstrom}. */
static vic_status read_ipi_units(const struct context *c, struct piece rest, struct extxyz_header *h)
{
    struct piece word, name, unit;
    h->unit_assumed = h->has_parameters;
    while (piece_next_word(&rest, &word)) {
        if (!take_unit(word, &name, &unit)) continue;
        if (piece_is(name, "cell")) h->unit_assumed = false;
        if (same_word(unit, "angstrom")) continue;
        if (!piece_is(name, "cell"))
            return vic_fail(c->err, VIC_BAD_INPUT,
                            "%s line %lld: expected positions in angstrom, found %s; convert the file to angstrom",
                            c->file, (long long)c->line, quoted(word).text);
        h->has_parameters = false;
        snprintf(h->lattice_problem, sizeof h->lattice_problem, "expected the cell in angstrom, found %s",
                 quoted(word).text);
    }
    return VIC_OK;
}

static const char ipi_key[] = "CELL(abcABC):";

/* From i-PI's "CELL(abcABC):" on, whatever is before it. */
static bool find_ipi(struct piece comment, struct piece *found)
{
    for (size_t at = 0; at < comment.length; ++at) {
        *found = piece_field(comment, at, comment.length);
        if (piece_begins(*found, ipi_key)) return true;
    }
    return false;
}

/* "CELL(abcABC): a b c alpha beta gamma", and then units. */
static vic_status read_ipi(const struct context *c, struct piece cell, struct extxyz_header *h)
{
    struct piece rest = piece_field(cell, sizeof ipi_key - 1, cell.length), word;
    int count = 0;
    while (count < 6 && piece_next_word(&rest, &word) &&
           number_read(word.text, word.length, 0, &h->parameters[count]))
        ++count;
    h->has_parameters = count == 6 && !format_cell_is_dummy(h->parameters);
    if (count < 6)
        snprintf(h->lattice_problem, sizeof h->lattice_problem, "expected CELL(abcABC) as 6 numbers, found %s",
                 quoted(cell).text);
    return read_ipi_units(c, rest, h);
}

/* A cell in a form that has no rule, "cell=10 10 10": it is not read, but not passed over in silence. */
static void look_for_other_cell(struct piece comment, struct extxyz_header *h)
{
    static const char *const names[] = { "cell", "box", "lattice", "unitcell", "unit_cell", "supercell" };
    for (size_t at = 0, end; at < comment.length; at = end + 1) {
        struct piece rest, item;
        double number;
        int count = 0;
        bool named = false;
        end = at;
        while (end < comment.length && (is_letter(comment.text[end]) || comment.text[end] == '_')) ++end;
        for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
            named = named || same_word(piece_field(comment, at, end), names[i]);
        rest = piece_field(comment, end, comment.length);
        if (!named) continue;
        if (rest.length && strchr("([{", *rest.text)) /* "CELL(H):" */
            while (rest.length && *rest.text != ':' && *rest.text != '=') ++rest.text, --rest.length;
        while (rest.length && *rest.text == ' ') ++rest.text, --rest.length;
        if (!rest.length || (*rest.text != '=' && *rest.text != ':')) continue;
        ++rest.text, --rest.length;
        while (rest.length && strchr(" \t\"'([{", *rest.text)) ++rest.text, --rest.length;
        while (count < 3 && next_item(&rest, &item) && number_read(item.text, item.length, 0, &number)) ++count;
        if (count == 3) h->cell_left = piece_field(comment, at, comment.length);
    }
}

static vic_status read_pbc(const struct context *c, struct piece value, struct extxyz_header *h)
{
    struct piece rest = value, item;
    int count = 0;
    while (next_item(&rest, &item)) {
        if (count == 3 || !read_flag(item, &h->pbc[count])) return bad(c, "pbc as three of T and F", value);
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

struct property {
    struct piece name;
    char type;
    int64_t columns;
};

static bool take_property(struct piece *rest, struct property *p)
{
    struct piece type, count;
    if (!take_field(rest, &p->name) || !take_field(rest, &type) || !take_field(rest, &count) || type.length != 1 ||
        !number_read_integer(count.text, count.length, &p->columns) || p->columns < 1 || p->columns > 100000)
        return false;
    p->type = *type.text;
    return true;
}

static bool is_species(const struct property *p)
{
    static const char *const words[] = { "species", "element", "elements", "symbols" }, *const numbers[] = {
        "z", "numbers", "atomic_numbers"
    };
    if (p->columns != 1 || (p->type != 'S' && p->type != 'I')) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; ++i)
        if (same_word(p->name, words[i])) return true;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i)
        if (same_word(p->name, numbers[i])) return p->type == 'I';
    return false;
}

/* Where the used columns stand.  Of the others only the number of columns counts, and only of those before. */
static vic_status find_used(const struct context *c, struct extxyz_header *h, struct piece value)
{
    struct piece rest = value;
    struct property p;
    int64_t at = 0;
    bool words = false;
    h->species = h->position = -1;
    while (rest.length) {
        bool used = true;
        if (!take_property(&rest, &p)) {
            if (h->position < 0 || h->species < 0)
                return bad(c, "Properties as name:type:columns, type S, R, I or L", value);
            h->columns = -1; /* what is used stands before it */
            return VIC_OK;
        }
        if (h->position < 0 && (same_word(p.name, "pos") || same_word(p.name, "positions"))) {
            if (p.type != 'R' || p.columns != 3) return bad(c, "pos:R:3 in Properties", value);
            h->position = at;
        } else if (h->species < 0 && is_species(&p)) {
            h->species = at;
        } else {
            used = false;
            words = words || p.type == 'S';
        }
        if (used) h->words_before = words;
        at += p.columns;
        if (at > 100000) return bad(c, "at most 100000 columns in Properties", value);
    }
    h->columns = at;
    return h->position < 0 ? bad(c, "a pos:R:3 in Properties", value) : VIC_OK;
}

vic_status extxyz_read_header(const char *file, int64_t number, struct piece comment, struct extxyz_header *h,
                              vic_error *err)
{
    static const char usual[] = "species:S:1:pos:R:3", open[] = "a closing quote or bracket after each value";
    const struct context c = { file, number, err };
    struct piece rest = comment, key, value, properties = { NULL, 0 };
    bool closed;
    memset(h, 0, sizeof *h);
    while (take_pair(&rest, &key, &value, &closed)) {
        if (same_word(key, "lattice") && value.length) {
            read_lattice(value, closed, h);
        } else if (same_word(key, "properties") && value.length) {
            if (!closed) return bad(&c, open, value);
            properties = value;
        } else if (same_word(key, "pbc") && value.length) {
            if (!closed) return bad(&c, open, value);
            TRY(read_pbc(&c, value, h));
        }
    }
    if (!h->has_lattice && !*h->lattice_problem) look_for_lost_lattice(comment, h);
    h->extended = h->has_lattice || h->lattice_problem[0] || properties.text || h->has_pbc;
    if (!h->has_lattice && !*h->lattice_problem) {
        if (find_ipi(comment, &rest))
            TRY(read_ipi(&c, rest, h));
        else
            look_for_other_cell(comment, h);
    }
    if (!h->extended) return VIC_OK;
    if (!properties.text) {
        properties.text = usual;
        properties.length = sizeof usual - 1;
    }
    return find_used(&c, h, properties);
}
