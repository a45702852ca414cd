/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/sm90/plan/stages.h"

#include "base/memory.h"
#include "contract/block_walk.h"

#include <string.h>

/* The class of an octet, or of a stage, is the set of strips that need it. */
enum { CLASSES = 1 << MAX_PLACES };

/* ---- what a tile needs ---- */

/* An octet in which a strip has pairs, and which of its bits. */
struct strip_octet {
    int32_t octet, bits;
};

static int by_octet(const void *a, const void *b)
{
    const struct strip_octet *p = a, *q = b;
    return (p->octet > q->octet) - (p->octet < q->octet);
}

static vic_status reserve(struct stage_scratch *scratch, size_t n, vic_error *err)
{
    return mem_grow(&scratch->octets, &scratch->octet_capacity, n, sizeof *scratch->octets, "keys of a tile", err);
}

/* Lists a strip's octets in full blocks, in rising order, with a mark at the end.  Returns how many, with the mark.
 * */
static size_t octets_of_full(const struct vic_pattern *p, int64_t strip, struct strip_octet *out)
{
    size_t n = 0;
    bool rising = true;
    for (int64_t r = p->full_ptr[strip]; r < p->full_ptr[strip + 1]; r++)
        for (int32_t c = p->full_runs[r].first; c < p->full_runs[r].first + p->full_runs[r].count; c++)
            for (int half = 0; half < 2; half++) {
                out[n] = (struct strip_octet){ 2 * c + half, BITS_ALL };
                rising = rising && (n == 0 || out[n - 1].octet <= out[n].octet);
                n++;
            }
    if (!rising) qsort(out, n, sizeof *out, by_octet); /* runs of several images: all entries are alike */
    out[n] = (struct strip_octet){ INT32_MAX, BITS_NONE };
    return n + 1;
}

/* Lists a strip's octets that are one half of partial blocks first .. end - 1. */
static size_t octets_of_halves(const struct vic_pattern *p, int64_t first, int64_t end, int half,
                               struct strip_octet *out)
{
    size_t n = 0;
    for (int64_t i = first; i < end; i++) {
        const uint64_t *bits = p->partial_bits[i].key + half * OCTET;
        uint64_t any = 0, all = UINT64_MAX;
        for (int k = 0; k < OCTET; k++) {
            any |= bits[k];
            all &= bits[k];
        }
        if (any == 0) continue;
        out[n++] = (struct strip_octet){ 2 * p->partial_cluster[i] + half,
                                         all == UINT64_MAX ? BITS_ALL : (int32_t)(2 * i + half) };
    }
    return n;
}

/* The same as octets_of_full() for partial blocks, in which a cluster's images follow each other. */
static size_t octets_of_partial(const struct vic_pattern *p, int64_t strip, struct strip_octet *out)
{
    size_t n = 0;
    for (int64_t first = p->partial_ptr[strip], end; first < p->partial_ptr[strip + 1]; first = end) {
        for (end = first + 1;
             end < p->partial_ptr[strip + 1] && p->partial_cluster[end] == p->partial_cluster[first];)
            end++;
        for (int half = 0; half < 2; half++) n += octets_of_halves(p, first, end, half, out + n);
    }
    out[n] = (struct strip_octet){ INT32_MAX, BITS_NONE };
    return n + 1;
}

static size_t most_octets(const struct vic_pattern *p, int64_t strip)
{
    size_t clusters = (size_t)(p->partial_ptr[strip + 1] - p->partial_ptr[strip]);
    for (int64_t r = p->full_ptr[strip]; r < p->full_ptr[strip + 1]; r++) clusters += (size_t)p->full_runs[r].count;
    return 2 * clusters + 2; /* and two marks */
}

/* Merges the lists of all strips into needs, in rising order; an octet that a strip lists several times is needed as
 * often. */
static vic_status merge(const struct strip_octet *next[2 * MAX_PLACES], int lists, struct stage_list *list,
                        size_t most, vic_error *err)
{
    TRY(mem_grow(&list->needs, &list->need_capacity, list->n_needs + most, sizeof *list->needs, "keys of a tile",
                 err));
    for (;;) {
        int32_t octet = INT32_MAX;
        for (int l = 0; l < lists; l++)
            if (next[l]->octet < octet) octet = next[l]->octet;
        if (octet == INT32_MAX) return VIC_OK;
        struct need need = { .octet = octet, .full = true };
        for (int s = 0; s < MAX_PLACES; s++) need.bits[s] = BITS_NONE;
        for (int l = 0; l < lists; l++) {
            int s = l / 2;
            if (next[l]->octet != octet || need.bits[s] != BITS_NONE) continue;
            need.bits[s] = next[l]->bits;
            need.users |= (uint8_t)(1u << s);
            need.full = need.full && next[l]->bits == BITS_ALL;
            next[l]++;
        }
        list->needs[list->n_needs++] = need;
    }
}

static vic_status collect(const struct vic_pattern *p, int64_t first, int strips, struct stage_scratch *scratch,
                          struct stage_list *list, vic_error *err)
{
    const struct strip_octet *next[2 * MAX_PLACES];
    size_t most = 0, n = 0;
    int here = p->strips - first < strips ? (int)(p->strips - first) : strips;
    for (int s = 0; s < here; s++) most += most_octets(p, first + s);
    TRY(reserve(scratch, most, err));
    for (int s = 0; s < here; s++) {
        next[2 * s] = scratch->octets + n;
        n += octets_of_full(p, first + s, scratch->octets + n);
        next[2 * s + 1] = scratch->octets + n;
        n += octets_of_partial(p, first + s, scratch->octets + n);
    }
    return merge(next, 2 * here, list, n, err);
}

/* ---- stages ---- */

static void add_stage(struct stage_list *list, const int32_t *needs, int count)
{
    struct stage stage = { .octets = (uint8_t)count, .full = count == STAGE_OCTETS };
    for (int i = 0; i < count; i++) {
        stage.need[i] = needs[i];
        stage.strips |= list->needs[needs[i]].users;
    }
    for (int i = 0; i < count; i++)
        stage.full = stage.full && list->needs[needs[i]].full && list->needs[needs[i]].users == stage.strips;
    list->stages[list->n_stages++] = stage;
}

/* The first need from `begin` on whose octet is not smaller. */
static size_t find_octet(const struct stage_list *list, size_t begin, int64_t octet)
{
    size_t end = list->n_needs;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (list->needs[middle].octet < octet)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

/* Makes a stage of each strip's octets around the diagonal.  These are a tile's first stages, and strips take theirs
 * first: it gives nearly every row a score, and so its maximum. */
static void make_diagonal_stages(struct stage_list *list, size_t begin, int64_t first, int strips)
{
    for (int64_t strip = first; strip < first + strips; strip++) {
        int32_t chosen[STAGE_OCTETS];
        int count = 0;
        for (size_t i = find_octet(list, begin, strip * STAGE_OCTETS);
             i < list->n_needs && list->needs[i].octet < (strip + 1) * STAGE_OCTETS; i++) {
            if (i > begin && list->needs[i].octet == list->needs[i - 1].octet) continue; /* under another image */
            chosen[count++] = (int32_t)i;
            list->needs[i].in_stage = true;
        }
        if (count > 0) add_stage(list, chosen, count);
    }
}

/* Needs that are not enough for a whole stage of their class. */
struct left_over {
    int32_t need[CLASSES][2 * (STAGE_OCTETS - 1)];
    int count[CLASSES], all;
};

/* Makes whole stages of octets that the same strips need; first of those that are full, so that a stage needs masks
 * for all of its users or for none.  Returns the number of full stages. */
static size_t make_class_stages(struct stage_list *list, size_t begin, int32_t *order, struct left_over *left)
{
    size_t start[2 * CLASSES + 1] = { 0 }, n_full = 0;
    for (size_t i = begin; i < list->n_needs; i++) {
        const struct need *need = &list->needs[i];
        if (!need->in_stage) start[(need->full ? 0 : CLASSES) + need->users + 1]++;
    }
    for (int c = 0; c < 2 * CLASSES; c++) start[c + 1] += start[c];
    for (size_t i = begin; i < list->n_needs; i++) {
        const struct need *need = &list->needs[i];
        if (!need->in_stage) order[start[(need->full ? 0 : CLASSES) + need->users]++] = (int32_t)i;
    }
    for (int c = 0; c < 2 * CLASSES; c++) { /* class c now ends at start[c] */
        size_t at = c > 0 ? start[c - 1] : 0;
        for (; at + STAGE_OCTETS <= start[c]; at += STAGE_OCTETS) {
            add_stage(list, order + at, STAGE_OCTETS);
            n_full += c < CLASSES;
        }
        for (; at < start[c]; at++) {
            left->need[c % CLASSES][left->count[c % CLASSES]++] = order[at];
            left->all++;
        }
    }
    return n_full;
}

/* The class that is added next to a stage of `users`: of those that add the fewest new users, the one with most.  For
 * an empty stage that is the class of most strips. */
static unsigned next_class(const struct left_over *left, unsigned users)
{
    unsigned best = 0;
    int best_cost = 0;
    for (unsigned c = 1; c < CLASSES; c++) {
        if (left->count[c] == 0) continue;
        int cost = (users ? 2 * MAX_PLACES * __builtin_popcount(users | c) : 0) - __builtin_popcount(c);
        if (best != 0 && cost >= best_cost) continue;
        best = c;
        best_cost = cost;
    }
    return best;
}

/* Makes stages of octets that different strips need. */
static void make_mixed_stages(struct stage_list *list, struct left_over *left)
{
    int taken[CLASSES] = { 0 };
    while (left->all > 0) {
        int32_t chosen[STAGE_OCTETS];
        unsigned users = 0;
        int count = 0;
        while (count < STAGE_OCTETS && left->all > 0) {
            unsigned class = next_class(left, users);
            chosen[count++] = left->need[class][taken[class]++];
            users |= class;
            left->count[class]--;
            left->all--;
        }
        add_stage(list, chosen, count);
    }
}

/* How many stages each strip needs, and how many of them are among the stages that have been put in order. */
struct pace {
    double total[MAX_PLACES], so_far[MAX_PLACES];
};

/* How far strips would be from an even pace if stage number `at` of `n` were one that `strips` need. */
static double pace_cost(const struct pace *pace, unsigned strips, size_t at, size_t n)
{
    double cost = 0;
    for (int s = 0; s < MAX_PLACES; s++) {
        double ahead = pace->so_far[s] + (double)(strips >> s & 1) - pace->total[s] * ((double)at + 1) / (double)n;
        cost += ahead * ahead;
    }
    return cost;
}

/* Orders stages so that every strip advances evenly: next comes the stage that brings all strips closest to an even
 * pace.  Stages of the same strips are alike, so one of each class is compared.  `scratch` [n]. */
static void order_stages(struct stage *stages, size_t n, struct stage *scratch)
{
    size_t next[CLASSES], end[CLASSES], sorted = 0;
    struct pace pace = { 0 };
    for (unsigned c = 0; c < CLASSES; c++) { /* by class */
        next[c] = sorted;
        for (size_t i = 0; i < n; i++)
            if (stages[i].strips == c) scratch[sorted++] = stages[i];
        end[c] = sorted;
        for (int s = 0; s < MAX_PLACES; s++) pace.total[s] += (double)((end[c] - next[c]) * (c >> s & 1));
    }
    for (size_t at = 0; at < n; at++) {
        unsigned best = 0;
        double best_cost = 1e300;
        for (unsigned c = 0; c < CLASSES; c++) {
            if (next[c] == end[c]) continue;
            double cost = pace_cost(&pace, c, at, n);
            if (cost >= best_cost) continue;
            best_cost = cost;
            best = c;
        }
        stages[at] = scratch[next[best]++];
        for (int s = 0; s < MAX_PLACES; s++) pace.so_far[s] += best >> s & 1;
    }
}

vic_status stages_make(const struct vic_pattern *p, int64_t first, int strips, struct stage_scratch *scratch,
                       struct stage_list *list, vic_error *err)
{
    size_t needs = list->n_needs, stages = list->n_stages, most, ordered, full;
    struct left_over left = { .all = 0 };
    TRY(collect(p, first, strips, scratch, list, err));
    most = (list->n_needs - needs) / STAGE_OCTETS + 1 + MAX_PLACES; /* the last and diagonal stages may not be full */
    TRY(mem_grow(&scratch->order, &scratch->order_capacity, list->n_needs - needs, sizeof *scratch->order,
                 "keys of a tile", err));
    TRY(mem_grow(&scratch->stages, &scratch->stage_capacity, most, sizeof *scratch->stages, "stages of a tile", err));
    TRY(mem_grow(&list->stages, &list->stage_capacity, stages + most, sizeof *list->stages, "stages of a tile", err));
    if (p->one_set) make_diagonal_stages(list, needs, first, strips);
    ordered = list->n_stages;
    full = make_class_stages(list, needs, scratch->order, &left);
    make_mixed_stages(list, &left);
    order_stages(list->stages + ordered, full, scratch->stages); /* stages without masks come first */
    order_stages(list->stages + ordered + full, list->n_stages - ordered - full, scratch->stages);
    if (list->n_stages - stages <= STEP_STAGE_MASK) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT, "rows with more than %d keys are too long for the GPU kernel",
                    STEP_STAGE_MASK * STAGE_KEYS);
}

void stage_list_free(struct stage_list *list)
{
    free(list->needs);
    free(list->stages);
    *list = (struct stage_list){ 0 };
}

void stage_scratch_free(struct stage_scratch *scratch)
{
    free(scratch->octets);
    free(scratch->order);
    free(scratch->stages);
    *scratch = (struct stage_scratch){ 0 };
}

/* ---- which places take them ---- */

/* Returns the diagonal stage of a place's strip, where the place takes it, else -1.  A tile's diagonal stages come
 * first. */
static int64_t diagonal_stage(const struct stage_run *run, int place)
{
    for (int64_t i = 0; i < run->n && i < run->places; i++)
        if ((run->stages[i].users >> place & 1) &&
            run->needs[run->stages[i].need[0]].octet / STAGE_OCTETS == run->strip + strip_of(run, place))
            return i;
    return -1;
}

int64_t first_stage(const struct stage_run *run, int place)
{
    int64_t diagonal = diagonal_stage(run, place);
    if (diagonal >= 0) return diagonal;
    for (int64_t i = 0; i < run->n; i++)
        if (takes(&run->stages[i], place)) return i;
    return -1;
}

/* The warpgroup splits of a strip take turns at the stages that the same strips need; split 0, which combines the
 * others, comes last. */
static void choose_users(const struct stage_run *run)
{
    int taken[CLASSES] = { 0 }, splits = run->warpgroup_splits;
    for (int64_t i = 0; i < run->n; i++) {
        struct stage *stage = &run->stages[i];
        int split = splits - 1 - taken[stage->strips]++ % splits;
        stage->users = stage->idle = 0;
        for (int s = 0; s < run->places / splits; s++)
            if (stage->strips >> s & 1) stage->users |= (uint8_t)(1u << (s * splits + split));
    }
}

/* Marks stages that the place takes with all mask bits clear, so that the ring's invariant holds.  The diagonal stage
 * is taken before its time, so it does not count between the stages around it. */
static void keep_phase(const struct stage_run *run, int place, int reach)
{
    int64_t n = run->n, last = -reach, diagonal = diagonal_stage(run, place);
    for (int64_t i = 0; i < n; i++) {
        if (i == diagonal && last >= 0) continue;
        if (!takes(&run->stages[i], place) && (i - last >= 2 * reach || (i == n - 1 && n - last > reach)))
            run->stages[i].idle |= (uint8_t)(1u << place);
        if (takes(&run->stages[i], place)) last = i;
    }
}

void stages_assign(const struct stage_run *run, int reach)
{
    choose_users(run);
    for (int s = 0; s < run->places; s++) keep_phase(run, s, reach);
    for (int64_t i = 0; i < run->n; i++)
        run->stages[i].masked = (uint8_t)(run->stages[i].idle | (run->stages[i].full ? 0 : run->stages[i].users));
    for (int s = 0; s < run->places; s++) {
        int64_t first = first_stage(run, s);
        if (first >= 0) run->stages[first].masked |= (uint8_t)(1u << s);
    }
}
