/* SPDX-License-Identifier: Apache-2.0 */
/* Which CTA works on which tile and head.  All of it is decided beforehand, so that nothing depends on timing. */
#include "base/memory.h"
#include "kernels/cuda/sm90/plan/heuristics.h"
#include "kernels/cuda/sm90/plan/layout.h"

#include <string.h>

struct load {
    int64_t work;
    int32_t cta;
};

static bool lighter(const struct load *a, const struct load *b)
{
    return a->work < b->work || (a->work == b->work && a->cta < b->cta);
}

/* Restores the heap, in which heap[0] has the least work, after the work of heap[0] has grown. */
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

/* An item before it has its place in the list of a CTA; members as in tile_item. */
struct item {
    int32_t tile, head;
    int32_t split, splits;
    int32_t partial;
};

struct weighed_tile {
    int64_t work;
    int32_t tile;
};

struct scheduler {
    const struct tile_layout *l;
    int heads, together, ctas;
    struct weighed_tile *heaviest; /* [tiles] */
    bool *last;                    /* [tiles] whether its items come last */
    struct item *items;            /* [splits * heads] in the order in which they are assigned */
    int64_t n_items, n_partials;
    int32_t *owner; /* [splits * heads] the CTA of each item */
    struct load *heap;
};

static int heaviest_first(const void *a, const void *b)
{
    const struct weighed_tile *p = a, *q = b;
    if (p->work != q->work) return p->work > q->work ? -1 : 1;
    return (p->tile > q->tile) - (p->tile < q->tile);
}

static void add_items(struct scheduler *s, int32_t tile, int head, bool split)
{
    int32_t first = s->l->split_first[tile], count = s->l->split_first[tile + 1] - first;
    if (!split || count == 1) {
        s->items[s->n_items++] = (struct item){ tile, head, first, count, -1 };
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        s->items[s->n_items++] = (struct item){ tile, head, first + i, 1, (int32_t)s->n_partials };
        s->n_partials += s->l->places;
    }
}

/* Puts the items in order.  CTAs work on neighbouring tiles at one time, so that what one of them reads is still in
 * L2 for the others: tile after tile for as many heads as L2 has room for, then for the next heads.  The lightest
 * items come last, the heavier of them first.  The last `split` of the items are split over CTAs. */
static void make_sequence(struct scheduler *s, int64_t split)
{
    int64_t tiles = s->l->tiles, early = tiles - (heuristic_last_items(s->ctas) + s->heads - 1) / s->heads;
    int64_t whole = tiles * s->heads - split;
    s->n_items = s->n_partials = 0;
    if (early < 0) early = 0;
    for (int64_t i = early; i < tiles; i++) s->last[s->heaviest[i].tile] = true;
    for (int first = 0; first < s->heads; first += s->together)
        for (int64_t tile = 0; tile < tiles; tile++)
            for (int h = first; !s->last[tile] && h < s->heads && h < first + s->together; h++)
                add_items(s, (int32_t)tile, h, whole-- <= 0);
    for (int64_t i = early; i < tiles; i++)
        for (int h = 0; h < s->heads; h++) add_items(s, s->heaviest[i].tile, h, whole-- <= 0);
}

/* Assigns each item to the CTA that has the least work so far.  Returns the work of the CTA that has most. */
static int64_t assign(struct scheduler *s)
{
    int64_t most = 0;
    for (int c = 0; c < s->ctas; c++) s->heap[c] = (struct load){ 0, c };
    for (int64_t i = 0; i < s->n_items; i++) {
        s->owner[i] = s->heap[0].cta;
        s->heap[0].work += heuristic_item_work(s->l, s->items[i].split, s->items[i].splits);
        if (s->heap[0].work > most) most = s->heap[0].work;
        sift_down(s->heap, s->ctas);
    }
    return most;
}

/* Returns how many items, counted from the end, are split over CTAs: several numbers are tried. */
static int64_t choose_split(struct scheduler *s)
{
    int64_t items = s->l->tiles * s->heads, best = 0, best_time = 0;
    for (int64_t quarters = 0; quarters <= 4 * heuristic_last_items(1); quarters++) {
        int64_t split = quarters * s->ctas / 4 < items ? quarters * s->ctas / 4 : items, time;
        make_sequence(s, split);
        time = assign(s) + heuristic_combine_time(s->n_partials);
        if (quarters > 0 && time >= best_time) continue;
        best = split;
        best_time = time;
    }
    return best;
}

static struct tile_task task_of(const struct tile_layout *l, const struct tile_item *item, int place)
{
    const struct tile_strip *strip = &l->strips[(int64_t)item->split * l->places + place];
    const int splits = l->warpgroup_splits, mine = place % splits;
    return (struct tile_task){
        .list = strip->list,
        .strip = strip->strip,
        .stages = item->stages,
        .head = (uint16_t)item->head,
        .warpgroup_split = (uint8_t)mine,
        .combine_stage = (uint8_t)(place / splits * (splits - 1) + (mine > 0 ? mine - 1 : 0)),
        .before = item->stage_first - l->stage_first[l->split_first[item->tile]],
        .partial = item->partial < 0 ? -1 : item->partial + place,
    };
}

/* The index with most work, or with least, of those that are not in `taken`. */
static int pick(const int64_t *work, int n, unsigned taken, bool most)
{
    int best = -1;
    for (int i = 0; i < n; i++)
        if (!(taken >> i & 1) && (best < 0 || (most ? work[i] > work[best] : work[i] < work[best]))) best = i;
    return best;
}

/* Makes a CTA's tasks: in each item the place with most steps goes to the warpgroup that has done least so far. */
static void make_tasks(const struct tile_layout *l, const struct tile_item *items, int32_t count,
                       struct tile_task *tasks)
{
    const int n = l->places;
    int64_t done[MAX_PLACES] = { 0 };
    for (int32_t i = 0; i < count; i++) {
        unsigned places = 0, warpgroups = 0;
        int64_t steps[MAX_PLACES] = { 0 }, add[MAX_PLACES] = { 0 };
        for (int32_t k = 0; k < items[i].splits; k++)
            for (int s = 0; s < n; s++) steps[s] += l->strips[(int64_t)(items[i].split + k) * n + s].steps;
        for (int k = 0; k < n; k++) {
            int place = pick(steps, n, places, true), warpgroup = pick(done, n, warpgroups, false);
            places |= 1u << place;
            warpgroups |= 1u << warpgroup;
            add[warpgroup] = steps[place] + heuristic_place_work(l, place);
            tasks[(int64_t)i * n + warpgroup] = task_of(l, &items[i], place);
        }
        for (int w = 0; w < n; w++) done[w] += add[w];
    }
}

static struct tile_item item_of(const struct tile_layout *l, const struct item *item)
{
    int32_t first = l->stage_first[item->split];
    return (struct tile_item){
        .stage_first = first,
        .stages = l->stage_first[item->split + item->splits] - first,
        .mask_first = l->mask_first[item->split],
        .head = item->head,
        .tile = item->tile,
        .split = item->split,
        .splits = item->splits,
        .partial = item->partial,
    };
}

/* Lists what the second kernel combines: each strip and head of the tiles that are split over CTAs. */
static vic_status make_combines(const struct scheduler *s, struct tile_schedule *out, vic_error *err)
{
    const struct tile_layout *l = s->l;
    int strips = l->places / l->warpgroup_splits;
    TRY(mem_array((size_t)s->n_partials, sizeof *out->combines, "splits", &out->combines, err));
    for (int64_t i = 0; i < s->n_items; i++) {
        const struct item *item = &s->items[i];
        int32_t first = l->split_first[item->tile];
        if (item->partial < 0 || item->split != first) continue;
        for (int k = 0; k < strips; k++)
            out->combines[out->n_combines++] =
                (struct tile_combine){ item->tile * strips + k, item->head, item->partial + k * l->warpgroup_splits,
                                       l->split_first[item->tile + 1] - first };
    }
    out->n_partials = s->n_partials;
    return VIC_OK;
}

static vic_status fill(const struct scheduler *s, struct tile_schedule *out, vic_error *err)
{
    vic_status st = VIC_OK;
    const struct tile_layout *l = s->l;
    int32_t *next = NULL;
    size_t n = (size_t)s->n_items;
    *out = (struct tile_schedule){ .ctas = s->ctas, .n_items = s->n_items };
    TRY_GOTO(mem_array(n, sizeof *out->items, "work items", &out->items, err), done);
    TRY_GOTO(mem_array(n * (size_t)l->places, sizeof *out->tasks, "work items", &out->tasks, err), done);
    TRY_GOTO(mem_array_zero((size_t)s->ctas + 1, sizeof *out->first, "CTAs", &out->first, err), done);
    TRY_GOTO(mem_array((size_t)s->ctas, sizeof *next, "CTAs", &next, err), done);
    for (int64_t i = 0; i < s->n_items; i++) out->first[s->owner[i] + 1]++;
    for (int c = 0; c < s->ctas; c++) {
        out->first[c + 1] += out->first[c];
        next[c] = out->first[c];
    }
    for (int64_t i = 0; i < s->n_items; i++) out->items[next[s->owner[i]]++] = item_of(l, &s->items[i]);
    for (int c = 0; c < s->ctas; c++)
        make_tasks(l, out->items + out->first[c], out->first[c + 1] - out->first[c],
                   out->tasks + (int64_t)out->first[c] * l->places);
    TRY_GOTO(make_combines(s, out, err), done);
done:
    free(next);
    if (st != VIC_OK) schedule_free(out);
    return st;
}

vic_status schedule_make(const struct tile_layout *l, const struct attention_shape *shape, int ctas, bool whole,
                         struct tile_schedule *out, vic_error *err)
{
    vic_status st = VIC_OK;
    int64_t most = l->splits * shape->heads;
    struct scheduler s = { .l = l, .heads = shape->heads, .together = heuristic_heads_together(shape), .ctas = ctas };
    *out = (struct tile_schedule){ 0 };
    if (most * l->places > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%lld tiles and %d heads are more work items than 2^31 / %d",
                        (long long)l->splits, shape->heads, l->places);
    TRY_GOTO(mem_array((size_t)l->tiles, sizeof *s.heaviest, "tiles", &s.heaviest, err), done);
    TRY_GOTO(mem_array_zero((size_t)l->tiles, sizeof *s.last, "tiles", &s.last, err), done);
    TRY_GOTO(mem_array((size_t)most, sizeof *s.items, "work items", &s.items, err), done);
    TRY_GOTO(mem_array((size_t)most, sizeof *s.owner, "work items", &s.owner, err), done);
    TRY_GOTO(mem_array((size_t)ctas, sizeof *s.heap, "CTAs", &s.heap, err), done);
    for (int64_t t = 0; t < l->tiles; t++)
        s.heaviest[t] = (struct weighed_tile){
            heuristic_item_work(l, l->split_first[t], l->split_first[t + 1] - l->split_first[t]), (int32_t)t
        };
    qsort(s.heaviest, (size_t)l->tiles, sizeof *s.heaviest, heaviest_first);
    make_sequence(&s, any_split(l) && !whole ? choose_split(&s) : 0);
    assign(&s);
    TRY_GOTO(fill(&s, out, err), done);
done:
    free(s.heaviest);
    free(s.last);
    free(s.items);
    free(s.owner);
    free(s.heap);
    return st;
}

void schedule_free(struct tile_schedule *s)
{
    free(s->items);
    free(s->tasks);
    free(s->combines);
    free(s->first);
    *s = (struct tile_schedule){ 0 };
}
