/* SPDX-License-Identifier: Apache-2.0 */
/* The images of a pattern whose blocks do not come from a search: collected, sorted, found again. */
#ifndef VIC_PATTERN_IMAGES_H
#define VIC_PATTERN_IMAGES_H

#include "base/status.h"
#include "contract/pattern.h"

/* Three integers in rising order: below 0, 0 or above it, as qsort() wants it. */
int integers_compare(const void *a, const void *b);

/* A set of images that grows, found by hashing. */
struct image_set {
    int32_t (*list)[3];
    size_t n, capacity;
    uint32_t *slots;
    size_t n_slots;
};
vic_status image_set_add(struct image_set *set, const int32_t image[3], vic_error *err);
void image_set_free(struct image_set *set);

/* Sorted and with the zero image, they become the pattern's; an empty set is the zero image alone. */
vic_status pattern_set_images(vic_pattern *p, struct image_set *set, vic_error *err);
vic_status pattern_set_no_images(vic_pattern *p, vic_error *err);
int32_t pattern_find_image(const vic_pattern *p, const int32_t image[3]); /* -1 = not there */

/* pair_image() the other way: the block's image of the pair (i, j, n); false when 30 bits do not hold it. */
bool block_image(const vic_pattern *p, int32_t i, int32_t j, const int32_t n[3], int32_t out[3]);

#endif
