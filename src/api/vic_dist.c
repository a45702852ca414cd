/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns cut into domains.  Arguments are checked here; the work is done in src/dist. */
#include "context/context.h"
#include "dist/dist.h"

#include <string.h>

enum { TILE_STRIPS = 4 };

static const char make_one[] = "make one first, with vic_dist_create()";

vic_status vic_dist_create(vic_context *c, const vic_pattern *p, const vic_dist_options *options, vic_dist **out,
                           vic_error *err)
{
    struct pool *pool;
    NEED_OUT(out);
    TRY(context_enter(c, &pool, err));
    NEED(p, "pattern", "make one first, with vic_pattern_cutoff() or another constructor");
    NEED_STRUCT(vic_dist_options, o, options, err);
    if (o.domains < 1 || o.domains > MAX_DOMAINS)
        return vic_fail(err, VIC_BAD_ARGUMENT, "domains: expected 1 to %d, one for each process or GPU, got %d",
                        MAX_DOMAINS, o.domains);
    if (o.tile_strips < 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "tile_strips: expected a number of strips, or 0 for %d, got %d",
                        TILE_STRIPS, o.tile_strips);
    return dist_create(p, o.domains, o.tile_strips > 0 ? o.tile_strips : TILE_STRIPS, pool, out, err);
}

void vic_dist_free(vic_dist *d)
{
    dist_free(d);
}

vic_status vic_dist_get(const vic_dist *d, vic_dist_info *out, vic_error *err)
{
    vic_dist_info info = VIC_INIT(vic_dist_info);
    NEED(d, "dist", make_one);
    info.domains = d->domains;
    info.tile_strips = d->tile_strips;
    info.one_set = d->walk[VIC_QUERY]->one_set;
    info.imbalance = d->imbalance;
    for (int32_t i = 0; i < d->domains; i++) {
        info.query_halo += d->rows[VIC_QUERY][i].halo;
        info.key_halo += d->rows[VIC_KEY][i].halo;
    }
    return struct_give(out, &info, sizeof info, "vic_dist_info", err);
}

static vic_status check_place(const vic_dist *d, int32_t domain, vic_side side, vic_error *err)
{
    NEED(d, "dist", make_one);
    if (domain < 0 || domain >= d->domains)
        return vic_fail(err, VIC_BAD_ARGUMENT, "domain: expected 0 to %d, got %d", d->domains - 1, domain);
    if (side != VIC_QUERY && side != VIC_KEY)
        return vic_fail(err, VIC_BAD_ARGUMENT, "side: expected VIC_QUERY or VIC_KEY, got %d", (int)side);
    return VIC_OK;
}

vic_status vic_dist_get_rows(const vic_dist *d, int32_t domain, vic_side side, vic_dist_rows *out, vic_error *err)
{
    vic_dist_rows rows = VIC_INIT(vic_dist_rows);
    TRY(check_place(d, domain, side, err));
    const struct dist_rows *r = &d->rows[side][domain];
    rows.own = r->own;
    rows.interior = r->interior;
    rows.halo = r->halo;
    rows.points = r->points;
    rows.receive = r->receive;
    rows.send = r->send;
    rows.run_offsets = r->run_offsets;
    rows.runs = r->runs ? r->runs[0] : NULL;
    return struct_give(out, &rows, sizeof rows, "vic_dist_rows", err);
}

vic_status vic_dist_make_pattern(vic_context *c, const vic_dist *d, int32_t domain, vic_side side, vic_dist_part part,
                                 vic_pattern **out, vic_error *err)
{
    struct pool *pool;
    NEED_OUT(out);
    TRY(context_enter(c, &pool, err));
    TRY(check_place(d, domain, side, err));
    if (part != VIC_INTERIOR && part != VIC_BOUNDARY)
        return vic_fail(err, VIC_BAD_ARGUMENT, "part: expected VIC_INTERIOR or VIC_BOUNDARY, got %d", (int)part);
    return dist_make_pattern(d, domain, side, part, pool, out, err);
}
