/* SPDX-License-Identifier: Apache-2.0 */
/* Filling tables of a distance bias, how well they are met between their points, and what a run refuses. */
#include "objects.h"
#include "vicinal_dev.h"

#include "contract/distance_bias.h"

static const double cutoff = 8.0;

/* The formulas as the header has them. */
static double formula(vic_bias_kind kind, double a, double center, double width, double d)
{
    double x = d / cutoff;
    switch (kind) {
    case VIC_BIAS_LINEAR: return a * d;
    case VIC_BIAS_GAUSSIAN: return a * exp(-(d - center) * (d - center) / (2.0 * width * width));
    case VIC_BIAS_COSINE: return log((1.0 + cos(3.14159265358979323846 * x)) / 2.0);
    case VIC_BIAS_POLYNOMIAL:
        return log(1.0 - (a + 1) * (a + 2) / 2 * pow(x, a) + a * (a + 2) * pow(x, a + 1) -
                   a * (a + 1) / 2 * pow(x, a + 2));
    }
    return NAN;
}

static const struct {
    const char *name;
    vic_bias_kind kind;
    double a, center, width;
    double error; /* largest |b - formula| from 0.9 A on, with VIC_BIAS_POINTS; of e^b for the envelopes */
} terms[] = {
    { "linear, slope -1", VIC_BIAS_LINEAR, -1, 0, 0, 2e-4 },
    { "gaussian at 4 A, width 1 A", VIC_BIAS_GAUSSIAN, 1, 4, 1, 2e-5 },
    { "gaussian at 4 A, width 0.25 A", VIC_BIAS_GAUSSIAN, 1, 4, 0.25, 2e-4 },
    { "cosine", VIC_BIAS_COSINE, 0, 0, 0, 1e-6 },
    { "polynomial, 6", VIC_BIAS_POLYNOMIAL, 6, 0, 0, 1e-5 },
    { "polynomial, 1", VIC_BIAS_POLYNOMIAL, 1, 0, 0, 1e-4 },
};
enum { TERMS = sizeof terms / sizeof *terms };

static bool envelope(vic_bias_kind kind)
{
    return kind == VIC_BIAS_COSINE || kind == VIC_BIAS_POLYNOMIAL;
}

static float *fill(size_t term, int points)
{
    float *t = calloc((size_t)points, sizeof *t);
    vic_error err;
    assert_non_null(t);
    CHECK_OK(vic_bias_add(terms[term].kind, terms[term].a, terms[term].center, terms[term].width, cutoff, points, t,
                          &err));
    return t;
}

static void points_meet_the_formulas(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERMS; i++) {
        float *t = fill(i, 100);
        for (int m = 0; m < 99; m++) {
            double d = cutoff * sqrt(m / 99.0);
            double want = formula(terms[i].kind, terms[i].a, terms[i].center, terms[i].width, d);
            CHECK(fabs((double)t[m] - want) <= 1e-6 * (1.0 + fabs(want)), "%s, point %d: expected %.9g, got %.9g",
                  terms[i].name, m, want, (double)t[m]);
        }
        CHECK(envelope(terms[i].kind) == (t[99] == -INFINITY), "%s: the last point is %g", terms[i].name,
              (double)t[99]);
        free(t);
    }
}

/* Next to the cutoff the polynomial's formula is all cancellation; its limit is p (p+1) (p+2) / 6 (1 - x)^3. */
static void envelopes_keep_their_shape_to_the_end(void **state)
{
    (void)state;
    enum { POINTS = 65536 };
    float *cosine = fill(3, POINTS), *polynomial = fill(4, POINTS);
    double rest = 1.0 - sqrt((POINTS - 2.0) / (POINTS - 1.0));
    CHECK(fabs((double)polynomial[POINTS - 2] - log(56.0 * rest * rest * rest)) < 1e-3, "polynomial: %.9g",
          (double)polynomial[POINTS - 2]);
    CHECK(fabs((double)cosine[POINTS - 2] - 2.0 * log(1.57079632679 * rest)) < 1e-4, "cosine: %.9g",
          (double)cosine[POINTS - 2]);
    free(cosine);
    free(polynomial);
}

/* The figures in docs/howto/distance-bias.md. */
static void errors_between_points(void **state)
{
    static const int points[] = { 256, VIC_BIAS_POINTS, 4096 };
    (void)state;
    for (size_t i = 0; i < TERMS; i++)
        for (size_t n = 0; n < sizeof points / sizeof *points; n++) {
            float *t = fill(i, points[n]);
            double worst = 0.0;
            for (double d = 0.9; d < cutoff; d += 1e-5) {
                double b = distance_bias_value(t, points[n], d * d, cutoff);
                double want = formula(terms[i].kind, terms[i].a, terms[i].center, terms[i].width, d);
                double error = envelope(terms[i].kind) ? fabs(exp(b) - exp(want)) : fabs(b - want);
                worst = fmax(worst, error);
            }
            print_message("%s, %d points: error %.2g%s\n", terms[i].name, points[n], worst,
                          envelope(terms[i].kind) ? " of e^b" : "");
            if (points[n] == VIC_BIAS_POINTS)
                CHECK(worst <= terms[i].error, "%s: error %.3g, allowed %.3g", terms[i].name, worst, terms[i].error);
            free(t);
        }
}

static void terms_add_up(void **state)
{
    float t[5] = { 1.0f, 1.0f, 1.0f, 1.0f, 1.0f };
    vic_error err;
    (void)state;
    CHECK_OK(vic_bias_add(VIC_BIAS_LINEAR, -0.5, NAN, NAN, 8.0, 5, t, &err));
    CHECK_OK(vic_bias_add(VIC_BIAS_COSINE, NAN, NAN, NAN, 8.0, 5, t, &err));
    CHECK(t[0] == 1.0f && t[4] == -INFINITY, "ends: %g, %g", (double)t[0], (double)t[4]);
    CHECK(fabs((double)t[1] - (1.0 - 2.0 + log(0.5))) < 1e-6, "middle: %g",
          (double)t[1]); /* d = 4: half of the way */
}

static void parameters_are_checked(void **state)
{
    float t[3] = { 0 };
    vic_error err;
    (void)state;
    CHECK_FAILS(vic_bias_add(VIC_BIAS_LINEAR, 1, 0, 0, 8, 1, t, &err), VIC_BAD_ARGUMENT, "2 to 65536, got 1");
    CHECK_FAILS(vic_bias_add(VIC_BIAS_LINEAR, 1, 0, 0, 8, 70000, t, &err), VIC_BAD_ARGUMENT, "got 70000");
    CHECK_FAILS(vic_bias_add(VIC_BIAS_LINEAR, 1, 0, 0, 0, 3, t, &err), VIC_BAD_ARGUMENT, "cutoff");
    CHECK_FAILS(vic_bias_add(VIC_BIAS_LINEAR, 1, 0, 0, NAN, 3, t, &err), VIC_BAD_ARGUMENT, "cutoff");
    CHECK_FAILS(vic_bias_add(VIC_BIAS_LINEAR, NAN, 0, 0, 8, 3, t, &err), VIC_BAD_ARGUMENT, "finite slope");
    CHECK_FAILS(vic_bias_add(VIC_BIAS_GAUSSIAN, 1, 0, 0, 8, 3, t, &err), VIC_BAD_ARGUMENT, "width > 0");
    CHECK_FAILS(vic_bias_add(VIC_BIAS_POLYNOMIAL, 0, 0, 0, 8, 3, t, &err), VIC_BAD_ARGUMENT, "usually 6");
    CHECK_FAILS(vic_bias_add(VIC_BIAS_POLYNOMIAL, 2.5, 0, 0, 8, 3, t, &err), VIC_BAD_ARGUMENT, "got 2.5");
    CHECK_FAILS(vic_bias_add((vic_bias_kind)9, 1, 0, 0, 8, 3, t, &err), VIC_BAD_ARGUMENT, "got 9");
    CHECK(t[0] == 0.0f && t[1] == 0.0f && t[2] == 0.0f, "a refused call wrote");
}

/* ---- runs ---- */

enum { N = 20, DIM = 8, HEADS = 2 };

struct system {
    vic_pattern *pattern;
    vic_plan *plain, *biased;
    float x[N * HEADS * DIM], out[N * HEADS * DIM], table[HEADS * 5];
    vic_attention_args args; /* with the table */
};

static const vic_plan_options plan_options = {
    .size = sizeof plan_options, .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM
};

static int set_up(void **state)
{
    const int64_t shape[] = { N, HEADS, DIM };
    struct system *s = calloc(1, sizeof *s);
    vic_plan_options with_bias = plan_options;
    double at[3 * N];
    vic_error err;
    assert_non_null(s);
    for (int i = 0; i < 3 * N; i++) at[i] = i * i % 17 * 0.5;
    vic_points points = points_at(N, at, NULL);
    s->pattern = cutoff_pattern(&points, 5.0);
    with_bias.bias = VIC_BIAS_DISTANCE;
    CHECK_OK(vic_plan_create(NULL, s->pattern, &plan_options, &s->plain, &err));
    CHECK_OK(vic_plan_create(NULL, s->pattern, &with_bias, &s->biased, &err));
    s->args = (vic_attention_args)VIC_INIT(vic_attention_args);
    s->args.q = s->args.k = s->args.v = vic_tensor_make(s->x, VIC_F32, 3, shape);
    s->args.out = vic_tensor_make(s->out, VIC_F32, 3, shape);
    s->args.bias = vic_tensor_make(s->table, VIC_F32, 2, (const int64_t[]){ HEADS, 5 });
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct system *s = *state;
    vic_plan_free(s->plain);
    vic_plan_free(s->biased);
    vic_pattern_free(s->pattern);
    free(s);
    return 0;
}

static void a_table_and_a_plan_go_together(void **state)
{
    struct system *s = *state;
    vic_attention_args without = s->args;
    vic_error err;
    without.bias.data = NULL;
    CHECK_FAILS(vic_attention(NULL, s->biased, &without, &err), VIC_BAD_ARGUMENT, "bias");
    CHECK_FAILS(vic_attention(NULL, s->plain, &s->args, &err), VIC_BAD_ARGUMENT, "VIC_BIAS_DISTANCE");
    CHECK_OK(vic_attention(NULL, s->biased, &s->args, &err));
}

static void shapes_of_tables(void **state)
{
    static const struct {
        int64_t shape[3];
        int ndim;
    } wrong[] = { { { 5 }, 1 },    { { HEADS, 1 }, 2 },    { { HEADS, 65537 }, 2 }, { { HEADS + 1, 5 }, 2 },
                  { { 0, 5 }, 2 }, { { 1, HEADS, 5 }, 3 }, { { HEADS, -5 }, 2 } };
    struct system *s = *state;
    vic_attention_args a = s->args;
    vic_error err;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        a.bias = vic_tensor_make(s->table, VIC_F32, wrong[i].ndim, wrong[i].shape);
        CHECK_FAILS(vic_attention(NULL, s->biased, &a, &err), VIC_BAD_ARGUMENT, "bias");
    }
    a.bias = s->args.bias;
    a.bias.dtype = VIC_F16;
    CHECK_FAILS(vic_attention(NULL, s->biased, &a, &err), VIC_BAD_ARGUMENT, "float32");
    a.bias = s->args.bias;
    a.bias.device.type = VIC_CUDA;
    CHECK_FAILS(vic_attention(NULL, s->biased, &a, &err), VIC_BAD_ARGUMENT, "bias");
    a.bias = s->args.bias;
    a.bias.stride[1] = 2;
    CHECK_FAILS(vic_attention(NULL, s->biased, &a, &err), VIC_BAD_ARGUMENT, "contiguous");
}

static void values_of_tables(void **state)
{
    struct system *s = *state;
    const int64_t first = 0;
    double row[HEADS * DIM];
    vic_error err;
    s->table[8] = NAN;
    CHECK_FAILS(vic_attention(NULL, s->biased, &s->args, &err), VIC_BAD_ARGUMENT, "got nan for head 1, point 3 of 5");
    CHECK_FAILS(vic_attention_reference(NULL, s->biased, &s->args, 1, &first, row, NULL, NULL, &err),
                VIC_BAD_ARGUMENT, "got nan for head 1, point 3 of 5");
    s->args.bias.shape[0] = 1; /* then head 1 has head 0's table */
    CHECK_OK(vic_attention(NULL, s->biased, &s->args, &err));
    s->args.bias.shape[0] = HEADS; /* and here too, by its stride */
    s->args.bias.stride[0] = 0;
    CHECK_OK(vic_attention(NULL, s->biased, &s->args, &err));
    s->table[2] = INFINITY;
    CHECK_FAILS(vic_attention(NULL, s->biased, &s->args, &err), VIC_BAD_ARGUMENT, "got inf for head 0, point 2 of 5");
    s->table[2] = -INFINITY;
    CHECK_OK(vic_attention(NULL, s->biased, &s->args, &err));
}

/* One table for all heads is that table for each of them. */
static void one_table_for_all_heads(void **state)
{
    struct system *s = *state;
    float each[N * HEADS * DIM];
    uint64_t seed = 4;
    vic_error err;
    for (int i = 0; i < N * HEADS * DIM; i++) s->x[i] = (float)random_normal(&seed);
    for (int m = 0; m < 5; m++) s->table[m] = s->table[5 + m] = -0.3f * (float)m;
    CHECK_OK(vic_attention(NULL, s->biased, &s->args, &err));
    memcpy(each, s->out, sizeof each);
    s->args.bias.shape[0] = 1;
    memset(s->out, 0, sizeof s->out);
    CHECK_OK(vic_attention(NULL, s->biased, &s->args, &err));
    assert_memory_equal(each, s->out, sizeof each);
    CHECK_OK(vic_attention(NULL, s->plain,
                           &(vic_attention_args){ .size = sizeof(vic_attention_args),
                                                  .q = s->args.q,
                                                  .k = s->args.k,
                                                  .v = s->args.v,
                                                  .out = s->args.out },
                           &err));
    assert_memory_not_equal(each, s->out, sizeof each); /* the table did something */
}

static void gpus_have_no_bias_yet(void **state)
{
    struct system *s = *state;
    vic_plan_options o = plan_options;
    vic_plan *plan;
    vic_error err;
    o.bias = VIC_BIAS_DISTANCE;
    o.device.type = VIC_CUDA;
    o.dtype = VIC_F16;
    CHECK_FAILS(vic_plan_create(NULL, s->pattern, &o, &plan, &err), VIC_NO_KERNEL, "bias");
    for (int i = 0; i < vic_kernel_count(); i++) {
        vic_kernel_info k = VIC_INIT(vic_kernel_info);
        vic_error other;
        assert_int_equal(vic_kernel_get(i, &k, &other), VIC_OK);
        if (strcmp(k.device, "cuda") == 0 && !k.backward)
            assert_non_null(strstr(err.text, "does not support a distance bias"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_meet_the_formulas),
        cmocka_unit_test(envelopes_keep_their_shape_to_the_end),
        cmocka_unit_test(errors_between_points),
        cmocka_unit_test(terms_add_up),
        cmocka_unit_test(parameters_are_checked),
        cmocka_unit_test_setup_teardown(a_table_and_a_plan_go_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shapes_of_tables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_of_tables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_table_for_all_heads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gpus_have_no_bias_yet, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("api_bias", tests, NULL, NULL);
}
