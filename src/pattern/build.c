/* SPDX-License-Identifier: Apache-2.0 */
/* Positions to pattern:
 *   images   the periodic vectors are made short, and the images within reach listed            lattice.c
 *   points   atoms are wrapped into one cell, ordered by k-d bisection, cut into clusters       points.c, order.c
 *   search   per strip: the clusters whose boxes come within the cutoff, under which images     search.c, boxes.c
 *   bits     per candidate block: 1024 distances at once                                        tile.c, blocks.c
 *   gather   what was found goes into the CSR arrays of contract/pattern.h                      assemble.c
 * No pair list is made on the way, and nothing is quadratic in strips. */
#include "pattern/build.h"

#include "base/clock.h"
#include "pattern/estimate.h"
#include "pattern/pattern.h"
#include "pattern/tile.h"

#include <string.h>

static vic_status check_memory(const vic_pattern *p, const struct placed *placed, const struct pattern_input *in,
                               struct pool *pool, vic_error *err)
{
    const struct estimate_input e = { p, placed, in->max_bytes };
    vic_pattern_estimate own;
    if (in->max_bytes == 0) return VIC_OK;
    return pattern_estimate(&e, pool, in->estimate ? in->estimate : &own, err);
}

/* An old pattern that nobody else can see, made ready to become the new one: it keeps its arrays. */
static void reset(vic_pattern *p)
{
    pattern_leave_devices(p);
    free(p->images);
    p->images = NULL;
    p->n_images = p->n_partial = p->n_full = 0;
    memset(&p->info, 0, sizeof p->info);
}

/* With ids it takes a rule to say what a self pair is. */
static vic_status keep_ids(vic_pattern *p, const struct pattern_input *in, vic_error *err)
{
    struct pattern_rule *rule;
    TRY(pattern_set_ids(p, in->q_ids, in->k_ids, err));
    if (!p->exclude_self || !p->q_ids || p->n_rules > 0) return VIC_OK;
    TRY(pattern_add_rule(p, RULE_CUTOFF, &rule, err));
    rule->cutoff = p->cutoff;
    rule->exclude_self = true;
    return VIC_OK;
}

/* All but the sizes of `p`, which are there. */
static vic_status fill(vic_pattern *p, const struct pattern_input *in, struct pool *pool, vic_error *err)
{
    vic_status st = VIC_OK;
    struct placed placed;
    struct tile_source tiles = { 0 };
    double start = clock_seconds();
    p->exclude_self = in->exclude_self && (p->one_set || in->q_ids || in->k_ids);
    p->cutoff = in->cutoff;
    pattern_set_cell(p, in->cell, in->periodic);
    TRY(keep_ids(p, in, err));
    TRY_GOTO(pattern_place(p, in->q_positions, in->k_positions, PLACE_POINTS, pool, &placed, err), done);
    p->info.seconds_order = clock_seconds() - start;
    start = clock_seconds();
    TRY_GOTO(check_memory(p, &placed, in, pool, err), done);
    TRY_GOTO(tile_source_make(p, &placed, pool_threads(pool), &tiles, err), done);
    TRY_GOTO(assemble(p, pool, tile_source_strip, &tiles, err), done);
    p->info.seconds_build = clock_seconds() - start;
done:
    tile_source_free(&tiles);
    placed_free(&placed);
    return st;
}

vic_status pattern_rebuild(const struct pattern_input *in, vic_pattern *old, struct pool *pool, vic_pattern **out,
                           vic_error *err)
{
    vic_status st = VIC_OK;
    vic_pattern *p = old;
    *out = NULL;
    if (old && pattern_is_alone(old)) {
        reset(p);
    } else {
        pattern_release(old);
        TRY(cutoff_check(in->cutoff, err));
        TRY(pattern_new(in->n_q, in->n_k, in->k_positions == NULL, &p, err));
    }
    TRY_GOTO(fill(p, in, pool, err), done);
    *out = p;
    p = NULL;
done:
    pattern_release(p);
    return st;
}

vic_status pattern_build(const struct pattern_input *in, struct pool *pool, vic_pattern **out, vic_error *err)
{
    return pattern_rebuild(in, NULL, pool, out, err);
}
