/* SPDX-License-Identifier: Apache-2.0 */
/* What a vic_structure owns.  Layers above use vic_structure_get(); only this folder sees the inside. */
#ifndef VIC_STRUCTURE_STRUCTURE_H
#define VIC_STRUCTURE_STRUCTURE_H

#include "structure/atoms.h"
#include "vicinal_structure.h"

struct vic_structure {
    struct atoms atoms;
    bool has_cell;
    double cell[3][3];
    bool periodic[3];
    double origin[3];   /* fractional coordinates of r = 0: a few crystals are given in a frame of their own */
    bool expanded;      /* by symmetry or a supercell: the space group no longer describes the atoms */
    const char *format; /* static */
    char title[512];
    char space_group[32];
    char notes[1024];
    int64_t models, altloc_atoms, file_atoms, symmetry_operations, unapplied_operations;
};

vic_status structure_create(struct vic_structure **out, vic_error *err);
void structure_free(struct vic_structure *s); /* NULL is fine */
vic_structure_info structure_info(const struct vic_structure *s);

vic_status structure_from_arrays(int64_t atoms, const double *positions, const double *cell, const bool *periodic,
                                 const uint8_t *atomic_numbers, struct vic_structure **out, vic_error *err);

/* Options are checked by the caller.  See vic_structure_read(). */
vic_status structure_read(const char *path, const vic_read_options *options, struct vic_structure **out,
                          vic_error *err);

/* The same of a text in memory. */
struct source;
vic_status structure_from_source(const struct source *source, const vic_read_options *options,
                                 struct vic_structure **out, vic_error *err);

/* See vic_structure_write() and vic_structure_write_to(). */
vic_status structure_write(const struct vic_structure *s, const char *path, const char *value_name,
                           const double *values, vic_error *err);
vic_status structure_write_to(const struct vic_structure *s, int descriptor, const char *name, const char *value_name,
                              const double *values, vic_error *err);

#endif
