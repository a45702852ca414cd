/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/point_set.h"

#include "pattern/pattern.h"

#include <string.h>

/* ---- checks ---- */

static vic_status check_offsets(const struct point_set *s, vic_error *err)
{
    if (s->group_offsets[0] != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "offsets[0]: expected 0, got %lld", (long long)s->group_offsets[0]);
    for (int64_t g = 0; g < s->groups; g++)
        if (s->group_offsets[g + 1] < s->group_offsets[g])
            return vic_fail(err, VIC_BAD_ARGUMENT, "offsets[%lld]: expected at least %lld, as before it, got %lld",
                            (long long)g + 1, (long long)s->group_offsets[g], (long long)s->group_offsets[g + 1]);
    if (s->group_offsets[s->groups] != s->n)
        return vic_fail(err, VIC_BAD_ARGUMENT, "offsets[%lld]: expected %lld, the number of atoms, got %lld",
                        (long long)s->groups, (long long)s->n, (long long)s->group_offsets[s->groups]);
    return VIC_OK;
}

static vic_status check_groups(const struct point_set *s, vic_error *err)
{
    if (s->groups < 1 || s->groups > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "structures: expected 1 to %d, got %lld", INT32_MAX,
                        (long long)s->groups);
    if (!s->group_offsets) return vic_fail(err, VIC_BAD_ARGUMENT, "offsets is NULL");
    return check_offsets(s, err);
}

static vic_status check_periodic(const struct point_set *q, vic_error *err)
{
    for (int64_t i = 0; q->periodic && !q->cells && i < 3 * q->groups; i++)
        if (q->periodic[i])
            return vic_fail(err, VIC_BAD_ARGUMENT, "structure %lld: periodic along %c, but no cells were given",
                            (long long)(i / 3), (int)('a' + i % 3));
    return VIC_OK;
}

vic_status point_sets_check(const struct point_set *q, const struct point_set *k, vic_error *err)
{
    if (k && k->groups != q->groups)
        return vic_fail(err, VIC_BAD_ARGUMENT, "groups of queries and keys go together: got %lld and %lld",
                        (long long)q->groups, (long long)k->groups);
    if (q->groups == 0 && !q->group_offsets) return VIC_OK;
    TRY(check_groups(q, err));
    if (k) TRY(check_groups(k, err));
    return check_periodic(q, err);
}

struct point_set point_set_placed(const struct point_set *s)
{
    static const double nowhere[3] = { 0, 0, 0 };
    struct point_set placed = *s;
    if (s->n == 0 && !s->positions) placed.positions = nowhere;
    return placed;
}

/* ---- cells ---- */

static void take_axes(const double *cell, const bool periodic[3], struct pattern_cell *out)
{
    memset(out, 0, sizeof *out);
    for (int axis = 0; axis < 3; axis++) {
        out->periodic[axis] = periodic[axis];
        if (periodic[axis] && cell) memcpy(out->cell[axis], cell + 3 * axis, sizeof out->cell[axis]);
    }
}

void point_set_cell(const struct point_set *q, struct pattern_cell *out)
{
    const bool all[3] = { q->cells != NULL, q->cells != NULL, q->cells != NULL };
    take_axes(q->cells, q->periodic ? q->periodic : all, out);
}

void group_cell(const struct point_set *q, int64_t group, struct pattern_cell *out)
{
    bool any = false;
    for (int i = 0; q->cells && i < 9; i++) any |= q->cells[9 * group + i] != 0.0;
    const bool all[3] = { any, any, any };
    take_axes(q->cells ? q->cells + 9 * group : NULL, q->periodic ? q->periodic + 3 * group : all, out);
}

/* ---- patterns ---- */

static vic_status fill(vic_pattern *p, const struct point_set *q, const struct point_set *k, enum place_wanted wanted,
                       struct pool *pool, struct placed *placed, vic_error *err)
{
    struct pattern_cell cell;
    TRY(pattern_set_ids(p, q->ids, k ? k->ids : NULL, err));
    if (!q->positions) return pattern_plain_order(p, err);
    point_set_cell(q, &cell);
    pattern_set_cell(p, (const double(*)[3])cell.cell, cell.periodic);
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

vic_status pattern_begin_plain(const struct point_set *queries, const struct point_set *keys, vic_pattern **out,
                               vic_error *err)
{
    const struct point_set q = { .n = queries->n }, k = { .n = keys ? keys->n : 0 };
    return pattern_begin(&q, keys ? &k : NULL, PLACE_ORDER, NULL, NULL, out, err);
}

vic_status rule_set_masks(const vic_pattern *p, struct pattern_rule *rule, const struct point_set *q,
                          const struct point_set *k, vic_error *err)
{
    return rule_set_skip(p, rule, q->mask, k ? k->mask : NULL, err);
}
