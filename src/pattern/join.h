/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of parts of the atoms, built each on its own, put into one. */
#ifndef VIC_PATTERN_JOIN_H
#define VIC_PATTERN_JOIN_H

#include "pattern/build.h"
#include "pattern/small.h"

/* The atoms of one side that take part, and the rows that the whole gives them: rows are handed out in this order. */
struct side {
    int64_t n, kept;
    int32_t *atoms; /* [kept], then the others, [n] in all */
};

struct part {
    vic_pattern *p;           /* NULL = a small structure, in join.small */
    int64_t n;                /* its rows, then */
    int64_t q_first, k_first; /* its first place in the sides, which is its first row */
    int32_t *image;           /* [p->n_images] index in the whole's images */
};

struct join {
    vic_pattern *whole;
    struct side q, k; /* k is q where one_set */
    int64_t n_parts;
    struct part *parts;
    int64_t *first; /* [n_parts + 1] q_first of all, for searching */
    struct small small;
    int32_t zero_image;
};

/* A whole with its one rule and both sides, yet without positions, blocks and parts. */
vic_status join_make(int64_t n_q, int64_t n_k, bool one_set, double cutoff, bool exclude_self, const uint8_t *q_skip,
                     const uint8_t *k_skip, struct join *j, vic_error *err);

/* pattern_build() without the atoms in `q_skip` [n_q] and `k_skip` [n_k] (NULL = all take part): they get rows behind
 * all others, so they cost nothing. */
vic_status pattern_build_skipping(const struct pattern_input *input, const uint8_t *q_skip, const uint8_t *k_skip,
                                  struct pool *pool, vic_pattern **out, vic_error *err);

/* Positions of n of a side's atoms, from place `first` on. */
vic_status join_positions(const struct side *side, int64_t first, int64_t n, const double *positions, double **out,
                          vic_error *err);

/* Orders, wraps, images and blocks of the whole, from positions and parts, which are there, in the order of rows. */
vic_status join_parts(struct join *j, struct pool *pool, vic_error *err);

/* All that it still owns. */
void join_free(struct join *j);

#endif
