/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong arguments of public functions: each is refused in words that say what was expected and what came, hands out
 * nothing, and changes nothing.  NULL is in test_null_api.c, what structs of other sizes do in test_sized_api.c. */
#include "objects.h"

#include "vicinal_dev.h"

enum { N = 20 };

static double at[3 * N];

static int set_up(void **state)
{
    uint64_t seed = 8;
    (void)state;
    for (int i = 0; i < 3 * N; i++) at[i] = 6 * random_uniform(&seed);
    return 0;
}

static vic_pattern *cutoff(void)
{
    vic_points points = points_at(N, at, NULL);
    return cutoff_pattern(&points, 3.0);
}

/* The out parameter of a call that fails is NULL, whatever was there. */
#define REFUSED(object, expression, expected, part)                                                                  \
    do {                                                                                                             \
        memset(&(object), 0x5a, sizeof(object));                                                                     \
        CHECK_FAILS(expression, expected, part);                                                                     \
        assert_null(object);                                                                                         \
    } while (0)

/* The numbers are DLPack's. */
static void types(void **state)
{
    static const struct {
        vic_dtype dtype;
        size_t size;
        int code, bits;
        const char *name;
    } all[] = {
        { VIC_I32, 4, 0, 32, "int32" },     { VIC_I64, 8, 0, 64, "int64" },   { VIC_U8, 1, 1, 8, "uint8" },
        { VIC_F16, 2, 2, 16, "float16" },   { VIC_F32, 4, 2, 32, "float32" }, { VIC_F64, 8, 2, 64, "float64" },
        { VIC_BF16, 2, 4, 16, "bfloat16" }, { VIC_BOOL, 1, 6, 8, "bool" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_int_equal(all[i].dtype, all[i].code | all[i].bits << 8 | 1 << 16);
        assert_int_equal(vic_dtype_size(all[i].dtype), all[i].size);
        assert_string_equal(vic_dtype_name(all[i].dtype), all[i].name);
    }
    for (int i = 0; i < 2; i++) {
        vic_dtype other = i ? (vic_dtype)77 : VIC_DTYPE_UNKNOWN;
        assert_int_equal(vic_dtype_size(other), 0);
        assert_string_equal(vic_dtype_name(other), "unknown type");
    }
}

static void statuses(void **state)
{
    (void)state;
#define CHECK_STATUS(status, value, words)                                                                           \
    assert_int_equal(VIC_##status, value);                                                                           \
    assert_string_equal(vic_status_name(VIC_##status), #status);                                                     \
    assert_string_equal(vic_status_text(VIC_##status), words);
    VIC_STATUS_LIST(CHECK_STATUS)
    assert_string_equal(vic_status_name((vic_status)99), "?");
    assert_non_null(vic_status_text((vic_status)99));
}

static void tensors_of_any_shape(void **state)
{
    const int64_t shape[] = { 3, 4, 5, 6, 7, 8, 9 }, huge[] = { INT64_MAX, INT64_MAX, 2 };
    (void)state;
    vic_tensor t = vic_tensor_make(NULL, VIC_F32, 6, shape);
    assert_int_equal(t.stride[0], 4 * 5 * 6 * 7 * 8);
    assert_int_equal(t.device.type, VIC_CPU);
    t = vic_tensor_make(NULL, VIC_F32, 7, shape); /* too many: refused where it is used */
    assert_int_equal(t.ndim, 7);
    t = vic_tensor_make(NULL, VIC_F32, 0, NULL);
    assert_int_equal(t.ndim, 0);
    t = vic_tensor_make(NULL, VIC_F32, 3, huge);
    assert_int_equal(t.stride[2], 1);
    assert_int_equal(t.stride[1], 2);
    assert_true(t.stride[0] == INT64_MAX); /* no memory holds it */
}

/* Sizes that no memory has: refused by number, before anything of that size is touched. */
static void numbers_of_points(void **state)
{
    static const int64_t wrong[] = { -1, INT64_MIN, INT32_MAX, (int64_t)1 << 32, INT64_MAX };
    const int64_t fine[] = { 0, 0 }, one = 1;
    const uint8_t mask[] = { 1 };
    const int32_t zero[] = { 0 };
    vic_block_list blocks = { .size = sizeof blocks, .block = 16, .row_ptr = fine, .column = zero };
    vic_pair_list pairs = pairs_listed(0, NULL, NULL, NULL);
    vic_points single = points_at(1, at, NULL);
    vic_pattern *p;
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t n = wrong[i];
        vic_points here = points_at(n, at, NULL), nowhere = points_of(n);
        REFUSED(p, vic_pattern_cutoff(NULL, &here, NULL, 1.0, NULL, &p, &err), VIC_BAD_ARGUMENT,
                n < 0 ? "0 or more" : "");
        REFUSED(p, vic_pattern_cutoff(NULL, &single, &here, 1.0, NULL, &p, &err), VIC_BAD_ARGUMENT,
                n < 0 ? "0 or more" : "");
        here.mask = tensor_of(mask, VIC_U8, 1, &one); /* of one point, and not looked at */
        REFUSED(p, vic_pattern_cutoff(NULL, &here, NULL, 1.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "");
        REFUSED(p, vic_pattern_cutoff(NULL, &single, &here, 1.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "");
        REFUSED(p, vic_pattern_windows(NULL, &nowhere, 2, 4, NULL, &p, &err), VIC_BAD_ARGUMENT,
                n < 0 ? "0 or more" : "0 to 2147483");
        REFUSED(p, vic_pattern_pairs(NULL, &nowhere, NULL, &pairs, NULL, &p, &err), VIC_BAD_ARGUMENT,
                n < 0 ? "0 or more" : "0 to 2147483");
        REFUSED(p, vic_pattern_pairs(NULL, &single, &nowhere, &pairs, NULL, &p, &err), VIC_BAD_ARGUMENT,
                n < 0 ? "0 or more" : "0 to 2147483");
        REFUSED(p, vic_pattern_blocks(NULL, &nowhere, NULL, &blocks, NULL, &p, &err), VIC_BAD_ARGUMENT,
                n < 0 ? "0 or more" : "0 to 2147483");
    }
}

static void numbers_of_other_things(void **state)
{
    static const int64_t wrong[] = { 0, -1, INT64_MIN, (int64_t)1 << 32, INT64_MAX };
    const int64_t fine[] = { 0, 0 };
    const int32_t zero[] = { 0 };
    vic_points points = points_at(N, at, NULL), one = points_of(1);
    vic_pattern *p;
    vic_error err;
    void *memory;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t n = wrong[i];
        vic_block_list blocks = { .size = sizeof blocks, .block = n, .row_ptr = fine, .column = zero };
        REFUSED(p, vic_pattern_nearest(NULL, &points, NULL, n, NULL, &p, &err), VIC_BAD_ARGUMENT,
                "expected 1 or more");
        REFUSED(p, vic_pattern_windows(NULL, &one, n, 4, NULL, &p, &err), VIC_BAD_ARGUMENT, "window");
        REFUSED(p, vic_pattern_windows(NULL, &one, 4, n, NULL, &p, &err), VIC_BAD_ARGUMENT, "window");
        REFUSED(p, vic_pattern_blocks(NULL, &one, NULL, &blocks, NULL, &p, &err), VIC_BAD_ARGUMENT, "multiple of 16");
    }
    REFUSED(p, vic_pattern_generate(NULL, "blocks:1x1:n=99999999999999999999", NULL, &p, &err), VIC_BAD_ARGUMENT,
            "stopped at character");
    REFUSED(p, vic_pattern_generate(NULL, "blocks:65537x65537:n=1", NULL, &p, &err), VIC_BAD_ARGUMENT, "2^32 places");
    REFUSED(p, vic_pattern_generate(NULL, "blocks:20000000x2:n=1", NULL, &p, &err), VIC_BAD_ARGUMENT, "on a side");
    REFUSED(memory, vic_memory_alloc((vic_device){ VIC_CPU, 0 }, SIZE_MAX, &memory, &err), VIC_NO_MEMORY, "bytes");
}

static void cutoffs(void **state)
{
    static const double wrong[] = { 0, -1, NAN, INFINITY };
    vic_points points = points_at(N, at, NULL);
    vic_pattern *p;
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        REFUSED(p, vic_pattern_cutoff(NULL, &points, NULL, wrong[i], NULL, &p, &err), VIC_BAD_ARGUMENT, "cutoff");
}

static void block_masks(void **state)
{
    static const struct {
        int64_t row_ptr[4];
        int32_t column[3];
        const char *words;
    } wrong[] = {
        { { 1, 1, 2, 3 }, { 0, 1, 2 }, "row_ptr[0]: expected 0, found 1" },
        { { 0, 2, 1, 3 }, { 0, 1, 2 }, "row_ptr[2]: expected at least 2, as before it, found 1" },
        { { 0, 0, 0, -1 }, { 0, 1, 2 }, "row_ptr[3]: expected at least 0" },
        { { 0, 1, 2, 3 }, { 0, -1, 2 }, "column[1], in block row 1: expected 0 to 2, found -1" },
        { { 0, 1, 2, 3 }, { 0, 1, 3 }, "column[2], in block row 2: expected 0 to 2, found 3" },
        { { 0, 1, 3, 3 }, { 0, 1, 1 }, "block row 1: expected each column once, found 1 twice" },
    };
    const int64_t many[] = { 0, INT64_MAX }, none[] = { 0, 0 }, one[] = { 0, 1 };
    const int32_t zero[] = { 0 };
    vic_points points = points_of(48), few = points_of(16);
    vic_block_list list = { .size = sizeof list, .block = 16 };
    vic_pattern *p;
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        list.row_ptr = wrong[i].row_ptr;
        list.column = wrong[i].column;
        REFUSED(p, vic_pattern_blocks(NULL, &points, NULL, &list, NULL, &p, &err), VIC_BAD_INPUT, wrong[i].words);
    }
    list.row_ptr = many;
    list.column = zero;
    REFUSED(p, vic_pattern_blocks(NULL, &few, NULL, &list, NULL, &p, &err), VIC_NO_MEMORY, "blocks");
    list.row_ptr = one;
    list.column = NULL;
    REFUSED(p, vic_pattern_blocks(NULL, &few, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT,
            "column is NULL, but row_ptr counts 1 blocks");
    list.row_ptr = none; /* no blocks */
    CHECK_OK(vic_pattern_blocks(NULL, &few, NULL, &list, NULL, &p, &err));
    assert_int_equal(info_of(p).pairs, 0);
    vic_pattern_free(p);
    CHECK_OK(vic_pattern_generate(NULL, "blocks:2x2:n=1,seed=18446744073709551615", NULL, &p, &err));
    vic_pattern_free(p);
    REFUSED(p, vic_pattern_generate(NULL, "blocks:2x2:n=1,seed=18446744073709551616", NULL, &p, &err),
            VIC_BAD_ARGUMENT, "stopped at character");
    REFUSED(p, vic_pattern_generate(NULL, "blocks:2x2:n=1,seed=99999999999999999999", NULL, &p, &err),
            VIC_BAD_ARGUMENT, "stopped at character");
}

static void lists_of_pairs(void **state)
{
    const int32_t zero[] = { 0, 0 }, beyond[] = { N }, below[] = { -1 };
    const int64_t one = 1, two = 2;
    vic_points points = points_at(N, at, NULL);
    vic_pair_list list = pairs_listed(1, zero, zero, NULL);
    const double *where;
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(vic_pattern_pairs(NULL, &points, NULL, &list, NULL, &p, &err));
    assert_int_equal(info_of(p).pairs, 1);
    assert_true(info_of(p).positions);
    CHECK_OK(vic_pattern_positions(p, VIC_QUERY, &where, &err));
    assert_memory_equal(where, at, sizeof at);
    vic_pattern_free(p);
    list.query = tensor_of(zero, VIC_I32, 1, &two);
    REFUSED(p, vic_pattern_pairs(NULL, &points, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT, "key");
    list.key = list.query;
    REFUSED(p, vic_pattern_pairs(NULL, &points, NULL, &list, NULL, &p, &err), VIC_BAD_INPUT, "once");
    list = pairs_listed(1, zero, beyond, NULL);
    REFUSED(p, vic_pattern_pairs(NULL, &points, NULL, &list, NULL, &p, &err), VIC_BAD_INPUT, "20");
    list = pairs_listed(1, below, zero, NULL);
    REFUSED(p, vic_pattern_pairs(NULL, &points, NULL, &list, NULL, &p, &err), VIC_BAD_INPUT, "-1");
    list = pairs_listed(1, zero, zero, NULL);
    list.shift = tensor_of(zero, VIC_I32, 1, &one);
    REFUSED(p, vic_pattern_pairs(NULL, &points, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT, "shift");
    list = pairs_listed(1, zero, zero, NULL);
    list.query.dtype = VIC_F32;
    REFUSED(p, vic_pattern_pairs(NULL, &points, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT, "int32 or int64");
}

static void lists_of_ranges(void **state)
{
    static const struct {
        int64_t query_offsets[3], range_offsets[3];
        int32_t ranges[2][2];
        const char *words;
    } wrong[] = {
        { { 1, 3, 5 }, { 0, 1, 2 }, { { 0, 4 }, { 0, 4 } }, "[0]: expected" },
        { { 0, 5, 3 }, { 0, 1, 2 }, { { 0, 4 }, { 0, 4 } }, "[2]: expected" },
        { { 0, 3, 4 }, { 0, 1, 2 }, { { 0, 4 }, { 0, 4 } }, "[2]: expected" },
        { { 0, 3, 5 }, { 1, 1, 2 }, { { 0, 4 }, { 0, 4 } }, "[0]: expected" },
        { { 0, 3, 5 }, { 0, 2, 1 }, { { 0, 4 }, { 0, 4 } }, "[2]: expected" },
        { { 0, 3, 5 }, { 0, 1, 2 }, { { 0, 4 }, { -1, 4 } }, "-1" },
        { { 0, 3, 5 }, { 0, 1, 2 }, { { 0, 4 }, { 3, 2 } }, "range 1" },
        { { 0, 3, 5 }, { 0, 1, 2 }, { { 0, 4 }, { 0, 6 } }, "6" },
        { { 0, 3, 5 }, { 0, 2, 2 }, { { 0, 4 }, { 3, 5 } }, "once" },
    };
    vic_points points = points_of(5);
    vic_range_list list = { .size = sizeof list, .groups = 2 };
    vic_pattern *p;
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        list.query_offsets = wrong[i].query_offsets;
        list.range_offsets = wrong[i].range_offsets;
        list.ranges = wrong[i].ranges[0];
        REFUSED(p, vic_pattern_ranges(NULL, &points, NULL, &list, NULL, &p, &err), VIC_BAD_INPUT, wrong[i].words);
    }
    list.groups = -1;
    REFUSED(p, vic_pattern_ranges(NULL, &points, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT, "groups");
    list.groups = 2;
    list.window = true;
    list.left = -2;
    REFUSED(p, vic_pattern_ranges(NULL, &points, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT, "left");
}

static void groups(void **state)
{
    static const struct {
        int64_t offsets[3];
    } wrong[] = { { { 1, 5, N } }, { { 0, 7, 5 } }, { { 0, 5, N - 1 } }, { { 0, 5, N + 1 } }, { { 0, -1, N } } };
    vic_points points = points_at(N, at, NULL), other = points_at(N, at, NULL);
    const int64_t fine[] = { 0, 5, N };
    vic_pattern *p;
    vic_error err;
    (void)state;
    points.groups = 2;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        points.group_offsets = wrong[i].offsets;
        REFUSED(p, vic_pattern_cutoff(NULL, &points, NULL, 2.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "offsets[");
    }
    points.group_offsets = NULL;
    REFUSED(p, vic_pattern_cutoff(NULL, &points, NULL, 2.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "group_offsets");
    points.group_offsets = fine;
    points.groups = -1;
    REFUSED(p, vic_pattern_cutoff(NULL, &points, NULL, 2.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "groups");
    points.groups = 2;
    REFUSED(p, vic_pattern_cutoff(NULL, &points, &other, 2.0, NULL, &p, &err), VIC_BAD_ARGUMENT, "groups");
    CHECK_OK(vic_pattern_cutoff(NULL, &points, &points, 2.0, NULL, &p, &err));
    assert_int_equal(info_of(p).groups, 2);
    vic_pattern_free(p);
}

/* What needs one place for each point, and a cell that all share. */
static void distances(void **state)
{
    const int64_t offsets[] = { 0, 5, N };
    vic_points nowhere = points_of(2), points = points_at(N, at, NULL);
    const double *where;
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(vic_pattern_windows(NULL, &nowhere, 2, 2, NULL, &p, &err));
    vic_neighbors list = neighbors_of(p, false);
    double d[4];
    list.d = d;
    CHECK_FAILS(vic_pattern_neighbors(NULL, p, &list, &err), VIC_BAD_ARGUMENT, "positions");
    list.d = NULL;
    neighbors_free(&list);
    REFUSED(where, vic_pattern_positions(p, VIC_QUERY, &where, &err), VIC_BAD_ARGUMENT, "without positions");
    vic_pattern_free(p);
    points.groups = 2;
    points.group_offsets = offsets;
    p = cutoff_pattern(&points, 3.0);
    list = neighbors_of(p, true); /* with groups too: each has its own cell */
    for (int64_t k = 0; k < list.pairs; k++) assert_true(list.d[k] < 3.0 && (list.i[k] < 5) == (list.j[k] < 5));
    neighbors_free(&list);
    vic_pattern_free(p);
}

/* The stride along a dimension of one says nothing. */
static void sort_one_wide(const vic_pattern *p, float *a, float *b)
{
    const int64_t shape[] = { N, 1 };
    vic_tensor in = vic_tensor_make(a, VIC_F32, 2, shape), out = vic_tensor_make(b, VIC_F32, 2, shape);
    const int32_t *order = order_of(p, VIC_QUERY);
    vic_error err;
    in.stride[1] = INT64_MIN;
    out.stride[1] = 77;
    memset(b, 0, N * sizeof *b);
    CHECK_OK(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &out, NULL, &err));
    for (int row = 0; row < N; row++) assert_true(b[row] == a[order[row]]);
}

static void sorted_tensors(void **state)
{
    static const struct {
        int64_t shape[VIC_MAX_DIMS], in[VIC_MAX_DIMS], out[VIC_MAX_DIMS];
        int ndim;
        const char *words;
    } wrong[] = {
        { { N, 2 }, { 2, 2 }, { 2, 1 }, 2, "contiguous (stride 1), got 2 and 1" },
        { { N, 2 }, { 2, 1 }, { 4, 2 }, 2, "contiguous (stride 1), got 1 and 2" },
        { { N, -2 }, { 2, 1 }, { 2, 1 }, 2, "in: its shape and strides reach further" },
        { { N, INT64_MAX }, { 1, 1 }, { 1, 1 }, 2, "in: its shape and strides reach further" },
        { { N, 2, 1 }, { INT64_MAX / 2, 1, 1 }, { 2, 1, 1 }, 3, "in: its shape and strides reach further" },
        { { N, 2, 1 }, { 2, 1, 1 }, { INT64_MIN, 1, 1 }, 3, "out: its shape and strides reach further" },
        { { N, 2, 1 }, { 2, 1, 1 }, { -INT64_MAX / 19, -INT64_MAX / 2, 1 }, 3, "out: its shape and strides" },
        { { N }, { 1 }, { 1 }, 0, "1 to 4 dimensions" },
        { { N }, { 1 }, { 1 }, VIC_MAX_DIMS + 1, "1 to 4 dimensions" },
    };
    float a[8 * N], b[8 * N];
    vic_pattern *p = cutoff();
    const int32_t *order = order_of(p, VIC_QUERY);
    vic_error err;
    (void)state;
    const int64_t four[] = { N, 2, 2, 2 };
    vic_tensor in = vic_tensor_make(a, VIC_F32, 4, four), out = vic_tensor_make(b, VIC_F32, 4, four);
    for (int i = 0; i < 8 * N; i++) a[i] = (float)i;
    CHECK_OK(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &out, NULL, &err));
    for (int row = 0; row < N; row++) assert_memory_equal(b + 8 * row, a + 8 * order[row], 8 * sizeof *a);
    in.ndim = out.ndim = 1; /* one number a point, wherever they lie */
    CHECK_OK(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &out, NULL, &err));
    for (int row = 0; row < N; row++) assert_true(b[8 * row] == a[8 * order[row]]);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        vic_tensor x = vic_tensor_make(a, VIC_F32, wrong[i].ndim, wrong[i].shape), y = x;
        y.data = b;
        memcpy(x.stride, wrong[i].in, sizeof x.stride);
        memcpy(y.stride, wrong[i].out, sizeof y.stride);
        CHECK_FAILS(vic_pattern_sort(NULL, p, VIC_QUERY, &x, &y, NULL, &err), VIC_BAD_ARGUMENT, wrong[i].words);
    }
    sort_one_wide(p, a, b);
    out.ndim = 2;
    CHECK_FAILS(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &out, NULL, &err), VIC_BAD_ARGUMENT, "of one type");
    out.ndim = 1;
    out.dtype = VIC_F16;
    CHECK_FAILS(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &out, NULL, &err), VIC_BAD_ARGUMENT,
                "float32 with 1 and float16");
    in.dtype = out.dtype = (vic_dtype)9;
    CHECK_FAILS(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &out, NULL, &err), VIC_BAD_ARGUMENT, "unknown type");
    in.dtype = out.dtype = VIC_F32;
    in.device.type = out.device.type = VIC_CUDA;
    out.device.index = 1;
    CHECK_FAILS(vic_pattern_unsort(NULL, p, VIC_KEY, &in, &out, NULL, &err), VIC_BAD_ARGUMENT, "cuda:0 and cuda:1");
    out.device.index = 0;
    out.data = (char *)b + 2;
    CHECK_FAILS(vic_pattern_unsort(NULL, p, VIC_KEY, &in, &out, NULL, &err), VIC_BAD_ARGUMENT,
                "aligned to its type, 4 bytes");
    vic_pattern_free(p);
}

static void plans(void **state)
{
    static const int heads[] = { -1, 65537, INT32_MAX };
    vic_pattern *p = cutoff();
    vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .head_dim = 64 };
    vic_plan *plan;
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        o.heads = heads[i];
        REFUSED(plan, vic_plan_create(NULL, p, &o, &plan, &err), VIC_BAD_ARGUMENT, "heads: expected 1 to 65536");
    }
    o.heads = 1;
    o.kv_heads = -2;
    REFUSED(plan, vic_plan_create(NULL, p, &o, &plan, &err), VIC_BAD_ARGUMENT, "kv_heads: expected a divisor");
    o.kv_heads = 0;
    o.head_dim_v = 12;
    REFUSED(plan, vic_plan_create(NULL, p, &o, &plan, &err), VIC_BAD_ARGUMENT,
            "head_dim_v: expected a multiple of 8");
    o.head_dim_v = 0;
    o.device.type = (vic_device_type)5;
    REFUSED(plan, vic_plan_create(NULL, p, &o, &plan, &err), VIC_BAD_ARGUMENT, "device.type: expected");
    o.device = (vic_device){ VIC_CUDA, -1 };
    REFUSED(plan, vic_plan_create(NULL, p, &o, &plan, &err), VIC_NO_DEVICE, "there is no device -1");
    vic_pattern_free(p);
}

/* A distance bias needs a pattern that has a cutoff, up to which its tables reach. */
static void plans_with_a_bias(void **state)
{
    const vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .head_dim = 64, .bias = VIC_BIAS_DISTANCE };
    const int64_t offsets[] = { 0, 5, N };
    vic_points nowhere = points_of(N), points = points_at(N, at, NULL);
    vic_pattern *p;
    vic_plan *plan;
    vic_error err;
    (void)state;
    CHECK_OK(vic_pattern_windows(NULL, &nowhere, 4, 8, NULL, &p, &err));
    REFUSED(plan, vic_plan_create(NULL, p, &o, &plan, &err), VIC_BAD_ARGUMENT, "got one without positions");
    vic_pattern_free(p);
    CHECK_OK(vic_pattern_nearest(NULL, &points, NULL, 3, NULL, &p, &err));
    REFUSED(plan, vic_plan_create(NULL, p, &o, &plan, &err), VIC_BAD_ARGUMENT, "whose pairs may be at any distance");
    vic_pattern_free(p);
    points.groups = 2;
    points.group_offsets = offsets;
    p = cutoff_pattern(&points, 1.0);
    REFUSED(plan, vic_plan_create(NULL, p, &o, &plan, &err), VIC_BAD_ARGUMENT, "got several structures");
    vic_pattern_free(p);
}

static void contexts(void **state)
{
    vic_context_options o = VIC_INIT(vic_context_options);
    vic_context *c;
    vic_error err;
    (void)state;
    o.threads = -2;
    REFUSED(c, vic_context_create(&o, &c, &err), VIC_BAD_ARGUMENT, "threads");
    o.threads = 1;
    o.device.type = (vic_device_type)7;
    REFUSED(c, vic_context_create(&o, &c, &err), VIC_BAD_ARGUMENT, "device.type: expected");
    o.device = (vic_device){ VIC_CPU, 3 };
    REFUSED(c, vic_context_create(&o, &c, &err), VIC_NO_DEVICE, "no device 3");
    o.device = (vic_device){ VIC_CUDA, 1000 };
    REFUSED(c, vic_context_create(&o, &c, &err), VIC_NO_DEVICE, "");
    o.device = (vic_device){ VIC_CPU, 0 };
    o.stream = &o;
    REFUSED(c, vic_context_create(&o, &c, &err), VIC_BAD_ARGUMENT, "stream");
}

static void memory(void **state)
{
    const vic_device cpu = { VIC_CPU, 0 };
    char from[8] = "1234567", *to;
    void *memory;
    vic_error err;
    (void)state;
    CHECK_OK(vic_memory_alloc(cpu, sizeof from, &memory, &err));
    to = memory;
    CHECK_OK(vic_memory_copy(cpu, to, cpu, from, sizeof from, &err));
    assert_string_equal(to, "1234567");
    CHECK_OK(vic_memory_copy(cpu, to, cpu, from, 0, &err));
    vic_memory_free(cpu, memory);
    vic_memory_free(cpu, NULL);
    /* a GPU that no machine has, and what is no device at all */
    const vic_device gpu = { VIC_CUDA, 1000 }, none = { VIC_DEVICE_UNKNOWN, 0 };
    REFUSED(memory, vic_memory_alloc(gpu, 8, &memory, &err), VIC_NO_DEVICE, "");
    CHECK_FAILS(vic_memory_copy(gpu, from, cpu, from, 8, &err), VIC_NO_DEVICE, "");
    CHECK_FAILS(vic_memory_copy(cpu, from, gpu, from, 8, &err), VIC_NO_DEVICE, "");
    REFUSED(memory, vic_memory_alloc(none, 8, &memory, &err), VIC_BAD_ARGUMENT, "device");
    CHECK_FAILS(vic_memory_copy(none, from, cpu, from, 8, &err), VIC_BAD_ARGUMENT, "device");
    vic_memory_free(gpu, NULL);
    vic_memory_free(none, NULL);
}

static void biases(void **state)
{
    static const double wrong[][4] = {
        { NAN, 1, 1, 5 }, { 1, INFINITY, 1, 5 }, { 1, 1, NAN, 5 }, { 1, 1, INFINITY, 5 }, { 1, 1, -1, 5 }
    };
    float table[4] = { 1, 2, 3, 4 };
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_FAILS(vic_bias_add(VIC_BIAS_GAUSSIAN, wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3], 4, table,
                                 &err),
                    VIC_BAD_ARGUMENT, "a, center, width: expected");
    CHECK_FAILS(vic_bias_add(VIC_BIAS_COSINE, 0, 0, 0, INFINITY, 4, table, &err), VIC_BAD_ARGUMENT, "got inf");
    CHECK_FAILS(vic_bias_add(VIC_BIAS_POLYNOMIAL, 65, 0, 0, 5, 4, table, &err), VIC_BAD_ARGUMENT, "got 65");
    for (int i = 0; i < 4; i++) assert_true(table[i] == (float)(i + 1)); /* as it was */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),
        cmocka_unit_test(statuses),
        cmocka_unit_test(tensors_of_any_shape),
        cmocka_unit_test(numbers_of_points),
        cmocka_unit_test(numbers_of_other_things),
        cmocka_unit_test(cutoffs),
        cmocka_unit_test(block_masks),
        cmocka_unit_test(lists_of_pairs),
        cmocka_unit_test(lists_of_ranges),
        cmocka_unit_test(groups),
        cmocka_unit_test(distances),
        cmocka_unit_test(sorted_tensors),
        cmocka_unit_test(plans),
        cmocka_unit_test(plans_with_a_bias),
        cmocka_unit_test(contexts),
        cmocka_unit_test(memory),
        cmocka_unit_test(biases),
    };
    return cmocka_run_group_tests_name("api_arguments", tests, set_up, NULL);
}
