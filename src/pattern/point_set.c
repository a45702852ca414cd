/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/point_set.h"

#include "pattern/pattern.h"

#include <string.h>

static vic_status fill(vic_pattern *p, const struct point_set *q, const struct point_set *k, enum place_wanted wanted,
                       struct pool *pool, struct placed *placed, vic_error *err)
{
    double cell[3][3] = { { 0 } };
    bool periodic[3] = { false, false, false };
    if (!q->positions) return pattern_plain_order(p, err);
    if (q->cell) memcpy(cell, q->cell, sizeof cell);
    for (int x = 0; x < 3; x++) periodic[x] = q->periodic ? q->periodic[x] : q->cell != NULL;
    pattern_set_cell(p, (const double(*)[3])cell, periodic);
    return pattern_place(p, q->positions, k ? k->positions : NULL, wanted, pool, placed, err);
}

vic_status pattern_begin(const struct point_set *q, const struct point_set *k, enum place_wanted wanted,
                         struct pool *pool, struct placed *placed, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct placed own = { 0 };
    vic_pattern *p;
    *out = NULL;
    if (placed) memset(placed, 0, sizeof *placed);
    TRY(pattern_new(q->n, k ? k->n : 0, k == NULL, &p, err));
    TRY_GOTO(fill(p, q, k, wanted, pool, placed ? placed : &own, err), done);
    *out = p;
    p = NULL;
done:
    placed_free(&own);
    pattern_release(p);
    return st;
}

vic_status rule_set_masks(const vic_pattern *p, struct pattern_rule *rule, const struct point_set *q,
                          const struct point_set *k, vic_error *err)
{
    return rule_set_skip(p, rule, q->mask, k ? k->mask : NULL, err);
}
