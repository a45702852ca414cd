/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong arguments of public functions: each is refused in words that say what was expected and what came, hands out
 * nothing, and changes nothing. */
#include "check.h"

enum { N = 20 };

static vic_structure *structure(void)
{
    double x[3 * N];
    uint64_t seed = 8;
    vic_structure *s;
    vic_error err;
    for (int i = 0; i < 3 * N; i++) x[i] = 6 * random_uniform(&seed);
    CHECK_OK(vic_structure_from_arrays(N, x, NULL, NULL, NULL, &s, &err));
    return s;
}

static vic_pattern *cutoff(void)
{
    vic_structure *s = structure();
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_pattern *p;
    vic_error err;
    o.cutoff = 3.0;
    CHECK_OK(vic_pattern_build(s, &o, &p, &err));
    vic_structure_free(s);
    return p;
}

/* The out parameter of a call that fails is NULL, whatever was there. */
#define REFUSED(object, expression, expected, part)                                                                  \
    do {                                                                                                             \
        memset(&(object), 0x5a, sizeof(object));                                                                     \
        CHECK_FAILS(expression, expected, part);                                                                     \
        assert_null(object);                                                                                         \
    } while (0)

static void types(void **state)
{
    static const vic_dtype all[] = { VIC_F32, VIC_F16, VIC_BF16, VIC_F64 };
    static const size_t sizes[] = { 4, 2, 2, 8 };
    static const char *const names[] = { "float32", "float16", "bfloat16", "float64" };
    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(vic_dtype_size(all[i]), sizes[i]);
        assert_string_equal(vic_dtype_name(all[i]), names[i]);
    }
    assert_int_equal(vic_dtype_size((vic_dtype)77), 0);
    assert_string_equal(vic_dtype_name((vic_dtype)77), "unknown type");
    assert_string_equal(vic_kernel_get(-1).reason, "there is no such kernel");
    assert_string_equal(vic_kernel_get(vic_kernel_count()).reason, "there is no such kernel");
}

static void tensors_of_any_shape(void **state)
{
    const int64_t shape[] = { 3, 4, 5, 6, 7 }, huge[] = { INT64_MAX, INT64_MAX, 2 };
    (void)state;
    vic_tensor t = vic_tensor_make(NULL, VIC_F32, 5, shape); /* too many: refused where it is used */
    assert_int_equal(t.ndim, 5);
    assert_int_equal(t.stride[0], 120);
    t = vic_tensor_make(NULL, VIC_F32, 0, NULL);
    assert_int_equal(t.ndim, 0);
    t = vic_tensor_make(NULL, VIC_F32, 3, huge);
    assert_int_equal(t.stride[2], 1);
    assert_int_equal(t.stride[1], 2);
    assert_true(t.stride[0] == INT64_MAX); /* no memory holds it */
}

static void options_of_a_newer_caller(void **state)
{
    vic_structure *s = structure();
    vic_pattern *p = cutoff(), *q;
    vic_pattern_options po = VIC_PATTERN_OPTIONS_INIT;
    vic_plan_options lo = VIC_PLAN_OPTIONS_INIT;
    vic_engine_options eo = VIC_ENGINE_OPTIONS_INIT;
    vic_attention_args a = VIC_ATTENTION_ARGS_INIT;
    vic_time_options to = VIC_TIME_OPTIONS_INIT;
    vic_engine *engine;
    vic_plan *plan;
    const int64_t one[] = { 0, 1 };
    const int32_t zero[] = { 0 };
    const double at[3] = { 0, 0, 0 };
    double seconds;
    vic_error err;
    (void)state;
    po.size += 8;
    lo.size += 8;
    eo.size += 8;
    to.size += 8;
    REFUSED(engine, vic_engine_create(&eo, &engine, &err), VIC_BAD_ARGUMENT, "vic_engine_options.size");
    REFUSED(plan, vic_plan_create(p, &lo, &plan, &err), VIC_BAD_ARGUMENT, "vic_plan_options.size");
    REFUSED(q, vic_pattern_build(s, &po, &q, &err), VIC_BAD_ARGUMENT, "vic_pattern_options.size");
    REFUSED(q, vic_pattern_from_blocks(16, 0, 16, one, zero, &po, &q, &err), VIC_BAD_ARGUMENT, "options.size");
    REFUSED(q, vic_pattern_generate("origin:800", &po, &q, &err), VIC_BAD_ARGUMENT, "options.size");
    REFUSED(q, vic_pattern_from_pairs(NULL, 1, 0, 1, zero, zero, NULL, &po, &q, &err), VIC_BAD_ARGUMENT,
            "options.size");
    REFUSED(q, vic_pattern_nearest(s, 3, &po, &q, &err), VIC_BAD_ARGUMENT, "options.size");
    REFUSED(q, vic_pattern_windows(8, 2, 4, &po, &q, &err), VIC_BAD_ARGUMENT, "options.size");
    REFUSED(q, vic_pattern_structures(1, one, at, NULL, NULL, &po, &q, &err), VIC_BAD_ARGUMENT, "options.size");
    CHECK_OK(vic_engine_create(NULL, &engine, &err));
    CHECK_OK(vic_plan_create(p, NULL, &plan, &err));
    CHECK_FAILS(vic_attention_time(engine, plan, &a, &to, &seconds, &err), VIC_BAD_ARGUMENT, "vic_time_options.size");
    a.size += 8;
    CHECK_FAILS(vic_attention(engine, plan, &a, &err), VIC_BAD_ARGUMENT, "vic_attention_args.size");
    CHECK_FAILS(vic_attention_time(engine, plan, &a, NULL, &seconds, &err), VIC_BAD_ARGUMENT, "args.size");
    CHECK_FAILS(vic_attention_reference(engine, plan, &a, 0, NULL, &seconds, NULL, NULL, &err), VIC_BAD_ARGUMENT,
                "args.size");
    vic_plan_free(plan);
    vic_engine_free(engine);
    vic_pattern_free(p);
    vic_structure_free(s);
}

static void nothing_given(void **state)
{
    vic_structure *s;
    vic_pattern *p;
    vic_plan *plan;
    const int64_t one[] = { 0, 1 };
    const int32_t zero[] = { 0 };
    const double at[3] = { 0, 0, 0 };
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_error err;
    (void)state;
    REFUSED(s, vic_structure_read(NULL, NULL, &s, &err), VIC_BAD_ARGUMENT, "path is NULL");
    REFUSED(s, vic_structure_read("", NULL, &s, &err), VIC_BAD_ARGUMENT, "path is empty");
    CHECK_FAILS(vic_structure_read("x", NULL, NULL, &err), VIC_BAD_ARGUMENT, "out is NULL");
    CHECK_FAILS(vic_structure_from_arrays(1, at, NULL, NULL, NULL, NULL, &err), VIC_BAD_ARGUMENT, "out is NULL");
    CHECK_FAILS(vic_structure_write(NULL, "x.pdb", NULL, at, &err), VIC_BAD_ARGUMENT, "structure is NULL");
    s = structure();
    CHECK_FAILS(vic_structure_write(s, NULL, NULL, at, &err), VIC_BAD_ARGUMENT, "path is NULL");
    CHECK_FAILS(vic_structure_write(s, "", NULL, at, &err), VIC_BAD_ARGUMENT, "path is empty");
    CHECK_FAILS(vic_structure_write(s, "x.pdb", NULL, NULL, &err), VIC_BAD_ARGUMENT, "each of the 20 atoms");
    vic_structure_free(s);
    REFUSED(p, vic_pattern_build(NULL, NULL, &p, &err), VIC_BAD_ARGUMENT, "structure is NULL");
    REFUSED(p, vic_pattern_nearest(NULL, 3, NULL, &p, &err), VIC_BAD_ARGUMENT, "structure is NULL");
    REFUSED(p, vic_pattern_from_blocks(16, 0, 16, NULL, zero, NULL, &p, &err), VIC_BAD_ARGUMENT, "row_ptr is NULL");
    REFUSED(p, vic_pattern_from_blocks(16, 0, 16, one, NULL, NULL, &p, &err), VIC_BAD_ARGUMENT,
            "column is NULL, but row_ptr counts 1 blocks");
    o.cutoff = 1.0;
    REFUSED(p, vic_pattern_structures(1, NULL, at, NULL, NULL, &o, &p, &err), VIC_BAD_ARGUMENT, "offsets is NULL");
    REFUSED(plan, vic_plan_create(NULL, NULL, &plan, &err), VIC_BAD_ARGUMENT, "pattern is NULL");
    CHECK_OK(vic_pattern_from_blocks(16, 0, 16, (const int64_t[]){ 0, 0 }, NULL, NULL, &p, &err)); /* no blocks */
    assert_int_equal(vic_pattern_get(p).pairs, 0);
    assert_null(vic_pattern_positions(p, VIC_QUERY));
    vic_pattern_free(p);
    assert_int_equal(vic_status_exit_code(VIC_BAD_ARGUMENT), 2);
    assert_int_equal(vic_structure_from_arrays(-1, at, NULL, NULL, NULL, &s, NULL), VIC_BAD_ARGUMENT); /* no text */
}

static void skips_of_the_wrong_side(void **state)
{
    vic_structure *s = structure();
    const uint8_t skip[N] = { 1 };
    const int64_t one[] = { 0, 1 };
    const int32_t zero[] = { 0 };
    const double at[3] = { 0, 0, 0 };
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_pattern *p;
    vic_error err;
    (void)state;
    o.skip_keys = skip;
    REFUSED(p, vic_pattern_from_blocks(16, 0, 16, one, zero, &o, &p, &err), VIC_BAD_ARGUMENT, "skip_keys");
    REFUSED(p, vic_pattern_from_pairs(NULL, 1, 0, 1, zero, zero, NULL, &o, &p, &err), VIC_BAD_ARGUMENT, "skip_keys");
    REFUSED(p, vic_pattern_nearest(s, 3, &o, &p, &err), VIC_BAD_ARGUMENT, "skip_keys");
    o.cutoff = 2.0;
    REFUSED(p, vic_pattern_structures(1, one, at, NULL, NULL, &o, &p, &err), VIC_BAD_ARGUMENT, "skip_keys");
    REFUSED(p, vic_pattern_build(s, &o, &p, &err), VIC_BAD_ARGUMENT, "skip_keys");
    CHECK_OK(vic_pattern_build_points(1, at, 1, at, NULL, NULL, &o, &p, &err)); /* keys of their own: it says much */
    assert_int_equal(vic_pattern_get(p).pairs, 0);
    vic_pattern_free(p);
    o = (vic_pattern_options)VIC_PATTERN_OPTIONS_INIT;
    o.skip = skip;
    REFUSED(p, vic_pattern_generate("origin:800", &o, &p, &err), VIC_BAD_ARGUMENT, "skip: generated blocks");
    vic_structure_free(s);
}

/* Sizes that no memory has: refused by number, before anything of that size is touched. */
static void sizes(void **state)
{
    static const int64_t wrong[] = { -1, INT64_MIN, INT32_MAX, (int64_t)1 << 32, INT64_MAX };
    const int64_t row_ptr[] = { 0, INT64_MAX }, fine[] = { 0, 0 };
    const uint8_t skip[] = { 1 };
    const int32_t zero[] = { 0 };
    const double at[3] = { 0, 0, 0 };
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_structure *s = structure();
    vic_pattern *p;
    vic_error err;
    void *memory;
    (void)state;
    o.cutoff = 1.0;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t n = wrong[i], offsets[] = { 0, n };
        REFUSED(p, vic_pattern_build_points(n, at, 0, NULL, NULL, NULL, &o, &p, &err), VIC_BAD_ARGUMENT,
                "numbers of atoms: a pattern holds 0 to");
        REFUSED(p, vic_pattern_build_points(1, at, n, at, NULL, NULL, &o, &p, &err), VIC_BAD_ARGUMENT,
                "numbers of atoms: a pattern holds 0 to");
        o.skip = skip; /* of one atom, and not looked at */
        REFUSED(p, vic_pattern_build_points(n, at, 0, NULL, NULL, NULL, &o, &p, &err), VIC_BAD_ARGUMENT,
                "a pattern holds 0 to");
        REFUSED(p, vic_pattern_build_points(1, at, n, at, NULL, NULL, &o, &p, &err), VIC_BAD_ARGUMENT,
                "a pattern holds 0 to");
        o.skip = NULL;
        REFUSED(p, vic_pattern_windows(n, 2, 4, NULL, &p, &err), VIC_BAD_ARGUMENT, "a pattern holds 0 to");
        REFUSED(p, vic_pattern_from_pairs(NULL, n, 0, 0, NULL, NULL, NULL, NULL, &p, &err), VIC_BAD_ARGUMENT,
                "a pattern holds 0 to");
        REFUSED(p, vic_pattern_from_pairs(NULL, 1, n, 0, NULL, NULL, NULL, NULL, &p, &err), VIC_BAD_ARGUMENT,
                "a pattern holds 0 to");
        REFUSED(p, vic_pattern_from_blocks(n, 0, 16, fine, zero, NULL, &p, &err), VIC_BAD_ARGUMENT,
                "a pattern holds 0 to");
        if (n < 0) {
            REFUSED(p, vic_pattern_structures(n, fine, at, NULL, NULL, &o, &p, &err), VIC_BAD_ARGUMENT, "structures");
            REFUSED(p, vic_pattern_nearest(s, n, NULL, &p, &err), VIC_BAD_ARGUMENT, "k: expected 1 or more");
            REFUSED(p, vic_pattern_from_pairs(NULL, 1, 0, n, zero, zero, NULL, NULL, &p, &err), VIC_BAD_ARGUMENT,
                    "expected 0 or more pairs");
        }
        vic_status st = vic_pattern_structures(1, offsets, at, NULL, NULL, &o, &p, &err);
        assert_true(st == VIC_BAD_ARGUMENT || st == VIC_BAD_INPUT);
        if (n <= INT32_MAX) continue;
        REFUSED(p, vic_pattern_nearest(s, n, NULL, &p, &err), VIC_BAD_ARGUMENT, "k: expected 1 or more");
        REFUSED(p, vic_pattern_windows(1, n, 4, NULL, &p, &err), VIC_BAD_ARGUMENT, "windows: expected");
        REFUSED(p, vic_pattern_windows(1, 4, n, NULL, &p, &err), VIC_BAD_ARGUMENT, "windows: expected");
        REFUSED(p, vic_pattern_from_blocks(1, 0, n, fine, zero, NULL, &p, &err), VIC_BAD_ARGUMENT, "multiple of 16");
    }
    REFUSED(p, vic_pattern_from_blocks(1, 0, 16, row_ptr, zero, NULL, &p, &err), VIC_NO_MEMORY, "blocks");
    REFUSED(p, vic_pattern_generate("blocks:1x1:n=99999999999999999999", NULL, &p, &err), VIC_BAD_ARGUMENT,
            "stopped at character");
    REFUSED(p, vic_pattern_generate("blocks:65537x65537:n=1", NULL, &p, &err), VIC_BAD_ARGUMENT, "2^32 places");
    REFUSED(p, vic_pattern_generate("blocks:20000000x2:n=1", NULL, &p, &err), VIC_BAD_ARGUMENT, "atoms on a side");
    REFUSED(memory, vic_memory_alloc((vic_device){ VIC_CPU, 0 }, SIZE_MAX, &memory, &err), VIC_NO_MEMORY, "bytes");
    vic_structure_free(s);
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
    vic_pattern *p;
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        REFUSED(p, vic_pattern_from_blocks(48, 0, 16, wrong[i].row_ptr, wrong[i].column, NULL, &p, &err),
                VIC_BAD_INPUT, wrong[i].words);
    CHECK_OK(vic_pattern_generate("blocks:2x2:n=1,seed=18446744073709551615", NULL, &p, &err));
    vic_pattern_free(p);
    REFUSED(p, vic_pattern_generate("blocks:2x2:n=1,seed=18446744073709551616", NULL, &p, &err), VIC_BAD_ARGUMENT,
            "stopped at character");
    REFUSED(p, vic_pattern_generate("blocks:2x2:n=1,seed=99999999999999999999", NULL, &p, &err), VIC_BAD_ARGUMENT,
            "stopped at character");
}

static void pairs_of_a_structure(void **state)
{
    vic_structure *s = structure();
    const int32_t zero[] = { 0 };
    vic_pattern *p;
    vic_error err;
    (void)state;
    REFUSED(p, vic_pattern_from_pairs(s, N + 1, 0, 1, zero, zero, NULL, NULL, &p, &err), VIC_BAD_ARGUMENT,
            "the structure has 20 atoms: expected n_q to say so, and n_k 0; got 21 and 0");
    REFUSED(p, vic_pattern_from_pairs(s, N, 7, 1, zero, zero, NULL, NULL, &p, &err), VIC_BAD_ARGUMENT,
            "got 20 and 7");
    REFUSED(p, vic_pattern_from_pairs(s, N, 0, 1, NULL, zero, NULL, NULL, &p, &err), VIC_BAD_ARGUMENT,
            "with both arrays");
    CHECK_OK(vic_pattern_from_pairs(s, N, N, 1, zero, zero, NULL, NULL, &p, &err));
    assert_int_equal(vic_pattern_get(p).pairs, 1);
    assert_non_null(vic_pattern_positions(p, VIC_QUERY));
    assert_ptr_equal(vic_pattern_positions(p, VIC_KEY), vic_pattern_positions(p, VIC_QUERY));
    vic_pattern_free(p);
    vic_structure_free(s);
}

static void distances_and_updates(void **state)
{
    const double at[6] = { 0, 0, 0, 1, 0, 0 };
    const int64_t offsets[] = { 0, 1, 2 };
    int32_t i[8], j[8];
    double d[8];
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(vic_pattern_windows(2, 2, 2, NULL, &p, &err));
    CHECK_FAILS(vic_pattern_neighbours(p, 4, 1, i, j, NULL, d, &err), VIC_BAD_ARGUMENT,
                "distance: the pattern has no positions");
    CHECK_FAILS(vic_pattern_update(&p, at, NULL, NULL, 0, &err), VIC_BAD_ARGUMENT, "got one of kind windows");
    vic_pattern_free(p);
    o.cutoff = 2.0;
    CHECK_OK(vic_pattern_structures(2, offsets, at, NULL, NULL, &o, &p, &err));
    CHECK_FAILS(vic_pattern_neighbours(p, 2, 1, i, j, NULL, d, &err), VIC_BAD_ARGUMENT, "no cell that all");
    CHECK_FAILS(vic_pattern_update(&p, at, NULL, (const double[3][3]){ { 0 } }, 0, &err), VIC_BAD_ARGUMENT,
                "several structures, whose cells stay");
    vic_pattern_free(p);
    CHECK_OK(vic_pattern_build_points(1, at, 1, at + 3, NULL, NULL, &o, &p, &err));
    CHECK_OK(vic_pattern_neighbours(p, 1, 1, i, j, NULL, d, &err));
    assert_true(d[0] == 1.0);
    CHECK_FAILS(vic_pattern_update(&p, at, NULL, NULL, 0, &err), VIC_BAD_ARGUMENT, "keys of their own");
    vic_pattern_free(p);
    p = cutoff();
    CHECK_FAILS(vic_pattern_update(&p, NULL, NULL, NULL, 0, &err), VIC_BAD_ARGUMENT,
                "the pattern has 20 query atoms");
    vic_pattern_free(p);
    CHECK_OK(vic_pattern_build_points(0, NULL, 0, NULL, NULL, NULL, &o, &p, &err));
    CHECK_OK(vic_pattern_update(&p, NULL, NULL, NULL, 0, &err)); /* of no atoms there are no positions */
    assert_int_equal(vic_pattern_get(p).pairs, 0);
    vic_pattern_free(p);
}

/* The stride along a dimension of one says nothing. */
static void sort_one_wide(const vic_pattern *p, float *a, float *b)
{
    const int64_t shape[] = { N, 1 };
    vic_tensor in = vic_tensor_make(a, VIC_F32, 2, shape), out = vic_tensor_make(b, VIC_F32, 2, shape);
    const int32_t *order = vic_pattern_query_order(p);
    vic_error err;
    in.stride[1] = INT64_MIN;
    out.stride[1] = 77;
    memset(b, 0, N * sizeof *b);
    CHECK_OK(vic_pattern_sort(p, VIC_QUERY, &in, &out, &err));
    for (int row = 0; row < N; row++) assert_true(b[row] == a[order[row]]);
}

static void sorted_tensors(void **state)
{
    static const struct {
        int64_t shape[4], in[4], out[4];
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
        { { N }, { 1 }, { 1 }, 5, "1 to 4 dimensions" },
    };
    float a[8 * N], b[8 * N];
    vic_pattern *p = cutoff();
    const int32_t *order = vic_pattern_query_order(p);
    vic_error err;
    (void)state;
    const int64_t four[] = { N, 2, 2, 2 };
    vic_tensor in = vic_tensor_make(a, VIC_F32, 4, four), out = vic_tensor_make(b, VIC_F32, 4, four);
    for (int i = 0; i < 8 * N; i++) a[i] = (float)i;
    CHECK_OK(vic_pattern_sort(p, VIC_QUERY, &in, &out, &err));
    for (int row = 0; row < N; row++) assert_memory_equal(b + 8 * row, a + 8 * order[row], 8 * sizeof *a);
    in.ndim = out.ndim = 1; /* one number an atom, wherever they lie */
    CHECK_OK(vic_pattern_sort(p, VIC_QUERY, &in, &out, &err));
    for (int row = 0; row < N; row++) assert_true(b[8 * row] == a[8 * order[row]]);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        vic_tensor x = vic_tensor_make(a, VIC_F32, wrong[i].ndim, wrong[i].shape), y = x;
        y.data = b;
        memcpy(x.stride, wrong[i].in, sizeof x.stride);
        memcpy(y.stride, wrong[i].out, sizeof y.stride);
        CHECK_FAILS(vic_pattern_sort(p, VIC_QUERY, &x, &y, &err), VIC_BAD_ARGUMENT, wrong[i].words);
    }
    sort_one_wide(p, a, b);
    out.ndim = 2;
    CHECK_FAILS(vic_pattern_sort(p, VIC_QUERY, &in, &out, &err), VIC_BAD_ARGUMENT, "of one type");
    out.ndim = 1;
    out.dtype = VIC_F16;
    CHECK_FAILS(vic_pattern_sort(p, VIC_QUERY, &in, &out, &err), VIC_BAD_ARGUMENT, "float32 with 1 and float16");
    in.dtype = out.dtype = (vic_dtype)9;
    CHECK_FAILS(vic_pattern_sort(p, VIC_QUERY, &in, &out, &err), VIC_BAD_ARGUMENT, "unknown type");
    in.dtype = out.dtype = VIC_F32;
    in.device.kind = out.device.kind = VIC_CUDA;
    out.device.index = 1;
    CHECK_FAILS(vic_pattern_unsort(p, VIC_KEY, &in, &out, &err), VIC_BAD_ARGUMENT, "cuda:0 and cuda:1");
    out.device.index = 0;
    out.data = (char *)b + 2;
    CHECK_FAILS(vic_pattern_unsort(p, VIC_KEY, &in, &out, &err), VIC_BAD_ARGUMENT, "aligned to its type, 4 bytes");
    vic_pattern_free(p);
}

static void plans(void **state)
{
    static const int heads[] = { 0, -1, 65537, INT32_MAX };
    vic_pattern *p = cutoff(), *windows, *several;
    vic_plan_options o = VIC_PLAN_OPTIONS_INIT;
    vic_pattern_options po = VIC_PATTERN_OPTIONS_INIT;
    const double at[6] = { 0 };
    const int64_t offsets[] = { 0, 1, 2 };
    vic_plan *plan;
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        o.heads = heads[i];
        REFUSED(plan, vic_plan_create(p, &o, &plan, &err), VIC_BAD_ARGUMENT, "heads: expected 1 to 65536");
    }
    o = (vic_plan_options)VIC_PLAN_OPTIONS_INIT;
    o.kv_heads = -2;
    REFUSED(plan, vic_plan_create(p, &o, &plan, &err), VIC_BAD_ARGUMENT, "kv_heads: expected a divisor");
    o.kv_heads = 0;
    o.head_dim_v = 12;
    REFUSED(plan, vic_plan_create(p, &o, &plan, &err), VIC_BAD_ARGUMENT, "head_dim_v: expected a multiple of 8");
    o.head_dim_v = 0;
    o.device.kind = (vic_device_kind)5;
    REFUSED(plan, vic_plan_create(p, &o, &plan, &err), VIC_BAD_ARGUMENT, "device.kind: expected");
    o.device = (vic_device){ VIC_CUDA, -1 };
    REFUSED(plan, vic_plan_create(p, &o, &plan, &err), VIC_NO_DEVICE, "there is no device -1");
    o.device = (vic_device){ VIC_CPU, 0 };
    o.radial = true;
    CHECK_OK(vic_pattern_windows(N, 4, 8, NULL, &windows, &err));
    REFUSED(plan, vic_plan_create(windows, &o, &plan, &err), VIC_BAD_ARGUMENT, "got one without positions");
    po.cutoff = 1.0;
    CHECK_OK(vic_pattern_structures(2, offsets, at, NULL, NULL, &po, &several, &err));
    REFUSED(plan, vic_plan_create(several, &o, &plan, &err), VIC_BAD_ARGUMENT, "got several structures");
    vic_pattern_free(several);
    vic_pattern_free(windows);
    vic_structure *s = structure();
    CHECK_OK(vic_pattern_nearest(s, 3, NULL, &windows, &err));
    REFUSED(plan, vic_plan_create(windows, &o, &plan, &err), VIC_BAD_ARGUMENT, "whose pairs may be at any distance");
    vic_pattern_free(windows);
    vic_structure_free(s);
    vic_pattern_free(p);
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
    CHECK_OK(vic_memory_copy(cpu, NULL, cpu, NULL, 0, &err));
    vic_memory_free(cpu, memory);
    vic_memory_free(cpu, NULL);
    /* a GPU that no machine has */
    const vic_device gpu = { VIC_CUDA, 1000 };
    REFUSED(memory, vic_memory_alloc(gpu, 8, &memory, &err), VIC_NO_DEVICE, "");
    CHECK_FAILS(vic_memory_copy(gpu, from, cpu, from, 8, &err), VIC_NO_DEVICE, "");
    CHECK_FAILS(vic_memory_copy(cpu, from, gpu, from, 8, &err), VIC_NO_DEVICE, "");
    vic_memory_free(gpu, NULL);
}

static void radial_terms(void **state)
{
    static const double wrong[][4] = {
        { NAN, 1, 1, 5 }, { 1, INFINITY, 1, 5 }, { 1, 1, NAN, 5 }, { 1, 1, INFINITY, 5 }, { 1, 1, -1, 5 }
    };
    float table[4] = { 1, 2, 3, 4 };
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_FAILS(vic_radial_add(VIC_RADIAL_GAUSSIAN, wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3], 4, table,
                                   &err),
                    VIC_BAD_ARGUMENT, "a, center, width: expected");
    CHECK_FAILS(vic_radial_add(VIC_RADIAL_COSINE, 0, 0, 0, INFINITY, 4, table, &err), VIC_BAD_ARGUMENT, "got inf");
    CHECK_FAILS(vic_radial_add(VIC_RADIAL_POLYNOMIAL, 65, 0, 0, 5, 4, table, &err), VIC_BAD_ARGUMENT, "got 65");
    for (int i = 0; i < 4; i++) assert_true(table[i] == (float)(i + 1)); /* as it was */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),
        cmocka_unit_test(tensors_of_any_shape),
        cmocka_unit_test(options_of_a_newer_caller),
        cmocka_unit_test(nothing_given),
        cmocka_unit_test(skips_of_the_wrong_side),
        cmocka_unit_test(sizes),
        cmocka_unit_test(block_masks),
        cmocka_unit_test(pairs_of_a_structure),
        cmocka_unit_test(distances_and_updates),
        cmocka_unit_test(sorted_tensors),
        cmocka_unit_test(plans),
        cmocka_unit_test(memory),
        cmocka_unit_test(radial_terms),
    };
    return cmocka_run_group_tests_name("api_arguments", tests, NULL, NULL);
}
