/* SPDX-License-Identifier: Apache-2.0 */
/* One ATOM or HETATM record: fixed columns, checked before they are believed. */
#ifndef VIC_STRUCTURE_IO_PDB_RECORD_H
#define VIC_STRUCTURE_IO_PDB_RECORD_H

#include "structure/io/format.h"

struct pdb_record {
    struct atom atom;
    char segment[8];    /* columns 73 to 76 */
    bool numbered;      /* the residue number is a number: not ****, not blank */
    bool has_b_factor;  /* otherwise 0 */
    bool has_occupancy; /* otherwise 1 */
};

bool pdb_is_atom(struct piece line);

/* `l` stands behind `line`: where the file ends there, a field may have been cut. */
vic_status pdb_read_atom(const char *file, struct piece line, const struct lines *l, struct pdb_record *out,
                         vic_error *err);

#endif
