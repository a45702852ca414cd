/* SPDX-License-Identifier: Apache-2.0 */
/* What a reader of one format gets and gives.  The table of formats is in sniff.c. */
#ifndef VIC_STRUCTURE_IO_FORMAT_H
#define VIC_STRUCTURE_IO_FORMAT_H

#include "structure/atoms.h"
#include "structure/expand.h"
#include "structure/io/source.h"
#include "structure/io/text.h"

enum file_cell_kind { FILE_CELL_NONE, FILE_CELL_PARAMETERS, FILE_CELL_VECTORS };

/* The cell as the file states it, not yet checked: a cell given by hand may replace it. */
struct file_cell {
    enum file_cell_kind kind;
    double parameters[6];
    const char *missing; /* NULL, or the parameter that the file lacks (static) */
    char problem[256];   /* or why what stands there cannot be read: "expected ..., found ..."; then kind is NONE */
    double vectors[3][3];
    int64_t line;            /* or 0 */
    bool has_fractional;     /* SCALEn, fract_transf_matrix: the frame in which the atoms are given */
    double fractional[3][4]; /* matrix and vector */
    bool says_periodic;      /* extXYZ's pbc */
    bool periodic[3];
};

/* A zeroed one is empty; format_free_content() frees what it holds. */
struct file_content {
    struct atoms atoms; /* of the chosen model */
    struct file_cell cell;
    const char *format; /* static */
    char title[512];
    char space_group[32];
    int64_t models;
    bool fractional; /* positions are fractional: of the file's cell, or of the one given in its place */
    /* Symmetry as the file lists it, identity first; NULL: by name. */
    struct expand_operation *operations;
    int operation_count;
    char hall[80];
    char symmetry_problem[256]; /* why the operations cannot be used, for those who ask for them */
    char notes[1024];           /* see format_note() */
    /* [atoms] where each stands in the text, for formats in which the same atom may not stand twice; NULL for others. */
    size_t *places;
    size_t places_capacity;
    int64_t none_count, none_line; /* see format_none() */
    const char *none_what;
};

struct format {
    const char *name;
    bool (*looks_like)(const struct source *s); /* by the first lines; cheap */
    /* model 0 is the first, -1 the last; the caller frees the content, also after failure */
    vic_status (*read)(const struct source *s, int model, struct file_content *out, vic_error *err);
    /* Of what looks so: the head holds what no other format has there.  A title may say anything, so this comes
     * before looks_like() of any other.  NULL: never that sure. */
    bool (*is_sure)(const struct source *s);
};

extern const struct format format_poscar, format_cif, format_lammps, format_amber, format_gro, format_xyz, format_pdb;

/* The format that the head speaks for. */
vic_status format_find(const struct source *s, const struct format **out, vic_error *err);
/* Find the format and read.  Where the head is not sure and the reader fails, what else it looks like is tried; a
 * note then says so.  The caller frees the content, also after failure. */
vic_status format_read(const struct source *s, int model, struct file_content *out, vic_error *err);
void format_free_content(struct file_content *c); /* leaves it empty */

/* "no model 7; FILE has 3 models: 1, 2, 3" */
vic_status format_no_model(const struct source *s, int model, const int64_t *numbers, size_t count, vic_error *err);
/* The same where they are numbered 1 to `frames`; `what` is "frame", "model" or "data block". */
vic_status format_no_frame(const struct source *s, const char *what, int model, int64_t frames, vic_error *err);
/* 1 to `frames` for what is asked for (0 is the first, negative from the end); 0 when there is no such frame. */
int64_t format_frame(int model, int64_t frames);
vic_status format_no_atoms(const struct source *s, const char *expected, vic_error *err);
void format_set_title(char title[512], struct piece text); /* appends; control characters and bad UTF-8 as '?' */
/* Add a whole sentence on what was decided in reading and may surprise; dropped when a note has the same text, or
 * none fits any more. */
void format_note(char notes[1024], const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Notes an atom's value that is no number (number_is_none()) and was taken as not stated; format_note_none()
 * reports them. */
void format_none(struct file_content *out, const char *what, int64_t line);
void format_note_none(struct file_content *out);
/* Append an atom that stands at `at` in the text. */
vic_status format_append(struct file_content *out, const struct atom *a, size_t at, vic_error *err);
/* Where nobody chose (model 0) and out->models says that there are several, a note that the first was taken; `what`
 * is "models" or "frames". */
void format_note_models(struct file_content *out, int model, const char *what);
/* A note that what follows the frame that was taken cannot be read, and why. */
void format_note_fault(struct file_content *out, int64_t frame, const struct source *s, const vic_error *fault);
bool format_cell_is_dummy(const double parameters[6]); /* 1 x 1 x 1 or zeros: what non-crystals carry */

#endif
