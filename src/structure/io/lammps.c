/* SPDX-License-Identifier: Apache-2.0 */
/* LAMMPS data files: a header of counts and the box, then sections.  Positions as given (image flags are read over),
 * types to elements by mass. */
#include "base/memory.h"
#include "structure/element.h"
#include "structure/io/format.h"
#include "structure/number.h"

#include <string.h>

/* Columns of a row before x: where type stands, and how many there are in all without image flags. */
struct style {
    const char *name;
    int type, position, columns;
};
static const struct style styles[] = {
    { "atomic", 1, 2, 5 }, { "charge", 1, 3, 6 }, { "molecular", 2, 3, 6 },
    { "bond", 2, 3, 6 },   { "angle", 2, 3, 6 },  { "full", 2, 4, 7 },
};
enum { ATOMIC, CHARGE, MOLECULAR, BOND, ANGLE, FULL, STYLES, MOST_COLUMNS = 10 };

struct reading {
    const struct source *source;
    struct file_content *out;
    int64_t atoms, types; /* -1: not stated */
    int64_t atoms_line;
    bool has_box[3], has_vector[3], tilted;
    double low[3], high[3], tilt[3];  /* xy xz yz */
    double vectors[3][3];             /* avec, bvec, cvec */
    struct lines masses_at, atoms_at; /* behind the section's keyword */
    bool has_masses, has_atoms;
    struct piece style_name; /* of the comment behind Atoms */
    uint8_t *elements;       /* [types + 1] */
};

static struct piece without_comment(struct piece line, struct piece *comment)
{
    const char *hash = line.length ? memchr(line.text, '#', line.length) : NULL;
    comment->text = "";
    comment->length = 0;
    if (hash) {
        comment->text = hash + 1;
        comment->length = (size_t)(line.text + line.length - hash) - 1;
        *comment = piece_trim(*comment);
        line.length = (size_t)(hash - line.text);
    }
    return piece_trim(line);
}

/* Words of a line, at most `most`; the number of all of them. */
static int words_of(struct piece line, struct piece *words, int most)
{
    struct piece word;
    int count = 0;
    for (; piece_next_word(&line, &word); ++count)
        if (count < most) words[count] = word;
    return count;
}

static bool ends_with(const struct piece *words, int from, int count, const char *const *keys, int key_count)
{
    if (count - from != key_count) return false;
    for (int i = 0; i < key_count; ++i)
        if (!piece_is(words[from + i], keys[i])) return false;
    return true;
}

static const char *const limits[3][2] = { { "xlo", "xhi" }, { "ylo", "yhi" }, { "zlo", "zhi" } };
static const char *const atoms_key[] = { "atoms" }, *const types_key[] = { "atom", "types" },
                         *const tilt_key[] = { "xy", "xz", "yz" };

static bool looks_like_lammps(const struct source *s)
{
    struct lines l = lines_of(s->text, s->size);
    struct piece line, comment, words[8];
    bool atoms = false, box = false;
    int64_t number;
    lines_next(&l, &line); /* a title */
    while (l.number < 200 && !(atoms && box) && lines_next(&l, &line)) {
        int count = words_of(without_comment(line, &comment), words, 8);
        if (ends_with(words, 1, count, atoms_key, 1))
            atoms = number_read_integer(words[0].text, words[0].length, &number);
        if (ends_with(words, 2, count, limits[0], 2) || (count == 4 && piece_is(words[3], "avec"))) box = true;
    }
    return atoms && box;
}

static vic_status bad_line(const struct reading *r, int64_t number, const char *expected, struct piece found,
                           vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT, "%s line %lld: expected %s, found %s; mend the line", r->source->name,
                    (long long)number, expected, quoted(found).text);
}

static bool read_numbers(const struct piece *words, int count, double *out)
{
    for (int i = 0; i < count; ++i)
        if (!number_read(words[i].text, words[i].length, 0, &out[i])) return false;
    return true;
}

static vic_status read_header_line(struct reading *r, int64_t number, struct piece line, vic_error *err)
{
    static const char *const names[3] = { "avec", "bvec", "cvec" };
    struct piece words[8];
    int count = words_of(line, words, 8);
    int64_t *counted = ends_with(words, 1, count, atoms_key, 1)   ? &r->atoms
                       : ends_with(words, 1, count, types_key, 2) ? &r->types
                                                                  : NULL;
    if (counted) {
        if (!number_read_integer(words[0].text, words[0].length, counted) || *counted < 0)
            return bad_line(r, number, "a count", line, err);
        if (counted == &r->atoms) r->atoms_line = number;
        return VIC_OK;
    }
    for (int i = 0; i < 3; ++i) {
        double v[2];
        if (ends_with(words, 2, count, limits[i], 2)) {
            if (!read_numbers(words, 2, v) || !(v[0] < v[1]))
                return bad_line(r, number, "two numbers, the lower one first", line, err);
            r->low[i] = v[0];
            r->high[i] = v[1];
            r->has_box[i] = true;
            r->out->cell.line = number;
        } else if (count == 4 && piece_is(words[3], names[i])) {
            if (!read_numbers(words, 3, r->vectors[i])) return bad_line(r, number, "three numbers", line, err);
            r->has_vector[i] = true;
            r->out->cell.line = number;
        }
    }
    if (ends_with(words, 3, count, tilt_key, 3)) {
        if (!read_numbers(words, 3, r->tilt)) return bad_line(r, number, "xy xz yz as three numbers", line, err);
        r->tilted = true;
    }
    return VIC_OK;
}

/* Sections begin with a keyword on a line of its own; rows begin with a number.  The line is not empty. */
static bool is_section(struct piece line)
{
    static const char *const sections[] = {
        "Atoms",     "Masses",     "Velocities", "Bonds",     "Angles", "Dihedrals",
        "Impropers", "Ellipsoids", "Lines",      "Triangles", "Bodies",
    };
    for (size_t i = 0; i < sizeof sections / sizeof *sections; ++i)
        if (piece_is(line, sections[i])) return true;
    if (*line.text < 'A' || *line.text > 'Z') return false;
    return memchr(line.text, ' ', line.length) != NULL; /* "Pair Coeffs", "Atom Type Labels" */
}

static vic_status find_sections(struct reading *r, vic_error *err)
{
    struct lines l = lines_of(r->source->text, r->source->size);
    struct piece line = { "", 0 }, comment;
    bool header = true;
    lines_next(&l, &line);
    format_set_title(r->out->title, line);
    while (lines_next(&l, &line)) {
        line = without_comment(line, &comment);
        if (!line.length || (!header && *line.text <= '9')) continue;
        if (!is_section(line)) {
            if (header) TRY(read_header_line(r, l.number, line, err));
            continue;
        }
        header = false;
        if (piece_is(line, "Masses")) {
            r->masses_at = l;
            r->has_masses = true;
        } else if (piece_is(line, "Atoms")) {
            if (r->has_atoms) return bad_line(r, l.number, "no second section Atoms", line, err);
            r->atoms_at = l;
            r->has_atoms = true;
            r->style_name = comment;
        }
    }
    return VIC_OK;
}

static vic_status set_cell(struct reading *r, vic_error *err)
{
    struct file_cell *cell = &r->out->cell;
    static const int place[3][2] = { { 1, 0 }, { 2, 0 }, { 2, 1 } }; /* xy xz yz */
    bool vectors = r->has_vector[0] && r->has_vector[1] && r->has_vector[2];
    cell->kind = FILE_CELL_VECTORS;
    memcpy(cell->vectors, r->vectors, sizeof cell->vectors);
    for (int i = 0; !vectors && i < 3; ++i) {
        if (!r->has_box[i])
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s: expected a line \"low high %s %s\" in the header, found none; add it",
                            r->source->name, limits[i][0], limits[i][1]);
        memset(cell->vectors[i], 0, sizeof cell->vectors[i]);
        cell->vectors[i][i] = r->high[i] - r->low[i];
    }
    for (int i = 0; !vectors && r->tilted && i < 3; ++i) cell->vectors[place[i][0]][place[i][1]] = r->tilt[i];
    return VIC_OK;
}

static vic_status read_masses(struct reading *r, vic_error *err)
{
    struct lines l = r->masses_at;
    struct piece line, comment, words[2];
    if (r->types < 0 || r->types > (int64_t)r->source->size)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected the number of atom types in the header, as many as Masses has rows, found "
                        "%lld; "
                        "mend it",
                        r->source->name, (long long)r->types);
    TRY(mem_array_zero((size_t)r->types + 1, sizeof *r->elements, "atom types", &r->elements, err));
    for (int64_t left = r->types; left;) {
        int64_t type;
        double mass;
        if (!lines_next(&l, &line))
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected %lld more rows in Masses, found the end of the file; fetch it "
                            "again if it was cut",
                            r->source->name, (long long)l.number, (long long)left);
        line = without_comment(line, &comment);
        if (!line.length) continue;
        if (words_of(line, words, 2) != 2 || !number_read_integer(words[0].text, words[0].length, &type) ||
            type < 1 || type > r->types || !number_read(words[1].text, words[1].length, 0, &mass))
            return bad_line(r, l.number, "an atom type (a number; labels are not read) and its mass", line, err);
        r->elements[type] = element_from_mass(mass);
        --left;
    }
    return VIC_OK;
}

/* The next row of Atoms; false at the end or at the next section. */
static bool next_row(struct lines *l, struct piece *row)
{
    struct piece comment;
    while (lines_next(l, row)) {
        *row = without_comment(*row, &comment);
        if (row->length) return !is_section(*row);
    }
    return false;
}

static bool is_type(const struct reading *r, struct piece word)
{
    int64_t type;
    return number_read_integer(word.text, word.length, &type) && type >= 1 && (r->types < 0 || type <= r->types);
}

/* From the number of columns, and for six (charge or molecular) from which column can be a type in every row. */
static vic_status guess_style(const struct reading *r, const struct style **out, vic_error *err)
{
    struct lines l = r->atoms_at;
    struct piece row, words[MOST_COLUMNS];
    int columns = 0;
    bool second = true, third = true;
    for (int64_t i = 0; i < r->atoms && next_row(&l, &row); ++i) {
        int count = words_of(row, words, MOST_COLUMNS);
        if (i == 0) columns = count;
        if (count != columns || count < 3) break; /* reading will say what is wrong */
        second = second && is_type(r, words[1]);
        third = third && is_type(r, words[2]);
    }
    *out = NULL;
    if (columns == 5 || columns == 8) *out = &styles[ATOMIC];
    if ((columns == 6 || columns == 9) && second != third) *out = &styles[second ? CHARGE : MOLECULAR];
    if ((columns == 7 || columns == 10) && third) *out = &styles[FULL];
    if (*out) return VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected the style of the atoms behind the keyword (Atoms # charge, for example), "
                    "as %d columns do not tell, found none; add atomic, charge, molecular, bond, angle or full",
                    r->source->name, (long long)r->atoms_at.number, columns);
}

static vic_status find_style(const struct reading *r, const struct style **out, vic_error *err)
{
    if (!r->style_name.length) return guess_style(r, out, err);
    for (int i = 0; i < STYLES; ++i)
        if (piece_is(r->style_name, styles[i].name)) return *out = &styles[i], VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected Atoms # atomic, charge, molecular, bond, angle or full, found the style "
                    "%s; write the data with one of these styles",
                    r->source->name, (long long)r->atoms_at.number, quoted(r->style_name).text);
}

static vic_status read_row(const struct reading *r, const struct style *style, int64_t number, struct piece row,
                           struct atom *a, vic_error *err)
{
    struct piece words[MOST_COLUMNS];
    int count = words_of(row, words, MOST_COLUMNS);
    int64_t type, flag;
    bool fine = count == style->columns || count == style->columns + 3;
    for (int i = style->columns; fine && i < count; ++i)
        fine = number_read_integer(words[i].text, words[i].length, &flag);
    if (!fine)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected %d columns of style %s, or %d with image flags, found %s; mend the "
                        "row, or name the style that it has (Atoms # charge, for example)",
                        r->source->name, (long long)number, style->columns, style->name, style->columns + 3,
                        quoted(row).text);
    memset(a, 0, sizeof *a);
    if (!is_type(r, words[style->type])) return bad_line(r, number, "an atom type of the header", row, err);
    if (!read_numbers(words + style->position, 3, a->position))
        return bad_line(r, number, "x, y, z as numbers", row, err);
    number_read_integer(words[style->type].text, words[style->type].length, &type);
    if (r->elements) a->number = r->elements[type];
    return VIC_OK;
}

static vic_status read_atoms(struct reading *r, vic_error *err)
{
    const struct style *style = NULL;
    struct lines l = r->atoms_at, before;
    struct piece row;
    TRY(find_style(r, &style, err));
    for (int64_t i = 0; i < r->atoms; ++i) {
        struct atom a;
        if (!next_row(&l, &row))
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected %lld rows in Atoms, as line %lld says, found %lld; mend the "
                            "count, or fetch the file again if it was cut",
                            r->source->name, (long long)l.number, (long long)r->atoms, (long long)r->atoms_line,
                            (long long)i);
        TRY(read_row(r, style, l.number, row, &a, err));
        TRY(atoms_append(&r->out->atoms, &a, err));
    }
    before = l;
    if (next_row(&before, &row))
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected %lld rows in Atoms, as line %lld says, found one more; mend the "
                        "count",
                        r->source->name, (long long)before.number, (long long)r->atoms, (long long)r->atoms_line);
    return VIC_OK;
}

static vic_status read_lammps(const struct source *s, int model, struct file_content *out, vic_error *err)
{
    struct reading r = { 0 };
    vic_status st = VIC_OK;
    r.source = s;
    r.out = out;
    r.atoms = r.types = -1;
    out->format = "lammps";
    out->models = 1;
    if (!format_frame(model, 1)) return format_no_frame(s, model, 1, err);
    TRY_GOTO(find_sections(&r, err), done);
    TRY_GOTO(set_cell(&r, err), done);
    if (r.has_masses) TRY_GOTO(read_masses(&r, err), done);
    if (r.has_atoms && r.atoms > 0) TRY_GOTO(read_atoms(&r, err), done);
    if (!out->atoms.count) st = format_no_atoms(s, "a section Atoms with rows", err);
done:
    free(r.elements);
    return st;
}

const struct format format_lammps = { "lammps", looks_like_lammps, read_lammps };
