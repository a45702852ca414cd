/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/pages.h"

#include "base/clock.h"
#include "base/memory.h"
#include "pattern/pattern.h"
#include "pattern/ranges.h"

/* The pages of a group that any of its queries sees: first .. end - 1 of its row. */
struct seen {
    int64_t first, end;
};

static struct seen seen_pages(const struct pages_input *in, int64_t g)
{
    int64_t queries = in->first_query[g + 1] - in->first_query[g], pages = (in->length[g] + in->page - 1) / in->page;
    int64_t lowest = in->length[g] - queries / in->share; /* place of the first query, which sees furthest back */
    bool cut = in->before >= 0 && lowest > in->before;
    if (queries == 0) return (struct seen){ 0, 0 };
    return (struct seen){ cut ? (lowest - in->before) / in->page : 0, pages };
}

static vic_status check_table(const struct pages_input *in, vic_error *err)
{
    if (in->page < CLUSTER || in->page % CLUSTER != 0 || in->page > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "page: expected a multiple of %d keys, got %lld", CLUSTER,
                        (long long)in->page);
    if (in->stride < 0 || in->stride > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "table_stride: expected 0 to %d pages, got %lld", INT32_MAX,
                        (long long)in->stride);
    if (in->groups > 0 && !in->length) return vic_fail(err, VIC_BAD_ARGUMENT, "lengths is NULL");
    for (int64_t g = 0; g < in->groups; g++)
        if (in->length[g] < 0 || in->length[g] > in->stride * in->page)
            return vic_fail(
                err, VIC_BAD_INPUT,
                "lengths[%lld]: expected 0 to %lld keys, as a row of the table has %lld pages, found %lld",
                (long long)g, (long long)(in->stride * in->page), (long long)in->stride, (long long)in->length[g]);
    return VIC_OK;
}

/* ---- each page once in a group ---- */

/* Pages by hashing.  A slot tells whose it is, so that the table need not be emptied between groups. */
struct page_set {
    struct page_slot {
        int32_t page, group; /* group: its number + 1 */
    } * slots;
    uint32_t mask;
};

static vic_status page_set_make(int64_t most, struct page_set *out, vic_error *err)
{
    uint32_t n = 16;
    while (n < 2 * (uint64_t)most) n *= 2;
    out->mask = n - 1;
    return mem_array_zero(n, sizeof *out->slots, "pages", &out->slots, err);
}

/* Whether it was not there. */
static bool page_set_add(struct page_set *set, int32_t page, int64_t group)
{
    const int32_t number = (int32_t)(group + 1);
    uint32_t at = (uint32_t)(((uint64_t)(uint32_t)page * 0x9e3779b97f4a7c15u) >> 32) & set->mask;
    for (; set->slots[at].group == number; at = (at + 1) & set->mask)
        if (set->slots[at].page == page) return false;
    set->slots[at] = (struct page_slot){ page, number };
    return true;
}

/* ---- ranges ---- */

static vic_status add_group(int64_t n_k, const struct pages_input *in, int64_t g, struct page_set *set,
                            int32_t (*range)[2], vic_error *err)
{
    const struct seen seen = seen_pages(in, g);
    for (int64_t i = seen.first; i < seen.end; i++) {
        int64_t page = in->table[g * in->stride + i], last = in->length[g] - i * in->page;
        if (page < 0 || page >= n_k / in->page)
            return vic_fail(
                err, VIC_BAD_INPUT,
                "page %lld of group %lld: expected 0 to %lld, as %lld keys are so many pages of %lld, found "
                "%lld",
                (long long)i, (long long)g, (long long)(n_k / in->page) - 1, (long long)n_k, (long long)in->page,
                (long long)page);
        if (!page_set_add(set, (int32_t)page, g))
            return vic_fail(err, VIC_BAD_INPUT, "page %lld of group %lld: expected each page once, found %lld again",
                            (long long)i, (long long)g, (long long)page);
        (*range)[0] = (int32_t)(page * in->page);
        (*range++)[1] = (int32_t)(page * in->page + (last < in->page ? last : in->page));
    }
    return VIC_OK;
}

/* *ptr [groups + 1] and *ranges are the caller's, also after a failure. */
static vic_status take_pages(int64_t n_k, const struct pages_input *in, int64_t **ptr, int32_t (**ranges)[2],
                             vic_error *err)
{
    vic_status st = VIC_OK;
    struct page_set set = { .slots = NULL };
    int64_t most = 0;
    TRY(mem_array((size_t)in->groups + 1, sizeof **ptr, "groups", ptr, err));
    (*ptr)[0] = 0;
    for (int64_t g = 0; g < in->groups; g++) {
        const struct seen seen = seen_pages(in, g);
        (*ptr)[g + 1] = (*ptr)[g] + seen.end - seen.first;
        if (seen.end - seen.first > most) most = seen.end - seen.first;
    }
    if (most > 0 && !in->table) return vic_fail(err, VIC_BAD_ARGUMENT, "table is NULL, but groups have pages");
    TRY(mem_array((size_t)(*ptr)[in->groups], sizeof **ranges, "pages", ranges, err));
    TRY(page_set_make(most, &set, err));
    for (int64_t g = 0; g < in->groups && st == VIC_OK; g++)
        st = add_group(n_k, in, g, &set, *ranges + (*ptr)[g], err);
    free(set.slots);
    return st;
}

vic_status pattern_pages(const struct point_set *queries, const struct point_set *keys, const struct pages_input *in,
                         struct pool *pool, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds();
    struct ranges_input ranges = { in->groups, in->first_query, NULL, NULL, in->before, in->after, in->share };
    int32_t(*list)[2] = NULL;
    int64_t *ptr = NULL;
    vic_pattern *p;
    *out = NULL;
    TRY(pattern_begin_plain(queries, keys, &p, err));
    TRY_GOTO(ranges_check_places(p->n_q, &ranges, err), done);
    TRY_GOTO(check_table(in, err), done);
    TRY_GOTO(take_pages(p->n_k, in, &ptr, &list, err), done);
    ranges.range_ptr = ptr;
    ranges.ranges = list ? list[0] : NULL;
    TRY_GOTO(ranges_build(queries, keys, p, &ranges, pool, err), done);
    p->info.seconds_build = clock_seconds() - start;
    *out = p;
    p = NULL;
done:
    free(list);
    free(ptr);
    pattern_release(p);
    return st;
}
