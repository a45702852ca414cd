/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns made of other patterns or of several structures. */
#ifndef VIC_PATTERN_WAYS_H
#define VIC_PATTERN_WAYS_H

#include "pattern/build.h"
#include "pattern/pairs.h"

/* pattern_build() without the atoms in `q_skip` [n_q] and `k_skip` [n_k] (NULL = all take part): they get rows behind
 * all others, so they cost nothing. */
vic_status pattern_build_skipping(const struct pattern_input *input, const uint8_t *q_skip, const uint8_t *k_skip,
                                  struct pool *pool, vic_pattern **out, vic_error *err);

struct structures_input {
    int64_t structures;
    const int64_t *offsets;  /* [structures + 1] */
    const double *positions; /* [offsets[structures], 3] */
    const double *cells;     /* [structures, 3, 3] or NULL */
    const bool *periodic;    /* [structures, 3] or NULL: all axes where there are cells */
    double cutoff;
    bool exclude_self;
    const uint8_t *skip; /* [atoms] or NULL */
};
vic_status pattern_build_structures(const struct structures_input *input, struct pool *pool, vic_pattern **out,
                                    vic_error *err);

/* The k nearest keys of each query of one set; needs geometry in `frame`. */
struct nearest_input {
    int64_t k;
    bool exclude_self;
    const uint8_t *skip;            /* [n_q] or NULL */
    size_t max_bytes;               /* 0 = no limit */
    vic_pattern_estimate *estimate; /* NULL = not wanted */
};
vic_status pattern_nearest(const struct frame_input *frame, const struct nearest_input *input, struct pool *pool,
                           vic_pattern **out, vic_error *err);

vic_status pattern_unite(const vic_pattern *a, const vic_pattern *b, struct pool *pool, vic_pattern **out,
                         vic_error *err);
vic_status pattern_exclude(const vic_pattern *p, const struct pair_list *list, struct pool *pool, vic_pattern **out,
                           vic_error *err);

const char *pattern_kind(const vic_pattern *p); /* of vic_pattern_info */

#endif
