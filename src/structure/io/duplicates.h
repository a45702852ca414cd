/* SPDX-License-Identifier: Apache-2.0 */
/* Finds an atom that is listed twice within one residue.  Only consecutive rows make a residue, so that numbers that
 * wrap (water boxes) are no error; linear time. */
#ifndef VIC_STRUCTURE_IO_DUPLICATES_H
#define VIC_STRUCTURE_IO_DUPLICATES_H

#include "structure/atoms.h"

struct duplicates {
    struct duplicate_slot *slots;
    size_t capacity, used;
    uint32_t generation; /* one a residue */
};

/* Before the first atom, too. */
void duplicates_new_residue(struct duplicates *d);

/* *first = `row` when this is the first atom of its name, residue name and altloc in this residue, otherwise the row
 * of that first one. */
vic_status duplicates_add(struct duplicates *d, const vic_atom_label *label, size_t row, size_t *first,
                          vic_error *err);

/* Programs that know no atom names write the element for each ("C", "C", "H" of residue UNL or MOL): such a name
 * tells no two atoms apart, except in residues whose names are standard. */
bool duplicates_name_is_no_identity(const vic_atom_label *label, uint8_t number);

void duplicates_free(struct duplicates *d);

#endif
