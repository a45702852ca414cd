/* SPDX-License-Identifier: Apache-2.0 */
/* mmCIF: gemmi reads the syntax, this file what the values mean.  The author's names and numbers are taken where the
 * file has both, as they are what the PDB file of the same entry shows. */
#include "base/memory.h"
#include "structure/element.h"
#include "structure/io/cif.h"
#include "structure/number.h"

#include <stdio.h>
#include <string.h>

/* Columns of _atom_site that are read, and their names. */
enum column {
    X,
    Y,
    Z,
    ID,
    GROUP,
    SYMBOL,
    NAME,
    AUTH_NAME,
    ALTLOC,
    RESIDUE,
    AUTH_RESIDUE,
    CHAIN,
    AUTH_CHAIN,
    SEQUENCE,
    AUTH_SEQUENCE,
    INSERTION,
    OCCUPANCY,
    B_FACTOR,
    MODEL,
    COLUMNS
};
#define SITE "_atom_site."
static const char *const tags[COLUMNS] = {
    SITE "Cartn_x",
    SITE "Cartn_y",
    SITE "Cartn_z",
    SITE "id",
    SITE "group_PDB",
    SITE "type_symbol",
    SITE "label_atom_id",
    SITE "auth_atom_id",
    SITE "label_alt_id",
    SITE "label_comp_id",
    SITE "auth_comp_id",
    SITE "label_asym_id",
    SITE "auth_asym_id",
    SITE "label_seq_id",
    SITE "auth_seq_id",
    SITE "pdbx_PDB_ins_code",
    SITE "occupancy",
    SITE "B_iso_or_equiv",
    SITE "pdbx_PDB_model_num",
};
static const char *column_name(enum column column)
{
    return tags[column] + sizeof SITE - 1;
}

enum { MOST_LONG_LABELS = 26 };

struct reading {
    const struct source *source;
    struct file_content *out;
    struct shim_cif *cif;
    int block;
    struct shim_table sites;
    bool any_b_factor, any_occupancy;
    struct piece long_label[MOST_LONG_LABELS]; /* see read_altloc() */
    size_t long_labels;
};

static struct shim_text site(const struct reading *r, int64_t row, enum column column)
{
    return shim_cif_cell(r->cif, &r->sites, row, (int)column);
}

/* "FILE line 30: atom 5 (CD of PCA A 1)" */
struct place {
    char text[400];
};

static struct place place_of(const struct reading *r, int64_t row)
{
    struct place p;
    struct piece id = cif_piece(site(r, row, ID));
    char number[32];
    label_set(number, sizeof number, id.text, id.length);
    if (!*number) snprintf(number, sizeof number, "%lld", (long long)row + 1);
    snprintf(p.text, sizeof p.text, "%s line %lld: atom %s", r->source->name,
             (long long)cif_line(r->source, site(r, row, X)), number);
    return p;
}

static vic_status read_optional(struct reading *r, int64_t row, enum column column, float missing, float *value,
                                bool *any, vic_error *err)
{
    struct shim_text t = site(r, row, column);
    double read;
    *value = missing;
    if (t.null) return VIC_OK;
    if (cif_number(t, &read)) {
        *value = (float)read;
        *any = true;
        return VIC_OK;
    }
    if (t.text && number_is_none(t.text, t.length)) {
        format_none(r->out, column_name(column), r->out->none_count ? 0 : cif_line(r->source, t));
        return VIC_OK;
    }
    return vic_fail(err, VIC_BAD_INPUT, "%s: expected %s as a number (or ?), found %s; fix the value",
                    place_of(r, row).text, column_name(column), quoted(cif_piece(t)).text);
}

/* The author's column where it has a value, else the other. */
static struct piece author(const struct reading *r, int64_t row, enum column auth, enum column label)
{
    struct shim_text t = site(r, row, auth);
    if (t.null) t = site(r, row, label);
    if (t.null) t.length = 0;
    return cif_piece(t);
}

static char one_character(struct shim_text t)
{
    return t.null || t.length == 0 || t.text[0] <= ' ' || t.text[0] > '~' ? ' ' : t.text[0];
}

/* Labels of one character are themselves.  Longer ones ("AA") stand for a character that none of these is likely to
 * be, one each, as labels only need to differ. */
static vic_status read_altloc(struct reading *r, int64_t row, char *altloc, vic_error *err)
{
    static const char stand_ins[] = "!#$%&()*+,-/:;<=>@[]^_{|}~";
    struct piece label = cif_piece(site(r, row, ALTLOC));
    size_t i = 0;
    *altloc = one_character(site(r, row, ALTLOC));
    if (*altloc == ' ' || label.length == 1) return VIC_OK;
    while (i < r->long_labels &&
           !(label.length == r->long_label[i].length && memcmp(label.text, r->long_label[i].text, label.length) == 0))
        ++i;
    if (i == MOST_LONG_LABELS)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected at most %d label_alt_id of more than one character, found %s too; shorten them",
                        place_of(r, row).text, (int)MOST_LONG_LABELS, quoted(label).text);
    if (i == r->long_labels) r->long_label[r->long_labels++] = label;
    *altloc = stand_ins[i];
    return VIC_OK;
}

static uint8_t read_element(const struct reading *r, int64_t row, const vic_atom_label *label)
{
    struct piece symbol = cif_piece(site(r, row, SYMBOL));
    size_t letters = 0;
    uint8_t number;
    while (letters < symbol.length && (symbol.text[letters] | 0x20) >= 'a' && (symbol.text[letters] | 0x20) <= 'z')
        ++letters; /* "FE3+" */
    number = element_from_symbol(symbol.text, letters);
    return number ? number : element_from_name(label->name, label->residue, ELEMENT_COLUMN_NONE, label->hetero);
}

static vic_status take_atom(struct reading *r, int64_t row, vic_error *err)
{
    struct atom a;
    struct piece text;
    int64_t number;
    memset(&a, 0, sizeof a);
    for (int axis = 0; axis < 3; ++axis) {
        struct shim_text t = site(r, row, (enum column)(X + axis));
        if (cif_number(t, &a.position[axis])) continue;
        return vic_fail(err, VIC_BAD_INPUT, "%s: expected %s as a number, found %s; fix or remove this atom",
                        place_of(r, row).text, column_name(X + (enum column)axis), quoted(cif_piece(t)).text);
    }
    TRY(read_optional(r, row, OCCUPANCY, 1.0f, &a.occupancy, &r->any_occupancy, err));
    TRY(read_optional(r, row, B_FACTOR, 0.0f, &a.b_factor, &r->any_b_factor, err));
    text = author(r, row, AUTH_NAME, NAME);
    label_set(a.label.name, sizeof a.label.name, text.text, text.length);
    text = author(r, row, AUTH_RESIDUE, RESIDUE);
    label_set(a.label.residue, sizeof a.label.residue, text.text, text.length);
    text = author(r, row, AUTH_CHAIN, CHAIN);
    label_set(a.label.chain, sizeof a.label.chain, text.text, text.length);
    text = author(r, row, AUTH_SEQUENCE, SEQUENCE);
    if (number_read_integer(text.text, text.length, &number) && number >= INT32_MIN && number <= INT32_MAX)
        a.label.sequence = (int32_t)number;
    text = cif_piece(site(r, row, CHAIN));
    label_set(a.segment, sizeof a.segment, text.text, text.length);
    a.label.insertion = one_character(site(r, row, INSERTION));
    TRY(read_altloc(r, row, &a.label.altloc, err));
    a.label.hetero = piece_is(cif_piece(site(r, row, GROUP)), "HETATM");
    a.number = read_element(r, row, &a.label);
    return format_append(r->out, &a, (size_t)(site(r, row, X).text - r->source->text), err);
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* The models' numbers, sorted; one entry for each run of rows, so that few are sorted. */
static vic_status list_models(struct reading *r, int64_t *numbers, int64_t **list, size_t *count, vic_error *err)
{
    size_t capacity = 0, runs = 0, different = 0;
    for (int64_t row = 0; row < r->sites.rows; ++row) {
        struct shim_text t = site(r, row, MODEL);
        struct piece p = cif_piece(t);
        numbers[row] = 1;
        if (!t.null && !number_read_integer(p.text, p.length, &numbers[row]))
            return vic_fail(err, VIC_BAD_INPUT, "%s: expected %s as an integer, found %s; number the models",
                            place_of(r, row).text, column_name(MODEL), quoted(p).text);
        if (row && numbers[row] == numbers[row - 1]) continue;
        TRY(mem_grow(list, &capacity, runs + 1, sizeof **list, "model numbers", err));
        (*list)[runs++] = numbers[row];
    }
    qsort(*list, runs, sizeof **list, compare_numbers);
    for (size_t i = 0; i < runs; ++i)
        if (!different || (*list)[i] != (*list)[different - 1]) (*list)[different++] = (*list)[i];
    *count = different;
    return VIC_OK;
}

/* Which model of the block is taken. */
struct wanted {
    int number;   /* by its number, or -1 from the end; 0: the first in the file */
    size_t place; /* or, if not 0, by its place among the numbers, from 1 */
};

/* Atoms of the chosen model; models may have different sizes and may be mixed. */
static vic_status take_model(struct reading *r, struct wanted wanted, vic_error *err)
{
    vic_status st = VIC_OK;
    int64_t *numbers = NULL, *list = NULL, chosen, taken;
    size_t count = 0, place = wanted.place;
    TRY(mem_array((size_t)r->sites.rows, sizeof *numbers, "model numbers", &numbers, err));
    TRY_GOTO(list_models(r, numbers, &list, &count, err), done);
    r->out->models = (int64_t)count;
    if (wanted.number < 0) place = (size_t)format_frame(wanted.number, (int64_t)count);
    chosen = place ? list[place - 1] : wanted.number ? wanted.number : numbers[0];
    if (wanted.number >= 0 || place) {
        TRY_GOTO(atoms_reserve(&r->out->atoms, (size_t)r->sites.rows / count, err), done);
        for (int64_t row = 0; row < r->sites.rows; ++row)
            if (numbers[row] == chosen) TRY_GOTO(take_atom(r, row, err), done);
    }
    taken = (int64_t)r->out->atoms.count;
    if (!taken)
        st = format_no_model(r->source, wanted.number, list, count, err);
    else if (!wanted.number && !place && count > 1)
        format_note(r->out->notes,
                    "The file has %zu models: the first was taken, and %lld atom%s of the others left out.", count,
                    (long long)(r->sites.rows - taken), r->sites.rows - taken == 1 ? "" : "s");
done:
    free(list);
    free(numbers);
    return st;
}

static vic_status count_models(struct reading *r, size_t *count, vic_error *err)
{
    vic_status st = VIC_OK;
    int64_t *numbers = NULL, *list = NULL;
    TRY(mem_array((size_t)r->sites.rows, sizeof *numbers, "model numbers", &numbers, err));
    st = list_models(r, numbers, &list, count, err);
    free(list);
    free(numbers);
    return st;
}

static bool take_block(struct reading *r, int block)
{
    r->block = block;
    return shim_cif_table(r->cif, block, tags, COLUMNS, &r->sites) && r->sites.rows > 0;
}

/* Of several blocks with atoms the models are numbered through; *wanted becomes the place in the block that is taken,
 * which is r->block.  Nothing is changed where there is one block. */
static vic_status find_block(struct reading *r, struct wanted *wanted, int64_t *models, vic_error *err)
{
    const int blocks = shim_cif_blocks(r->cif);
    int with_atoms = 0, first = 0;
    int64_t place, before = 0;
    *models = 0;
    for (int b = blocks - 1; b >= 0; --b)
        if (take_block(r, b)) first = b, ++with_atoms;
    take_block(r, first);
    if (with_atoms <= 1) return VIC_OK;
    for (int b = first; b < blocks; ++b) {
        size_t count = 0;
        if (take_block(r, b)) TRY(count_models(r, &count, err));
        *models += (int64_t)count;
    }
    place = format_frame(wanted->number, *models);
    if (!place) return format_no_frame(r->source, "model", wanted->number, *models, err);
    if (!wanted->number)
        format_note(r->out->notes,
                    "The file has atoms in %d data blocks, whose %lld models are numbered through: the first was "
                    "taken.",
                    with_atoms, (long long)*models);
    for (int b = first; b < blocks; ++b) {
        size_t count = 0;
        if (take_block(r, b)) TRY(count_models(r, &count, err));
        if (place <= before + (int64_t)count) break;
        before += (int64_t)count;
    }
    *wanted = (struct wanted){ 0, wanted->number ? (size_t)(place - before) : 0 };
    return VIC_OK;
}

/* A cell that cannot be read matters only to those who need it. */
static void read_cell(struct reading *r)
{
    static const char *const names[6] = { "_cell.length_a",    "_cell.length_b",   "_cell.length_c",
                                          "_cell.angle_alpha", "_cell.angle_beta", "_cell.angle_gamma" };
    struct file_cell *cell = &r->out->cell;
    double p[6];
    int nulls = 0;
    for (int i = 0; i < 6; ++i) {
        struct shim_text t = shim_cif_value(r->cif, r->block, names[i]);
        p[i] = 0;
        if (t.null) {
            ++nulls;
        } else if (!cif_number(t, &p[i])) {
            cell->line = cif_line(r->source, t);
            snprintf(cell->problem, sizeof cell->problem, "expected %s as a number (or ?), found %s", names[i],
                     quoted(cif_piece(t)).text);
            return;
        }
    }
    if (nulls == 6 || (!nulls && format_cell_is_dummy(p))) return;
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
            if (!cif_number(shim_cif_value(r->cif, r->block, tag), &cell->fractional[i][k]))
                cell->has_fractional = false;
        }
}

static void read_heading(struct reading *r)
{
    static const char *const groups[] = { "_symmetry.space_group_name_H-M", "_space_group.name_H-M_alt",
                                          "_symmetry.Int_Tables_number", "_space_group.IT_number" };
    struct shim_text title = shim_cif_value(r->cif, r->block, "_struct.title");
    if (!title.null) format_set_title(r->out->title, cif_piece(title));
    if (r->out->cell.kind == FILE_CELL_NONE) return;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; ++i) {
        struct shim_text t = shim_cif_value(r->cif, r->block, groups[i]);
        if (t.null || !t.length) continue;
        label_set(r->out->space_group, sizeof r->out->space_group, t.text, t.length);
        return;
    }
}

vic_status mmcif_read(const struct source *s, struct shim_cif *cif, int model, struct file_content *out,
                      vic_error *err)
{
    struct reading r = { 0 };
    struct wanted wanted = { model, 0 };
    int64_t models;
    r.source = s;
    r.out = out;
    r.cif = cif;
    out->format = "mmcif";
    out->atoms.has_labels = out->atoms.has_segments = out->atoms.has_b_factors = out->atoms.has_occupancies = true;
    TRY(find_block(&r, &wanted, &models, err));
    if (!r.sites.rows) return format_no_atoms(s, "rows in the _atom_site loop", err);
    read_cell(&r);
    read_heading(&r);
    TRY(take_model(&r, wanted, err));
    format_note_none(out);
    if (models) out->models = models;
    out->atoms.has_b_factors = r.any_b_factor;
    out->atoms.has_occupancies = r.any_occupancy;
    return VIC_OK;
}
