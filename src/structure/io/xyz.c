/* SPDX-License-Identifier: Apache-2.0 */
/* XYZ and extended XYZ: a count, a comment, one row an atom; any number of frames. */
#include "structure/element.h"
#include "structure/io/extxyz.h"
#include "structure/io/format.h"
#include "structure/number.h"

#include <string.h>

struct frame {
    int64_t count, count_line;
};

static bool looks_like_xyz(const struct source *s)
{
    struct lines l = lines_of(s->text, s->size);
    struct piece line = { "", 0 };
    int64_t number;
    lines_next(&l, &line);
    return number_read_integer(line.text, line.length, &number);
}

/* "Fe", "FE", "26", and labels such as "C1", "O_w"; 0 for what is no element (dummy atoms, beads). */
static uint8_t element_of(struct piece species)
{
    int64_t number;
    size_t letters = 0;
    uint8_t z;
    if (number_read_integer(species.text, species.length, &number))
        return number > 0 && number < ELEMENT_COUNT ? (uint8_t)number : 0;
    while (letters < species.length && (species.text[letters] | 0x20) >= 'a' && (species.text[letters] | 0x20) <= 'z')
        ++letters;
    z = element_from_symbol(species.text, letters);
    return z || letters != 2 ? z : element_from_symbol(species.text, 1);
}

static vic_status short_file(const struct source *s, const struct frame *f, int64_t rows, vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected %lld atom rows after this count and its comment line, found %lld up to "
                    "the end of the file; mend the count, or fetch the file again if it was cut",
                    s->name, (long long)f->count_line, (long long)f->count, (long long)rows);
}

static vic_status bad_word(const struct source *s, int64_t line, const char *expected, const char *what,
                           struct piece row, struct piece word, vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected %s for %s, found %s in the row %s; mend or remove the row", s->name,
                    (long long)line, expected, what, quoted(word).text, quoted(row).text);
}

/* Gaussian's and ASE's rows "Tv x y z" are lattice vectors among the atoms. */
static vic_status check_species(const struct source *s, int64_t line, struct piece row, struct piece species,
                                vic_error *err)
{
    if (!piece_is(species, "Tv") && !piece_is(species, "TV")) return VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected an atom, found the lattice vector %s; remove it from the rows and from "
                    "the count, and write the three as Lattice=\"...\" in line 2",
                    s->name, (long long)line, quoted(row).text);
}

static vic_status read_plain_row(const struct source *s, int64_t line, struct piece row, struct atom *a,
                                 vic_error *err)
{
    static const char *const names[3] = { "x", "y", "z" };
    struct piece rest = row, word;
    if (!piece_next_word(&rest, &word)) return bad_word(s, line, "an element", "the first column", row, word, err);
    TRY(check_species(s, line, row, word, err));
    a->number = element_of(word);
    for (int axis = 0; axis < 3; ++axis) {
        if (!piece_next_word(&rest, &word) || !number_read(word.text, word.length, 0, &a->position[axis]))
            return bad_word(s, line, "a number", names[axis], row, word, err);
    }
    return VIC_OK;
}

static bool is_not_finite_word(struct piece word)
{
    static const char *const words[] = {
        "nan", "inf", "-inf", "+inf", "infinity", "-infinity", "NaN", "Inf", "-Inf"
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; ++i)
        if (piece_is(word, words[i])) return true;
    return false;
}

static vic_status read_extended_row(const struct source *s, int64_t line, struct piece row,
                                    const struct extxyz_header *h, struct atom *a, vic_error *err)
{
    struct piece rest = row, word;
    for (int i = 0; i < h->property_count; ++i) {
        const struct extxyz_property *p = &h->properties[i];
        for (int64_t k = 0; k < p->columns; ++k) {
            const char *expected = NULL;
            double real = 0;
            int64_t integer;
            bool flag, there = piece_next_word(&rest, &word), used = i == h->position || i == h->species;
            switch (p->type) {
            case 'R':
                /* a column that is not used may hold nan, as forces of a failed step do */
                if (!number_read(word.text, word.length, 0, &real) && (used || !is_not_finite_word(word)))
                    expected = "a number";
                break;
            case 'I':
                if (!number_read_integer(word.text, word.length, &integer)) expected = "an integer";
                break;
            case 'L':
                if (!extxyz_read_flag(word, &flag)) expected = "T or F";
                break;
            default:
                if (!there) expected = "a word";
            }
            if (expected) {
                char what[64];
                size_t length;
                label_set(what, 41, p->name.text, p->name.length);
                length = strlen(what);
                memcpy(what + length, " (column)", 10);
                return bad_word(s, line, expected, what, row, word, err);
            }
            if (i == h->position) a->position[k] = real;
            if (i == h->species) a->number = element_of(word);
        }
    }
    if (piece_next_word(&rest, &word))
        return bad_word(s, line, "the columns of Properties and no more", "the end of the row", row, word, err);
    return VIC_OK;
}

static vic_status read_frame(const struct source *s, struct lines *l, const struct frame *f, struct piece comment,
                             struct file_content *out, vic_error *err)
{
    struct extxyz_header h;
    struct piece row;
    TRY(extxyz_read_header(s->name, l->number, comment, &h, err));
    out->format = h.extended ? "extxyz" : "xyz";
    if (!h.extended) format_set_title(out->title, comment);
    if (h.has_lattice) {
        out->cell.kind = FILE_CELL_VECTORS;
        memcpy(out->cell.vectors, h.lattice, sizeof h.lattice);
        out->cell.line = l->number;
    }
    if (h.has_pbc) {
        out->cell.says_periodic = true;
        out->cell.line = l->number;
        memcpy(out->cell.periodic, h.pbc, sizeof h.pbc);
    }
    for (int64_t i = 0; i < f->count; ++i) {
        struct atom a;
        memset(&a, 0, sizeof a);
        if (!lines_next(l, &row) || (piece_is_blank(row) && lines_only_blank_left(l)))
            return short_file(s, f, i, err);
        if (h.extended)
            TRY(read_extended_row(s, l->number, row, &h, &a, err));
        else
            TRY(read_plain_row(s, l->number, row, &a, err));
        TRY(atoms_append(&out->atoms, &a, err));
    }
    return VIC_OK;
}

/* Goes through all frames and takes the one that is wanted; 0 takes none. */
static vic_status read_frames(const struct source *s, int64_t wanted, struct file_content *out, vic_error *err)
{
    struct lines l = lines_of(s->text, s->size);
    out->models = 0;
    while (!lines_only_blank_left(&l)) {
        struct frame f;
        struct piece line = { "", 0 }, comment = { "", 0 };
        lines_next(&l, &line);
        if (!number_read_integer(line.text, line.length, &f.count) || f.count < 0)
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected the number of atoms of frame %lld, found %s; mend the count of "
                            "the frame before, or remove what follows it",
                            s->name, (long long)l.number, (long long)out->models + 1, quoted(line).text);
        f.count_line = l.number;
        if (!lines_next(&l, &comment) && f.count) return short_file(s, &f, 0, err);
        if (++out->models == wanted) {
            TRY(read_frame(s, &l, &f, comment, out, err));
            continue;
        }
        for (int64_t i = 0; i < f.count; ++i)
            if (!lines_next(&l, &line)) return short_file(s, &f, i, err);
    }
    return VIC_OK;
}

static vic_status read_xyz(const struct source *s, int model, struct file_content *out, vic_error *err)
{
    int64_t wanted = model > 0 ? model : 1;
    out->format = "xyz";
    if (model < 0) {
        TRY(read_frames(s, 0, out, err));
        wanted = format_frame(model, out->models);
        if (!wanted) return format_no_frame(s, model, out->models, err);
    }
    TRY(read_frames(s, wanted, out, err));
    if (out->models < wanted) return format_no_frame(s, model, out->models, err);
    return out->atoms.count ? VIC_OK : format_no_atoms(s, "atom rows", err);
}

const struct format format_xyz = { "xyz", looks_like_xyz, read_xyz };
