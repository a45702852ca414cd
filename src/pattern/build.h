/* SPDX-License-Identifier: Apache-2.0 */
/* The pattern of a cutoff, of one structure in which all atoms take part; for all others see cutoff.h. */
#ifndef VIC_PATTERN_BUILD_H
#define VIC_PATTERN_BUILD_H

#include "base/threads.h"
#include "contract/pattern.h"

struct pattern_input {
    int64_t n_q, n_k;
    const double *q_positions;    /* [n_q, 3] */
    const double *k_positions;    /* [n_k, 3]; NULL = one set, queries are keys */
    const int64_t *q_ids, *k_ids; /* [n_q], [n_k] global ids; NULL = none: with two sets both or neither */
    double cell[3][3];
    bool periodic[3];
    double cutoff;
    bool exclude_self;
    size_t max_bytes;               /* as in vic_pattern_options; 0 = no limit */
    vic_pattern_estimate *estimate; /* NULL = not wanted */
};

/* Positions to finished pattern.  The input is copied. */
vic_status pattern_build(const struct pattern_input *input, struct pool *pool, vic_pattern **out, vic_error *err);

/* The same for atoms that moved: `old` has the input's numbers of atoms, sets and periodic axes.  It is released, and
 * its memory becomes the new pattern's where nobody else holds a reference. */
vic_status pattern_rebuild(const struct pattern_input *input, vic_pattern *old, struct pool *pool, vic_pattern **out,
                           vic_error *err);

#endif
