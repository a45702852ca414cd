/* SPDX-License-Identifier: Apache-2.0 */
/* From a file to a structure: read, select, give it a cell, expand. */
#include "structure/cell.h"
#include "structure/expand.h"
#include "structure/io/format.h"
#include "structure/io/gemmi_shim.h"
#include "structure/select.h"
#include "structure/structure.h"

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
                            "%s: expected finite positions, found %g for atom %zu after scaling; mend the cell or "
                            "the "
                            "position",
                            r->source->name, s->atoms.positions[i], i / 3 + 1);
    return VIC_OK;
}

static vic_status set_cell(struct request *r, struct vic_structure *s, vic_error *err)
{
    const struct file_cell *cell = &r->content.cell;
    char why[256], place[32];
    if (r->options->has_cell) {
        if (!cell_from_parameters(r->options->cell, s->cell, why, sizeof why))
            return vic_fail(err, VIC_BAD_ARGUMENT, "cell: %s", why);
    } else if (cell->kind == FILE_CELL_PARAMETERS && cell->missing) {
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected %s, found none beside the rest of the cell; add it, or give a cell "
                        "(--cell a,b,c,alpha,beta,gamma)",
                        r->source->name, cell->missing);
    } else if (cell->kind == FILE_CELL_PARAMETERS) {
        if (!cell_from_parameters(cell->parameters, s->cell, why, sizeof why))
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s%s: %s; mend the cell, or give one (--cell a,b,c,alpha,beta,gamma)", r->source->name,
                            at_line(r, place), why);
    } else if (cell->kind == FILE_CELL_VECTORS && !cell_is_zero(CELL(cell->vectors))) {
        memcpy(s->cell, cell->vectors, sizeof s->cell);
    } else if (r->content.fractional) {
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected a cell, as the positions are fractional, found none; add it, or give one "
                        "(--cell a,b,c,alpha,beta,gamma)",
                        r->source->name);
    } else {
        return check_finite(r, s, err);
    }
    s->has_cell = true;
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
            s->periodic[i] = cell->says_periodic ? cell->periodic[i] : s->has_cell;
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
                    "%s%s: %s; mend the cell, give one (--cell a,b,c,alpha,beta,gamma) or open that axis (--pbc)",
                    r->source->name, at_line(r, place), why);
}

/* The space group by Hall symbol or by name. */
static vic_status find_operations(const struct request *r, const struct vic_structure *s,
                                  struct expand_operation operations[SHIM_MAX_OPERATIONS], int *count, vic_error *err)
{
    struct shim_operation found[SHIM_MAX_OPERATIONS];
    double parameters[6];
    *count = *r->content.hall ? shim_space_group_hall(r->content.hall, found) : 0;
    if (*count < 0) return vic_fail(err, VIC_NO_MEMORY, "%s: out of memory: space group", r->source->name);
    if (!*count && !*s->space_group)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected a space group to apply symmetry, found none in the file; read without symmetry",
                        r->source->name);
    if (!*count) {
        cell_to_parameters(CELL(s->cell), parameters);
        *count = shim_space_group(s->space_group, parameters[3], parameters[5], found);
        if (*count < 0) return vic_fail(err, VIC_NO_MEMORY, "%s: out of memory: space group", r->source->name);
    }
    if (!*count)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected the Hermann-Mauguin name of a space group (P 21 21 21, C 1 2 1, ...), found "
                        "\"%s\"; correct it, or read without symmetry",
                        r->source->name, s->space_group);
    for (int k = 0; k < *count; ++k) {
        memcpy(operations[k].rotation, found[k].rotation, sizeof operations[k].rotation);
        memcpy(operations[k].translation, found[k].translation, sizeof operations[k].translation);
    }
    return VIC_OK;
}

static vic_status apply_symmetry(struct request *r, struct vic_structure *s, vic_error *err)
{
    struct expand_operation found[SHIM_MAX_OPERATIONS];
    const struct expand_operation *operations = r->content.operations;
    int count = r->content.operation_count;
    if (!s->has_cell || !cell_is_full(CELL(s->cell)))
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected a cell and a space group to apply symmetry, found no cell; read without "
                        "symmetry, or give the cell (--cell a,b,c,alpha,beta,gamma)",
                        r->source->name);
    if (*r->content.symmetry_problem)
        return vic_fail(err, VIC_BAD_INPUT, "%s: %s; mend the list, or read without symmetry", r->source->name,
                        r->content.symmetry_problem);
    if (!count) {
        TRY(find_operations(r, s, found, &count, err));
        operations = found;
    }
    return expand_symmetry(s, operations, count, s->origin, expand_repetitions(r->options->supercell),
                           r->options->max_atoms, r->source->name, err);
}

static vic_status select_atoms(struct request *r, struct vic_structure *s, vic_error *err)
{
    const vic_read_options *o = r->options;
    s->file_atoms = (int64_t)s->atoms.count;
    s->altloc_atoms = select_count_altlocs(&s->atoms);
    if (o->altloc == VIC_ALTLOC_HIGHEST) TRY(select_altlocs(&s->atoms, err));
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
    TRY(set_periodic(r, s, err));
    TRY(expand_check_size((int64_t)s->atoms.count, expand_repetitions(r->options->supercell), r->options->max_atoms,
                          r->source->name, err));
    if (r->options->symmetry) TRY(apply_symmetry(r, s, err));
    return expand_supercell(s, r->options->supercell, r->options->max_atoms, r->source->name, err);
}

vic_status structure_from_source(const struct source *source, const vic_read_options *options,
                                 struct vic_structure **out, vic_error *err)
{
    struct request r;
    const struct format *format;
    struct vic_structure *s = NULL;
    vic_status st = VIC_OK;
    memset(&r, 0, sizeof r);
    r.source = source;
    r.options = options;
    TRY_GOTO(format_find(source, &format, err), done);
    TRY_GOTO(format->read(source, options->model, &r.content, err), done);
    TRY_GOTO(structure_create(&s, err), done);
    TRY_GOTO(build(&r, s, err), done);
    *out = s;
    s = NULL;
done:
    structure_free(s);
    free(r.content.operations);
    atoms_free(&r.content.atoms);
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
