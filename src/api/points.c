/* SPDX-License-Identifier: Apache-2.0 */
#include "api/points.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* A set of points that is being converted. */
struct taking {
    const vic_points *given;
    const char *side, *way;
    unsigned kind;
    struct point_set *set;
    struct dense *owned; /* [3] */
    uint8_t **mask;
};

static vic_status refuse(const struct taking *t, const char *member, const char *why, vic_error *err)
{
    return vic_fail(err, VIC_BAD_ARGUMENT, "%s.%s: %s %s", t->side, member, t->way, why);
}

static vic_status take_positions(const struct taking *t, vic_error *err)
{
    const vic_points *g = t->given;
    char name[64];
    snprintf(name, sizeof name, "%s.positions", t->side);
    bool none = !g->positions.data && !(g->positions.ndim == 2 && g->positions.shape[0] == 0);
    if (none && (t->kind & POINTS_GEOMETRY) && g->n != 0)
        return refuse(t, "positions", "need them: give a tensor [n, 3]", err);
    if (g->positions.data && !(t->kind & (POINTS_GEOMETRY | POINTS_MAY_BE)))
        return refuse(t, "positions", "do not depend on them: leave them out, and give n", err);
    if (g->n < 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s.n: expected 0 or more, got %lld", t->side, (long long)g->n);
    int64_t n = g->n ? g->n : g->positions.ndim == 2 ? g->positions.shape[0] : 0;
    if (n > INT32_MAX - STRIP)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected 0 to %d points, got %lld", t->side, INT32_MAX - STRIP,
                        (long long)n);
    const struct dense_form form = { name, VIC_F64, g->n ? g->n : -1, 3 };
    TRY(dense_take(&g->positions, &form, &t->owned[0], err));
    t->set->n = n;
    t->set->positions = t->owned[0].data;
    return VIC_OK;
}

static vic_status take_mask(const struct taking *t, vic_error *err)
{
    char name[64];
    const int64_t n = t->set->n;
    if (!t->given->mask.data) return VIC_OK;
    snprintf(name, sizeof name, "%s.mask", t->side);
    const struct dense_form form = { name, VIC_U8, n, 0 };
    TRY(dense_take(&t->given->mask, &form, &t->owned[1], err));
    TRY(mem_array(n ? (size_t)n : 1, 1, "mask", t->mask, err));
    const uint8_t *takes_part = t->owned[1].data;
    for (int64_t i = 0; i < n; i++) (*t->mask)[i] = !takes_part[i];
    t->set->mask = *t->mask;
    return VIC_OK;
}

static vic_status take_ids(const struct taking *t, vic_error *err)
{
    char name[64];
    if (!t->given->ids.data) return VIC_OK;
    if (!(t->kind & POINTS_IDS)) return refuse(t, "ids", "do not depend on them: leave them out", err);
    snprintf(name, sizeof name, "%s.ids", t->side);
    const struct dense_form form = { name, VIC_I64, t->set->n, 0 };
    TRY(dense_take(&t->given->ids, &form, &t->owned[2], err));
    t->set->ids = t->owned[2].data;
    return VIC_OK;
}

static vic_status take_groups(const struct taking *t, vic_error *err)
{
    const vic_points *g = t->given;
    if (g->groups == 0 && !g->group_offsets) return VIC_OK;
    if (!(t->kind & POINTS_GROUPS)) return refuse(t, "groups", "are of one structure: make one pattern each", err);
    if (g->groups < 0 || !g->group_offsets)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "%s.groups: expected a number and group_offsets [groups + 1], got %lld%s", t->side,
                        (long long)g->groups, g->group_offsets ? "" : " and NULL");
    t->set->groups = g->groups;
    t->set->group_offsets = g->group_offsets;
    return VIC_OK;
}

static vic_status take_cell(const struct taking *t, vic_error *err)
{
    const vic_points *g = t->given;
    int64_t n = g->groups > 0 ? g->groups : 1;
    for (int64_t i = 0; g->periodic && !g->cell && i < 3 * n; i++)
        if (g->periodic[i])
            return vic_fail(err, VIC_BAD_ARGUMENT, "%s.periodic: periodic along %c, but no cell was given", t->side,
                            'a' + (int)(i % 3));
    t->set->cells = g->cell;
    t->set->periodic = g->cell ? g->periodic : NULL;
    return VIC_OK;
}

static vic_status take(const struct taking *t, vic_error *err)
{
    TRY(reserved_check(t->given->reserved, sizeof t->given->reserved, "vic_points", err));
    TRY(take_positions(t, err));
    TRY(take_mask(t, err));
    TRY(take_ids(t, err));
    TRY(take_groups(t, err));
    return take_cell(t, err);
}

/* The queries' cell is that of both sets; the keys may repeat it. */
static vic_status check_keys_cell(const vic_points *q, const vic_points *k, vic_error *err)
{
    int64_t n = q->groups > 0 ? q->groups : 1;
    bool differs = k->cell && (!q->cell || memcmp(q->cell, k->cell, (size_t)n * 9 * sizeof *q->cell) != 0);
    if (!differs && q->cell && k->periodic)
        for (int64_t i = 0; i < 3 * n; i++) differs |= k->periodic[i] != (q->periodic ? q->periodic[i] : true);
    if (!differs) return VIC_OK;
    return vic_fail(
        err, VIC_BAD_ARGUMENT,
        "keys.cell: it differs from queries.cell, which is that of both: leave it NULL, or give the same");
}

static vic_status take_sets(const vic_points *queries, const vic_points *keys, const char *way, unsigned kind,
                            struct points_taken *out, vic_error *err)
{
    vic_points q = VIC_INIT(vic_points), k = VIC_INIT(vic_points);
    struct taking taking = { &q, "queries", way, kind, &out->queries, out->owned[0], &out->mask[0] };
    TRY(struct_need(&q, sizeof q, queries, "vic_points", err));
    TRY(take(&taking, err));
    if (!keys) return VIC_OK;
    if (!(kind & POINTS_TWO_SETS)) return vic_fail(err, VIC_BAD_ARGUMENT, "keys: %s are of one set of points", way);
    TRY(struct_need(&k, sizeof k, keys, "vic_points", err));
    TRY(check_keys_cell(&q, &k, err));
    k.cell = NULL;
    k.periodic = NULL;
    taking = (struct taking){ &k, "keys", way, kind, &out->keys, out->owned[1], &out->mask[1] };
    TRY(take(&taking, err));
    if (out->queries.groups != out->keys.groups)
        return vic_fail(err, VIC_BAD_ARGUMENT, "keys.groups: expected as many as of the queries, %lld, got %lld",
                        (long long)out->queries.groups, (long long)out->keys.groups);
    out->keys_or_null = &out->keys;
    return VIC_OK;
}

vic_status points_take(const vic_points *queries, const vic_points *keys, const char *way, unsigned kind,
                       struct points_taken *out, vic_error *err)
{
    *out = (struct points_taken){ 0 };
    vic_status st = take_sets(queries, keys, way, kind, out, err);
    if (st != VIC_OK) points_drop(out);
    return st;
}

void points_drop(struct points_taken *t)
{
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < 3; i++) dense_free(&t->owned[side][i]);
        free(t->mask[side]);
        t->mask[side] = NULL;
    }
}
