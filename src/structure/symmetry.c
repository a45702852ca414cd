/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/symmetry.h"

#include "structure/cell.h"
#include "structure/expand.h"
#include "structure/io/gemmi_shim.h"

#include <string.h>

/* Operations by Hall symbol or by name, identity first; *count is 0 where neither is known.  *two_origins: the name
 * leaves open which of two origins is meant. */
static vic_status look_up(const struct file_content *c, const char *name, const struct vic_structure *s,
                          struct shim_operation found[SHIM_MAX_OPERATIONS], int *count, bool *two_origins,
                          vic_error *err)
{
    double parameters[6];
    *two_origins = false;
    *count = *c->hall ? shim_space_group_hall(c->hall, found) : 0;
    if (!*count && *s->space_group) {
        cell_to_parameters(CELL(s->cell), parameters);
        *count = shim_space_group(s->space_group, parameters[3], parameters[5], found, two_origins);
    }
    if (*count < 0) return vic_fail(err, VIC_NO_MEMORY, "%s: out of memory: space group", name);
    return VIC_OK;
}

vic_status symmetry_count(const struct file_content *c, const char *name, const vic_read_options *options,
                          struct vic_structure *s, vic_error *err)
{
    struct shim_operation found[SHIM_MAX_OPERATIONS];
    const char *group = *s->space_group ? s->space_group : c->hall;
    bool two_origins, stated = c->operation_count || *c->hall || *s->space_group || *c->symmetry_problem;
    int count;
    if (!s->has_cell || !stated) return VIC_OK;
    TRY(look_up(c, name, s, found, &count, &two_origins, err));
    if (c->operation_count && count && count != c->operation_count)
        format_note(s->notes,
                    "The file lists %d symmetry operation%s, but its space group %s has %d; the list is what counts.",
                    c->operation_count, c->operation_count == 1 ? "" : "s", group, count);
    if (c->operation_count) count = c->operation_count;
    if (options->symmetry || options->has_cell) return VIC_OK;
    s->unapplied_operations = *c->symmetry_problem || !count ? -1 : count - 1;
    return VIC_OK;
}

static vic_status find_operations(const struct file_content *c, const char *name, const struct vic_structure *s,
                                  struct expand_operation operations[SHIM_MAX_OPERATIONS], int *count, vic_error *err)
{
    struct shim_operation found[SHIM_MAX_OPERATIONS];
    bool two_origins;
    if (!*c->hall && !*s->space_group)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected a space group to apply symmetry, found none in the file; read without symmetry",
                        name);
    TRY(look_up(c, name, s, found, count, &two_origins, err));
    if (!*count)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected the Hermann-Mauguin name of a space group (P 21 21 21, C 1 2 1, ...), found "
                        "\"%s\"; correct it, or read without symmetry",
                        name, *s->space_group ? s->space_group : c->hall);
    if (two_origins)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected the origin of space group %s, which has two, found neither; add :1 or :2 to "
                        "the name, list the operations (_space_group_symop_operation_xyz), or read without symmetry",
                        name, s->space_group);
    for (int k = 0; k < *count; ++k) {
        memcpy(operations[k].rotation, found[k].rotation, sizeof operations[k].rotation);
        memcpy(operations[k].translation, found[k].translation, sizeof operations[k].translation);
    }
    return VIC_OK;
}

vic_status symmetry_apply(const struct file_content *c, const char *name, const vic_read_options *options,
                          struct vic_structure *s, vic_error *err)
{
    struct expand_operation found[SHIM_MAX_OPERATIONS];
    const struct expand_operation *operations = c->operations;
    int count = c->operation_count;
    if (!s->has_cell || !cell_is_full(CELL(s->cell)))
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected a cell and a space group to apply symmetry, found no cell; read without "
                        "symmetry, or give the cell (--cell a,b,c,alpha,beta,gamma)",
                        name);
    if (*c->symmetry_problem)
        return vic_fail(err, VIC_BAD_INPUT, "%s: %s; fix the list, or read without symmetry", name,
                        c->symmetry_problem);
    if (!count) {
        TRY(find_operations(c, name, s, found, &count, err));
        operations = found;
    }
    return expand_symmetry(s, operations, count, s->origin, expand_repetitions(options->supercell),
                           options->max_atoms, name, err);
}
