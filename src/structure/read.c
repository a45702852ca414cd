/* SPDX-License-Identifier: Apache-2.0 */
/* From a file to a structure: read, select, give it a cell, expand. */
#include "structure/cell.h"
#include "structure/duplicates.h"
#include "structure/expand.h"
#include "structure/io/format.h"
#include "structure/select.h"
#include "structure/structure.h"
#include "structure/symmetry.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request {
    const struct source *source;
    const vic_read_options *options;
    struct file_content content;
};

static void drop_empty_columns(struct atoms *a)
{
    if (!a->has_b_factors) free(a->b_factors), a->b_factors = NULL;
    if (!a->has_occupancies) free(a->occupancies), a->occupancies = NULL;
}

static const char *at_line(const struct request *r, char place[32])
{
    place[0] = 0;
    if (r->content.cell.line) snprintf(place, 32, " line %lld", (long long)r->content.cell.line);
    return place;
}

/* Numbers of a file may overflow when they are scaled or meet a cell. */
static vic_status check_finite(const struct request *r, const struct vic_structure *s, vic_error *err)
{
    for (size_t i = 0; i < 3 * s->atoms.count; ++i)
        if (!isfinite(s->atoms.positions[i]))
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s: expected finite positions, found %g for atom %zu after scaling; fix the cell or "
                            "the position",
                            r->source->name, s->atoms.positions[i], i / 3 + 1);
    return VIC_OK;
}

/* 1 x 1 x 1 A in the axes' own directions, which programs write for "none". */
static bool is_unit_cell(const double cell[3][3])
{
    for (int i = 0; i < 9; ++i)
        if (cell[i / 3][i % 3] != (i % 4 == 0)) return false;
    return true;
}

/* The file's cell; *has_cell says whether there is one.  A failure is reported with what would fix it. */
static vic_status file_cell(const struct request *r, struct vic_structure *s, bool *has_cell, vic_error *err)
{
    const struct file_cell *cell = &r->content.cell;
    const char *without = r->content.fractional ? "" : ", or read without (--pbc none)";
    char why[256], place[32];
    *has_cell = true;
    if (*cell->problem)
        return vic_fail(err, VIC_BAD_INPUT, "%s%s: %s; fix the cell, or give one (--cell a,b,c,alpha,beta,gamma)%s",
                        r->source->name, at_line(r, place), cell->problem, without);
    if (cell->kind == FILE_CELL_PARAMETERS && cell->missing)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected %s, found none beside the rest of the cell; add it, or give a cell "
                        "(--cell a,b,c,alpha,beta,gamma)%s",
                        r->source->name, cell->missing, without);
    if (cell->kind == FILE_CELL_PARAMETERS) {
        if (cell_from_parameters(cell->parameters, s->cell, why, sizeof why)) return VIC_OK;
        return vic_fail(err, VIC_BAD_INPUT, "%s%s: %s; fix the cell, or give one (--cell a,b,c,alpha,beta,gamma)%s",
                        r->source->name, at_line(r, place), why, without);
    }
    *has_cell = cell->kind == FILE_CELL_VECTORS && !cell_is_zero(CELL(cell->vectors)) &&
                (r->content.fractional || !is_unit_cell(CELL(cell->vectors)));
    if (*has_cell) memcpy(s->cell, cell->vectors, sizeof s->cell);
    return VIC_OK;
}

/* Nobody asks for a cell: the atoms are open along all axes, and stand where they stand. */
static bool needs_no_cell(const struct request *r)
{
    const vic_read_options *o = r->options;
    return o->pbc == VIC_PBC_SET && !o->periodic[0] && !o->periodic[1] && !o->periodic[2] && !o->symmetry &&
           expand_repetitions(o->supercell) == 1 && !r->content.fractional;
}

/* Without a cell. */
static vic_status leave_open(struct request *r, const struct vic_structure *s, vic_error *err)
{
    struct file_cell *cell = &r->content.cell;
    if (r->content.fractional)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected a cell, as the positions are fractional, found none; add it, or give one "
                        "(--cell a,b,c,alpha,beta,gamma)",
                        r->source->name);
    if (cell->kind == FILE_CELL_VECTORS && is_unit_cell(CELL(cell->vectors)) && cell->says_periodic) {
        for (int i = 0; i < 3; ++i) {
            if (cell->periodic[i])
                format_note(r->content.notes, "A cell of 1 x 1 x 1 A is none, so the pbc of the file is ignored.");
            cell->periodic[i] = false;
        }
    }
    return check_finite(r, s, err);
}

static vic_status set_cell(struct request *r, struct vic_structure *s, vic_error *err)
{
    const struct file_cell *cell = &r->content.cell;
    char why[256];
    if (r->options->has_cell) {
        s->has_cell = true;
        if (!cell_from_parameters(r->options->cell, s->cell, why, sizeof why))
            return vic_fail(err, VIC_BAD_ARGUMENT, "cell: %s", why);
    } else if (file_cell(r, s, &s->has_cell, needs_no_cell(r) ? NULL : err) != VIC_OK) {
        if (!needs_no_cell(r)) return VIC_BAD_INPUT;
        format_note(r->content.notes, "The cell of the file cannot be used, and is not needed: it was left out.");
        memset(s->cell, 0, sizeof s->cell);
        s->has_cell = false;
        return check_finite(r, s, err);
    }
    if (!s->has_cell) return leave_open(r, s, err);
    if (cell->has_fractional) {
        double matrix[3][3];
        for (int i = 0; i < 3; ++i) memcpy(matrix[i], cell->fractional[i], sizeof matrix[i]);
        if (cell_turn_to_frame(CELL(matrix), s->cell))
            for (int i = 0; i < 3; ++i) s->origin[i] = cell->fractional[i][3];
    }
    for (size_t i = 0; r->content.fractional && i < s->atoms.count; ++i) {
        double fractional[3];
        memcpy(fractional, s->atoms.positions + 3 * i, sizeof fractional);
        cell_multiply(fractional, CELL(s->cell), s->atoms.positions + 3 * i);
    }
    return check_finite(r, s, err);
}

static vic_status set_periodic(struct request *r, struct vic_structure *s, vic_error *err)
{
    const struct file_cell *cell = &r->content.cell;
    const bool set = r->options->pbc == VIC_PBC_SET;
    char why[256], place[32];
    for (int i = 0; i < 3; ++i) {
        if (set)
            s->periodic[i] = r->options->periodic[i];
        else
            s->periodic[i] = cell->says_periodic ? cell->periodic[i] : s->has_cell && !s->unapplied_operations;
        if (!s->periodic[i] || s->has_cell) continue;
        if (set)
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "%s: expected a cell, as axis %c is asked to be periodic, found none in the file; give "
                            "one (--cell a,b,c) or leave that axis open",
                            r->source->name, "abc"[i]);
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s%s: expected a Lattice, as pbc says that axis %c is periodic, found none; add it, give a "
                        "cell (--cell a,b,c) or read with --pbc none",
                        r->source->name, at_line(r, place), "abc"[i]);
    }
    if (cell_check_periodic(CELL(s->cell), s->periodic, why, sizeof why)) return VIC_OK;
    return vic_fail(err, set ? VIC_BAD_ARGUMENT : VIC_BAD_INPUT,
                    "%s%s: %s; fix the cell, give one (--cell a,b,c,alpha,beta,gamma) or open that axis (--pbc)",
                    r->source->name, at_line(r, place), why);
}

/* "atom 5 (CD of PCA A 1)" */
struct atom_text {
    char text[96];
};

static struct atom_text atom_text(const struct atoms *a, size_t row)
{
    struct atom_text out;
    const vic_atom_label *l = a->has_labels ? &a->labels[row] : NULL;
    int length = snprintf(out.text, sizeof out.text, "atom %zu", row + 1);
    if (l && *l->name)
        snprintf(out.text + length, sizeof out.text - (size_t)length, " (%s%s%s%s%s %d%.*s)", l->name,
                 *l->residue ? " of " : "", l->residue, *l->chain ? " " : "", l->chain, l->sequence,
                 l->insertion != ' ', &l->insertion);
    return out;
}

static vic_status refuse_duplicate(const struct request *r, const struct atoms *a, const struct duplicates *d,
                                   vic_error *err)
{
    const double *x = a->positions + 3 * d->second;
    const size_t *places = r->content.places;
    char others[64] = "";
    if (d->count > 1) snprintf(others, sizeof others, ", the first of %zu such", d->count);
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected each atom once, found %s where %s of line %lld stands, at %.10g %.10g "
                    "%.10g%s; remove one, give them altloc labels or occupancies that add up to 1, or read with "
                    "--duplicates drop (or keep)",
                    r->source->name, (long long)source_line(r->source, places[d->second]),
                    atom_text(a, d->second).text, atom_text(a, d->first).text,
                    (long long)source_line(r->source, places[d->first]), x[0], x[1], x[2], others);
}

static vic_status check_duplicates(struct request *r, struct atoms *a, vic_error *err)
{
    struct duplicates found;
    vic_status st = VIC_OK;
    if (!r->content.places || r->options->duplicates == VIC_DUPLICATES_KEEP) return VIC_OK;
    TRY(duplicates_find(a, &found, err));
    if (found.count && r->options->duplicates == VIC_DUPLICATES_REFUSE) {
        st = refuse_duplicate(r, a, &found, err);
    } else if (found.count) {
        for (size_t i = 0; i < a->count; ++i) found.again[i] = !found.again[i];
        atoms_keep(a, found.again);
        format_note(r->content.notes, "%zu atom%s listed where the same one stands already %s left out.", found.count,
                    found.count == 1 ? "" : "s", found.count == 1 ? "was" : "were");
    }
    if (st == VIC_OK && found.crowded)
        format_note(r->content.notes, "%zu atom%s where an atom of another name stands.", found.crowded,
                    found.crowded == 1 ? " stands" : "s stand");
    free(found.again);
    return st;
}

static vic_status select_atoms(struct request *r, struct vic_structure *s, vic_error *err)
{
    const vic_read_options *o = r->options;
    s->file_atoms = (int64_t)s->atoms.count;
    s->altloc_atoms = select_count_altlocs(&s->atoms);
    TRY(check_duplicates(r, &s->atoms, err));
    if (o->altloc == VIC_ALTLOC_HIGHEST) TRY(select_altlocs(&s->atoms, err));
    atoms_drop_segments(&s->atoms);
    TRY(select_drop(&s->atoms, o->drop_hydrogen, o->drop_water, err));
    if (s->atoms.count) return VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT, "%s: expected atoms after dropping%s%s, found none of %lld left; keep these",
                    r->source->name, o->drop_hydrogen ? " hydrogens" : "", o->drop_water ? " waters" : "",
                    (long long)s->file_atoms);
}

static vic_status build(struct request *r, struct vic_structure *s, vic_error *err)
{
    struct file_content *c = &r->content;
    s->atoms = c->atoms;
    memset(&c->atoms, 0, sizeof c->atoms); /* handed over */
    drop_empty_columns(&s->atoms);
    s->format = c->format;
    s->models = c->models;
    memcpy(s->title, c->title, sizeof s->title);
    memcpy(s->space_group, c->space_group, sizeof s->space_group);
    TRY(select_atoms(r, s, err));
    TRY(set_cell(r, s, err));
    memcpy(s->notes, c->notes, sizeof s->notes);
    TRY(symmetry_count(c, r->source->name, r->options, s, err));
    TRY(set_periodic(r, s, err));
    TRY(expand_check_size((int64_t)s->atoms.count, expand_repetitions(r->options->supercell), r->options->max_atoms,
                          r->source->name, err));
    if (r->options->symmetry) TRY(symmetry_apply(c, r->source->name, r->options, s, err));
    return expand_supercell(s, r->options->supercell, r->options->max_atoms, r->source->name, err);
}

/* What 0 stands for. */
static vic_read_options with_defaults(const vic_read_options *options)
{
    vic_read_options o = *options;
    if (o.max_atoms == 0 || o.max_atoms > ATOMS_MOST) o.max_atoms = ATOMS_MOST;
    for (int i = 0; i < 3; i++)
        if (o.supercell[i] == 0) o.supercell[i] = 1;
    return o;
}

vic_status structure_from_source(const struct source *source, const vic_read_options *options,
                                 struct vic_structure **out, vic_error *err)
{
    const vic_read_options o = with_defaults(options);
    struct request r;
    struct vic_structure *s = NULL;
    vic_status st = VIC_OK;
    memset(&r, 0, sizeof r);
    r.source = source;
    r.options = &o;
    TRY_GOTO(format_read(source, o.model, &r.content, err), done);
    TRY_GOTO(structure_create(&s, err), done);
    TRY_GOTO(build(&r, s, err), done);
    *out = s;
    s = NULL;
done:
    structure_free(s);
    format_free_content(&r.content);
    return st;
}

vic_status structure_read(const char *path, const vic_read_options *options, struct vic_structure **out,
                          vic_error *err)
{
    struct source source;
    vic_status st;
    TRY(source_read(path, source_limit(), &source, err));
    st = structure_from_source(&source, options, out, err);
    source_free(&source);
    return st;
}
