/* SPDX-License-Identifier: Apache-2.0 */
/* mmCIF: gemmi reads the syntax, this file what the values mean.  The author's names and numbers are taken where the
 * file has both, as they are what the PDB file of the same entry shows. */
#include "base/memory.h"
#include "structure/element.h"
#include "structure/io/duplicates.h"
#include "structure/io/format.h"
#include "structure/io/gemmi_shim.h"
#include "structure/number.h"

#include <stdio.h>
#include <string.h>

struct reading {
    const struct source *source;
    struct file_content *out;
    struct shim_cif *cif;
    int64_t rows;
    struct duplicates duplicates;
    int64_t last_row; /* taken; -1 before the first */
    bool any_b_factor, any_occupancy;
};

static bool looks_like_mmcif(const struct source *s)
{
    static const char *const starts[] = { "data_", "loop_", "save_", "global_", "_" };
    struct lines l = lines_of(s->text, s->size);
    struct piece line;
    while (lines_next(&l, &line)) {
        line = piece_trim(line);
        if (!line.length || *line.text == '#') continue;
        for (size_t i = 0; i < sizeof starts / sizeof *starts; ++i) {
            size_t k = 0, length = strlen(starts[i]);
            while (k < length && k < line.length && (line.text[k] | 0x20) == (starts[i][k] | 0x20)) ++k;
            if (k == length) return true;
        }
        return false;
    }
    return false;
}

static struct piece as_piece(struct shim_text t)
{
    struct piece p = { t.text ? t.text : "", t.text ? t.length : 0 };
    return p;
}

/* Line of an atom where the file has one atom a line, as all do; 0 otherwise. */
static int64_t row_line(const struct reading *r, int64_t row)
{
    struct lines l = lines_of(r->source->text, r->source->size);
    struct piece line, x = as_piece(shim_cif_site(r->cif, row, SHIM_X));
    int64_t start = shim_cif_sites_line(r->cif), at = 0;
    if (start <= 0) return 0;
    while (lines_next(&l, &line)) {
        struct piece trimmed = piece_trim(line);
        if (l.number < start || !trimmed.length || *trimmed.text == '#') continue;
        if (!at && (*trimmed.text == '_' || (trimmed.length == 5 && (*trimmed.text | 0x20) == 'l'))) continue;
        if (at++ < row) continue;
        for (size_t i = 0; i + x.length <= trimmed.length; ++i) /* an honest check: the value stands there */
            if (memcmp(trimmed.text + i, x.text, x.length) == 0) return l.number;
        return 0;
    }
    return 0;
}

/* "FILE line 30: atom 5 (CD of PCA A 1)" */
struct place {
    char text[400];
};

static struct place place_of(const struct reading *r, int64_t row)
{
    struct place p;
    int64_t line = row_line(r, row);
    struct piece id = as_piece(shim_cif_site(r->cif, row, SHIM_ID));
    char at[40] = "", number[32];
    if (line) snprintf(at, sizeof at, " line %lld", (long long)line);
    snprintf(number, sizeof number, "%lld", (long long)row + 1);
    if (id.length && id.length < sizeof number) snprintf(number, sizeof number, "%.*s", (int)id.length, id.text);
    snprintf(p.text, sizeof p.text, "%s%s: atom %s", r->source->name, at, number);
    return p;
}

/* A number, a standard uncertainty in brackets allowed: 12.345(6). */
static bool read_value(struct shim_text t, double *value)
{
    struct piece p = as_piece(t);
    if (p.length && p.text[p.length - 1] == ')') {
        const char *open = memchr(p.text, '(', p.length);
        if (!open || open + 2 >= p.text + p.length) return false;
        for (const char *c = open + 1; c < p.text + p.length - 1; ++c)
            if (*c < '0' || *c > '9') return false;
        p.length = (size_t)(open - p.text);
    }
    return number_read(p.text, p.length, 0, value);
}

static vic_status read_optional(const struct reading *r, int64_t row, enum shim_column column, float missing,
                                float *value, bool *any, vic_error *err)
{
    struct shim_text t = shim_cif_site(r->cif, row, column);
    double read;
    *value = missing;
    if (t.null) return VIC_OK;
    if (!read_value(t, &read))
        return vic_fail(err, VIC_BAD_INPUT, "%s: expected %s as a number (or ?), found %s; mend the value",
                        place_of(r, row).text, shim_column_names[column], quoted(as_piece(t)).text);
    *value = (float)read;
    *any = true;
    return VIC_OK;
}

/* The author's column where it has a value, else the other. */
static struct piece author(const struct reading *r, int64_t row, enum shim_column auth, enum shim_column label)
{
    struct shim_text t = shim_cif_site(r->cif, row, auth);
    if (t.null) t = shim_cif_site(r->cif, row, label);
    if (t.null) t.length = 0;
    return as_piece(t);
}

static char one_character(struct shim_text t)
{
    return t.null || t.length == 0 || t.text[0] <= ' ' || t.text[0] > '~' ? ' ' : t.text[0];
}

static uint8_t read_element(const struct reading *r, int64_t row, const vic_atom_label *label)
{
    struct piece symbol = as_piece(shim_cif_site(r->cif, row, SHIM_SYMBOL));
    size_t letters = 0;
    uint8_t number;
    while (letters < symbol.length && (symbol.text[letters] | 0x20) >= 'a' && (symbol.text[letters] | 0x20) <= 'z')
        ++letters; /* "FE3+" */
    number = element_from_symbol(symbol.text, letters);
    return number ? number : element_from_name(label->name, label->residue, ELEMENT_COLUMN_NONE, label->hetero);
}

static bool same_text(const struct reading *r, int64_t row, int64_t other, enum shim_column column)
{
    struct piece a = as_piece(shim_cif_site(r->cif, row, column)), b = as_piece(shim_cif_site(r->cif, other, column));
    return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

static bool same_residue(const struct reading *r, int64_t row, int64_t other)
{
    return same_text(r, row, other, SHIM_AUTH_SEQUENCE) && same_text(r, row, other, SHIM_SEQUENCE) &&
           same_text(r, row, other, SHIM_INSERTION) && same_text(r, row, other, SHIM_AUTH_CHAIN) &&
           same_text(r, row, other, SHIM_CHAIN);
}

static vic_status check_duplicate(struct reading *r, int64_t row, const struct atom *a, vic_error *err)
{
    size_t at = r->out->atoms.count, first;
    if (r->last_row < 0 || !same_residue(r, row, r->last_row)) TRY(duplicates_new_residue(&r->duplicates, err));
    TRY(duplicates_add(&r->duplicates, &a->label, at, &first, err));
    if (first == at) return VIC_OK;
    if (duplicates_name_is_no_identity(&a->label, a->number) &&
        memcmp(r->out->atoms.positions + 3 * first, a->position, sizeof a->position) != 0)
        return VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s: expected each atom once, found %s of %s %s %d%.*s again (as in atom %zu of this model); "
                    "remove one, or give the two different label_alt_id",
                    place_of(r, row).text, a->label.name, a->label.residue, a->label.chain, a->label.sequence,
                    a->label.insertion != ' ', &a->label.insertion, first + 1);
}

static vic_status take_atom(struct reading *r, int64_t row, vic_error *err)
{
    struct atom a;
    struct piece text;
    int64_t number;
    memset(&a, 0, sizeof a);
    for (int axis = 0; axis < 3; ++axis) {
        struct shim_text t = shim_cif_site(r->cif, row, (enum shim_column)(SHIM_X + axis));
        if (read_value(t, &a.position[axis])) continue;
        return vic_fail(err, VIC_BAD_INPUT, "%s: expected %s as a number, found %s; mend or remove this atom",
                        place_of(r, row).text, shim_column_names[SHIM_X + axis], quoted(as_piece(t)).text);
    }
    TRY(read_optional(r, row, SHIM_OCCUPANCY, 1.0f, &a.occupancy, &r->any_occupancy, err));
    TRY(read_optional(r, row, SHIM_B_FACTOR, 0.0f, &a.b_factor, &r->any_b_factor, err));
    text = author(r, row, SHIM_AUTH_NAME, SHIM_NAME);
    label_set(a.label.name, sizeof a.label.name, text.text, text.length);
    text = author(r, row, SHIM_AUTH_RESIDUE, SHIM_RESIDUE);
    label_set(a.label.residue, sizeof a.label.residue, text.text, text.length);
    text = author(r, row, SHIM_AUTH_CHAIN, SHIM_CHAIN);
    label_set(a.label.chain, sizeof a.label.chain, text.text, text.length);
    text = author(r, row, SHIM_AUTH_SEQUENCE, SHIM_SEQUENCE);
    if (number_read_integer(text.text, text.length, &number) && number >= INT32_MIN && number <= INT32_MAX)
        a.label.sequence = (int32_t)number;
    a.label.insertion = one_character(shim_cif_site(r->cif, row, SHIM_INSERTION));
    a.label.altloc = one_character(shim_cif_site(r->cif, row, SHIM_ALTLOC));
    a.label.hetero = piece_is(as_piece(shim_cif_site(r->cif, row, SHIM_GROUP)), "HETATM");
    a.number = read_element(r, row, &a.label);
    TRY(check_duplicate(r, row, &a, err));
    r->last_row = row;
    return atoms_append(&r->out->atoms, &a, err);
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* Atoms of the chosen model; models may have different sizes and may be mixed. */
static vic_status take_model(struct reading *r, int wanted, vic_error *err)
{
    vic_status st = VIC_OK;
    int64_t *numbers = NULL, chosen;
    size_t different = 0, rows = (size_t)r->rows;
    TRY(mem_array(rows, sizeof *numbers, "model numbers", &numbers, err));
    for (int64_t row = 0; row < r->rows; ++row) {
        struct shim_text t = shim_cif_site(r->cif, row, SHIM_MODEL);
        struct piece p = as_piece(t);
        numbers[row] = 1;
        if (t.null || number_read_integer(p.text, p.length, &numbers[row])) continue;
        st = vic_fail(err, VIC_BAD_INPUT, "%s: expected %s as an integer, found %s; number the models",
                      place_of(r, row).text, shim_column_names[SHIM_MODEL], quoted(p).text);
        goto done;
    }
    chosen = wanted ? wanted : numbers[0];
    for (int64_t row = 0; row < r->rows; ++row)
        if (numbers[row] == chosen) TRY_GOTO(take_atom(r, row, err), done);
    qsort(numbers, rows, sizeof *numbers, compare_numbers);
    for (size_t i = 0; i < rows; ++i)
        if (!different || numbers[i] != numbers[different - 1]) numbers[different++] = numbers[i];
    r->out->models = (int64_t)different;
    if (!r->out->atoms.count) st = format_no_model(r->source, wanted, numbers, different, err);
done:
    free(numbers);
    return st;
}

static vic_status read_cell(struct reading *r, vic_error *err)
{
    static const char *const tags[6] = { "_cell.length_a",    "_cell.length_b",   "_cell.length_c",
                                         "_cell.angle_alpha", "_cell.angle_beta", "_cell.angle_gamma" };
    struct file_cell *cell = &r->out->cell;
    double p[6];
    int nulls = 0;
    for (int i = 0; i < 6; ++i) {
        struct shim_text t = shim_cif_value(r->cif, tags[i]);
        p[i] = 0;
        if (t.null)
            ++nulls;
        else if (!read_value(t, &p[i]))
            return vic_fail(err, VIC_BAD_INPUT, "%s: expected %s as a number (or ?), found %s; mend the value",
                            r->source->name, tags[i], quoted(as_piece(t)).text);
    }
    if (nulls == 6 || (!nulls && format_cell_is_dummy(p))) return VIC_OK;
    cell->kind = FILE_CELL_PARAMETERS; /* what is missing is 0 and will be refused, unless a cell is given */
    memcpy(cell->parameters, p, sizeof p);
    cell->has_fractional = true;
    for (int i = 0; i < 3; ++i)
        for (int k = 0; k < 4; ++k) {
            char tag[64];
            if (k < 3)
                snprintf(tag, sizeof tag, "_atom_sites.fract_transf_matrix[%d][%d]", i + 1, k + 1);
            else
                snprintf(tag, sizeof tag, "_atom_sites.fract_transf_vector[%d]", i + 1);
            if (!read_value(shim_cif_value(r->cif, tag), &cell->fractional[i][k])) cell->has_fractional = false;
        }
    return VIC_OK;
}

static void read_heading(struct reading *r)
{
    static const char *const groups[] = { "_symmetry.space_group_name_H-M", "_space_group.name_H-M_alt",
                                          "_symmetry.Int_Tables_number", "_space_group.IT_number" };
    struct shim_text title = shim_cif_value(r->cif, "_struct.title");
    if (!title.null) format_set_title(r->out->title, as_piece(title));
    if (r->out->cell.kind == FILE_CELL_NONE) return;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; ++i) {
        struct shim_text t = shim_cif_value(r->cif, groups[i]);
        if (t.null || !t.length) continue;
        label_set(r->out->space_group, sizeof r->out->space_group, t.text, t.length);
        return;
    }
}

static vic_status open_cif(struct reading *r, vic_error *err)
{
    const struct source *s = r->source;
    char why[300], place[40] = "";
    int64_t line;
    if (!shim_cif_open(s->text, s->size, &r->cif, &r->rows, &line, why, sizeof why)) {
        if (line < 0) return vic_fail(err, VIC_NO_MEMORY, "%s: out of memory: parsing the CIF", s->name);
        if (line) snprintf(place, sizeof place, " line %lld", (long long)line);
        return vic_fail(err, VIC_BAD_INPUT, "%s%s: expected correct CIF, found: %s; mend it there or fetch it again",
                        s->name, place, why);
    }
    if (r->rows > 0) return VIC_OK;
    if (shim_cif_has_fractional_sites(r->cif))
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected a macromolecular mmCIF (_atom_site.Cartn_x), found a small-molecule CIF "
                        "(_atom_site_fract_x), a format that is not read yet; convert it to extXYZ",
                        s->name);
    return format_no_atoms(s, "a CIF with an _atom_site.Cartn_x loop", err);
}

static vic_status read_mmcif(const struct source *s, int model, struct file_content *out, vic_error *err)
{
    struct reading r = { 0 };
    vic_status st = VIC_OK;
    r.source = s;
    r.out = out;
    r.last_row = -1;
    out->format = "mmcif";
    out->atoms.has_labels = out->atoms.has_b_factors = out->atoms.has_occupancies = true;
    TRY_GOTO(open_cif(&r, err), done);
    TRY_GOTO(read_cell(&r, err), done);
    read_heading(&r);
    if (shim_cif_no_memory(r.cif)) {
        st = vic_fail(err, VIC_NO_MEMORY, "%s: out of memory: reading the CIF's cell and names", s->name);
        goto done;
    }
    TRY_GOTO(take_model(&r, model, err), done);
    out->atoms.has_b_factors = r.any_b_factor;
    out->atoms.has_occupancies = r.any_occupancy;
done:
    duplicates_free(&r.duplicates);
    shim_cif_close(r.cif);
    return st;
}

const struct format format_mmcif = { "mmcif", looks_like_mmcif, read_mmcif };
