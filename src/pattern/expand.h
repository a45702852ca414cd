/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns written out: as pairs with images and distances, and as a list of blocks.  The bodies of the public calls
 * of the same names. */
#ifndef VIC_PATTERN_EXPAND_H
#define VIC_PATTERN_EXPAND_H

#include "base/threads.h"
#include "contract/pattern.h"

struct neighbour_arrays {
    int32_t *i, *j, *shift; /* [pairs], [pairs], [pairs, 3]; each may be NULL */
    double *distance;       /* [pairs] or NULL */
    double *vector;         /* [pairs, 3] D = (r_j - r_i) + S . cell, each operation as in the pair rule; or NULL */
    /* Each unordered pair once, of a pattern that is symmetric: of (i, j, S) and (j, i, -S) the one with i < j, or
     * with i = j and S lexicographically above 0.  Self pairs under no shift are in no half list. */
    bool half;
};
/* How many there are then. */
vic_status pattern_half_pairs(const vic_pattern *p, int64_t *out, vic_error *err);

vic_status pattern_neighbours(const vic_pattern *p, struct pool *pool, const struct neighbour_arrays *out,
                              vic_error *err);
/* mask [n_q, n_k], in the order of the points: images of each pair, at most 255. */
void pattern_dense(const vic_pattern *p, uint8_t *mask);
vic_status pattern_blocks(const vic_pattern *p, int32_t *strip, int32_t *cluster, int32_t *pairs, vic_error *err);

#endif
