/* SPDX-License-Identifier: Apache-2.0 */
/* Amber restart and coordinate files (rst7, inpcrd): title, number of atoms, positions in six columns of 12, then
 * perhaps velocities, perhaps a box.  What is there follows from how many numbers are left. */
#include "structure/io/format.h"
#include "structure/number.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 12, PER_LINE = 6, MOST_WORDS = 6 /* of line 2: count, time, temperature, what replicas have */ };

struct reading {
    const struct source *source;
    struct lines lines;
    struct file_content *out;
    int64_t atoms;
};

/* "2884", "2884 0.5000000E+03": count and perhaps time, temperature and more. */
static bool read_count(struct piece line, int64_t *count)
{
    struct piece rest = line, word;
    double number;
    int words = 1;
    if (!piece_next_word(&rest, &word) || !number_read_integer(word.text, word.length, count) || *count < 0)
        return false;
    for (; piece_next_word(&rest, &word); ++words)
        if (!number_read(word.text, word.length, 0, &number)) return false;
    return words <= MOST_WORDS;
}

/* The numbers of a line, with their decimal points where F12.7 puts them; -1 where it is none. */
static int read_fields(struct piece line, double v[PER_LINE])
{
    int count = 0;
    while (line.length && (line.text[line.length - 1] == ' ' || line.text[line.length - 1] == '\r')) --line.length;
    if (line.length > WIDTH * PER_LINE || line.length % WIDTH) return -1;
    for (size_t at = 0; at < line.length; at += WIDTH, ++count)
        if (line.text[at + 4] != '.' || !number_read(line.text + at, WIDTH, 0, &v[count])) return -1;
    return count;
}

/* A count in line 2; *first is line 3. */
static bool read_head(const struct source *s, int64_t *count, struct piece *first)
{
    struct lines l = lines_of(s->text, s->size);
    struct piece line;
    for (int skipped = 0; skipped < 2; ++skipped) /* the title; then the count is in the line at hand */
        if (!lines_next(&l, &line)) return false;
    return read_count(line, count) && lines_next(&l, first);
}

/* A number of the first row stands where it must, though others may be wrong. */
static bool looks_like_amber(const struct source *s)
{
    struct piece line;
    double v[PER_LINE];
    int64_t count;
    if (!read_head(s, &count, &line) || line.length < 3 * WIDTH) return false;
    for (size_t at = 0; at + WIDTH <= line.length; at += WIDTH)
        if (read_fields(piece_field(line, at, at + WIDTH), v) == 1) return true;
    return false;
}

static bool is_amber(const struct source *s)
{
    struct piece line;
    double v[PER_LINE];
    int64_t count;
    return read_head(s, &count, &line) && read_fields(line, v) == (count >= 2 ? PER_LINE : 3);
}

static vic_status read_positions(struct reading *r, vic_error *err)
{
    struct atom a;
    double v[PER_LINE];
    struct piece line = { "", 0 };
    memset(&a, 0, sizeof a);
    for (int64_t i = 0; i < r->atoms; i += 2) {
        int wanted = r->atoms - i >= 2 ? 6 : 3;
        if (!lines_next(&r->lines, &line))
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected the position of atom %lld of the %lld that line 2 announces, "
                            "found the end of the file; fix the count, or fetch the file again if it was cut",
                            r->source->name, (long long)r->lines.number, (long long)i + 1, (long long)r->atoms);
        if (read_fields(line, v) != wanted)
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected %d numbers in columns of 12 with 7 decimals (the position from "
                            "atom %lld of %lld), found %s; fix the line",
                            r->source->name, (long long)r->lines.number, wanted, (long long)i + 1,
                            (long long)r->atoms, quoted(line).text);
        for (int k = 0; k < wanted; k += 3) {
            memcpy(a.position, v + k, sizeof a.position);
            TRY(atoms_append(&r->out->atoms, &a, err));
        }
    }
    return VIC_OK;
}

/* Up to the last that is not blank. */
static int64_t lines_left(struct lines l)
{
    struct piece line;
    int64_t count = 0, last = 0;
    while (lines_next(&l, &line)) {
        ++count;
        if (!piece_is_blank(line)) last = count;
    }
    return last;
}

static void read_box(struct reading *r)
{
    struct file_cell *cell = &r->out->cell;
    struct piece line = { "", 0 };
    double v[PER_LINE];
    int count;
    bool zero = true;
    lines_next(&r->lines, &line);
    count = read_fields(line, v);
    cell->line = r->lines.number;
    if (count != 3 && count != 6) {
        snprintf(cell->problem, sizeof cell->problem, "expected the box as 3 or 6 numbers in columns of 12, found %s",
                 quoted(line).text);
        return;
    }
    for (int i = 0; i < 3; ++i) zero = zero && v[i] == 0;
    if (zero) return;
    cell->kind = FILE_CELL_PARAMETERS;
    for (int i = 0; i < 6; ++i) cell->parameters[i] = i < count ? v[i] : 90;
}

static vic_status read_amber(const struct source *s, int model, struct file_content *out, vic_error *err)
{
    struct reading r = { s, lines_of(s->text, s->size), out, 0 };
    struct piece title = { "", 0 }, line = { "", 0 };
    int64_t left, block;
    out->format = "amber";
    out->models = 1;
    if (!format_frame(model, 1)) return format_no_frame(s, "model", model, 1, err);
    lines_next(&r.lines, &title);
    format_set_title(out->title, title);
    if (!lines_next(&r.lines, &line) || !read_count(line, &r.atoms))
        return vic_fail(err, VIC_BAD_INPUT, "%s line 2: expected the number of atoms, found %s; fix it", s->name,
                        quoted(line).text);
    TRY(read_positions(&r, err));
    if (!out->atoms.count) return format_no_atoms(s, "positions", err);
    left = lines_left(r.lines);
    block = (r.atoms + 1) / 2;
    if (left == 0) return VIC_OK;
    if (left == 1 && block == 1) { /* velocities of so few atoms are as long as a box */
        struct lines at = r.lines;
        double v[PER_LINE];
        lines_next(&at, &line);
        if (r.atoms == 1 || read_fields(line, v) == PER_LINE) {
            out->cell.line = at.number;
            snprintf(out->cell.problem, sizeof out->cell.problem,
                     "expected velocities or a box, found a line that may be either after "
                     "%lld atom%s",
                     (long long)r.atoms, r.atoms == 1 ? "" : "s");
            return VIC_OK;
        }
    }
    if (left != 1) { /* velocities, which are not looked at */
        if (left != block && left != block + 1)
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected after the positions of %lld atoms %lld lines of velocities, a "
                            "line with the box, or both, found %lld lines; fix the count in line 2 or what follows",
                            s->name, (long long)r.lines.number, (long long)r.atoms, (long long)block,
                            (long long)left);
        for (int64_t i = 0; i < block; ++i) lines_next(&r.lines, &line);
        if (left == block) return VIC_OK;
    }
    read_box(&r);
    return VIC_OK;
}

const struct format format_amber = { "amber", looks_like_amber, read_amber, is_amber };
