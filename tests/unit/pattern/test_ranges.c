/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of keys for groups of queries, against their words: place by place. */
#include "pattern/ranges.h"

#include "unit/pattern/expect.h"

static const int32_t no_image[3] = { 0, 0, 0 };

/* Keys of a group in their order; a query's place among them is counted from their end. */
static void expect_group(struct expected *e, const struct ranges_input *in, int64_t g, const struct point_set *q,
                         const struct point_set *k)
{
    int32_t keys[4096];
    int n = 0;
    for (int64_t i = in->range_ptr[g]; i < in->range_ptr[g + 1]; i++)
        for (int32_t key = in->ranges[2 * i]; key < in->ranges[2 * i + 1]; key++) keys[n++] = key;
    for (int64_t query = in->first_query[g]; query < in->first_query[g + 1]; query++) {
        int64_t own = n - (in->first_query[g + 1] - query);
        for (int place = 0; place < n; place++) {
            bool far_back = in->before >= 0 && place < own - in->before;
            bool far_ahead = in->after >= 0 && place > own + in->after;
            if (far_back || far_ahead || (q->mask && q->mask[query]) || (k->mask && k->mask[keys[place]])) continue;
            expect_pair(e, (int32_t)query, keys[place], no_image, 0.0);
        }
    }
}

static void check(const char *what, const struct point_set *q, const struct point_set *k,
                  const struct ranges_input *in, bool symmetric)
{
    struct expected e = { 0 };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    CHECK_OK(pool_create(2, &pool, &err));
    CHECK_OK(pattern_ranges(q, k, in, pool, &p, &err));
    for (int64_t g = 0; g < in->groups; g++) expect_group(&e, in, g, q, k ? k : q);
    CHECK(p->symmetric == symmetric, "%s: symmetric is %d", what, p->symmetric);
    expect_pattern(what, p, &e, pool);
    pattern_release(p);
    pool_free(pool);
}

static const struct {
    int64_t before, after;
} reaches[] = { { -1, -1 }, { -1, 0 }, { 31, 0 }, { 0, 0 }, { 5, 70 }, { 40, 40 }, { 0, -1 }, { 1 << 30, 3 } };
enum { REACHES = sizeof reaches / sizeof *reaches };

/* Sequences one behind the other, each with itself. */
static void packed_sequences(void **state)
{
    static const int64_t first[] = { 0, 7, 7, 200, 216, 300, 301 };
    int32_t ranges[12];
    int64_t ptr[7];
    uint8_t mask[301] = { 0 };
    (void)state;
    for (int g = 0; g <= 6; g++) {
        ptr[g] = g;
        if (g == 6) break;
        ranges[2 * g] = (int32_t)first[g];
        ranges[2 * g + 1] = (int32_t)first[g + 1];
    }
    for (int i = 0; i < 301; i += 5) mask[i] = 1;
    for (int r = 0; r < REACHES; r++) {
        const struct ranges_input in = { 6, first, ptr, ranges, reaches[r].before, reaches[r].after, 1 };
        const struct point_set all = { .n = 301 }, masked = { .n = 301, .mask = mask };
        check("packed", &all, NULL, &in, in.before == in.after);
        check("packed, masked", &masked, NULL, &in, in.before == in.after);
    }
}

/* Pages of a key cache in no order, the last of each sequence filled in part; prefill, decode, and queries of which
 * some stand before the first key. */
static void pages(void **state)
{
    enum { PAGE = 16, PAGES = 120, GROUPS = 9 };
    (void)state;
    for (int seed_at = 0; seed_at < 6; seed_at++) {
        uint64_t seed = 50 + (uint64_t)seed_at;
        int32_t page[PAGES], ranges[2 * PAGES];
        int64_t first[GROUPS + 1] = { 0 }, ptr[GROUPS + 1] = { 0 }, used = 0;
        for (int i = 0; i < PAGES; i++) page[i] = i;
        for (int i = PAGES - 1; i > 0; i--) {
            int j = (int)(random_bits(&seed) % (uint64_t)(i + 1));
            int32_t t = page[i];
            page[i] = page[j];
            page[j] = t;
        }
        for (int g = 0; g < GROUPS; g++) {
            int64_t n = (int64_t)(random_bits(&seed) % 13),
                    queries = g % 3 == 0 ? 1 : (int64_t)(random_bits(&seed) % 150);
            first[g + 1] = first[g] + queries;
            ptr[g + 1] = ptr[g] + n;
            for (int64_t i = ptr[g]; i < ptr[g + 1]; i++, used++) {
                int32_t cut = i == ptr[g + 1] - 1 ? (int32_t)(random_bits(&seed) % PAGE) : 0;
                ranges[2 * i] = PAGE * page[used] + (seed_at == 5 ? 3 : 0); /* also off the pages */
                ranges[2 * i + 1] = PAGE * page[used] + PAGE - cut;
                if (ranges[2 * i + 1] < ranges[2 * i]) ranges[2 * i + 1] = ranges[2 * i];
            }
        }
        uint8_t *q_mask = random_mask(&seed, first[GROUPS], 0.1), *k_mask = random_mask(&seed, PAGE * PAGES, 0.1);
        for (int r = 0; r < REACHES; r++) {
            const struct ranges_input in = { GROUPS, first, ptr, ranges, reaches[r].before, reaches[r].after, 1 };
            struct point_set q = { .n = first[GROUPS] }, k = { .n = PAGE * PAGES };
            check("pages", &q, &k, &in, false);
            q.mask = q_mask;
            k.mask = k_mask;
            check("pages, masked", &q, &k, &in, false);
        }
        free(q_mask);
        free(k_mask);
    }
}

static void nothing(void **state)
{
    static const int64_t zero[2] = { 0, 0 };
    const struct ranges_input none = { 0, zero, zero, NULL, -1, 0, 1 }, empty = { 1, zero, zero, NULL, -1, -1, 1 };
    const struct point_set no_queries = { .n = 0 }, keys = { .n = 20 };
    (void)state;
    check("no groups", &no_queries, &keys, &none, false);
    check("a group of nothing", &no_queries, &keys, &empty, false);
    check("nothing at all", &no_queries, NULL, &none, true);
}

static void refused(void **state)
{
    const int64_t first[] = { 0, 2, 4 }, ptr[] = { 0, 2, 3 }, wrong_ptr[] = { 0, 2, 1 }, few[] = { 0, 2, 3 };
    const int32_t ranges[] = { 0, 4, 8, 9, 2, 10 }, twice[] = { 4, 9, 0, 5, 2, 10 }, far[] = { 0, 4, 8, 11, 2, 10 };
    const struct point_set q = { .n = 4 }, k = { .n = 10 };
    struct ranges_input in = { 2, first, ptr, ranges, -1, -1, 1 };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_OK(pattern_ranges(&q, &k, &in, pool, &p, &err));
    pattern_release(p);
    in.ranges = twice;
    CHECK_FAILS(pattern_ranges(&q, &k, &in, pool, &p, &err), VIC_BAD_INPUT,
                "group 0: expected each key once, found key 4");
    in.ranges = far;
    CHECK_FAILS(pattern_ranges(&q, &k, &in, pool, &p, &err), VIC_BAD_INPUT, "range 1, of group 0");
    in.ranges = ranges;
    in.range_ptr = wrong_ptr;
    CHECK_FAILS(pattern_ranges(&q, &k, &in, pool, &p, &err), VIC_BAD_INPUT, "range_offsets[2]: expected 2 to");
    in.range_ptr = ptr;
    in.first_query = few;
    CHECK_FAILS(pattern_ranges(&q, &k, &in, pool, &p, &err), VIC_BAD_INPUT,
                "query_offsets[2]: expected 4 to 4, found 3");
    in.first_query = first;
    in.before = -2;
    CHECK_FAILS(pattern_ranges(&q, &k, &in, pool, &p, &err), VIC_BAD_ARGUMENT, "left, right");
    assert_null(p);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_sequences),
        cmocka_unit_test(pages),
        cmocka_unit_test(nothing),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests_name("pattern_ranges", tests, NULL, NULL);
}
