/* SPDX-License-Identifier: Apache-2.0 */
#include "ways.h"

#include "problem.h"

static void sets_of(const struct brute_points *points, struct two_sets *s)
{
    s->q = points_of(points->n_q);
    s->k = points_of(points->n_k);
    s->keys = points->one_set ? NULL : &s->k;
}

vic_pattern *way_blocks(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    int64_t n_k = points->one_set ? c->n_q : c->n_k;
    int64_t rows = (c->n_q + c->way_size - 1) / c->way_size, columns = (n_k + c->way_size - 1) / c->way_size;
    int64_t *ptr = brute_alloc(rows + 1, sizeof *ptr), n = 0;
    int32_t *column = brute_alloc(rows * columns, sizeof *column);
    struct two_sets sets;
    vic_pattern *p;
    vic_error err;
    sets_of(points, &sets);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t x = 0; x < columns; x++)
            if (r == 1 || (r != 2 && random_uniform(&seed) < 0.33)) column[n++] = (int32_t)x;
        ptr[r + 1] = n;
    }
    const vic_block_list list = { .size = sizeof list, .block = c->way_size, .row_ptr = ptr, .column = column };
    CHECK_OK(vic_pattern_blocks(NULL, &sets.q, sets.keys, &list, NULL, &p, &err));
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
    CHECK_OK(vic_pattern_generate(NULL, text, NULL, &p, &err));
    return p;
}

vic_pattern *way_windows(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    const vic_points nowhere = points_of(c->n_q);
    vic_pattern *p;
    vic_error err;
    (void)points;
    (void)seed;
    CHECK_OK(vic_pattern_windows(NULL, &nowhere, c->way_size, 3 * c->way_size, NULL, &p, &err));
    return p;
}

vic_pattern *way_nearest(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    const vic_pattern_options o = { .size = sizeof o, .exclude_self = c->exclude_self };
    vic_points at = points_at(c->n_q, points->q, c->cell == OPEN ? NULL : &points->cell[0][0]);
    vic_pattern *p;
    vic_error err;
    (void)seed;
    at.periodic = points->periodic;
    CHECK_OK(vic_pattern_nearest(NULL, &at, NULL, c->way_size, &o, &p, &err));
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

vic_pattern *way_pairs(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    int32_t *query, *key;
    int64_t n = draw_pairs(c, points->one_set ? c->n_q : c->n_k, seed, &query, &key);
    const vic_pair_list list = pairs_listed(n, query, key, NULL);
    struct two_sets sets;
    vic_pattern *p;
    vic_error err;
    sets_of(points, &sets);
    CHECK_OK(vic_pattern_pairs(NULL, &sets.q, sets.keys, &list, NULL, &p, &err));
    free(query);
    free(key);
    return p;
}

vic_pattern *way_union(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    vic_pattern *near = case_pattern(c, points, NULL, NULL), *nearest = way_nearest(c, points, seed), *p;
    vic_error err;
    CHECK_OK(vic_pattern_union(NULL, near, nearest, &p, &err));
    vic_pattern_free(near);
    vic_pattern_free(nearest);
    return p;
}

vic_pattern *way_difference(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    vic_pattern *near = case_pattern(c, points, NULL, NULL), *nearest = way_nearest(c, points, seed), *p;
    vic_error err;
    CHECK_OK(vic_pattern_difference(NULL, near, nearest, &p, &err));
    vic_pattern_free(near);
    vic_pattern_free(nearest);
    return p;
}

vic_pattern *way_transposed(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    vic_pattern *nearest = way_nearest(c, points, seed), *p;
    vic_error err;
    CHECK_OK(vic_pattern_transpose(NULL, nearest, &p, &err));
    vic_pattern_free(nearest);
    return p;
}

vic_pattern *way_images(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    int32_t *drawn[2];
    const int64_t pairs = draw_pairs(c, points->one_set ? c->n_q : c->n_k, seed, &drawn[0], &drawn[1]);
    int32_t *query = brute_alloc(2 * pairs, sizeof *query), *key = brute_alloc(2 * pairs, sizeof *key);
    int32_t *shift = brute_alloc(3 * 2 * pairs, sizeof *shift);
    for (int64_t n = 0; n < 2 * pairs; n++) { /* each under two images */
        query[n] = drawn[0][n / 2];
        key[n] = drawn[1][n / 2];
        shift[3 * n] = query[n] % 3 - 1 + (int32_t)(n % 2);
        shift[3 * n + 1] = key[n] % 2;
    }
    const vic_pair_list list = pairs_listed(2 * pairs, query, key, shift);
    vic_points queries = points_at(c->n_q, points->q, &points->cell[0][0]);
    vic_points keys = points_at(points->n_k, points->k, NULL);
    vic_pattern *p;
    vic_error err;
    queries.periodic = points->periodic;
    CHECK_OK(vic_pattern_pairs(NULL, &queries, points->one_set ? NULL : &keys, &list, NULL, &p, &err));
    free(drawn[0]);
    free(drawn[1]);
    free(query);
    free(key);
    free(shift);
    return p;
}

vic_pattern *way_exclude(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    int32_t *query, *key;
    int64_t n = draw_pairs(c, points->one_set ? c->n_q : c->n_k, seed, &query, &key);
    vic_pattern *all = case_pattern(c, points, NULL, NULL), *p;
    const vic_pair_list list = pairs_listed(n, query, key, NULL);
    vic_error err;
    CHECK_OK(vic_pattern_exclude(NULL, all, &list, &p, &err));
    vic_pattern_free(all);
    free(query);
    free(key);
    return p;
}

vic_pattern *way_masked(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    bool *mask = brute_alloc(points->n_q, sizeof *mask), *key_mask = brute_alloc(points->n_k, sizeof *key_mask);
    for (int64_t i = 0; i < points->n_q; i++) mask[i] = random_bits(&seed) % 3 != 0;
    for (int64_t i = 0; i < points->n_k && !points->one_set; i++) key_mask[i] = random_bits(&seed) % 3 != 0;
    vic_pattern *p = case_pattern(c, points, mask, points->one_set ? NULL : key_mask);
    free(mask);
    free(key_mask);
    return p;
}

vic_pattern *way_causal(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    int64_t *offsets = brute_alloc(c->n_q + 1, sizeof *offsets), *ranges = brute_alloc(c->n_q + 1, sizeof *ranges);
    int64_t n = 0;
    vic_points nowhere = points_of(c->n_q);
    vic_pattern *p;
    vic_error err;
    (void)points;
    for (; offsets[n] < c->n_q; n++) {
        int64_t end = offsets[n] + 1 + (int64_t)(random_bits(&seed) % (uint64_t)c->way_size);
        offsets[n + 1] = end < c->n_q ? end : c->n_q;
        ranges[n + 1] = n + 1;
    }
    int32_t *keys = brute_alloc(2 * n, sizeof *keys);
    for (int64_t g = 0; g < n; g++) {
        keys[2 * g] = (int32_t)offsets[g];
        keys[2 * g + 1] = (int32_t)offsets[g + 1];
    }
    const vic_range_list list = { .size = sizeof list,
                                  .groups = n,
                                  .query_offsets = offsets,
                                  .range_offsets = ranges,
                                  .ranges = keys,
                                  .causal = true };
    CHECK_OK(vic_pattern_ranges(NULL, &nowhere, NULL, &list, NULL, &p, &err));
    free(offsets);
    free(ranges);
    free(keys);
    return p;
}

vic_pattern *way_molecules(const struct attention_case *c, const struct brute_points *points, uint64_t seed)
{
    const vic_pattern_options o = { .size = sizeof o, .exclude_self = c->exclude_self };
    vic_points at = points_at(c->n_q, points->q, NULL);
    int64_t *offsets = brute_alloc(c->n_q + 1, sizeof *offsets), n = 0;
    vic_pattern *p;
    vic_error err;
    while (offsets[n] < c->n_q) {
        int64_t end = offsets[n] + 1 + (int64_t)(random_bits(&seed) % (uint64_t)c->way_size);
        offsets[++n] = end < c->n_q ? end : c->n_q;
    }
    at.groups = n;
    at.group_offsets = offsets;
    CHECK_OK(vic_pattern_cutoff(NULL, &at, NULL, c->cutoff, &o, &p, &err));
    free(offsets);
    return p;
}

/* Whole square blocks: also what attn_fwd_unfused takes. */
const struct attention_case block_cases[] = {
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
const size_t block_case_count = sizeof block_cases / sizeof *block_cases;
