/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/tiles.h"

#include "base/memory.h"
#include "pattern/pattern.h"

#include <string.h>

enum {
    MAX_STRIPS = 4,
    CLASSES = 1 << MAX_STRIPS, /* which strips need a group */
};

/* A group that strips of the tile need.  A strip that sees a group under several images needs it as often; images do
 * not matter otherwise, so strips share it even when they see it under different ones. */
struct need {
    int32_t group, turn;              /* turn: under how many images the strip has seen it before */
    unsigned users;                   /* bit per strip */
    bool full;                        /* for every user */
    const uint64_t *bits[MAX_STRIPS]; /* [GROUP_KEYS] as in block_bits */
};

struct stage {
    int32_t need[STAGE_GROUPS]; /* index, or -1 */
    unsigned users;             /* who need it */
    unsigned watchers;          /* who look at it only so as not to lose sight of the ring */
    unsigned masked;            /* who of these take it with mask words */
    bool full, taken;
};

/* One tile while it is made; reused from tile to tile. */
struct tile {
    struct need *needs;
    size_t n_needs, need_capacity;
    struct stage *stages;
    size_t n_stages, stage_capacity;
    int32_t *left; /* needs that filled no stage of their class */
    size_t n_left, left_capacity;
};

struct builder {
    struct tile_layout *layout;
    int reach;
    size_t stage_capacity, list_capacity, mask_capacity;
};

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

static vic_status collect(const struct vic_pattern *p, int64_t tile, int strips, struct tile *t, vic_error *err)
{
    size_t n = 0, merged = 0;
    for (int s = 0; s < strips && tile * strips + s < p->strips; s++) {
        size_t first = n;
        for (struct block_walk w = block_walk_start(p, tile * strips + s); block_walk_next(&w);) {
            TRY(mem_grow(&t->needs, &t->need_capacity, n + CLUSTER / GROUP_KEYS, sizeof *t->needs, "keys of a tile",
                         err));
            for (int k = 0; k < CLUSTER; k += GROUP_KEYS) {
                if (is_empty(w.bits->key + k)) continue;
                t->needs[n] = (struct need){ .group = (w.cluster * CLUSTER + k) / GROUP_KEYS, .users = 1u << s };
                t->needs[n++].bits[s] = w.bits->key + k;
            }
        }
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
static vic_status make_own_stages(int64_t tile, int strips, struct tile *t, bool *done, vic_error *err)
{
    for (int s = 0; s < strips; s++) {
        int32_t own[STAGE_GROUPS], first = (int32_t)((tile * strips + s) * STAGE_GROUPS);
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
    double total[MAX_STRIPS] = { 0 }, so_far[MAX_STRIPS] = { 0 };
    for (size_t i = first; i < end; i++)
        for (int s = 0; s < MAX_STRIPS; s++) total[s] += t->stages[i].users >> s & 1;
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
            for (int s = 0; s < MAX_STRIPS; s++) {
                double ahead = so_far[s] + (double)(c >> s & 1) - total[s] * ((double)place + 1) / (double)n;
                cost += ahead * ahead;
            }
            if (cost < best_cost) {
                best_cost = cost;
                best = i;
            }
        }
        t->stages[best].taken = true;
        for (int s = 0; s < MAX_STRIPS; s++) so_far[s] += t->stages[best].users >> s & 1;
        ordered[place] = t->stages[best];
    }
    if (n > 0) memcpy(t->stages + first, ordered, n * sizeof *ordered);
}

/* See tiles_make(). */
static void keep_in_sight(struct tile *t, int strips, int reach)
{
    int64_t n = (int64_t)t->n_stages;
    for (int s = 0; s < strips; s++) {
        int64_t last = -reach;
        for (int64_t i = 0; i < n; i++) {
            bool looks = t->stages[i].users >> s & 1;
            if (!looks && (i - last >= 2 * reach || (i == n - 1 && n - last > reach))) {
                t->stages[i].watchers |= 1u << s;
                looks = true;
            }
            if (looks) last = i;
        }
    }
}

static vic_status make_stages(const struct vic_pattern *p, int64_t tile, int strips, int reach, struct tile *t,
                              vic_error *err)
{
    vic_status st = VIC_OK;
    bool *done = NULL;
    struct stage *ordered = NULL;
    size_t own, full;
    t->n_stages = t->n_left = 0;
    TRY_GOTO(mem_array_zero(t->n_needs, sizeof *done, "keys of a tile", &done, err), done);
    if (p->one_set) TRY_GOTO(make_own_stages(tile, strips, t, done, err), done);
    own = t->n_stages;
    TRY_GOTO(make_class_stages(t, done, true, err), done);
    full = t->n_stages;
    TRY_GOTO(make_class_stages(t, done, false, err), done);
    TRY_GOTO(make_mixed_stages(t, err), done);
    TRY_GOTO(mem_array(t->n_stages, sizeof *ordered, "stages of a tile", &ordered, err), done);
    order_stages(t, own, full, ordered); /* those without masks first */
    order_stages(t, full, t->n_stages, ordered);
    keep_in_sight(t, strips, reach);
    if (t->n_stages > STEP_STAGE_MASK)
        st = vic_fail(err, VIC_BAD_ARGUMENT, "rows with more than %d keys are too long for the GPU kernel",
                      STEP_STAGE_MASK * STAGE_KEYS);
done:
    free(done);
    free(ordered);
    return st;
}

/* ---- lists and masks ---- */

static void fill_masks(const struct tile *t, const struct stage *stage, int s, uint32_t words[STEP_WORDS])
{
    memset(words, 0, STEP_WORDS * sizeof *words);
    for (int place = 0; place < STAGE_GROUPS; place++) {
        const uint64_t *bits = stage->need[place] < 0 ? NULL : t->needs[stage->need[place]].bits[s];
        if (!bits) continue;
        for (int key = 0; key < GROUP_KEYS;
             key++) { /* thread t % 4 == key / 2 holds it, for rows t / 32, t % 32 / 4 */
            for (uint64_t rows = bits[key]; rows; rows &= rows - 1) {
                int row = __builtin_ctzll(rows);
                int thread = row / 16 * 32 + row % 8 * 4 + key / 2;
                words[thread] |= 1u << (place * 4 + row % 16 / 8 * 2 + key % 2);
            }
        }
    }
}

static vic_status add_entry(struct builder *b, uint32_t entry, vic_error *err)
{
    struct tile_layout *l = b->layout;
    TRY(mem_grow(&l->list, &b->list_capacity, (size_t)l->n_entries + 1 + LIST_OVERRUN, sizeof *l->list, "steps",
                 err));
    l->list[l->n_entries++] = entry;
    return VIC_OK;
}

static bool looks_at(const struct stage *stage, int s)
{
    return (stage->users | stage->watchers) >> s & 1;
}

/* The strip's own stage, if it has one, is taken first although others may stand before it: the front of the ring is
 * there together.  -1 = the tile has no stage. */
static int64_t first_stage(const struct tile *t, int strips_per_tile, int s, int64_t strip)
{
    int64_t n = (int64_t)t->n_stages;
    for (int64_t i = 0; i < n && i < strips_per_tile; i++)
        if ((t->stages[i].users >> s & 1) && t->needs[t->stages[i].need[0]].group / STAGE_GROUPS == strip) return i;
    for (int64_t i = 0; i < n; i++)
        if (looks_at(&t->stages[i], s)) return i;
    return -1;
}

/* Who takes which stage with mask words, and these. */
static vic_status make_masks(struct builder *b, struct tile *t, const int64_t first[MAX_STRIPS], vic_error *err)
{
    struct tile_layout *l = b->layout;
    for (size_t i = 0; i < t->n_stages; i++) {
        struct stage *stage = &t->stages[i];
        stage->masked = stage->watchers | (stage->full ? 0 : stage->users);
        for (int s = 0; s < l->strips_per_tile; s++)
            if (first[s] == (int64_t)i) stage->masked |= 1u << s;
        TRY(mem_grow(&l->masks, &b->mask_capacity, (size_t)l->n_masks + MAX_STRIPS, sizeof *l->masks, "mask words",
                     err));
        for (int s = 0; s < l->strips_per_tile; s++)
            if (stage->masked >> s & 1) fill_masks(t, stage, s, l->masks[l->n_masks++]);
    }
    return VIC_OK;
}

static uint32_t entry_of(const struct tile *t, int64_t index, int s)
{
    unsigned masked = t->stages[index].masked;
    uint32_t before = (uint32_t)__builtin_popcount(masked & ((1u << s) - 1));
    return (uint32_t)index | (masked >> s & 1 ? STEP_MASKED | before << STEP_MASK_SHIFT : 0u);
}

static vic_status make_list(struct builder *b, const struct tile *t, int s, int64_t strip, int64_t first,
                            struct tile_strip *out, vic_error *err)
{
    struct tile_layout *l = b->layout;
    *out = (struct tile_strip){ .list = (uint32_t)l->n_entries, .strip = (int32_t)strip };
    if (first >= 0) TRY(add_entry(b, entry_of(t, first, s), err));
    for (int64_t i = 0; i < (int64_t)t->n_stages; i++)
        if (i != first && looks_at(&t->stages[i], s)) TRY(add_entry(b, entry_of(t, i, s), err));
    out->steps = (int32_t)(l->n_entries - out->list);
    l->steps += out->steps;
    TRY(add_entry(b, (uint32_t)STEP_END, err));
    if (l->n_entries >= UINT32_MAX || l->n_masks >= UINT32_MAX || l->n_stages >= INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "the pattern is too large for one GPU plan: %lld steps and %lld stages, expected fewer than "
                        "2^32 and 2^31",
                        (long long)l->steps, (long long)l->n_stages);
    return VIC_OK;
}

/* ---- all of it ---- */

static vic_status add_tile(struct builder *b, const struct vic_pattern *p, int64_t tile, struct tile *t,
                           vic_error *err)
{
    struct tile_layout *l = b->layout;
    int strips = l->strips_per_tile;
    int64_t first[MAX_STRIPS] = { -1, -1, -1, -1 };
    TRY(collect(p, tile, strips, t, err));
    TRY(make_stages(p, tile, strips, b->reach, t, err));
    for (int s = 0; s < strips; s++) first[s] = first_stage(t, strips, s, tile * strips + s);
    l->mask_first[tile] = (uint32_t)l->n_masks;
    TRY(make_masks(b, t, first, err));
    for (int s = 0; s < strips; s++)
        TRY(make_list(b, t, s, tile * strips + s, first[s], &l->strips[tile * strips + s], err));
    TRY(mem_grow(&l->stages, &b->stage_capacity, (size_t)l->n_stages + t->n_stages + 1, sizeof *l->stages, "stages",
                 err));
    for (size_t i = 0; i < t->n_stages; i++) {
        const struct stage *stage = &t->stages[i];
        struct tile_stage *out = &l->stages[l->n_stages++];
        for (int g = 0; g < STAGE_GROUPS; g++)
            out->group[g] = t->needs[stage->need[stage->need[g] < 0 ? 0 : g]].group;
        out->group[0] |= (int32_t)((stage->users | stage->watchers) << STAGE_USERS_SHIFT);
        out->group[1] |= (int32_t)(stage->masked << STAGE_USERS_SHIFT);
    }
    l->stage_first[tile + 1] = (int32_t)l->n_stages;
    return VIC_OK;
}

vic_status tiles_make(const struct vic_pattern *p, int strips_per_tile, int reach, struct tile_layout *out,
                      vic_error *err)
{
    vic_status st = VIC_OK;
    struct builder b = { .layout = out, .reach = reach };
    struct tile t = { 0 };
    *out = (struct tile_layout){ .strips_per_tile = strips_per_tile };
    out->tiles = (p->strips + strips_per_tile - 1) / strips_per_tile;
    TRY_GOTO(mem_array_zero((size_t)out->tiles + 1, sizeof *out->stage_first, "tiles", &out->stage_first, err), done);
    TRY_GOTO(mem_array((size_t)out->tiles, sizeof *out->mask_first, "tiles", &out->mask_first, err), done);
    TRY_GOTO(mem_array((size_t)(out->tiles * strips_per_tile), sizeof *out->strips, "strips", &out->strips, err),
             done);
    TRY_GOTO(mem_grow(&out->stages, &b.stage_capacity, 1, sizeof *out->stages, "stages", err), done);
    TRY_GOTO(mem_grow(&out->list, &b.list_capacity, LIST_OVERRUN, sizeof *out->list, "steps", err), done);
    for (int64_t tile = 0; tile < out->tiles; tile++) TRY_GOTO(add_tile(&b, p, tile, &t, err), done);
    /* What prefetches read past the end. */
    out->stages[out->n_stages] = (struct tile_stage){ { 0 } };
    for (int i = 0; i < LIST_OVERRUN; i++) out->list[out->n_entries + i] = (uint32_t)STEP_END;
done:
    free(t.needs);
    free(t.stages);
    free(t.left);
    if (st != VIC_OK) tiles_free(out);
    return st;
}

void tiles_free(struct tile_layout *l)
{
    free(l->stage_first);
    free(l->mask_first);
    free(l->stages);
    free(l->strips);
    free(l->list);
    free(l->masks);
    *l = (struct tile_layout){ 0 };
}
