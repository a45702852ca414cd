/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern cut into domains: who owns which strips (cut.c), who needs which rows of whom (halo.c), and the pattern of a
 * part of a domain (part.c).  include/vicinal_dist.h has the words. */
#ifndef VIC_DIST_DIST_H
#define VIC_DIST_DIST_H

#include "base/status.h"
#include "base/threads.h"
#include "contract/pattern.h"
#include "vicinal_dist.h"

enum { SIDES = 2, MAX_DOMAINS = 1024, STRIP_CLUSTERS = STRIP / CLUSTER };

/* The strips of one side, queries or keys, and who has them. */
struct dist_side {
    int64_t n, strips, clusters; /* n rows */
    int64_t *first;              /* [domains + 1] domain d has strips first[d] .. first[d + 1] - 1 */
    int32_t *owner;              /* [strips] */
    bool *interior;              /* [strips] no row of it needs a halo */
    int32_t *local;              /* [strips] the local row of its first row */
};

/* One side of one domain. */
struct dist_rows {
    int64_t own, interior, halo;
    int32_t *points;   /* [own + halo] */
    int32_t *clusters; /* [n_clusters] those of the halo, rising */
    size_t n_clusters, capacity;
    int64_t *receive, *send; /* [domains] */
    int64_t *run_offsets;    /* [domains + 1] */
    int32_t (*runs)[2];      /* [run_offsets[domains]] */
    size_t run_capacity;
};

struct vic_dist {
    vic_pattern *walk[SIDES]; /* by VIC_QUERY the pattern, by VIC_KEY its transpose: rows are of that side */
    int32_t domains, tile_strips;
    double imbalance;
    struct dist_side sides[SIDES]; /* with one set both have the same arrays */
    struct dist_rows *rows[SIDES]; /* [domains] */
};

static inline vic_side other_side(vic_side side)
{
    return side == VIC_QUERY ? VIC_KEY : VIC_QUERY;
}

/* Rows of a cluster: the last one of a side may have fewer. */
static inline int64_t cluster_rows(const struct dist_side *side, int64_t cluster)
{
    int64_t left = side->n - cluster * CLUSTER;
    return left < CLUSTER ? left : CLUSTER;
}

/* The local row of a cluster's first row in the domain that owns it. */
static inline int64_t cluster_local(const struct dist_side *side, int64_t cluster)
{
    return side->local[cluster / STRIP_CLUSTERS] + cluster % STRIP_CLUSTERS * CLUSTER;
}

vic_status dist_create(const vic_pattern *p, int32_t domains, int32_t tile_strips, struct pool *pool,
                       struct vic_dist **out, vic_error *err);
void dist_free(struct vic_dist *d); /* NULL is fine */

/* Owners, interior strips and local rows; d->walk is there. */
vic_status dist_cut(struct vic_dist *d, vic_error *err);
/* Borders of domains by the work of strips, [strips]: each at the multiple of `tile` (or the end) where the work before
 * it is nearest to its share.  first [domains + 1]. */
vic_status dist_borders(const int64_t *work, int64_t strips, int64_t tile, int32_t domains, int64_t *first,
                        vic_error *err);
/* d->rows, of what dist_cut() found. */
vic_status dist_find_rows(struct vic_dist *d, vic_error *err);

vic_status dist_make_pattern(const struct vic_dist *d, int32_t domain, vic_side side, vic_dist_part part,
                             struct pool *pool, vic_pattern **out, vic_error *err);

#endif
