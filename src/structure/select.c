/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/select.h"

#include "base/memory.h"
#include "structure/element.h"

#include <string.h>

int64_t select_count_altlocs(const struct atoms *a)
{
    int64_t count = 0;
    if (!a->has_labels) return 0;
    for (size_t i = 0; i < a->count; ++i) count += a->labels[i].altloc != ' ';
    return count;
}

vic_status select_drop(struct atoms *a, bool hydrogen, bool water, vic_error *err)
{
    bool *keep;
    if (!hydrogen && !water) return VIC_OK;
    if (water && !a->has_labels)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "drop_water: expected a format with residue names, found one without; keep the waters, "
                        "or use PDB, mmCIF or GRO");
    TRY(mem_array(a->count, sizeof *keep, "flags", &keep, err));
    for (size_t i = 0; i < a->count; ++i)
        keep[i] = !(hydrogen && a->numbers[i] == 1) && !(water && residue_is_water(a->labels[i].residue));
    atoms_keep(a, keep);
    free(keep);
    return VIC_OK;
}
