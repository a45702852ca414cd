/* SPDX-License-Identifier: Apache-2.0 */
/* Points and lists in every form that the tensors of a caller can have: the same pattern, whatever the type and the
 * strides. */
#include "objects.h"

enum { N = 90, PAIRS = 60 };

static const double cell[9] = { 7, 0, 0, 1, 8, 0, 0, -2, 9 };

/* Multiples of 1/64, which float32 holds. */
static void coarse_points(double *x)
{
    uint64_t seed = 77;
    for (int i = 0; i < 3 * N; i++) x[i] = (double)(int)(random_uniform(&seed) * 640) / 64.0;
}

/* Both have the same pairs in the same order of rows; frees both. */
static void check_same(const char *what, vic_pattern *p, vic_pattern *q)
{
    vic_neighbors a = neighbors_of(p, false), b = neighbors_of(q, false);
    CHECK(a.pairs == b.pairs, "%s: %lld pairs, not %lld", what, (long long)b.pairs, (long long)a.pairs);
    assert_memory_equal(a.i, b.i, (size_t)a.pairs * sizeof *a.i);
    assert_memory_equal(a.j, b.j, (size_t)a.pairs * sizeof *a.j);
    assert_memory_equal(a.S, b.S, 3 * (size_t)a.pairs * sizeof *a.S);
    assert_memory_equal(order_of(p, VIC_QUERY), order_of(q, VIC_QUERY), (size_t)info_of(p).n_q * sizeof(int32_t));
    neighbors_free(&a);
    neighbors_free(&b);
    vic_pattern_free(p);
    vic_pattern_free(q);
}

/* ---- positions ---- */

static void types_of_positions(void **state)
{
    double x[3 * N];
    float single[3 * N];
    const double *kept;
    vic_error err;
    (void)state;
    coarse_points(x);
    for (int i = 0; i < 3 * N; i++) single[i] = (float)x[i];
    vic_points in_double = points_at(N, x, cell), in_single = in_double;
    in_single.positions = vic_tensor_make(single, VIC_F32, 2, (const int64_t[]){ N, 3 });
    vic_pattern *p = cutoff_pattern(&in_single, 3.0);
    CHECK_OK(vic_pattern_positions(p, VIC_QUERY, &kept, &err));
    assert_memory_equal(kept, x, sizeof x);
    check_same("float32", cutoff_pattern(&in_double, 3.0), p);
}

/* Rows with something behind them, columns, and points from the last to the first. */
static void strides_of_positions(void **state)
{
    double x[3 * N], wide[5 * N], columns[3 * N], backwards[3 * N];
    (void)state;
    coarse_points(x);
    for (int i = 0; i < 5 * N; i++) wide[i] = NAN;
    for (int i = 0; i < N; i++)
        for (int c = 0; c < 3; c++) {
            wide[5 * i + c] = columns[c * N + i] = x[3 * i + c];
            backwards[3 * (N - 1 - i) + c] = x[3 * i + c];
        }
    vic_points dense = points_at(N, x, cell), other = dense;
    other.positions.data = wide;
    other.positions.stride[0] = 5;
    check_same("wide rows", cutoff_pattern(&dense, 3.0), cutoff_pattern(&other, 3.0));
    other.positions.data = columns;
    other.positions.stride[0] = 1;
    other.positions.stride[1] = N;
    check_same("columns", cutoff_pattern(&dense, 3.0), cutoff_pattern(&other, 3.0));
    other.positions.data = backwards + 3 * (N - 1);
    other.positions.stride[0] = -3;
    other.positions.stride[1] = 1;
    check_same("from the last to the first", cutoff_pattern(&dense, 3.0), cutoff_pattern(&other, 3.0));
}

static void positions_of_no_use(void **state)
{
    static const struct {
        vic_dtype dtype;
        int ndim;
        int64_t shape[3];
        const char *words;
    } wrong[] = {
        { VIC_F16, 2, { N, 3 }, "float32 or float64" }, { VIC_I32, 2, { N, 3 }, "float32 or float64" },
        { VIC_F64, 1, { 3 * N }, "positions" },         { VIC_F64, 2, { N, 2 }, "positions" },
        { VIC_F64, 2, { N - 1, 3 }, "positions" },      { VIC_F64, 3, { 1, N, 3 }, "positions" },
        { VIC_F64, 9, { N, 3 }, "positions" },          { VIC_DTYPE_UNKNOWN, 2, { N, 3 }, "positions" },
    };
    double x[3 * N];
    vic_points points;
    vic_pattern *p;
    vic_error err;
    (void)state;
    coarse_points(x);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        points = points_at(N, x, NULL);
        points.positions.dtype = wrong[i].dtype;
        points.positions.ndim = wrong[i].ndim;
        memcpy(points.positions.shape, wrong[i].shape, sizeof wrong[i].shape);
        CHECK_FAILS(vic_pattern_cutoff(NULL, &points, NULL, 3.0, NULL, &p, &err), VIC_BAD_ARGUMENT, wrong[i].words);
    }
    points = points_at(N, x, NULL);
    points.positions.device.type = VIC_DEVICE_UNKNOWN; /* forgotten */
    CHECK_FAILS(vic_pattern_cutoff(NULL, &points, NULL, 3.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "device");
    points = points_at(N, x, NULL);
    points.positions.stride[0] = INT64_MAX / 4;
    CHECK_FAILS(vic_pattern_cutoff(NULL, &points, NULL, 3.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "positions");
    x[3 * 5 + 1] = INFINITY;
    points = points_at(N, x, NULL);
    CHECK_FAILS(vic_pattern_cutoff(NULL, &points, NULL, 3.0, NULL, &p, &err), VIC_BAD_INPUT, "5");
    assert_non_null(strstr(err.text, "inf"));
}

/* ---- masks ---- */

/* What is left of the pairs of all points. */
static void check_masked(const vic_pattern *all, const vic_pattern *some, const bool *kept)
{
    vic_neighbors a = neighbors_of(all, false), b = neighbors_of(some, false);
    int64_t at = 0;
    for (int64_t k = 0; k < a.pairs; k++) {
        if (!kept[a.i[k]] || !kept[a.j[k]]) continue;
        assert_true(at < b.pairs && b.i[at] == a.i[k] && b.j[at] == a.j[k]);
        assert_memory_equal(b.S + 3 * at, a.S + 3 * k, 3 * sizeof(int32_t));
        at++;
    }
    assert_int_equal(at, b.pairs);
    neighbors_free(&a);
    neighbors_free(&b);
}

static void types_of_masks(void **state)
{
    double x[3 * N];
    bool mask[N];
    uint8_t bytes[2 * N];
    const int64_t n = N;
    (void)state;
    coarse_points(x);
    for (int i = 0; i < N; i++) {
        mask[i] = i % 4 != 1;
        bytes[2 * i] = (uint8_t)(mask[i] ? i % 255 + 1 : 0); /* anything but 0 */
        bytes[2 * i + 1] = !mask[i];
    }
    vic_points points = points_at(N, x, cell);
    vic_pattern *all = cutoff_pattern(&points, 3.0);
    points.mask = vic_tensor_make(mask, VIC_BOOL, 1, &n);
    vic_pattern *by_bool = cutoff_pattern(&points, 3.0);
    check_masked(all, by_bool, mask);
    points.mask = vic_tensor_make(bytes, VIC_U8, 1, &n);
    points.mask.stride[0] = 2;
    check_same("a mask of uint8 with a stride", by_bool, cutoff_pattern(&points, 3.0));
    for (int i = 0; i < N; i++) mask[i] = true;
    points.mask = vic_tensor_make(mask, VIC_BOOL, 1, &n);
    check_same("a mask that leaves nothing out", all, cutoff_pattern(&points, 3.0));
}

/* Of two sets each has its own. */
static void masks_of_two_sets(void **state)
{
    double x[3 * N];
    bool of_queries[N], of_keys[N];
    const int64_t n = N;
    vic_pattern *p;
    vic_error err;
    (void)state;
    coarse_points(x);
    for (int i = 0; i < N; i++) {
        of_queries[i] = i % 3 != 0;
        of_keys[i] = i % 2 != 0;
    }
    vic_points queries = points_at(N, x, NULL), keys = points_at(N, x, NULL);
    queries.mask = vic_tensor_make(of_queries, VIC_BOOL, 1, &n);
    keys.mask = vic_tensor_make(of_keys, VIC_BOOL, 1, &n);
    CHECK_OK(vic_pattern_cutoff(NULL, &queries, &keys, 3.0, NULL, &p, &err));
    vic_neighbors l = neighbors_of(p, false);
    assert_true(l.pairs > 0);
    for (int64_t k = 0; k < l.pairs; k++) assert_true(of_queries[l.i[k]] && of_keys[l.j[k]]);
    neighbors_free(&l);
    vic_pattern_free(p);
    queries.mask.shape[0] = N - 1;
    CHECK_FAILS(vic_pattern_cutoff(NULL, &queries, &keys, 3.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "mask");
}

/* ---- ids ---- */

/* Queries are a part of the keys, under the same numbers: their own pairs are left out, copies elsewhere are not. */
static void ids_say_which_point_is_which(void **state)
{
    static const vic_dtype types[] = { VIC_I64, VIC_I32 };
    double x[3 * N], copies[3 * (N + 1)];
    int64_t wide[N + 1];
    int32_t narrow[N + 1];
    vic_pattern_options o = { .size = sizeof o, .exclude_self = true };
    vic_pattern *p;
    vic_error err;
    (void)state;
    coarse_points(x);
    memcpy(copies, x, sizeof x);
    for (int i = 0; i <= N; i++) narrow[i] = (int32_t)(wide[i] = i < N ? 500 + i : 500); /* the last: 0's image */
    for (int c = 0; c < 3; c++) copies[3 * N + c] = x[c] + (c == 0 ? 0.5 : 0.0);
    for (int t = 0; t < 2; t++) {
        const int64_t n = 10, m = N + 1;
        void *ids = t ? (void *)narrow : (void *)wide;
        vic_points queries = points_at(n, x, NULL), keys = points_at(m, copies, NULL);
        CHECK_OK(vic_pattern_cutoff(NULL, &queries, &keys, 3.0, NULL, &p, &err));
        vic_neighbors all = neighbors_of(p, false);
        vic_pattern_free(p);
        queries.ids = vic_tensor_make(ids, types[t], 1, &n);
        keys.ids = vic_tensor_make(ids, types[t], 1, &m);
        CHECK_OK(vic_pattern_cutoff(NULL, &queries, &keys, 3.0, &o, &p, &err));
        vic_neighbors l = neighbors_of(p, false);
        bool image = false;
        assert_int_equal(l.pairs, all.pairs - n);
        for (int64_t k = 0; k < l.pairs; k++) {
            assert_true(l.i[k] != l.j[k]);
            image = image || (l.i[k] == 0 && l.j[k] == N);
        }
        assert_true(image);
        neighbors_free(&l);
        neighbors_free(&all);
        vic_pattern_free(p);
    }
}

static void ids_of_no_use(void **state)
{
    double x[3 * N];
    int64_t ids[N] = { 0 };
    const int64_t n = N;
    vic_pattern *p;
    vic_error err;
    (void)state;
    coarse_points(x);
    vic_points points = points_at(N, x, NULL);
    points.ids = vic_tensor_make(ids, VIC_F64, 1, &n);
    CHECK_FAILS(vic_pattern_cutoff(NULL, &points, NULL, 3.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "int32 or int64");
    points.ids = vic_tensor_make(ids, VIC_I64, 1, &n);
    points.ids.shape[0] = N + 1;
    CHECK_FAILS(vic_pattern_cutoff(NULL, &points, NULL, 3.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "ids");
}

/* ---- cells ---- */

static void the_cell_is_that_of_the_queries(void **state)
{
    const double same[9] = { 7, 0, 0, 1, 8, 0, 0, -2, 9 }, another[9] = { 7, 0, 0, 1, 8, 0, 0, -2, 9.5 };
    const bool all[3] = { true, true, true }, slab[3] = { true, true, false };
    double x[3 * N];
    vic_pattern *p, *q;
    vic_error err;
    (void)state;
    coarse_points(x);
    vic_points queries = points_at(N, x, cell), keys = points_at(N, x, NULL);
    CHECK_OK(vic_pattern_cutoff(NULL, &queries, &keys, 3.0, NULL, &p, &err));
    assert_true(info_of(p).periodic[0] && !memcmp(info_of(p).cell, cell, sizeof cell));
    keys.cell = same;
    keys.periodic = all;
    CHECK_OK(vic_pattern_cutoff(NULL, &queries, &keys, 3.0, NULL, &q, &err));
    check_same("the keys' cell given too", p, q);
    keys.cell = another;
    CHECK_FAILS(vic_pattern_cutoff(NULL, &queries, &keys, 3.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "cell");
    keys.cell = same;
    keys.periodic = slab;
    CHECK_FAILS(vic_pattern_cutoff(NULL, &queries, &keys, 3.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "keys.cell");
    keys.periodic = NULL;
    queries.cell = NULL;
    CHECK_FAILS(vic_pattern_cutoff(NULL, &queries, &keys, 3.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "cell");
}

/* ---- lists of pairs ---- */

static void lists_of_any_type(void **state)
{
    int32_t i32[3 * PAIRS], shift32[3 * PAIRS];
    int64_t i64[4 * PAIRS], shift64[5 * PAIRS];
    double x[3 * N];
    vic_pattern *p, *q;
    vic_error err;
    (void)state;
    coarse_points(x);
    for (int i = 0; i < PAIRS; i++) {
        i64[4 * i] = i32[i] = i;                            /* query */
        i64[4 * i + 1] = i32[PAIRS + i] = (11 * i + 2) % N; /* key */
        i64[4 * i + 2] = i64[4 * i + 3] = INT64_MIN;
        for (int c = 0; c < 3; c++) shift64[c * PAIRS + i] = shift32[3 * i + c] = (i + c) % 3 - 1;
    }
    const int64_t n = PAIRS, matrix[] = { PAIRS, 3 };
    vic_points points = points_at(N, x, cell);
    vic_pair_list narrow = { .size = sizeof narrow,
                             .query = vic_tensor_make(i32, VIC_I32, 1, &n),
                             .key = vic_tensor_make(i32 + PAIRS, VIC_I32, 1, &n),
                             .shift = vic_tensor_make(shift32, VIC_I32, 2, matrix) };
    vic_pair_list wide = { .size = sizeof wide,
                           .query = vic_tensor_make(i64, VIC_I64, 1, &n),
                           .key = vic_tensor_make(i64 + 1, VIC_I64, 1, &n),
                           .shift = vic_tensor_make(shift64, VIC_I64, 2, matrix) };
    wide.query.stride[0] = wide.key.stride[0] = 4;
    wide.shift.stride[0] = 1; /* three columns */
    wide.shift.stride[1] = PAIRS;
    CHECK_OK(vic_pattern_pairs(NULL, &points, NULL, &narrow, NULL, &p, &err));
    CHECK_OK(vic_pattern_pairs(NULL, &points, NULL, &wide, NULL, &q, &err));
    assert_int_equal(info_of(p).pairs, PAIRS);
    vic_pattern *less[2];
    CHECK_OK(vic_pattern_exclude(NULL, p, &wide, &less[0], &err));
    assert_int_equal(info_of(less[0]).pairs, 0);
    wide.query.shape[0] = wide.key.shape[0] = wide.shift.shape[0] = PAIRS / 2;
    CHECK_OK(vic_pattern_exclude(NULL, p, &wide, &less[1], &err));
    assert_int_equal(info_of(less[1]).pairs, PAIRS - PAIRS / 2);
    for (int k = 0; k < 2; k++) vic_pattern_free(less[k]);
    check_same("int64 with strides", p, q);
}

static void numbers_beyond_int32(void **state)
{
    int64_t query[] = { 0 }, key[] = { (int64_t)1 << 40 };
    const int64_t n = 1;
    double x[3 * N];
    vic_pattern *p;
    vic_error err;
    (void)state;
    coarse_points(x);
    vic_points points = points_at(N, x, NULL);
    vic_pair_list list = { .size = sizeof list,
                           .query = vic_tensor_make(query, VIC_I64, 1, &n),
                           .key = vic_tensor_make(key, VIC_I64, 1, &n) };
    CHECK_FAILS(vic_pattern_pairs(NULL, &points, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT,
                "key: entry 0 is beyond");
}

/* Ids of one side alone: those of the other are its numbers. */
static void ids_of_one_side(void **state)
{
    enum { FEW = 20 };
    double at[3 * FEW];
    int32_t id[FEW];
    const int64_t n = FEW;
    const vic_pattern_options o = { .size = sizeof o, .exclude_self = true };
    (void)state;
    for (int i = 0; i < 3 * FEW; i++) at[i] = i;
    for (int i = 0; i < FEW; i++) id[i] = i;
    for (int sides = 0; sides < 4; sides++) {
        vic_points q = points_at(FEW, at, NULL), k = q;
        vic_pattern *p;
        vic_error err;
        if (sides & 1) q.ids = tensor_of(id, VIC_I32, 1, &n);
        if (sides & 2) k.ids = tensor_of(id, VIC_I32, 1, &n);
        CHECK_OK(vic_pattern_cutoff(NULL, &q, &k, 0.5, &o, &p, &err));
        assert_int_equal(info_of(p).pairs, sides ? 0 : FEW);
        vic_pattern_free(p);
        CHECK_OK(vic_pattern_nearest(NULL, &q, &k, 1, &o, &p, &err));
        vic_neighbors l = neighbors_of(p, false);
        for (int64_t i = 0; i < l.pairs; i++) assert_true((l.i[i] == l.j[i]) == (sides == 0));
        neighbors_free(&l);
        vic_pattern_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_of_positions),  cmocka_unit_test(strides_of_positions),
        cmocka_unit_test(positions_of_no_use), cmocka_unit_test(types_of_masks),
        cmocka_unit_test(masks_of_two_sets),   cmocka_unit_test(ids_say_which_point_is_which),
        cmocka_unit_test(ids_of_no_use),       cmocka_unit_test(the_cell_is_that_of_the_queries),
        cmocka_unit_test(lists_of_any_type),   cmocka_unit_test(numbers_beyond_int32),
        cmocka_unit_test(ids_of_one_side),
    };
    return cmocka_run_group_tests_name("api_points", tests, NULL, NULL);
}
