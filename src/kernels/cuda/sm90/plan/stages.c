/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/sm90/plan/stages.h"

#include "base/memory.h"
#include "contract/block_walk.h"

#include <string.h>

enum { CLASSES = 1 << MAX_PLACES }; /* which strips need a group */

/* ---- what a tile needs ---- */

static int by_group_and_turn(const void *a, const void *b)
{
    const struct need *p = a, *q = b;
    if (p->group != q->group) return p->group < q->group ? -1 : 1;
    if (p->turn != q->turn) return p->turn < q->turn ? -1 : 1;
    return (p->users > q->users) - (p->users < q->users);
}

static bool is_empty(const uint64_t *bits)
{
    uint64_t any = 0;
    for (int k = 0; k < GROUP_KEYS; k++) any |= bits[k];
    return any == 0;
}

static bool is_full(const uint64_t *bits)
{
    uint64_t all = UINT64_MAX;
    for (int k = 0; k < GROUP_KEYS; k++) all &= bits[k];
    return all == UINT64_MAX;
}

/* Both halves of a block of the tile's strip s, as far as they are not empty. */
static vic_status add_needs(struct tile *t, int s, int32_t cluster, const struct block_bits *bits, size_t *n,
                            vic_error *err)
{
    TRY(mem_grow(&t->needs, &t->need_capacity, *n + CLUSTER / GROUP_KEYS, sizeof *t->needs, "keys of a tile", err));
    for (int k = 0; k < CLUSTER; k += GROUP_KEYS) {
        if (is_empty(bits->key + k)) continue;
        t->needs[*n] = (struct need){ .group = (cluster * CLUSTER + k) / GROUP_KEYS, .users = 1u << s };
        t->needs[(*n)++].bits[s] = bits->key + k;
    }
    return VIC_OK;
}

static vic_status add_blocks(const struct vic_pattern *p, struct tile *t, int s, size_t *n, vic_error *err)
{
    static const struct block_bits all = BLOCK_BITS_ALL;
    int64_t strip = t->strip + s;
    for (int64_t r = p->full_ptr[strip]; r < p->full_ptr[strip + 1]; r++)
        for (int32_t c = 0; c < p->full_runs[r].count; c++)
            TRY(add_needs(t, s, p->full_runs[r].first + c, &all, n, err));
    for (int64_t i = p->partial_ptr[strip]; i < p->partial_ptr[strip + 1]; i++)
        TRY(add_needs(t, s, p->partial_cluster[i], &p->partial_bits[i], n, err));
    return VIC_OK;
}

static vic_status collect(const struct vic_pattern *p, struct tile *t, vic_error *err)
{
    size_t n = 0, merged = 0;
    int strips = t->places / t->parts;
    for (int s = 0; s < strips && t->strip + s < p->strips; s++) {
        size_t first = n;
        TRY(add_blocks(p, t, s, &n, err));
        if (n > first) qsort(t->needs + first, n - first, sizeof *t->needs, by_group_and_turn);
        for (size_t i = first + 1; i < n; i++)
            if (t->needs[i].group == t->needs[i - 1].group) t->needs[i].turn = t->needs[i - 1].turn + 1;
    }
    if (n > 0) qsort(t->needs, n, sizeof *t->needs, by_group_and_turn);
    for (size_t i = 0; i < n; i++) {
        struct need *last = merged > 0 ? &t->needs[merged - 1] : NULL;
        if (last && last->group == t->needs[i].group && last->turn == t->needs[i].turn) {
            for (int s = 0; s < strips; s++)
                if (t->needs[i].bits[s]) last->bits[s] = t->needs[i].bits[s];
            last->users |= t->needs[i].users;
        } else {
            t->needs[merged++] = t->needs[i];
        }
    }
    for (size_t i = 0; i < merged; i++) {
        t->needs[i].full = true;
        for (int s = 0; s < strips; s++)
            if (t->needs[i].bits[s] && !is_full(t->needs[i].bits[s])) t->needs[i].full = false;
    }
    t->n_needs = merged;
    return VIC_OK;
}

/* ---- stages ---- */

static vic_status add_stage(struct tile *t, const int32_t *needs, int count, vic_error *err)
{
    struct stage stage = { .full = count == STAGE_GROUPS };
    TRY(mem_grow(&t->stages, &t->stage_capacity, t->n_stages + 1, sizeof *t->stages, "stages of a tile", err));
    for (int i = 0; i < STAGE_GROUPS; i++) stage.need[i] = i < count ? needs[i] : -1;
    for (int i = 0; i < count; i++) stage.users |= t->needs[needs[i]].users;
    for (int i = 0; i < count; i++)
        stage.full = stage.full && t->needs[needs[i]].full && t->needs[needs[i]].users == stage.users;
    t->stages[t->n_stages++] = stage;
    return VIC_OK;
}

/* Each strip's own groups, the ones with its diagonal, make a stage at the ring's front: taken first, it gives
 * nearly every row a score to set its reference by. */
static vic_status make_own_stages(struct tile *t, bool *done, vic_error *err)
{
    for (int s = 0; s < t->places / t->parts; s++) {
        int32_t own[STAGE_GROUPS], first = (int32_t)((t->strip + s) * STAGE_GROUPS);
        int count = 0;
        for (size_t i = 0; i < t->n_needs && count < STAGE_GROUPS; i++) {
            const struct need *need = &t->needs[i];
            if (need->group < first || need->group >= first + STAGE_GROUPS || need->turn > 0) continue;
            own[count++] = (int32_t)i;
            done[i] = true;
        }
        if (count > 0) TRY(add_stage(t, own, count, err));
    }
    return VIC_OK;
}

/* Whole stages of groups with the same users; what is left over goes to t->left.  Full ones apart, so that a stage
 * needs masks for all of its users or for none. */
static vic_status make_class_stages(struct tile *t, const bool *done, bool full, vic_error *err)
{
    for (unsigned users = 1; users < CLASSES; users++) {
        int32_t chosen[STAGE_GROUPS];
        int count = 0;
        for (size_t i = 0; i < t->n_needs; i++) {
            if (done[i] || t->needs[i].users != users || t->needs[i].full != full) continue;
            chosen[count++] = (int32_t)i;
            if (count < STAGE_GROUPS) continue;
            TRY(add_stage(t, chosen, count, err));
            count = 0;
        }
        TRY(mem_grow(&t->left, &t->left_capacity, t->n_left + (size_t)count, sizeof *t->left, "keys", err));
        for (int i = 0; i < count; i++) t->left[t->n_left++] = chosen[i];
    }
    return VIC_OK;
}

/* Left-overs: begin with the one that most strips need, add those that bring the fewest new users. */
static vic_status make_mixed_stages(struct tile *t, vic_error *err)
{
    while (t->n_left > 0) {
        int32_t chosen[STAGE_GROUPS];
        unsigned users = 0;
        int count = 0;
        while (count < STAGE_GROUPS && t->n_left > 0) {
            size_t best = 0;
            int best_cost = 1 << 30;
            for (size_t i = 0; i < t->n_left; i++) {
                unsigned its = t->needs[t->left[i]].users;
                int cost = count == 0 ? -__builtin_popcount(its)
                                      : 8 * __builtin_popcount(users | its) - __builtin_popcount(its);
                if (cost < best_cost) {
                    best_cost = cost;
                    best = i;
                }
            }
            chosen[count++] = t->left[best];
            users |= t->needs[t->left[best]].users;
            t->left[best] = t->left[--t->n_left];
        }
        TRY(add_stage(t, chosen, count, err));
    }
    return VIC_OK;
}

/* Order stages[first .. end) so that every strip gets on evenly: at each place the one that brings all closest to
 * their share.  Stages with the same users are alike, so one of each class is looked at. */
static void order_stages(struct tile *t, size_t first, size_t end, struct stage *ordered)
{
    size_t next[CLASSES], n = end - first;
    double total[MAX_PLACES] = { 0 }, so_far[MAX_PLACES] = { 0 };
    for (size_t i = first; i < end; i++)
        for (int s = 0; s < MAX_PLACES; s++) total[s] += t->stages[i].users >> s & 1;
    for (size_t c = 0; c < CLASSES; c++) next[c] = first;
    for (size_t place = 0; place < n; place++) {
        size_t best = 0;
        double best_cost = 1e300;
        for (size_t c = 0; c < CLASSES; c++) {
            size_t i = next[c];
            while (i < end && (t->stages[i].taken || t->stages[i].users != c)) i++;
            next[c] = i;
            if (i == end) continue;
            double cost = 0;
            for (int s = 0; s < MAX_PLACES; s++) {
                double ahead = so_far[s] + (double)(c >> s & 1) - total[s] * ((double)place + 1) / (double)n;
                cost += ahead * ahead;
            }
            if (cost < best_cost) {
                best_cost = cost;
                best = i;
            }
        }
        t->stages[best].taken = true;
        for (int s = 0; s < MAX_PLACES; s++) so_far[s] += t->stages[best].users >> s & 1;
        ordered[place] = t->stages[best];
    }
    if (n > 0) memcpy(t->stages + first, ordered, n * sizeof *ordered);
}

int64_t own_stage(const struct tile *t, int s)
{
    for (int64_t i = 0; i < (int64_t)t->n_stages && i < t->places; i++)
        if ((t->stages[i].users >> s & 1) &&
            t->needs[t->stages[i].need[0]].group / STAGE_GROUPS == t->strip + strip_of(t, s))
            return i;
    return -1;
}

/* The parts of a strip take in turn the stages that the same strips need; the part that gathers the others begins
 * last. */
static void deal_out(struct tile *t)
{
    int taken[CLASSES] = { 0 };
    for (size_t i = 0; i < t->n_stages; i++) {
        unsigned strips = t->stages[i].users;
        int part = t->parts - 1 - taken[strips]++ % t->parts;
        t->stages[i].users = 0;
        for (int s = 0; s < t->places / t->parts; s++)
            if (strips >> s & 1) t->stages[i].users |= 1u << (s * t->parts + part);
    }
}

/* See tiles_make().  The own stage is taken out of turn, so it does not count between the ones around it. */
static void keep_in_sight(struct tile *t, int reach)
{
    int64_t n = (int64_t)t->n_stages;
    for (int s = 0; s < t->places; s++) {
        int64_t last = -reach, own = own_stage(t, s);
        for (int64_t i = 0; i < n; i++) {
            if (i == own && last >= 0) continue;
            if (!looks_at(&t->stages[i], s) && (i - last >= 2 * reach || (i == n - 1 && n - last > reach)))
                t->stages[i].watchers |= 1u << s;
            if (looks_at(&t->stages[i], s)) last = i;
        }
    }
}

void tile_stages_deal_out(struct tile *t, int reach)
{
    deal_out(t);
    keep_in_sight(t, reach);
}

vic_status tile_stages_make(const struct vic_pattern *p, struct tile *t, vic_error *err)
{
    vic_status st = VIC_OK;
    bool *done = NULL;
    struct stage *ordered = NULL;
    size_t own, full;
    TRY(collect(p, t, err));
    t->n_stages = t->n_left = 0;
    TRY_GOTO(mem_array_zero(t->n_needs, sizeof *done, "keys of a tile", &done, err), done);
    if (p->one_set) TRY_GOTO(make_own_stages(t, done, err), done);
    own = t->n_stages;
    TRY_GOTO(make_class_stages(t, done, true, err), done);
    full = t->n_stages;
    TRY_GOTO(make_class_stages(t, done, false, err), done);
    TRY_GOTO(make_mixed_stages(t, err), done);
    TRY_GOTO(mem_array(t->n_stages, sizeof *ordered, "stages of a tile", &ordered, err), done);
    order_stages(t, own, full, ordered); /* those without masks first */
    order_stages(t, full, t->n_stages, ordered);
    if (t->n_stages > STEP_STAGE_MASK)
        st = vic_fail(err, VIC_BAD_ARGUMENT, "rows with more than %d keys are too long for the GPU kernel",
                      STEP_STAGE_MASK * STAGE_KEYS);
done:
    free(done);
    free(ordered);
    return st;
}

void tile_free(struct tile *t)
{
    free(t->needs);
    free(t->stages);
    free(t->left);
    free(t->cuts);
    *t = (struct tile){ 0 };
}
