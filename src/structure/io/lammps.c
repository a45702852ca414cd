/* SPDX-License-Identifier: Apache-2.0 */
/* LAMMPS data files: a header of counts and the box, then sections.  Positions as given (image flags are read over),
 * types to elements by mass. */
#include "base/memory.h"
#include "structure/element.h"
#include "structure/io/format.h"
#include "structure/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where type (-1: not told) and x stand in a row, and how many columns there are in all without image flags (0: any
 * number from z on). */
struct style {
    const char *name;
    int type, position, columns;
};
static const struct style styles[] = {
    { "atomic", 1, 2, 5 },      { "charge", 1, 3, 6 },     { "molecular", 2, 3, 6 },   { "full", 2, 4, 7 },
    { "bond", 2, 3, 6 },        { "angle", 2, 3, 6 },      { "amoeba", 2, 4, 7 },      { "body", 1, 4, 7 },
    { "bpm/sphere", 2, 5, 8 },  { "dielectric", 2, 4, 15 }, { "dipole", 1, 3, 9 },      { "dpd", 1, 3, 6 },
    { "edpd", 1, 4, 7 },        { "electron", 1, 5, 8 },   { "ellipsoid", 1, 4, 7 },   { "hybrid", 1, 2, 0 },
    { "line", 2, 5, 8 },        { "mdpd", 1, 3, 6 },       { "mesont", 2, 8, 11 },     { "peri", 1, 4, 7 },
    { "rheo", 1, 4, 7 },        { "rheo/thermal", 1, 5, 8 }, { "smd", 1, 10, 13 },      { "sph", 1, 5, 8 },
    { "sphere", 1, 4, 7 },      { "spin", 1, 2, 9 },       { "tdpd", 1, 2, 0 },        { "template", -1, 5, 8 },
    { "tri", 2, 5, 8 },         { "wavepacket", 1, 8, 11 },
};
enum { ATOMIC, CHARGE, MOLECULAR, FULL, STYLES = sizeof styles / sizeof *styles, MOST_COLUMNS = 18, FLAGS = 3 };

struct label {
    struct piece text;
    int64_t type;
};

struct reading {
    const struct source *source;
    struct file_content *out;
    int64_t atoms, types; /* -1: not stated */
    int64_t atoms_line;
    bool has_box[3], has_vector[3], tilted;
    double low[3], high[3], tilt[3];             /* xy xz yz */
    double vectors[3][3];                        /* avec, bvec, cvec */
    struct lines labels_at, masses_at, atoms_at; /* behind the section's keyword */
    bool has_labels, has_masses, has_atoms;
    bool other_units; /* the title says units in which a mass says no element */
    struct piece comment; /* behind Atoms */
    uint8_t *elements;    /* [types + 1] */
    double *masses;       /* [types + 1] */
    struct label *labels; /* [types], by text */
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

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static const char *const limits[3][2] = { { "xlo", "xhi" }, { "ylo", "yhi" }, { "zlo", "zhi" } };
static const char *const atoms_key[] = { "atoms" }, *const types_key[] = { "atom", "types" },
                         *const tilt_key[] = { "xy", "xz", "yz" };

/* How many of the two that belong to this format alone are in the head: "N atoms", and a box or the section Atoms. */
static int marks_of(const struct source *s, bool section_counts)
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
        if (section_counts && count == 1 && piece_is(words[0], "Atoms")) box = true;
    }
    return atoms + box;
}

static bool looks_like_lammps(const struct source *s)
{
    return marks_of(s, true) == 2;
}

static bool is_lammps(const struct source *s)
{
    return marks_of(s, false) == 2;
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

/* The box may not be needed: what is wrong with it waits until that is known.  The first problem stays. */
static void box_problem(struct reading *r, int64_t number, const char *expected, struct piece found)
{
    struct file_cell *cell = &r->out->cell;
    if (*cell->problem) return;
    cell->line = number;
    snprintf(cell->problem, sizeof cell->problem, "expected %s, found %s", expected, quoted(found).text);
}

static void read_box_line(struct reading *r, int64_t number, struct piece line, const struct piece *words, int count)
{
    static const char *const names[3] = { "avec", "bvec", "cvec" };
    for (int i = 0; i < 3; ++i) {
        double v[2];
        if (ends_with(words, 2, count, limits[i], 2)) {
            if (!read_numbers(words, 2, v) || !(v[0] < v[1])) {
                box_problem(r, number, "two numbers, the lower one first", line);
                continue;
            }
            r->low[i] = v[0];
            r->high[i] = v[1];
            r->has_box[i] = true;
        } else if (count == 4 && piece_is(words[3], names[i])) {
            if (!read_numbers(words, 3, r->vectors[i])) box_problem(r, number, "three numbers", line);
            r->has_vector[i] = true;
        } else {
            continue;
        }
        if (!*r->out->cell.problem) r->out->cell.line = number;
    }
    if (ends_with(words, 3, count, tilt_key, 3)) {
        if (!read_numbers(words, 3, r->tilt)) box_problem(r, number, "xy xz yz as three numbers", line);
        r->tilted = true;
    }
}

static vic_status read_header_line(struct reading *r, int64_t number, struct piece line, vic_error *err)
{
    struct piece words[8];
    int count = words_of(line, words, 8);
    int64_t *counted = ends_with(words, 1, count, atoms_key, 1)   ? &r->atoms
                       : ends_with(words, 1, count, types_key, 2) ? &r->types
                                                                  : NULL;
    if (!counted) return read_box_line(r, number, line, words, count), VIC_OK;
    if (!number_read_integer(words[0].text, words[0].length, counted) || *counted < 0)
        return bad_line(r, number, "a count", line, err);
    if (counted == &r->atoms) r->atoms_line = number;
    return VIC_OK;
}

/* "units = lj" in the title, as LAMMPS writes it. */
static void read_units(struct reading *r, struct piece title)
{
    static const char *const angstrom[] = { "real", "metal" };
    struct piece word;
    while (piece_next_word(&title, &word))
        if (piece_is(word, "units") && piece_next_word(&title, &word) && piece_is(word, "=") &&
            piece_next_word(&title, &word)) {
            for (size_t i = 0; i < sizeof angstrom / sizeof *angstrom; ++i)
                if (piece_is(word, angstrom[i])) return;
            r->other_units = !piece_is(word, "electron");
            format_note(r->out->notes, "The title says units = %.20s: lengths were taken as angstrom all the same%s.",
                        quoted(word).text, r->other_units ? ", and masses say no elements" : "");
            return;
        }
}

/* Sections begin with a keyword, rows with a number; but where types have labels, rows of coefficients and masses
 * begin with these, so only the keywords that matter are looked for.  Lines of the header are known by their ends. */
static vic_status find_sections(struct reading *r, vic_error *err)
{
    struct lines l = lines_of(r->source->text, r->source->size);
    struct piece line = { "", 0 }, comment;
    bool header = true;
    lines_next(&l, &line);
    format_set_title(r->out->title, line);
    read_units(r, line);
    while (lines_next(&l, &line)) {
        if (!header && line.length && line.text[0] <= '9' && line.text[0] != ' ' && line.text[0] != '\t') continue;
        line = without_comment(line, &comment);
        if (!line.length) continue;
        if (piece_is(line, "Masses")) {
            r->masses_at = l;
            r->has_masses = true;
        } else if (piece_is(line, "Atoms")) {
            if (r->has_atoms) return bad_line(r, l.number, "no second section Atoms", line, err);
            r->atoms_at = l;
            r->has_atoms = true;
            r->comment = comment;
        } else if (piece_is(line, "Atom Type Labels")) {
            r->labels_at = l;
            r->has_labels = true;
        } else {
            if (header && !is_letter(*line.text)) TRY(read_header_line(r, l.number, line, err));
            continue;
        }
        header = false;
    }
    return VIC_OK;
}

static void set_cell(struct reading *r)
{
    struct file_cell *cell = &r->out->cell;
    static const int place[3][2] = { { 1, 0 }, { 2, 0 }, { 2, 1 } }; /* xy xz yz */
    bool vectors = r->has_vector[0] && r->has_vector[1] && r->has_vector[2];
    for (int i = 0; !vectors && i < 3; ++i)
        if (!r->has_box[i] && !*cell->problem)
            snprintf(cell->problem, sizeof cell->problem,
                     "expected a line \"low high %s %s\" in the header, found none", limits[i][0], limits[i][1]);
    if (*cell->problem) return;
    cell->kind = FILE_CELL_VECTORS;
    memcpy(cell->vectors, r->vectors, sizeof cell->vectors);
    for (int i = 0; !vectors && i < 3; ++i) {
        memset(cell->vectors[i], 0, sizeof cell->vectors[i]);
        cell->vectors[i][i] = r->high[i] - r->low[i];
    }
    for (int i = 0; !vectors && r->tilted && i < 3; ++i) cell->vectors[place[i][0]][place[i][1]] = r->tilt[i];
}

/* ---- types ---- */

static int compare_pieces(struct piece a, struct piece b)
{
    size_t length = a.length < b.length ? a.length : b.length;
    int order = length ? memcmp(a.text, b.text, length) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_labels(const void *a, const void *b)
{
    return compare_pieces(((const struct label *)a)->text, ((const struct label *)b)->text);
}

/* A type by its number or its label; a label begins with no digit. */
static bool read_type(const struct reading *r, struct piece word, int64_t *type)
{
    const struct label key = { word, 0 }, *found;
    if (number_read_integer(word.text, word.length, type)) return *type >= 1 && (r->types < 0 || *type <= r->types);
    if (!r->labels || !word.length) return false;
    found = bsearch(&key, r->labels, (size_t)r->types, sizeof *r->labels, compare_labels);
    if (found) *type = found->type;
    return found != NULL;
}

/* The next of the rows of a section that has one for each type. */
static vic_status next_type_row(const struct reading *r, const char *section, int64_t left, struct lines *l,
                                struct piece *row, vic_error *err)
{
    struct piece comment;
    for (row->length = 0; !row->length; *row = without_comment(*row, &comment))
        if (!lines_next(l, row))
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected %lld more rows in %s, found the end of the file; fetch it "
                            "again if it was cut",
                            r->source->name, (long long)l->number, (long long)left, section);
    return VIC_OK;
}

static vic_status check_types(const struct reading *r, const char *section, vic_error *err)
{
    if (r->types >= 0 && r->types <= (int64_t)r->source->size) return VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s: expected the number of atom types in the header, as many as %s has rows, found %lld; "
                    "mend it",
                    r->source->name, section, (long long)r->types);
}

static vic_status read_labels(struct reading *r, vic_error *err)
{
    struct lines l = r->labels_at;
    struct piece line, words[2];
    struct label *labels = NULL;
    TRY(check_types(r, "Atom Type Labels", err));
    TRY(mem_array_zero((size_t)r->types, sizeof *labels, "labels of atom types", &labels, err));
    for (int64_t i = 0; i < r->types; ++i) {
        struct label *label = &labels[i];
        vic_status st = next_type_row(r, "Atom Type Labels", r->types - i, &l, &line, err);
        if (st == VIC_OK && (words_of(line, words, 2) != 2 ||
                             !number_read_integer(words[0].text, words[0].length, &label->type) ||
                             label->type < 1 || label->type > r->types))
            st = bad_line(r, l.number, "an atom type (a number) and its label", line, err);
        if (st != VIC_OK) return free(labels), st;
        label->text = words[1];
    }
    qsort(labels, (size_t)r->types, sizeof *labels, compare_labels);
    r->labels = labels;
    return VIC_OK;
}

/* A mass of 1 is hydrogen where another type is heavier than helium; else it is what beads and lj units have. */
static void drop_unit_masses(struct reading *r)
{
    bool others = false;
    for (int64_t i = 1; i <= r->types; ++i) others = others || r->elements[i] > 2;
    for (int64_t i = 1; !others && i <= r->types; ++i)
        if (r->masses[i] == 1) r->elements[i] = 0;
}

static vic_status read_masses(struct reading *r, vic_error *err)
{
    struct lines l = r->masses_at;
    struct piece line, words[2];
    TRY(check_types(r, "Masses", err));
    TRY(mem_array_zero((size_t)r->types + 1, sizeof *r->elements, "atom types", &r->elements, err));
    TRY(mem_array_zero((size_t)r->types + 1, sizeof *r->masses, "masses of atom types", &r->masses, err));
    for (int64_t left = r->types; left; --left) {
        int64_t type;
        double mass;
        TRY(next_type_row(r, "Masses", left, &l, &line, err));
        if (words_of(line, words, 2) != 2 || !read_type(r, words[0], &type) ||
            !number_read(words[1].text, words[1].length, 0, &mass))
            return bad_line(r, l.number, "an atom type (a number, or a label of Atom Type Labels) and its mass", line,
                            err);
        r->masses[type] = mass;
        r->elements[type] = r->other_units ? 0 : element_from_mass(mass);
    }
    drop_unit_masses(r);
    return VIC_OK;
}

/* ---- atoms ---- */

/* The next row of Atoms; false at the end or at the next section, which begins with a letter. */
static bool next_row(struct lines *l, struct piece *row)
{
    struct piece comment;
    while (lines_next(l, row)) {
        *row = without_comment(*row, &comment);
        if (row->length) return !is_letter(*row->text);
    }
    return false;
}

/* From the number of columns, and for six (charge or molecular) from which column can be a type in every row. */
static vic_status guess_style(const struct reading *r, const struct style **out, vic_error *err)
{
    struct lines l = r->atoms_at;
    struct piece row, words[MOST_COLUMNS];
    int columns = 0;
    int64_t type;
    bool second = true, third = true, flags = true;
    for (int64_t i = 0; i < r->atoms && next_row(&l, &row); ++i) {
        int count = words_of(row, words, MOST_COLUMNS);
        if (i == 0) columns = count;
        if (count != columns || count < 3 || count > MOST_COLUMNS) break; /* reading will say what is wrong */
        second = second && read_type(r, words[1], &type);
        third = third && read_type(r, words[2], &type);
        for (int k = count > FLAGS ? count - FLAGS : 0; k < count; ++k)
            flags = flags && number_read_integer(words[k].text, words[k].length, &type);
    }
    *out = NULL;
    if (columns == 5 || (columns == 8 && flags)) *out = &styles[ATOMIC];
    if ((columns == 6 || (columns == 9 && flags)) && second != third) *out = &styles[second ? CHARGE : MOLECULAR];
    if ((columns == 7 || (columns == 10 && flags)) && third) *out = &styles[FULL];
    if (*out) return VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected the style of the atoms behind the keyword (Atoms # charge, for example), "
                    "as %d columns do not tell, found %s; add atomic, charge, molecular, full or what it is",
                    r->source->name, (long long)r->atoms_at.number, columns,
                    r->comment.length ? quoted(r->comment).text : "none");
}

static bool fits(const struct style *style, int count)
{
    if (!style->columns) return count >= style->position + 3;
    return count == style->columns || count == style->columns + FLAGS;
}

/* The comment behind Atoms names the style, alone or with other words.  A comment may say anything else too, and then
 * the columns tell. */
static vic_status find_style(const struct reading *r, const struct style **out, vic_error *err)
{
    struct piece rest = r->comment, word, row, words[MOST_COLUMNS];
    struct lines l = r->atoms_at;
    bool alone = true;
    for (bool first = true; piece_next_word(&rest, &word); first = false) {
        if (first) alone = piece_is_blank(rest);
        for (int i = 0; i < STYLES; ++i) {
            if (!piece_is(word, styles[i].name)) continue;
            if (!alone && (!next_row(&l, &row) || !fits(&styles[i], words_of(row, words, 0)))) break;
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

static vic_status read_row(const struct reading *r, const struct style *style, int64_t number, struct piece row,
                           struct atom *a, vic_error *err)
{
    struct piece words[MOST_COLUMNS];
    int count = words_of(row, words, MOST_COLUMNS);
    int64_t type = 0;
    if (!fits(style, count) && !style->columns)
        return vic_fail(err, VIC_BAD_INPUT, "%s line %lld: expected %d columns or more of style %s, found %s; mend the row",
                        r->source->name, (long long)number, style->position + 3, style->name, quoted(row).text);
    if (!fits(style, count))
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected %d columns of style %s, or %d with image flags, found %s; mend the "
                        "row, or name the style that it has (Atoms # charge, for example)",
                        r->source->name, (long long)number, style->columns, style->name, style->columns + FLAGS,
                        quoted(row).text);
    memset(a, 0, sizeof *a);
    if (style->type > 0 && !read_type(r, words[style->type], &type))
        return bad_line(r, number, r->labels ? "an atom type of the header, or a label of one" :
                        "an atom type of the header", row, err);
    if (!read_numbers(words + style->position, 3, a->position))
        return bad_line(r, number, "x, y, z as numbers", row, err);
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
    set_cell(&r);
    if (r.has_labels) TRY_GOTO(read_labels(&r, err), done);
    if (r.has_masses) TRY_GOTO(read_masses(&r, err), done);
    if (r.has_atoms && r.atoms > 0) TRY_GOTO(read_atoms(&r, err), done);
    if (!out->atoms.count) st = format_no_atoms(s, "a section Atoms with rows", err);
done:
    free(r.elements);
    free(r.masses);
    free(r.labels);
    return st;
}

const struct format format_lammps = { "lammps", looks_like_lammps, read_lammps, is_lammps };
