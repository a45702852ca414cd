/* SPDX-License-Identifier: Apache-2.0 */
/* GROMACS .gro: fixed columns whose width follows from the distance between decimal points, so that fields may run
 * together.  Nanometres. */
#include "structure/element.h"
#include "structure/io/format.h"
#include "structure/number.h"

#include <stdio.h>
#include <string.h>

enum {
    COORDINATES = 20, /* columns before them: residue number and name, atom name, serial; 5 each */
    SERIAL = 15,
    USUAL_POINT = 4 /* GROMACS writes n decimals into n + 5 columns */
};

/* How a coordinate stands in its columns, by the first row. */
struct shape {
    size_t width, point; /* the decimal point's place in a field */
};

struct frame {
    int64_t count, count_line;
    struct shape shape;
    bool taking;
    struct piece before; /* the row before */
};

struct reading {
    const struct source *source;
    struct lines lines;
    struct file_content *out;
    int64_t wanted; /* frame; 0 takes none */
    bool taken;
    struct element_memory elements;
};

static bool is_count(struct piece line, int64_t *count)
{
    return number_read_integer(line.text, line.length, count) && *count >= 0;
}

static bool looks_like_gro(const struct source *s)
{
    struct lines l = lines_of(s->text, s->size);
    struct piece title = { "", 0 }, count, row;
    int64_t number;
    lines_next(&l, &title);
    if (!lines_next(&l, &count) || !is_count(count, &number)) return false;
    if (piece_begins(title, "ITEM:")) return false; /* LAMMPS dump: a time step where the count would be */
    if (!is_count(title, &number)) return true;
    /* A number as title: an XYZ file with a number as comment looks the same up to here. */
    row = lines_next(&l, &row) ? piece_field(row, 0, 5) : title;
    return row.length == 5 && number_read_integer(row.text, row.length, &number);
}

/* From the distance of the decimal points of x, y and z; the default where it is not one, and the row says the
 * rest. */
static struct shape shape_of(struct piece row)
{
    const struct shape usual = { 8, USUAL_POINT };
    struct shape shape;
    size_t points[3];
    for (size_t i = 0, at = COORDINATES; i < 3; ++i) {
        const char *point = at < row.length ? memchr(row.text + at, '.', row.length - at) : NULL;
        if (!point) return usual;
        points[i] = (size_t)(point - row.text);
        at = points[i] + 1;
    }
    shape.width = points[1] - points[0];
    shape.point = points[0] - COORDINATES;
    return shape.width < 3 || shape.width > 40 || points[2] - points[1] != shape.width ? usual : shape;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_sign(char c)
{
    return c == '-' || c == '+';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Something stands on both sides of the edge before this column: two numbers that touch, or one that is cut. */
static bool touches(struct piece row, size_t column)
{
    return column < row.length && !is_blank(row.text[column - 1]) && !is_blank(row.text[column]);
}

static bool has_point(struct piece row, size_t column, size_t point)
{
    return column + point < row.length && row.text[column + point] == '.';
}

static bool read_serial(struct piece row, int64_t *serial)
{
    struct piece field = piece_field(row, SERIAL, COORDINATES);
    return number_read_integer(field.text, field.length, serial);
}

/* A digit before x belongs to the serial where that counts on. */
static bool counts_on(struct piece row, struct piece before)
{
    int64_t serial, last;
    if (!read_serial(row, &serial)) return false;
    if (!before.length) return serial == 0 || serial == 1;
    return read_serial(before, &last) && (serial == last + 1 || (last == 99999 && serial <= 1));
}

/* What a number's neighbours say: NULL, or why it is not whole.  Numbers may touch where their decimals are as many
 * as the columns say. */
static const char *edge_problem(struct piece row, struct shape shape, size_t column, bool last, struct piece before)
{
    char left, right;
    if (!touches(row, column)) return NULL;
    left = row.text[column - 1];
    right = row.text[column];
    if (last) { /* a velocity has one decimal more, so its point stands one column further left */
        if ((!is_sign(right) && !is_digit(right)) || !is_digit(left) || !shape.point ||
            !has_point(row, column, shape.point - 1))
            return "z goes on behind its columns";
        return NULL;
    }
    if (column == COORDINATES) {
        if (is_sign(left) || left == '.') return "x begins before its columns";
        if (is_digit(right) && left != '*' && (shape.point != USUAL_POINT || !counts_on(row, before)))
            return "x begins before its columns, or the serials do not count on";
    } else if (!is_digit(left) || (!is_sign(right) && shape.point != USUAL_POINT) ||
               !has_point(row, column - shape.width, shape.point)) {
        return "numbers run into each other's columns";
    }
    return has_point(row, column, shape.point) ? NULL : "numbers run into each other's columns";
}

/* All but the element; NULL, or what is wrong. */
static const char *read_row(struct piece row, struct shape shape, struct piece before, struct atom *a)
{
    struct piece name = piece_field(row, 10, 15), residue = piece_field(row, 5, 10), number = piece_field(row, 0, 5);
    const char *problem;
    int64_t sequence = 0;
    if (row.length < COORDINATES + 3 * shape.width) return "it is too short";
    memset(a, 0, sizeof *a);
    if (!number_read_integer(number.text, number.length, &sequence) && !piece_begins(piece_trim(number), "*"))
        return "the residue's number is none";
    for (size_t axis = 0; axis <= 3; ++axis) {
        size_t column = COORDINATES + axis * shape.width;
        struct piece field = piece_field(row, column, column + shape.width);
        if (axis < 3 && !number_read(field.text, field.length, 1, &a->position[axis]))
            return "a coordinate is no number";
        problem = edge_problem(row, shape, column, axis == 3, before);
        if (problem) return problem;
    }
    label_set(a->label.name, sizeof a->label.name, name.text, name.length);
    label_set(a->label.residue, sizeof a->label.residue, residue.text, residue.length);
    a->label.sequence = (int32_t)sequence;
    a->label.insertion = a->label.altloc = ' ';
    return NULL;
}

static bool is_row(struct piece row)
{
    const struct piece none = { "", 0 };
    struct piece serial = piece_trim(piece_field(row, SERIAL, COORDINATES));
    struct atom a;
    int64_t number;
    if (serial.length && *serial.text != '*' && !read_serial(row, &number)) return false;
    return !read_row(row, shape_of(row), none, &a);
}

static bool is_gro(const struct source *s)
{
    struct lines l = lines_of(s->text, s->size);
    struct piece line = { "", 0 };
    for (int skipped = 0; skipped < 3; ++skipped) /* a title and a count; then the row is at hand */
        if (!lines_next(&l, &line)) return false;
    return is_row(line);
}

static vic_status read_rows(struct reading *r, struct frame *f, vic_error *err)
{
    struct piece row;
    struct atom a;
    for (int64_t i = 0; i < f->count; ++i) {
        const char *problem;
        if (!lines_next(&r->lines, &row))
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected %lld atom rows after this count, found %lld up to the end of the "
                            "file; it seems to have been cut: fetch it again",
                            r->source->name, (long long)f->count_line, (long long)f->count, (long long)i);
        if (!f->taking && row.length) continue;
        if (i == 0) f->shape = shape_of(row);
        problem = read_row(row, f->shape, f->before, &a);
        if (problem)
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected atom %lld of the %lld that line %lld announces (number, names, "
                            "serial in %d columns, x, y, z in %zu each), found %s, where %s; fix the row or the "
                            "count (%lld rows came before)",
                            r->source->name, (long long)r->lines.number, (long long)i + 1, (long long)f->count,
                            (long long)f->count_line, COORDINATES, f->shape.width, quoted(row).text, problem,
                            (long long)i);
        f->before = row;
        a.number = element_recall(&r->elements, a.label.name, a.label.residue, ELEMENT_COLUMN_NONE, false);
        TRY(atoms_append(&r->out->atoms, &a, err));
    }
    return VIC_OK;
}

/* 3 or 9 numbers with blanks between them; the count, or 0. */
static int read_words(struct piece line, double v[9])
{
    struct piece word;
    int count = 0;
    while (piece_next_word(&line, &word))
        if (count == 9 || !number_read(word.text, word.length, 1, &v[count++])) return 0;
    return count == 3 || count == 9 ? count : 0;
}

/* The same where large numbers left no blank: all have as many decimals as the last. */
static int read_glued(struct piece line, double v[9])
{
    size_t decimals = 0;
    int count = 0;
    line = piece_trim(line);
    while (decimals < line.length && is_digit(line.text[line.length - 1 - decimals])) ++decimals;
    if (!decimals || decimals == line.length || line.text[line.length - 1 - decimals] != '.') return 0;
    while (line.length) {
        size_t end = 0;
        while (end < line.length && line.text[end] != '.') ++end;
        end += 1 + decimals;
        if (count == 9 || end > line.length || end < 2 + decimals || !is_digit(line.text[end - 2 - decimals]) ||
            !number_read(line.text, end, 1, &v[count++]))
            return 0;
        line.text += end, line.length -= end;
    }
    return count == 3 || count == 9 ? count : 0;
}

/* The wanted frame's box; one that cannot be read is kept as a problem, for it may not be needed. */
static vic_status read_box(struct reading *r, vic_error *err)
{
    /* v1x v2y v3z v1y v1z v2x v2z v3x v3y */
    static const int at[9] = { 0, 1, 2, 0, 0, 1, 1, 2, 2 }, column[9] = { 0, 1, 2, 1, 2, 0, 2, 0, 1 };
    struct file_cell *cell = &r->out->cell;
    struct piece line = { "", 0 };
    double v[9];
    bool zero = true;
    int count;
    if (!lines_next(&r->lines, &line)) {
        cell->line = r->lines.number;
        snprintf(cell->problem, sizeof cell->problem,
                 "expected a box line after the atoms (0 0 0 or a blank line for none), found the end of the file");
        return VIC_OK;
    }
    if (piece_is_blank(line)) return VIC_OK;
    count = read_words(line, v);
    if (!count) count = read_glued(line, v);
    if (!count) {
        if (is_row(line))
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected the box as 3 or 9 numbers after the atoms, found one more atom, "
                            "%s; fix the number of atoms",
                            r->source->name, (long long)r->lines.number, quoted(line).text);
        cell->line = r->lines.number;
        snprintf(cell->problem, sizeof cell->problem, "expected the box as 3 or 9 numbers after the atoms, found %s",
                 quoted(line).text);
        return VIC_OK;
    }
    for (int i = 0; i < count; ++i) zero = zero && v[i] == 0;
    if (zero) return VIC_OK;
    cell->kind = FILE_CELL_VECTORS;
    cell->line = r->lines.number;
    for (int i = 0; i < count; ++i) cell->vectors[at[i]][column[i]] = v[i];
    return VIC_OK;
}

static vic_status read_frame(struct reading *r, vic_error *err)
{
    struct piece title = { "", 0 }, line = { "", 0 };
    struct frame f = { .before = { "", 0 } };
    lines_next(&r->lines, &title);
    if (!lines_next(&r->lines, &line) || !is_count(line, &f.count))
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected the number of atoms of frame %lld, found %s; fix it, or remove "
                        "what follows the last box",
                        r->source->name, (long long)r->lines.number, (long long)r->out->models + 1,
                        quoted(line).text);
    f.count_line = r->lines.number;
    f.taking = r->out->models + 1 == r->wanted;
    if (f.taking) format_set_title(r->out->title, title);
    TRY(read_rows(r, &f, err));
    if (f.taking)
        TRY(read_box(r, err));
    else
        lines_next(&r->lines, &line); /* its box */
    r->taken = r->taken || f.taking;
    r->out->models++;
    return VIC_OK;
}

/* Goes through all frames and takes the one that is wanted.  What is wrong behind that one is a note. */
static vic_status read_frames(const struct source *s, int64_t wanted, struct file_content *out, vic_error *err)
{
    struct reading r = { .source = s, .lines = lines_of(s->text, s->size), .out = out, .wanted = wanted };
    out->models = 0;
    while (!lines_only_blank_left(&r.lines)) {
        vic_error fault = { VIC_OK, "" };
        vic_status st = read_frame(&r, &fault);
        if (st == VIC_OK) continue;
        if (r.taken && st == VIC_BAD_INPUT) return format_note_fault(out, wanted, s, &fault), VIC_OK;
        if (err) *err = fault;
        return st;
    }
    return VIC_OK;
}

static vic_status read_gro(const struct source *s, int model, struct file_content *out, vic_error *err)
{
    int64_t wanted = model > 0 ? model : 1;
    out->format = "gro";
    out->atoms.has_labels = true;
    if (model < 0) {
        TRY(read_frames(s, 0, out, err));
        wanted = format_frame(model, out->models);
        if (!wanted) return format_no_frame(s, "frame", model, out->models, err);
    }
    TRY(read_frames(s, wanted, out, err));
    if (out->models < wanted) return format_no_frame(s, "frame", model, out->models, err);
    format_note_models(out, model, "frames");
    return out->atoms.count ? VIC_OK : format_no_atoms(s, "atom rows", err);
}

const struct format format_gro = { "gro", looks_like_gro, read_gro, is_gro };
