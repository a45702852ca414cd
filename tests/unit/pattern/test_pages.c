/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of a cache against their words: the keys of a group one by one, each query's place, each pair. */
#include "pattern/pages.h"

#include "unit/pattern/expect.h"

enum { GROUPS = 9, STRIDE = 14, MOST = STRIDE * 48 };

static const int32_t no_image[3] = { 0, 0, 0 };

struct problem {
    int64_t first[GROUPS + 1], length[GROUPS];
    int32_t table[GROUPS][STRIDE];
};

static void shuffled(uint64_t *seed, int32_t *x, int n)
{
    for (int i = 0; i < n; i++) x[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)(random_bits(seed) % (uint64_t)(i + 1));
        int32_t t = x[i];
        x[i] = x[j];
        x[j] = t;
    }
}

/* Prefill, decode, nothing; queries of which some stand before the first key; groups that have pages in common. */
static void problem_make(struct problem *m, uint64_t seed, int64_t page, int64_t share, int pages)
{
    int32_t order[256];
    assert_in_range(pages, STRIDE, sizeof order / sizeof *order);
    *m = (struct problem){ 0 };
    for (int g = 0; g < GROUPS; g++) {
        int64_t queries = g % 3 == 0 ? 1 : (int64_t)(random_bits(&seed) % 70);
        m->first[g + 1] = m->first[g] + queries * share;
        m->length[g] = g == 4   ? 0
                       : g == 5 ? STRIDE * page
                                : (int64_t)(random_bits(&seed) % (STRIDE * (uint64_t)page));
        shuffled(&seed, order, pages);
        memcpy(m->table[g], order, sizeof m->table[g]);
    }
}

static void expect_group(struct expected *e, const struct pages_input *in, int64_t g, const struct point_set *q,
                         const struct point_set *k)
{
    int64_t keys[MOST], n = in->length[g], m = in->first_query[g + 1] - in->first_query[g];
    for (int64_t i = 0; i < n; i++) keys[i] = in->table[g * in->stride + i / in->page] * in->page + i % in->page;
    for (int64_t r = 0; r < m; r++) {
        int64_t own = n - m / in->share + r / in->share, query = in->first_query[g] + r;
        for (int64_t place = 0; place < n; place++) {
            bool far_back = in->before >= 0 && place < own - in->before;
            bool far_ahead = in->after >= 0 && place > own + in->after;
            if (far_back || far_ahead || (q->mask && q->mask[query]) || (k->mask && k->mask[keys[place]])) continue;
            expect_pair(e, (int32_t)query, (int32_t)keys[place], no_image, 0.0);
        }
    }
}

static void check(const char *what, const struct point_set *q, const struct point_set *k,
                  const struct pages_input *in)
{
    struct expected e = { 0 };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    CHECK_OK(pool_create(2, &pool, &err));
    CHECK_OK(pattern_pages(q, k, in, pool, &p, &err));
    for (int64_t g = 0; g < in->groups; g++) expect_group(&e, in, g, q, k ? k : q);
    assert_string_equal(pattern_kind(p), "ranges");
    expect_pattern(what, p, &e, pool);
    pattern_release(p);
    pool_free(pool);
}

static const struct {
    int64_t before, after;
} reaches[] = { { -1, -1 }, { -1, 0 }, { 31, 0 }, { 0, 0 }, { 5, 70 }, { 40, 40 }, { 0, -1 }, { 1 << 30, 3 } };
enum { REACHES = sizeof reaches / sizeof *reaches };

static void random_tables(void **state)
{
    static const int64_t sizes[] = { 16, 48, 16, 32 }, shares[] = { 1, 1, 4, 7 };
    (void)state;
    for (size_t t = 0; t < sizeof sizes / sizeof *sizes; t++) {
        uint64_t seed = 300 + t;
        struct problem m;
        int pages = 40;
        problem_make(&m, seed, sizes[t], shares[t], pages);
        int64_t slots = pages * sizes[t] + (t == 1 ? 21 : 0); /* keys behind the last page */
        uint8_t *q_mask = random_mask(&seed, m.first[GROUPS], 0.1), *k_mask = random_mask(&seed, slots, 0.1);
        for (int r = 0; r < REACHES; r++) {
            const struct pages_input in = { GROUPS, sizes[t],          m.first,          m.length, m.table[0],
                                            STRIDE, reaches[r].before, reaches[r].after, shares[t] };
            struct point_set q = { .n = m.first[GROUPS] }, k = { .n = slots };
            check("pages", &q, &k, &in);
            q.mask = q_mask;
            k.mask = k_mask;
            check("pages, masked", &q, &k, &in);
        }
        free(q_mask);
        free(k_mask);
    }
}

/* Queries that are the keys: pages in no order, of which each query sees some. */
static void one_set(void **state)
{
    static const int64_t first[] = { 0, 40, 96 }, length[] = { 50, 96 };
    static const int32_t table[][6] = { { 3, 0, 5, 1, -7, 99 }, { 5, 4, 0, 1, 3, 2 } };
    const struct pages_input in = { 2, 16, first, length, table[0], 6, 9, 0, 8 };
    const struct point_set all = { .n = 96 };
    (void)state;
    check("one set", &all, NULL, &in);
}

/* A server that slides its window gives pages back and writes anything in their place: those that no query sees are not
 * read, whether they exist or not and however often they occur. */
static void unseen_pages(void **state)
{
    static const int64_t first[] = { 0, 3, 4, 4 }, length[] = { 100, 64, 40 };
    int32_t table[][7] = { { 0, 0, 0, 0, 8, 3, 1 }, { -1, -1, 99, 2, -5, 7, 7 }, { 77, -1, 77, 0, 0, 0, 0 } };
    const struct pages_input in = { 3, 16, first, length, table[0], 7, 29, 0, 1 };
    const struct point_set q = { .n = 4 }, k = { .n = 160 };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    (void)state;
    table[1][2] = 5; /* place 63 - 29 = 34 is in it */
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_OK(pattern_pages(&q, &k, &in, pool, &p, &err));
    assert_int_equal(p->info.pairs, 4 * 30);
    pattern_release(p);
    table[1][2] = 99;
    CHECK_FAILS(pattern_pages(&q, &k, &in, pool, &p, &err), VIC_BAD_INPUT,
                "page 2 of group 1: expected 0 to 9, as 160 keys are so many pages of 16, found 99");
    assert_null(p);
    pool_free(pool);
}

static void nothing(void **state)
{
    static const int64_t zero[2] = { 0, 0 };
    const struct pages_input none = { 0, 16, zero, NULL, NULL, 0, -1, 0, 1 };
    const struct pages_input empty = { 1, 16, zero, zero, NULL, 0, -1, -1, 1 };
    const struct point_set no_queries = { .n = 0 }, keys = { .n = 20 }, no_keys = { .n = 0 };
    (void)state;
    check("no groups", &no_queries, &keys, &none);
    check("a group of nothing", &no_queries, &keys, &empty);
    check("nothing at all", &no_queries, &no_keys, &none);
    check("nothing with itself", &no_queries, NULL, &none);
}

static void refused(void **state)
{
    const int64_t first[] = { 0, 2, 6 }, length[] = { 20, 33 }, long_one[] = { 20, 49 }, negative[] = { -1, 33 },
                  few[] = { 0, 2, 5 };
    const int32_t table[] = { 0, 5, -1, 4, 1, 5 }, twice[] = { 0, 5, -1, 4, 1, 4 }, far[] = { 0, 6, -1, 4, 1, 5 },
                  below[] = { 0, 5, -1, 4, -1, 5 };
    const struct pages_input good = { 2, 16, first, length, table, 3, -1, -1, 1 };
    const struct point_set q = { .n = 6 }, k = { .n = 16 * 6 + 15 };
    const struct {
        struct pages_input in;
        vic_status status;
        const char *words;
    } wrong[] = {
        { { -1, 16, first, length, table, 3, -1, -1, 1 }, VIC_BAD_ARGUMENT, "groups: expected 0 to" },
        { { 2, 8, first, length, table, 3, -1, -1, 1 },
          VIC_BAD_ARGUMENT,
          "page: expected a multiple of 16 keys, got 8" },
        { { 2, 0, first, length, table, 3, -1, -1, 1 },
          VIC_BAD_ARGUMENT,
          "page: expected a multiple of 16 keys, got 0" },
        { { 2, -16, first, length, table, 3, -1, -1, 1 }, VIC_BAD_ARGUMENT, "got -16" },
        { { 2, 40, first, length, table, 3, -1, -1, 1 }, VIC_BAD_ARGUMENT, "got 40" },
        { { 2, (int64_t)1 << 31, first, length, table, 3, -1, -1, 1 }, VIC_BAD_ARGUMENT, "got 2147483648" },
        { { 2, 16, NULL, length, table, 3, -1, -1, 1 }, VIC_BAD_ARGUMENT, "query_offsets is NULL" },
        { { 2, 16, few, length, table, 3, -1, -1, 1 }, VIC_BAD_INPUT, "query_offsets[2]: expected 6 to 6, found 5" },
        { { 2, 16, first, NULL, table, 3, -1, -1, 1 }, VIC_BAD_ARGUMENT, "lengths is NULL" },
        { { 2, 16, first, long_one, table, 3, -1, -1, 1 },
          VIC_BAD_INPUT,
          "lengths[1]: expected 0 to 48 keys, as a row of the table has 3 pages, found 49" },
        { { 2, 16, first, negative, table, 3, -1, -1, 1 }, VIC_BAD_INPUT, "lengths[0]: expected 0 to 48" },
        { { 2, 16, first, length, NULL, 3, -1, -1, 1 }, VIC_BAD_ARGUMENT, "table is NULL" },
        { { 2, 16, first, length, table, -1, -1, -1, 1 }, VIC_BAD_ARGUMENT, "table_stride: expected 0 to" },
        { { 2, 16, first, length, table, 1, -1, -1, 1 }, VIC_BAD_INPUT, "lengths[0]: expected 0 to 16" },
        { { 2, 16, first, length, twice, 3, -1, -1, 1 },
          VIC_BAD_INPUT,
          "page 2 of group 1: expected each page once, found 4 again" },
        { { 2, 16, first, length, far, 3, -1, -1, 1 }, VIC_BAD_INPUT, "page 1 of group 0: expected 0 to 5" },
        { { 2, 16, first, length, below, 3, -1, -1, 1 }, VIC_BAD_INPUT, "found -1" },
        { { 2, 16, first, length, table, 3, -2, -1, 1 }, VIC_BAD_ARGUMENT, "left, right" },
        { { 2, 16, first, length, table, 3, -1, -1, 0 }, VIC_BAD_ARGUMENT, "queries_per_place: expected 1 to" },
        { { 2, 16, first, length, table, 3, -1, -1, 4 },
          VIC_BAD_INPUT,
          "group 0: expected a multiple of the 4 queries that share a place, found 2 queries" },
    };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_OK(pattern_pages(&q, &k, &good, pool, &p, &err));
    assert_int_equal(p->info.pairs, 2 * 20 + 4 * 33);
    pattern_release(p);
    for (size_t t = 0; t < sizeof wrong / sizeof *wrong; t++) {
        CHECK_FAILS(pattern_pages(&q, &k, &wrong[t].in, pool, &p, &err), wrong[t].status, wrong[t].words);
        assert_null(p);
    }
    pool_free(pool);
}

/* Nothing of the pattern has a size that grows with the cache: it takes the same memory, and what is wanted as an array
 * of all keys is made when it is asked for. */
static void a_large_cache(void **state)
{
    const int64_t first[] = { 0, 1 }, length[] = { 40 };
    const int32_t table[] = { 7, 2, 9 };
    const struct pages_input in = { 1, 16, first, length, table, 3, -1, 0, 1 };
    const struct point_set q = { .n = 1 }, small = { .n = 160 }, large = { .n = 1 << 24 };
    struct pool *pool;
    vic_pattern *a, *b;
    vic_error err;
    const int32_t *order, *again;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_OK(pattern_pages(&q, &small, &in, pool, &a, &err));
    CHECK_OK(pattern_pages(&q, &large, &in, pool, &b, &err));
    assert_int_equal(a->info.bytes, b->info.bytes);
    assert_null(b->k_order);
    CHECK_OK(pattern_key_order(b, &order, &err));
    CHECK_OK(pattern_key_order(b, &again, &err));
    assert_ptr_equal(order, again);
    for (int32_t i = 0; i < 1 << 24; i++)
        if (order[i] != i) fail_msg("row %d is key %d", i, order[i]);
    pattern_release(a);
    pattern_release(b);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_tables), cmocka_unit_test(one_set), cmocka_unit_test(unseen_pages),
        cmocka_unit_test(nothing),       cmocka_unit_test(refused), cmocka_unit_test(a_large_cache),
    };
    return cmocka_run_group_tests_name("pattern_pages", tests, NULL, NULL);
}
