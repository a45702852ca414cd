/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of parts of the atoms, built each on its own, put into one. */
#ifndef VIC_PATTERN_JOIN_H
#define VIC_PATTERN_JOIN_H

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
    vic_pattern *whole; /* with everything but orders, wraps, images and blocks */
    struct side q, k;   /* k is q where one_set */
    int64_t n_parts;
    struct part *parts; /* in the order of rows */
    int64_t *first;     /* [n_parts + 1] q_first of all, for searching */
    struct small small;
    int32_t zero_image;
};

/* Orders, wraps, images and blocks of the whole, from its sides and parts. */
vic_status join_parts(struct join *j, struct pool *pool, vic_error *err);

/* All that it still owns. */
void join_free(struct join *j);

#endif
