/* SPDX-License-Identifier: Apache-2.0 */
/* The pattern through the public header: expansions against each other, sorting, arguments. */
#include "check.h"

enum { N = 333 };

static double *points(uint64_t seed, int n, double size)
{
    double *x = malloc((size_t)(3 * n) * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < 3 * n; i++) x[i] = size * random_uniform(&seed);
    return x;
}

static vic_pattern *pattern(const double *x, double cutoff, double cell_size)
{
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    double cell[3][3] = { { cell_size, 0, 0 }, { 0, cell_size, 0 }, { 0, 0, cell_size } };
    vic_error err;
    vic_pattern *p;
    o.cutoff = cutoff;
    CHECK_OK(
        vic_pattern_build_points(N, x, 0, NULL, cell_size > 0 ? (const double(*)[3])cell : NULL, NULL, &o, &p, &err));
    return p;
}

/* Everything that can be said of 128 x 128 blocks, from the dense mask. */
static void check_expansions(double cutoff, double cell_size)
{
    static uint8_t mask[N * N], expected[N * N];
    double *x = points(17, N, 14.0);
    vic_error err;
    vic_pattern *p = pattern(x, cutoff, cell_size);
    vic_pattern_info info = vic_pattern_get(p);
    size_t n = (size_t)info.pairs;
    int32_t *query = malloc(n * sizeof *query), *key = malloc(n * sizeof *key),
            *image = malloc(3 * n * sizeof *image);
    int64_t row_ptr[4], big = 0, full = 0;
    int32_t column[9];
    uint8_t is_full[9];
    assert_true(query && key && image);
    CHECK_OK(vic_pattern_pairs(p, info.pairs, query, key, image, &err));
    memset(expected, 0, sizeof expected);
    for (size_t i = 0; i < n; i++) {
        uint8_t *e = &expected[query[i] * N + key[i]];
        *e = (uint8_t)(*e + (*e < 255));
    }
    CHECK_OK(vic_pattern_dense(p, mask, &err));
    assert_memory_equal(mask, expected, sizeof mask);

    const int32_t *order = vic_pattern_query_order(p);
    assert_ptr_equal(order, vic_pattern_key_order(p));
    CHECK_OK(vic_pattern_blocks128(p, row_ptr, column, is_full, &err));
    for (int r = 0; r < 3; r++) {
        for (int c = 0; c < 3; c++) {
            int kept = 0, all = 0;
            for (int i = 128 * r; i < 128 * (r + 1) && i < N; i++)
                for (int j = 128 * c; j < 128 * (c + 1) && j < N; j++) {
                    kept += mask[order[i] * N + order[j]] != 0;
                    all++;
                }
            if (kept == 0) continue;
            assert_true(big < row_ptr[r + 1]);
            assert_int_equal(column[big], c);
            assert_int_equal(is_full[big], kept == all);
            full += kept == all;
            big++;
        }
        assert_int_equal(row_ptr[r + 1], big);
    }
    assert_int_equal(info.block128_count, big);
    assert_int_equal(info.block128_full, full);
    assert_int_equal(info.block128_grid, 9);

    int32_t *strip = malloc((size_t)info.blocks * sizeof *strip),
            *cluster = malloc((size_t)info.blocks * sizeof *cluster);
    int32_t *pairs = malloc((size_t)info.blocks * sizeof *pairs);
    int64_t sum = 0, full_blocks = 0;
    assert_true(strip && cluster && pairs);
    CHECK_OK(vic_pattern_blocks(p, strip, cluster, pairs, &err));
    for (int64_t b = 0; b < info.blocks; b++) {
        sum += pairs[b];
        full_blocks += pairs[b] == 1024;
        assert_in_range(pairs[b], 1, 1024);
        if (b > 0) assert_true(strip[b] > strip[b - 1] || (strip[b] == strip[b - 1] && cluster[b] >= cluster[b - 1]));
    }
    assert_int_equal(sum, info.pairs);
    assert_int_equal(full_blocks, info.full_blocks);
    free(strip);
    free(cluster);
    free(pairs);
    CHECK_FAILS(vic_pattern_pairs(p, info.pairs - 1, query, key, image, &err), VIC_BAD_ARGUMENT, "the pattern has");
    free(query);
    free(key);
    free(image);
    vic_pattern_free(p);
    free(x);
}

static void expansions_agree(void **state)
{
    (void)state;
    check_expansions(4.0, 0);
    check_expansions(4.0, 14.0);
    check_expansions(13.0, 14.0); /* several images of a neighbour */
    check_expansions(16.0, 7.0);  /* all of them, often: full under some images and partial under others */
    check_expansions(100.0, 0);   /* dense */
}

/* The neighbour list is the list of pairs, with distances that the displacements bear out, on any number of threads
 * and with any arrays left out. */
static void neighbour_list(void **state)
{
    double *x = points(29, N, 14.0), *d;
    vic_error err;
    (void)state;
    for (int periodic = 0; periodic < 2; periodic++) {
        vic_pattern *p = pattern(x, 5.0, periodic ? 14.0 : 0.0);
        int64_t n = vic_pattern_get(p).pairs;
        size_t size = (size_t)n * sizeof(int32_t);
        int32_t *i = malloc(size), *j = malloc(size), *shift = malloc(3 * size);
        int32_t *i1 = malloc(size), *j1 = malloc(size), *shift1 = malloc(3 * size);
        d = malloc(2 * size);
        assert_true(i && j && shift && i1 && j1 && shift1 && d);
        CHECK_OK(vic_pattern_pairs(p, n, i, j, shift, &err));
        for (int threads = 1; threads <= 3; threads++) {
            memset(i1, 0xff, size);
            memset(j1, 0xff, size);
            memset(shift1, 0xff, 3 * size);
            memset(d, 0xff, 2 * size);
            CHECK_OK(vic_pattern_neighbours(p, n, threads, i1, j1, shift1, d, &err));
            assert_memory_equal(i, i1, size);
            assert_memory_equal(j, j1, size);
            assert_memory_equal(shift, shift1, 3 * size);
            for (int64_t k = 0; k < n; k++) {
                double sum = 0;
                for (int c = 0; c < 3; c++) {
                    double r = x[3 * j[k] + c] - x[3 * i[k] + c] + 14.0 * shift[3 * k + c];
                    sum += r * r;
                }
                assert_true(fabs(d[k] - sqrt(sum)) < 1e-13 && d[k] < 5.0);
            }
        }
        double *again = malloc(2 * size);
        assert_non_null(again);
        CHECK_OK(vic_pattern_neighbours(p, n, 2, NULL, NULL, NULL, again, &err));
        assert_memory_equal(again, d, 2 * size);
        memset(shift1, 0xff, 3 * size);
        CHECK_OK(vic_pattern_neighbours(p, n, 2, NULL, NULL, shift1, NULL, &err));
        assert_memory_equal(shift, shift1, 3 * size);
        CHECK_FAILS(vic_pattern_neighbours(p, n + 1, 1, i, j, shift, d, &err), VIC_BAD_ARGUMENT, "the pattern has");
        CHECK_FAILS(vic_pattern_neighbours(p, n, -1, i, j, shift, d, &err), VIC_BAD_ARGUMENT, "threads");
        free(again);
        free(i);
        free(j);
        free(shift);
        free(i1);
        free(j1);
        free(shift1);
        free(d);
        vic_pattern_free(p);
    }
    free(x);
}

/* Everything that the public calls tell of two patterns. */
static void check_same(const vic_pattern *p, const vic_pattern *q)
{
    vic_pattern_info a = vic_pattern_get(p), b = vic_pattern_get(q);
    vic_error err;
    a.seconds_order = a.seconds_build = b.seconds_order = b.seconds_build = 0;
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_equal(vic_pattern_query_order(p), vic_pattern_query_order(q), (size_t)a.n_q * sizeof(int32_t));
    assert_memory_equal(vic_pattern_key_order(p), vic_pattern_key_order(q), (size_t)a.n_k * sizeof(int32_t));
    size_t n = (size_t)a.pairs;
    int32_t *list[2];
    double *d[2];
    for (int k = 0; k < 2; k++) {
        list[k] = malloc((5 * n + 1) * sizeof **list);
        d[k] = malloc((n + 1) * sizeof **d);
        assert_true(list[k] && d[k]);
        CHECK_OK(vic_pattern_neighbours(k ? q : p, a.pairs, 1, list[k], list[k] + n, list[k] + 2 * n, d[k], &err));
    }
    assert_memory_equal(list[0], list[1], 5 * n * sizeof **list);
    assert_memory_equal(d[0], d[1], n * sizeof **d);
    for (int k = 0; k < 2; k++) {
        free(list[k]);
        free(d[k]);
    }
}

/* A pattern that follows moving atoms is the one built from scratch, whether blocks become more or fewer, the cell
 * changes, or a plan holds the old one. */
static void update_follows_the_atoms(void **state)
{
    static const double sizes[] = { 14.0, 30.0, 9.0, 14.0, 200.0, 14.0 };
    vic_error err;
    (void)state;
    for (int kind = 0; kind < 4; kind++) { /* bit 0: periodic, bit 1: two sets */
        vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
        vic_pattern *p = NULL;
        vic_plan *plan = NULL;
        o.cutoff = 6.5;
        o.exclude_self = kind == 1;
        for (size_t step = 0; step < sizeof sizes / sizeof *sizes; step++) {
            double *x = points(100 + step, N, sizes[step]), *y = points(200 + step, 77, sizes[step]);
            double cell[3][3] = { { sizes[step], 0, 0 }, { 1, sizes[step], 0 }, { 0, 0, sizes[step] } };
            const double(*given)[3] = kind & 1 ? (const double(*)[3])cell : NULL;
            const double *keys = kind & 2 ? y : NULL;
            vic_pattern *fresh, *old = p;
            CHECK_OK(vic_pattern_build_points(N, x, keys ? 77 : 0, keys, given, NULL, &o, &fresh, &err));
            if (step == 0)
                CHECK_OK(vic_pattern_build_points(N, x, keys ? 77 : 0, keys, given, NULL, &o, &p, &err));
            else
                CHECK_OK(vic_pattern_update(&p, x, keys, given, 1 + (int)step % 3, &err));
            if (plan) assert_ptr_not_equal(p, old);
            check_same(p, fresh);
            vic_plan_free(plan);
            plan = NULL;
            if (step == 2) {
                vic_plan_options po = VIC_PLAN_OPTIONS_INIT;
                CHECK_OK(vic_plan_create(p, &po, &plan, &err));
            }
            vic_pattern_free(fresh);
            free(x);
            free(y);
        }
        vic_pattern_free(p);
    }
}

static void update_refuses(void **state)
{
    double *x = points(1, N, 14.0), cell[3][3] = { { 0 } };
    vic_error err;
    vic_pattern *p = pattern(x, 4.0, 0);
    (void)state;
    vic_pattern *kept = p, *same = pattern(x, 4.0, 0);
    CHECK_FAILS(vic_pattern_update(&p, x, x, NULL, 0, &err), VIC_BAD_ARGUMENT, "key_positions is not NULL");
    assert_ptr_equal(p, kept);
    x[7] = NAN;
    CHECK_FAILS(vic_pattern_update(&p, x, NULL, NULL, 0, &err), VIC_BAD_INPUT, "atom 2: coordinate y is nan");
    assert_ptr_equal(p, kept);
    check_same(p, same);
    vic_pattern_free(p);
    vic_pattern_free(same);
    x[7] = 1.0;
    p = kept = pattern(x, 4.0, 14.0);
    same = pattern(x, 4.0, 14.0);
    for (int step = 0; step < 3; step++) { /* also when there is memory of an update before */
        CHECK_FAILS(vic_pattern_update(&p, x, NULL, (const double(*)[3])cell, 0, &err), VIC_BAD_INPUT,
                    "cell vector a");
        assert_ptr_equal(p, kept);
        check_same(p, same);
        CHECK_OK(vic_pattern_update(&p, x, NULL, NULL, 0, &err));
        check_same(p, same);
        kept = p;
    }
    vic_pattern_free(p);
    vic_pattern_free(same);
    free(x);
}

static void sort_and_unsort(void **state)
{
    double *x = points(3, N, 14.0);
    vic_pattern *p = pattern(x, 4.0, 0);
    const int32_t *order = vic_pattern_query_order(p);
    int64_t shape[3] = { N, 2, 8 };
    static float a[N * 16], b[N * 16], c[2 * N * 8];
    vic_error err;
    (void)state;
    for (int i = 0; i < N * 16; i++) a[i] = (float)i;
    vic_tensor in = vic_tensor_make(a, VIC_F32, 3, shape), out = vic_tensor_make(b, VIC_F32, 3, shape);
    CHECK_OK(vic_pattern_sort(p, VIC_QUERY, &in, &out, &err));
    for (int row = 0; row < N; row++) assert_memory_equal(b + 16 * row, a + 16 * order[row], 16 * sizeof *a);
    /* into another layout, [heads][atoms][8], and back */
    vic_tensor heads_first = out;
    heads_first.data = c;
    heads_first.stride[0] = 8;
    heads_first.stride[1] = 8 * N;
    CHECK_OK(vic_pattern_sort(p, VIC_KEY, &in, &heads_first, &err));
    memset(b, 0xff, sizeof b);
    CHECK_OK(vic_pattern_unsort(p, VIC_KEY, &heads_first, &out, &err));
    assert_memory_equal(a, b, sizeof a);
    CHECK_FAILS(vic_pattern_sort(p, VIC_QUERY, &in, &in, &err), VIC_BAD_ARGUMENT, "not done in place");
    out.device.kind = VIC_CUDA;
    CHECK_FAILS(vic_pattern_sort(p, VIC_QUERY, &in, &out, &err), VIC_BAD_ARGUMENT, "cpu:0 and cuda:0");
    out.device.kind = VIC_CPU;
    out.shape[2] = 7;
    CHECK_FAILS(vic_pattern_sort(p, VIC_QUERY, &in, &out, &err), VIC_BAD_ARGUMENT,
                "dimension 2: in has 8, out has 7");
    out.shape[2] = 8;
    out.shape[0] = in.shape[0] = N - 1;
    CHECK_FAILS(vic_pattern_unsort(p, VIC_QUERY, &in, &out, &err), VIC_BAD_ARGUMENT, "first 333 atoms");
    vic_pattern_free(p);
    free(x);
}

static void arguments(void **state)
{
    double x[3] = { 0, 0, 0 };
    bool pbc[3] = { false, true, false };
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_error err;
    vic_pattern *p;
    (void)state;
    o.cutoff = 1.0;
    CHECK_FAILS(vic_pattern_build_points(1, x, 0, NULL, NULL, pbc, &o, &p, &err), VIC_BAD_ARGUMENT,
                "periodic along b");
    CHECK_FAILS(vic_pattern_build_points(1, NULL, 0, NULL, NULL, NULL, &o, &p, &err), VIC_BAD_ARGUMENT, "n_q is 1");
    CHECK_FAILS(vic_pattern_build_points(1, x, 4, NULL, NULL, NULL, &o, &p, &err), VIC_BAD_ARGUMENT, "n_k must be 0");
    CHECK_FAILS(vic_pattern_build_points(1, x, -4, x, NULL, NULL, &o, &p, &err), VIC_BAD_ARGUMENT, "-4 keys");
    o.threads = -2;
    CHECK_FAILS(vic_pattern_build_points(1, x, 0, NULL, NULL, NULL, &o, &p, &err), VIC_BAD_ARGUMENT, "threads");
    o.threads = 0;
    o.size = sizeof o + 8;
    CHECK_FAILS(vic_pattern_build_points(1, x, 0, NULL, NULL, NULL, &o, &p, &err), VIC_BAD_ARGUMENT,
                "vic_pattern_options.size");
    o.size = offsetof(vic_pattern_options, threads); /* an older caller, who knew no threads */
    CHECK_OK(vic_pattern_build_points(1, x, 0, NULL, NULL, NULL, &o, &p, &err));
    assert_int_equal(vic_pattern_get(p).pairs, 1);
    vic_pattern_free(p);
    vic_pattern_free(NULL);
    CHECK_OK(vic_pattern_build_points(0, NULL, 0, NULL, NULL, NULL, &o, &p, &err));
    assert_int_equal(vic_pattern_get(p).pairs, 0);
    vic_pattern_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expansions_agree),         cmocka_unit_test(neighbour_list),
        cmocka_unit_test(update_follows_the_atoms), cmocka_unit_test(update_refuses),
        cmocka_unit_test(sort_and_unsort),          cmocka_unit_test(arguments),
    };
    return cmocka_run_group_tests_name("api_pattern", tests, NULL, NULL);
}
