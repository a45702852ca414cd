/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/images.h"

#include "base/memory.h"
#include "pattern/limits.h"

#include <string.h>

static uint32_t hash(const int32_t image[3])
{
    uint64_t h = 0;
    for (int x = 0; x < 3; x++) {
        h = (h ^ (uint32_t)image[x]) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return (uint32_t)(h >> 32);
}

static vic_status rehash(struct image_set *set, vic_error *err)
{
    size_t n = set->n_slots ? 2 * set->n_slots : 64;
    uint32_t *slots;
    TRY(mem_array_zero(n, sizeof *slots, "images", &slots, err));
    for (size_t i = 0; i < set->n; i++) {
        size_t at = hash(set->list[i]) & (n - 1);
        while (slots[at]) at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(set->slots);
    set->slots = slots;
    set->n_slots = n;
    return VIC_OK;
}

vic_status image_set_add(struct image_set *set, const int32_t image[3], vic_error *err)
{
    size_t at;
    if (2 * set->n >= set->n_slots) TRY(rehash(set, err));
    at = hash(image) & (set->n_slots - 1);
    for (; set->slots[at]; at = (at + 1) & (set->n_slots - 1))
        if (memcmp(set->list[set->slots[at] - 1], image, sizeof *set->list) == 0) return VIC_OK;
    if (set->n == INT32_MAX) return vic_fail(err, VIC_BAD_INPUT, "more than 2^31 - 1 different images");
    TRY(mem_grow(&set->list, &set->capacity, set->n + 1, sizeof *set->list, "images", err));
    memcpy(set->list[set->n++], image, sizeof *set->list);
    set->slots[at] = (uint32_t)set->n;
    return VIC_OK;
}

void image_set_free(struct image_set *set)
{
    free(set->list);
    free(set->slots);
    memset(set, 0, sizeof *set);
}

int integers_compare(const void *a, const void *b)
{
    const int32_t *p = a, *q = b;
    for (int x = 0; x < 3; x++)
        if (p[x] != q[x]) return p[x] < q[x] ? -1 : 1;
    return 0;
}

vic_status pattern_set_images(vic_pattern *p, struct image_set *set, vic_error *err)
{
    static const int32_t zero[3] = { 0, 0, 0 };
    TRY(image_set_add(set, zero, err));
    qsort(set->list, set->n, sizeof *set->list, integers_compare);
    p->images = set->list;
    p->n_images = (int64_t)set->n;
    set->list = NULL;
    set->n = set->capacity = 0;
    image_set_free(set);
    return VIC_OK;
}

vic_status pattern_set_no_images(vic_pattern *p, vic_error *err)
{
    struct image_set none = { 0 };
    vic_status st = pattern_set_images(p, &none, err);
    image_set_free(&none);
    return st;
}

int32_t pattern_find_image(const vic_pattern *p, const int32_t image[3])
{
    int64_t low = 0, high = p->n_images - 1;
    while (low <= high) {
        int64_t middle = low + (high - low) / 2;
        int order = integers_compare(p->images[middle], image);
        if (order == 0) return (int32_t)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return -1;
}

bool block_image(const vic_pattern *p, int32_t i, int32_t j, const int32_t n[3], int32_t out[3])
{
    for (int x = 0; x < 3; x++) {
        int64_t image = (int64_t)n[x] - (p->k_wrap ? p->k_wrap[j][x] : 0) + (p->q_wrap ? p->q_wrap[i][x] : 0);
        if (image <= -MAX_IMAGE || image >= MAX_IMAGE) return false;
        out[x] = (int32_t)image;
    }
    return true;
}
