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

/* A labelled atom, sortable without looking elsewhere. */
struct labelled {
    vic_atom_label label;
    float occupancy;
    size_t row;
};

static int compare_residues(const vic_atom_label *a, const vic_atom_label *b)
{
    int c = memcmp(a->chain, b->chain, sizeof a->chain);
    if (c) return c;
    if (a->sequence != b->sequence) return a->sequence < b->sequence ? -1 : 1;
    return a->insertion - b->insertion;
}

static int by_residue(const void *a, const void *b)
{
    const struct labelled *x = a, *y = b;
    int c = compare_residues(&x->label, &y->label);
    if (c) return c;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Within one residue: by name, then the better occupancy, then the file's order. */
static int by_name(const void *a, const void *b)
{
    const struct labelled *x = a, *y = b;
    int c = memcmp(x->label.name, y->label.name, sizeof x->label.name);
    if (c) return c;
    if (x->occupancy != y->occupancy) return x->occupancy > y->occupancy ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* The winning atom's place in group[0, count), for its label and residue name. */
static size_t find_winner(const struct labelled *group, size_t count)
{
    struct {
        double sum;
        size_t atoms, first;
    } labels[256];
    size_t winner = 0;
    double best = -1;
    memset(labels, 0, sizeof labels);
    for (size_t i = 0; i < count; ++i) {
        unsigned char label = (unsigned char)group[i].label.altloc;
        if (labels[label].atoms++ == 0) labels[label].first = i;
        labels[label].sum += (double)group[i].occupancy;
    }
    for (size_t i = 0; i < count; ++i) { /* in the order of the file, so that the first of equals wins */
        unsigned char label = (unsigned char)group[i].label.altloc;
        double mean = labels[label].sum / (double)labels[label].atoms;
        if (labels[label].first != i || mean <= best + 1e-6) continue;
        best = mean;
        winner = i;
    }
    return winner;
}

/* Marks which labelled atoms of one residue stay. */
static void choose(struct labelled *group, size_t count, bool *keep)
{
    vic_atom_label winner = group[find_winner(group, count)].label;
    qsort(group, count, sizeof *group, by_name);
    for (size_t begin = 0, end; begin < count; begin = end) {
        const struct labelled *best = NULL;
        bool has_winner = false;
        for (end = begin; end < count && memcmp(group[end].label.name, group[begin].label.name, 8) == 0; ++end) {
            if (memcmp(group[end].label.residue, winner.residue, sizeof winner.residue) != 0) continue;
            if (!best) best = &group[end];
            if (group[end].label.altloc != winner.altloc) continue;
            keep[group[end].row] = has_winner = true; /* more than one where residue numbers wrap */
        }
        if (best && !has_winner) keep[best->row] = true;
    }
}

vic_status select_altlocs(struct atoms *a, vic_error *err)
{
    vic_status st = VIC_OK;
    size_t count = (size_t)select_count_altlocs(a), at = 0;
    struct labelled *list = NULL;
    bool *keep = NULL;
    if (!count) return VIC_OK;
    TRY_GOTO(mem_array(count, sizeof *list, "atoms with altloc labels", &list, err), done);
    TRY_GOTO(mem_array(a->count, sizeof *keep, "flags", &keep, err), done);
    for (size_t i = 0; i < a->count; ++i) {
        keep[i] = a->labels[i].altloc == ' ';
        if (keep[i]) continue;
        list[at].label = a->labels[i];
        list[at].occupancy = a->has_occupancies ? a->occupancies[i] : 1.0f;
        list[at++].row = i;
    }
    qsort(list, count, sizeof *list, by_residue);
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && compare_residues(&list[begin].label, &list[end].label) == 0;) ++end;
        choose(list + begin, end - begin, keep);
    }
    atoms_keep(a, keep);
done:
    free(keep);
    free(list);
    return st;
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
