/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over parts of the keys, put together: against the formula in float64, and against attention over all. */
#include "objects.h"

#include "base/half.h"

enum { ROWS = 150, HEADS = 3, DIM = 16, PARTS = 4, SIZE = ROWS * HEADS * DIM, LSE = ROWS * HEADS };

struct parts {
    vic_dtype dtype;
    float value[PARTS][SIZE];   /* as the type holds them */
    uint16_t half[PARTS][SIZE]; /* the same in 16 bits */
    float lse[PARTS][LSE];
    vic_tensor out[PARTS], lse_of[PARTS];
};

static const int64_t shape[] = { ROWS, HEADS, DIM };

static uint16_t to_half(vic_dtype dtype, float x)
{
    return dtype == VIC_F16 ? f16_from_f32(x) : bf16_from_f32(x);
}

static float from_half(vic_dtype dtype, uint16_t x)
{
    return dtype == VIC_F16 ? f32_from_f16(x) : f32_from_bf16(x);
}

/* Row 0 has no keys in any part, row 1 in one alone, row 2 all in another than row 1. */
static void parts_make(struct parts *p, vic_dtype dtype)
{
    uint64_t seed = 19;
    p->dtype = dtype;
    for (int k = 0; k < PARTS; k++) {
        for (int i = 0; i < SIZE; i++) {
            float x = (float)random_normal(&seed);
            p->half[k][i] = dtype == VIC_F32 ? 0 : to_half(dtype, x);
            p->value[k][i] = dtype == VIC_F32 ? x : from_half(dtype, p->half[k][i]);
        }
        for (int i = 0; i < LSE; i++) {
            int row = i / HEADS;
            bool none = row == 0 || (row == 1 && k != 2) || (row == 2 && k == 2);
            p->lse[k][i] = none ? -INFINITY : (float)(6 * random_normal(&seed));
        }
        p->out[k] = dtype == VIC_F32 ? vic_tensor_make(p->value[k], dtype, 3, shape)
                                     : vic_tensor_make(p->half[k], dtype, 3, shape);
        p->lse_of[k] = vic_tensor_make(p->lse[k], VIC_F32, 2, shape);
    }
}

static void expected(const struct parts *p, int n, double *out, double *lse)
{
    for (int i = 0; i < LSE; i++) {
        double most = -INFINITY, sum = 0;
        for (int k = 0; k < n; k++) most = fmax(most, (double)p->lse[k][i]);
        for (int k = 0; k < n; k++) sum += most == -INFINITY ? 0 : exp((double)p->lse[k][i] - most);
        lse[i] = most + log(sum);
        for (int c = 0; c < DIM; c++) {
            double value = 0;
            for (int k = 0; k < n && sum > 0; k++)
                value += exp((double)p->lse[k][i] - lse[i]) * (double)p->value[k][i * DIM + c];
            out[i * DIM + c] = value;
        }
        if (sum == 0) lse[i] = -INFINITY;
    }
}

static void check_lse(const float *got, const double *want)
{
    for (int i = 0; i < LSE; i++)
        CHECK(want[i] == -INFINITY ? got[i] == -INFINITY
                                   : fabs((double)got[i] - want[i]) < 2e-6 * (1 + fabs(want[i])),
              "LSE %d is %g, not %g", i, (double)got[i], want[i]);
}

static void check_type(vic_dtype part, vic_dtype result, double error)
{
    static struct parts p;
    static double out[SIZE], lse[LSE];
    static float got[SIZE], got_lse[LSE];
    static uint16_t got_half[SIZE];
    vic_combine_args a = { .size = sizeof a, .part_out = p.out, .part_lse = p.lse_of };
    vic_error err;
    parts_make(&p, part);
    a.out = result == VIC_F32 ? vic_tensor_make(got, result, 3, shape) : vic_tensor_make(got_half, result, 3, shape);
    a.lse = vic_tensor_make(got_lse, VIC_F32, 2, shape);
    for (int n = 1; n <= PARTS; n++) {
        a.parts = n;
        expected(&p, n, out, lse);
        memset(got_lse, 0xff, sizeof got_lse);
        CHECK_OK(vic_combine(NULL, &a, &err));
        for (int i = 0; i < SIZE; i++) {
            double x = (double)(result == VIC_F32 ? got[i] : from_half(result, got_half[i]));
            CHECK(fabs(x - out[i]) <= error * (1 + fabs(out[i])), "%s to %s, %d parts: element %d is %g, not %g",
                  vic_dtype_name(part), vic_dtype_name(result), n, i, x, out[i]);
        }
        check_lse(got_lse, lse);
    }
}

static void types(void **state)
{
    static const vic_dtype all[] = { VIC_F32, VIC_F16, VIC_BF16 };
    static const double errors[] = { 3e-7, 0x1p-11, 0x1p-8 };
    (void)state;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) check_type(all[i], all[j], errors[j]);
}

/* The same bits in any context, in a batch, in other strides, without the LSE, and in the place of the first part. */
static void forms(void **state)
{
    enum { WIDE = HEADS * (DIM + 5) };
    static struct parts p;
    static float got[SIZE], lse[LSE], again[SIZE], again_lse[LSE], wide[ROWS * WIDE];
    vic_combine_args a = { .size = sizeof a, .parts = PARTS, .part_out = p.out, .part_lse = p.lse_of };
    vic_error err;
    (void)state;
    parts_make(&p, VIC_F32);
    a.out = vic_tensor_make(got, VIC_F32, 3, shape);
    a.lse = vic_tensor_make(lse, VIC_F32, 2, shape);
    CHECK_OK(vic_combine(NULL, &a, &err));
    for (int threads = 1; threads <= 3; threads++) {
        vic_context *c = context_of(threads);
        a.out.data = again;
        a.lse.data = again_lse;
        memset(again, 0xff, sizeof again);
        CHECK_OK(vic_combine(c, &a, &err));
        assert_memory_equal(got, again, sizeof got);
        assert_memory_equal(lse, again_lse, sizeof lse);
        vic_context_free(c);
    }
    a.lse.data = NULL;
    memset(again, 0xff, sizeof again);
    CHECK_OK(vic_combine(NULL, &a, &err));
    assert_memory_equal(got, again, sizeof got);
    a.out = vic_tensor_make(wide, VIC_F32, 3, shape);
    a.out.stride[0] = WIDE;
    a.out.stride[1] = DIM + 5;
    CHECK_OK(vic_combine(NULL, &a, &err));
    for (int i = 0; i < LSE; i++)
        assert_memory_equal(got + i * DIM, wide + i / HEADS * WIDE + i % HEADS * (DIM + 5), DIM * sizeof *got);
    a.out = p.out[0];
    a.lse = p.lse_of[0];
    CHECK_OK(vic_combine(NULL, &a, &err));
    assert_memory_equal(got, p.value[0], sizeof got);
    assert_memory_equal(lse, p.lse[0], sizeof lse);
}

static void batches(void **state)
{
    const int64_t three[] = { 3, ROWS / 3, HEADS, DIM };
    static struct parts p;
    static float got[SIZE], lse[LSE], again[SIZE], again_lse[LSE];
    vic_combine_args a = { .size = sizeof a, .parts = PARTS, .part_out = p.out, .part_lse = p.lse_of };
    vic_error err;
    (void)state;
    parts_make(&p, VIC_F32);
    a.out = vic_tensor_make(got, VIC_F32, 3, shape);
    a.lse = vic_tensor_make(lse, VIC_F32, 2, shape);
    CHECK_OK(vic_combine(NULL, &a, &err));
    for (int k = 0; k < PARTS; k++) { /* the same rows as items */
        p.out[k] = vic_tensor_make(p.value[k], VIC_F32, 4, three);
        p.lse_of[k] = vic_tensor_make(p.lse[k], VIC_F32, 3, three);
    }
    a.out = vic_tensor_make(again, VIC_F32, 4, three);
    a.lse = vic_tensor_make(again_lse, VIC_F32, 3, three);
    CHECK_OK(vic_combine(NULL, &a, &err));
    assert_memory_equal(got, again, sizeof got);
    assert_memory_equal(lse, again_lse, sizeof lse);
}

/* The keys in two halves, each with a plan of its own, and all of them at once. */
static void of_attention(void **state)
{
    enum { N = 200, KEYS = N / 2 };
    static float q[N * HEADS * DIM], out[3][N * HEADS * DIM], lse[3][N * HEADS], got[N * HEADS * DIM],
        got_lse[N * HEADS];
    const vic_plan_options po = { .size = sizeof po, .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM };
    const int64_t all[] = { N, HEADS, DIM }, half[] = { KEYS, HEADS, DIM };
    vic_tensor outs[2], lses[2];
    double at[3 * N];
    uint64_t seed = 8;
    vic_error err;
    (void)state;
    for (int i = 0; i < 3 * N; i++) at[i] = 9 * random_uniform(&seed);
    for (int i = 0; i < N * HEADS * DIM; i++) q[i] = (float)random_normal(&seed);
    vic_points queries = points_at(N, at, NULL);
    for (int k = 0; k < 3; k++) {
        vic_points keys = k < 2 ? points_at(KEYS, at + 3 * KEYS * k, NULL) : queries;
        vic_pattern *p;
        vic_plan *plan;
        CHECK_OK(vic_pattern_cutoff(NULL, &queries, &keys, 3.0, NULL, &p, &err));
        CHECK_OK(vic_plan_create(NULL, p, &po, &plan, &err));
        vic_attention_args args = { .size = sizeof args,
                                    .q = vic_tensor_make(q, VIC_F32, 3, all),
                                    .out = vic_tensor_make(out[k], VIC_F32, 3, all),
                                    .lse = vic_tensor_make(lse[k], VIC_F32, 2, all) };
        args.k = args.v = k < 2 ? vic_tensor_make(q + k * KEYS * HEADS * DIM, VIC_F32, 3, half) : args.q;
        if (k < 2) {
            outs[k] = args.out;
            lses[k] = args.lse;
        }
        CHECK_OK(vic_attention(NULL, plan, &args, &err));
        vic_plan_free(plan);
        vic_pattern_free(p);
    }
    vic_combine_args a = { .size = sizeof a,
                           .parts = 2,
                           .part_out = outs,
                           .part_lse = lses,
                           .out = vic_tensor_make(got, VIC_F32, 3, all),
                           .lse = vic_tensor_make(got_lse, VIC_F32, 2, all) };
    CHECK_OK(vic_combine(NULL, &a, &err));
    for (int i = 0; i < N * HEADS * DIM; i++) assert_true(fabs((double)got[i] - (double)out[2][i]) < 2e-5);
    for (int i = 0; i < N * HEADS; i++) assert_true(fabs((double)got_lse[i] - (double)lse[2][i]) < 1e-5);
}

static void arguments(void **state)
{
    static struct parts p;
    static float got[SIZE];
    static vic_tensor out[2], lse[2];
    const vic_combine_args good = { .size = sizeof good,
                                    .parts = 2,
                                    .part_out = out,
                                    .part_lse = lse,
                                    .out = vic_tensor_make(got, VIC_F32, 3, shape) };
    vic_combine_args a = good;
    vic_error err;
    (void)state;
    parts_make(&p, VIC_F32);
#define REFUSED(change, part)                                                                                        \
    do {                                                                                                             \
        a = good;                                                                                                    \
        memcpy(out, p.out, sizeof out);                                                                              \
        memcpy(lse, p.lse_of, sizeof lse);                                                                           \
        change;                                                                                                      \
        CHECK_FAILS(vic_combine(NULL, &a, &err), VIC_BAD_ARGUMENT, part);                                            \
    } while (0)
    REFUSED(a.parts = 0, "parts: expected 1 to");
    REFUSED(a.parts = -1, "parts: expected 1 to");
    REFUSED(a.parts = INT64_MAX, "parts: expected 1 to");
    REFUSED(a.part_out = NULL, "part_out");
    REFUSED(a.part_lse = NULL, "part_lse");
    REFUSED(out[1].data = NULL, "part_out[1]: data is NULL");
    REFUSED(lse[0].data = NULL, "part_lse[0]: data is NULL");
    REFUSED(a.out.data = NULL, "out: data is NULL");
    REFUSED(out[1].shape[2] = DIM - 1, "part_out[1]: expected the shape");
    REFUSED(lse[1].shape[0] = ROWS - 1, "part_lse[1]: expected the shape");
    REFUSED(a.out.shape[1] = HEADS + 1, "out: expected the shape");
    REFUSED(out[0].ndim = 2, "part_out[0]");
    REFUSED(out[1].dtype = VIC_F16, "part_out[1]");
    REFUSED(out[0].dtype = out[1].dtype = VIC_F64, "float32, float16 or bfloat16");
    REFUSED(lse[0].dtype = VIC_F16, "part_lse[0]: expected float32");
    REFUSED(a.out.dtype = VIC_F64, "float32, float16 or bfloat16");
    REFUSED(out[1].device.type = VIC_CUDA, "part_out[1]: expected memory of cpu:0");
    REFUSED(a.out.stride[2] = 2, "out: the last dimension");
    REFUSED(a.out.stride[0] = INT64_MAX / 2, "out: ");
    a = good;
    CHECK_OK(vic_combine(NULL, &a, &err));
}

/* A part's own memory, exactly, may be written over; all else that would be read after it was written is refused. */
static void in_place(void **state)
{
    static struct parts p;
    static float expected[SIZE], lse[LSE];
    vic_combine_args a = { .size = sizeof a, .parts = PARTS, .part_out = p.out, .part_lse = p.lse_of };
    vic_error err;
    (void)state;
    parts_make(&p, VIC_F32);
    a.out = vic_tensor_make(expected, VIC_F32, 3, shape);
    a.lse = vic_tensor_make(lse, VIC_F32, 2, shape);
    CHECK_OK(vic_combine(NULL, &a, &err));
    a.out = p.out[1];
    a.lse = p.lse_of[1];
    CHECK_OK(vic_combine(NULL, &a, &err));
    assert_memory_equal(p.value[1], expected, sizeof expected);
    assert_memory_equal(p.lse[1], lse, sizeof lse);
    a.out.dtype = VIC_F16;
    CHECK_FAILS(vic_combine(NULL, &a, &err), VIC_BAD_ARGUMENT, "out overlaps a tensor of part 1");
    a.out = p.out[0];
    a.out.data = p.value[0] + HEADS * DIM;
    a.out.shape[0] = ROWS;
    CHECK_FAILS(vic_combine(NULL, &a, &err), VIC_BAD_ARGUMENT, "out overlaps a tensor of part");
    a.out = vic_tensor_make(expected, VIC_F32, 3, shape);
    a.lse = vic_tensor_make(expected, VIC_F32, 2, shape);
    CHECK_FAILS(vic_combine(NULL, &a, &err), VIC_BAD_ARGUMENT, "lse overlaps out");
    a.lse = vic_tensor_make(lse, VIC_F32, 2, shape);
    a.lse.stride[0] = 1;
    CHECK_FAILS(vic_combine(NULL, &a, &err), VIC_BAD_ARGUMENT, "overwrite each other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),        cmocka_unit_test(forms),    cmocka_unit_test(batches),
        cmocka_unit_test(of_attention), cmocka_unit_test(in_place), cmocka_unit_test(arguments),
    };
    return cmocka_run_group_tests_name("api_combine", tests, NULL, NULL);
}
