/* SPDX-License-Identifier: Apache-2.0 */
/* One ATOM or HETATM record: fixed columns, checked before they are believed. */
#ifndef VIC_STRUCTURE_IO_PDB_RECORD_H
#define VIC_STRUCTURE_IO_PDB_RECORD_H

#include "structure/element.h"
#include "structure/io/format.h"

struct pdb_record {
    struct atom atom;      /* the segment is columns 73 to 76 */
    bool has_b_factor;     /* otherwise 0 */
    bool has_occupancy;    /* otherwise 1 */
    const char *no_number; /* NULL, or which of these stands there but is inf, nan or stars, and so was left out */
};

/* A record's name is the same in capitals and small letters. */
bool pdb_begins(struct piece line, const char *name);

enum pdb_kind {
    PDB_ATOM,
    PDB_UNCLEAR, /* not spelt as an atom, but looks like one: to be refused, as dropping it would lose an atom */
    PDB_OTHER
};
enum pdb_kind pdb_kind_of(struct piece line);
vic_status pdb_refuse_unclear(const char *file, int64_t number, struct piece line, vic_error *err);

/* Whether an atom's record stands in the line, `from` characters or more from its start: a line end is missing. */
bool pdb_holds_atom(struct piece line, size_t from);
vic_status pdb_refuse_joined(const char *file, int64_t number, struct piece line, vic_error *err);

/* `l` stands behind `line`: where the file ends there, a field may have been cut. */
vic_status pdb_read_atom(const char *file, struct piece line, const struct lines *l, struct element_memory *memory,
                         struct pdb_record *out, vic_error *err);

#endif
