/* SPDX-License-Identifier: Apache-2.0 */
/* The pattern through the public header: expansions against each other, neighbour lists, updates, sorting. */
#include "objects.h"

#include "vicinal_dev.h"

enum { N = 333 };

static double *random_points(uint64_t seed, int n, double size)
{
    double *x = malloc((size_t)(3 * n) * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < 3 * n; i++) x[i] = size * random_uniform(&seed);
    return x;
}

/* A cube; without one where the size is 0. */
static vic_pattern *pattern(const double *x, double cutoff, double cell_size)
{
    const double cell[9] = { cell_size, 0, 0, 0, cell_size, 0, 0, 0, cell_size };
    vic_points points = points_at(N, x, cell_size > 0 ? cell : NULL);
    return cutoff_pattern(&points, cutoff);
}

static void *room(int64_t n, size_t size)
{
    void *memory = malloc((size_t)(n + 1) * size);
    assert_non_null(memory);
    return memory;
}

/* ---- expansions ---- */

/* dense is the list of pairs, counted. */
static void check_dense(const vic_pattern *p, uint8_t *mask)
{
    static uint8_t expected[N * N];
    vic_neighbors list = neighbors_of(p, false);
    vic_error err;
    memset(expected, 0, sizeof expected);
    for (int64_t i = 0; i < list.pairs; i++) {
        uint8_t *e = &expected[list.i[i] * N + list.j[i]];
        *e = (uint8_t)(*e + (*e < 255));
    }
    CHECK_OK(vic_pattern_dense(p, mask, &err));
    assert_memory_equal(mask, expected, sizeof expected);
    neighbors_free(&list);
}

/* How many of the pairs of rows in block (row, column) there are in the dense mask, and how many there could be. */
static int count_block(const vic_pattern *p, const uint8_t *mask, const vic_block_mask *m, int64_t row,
                       int64_t column, int *all)
{
    const int32_t *order = order_of(p, VIC_QUERY);
    int kept = 0;
    *all = 0;
    for (int64_t i = m->query_block * row; i < m->query_block * (row + 1) && i < N; i++)
        for (int64_t j = m->key_block * column; j < m->key_block * (column + 1) && j < N; j++) {
            kept += mask[order[i] * N + order[j]] != 0;
            (*all)++;
        }
    return kept;
}

/* One row of the mask: the partial and the full columns rise, are right, and zeros stand behind them. */
static void check_mask_row(const vic_pattern *p, const uint8_t *mask, const vic_block_mask *m, int64_t row,
                           int64_t *partial, int64_t *full)
{
    const int32_t *some = m->kv_indices + row * m->width, *every = m->full_kv_indices + row * m->width;
    int32_t n_some = 0, n_every = 0;
    for (int32_t column = 0; column < m->columns; column++) {
        int all, kept = count_block(p, mask, m, row, column, &all);
        if (kept > 0 && kept < all) assert_int_equal(some[n_some++], column);
        if (kept > 0 && kept == all) assert_int_equal(every[n_every++], column);
    }
    assert_int_equal(m->kv_num_blocks[row], n_some);
    assert_int_equal(m->full_kv_num_blocks[row], n_every);
    for (int64_t k = n_some; k < m->width; k++) assert_int_equal(some[k], 0);
    for (int64_t k = n_every; k < m->width; k++) assert_int_equal(every[k], 0);
    *partial += n_some;
    *full += n_every;
    assert_true(n_some <= m->max_partial && n_every <= m->max_full);
}

/* Everything that can be said of blocks of one size, from the dense mask. */
static void check_block_mask(const vic_pattern *p, const uint8_t *mask, int64_t query_block, int64_t key_block)
{
    vic_block_mask m = { .size = sizeof m, .query_block = query_block, .key_block = key_block };
    int64_t partial = 0, full = 0;
    vic_error err;
    CHECK_OK(vic_pattern_block_mask(NULL, p, &m, &err));
    assert_int_equal(m.rows, (N + query_block - 1) / query_block);
    assert_int_equal(m.columns, (N + key_block - 1) / key_block);
    m.width = (m.max_partial > m.max_full ? m.max_partial : m.max_full) + 2; /* more than is needed */
    m.kv_num_blocks = room(m.rows, sizeof(int32_t));
    m.full_kv_num_blocks = room(m.rows, sizeof(int32_t));
    m.kv_indices = room(m.rows * m.width, sizeof(int32_t));
    m.full_kv_indices = room(m.rows * m.width, sizeof(int32_t));
    memset(m.kv_indices, 0xff, (size_t)(m.rows * m.width) * sizeof(int32_t));
    memset(m.full_kv_indices, 0xff, (size_t)(m.rows * m.width) * sizeof(int32_t));
    CHECK_OK(vic_pattern_block_mask(NULL, p, &m, &err));
    for (int64_t row = 0; row < m.rows; row++) check_mask_row(p, mask, &m, row, &partial, &full);
    assert_int_equal(m.partial, partial);
    assert_int_equal(m.full, full);
    m.width = m.max_partial > m.max_full ? m.max_partial - 1 : m.max_full - 1;
    if (m.width >= 0)
        CHECK_FAILS(vic_pattern_block_mask(NULL, p, &m, &err), VIC_BAD_ARGUMENT, "width: expected at least");
    free(m.kv_num_blocks);
    free(m.full_kv_num_blocks);
    free(m.kv_indices);
    free(m.full_kv_indices);
}

static void check_listed_blocks(const vic_pattern *p)
{
    vic_pattern_info info = info_of(p);
    int32_t *strip = room(info.blocks, sizeof *strip), *cluster = room(info.blocks, sizeof *cluster);
    int32_t *pairs = room(info.blocks, sizeof *pairs);
    int64_t sum = 0, full_blocks = 0;
    vic_error err;
    CHECK_OK(vic_pattern_list_blocks(p, strip, cluster, pairs, &err));
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
}

static void check_expansions(double cutoff, double cell_size)
{
    static uint8_t mask[N * N];
    static const int64_t sizes[][2] = {
        { 128, 128 }, { 64, 16 }, { 64, 128 }, { 128, 48 }, { 384, 400 }, { 16, 48 }
    };
    double *x = random_points(17, N, 14.0);
    vic_pattern *p = pattern(x, cutoff, cell_size);
    assert_ptr_equal(order_of(p, VIC_QUERY), order_of(p, VIC_KEY));
    check_dense(p, mask);
    check_listed_blocks(p);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) check_block_mask(p, mask, sizes[i][0], sizes[i][1]);
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
    check_expansions(1e-3, 0);    /* each point its own neighbour alone */
}

static void masks_of_other_blocks(void **state)
{
    static const struct {
        int64_t query, key;
        const char *words;
    } wrong[] = {
        { 0, 16, "query_block: expected a multiple of 16, got 0" },
        { 24, 16, "query_block: expected a multiple of 16, got 24" },
        { -64, 16, "query_block: expected a multiple of 16, got -64" },
        { 64, 0, "key_block: expected a multiple of 16, got 0" },
        { 64, 24, "key_block: expected a multiple of 16, got 24" },
        { 64, -16, "key_block: expected a multiple of 16, got -16" },
    };
    double *x = random_points(5, N, 14.0);
    vic_pattern *p = pattern(x, 4.0, 0);
    vic_block_mask m = VIC_INIT(vic_block_mask);
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        m.query_block = wrong[i].query;
        m.key_block = wrong[i].key;
        CHECK_FAILS(vic_pattern_block_mask(NULL, p, &m, &err), VIC_BAD_ARGUMENT, wrong[i].words);
    }
    vic_pattern_free(p);
    free(x);
}

/* ---- neighbour lists ---- */

/* i rises, under it j, then S. */
static bool rises(const vic_neighbors *l, int64_t k)
{
    if (l->i[k] != l->i[k - 1]) return l->i[k] > l->i[k - 1];
    if (l->j[k] != l->j[k - 1]) return l->j[k] > l->j[k - 1];
    for (int c = 0; c < 3; c++)
        if (l->S[3 * k + c] != l->S[3 * (k - 1) + c]) return l->S[3 * k + c] > l->S[3 * (k - 1) + c];
    return false;
}

/* D is r_j + S . cell - r_i, and d its length. */
static void check_vectors(const vic_neighbors *l, const double *x, double cell)
{
    for (int64_t k = 0; k < l->pairs; k++) {
        double sum = 0;
        for (int c = 0; c < 3; c++) {
            double r = x[3 * l->j[k] + c] - x[3 * l->i[k] + c] + cell * l->S[3 * k + c];
            sum += r * r;
            CHECK(fabs(l->D[3 * k + c] - r) < 1e-13, "pair %lld: D[%d] is %g, not %g", (long long)k, c,
                  l->D[3 * k + c], r);
        }
        assert_true(fabs(l->d[k] - sqrt(sum)) < 1e-13 && l->d[k] < 5.0);
        if (k > 0) CHECK(rises(l, k), "pair %lld comes before its turn", (long long)k);
    }
}

static void check_same_list(const vic_neighbors *a, const vic_neighbors *b)
{
    size_t n = (size_t)a->pairs;
    assert_int_equal(a->pairs, b->pairs);
    assert_memory_equal(a->i, b->i, n * sizeof *a->i);
    assert_memory_equal(a->j, b->j, n * sizeof *a->j);
    assert_memory_equal(a->S, b->S, 3 * n * sizeof *a->S);
    assert_memory_equal(a->d, b->d, n * sizeof *a->d);
    assert_memory_equal(a->D, b->D, 3 * n * sizeof *a->D);
}

/* The list does not depend on the context, and each array is the same when the others are left out. */
static void check_parts(const vic_pattern *p, const vic_neighbors *whole)
{
    vic_neighbors again = neighbors_of(p, true), one = VIC_INIT(vic_neighbors);
    vic_error err;
    for (int threads = 1; threads <= 3; threads++) {
        vic_context *c = context_of(threads);
        memset(again.d, 0xff, (size_t)again.pairs * sizeof *again.d);
        CHECK_OK(vic_pattern_neighbors(c, p, &again, &err));
        check_same_list(whole, &again);
        vic_context_free(c);
    }
    one.pairs = whole->pairs;
    one.D = again.D;
    memset(one.D, 0xff, 3 * (size_t)one.pairs * sizeof *one.D);
    CHECK_OK(vic_pattern_neighbors(NULL, p, &one, &err));
    assert_memory_equal(one.D, whole->D, 3 * (size_t)one.pairs * sizeof *one.D);
    one = (vic_neighbors){ .size = sizeof one, .pairs = whole->pairs, .S = again.S };
    memset(one.S, 0xff, 3 * (size_t)one.pairs * sizeof *one.S);
    CHECK_OK(vic_pattern_neighbors(NULL, p, &one, &err));
    assert_memory_equal(one.S, whole->S, 3 * (size_t)one.pairs * sizeof *one.S);
    one = (vic_neighbors){ .size = sizeof one };
    CHECK_OK(vic_pattern_neighbors(NULL, p, &one, &err)); /* only counts */
    assert_int_equal(one.pairs, whole->pairs);
    again.pairs--;
    CHECK_FAILS(vic_pattern_neighbors(NULL, p, &again, &err), VIC_BAD_ARGUMENT, "the pattern has");
    neighbors_free(&again);
}

/* Of (i, j, S) and (j, i, -S) the half list has the one that the header names. */
static void check_half(const vic_pattern *p, const vic_neighbors *whole)
{
    vic_neighbors half = neighbors_of(p, true);
    int64_t at = 0;
    vic_error err;
    half.half = true;
    CHECK_OK(vic_pattern_neighbors(NULL, p, &half, &err));
    for (int64_t k = 0; k < whole->pairs; k++) {
        const int32_t *s = whole->S + 3 * k;
        int first = s[0] ? s[0] : s[1] ? s[1] : s[2];
        if (whole->i[k] > whole->j[k] || (whole->i[k] == whole->j[k] && first <= 0)) continue;
        assert_true(at < half.pairs);
        assert_true(half.i[at] == whole->i[k] && half.j[at] == whole->j[k] && half.d[at] == whole->d[k]);
        assert_memory_equal(half.S + 3 * at, s, 3 * sizeof *s);
        assert_memory_equal(half.D + 3 * at, whole->D + 3 * k, 3 * sizeof(double));
        at++;
    }
    assert_int_equal(at, half.pairs);
    neighbors_free(&half);
}

static void neighbour_lists(void **state)
{
    double *x = random_points(29, N, 14.0);
    (void)state;
    for (int periodic = 0; periodic < 2; periodic++) {
        vic_pattern *p = pattern(x, 5.0, periodic ? 14.0 : 0.0);
        vic_neighbors list = neighbors_of(p, true);
        assert_int_equal(list.pairs, info_of(p).pairs);
        check_vectors(&list, x, 14.0);
        check_parts(p, &list);
        check_half(p, &list);
        neighbors_free(&list);
        vic_pattern_free(p);
    }
    free(x);
}

static void half_lists_need_symmetry(void **state)
{
    double *x = random_points(3, N, 14.0);
    vic_points points = points_at(N, x, NULL);
    vic_neighbors list = { .size = sizeof list, .half = true };
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(vic_pattern_nearest(NULL, &points, NULL, 5, NULL, &p, &err));
    assert_false(info_of(p).symmetric);
    CHECK_FAILS(vic_pattern_neighbors(NULL, p, &list, &err), VIC_BAD_ARGUMENT, "half");
    vic_pattern_free(p);
    free(x);
}

/* ---- updates ---- */

/* Everything that the public calls tell of two patterns. */
static void check_same(const vic_pattern *p, const vic_pattern *q)
{
    vic_pattern_info a = info_of(p), b = info_of(q);
    vic_neighbors list[2];
    a.seconds_order = a.seconds_build = b.seconds_order = b.seconds_build = 0;
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_equal(order_of(p, VIC_QUERY), order_of(q, VIC_QUERY), (size_t)a.n_q * sizeof(int32_t));
    assert_memory_equal(order_of(p, VIC_KEY), order_of(q, VIC_KEY), (size_t)a.n_k * sizeof(int32_t));
    for (int k = 0; k < 2; k++) list[k] = neighbors_of(k ? q : p, true);
    check_same_list(&list[0], &list[1]);
    for (int k = 0; k < 2; k++) neighbors_free(&list[k]);
}

struct walk { /* points of one step, and the same as the arguments of a call */
    double *x, *y, cell[9];
    vic_points queries, keys;
    const vic_points *given_keys;
};

static void walk_step(struct walk *w, size_t step, double size, bool periodic, bool two_sets)
{
    w->x = random_points(100 + step, N, size);
    w->y = random_points(200 + step, 77, size);
    memcpy(w->cell, (const double[9]){ size, 0, 0, 1, size, 0, 0, 0, size }, sizeof w->cell);
    w->queries = points_at(N, w->x, periodic ? w->cell : NULL);
    w->keys = points_at(77, w->y, NULL);
    w->given_keys = two_sets ? &w->keys : NULL;
}

static void walk_free(struct walk *w)
{
    free(w->x);
    free(w->y);
}

/* A pattern that follows moving points is the one made from scratch, whether blocks become more or fewer, the cell
 * changes, or a plan holds the old one. */
static void update_follows_the_points(void **state)
{
    static const double sizes[] = { 14.0, 30.0, 9.0, 14.0, 200.0, 14.0 };
    vic_error err;
    (void)state;
    for (int kind = 0; kind < 4; kind++) { /* bit 0: periodic, bit 1: two sets */
        vic_pattern_options o = { .size = sizeof o, .exclude_self = kind == 1 };
        vic_pattern *p = NULL;
        vic_plan *plan = NULL;
        for (size_t step = 0; step < sizeof sizes / sizeof *sizes; step++) {
            struct walk w;
            vic_context *c = context_of(1 + (int)step % 3);
            vic_pattern *fresh, *old = p;
            walk_step(&w, step, sizes[step], kind & 1, kind & 2);
            CHECK_OK(vic_pattern_cutoff(NULL, &w.queries, w.given_keys, 6.5, &o, &fresh, &err));
            if (step == 0)
                CHECK_OK(vic_pattern_cutoff(c, &w.queries, w.given_keys, 6.5, &o, &p, &err));
            else
                CHECK_OK(vic_pattern_update(c, &p, &w.queries, w.given_keys, &err));
            if (plan) assert_ptr_not_equal(p, old);
            check_same(p, fresh);
            vic_plan_free(plan);
            plan = NULL;
            if (step == 2)
                CHECK_OK(vic_plan_create(c, p,
                                         &(vic_plan_options){
                                             .size = sizeof(vic_plan_options), .head_dim = 64, .dtype = VIC_F32 },
                                         &plan, &err));
            vic_pattern_free(fresh);
            vic_context_free(c);
            walk_free(&w);
        }
        vic_pattern_free(p);
    }
}

/* A cell of NULL is the one before. */
static void update_keeps_the_cell(void **state)
{
    double *x = random_points(1, N, 14.0), *y = random_points(2, N, 14.0);
    vic_pattern *p = pattern(x, 4.0, 14.0), *fresh = pattern(y, 4.0, 14.0);
    vic_points moved = points_at(N, y, NULL);
    vic_error err;
    (void)state;
    CHECK_OK(vic_pattern_update(NULL, &p, &moved, NULL, &err));
    check_same(p, fresh);
    vic_pattern_free(fresh);
    vic_pattern_free(p);
    free(x);
    free(y);
}

/* On failure *p is the old pattern, with all that it had. */
#define UPDATE_REFUSED(p, queries, keys, expected, part)                                                             \
    do {                                                                                                             \
        vic_pattern *before = (p);                                                                                   \
        CHECK_FAILS(vic_pattern_update(NULL, &(p), queries, keys, &err), expected, part);                            \
        assert_ptr_equal(p, before);                                                                                 \
        check_same(p, twin);                                                                                         \
    } while (0)

static void update_refuses(void **state)
{
    double *x = random_points(1, N, 14.0), *wrong = random_points(2, N, 14.0);
    const double flat[9] = { 0 };
    const int64_t ids[N] = { 0 };
    const bool mask[N] = { 0 };
    vic_pattern *p = pattern(x, 4.0, 14.0), *twin = pattern(x, 4.0, 14.0);
    vic_points moved = points_at(N, x, NULL), other;
    vic_error err;
    (void)state;
    wrong[7] = NAN;
    UPDATE_REFUSED(p, &moved, &moved, VIC_BAD_ARGUMENT, "keys");
    other = points_at(N, x, flat);
    UPDATE_REFUSED(p, &other, NULL, VIC_BAD_INPUT, "cell vector a");
    other = points_at(N, wrong, NULL);
    UPDATE_REFUSED(p, &other, NULL, VIC_BAD_INPUT, "coordinate y is nan");
    other = points_at(N - 1, x, NULL);
    UPDATE_REFUSED(p, &other, NULL, VIC_BAD_ARGUMENT, "333");
    other = points_of(N);
    UPDATE_REFUSED(p, &other, NULL, VIC_BAD_ARGUMENT, "positions");
    other = moved;
    other.ids = tensor_of(ids, VIC_I64, 1, (const int64_t[]){ N });
    UPDATE_REFUSED(p, &other, NULL, VIC_BAD_ARGUMENT, "ids");
    other = moved;
    other.mask = tensor_of(mask, VIC_BOOL, 1, (const int64_t[]){ N });
    UPDATE_REFUSED(p, &other, NULL, VIC_BAD_ARGUMENT, "mask");
    vic_pattern_free(p);
    vic_pattern_free(twin);
    free(x);
    free(wrong);
}

static void update_needs_a_cutoff_pattern(void **state)
{
    double *x = random_points(1, N, 14.0);
    vic_points points = points_at(N, x, NULL), nowhere = points_of(N);
    vic_pattern *p, *twin;
    vic_error err;
    (void)state;
    CHECK_OK(vic_pattern_windows(NULL, &nowhere, 2, 2, NULL, &p, &err));
    CHECK_FAILS(vic_pattern_update(NULL, &p, &points, NULL, &err), VIC_BAD_ARGUMENT, "got one of kind windows");
    assert_string_equal(info_of(p).kind, "windows");
    vic_pattern_free(p);
    CHECK_OK(vic_pattern_cutoff(NULL, &points, &points, 3.0, NULL, &p, &err));
    CHECK_OK(vic_pattern_cutoff(NULL, &points, &points, 3.0, NULL, &twin, &err));
    UPDATE_REFUSED(p, &points, NULL, VIC_BAD_ARGUMENT, "keys of their own");
    vic_pattern_free(p);
    vic_pattern_free(twin);
    free(x);
}

static void update_of_no_points(void **state)
{
    vic_points none = points_at(0, NULL, NULL);
    vic_pattern *p = cutoff_pattern(&none, 2.0);
    vic_error err;
    (void)state;
    CHECK_OK(vic_pattern_update(NULL, &p, &none, NULL, &err));
    assert_int_equal(info_of(p).pairs, 0);
    vic_pattern_free(p);
}

/* ---- sorting ---- */

static void sort_and_unsort(void **state)
{
    double *x = random_points(3, N, 14.0);
    vic_pattern *p = pattern(x, 4.0, 0);
    const int32_t *order = order_of(p, VIC_QUERY);
    const int64_t shape[3] = { N, 2, 8 };
    static float a[N * 16], b[N * 16], c[2 * N * 8];
    vic_error err;
    (void)state;
    for (int i = 0; i < N * 16; i++) a[i] = (float)i;
    vic_tensor in = vic_tensor_make(a, VIC_F32, 3, shape), out = vic_tensor_make(b, VIC_F32, 3, shape);
    CHECK_OK(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &out, NULL, &err));
    for (int row = 0; row < N; row++) assert_memory_equal(b + 16 * row, a + 16 * order[row], 16 * sizeof *a);
    /* into another layout, [heads][points][8], and back */
    vic_tensor heads_first = out;
    heads_first.data = c;
    heads_first.stride[0] = 8;
    heads_first.stride[1] = 8 * N;
    CHECK_OK(vic_pattern_sort(NULL, p, VIC_KEY, &in, &heads_first, NULL, &err));
    memset(b, 0xff, sizeof b);
    CHECK_OK(vic_pattern_unsort(NULL, p, VIC_KEY, &heads_first, &out, NULL, &err));
    assert_memory_equal(a, b, sizeof a);
    CHECK_FAILS(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &in, NULL, &err), VIC_BAD_ARGUMENT, "not done in place");
    out.device.type = VIC_CUDA;
    CHECK_FAILS(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &out, NULL, &err), VIC_BAD_ARGUMENT, "cpu:0 and cuda:0");
    out.device.type = VIC_CPU;
    out.shape[2] = 7;
    CHECK_FAILS(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &out, NULL, &err), VIC_BAD_ARGUMENT,
                "dimension 2: in has 8, out has 7");
    out.shape[2] = 8;
    out.shape[0] = in.shape[0] = N - 1;
    CHECK_FAILS(vic_pattern_unsort(NULL, p, VIC_QUERY, &in, &out, NULL, &err), VIC_BAD_ARGUMENT, "first 333");
    CHECK_FAILS(vic_pattern_sort(NULL, p, (vic_side)2, &in, &out, NULL, &err), VIC_BAD_ARGUMENT, "side: expected");
    vic_pattern_free(p);
    free(x);
}

static void arguments(void **state)
{
    const double x[3] = { 0, 0, 0 };
    const bool pbc[3] = { false, true, false };
    vic_points points = points_at(1, x, NULL), none = points_at(0, NULL, NULL);
    vic_error err;
    vic_pattern *p;
    (void)state;
    points.periodic = pbc;
    CHECK_FAILS(vic_pattern_cutoff(NULL, &points, NULL, 1.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "periodic along b");
    points = points_of(1);
    CHECK_FAILS(vic_pattern_cutoff(NULL, &points, NULL, 1.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "positions");
    points = points_at(1, x, NULL);
    points.n = 2;
    CHECK_FAILS(vic_pattern_cutoff(NULL, &points, NULL, 1.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "positions");
    points.n = -4;
    CHECK_FAILS(vic_pattern_cutoff(NULL, &points, NULL, 1.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "-4");
    points.n = 0; /* as many as there are positions */
    p = cutoff_pattern(&points, 1.0);
    assert_int_equal(info_of(p).pairs, 1);
    vic_pattern_free(p);
    vic_pattern_free(NULL);
    p = cutoff_pattern(&none, 1.0);
    assert_int_equal(info_of(p).pairs, 0);
    vic_pattern_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expansions_agree),
        cmocka_unit_test(masks_of_other_blocks),
        cmocka_unit_test(neighbour_lists),
        cmocka_unit_test(half_lists_need_symmetry),
        cmocka_unit_test(update_follows_the_points),
        cmocka_unit_test(update_keeps_the_cell),
        cmocka_unit_test(update_refuses),
        cmocka_unit_test(update_needs_a_cutoff_pattern),
        cmocka_unit_test(update_of_no_points),
        cmocka_unit_test(sort_and_unsort),
        cmocka_unit_test(arguments),
    };
    return cmocka_run_group_tests_name("api_pattern", tests, NULL, NULL);
}
