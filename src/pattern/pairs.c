/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/pairs.h"

#include "base/clock.h"
#include "base/memory.h"
#include "pattern/assemble.h"
#include "pattern/limits.h"
#include "pattern/pattern.h"

#include <string.h>

/* ---- lists ---- */

static vic_status check_pair(const vic_pattern *p, const struct pair_list *list, int64_t at, vic_error *err)
{
    int32_t i = list->query[at], j = list->key[at];
    if (i < 0 || i >= p->n_q || j < 0 || j >= p->n_k)
        return vic_fail(err, VIC_BAD_INPUT, "pair %lld is (%d, %d): expected a %s atom from 0 to %lld, found %d",
                        (long long)at, i, j, i < 0 || i >= p->n_q ? "query" : "key",
                        (long long)(i < 0 || i >= p->n_q ? p->n_q : p->n_k) - 1, i < 0 || i >= p->n_q ? i : j);
    for (int x = 0; list->image && x < 3; x++) {
        int32_t n = list->image[3 * at + x];
        if (n != 0 && p->q_positions && p->structures == 0 && !p->periodic[x])
            return vic_fail(err, VIC_BAD_INPUT,
                            "pair %lld is (%d, %d) under the image %d along %c: the structure is not periodic there, "
                            "so expected 0",
                            (long long)at, i, j, n, 'a' + x);
        if (n <= -MAX_WRAP || n >= MAX_WRAP)
            return vic_fail(err, VIC_BAD_INPUT, "pair %lld is (%d, %d): expected images within 2^29 cells, found %d",
                            (long long)at, i, j, n);
    }
    return VIC_OK;
}

/* A pair of one row, with its place in the list. */
struct place {
    int32_t key, image[3];
    int64_t at;
};

static int by_key_and_image(const void *a, const void *b)
{
    const struct place *p = a, *q = b;
    if (p->key != q->key) return p->key < q->key ? -1 : 1;
    return integers_compare(p->image, q->image);
}

static vic_status sort_row(int32_t query, struct place *row, int64_t n, vic_error *err)
{
    bool sorted = true;
    for (int64_t i = 1; i < n && sorted; i++) sorted = by_key_and_image(&row[i - 1], &row[i]) < 0;
    if (sorted) return VIC_OK;
    qsort(row, (size_t)n, sizeof *row, by_key_and_image);
    for (int64_t i = 1; i < n; i++) {
        if (by_key_and_image(&row[i - 1], &row[i]) != 0) continue;
        long long a = row[i - 1].at, b = row[i].at;
        return vic_fail(err, VIC_BAD_INPUT, "pair %lld is (%d, %d), and so is pair %lld%s: expected each pair once",
                        a > b ? a : b, query, row[i].key, a < b ? a : b,
                        row[i].image[0] || row[i].image[1] || row[i].image[2] ? ", under the same image" : "");
    }
    return VIC_OK;
}

static bool any_image(const struct pair_list *list)
{
    for (int64_t i = 0; list->image && i < 3 * list->n; i++)
        if (list->image[i] != 0) return true;
    return false;
}

vic_status pair_list_take(const vic_pattern *p, const struct pair_list *list, struct pattern_rule *rule,
                          vic_error *err)
{
    vic_status st = VIC_OK;
    int64_t *ptr, *next = NULL;
    int32_t *index, (*image)[3] = NULL;
    struct place *places = NULL;
    /* A list of zeros says no more than none, but in EXCLUDE, where none means every image. */
    bool images = rule->kind == RULE_EXCLUDE ? list->image != NULL : any_image(list);
    if (list->n < 0 || (list->n > 0 && (!list->query || !list->key)))
        return vic_fail(err, VIC_BAD_ARGUMENT, "expected 0 or more pairs with both arrays, got %lld",
                        (long long)list->n);
    for (int64_t i = 0; i < list->n; i++) TRY(check_pair(p, list, i, err));
    TRY(mem_array_zero((size_t)p->n_q + 1, sizeof *ptr, "atoms", &ptr, err));
    rule->ptr = ptr;
    rule->rows = p->n_q;
    TRY(mem_array((size_t)list->n, sizeof *index, "pairs", &index, err));
    rule->index = index;
    rule->n = list->n;
    if (images) {
        TRY(mem_array((size_t)list->n, sizeof *image, "pairs' images", &image, err));
        rule->image = image;
    }
    TRY_GOTO(mem_array((size_t)p->n_q + 1, sizeof *next, "atoms", &next, err), done);
    TRY_GOTO(mem_array((size_t)list->n, sizeof *places, "pairs", &places, err), done);
    for (int64_t i = 0; i < list->n; i++) ptr[list->query[i] + 1]++;
    for (int64_t i = 0; i < p->n_q; i++) ptr[i + 1] += ptr[i];
    memcpy(next, ptr, ((size_t)p->n_q + 1) * sizeof *next);
    for (int64_t i = 0; i < list->n; i++) {
        struct place *place = &places[next[list->query[i]]++];
        *place = (struct place){ .key = list->key[i], .at = i };
        if (images) memcpy(place->image, list->image + 3 * i, sizeof place->image);
    }
    for (int64_t i = 0; i < p->n_q; i++)
        TRY_GOTO(sort_row((int32_t)i, places + ptr[i], ptr[i + 1] - ptr[i], err), done);
    for (int64_t i = 0; i < list->n; i++) {
        index[i] = places[i].key;
        if (images) memcpy(image[i], places[i].image, sizeof image[i]);
    }
done:
    free(places);
    free(next);
    return st;
}

/* ---- as blocks ---- */

/* Finds the entry of (cluster, image) among those of this strip. */
struct list_map {
    uint32_t *slots; /* index + 1 */
    size_t n_slots;
};

static size_t slot_of(int32_t cluster, int32_t image, size_t n_slots)
{
    uint64_t h = ((uint64_t)(uint32_t)cluster << 32 | (uint32_t)image) * 0x9e3779b97f4a7c15u;
    return (size_t)(h >> 33) & (n_slots - 1);
}

static vic_status map_grow(struct list_map *map, const struct block_list *e, size_t first, vic_error *err)
{
    size_t n = map->n_slots ? 2 * map->n_slots : 256;
    uint32_t *slots;
    TRY(mem_array_zero(n, sizeof *slots, "blocks of a strip", &slots, err));
    for (size_t i = first; i < e->n; i++) {
        size_t at = slot_of(e->cluster[i], e->image[i], n);
        while (slots[at]) at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)(i - first) + 1;
    }
    free(map->slots);
    map->slots = slots;
    map->n_slots = n;
    return VIC_OK;
}

static vic_status map_block(struct list_map *map, struct block_list *e, size_t first, int32_t cluster, int32_t image,
                            struct block_bits **out, vic_error *err)
{
    static const struct block_bits nothing = { { 0 } };
    size_t at;
    if (2 * (e->n - first) >= map->n_slots) TRY(map_grow(map, e, first, err));
    at = slot_of(cluster, image, map->n_slots);
    for (; map->slots[at]; at = (at + 1) & (map->n_slots - 1)) {
        size_t i = first + map->slots[at] - 1;
        *out = &e->bits[i];
        if (e->cluster[i] == cluster && e->image[i] == image) return VIC_OK;
    }
    TRY(block_list_add(e, cluster, image, &nothing, err));
    map->slots[at] = (uint32_t)(e->n - first);
    *out = &e->bits[e->n - 1];
    return VIC_OK;
}

vic_status list_source_make(const vic_pattern *p, const struct pattern_rule *rule, struct pool *pool,
                            struct list_source *out, vic_error *err)
{
    *out = (struct list_source){ .p = p, .rule = rule, .workers = pool_threads(pool) };
    TRY(mem_array((size_t)p->n_k, sizeof *out->row_of_key, "keys", &out->row_of_key, err));
    for (int64_t row = 0; row < p->n_k; row++) out->row_of_key[pattern_key(p, row)] = (int32_t)row;
    return mem_array_zero((size_t)out->workers, sizeof *out->maps, "workers", &out->maps, err);
}

void list_source_free(struct list_source *source)
{
    for (int w = 0; source->maps && w < source->workers; w++) free(source->maps[w].slots);
    free(source->maps);
    free(source->row_of_key);
    *source = (struct list_source){ 0 };
}

vic_status list_source_strip(void *context, int64_t strip, int worker, struct block_list *out, vic_error *err)
{
    static const int32_t none[3] = { 0, 0, 0 };
    const struct list_source *s = context;
    const vic_pattern *p = s->p;
    const struct pattern_rule *rule = s->rule;
    struct list_map *map = &s->maps[worker];
    size_t first = out->n;
    int32_t image = 0, known[3] = { 0, 0, 0 };
    bool plain = !rule->image && !p->q_wrap && !p->k_wrap;
    image = pattern_find_image(p, none);
    if (map->slots) memset(map->slots, 0, map->n_slots * sizeof *map->slots);
    for (int r = 0; r < STRIP && strip * STRIP + r < p->n_q; r++) {
        int32_t i = p->q_order[strip * STRIP + r];
        if (rule->q_skip && rule->q_skip[i]) continue;
        for (int64_t t = rule->ptr[i]; t < rule->ptr[i + 1]; t++) {
            int32_t j = rule->index[t], n[3], row = s->row_of_key[j];
            struct block_bits *bits;
            if (rule->k_skip && rule->k_skip[j]) continue;
            if (!plain) {
                block_image(p, i, j, rule->image ? rule->image[t] : none, n);
                if (memcmp(n, known, sizeof n) != 0) {
                    image = pattern_find_image(p, n);
                    memcpy(known, n, sizeof n);
                }
            }
            TRY(map_block(map, out, first, row / CLUSTER, image, &bits, err));
            bits->key[row % CLUSTER] |= (uint64_t)1 << r;
        }
    }
    return block_list_unite(out, first, err);
}

vic_status list_images(const vic_pattern *p, const struct pattern_rule *rule, struct image_set *set, vic_error *err)
{
    static const int32_t none[3] = { 0, 0, 0 };
    int32_t n[3], known[3] = { 0, 0, 0 };
    TRY(image_set_add(set, none, err));
    if (!rule->image && !p->q_wrap && !p->k_wrap) return VIC_OK;
    for (int32_t i = 0; i < p->n_q; i++)
        for (int64_t t = rule->ptr[i]; t < rule->ptr[i + 1]; t++) {
            if (!block_image(p, i, rule->index[t], rule->image ? rule->image[t] : none, n))
                return vic_fail(err, VIC_BAD_INPUT, "pair (%d, %d): its image is more than 2^30 cells away", i,
                                rule->index[t]);
            if (memcmp(n, known, sizeof n) == 0) continue;
            TRY(image_set_add(set, n, err));
            memcpy(known, n, sizeof n);
        }
    return VIC_OK;
}

/* ---- the pattern ---- */

vic_status pattern_from_pairs(const struct point_set *queries, const struct point_set *keys,
                              const struct pair_list *list, struct pool *pool, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds();
    struct image_set images = { 0 };
    struct list_source source = { 0 };
    struct pattern_rule *rule;
    vic_pattern *p;
    *out = NULL;
    TRY(pattern_begin(queries, keys, PLACE_ORDER, pool, NULL, &p, err));
    p->info.seconds_order = clock_seconds() - start;
    start = clock_seconds();
    TRY_GOTO(pattern_add_rule(p, RULE_PAIRS, &rule, err), done);
    TRY_GOTO(pair_list_take(p, list, rule, err), done);
    TRY_GOTO(rule_set_masks(p, rule, queries, keys, err), done);
    TRY_GOTO(list_images(p, rule, &images, err), done);
    TRY_GOTO(pattern_set_images(p, &images, err), done);
    TRY_GOTO(list_source_make(p, rule, pool, &source, err), done);
    TRY_GOTO(assemble(p, pool, list_source_strip, &source, err), done);
    p->info.seconds_build = clock_seconds() - start;
    *out = p;
    p = NULL;
done:
    list_source_free(&source);
    image_set_free(&images);
    pattern_release(p);
    return st;
}
