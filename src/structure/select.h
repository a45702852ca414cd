/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a model's atoms are kept. */
#ifndef VIC_STRUCTURE_SELECT_H
#define VIC_STRUCTURE_SELECT_H

#include "structure/atoms.h"

int64_t select_count_altlocs(const struct atoms *a);

/* One altloc label per residue: the one of highest mean occupancy, ties to the first in the file; what only others
 * have goes with them.  An atom without a label stays, unless its residue has the same atom with one: then it counts
 * as a label of its own.  Labels exclude each other only where they have an atom of one name, or residues of
 * different names (a point mutation); altlocs.c says what a residue is. */
vic_status select_altlocs(struct atoms *a, vic_error *err);

vic_status select_drop(struct atoms *a, bool hydrogen, bool water, vic_error *err);

#endif
