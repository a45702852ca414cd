/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/search.h"

#include "base/memory.h"

#include <string.h>

/* An entry of near[]: which 64 keys above, the image in the middle, and in the low bits the strips of the tile that
 * are near.  So entries sort by keys, then image. */
enum { STRIP_BITS = TILE_STRIPS, IMAGE_BITS = 28 }; /* lattice.c makes at most 2^22 images */

static inline uint64_t near_entry(int32_t keys, int64_t image, unsigned strips)
{
    return (uint64_t)(uint32_t)keys << (IMAGE_BITS + STRIP_BITS) | (uint64_t)image << STRIP_BITS | strips;
}

static inline int32_t near_keys(uint64_t entry)
{
    return (int32_t)(entry >> (IMAGE_BITS + STRIP_BITS));
}

static inline int32_t near_image(uint64_t entry)
{
    return (int32_t)((entry >> STRIP_BITS) & (((uint64_t)1 << IMAGE_BITS) - 1));
}

vic_status search_scratch_make(const struct search *s, struct search_scratch *w, vic_error *err)
{
    memset(w, 0, sizeof *w);
    return mem_array((size_t)(s->keys->n + STRIP - 1) / STRIP, sizeof *w->found, "candidates", &w->found, err);
}

void search_scratch_free(struct search_scratch *w)
{
    free(w->near);
    free(w->merged);
    free(w->runs);
    free(w->found);
    free(w->candidates);
}

/* The runs of near[], each sorted, into one: pairs of neighbours, until one is left. */
static vic_status merge_runs(struct search_scratch *w, vic_error *err)
{
    if (w->n_runs < 2) return VIC_OK;
    TRY(mem_grow(&w->merged, &w->merged_capacity, w->near_capacity, sizeof *w->merged, "candidates", err));
    while (w->n_runs > 1) {
        size_t out = 0, runs = 0;
        for (size_t r = 0; r < w->n_runs; r += 2) {
            size_t a = w->runs[r], b = w->runs[r + 1], b_end = r + 2 <= w->n_runs ? w->runs[r + 2] : b, a_end = b;
            w->runs[runs++] = out;
            while (a < a_end && b < b_end) {
                bool first = w->near[a] < w->near[b];
                w->merged[out++] = first ? w->near[a] : w->near[b];
                a += first;
                b += !first;
            }
            while (a < a_end) w->merged[out++] = w->near[a++];
            while (b < b_end) w->merged[out++] = w->near[b++];
        }
        w->runs[runs] = out;
        w->n_runs = runs;
        uint64_t *swap = w->near;
        size_t capacity = w->near_capacity;
        w->near = w->merged;
        w->near_capacity = w->merged_capacity;
        w->merged = swap;
        w->merged_capacity = capacity;
    }
    return VIC_OK;
}

static bool is_zero(const double v[3])
{
    return v[0] == 0.0 && v[1] == 0.0 && v[2] == 0.0;
}

vic_status search_tile(const struct search *s, struct search_scratch *w, int64_t tile, vic_error *err)
{
    int64_t strips = s->queries->tree.count[0] - tile * TILE_STRIPS;
    const struct box *boxes = s->queries->tree.box[0] + tile * TILE_STRIPS;
    struct box all = boxes[0], nowhere = box_nowhere();
    struct box4 each;
    float limit2 = s->reach * s->reach;
    for (int i = 0; i < TILE_STRIPS; i++) {
        box4_set(&each, i, i < strips ? &boxes[i] : &nowhere);
        if (i < strips) box_join(&all, &boxes[i]);
    }
    w->groups = s->queries->boxes + tile * TILE_STRIPS;
    w->n_near = w->n_runs = 0;
    for (int64_t image = 0; image < s->n_images; image++) {
        const double *shift = s->images[image].shift, back[3] = { -shift[0], -shift[1], -shift[2] };
        struct box moved = box_shifted(&all, back);
        int64_t n = 0;
        box_tree_near(&s->keys->tree, &moved, s->reach, w->found, &n);
        if (n == 0) continue;
        TRY(mem_grow(&w->runs, &w->run_capacity, w->n_runs + 2, sizeof *w->runs, "images", err));
        TRY(mem_grow(&w->near, &w->near_capacity, w->n_near + (size_t)n, sizeof *w->near, "candidates", err));
        w->runs[w->n_runs] = w->n_near;
        for (int64_t i = 0; i < n; i++) {
            struct box keys = box_shifted(&s->keys->tree.box[0][w->found[i]], shift);
            unsigned near = box4_near(&each, keys.low, keys.high, limit2);
            w->near[w->n_near] = near_entry(w->found[i], image, near);
            w->n_near += near != 0;
        }
        if (w->n_near > w->runs[w->n_runs]) w->runs[++w->n_runs] = w->n_near;
    }
    return merge_runs(w, err);
}

/* Groups of the strip that cluster c of 64 keys comes near. */
static inline unsigned near_groups(const struct box4 *groups, const struct box4 *keys, int c, float limit2)
{
    float low[3], high[3];
    for (int x = 0; x < 3; x++) {
        low[x] = keys->low[x][c];
        high[x] = keys->high[x][c];
    }
    return box4_near(groups, low, high, limit2);
}

/* Clusters of the same 64 keys under several images: by cluster, then image. */
static size_t add_images(const struct search *s, const struct search_scratch *w, int strip_in_tile, size_t first,
                         size_t end, struct candidate *out)
{
    float limit2 = s->reach * s->reach;
    int32_t keys = near_keys(w->near[first]);
    size_t n = 0;
    for (int c = 0; c < STRIP / CLUSTER; c++) {
        for (size_t e = first; e < end; e++) {
            if (!((w->near[e] >> strip_in_tile) & 1)) continue;
            int32_t image = near_image(w->near[e]);
            struct box4 moved = box4_shifted(&s->keys->boxes[keys], s->images[image].shift);
            unsigned groups = near_groups(&w->groups[strip_in_tile], &moved, c, limit2);
            out[n] = (struct candidate){ keys * (STRIP / CLUSTER) + c, image, groups };
            n += groups != 0;
        }
    }
    return n;
}

vic_status search_strip(const struct search *s, struct search_scratch *w, int strip_in_tile, vic_error *err)
{
    const struct box4 *query = &w->groups[strip_in_tile];
    float limit2 = s->reach * s->reach;
    size_t n = 0, end;
    w->n_candidates = 0;
    TRY(mem_grow(&w->candidates, &w->candidate_capacity, (STRIP / CLUSTER) * w->n_near, sizeof *w->candidates,
                 "candidates", err));
    for (size_t i = 0; i < w->n_near; i = end) {
        int32_t keys = near_keys(w->near[i]), image = near_image(w->near[i]);
        for (end = i + 1; end < w->n_near && near_keys(w->near[end]) == keys;) end++;
        if (end > i + 1) {
            n += add_images(s, w, strip_in_tile, i, end, w->candidates + n);
            continue;
        }
        if (!((w->near[i] >> strip_in_tile) & 1)) continue;
        const struct box4 *boxes = &s->keys->boxes[keys];
        struct box4 moved;
        if (!is_zero(s->images[image].shift)) {
            moved = box4_shifted(boxes, s->images[image].shift);
            boxes = &moved;
        }
        for (int c = 0; c < STRIP / CLUSTER; c++) {
            unsigned groups = near_groups(query, boxes, c, limit2);
            w->candidates[n] = (struct candidate){ keys * (STRIP / CLUSTER) + c, image, groups };
            n += groups != 0;
        }
    }
    w->n_candidates = n;
    return VIC_OK;
}
