/* SPDX-License-Identifier: Apache-2.0 */
/* What does not go together, and numbers beyond what there is: refused with words that say which. */
#include "pattern/block_mask.h"
#include "pattern/generate.h"
#include "pattern/pairs.h"
#include "pattern/transpose.h"
#include "pattern/update.h"
#include "unit/pattern/kinds.h"

static struct pool *pool;

static vic_pattern *within(const struct point_set *q, const struct point_set *k)
{
    const struct cutoff_input in = { .cutoff = 4.0 };
    vic_pattern *p;
    vic_error err;
    CHECK_OK(pattern_cutoff(q, k, &in, pool, &p, &err));
    return p;
}

/* ---- unions and differences ---- */

static void check_apart(const struct point_set *q, const struct point_set *k, const struct point_set *other_q,
                        const struct point_set *other_k, const char *words)
{
    vic_pattern *a = within(q, k), *b = within(other_q, other_k), *p;
    char with_name[200];
    vic_error err;
    for (int order = 0; order < 2; order++) {
        vic_pattern *first = order ? b : a, *second = order ? a : b;
        snprintf(with_name, sizeof with_name, "a union is over the same %s", words);
        CHECK_FAILS(pattern_unite(first, second, pool, &p, &err), VIC_BAD_ARGUMENT, with_name);
        assert_null(p);
        snprintf(with_name, sizeof with_name, "a difference is over the same %s", words);
        CHECK_FAILS(pattern_difference(first, second, pool, &p, &err), VIC_BAD_ARGUMENT, with_name);
        assert_null(p);
    }
    pattern_release(a);
    pattern_release(b);
}

static void sets_that_differ(void **state)
{
    const bool slab[3] = { true, true, false };
    struct kinds s;
    (void)state;
    kinds_make(&s, 3, true, false);
    struct point_set q = s.q, k = s.k;
    q.n--;
    check_apart(&s.q, NULL, &q, NULL, "atoms: expected");
    k.n--;
    check_apart(&s.q, &s.k, &s.q, &k, "atoms: expected");
    k.n = s.q.n; /* as many keys, but of their own */
    check_apart(&s.q, NULL, &s.q, &k, "atoms: expected 150 queries and");
    q = s.q;
    q.periodic = slab;
    check_apart(&s.q, NULL, &q, NULL, "cell");
    q.periodic = NULL;
    q.cells = kinds_cell + 18;
    check_apart(&s.q, NULL, &q, NULL, "cell");
    q = s.q;
    q.ids = s.q_ids;
    check_apart(&s.q, NULL, &q, NULL, "ids");
    k = s.k;
    k.ids = s.k_ids;
    q.ids = NULL;
    check_apart(&s.q, &s.k, &s.q, &k, "ids");
    kinds_free(&s);
}

static void positions_that_differ(void **state)
{
    double *moved;
    struct kinds s;
    char words[100];
    (void)state;
    kinds_make(&s, 4, true, false);
    moved = malloc(3 * KIND_KEYS * sizeof *moved);
    assert_non_null(moved);
    for (int side = 0; side < 2; side++)
        for (int c = 0; c < 3; c++) {
            struct point_set q = s.q, k = s.k;
            const int64_t n = side ? KIND_KEYS : KIND_QUERIES;
            memcpy(moved, side ? s.y : s.x, 3 * (size_t)n * sizeof *moved);
            moved[3 * (n - 1) + c] += 1e-9;
            *(side ? &k.positions : &q.positions) = moved;
            snprintf(words, sizeof words, "positions: %s atom %lld is at", side ? "key" : "query", (long long)n - 1);
            check_apart(&s.q, &s.k, &q, &k, words);
        }
    free(moved);
    kinds_free(&s);
}

static void structures_that_differ(void **state)
{
    const int64_t other[] = { 0, 40, 46, KIND_QUERIES }, other_keys[] = { 0, 20, 101, KIND_KEYS },
                  fewer[] = { 0, 45, KIND_QUERIES };
    const bool open[9] = { false, false, false, false, false, false, true, true, false };
    double cells[27];
    struct kinds s;
    (void)state;
    kinds_make(&s, 5, true, true);
    struct point_set q = s.q, k = s.k;
    q.group_offsets = other;
    check_apart(&s.q, NULL, &q, NULL, "structures, got 3 and 3");
    k.group_offsets = other_keys;
    check_apart(&s.q, &s.k, &s.q, &k, "structures, got 3 and 3");
    q.group_offsets = fewer;
    q.groups = 2;
    q.cells = NULL;
    check_apart(&s.q, NULL, &q, NULL, "structures, got ");
    q = s.q;
    q.periodic = open;
    check_apart(&s.q, NULL, &q, NULL, "cells: structure 0 has different ones");
    memcpy(cells, kinds_cell, sizeof cells);
    cells[26] += 1;
    q.periodic = NULL;
    q.cells = cells;
    check_apart(&s.q, NULL, &q, NULL, "cells: structure 2 has different ones");
    kinds_free(&s);
}

/* ---- sets of points ---- */

static void numbers_of_groups(void **state)
{
    const struct cutoff_input in = { .cutoff = 1.0 };
    const int64_t offsets[] = { 0, 2 };
    double x[6] = { 0 };
    struct point_set q = { .n = 2, .positions = x, .group_offsets = offsets };
    vic_pattern *p;
    vic_error err;
    (void)state;
    q.groups = -1;
    CHECK_FAILS(pattern_cutoff(&q, NULL, &in, pool, &p, &err), VIC_BAD_ARGUMENT, "got -1");
    q.groups = 0;
    CHECK_FAILS(pattern_cutoff(&q, NULL, &in, pool, &p, &err), VIC_BAD_ARGUMENT, "expected 1 to 2147483647, got 0");
    q.groups = (int64_t)INT32_MAX + 1;
    CHECK_FAILS(pattern_cutoff(&q, NULL, &in, pool, &p, &err), VIC_BAD_ARGUMENT, "got 2147483648");
}

static void cells_of_no_use(void **state)
{
    const struct cutoff_input in = { .cutoff = 1.0 };
    const double values[] = { NAN, INFINITY, -1e10 };
    double x[6] = { 0 }, cell[9] = { 5, 0, 0, 0, 5, 0, 0, 0, 5 };
    const struct point_set q = { .n = 2, .positions = x, .cells = cell };
    vic_pattern *p;
    vic_error err;
    (void)state;
    for (int i = 0; i < 9; i++)
        for (int v = 0; v < 3; v++) {
            double kept = cell[i];
            cell[i] = values[v];
            CHECK_FAILS(pattern_cutoff(&q, NULL, &in, pool, &p, &err), VIC_BAD_INPUT, "cell");
            cell[i] = kept;
        }
}

static void numbers_of_atoms(void **state)
{
    const int64_t wrong[] = { -1, (int64_t)INT32_MAX - STRIP + 1, INT64_MAX }, ptr[] = { 0, 0 };
    const struct block_mask none = { 16, ptr, NULL };
    vic_pattern *p;
    vic_error err;
    (void)state;
    for (size_t t = 0; t < sizeof wrong / sizeof *wrong; t++)
        for (int side = 0; side < 2; side++) {
            const struct point_set few = { .n = 16 }, many = { .n = wrong[t] };
            CHECK_FAILS(pattern_from_blocks(side ? &few : &many, side ? &many : &few, &none, pool, &p, &err),
                        VIC_BAD_ARGUMENT, "a pattern holds 0 to");
            assert_null(p);
        }
}

/* ---- lists ---- */

static void pairs_of_no_atoms(void **state)
{
    static const struct {
        int32_t i, j;
        const char *words;
    } wrong[] = {
        { -1, 0, "expected a query atom from 0 to 1, found -1" },
        { 2, 0, "expected a query atom from 0 to 1, found 2" },
        { 0, -1, "expected a key atom from 0 to 2, found -1" },
        { 0, 3, "expected a key atom from 0 to 2, found 3" },
    };
    const struct point_set q = { .n = 2 }, k = { .n = 3 };
    vic_pattern *p, *all;
    vic_error err;
    (void)state;
    const int64_t ptr[] = { 0, 1 };
    const int32_t column[] = { 0 };
    const struct block_mask whole = { 16, ptr, column };
    CHECK_OK(pattern_from_blocks(&q, &k, &whole, pool, &all, &err));
    for (size_t t = 0; t < sizeof wrong / sizeof *wrong; t++) {
        const struct pair_list list = { 1, &wrong[t].i, &wrong[t].j, NULL };
        CHECK_FAILS(pattern_from_pairs(&q, &k, &list, pool, &p, &err), VIC_BAD_INPUT, wrong[t].words);
        CHECK_FAILS(pattern_exclude(all, &list, pool, &p, &err), VIC_BAD_INPUT, wrong[t].words);
        assert_null(p);
    }
    const struct pair_list none = { -1, &wrong[0].i, &wrong[0].j, NULL };
    CHECK_FAILS(pattern_from_pairs(&q, &k, &none, pool, &p, &err), VIC_BAD_ARGUMENT, "-1");
    const struct pair_list no_queries = { 1, NULL, &wrong[0].j, NULL };
    CHECK_FAILS(pattern_from_pairs(&q, &k, &no_queries, pool, &p, &err), VIC_BAD_ARGUMENT, "both arrays");
    pattern_release(all);
}

static void ranges_of_nothing(void **state)
{
    const int64_t first[] = { 0, 4 }, ptr[] = { 0, 1 };
    const int32_t range[] = { 0, 4 };
    const struct point_set q = { .n = 4 };
    const struct {
        struct ranges_input in;
        vic_status status;
        const char *words;
    } wrong[] = {
        { { -1, first, ptr, range, -1, -1, 1 }, VIC_BAD_ARGUMENT, "groups: expected 0 to 2147483647, got -1" },
        { { (int64_t)INT32_MAX + 1, first, ptr, range, -1, -1, 1 }, VIC_BAD_ARGUMENT, "got 2147483648" },
        { { 1, NULL, ptr, range, -1, -1, 1 }, VIC_BAD_ARGUMENT, "query_offsets is NULL" },
        { { 1, first, NULL, range, -1, -1, 1 }, VIC_BAD_ARGUMENT, "range_offsets is NULL" },
        { { 1, first, ptr, NULL, -1, -1, 1 }, VIC_BAD_ARGUMENT, "ranges is NULL, but range_offsets counts 1" },
        { { 0, first, ptr, range, -1, -1, 1 }, VIC_BAD_INPUT, "expected groups that hold 4 queries, found none" },
        { { 1, first, ptr, range, -1, -2, 1 }, VIC_BAD_ARGUMENT, "got -1 and -2" },
        { { 1, first, ptr, range, -1, -1, 0 },
          VIC_BAD_ARGUMENT,
          "queries_per_place: expected 1 to 2147483647, got 0" },
        { { 1, first, ptr, range, -1, -1, 3 },
          VIC_BAD_INPUT,
          "group 0: expected a multiple of the 3 queries that share a place, found 4" },
    };
    vic_pattern *p;
    vic_error err;
    (void)state;
    for (size_t t = 0; t < sizeof wrong / sizeof *wrong; t++) {
        CHECK_FAILS(pattern_ranges(&q, NULL, &wrong[t].in, pool, &p, &err), wrong[t].status, wrong[t].words);
        assert_null(p);
    }
}

static void masks_of_other_blocks(void **state)
{
    static const int64_t wrong[][2] = { { 8, 16 }, { -16, 16 }, { 24, 16 }, { 16, 8 }, { 16, -16 }, { 16, 24 } };
    int32_t numbers[2], indices[2];
    struct block_mask_arrays out = { numbers, NULL, numbers + 1, indices, 0 };
    const int64_t huge = INT64_MAX - 15;
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(pattern_generate("blocks:1x1:n=1,block=64", pool, &p, &err));
    for (size_t t = 0; t < sizeof wrong / sizeof *wrong; t++)
        CHECK_FAILS(pattern_block_mask(p, wrong[t][0], wrong[t][1], &out, &err), VIC_BAD_ARGUMENT, "multiples of 16");
    CHECK_FAILS(pattern_block_mask(p, 64, 64, &out, &err), VIC_BAD_ARGUMENT, "stride: block row 0 has 1 blocks");
    out.stride = 1;
    CHECK_OK(pattern_block_mask(p, huge, huge, &out, &err)); /* one block, of which all that exists is there */
    assert_true(numbers[0] == 0 && numbers[1] == 1 && indices[0] == 0);
    pattern_release(p);
    assert_true(block_mask_count(64, huge) == 1 && block_mask_count(0, huge) == 0 && block_mask_count(64, 16) == 4 &&
                block_mask_count(65, 16) == 5);
}

static void requests_of_no_sense(void **state)
{
    static const char *const texts[] = {
        "blocks:0x3:n=0",
        "blocks:3x0:n=0",
        "blocks:3x3",
        "blocks:3x3:n=1,density=0.5",
        "blocks:3x3:seed=1",
        "blocks:3x3:n=1,n=2",
        "blocks:3x3:density=.",
        "blocks:3x3:density=0.5,density=0.5",
        "blocks:3x3:n=",
        "blocks:3x3:density=.5.",
        "blocks:3x3:density=1.5",
    };
    vic_pattern *p;
    vic_error err;
    (void)state;
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        CHECK_FAILS(pattern_generate(texts[t], pool, &p, &err), VIC_BAD_ARGUMENT, "expected blocks:ROWSxCOLUMNS");
        assert_null(p);
    }
}

/* ---- updates ---- */

static void updates_of_other_points(void **state)
{
    static const double cell[3][3] = { { 9, 0, 0 }, { 2, 8, 0 }, { 0, 1, 10 } }; /* that of kinds.h */
    struct kinds s;
    vic_error err;
    (void)state;
    for (int groups = 0; groups < 2; groups++) {
        kinds_make(&s, 9, false, groups);
        vic_pattern *p = kinds_pattern(&s, KIND_CUTOFF, pool), *before = p, *turned;
        CHECK_FAILS(pattern_update(&p, NULL, NULL, NULL, pool, &err), VIC_BAD_ARGUMENT, "150");
        CHECK_FAILS(pattern_update(&p, s.x, s.y, NULL, pool, &err), VIC_BAD_ARGUMENT, "of one set of");
        if (groups)
            CHECK_FAILS(pattern_update(&p, s.x, NULL, cell, pool, &err), VIC_BAD_ARGUMENT, "several structures");
        else
            CHECK_OK(pattern_update(&p, s.x, NULL, cell, pool, &err));
        assert_true(groups == (p == before));
        pattern_release(p);
        p = before = kinds_pattern(&s, KIND_NEAREST, pool);
        CHECK_OK(pattern_transpose(p, pool, &turned, &err));
        CHECK_FAILS(pattern_update(&turned, s.x, NULL, NULL, pool, &err), VIC_BAD_ARGUMENT,
                    "got one of kind transpose");
        if (!groups) { /* with the same cell the nearest are the same */
            struct expected there = pairs_there(p, pool);
            CHECK_OK(pattern_update(&p, s.x, NULL, cell, pool, &err));
            expect_pattern("same cell", p, &there, pool);
        }
        pattern_release(turned);
        pattern_release(p);
        kinds_free(&s);
    }
}

static int make_pool(void **state)
{
    vic_error err;
    (void)state;
    return pool_create(2, &pool, &err) == VIC_OK ? 0 : -1;
}

static int free_pool(void **state)
{
    (void)state;
    pool_free(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_that_differ),        cmocka_unit_test(positions_that_differ),
        cmocka_unit_test(structures_that_differ),  cmocka_unit_test(numbers_of_groups),
        cmocka_unit_test(numbers_of_atoms),        cmocka_unit_test(cells_of_no_use),
        cmocka_unit_test(pairs_of_no_atoms),       cmocka_unit_test(ranges_of_nothing),
        cmocka_unit_test(masks_of_other_blocks),   cmocka_unit_test(requests_of_no_sense),
        cmocka_unit_test(updates_of_other_points),
    };
    return cmocka_run_group_tests_name("pattern_refusals", tests, make_pool, free_pool);
}
