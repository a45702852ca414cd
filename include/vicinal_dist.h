/* SPDX-License-Identifier: Apache-2.0 */
/* One pattern over several domains: processes, GPUs, machines.  Nothing here communicates; these are pure functions that
 * say who computes what and who needs which rows of whom, for any number of domains.  Carry the rows by what you have:
 * NCCL, MPI, torch.distributed (vicinal.distributed does that in Python).  docs/howto/several-gpus.md.
 *
 *     vic_dist               a pattern cut into domains
 *     vic_dist_get_rows()    a domain's queries, or keys: its own, those that it receives, those that it sends
 *     vic_dist_make_pattern()  the pattern of a part of a domain's work, over its local rows
 *
 * Words.  domain: consecutive query strips, and consecutive strips of keys; where the queries are the keys, the same ones.
 *   Each query and each key has one owner.  halo: rows of other domains that a domain needs, in whole clusters.
 *   interior: rows whose results need nothing of a halo, so that they can be computed while it is under way; boundary:
 *   the others.  local row: a domain has its interior rows first, then its boundary rows, then its halo, by owner; in
 *   each of these the pattern's order.
 *
 * A step of a domain, forward:                             and backward:
 *     send and receive halo rows of k and v                  send and receive halo rows of q, dout, out, lse
 *     VIC_QUERY, VIC_INTERIOR: out, lse                      VIC_QUERY, both parts: dq
 *     wait for the halo                                      VIC_KEY, VIC_INTERIOR: dk, dv; wait for the halo
 *     VIC_QUERY, VIC_BOUNDARY: out, lse                      VIC_KEY, VIC_BOUNDARY: dk, dv
 * No gradients are sent back: who owns a key computes all of its gradient.  So each row is summed by one domain in the
 * order of the pattern, and on the CPU its bits are those that one domain computes, whatever the number of domains;
 * sums over all pairs (of a bias's table, of positions, of the cell) are not among what this covers.
 *
 * The rules are those of vicinal.h: words, units, ownership, errors, threads, structs with a size. */
#ifndef VICINAL_DIST_H
#define VICINAL_DIST_H

#include "vicinal.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vic_dist vic_dist;

typedef struct vic_dist_options {
    VIC_SIZE_OF(vic_dist_options);
    int32_t domains;     /* 1 to 1024; there may be more than strips, and some are empty then */
    int32_t tile_strips; /* domains begin at multiples of so many strips (64 rows each); 0 = 4 */
    uint64_t reserved[4];
} vic_dist_options;

/* Cuts a pattern so that domains have about the same work: steps of 64 rows by 8 keys, not rows.  It depends on the
 * pattern and the options alone, so that processes which have the same pattern agree without a word.  Keeps a reference
 * to the pattern, and its transpose.  Cost: O(blocks), and that of vic_pattern_transpose(). */
VIC_API vic_status vic_dist_create(vic_context *c, const vic_pattern *p, const vic_dist_options *options,
                                   vic_dist **out, vic_error *err) VIC_CHECK_RESULT;
VIC_API void vic_dist_free(vic_dist *d);

typedef struct vic_dist_info {
    VIC_SIZE_OF(vic_dist_info);
    int32_t domains, tile_strips;
    bool one_set; /* the queries are the keys, and both sides have the same local rows */
    bool reserved_1[7];
    double imbalance;             /* the largest work of a domain / the mean; 1 is perfect; 0 = there is no work */
    int64_t query_halo, key_halo; /* rows that all domains together receive */
    uint64_t reserved[4];
} vic_dist_info;
VIC_API vic_status vic_dist_get(const vic_dist *d, vic_dist_info *out, vic_error *err) VIC_CHECK_RESULT;

/* One side of a domain: its queries or its keys.  Arrays are borrowed. */
typedef struct vic_dist_rows {
    VIC_SIZE_OF(vic_dist_rows);
    int64_t own, interior, halo; /* numbers of rows; local rows are 0 .. own + halo - 1 */
    const int32_t *points;       /* [own + halo] the point of each local row */
    const int64_t *receive;      /* [domains] halo rows that come from each, in this order */
    const int64_t *send;         /* [domains] own rows that each gets */
    /* What is sent, by receiver: runs of consecutive local rows, first and number of each.  Domain e gets runs
     * run_offsets[e] .. run_offsets[e + 1] - 1, which are in the order in which e has them. */
    const int64_t *run_offsets; /* [domains + 1] */
    const int32_t *runs;        /* [run_offsets[domains], 2] */
    uint64_t reserved[4];
} vic_dist_rows;
VIC_API vic_status vic_dist_get_rows(const vic_dist *d, int32_t domain, vic_side side, vic_dist_rows *out,
                                     vic_error *err) VIC_CHECK_RESULT;

typedef enum vic_dist_part { VIC_INTERIOR = 0, VIC_BOUNDARY = 1 } vic_dist_part;

/* The pattern of one part of a domain's work.  Of side VIC_QUERY, for vic_attention() and the gradients of q: its queries
 * are the domain's interior (or boundary) rows, its keys the domain's own keys (and their halo, for the boundary).  Of
 * side VIC_KEY, for the gradients of k and v: its keys are the domain's interior (or boundary) rows, its queries the own
 * queries (and their halo).  Points are local rows, the boundary's counted from its first one.  Pairs, shifts and ids are
 * those of the whole pattern; boundary_pairs is not counted.  Where pairs were not chosen by one cutoff alone, or there
 * are groups, it is of kind "pairs"; with groups it has no positions.  Cost: O(blocks) of the part. */
VIC_API vic_status vic_dist_make_pattern(vic_context *c, const vic_dist *d, int32_t domain, vic_side side,
                                         vic_dist_part part, vic_pattern **out, vic_error *err) VIC_CHECK_RESULT;

#ifdef __cplusplus
}
#endif
#endif
