/* SPDX-License-Identifier: Apache-2.0 */
/* Which CTA works on which tile and head.  Static: nothing is decided at run time, so nothing depends on timing. */
#include "base/memory.h"
#include "plan/tiles.h"

#include <string.h>

static const int64_t item_overhead = 16; /* of an item, in steps of one warpgroup: queries in, results out */

struct load {
    int64_t work;
    int32_t cta, items;
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

struct weighed_tile {
    int64_t work;
    int32_t tile;
};

static int heaviest_first(const void *a, const void *b)
{
    const struct weighed_tile *p = a, *q = b;
    if (p->work != q->work) return p->work > q->work ? -1 : 1;
    return (p->tile > q->tile) - (p->tile < q->tile);
}

static int by_tile_and_head(const void *a, const void *b)
{
    const struct tile_item *p = a, *q = b;
    if (p->tile != q->tile) return p->tile < q->tile ? -1 : 1;
    return (p->head > q->head) - (p->head < q->head);
}

/* In each item of a CTA the strip with most steps goes to the warpgroup that has done least. */
static void place_strips(const struct tile_layout *l, const struct tile_item *items, int32_t count,
                         struct tile_task *tasks)
{
    int64_t done[4] = { 0 };
    int n = l->strips_per_tile;
    for (int32_t i = 0; i < count; i++) {
        unsigned taken_strips = 0, taken_groups = 0;
        const struct tile_strip *strips = &l->strips[(int64_t)items[i].tile * n];
        int64_t add[4] = { 0 };
        for (int k = 0; k < n; k++) {
            int strip = -1, group = -1;
            for (int s = 0; s < n; s++) {
                if (!(taken_strips >> s & 1) && (strip < 0 || strips[s].steps > strips[strip].steps)) strip = s;
                if (!(taken_groups >> s & 1) && (group < 0 || done[s] < done[group])) group = s;
            }
            taken_strips |= 1u << strip;
            taken_groups |= 1u << group;
            add[group] = strips[strip].steps;
            tasks[(int64_t)i * n + group] =
                (struct tile_task){ strips[strip].list, strips[strip].strip, items[i].head, items[i].stages };
        }
        for (int g = 0; g < 4; g++) done[g] += add[g];
    }
}

static struct tile_item item_of(const struct tile_layout *l, int32_t tile, int32_t head)
{
    int32_t first = l->stage_first[tile];
    return (struct tile_item){
        .stage_first = first,
        .stages = l->stage_first[tile + 1] - first,
        .mask_first = l->mask_first[tile],
        .head = head,
        .tile = tile,
    };
}

vic_status tiles_schedule(const struct tile_layout *l, int heads, int ctas, struct tile_schedule *out, vic_error *err)
{
    vic_status st = VIC_OK;
    int64_t n = l->tiles * heads;
    struct weighed_tile *tiles = NULL;
    struct load *heap = NULL;
    int32_t *owner = NULL, *next = NULL;
    *out = (struct tile_schedule){ .ctas = ctas, .n_items = n };
    if (n > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%lld tiles and %d heads are more work items than 2^31",
                        (long long)l->tiles, heads);
    TRY_GOTO(mem_array((size_t)l->tiles, sizeof *tiles, "tiles", &tiles, err), done);
    TRY_GOTO(mem_array((size_t)ctas, sizeof *heap, "CTAs", &heap, err), done);
    TRY_GOTO(mem_array((size_t)n, sizeof *owner, "work items", &owner, err), done);
    TRY_GOTO(mem_array((size_t)n, sizeof *out->items, "work items", &out->items, err), done);
    TRY_GOTO(mem_array((size_t)n * (size_t)l->strips_per_tile, sizeof *out->tasks, "work items", &out->tasks, err),
             done);
    TRY_GOTO(mem_array_zero((size_t)ctas + 1, sizeof *out->first, "CTAs", &out->first, err), done);
    TRY_GOTO(mem_array((size_t)ctas, sizeof *next, "CTAs", &next, err), done);
    for (int64_t t = 0; t < l->tiles; t++) {
        int64_t work = item_overhead * l->strips_per_tile;
        for (int s = 0; s < l->strips_per_tile; s++) work += l->strips[t * l->strips_per_tile + s].steps;
        tiles[t] = (struct weighed_tile){ work, (int32_t)t };
    }
    qsort(tiles, (size_t)l->tiles, sizeof *tiles, heaviest_first);
    for (int c = 0; c < ctas; c++) heap[c] = (struct load){ 0, c, 0 };
    for (int64_t i = 0; i < n; i++) { /* heads innermost: they share a tile's lists and masks */
        owner[i] = heap[0].cta;
        out->first[heap[0].cta + 1]++;
        heap[0].work += tiles[i / heads].work;
        sift_down(heap, ctas);
    }
    for (int c = 0; c < ctas; c++) {
        out->first[c + 1] += out->first[c];
        next[c] = out->first[c];
    }
    for (int64_t i = 0; i < n; i++)
        out->items[next[owner[i]]++] = item_of(l, tiles[i / heads].tile, (int32_t)(i % heads));
    for (int c = 0; c < ctas; c++) {
        struct tile_item *items = out->items + out->first[c];
        int32_t count = out->first[c + 1] - out->first[c];
        qsort(items, (size_t)count, sizeof *items, by_tile_and_head);
        place_strips(l, items, count, out->tasks + (int64_t)out->first[c] * l->strips_per_tile);
    }
done:
    free(tiles);
    free(heap);
    free(owner);
    free(next);
    if (st != VIC_OK) tiles_schedule_free(out);
    return st;
}

void tiles_schedule_free(struct tile_schedule *s)
{
    free(s->items);
    free(s->tasks);
    free(s->first);
    *s = (struct tile_schedule){ 0 };
}
