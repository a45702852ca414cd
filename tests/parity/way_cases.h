/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over patterns that are no cutoff, and over many sizes, heads and items: for every row of this machine, as
 * attention_cases.h.  The reference decides the pairs by each way's definition, not by the blocks. */
#ifndef VIC_TESTS_WAY_CASES_H
#define VIC_TESTS_WAY_CASES_H

#include "attention_cases.h"

/* ---- Ways ---------------------------------------------------------------------------------------------------- */

static int64_t second_set(const struct brute_points *points)
{
    return points->one_set ? 0 : points->n_k;
}

/* A third of the blocks; none in the third block row, all in the second. */
static vic_pattern *way_blocks(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    int64_t n_k = points->one_set ? c->n_q : c->n_k;
    int64_t rows = (c->n_q + c->way_size - 1) / c->way_size, columns = (n_k + c->way_size - 1) / c->way_size;
    int64_t *ptr = brute_alloc(rows + 1, sizeof *ptr), n = 0;
    int32_t *column = brute_alloc(rows * columns, sizeof *column);
    vic_pattern *p;
    vic_error err;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t x = 0; x < columns; x++)
            if (r == 1 || (r != 2 && random_uniform(&seed) < 0.33)) column[n++] = (int32_t)x;
        ptr[r + 1] = n;
    }
    CHECK_OK(vic_pattern_from_blocks(c->n_q, second_set(points), c->way_size, ptr, column, NULL, &p, &err));
    free(ptr);
    free(column);
    return p;
}

/* As the origin's: a square grid, a fifth of it. */
static vic_pattern *way_grid(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    char text[80];
    int grid = (int)c->n_q / c->way_size;
    vic_pattern *p;
    vic_error err;
    (void)points;
    snprintf(text, sizeof text, "blocks:%dx%d:density=0.2,block=%d,seed=%llu", grid, grid, c->way_size,
             (unsigned long long)seed);
    CHECK_OK(vic_pattern_generate(text, NULL, &p, &err));
    return p;
}

static vic_pattern *way_windows(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    vic_pattern *p;
    vic_error err;
    (void)points;
    (void)seed;
    CHECK_OK(vic_pattern_windows(c->n_q, c->way_size, 3 * c->way_size, NULL, &p, &err));
    return p;
}

static vic_pattern *way_nearest(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_structure *s;
    vic_pattern *p;
    vic_error err;
    (void)seed;
    o.exclude_self = c->exclude_self;
    CHECK_OK(vic_structure_from_arrays(c->n_q, points->q, c->cell == OPEN ? NULL : points->cell, points->periodic,
                                       NULL, &s, &err));
    CHECK_OK(vic_pattern_nearest(s, c->way_size, &o, &p, &err));
    vic_structure_free(s);
    return p;
}

/* One pair in `way_size`. */
static int64_t draw_pairs(const struct attention_case *c, int64_t n_k, uint64_t seed, int32_t **query, int32_t **key)
{
    int64_t n = 0;
    *query = brute_alloc(c->n_q * n_k, sizeof **query);
    *key = brute_alloc(c->n_q * n_k, sizeof **key);
    for (int64_t i = 0; i < c->n_q; i++)
        for (int64_t j = 0; j < n_k; j++) {
            if (random_bits(&seed) % (uint64_t)c->way_size != 0) continue;
            (*query)[n] = (int32_t)i;
            (*key)[n++] = (int32_t)j;
        }
    return n;
}

static vic_pattern *way_pairs(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    int32_t *query, *key;
    int64_t n = draw_pairs(c, points->one_set ? c->n_q : c->n_k, seed, &query, &key);
    vic_pattern *p;
    vic_error err;
    CHECK_OK(vic_pattern_from_pairs(NULL, c->n_q, second_set(points), n, query, key, NULL, NULL, &p, &err));
    free(query);
    free(key);
    return p;
}

static vic_pattern *cutoff_pattern(const struct attention_case *c, const struct brute_points *points,
                                   const uint8_t *skip, const uint8_t *skip_keys)
{
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_pattern *p;
    vic_error err;
    o.cutoff = c->cutoff;
    o.exclude_self = c->exclude_self;
    o.skip = skip;
    o.skip_keys = skip_keys;
    CHECK_OK(vic_pattern_build_points(points->n_q, points->q, second_set(points), points->one_set ? NULL : points->k,
                                      c->cell == OPEN ? NULL : points->cell, points->periodic, &o, &p, &err));
    return p;
}

/* Within the cutoff or among the nearest. */
static vic_pattern *way_unite(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    vic_pattern *near = cutoff_pattern(c, points, NULL, NULL), *nearest = way_nearest(c, points, seed), *p;
    vic_error err;
    CHECK_OK(vic_pattern_unite(near, nearest, &p, &err));
    vic_pattern_free(near);
    vic_pattern_free(nearest);
    return p;
}

static vic_pattern *way_exclude(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    int32_t *query, *key;
    int64_t n = draw_pairs(c, points->one_set ? c->n_q : c->n_k, seed, &query, &key);
    vic_pattern *all = cutoff_pattern(c, points, NULL, NULL), *p;
    vic_error err;
    CHECK_OK(vic_pattern_exclude(all, n, query, key, NULL, &p, &err));
    vic_pattern_free(all);
    free(query);
    free(key);
    return p;
}

static vic_pattern *way_skip(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    uint8_t *skip = brute_alloc(points->n_q, 1), *skip_keys = brute_alloc(points->n_k, 1);
    for (int64_t i = 0; i < points->n_q; i++) skip[i] = random_bits(&seed) % 3 == 0;
    for (int64_t i = 0; i < second_set(points); i++) skip_keys[i] = random_bits(&seed) % 3 == 0;
    vic_pattern *p = cutoff_pattern(c, points, skip, points->one_set ? NULL : skip_keys);
    free(skip);
    free(skip_keys);
    return p;
}

/* Molecules of 1 to `way_size` atoms, of which several share a strip and some lie in two. */
static vic_pattern *way_molecules(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    int64_t *offsets = brute_alloc(c->n_q + 1, sizeof *offsets), n = 0;
    vic_pattern *p;
    vic_error err;
    o.cutoff = c->cutoff;
    o.exclude_self = c->exclude_self;
    while (offsets[n] < c->n_q) {
        int64_t end = offsets[n] + 1 + (int64_t)(random_bits(&seed) % (uint64_t)c->way_size);
        offsets[++n] = end < c->n_q ? end : c->n_q;
    }
    CHECK_OK(vic_pattern_structures(n, offsets, points->q, NULL, NULL, &o, &p, &err));
    free(offsets);
    return p;
}

/* ---- Cases --------------------------------------------------------------------------------------------------- */

/* Whole square blocks: also what attn_fwd_unfused takes. */
static const struct attention_case block_cases[] = {
    { .name = "grid of 128", .n_q = 640, .n_k = -1, .way = way_grid, .way_size = 128, .heads = 1, .d_qk = 64 },
    { .name = "grid of 64", .n_q = 448, .n_k = -1, .way = way_grid, .way_size = 64, .d_qk = 128 },
    { .name = "blocks of 128", .n_q = 700, .n_k = -1, .way = way_blocks, .way_size = 128, .d_qk = 64 },
    { .name = "blocks of 128, two sets", .n_q = 500, .n_k = 700, .way = way_blocks, .way_size = 128, .d_qk = 64 },
    { .name = "blocks of 64", .n_q = 333, .n_k = 500, .way = way_blocks, .way_size = 64, .heads = 3 },
    { .name = "blocks of 32",
      .n_q = 300,
      .n_k = -1,
      .way = way_blocks,
      .way_size = 32,
      .heads = 6,
      .kv_heads = 2,
      .d_qk = 24,
      .d_v = 40 },
    { .name = "blocks of 16", .n_q = 150, .n_k = 210, .way = way_blocks, .way_size = 16, .layout = PADDED },
    { .name = "blocks of 48", .n_q = 500, .n_k = -1, .way = way_blocks, .way_size = 48, .layout = HEADS_ATOMS },
    { .name = "blocks of 256", .n_q = 700, .n_k = 1024, .way = way_blocks, .way_size = 256, .d_qk = 64 },
    { .name = "blocks of 128, jumps",
      .n_q = 600,
      .n_k = -1,
      .way = way_blocks,
      .way_size = 128,
      .d_qk = 64,
      .values = JUMPS },
    { .name = "blocks of 64, steps",
      .n_q = 500,
      .n_k = -1,
      .way = way_blocks,
      .way_size = 64,
      .d_qk = 64,
      .values = STEPS },
    { .name = "blocks of 64, scores of -1000",
      .n_q = 300,
      .n_k = -1,
      .way = way_blocks,
      .way_size = 64,
      .values = ALL_MINUS_1000,
      .scale = 1.0 },
    { .name = "blocks of 64, scores of -inf",
      .n_q = 300,
      .n_k = -1,
      .way = way_blocks,
      .way_size = 64,
      .values = ALL_MINUS_INF,
      .scale = 1.0 },
    { .name = "blocks of 64, negative scale",
      .n_q = 300,
      .n_k = -1,
      .way = way_blocks,
      .way_size = 64,
      .values = GROWING,
      .scale = -0.5 },
    { .name = "blocks of 64, batch",
      .n_q = 200,
      .n_k = 130,
      .way = way_blocks,
      .way_size = 64,
      .heads = 4,
      .batch = 5,
      .no_lse = true },
    { .name = "one atom, one block", .n_q = 1, .n_k = 1, .way = way_blocks, .way_size = 128 },
};
enum { BLOCK_CASES = sizeof block_cases / sizeof *block_cases };

static const struct attention_case way_cases[] = {
    { .name = "windows", .n_q = 300, .n_k = -1, .way = way_windows, .way_size = 32, .d_qk = 64 },
    { .name = "odd windows", .n_q = 333, .n_k = -1, .way = way_windows, .way_size = 17 },
    { .name = "wide windows", .n_q = 700, .n_k = -1, .way = way_windows, .way_size = 128, .d_qk = 64 },
    { .name = "nearest", .n_q = 400, .n_k = -1, .box = 20, .way = way_nearest, .way_size = 20, .d_qk = 64 },
    { .name = "nearest, periodic, no self",
      .cell = SKEWED,
      .n_q = 200,
      .n_k = -1,
      .box = 12,
      .way = way_nearest,
      .way_size = 33,
      .exclude_self = true },
    { .name = "more neighbours than atoms", .n_q = 70, .n_k = -1, .box = 12, .way = way_nearest, .way_size = 100 },
    { .name = "pairs", .n_q = 300, .n_k = -1, .way = way_pairs, .way_size = 20, .d_qk = 64 },
    { .name = "pairs, two sets", .n_q = 150, .n_k = 610, .way = way_pairs, .way_size = 7, .d_qk = 128 },
    { .name = "few pairs", .n_q = 400, .n_k = 333, .way = way_pairs, .way_size = 2000 },
    { .name = "union", .n_q = 300, .n_k = -1, .box = 20, .cutoff = 4, .way = way_unite, .way_size = 12, .d_qk = 64 },
    { .name = "exclusion", .n_q = 300, .n_k = -1, .box = 16, .cutoff = 6, .way = way_exclude, .way_size = 3 },
    { .name = "exclusion, two sets",
      .cell = CUBIC,
      .n_q = 100,
      .n_k = 200,
      .box = 14,
      .cutoff = 5,
      .way = way_exclude,
      .way_size = 2 },
    { .name = "skipped", .n_q = 400, .n_k = -1, .box = 18, .cutoff = 6, .way = way_skip, .d_qk = 64 },
    { .name = "skipped, two sets", .n_q = 200, .n_k = 300, .box = 16, .cutoff = 6, .way = way_skip },
    { .name = "molecules", .n_q = 600, .n_k = -1, .box = 8, .cutoff = 5, .way = way_molecules, .way_size = 40 },
    { .name = "molecules, no self",
      .n_q = 500,
      .n_k = -1,
      .box = 8,
      .cutoff = 4,
      .way = way_molecules,
      .way_size = 9,
      .d_qk = 64,
      .exclude_self = true },
    { .name = "large molecules",
      .n_q = 700,
      .n_k = -1,
      .box = 14,
      .cutoff = 6,
      .way = way_molecules,
      .way_size = 300,
      .d_qk = 128,
      .batch = 2 },
};

/* In both orders of rows; the small ones in turn. */
static void run_in_orders(const struct attention_case *cases, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++)
        for (int order = 0; order < 2; order++) {
            struct attention_case c = cases[i];
            c.pattern_order = order;
            if (!small() || order == (int)(i % 2)) run_case(&c, seed + i);
        }
}

static void test_blocks(void **state)
{
    (void)state;
    if (nothing_to_test()) skip();
    run_in_orders(block_cases, BLOCK_CASES, 9000);
}

static void test_ways(void **state)
{
    (void)state;
    if (nothing_to_test()) skip();
    run_in_orders(way_cases, sizeof way_cases / sizeof *way_cases, 9200);
}

/* Every number of atoms from 1 to 200: strips, clusters and stages of every length. */
static void test_every_size(void **state)
{
    (void)state;
    if (nothing_to_test()) skip();
    for (int64_t n = 1; n <= 200; n += small() ? 66 : 1) {
        struct attention_case one = {
            .name = "n atoms", .n_q = n, .n_k = -1, .box = 12, .cutoff = 5, .built = true, .heads = 1, .d_qk = 64
        };
        struct attention_case two = {
            .name = "n keys", .n_q = 201 - n, .n_k = n, .way = way_pairs, .way_size = 4, .pattern_order = true
        };
        run_case(&one, 9400 + (uint64_t)n);
        run_case(&two, 9700 + (uint64_t)n);
    }
}

static void test_many_heads_and_items(void **state)
{
    static const int heads[][2] = { { 1, 1 }, { 64, 64 }, { 64, 8 }, { 16, 1 } };
    static const int batches[] = { 1, 2, 7, 64 };
    (void)state;
    if (nothing_to_test()) skip();
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        for (int order = 0; order < 2; order++) {
            struct attention_case c = { .name = "heads",
                                        .n_q = 100,
                                        .n_k = -1,
                                        .box = 10,
                                        .cutoff = 5,
                                        .built = true,
                                        .heads = heads[i][0],
                                        .kv_heads = heads[i][1],
                                        .pattern_order = order };
            struct attention_case items = { .name = "items",
                                            .n_q = 70,
                                            .n_k = -1,
                                            .box = 9,
                                            .cutoff = 5,
                                            .built = true,
                                            .heads = 3,
                                            .d_qk = 16,
                                            .batch = batches[i],
                                            .pattern_order = order };
            if (small() && order == 0) continue;
            run_case(&c, 9900 + i);
            run_case(&items, 9950 + i);
        }
}

#define WAY_TESTS                                                                                                    \
    cmocka_unit_test(test_blocks), cmocka_unit_test(test_ways), cmocka_unit_test(test_every_size),                   \
        cmocka_unit_test(test_many_heads_and_items)

#endif
