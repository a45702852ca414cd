/* SPDX-License-Identifier: Apache-2.0 */
/* Alternate locations.  The hard part is which atoms are those of one residue: files number residues more than once
 * (waters beside a protein, all waters 1, numbers that wrap), or not at all.  So chain, number, insertion code and
 * segment only say which atoms may belong together; where they stand, in the file and in space, says which do. */
#include "base/memory.h"
#include "structure/element.h"
#include "structure/select.h"

#include <string.h>

/* How far an atom may be from the nearest one of its residue, A: where the number is there and nothing speaks against
 * it; where rows follow one another (sparse labels along a side chain); and otherwise (conformer after conformer).  A
 * water that moved further is another one. */
static const double reach_of_a_number = 12, reach_in_a_run = 10, reach_elsewhere = 4, reach_of_a_water = 4;

enum { LOOK_BACK = 4096 }; /* atoms of one number among which an atom finds its residue */

/* An atom that takes part in the choice, sortable without looking elsewhere. */
struct candidate {
    vic_atom_label label;
    char segment[8];
    double position[3];
    float occupancy;
    bool water;
    size_t row;
    size_t run;      /* of rows with one chain, number, insertion code and segment: its first */
    size_t residue;  /* counted through all residues */
    size_t previous; /* of this residue in the list, + 1; or 0 */
};

struct choice {
    const struct atoms *atoms;
    struct candidate *list;
    size_t count, capacity;
    size_t *last; /* of each residue, the last candidate */
    size_t residues, residue_capacity;
};

static int compare_numbers(const vic_atom_label *x, const char *x_segment, const vic_atom_label *y,
                           const char *y_segment)
{
    int c = memcmp(x->chain, y->chain, sizeof x->chain);
    if (!c) c = memcmp(x_segment, y_segment, 8);
    if (c) return c;
    if (x->sequence != y->sequence) return x->sequence < y->sequence ? -1 : 1;
    return x->insertion - y->insertion;
}

static const char *segment_of(const struct atoms *a, size_t row)
{
    static const char none[8] = "";
    return a->has_segments ? a->segments[row] : none;
}

static bool same_name(const vic_atom_label *x, const vic_atom_label *y)
{
    return memcmp(x->name, y->name, sizeof x->name) == 0;
}

static bool same_residue_name(const vic_atom_label *x, const vic_atom_label *y)
{
    return memcmp(x->residue, y->residue, sizeof x->residue) == 0;
}

static bool both_polymer(const vic_atom_label *x, const vic_atom_label *y)
{
    return residue_is_polymer(x->residue) && residue_is_polymer(y->residue);
}

static vic_status add_candidate(struct choice *c, size_t row, size_t run, vic_error *err)
{
    const struct atoms *a = c->atoms;
    struct candidate *new;
    TRY(mem_grow(&c->list, &c->capacity, c->count + 1, sizeof *c->list, "atoms with altloc labels", err));
    new = &c->list[c->count++];
    memset(new, 0, sizeof *new);
    new->label = a->labels[row];
    memcpy(new->segment, segment_of(a, row), sizeof new->segment);
    memcpy(new->position, a->positions + 3 * row, sizeof new->position);
    new->occupancy = a->has_occupancies ? a->occupancies[row] : 1.0f;
    new->water = residue_is_water(new->label.residue);
    new->row = row;
    new->run = run;
    return VIC_OK;
}

/* Which has no alternative, unless it says so. */
static bool is_whole_water(const struct atoms *a, size_t row)
{
    float occupancy = a->has_occupancies ? a->occupancies[row] : 1.0f;
    return residue_is_water(a->labels[row].residue) && !(occupancy > 0 && occupancy < 1);
}

/* Rows [begin, end) are a run: its labelled atoms take part, and so do those without a label that stand beside a
 * labelled atom of their name, or beside another residue that is labelled: there no label is one, too. */
static vic_status take_run(struct choice *c, size_t begin, size_t end, vic_error *err)
{
    const vic_atom_label *labels = c->atoms->labels;
    size_t from = c->count, to;
    for (size_t i = begin; i < end; ++i)
        if (labels[i].altloc != ' ') TRY(add_candidate(c, i, begin, err));
    to = c->count;
    for (size_t i = begin; i < end && to > from; ++i) {
        bool takes_part = false;
        if (labels[i].altloc != ' ' || is_whole_water(c->atoms, i)) continue;
        for (size_t k = from; !takes_part && k < to && k < from + LOOK_BACK; ++k)
            takes_part = same_residue_name(&labels[i], &c->list[k].label)
                             ? same_name(&labels[i], &c->list[k].label)
                             : both_polymer(&labels[i], &c->list[k].label);
        if (takes_part) TRY(add_candidate(c, i, begin, err));
    }
    return VIC_OK;
}

static vic_status take_candidates(struct choice *c, vic_error *err)
{
    const struct atoms *a = c->atoms;
    for (size_t begin = 0, end; begin < a->count; begin = end) {
        end = begin + 1;
        while (end < a->count &&
               compare_numbers(&a->labels[begin], segment_of(a, begin), &a->labels[end], segment_of(a, end)) == 0)
            ++end;
        TRY(take_run(c, begin, end, err));
    }
    return VIC_OK;
}

static int by_number(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int c = compare_numbers(&x->label, x->segment, &y->label, y->segment);
    if (c) return c;
    return x->row < y->row ? -1 : x->row > y->row;
}

static int by_residue(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->residue != y->residue) return x->residue < y->residue ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static int by_name(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int c = memcmp(x->label.name, y->label.name, sizeof x->label.name);
    if (c) return c;
    return x->row < y->row ? -1 : x->row > y->row;
}

static double distance2(const double x[3], const double y[3])
{
    double sum = 0;
    for (int i = 0; i < 3; ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
    return sum;
}

/* Whether `i` may be of the residue of `other`; a water is never an alternative to anything else. */
static bool may_share(const struct candidate *i, const struct candidate *other)
{
    if (i->water != other->water) return false;
    return i->run == other->run || same_residue_name(&i->label, &other->label) ||
           both_polymer(&i->label, &other->label);
}

/* The candidates [begin, end) of one number are one residue by all that the file says: the number is there, they
 * follow one another, and none is there twice. */
static bool is_one_residue(const struct choice *c, size_t begin, size_t end)
{
    const struct candidate *list = c->list;
    if (list[begin].label.sequence == 0 || end - begin > 256) return false;
    for (size_t i = begin; i < end; ++i) {
        if (list[i].run != list[begin].run || list[i].water != list[begin].water) return false;
        for (size_t k = begin; k < i; ++k)
            if (same_name(&list[i].label, &list[k].label) && list[i].label.altloc == list[k].label.altloc)
                return false;
    }
    return true;
}

/* The residue, of those from `first` on, that lacks this atom and has the nearest one; SIZE_MAX when none is near. */
static size_t find_residue(const struct choice *c, const struct candidate *i, size_t first, bool one)
{
    size_t best = SIZE_MAX, left = LOOK_BACK;
    double best_distance = 0;
    for (size_t r = c->residues; r-- > first && left;) {
        double nearest = -1, reach = reach_elsewhere;
        for (size_t at = c->last[r] + 1; at && left; at = c->list[at - 1].previous, --left) {
            const struct candidate *other = &c->list[at - 1];
            double d = distance2(i->position, other->position);
            bool here = same_name(&i->label, &other->label) && i->label.altloc == other->label.altloc;
            if (here || !may_share(i, other)) {
                nearest = -1;
                break;
            }
            if (nearest < 0 || d < nearest) nearest = d;
            if (i->run == other->run) reach = one ? reach_of_a_number : i->water ? reach_of_a_water : reach_in_a_run;
        }
        if (nearest < 0 || !(nearest <= reach * reach) || (best != SIZE_MAX && nearest >= best_distance)) continue;
        best = r;
        best_distance = nearest;
    }
    return best;
}

/* Candidates [begin, end) have one number. */
static vic_status find_residues(struct choice *c, size_t begin, size_t end, vic_error *err)
{
    size_t first = c->residues;
    bool one = is_one_residue(c, begin, end);
    for (size_t i = begin; i < end; ++i) {
        size_t r = find_residue(c, &c->list[i], first, one);
        if (r == SIZE_MAX) {
            TRY(mem_grow(&c->last, &c->residue_capacity, c->residues + 1, sizeof *c->last, "residues", err));
            r = c->residues++;
        } else {
            c->list[i].previous = c->last[r] + 1;
        }
        c->list[i].residue = r;
        c->last[r] = i;
    }
    return VIC_OK;
}

enum { LABELS = 128 }; /* printable characters */

/* A label within a residue. */
struct label {
    double occupancies;
    size_t atoms, first;
    const vic_atom_label *example;
    bool excludes[LABELS]; /* that label has an atom of this one, or another residue's name */
    bool out, in;          /* decided */
};

static int label_of(const struct candidate *c)
{
    return c->label.altloc & (LABELS - 1);
}

/* `list` is in the order of names. */
static void find_labels(const struct candidate *list, size_t count, struct label labels[LABELS])
{
    for (size_t i = 0; i < count; ++i) {
        struct label *l = &labels[label_of(&list[i])];
        if (l->atoms++ == 0 || list[i].row < l->first) l->first = list[i].row;
        l->example = &list[i].label;
        l->occupancies += (double)list[i].occupancy;
    }
    for (size_t begin = 0, end; begin < count; begin = end)
        for (end = begin; end < count && same_name(&list[begin].label, &list[end].label); ++end)
            for (size_t k = begin; k < end; ++k)
                labels[label_of(&list[k])].excludes[label_of(&list[end])] =
                    labels[label_of(&list[end])].excludes[label_of(&list[k])] = true;
    for (int l = 0; l < LABELS; ++l)
        for (int m = 0; m < LABELS && labels[l].atoms; ++m)
            if (labels[m].atoms && !same_residue_name(labels[l].example, labels[m].example))
                labels[l].excludes[m] = true;
}

/* Of the labels that are not decided the one of highest mean occupancy, ties to the first in the file; -1:
 * none left */
static int best_label(const struct label labels[LABELS])
{
    int best = -1;
    double highest = 0;
    for (int l = 0; l < LABELS; ++l) {
        double mean;
        if (!labels[l].atoms || labels[l].out || labels[l].in) continue;
        mean = labels[l].occupancies / (double)labels[l].atoms;
        if (best >= 0 && mean < highest - 1e-6) continue;
        if (best >= 0 && mean < highest + 1e-6 && labels[l].first > labels[best].first) continue;
        best = l;
        highest = mean;
    }
    return best;
}

/* Marks which candidates of one residue stay. */
static void choose(struct candidate *list, size_t count, bool *keep)
{
    struct label labels[LABELS];
    memset(labels, 0, sizeof labels);
    qsort(list, count, sizeof *list, by_name);
    find_labels(list, count, labels);
    for (int l; (l = best_label(labels)) >= 0;) {
        labels[l].in = true;
        for (int m = 0; m < LABELS; ++m)
            if (m != l && labels[l].excludes[m]) labels[m].out = true;
    }
    for (size_t i = 0; i < count; ++i) keep[list[i].row] = labels[label_of(&list[i])].in;
}

vic_status select_altlocs(struct atoms *a, vic_error *err)
{
    struct choice c = { 0 };
    vic_status st = VIC_OK;
    bool *keep = NULL;
    if (!select_count_altlocs(a)) return VIC_OK;
    c.atoms = a;
    TRY_GOTO(take_candidates(&c, err), done);
    TRY_GOTO(mem_array(a->count, sizeof *keep, "flags", &keep, err), done);
    memset(keep, true, a->count * sizeof *keep);
    qsort(c.list, c.count, sizeof *c.list, by_number);
    for (size_t begin = 0, end; begin < c.count; begin = end) {
        end = begin + 1;
        while (end < c.count && compare_numbers(&c.list[begin].label, c.list[begin].segment, &c.list[end].label,
                                                c.list[end].segment) == 0)
            ++end;
        TRY_GOTO(find_residues(&c, begin, end, err), done);
    }
    qsort(c.list, c.count, sizeof *c.list, by_residue);
    for (size_t begin = 0, end; begin < c.count; begin = end) {
        for (end = begin + 1; end < c.count && c.list[end].residue == c.list[begin].residue;) ++end;
        choose(c.list + begin, end - begin, keep);
    }
    atoms_keep(a, keep);
done:
    free(keep);
    free(c.last);
    free(c.list);
    return st;
}
