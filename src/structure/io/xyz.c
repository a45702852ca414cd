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

struct reading {
    const struct source *source;
    struct lines lines;
    struct file_content *out;
    int64_t wanted;              /* frame; 0 takes none */
    bool taken, just_taken;      /* the wanted frame; it is the last that was read */
    bool of_lammps;              /* so does the comment of the wanted frame begin */
    bool uncounted;              /* the failure is a row more than the count of the wanted frame */
    struct extxyz_header header; /* of the wanted frame */
};

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* Blank lines stand between frames here and there. */
static bool next_count(struct lines *l, struct piece *line, int64_t *count)
{
    do
        if (!lines_next(l, line)) return false;
    while (piece_is_blank(*line));
    return number_read_integer(line->text, line->length, count);
}

static bool looks_like_xyz(const struct source *s)
{
    struct lines l = lines_of(s->text, s->size);
    struct piece line = { "", 0 };
    int64_t number;
    return next_count(&l, &line, &number);
}

/* "Fe", "FE", "26", and labels such as "C1", "O_w"; 0 for what is no element (dummy atoms, beads). */
static uint8_t element_of(struct piece species)
{
    static const char *const dummies[] = { "bq", "du" }; /* neither boron nor deuterium */
    int64_t number;
    size_t letters = 0;
    uint8_t z;
    if (number_read_integer(species.text, species.length, &number))
        return number > 0 && number < ELEMENT_COUNT ? (uint8_t)number : 0;
    while (letters < species.length && is_letter(species.text[letters])) ++letters;
    for (size_t i = 0; i < sizeof dummies / sizeof *dummies; ++i)
        if (letters == 2 && (species.text[0] | 0x20) == dummies[i][0] && (species.text[1] | 0x20) == dummies[i][1])
            return 0;
    z = element_from_symbol(species.text, letters);
    return z || letters != 2 ? z : element_from_symbol(species.text, 1);
}

/* MD programs write names of atoms here.  A beta carbon is no element, so where there is one CA is no calcium. */
static bool is_beta_carbon(struct piece row)
{
    struct piece word;
    return piece_next_word(&row, &word) && piece_is(word, "CB");
}

/* The rows again, of which some are a protein's: what its atoms are called and elements are, too. */
static void take_names(struct file_content *out, struct lines l)
{
    /* that would be read as another element, or as none */
    static const char *const names[] = { "CA", "CD", "CE", "HE", "HG", "HO", "ND", "NE", "NH", "OG", "OXT", "SG" };
    size_t changed = 0;
    struct piece row, word;
    for (size_t i = 0; i < out->atoms.count && lines_next(&l, &row); ++i) {
        if (!piece_next_word(&row, &word)) continue;
        for (size_t k = 0; k < sizeof names / sizeof *names; ++k) {
            size_t length = strlen(names[k]);
            if (!piece_begins(word, names[k]) || (word.length > length && is_letter(word.text[length]))) continue;
            out->atoms.numbers[i] = element_from_symbol(names[k], 1);
            ++changed;
        }
    }
    if (changed)
        format_note(
            out->notes,
            "The first column holds names of a protein's atoms (CB), so CA, CD, HE, NE, OG, SG and their like "
            "(%zu rows) were taken as C, H, N, O and S.",
            changed);
}

static bool is_number(struct piece row)
{
    struct piece word;
    int64_t number;
    return piece_next_word(&row, &word) && number_read_integer(word.text, word.length, &number);
}

/* LAMMPS writes types where it was given no elements. */
static void forget_types(struct file_content *out, struct lines l)
{
    struct piece row;
    for (size_t i = 0; i < out->atoms.count && lines_next(&l, &row); ++i)
        if (is_number(row)) out->atoms.numbers[i] = 0;
    format_note(out->notes, "LAMMPS wrote types of atoms into the first column, so their elements are not known "
                            "(dump_modify element writes them).");
}

static vic_status short_file(const struct source *s, const struct frame *f, int64_t rows, vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected %lld atom rows after this count and its comment line, found %lld up to "
                    "the end of the file; fix the count, or fetch the file again if it was cut",
                    s->name, (long long)f->count_line, (long long)f->count, (long long)rows);
}

static vic_status bad_word(const struct source *s, int64_t line, const char *expected, const char *what,
                           struct piece row, struct piece word, vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected %s for %s, found %s in the row %s; fix or remove the row", s->name,
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

/* The used columns.  Others are not looked at; but where words stand before a used one, there must be as many columns
 * as Properties says, and where the file ends in this row, for what is the last word may have been cut. */
static vic_status read_extended_row(const struct source *s, const struct lines *l, struct piece row,
                                    const struct extxyz_header *h, struct atom *a, vic_error *err)
{
    struct piece rest = row, word = { "", 0 };
    int64_t line = l->number, last = h->species > h->position + 2 ? h->species : h->position + 2, at = 0;
    if ((h->words_before || l->open) && h->columns > last + 1) last = h->columns - 1;
    for (; at <= last; ++at) {
        bool there = piece_next_word(&rest, &word), position = at >= h->position && at < h->position + 3;
        if (position && !number_read(word.text, word.length, 0, &a->position[at - h->position]))
            return bad_word(s, line, "a number", "pos (column)", row, word, err);
        if (!there) return bad_word(s, line, "the columns of Properties", "this row", row, word, err);
        if (at == h->species) a->number = element_of(word);
    }
    if (h->words_before && h->columns >= 0 && piece_next_word(&rest, &word))
        return bad_word(s, line, "the columns of Properties and no more", "the end of the row", row, word, err);
    return VIC_OK;
}

static vic_status read_row(const struct reading *r, struct piece row, struct atom *a, vic_error *err)
{
    memset(a, 0, sizeof *a);
    if (r->header.extended) return read_extended_row(r->source, &r->lines, row, &r->header, a, err);
    return read_plain_row(r->source, r->lines.number, row, a, err);
}

static vic_status read_header(struct reading *r, struct piece comment, vic_error *err)
{
    struct extxyz_header *h = &r->header;
    struct file_content *out = r->out;
    int64_t line = r->lines.number;
    TRY(extxyz_read_header(r->source->name, line, comment, h, err));
    r->of_lammps = piece_begins(comment, "Atoms. Timestep:");
    out->format = h->extended ? "extxyz" : "xyz";
    if (!h->extended) format_set_title(out->title, comment);
    if (h->has_lattice) {
        out->cell.kind = FILE_CELL_VECTORS;
        memcpy(out->cell.vectors, h->lattice, sizeof h->lattice);
        out->cell.line = line;
    }
    if (h->has_parameters) {
        out->cell.kind = FILE_CELL_PARAMETERS;
        memcpy(out->cell.parameters, h->parameters, sizeof h->parameters);
        out->cell.line = line;
    }
    if (h->unit_assumed)
        format_note(out->notes, "The cell in line %lld has no unit (cell{angstrom}): it was taken as angstrom.",
                    (long long)line);
    if (h->cell_left.length)
        format_note(out->notes,
                    "Line %lld may hold a cell, %s, in a form that is not read: give the cell with --cell, or write "
                    "it as Lattice=\"...\".",
                    (long long)line, quoted(h->cell_left).text);
    if (*h->lattice_problem) {
        memcpy(out->cell.problem, h->lattice_problem, sizeof h->lattice_problem);
        out->cell.line = line;
    }
    if (h->has_pbc) {
        out->cell.says_periodic = true;
        out->cell.line = line;
        memcpy(out->cell.periodic, h->pbc, sizeof h->pbc);
    }
    return VIC_OK;
}

static vic_status read_rows(struct reading *r, const struct frame *f, vic_error *err)
{
    const struct lines begin = r->lines;
    struct piece row;
    bool names = false, types = false;
    for (int64_t i = 0; i < f->count; ++i) {
        struct atom a;
        if (!lines_next(&r->lines, &row) || (piece_is_blank(row) && lines_only_blank_left(&r->lines)))
            return short_file(r->source, f, i, err);
        TRY(read_row(r, row, &a, err));
        names = names || (!r->header.extended && is_beta_carbon(row));
        types = types || (r->of_lammps && is_number(row));
        TRY(atoms_append(&r->out->atoms, &a, err));
    }
    if (names) take_names(r->out, begin);
    if (types) forget_types(r->out, begin);
    return VIC_OK;
}

static vic_status read_frame(struct reading *r, vic_error *err)
{
    struct frame f = { 0, 0 };
    struct piece line = { "", 0 }, comment = { "", 0 };
    struct atom a;
    if (!next_count(&r->lines, &line, &f.count) || f.count < 0) {
        /* the frame that is taken may have more rows than its count says, or lattice vectors behind them */
        if (r->just_taken && piece_begins(line, "Vector1 ")) {
            r->uncounted = true;
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected the end of the frame, found a lattice vector behind its rows "
                            "(Open Babel's exyz); write the three as Lattice=\"...\" in the comment, or remove them "
                            "and give the cell (--cell a,b,c,alpha,beta,gamma)",
                            r->source->name, (long long)r->lines.number);
        }
        r->uncounted = r->just_taken && (read_row(r, line, &a, NULL) == VIC_OK || piece_begins(line, "Tv ") ||
                                         piece_begins(line, "TV "));
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected the number of atoms of frame %lld, found %s; fix the count of "
                        "the frame before, or remove what follows it",
                        r->source->name, (long long)r->lines.number, (long long)r->out->models + 1,
                        quoted(line).text);
    }
    f.count_line = r->lines.number;
    if (!lines_next(&r->lines, &comment) && f.count) return short_file(r->source, &f, 0, err);
    r->just_taken = r->out->models + 1 == r->wanted;
    if (r->just_taken) {
        TRY(read_header(r, comment, err));
        TRY(read_rows(r, &f, err));
        r->taken = true;
    } else {
        for (int64_t i = 0; i < f.count; ++i)
            if (!lines_next(&r->lines, &line)) return short_file(r->source, &f, i, err);
    }
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
        if (r.taken && !r.uncounted && st == VIC_BAD_INPUT) return format_note_fault(out, wanted, s, &fault), VIC_OK;
        if (err) *err = fault;
        return st;
    }
    return VIC_OK;
}

/* The head holds a header of extXYZ, or an element and three numbers where the first atom must be. */
static bool is_xyz(const struct source *s)
{
    struct reading r = { .source = s, .lines = lines_of(s->text, s->size) };
    struct piece line = { "", 0 }, word;
    struct atom a;
    int64_t count, integer;
    double number;
    if (!next_count(&r.lines, &line, &count) || count < 1 || !lines_next(&r.lines, &line)) return false;
    if (extxyz_read_header(s->name, 2, line, &r.header, NULL) != VIC_OK || r.header.extended) return true;
    if (!lines_next(&r.lines, &line) || read_plain_row(s, 3, line, &a, NULL) != VIC_OK) return false;
    piece_next_word(&line, &word);
    return !number_read(word.text, word.length, 0, &number) || number_read_integer(word.text, word.length, &integer);
}

static vic_status read_xyz(const struct source *s, int model, struct file_content *out, vic_error *err)
{
    int64_t wanted = model > 0 ? model : 1;
    out->format = "xyz";
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

const struct format format_xyz = { "xyz", looks_like_xyz, read_xyz, is_xyz };
