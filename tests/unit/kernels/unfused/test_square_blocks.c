/* SPDX-License-Identifier: Apache-2.0 */
/* Which square blocks a pattern is made of: against the masks that it was made from, and refusals. */
#include "kernels/cuda/unfused/square_blocks.h"

#include "objects.h"

enum { MOST = 64 };

struct mask {
    int64_t n_q, n_k, block, rows, columns, count;
    int64_t row_ptr[MOST + 1];
    int32_t column[MOST * MOST];
};

static vic_error err;

/* Every third block or so; the last column where there is a tail must be met too. */
static void make_mask(int64_t n_q, int64_t n_k, int64_t block, uint64_t seed, struct mask *m)
{
    uint64_t state = seed;
    *m = (struct mask){ .n_q = n_q, .n_k = n_k, .block = block };
    m->rows = (n_q + block - 1) / block;
    m->columns = (n_k + block - 1) / block;
    for (int64_t r = 0; r < m->rows; r++) {
        for (int64_t c = 0; c < m->columns; c++)
            if (random_uniform(&state) < 0.35) m->column[m->count++] = (int32_t)c;
        m->row_ptr[r + 1] = m->count;
    }
}

static vic_pattern *build(const struct mask *m)
{
    return blocks_pattern(m->n_q, m->n_k, m->block, m->row_ptr, m->column);
}

/* The blocks found, taken apart to pairs, are the mask's. */
static void check_pairs(const struct mask *m, const struct square_blocks *b)
{
    uint8_t *pairs = calloc((size_t)(m->n_q * m->n_k), 1);
    CHECK(pairs != NULL, "out of memory");
    for (int64_t r = 0; r < b->rows; r++)
        for (int64_t t = b->row_ptr[r]; t < b->row_ptr[r + 1]; t++) {
            assert_int_equal(b->row[t], r);
            CHECK(t == b->row_ptr[r] || b->column[t] > b->column[t - 1], "columns do not rise");
            for (int64_t i = r * b->size; i < (r + 1) * b->size && i < m->n_q; i++)
                for (int64_t j = b->column[t] * b->size; j < (b->column[t] + 1) * b->size && j < m->n_k; j++)
                    pairs[i * m->n_k + j]++;
        }
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t t = m->row_ptr[r]; t < m->row_ptr[r + 1]; t++)
            for (int64_t i = r * m->block; i < (r + 1) * m->block && i < m->n_q; i++)
                for (int64_t j = m->column[t] * m->block; j < (m->column[t] + 1) * m->block && j < m->n_k; j++)
                    pairs[i * m->n_k + j] ^= 1;
    for (int64_t i = 0; i < m->n_q * m->n_k; i++)
        CHECK(pairs[i] == 0, "pair (%lld, %lld) is in one and not in the other", (long long)(i / m->n_k),
              (long long)(i % m->n_k));
    free(pairs);
}

static void masks(void **state)
{
    static const struct {
        int64_t n_q, n_k, block;
        int size;
    } cases[] = {
        { 1024, 1024, 128, 128 }, { 1000, 900, 128, 128 },  { 700, 1300, 64, 64 }, { 500, 333, 32, 32 },
        { 300, 301, 16, 16 },     { 2048, 2048, 256, 128 }, { 900, 900, 48, 16 },  { 960, 960, 96, 32 },
        { 1, 1, 128, 128 },       { 129, 17, 64, 64 },      { 40, 2000, 64, 64 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct mask m;
        struct square_blocks b;
        int32_t most = 0;
        make_mask(cases[i].n_q, cases[i].n_k, cases[i].block, 5 + i, &m);
        vic_pattern *p = build(&m);
        CHECK_OK(square_blocks_find(p, &b, &err));
        if (m.count > 3) assert_int_equal(b.size, cases[i].size); /* few may join to larger ones by chance */
        assert_int_equal(b.rows, (m.n_q + b.size - 1) / b.size);
        assert_int_equal(b.columns, (m.n_k + b.size - 1) / b.size);
        assert_int_equal(b.row_ptr[0], 0);
        assert_int_equal(b.row_ptr[b.rows], b.count);
        for (int64_t r = 0; r < b.rows; r++)
            if (b.row_ptr[r + 1] - b.row_ptr[r] > most) most = b.row_ptr[r + 1] - b.row_ptr[r];
        assert_int_equal(b.most, most);
        check_pairs(&m, &b);
        square_blocks_free(&b);
        vic_pattern_free(p);
    }
}

static void empty_and_dense(void **state)
{
    static const int64_t sizes[] = { 0, 1, 16, 100, 400 };
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        static double x[3 * 400];
        struct square_blocks b;
        int64_t grid = (sizes[i] + 127) / 128;
        vic_points points = points_at(sizes[i], x, NULL); /* all in one place */
        vic_pattern *p = cutoff_pattern(&points, 1);
        CHECK_OK(square_blocks_find(p, &b, &err));
        assert_int_equal(b.size, 128);
        assert_int_equal(b.count, grid * grid);
        square_blocks_free(&b);
        vic_pattern_free(p);
    }
    static const int64_t nothing[3] = { 0, 0, 0 };
    struct square_blocks b;
    vic_pattern *p = blocks_pattern(200, 300, 128, nothing, NULL);
    CHECK_OK(square_blocks_find(p, &b, &err));
    assert_int_equal(b.count, 0);
    square_blocks_free(&b);
    vic_pattern_free(p);
}

static void refusals(void **state)
{
    bool mask[256];
    const int64_t n = 256;
    struct square_blocks b;
    vic_pattern *p = windows_pattern(300, 32, 128); /* 48 keys before: not at a multiple of 32 */
    (void)state;
    assert_int_equal(square_blocks_find(p, &b, &err), VIC_OK);
    assert_int_equal(b.size, 16);
    square_blocks_free(&b);
    vic_pattern_free(p);
    p = windows_pattern(300, 32, 100);
    CHECK_FAILS(square_blocks_find(p, &b, &err), VIC_NO_KERNEL, "this pattern has other pairs");
    assert_null(b.column);
    vic_pattern_free(p);
    for (int i = 0; i < n; i++) mask[i] = i != 77;
    vic_points points = points_of(n);
    points.mask = vic_tensor_make(mask, VIC_BOOL, 1, &n);
    static const int64_t row_ptr[] = { 0, 2, 4 };
    static const int32_t column[] = { 0, 1, 0, 1 };
    const vic_block_list list = { .size = sizeof list, .block = 128, .row_ptr = row_ptr, .column = column };
    CHECK_OK(vic_pattern_blocks(NULL, &points, NULL, &list, NULL, &p, &err));
    CHECK_FAILS(square_blocks_find(p, &b, &err), VIC_NO_KERNEL, "attn_fwd_sm90 takes any pattern");
    assert_non_null(strstr(err.text, "rows 0 to 63, keys 64 to 79")); /* key 77 is missing there */
    vic_pattern_free(p);
    /* One atom in a cell of 1 A that sees itself in many images. */
    static const double at[3] = { 0 }, cell[9] = { 1, 0, 0, 0, 1, 0, 0, 0, 1 };
    points = points_at(1, at, cell);
    p = cutoff_pattern(&points, 1.5);
    CHECK_FAILS(square_blocks_find(p, &b, &err), VIC_NO_KERNEL, "periodic images");
    vic_pattern_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks),
        cmocka_unit_test(empty_and_dense),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("unit_kernels_square_blocks", tests, NULL, NULL);
}
