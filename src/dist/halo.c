/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "contract/block_walk.h"
#include "dist/dist.h"

#include <stdlib.h>

/* ---- what a domain needs ---- */

static int rising(const void *a, const void *b)
{
    const int32_t *p = a, *q = b;
    return (*p > *q) - (*p < *q);
}

/* The clusters of `side` that the domain's rows of the other side meet and that others own.  seen [clusters]: the last
 * domain that listed each. */
static vic_status find_clusters(const struct vic_dist *d, vic_side side, int32_t domain, int32_t *seen,
                                struct dist_rows *rows, vic_error *err)
{
    const struct dist_side *from = &d->sides[side], *by = &d->sides[other_side(side)];
    for (int64_t s = by->first[domain]; s < by->first[domain + 1]; s++)
        for (struct block_walk w = block_walk_start(d->walk[other_side(side)], s); block_walk_next(&w);) {
            if (seen[w.cluster] == domain || from->owner[w.cluster / STRIP_CLUSTERS] == domain) continue;
            seen[w.cluster] = domain;
            TRY(mem_grow(&rows->clusters, &rows->capacity, rows->n_clusters + 1, sizeof *rows->clusters,
                         "clusters of a halo", err));
            rows->clusters[rows->n_clusters++] = w.cluster;
        }
    if (rows->n_clusters > 1) qsort(rows->clusters, rows->n_clusters, sizeof *rows->clusters, rising);
    return VIC_OK;
}

/* Counts, and the point of each local row. */
static vic_status number_points(const struct vic_dist *d, vic_side which, int32_t domain, struct dist_rows *rows,
                                vic_error *err)
{
    const struct dist_side *side = &d->sides[which];
    const int32_t *order = d->walk[which]->q_order;
    int64_t end = side->first[domain + 1] * STRIP < side->n ? side->first[domain + 1] * STRIP : side->n;
    int64_t begin = side->first[domain] * STRIP < end ? side->first[domain] * STRIP : end;
    rows->own = end - begin;
    TRY(mem_array_zero((size_t)d->domains, sizeof *rows->receive, "domains", &rows->receive, err));
    for (size_t i = 0; i < rows->n_clusters; i++) {
        int32_t cluster = rows->clusters[i];
        rows->receive[side->owner[cluster / STRIP_CLUSTERS]] += cluster_rows(side, cluster);
        rows->halo += cluster_rows(side, cluster);
    }
    TRY(mem_array((size_t)(rows->own + rows->halo), sizeof *rows->points, "rows", &rows->points, err));
    for (int64_t r = begin; r < end; r++) {
        rows->points[side->local[r / STRIP] + r % STRIP] = order[r];
        rows->interior += side->interior[r / STRIP];
    }
    for (size_t i = 0, at = (size_t)rows->own; i < rows->n_clusters; i++)
        for (int64_t r = 0; r < cluster_rows(side, rows->clusters[i]); r++)
            rows->points[at++] = order[rows->clusters[i] * (int64_t)CLUSTER + r];
    return VIC_OK;
}

/* ---- what a domain sends ---- */

/* Adds rows to what `from` sends to the receiver whose runs began at `first`. */
static vic_status add_run(struct dist_rows *from, int64_t first, int64_t *n_runs, int64_t row, int64_t count,
                          vic_error *err)
{
    int32_t *last = *n_runs > first ? from->runs[*n_runs - 1] : NULL;
    if (last && last[0] + (int64_t)last[1] == row) {
        last[1] += (int32_t)count;
        return VIC_OK;
    }
    TRY(mem_grow(&from->runs, &from->run_capacity, (size_t)*n_runs + 1, sizeof *from->runs, "runs of rows", err));
    from->runs[*n_runs][0] = (int32_t)row;
    from->runs[(*n_runs)++][1] = (int32_t)count;
    return VIC_OK;
}

/* A receiver's halo clusters stand by owner, so that one walk over them gives each owner its runs. */
static vic_status give_runs(const struct vic_dist *d, vic_side which, int32_t receiver, vic_error *err)
{
    const struct dist_side *side = &d->sides[which];
    const struct dist_rows *to = &d->rows[which][receiver];
    for (size_t i = 0; i < to->n_clusters; i++) {
        int32_t cluster = to->clusters[i];
        struct dist_rows *from = &d->rows[which][side->owner[cluster / STRIP_CLUSTERS]];
        from->send[receiver] += cluster_rows(side, cluster);
        TRY(add_run(from, from->run_offsets[receiver], &from->run_offsets[receiver + 1], cluster_local(side, cluster),
                    cluster_rows(side, cluster), err));
    }
    return VIC_OK;
}

static vic_status find_sends(const struct vic_dist *d, vic_side side, vic_error *err)
{
    struct dist_rows *rows = d->rows[side];
    for (int32_t i = 0; i < d->domains; i++) {
        TRY(mem_array_zero((size_t)d->domains, sizeof *rows[i].send, "domains", &rows[i].send, err));
        TRY(mem_array_zero((size_t)d->domains + 1, sizeof *rows[i].run_offsets, "domains", &rows[i].run_offsets,
                           err));
    }
    for (int32_t receiver = 0; receiver < d->domains; receiver++) {
        for (int32_t i = 0; i < d->domains; i++) rows[i].run_offsets[receiver + 1] = rows[i].run_offsets[receiver];
        TRY(give_runs(d, side, receiver, err));
    }
    return VIC_OK;
}

static vic_status find_side(struct vic_dist *d, vic_side side, vic_error *err)
{
    vic_status st = VIC_OK;
    int32_t *seen = NULL;
    int64_t clusters = d->sides[side].clusters;
    TRY(mem_array_zero((size_t)d->domains, sizeof *d->rows[side], "domains", &d->rows[side], err));
    TRY(mem_array((size_t)clusters, sizeof *seen, "clusters", &seen, err));
    for (int64_t c = 0; c < clusters; c++) seen[c] = -1;
    for (int32_t i = 0; i < d->domains; i++) {
        TRY_GOTO(find_clusters(d, side, i, seen, &d->rows[side][i], err), done);
        TRY_GOTO(number_points(d, side, i, &d->rows[side][i], err), done);
    }
    TRY_GOTO(find_sends(d, side, err), done);
done:
    free(seen);
    return st;
}

vic_status dist_find_rows(struct vic_dist *d, vic_error *err)
{
    TRY(find_side(d, VIC_QUERY, err));
    return find_side(d, VIC_KEY, err);
}
