/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a model's atoms are kept. */
#ifndef VIC_STRUCTURE_SELECT_H
#define VIC_STRUCTURE_SELECT_H

#include "structure/atoms.h"

int64_t select_count_altlocs(const struct atoms *a);

/* One altloc label per residue (chain, number, insertion): the one of highest mean occupancy, ties to the first in
 * the file.  Atoms without a label stay.  Of an atom that has only other labels (and the winner's residue name) the
 * one of highest occupancy stays; so a point mutation keeps one residue name. */
vic_status select_altlocs(struct atoms *a, vic_error *err);

vic_status select_drop(struct atoms *a, bool hydrogen, bool water, vic_error *err);

#endif
