/* SPDX-License-Identifier: Apache-2.0 */
/* Block masks of any size against all pairs, counted pair by pair in the order of rows. */
#include "pattern/block_mask.h"

#include "pattern/statistics.h"
#include "unit/pattern/kinds.h"

/* There is a pair of (query row, key row) under some image. */
static uint8_t *dense(const vic_pattern *p, struct pool *pool)
{
    uint8_t *mask = calloc((size_t)(p->n_q * p->n_k) + 1, 1);
    int32_t *q_row = calloc((size_t)p->n_q + 1, sizeof *q_row), *k_row = calloc((size_t)p->n_k + 1, sizeof *k_row);
    struct expected e = pairs_there(p, pool);
    assert_true(mask && q_row && k_row);
    for (int32_t r = 0; r < p->n_q; r++) q_row[p->q_order[r]] = r;
    for (int32_t r = 0; r < p->n_k; r++) k_row[pattern_key(p, r)] = r;
    for (int64_t t = 0; t < e.n; t++) mask[q_row[e.list[t].i] * p->n_k + k_row[e.list[t].j]] = 1;
    free(q_row);
    free(k_row);
    free(e.list);
    return mask;
}

static void check(const char *what, const vic_pattern *p, int64_t rows, int64_t keys, const uint8_t *mask)
{
    int64_t n = (p->n_q + rows - 1) / rows, columns = (p->n_k + keys - 1) / keys;
    size_t all = (size_t)(n * columns) + 1;
    int32_t *some_n = malloc(all * 4), *full_n = malloc(all * 4), *some = malloc(all * 4), *full = malloc(all * 4);
    struct block_mask_arrays out = { some_n, some, full_n, full, columns };
    vic_error err;
    assert_true(some_n && full_n && some && full);
    CHECK_OK(pattern_block_mask(p, rows, keys, &out, &err));
    for (int64_t r = 0; r < n; r++) {
        int32_t a = 0, b = 0;
        for (int32_t c = 0; c < columns; c++) {
            int64_t pairs = 0, cells = 0;
            for (int64_t i = r * rows; i < (r + 1) * rows && i < p->n_q; i++)
                for (int64_t j = c * keys; j < (c + 1) * keys && j < p->n_k; j++, cells++)
                    pairs += mask[i * p->n_k + j];
            if (pairs == cells)
                CHECK(full[r * columns + b++] == c, "%s: full block (%lld, %d)", what, (long long)r, c);
            else if (pairs > 0)
                CHECK(some[r * columns + a++] == c, "%s: block (%lld, %d)", what, (long long)r, c);
        }
        CHECK(some_n[r] == a && full_n[r] == b, "%s: row %lld has %d and %d blocks, not %d and %d", what,
              (long long)r, some_n[r], full_n[r], a, b);
        for (int32_t c = a; c < columns; c++) assert_int_equal(some[r * columns + c], 0);
    }
    struct block_mask_arrays counts = { some, NULL, full, NULL, 0 };
    CHECK_OK(pattern_block_mask(p, rows, keys, &counts, &err));
    assert_memory_equal(some, some_n, (size_t)n * 4);
    assert_memory_equal(full, full_n, (size_t)n * 4);
    free(some_n);
    free(full_n);
    free(some);
    free(full);
}

static void every_kind_and_size(void **state)
{
    static const int64_t sizes[][2] = { { 16, 16 }, { 16, 48 },   { 32, 16 },  { 48, 80 },
                                        { 64, 16 }, { 128, 128 }, { 80, 256 }, { 1024, 32 } };
    struct pool *pool;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    for (int two = 0; two < 2; two++) {
        struct kinds s;
        kinds_make(&s, 31, two, false);
        for (int k = 0; k < KINDS; k++) {
            if (s.two && k == KIND_WINDOWS) continue;
            vic_pattern *p = kinds_pattern(&s, (enum kind)k, pool);
            uint8_t *mask = dense(p, pool);
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
                check("mask", p, sizes[i][0], sizes[i][1], mask);
            free(mask);
            pattern_release(p);
        }
        kinds_free(&s);
    }
    pool_free(pool);
}

static void refused(void **state)
{
    const struct point_set q = { .n = 64 };
    int32_t numbers[4], indices[4];
    struct block_mask_arrays out = { numbers, indices, numbers, NULL, 1 };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_OK(pattern_windows(&q, 8, 24, pool, &p, &err));
    CHECK_FAILS(pattern_block_mask(p, 24, 16, &out, &err), VIC_BAD_ARGUMENT, "multiples of 16");
    CHECK_FAILS(pattern_block_mask(p, 16, 0, &out, &err), VIC_BAD_ARGUMENT, "multiples of 16");
    CHECK_FAILS(pattern_block_mask(p, 16, 16, &out, &err), VIC_BAD_ARGUMENT, "stride: block row 1 has 2 blocks");
    pattern_release(p);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_and_size),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests_name("pattern_block_mask", tests, NULL, NULL);
}
