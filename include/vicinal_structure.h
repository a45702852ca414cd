/* SPDX-License-Identifier: Apache-2.0 */
/* Structures: atoms and their cell, from files and from arrays.  Link vicinal_structure, which needs zlib and the C++
 * runtime (gemmi); the core library needs neither.  The rules are those of vicinal.h. */
#ifndef VICINAL_STRUCTURE_H
#define VICINAL_STRUCTURE_H

#include "vicinal.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vic_structure vic_structure;
typedef enum vic_altloc { VIC_ALTLOC_HIGHEST = 0, VIC_ALTLOC_ALL = 1 } vic_altloc;
typedef enum vic_duplicates {
    VIC_DUPLICATES_REFUSE = 0,
    VIC_DUPLICATES_DROP = 1,
    VIC_DUPLICATES_KEEP = 2
} vic_duplicates;
typedef enum vic_pbc { VIC_PBC_AUTO = 0, VIC_PBC_SET = 1 } vic_pbc;

typedef struct vic_read_options {
    VIC_SIZE_OF(vic_read_options);
    int64_t max_atoms;    /* refuse larger structures, symmetry and supercell included; 0 = the default 2^31 - 65 */
    double cell[6];       /* a, b, c, alpha, beta, gamma (A, degrees) in place of the file's, where has_cell */
    int32_t supercell[3]; /* repetitions along a, b, c; 0 = 1 */
    int32_t model;     /* number of the model or frame to take (1, 2, ...); 0 = the first, -1 = the last, -2 = ... */
    vic_altloc altloc; /* HIGHEST: per residue the label with the highest mean occupancy, ties to the first */
    vic_duplicates duplicates; /* PDB, mmCIF: of atoms listed twice in one place DROP takes the first alone */
    vic_pbc pbc;      /* AUTO: what the file says of its axes; else all three where there is a cell, but none where
                         * the file's cell has a space group whose operations were not applied; SET: `periodic` */
    bool periodic[3]; /* along a, b, c */
    bool has_cell;
    bool drop_hydrogen; /* H and D */
    bool drop_water;    /* residues HOH, WAT, SOL, TIP3, ... ; docs/concepts.md has the list */
    bool symmetry;      /* apply the space group; copies within 0.1 A (minimum image) are merged */
    bool reserved_1[5];
    uint64_t reserved[4];
} vic_read_options;

/* Read PDB, mmCIF, small-molecule CIF, GRO, XYZ, extXYZ, POSCAR, LAMMPS data or Amber rst7, each also gzipped; the
 * format is found by content, not by name.  docs/formats.md says what is read of each.
 * `options` may be NULL.  CANNOT_READ when the file cannot be opened, BAD_INPUT with file, line, expected and found
 * when its content cannot be trusted.  Cost: linear in the file. */
VIC_API vic_status vic_structure_read(const char *path, const vic_read_options *options, vic_structure **out,
                                      vic_error *err) VIC_CHECK_RESULT;

/* From arrays, copied.  positions [atoms, 3], finite; cell NULL or [9]; periodic NULL (all axes when there is a cell)
 * or [3]; atomic_numbers [atoms] or NULL (unknown, 0). */
VIC_API vic_status vic_structure_from_arrays(int64_t atoms, const double *positions, const double *cell,
                                             const bool *periodic, const uint8_t *atomic_numbers, vic_structure **out,
                                             vic_error *err) VIC_CHECK_RESULT;

/* Names of one atom, NUL-terminated, cut to fit.  It never grows. */
typedef struct vic_atom_label {
    char name[8];     /* "CA" */
    char residue[8];  /* "ALA" */
    char chain[8];    /* "A"; the author's id where the file has two */
    char insertion;   /* insertion code or ' ' */
    char altloc;      /* or ' ' */
    bool hetero;      /* HETATM */
    int32_t sequence; /* residue number */
} vic_atom_label;

/* Borrowed: arrays and strings live as long as the structure.  Optional arrays are NULL when the source has none. */
typedef struct vic_structure_info {
    VIC_SIZE_OF(vic_structure_info);
    int64_t atoms;
    const double *positions;       /* [atoms, 3] A, as the file gives them (never wrapped) */
    const uint8_t *atomic_numbers; /* [atoms]; 0 = unknown */
    const vic_atom_label *labels;  /* [atoms] or NULL */
    const float *b_factors;        /* [atoms] A^2 or NULL */
    const float *occupancies;      /* [atoms] or NULL */
    double cell[9];                /* zeros without a cell */
    bool periodic[3];
    bool has_cell;
    bool reserved_1[4];
    const char *format;          /* "pdb", "mmcif", "cif", "gro", "xyz", "poscar", "lammps", ...; static */
    const char *title;           /* or "" */
    const char *space_group;     /* Hermann-Mauguin or "" */
    int64_t models;              /* in the file */
    int64_t altloc_atoms;        /* atoms in the chosen model that have an altloc label, before the choice */
    int64_t file_atoms;          /* in the chosen model, before any selection */
    int64_t symmetry_operations; /* applied; 1 = none */
    /* Operations of the cell's space group, beside the identity, that were not applied: where it is not 0 the atoms
     * are the asymmetric unit alone.  -1: the group is not known by its name, or its list cannot be used. */
    int64_t unapplied_operations;
    const char *notes; /* what was decided in reading and may surprise, a sentence a line; or "" */
    uint64_t reserved[4];
} vic_structure_info;
VIC_API vic_status vic_structure_get(const vic_structure *s, vic_structure_info *out,
                                     vic_error *err) VIC_CHECK_RESULT;

/* Its atoms as the points of a pattern: fills `out`, which borrows from the structure. */
VIC_API vic_status vic_structure_points(const vic_structure *s, vic_points *out, vic_error *err) VIC_CHECK_RESULT;

/* Write atoms with a per-atom value: as PDB and mmCIF the value is the B-factor (%6.2f; exact), as extXYZ a column
 * `value_name`:R:1.  The format follows the ending: .pdb, .cif, .mmcif, .xyz, .extxyz.  Written beside and renamed,
 * so a failure leaves no half file, though the death of the process may (PATH.part-...); values [atoms]. The form
 * with _to writes to an open descriptor (a file, pipe, socket, ...) at its place, and leaves it open: for callers who
 * see to half files themselves.  `name` says the format by its ending, and is the file's name in errors. */
VIC_API vic_status vic_structure_write(const vic_structure *s, const char *path, const char *value_name,
                                       const double *values, vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_structure_write_to(const vic_structure *s, int descriptor, const char *name,
                                          const char *value_name, const double *values,
                                          vic_error *err) VIC_CHECK_RESULT;
VIC_API void vic_structure_free(vic_structure *s);

#ifdef __cplusplus
}
#endif
#endif
