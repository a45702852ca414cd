/* SPDX-License-Identifier: Apache-2.0 */
/* PDB files: which records count, models, and the crystal's cell.  One record is read in pdb_record.c.
 * Serial numbers are never looked at: they wrap, overflow and turn hexadecimal. */
#include "base/memory.h"
#include "structure/io/duplicates.h"
#include "structure/io/pdb_record.h"
#include "structure/number.h"

#include <string.h>

struct model_mark {
    int64_t number, line;
};

struct reading {
    const struct source *source;
    struct file_content *out;
    int64_t wanted;
    bool any_model; /* the first will do */
    struct model_mark *models;
    size_t model_count, model_capacity;
    bool in_model, taking; /* inside a model; it is the chosen one */
    bool taken;            /* the chosen model lies behind us */
    bool any_b_factor, any_occupancy;
    struct duplicates duplicates;
    struct pdb_record last; /* of the chosen model */
    int scale_rows;         /* bit i: SCALEi+1 was read */
};

static bool looks_like_pdb(const struct source *s)
{
    static const char *const records[] = {
        "HEADER ", "OBSLTE ", "TITLE ",  "SPLIT ",  "CAVEAT ", "COMPND ", "SOURCE ", "KEYWDS ", "EXPDTA ",
        "NUMMDL ", "MDLTYP ", "AUTHOR ", "REVDAT ", "SPRSDE ", "JRNL ",   "REMARK",  "DBREF ",  "SEQADV ",
        "SEQRES ", "MODRES ", "HET ",    "HETNAM ", "HELIX ",  "SHEET ",  "SSBOND ", "LINK ",   "CISPEP ",
        "SITE ",   "CRYST1",  "ORIGX1",  "SCALE1",  "MTRIX1",  "MODEL ",  "USER ",
    };
    struct lines l = lines_of(s->text, s->size);
    struct piece line;
    while (l.number < 1000 && lines_next(&l, &line)) {
        if (pdb_is_atom(line)) return true;
        for (size_t i = 0; i < sizeof records / sizeof *records; ++i)
            if (piece_begins(line, records[i]) && l.number <= 20) return true;
    }
    return false;
}

static int compare_marks(const void *a, const void *b)
{
    const struct model_mark *x = a, *y = b;
    if (x->number != y->number) return x->number < y->number ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

static vic_status begin_model(struct reading *r, int64_t number, int64_t line, vic_error *err)
{
    TRY(mem_grow(&r->models, &r->model_capacity, r->model_count + 1, sizeof *r->models, "models", err));
    r->models[r->model_count].number = number;
    r->models[r->model_count].line = line;
    r->taking = !r->taken && (r->any_model || number == r->wanted);
    r->model_count++;
    r->in_model = true;
    if (r->taking) duplicates_new_residue(&r->duplicates);
    return VIC_OK;
}

static void end_model(struct reading *r)
{
    if (r->taking) r->taken = true;
    r->in_model = r->taking = false;
}

static vic_status read_model(struct reading *r, struct piece line, int64_t number, vic_error *err)
{
    struct piece field = piece_trim(piece_field(line, 6, line.length));
    int64_t model;
    end_model(r);
    if (!field.length)
        model = r->model_count ? r->models[r->model_count - 1].number + 1 : 1;
    else if (!number_read_integer(field.text, field.length, &model) || model < INT32_MIN || model > INT32_MAX)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected MODEL and its number, found %s; number the models", r->source->name,
                        (long long)number, quoted(field).text);
    return begin_model(r, model, number, err);
}

static bool same_residue(const struct pdb_record *a, const struct pdb_record *b)
{
    return a->numbered && b->numbered && a->atom.label.sequence == b->atom.label.sequence &&
           a->atom.label.insertion == b->atom.label.insertion &&
           memcmp(a->atom.label.chain, b->atom.label.chain, sizeof a->atom.label.chain) == 0 &&
           memcmp(a->segment, b->segment, sizeof a->segment) == 0;
}

static vic_status check_duplicate(struct reading *r, const struct pdb_record *record, int64_t number, vic_error *err)
{
    const struct atoms *atoms = &r->out->atoms;
    const struct atom *a = &record->atom;
    size_t row = atoms->count, first;
    if (row && !same_residue(&r->last, record)) duplicates_new_residue(&r->duplicates);
    TRY(duplicates_add(&r->duplicates, &a->label, row, &first, err));
    if (first == row) return VIC_OK;
    if (duplicates_name_is_no_identity(&a->label, a->number) &&
        memcmp(atoms->positions + 3 * first, a->position, sizeof a->position) != 0)
        return VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected each atom once, found %s of %s %s%s%d%.*s again (as in atom %zu of this "
                    "model); remove one, or give the two different altloc labels",
                    r->source->name, (long long)number, a->label.name, a->label.residue, a->label.chain,
                    *a->label.chain ? " " : "", a->label.sequence, a->label.insertion != ' ', &a->label.insertion,
                    first + 1);
}

static vic_status take_atom(struct reading *r, struct piece line, const struct lines *l, vic_error *err)
{
    struct pdb_record record;
    if (!r->in_model)
        TRY(begin_model(r, r->model_count ? r->models[r->model_count - 1].number + 1 : 1, l->number, err));
    if (!r->taking) return VIC_OK;
    TRY(pdb_read_atom(r->source->name, line, l, &record, err));
    TRY(check_duplicate(r, &record, l->number, err));
    r->any_b_factor = r->any_b_factor || record.has_b_factor;
    r->any_occupancy = r->any_occupancy || record.has_occupancy;
    r->last = record;
    return atoms_append(&r->out->atoms, &record.atom, err);
}

static vic_status read_cell(struct reading *r, struct piece line, int64_t number, vic_error *err)
{
    static const size_t first[7] = { 6, 15, 24, 33, 40, 47, 54 };
    struct file_cell *cell = &r->out->cell;
    struct piece rest = piece_field(line, 6, 54), group = piece_trim(piece_field(line, 55, 66)), word;
    double p[6];
    int read = 0;
    if (r->taken || (r->in_model && !r->taking)) return VIC_OK; /* another model's */
    if (piece_is_blank(rest)) return VIC_OK;
    while (read < 6) {
        struct piece field = piece_field(line, first[read], first[read + 1]);
        if (!number_read(field.text, field.length, 0, &p[read])) break;
        ++read;
    }
    if (read < 6) { /* not in its columns, but in order */
        rest = piece_field(line, 6, line.length);
        for (read = 0; read < 6 && piece_next_word(&rest, &word); ++read)
            if (!number_read(word.text, word.length, 0, &p[read])) break;
        if (read < 6)
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected a, b, c, alpha, beta, gamma as numbers in CRYST1, found %s; mend "
                            "or remove the record",
                            r->source->name, (long long)number, quoted(piece_field(line, 6, 54)).text);
        group = piece_trim(piece_field(rest, 0, 12));
    }
    label_set(r->out->space_group, sizeof r->out->space_group, group.text, group.length);
    cell->kind = format_cell_is_dummy(p) ? FILE_CELL_NONE : FILE_CELL_PARAMETERS;
    if (cell->kind == FILE_CELL_NONE) *r->out->space_group = 0;
    cell->line = number;
    memcpy(cell->parameters, p, sizeof p);
    return VIC_OK;
}

static void read_scale(struct reading *r, struct piece line)
{
    static const size_t first[4] = { 10, 20, 30, 45 };
    int row = line.text[5] - '1';
    if (row < 0 || row > 2 || r->taken) return;
    for (int i = 0; i < 4; ++i) {
        struct piece field = piece_field(line, first[i], first[i] + 10);
        if (!number_read(field.text, field.length, 0, &r->out->cell.fractional[row][i])) return;
    }
    r->scale_rows |= 1 << row;
    r->out->cell.has_fractional = r->scale_rows == 7;
}

static vic_status read_line(struct reading *r, struct piece line, const struct lines *l, vic_error *err)
{
    if (pdb_is_atom(line)) return take_atom(r, line, l, err);
    if (piece_begins(line, "MODEL ") || piece_is(line, "MODEL")) return read_model(r, line, l->number, err);
    if (piece_begins(line, "ENDMDL")) {
        end_model(r);
    } else if (piece_begins(line, "END") && piece_is_blank(piece_field(line, 3, line.length))) {
        end_model(r); /* some trajectories separate their frames by END alone */
    } else if (piece_begins(line, "CRYST1")) {
        return read_cell(r, line, l->number, err);
    } else if (piece_begins(line, "SCALE") && line.length > 5) {
        read_scale(r, line);
    } else if (piece_begins(line, "TITLE ") && !r->model_count) {
        format_set_title(r->out->title, piece_field(line, 10, 80));
    } else if (l->open && line.length < 6 && /* an open line has a character */
               (memcmp(line.text, "ATOM  ", line.length) == 0 || memcmp(line.text, "HETATM", line.length) == 0)) {
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected a whole record, found %s at the end of the file; it seems to have "
                        "been cut: fetch it again",
                        r->source->name, (long long)l->number, quoted(line).text);
    }
    return VIC_OK;
}

static vic_status check_models(struct reading *r, vic_error *err)
{
    vic_status st = VIC_OK;
    int64_t *numbers = NULL;
    r->out->models = (int64_t)r->model_count;
    if (!r->model_count) return VIC_OK;
    qsort(r->models, r->model_count, sizeof *r->models, compare_marks);
    for (size_t i = 1; i < r->model_count; ++i)
        if (r->models[i].number == r->models[i - 1].number)
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected each model number once, found MODEL %lld again after line %lld; "
                            "number the models 1, 2, 3, ...",
                            r->source->name, (long long)r->models[i].line, (long long)r->models[i].number,
                            (long long)r->models[i - 1].line);
    if (r->taken || r->taking) return VIC_OK;
    TRY(mem_array(r->model_count, sizeof *numbers, "models", &numbers, err));
    for (size_t i = 0; i < r->model_count; ++i) numbers[i] = r->models[i].number;
    st = format_no_model(r->source, (int)r->wanted, numbers, r->model_count, err);
    free(numbers);
    return st;
}

/* Reads all lines; atoms are taken of the wanted model only. */
static vic_status read_lines(struct reading *r, vic_error *err)
{
    struct lines l = lines_of(r->source->text, r->source->size);
    struct piece line;
    while (lines_next(&l, &line)) TRY(read_line(r, line, &l, err));
    return VIC_OK;
}

/* Models count from the end in the order in which they stand in the file; their numbers are their own. */
static vic_status find_from_end(const struct source *s, int model, int64_t *number, vic_error *err)
{
    struct file_content nothing = { 0 };
    struct reading r = { 0 };
    vic_status st = VIC_OK;
    int64_t wanted;
    r.source = s;
    r.out = &nothing;
    r.taken = true; /* so that none is taken */
    TRY_GOTO(read_lines(&r, err), done);
    wanted = format_frame(model, (int64_t)r.model_count);
    if (!wanted)
        st = format_no_frame(s, model, (int64_t)r.model_count, err);
    else
        *number = r.models[wanted - 1].number;
done:
    free(r.models);
    return st;
}

static vic_status read_pdb(const struct source *s, int model, struct file_content *out, vic_error *err)
{
    struct reading r = { 0 };
    vic_status st = VIC_OK;
    r.source = s;
    r.out = out;
    r.wanted = model;
    r.any_model = model == 0;
    out->format = "pdb";
    out->atoms.has_labels = out->atoms.has_b_factors = out->atoms.has_occupancies = true;
    if (model < 0) TRY(find_from_end(s, model, &r.wanted, err));
    TRY_GOTO(atoms_reserve(&out->atoms, s->size / 81 + 16, err), done);
    TRY_GOTO(read_lines(&r, err), done);
    TRY_GOTO(check_models(&r, err), done);
    if (!out->atoms.count) {
        st = format_no_atoms(s, "ATOM or HETATM records", err);
        goto done;
    }
    out->atoms.has_b_factors = r.any_b_factor;
    out->atoms.has_occupancies = r.any_occupancy;
done:
    duplicates_free(&r.duplicates);
    free(r.models);
    return st;
}

const struct format format_pdb = { "pdb", looks_like_pdb, read_pdb, NULL };
