/* SPDX-License-Identifier: Apache-2.0 */
/* VASP's POSCAR and CONTCAR: comment, scale, three vectors, elements (since VASP 5), counts, rows.  There is no magic
 * word; the shape of lines 2 to 7 distinguishes it from other formats. */
#include "base/memory.h"
#include "structure/cell.h"
#include "structure/element.h"
#include "structure/io/format.h"
#include "structure/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct reading {
    const struct source *source;
    struct lines lines;
    struct file_content *out;
    struct piece comment;
    double scale[3];    /* of the Cartesian components */
    bool scale_unknown; /* it follows from a volume, and the vectors cannot be used */
    int64_t *counts;    /* of each species, in the order of the rows */
    uint8_t *elements;
    size_t species, capacity;
    bool known;     /* elements are stated: by a line of their own, or by the comment */
    bool every_row; /* each row names an element so far */
    bool cartesian;
    int64_t atoms, counts_line;
};

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* What stands before a comment. */
static struct piece content_of(struct piece line)
{
    for (size_t i = 0; i < line.length; ++i)
        if (line.text[i] == '!' || line.text[i] == '#') line.length = i;
    return line;
}

/* Numbers at the front of a line, at most `most`; what follows them (remarks, flags) does not matter. */
static int numbers_of(struct piece line, double *out, int most, struct piece *rest)
{
    struct piece word;
    int count = 0;
    *rest = content_of(line);
    for (struct piece left = *rest; count < most && piece_next_word(&left, &word); *rest = left)
        if (!number_read(word.text, word.length, 0, &out[count++])) return count - 1;
    return count;
}

static bool is_counts(struct piece line)
{
    struct piece rest = content_of(line), word;
    int64_t value;
    bool any = false;
    for (; piece_next_word(&rest, &word); any = true)
        if (!number_read_integer(word.text, word.length, &value)) return false;
    return any;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t length = strlen(name), wanted = strlen(suffix);
    return length >= wanted && strcmp(name + length - wanted, suffix) == 0;
}

static bool has_poscar_name(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    return strncmp(name, "POSCAR", 6) == 0 || strncmp(name, "CONTCAR", 7) == 0 || has_suffix(name, ".vasp") ||
           has_suffix(name, ".poscar");
}

/* "Fe", also POTCAR names: "Fe_pv", "O.5_h", "Ti/1a2b3c". */
static uint8_t element_of(struct piece word)
{
    size_t letters = 0;
    while (letters < word.length && is_letter(word.text[letters])) ++letters;
    return element_from_symbol(word.text, letters);
}

static bool begins_with_letter(struct piece line)
{
    line = piece_trim(line);
    return line.length && is_letter(*line.text);
}

/* Where many species do not fit one line of elements, symbols go on in the next. */
static bool goes_on_with_elements(struct piece line)
{
    struct piece rest = content_of(line), word;
    bool any = false;
    for (; piece_next_word(&rest, &word); any = true)
        if (!element_of(word)) return false;
    return any;
}

/* By content: numbers and counts where they belong. */
static bool is_poscar(const struct source *s)
{
    struct lines l = lines_of(s->text, s->size);
    struct piece line, rest;
    double v[4];
    int count;
    for (int skipped = 0; skipped < 2; ++skipped) /* the comment; then the scale is in the line at hand */
        if (!lines_next(&l, &line)) return false;
    count = numbers_of(line, v, 4, &rest);
    if (count != 1 && count != 3) return false;
    for (int i = 0; i < 3; ++i)
        if (!lines_next(&l, &line) || numbers_of(line, v, 4, &rest) != 3) return false;
    if (!lines_next(&l, &line)) return false;
    if (is_counts(line)) return true;
    if (!begins_with_letter(line)) return false;
    do
        if (!lines_next(&l, &line)) return false;
    while (goes_on_with_elements(line));
    return is_counts(line);
}

/* The name decides who explains what is wrong with a file that almost looks so. */
static bool looks_like_poscar(const struct source *s)
{
    struct lines l = lines_of(s->text, s->size);
    struct piece line, rest;
    double v[4];
    int count;
    if (!has_poscar_name(s->name)) return is_poscar(s);
    for (int skipped = 0; skipped < 2; ++skipped)
        if (!lines_next(&l, &line)) return false;
    count = numbers_of(line, v, 4, &rest);
    return count == 1 || count == 3;
}

static vic_status next_line(struct reading *r, const char *expected, struct piece *line, vic_error *err)
{
    if (lines_next(&r->lines, line)) return VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected %s after this line, found the end of the file; it seems to have been "
                    "cut: fetch it again",
                    r->source->name, (long long)r->lines.number, expected);
}

static vic_status bad_line(const struct reading *r, const char *expected, struct piece found, vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT, "%s line %lld: expected %s, found %s; fix the line", r->source->name,
                    (long long)r->lines.number, expected, quoted(found).text);
}

static vic_status read_cell(struct reading *r, vic_error *err)
{
    struct file_cell *cell = &r->out->cell;
    struct piece line = { "", 0 }, rest;
    int64_t scale_line;
    double scale[4];
    int count;
    TRY(next_line(r, "the scale", &line, err));
    count = numbers_of(line, scale, 4, &rest);
    scale_line = r->lines.number;
    if (count != 1 && count != 3)
        return bad_line(r, "the scale as one number (the cell's volume where negative) or three", line, err);
    for (int i = 0; i < count; ++i)
        if (scale[i] == 0 || (count == 3 && scale[i] < 0))
            return bad_line(r, count == 3 ? "three scales above 0" : "a scale other than 0", line, err);
    for (int i = 0; i < 3; ++i) r->scale[i] = scale[count == 3 ? i : 0];
    for (int i = 0; i < 3; ++i) {
        TRY(next_line(r, "a cell vector as three numbers", &line, err));
        if (numbers_of(line, cell->vectors[i], 3, &rest) == 3 || *cell->problem) continue;
        cell->line = r->lines.number;
        snprintf(cell->problem, sizeof cell->problem, "expected a cell vector as three numbers, found %s",
                 quoted(line).text);
    }
    if (count == 1 && scale[0] < 0 && !*cell->problem) {
        double volume = fabs(cell_volume(CELL(cell->vectors))), factor = cbrt(-scale[0] / volume);
        if (!(volume > 0) || !isfinite(factor)) {
            cell->line = scale_line + 1;
            snprintf(cell->problem, sizeof cell->problem,
                     "expected cell vectors with a volume, to be scaled to the %g A^3 of line %lld, found a flat "
                     "cell",
                     -scale[0], (long long)scale_line);
        }
        for (int i = 0; i < 3; ++i) r->scale[i] = factor;
    }
    r->scale_unknown = count == 1 && scale[0] < 0 && *cell->problem;
    if (*cell->problem) return VIC_OK;
    cell->kind = FILE_CELL_VECTORS;
    cell->line = scale_line + 1;
    for (int i = 0; i < 9; ++i) cell->vectors[i / 3][i % 3] *= r->scale[i % 3];
    return VIC_OK;
}

static vic_status add_species(struct reading *r, size_t at, vic_error *err)
{
    size_t same = r->capacity;
    TRY(mem_grow(&r->counts, &same, at + 1, sizeof *r->counts, "species", err));
    TRY(mem_grow(&r->elements, &r->capacity, at + 1, sizeof *r->elements, "species", err));
    r->species = at + 1;
    return VIC_OK;
}

static vic_status read_elements(struct reading *r, struct piece line, vic_error *err)
{
    struct piece rest = content_of(line), word;
    r->known = true;
    while (piece_next_word(&rest, &word)) {
        TRY(add_species(r, r->species, err));
        r->elements[r->species - 1] = element_of(word);
    }
    return VIC_OK;
}

static vic_status count_species(struct reading *r, struct piece line, size_t *at, vic_error *err)
{
    struct piece rest = content_of(line), word;
    for (; piece_next_word(&rest, &word); ++*at) {
        if (*at >= r->species && r->known)
            return bad_line(r, "as many counts as there are elements before", line, err);
        if (*at >= r->species) TRY(add_species(r, *at, err));
        if (!number_read_integer(word.text, word.length, &r->counts[*at]) || r->counts[*at] < 0)
            return bad_line(r, "the number of atoms of each species", line, err);
        /* each row takes six bytes at least: absurd counts end here */
        if (r->counts[*at] > (int64_t)r->source->size - r->atoms)
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected counts that the file has rows for, found %s in a file of %zu "
                            "bytes; fix the counts",
                            r->source->name, (long long)r->lines.number, quoted(line).text, r->source->size);
        r->atoms += r->counts[*at];
    }
    return VIC_OK;
}

/* In as many lines as it takes, where the elements determine how many there must be. */
static vic_status read_counts(struct reading *r, struct piece line, vic_error *err)
{
    size_t at = 0;
    r->counts_line = r->lines.number;
    TRY(count_species(r, line, &at, err));
    while (at && at < r->species) {
        struct lines next = r->lines;
        if (!lines_next(&next, &line) || !is_counts(line)) break;
        r->lines = next;
        TRY(count_species(r, line, &at, err));
    }
    if (!at || at != r->species) return bad_line(r, "as many counts as there are elements before", line, err);
    return VIC_OK;
}

/* A comment that is nothing but symbols, one for each species: "Mn12 O12", "# Fe O", "Al2O3".  Case matters here:
 * "Co" is one, "CO" two. */
static void elements_from_comment(struct reading *r)
{
    struct piece c = piece_trim(r->comment);
    size_t at = 0;
    if (c.length && (*c.text == '#' || *c.text == '!')) ++c.text, --c.length;
    while (c.length) {
        size_t letters;
        uint8_t z;
        if (*c.text == ' ' || *c.text == '\t') {
            ++c.text, --c.length;
            continue;
        }
        if (*c.text < 'A' || *c.text > 'Z') return;
        letters = c.length > 1 && c.text[1] >= 'a' && c.text[1] <= 'z' ? 2 : 1;
        z = element_from_symbol(c.text, letters);
        if (!z || at == r->species) return;
        r->elements[at++] = z;
        c.text += letters, c.length -= letters;
        while (c.length && *c.text >= '0' && *c.text <= '9') ++c.text, --c.length;
    }
    r->known = at == r->species;
}

/* "T T F", "Fe", "# V1" after the coordinates. */
static uint8_t element_of_row(struct piece after)
{
    struct piece word;
    for (int flags = 0; piece_next_word(&after, &word);) {
        while (word.length && (*word.text == '#' || *word.text == '!')) ++word.text, --word.length;
        if (!word.length) continue;
        if (flags < 3 && word.length == 1 && (*word.text == 'T' || *word.text == 'F')) {
            ++flags;
            continue;
        }
        return element_of(word);
    }
    return 0;
}

static vic_status read_row(struct reading *r, int64_t index, struct piece line, uint8_t element, vic_error *err)
{
    struct piece rest;
    struct atom a;
    memset(&a, 0, sizeof a);
    if (numbers_of(line, a.position, 3, &rest) < 3)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected x, y, z of atom %lld of the %lld that line %lld announces, found %s; "
                        "fix the row or the counts",
                        r->source->name, (long long)r->lines.number, (long long)index + 1, (long long)r->atoms,
                        (long long)r->counts_line, quoted(line).text);
    for (int k = 0; r->cartesian && k < 3; ++k) a.position[k] *= r->scale[k];
    a.number = element;
    if (!r->known) {
        rest.length = (size_t)(line.text + line.length - rest.text); /* with the comment */
        a.number = element_of_row(rest);
        r->every_row = r->every_row && a.number;
    }
    return atoms_append(&r->out->atoms, &a, err);
}

static vic_status read_rows(struct reading *r, vic_error *err)
{
    struct piece line = { "", 0 }, rest;
    int64_t index = 0;
    double v[3];
    r->every_row = true;
    for (size_t k = 0; k < r->species; ++k)
        for (int64_t i = 0; i < r->counts[k]; ++i, ++index) {
            if (!lines_next(&r->lines, &line))
                return vic_fail(err, VIC_BAD_INPUT,
                                "%s line %lld: expected %lld rows, as these counts say, found %lld up to the end of "
                                "the file; fix the counts, or fetch the file again if it was cut",
                                r->source->name, (long long)r->counts_line, (long long)r->atoms, (long long)index);
            TRY(read_row(r, index, line, r->elements[k], err));
        }
    /* velocities come after a line without numbers: a further row was not counted */
    if (lines_next(&r->lines, &line) && numbers_of(line, v, 3, &rest) == 3)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected %lld rows, as the counts of line %lld say, found one more; fix the "
                        "counts",
                        r->source->name, (long long)r->lines.number, (long long)r->atoms, (long long)r->counts_line);
    if (!r->known && !r->every_row)
        memset(r->out->atoms.numbers, 0, r->out->atoms.count * sizeof *r->out->atoms.numbers);
    return VIC_OK;
}

/* VASP's rule: c and k are Cartesian, and all else is direct, also a blank line.  But a number begins a row or a
 * count that is one too many. */
static vic_status read_mode(struct reading *r, struct piece word, vic_error *err)
{
    char first = (char)(word.length ? *word.text | 0x20 : 'd');
    if (word.length && !is_letter(*word.text)) return bad_line(r, "Direct or Cartesian", word, err);
    if (piece_begins(word, "Direct configuration")) /* its frames would pass for one */
        return bad_line(r, "Direct or Cartesian of a POSCAR (XDATCAR is not read: convert it to extXYZ)", word, err);
    r->cartesian = first == 'c' || first == 'k';
    r->out->fractional = !r->cartesian;
    if (!word.length || (!r->cartesian && first != 'd'))
        format_note(r->out->notes,
                    "Line %lld says neither Direct nor Cartesian (%s): as in VASP, positions were taken as direct.",
                    (long long)r->lines.number, quoted(word).text);
    if (r->cartesian && r->scale_unknown)
        return vic_fail(err, VIC_BAD_INPUT, "%s line %lld: %s; fix the vectors", r->source->name,
                        (long long)r->out->cell.line, r->out->cell.problem);
    return VIC_OK;
}

static vic_status read_all(struct reading *r, vic_error *err)
{
    struct piece line = { "", 0 }, word;
    lines_next(&r->lines, &r->comment);
    format_set_title(r->out->title, r->comment);
    TRY(read_cell(r, err));
    TRY(next_line(r, "elements or counts", &line, err));
    if (!is_counts(line)) {
        do {
            TRY(read_elements(r, line, err));
            TRY(next_line(r, "counts", &line, err));
        } while (goes_on_with_elements(line));
    }
    TRY(read_counts(r, line, err));
    if (!r->known) {
        elements_from_comment(r);
        if (!r->known) memset(r->elements, 0, r->species * sizeof *r->elements);
    }
    TRY(next_line(r, "Direct or Cartesian", &line, err));
    word = piece_trim(line);
    if (word.length && (*word.text | 0x20) == 's') { /* Selective dynamics */
        TRY(next_line(r, "Direct or Cartesian", &line, err));
        word = piece_trim(line);
    }
    TRY(read_mode(r, word, err));
    return read_rows(r, err);
}

static vic_status read_poscar(const struct source *s, int model, struct file_content *out, vic_error *err)
{
    struct reading r = { 0 };
    vic_status st = VIC_OK;
    r.source = s;
    r.lines = lines_of(s->text, s->size);
    r.out = out;
    r.comment.text = "";
    out->format = "poscar";
    out->models = 1;
    if (!format_frame(model, 1)) return format_no_frame(s, "model", model, 1, err);
    TRY_GOTO(read_all(&r, err), done);
    if (!out->atoms.count) st = format_no_atoms(s, "counts above 0", err);
done:
    free(r.counts);
    free(r.elements);
    return st;
}

const struct format format_poscar = { "poscar", looks_like_poscar, read_poscar, is_poscar };
