/* SPDX-License-Identifier: Apache-2.0 */
/* Block masks and windows, against the table of docs/concepts.md, pair by pair. */
#include "pattern/masks.h"

#include "unit/pattern/expect.h"

static const int32_t no_image[3] = { 0, 0, 0 };

static bool masked(const struct point_set *s, int64_t i)
{
    return s->mask && s->mask[i];
}

static void windows(void **state)
{
    static const int64_t sizes[][2] = { { 32, 128 }, { 7, 33 }, { 1, 1 }, { 64, 64 }, { 100, 2 }, { 5, 1001 } };
    static const int64_t atoms[] = { 0, 1, 16, 63, 64, 65, 300 };
    struct pool *pool;
    vic_error err;
    uint64_t seed = 2;
    (void)state;
    CHECK_OK(pool_create(2, &pool, &err));
    for (size_t a = 0; a < sizeof atoms / sizeof *atoms; a++)
        for (size_t s = 0; s < 2 * (sizeof sizes / sizeof *sizes); s++) {
            uint8_t *mask = random_mask(&seed, atoms[a], 0.2);
            const struct point_set q = { .n = atoms[a], .mask = s % 2 ? mask : NULL };
            int64_t queries = sizes[s / 2][0], keys = sizes[s / 2][1];
            struct expected e = { 0 };
            vic_pattern *p;
            for (int32_t i = 0; i < q.n; i++)
                for (int32_t j = 0; j < q.n; j++) {
                    double middle = (double)(i / queries * queries) + (double)(queries - 1) / 2;
                    if (fabs(j - middle) < (double)keys / 2 && !masked(&q, i) && !masked(&q, j))
                        expect_pair(&e, i, j, no_image, 0.0);
                }
            CHECK_OK(pattern_windows(&q, queries, keys, pool, &p, &err));
            assert_int_equal(p->symmetric, queries == keys);
            expect_pattern("windows", p, &e, pool);
            pattern_release(p);
            free(mask);
        }
    pool_free(pool);
}

static void blocks(void **state)
{
    static const int64_t sizes[] = { 16, 32, 48, 64, 144 };
    struct pool *pool;
    vic_error err;
    uint64_t seed = 3;
    (void)state;
    CHECK_OK(pool_create(2, &pool, &err));
    for (int form = 0; form < 20; form++) {
        int64_t n_q = 150 + 13 * form, n_k = form & 1 ? 230 : n_q, block = sizes[form / 4];
        int64_t rows = (n_q + block - 1) / block, columns = (n_k + block - 1) / block, ptr[64] = { 0 };
        uint8_t *q_mask = random_mask(&seed, n_q, 0.2), *k_mask = random_mask(&seed, n_k, 0.2),
                in[64][64] = { { 0 } };
        int32_t column[64 * 64];
        const struct point_set q = { .n = n_q, .mask = form & 2 ? q_mask : NULL };
        const struct point_set k = { .n = n_k, .mask = form & 2 ? k_mask : NULL };
        const struct point_set *keys = form & 1 ? &k : &q;
        const struct block_mask mask = { block, ptr, column };
        struct expected e = { 0 };
        vic_pattern *p;
        for (int64_t r = 0; r < rows; r++) {
            ptr[r + 1] = ptr[r];
            for (int64_t c = columns; c-- > 0;) /* not in order */
                if (random_uniform(&seed) < 0.4) {
                    column[ptr[r + 1]++] = (int32_t)c;
                    in[r][c] = 1;
                }
        }
        for (int32_t i = 0; i < n_q; i++)
            for (int32_t j = 0; j < n_k; j++)
                if (in[i / block][j / block] && !masked(&q, i) && !masked(keys, j))
                    expect_pair(&e, i, j, no_image, 0.0);
        CHECK_OK(pattern_from_blocks(&q, form & 1 ? &k : NULL, &mask, pool, &p, &err));
        expect_pattern("blocks", p, &e, pool);
        pattern_release(p);
        free(q_mask);
        free(k_mask);
    }
    pool_free(pool);
}

static void refused(void **state)
{
    const int64_t ptr[] = { 0, 1, 3 }, falls[] = { 0, 2, 1 }, late[] = { 1, 1, 1 };
    const int32_t good[] = { 0, 0, 1 }, far[] = { 0, 0, 2 }, twice[] = { 0, 1, 1 };
    const struct point_set q = { .n = 32 };
    struct block_mask mask = { 16, ptr, far };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_FAILS(pattern_from_blocks(&q, NULL, &mask, pool, &p, &err), VIC_BAD_INPUT, "column[2], in block row 1");
    mask.column = twice;
    CHECK_FAILS(pattern_from_blocks(&q, NULL, &mask, pool, &p, &err), VIC_BAD_INPUT,
                "each column once, found 1 twice");
    mask.column = good;
    mask.row_ptr = falls;
    CHECK_FAILS(pattern_from_blocks(&q, NULL, &mask, pool, &p, &err), VIC_BAD_INPUT,
                "row_ptr[2]: expected at least 2");
    mask.row_ptr = late;
    CHECK_FAILS(pattern_from_blocks(&q, NULL, &mask, pool, &p, &err), VIC_BAD_INPUT,
                "row_ptr[0]: expected 0, found 1");
    mask.block = 24;
    CHECK_FAILS(pattern_from_blocks(&q, NULL, &mask, pool, &p, &err), VIC_BAD_ARGUMENT, "multiple of 16, got 24");
    CHECK_FAILS(pattern_windows(&q, 2, 3, pool, &p, &err), VIC_BAD_ARGUMENT, "both even or both odd");
    CHECK_FAILS(pattern_windows(&q, 0, 2, pool, &p, &err), VIC_BAD_ARGUMENT, "at least 1");
    assert_null(p);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows),
        cmocka_unit_test(blocks),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests_name("pattern_masks", tests, NULL, NULL);
}
