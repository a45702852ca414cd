/* SPDX-License-Identifier: Apache-2.0 */
/* Atoms that are listed twice.  Where an atom stands distinguishes it from others of its name: all waters may be residue 1,
 * all hydrogens H, but two whole atoms of one name have no room in one place. */
#ifndef VIC_STRUCTURE_DUPLICATES_H
#define VIC_STRUCTURE_DUPLICATES_H

#include "structure/atoms.h"

struct duplicates {
    bool *again;  /* [atoms]: the atom is an earlier one again; the caller frees it; NULL: no two share a place */
    size_t count; /* of these */
    size_t first, second; /* the first of these is `second`, and which it repeats */
    size_t crowded;       /* further atoms in a place that another one, of another name, takes up: rounded positions,
                           * placeholders, the particles of polarisable models */
};

/* An atom is an earlier one again when both have the same position, to the last bit, the same name and altloc label,
 * and either all of their residues' names are the same too, or the occupancies of the two at that place add up to
 * more than one atom (1.1, as they are rounded): sites that share a place in disorder are several atoms.  An
 * occupancy of 0 or none is a whole atom.  Linear time. */
vic_status duplicates_find(const struct atoms *a, struct duplicates *out, vic_error *err);

#endif
