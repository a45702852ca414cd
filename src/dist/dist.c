/* SPDX-License-Identifier: Apache-2.0 */
#include "dist/dist.h"

#include "base/memory.h"
#include "pattern/pattern.h"
#include "pattern/transpose.h"

static void free_side(struct dist_side *side)
{
    free(side->first);
    free(side->owner);
    free(side->interior);
    free(side->local);
}

static void free_rows(struct dist_rows *rows, int32_t domains)
{
    for (int32_t i = 0; rows && i < domains; i++) {
        free(rows[i].points);
        free(rows[i].clusters);
        free(rows[i].receive);
        free(rows[i].send);
        free(rows[i].run_offsets);
        free(rows[i].runs);
    }
    free(rows);
}

void dist_free(struct vic_dist *d)
{
    if (!d) return;
    free_side(&d->sides[VIC_QUERY]);
    if (!d->walk[VIC_QUERY]->one_set) free_side(&d->sides[VIC_KEY]);
    for (int side = 0; side < SIDES; side++) {
        free_rows(d->rows[side], d->domains);
        pattern_release(d->walk[side]);
    }
    free(d);
}

vic_status dist_create(const vic_pattern *p, int32_t domains, int32_t tile_strips, struct pool *pool,
                       struct vic_dist **out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct vic_dist *d;
    *out = NULL;
    TRY(mem_array_zero(1, sizeof *d, "domains", &d, err));
    d->domains = domains;
    d->tile_strips = tile_strips;
    d->walk[VIC_QUERY] = pattern_retain(p);
    TRY_GOTO(pattern_transpose(p, pool, &d->walk[VIC_KEY], err), done);
    TRY_GOTO(dist_cut(d, err), done);
    TRY_GOTO(dist_find_rows(d, err), done);
    *out = d;
    d = NULL;
done:
    dist_free(d);
    return st;
}
