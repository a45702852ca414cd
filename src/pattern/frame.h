/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern before it has blocks: sizes, positions, orders, wraps, images, rules.  Every way but the builder's begins
 * here. */
#ifndef VIC_PATTERN_FRAME_H
#define VIC_PATTERN_FRAME_H

#include "base/threads.h"
#include "contract/pattern.h"
#include "pattern/lattice.h"

struct frame_input {
    int64_t n_q, n_k; /* n_k is not looked at with one_set */
    bool one_set;
    const double *q_positions; /* [n_q, 3]; NULL = no geometry: rows are in the order of the atoms */
    const double *k_positions; /* [n_k, 3]; NULL with one_set or without geometry */
    double cell[3][3];
    bool periodic[3];
};

/* What a search needs beyond the pattern. */
struct frame_points {
    struct lattice lattice;
    double (*q)[3], (*k)[3]; /* wrapped, in row order; the same where one_set */
};
void frame_points_free(struct frame_points *points);

/* Copies the input.  *points is filled where `points` is not NULL, and freed by the caller also on failure. */
vic_status frame_make(const struct frame_input *in, struct pool *pool, struct frame_points *points, vic_pattern **out,
                      vic_error *err);

/* BAD_INPUT, with the atom, for a coordinate that is not finite or beyond 1e12 A. */
vic_status frame_copy_positions(const char *what, int64_t n, const double *positions, const double **out,
                                vic_error *err);

/* A new rule at the end, its arrays empty; *out lives until the next one. */
vic_status frame_add_rule(vic_pattern *p, enum pattern_rule_kind kind, struct pattern_rule **out, vic_error *err);

/* Copies of what takes no part, given by atom [n_q] and [n_k]; NULL = all do.  With one_set `k` is not looked at. */
vic_status frame_set_skip(const vic_pattern *p, struct pattern_rule *rule, const uint8_t *q, const uint8_t *k,
                          vic_error *err);

/* Rows of the strip that take part, and the same for the keys of a cluster as 64-bit masks per key. */
uint64_t skip_rows(const vic_pattern *p, const uint8_t *q_skip, int64_t strip);
bool skip_key(const vic_pattern *p, const uint8_t *k_skip, int64_t row);

/* A set of images that grows, found by hashing. */
struct image_set {
    int32_t (*list)[3];
    size_t n, capacity;
    uint32_t *slots;
    size_t n_slots;
};
vic_status image_set_add(struct image_set *set, const int32_t image[3], vic_error *err);
void image_set_free(struct image_set *set);
/* Sorted, they become the pattern's. */
vic_status frame_set_images(vic_pattern *p, struct image_set *set, vic_error *err);
vic_status frame_set_no_images(vic_pattern *p, vic_error *err);         /* the zero image alone */
int32_t frame_find_image(const vic_pattern *p, const int32_t image[3]); /* -1 = not there */

/* The block's image of the pair (i, j, n) in terms of positions as given; false when 30 bits do not hold it. */
bool frame_block_image(const vic_pattern *p, int32_t i, int32_t j, const int32_t n[3], int32_t out[3]);

#endif
