/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/tiles.h"

#include "base/memory.h"
#include "pattern/pattern.h"

#include <string.h>

enum {
    MAX_STRIPS = 4,
    CLASSES = 1 << MAX_STRIPS, /* which strips need a cluster */
};

/* A cluster that strips of the tile need.  A strip that sees a cluster under several images needs it as often; images
 * do not matter otherwise, so strips share it even when they see it under different ones. */
struct need {
    int32_t cluster, turn; /* turn: under how many images the strip has seen it before */
    unsigned users;        /* bit per strip */
    bool full;             /* for every user */
    const struct block_bits *bits[MAX_STRIPS];
};

struct stage {
    int32_t need[STAGE_CLUSTERS]; /* index, or -1 */
    unsigned users;
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
    size_t stage_capacity, list_capacity, mask_capacity;
};

/* ---- what a tile needs ---- */

static int by_cluster_and_turn(const void *a, const void *b)
{
    const struct need *p = a, *q = b;
    if (p->cluster != q->cluster) return p->cluster < q->cluster ? -1 : 1;
    if (p->turn != q->turn) return p->turn < q->turn ? -1 : 1;
    return (p->users > q->users) - (p->users < q->users);
}

static bool is_full(const struct block_bits *bits)
{
    uint64_t all = UINT64_MAX;
    for (int c = 0; c < CLUSTER; c++) all &= bits->key[c];
    return all == UINT64_MAX;
}

static vic_status collect(const struct vic_pattern *p, int64_t tile, int strips, struct tile *t, vic_error *err)
{
    size_t n = 0, merged = 0;
    for (int s = 0; s < strips && tile * strips + s < p->strips; s++) {
        size_t first = n;
        for (struct block_walk w = block_walk_start(p, tile * strips + s); block_walk_next(&w); n++) {
            TRY(mem_grow(&t->needs, &t->need_capacity, n + 1, sizeof *t->needs, "clusters of a tile", err));
            t->needs[n] = (struct need){ .cluster = w.cluster, .users = 1u << s };
            t->needs[n].bits[s] = w.bits;
        }
        if (n > first) qsort(t->needs + first, n - first, sizeof *t->needs, by_cluster_and_turn);
        for (size_t i = first + 1; i < n; i++)
            if (t->needs[i].cluster == t->needs[i - 1].cluster) t->needs[i].turn = t->needs[i - 1].turn + 1;
    }
    if (n > 0) qsort(t->needs, n, sizeof *t->needs, by_cluster_and_turn);
    for (size_t i = 0; i < n; i++) {
        struct need *last = merged > 0 ? &t->needs[merged - 1] : NULL;
        if (last && last->cluster == t->needs[i].cluster && last->turn == t->needs[i].turn) {
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
    struct stage stage = { .full = count == STAGE_CLUSTERS };
    TRY(mem_grow(&t->stages, &t->stage_capacity, t->n_stages + 1, sizeof *t->stages, "stages of a tile", err));
    for (int i = 0; i < STAGE_CLUSTERS; i++) stage.need[i] = i < count ? needs[i] : -1;
    for (int i = 0; i < count; i++) stage.users |= t->needs[needs[i]].users;
    for (int i = 0; i < count; i++)
        stage.full = stage.full && t->needs[needs[i]].full && t->needs[needs[i]].users == stage.users;
    t->stages[t->n_stages++] = stage;
    return VIC_OK;
}

/* Each strip's own clusters, the ones with its diagonal, make a stage at the ring's front: taken first, it gives
 * nearly every row a score to set its reference by. */
static vic_status make_own_stages(int64_t tile, int strips, struct tile *t, bool *done, vic_error *err)
{
    for (int s = 0; s < strips; s++) {
        int32_t own[STAGE_CLUSTERS], first = (int32_t)((tile * strips + s) * STAGE_CLUSTERS);
        int count = 0;
        for (size_t i = 0; i < t->n_needs && count < STAGE_CLUSTERS; i++) {
            const struct need *need = &t->needs[i];
            if (need->cluster < first || need->cluster >= first + STAGE_CLUSTERS || need->turn > 0) continue;
            own[count++] = (int32_t)i;
            done[i] = true;
        }
        if (count > 0) TRY(add_stage(t, own, count, err));
    }
    return VIC_OK;
}

/* Whole stages of clusters with the same users; what is left over goes to t->left.  Full ones apart, so that a stage
 * needs masks for all of its users or for none. */
static vic_status make_class_stages(struct tile *t, const bool *done, bool full, vic_error *err)
{
    for (unsigned users = 1; users < CLASSES; users++) {
        int32_t four[STAGE_CLUSTERS];
        int count = 0;
        for (size_t i = 0; i < t->n_needs; i++) {
            if (done[i] || t->needs[i].users != users || t->needs[i].full != full) continue;
            four[count++] = (int32_t)i;
            if (count < STAGE_CLUSTERS) continue;
            TRY(add_stage(t, four, count, err));
            count = 0;
        }
        TRY(mem_grow(&t->left, &t->left_capacity, t->n_left + (size_t)count, sizeof *t->left, "clusters", err));
        for (int i = 0; i < count; i++) t->left[t->n_left++] = four[i];
    }
    return VIC_OK;
}

/* Left-overs: begin with the one that most strips need, add those that bring the fewest new users. */
static vic_status make_mixed_stages(struct tile *t, vic_error *err)
{
    while (t->n_left > 0) {
        int32_t four[STAGE_CLUSTERS];
        unsigned users = 0;
        int count = 0;
        while (count < STAGE_CLUSTERS && t->n_left > 0) {
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
            four[count++] = t->left[best];
            users |= t->needs[t->left[best]].users;
            t->left[best] = t->left[--t->n_left];
        }
        TRY(add_stage(t, four, count, err));
    }
    return VIC_OK;
}

/* Order the stages behind the own ones so that every strip gets on evenly: at each place the one that brings all
 * closest to their share.  Stages with the same users are alike, so one of each class is looked at. */
static void order_stages(struct tile *t, size_t own, struct stage *ordered)
{
    size_t next[2 * CLASSES] = { 0 }, n = t->n_stages - own;
    double total[MAX_STRIPS] = { 0 }, so_far[MAX_STRIPS] = { 0 };
    for (size_t i = own; i < t->n_stages; i++)
        for (int s = 0; s < MAX_STRIPS; s++) total[s] += t->stages[i].users >> s & 1;
    for (size_t c = 0; c < 2 * CLASSES; c++) next[c] = own;
    for (size_t place = 0; place < n; place++) {
        size_t best = 0;
        double best_cost = 1e300;
        for (size_t c = 0; c < 2 * CLASSES; c++) {
            size_t i = next[c];
            while (i < t->n_stages &&
                   (t->stages[i].taken || t->stages[i].users != c / 2 || t->stages[i].full != (c & 1)))
                i++;
            next[c] = i;
            if (i == t->n_stages) continue;
            double cost = 0;
            for (int s = 0; s < MAX_STRIPS; s++) {
                double ahead = so_far[s] + (double)(c / 2 >> s & 1) - total[s] * ((double)place + 1) / (double)n;
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
    if (n > 0) memcpy(t->stages + own, ordered, n * sizeof *ordered);
}

static vic_status make_stages(const struct vic_pattern *p, int64_t tile, int strips, struct tile *t, vic_error *err)
{
    vic_status st = VIC_OK;
    bool *done = NULL;
    struct stage *ordered = NULL;
    size_t own;
    t->n_stages = t->n_left = 0;
    TRY_GOTO(mem_array_zero(t->n_needs, sizeof *done, "clusters of a tile", &done, err), done);
    if (p->one_set) TRY_GOTO(make_own_stages(tile, strips, t, done, err), done);
    own = t->n_stages;
    TRY_GOTO(make_class_stages(t, done, true, err), done);
    TRY_GOTO(make_class_stages(t, done, false, err), done);
    TRY_GOTO(make_mixed_stages(t, err), done);
    TRY_GOTO(mem_array(t->n_stages, sizeof *ordered, "stages of a tile", &ordered, err), done);
    order_stages(t, own, ordered);
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
    for (int place = 0; place < STAGE_CLUSTERS; place++) {
        const struct block_bits *bits = stage->need[place] < 0 ? NULL : t->needs[stage->need[place]].bits[s];
        if (!bits) continue;
        for (int key = 0; key < CLUSTER; key++) {
            int column =
                place * CLUSTER + key; /* thread t % 4 == column % 8 / 2 holds it, for rows t / 32, t % 32 / 4 */
            for (uint64_t rows = bits->key[key]; rows; rows &= rows - 1) {
                int row = __builtin_ctzll(rows);
                int thread = row / 16 * 32 + row % 8 * 4 + column % 8 / 2;
                words[thread] |= 1u << (column / 8 * 4 + row % 16 / 8 * 2 + column % 2);
            }
        }
    }
}

static vic_status add_entry(struct builder *b, uint32_t entry, vic_error *err)
{
    struct tile_layout *l = b->layout;
    TRY(mem_grow(&l->list, &b->list_capacity, (size_t)l->n_entries + 3, sizeof *l->list, "steps", err));
    l->list[l->n_entries++] = entry;
    return VIC_OK;
}

static vic_status add_step(struct builder *b, const struct tile *t, int64_t index, int s, bool masked, uint32_t flags,
                           vic_error *err)
{
    struct tile_layout *l = b->layout;
    TRY(add_entry(b, (uint32_t)index | flags | (masked ? STEP_MASKED : 0u), err));
    if (!masked) return VIC_OK;
    TRY(mem_grow(&l->masks, &b->mask_capacity, (size_t)l->n_masks + 2, sizeof *l->masks, "mask words", err));
    fill_masks(t, &t->stages[index], s, l->masks[l->n_masks++]);
    return VIC_OK;
}

/* The strip's own stage, if it has one, is taken first although others may stand before it: the front of the ring is
 * there together. */
static int64_t first_stage(const struct tile *t, int strips_per_tile, int s, int64_t strip)
{
    int64_t n = (int64_t)t->n_stages;
    for (int64_t i = 0; i < n && i < strips_per_tile; i++)
        if ((t->stages[i].users >> s & 1) && t->needs[t->stages[i].need[0]].cluster / STAGE_CLUSTERS == strip)
            return i;
    for (int64_t i = 0; i < n; i++)
        if (t->stages[i].users >> s & 1) return i;
    return -1;
}

static vic_status make_list(struct builder *b, struct tile *t, int s, int64_t strip, struct tile_strip *out,
                            vic_error *err)
{
    struct tile_layout *l = b->layout;
    int64_t n = (int64_t)t->n_stages, first = strip < 0 ? -1 : first_stage(t, l->strips_per_tile, s, strip);
    *out = (struct tile_strip){
        .list = (uint32_t)l->n_entries, .masks = (uint32_t)l->n_masks, .strip = (int32_t)strip, .stages = (int32_t)n
    };
    if (first >= 0) TRY(add_step(b, t, first, s, true, STEP_FIRST, err));
    for (int64_t i = 0; i < n && first >= 0; i++) {
        if (i == first || !(t->stages[i].users >> s & 1)) continue;
        TRY(add_step(b, t, i, s, !t->stages[i].full, 0, err));
    }
    out->steps = (int32_t)(l->n_entries - out->list);
    l->steps += out->steps;
    TRY(add_entry(b, (uint32_t)STEP_END, err));
    if (l->n_entries >= UINT32_MAX || l->n_masks >= UINT32_MAX / STEP_WORDS)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "the pattern is too large for one GPU plan: %lld steps, expected fewer than %lld",
                        (long long)l->steps, (long long)(UINT32_MAX / STEP_WORDS));
    return VIC_OK;
}

/* ---- all of it ---- */

static vic_status add_tile(struct builder *b, const struct vic_pattern *p, int64_t tile, struct tile *t,
                           vic_error *err)
{
    vic_status st = VIC_OK;
    struct tile_layout *l = b->layout;
    int strips = l->strips_per_tile;
    TRY(collect(p, tile, strips, t, err));
    TRY(make_stages(p, tile, strips, t, err));
    for (int s = 0; s < strips; s++) {
        int64_t strip = tile * strips + s;
        struct tile_strip *out = &l->strips[strip];
        TRY_GOTO(make_list(b, t, s, strip < p->strips ? strip : -1, out, err), done);
    }
    TRY_GOTO(mem_grow(&l->stages, &b->stage_capacity, (size_t)l->n_stages + t->n_stages + 1, sizeof *l->stages,
                      "stages", err),
             done);
    for (size_t i = 0; i < t->n_stages; i++) {
        const struct stage *stage = &t->stages[i];
        struct tile_stage *out = &l->stages[l->n_stages++];
        for (int c = 0; c < STAGE_CLUSTERS; c++)
            out->cluster[c] = t->needs[stage->need[stage->need[c] < 0 ? 0 : c]].cluster;
        out->cluster[0] |= (int32_t)(stage->users << STAGE_USERS_SHIFT);
    }
    if (l->n_stages >= INT32_MAX) {
        st = vic_fail(err, VIC_BAD_ARGUMENT, "the pattern is too large for one GPU plan: more than 2^31 stages");
        goto done;
    }
    l->stage_first[tile + 1] = (int32_t)l->n_stages;
done:
    return st;
}

vic_status tiles_make(const struct vic_pattern *p, int strips_per_tile, struct tile_layout *out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct builder b = { .layout = out };
    struct tile t = { 0 };
    *out = (struct tile_layout){ .strips_per_tile = strips_per_tile };
    out->tiles = (p->strips + strips_per_tile - 1) / strips_per_tile;
    TRY_GOTO(mem_array_zero((size_t)out->tiles + 1, sizeof *out->stage_first, "tiles", &out->stage_first, err), done);
    TRY_GOTO(mem_array((size_t)(out->tiles * strips_per_tile), sizeof *out->strips, "strips", &out->strips, err),
             done);
    TRY_GOTO(mem_grow(&out->stages, &b.stage_capacity, 1, sizeof *out->stages, "stages", err), done);
    TRY_GOTO(mem_grow(&out->list, &b.list_capacity, 2, sizeof *out->list, "steps", err), done);
    TRY_GOTO(mem_grow(&out->masks, &b.mask_capacity, 1, sizeof *out->masks, "mask words", err), done);
    for (int64_t tile = 0; tile < out->tiles; tile++) TRY_GOTO(add_tile(&b, p, tile, &t, err), done);
    /* What prefetches read past the end. */
    out->stages[out->n_stages] = (struct tile_stage){ { 0 } };
    out->list[out->n_entries] = out->list[out->n_entries + 1] = (uint32_t)STEP_END;
    memset(out->masks[out->n_masks], 0, sizeof *out->masks);
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
    free(l->stages);
    free(l->strips);
    free(l->list);
    free(l->masks);
    *l = (struct tile_layout){ 0 };
}
