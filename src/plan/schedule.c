/* SPDX-License-Identifier: Apache-2.0 */
/* Which CTA works on which tile and head.  Static: nothing is decided at run time, so nothing depends on timing. */
#include "base/memory.h"
#include "plan/tiles.h"

#include <string.h>

enum {
    OVERHEAD = 16,   /* of a warpgroup in an item, in steps: queries in, results out */
    GATHER = 4,      /* for the part of a cut strip that gathers the others */
    TOGETHER = 1024, /* bytes of keys and values per row, of the heads that are worked on side by side */
    LAST_ITEMS = 2,  /* per CTA, that even out what they have to do */
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

/* In each item of a CTA the place with most steps goes to the warpgroup that has done least. */
static void place_strips(const struct tile_layout *l, const struct tile_item *items, int32_t count,
                         struct tile_task *tasks)
{
    int64_t done[4] = { 0 };
    int n = l->places;
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
            add[group] = strips[strip].steps + (l->parts > 1 && strip % l->parts == 0 ? GATHER : 0);
            tasks[(int64_t)i * n + group] = (struct tile_task){
                .list = strips[strip].list,
                .strip = strips[strip].strip,
                .stages = items[i].stages,
                .head = (uint16_t)items[i].head,
                .part = (uint8_t)(strip % l->parts),
                .inbox = (uint8_t)(strip - strip / l->parts - (strip % l->parts > 0)),
            };
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

/* CTAs work on tiles that lie side by side, so that what they read is still in L2 for the others: tile after tile for
 * as many heads as L2 has room for, then for the next ones.  The lightest items come last, the heavier of them first.
 * Fills sequence [tiles * heads] with tile * heads + head. */
static void make_sequence(const struct tile_layout *l, const struct weighed_tile *heaviest, int heads, int together,
                          int ctas, bool *last, int64_t *sequence)
{
    int64_t n = 0, early = l->tiles - (LAST_ITEMS * (int64_t)ctas + heads - 1) / heads;
    if (early < 0) early = 0;
    for (int64_t i = early; i < l->tiles; i++) last[heaviest[i].tile] = true;
    for (int first = 0; first < heads; first += together)
        for (int64_t tile = 0; tile < l->tiles; tile++)
            for (int h = first; !last[tile] && h < heads && h < first + together; h++)
                sequence[n++] = tile * heads + h;
    for (int64_t i = early; i < l->tiles; i++)
        for (int h = 0; h < heads; h++) sequence[n++] = (int64_t)heaviest[i].tile * heads + h;
}

vic_status tiles_schedule(const struct tile_layout *l, const struct attention_shape *shape, int ctas,
                          struct tile_schedule *out, vic_error *err)
{
    vic_status st = VIC_OK;
    int heads = shape->heads, group = heads / shape->kv_heads, together = TOGETHER / (2 * (shape->d_qk + shape->d_v));
    int64_t n = l->tiles * heads;
    struct weighed_tile *tiles = NULL;
    struct load *heap = NULL;
    int32_t *owner = NULL, *next = NULL;
    int64_t *sequence = NULL, *work = NULL;
    bool *last = NULL;
    *out = (struct tile_schedule){ .ctas = ctas, .n_items = n };
    if (n > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%lld tiles and %d heads are more work items than 2^31",
                        (long long)l->tiles, heads);
    TRY_GOTO(mem_array((size_t)l->tiles, sizeof *tiles, "tiles", &tiles, err), done);
    TRY_GOTO(mem_array((size_t)l->tiles, sizeof *work, "tiles", &work, err), done);
    TRY_GOTO(mem_array_zero((size_t)l->tiles, sizeof *last, "tiles", &last, err), done);
    TRY_GOTO(mem_array((size_t)ctas, sizeof *heap, "CTAs", &heap, err), done);
    TRY_GOTO(mem_array((size_t)n, sizeof *sequence, "work items", &sequence, err), done);
    TRY_GOTO(mem_array((size_t)n, sizeof *owner, "work items", &owner, err), done);
    TRY_GOTO(mem_array((size_t)n, sizeof *out->items, "work items", &out->items, err), done);
    TRY_GOTO(mem_array((size_t)n * (size_t)l->places, sizeof *out->tasks, "work items", &out->tasks, err), done);
    TRY_GOTO(mem_array_zero((size_t)ctas + 1, sizeof *out->first, "CTAs", &out->first, err), done);
    TRY_GOTO(mem_array((size_t)ctas, sizeof *next, "CTAs", &next, err), done);
    for (int64_t t = 0; t < l->tiles; t++) {
        work[t] = OVERHEAD * l->places;
        for (int s = 0; s < l->places; s++) work[t] += l->strips[t * l->places + s].steps;
        tiles[t] = (struct weighed_tile){ work[t], (int32_t)t };
    }
    qsort(tiles, (size_t)l->tiles, sizeof *tiles, heaviest_first);
    make_sequence(l, tiles, heads, (together > 1 ? together : 1) * group, ctas, last, sequence);
    for (int c = 0; c < ctas; c++) heap[c] = (struct load){ 0, c };
    for (int64_t i = 0; i < n; i++) { /* each to the CTA that has least to do so far */
        owner[i] = heap[0].cta;
        out->first[owner[i] + 1]++;
        heap[0].work += work[sequence[i] / heads];
        sift_down(heap, ctas);
    }
    for (int c = 0; c < ctas; c++) {
        out->first[c + 1] += out->first[c];
        next[c] = out->first[c];
    }
    for (int64_t i = 0; i < n; i++)
        out->items[next[owner[i]]++] = item_of(l, (int32_t)(sequence[i] / heads), (int32_t)(sequence[i] % heads));
    for (int c = 0; c < ctas; c++)
        place_strips(l, out->items + out->first[c], out->first[c + 1] - out->first[c],
                     out->tasks + (int64_t)out->first[c] * l->places);
done:
    free(tiles);
    free(work);
    free(last);
    free(heap);
    free(sequence);
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
