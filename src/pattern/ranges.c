/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/ranges.h"

#include "base/clock.h"
#include "base/memory.h"
#include "pattern/assemble.h"
#include "pattern/images.h"
#include "pattern/pattern.h"
#include "pattern/rectangles.h"

#include <string.h>

/* ---- the rule ---- */

/* From 0, not falling, to `last`; -1 = to anything. */
static vic_status check_offsets(const char *what, const int64_t *offsets, int64_t groups, int64_t last,
                                vic_error *err)
{
    if (!offsets) return vic_fail(err, VIC_BAD_ARGUMENT, "%s is NULL", what);
    for (int64_t g = 0; g <= groups; g++) {
        int64_t low = g == 0 ? 0 : g == groups && last >= 0 ? last : offsets[g - 1];
        int64_t high = last >= 0 ? last : INT64_MAX;
        if (g == 0 && (groups > 0 || last < 0)) high = 0;
        if (offsets[g] < low || offsets[g] > high)
            return vic_fail(err, VIC_BAD_INPUT, "%s[%lld]: expected %lld to %lld, found %lld", what, (long long)g,
                            (long long)low, (long long)high, (long long)offsets[g]);
    }
    if (groups == 0 && last > 0)
        return vic_fail(err, VIC_BAD_INPUT, "%s: expected groups that hold %lld queries, found none", what,
                        (long long)last);
    return VIC_OK;
}

static int by_start(const void *a, const void *b)
{
    const int32_t *p = a, *q = b;
    return (p[0] > q[0]) - (p[0] < q[0]);
}

/* `sorted` has room for the ranges of the group. */
static vic_status check_group(int64_t n_k, const struct ranges_input *in, int64_t g, int32_t (*sorted)[2],
                              vic_error *err)
{
    size_t n = 0;
    for (int64_t i = in->range_ptr[g]; i < in->range_ptr[g + 1]; i++) {
        const int32_t *range = in->ranges + 2 * i;
        if (range[0] < 0 || range[1] < range[0] || range[1] > n_k)
            return vic_fail(err, VIC_BAD_INPUT,
                            "range %lld, of group %lld: expected a start and an end from 0 to %lld, found %d and %d",
                            (long long)i, (long long)g, (long long)n_k, range[0], range[1]);
        if (range[0] < range[1]) memcpy(sorted[n++], range, sizeof *sorted);
    }
    if (n > 1) qsort(sorted, n, sizeof *sorted, by_start);
    for (size_t i = 1; i < n; i++)
        if (sorted[i][0] < sorted[i - 1][1])
            return vic_fail(err, VIC_BAD_INPUT, "group %lld: expected each key once, found key %d in two ranges",
                            (long long)g, sorted[i][0]);
    return VIC_OK;
}

vic_status ranges_check_places(int64_t n_q, const struct ranges_input *in, vic_error *err)
{
    if (in->groups < 0 || in->groups > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "groups: expected 0 to %d, got %lld", INT32_MAX,
                        (long long)in->groups);
    if (in->before < -1 || in->after < -1)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "left, right: expected numbers of keys, or -1 for all, got %lld and %lld",
                        (long long)in->before, (long long)in->after);
    if (in->share < 1 || in->share > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "queries_per_place: expected 1 to %d, got %lld", INT32_MAX,
                        (long long)in->share);
    TRY(check_offsets("query_offsets", in->first_query, in->groups, n_q, err));
    for (int64_t g = 0; in->share > 1 && g < in->groups; g++)
        if ((in->first_query[g + 1] - in->first_query[g]) % in->share != 0)
            return vic_fail(
                err, VIC_BAD_INPUT,
                "group %lld: expected a multiple of the %lld queries that share a place, found %lld queries",
                (long long)g, (long long)in->share, (long long)(in->first_query[g + 1] - in->first_query[g]));
    return VIC_OK;
}

static vic_status check_sizes(int64_t n_q, const struct ranges_input *in, vic_error *err)
{
    TRY(ranges_check_places(n_q, in, err));
    TRY(check_offsets("range_offsets", in->range_ptr, in->groups, -1, err));
    if (in->range_ptr[in->groups] > 0 && !in->ranges)
        return vic_fail(err, VIC_BAD_ARGUMENT, "ranges is NULL, but range_offsets counts %lld of them",
                        (long long)in->range_ptr[in->groups]);
    return VIC_OK;
}

vic_status ranges_check(int64_t n_q, int64_t n_k, const struct ranges_input *in, vic_error *err)
{
    vic_status st = VIC_OK;
    int32_t(*sorted)[2] = NULL;
    int64_t most = 0;
    TRY(check_sizes(n_q, in, err));
    for (int64_t g = 0; g < in->groups; g++)
        if (in->range_ptr[g + 1] - in->range_ptr[g] > most) most = in->range_ptr[g + 1] - in->range_ptr[g];
    TRY(mem_array((size_t)most, sizeof *sorted, "ranges", &sorted, err));
    for (int64_t g = 0; g < in->groups && st == VIC_OK; g++) st = check_group(n_k, in, g, sorted, err);
    free(sorted);
    return st;
}

static vic_status take_rule(const vic_pattern *p, const struct ranges_input *in, struct pattern_rule *rule,
                            vic_error *err)
{
    int64_t n = in->range_ptr[in->groups];
    TRY(mem_array((size_t)in->groups + 1, sizeof *rule->ptr, "groups", &rule->ptr, err));
    rule->rows = in->groups;
    for (int64_t g = 0; g <= in->groups; g++) rule->ptr[g] = 2 * in->range_ptr[g];
    TRY(mem_array((size_t)n, 2 * sizeof *rule->index, "ranges", &rule->index, err));
    rule->n = 2 * n;
    if (n > 0) memcpy(rule->index, in->ranges, (size_t)n * 2 * sizeof *rule->index);
    TRY(array_copy(in->first_query, in->groups + 1, sizeof *rule->first, &rule->first, err));
    /* No place is further away than there are queries and keys. */
    rule->count = in->before >= p->n_q + p->n_k ? -1 : in->before;
    rule->keys = in->after >= p->n_q + p->n_k ? -1 : in->after;
    rule->share = in->share;
    return VIC_OK;
}

/* ---- blocks ---- */

struct source {
    const vic_pattern *p;
    const struct pattern_rule *rule;
    int64_t *place; /* [ranges] of the first key of each in its group's sequence */
};

static vic_status source_make(const vic_pattern *p, const struct pattern_rule *rule, struct source *out,
                              vic_error *err)
{
    *out = (struct source){ .p = p, .rule = rule };
    TRY(mem_array((size_t)rule->n / 2, sizeof *out->place, "ranges", &out->place, err));
    for (int64_t g = 0; g < rule->rows; g++)
        for (int64_t i = rule->ptr[g] / 2, at = 0; i < rule->ptr[g + 1] / 2; i++) {
            out->place[i] = at;
            at += rule->index[2 * i + 1] - rule->index[2 * i];
        }
    return VIC_OK;
}

/* Queries of a group in a strip: its rows low .. high - 1.  The group's first query, which may be in an earlier strip,
 * is row `first` of this one, and has place `place`. */
struct rows {
    int low, high;
    int64_t first, place;
};

static int clamp(int64_t x, int low, int high)
{
    return x < low ? low : x > high ? high : (int)x;
}

/* The first row whose place is not below this one. */
static int64_t row_at(const struct source *s, const struct rows *rows, int64_t place)
{
    int64_t places = place - rows->place; /* the group has fewer than 2^31 */
    places = places < INT32_MIN ? INT32_MIN : places > INT32_MAX ? INT32_MAX : places;
    return rows->first + places * s->rule->share;
}

/* The rows that see the key of a place. */
static uint64_t seeing(const struct source *s, const struct rows *rows, int64_t place)
{
    int low = s->rule->keys < 0 ? rows->low : clamp(row_at(s, rows, place - s->rule->keys), rows->low, rows->high);
    int high =
        s->rule->count < 0 ? rows->high : clamp(row_at(s, rows, place + s->rule->count + 1), rows->low, rows->high);
    return row_bits(low, high);
}

static vic_status add_keys(const struct source *s, const struct rows *rows, int64_t start, int64_t end, int64_t place,
                           struct block_list *out, vic_error *err)
{
    const uint64_t all = row_bits(rows->low, rows->high);
    for (int64_t cluster = start / CLUSTER; cluster * CLUSTER < end; cluster++) {
        struct block_bits bits;
        int64_t base = cluster * CLUSTER, low = start > base ? start - base : 0;
        int64_t high = end < base + CLUSTER ? end - base : CLUSTER;
        /* A row sees an interval of places: one that sees both ends sees all between them. */
        bool whole = seeing(s, rows, place + base + low - start) == all &&
                     seeing(s, rows, place + base + high - 1 - start) == all;
        for (int64_t c = 0; c < CLUSTER; c++)
            bits.key[c] = c < low || c >= high ? 0 : whole ? all : seeing(s, rows, place + base + c - start);
        TRY(block_list_add(out, (int32_t)cluster, 0, &bits, err));
    }
    return VIC_OK;
}

/* The last range of a group that does not begin behind a place. */
static int64_t range_at(const struct source *s, int64_t group, int64_t place)
{
    int64_t low = s->rule->ptr[group] / 2, high = s->rule->ptr[group + 1] / 2;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (s->place[middle] <= place)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static vic_status add_group(const struct source *s, int64_t group, int64_t strip, struct block_list *out,
                            vic_error *err)
{
    const struct pattern_rule *r = s->rule;
    int64_t row = strip * STRIP, last = r->ptr[group + 1] / 2;
    if (r->ptr[group] == r->ptr[group + 1]) return VIC_OK;
    int64_t all = s->place[last - 1] + r->index[2 * last - 1] - r->index[2 * last - 2];
    struct rows rows = { clamp(r->first[group] - row, 0, STRIP), clamp(r->first[group + 1] - row, 0, STRIP),
                         r->first[group] - row, all - (r->first[group + 1] - r->first[group]) / r->share };
    if (rows.low == rows.high) return VIC_OK;
    /* The places that any of these rows sees: `from` .. `to` - 1. */
    int64_t lowest = rows.place + (rows.low - rows.first) / r->share;
    int64_t highest = rows.place + (rows.high - 1 - rows.first) / r->share;
    int64_t from = r->count < 0 || lowest < r->count ? 0 : lowest - r->count;
    int64_t to = r->keys < 0 ? all : highest + 1 + r->keys;
    for (int64_t i = range_at(s, group, from); i < last && s->place[i] < to; i++) {
        int64_t start = r->index[2 * i], end = r->index[2 * i + 1], place = s->place[i], before = from - place;
        if (before < 0) before = 0;
        if (to - place < end - start) end = start + (to - place);
        if (start + before < end) TRY(add_keys(s, &rows, start + before, end, place + before, out, err));
    }
    return VIC_OK;
}

static vic_status ranges_strip(void *context, int64_t strip, int worker, struct block_list *out, vic_error *err)
{
    const struct source *s = context;
    const struct pattern_rule *rule = s->rule;
    int64_t low = 0, high = rule->rows;
    size_t before = out->n;
    (void)worker;
    while (low < high) { /* the first group that ends behind the strip's first row */
        int64_t middle = low + (high - low) / 2;
        if (rule->first[middle + 1] <= strip * STRIP)
            low = middle + 1;
        else
            high = middle;
    }
    for (int64_t g = low; g < rule->rows && rule->first[g] < strip * STRIP + STRIP; g++)
        TRY(add_group(s, g, strip, out, err));
    mask_blocks(s->p, rule, strip, out, before);
    return block_list_unite(out, before, err);
}

vic_status ranges_build(const struct point_set *queries, const struct point_set *keys, vic_pattern *p,
                        const struct ranges_input *in, struct pool *pool, vic_error *err)
{
    vic_status st = VIC_OK;
    struct source source = { .place = NULL };
    struct pattern_rule *rule;
    TRY(pattern_add_rule(p, RULE_RANGES, &rule, err));
    TRY(take_rule(p, in, rule, err));
    TRY(rule_set_masks(p, rule, queries, keys, err));
    TRY(pattern_set_no_images(p, err));
    TRY_GOTO(source_make(p, rule, &source, err), done);
    TRY_GOTO(assemble(p, pool, ranges_strip, &source, err), done);
done:
    free(source.place);
    return st;
}

vic_status pattern_ranges(const struct point_set *queries, const struct point_set *keys,
                          const struct ranges_input *in, struct pool *pool, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds();
    vic_pattern *p;
    *out = NULL;
    TRY(pattern_begin_plain(queries, keys, &p, err));
    TRY_GOTO(ranges_check(p->n_q, p->n_k, in, err), done);
    TRY_GOTO(ranges_build(queries, keys, p, in, pool, err), done);
    p->info.seconds_build = clock_seconds() - start;
    *out = p;
    p = NULL;
done:
    pattern_release(p);
    return st;
}
