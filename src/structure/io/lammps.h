/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the reader of LAMMPS data share: lammps.c has header, sections and box, lammps_types.c labels and
 * masses, lammps_atoms.c the rows. */
#ifndef VIC_STRUCTURE_IO_LAMMPS_H
#define VIC_STRUCTURE_IO_LAMMPS_H

#include "structure/io/format.h"

struct lammps_label {
    struct piece text;
    int64_t type;
};

struct lammps {
    const struct source *source;
    struct file_content *out;
    int64_t atoms, types; /* -1: not stated */
    int64_t atoms_line;
    bool has_box[3], has_vector[3], tilted;
    double low[3], high[3], tilt[3];             /* xy xz yz */
    double vectors[3][3];                        /* avec, bvec, cvec */
    struct lines labels_at, masses_at, atoms_at; /* behind the section's keyword */
    bool has_labels, has_masses, has_atoms;
    bool other_units;            /* the title says units in which a mass says no element */
    struct piece comment;        /* behind Atoms */
    uint8_t *elements;           /* [types + 1] */
    double *masses;              /* [types + 1] */
    struct lammps_label *labels; /* [types], by text */
};

struct piece lammps_without_comment(struct piece line, struct piece *comment);
int lammps_words(struct piece line, struct piece *words, int most); /* at most `most`; the number of all of them */
bool lammps_is_letter(char c);
bool lammps_numbers(const struct piece *words, int count, double *out);
vic_status lammps_bad_line(const struct lammps *r, int64_t number, const char *expected, struct piece found,
                           vic_error *err);

/* A type by its number or its label; a label begins with no digit. */
bool lammps_type(const struct lammps *r, struct piece word, int64_t *type);
vic_status lammps_read_labels(struct lammps *r, vic_error *err);
vic_status lammps_read_masses(struct lammps *r, vic_error *err); /* sets `elements` */

vic_status lammps_read_atoms(struct lammps *r, vic_error *err); /* r->atoms rows, one at least */

#endif
