/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/structure.h"

#include "base/memory.h"
#include "structure/cell.h"
#include "structure/element.h"

#include <math.h>
#include <string.h>

vic_status structure_create(struct vic_structure **out, vic_error *err)
{
    TRY(mem_array_zero(1, sizeof **out, "structure", out, err));
    (*out)->format = "arrays";
    (*out)->models = 1;
    (*out)->symmetry_operations = 1;
    return VIC_OK;
}

void structure_free(struct vic_structure *s)
{
    if (!s) return;
    atoms_free(&s->atoms);
    free(s);
}

vic_structure_info structure_info(const struct vic_structure *s)
{
    vic_structure_info v = VIC_INIT(vic_structure_info);
    v.atoms = (int64_t)s->atoms.count;
    v.positions = s->atoms.positions;
    v.atomic_numbers = s->atoms.numbers;
    v.labels = s->atoms.labels;
    v.b_factors = s->atoms.b_factors;
    v.occupancies = s->atoms.occupancies;
    v.has_cell = s->has_cell;
    memcpy(v.cell, s->cell, sizeof v.cell);
    memcpy(v.periodic, s->periodic, sizeof v.periodic);
    v.format = s->format;
    v.title = s->title;
    v.space_group = s->space_group;
    v.models = s->models;
    v.altloc_atoms = s->altloc_atoms;
    v.file_atoms = s->file_atoms;
    v.symmetry_operations = s->symmetry_operations;
    v.unapplied_operations = s->unapplied_operations;
    v.notes = s->notes;
    return v;
}

/* cell and periodic of the caller; an all-zero cell is the way of many programs to say that there is none. */
static vic_status take_cell(struct vic_structure *s, const double *cell, const bool *periodic, vic_error *err)
{
    char why[256];
    if (cell) memcpy(s->cell, cell, sizeof s->cell);
    bool none = !cell || cell_is_zero(CELL(s->cell));
    if (none) {
        for (int i = 0; periodic && i < 3; ++i)
            if (periodic[i])
                return vic_fail(err, VIC_BAD_ARGUMENT,
                                "periodic[%d] is true, but there is no cell: give 3 cell vectors, or periodic NULL",
                                i);
        return VIC_OK;
    }
    s->has_cell = true;
    for (int i = 0; i < 3; ++i) s->periodic[i] = periodic ? periodic[i] : true;
    if (!cell_check_periodic(CELL(s->cell), s->periodic, why, sizeof why))
        return vic_fail(err, VIC_BAD_ARGUMENT, "cell: %s; give independent vectors, or open that axis in periodic",
                        why);
    return VIC_OK;
}

vic_status structure_from_arrays(int64_t atoms, const double *positions, const double *cell, const bool *periodic,
                                 const uint8_t *atomic_numbers, struct vic_structure **out, vic_error *err)
{
    struct vic_structure *s = NULL;
    vic_status st = VIC_OK;
    size_t n = (size_t)atoms;
    TRY_GOTO(structure_create(&s, err), done);
    TRY_GOTO(take_cell(s, cell, periodic, err), done);
    TRY_GOTO(atoms_reserve(&s->atoms, n ? n : 1, err), done);
    s->atoms.count = n;
    for (size_t i = 0; i < 3 * n; ++i) {
        if (isfinite(positions[i])) continue;
        st = vic_fail(err, VIC_BAD_ARGUMENT, "positions[%zu][%zu]: expected a finite number, found %g", i / 3, i % 3,
                      positions[i]);
        goto done;
    }
    if (n) memcpy(s->atoms.positions, positions, 3 * n * sizeof *positions);
    for (size_t i = 0; i < n; ++i) {
        uint8_t z = atomic_numbers ? atomic_numbers[i] : 0;
        if (z >= ELEMENT_COUNT) {
            st = vic_fail(err, VIC_BAD_ARGUMENT, "atomic_numbers[%zu]: expected 1 to 118, or 0 for unknown, found %u",
                          i, z);
            goto done;
        }
        s->atoms.numbers[i] = z;
    }
    s->file_atoms = atoms;
    *out = s;
    s = NULL;
done:
    structure_free(s);
    return st;
}
