/* SPDX-License-Identifier: Apache-2.0 */
#include "chemistry.h"
#include "commands/notes.h"
#include "commands/structure_options.h"
#include "commands/structure_report.h"
#include "json.h"
#include "numbers.h"
#include "progress.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct summary {
    int64_t elements[256];
    double low[3], high[3];
    double mass;  /* u; of the atoms whose element is known */
    bool unknown; /* some atom has no mass */
    int64_t chains, residues;
    int64_t partial; /* atoms with an occupancy below 1 */
    bool has_cell;
    double length[3], angle[3], volume;
    struct notes notes;
};

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void summarise_cell(const vic_structure_info *v, struct summary *s)
{
    const double *c = v->cell;
    s->has_cell = v->has_cell;
    if (!v->has_cell) return;
    for (int k = 0; k < 3; k++) s->length[k] = sqrt(dot(c + 3 * k, c + 3 * k));
    for (int k = 0; k < 3; k++) {
        int i = (k + 1) % 3, j = (k + 2) % 3;
        double cosine = dot(c + 3 * i, c + 3 * j) / (s->length[i] * s->length[j]);
        s->angle[k] = acos(fmax(-1.0, fmin(1.0, cosine))) * (180.0 / 3.14159265358979323846);
    }
    s->volume = volume_of_cell(c);
}

static int compare_chains(const void *a, const void *b)
{
    return memcmp(a, b, 8);
}

/* A residue ends where any part of its name changes; a chain is a name, wherever it stands in the file. */
static vic_status count_labels(const vic_structure_info *v, struct summary *s, vic_error *err)
{
    char(*chains)[8] = NULL;
    int64_t used = 0;
    if (!v->labels || v->atoms == 0) return VIC_OK;
    TRY(allocate(v->atoms, sizeof *chains, "the names of chains", &chains, err));
    for (int64_t i = 0; i < v->atoms; i++) {
        const vic_atom_label *now = &v->labels[i], *last = i ? &v->labels[i - 1] : NULL;
        bool new_chain = !last || memcmp(now->chain, last->chain, sizeof now->chain) != 0;
        s->residues += new_chain || now->sequence != last->sequence || now->insertion != last->insertion ||
                       memcmp(now->residue, last->residue, sizeof now->residue) != 0;
        if (new_chain) strncpy(chains[used++], now->chain, sizeof *chains);
    }
    qsort(chains, (size_t)used, sizeof *chains, compare_chains);
    for (int64_t i = 0; i < used; i++) s->chains += i == 0 || memcmp(chains[i], chains[i - 1], sizeof *chains) != 0;
    free(chains);
    return VIC_OK;
}

static vic_status summarise(const vic_structure_info *v, struct summary *s, vic_error *err)
{
    memset(s, 0, sizeof *s);
    for (int k = 0; k < 3; k++) {
        s->low[k] = HUGE_VAL;
        s->high[k] = -HUGE_VAL;
    }
    for (int64_t i = 0; i < v->atoms; i++) {
        double mass = chemistry_mass(v->atomic_numbers[i]);
        s->elements[v->atomic_numbers[i]]++;
        s->mass += mass;
        s->unknown |= mass == 0.0;
        s->partial += v->occupancies && v->occupancies[i] < 1.0f;
        for (int k = 0; k < 3; k++) {
            const double x = v->positions[3 * i + k];
            s->low[k] = x < s->low[k] ? x : s->low[k];
            s->high[k] = x > s->high[k] ? x : s->high[k];
        }
    }
    summarise_cell(v, s);
    return count_labels(v, s, err);
}

/* u per cubic angstrom is 1.66053907 g/cm^3. */
static double mass_density(const struct summary *s)
{
    return s->mass / s->volume * 1.66053906660;
}

static void json_triple(struct json *j, const char *key, const double x[3])
{
    json_put_array(j, key);
    for (int k = 0; k < 3; k++) json_put_real(j, NULL, x[k]);
    json_put_array_end(j);
}

static void json_cell(struct json *j, const vic_structure_info *v, const struct summary *s)
{
    static const char *const names[] = { "a", "b", "c", "alpha", "beta", "gamma" };
    if (!s->has_cell) {
        json_put_null(j, "cell");
        return;
    }
    json_put_object(j, "cell");
    for (int k = 0; k < 3; k++) json_put_real(j, names[k], s->length[k]);
    for (int k = 0; k < 3; k++) json_put_real(j, names[3 + k], s->angle[k]);
    json_put_array(j, "vectors");
    for (int k = 0; k < 3; k++) json_triple(j, NULL, v->cell + 3 * k);
    json_put_array_end(j);
    json_put_real(j, "volume", s->volume);
    json_put_object_end(j);
}

static vic_status info_json(const char *file, const vic_structure_info *v, const vic_read_options *read,
                            const struct summary *s, vic_error *err)
{
    struct json j = { 0 };
    vic_status st;
    json_put_object(&j, NULL);
    json_put_text(&j, "file", file);
    json_put_text(&j, "format", v->format);
    json_put_text(&j, "title", v->title);
    json_put_int(&j, "atoms", v->atoms);
    json_put_int(&j, "file_atoms", v->file_atoms);
    json_put_object(&j, "elements");
    for (int z = 1; z <= 256; z++) { /* unknown ones last */
        int64_t count = s->elements[z % 256];
        if (count && (z == 256 || z < ELEMENTS)) json_put_int(&j, chemistry_symbol(z % 256), count);
    }
    json_put_object_end(&j);
    json_put_int(&j, "models", v->models);
    json_put_int(&j, "altloc_atoms", v->altloc_atoms);
    json_put_int(&j, "partial_occupancy", s->partial);
    json_put_int(&j, "chains", s->chains);
    json_put_int(&j, "residues", s->residues);
    json_cell(&j, v, s);
    structure_json(&j, v, read);
    json_put_array(&j, "box");
    json_triple(&j, NULL, s->low);
    json_triple(&j, NULL, s->high);
    json_put_array_end(&j);
    if (s->has_cell) {
        json_put_object(&j, "density");
        json_put_real(&j, "atoms_per_A3", (double)v->atoms / s->volume);
        if (s->mass > 0.0)
            json_put_real(&j, "g_per_cm3", mass_density(s));
        else
            json_put_null(&j, "g_per_cm3");
        json_put_object_end(&j);
    } else {
        json_put_null(&j, "density");
    }
    notes_json(&j, &s->notes);
    json_put_object_end(&j);
    st = json_print(&j, err);
    json_free(&j);
    return st;
}

static void text_models(const vic_structure_info *v, const vic_read_options *read)
{
    if (v->models == 1)
        text_row("models", "1");
    else if (read->model == 0)
        text_row("models", "%s; the first is taken (--model N takes another)", count_text(v->models).s);
    else
        text_row("models", "%s; --model %d is taken", count_text(v->models).s, read->model);
}

/* No mass where no element is known. */
static void text_density(const vic_structure_info *v, const struct summary *s)
{
    const struct number atoms = real_text((double)v->atoms / s->volume, 4);
    if (s->mass > 0.0)
        text_row("density", "%s atoms/A^3   %s g/cm^3%s", atoms.s, real_text(mass_density(s), 4).s,
                 s->unknown ? " (atoms of unknown element not counted)" : "");
    else
        text_row("density", "%s atoms/A^3", atoms.s);
}

static void info_text(const char *file, const vic_structure_info *v, const struct structure_options *o,
                      const struct summary *s)
{
    char elements[512] = "";
    size_t used = 0;
    for (int z = 1; z <= 256; z++) {
        int64_t count = s->elements[z % 256];
        if (count == 0 || used + 32 > sizeof elements) continue;
        used += (size_t)snprintf(elements + used, sizeof elements - used, "%s%s %s", used ? "  " : "",
                                 z == 256 ? "unknown" : chemistry_symbol(z), count_text(count).s);
    }
    text_title("%s", file);
    if (*v->title) text_row("title", "%s", v->title);
    text_row("format", "%s", v->format);
    if (v->file_atoms == v->atoms)
        text_row("atoms", "%s", count_text(v->atoms).s);
    else
        text_row("atoms", "%s (the model in the file has %s)", count_text(v->atoms).s, count_text(v->file_atoms).s);
    text_row("elements", "%s", elements);
    text_models(v, &o->read);
    if (v->altloc_atoms)
        text_row("altloc atoms", "%s%s", count_text(v->altloc_atoms).s,
                 o->altloc == 1 ? "; all are kept" : "; per residue the location of the highest occupancy is kept");
    if (s->partial) text_row("occupancy", "below 1 for %s of these atoms", count_text(s->partial).s);
    if (v->labels) text_row("chains, residues", "%s, %s", count_text(s->chains).s, count_text(s->residues).s);
    if (s->has_cell) {
        text_row("cell", "%s %s %s A   %s %s %s degrees", real_text(s->length[0], 6).s, real_text(s->length[1], 6).s,
                 real_text(s->length[2], 6).s, real_text(s->angle[0], 5).s, real_text(s->angle[1], 5).s,
                 real_text(s->angle[2], 5).s);
        text_row("volume", "%s A^3", real_text(s->volume, 6).s);
        text_density(v, s);
    }
    structure_text(v, &o->read);
    if (v->atoms) {
        text_row("bounding box", "%s %s %s  to  %s %s %s A", fixed_text(s->low[0], 2).s, fixed_text(s->low[1], 2).s,
                 fixed_text(s->low[2], 2).s, fixed_text(s->high[0], 2).s, fixed_text(s->high[1], 2).s,
                 fixed_text(s->high[2], 2).s);
    }
    notes_text(&s->notes);
}

vic_status cmd_info(int argc, char **argv, vic_error *err)
{
    struct structure_options s;
    struct option structure_rows[STRUCTURE_OPTIONS], output_rows[OUTPUT_OPTIONS];
    const struct option_group groups[] = { { "Structure", structure_rows, STRUCTURE_OPTIONS },
                                           { "Output", output_rows + 1, 1 } };
    const struct syntax syntax = { "info", "FILE", "What a structure file holds: atoms, elements, cell, density.",
                                   NULL,   groups, 2 };
    vic_structure *structure = NULL;
    vic_structure_info view;
    struct summary summary;
    const char *file;
    bool helped;
    double seconds;
    vic_status st;
    structure_options_init(&s);
    structure_options_rows(&s, structure_rows);
    output_options_rows(&s, output_rows);
    TRY(options_read(&syntax, argc, argv, &file, &helped, err));
    if (helped) return VIC_OK;
    TRY_GOTO(structure_open(&s, file, &structure, &seconds, err), done);
    progress_end();
    TRY_GOTO(structure_look(structure, &view, err), done);
    TRY_GOTO(summarise(&view, &summary, err), done);
    notes_structure(&summary.notes, &view);
    if (s.json)
        TRY_GOTO(info_json(file, &view, &s.read, &summary, err), done);
    else
        info_text(file, &view, &s, &summary);
done:
    vic_structure_free(structure);
    return st;
}
