/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/notes.h"

#include "chemistry.h"
#include "numbers.h"
#include "progress.h"
#include "text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void add(struct notes *notes, const char *format, va_list args)
{
    if (notes->n == MOST_NOTES) return;
    vsnprintf(notes->text[notes->n++], sizeof notes->text[0], format, args);
}

void notes_add(struct notes *notes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(notes, format, args);
    va_end(args);
}

void notes_warn(struct notes *notes, const char *format, ...)
{
    int before = notes->n;
    va_list args;
    va_start(args, format);
    add(notes, format, args);
    va_end(args);
    if (notes->n == before) return;
    progress_end(); /* whose line it would stand in */
    fprintf(stderr, "vicinal: warning: %s\n", notes->text[before]);
}

void notes_json(struct json *j, const struct notes *notes)
{
    json_put_array(j, "notes");
    for (int i = 0; i < notes->n; i++) json_put_text(j, NULL, notes->text[i]);
    json_put_array_end(j);
}

void notes_text(const struct notes *notes)
{
    for (int i = 0; i < notes->n; i++) text_row("note", "%s", notes->text[i]);
}

/* ---- density ---- */

/* The densest matter that is made of atoms, diamond, has 0.18 atoms in a cubic angstrom and 20 within 3 A. */
static const double most_density = 1.0, near = 3.0;
enum { SAMPLED = 4, MOST_NEAR = 100 };

/* Around some atoms, on average.  All atoms are gone through once, as they may not fit a cache. */
static double atoms_near(const vic_structure_info *v)
{
    const int64_t sampled = v->atoms < SAMPLED ? v->atoms : SAMPLED;
    int64_t found = 0;
    for (int64_t j = 0; j < v->atoms; j++) {
        const double *b = v->positions + 3 * j;
        for (int64_t i = 0; i < sampled; i++) {
            const double *a = v->positions + 3 * (v->atoms * i / sampled);
            double x = b[0] - a[0], y = b[1] - a[1], z = b[2] - a[2];
            found += x * x + y * y + z * z < near * near;
        }
    }
    return sampled ? (double)found / (double)sampled : 0.0;
}

static void warn_of_density(struct notes *notes, const vic_structure_info *v)
{
    double volume = volume_of_cell(v->cell), around;
    if (v->periodic[0] && v->periodic[1] && v->periodic[2] && (double)v->atoms > most_density * volume) {
        notes_warn(notes,
                   "the cell has %s atoms in a cubic angstrom, where the densest matter has 0.18: lengths are in "
                   "angstrom here; is the cell in nanometres?",
                   real_text((double)v->atoms / volume, 3).s);
        return;
    }
    around = atoms_near(v);
    if (around > MOST_NEAR)
        notes_warn(notes,
                   "there are %s atoms within 3 A of one, where the densest matter has 20: positions are in angstrom "
                   "here; are these in nanometres?",
                   real_text(around, 3).s);
}

void notes_structure(struct notes *notes, const vic_structure_info *v)
{
    for (const char *at = v->notes; at && *at;) {
        size_t length = strcspn(at, "\n");
        notes_add(notes, "%.*s", (int)length, at);
        at += length + (at[length] == '\n');
    }
    warn_of_density(notes, v);
}

void notes_lonely(struct notes *notes, int64_t atoms, int64_t pairs, bool no_self, double cutoff)
{
    if (atoms < 2 || pairs > (no_self ? 0 : atoms)) return;
    notes_add(notes, "No atom has another one within the cutoff, %s A: lengths are in angstrom here.",
              plain_text(cutoff).s);
}
