/* SPDX-License-Identifier: Apache-2.0 */
/* The section Atoms of LAMMPS data: rows whose columns depend on the atom style, which a comment may name. */
#include "base/memory.h"
#include "structure/io/lammps.h"
#include "structure/number.h"

#include <string.h>

/* Where type (-1: not in the row) and x stand in a row, and how many columns there are in all without image flags (0: any
 * number from z on). */
struct style {
    const char *name;
    int type, position, columns;
};
static const struct style styles[] = {
    { "atomic", 1, 2, 5 },     { "charge", 1, 3, 6 },       { "molecular", 2, 3, 6 }, { "full", 2, 4, 7 },
    { "bond", 2, 3, 6 },       { "angle", 2, 3, 6 },        { "amoeba", 2, 4, 7 },    { "body", 1, 4, 7 },
    { "bpm/sphere", 2, 5, 8 }, { "dielectric", 2, 4, 15 },  { "dipole", 1, 3, 9 },    { "dpd", 1, 3, 6 },
    { "edpd", 1, 4, 7 },       { "electron", 1, 5, 8 },     { "ellipsoid", 1, 4, 7 }, { "hybrid", 1, 2, 0 },
    { "line", 2, 5, 8 },       { "mdpd", 1, 3, 6 },         { "mesont", 2, 8, 11 },   { "peri", 1, 4, 7 },
    { "rheo", 1, 4, 7 },       { "rheo/thermal", 1, 5, 8 }, { "smd", 1, 10, 13 },     { "sph", 1, 5, 8 },
    { "sphere", 1, 4, 7 },     { "spin", 1, 2, 9 },         { "tdpd", 1, 2, 0 },      { "template", -1, 5, 8 },
    { "tri", 2, 5, 8 },        { "wavepacket", 1, 8, 11 },
};
enum { ATOMIC, CHARGE, MOLECULAR, FULL, STYLES = sizeof styles / sizeof *styles, MOST_COLUMNS = 18, FLAGS = 3 };

/* The next row of Atoms; false at the end or at the next section, which begins with a letter. */
static bool next_row(struct lines *l, struct piece *row)
{
    struct piece comment;
    while (lines_next(l, row)) {
        *row = lammps_without_comment(*row, &comment);
        if (row->length) return !lammps_is_letter(*row->text);
    }
    return false;
}

/* From the number of columns, and for six (charge or molecular) from which column can be a type in every row. */
static vic_status guess_style(const struct lammps *r, const struct style **out, vic_error *err)
{
    struct lines l = r->atoms_at;
    struct piece row, words[MOST_COLUMNS];
    int columns = 0;
    int64_t type;
    bool second = true, third = true, flags = true;
    for (int64_t i = 0; i < r->atoms && next_row(&l, &row); ++i) {
        int count = lammps_words(row, words, MOST_COLUMNS);
        if (i == 0) columns = count;
        if (count != columns || count < 3 || count > MOST_COLUMNS) break; /* reading will report it */
        second = second && lammps_type(r, words[1], &type);
        third = third && lammps_type(r, words[2], &type);
        for (int k = count > FLAGS ? count - FLAGS : 0; k < count; ++k)
            flags = flags && number_read_integer(words[k].text, words[k].length, &type);
    }
    *out = NULL;
    if (columns == 5 || (columns == 8 && flags)) *out = &styles[ATOMIC];
    if ((columns == 6 || (columns == 9 && flags)) && second != third) *out = &styles[second ? CHARGE : MOLECULAR];
    if ((columns == 7 || (columns == 10 && flags)) && third) *out = &styles[FULL];
    if (*out) return VIC_OK;
    return vic_fail(
        err, VIC_BAD_INPUT,
        "%s line %lld: expected the style of the atoms behind the keyword (Atoms # charge, for example), "
        "as it cannot be inferred from %d columns, found %s; add atomic, charge, molecular, full or what it is",
        r->source->name, (long long)r->atoms_at.number, columns,
        r->comment.length ? quoted(r->comment).text : "none");
}

static bool fits(const struct style *style, int count)
{
    if (!style->columns) return count >= style->position + 3;
    return count == style->columns || count == style->columns + FLAGS;
}

/* The comment behind Atoms names the style, alone or with other words.  A comment may say anything else too, and then
 * the number of columns decides. */
static vic_status find_style(const struct lammps *r, const struct style **out, vic_error *err)
{
    struct piece rest = r->comment, word, row, words[MOST_COLUMNS];
    struct lines l = r->atoms_at;
    bool alone = true;
    for (bool first = true; piece_next_word(&rest, &word); first = false) {
        if (first) alone = piece_is_blank(rest);
        for (int i = 0; i < STYLES; ++i) {
            if (!piece_is(word, styles[i].name)) continue;
            if (!alone && (!next_row(&l, &row) || !fits(&styles[i], lammps_words(row, words, 0)))) break;
            return *out = &styles[i], VIC_OK;
        }
        if (!alone && !first) break; /* "atom_style full", but not every style in a sentence */
    }
    TRY(guess_style(r, out, err));
    if (r->comment.length && (*out)->columns > 5)
        format_note(r->out->notes,
                    "The comment behind Atoms, %s, names no style; the columns were taken as those of style %s.",
                    quoted(r->comment).text, (*out)->name);
    return VIC_OK;
}

/* The ids of the rows, to find one that stands twice: two frames or two files run together, or a row copied. */
struct ids {
    int64_t *of_row; /* 0 where the row has none */
    size_t count, capacity;
};

static vic_status take_id(struct ids *ids, struct piece row, vic_error *err)
{
    struct piece word;
    TRY(mem_grow(&ids->of_row, &ids->capacity, ids->count + 1, sizeof *ids->of_row, "ids of atoms", err));
    if (!piece_next_word(&row, &word) || !number_read_integer(word.text, word.length, &ids->of_row[ids->count]))
        ids->of_row[ids->count] = 0;
    ++ids->count;
    return VIC_OK;
}

static int64_t line_of_row(const struct lammps *r, size_t index)
{
    struct lines l = r->atoms_at;
    struct piece row;
    for (size_t i = 0; i <= index; ++i) next_row(&l, &row);
    return l.number;
}

/* Linear in the rows: each id has its place in a table, or the next free one. */
static vic_status check_ids(const struct lammps *r, const struct ids *ids, vic_error *err)
{
    const int64_t *id = ids->of_row;
    vic_status st = VIC_OK;
    size_t slots = 64, at;
    uint32_t *rows; /* + 1; 0 where the slot is free */
    while (slots < 2 * ids->count) slots *= 2;
    TRY(mem_array_zero(slots, sizeof *rows, "ids of atoms", &rows, err));
    for (size_t i = 0; i < ids->count && st == VIC_OK; ++i) {
        at = (size_t)((uint64_t)id[i] * 0x9e3779b97f4a7c15u >> 32) & (slots - 1);
        while (rows[at] && id[rows[at] - 1] != id[i]) at = (at + 1) & (slots - 1);
        if (rows[at] && id[i])
            st = vic_fail(err, VIC_BAD_INPUT,
                          "%s line %lld: expected an id of its own for each atom, found %lld, which the atom of line "
                          "%lld has; remove one of the two, or number the atoms anew",
                          r->source->name, (long long)line_of_row(r, i), (long long)id[i],
                          (long long)line_of_row(r, rows[at] - 1));
        rows[at] = (uint32_t)i + 1; /* atoms are below 2^31 */
    }
    free(rows);
    return st;
}

static vic_status read_row(const struct lammps *r, const struct style *style, int64_t number, struct piece row,
                           struct atom *a, vic_error *err)
{
    struct piece words[MOST_COLUMNS];
    int count = lammps_words(row, words, MOST_COLUMNS);
    int64_t type = 0;
    if (!fits(style, count) && !style->columns)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected %d columns or more of style %s, found %s; fix the row",
                        r->source->name, (long long)number, style->position + 3, style->name, quoted(row).text);
    if (!fits(style, count))
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected %d columns of style %s, or %d with image flags, found %s; fix the "
                        "row, or name the style that it has (Atoms # charge, for example)",
                        r->source->name, (long long)number, style->columns, style->name, style->columns + FLAGS,
                        quoted(row).text);
    memset(a, 0, sizeof *a);
    if (style->type > 0 && !lammps_type(r, words[style->type], &type))
        return lammps_bad_line(r, number,
                               r->labels ? "an atom type of the header, or a label of one"
                                         : "an atom type of the header",
                               row, err);
    if (!lammps_numbers(words + style->position, 3, a->position))
        return lammps_bad_line(r, number, "x, y, z as numbers", row, err);
    if (r->elements) a->number = r->elements[type];
    return VIC_OK;
}

static vic_status read_rows(struct lammps *r, const struct style *style, struct ids *ids, vic_error *err)
{
    struct lines l = r->atoms_at;
    struct piece row;
    for (int64_t i = 0; i < r->atoms; ++i) {
        struct atom a;
        if (!next_row(&l, &row))
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected %lld rows in Atoms, as line %lld says, found %lld; fix the "
                            "count, or fetch the file again if it was cut",
                            r->source->name, (long long)l.number, (long long)r->atoms, (long long)r->atoms_line,
                            (long long)i);
        TRY(read_row(r, style, l.number, row, &a, err));
        TRY(take_id(ids, row, err));
        TRY(atoms_append(&r->out->atoms, &a, err));
    }
    if (next_row(&l, &row))
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected %lld rows in Atoms, as line %lld says, found one more; fix the "
                        "count",
                        r->source->name, (long long)l.number, (long long)r->atoms, (long long)r->atoms_line);
    return VIC_OK;
}

vic_status lammps_read_atoms(struct lammps *r, vic_error *err)
{
    const struct style *style = NULL;
    struct ids ids = { NULL, 0, 0 };
    vic_status st;
    TRY(find_style(r, &style, err));
    st = read_rows(r, style, &ids, err);
    if (st == VIC_OK) st = check_ids(r, &ids, err);
    free(ids.of_row);
    return st;
}
