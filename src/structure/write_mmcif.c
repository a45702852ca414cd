/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/cell.h"
#include "structure/element.h"
#include "structure/number.h"
#include "structure/write.h"

#include <math.h>
#include <string.h>

static void put_number(FILE *file, const char *format, double value)
{
    char text[64];
    if (number_print(text, sizeof text, format, value) > 0) fprintf(file, "%s", text);
}

static void put_exact(FILE *file, double value)
{
    char text[40];
    if (number_print_exact(text, sizeof text, value) > 0) fprintf(file, "%s ", text);
}

static bool is_bare(const char *text)
{
    static const char *const words[] = { "data_", "loop_", "save_", "stop_", "global_" };
    if (!*text || strchr("_#$'\"[];", *text) || strcmp(text, "?") == 0 || strcmp(text, ".") == 0) return false;
    for (const char *c = text; *c; ++c)
        if (*c <= ' ' || *c > '~') return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; ++i) {
        size_t k = 0;
        while (words[i][k] && (text[k] | 0x20) == (words[i][k] | 0x20)) ++k;
        if (!words[i][k]) return false;
    }
    return true;
}

/* Within quotes the same quote may stand, unless a blank (or the end) follows it. */
static bool fits_quote(const char *text, char quote)
{
    for (const char *c = text; *c; ++c)
        if (*c == quote && (c[1] == ' ' || c[1] == 0)) return false;
    return true;
}

static void put_text(FILE *file, const char *text)
{
    if (!*text)
        fputs(". ", file);
    else if (is_bare(text))
        fprintf(file, "%s ", text);
    else if (fits_quote(text, '"'))
        fprintf(file, "\"%s\" ", text);
    else if (fits_quote(text, '\''))
        fprintf(file, "'%s' ", text);
    else
        fprintf(file, "\n;%s\n; ", text);
}

static void write_frame(const struct writing *w, const struct vic_structure *s)
{
    double inverse[3][3];
    cell_invert(CELL(s->cell), inverse);
    for (int i = 0; i < 3; ++i) {
        for (int k = 0; k < 3; ++k) {
            fprintf(w->file, "_atom_sites.fract_transf_matrix[%d][%d] ", i + 1, k + 1);
            put_number(w->file, "%.12g\n", inverse[k][i]);
        }
        fprintf(w->file, "_atom_sites.fract_transf_vector[%d] ", i + 1);
        put_number(w->file, "%.12g\n", s->origin[i]);
    }
}

static vic_status write_cell(const struct writing *w, const struct vic_structure *s, vic_error *err)
{
    static const char *const names[6] = { "length_a",    "length_b",   "length_c",
                                          "angle_alpha", "angle_beta", "angle_gamma" };
    double p[6];
    if (cell_volume(CELL(s->cell)) < 0)
        return vic_fail(err, VIC_CANNOT_WRITE,
                        "%s: expected a right-handed cell, as mmCIF means, found a left-handed one; write extXYZ "
                        "(.extxyz) instead",
                        w->path);
    cell_to_parameters(CELL(s->cell), p);
    for (int i = 0; i < 6; ++i) {
        fprintf(w->file, "_cell.%s ", names[i]);
        put_number(w->file, "%.12g\n", p[i]);
    }
    fputs("_symmetry.space_group_name_H-M ", w->file);
    put_text(w->file, s->expanded || !*s->space_group ? "P 1" : s->space_group);
    fputs("\n", w->file);
    if (!cell_is_upright(CELL(s->cell)) || s->origin[0] != 0 || s->origin[1] != 0 || s->origin[2] != 0)
        write_frame(w, s);
    return VIC_OK;
}

static void write_atom(const struct writing *w, const struct vic_structure *s, size_t i)
{
    const struct atoms *a = &s->atoms;
    const vic_atom_label *label = a->has_labels ? &a->labels[i] : NULL;
    const char *symbol = a->numbers[i] ? element_symbol(a->numbers[i]) : "X";
    const char *name = label && *label->name ? label->name : symbol;
    const char *residue = label ? label->residue : "MOL", *chain = label ? label->chain : "A";
    const char altloc[2] = { label && label->altloc != ' ' ? label->altloc : 0, 0 };
    const char insertion[2] = { label && label->insertion != ' ' ? label->insertion : 0, 0 };
    int sequence = label ? label->sequence : 1;
    fprintf(w->file, "%s %zu %s ", label && label->hetero ? "HETATM" : "ATOM", i + 1, symbol);
    put_text(w->file, name);
    put_text(w->file, altloc);
    put_text(w->file, residue);
    put_text(w->file, chain);
    fprintf(w->file, "1 %d ", sequence);
    put_text(w->file, *insertion ? insertion : "");
    for (size_t k = 0; k < 3; ++k) put_exact(w->file, a->positions[3 * i + k]);
    put_number(w->file, "%.6g ", a->has_occupancies ? (double)a->occupancies[i] : 1.0);
    put_exact(w->file, w->values[i]);
    fprintf(w->file, "%d ", sequence);
    put_text(w->file, residue);
    put_text(w->file, chain);
    put_text(w->file, name);
    fputs("1\n", w->file);
}

vic_status write_mmcif(const struct writing *w, const struct vic_structure *s, vic_error *err)
{
    static const char *const columns[] = {
        "group_PDB",      "id",
        "type_symbol",    "label_atom_id",
        "label_alt_id",   "label_comp_id",
        "label_asym_id",  "label_entity_id",
        "label_seq_id",   "pdbx_PDB_ins_code",
        "Cartn_x",        "Cartn_y",
        "Cartn_z",        "occupancy",
        "B_iso_or_equiv", "auth_seq_id",
        "auth_comp_id",   "auth_asym_id",
        "auth_atom_id",   "pdbx_PDB_model_num",
    };
    for (size_t i = 0; i < s->atoms.count; ++i)
        if (!isfinite(w->values[i]))
            return vic_fail(err, VIC_CANNOT_WRITE,
                            "%s: expected a finite value for atom %zu, as CIF has no word for others, found %g; "
                            "write extXYZ (.extxyz) instead",
                            w->path, i + 1, w->values[i]);
    fputs("data_vicinal\n_entry.id vicinal\n", w->file);
    if (s->has_cell && cell_is_full(CELL(s->cell))) TRY(write_cell(w, s, err));
    fputs("loop_\n", w->file);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; ++i) fprintf(w->file, "_atom_site.%s\n", columns[i]);
    for (size_t i = 0; i < s->atoms.count; ++i) write_atom(w, s, i);
    fputs("#\n", w->file);
    return VIC_OK;
}
