/* SPDX-License-Identifier: Apache-2.0 */
/* Atom types of LAMMPS data: their labels, masses, and the elements that these stand for. */
#include "base/memory.h"
#include "structure/element.h"
#include "structure/io/lammps.h"
#include "structure/number.h"

#include <math.h>
#include <string.h>

static int compare_pieces(struct piece a, struct piece b)
{
    size_t length = a.length < b.length ? a.length : b.length;
    int order = length ? memcmp(a.text, b.text, length) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_labels(const void *a, const void *b)
{
    return compare_pieces(((const struct lammps_label *)a)->text, ((const struct lammps_label *)b)->text);
}

bool lammps_type(const struct lammps *r, struct piece word, int64_t *type)
{
    const struct lammps_label key = { word, 0 }, *found;
    if (number_read_integer(word.text, word.length, type)) return *type >= 1 && (r->types < 0 || *type <= r->types);
    if (!r->labels || !word.length) return false;
    found = bsearch(&key, r->labels, (size_t)r->types, sizeof *r->labels, compare_labels);
    if (found) *type = found->type;
    return found != NULL;
}

/* The next of the rows of a section that has one for each type. */
static vic_status next_type_row(const struct lammps *r, const char *section, int64_t left, struct lines *l,
                                struct piece *row, vic_error *err)
{
    struct piece comment;
    for (row->length = 0; !row->length; *row = lammps_without_comment(*row, &comment))
        if (!lines_next(l, row))
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s line %lld: expected %lld more rows in %s, found the end of the file; fetch it "
                            "again if it was cut",
                            r->source->name, (long long)l->number, (long long)left, section);
    return VIC_OK;
}

static vic_status check_types(const struct lammps *r, const char *section, vic_error *err)
{
    if (r->types >= 0 && r->types <= (int64_t)r->source->size) return VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s: expected the number of atom types in the header, as many as %s has rows, found %lld; "
                    "fix it",
                    r->source->name, section, (long long)r->types);
}

vic_status lammps_read_labels(struct lammps *r, vic_error *err)
{
    struct lines l = r->labels_at;
    struct piece line, words[2];
    struct lammps_label *labels = NULL;
    TRY(check_types(r, "Atom Type Labels", err));
    TRY(mem_array_zero((size_t)r->types, sizeof *labels, "labels of atom types", &labels, err));
    for (int64_t i = 0; i < r->types; ++i) {
        struct lammps_label *label = &labels[i];
        vic_status st = next_type_row(r, "Atom Type Labels", r->types - i, &l, &line, err);
        if (st == VIC_OK && (lammps_words(line, words, 2) != 2 ||
                             !number_read_integer(words[0].text, words[0].length, &label->type) || label->type < 1 ||
                             label->type > r->types))
            st = lammps_bad_line(r, l.number, "an atom type (a number) and its label", line, err);
        if (st != VIC_OK) return free(labels), st;
        label->text = words[1];
    }
    qsort(labels, (size_t)r->types, sizeof *labels, compare_labels);
    r->labels = labels;
    return VIC_OK;
}

/* Beads and lj units have masses that an element may have by chance: 1 above all, 45 beside 72.  So whole numbers
 * stand for light elements only where another type is heavier than helium, and where a type has no element's mass,
 * the others must be exact. (Lighter ones than 3.5 are virtual sites and heavy hydrogens.) */
static void elements_of_masses(struct lammps *r)
{
    bool heavier = false, beads = false;
    for (int64_t i = 1; i <= r->types; ++i)
        beads = beads || (r->masses[i] >= 3.5 && !element_from_mass(r->masses[i], false));
    for (int64_t i = 1; i <= r->types; ++i) {
        r->elements[i] = element_from_mass(r->masses[i], beads);
        heavier = heavier || r->elements[i] > 2;
    }
    for (int64_t i = 1; !heavier && i <= r->types; ++i)
        if (r->masses[i] == floor(r->masses[i])) r->elements[i] = 0;
}

vic_status lammps_read_masses(struct lammps *r, vic_error *err)
{
    struct lines l = r->masses_at;
    struct piece line, words[2];
    TRY(check_types(r, "Masses", err));
    TRY(mem_array_zero((size_t)r->types + 1, sizeof *r->elements, "atom types", &r->elements, err));
    TRY(mem_array_zero((size_t)r->types + 1, sizeof *r->masses, "masses of atom types", &r->masses, err));
    for (int64_t left = r->types; left; --left) {
        int64_t type;
        double mass;
        TRY(next_type_row(r, "Masses", left, &l, &line, err));
        if (lammps_words(line, words, 2) != 2 || !lammps_type(r, words[0], &type) ||
            !number_read(words[1].text, words[1].length, 0, &mass))
            return lammps_bad_line(r, l.number,
                                   "an atom type (a number, or a label of Atom Type Labels) and its mass", line, err);
        r->masses[type] = mass;
    }
    if (!r->other_units) elements_of_masses(r);
    return VIC_OK;
}
