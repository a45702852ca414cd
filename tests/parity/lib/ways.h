/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to a pattern other than a cutoff, as cases of attention ask for them, and the cases of block masks. */
#ifndef VIC_TESTS_PARITY_WAYS_H
#define VIC_TESTS_PARITY_WAYS_H

#include "case.h"
#include "vicinal_dev.h"

/* The points of both sides, which lie nowhere. */
struct two_sets {
    vic_points q, k;
    const vic_points *keys; /* NULL = the queries */
};

/* A third of the blocks; none in the third block row, all in the second. */
vic_pattern *way_blocks(const struct attention_case *c, const struct brute_points *points, uint64_t seed);

vic_pattern *way_windows(const struct attention_case *c, const struct brute_points *points, uint64_t seed);

vic_pattern *way_nearest(const struct attention_case *c, const struct brute_points *points, uint64_t seed);

vic_pattern *way_pairs(const struct attention_case *c, const struct brute_points *points, uint64_t seed);

/* Within the cutoff or among the nearest. */
vic_pattern *way_union(const struct attention_case *c, const struct brute_points *points, uint64_t seed);

vic_pattern *way_exclude(const struct attention_case *c, const struct brute_points *points, uint64_t seed);

/* Within the cutoff and not among the nearest. */
vic_pattern *way_difference(const struct attention_case *c, const struct brute_points *points, uint64_t seed);

/* Those that have a query among their nearest. */
vic_pattern *way_transposed(const struct attention_case *c, const struct brute_points *points, uint64_t seed);

/* Listed pairs, each under two images. */
vic_pattern *way_images(const struct attention_case *c, const struct brute_points *points, uint64_t seed);

vic_pattern *way_masked(const struct attention_case *c, const struct brute_points *points, uint64_t seed);

/* Sequences of 1 to `way_size` points, packed: each point attends to those before it and to itself. */
vic_pattern *way_causal(const struct attention_case *c, const struct brute_points *points, uint64_t seed);

/* Molecules of 1 to `way_size` atoms, of which several share a strip and some lie in two. */
vic_pattern *way_molecules(const struct attention_case *c, const struct brute_points *points, uint64_t seed);

extern const struct attention_case block_cases[];
extern const size_t block_case_count;

#endif
