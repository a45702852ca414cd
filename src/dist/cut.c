/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "contract/block_walk.h"
#include "dist/dist.h"

/* ---- work ---- */

enum { OCTET_KEYS = 8 };

/* Steps of 64 rows by 8 keys: what the kernels' time goes by, on CPUs nearly and on GPUs exactly; and one more, so that
 * strips without pairs are shared out, too. */
static int64_t strip_work(const vic_pattern *p, int64_t strip)
{
    int64_t steps = 1;
    for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);)
        for (int first = 0; first < CLUSTER; first += OCTET_KEYS) {
            uint64_t any = 0;
            for (int key = first; key < first + OCTET_KEYS; key++) any |= w.bits->key[key];
            steps += any != 0;
        }
    return steps;
}

/* Of all strips of a side.  Where the queries are the keys a strip is gone through by both passes. */
static vic_status find_work(const struct vic_dist *d, vic_side side, int64_t **out, vic_error *err)
{
    const vic_pattern *p = d->walk[side], *turned = d->walk[other_side(side)];
    int64_t *work;
    TRY(mem_array((size_t)p->strips, sizeof *work, "strips", &work, err));
    for (int64_t s = 0; s < p->strips; s++) {
        work[s] = strip_work(p, s);
        if (p->one_set && turned != p) work[s] += strip_work(turned, s);
    }
    *out = work;
    return VIC_OK;
}

/* ---- borders ---- */

static int64_t distance(int64_t a, int64_t b)
{
    return a < b ? b - a : a - b;
}

vic_status dist_borders(const int64_t *work, int64_t strips, int64_t tile, int32_t domains, int64_t *first,
                        vic_error *err)
{
    int64_t tiles = (strips + tile - 1) / tile, *before, border = 0;
    TRY(mem_array_zero((size_t)tiles + 1, sizeof *before, "tiles", &before, err));
    for (int64_t s = 0; s < strips; s++) before[s / tile + 1] += work[s];
    for (int64_t t = 0; t < tiles; t++) before[t + 1] += before[t];
    for (int32_t d = 0; d < domains; d++) {
        /* before[tiles] * d / domains, without a product that could be too large. */
        int64_t share = before[tiles] / domains * d + before[tiles] % domains * d / domains;
        while (border < tiles && distance(before[border + 1], share) < distance(before[border], share)) border++;
        first[d] = border * tile < strips ? border * tile : strips;
    }
    first[domains] = strips;
    free(before);
    return VIC_OK;
}

static double imbalance(const int64_t *work, const int64_t *first, int32_t domains)
{
    double most = 0.0, all = 0.0;
    for (int32_t d = 0; d < domains; d++) {
        double own = 0.0;
        for (int64_t s = first[d]; s < first[d + 1]; s++) own += (double)work[s];
        if (own > most) most = own;
        all += own;
    }
    return all > 0.0 ? most * domains / all : 0.0;
}

static vic_status cut_side(struct vic_dist *d, vic_side which, vic_error *err)
{
    vic_status st = VIC_OK;
    struct dist_side *side = &d->sides[which];
    int64_t *work = NULL;
    side->n = d->walk[which]->n_q;
    side->strips = d->walk[which]->strips;
    side->clusters = (side->n + CLUSTER - 1) / CLUSTER;
    TRY(mem_array((size_t)d->domains + 1, sizeof *side->first, "domains", &side->first, err));
    TRY(mem_array((size_t)side->strips, sizeof *side->owner, "strips", &side->owner, err));
    TRY(mem_array((size_t)side->strips, sizeof *side->interior, "strips", &side->interior, err));
    TRY(mem_array((size_t)side->strips, sizeof *side->local, "strips", &side->local, err));
    TRY(find_work(d, which, &work, err));
    TRY_GOTO(dist_borders(work, side->strips, d->tile_strips, d->domains, side->first, err), done);
    if (which == VIC_QUERY) d->imbalance = imbalance(work, side->first, d->domains);
    for (int32_t domain = 0; domain < d->domains; domain++)
        for (int64_t s = side->first[domain]; s < side->first[domain + 1]; s++) side->owner[s] = domain;
done:
    free(work);
    return st;
}

/* ---- interior ---- */

/* Whether all that the rows of a strip meet is of its own domain. */
static bool stays_home(const struct vic_dist *d, vic_side side, int64_t strip)
{
    int32_t own = d->sides[side].owner[strip];
    const int32_t *owner = d->sides[other_side(side)].owner;
    for (struct block_walk w = block_walk_start(d->walk[side], strip); block_walk_next(&w);)
        if (owner[w.cluster / STRIP_CLUSTERS] != own) return false;
    return true;
}

/* Local rows: interior strips first.  Only the last strip of a side has fewer rows than STRIP, and it is the last of its
 * domain and of its kind, too. */
static void number_rows(struct dist_side *side, int32_t domain)
{
    int64_t next = 0;
    for (int boundary = 0; boundary < 2; boundary++)
        for (int64_t s = side->first[domain]; s < side->first[domain + 1]; s++) {
            if (side->interior[s] == boundary) continue;
            side->local[s] = (int32_t)next;
            next += side->n - s * STRIP < STRIP ? side->n - s * STRIP : STRIP;
        }
}

vic_status dist_cut(struct vic_dist *d, vic_error *err)
{
    bool one_set = d->walk[VIC_QUERY]->one_set;
    TRY(cut_side(d, VIC_QUERY, err));
    if (one_set)
        d->sides[VIC_KEY] = d->sides[VIC_QUERY];
    else
        TRY(cut_side(d, VIC_KEY, err));
    for (int x = 0; x < (one_set ? 1 : SIDES); x++) {
        struct dist_side *side = &d->sides[x];
        for (int64_t s = 0; s < side->strips; s++)
            side->interior[s] =
                stays_home(d, (vic_side)x, s) && (!one_set || stays_home(d, other_side((vic_side)x), s));
        for (int32_t domain = 0; domain < d->domains; domain++) number_rows(side, domain);
    }
    return VIC_OK;
}
