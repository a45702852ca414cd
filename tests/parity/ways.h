/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to a pattern other than a cutoff, as cases of attention ask for them, and the cases of block masks. */
#ifndef VIC_TESTS_WAYS_H
#define VIC_TESTS_WAYS_H

#include "attention_case.h"

static inline int64_t second_set(const struct brute_points *points)
{
    return points->one_set ? 0 : points->n_k;
}

/* A third of the blocks; none in the third block row, all in the second. */
static inline vic_pattern *way_blocks(const struct attention_case *c, const struct brute_points *points,
                                      uint64_t seed)
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
static inline vic_pattern *way_grid(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
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

static inline vic_pattern *way_windows(const struct attention_case *c, const struct brute_points *points,
                                       uint64_t seed)
{
    vic_pattern *p;
    vic_error err;
    (void)points;
    (void)seed;
    CHECK_OK(vic_pattern_windows(c->n_q, c->way_size, 3 * c->way_size, NULL, &p, &err));
    return p;
}

static inline vic_pattern *way_nearest(const struct attention_case *c, const struct brute_points *points,
                                       uint64_t seed)
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
static inline int64_t draw_pairs(const struct attention_case *c, int64_t n_k, uint64_t seed, int32_t **query,
                                 int32_t **key)
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

static inline vic_pattern *way_pairs(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
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

static inline vic_pattern *cutoff_pattern(const struct attention_case *c, const struct brute_points *points,
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
static inline vic_pattern *way_unite(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    vic_pattern *near = cutoff_pattern(c, points, NULL, NULL), *nearest = way_nearest(c, points, seed), *p;
    vic_error err;
    CHECK_OK(vic_pattern_unite(near, nearest, &p, &err));
    vic_pattern_free(near);
    vic_pattern_free(nearest);
    return p;
}

static inline vic_pattern *way_exclude(const struct attention_case *c, const struct brute_points *points,
                                       uint64_t seed)
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

static inline vic_pattern *way_skip(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
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
static inline vic_pattern *way_molecules(const struct attention_case *c, const struct brute_points *points,
                                         uint64_t seed)
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

#endif
