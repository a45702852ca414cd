/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns for tests, by brute force: every (query, key, image) of a range through the pair rule, put into contract
 * form.  Shares nothing with src/pattern but the contract. */
#ifndef VIC_TESTS_PARITY_BRUTE_H
#define VIC_TESTS_PARITY_BRUTE_H

#include "contract/pair_rule.h"
#include "contract/pattern.h"
#include "objects.h"

struct brute_points {
    int64_t n_q, n_k; /* n_k 0 with one_set */
    bool one_set, exclude_self;
    bool keep_order; /* rows in the order of the atoms, not in a random one */
    double *q, *k;   /* [n, 3]; k = q with one_set */
    double cell[3][3];
    bool periodic[3];
    double cutoff;
};

void *brute_alloc(int64_t count, size_t size);

/* Fills *p (free with brute_free).  Orders are random permutations, wraps random where periodic.  counts, where not
 * NULL, gets the pairs of each query atom. */
void brute_build(const struct brute_points *in, uint64_t seed, struct vic_pattern *p, int64_t *counts);

void brute_free(struct vic_pattern *p);

/* ---- Geometries ---------------------------------------------------------------------------------------------- */

enum brute_cell { OPEN, CUBIC, SKEWED, SLAB, WIRE };

/* n random points in a box of side `box` (or a cell of that size), some of them out of the cell; every third one on
 * top of another with `coincident`. */
struct brute_points brute_points(enum brute_cell kind, int64_t n_q, int64_t n_k, bool one_set, double box,
                                 double cutoff, bool coincident, uint64_t seed);

void brute_points_free(struct brute_points *p);

#endif
