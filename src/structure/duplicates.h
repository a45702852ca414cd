/* SPDX-License-Identifier: Apache-2.0 */
/* Atoms that are listed twice.  Where an atom stands tells it from others, not what it is called: names are free (all
 * waters may be residue 1, all hydrogens H), but two whole atoms have no room in one place. */
#ifndef VIC_STRUCTURE_DUPLICATES_H
#define VIC_STRUCTURE_DUPLICATES_H

#include "structure/atoms.h"

struct duplicates {
    bool *again;          /* [atoms]: the atom is an earlier one again; the caller frees it */
    size_t count;         /* of these */
    size_t first, second; /* the first of these is `second`, and which it repeats */
};

/* An atom is an earlier one again when both have the same position, to the last bit, and the same altloc label, and
 * either every name of theirs is the same too, or the occupancies at that place add up to more than one atom (1.1, as
 * they are rounded): sites that share a place in disorder are several atoms.  An occupancy of 0 or none is a whole
 * atom.  Linear time. */
vic_status duplicates_find(const struct atoms *a, struct duplicates *out, vic_error *err);

#endif
