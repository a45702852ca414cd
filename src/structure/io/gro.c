/* SPDX-License-Identifier: Apache-2.0 */
/* GROMACS .gro: fixed columns whose width follows from the distance between decimal points, so that fields may run
 * together.  Nanometres. */
#include "structure/element.h"
#include "structure/io/format.h"
#include "structure/number.h"

#include <string.h>

enum { COORDINATES = 20 }; /* columns before them: residue number and name, atom name, serial; 5 each */

struct frame {
    int64_t count, count_line;
    size_t width; /* of one coordinate */
    bool taking;
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

/* Distance of the first two decimal points of the coordinates; 0 when there are no such. */
static size_t coordinate_width(struct piece row)
{
    const char *first, *second, *end = row.text + row.length;
    if (row.length <= COORDINATES) return 0;
    first = memchr(row.text + COORDINATES, '.', (size_t)(end - row.text - COORDINATES));
    if (!first) return 0;
    second = memchr(first + 1, '.', (size_t)(end - first - 1));
    return second ? (size_t)(second - first) : 0;
}

static bool read_row(struct piece row, size_t width, struct atom *a)
{
    struct piece name = piece_field(row, 10, 15), residue = piece_field(row, 5, 10), number = piece_field(row, 0, 5);
    int64_t sequence = 0;
    if (row.length < COORDINATES + 3 * width) return false;
    memset(a, 0, sizeof *a);
    if (!number_read_integer(number.text, number.length, &sequence) && !piece_begins(piece_trim(number), "*"))
        return false;
    for (size_t axis = 0; axis < 3; ++axis) {
        struct piece field = piece_field(row, COORDINATES + axis * width, COORDINATES + (axis + 1) * width);
        if (!number_read(field.text, field.length, 1, &a->position[axis])) return false;
    }
    label_set(a->label.name, sizeof a->label.name, name.text, name.length);
    label_set(a->label.residue, sizeof a->label.residue, residue.text, residue.length);
    a->label.sequence = (int32_t)sequence;
    a->label.insertion = a->label.altloc = ' ';
    a->number = element_from_name(a->label.name, a->label.residue, ELEMENT_COLUMN_NONE, false);
    return true;
}

static vic_status read_rows(const struct source *s, struct lines *l, struct frame *f, struct file_content *out,
                            vic_error *err)
{
    struct piece row;
    struct atom a;
    for (int64_t i = 0; i < f->count; ++i) {
        if (!lines_next(l, &row))
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected %lld atom rows after this count, found %lld up to the end of the "
                            "file; it seems to have been cut: fetch it again",
                            s->name, (long long)f->count_line, (long long)f->count, (long long)i);
        if (i == 0) {
            f->width = coordinate_width(row);
            if (f->width < 3 || f->width > 40)
                f->width = 8; /* what the format has by default; the row says the rest */
        }
        if (!f->taking && row.length) continue;
        if (!read_row(row, f->width, &a))
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected atom %lld of the %lld that line %lld announces (number, names, "
                            "serial in %d columns, x, y, z in %zu each), found %s; mend the row or the count (%lld "
                            "rows came before)",
                            s->name, (long long)l->number, (long long)i + 1, (long long)f->count,
                            (long long)f->count_line, COORDINATES, f->width, quoted(row).text, (long long)i);
        TRY(atoms_append(&out->atoms, &a, err));
    }
    return VIC_OK;
}

static vic_status read_box(const struct source *s, struct lines *l, bool taking, struct file_cell *cell,
                           vic_error *err)
{
    /* v1x v2y v3z v1y v1z v2x v2z v3x v3y */
    static const int row[9] = { 0, 1, 2, 0, 0, 1, 1, 2, 2 }, column[9] = { 0, 1, 2, 1, 2, 0, 2, 0, 1 };
    struct piece line = { "", 0 }, rest, word;
    double v[9];
    int count = 0;
    bool zero = true, fine = true;
    if (!lines_next(l, &line))
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected a box line after the atoms, found the end of the file; it seems to "
                        "have been cut: fetch it again, or add a box (0 0 0 for none)",
                        s->name, (long long)l->number);
    rest = line;
    while (fine && piece_next_word(&rest, &word)) {
        fine = count < 9 && number_read(word.text, word.length, 1, &v[count]);
        if (fine && v[count++] != 0) zero = false;
    }
    if (!fine || (count != 3 && count != 9))
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected the box as 3 or 9 numbers after the atoms, found %s; mend the box or "
                        "the number of atoms",
                        s->name, (long long)l->number, quoted(line).text);
    if (!taking || zero) return VIC_OK;
    cell->kind = FILE_CELL_VECTORS;
    cell->line = l->number;
    for (int i = 0; i < count; ++i) cell->vectors[row[i]][column[i]] = v[i];
    return VIC_OK;
}

/* Goes through all frames and takes the one that is wanted; 0 takes none. */
static vic_status read_frames(const struct source *s, int64_t wanted, struct file_content *out, vic_error *err)
{
    struct lines l = lines_of(s->text, s->size);
    out->models = 0;
    while (!lines_only_blank_left(&l)) {
        struct piece title = { "", 0 }, line = { "", 0 };
        struct frame f = { 0 };
        lines_next(&l, &title);
        if (!lines_next(&l, &line) || !is_count(line, &f.count))
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected the number of atoms of frame %lld, found %s; mend it, or remove "
                            "what follows the last box",
                            s->name, (long long)l.number, (long long)out->models + 1, quoted(line).text);
        f.count_line = l.number;
        out->models++;
        f.taking = out->models == wanted;
        if (f.taking) format_set_title(out->title, title);
        TRY(read_rows(s, &l, &f, out, err));
        TRY(read_box(s, &l, f.taking, &out->cell, err));
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
        if (!wanted) return format_no_frame(s, model, out->models, err);
    }
    TRY(read_frames(s, wanted, out, err));
    if (out->models < wanted) return format_no_frame(s, model, out->models, err);
    return out->atoms.count ? VIC_OK : format_no_atoms(s, "atom rows", err);
}

const struct format format_gro = { "gro", looks_like_gro, read_gro };
