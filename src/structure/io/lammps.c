/* SPDX-License-Identifier: Apache-2.0 */
/* LAMMPS data files: a header of counts and the box, then sections.  Positions as given (image flags are read over),
 * types to elements by mass. */
#include "structure/io/lammps.h"
#include "structure/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct piece lammps_without_comment(struct piece line, struct piece *comment)
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

int lammps_words(struct piece line, struct piece *words, int most)
{
    struct piece word;
    int count = 0;
    for (; piece_next_word(&line, &word); ++count)
        if (count < most) words[count] = word;
    return count;
}

bool lammps_is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

vic_status lammps_bad_line(const struct lammps *r, int64_t number, const char *expected, struct piece found,
                           vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT, "%s line %lld: expected %s, found %s; fix the line", r->source->name,
                    (long long)number, expected, quoted(found).text);
}

bool lammps_numbers(const struct piece *words, int count, double *out)
{
    for (int i = 0; i < count; ++i)
        if (!number_read(words[i].text, words[i].length, 0, &out[i])) return false;
    return true;
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

/* How many of the two that belong to this format alone are in the head: "N atoms", and a box or the section Atoms. */
static int marks_of(const struct source *s, bool section_counts)
{
    struct lines l = lines_of(s->text, s->size);
    struct piece line, comment, words[8];
    bool atoms = false, box = false;
    int64_t number;
    lines_next(&l, &line); /* a title */
    while (l.number < 200 && !(atoms && box) && lines_next(&l, &line)) {
        int count = lammps_words(lammps_without_comment(line, &comment), words, 8);
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

/* The box may not be needed: what is wrong with it waits until that is known.  The first problem stays. */
static void box_problem(struct lammps *r, int64_t number, const char *expected, struct piece found)
{
    struct file_cell *cell = &r->out->cell;
    if (*cell->problem) return;
    cell->line = number;
    snprintf(cell->problem, sizeof cell->problem, "expected %s, found %s", expected, quoted(found).text);
}

static void read_box_line(struct lammps *r, int64_t number, struct piece line, const struct piece *words, int count)
{
    static const char *const names[3] = { "avec", "bvec", "cvec" };
    for (int i = 0; i < 3; ++i) {
        double v[2];
        if (ends_with(words, 2, count, limits[i], 2)) {
            if (!lammps_numbers(words, 2, v) || !(v[0] < v[1] || (v[0] == 0 && v[1] == 0))) {
                box_problem(r, number, "two numbers, the lower one first", line);
                continue;
            }
            r->low[i] = v[0];
            r->high[i] = v[1];
            r->has_box[i] = true;
        } else if (count == 4 && piece_is(words[3], names[i])) {
            if (!lammps_numbers(words, 3, r->vectors[i])) box_problem(r, number, "three numbers", line);
            r->has_vector[i] = true;
        } else {
            continue;
        }
        if (!*r->out->cell.problem) r->out->cell.line = number;
    }
    if (ends_with(words, 3, count, tilt_key, 3)) {
        if (!lammps_numbers(words, 3, r->tilt)) box_problem(r, number, "xy xz yz as three numbers", line);
        r->tilted = true;
    }
}

static vic_status read_header_line(struct lammps *r, int64_t number, struct piece line, vic_error *err)
{
    struct piece words[8];
    int count = lammps_words(line, words, 8);
    int64_t *counted = ends_with(words, 1, count, atoms_key, 1)   ? &r->atoms
                       : ends_with(words, 1, count, types_key, 2) ? &r->types
                                                                  : NULL;
    if (!counted) return read_box_line(r, number, line, words, count), VIC_OK;
    if (!number_read_integer(words[0].text, words[0].length, counted) || *counted < 0)
        return lammps_bad_line(r, number, "a count", line, err);
    if (counted == &r->atoms) r->atoms_line = number;
    return VIC_OK;
}

/* "units = lj" in the title, as LAMMPS writes it. */
static void read_units(struct lammps *r, struct piece title)
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
static vic_status find_sections(struct lammps *r, vic_error *err)
{
    struct lines l = lines_of(r->source->text, r->source->size);
    struct piece line = { "", 0 }, comment;
    bool header = true;
    lines_next(&l, &line);
    format_set_title(r->out->title, line);
    read_units(r, line);
    while (lines_next(&l, &line)) {
        if (!header && line.length && line.text[0] <= '9' && line.text[0] != ' ' && line.text[0] != '\t') continue;
        line = lammps_without_comment(line, &comment);
        if (!line.length) continue;
        if (piece_is(line, "Masses")) {
            r->masses_at = l;
            r->has_masses = true;
        } else if (piece_is(line, "Atoms")) {
            if (r->has_atoms) return lammps_bad_line(r, l.number, "no second section Atoms", line, err);
            r->atoms_at = l;
            r->has_atoms = true;
            r->comment = comment;
        } else if (piece_is(line, "Atom Type Labels")) {
            r->labels_at = l;
            r->has_labels = true;
        } else {
            if (header && !lammps_is_letter(*line.text)) TRY(read_header_line(r, l.number, line, err));
            continue;
        }
        header = false;
    }
    return VIC_OK;
}

static void set_cell(struct lammps *r)
{
    struct file_cell *cell = &r->out->cell;
    static const int place[3][2] = { { 1, 0 }, { 2, 0 }, { 2, 1 } }; /* xy xz yz */
    bool vectors = r->has_vector[0] && r->has_vector[1] && r->has_vector[2];
    int zeros = 0; /* "0 0" on all axes is none */
    for (int i = 0; i < 3; ++i) zeros += r->has_box[i] && r->low[i] == r->high[i];
    if (zeros == 3 && !*cell->problem) return;
    if (zeros && !*cell->problem)
        snprintf(cell->problem, sizeof cell->problem,
                 "expected two numbers, the lower one first, for each axis (or 0 0 for all), found 0 0 for %s",
                 zeros == 2 ? "two" : "one");
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

static vic_status read_lammps(const struct source *s, int model, struct file_content *out, vic_error *err)
{
    struct lammps r = { 0 };
    vic_status st = VIC_OK;
    r.source = s;
    r.out = out;
    r.atoms = r.types = -1;
    out->format = "lammps";
    out->models = 1;
    if (!format_frame(model, 1)) return format_no_frame(s, "model", model, 1, err);
    TRY_GOTO(find_sections(&r, err), done);
    set_cell(&r);
    if (r.has_labels) TRY_GOTO(lammps_read_labels(&r, err), done);
    if (r.has_masses) TRY_GOTO(lammps_read_masses(&r, err), done);
    if (r.has_atoms && r.atoms > 0) TRY_GOTO(lammps_read_atoms(&r, err), done);
    if (!out->atoms.count) st = format_no_atoms(s, "a section Atoms with rows", err);
done:
    free(r.elements);
    free(r.masses);
    free(r.labels);
    return st;
}

const struct format format_lammps = { "lammps", looks_like_lammps, read_lammps, is_lammps };
