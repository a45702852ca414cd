/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/join.h"

#include "base/memory.h"
#include "contract/block_walk.h"
#include "pattern/assemble.h"
#include "pattern/images.h"
#include "pattern/pattern.h"

#include <string.h>

static vic_status join_order(const struct join *j, bool keys, int32_t **out, vic_error *err)
{
    const struct side *side = keys ? &j->k : &j->q;
    int32_t *order;
    TRY(mem_array((size_t)side->n, sizeof *order, "rows", &order, err));
    *out = order;
    for (int64_t i = 0; i < j->n_parts; i++) {
        const struct part *part = &j->parts[i];
        int64_t first = keys ? part->k_first : part->q_first;
        for (int64_t row = first; !part->p && row < first + part->n; row++)
            order[row] = side->atoms[first + j->small.atom[row]];
        if (!part->p) continue;
        int64_t n = keys ? part->p->n_k : part->p->n_q;
        const int32_t *own = keys ? part->p->k_order : part->p->q_order;
        for (int64_t row = 0; row < n; row++) order[first + row] = side->atoms[first + own[row]];
    }
    for (int64_t row = side->kept; row < side->n; row++) order[row] = side->atoms[row];
    return VIC_OK;
}

/* Atoms of parts that are not periodic, and those that take no part, are not wrapped. */
static vic_status join_wraps(const struct join *j, bool keys, int32_t (**out)[3], vic_error *err)
{
    const struct side *side = keys ? &j->k : &j->q;
    int32_t(*wraps)[3];
    bool any = false;
    for (int64_t i = 0; i < j->n_parts; i++) any |= j->parts[i].p && j->parts[i].p->q_wrap;
    if (!any) return VIC_OK;
    TRY(mem_array_zero((size_t)side->n, sizeof *wraps, "wraps", &wraps, err));
    *out = wraps;
    for (int64_t i = 0; i < j->n_parts; i++) {
        const struct part *part = &j->parts[i];
        if (!part->p) continue;
        int64_t first = keys ? part->k_first : part->q_first, n = keys ? part->p->n_k : part->p->n_q;
        int32_t(*own)[3] = keys ? part->p->k_wrap : part->p->q_wrap;
        for (int64_t atom = 0; own && atom < n; atom++)
            memcpy(wraps[side->atoms[first + atom]], own[atom], sizeof *wraps);
    }
    return VIC_OK;
}

static vic_status join_images(struct join *j, vic_error *err)
{
    struct image_set set = { 0 };
    vic_status st = VIC_OK;
    for (int64_t i = 0; i < j->n_parts; i++)
        for (int64_t m = 0; j->parts[i].p && m < j->parts[i].p->n_images; m++)
            TRY_GOTO(image_set_add(&set, j->parts[i].p->images[m], err), done);
    TRY_GOTO(pattern_set_images(j->whole, &set, err), done);
    for (int64_t i = 0; i < j->n_parts; i++) {
        struct part *part = &j->parts[i];
        if (!part->p) continue;
        TRY_GOTO(mem_array((size_t)part->p->n_images, sizeof *part->image, "images", &part->image, err), done);
        for (int64_t m = 0; m < part->p->n_images; m++)
            part->image[m] = pattern_find_image(j->whole, part->p->images[m]);
    }
    j->zero_image = pattern_find_image(j->whole, (const int32_t[3]){ 0, 0, 0 });
done:
    image_set_free(&set);
    return st;
}

/* A block of a part, whose rows stand `down` rows below those of the strip, and whose first key is `key` of all. */
static vic_status add_moved(struct block_list *out, const struct block_walk *w, int64_t down, int64_t key,
                            int32_t image, vic_error *err)
{
    struct block_bits two[2] = { { { 0 } }, { { 0 } } };
    int offset = (int)(key % CLUSTER);
    for (int c = 0; c < CLUSTER; c++) {
        uint64_t bits = w->bits->key[c];
        two[(offset + c) / CLUSTER].key[(offset + c) % CLUSTER] = down >= 0 ? bits << down : bits >> -down;
    }
    TRY(block_list_add(out, (int32_t)(key / CLUSTER), image, &two[0], err));
    return offset > 0 ? block_list_add(out, (int32_t)(key / CLUSTER) + 1, image, &two[1], err) : VIC_OK;
}

static vic_status join_strip(void *context, int64_t strip, int worker, struct block_list *out, vic_error *err)
{
    struct join *j = context;
    int64_t first_row = strip * STRIP, low = 0, high = j->n_parts;
    size_t first = out->n;
    (void)worker;
    while (low < high) { /* the first part that ends behind the strip's first row */
        int64_t middle = low + (high - low) / 2;
        if (j->first[middle + 1] <= first_row)
            low = middle + 1;
        else
            high = middle;
    }
    for (int64_t i = low; i < j->n_parts && j->first[i] < first_row + STRIP; i++) {
        const struct part *part = &j->parts[i];
        if (!part->p) {
            TRY(small_strip(&j->small, part->q_first, part->n, strip, j->zero_image, out, err));
            continue;
        }
        int64_t from = first_row - part->q_first;
        for (int64_t s = from > 0 ? from / STRIP : 0; s < part->p->strips && s * STRIP < from + STRIP; s++)
            for (struct block_walk w = block_walk_start(part->p, s); block_walk_next(&w);)
                TRY(add_moved(out, &w, s * STRIP - from, part->k_first + (int64_t)w.cluster * CLUSTER,
                              part->image[w.image], err));
    }
    return block_list_unite(out, first, err);
}

/* All that follows from the parts. */
vic_status join_parts(struct join *j, struct pool *pool, vic_error *err)
{
    vic_pattern *p = j->whole;
    TRY(mem_array((size_t)j->n_parts + 1, sizeof *j->first, "structures", &j->first, err));
    for (int64_t i = 0; i < j->n_parts; i++) {
        j->first[i] = j->parts[i].q_first;
        if (!j->parts[i].p) continue;
        p->info.boundary_pairs += j->parts[i].p->info.boundary_pairs;
        p->info.seconds_order += j->parts[i].p->info.seconds_order;
    }
    j->first[j->n_parts] = j->q.kept;
    TRY(join_order(j, false, &p->q_order, err));
    TRY(join_wraps(j, false, &p->q_wrap, err));
    pattern_share_sides(p);
    if (!p->one_set) {
        TRY(join_order(j, true, &p->k_order, err));
        TRY(join_wraps(j, true, &p->k_wrap, err));
    }
    TRY(join_images(j, err));
    return assemble(p, pool, join_strip, j, err);
}

void join_free(struct join *j)
{
    for (int64_t i = 0; j->parts && i < j->n_parts; i++) {
        pattern_release(j->parts[i].p);
        free(j->parts[i].image);
    }
    free(j->parts);
    free(j->first);
    small_free(&j->small);
    if (j->k.atoms != j->q.atoms) free(j->k.atoms);
    free(j->q.atoms);
    pattern_release(j->whole);
}
