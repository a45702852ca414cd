/* SPDX-License-Identifier: Apache-2.0 */
/* CIF of small molecules and crystals: fractional sites, the cell, and the operations that the file lists. */
#include "base/memory.h"
#include "structure/element.h"
#include "structure/io/cif.h"
#include "structure/symop.h"

#include <stdio.h>
#include <string.h>

enum column { FRACT_X, FRACT_Y, FRACT_Z, LABEL, SYMBOL, OCCUPANCY, U_ISO, B_ISO, FLAG, COLUMNS };
static const char *const tags[COLUMNS] = {
    "_atom_site?fract_x",        "_atom_site?fract_y",        "_atom_site?fract_z",
    "_atom_site?label",          "_atom_site?type_symbol",    "_atom_site?occupancy",
    "_atom_site?U_iso_or_equiv", "_atom_site?B_iso_or_equiv", "_atom_site?calc_flag",
};

struct reading {
    const struct source *source;
    const struct shim_cif *cif;
    int block;
    struct shim_table sites;
    struct file_content *out;
    bool any_b_factor, any_occupancy;
};

static struct shim_text site(const struct reading *r, int64_t row, enum column column)
{
    return shim_cif_cell(r->cif, &r->sites, row, (int)column);
}

bool smcif_has_sites(const struct shim_cif *cif, int block)
{
    struct shim_table table;
    return shim_cif_table(cif, block, tags, 1, &table) && table.rows > 0;
}

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* A type symbol such as "Fe3+", "O2-", "FE", "Cval"; where there is none, a label such as "Fe1", "C12A", in which two
 * capitals ("CA1") are two things. */
static uint8_t read_element(const struct reading *r, int64_t row)
{
    struct shim_text symbol = site(r, row, SYMBOL);
    bool label = symbol.null;
    struct piece p = cif_piece(label ? site(r, row, LABEL) : symbol);
    size_t letters = 0;
    uint8_t one, two;
    while (letters < p.length && is_letter(p.text[letters])) ++letters;
    if (letters >= 2 && (p.text[0] | 0x20) == 'v' && (p.text[1] | 0x20) == 'a') return 0; /* a vacancy */
    one = element_from_symbol(p.text, letters ? 1 : 0);
    two = letters >= 2 ? element_from_symbol(p.text, 2) : 0;
    return two && (!one || !label || p.text[1] >= 'a') ? two : one;
}

static vic_status bad_value(const struct reading *r, int64_t row, enum column column, const char *expected,
                            vic_error *err)
{
    struct shim_text value = site(r, row, column);
    struct piece label = cif_piece(site(r, row, LABEL));
    int64_t line = value.text ? cif_line(r->source, value) : r->sites.line;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected %s of site %lld (%s) as a number%s, found %s; fix or remove this site",
                    r->source->name, (long long)line, tags[column] + sizeof "_atom_site", (long long)row + 1,
                    quoted(label).text, expected, quoted(cif_piece(value)).text);
}

static vic_status take_site(struct reading *r, int64_t row, vic_error *err)
{
    struct atom a;
    double value;
    memset(&a, 0, sizeof a);
    if (piece_is(cif_piece(site(r, row, FLAG)), "dum")) return VIC_OK; /* by the dictionary no atom */
    for (int axis = 0; axis < 3; ++axis)
        if (!cif_number(site(r, row, (enum column)(FRACT_X + axis)), &a.position[axis]))
            return bad_value(r, row, (enum column)(FRACT_X + axis), "", err);
    a.occupancy = 1.0f;
    if (!site(r, row, OCCUPANCY).null) {
        if (!cif_number(site(r, row, OCCUPANCY), &value)) return bad_value(r, row, OCCUPANCY, " (or ?)", err);
        a.occupancy = (float)value;
        r->any_occupancy = true;
    }
    for (enum column column = U_ISO; column <= B_ISO; ++column) {
        static const double eight_pi2 = 78.95683520871486;
        if (site(r, row, column).null) continue;
        if (!cif_number(site(r, row, column), &value)) return bad_value(r, row, column, " (or ?)", err);
        a.b_factor = (float)(column == U_ISO ? eight_pi2 * value : value);
        r->any_b_factor = true;
        break;
    }
    a.number = read_element(r, row);
    return atoms_append(&r->out->atoms, &a, err);
}

/* A cell that cannot be read matters only to those who give none in its place. */
static void read_cell(struct reading *r)
{
    static const char *const names[6] = { "_cell?length_a",    "_cell?length_b",   "_cell?length_c",
                                          "_cell?angle_alpha", "_cell?angle_beta", "_cell?angle_gamma" };
    static const char *const shown[6] = { "_cell_length_a",    "_cell_length_b",   "_cell_length_c",
                                          "_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma" };
    struct file_cell *cell = &r->out->cell;
    bool any = false;
    for (int i = 0; i < 6; ++i) {
        struct shim_text t = shim_cif_value(r->cif, r->block, names[i]);
        if (t.null) { /* refused unless a cell is given */
            if (!cell->missing) cell->missing = shown[i];
            continue;
        }
        any = true;
        if (cif_number(t, &cell->parameters[i]) || *cell->problem) continue;
        cell->line = cif_line(r->source, t);
        snprintf(cell->problem, sizeof cell->problem, "expected %s as a number, found %s", shown[i],
                 quoted(cif_piece(t)).text);
    }
    r->out->fractional = true;
    if (!any || *cell->problem) return;
    if (format_cell_is_dummy(cell->parameters)) {
        r->out->fractional = false; /* a molecule in angstrom, in a cell of 1 A */
        return;
    }
    cell->kind = FILE_CELL_PARAMETERS;
}

/* Operations that cannot be read matter only to those who ask for symmetry: the text is kept until then. */
static vic_status read_operations(struct reading *r, vic_error *err)
{
    static const char *const loops[2][1] = { { "_space_group_symop?operation_xyz" },
                                             { "_symmetry_equiv?pos_as_xyz" } };
    struct file_content *out = r->out;
    struct shim_table table;
    if (!shim_cif_table(r->cif, r->block, loops[0], 1, &table) &&
        !shim_cif_table(r->cif, r->block, loops[1], 1, &table))
        return VIC_OK;
    if (shim_cif_cell(r->cif, &table, 0, 0).null) return VIC_OK;
    if (table.rows > SHIM_MAX_OPERATIONS) {
        snprintf(out->symmetry_problem, sizeof out->symmetry_problem,
                 "line %lld: expected at most %d symmetry operations, found %lld", (long long)table.line,
                 SHIM_MAX_OPERATIONS, (long long)table.rows);
        return VIC_OK;
    }
    TRY(mem_array((size_t)table.rows, sizeof *out->operations, "symmetry operations", &out->operations, err));
    for (int64_t row = 0; row < table.rows; ++row) {
        struct shim_text t = shim_cif_cell(r->cif, &table, row, 0);
        if (symop_read(cif_piece(t), &out->operations[row])) continue;
        snprintf(out->symmetry_problem, sizeof out->symmetry_problem,
                 "line %lld: expected a symmetry operation such as -x+1/2, y, -z, found %s",
                 (long long)cif_line(r->source, t), quoted(cif_piece(t)).text);
        return VIC_OK;
    }
    out->operation_count = (int)table.rows;
    symop_arrange(out->operations, &out->operation_count, out->symmetry_problem, sizeof out->symmetry_problem);
    return VIC_OK;
}

/* The first of some tags that has a value. */
static struct piece first_of(const struct reading *r, const char *const *names, size_t count)
{
    struct piece none = { "", 0 };
    for (size_t i = 0; i < count; ++i) {
        struct shim_text t = shim_cif_value(r->cif, r->block, names[i]);
        struct piece p = piece_trim(cif_piece(t));
        if (!t.null && p.length) return p;
    }
    return none;
}

static void read_heading(struct reading *r)
{
    static const char *const titles[] = { "_chemical_name_common", "_chemical_name_mineral",
                                          "_chemical_name_systematic", "_chemical_formula_sum" },
                             *const groups[] = { "_space_group?name_H-M_alt", "_symmetry?space_group_name_H-M",
                                                 "_space_group?IT_number", "_symmetry?Int_Tables_number" },
                             *const halls[] = { "_space_group?name_Hall", "_symmetry?space_group_name_Hall" };
    struct piece text = first_of(r, groups, sizeof groups / sizeof *groups);
    label_set(r->out->space_group, sizeof r->out->space_group, text.text, text.length);
    text = first_of(r, halls, sizeof halls / sizeof *halls);
    label_set(r->out->hall, sizeof r->out->hall, text.text, text.length);
    format_set_title(r->out->title, first_of(r, titles, sizeof titles / sizeof *titles));
}

vic_status smcif_read(const struct source *s, struct shim_cif *cif, int model, struct file_content *out,
                      vic_error *err)
{
    struct reading r = { s, cif, -1, { 0 }, out, false, false };
    int64_t wanted;
    out->format = "cif";
    out->atoms.has_b_factors = out->atoms.has_occupancies = true;
    for (int block = 0; block < shim_cif_blocks(cif); ++block) out->models += smcif_has_sites(cif, block);
    wanted = format_frame(model, out->models);
    if (!wanted) return format_no_frame(s, "data block", model, out->models, err);
    while (wanted) wanted -= smcif_has_sites(cif, ++r.block);
    if (!model && out->models > 1)
        format_note(out->notes, "The file has atoms in %lld data blocks: the first was taken.",
                    (long long)out->models);
    shim_cif_table(cif, r.block, tags, COLUMNS, &r.sites);
    read_cell(&r);
    read_heading(&r);
    TRY(read_operations(&r, err));
    for (int64_t row = 0; row < r.sites.rows; ++row) TRY(take_site(&r, row, err));
    if (!out->atoms.count) return format_no_atoms(s, "sites that are atoms (not calc_flag dum)", err);
    out->atoms.has_b_factors = r.any_b_factor;
    out->atoms.has_occupancies = r.any_occupancy;
    return VIC_OK;
}
