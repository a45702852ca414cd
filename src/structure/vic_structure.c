/* SPDX-License-Identifier: Apache-2.0 */
/* Structures of the public API: arguments and options are checked here, the work is in src/structure. */
#include "base/switches.h"
#include "structure/cell.h"
#include "structure/structure.h"

vic_status vic_structure_read(const char *path, const vic_read_options *options, vic_structure **out, vic_error *err)
{
    double cell[3][3];
    char why[256];
    NEED_OUT(out);
    if (!path || !*path)
        return vic_fail(err, VIC_BAD_ARGUMENT, "path is %s: expected a file", path ? "empty" : "NULL");
    TAKE_STRUCT(vic_read_options, o, options, err);
    TRY(reserved_check(o.reserved_1, sizeof o.reserved_1, "vic_read_options", err));
    TRY(switch_check(SWITCH_READ_LIMIT, err));
    if (o.altloc != VIC_ALTLOC_HIGHEST && o.altloc != VIC_ALTLOC_ALL)
        return vic_fail(err, VIC_BAD_ARGUMENT, "altloc: expected VIC_ALTLOC_HIGHEST or VIC_ALTLOC_ALL, found %d",
                        (int)o.altloc);
    if (o.pbc != VIC_PBC_AUTO && o.pbc != VIC_PBC_SET)
        return vic_fail(err, VIC_BAD_ARGUMENT, "pbc: expected VIC_PBC_AUTO or VIC_PBC_SET, found %d", (int)o.pbc);
    if ((int)o.duplicates < VIC_DUPLICATES_REFUSE || o.duplicates > VIC_DUPLICATES_KEEP)
        return vic_fail(err, VIC_BAD_ARGUMENT, "duplicates: expected VIC_DUPLICATES_REFUSE, _DROP or _KEEP, found %d",
                        (int)o.duplicates);
    for (int i = 0; i < 3; ++i)
        if (o.supercell[i] < 0)
            return vic_fail(err, VIC_BAD_ARGUMENT, "supercell[%d]: expected at least 1 repetition (0 = 1), found %d",
                            i, o.supercell[i]);
    if (o.max_atoms < 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "max_atoms: expected a limit, or 0 for the default, found %lld",
                        (long long)o.max_atoms);
    if (o.has_cell && !cell_from_parameters(o.cell, cell, why, sizeof why))
        return vic_fail(err, VIC_BAD_ARGUMENT, "cell: %s; give a, b, c in A and alpha, beta, gamma in degrees", why);
    return structure_read(path, &o, out, err);
}

vic_status vic_structure_from_arrays(int64_t atoms, const double *positions, const double *cell, const bool *periodic,
                                     const uint8_t *atomic_numbers, vic_structure **out, vic_error *err)
{
    NEED_OUT(out);
    if (atoms < 0 || atoms > ATOMS_MOST)
        return vic_fail(err, VIC_BAD_ARGUMENT, "atoms: expected 0 to %lld, found %lld", (long long)ATOMS_MOST,
                        (long long)atoms);
    if (atoms && !positions)
        return vic_fail(err, VIC_BAD_ARGUMENT, "positions is NULL: expected [%lld, 3] doubles", (long long)atoms);
    return structure_from_arrays(atoms, positions, cell, periodic, atomic_numbers, out, err);
}

vic_status vic_structure_get(const vic_structure *s, vic_structure_info *out, vic_error *err)
{
    NEED(s, "structure", "read one first, with vic_structure_read()");
    const vic_structure_info info = structure_info(s);
    return struct_give(out, &info, sizeof info, "vic_structure_info", err);
}

vic_status vic_structure_points(const vic_structure *s, vic_points *out, vic_error *err)
{
    vic_points points = VIC_INIT(vic_points);
    NEED(s, "structure", "read one first, with vic_structure_read()");
    points.n = (int64_t)s->atoms.count;
    points.positions.data = s->atoms.positions;
    points.positions.device = (vic_device){ VIC_CPU, 0 };
    points.positions.dtype = VIC_F64;
    points.positions.ndim = 2;
    points.positions.shape[0] = points.n;
    points.positions.shape[1] = points.positions.stride[0] = 3;
    points.positions.stride[1] = 1;
    points.cell = s->has_cell ? &s->cell[0][0] : NULL;
    points.periodic = s->periodic;
    return struct_give(out, &points, sizeof points, "vic_points", err);
}

vic_status vic_structure_write(const vic_structure *s, const char *path, const char *value_name, const double *values,
                               vic_error *err)
{
    if (!s) return vic_fail(err, VIC_BAD_ARGUMENT, "structure is NULL: read one first");
    if (!path || !*path)
        return vic_fail(err, VIC_BAD_ARGUMENT, "path is %s: expected a file", path ? "empty" : "NULL");
    if (!values)
        return vic_fail(err, VIC_BAD_ARGUMENT, "values is NULL: expected one number for each of the %zu atoms",
                        s->atoms.count);
    return structure_write(s, path, value_name, values, err);
}

vic_status vic_structure_write_to(const vic_structure *s, int descriptor, const char *name, const char *value_name,
                                  const double *values, vic_error *err)
{
    if (!s) return vic_fail(err, VIC_BAD_ARGUMENT, "structure is NULL: read one first");
    if (!name || !*name)
        return vic_fail(err, VIC_BAD_ARGUMENT, "name is %s: expected one whose ending says the format",
                        name ? "empty" : "NULL");
    if (!values)
        return vic_fail(err, VIC_BAD_ARGUMENT, "values is NULL: expected one number for each of the %zu atoms",
                        s->atoms.count);
    return structure_write_to(s, descriptor, name, value_name, values, err);
}

void vic_structure_free(vic_structure *s)
{
    structure_free(s);
}
