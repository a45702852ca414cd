/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/structure_report.h"

#include "numbers.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum symmetry {
    SYMMETRY_NONE,        /* the file has no space group */
    SYMMETRY_APPLIED,     /* asked for; perhaps the identity was all there is */
    SYMMETRY_NOT_APPLIED, /* the atoms are the asymmetric unit */
    SYMMETRY_UNKNOWN,     /* not applied, and nobody knows how many operations */
    SYMMETRY_TRIVIAL,     /* P 1: nothing to apply */
    SYMMETRY_NO_CELL,     /* not applied, as the group's cell is not there */
};

static const char *const symmetry_words[] = { "none",    "applied",          "not applied",
                                              "unknown", "nothing to apply", "not applied" };

static const char *group_of(const vic_structure_info *v)
{
    return v->space_group ? v->space_group : "";
}

static enum symmetry symmetry_of(const vic_structure_info *v, const vic_read_options *read)
{
    const char *group = group_of(v);
    bool trivial = strcmp(group, "P 1") == 0 || strcmp(group, "P1") == 0;
    if (!v->format || strcmp(v->format, "arrays") == 0) return SYMMETRY_NONE; /* no file was read */
    if (v->has_cell && (read->symmetry || v->symmetry_operations > 1)) return SYMMETRY_APPLIED;
    if (v->unapplied_operations) return v->unapplied_operations < 0 ? SYMMETRY_UNKNOWN : SYMMETRY_NOT_APPLIED;
    if (!*group || (trivial && !v->has_cell)) return SYMMETRY_NONE;
    if (trivial) return SYMMETRY_TRIVIAL;
    return v->has_cell && !read->has_cell ? SYMMETRY_TRIVIAL : SYMMETRY_NO_CELL;
}

static bool any_periodic(const vic_structure_info *v)
{
    return v->periodic[0] || v->periodic[1] || v->periodic[2];
}

/* "along a, b and c" */
static const char *axes_text(const vic_structure_info *v, char out[32])
{
    int axes = v->periodic[0] + v->periodic[1] + v->periodic[2], seen = 0;
    size_t used = (size_t)snprintf(out, 32, "along ");
    for (int k = 0; k < 3; k++) {
        if (!v->periodic[k]) continue;
        used += (size_t)snprintf(out + used, 32 - used, "%s%c",
                                 seen == 0          ? ""
                                 : seen + 1 == axes ? " and "
                                                    : ", ",
                                 "abc"[k]);
        seen++;
    }
    return out;
}

static void text_periodic(const vic_structure_info *v, const vic_read_options *read)
{
    char axes[32];
    if (any_periodic(v))
        text_row("periodic", "%s", axes_text(v, axes));
    else if (v->has_cell && v->unapplied_operations && read->pbc == VIC_PBC_AUTO)
        text_row("periodic", "no: the space group is not applied (--pbc xyz repeats the cell as it is)");
    else
        text_row("periodic", "no%s", v->has_cell ? "" : ", there is no cell");
}

static void text_symmetry(const vic_structure_info *v, const vic_read_options *read)
{
    const char *group = *group_of(v) ? group_of(v) : "without a name";
    const int64_t applied = v->symmetry_operations, left = v->unapplied_operations;
    switch (symmetry_of(v, read)) {
    case SYMMETRY_NONE: break;
    case SYMMETRY_APPLIED:
        text_row("space group", "%s, applied: %s operation%s", group, count_text(applied).s,
                 applied == 1 ? ", the identity" : "s");
        break;
    case SYMMETRY_NOT_APPLIED:
        text_row("space group",
                 "%s, %s operation%s not applied: the atoms are the asymmetric unit (--symmetry applies %s)", group,
                 count_text(left).s, left == 1 ? "" : "s", left == 1 ? "it" : "them");
        break;
    case SYMMETRY_UNKNOWN:
        text_row("space group",
                 "%s, not applied: which operations it has is not known, and the atoms may be the "
                 "asymmetric unit",
                 group);
        break;
    case SYMMETRY_TRIVIAL:
        text_row("space group", "%s, nothing to apply: the identity is its only operation", group);
        break;
    case SYMMETRY_NO_CELL:
        text_row("space group", "%s, not applied: %s", group,
                 v->has_cell ? "it belongs to the file's cell, and another is given (--symmetry applies it to that)"
                             : "there is no cell");
        break;
    }
}

void structure_text(const vic_structure_info *v, const vic_read_options *read)
{
    text_periodic(v, read);
    text_symmetry(v, read);
}

void structure_json(struct json *j, const vic_structure_info *v, const vic_read_options *read)
{
    json_put_array(j, "periodic");
    for (int k = 0; k < 3; k++) json_put_bool(j, NULL, v->periodic[k]);
    json_put_array_end(j);
    json_put_text(j, "space_group", group_of(v));
    json_put_text(j, "symmetry", symmetry_words[symmetry_of(v, read)]);
    json_put_int(j, "symmetry_operations", v->symmetry_operations ? v->symmetry_operations : 1);
    if (v->unapplied_operations < 0)
        json_put_null(j, "unapplied_operations");
    else
        json_put_int(j, "unapplied_operations", v->unapplied_operations);
}

const char *structure_caption(const vic_structure_info *v, const vic_read_options *read, char out[STRUCTURE_CAPTION])
{
    const char *group = *group_of(v) ? group_of(v) : "without a name";
    const int64_t applied = v->symmetry_operations, left = v->unapplied_operations;
    char axes[32], periodic[64];
    snprintf(periodic, sizeof periodic, "%s%s", any_periodic(v) ? "Periodic " : "Not periodic",
             any_periodic(v) ? axes_text(v, axes) : "");
    switch (symmetry_of(v, read)) {
    case SYMMETRY_NONE: snprintf(out, STRUCTURE_CAPTION, "%s%s.", periodic, v->has_cell ? "" : ", no cell"); break;
    case SYMMETRY_APPLIED:
        snprintf(out, STRUCTURE_CAPTION, "%s; space group %s applied (%s operation%s).", periodic, group,
                 count_text(applied).s, applied == 1 ? ", the identity" : "s");
        break;
    case SYMMETRY_NOT_APPLIED:
        snprintf(out, STRUCTURE_CAPTION,
                 "%s; space group %s not applied (%s operation%s left out): the atoms are the "
                 "asymmetric unit%s.",
                 periodic, group, count_text(left).s, left == 1 ? "" : "s",
                 any_periodic(v) ? ", repeated by translation alone" : "");
        break;
    case SYMMETRY_UNKNOWN:
    case SYMMETRY_NO_CELL:
        snprintf(out, STRUCTURE_CAPTION, "%s; space group %s not applied.", periodic, group);
        break;
    case SYMMETRY_TRIVIAL:
        snprintf(out, STRUCTURE_CAPTION, "%s; space group %s, nothing to apply.", periodic, group);
        break;
    }
    return out;
}
