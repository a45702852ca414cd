/* SPDX-License-Identifier: Apache-2.0 */
/* PDB files: which records count, models, and the crystal's cell.  One record is read in pdb_record.c.
 * Serial numbers are never looked at: they wrap, overflow and turn hexadecimal. */
#include "base/memory.h"
#include "structure/io/pdb_record.h"
#include "structure/number.h"

#include <stdio.h>
#include <string.h>

struct reading {
    const struct source *source;
    struct file_content *out;
    size_t wanted;    /* which model in the order of the file, from 1; 0: none */
    int64_t *numbers; /* of the models, in the order of the file */
    size_t model_count, model_capacity;
    bool in_model, taking; /* inside a model; it is the chosen one */
    bool taken;            /* the chosen model lies behind us */
    bool any_b_factor, any_occupancy;
    int64_t other_atoms; /* of the models that are not taken */
    int scale_rows;      /* bit i: SCALEi+1 was read */
    struct element_memory elements;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

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
        if (pdb_kind_of(line) == PDB_ATOM) return true;
        for (size_t i = 0; i < sizeof records / sizeof *records; ++i)
            if (pdb_begins(line, records[i]) && l.number <= 20) return true;
    }
    return false;
}

static vic_status begin_model(struct reading *r, int64_t number, vic_error *err)
{
    TRY(mem_grow(&r->numbers, &r->model_capacity, r->model_count + 1, sizeof *r->numbers, "models", err));
    r->numbers[r->model_count++] = number;
    r->taking = r->model_count == r->wanted;
    r->in_model = true;
    return VIC_OK;
}

/* Of a model that has none of its own. */
static int64_t next_number(const struct reading *r)
{
    return r->model_count ? r->numbers[r->model_count - 1] + 1 : 1;
}

static void end_model(struct reading *r)
{
    if (r->taking) r->taken = true;
    r->in_model = r->taking = false;
}

static vic_status read_model(struct reading *r, struct piece line, int64_t number, vic_error *err)
{
    struct piece field = piece_trim(piece_field(line, 5, line.length));
    int64_t model;
    end_model(r);
    if (!field.length)
        model = next_number(r);
    else if (!number_read_integer(field.text, field.length, &model) || model < INT32_MIN || model > INT32_MAX)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected MODEL and its number, found %s; number the models", r->source->name,
                        (long long)number, quoted(field).text);
    return begin_model(r, model, err);
}

static vic_status take_atom(struct reading *r, struct piece line, const struct lines *l, vic_error *err)
{
    struct pdb_record record;
    if (!r->in_model) TRY(begin_model(r, next_number(r), err));
    if (!r->taking) {
        ++r->other_atoms;
        return VIC_OK;
    }
    TRY(pdb_read_atom(r->source->name, line, l, &r->elements, &record, err));
    if (record.no_number) format_none(r->out, record.no_number, l->number);
    r->any_b_factor = r->any_b_factor || record.has_b_factor;
    r->any_occupancy = r->any_occupancy || record.has_occupancy;
    return format_append(r->out, &record.atom, (size_t)(line.text - r->source->text), err);
}

/* The space group has 11 columns, from 56 on or wherever the cell's numbers end; the number of copies follows, apart
 * or from column 67 on. */
static struct piece group_behind(struct piece line, struct piece rest)
{
    bool in_columns = rest.text >= line.text + 48 && rest.text <= line.text + 55;
    struct piece group = piece_trim(rest);
    size_t begin = (size_t)(group.text - line.text), end = 0;
    if (in_columns && (begin == 55 || begin >= 66)) return piece_field(line, 55, 66);
    while (end < group.length && end < 11 &&
           !(group.text[end] == ' ' && end + 1 < group.length && group.text[end + 1] == ' '))
        ++end;
    return piece_field(group, 0, end);
}

/* Words where all are apart, as these cannot be cut at the edge of a column; else columns. */
static bool read_parameters(struct piece line, double p[6], struct piece *group)
{
    static const size_t first[7] = { 6, 15, 24, 33, 40, 47, 54 };
    struct piece rest = piece_field(line, 6, line.length), word;
    int read;
    for (read = 0; read < 6 && piece_next_word(&rest, &word); ++read)
        if (!number_read(word.text, word.length, 0, &p[read])) break;
    if (read == 6) {
        *group = group_behind(line, rest);
        return true;
    }
    *group = piece_field(line, 55, 66);
    for (read = 0; read < 6; ++read) {
        struct piece field = piece_field(line, first[read], first[read + 1]);
        const char *point = field.length ? memchr(field.text, '.', field.length) : NULL;
        bool touches = read && field.length && is_digit(*field.text) && field.text[-1] > ' ';
        if (!number_read(field.text, field.length, 0, &p[read])) return false;
        if (touches && (!point || point - field.text != (read < 3 ? 5 : 4)))
            return false; /* a column too far right */
    }
    return true;
}

/* A cell that cannot be read matters only to those who need it. */
static void read_cell(struct reading *r, struct piece line, int64_t number)
{
    struct file_cell *cell = &r->out->cell;
    struct piece group;
    double p[6];
    if (r->taken || (r->in_model && !r->taking)) return; /* another model's */
    if (piece_is_blank(piece_field(line, 6, 54))) return;
    cell->line = number;
    cell->kind = FILE_CELL_NONE;
    *cell->problem = *r->out->space_group = 0;
    if (!read_parameters(line, p, &group)) {
        snprintf(cell->problem, sizeof cell->problem,
                 "expected a, b, c, alpha, beta, gamma as numbers in CRYST1, found %s",
                 quoted(piece_field(line, 6, 54)).text);
        return;
    }
    if (format_cell_is_dummy(p)) return;
    group = piece_trim(group);
    label_set(r->out->space_group, sizeof r->out->space_group, group.text, group.length);
    cell->kind = FILE_CELL_PARAMETERS;
    memcpy(cell->parameters, p, sizeof p);
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

static bool is_cut_atom(struct piece line, const struct lines *l)
{
    return l->open && line.length < 6 && /* an open line has a character */
           (memcmp(line.text, "ATOM  ", line.length) == 0 || memcmp(line.text, "HETATM", line.length) == 0);
}

/* MODEL, ENDMDL and END have no columns that matter: blanks before them, and a number right behind, are accepted. */
static bool is_model(struct piece words)
{
    return pdb_begins(words, "MODEL") && (words.length == 5 || words.text[5] <= ' ' || is_digit(words.text[5]));
}

static bool ends_model(struct piece words)
{
    /* some trajectories separate their frames by END alone */
    return pdb_begins(words, "ENDMDL") || (words.length == 3 && pdb_begins(words, "END"));
}

/* The same of CRYST1, whose numbers are read as words. */
static bool is_crystal(struct piece words)
{
    return pdb_begins(words, "CRYST") && (words.length == 5 || words.text[5] <= ' ' || is_digit(words.text[5]));
}

/* Records that stand next to atoms, and so are what an atom is joined to where a line end is missing. */
static bool is_structural(struct piece words)
{
    return pdb_begins(words, "TER") || pdb_begins(words, "END") || pdb_begins(words, "CRYST") ||
           pdb_begins(words, "SCALE") || pdb_begins(words, "ANISOU") || is_model(words);
}

static vic_status read_line(struct reading *r, struct piece line, const struct lines *l, vic_error *err)
{
    enum pdb_kind kind = pdb_kind_of(line);
    struct piece words;
    if (kind == PDB_ATOM) return take_atom(r, line, l, err);
    if (kind == PDB_UNCLEAR) return pdb_refuse_unclear(r->source->name, l->number, line, err);
    words = piece_trim(line);
    if (is_structural(words) && pdb_holds_atom(words, 3))
        return pdb_refuse_joined(r->source->name, l->number, line, err);
    if (is_model(words)) return read_model(r, words, l->number, err);
    if (ends_model(words)) {
        end_model(r);
    } else if (is_crystal(words)) {
        read_cell(r, words, l->number);
    } else if (pdb_begins(line, "SCALE") && line.length > 5) {
        read_scale(r, line);
    } else if (pdb_begins(line, "TITLE ") && !r->model_count) {
        format_set_title(r->out->title, piece_field(line, 10, 80));
    } else if (is_cut_atom(line, l)) {
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected a whole record, found %s at the end of the file; it seems to have "
                        "been cut: fetch it again",
                        r->source->name, (long long)l->number, quoted(line).text);
    }
    return VIC_OK;
}

/* Reads all lines; atoms are taken of the wanted model only. */
static vic_status read_lines(struct reading *r, vic_error *err)
{
    struct lines l = lines_of(r->source->text, r->source->size);
    struct piece line;
    while (lines_next(&l, &line)) TRY(read_line(r, line, &l, err));
    return VIC_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Repeated numbers cannot be used (some programs write MODEL 1 before each frame): the place counts instead. */
static vic_status number_by_place(struct reading *r, vic_error *err)
{
    int64_t *sorted;
    bool twice = false;
    TRY(mem_array(r->model_count, sizeof *sorted, "models", &sorted, err));
    if (r->model_count) memcpy(sorted, r->numbers, r->model_count * sizeof *sorted);
    qsort(sorted, r->model_count, sizeof *sorted, compare_numbers);
    for (size_t i = 1; i < r->model_count; ++i) twice = twice || sorted[i] == sorted[i - 1];
    free(sorted);
    for (size_t i = 0; twice && i < r->model_count; ++i) r->numbers[i] = (int64_t)i + 1;
    if (twice)
        format_note(r->out->notes,
                    "The file gives several models one number, so they are numbered as they stand in it.");
    return VIC_OK;
}

/* Which model is meant, in the order of the file; negative ones count from the end. */
static vic_status find_model(const struct source *s, int model, size_t *wanted, vic_error *err)
{
    struct file_content nothing = { 0 };
    struct reading r = { 0 };
    vic_status st = VIC_OK;
    r.source = s;
    r.out = &nothing;
    TRY_GOTO(read_lines(&r, err), done);
    TRY_GOTO(number_by_place(&r, err), done);
    *wanted = model < 0 ? (size_t)format_frame(model, (int64_t)r.model_count) : 0;
    for (size_t i = 0; model > 0 && i < r.model_count && !*wanted; ++i)
        if (r.numbers[i] == model) *wanted = i + 1;
    if (*wanted || !r.model_count) goto done;
    if (model > 0) {
        qsort(r.numbers, r.model_count, sizeof *r.numbers, compare_numbers);
        st = format_no_model(s, model, r.numbers, r.model_count, err);
    } else {
        st = format_no_frame(s, "model", model, (int64_t)r.model_count, err);
    }
done:
    free(r.numbers);
    return st;
}

static vic_status no_atoms_in_model(const struct reading *r, vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s: expected atoms in model %lld, found all %lld of them in others of the file's %zu models; "
                    "ask for one of these by its number, or -1 for the last",
                    r->source->name, (long long)r->numbers[r->wanted - 1], (long long)r->other_atoms, r->model_count);
}

static vic_status read_pdb(const struct source *s, int model, struct file_content *out, vic_error *err)
{
    struct reading r = { 0 };
    vic_status st = VIC_OK;
    r.source = s;
    r.out = out;
    r.wanted = 1;
    out->format = "pdb";
    out->atoms.has_labels = out->atoms.has_segments = out->atoms.has_b_factors = out->atoms.has_occupancies = true;
    if (model) TRY(find_model(s, model, &r.wanted, err));
    TRY_GOTO(atoms_reserve(&out->atoms, s->size / 81 + 16, err), done);
    TRY_GOTO(read_lines(&r, err), done);
    TRY_GOTO(number_by_place(&r, err), done);
    out->models = (int64_t)r.model_count;
    if (!out->atoms.count && r.other_atoms) {
        st = no_atoms_in_model(&r, err);
        goto done;
    }
    if (!out->atoms.count) {
        st = format_no_atoms(s, "ATOM or HETATM records", err);
        goto done;
    }
    if (!model && out->models > 1)
        format_note(out->notes,
                    "The file has %lld models: the first was taken, and %lld atom%s of the others left out.",
                    (long long)out->models, (long long)r.other_atoms, r.other_atoms == 1 ? "" : "s");
    format_note_none(out);
    out->atoms.has_b_factors = r.any_b_factor;
    out->atoms.has_occupancies = r.any_occupancy;
done:
    free(r.numbers);
    return st;
}

const struct format format_pdb = { "pdb", looks_like_pdb, read_pdb, NULL };
