/* SPDX-License-Identifier: Apache-2.0 */
/* What the command calls of vicinal_structure.h, for a build without that library (VIC_STRUCTURE_FILES=OFF): no
 * structure is ever read, so that nothing else is reached. */
#include "cli.h"
#include "vicinal_structure.h"

static vic_status no_structures(const char *path, vic_error *err)
{
    return fail(err, VIC_BAD_ARGUMENT,
                "%s: this build reads no structure files (VIC_STRUCTURE_FILES=OFF, or gemmi's headers were missing): "
                "give a pattern (.vnp), a block mask (.npz), blocks:ROWSxCOLUMNS:n=COUNT, atoms:N or dense:N",
                path);
}

vic_status vic_structure_read(const char *path, const vic_read_options *options, vic_structure **out, vic_error *err)
{
    (void)options;
    *out = NULL;
    return no_structures(path, err);
}

vic_status vic_structure_get(const vic_structure *s, vic_structure_info *out, vic_error *err)
{
    (void)s;
    (void)out;
    return no_structures("FILE", err);
}

vic_status vic_structure_points(const vic_structure *s, vic_points *out, vic_error *err)
{
    (void)s;
    (void)out;
    return no_structures("FILE", err);
}

vic_status vic_structure_write_to(const vic_structure *s, int descriptor, const char *name, const char *value_name,
                                  const double *values, vic_error *err)
{
    (void)s;
    (void)descriptor;
    (void)value_name;
    (void)values;
    return no_structures(name, err);
}

void vic_structure_free(vic_structure *s)
{
    (void)s;
}
