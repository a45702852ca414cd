/* SPDX-License-Identifier: Apache-2.0 */
/* Constructors of patterns.  Arguments are checked and converted here; the work is done in src/pattern. */
#include "api/points.h"
#include "context/context.h"
#include "pattern/combine.h"
#include "pattern/cutoff.h"
#include "pattern/generate.h"
#include "pattern/masks.h"
#include "pattern/nearest.h"
#include "pattern/pages.h"
#include "pattern/pairs.h"
#include "pattern/ranges.h"
#include "pattern/transpose.h"
#include "pattern/update.h"

#include <string.h>

/* ---- options ---- */

/* Takes the options of a constructor; without `geometry` exclude_self does not apply to it. */
static vic_status take_options(const vic_pattern_options *given, const char *way, bool geometry,
                               vic_pattern_options *out, vic_error *err)
{
    TAKE_STRUCT(vic_pattern_options, o, given, err);
    TRY(reserved_check(o.reserved_1, sizeof o.reserved_1, "vic_pattern_options", err));
    if (!geometry && o.exclude_self)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "exclude_self does not apply to %s; remove self pairs with vic_pattern_exclude()", way);
    *out = o;
    return VIC_OK;
}

/* Gives the estimate of memory to the caller, also when the call fails because of it. */
static vic_status give_estimate(const vic_pattern_options *o, const vic_pattern_estimate *found, vic_status st,
                                vic_error *err)
{
    if (!o->estimate) return st;
    vic_status given =
        struct_give(o->estimate, found, sizeof *found, "vic_pattern_estimate", st == VIC_OK ? err : NULL);
    return st == VIC_OK ? given : st;
}

/* ---- by positions ---- */

vic_status vic_pattern_cutoff(vic_context *c, const vic_points *queries, const vic_points *keys, double cutoff,
                              const vic_pattern_options *options, vic_pattern **out, vic_error *err)
{
    vic_pattern_options o;
    vic_pattern_estimate estimate = VIC_INIT(vic_pattern_estimate);
    struct points_taken points;
    struct pool *pool;
    NEED_OUT(out);
    TRY(context_enter(c, &pool, err));
    TRY(take_options(options, "a cutoff", true, &o, err));
    TRY(points_take(queries, keys, "cutoffs", POINTS_GEOMETRY | POINTS_TWO_SETS | POINTS_GROUPS | POINTS_IDS, &points,
                    err));
    const struct cutoff_input input = { cutoff, o.exclude_self, o.max_bytes, o.estimate ? &estimate : NULL };
    vic_status st = pattern_cutoff(&points.queries, points.keys_or_null, &input, pool, out, err);
    points_drop(&points);
    return give_estimate(&o, &estimate, st, err);
}

vic_status vic_pattern_nearest(vic_context *c, const vic_points *queries, const vic_points *keys, int64_t count,
                               const vic_pattern_options *options, vic_pattern **out, vic_error *err)
{
    vic_pattern_options o;
    vic_pattern_estimate estimate = VIC_INIT(vic_pattern_estimate);
    struct points_taken points;
    struct pool *pool;
    NEED_OUT(out);
    TRY(context_enter(c, &pool, err));
    TRY(take_options(options, "nearest neighbours", true, &o, err));
    TRY(points_take(queries, keys, "nearest neighbours",
                    POINTS_GEOMETRY | POINTS_TWO_SETS | POINTS_GROUPS | POINTS_IDS, &points, err));
    const struct nearest_input input = { count, o.exclude_self, o.max_bytes, o.estimate ? &estimate : NULL };
    vic_status st = pattern_nearest(&points.queries, points.keys_or_null, &input, pool, out, err);
    points_drop(&points);
    return give_estimate(&o, &estimate, st, err);
}

/* What stays as it is need not be given. */
static vic_status check_moved(const vic_points *given, const char *side, int64_t n, const struct point_set *set,
                              vic_error *err)
{
    if (given && (set->mask || set->ids || set->groups))
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s.%s: an update keeps those of the pattern: leave it out", side,
                        set->mask  ? "mask"
                        : set->ids ? "ids"
                                   : "groups");
    if (given && set->n != n)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s.positions: the pattern has %lld points, got %lld", side,
                        (long long)n, (long long)set->n);
    return VIC_OK;
}

static vic_status update(vic_pattern **p, const vic_points *queries, const vic_points *keys,
                         struct points_taken *points, struct pool *pool, vic_error *err)
{
    const vic_pattern *old = *p;
    double cell[3][3];
    TRY(check_moved(queries, "queries", old->n_q, &points->queries, err));
    TRY(check_moved(keys, "keys", old->n_k, &points->keys, err));
    bool open = !old->periodic[0] && !old->periodic[1] && !old->periodic[2];
    if (points->queries.cells && open)
        return vic_fail(err, VIC_BAD_ARGUMENT, "queries.cell: the pattern is periodic along no axis: leave it out");
    for (int axis = 0; points->queries.periodic && axis < 3; axis++)
        if (points->queries.periodic[axis] != old->periodic[axis])
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "queries.periodic: the pattern is %speriodic along %c, and stays so",
                            old->periodic[axis] ? "" : "not ", 'a' + axis);
    if (points->queries.cells) memcpy(cell, points->queries.cells, sizeof cell);
    return pattern_update(p, points->queries.positions, keys ? points->keys.positions : NULL,
                          points->queries.cells ? (const double(*)[3])cell : NULL, pool, err);
}

vic_status vic_pattern_update(vic_context *c, vic_pattern **p, const vic_points *queries, const vic_points *keys,
                              vic_error *err)
{
    struct points_taken points;
    struct pool *pool;
    NEED(p, "pattern", "expected a pointer to the pattern to update");
    NEED(*p, "pattern", "make one first, with vic_pattern_cutoff()");
    TRY(context_enter(c, &pool, err));
    TRY(points_take(queries, keys, "updates", POINTS_GEOMETRY | POINTS_TWO_SETS | POINTS_IDS | POINTS_GROUPS, &points,
                    err));
    vic_status st = update(p, queries, keys, &points, pool, err);
    points_drop(&points);
    return st;
}

/* ---- by lists ---- */

vic_status vic_pattern_windows(vic_context *c, const vic_points *points, int64_t query_window, int64_t key_window,
                               const vic_pattern_options *options, vic_pattern **out, vic_error *err)
{
    vic_pattern_options o;
    struct points_taken taken;
    struct pool *pool;
    NEED_OUT(out);
    TRY(context_enter(c, &pool, err));
    TRY(take_options(options, "windows", false, &o, err));
    TRY(points_take(points, NULL, "windows", 0, &taken, err));
    vic_status st = pattern_windows(&taken.queries, query_window, key_window, pool, out, err);
    points_drop(&taken);
    return st;
}

vic_status vic_pattern_blocks(vic_context *c, const vic_points *queries, const vic_points *keys,
                              const vic_block_list *list, const vic_pattern_options *options, vic_pattern **out,
                              vic_error *err)
{
    vic_pattern_options o;
    struct points_taken points;
    struct pool *pool;
    NEED_OUT(out);
    TRY(context_enter(c, &pool, err));
    TRY(take_options(options, "blocks", false, &o, err));
    NEED_STRUCT(vic_block_list, l, list, err);
    NEED(l.row_ptr, "row_ptr", "expected [ceil(n_q / block) + 1] numbers");
    TRY(points_take(queries, keys, "blocks", POINTS_TWO_SETS, &points, err));
    const struct block_mask mask = { l.block, l.row_ptr, l.column };
    vic_status st = pattern_from_blocks(&points.queries, points.keys_or_null, &mask, pool, out, err);
    points_drop(&points);
    return st;
}

/* A list of pairs as dense int32 arrays. */
struct pairs_taken {
    struct pair_list list;
    struct dense arrays[3];
};

static void pairs_drop(struct pairs_taken *t)
{
    for (int i = 0; i < 3; i++) dense_free(&t->arrays[i]);
}

static vic_status pairs_take(const vic_pair_list *given, struct pairs_taken *out, vic_error *err)
{
    vic_status st = VIC_OK;
    *out = (struct pairs_taken){ 0 };
    NEED_STRUCT(vic_pair_list, l, given, err);
    const struct dense_form query = { "query", VIC_I32, -1, 0 };
    if (!l.query.data && l.query.ndim == 0) l.query.ndim = 1; /* no pairs */
    TRY_GOTO(dense_take(&l.query, &query, &out->arrays[0], err), done);
    int64_t n = l.query.shape[0];
    const struct dense_form key = { "key", VIC_I32, n, 0 }, shift = { "shift", VIC_I32, n, 3 };
    TRY_GOTO(dense_take(&l.key, &key, &out->arrays[1], err), done);
    TRY_GOTO(dense_take(&l.shift, &shift, &out->arrays[2], err), done);
    out->list = (struct pair_list){ n, out->arrays[0].data, out->arrays[1].data, out->arrays[2].data };
    if (n > 0 && (!out->list.query || !out->list.key))
        st = vic_fail(err, VIC_BAD_ARGUMENT, "%s: data is NULL, but the list has %lld pairs",
                      out->list.query ? "key" : "query", (long long)n);
done:
    if (st != VIC_OK) pairs_drop(out);
    return st;
}

vic_status vic_pattern_pairs(vic_context *c, const vic_points *queries, const vic_points *keys,
                             const vic_pair_list *list, const vic_pattern_options *options, vic_pattern **out,
                             vic_error *err)
{
    vic_status st = VIC_OK;
    vic_pattern_options o;
    struct points_taken points = { 0 };
    struct pairs_taken pairs = { 0 };
    struct pool *pool;
    NEED_OUT(out);
    TRY(context_enter(c, &pool, err));
    TRY(take_options(options, "pairs given one by one", false, &o, err));
    TRY_GOTO(pairs_take(list, &pairs, err), done);
    TRY_GOTO(points_take(queries, keys, "pairs", POINTS_MAY_BE | POINTS_TWO_SETS, &points, err), done);
    TRY_GOTO(pattern_from_pairs(&points.queries, points.keys_or_null, &pairs.list, pool, out, err), done);
done:
    points_drop(&points);
    pairs_drop(&pairs);
    return st;
}

/* The keys that a query sees, of a list's fields. */
struct reach {
    int64_t before, after;
};

static vic_status reach_take(bool causal, bool window, int64_t left, int64_t right, struct reach *out, vic_error *err)
{
    *out = (struct reach){ window ? left : -1, causal ? 0 : window ? right : -1 };
    if (!window && (left != 0 || right != 0))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "left, right: they count with `window` alone: set it, or leave them 0");
    return VIC_OK;
}

vic_status vic_pattern_ranges(vic_context *c, const vic_points *queries, const vic_points *keys,
                              const vic_range_list *list, const vic_pattern_options *options, vic_pattern **out,
                              vic_error *err)
{
    vic_pattern_options o;
    struct points_taken points;
    struct reach reach;
    struct pool *pool;
    NEED_OUT(out);
    TRY(context_enter(c, &pool, err));
    TRY(take_options(options, "ranges", false, &o, err));
    NEED_STRUCT(vic_range_list, l, list, err);
    TRY(reserved_check(l.reserved_1, sizeof l.reserved_1, "vic_range_list", err));
    TRY(reach_take(l.causal, l.window, l.left, l.right, &reach, err));
    NEED(l.query_offsets, "query_offsets", "expected [groups + 1] numbers");
    NEED(l.range_offsets, "range_offsets", "expected [groups + 1] numbers");
    TRY(points_take(queries, keys, "ranges", POINTS_TWO_SETS, &points, err));
    const struct ranges_input ranges = { l.groups, l.query_offsets, l.range_offsets,
                                         l.ranges, reach.before,    reach.after,
                                         1 };
    vic_status st = pattern_ranges(&points.queries, points.keys_or_null, &ranges, pool, out, err);
    points_drop(&points);
    return st;
}

vic_status vic_pattern_pages(vic_context *c, const vic_points *queries, const vic_points *keys,
                             const vic_page_list *list, const vic_pattern_options *options, vic_pattern **out,
                             vic_error *err)
{
    vic_pattern_options o;
    struct points_taken points;
    struct reach reach;
    struct pool *pool;
    NEED_OUT(out);
    TRY(context_enter(c, &pool, err));
    TRY(take_options(options, "pages", false, &o, err));
    NEED_STRUCT(vic_page_list, l, list, err);
    TRY(reserved_check(l.reserved_1, sizeof l.reserved_1, "vic_page_list", err));
    TRY(reach_take(l.causal, l.window, l.left, l.right, &reach, err));
    NEED(l.query_offsets, "query_offsets", "expected [groups + 1] numbers");
    TRY(points_take(queries, keys, "pages", POINTS_TWO_SETS, &points, err));
    const struct pages_input pages = { l.groups,     l.page,      l.query_offsets,
                                       l.lengths,    l.table,     l.table_stride,
                                       reach.before, reach.after, l.queries_per_place ? l.queries_per_place : 1 };
    vic_status st = pattern_pages(&points.queries, points.keys_or_null, &pages, pool, out, err);
    points_drop(&points);
    return st;
}

/* ---- by other patterns ---- */

static vic_status enter_two(const vic_context *c, const vic_pattern *a, const vic_pattern *b, struct pool **pool,
                            vic_error *err)
{
    TRY(context_enter(c, pool, err));
    NEED(a, "a", "expected a pattern");
    NEED(b, "b", "expected a pattern");
    return VIC_OK;
}

vic_status vic_pattern_union(vic_context *c, const vic_pattern *a, const vic_pattern *b, vic_pattern **out,
                             vic_error *err)
{
    struct pool *pool;
    NEED_OUT(out);
    TRY(enter_two(c, a, b, &pool, err));
    return pattern_unite(a, b, pool, out, err);
}

vic_status vic_pattern_difference(vic_context *c, const vic_pattern *a, const vic_pattern *b, vic_pattern **out,
                                  vic_error *err)
{
    struct pool *pool;
    NEED_OUT(out);
    TRY(enter_two(c, a, b, &pool, err));
    return pattern_difference(a, b, pool, out, err);
}

vic_status vic_pattern_exclude(vic_context *c, const vic_pattern *p, const vic_pair_list *list, vic_pattern **out,
                               vic_error *err)
{
    struct pairs_taken pairs;
    struct pool *pool;
    NEED_OUT(out);
    TRY(context_enter(c, &pool, err));
    NEED(p, "pattern", "make one first");
    TRY(pairs_take(list, &pairs, err));
    vic_status st = pattern_exclude(p, &pairs.list, pool, out, err);
    pairs_drop(&pairs);
    return st;
}

vic_status vic_pattern_transpose(vic_context *c, const vic_pattern *p, vic_pattern **out, vic_error *err)
{
    struct pool *pool;
    NEED_OUT(out);
    TRY(context_enter(c, &pool, err));
    NEED(p, "pattern", "make one first");
    return pattern_transpose(p, pool, out, err);
}

vic_status vic_pattern_generate(vic_context *c, const char *text, const vic_pattern_options *options,
                                vic_pattern **out, vic_error *err)
{
    vic_pattern_options o;
    struct pool *pool;
    NEED_OUT(out);
    TRY(context_enter(c, &pool, err));
    TRY(take_options(options, "blocks", false, &o, err));
    NEED(text, "text", "expected a description such as \"blocks:63x63:n=800,seed=1\"");
    return pattern_generate(text, pool, out, err);
}
