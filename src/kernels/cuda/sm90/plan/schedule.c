/* SPDX-License-Identifier: Apache-2.0 */
/* Which CTA works on which tile and head.  Static: nothing is decided at run time, so nothing depends on timing. */
#include "base/memory.h"
#include "kernels/cuda/sm90/plan/layout.h"

#include <string.h>

enum {
    OVERHEAD = 16,   /* of a warpgroup in an item, in steps: queries in, results out */
    GATHER = 4,      /* for the part of a cut strip that gathers the others */
    TOGETHER = 1024, /* bytes of keys and values per row, of the heads that are worked on side by side */
    LAST_ITEMS = 2,  /* per CTA, that even out what they have to do */
};

/* In steps of a tile; what is different where tiles are split (measured: docs/kernels/attn_fwd_sm90.md). */
enum {
    ITEM = 12,            /* queries in, results out */
    SHARE = 10,           /* from one share to the next in the same item */
    JOIN = 16,            /* the kernel that adds up shares ... */
    SLOTS_PER_STEP = 250, /* ... and how many it adds up, on the whole GPU, in the time of a step */
};

struct load {
    int64_t work;
    int32_t cta;
};

static bool lighter(const struct load *a, const struct load *b)
{
    return a->work < b->work || (a->work == b->work && a->cta < b->cta);
}

/* heap[0] has the least work; its work has grown. */
static void sift_down(struct load *heap, int count)
{
    int at = 0;
    for (;;) {
        int least = at;
        for (int child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (lighter(&heap[child], &heap[least])) least = child;
        if (least == at) return;
        struct load t = heap[at];
        heap[at] = heap[least];
        heap[least] = t;
        at = least;
    }
}

/* Work of a CTA: a head of a tile, or of one of its shares. */
struct unit {
    int32_t tile, head;
    int32_t share, shares; /* of the layout; the first, how many */
    int32_t slot;          /* the first of a share's; negative = a whole tile */
};

struct weighed_tile {
    int64_t work;
    int32_t tile;
};

struct scheduler {
    const struct tile_layout *l;
    int heads, together, ctas;
    struct weighed_tile *heaviest; /* [tiles] */
    bool *last;                    /* [tiles] among those that come last */
    struct unit *units;            /* [shares * heads] in the order in which they are dealt out */
    int64_t n_units, n_slots;
    int32_t *owner; /* [shares * heads] */
    struct load *heap;
};

static int heaviest_first(const void *a, const void *b)
{
    const struct weighed_tile *p = a, *q = b;
    if (p->work != q->work) return p->work > q->work ? -1 : 1;
    return (p->tile > q->tile) - (p->tile < q->tile);
}

static bool any_split(const struct tile_layout *l)
{
    return l->shares > l->tiles;
}

static int64_t work_of(const struct tile_layout *l, int32_t share, int32_t shares)
{
    int64_t work = any_split(l) ? ITEM + SHARE * (shares - 1) : OVERHEAD * l->places;
    for (int32_t i = 0; i < shares; i++) work += share_steps(l, share + i);
    return work;
}

static void add_units(struct scheduler *s, int32_t tile, int head, bool split)
{
    int32_t first = s->l->share_first[tile], count = s->l->share_first[tile + 1] - first;
    if (!split || count == 1) {
        s->units[s->n_units++] = (struct unit){ tile, head, first, count, -1 };
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        s->units[s->n_units++] = (struct unit){ tile, head, first + i, 1, (int32_t)s->n_slots };
        s->n_slots += s->l->places;
    }
}

/* CTAs work on tiles that lie side by side, so that what they read is still in L2 for the others: tile after tile for
 * as many heads as L2 has room for, then for the next ones.  The lightest items come last, the heavier of them first.
 * Of these the last `split` are worked on in shares. */
static void make_sequence(struct scheduler *s, int64_t split)
{
    int64_t tiles = s->l->tiles, early = tiles - (LAST_ITEMS * (int64_t)s->ctas + s->heads - 1) / s->heads;
    int64_t whole = tiles * s->heads - split;
    s->n_units = s->n_slots = 0;
    if (early < 0) early = 0;
    for (int64_t i = early; i < tiles; i++) s->last[s->heaviest[i].tile] = true;
    for (int first = 0; first < s->heads; first += s->together)
        for (int64_t tile = 0; tile < tiles; tile++)
            for (int h = first; !s->last[tile] && h < s->heads && h < first + s->together; h++)
                add_units(s, (int32_t)tile, h, whole-- <= 0);
    for (int64_t i = early; i < tiles; i++)
        for (int h = 0; h < s->heads; h++) add_units(s, s->heaviest[i].tile, h, whole-- <= 0);
}

/* Each to the CTA that has least to do so far; returns what the last one to end has. */
static int64_t deal_out(struct scheduler *s)
{
    int64_t most = 0;
    for (int c = 0; c < s->ctas; c++) s->heap[c] = (struct load){ 0, c };
    for (int64_t i = 0; i < s->n_units; i++) {
        s->owner[i] = s->heap[0].cta;
        s->heap[0].work += work_of(s->l, s->units[i].share, s->units[i].shares);
        if (s->heap[0].work > most) most = s->heap[0].work;
        sift_down(s->heap, s->ctas);
    }
    return most;
}

/* How many items, from the end, are worked on in shares: tried out. */
static int64_t choose_split(struct scheduler *s)
{
    int64_t items = s->l->tiles * s->heads, best = 0, best_time = 0;
    for (int64_t quarters = 0; quarters <= 4 * LAST_ITEMS; quarters++) {
        int64_t split = quarters * s->ctas / 4 < items ? quarters * s->ctas / 4 : items, time;
        make_sequence(s, split);
        time = deal_out(s) + (split > 0 ? JOIN + s->n_slots / SLOTS_PER_STEP : 0);
        if (quarters > 0 && time >= best_time) continue;
        best = split;
        best_time = time;
    }
    return best;
}

/* In each item of a CTA the place with most steps goes to the warpgroup that has done least. */
static void place_strips(const struct tile_layout *l, const struct tile_item *items, int32_t count,
                         struct tile_task *tasks)
{
    int64_t done[4] = { 0 };
    int n = l->places;
    for (int32_t i = 0; i < count; i++) {
        unsigned taken_strips = 0, taken_groups = 0;
        const struct tile_strip *strips = &l->strips[(int64_t)items[i].share * n];
        int64_t add[4] = { 0 }, steps[4] = { 0 };
        for (int32_t k = 0; k < items[i].shares; k++)
            for (int s = 0; s < n; s++) steps[s] += strips[k * n + s].steps;
        for (int k = 0; k < n; k++) {
            int strip = -1, group = -1;
            for (int s = 0; s < n; s++) {
                if (!(taken_strips >> s & 1) && (strip < 0 || steps[s] > steps[strip])) strip = s;
                if (!(taken_groups >> s & 1) && (group < 0 || done[s] < done[group])) group = s;
            }
            taken_strips |= 1u << strip;
            taken_groups |= 1u << group;
            add[group] = steps[strip] + (l->parts > 1 && strip % l->parts == 0 ? GATHER : 0);
            tasks[(int64_t)i * n + group] = (struct tile_task){
                .list = strips[strip].list,
                .strip = strips[strip].strip,
                .stages = items[i].stages,
                .head = (uint16_t)items[i].head,
                .part = (uint8_t)(strip % l->parts),
                .inbox = (uint8_t)(strip - strip / l->parts - (strip % l->parts > 0)),
                .before = l->stage_first[items[i].share] - l->stage_first[l->share_first[items[i].tile]],
                .slot = items[i].slot < 0 ? -1 : items[i].slot + strip,
            };
        }
        for (int g = 0; g < 4; g++) done[g] += add[g];
    }
}

static struct tile_item item_of(const struct tile_layout *l, const struct unit *u)
{
    int32_t first = l->stage_first[u->share];
    return (struct tile_item){
        .stage_first = first,
        .stages = l->stage_first[u->share + u->shares] - first,
        .mask_first = l->mask_first[u->share],
        .head = u->head,
        .tile = u->tile,
        .share = u->share,
        .shares = u->shares,
        .slot = u->slot,
    };
}

/* What the second kernel adds up: each strip of the tiles whose shares are apart. */
static vic_status make_joins(const struct scheduler *s, struct tile_schedule *out, vic_error *err)
{
    const struct tile_layout *l = s->l;
    int strips = l->places / l->parts;
    TRY(mem_array((size_t)s->n_slots, sizeof *out->joins, "shares", &out->joins, err));
    for (int64_t i = 0; i < s->n_units; i++) {
        const struct unit *u = &s->units[i];
        int32_t first = l->share_first[u->tile];
        if (u->slot < 0 || u->share != first) continue;
        for (int k = 0; k < strips; k++)
            out->joins[out->n_joins++] = (struct tile_join){ u->tile * strips + k, u->head, u->slot + k * l->parts,
                                                             l->share_first[u->tile + 1] - first };
    }
    out->n_slots = s->n_slots;
    return VIC_OK;
}

static vic_status fill(const struct scheduler *s, struct tile_schedule *out, vic_error *err)
{
    vic_status st = VIC_OK;
    const struct tile_layout *l = s->l;
    int32_t *next = NULL;
    size_t n = (size_t)s->n_units;
    *out = (struct tile_schedule){ .ctas = s->ctas, .n_items = s->n_units };
    TRY_GOTO(mem_array(n, sizeof *out->items, "work items", &out->items, err), done);
    TRY_GOTO(mem_array(n * (size_t)l->places, sizeof *out->tasks, "work items", &out->tasks, err), done);
    TRY_GOTO(mem_array_zero((size_t)s->ctas + 1, sizeof *out->first, "CTAs", &out->first, err), done);
    TRY_GOTO(mem_array((size_t)s->ctas, sizeof *next, "CTAs", &next, err), done);
    for (int64_t i = 0; i < s->n_units; i++) out->first[s->owner[i] + 1]++;
    for (int c = 0; c < s->ctas; c++) {
        out->first[c + 1] += out->first[c];
        next[c] = out->first[c];
    }
    for (int64_t i = 0; i < s->n_units; i++) out->items[next[s->owner[i]]++] = item_of(l, &s->units[i]);
    for (int c = 0; c < s->ctas; c++)
        place_strips(l, out->items + out->first[c], out->first[c + 1] - out->first[c],
                     out->tasks + (int64_t)out->first[c] * l->places);
    TRY_GOTO(make_joins(s, out, err), done);
done:
    free(next);
    if (st != VIC_OK) tiles_schedule_free(out);
    return st;
}

vic_status tiles_schedule(const struct tile_layout *l, const struct attention_shape *shape, int ctas, bool whole,
                          struct tile_schedule *out, vic_error *err)
{
    vic_status st = VIC_OK;
    int group = shape->heads / shape->kv_heads, together = TOGETHER / (2 * (shape->d_qk + shape->d_v));
    int64_t most = l->shares * shape->heads;
    struct scheduler s = {
        .l = l, .heads = shape->heads, .together = (together > 1 ? together : 1) * group, .ctas = ctas
    };
    *out = (struct tile_schedule){ 0 };
    if (most * l->places > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%lld tiles and %d heads are more work items than 2^31 / %d",
                        (long long)l->shares, shape->heads, l->places);
    TRY_GOTO(mem_array((size_t)l->tiles, sizeof *s.heaviest, "tiles", &s.heaviest, err), done);
    TRY_GOTO(mem_array_zero((size_t)l->tiles, sizeof *s.last, "tiles", &s.last, err), done);
    TRY_GOTO(mem_array((size_t)most, sizeof *s.units, "work items", &s.units, err), done);
    TRY_GOTO(mem_array((size_t)most, sizeof *s.owner, "work items", &s.owner, err), done);
    TRY_GOTO(mem_array((size_t)ctas, sizeof *s.heap, "CTAs", &s.heap, err), done);
    for (int64_t t = 0; t < l->tiles; t++)
        s.heaviest[t] =
            (struct weighed_tile){ work_of(l, l->share_first[t], l->share_first[t + 1] - l->share_first[t]),
                                   (int32_t)t };
    qsort(s.heaviest, (size_t)l->tiles, sizeof *s.heaviest, heaviest_first);
    make_sequence(&s, any_split(l) && !whole ? choose_split(&s) : 0);
    deal_out(&s);
    TRY_GOTO(fill(&s, out, err), done);
done:
    free(s.heaviest);
    free(s.last);
    free(s.units);
    free(s.owner);
    free(s.heap);
    return st;
}

void tiles_schedule_free(struct tile_schedule *s)
{
    free(s->items);
    free(s->tasks);
    free(s->joins);
    free(s->first);
    *s = (struct tile_schedule){ 0 };
}
