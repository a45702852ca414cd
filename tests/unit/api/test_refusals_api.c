/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments that do not go together or are not there: refused with words that say which, and what to give. */
#include "objects.h"

enum { N = 24 };

static double x[3 * N];
static const double cell[9] = { 9, 0, 0, 0, 9, 0, 0, 0, 9 };
static const int64_t offsets[] = { 0, 10, N };
static int64_t numbers[N];

static vic_points points(void)
{
    return points_at(N, x, NULL);
}

static int set_up(void **state)
{
    uint64_t seed = 8;
    (void)state;
    for (int i = 0; i < 3 * N; i++) x[i] = 6 * random_uniform(&seed);
    for (int i = 0; i < N; i++) numbers[i] = i;
    return 0;
}

/* ---- tensors ---- */

static void check_cutoff(const vic_points *q, const vic_points *k, const char *words)
{
    vic_pattern *p;
    vic_error err;
    CHECK_FAILS(vic_pattern_cutoff(NULL, q, k, 2.0, NULL, &p, &err), VIC_BAD_ARGUMENT, words);
    assert_null(p);
}

/* Where the tensor alone says how many points there are, nothing is known of its first dimension. */
static void positions_without_a_number(void **state)
{
    vic_points q = points();
    (void)state;
    q.n = 0;
    vic_pattern *p = cutoff_pattern(&q, 2.0);
    assert_int_equal(info_of(p).n_q, N);
    vic_pattern_free(p);
    q.positions.ndim = 1;
    check_cutoff(&q, NULL, "queries.positions: expected shape [n, 3], got 1 dimensions");
    q = points();
    q.n = 0;
    q.positions.shape[1] = 2;
    check_cutoff(&q, NULL, "queries.positions: expected shape [n, 3], got 2 dimensions, the last not 3");
    q = points();
    q.n = -1;
    check_cutoff(&q, NULL, "queries.n: expected 0 or more, got -1");
    q = points();
    q.positions.data = NULL;
    check_cutoff(&q, NULL, "need them: give a tensor [n, 3]");
}

static void tensors_of_no_use(void **state)
{
    static float real[N];
    const vic_device lost = { VIC_DEVICE_UNKNOWN, 0 };
    const int64_t n = N;
    vic_points q = points();
    vic_pair_list list = { .size = sizeof list,
                           .query = tensor_of(numbers, VIC_I64, 1, &n),
                           .key = tensor_of(real, VIC_F32, 1, &n) };
    vic_pattern *p;
    vic_error err;
    (void)state;
    q.positions.data = (char *)x + 4;
    check_cutoff(&q, NULL, "queries.positions: data is not aligned to its type");
    q = points();
    q.positions.device = lost;
    check_cutoff(&q, NULL, "queries.positions: expected memory of the CPU or a GPU, got that of an unknown device");
    q = points();
    q.mask = tensor_of(numbers, VIC_I64, 1, &n);
    check_cutoff(&q, NULL, "queries.mask: expected bool or uint8, got int64");
    q = points();
    CHECK_FAILS(vic_pattern_pairs(NULL, &q, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT,
                "key: expected int32 or int64, got float32");
    list.key = tensor_of(NULL, VIC_I64, 1, &n);
    CHECK_FAILS(vic_pattern_pairs(NULL, &q, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT,
                "key: data is NULL, but the list has 24 pairs");
    list.key = list.query;
    list.query.data = NULL;
    CHECK_FAILS(vic_pattern_pairs(NULL, &q, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT,
                "query: data is NULL, but the list has 24 pairs");
    assert_null(p);
}

/* Lists of one dimension, of which the first says how many there are. */
static void lists_of_more_dimensions(void **state)
{
    vic_points q = points();
    vic_pair_list list = { .size = sizeof list,
                           .query = tensor_of(numbers, VIC_I64, 2, (const int64_t[]){ 2, 3 }),
                           .key = tensor_of(numbers, VIC_I64, 1, (const int64_t[]){ 2 }) };
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_FAILS(vic_pattern_pairs(NULL, &q, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT,
                "query: expected shape [n], got 2 dimensions");
    list.query.ndim = 1;
    list.key.ndim = 0;
    CHECK_FAILS(vic_pattern_pairs(NULL, &q, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT,
                "key: expected shape [2], got 0 dimensions");
}

/* Said to be on a GPU where there is none. */
static void positions_on_no_gpu(void **state)
{
    vic_device_info info = VIC_INIT(vic_device_info);
    vic_points q = points();
    vic_pattern *p;
    vic_error err;
    (void)state;
    if (vic_device_get(1, &info, &err) == VIC_OK) skip(); /* this machine has one */
    q.positions.device = (vic_device){ VIC_CUDA, 0 };
    vic_status st = vic_pattern_cutoff(NULL, &q, NULL, 2.0, NULL, &p, &err);
    assert_true(st == VIC_NO_DEVICE || st == VIC_NO_KERNEL || st == VIC_FAILED);
    assert_true(err.text[0] && !p);
    q.positions.shape[0] = q.n = 0; /* of which there is nothing to copy */
    q.positions.stride[0] = INT64_MIN;
    CHECK_OK(vic_pattern_cutoff(NULL, &q, NULL, 2.0, NULL, &p, &err));
    assert_int_equal(info_of(p).n_q, 0);
    vic_pattern_free(p);
}

/* One point: whatever its strides, it lies dense. */
static void strides_of_one_point(void **state)
{
    static uint8_t mask[1] = { 1 };
    const int64_t one = 1;
    vic_points q = points_at(1, x, NULL);
    (void)state;
    q.positions.stride[0] = INT64_MAX;
    q.mask = tensor_of(mask, VIC_U8, 1, &one);
    q.mask.stride[0] = INT64_MIN;
    q.ids = tensor_of(numbers, VIC_I64, 1, &one);
    q.ids.stride[0] = -5;
    vic_pattern *p = cutoff_pattern(&q, 2.0);
    assert_int_equal(info_of(p).pairs, 1);
    vic_pattern_free(p);
}

/* ---- points ---- */

static void members_that_a_way_does_not_take(void **state)
{
    const int64_t n = N, row_ptr[] = { 0, 1, 1 };
    const int32_t column[] = { 0 };
    const vic_block_list blocks = { .size = sizeof blocks, .block = 16, .row_ptr = row_ptr, .column = column };
    const vic_pair_list pairs = { .size = sizeof pairs,
                                  .query = tensor_of(numbers, VIC_I64, 1, &n),
                                  .key = tensor_of(numbers, VIC_I64, 1, &n) };
    vic_points q = points();
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_FAILS(vic_pattern_windows(NULL, &q, 2, 4, NULL, &p, &err), VIC_BAD_ARGUMENT,
                "do not depend on them: leave them out, and give n");
    q = points_of(N);
    q.ids = tensor_of(numbers, VIC_I64, 1, &n);
    CHECK_FAILS(vic_pattern_windows(NULL, &q, 2, 4, NULL, &p, &err), VIC_BAD_ARGUMENT,
                ".ids: windows do not depend on them: leave them out");
    CHECK_FAILS(vic_pattern_pairs(NULL, &q, NULL, &pairs, NULL, &p, &err), VIC_BAD_ARGUMENT, "queries.ids");
    q = points_of(N);
    q.groups = 2;
    q.group_offsets = offsets;
    CHECK_FAILS(vic_pattern_blocks(NULL, &q, NULL, &blocks, NULL, &p, &err), VIC_BAD_ARGUMENT,
                "queries.groups: blocks are of one structure: make one pattern each");
    q.groups = 0;
    CHECK_FAILS(vic_pattern_pairs(NULL, &q, NULL, &pairs, NULL, &p, &err), VIC_BAD_ARGUMENT, "queries.groups");
    assert_null(p);
}

static void groups_without_offsets(void **state)
{
    vic_points q = points(), k = points();
    (void)state;
    q.groups = 2;
    check_cutoff(&q, NULL, "queries.groups: expected a number and group_offsets [groups + 1], got 2 and NULL");
    q.groups = -1;
    q.group_offsets = offsets;
    check_cutoff(&q, NULL, "[groups + 1], got -1");
    q.groups = 2;
    check_cutoff(&q, &k, "keys.groups: expected as many as of the queries, 2, got 0");
}

static void cells_of_both_sides(void **state)
{
    const bool slab[3] = { true, true, false }, all[3] = { true, true, true };
    double other[9];
    vic_points q = points_at(N, x, cell), k = points_at(N, x, cell);
    vic_pattern *p;
    vic_error err;
    (void)state;
    memcpy(other, cell, sizeof other);
    other[4] += 1;
    k.periodic = all; /* all that queries without a word are */
    CHECK_OK(vic_pattern_cutoff(NULL, &q, &k, 2.0, NULL, &p, &err));
    vic_pattern_free(p);
    k.periodic = slab;
    check_cutoff(&q, &k, "keys.cell: it differs from queries.cell");
    q.periodic = slab;
    CHECK_OK(vic_pattern_cutoff(NULL, &q, &k, 2.0, NULL, &p, &err));
    vic_pattern_free(p);
    k.cell = other;
    check_cutoff(&q, &k, "keys.cell: it differs");
    q.cell = NULL;
    check_cutoff(&q, &k, "queries.periodic: periodic along a, but no cell was given");
    q.periodic = NULL;
    check_cutoff(&q, &k, "keys.cell: it differs");
    k = points();
    k.size = 3;
    check_cutoff(&q, &k, "vic_points");
}

/* ---- updates ---- */

static void updates_of_what_stays(void **state)
{
    static uint8_t mask[N];
    const bool slab[3] = { true, true, false }, none[3] = { false, false, false };
    const int64_t n = N;
    vic_points q = points_at(N, x, cell), other;
    vic_pattern *p, *before, *missing = NULL;
    vic_error err;
    (void)state;
    q.periodic = slab;
    p = cutoff_pattern(&q, 2.0);
    CHECK_OK(vic_pattern_update(NULL, &p, &q, NULL, &err)); /* the same axes may be given again, or left out */
    q.periodic = NULL;
    CHECK_OK(vic_pattern_update(NULL, &p, &q, NULL, &err));
    before = p;
    q.periodic = none;
    CHECK_FAILS(vic_pattern_update(NULL, &p, &q, NULL, &err), VIC_BAD_ARGUMENT,
                "queries.periodic: the pattern is periodic along a, and stays so");
    other = points();
    other.mask = tensor_of(mask, VIC_U8, 1, &n);
    CHECK_FAILS(vic_pattern_update(NULL, &p, &other, NULL, &err), VIC_BAD_ARGUMENT, "queries.mask: an update keeps");
    other = points();
    other.ids = tensor_of(numbers, VIC_I64, 1, &n);
    CHECK_FAILS(vic_pattern_update(NULL, &p, &other, NULL, &err), VIC_BAD_ARGUMENT, "queries.ids: an update keeps");
    other = points();
    other.groups = 2;
    other.group_offsets = offsets;
    CHECK_FAILS(vic_pattern_update(NULL, &p, &other, NULL, &err), VIC_BAD_ARGUMENT,
                "queries.groups: an update keeps");
    other = points_at(N - 1, x, NULL);
    CHECK_FAILS(vic_pattern_update(NULL, &p, &other, NULL, &err), VIC_BAD_ARGUMENT,
                "queries.positions: the pattern has 24 points, got 23");
    CHECK_FAILS(vic_pattern_update(NULL, &missing, &q, NULL, &err), VIC_BAD_ARGUMENT, "make one first");
    assert_ptr_equal(p, before);
    vic_pattern_free(p);
    other = points();
    p = cutoff_pattern(&other, 2.0);
    other.cell = cell;
    CHECK_FAILS(vic_pattern_update(NULL, &p, &other, NULL, &err), VIC_BAD_ARGUMENT,
                "queries.cell: the pattern is periodic along no axis");
    vic_pattern_free(p);
}

/* left and right mean something with a window alone. */
static void ranges_with_half_a_window(void **state)
{
    const int64_t first[] = { 0, N }, ptr[] = { 0, 1 };
    const int32_t range[] = { 0, N };
    vic_points q = points_of(N);
    vic_pattern *p;
    vic_error err;
    (void)state;
    for (int side = 0; side < 2; side++) {
        vic_range_list list = {
            .size = sizeof list, .groups = 1, .query_offsets = first, .range_offsets = ptr, .ranges = range
        };
        *(side ? &list.right : &list.left) = 3;
        CHECK_FAILS(vic_pattern_ranges(NULL, &q, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT, "window");
        list.window = true;
        CHECK_OK(vic_pattern_ranges(NULL, &q, NULL, &list, NULL, &p, &err));
        assert_int_equal(info_of(p).pairs, N + 3 * N - 6); /* its own key and three more, but at the end */
        vic_pattern_free(p);
    }
}

static void pages_with_half_a_window(void **state)
{
    const int64_t first[] = { 0, N }, length[] = { 16 };
    const int32_t table[] = { 0 };
    vic_points q = points_of(N);
    vic_page_list list = { .size = sizeof list,
                           .groups = 1,
                           .page = 16,
                           .query_offsets = first,
                           .lengths = length,
                           .table = table,
                           .table_stride = 1,
                           .left = 3 };
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_FAILS(vic_pattern_pages(NULL, &q, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT, "window");
    list.left = 0;
    list.queries_per_place = -1;
    CHECK_FAILS(vic_pattern_pages(NULL, &q, NULL, &list, NULL, &p, &err), VIC_BAD_ARGUMENT, "queries_per_place");
}

static void workspace_that_is_a_tensor(void **state)
{
    static float values[64 * N], out[64 * N];
    const int64_t shape[] = { N, 1, 64 };
    const vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .head_dim = 64 };
    vic_points q = points();
    vic_pattern *p = cutoff_pattern(&q, 2.0);
    vic_attention_args a = VIC_INIT(vic_attention_args);
    vic_plan *plan;
    size_t bytes;
    vic_error err;
    (void)state;
    CHECK_OK(vic_plan_create(NULL, p, &o, &plan, &err));
    CHECK_OK(vic_plan_workspace(NULL, plan, 1, &bytes, &err));
    char *memory = aligned_alloc(64, (bytes + sizeof values + 63) / 64 * 64);
    assert_true(memory && bytes > 0);
    a.q = a.k = tensor_of(values, VIC_F32, 3, shape);
    a.v = tensor_of(memory + bytes - 4, VIC_F32, 3, shape);
    a.out = tensor_of(out, VIC_F32, 3, shape);
    a.workspace = memory;
    a.workspace_size = bytes;
    CHECK_FAILS(vic_attention(NULL, plan, &a, &err), VIC_BAD_ARGUMENT, "workspace overlaps tensor v in memory");
    a.workspace_size = SIZE_MAX; /* as large as can be said */
    CHECK_FAILS(vic_attention(NULL, plan, &a, &err), VIC_BAD_ARGUMENT, "workspace overlaps tensor");
    free(memory);
    vic_plan_free(plan);
    vic_pattern_free(p);
}

/* ---- what a pattern is asked for ---- */

static void sides(void **state)
{
    const int32_t *order;
    const double *positions;
    vic_points q = points();
    vic_pattern *p = cutoff_pattern(&q, 2.0);
    vic_error err;
    (void)state;
    CHECK_FAILS(vic_pattern_order(p, (vic_side)7, &order, &err), VIC_BAD_ARGUMENT,
                "side: expected VIC_QUERY or VIC_KEY, got 7");
    CHECK_FAILS(vic_pattern_positions(p, (vic_side)7, &positions, &err), VIC_BAD_ARGUMENT, "got 7");
    vic_pattern_free(p);
}

/* Each array alone has what all together have. */
static void lists_of_one_array(void **state)
{
    vic_points q = points_at(N, x, cell);
    vic_pattern *p = cutoff_pattern(&q, 3.0);
    vic_neighbors all = neighbors_of(p, true);
    vic_error err;
    int64_t n = all.pairs;
    void *room = malloc(3 * (size_t)n * sizeof(double));
    (void)state;
    assert_non_null(room);
    const struct {
        vic_neighbors list;
        const void *expected;
        size_t bytes;
    } forms[] = {
        { { .i = room }, all.i, sizeof(int32_t) },     { { .j = room }, all.j, sizeof(int32_t) },
        { { .S = room }, all.S, 3 * sizeof(int32_t) }, { { .d = room }, all.d, sizeof(double) },
        { { .D = room }, all.D, 3 * sizeof(double) },
    };
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        vic_neighbors one = forms[f].list;
        one.size = sizeof one;
        one.pairs = n;
        CHECK_OK(vic_pattern_neighbors(NULL, p, &one, &err));
        assert_memory_equal(room, forms[f].expected, (size_t)n * forms[f].bytes);
        one.pairs = n - 1;
        CHECK_FAILS(vic_pattern_neighbors(NULL, p, &one, &err), VIC_BAD_ARGUMENT, "pairs: the arrays hold");
    }
    free(room);
    neighbors_free(&all);
    vic_pattern_free(p);
}

static void block_masks(void **state)
{
    int32_t counts[4], partial[8], full[8];
    vic_pattern *p = generated_pattern("blocks:2x2:n=3,block=64"), *near = windows_pattern(128, 4, 8);
    const struct {
        const vic_pattern *p;
        int32_t *partial, *full;
        int64_t width, least;
    } forms[] = { { p, partial, NULL, 0, 0 }, { p, NULL, full, 2, 2 },       { near, partial, NULL, 2, 2 },
                  { near, NULL, full, 0, 0 }, { near, partial, full, 2, 2 }, { p, partial, full, 2, 2 } };
    vic_error err;
    (void)state;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        vic_block_mask m = { .size = sizeof m,
                             .query_block = 64,
                             .key_block = 64,
                             .width = forms[f].width,
                             .kv_num_blocks = counts,
                             .full_kv_num_blocks = counts + 2,
                             .kv_indices = forms[f].partial,
                             .full_kv_indices = forms[f].full };
        CHECK_OK(vic_pattern_block_mask(NULL, forms[f].p, &m, &err));
        assert_true(m.rows == 2 && m.columns == 2 && counts[0] + counts[1] == m.partial &&
                    counts[2] + counts[3] == m.full && m.partial + m.full == (forms[f].p == p ? 3 : 4));
        m.width = forms[f].least - 1;
        if (m.width >= 0)
            CHECK_FAILS(vic_pattern_block_mask(NULL, forms[f].p, &m, &err), VIC_BAD_ARGUMENT, "width: expected");
    }
    vic_block_mask huge = { .size = sizeof huge, .query_block = INT64_MAX - 15, .key_block = INT64_MAX - 15 };
    CHECK_OK(vic_pattern_block_mask(NULL, p, &huge, &err));
    assert_true(huge.rows == 1 && huge.columns == 1 && huge.partial == 1 && huge.full == 0);
    vic_pattern_free(p);
    vic_pattern_free(near);
}

static void sorting(void **state)
{
    static float from[N], to[N];
    const int64_t n = N;
    vic_points q = points();
    vic_pattern *p = cutoff_pattern(&q, 2.0);
    vic_tensor in = tensor_of(from, VIC_F32, 1, &n), out = tensor_of(to, VIC_F32, 1, &n);
    vic_error err;
    (void)state;
    CHECK_FAILS(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &in, NULL, &err), VIC_BAD_ARGUMENT, "not done in place");
    out.data = NULL;
    CHECK_FAILS(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &out, NULL, &err), VIC_BAD_ARGUMENT, "out: data is NULL");
    CHECK_FAILS(vic_pattern_unsort(NULL, p, VIC_KEY, &out, &in, NULL, &err), VIC_BAD_ARGUMENT, "in: data is NULL");
    out.data = to;
    out.stride[0] = 0;
    CHECK_FAILS(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &out, NULL, &err), VIC_BAD_ARGUMENT,
                "elements would overwrite each other");
    out.stride[0] = 1;
    out.device.type = in.device.type = VIC_DEVICE_UNKNOWN;
    CHECK_FAILS(vic_pattern_sort(NULL, p, VIC_QUERY, &in, &out, NULL, &err), VIC_BAD_ARGUMENT, "an unknown device");
    vic_pattern_free(p);
}

/* ---- contexts ---- */

static void *no_memory(void *user, size_t bytes, void *stream)
{
    (void)user, (void)bytes, (void)stream;
    return NULL;
}

static void no_release(void *user, void *memory, void *stream)
{
    (void)user, (void)memory, (void)stream;
}

static void contexts(void **state)
{
    const vic_device cpu = { VIC_CPU, 0 }, gpu = { VIC_CUDA, 0 };
    char byte;
    const struct {
        vic_context_options options;
        vic_status status;
        const char *words;
    } wrong[] = {
        { { .device = gpu, .allocate = no_memory }, VIC_BAD_ARGUMENT, "release is NULL: give both" },
        { { .device = gpu, .release = no_release }, VIC_BAD_ARGUMENT, "allocate is NULL: give both" },
        { { .device = { VIC_CUDA, -1 } }, VIC_NO_DEVICE, "there is no device -1" },
        { { .device = { VIC_CPU, 1 } }, VIC_NO_DEVICE, "there is no device 1" },
        { { .device = { VIC_CUDA_HOST, 0 } }, VIC_BAD_ARGUMENT, "device.type: expected VIC_CPU, VIC_CUDA" },
        { { .device = cpu, .stream = &byte }, VIC_BAD_ARGUMENT, "a CPU has none" },
        { { .device = cpu, .allocate = no_memory, .release = no_release }, VIC_BAD_ARGUMENT, "a CPU has none" },
        { { .device = cpu, .release = no_release }, VIC_BAD_ARGUMENT, "a CPU has none" },
        { { .reserved_1 = 1 }, VIC_BAD_ARGUMENT, "vic_context_options" },
    };
    vic_context *c;
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        vic_context_options o = wrong[i].options;
        o.size = sizeof o;
        CHECK_FAILS(vic_context_create(&o, &c, &err), wrong[i].status, wrong[i].words);
        assert_null(c);
    }
}

static void memory(void **state)
{
    const vic_device cpu = { VIC_CPU, 0 }, lost = { VIC_DEVICE_UNKNOWN, 0 };
    char a[2] = "a", b[2] = "b";
    void *out;
    vic_error err;
    (void)state;
    CHECK_FAILS(vic_memory_alloc(lost, 1, &out, &err), VIC_BAD_ARGUMENT, "device.type: expected VIC_CPU");
    CHECK_FAILS(vic_memory_copy(lost, a, cpu, b, 1, &err), VIC_BAD_ARGUMENT, "to_device.type");
    CHECK_FAILS(vic_memory_copy(cpu, a, lost, b, 1, &err), VIC_BAD_ARGUMENT, "from_device.type");
    CHECK_FAILS(vic_memory_copy(cpu, NULL, cpu, b, 1, &err), VIC_BAD_ARGUMENT, "to");
    CHECK_FAILS(vic_memory_copy(cpu, a, cpu, NULL, 1, &err), VIC_BAD_ARGUMENT, "from");
    CHECK_OK(vic_memory_copy(cpu, NULL, cpu, NULL, 0, &err));
    assert_string_equal(a, "a");
    vic_memory_free(lost, b); /* not what was given out: left alone */
    assert_string_equal(b, "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_without_a_number),
        cmocka_unit_test(tensors_of_no_use),
        cmocka_unit_test(lists_of_more_dimensions),
        cmocka_unit_test(positions_on_no_gpu),
        cmocka_unit_test(strides_of_one_point),
        cmocka_unit_test(members_that_a_way_does_not_take),
        cmocka_unit_test(groups_without_offsets),
        cmocka_unit_test(cells_of_both_sides),
        cmocka_unit_test(updates_of_what_stays),
        cmocka_unit_test(ranges_with_half_a_window),
        cmocka_unit_test(pages_with_half_a_window),
        cmocka_unit_test(workspace_that_is_a_tensor),
        cmocka_unit_test(sides),
        cmocka_unit_test(lists_of_one_array),
        cmocka_unit_test(block_masks),
        cmocka_unit_test(sorting),
        cmocka_unit_test(contexts),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests_name("refusals_api", tests, set_up, NULL);
}
