/* SPDX-License-Identifier: Apache-2.0 */
/* Filling radial tables, how well they are met between their points, and what a run refuses. */
#include "check.h"

#include "contract/radial.h"

static const double cutoff = 8.0;

/* The formulas as the header has them. */
static double formula(vic_radial_kind kind, double a, double center, double width, double d)
{
    double x = d / cutoff;
    switch (kind) {
    case VIC_RADIAL_LINEAR: return a * d;
    case VIC_RADIAL_GAUSSIAN: return a * exp(-(d - center) * (d - center) / (2.0 * width * width));
    case VIC_RADIAL_COSINE: return log((1.0 + cos(3.14159265358979323846 * x)) / 2.0);
    case VIC_RADIAL_POLYNOMIAL:
        return log(1.0 - (a + 1) * (a + 2) / 2 * pow(x, a) + a * (a + 2) * pow(x, a + 1) -
                   a * (a + 1) / 2 * pow(x, a + 2));
    }
    return NAN;
}

static const struct {
    const char *name;
    vic_radial_kind kind;
    double a, center, width;
    double error; /* largest |b - formula| from 0.9 A on, with VIC_RADIAL_POINTS; of e^b for the envelopes */
} terms[] = {
    { "linear, slope -1", VIC_RADIAL_LINEAR, -1, 0, 0, 2e-4 },
    { "gaussian at 4 A, width 1 A", VIC_RADIAL_GAUSSIAN, 1, 4, 1, 2e-5 },
    { "gaussian at 4 A, width 0.25 A", VIC_RADIAL_GAUSSIAN, 1, 4, 0.25, 2e-4 },
    { "cosine", VIC_RADIAL_COSINE, 0, 0, 0, 1e-6 },
    { "polynomial, 6", VIC_RADIAL_POLYNOMIAL, 6, 0, 0, 1e-5 },
    { "polynomial, 1", VIC_RADIAL_POLYNOMIAL, 1, 0, 0, 1e-4 },
};
enum { TERMS = sizeof terms / sizeof *terms };

static bool envelope(vic_radial_kind kind)
{
    return kind == VIC_RADIAL_COSINE || kind == VIC_RADIAL_POLYNOMIAL;
}

static float *fill(size_t term, int points)
{
    float *t = calloc((size_t)points, sizeof *t);
    vic_error err;
    assert_non_null(t);
    CHECK_OK(vic_radial_add(terms[term].kind, terms[term].a, terms[term].center, terms[term].width, cutoff, points, t,
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

/* The figures in docs/howto/radial-term.md. */
static void errors_between_points(void **state)
{
    static const int points[] = { 256, VIC_RADIAL_POINTS, 4096 };
    (void)state;
    for (size_t i = 0; i < TERMS; i++)
        for (size_t n = 0; n < sizeof points / sizeof *points; n++) {
            float *t = fill(i, points[n]);
            double worst = 0.0;
            for (double d = 0.9; d < cutoff; d += 1e-5) {
                double b = radial_value(t, points[n], d * d, cutoff);
                double want = formula(terms[i].kind, terms[i].a, terms[i].center, terms[i].width, d);
                double error = envelope(terms[i].kind) ? fabs(exp(b) - exp(want)) : fabs(b - want);
                worst = fmax(worst, error);
            }
            print_message("%s, %d points: error %.2g%s\n", terms[i].name, points[n], worst,
                          envelope(terms[i].kind) ? " of e^b" : "");
            if (points[n] == VIC_RADIAL_POINTS)
                CHECK(worst <= terms[i].error, "%s: error %.3g, allowed %.3g", terms[i].name, worst, terms[i].error);
            free(t);
        }
}

static void terms_add_up(void **state)
{
    float t[5] = { 1.0f, 1.0f, 1.0f, 1.0f, 1.0f };
    vic_error err;
    (void)state;
    CHECK_OK(vic_radial_add(VIC_RADIAL_LINEAR, -0.5, NAN, NAN, 8.0, 5, t, &err));
    CHECK_OK(vic_radial_add(VIC_RADIAL_COSINE, NAN, NAN, NAN, 8.0, 5, t, &err));
    CHECK(t[0] == 1.0f && t[4] == -INFINITY, "ends: %g, %g", (double)t[0], (double)t[4]);
    CHECK(fabs((double)t[1] - (1.0 - 2.0 + log(0.5))) < 1e-6, "middle: %g",
          (double)t[1]); /* d = 4: half of the way */
}

static void parameters_are_checked(void **state)
{
    float t[3] = { 0 };
    vic_error err;
    (void)state;
    CHECK_FAILS(vic_radial_add(VIC_RADIAL_LINEAR, 1, 0, 0, 8, 1, t, &err), VIC_BAD_ARGUMENT, "2 to 65536, got 1");
    CHECK_FAILS(vic_radial_add(VIC_RADIAL_LINEAR, 1, 0, 0, 8, 70000, t, &err), VIC_BAD_ARGUMENT, "got 70000");
    CHECK_FAILS(vic_radial_add(VIC_RADIAL_LINEAR, 1, 0, 0, 0, 3, t, &err), VIC_BAD_ARGUMENT, "cutoff");
    CHECK_FAILS(vic_radial_add(VIC_RADIAL_LINEAR, 1, 0, 0, NAN, 3, t, &err), VIC_BAD_ARGUMENT, "cutoff");
    CHECK_FAILS(vic_radial_add(VIC_RADIAL_LINEAR, NAN, 0, 0, 8, 3, t, &err), VIC_BAD_ARGUMENT, "finite slope");
    CHECK_FAILS(vic_radial_add(VIC_RADIAL_GAUSSIAN, 1, 0, 0, 8, 3, t, &err), VIC_BAD_ARGUMENT, "width > 0");
    CHECK_FAILS(vic_radial_add(VIC_RADIAL_POLYNOMIAL, 0, 0, 0, 8, 3, t, &err), VIC_BAD_ARGUMENT, "usually 6");
    CHECK_FAILS(vic_radial_add(VIC_RADIAL_POLYNOMIAL, 2.5, 0, 0, 8, 3, t, &err), VIC_BAD_ARGUMENT, "got 2.5");
    CHECK_FAILS(vic_radial_add((vic_radial_kind)9, 1, 0, 0, 8, 3, t, &err), VIC_BAD_ARGUMENT, "got 9");
    CHECK(t[0] == 0.0f && t[1] == 0.0f && t[2] == 0.0f, "a refused call wrote");
}

static void runs_are_checked(void **state)
{
    enum { N = 20, DIM = 8, HEADS = 2 };
    static float x[N * HEADS * DIM], out[N * HEADS * DIM];
    double at[3 * N], row[HEADS * DIM];
    float table[HEADS * 5] = { 0 };
    const int64_t shape[] = { N, HEADS, DIM }, first = 0;
    vic_pattern_options po = VIC_PATTERN_OPTIONS_INIT;
    vic_plan_options lo = VIC_PLAN_OPTIONS_INIT;
    vic_attention_args a = VIC_ATTENTION_ARGS_INIT;
    vic_engine *engine;
    vic_pattern *p;
    vic_plan *plain, *radial;
    vic_error err;
    (void)state;
    for (int i = 0; i < 3 * N; i++) at[i] = i * i % 17 * 0.5;
    po.cutoff = 5.0;
    lo.heads = HEADS;
    lo.head_dim = DIM;
    CHECK_OK(vic_engine_create(NULL, &engine, &err));
    CHECK_OK(vic_pattern_build_points(N, at, 0, NULL, NULL, NULL, &po, &p, &err));
    CHECK_OK(vic_plan_create(p, &lo, &plain, &err));
    lo.radial = true;
    CHECK_OK(vic_plan_create(p, &lo, &radial, &err));
    a.q = a.k = a.v = vic_tensor_make(x, VIC_F32, 3, shape);
    a.out = vic_tensor_make(out, VIC_F32, 3, shape);
    CHECK_FAILS(vic_attention(engine, radial, &a, &err), VIC_BAD_ARGUMENT, "radial.table is NULL");
    a.radial = (vic_radial){ table, 5, 5 };
    CHECK_FAILS(vic_attention(engine, plain, &a, &err), VIC_BAD_ARGUMENT, "set `radial` in vic_plan_options");
    CHECK_OK(vic_attention(engine, radial, &a, &err));
    a.radial.points = 1;
    CHECK_FAILS(vic_attention(engine, radial, &a, &err), VIC_BAD_ARGUMENT, "2 to 65536, got 1");
    a.radial.points = 5;
    table[8] = NAN;
    CHECK_FAILS(vic_attention(engine, radial, &a, &err), VIC_BAD_ARGUMENT, "got nan for head 1, point 3 of 5");
    CHECK_FAILS(vic_attention_reference(engine, radial, &a, 1, &first, row, NULL, NULL, &err), VIC_BAD_ARGUMENT,
                "got nan for head 1, point 3 of 5");
    a.radial.head_stride = 0; /* then head 1 has head 0's table */
    CHECK_OK(vic_attention(engine, radial, &a, &err));
    table[2] = INFINITY;
    CHECK_FAILS(vic_attention(engine, radial, &a, &err), VIC_BAD_ARGUMENT, "got inf for head 0, point 2 of 5");
    table[2] = -INFINITY;
    CHECK_OK(vic_attention(engine, radial, &a, &err));
    lo.device.kind = VIC_CUDA;
    lo.dtype = VIC_F16;
    vic_plan_free(radial);
    CHECK_FAILS(vic_plan_create(p, &lo, &radial, &err), VIC_NO_KERNEL, "with a radial term");
    for (int i = 0; i < vic_kernel_count(); i++)
        if (strcmp(vic_kernel_get(i).device, "cuda") == 0) assert_non_null(strstr(err.text, "has no radial term"));
    vic_plan_free(plain);
    vic_pattern_free(p);
    vic_engine_free(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_meet_the_formulas), cmocka_unit_test(envelopes_keep_their_shape_to_the_end),
        cmocka_unit_test(errors_between_points),    cmocka_unit_test(terms_add_up),
        cmocka_unit_test(parameters_are_checked),   cmocka_unit_test(runs_are_checked),
    };
    return cmocka_run_group_tests_name("unit_api_radial", tests, NULL, NULL);
}
