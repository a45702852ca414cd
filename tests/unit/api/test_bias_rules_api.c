/* SPDX-License-Identifier: Apache-2.0 */
/* A distance bias over a cutoff of which points are left out: reference and kernel against the formula itself. */
#include "objects.h"

enum { N = 60, DIM = 8 };

static const double cell[9] = { 7, 0, 0, 1, 8, 0, 0, -2, 9 }, cutoff = 5.0;

static double x[3 * N];
static float v[N * DIM];
static uint8_t mask[N];

/* exp of 2 exp(-(d - 3)^2 / 2), over all points that take part, under every image that can be near. */
static void expected_row(int i, double out[DIM], int64_t *pairs)
{
    double sum = 0;
    memset(out, 0, DIM * sizeof *out);
    *pairs = 0;
    for (int j = 0; j < N; j++)
        for (int n = 0; mask[i] && mask[j] && n < 343; n++) {
            const int image[3] = { n % 7 - 3, n / 7 % 7 - 3, n / 49 - 3 };
            double d2 = 0;
            for (int c = 0; c < 3; c++) {
                double r = x[3 * j + c] - x[3 * i + c];
                for (int a = 0; a < 3; a++) r += image[a] * cell[3 * a + c];
                d2 += r * r;
            }
            if (d2 >= cutoff * cutoff) continue;
            double weight = exp(2 * exp(-(sqrt(d2) - 3) * (sqrt(d2) - 3) / 2));
            for (int c = 0; c < DIM; c++) out[c] += weight * (double)v[j * DIM + c];
            sum += weight;
            ++*pairs;
        }
    for (int c = 0; c < DIM && sum > 0; c++) out[c] /= sum;
}

static vic_plan *make_plan(vic_attention_args *a, float *table, float *out)
{
    static float zeros[N * DIM];
    const int64_t n = N, shape[] = { N, 1, DIM }, of_table[] = { 1, VIC_BIAS_POINTS };
    const vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .head_dim = DIM, .bias = VIC_BIAS_DISTANCE };
    vic_points points = points_at(N, x, cell);
    vic_plan *plan;
    vic_error err;
    points.mask = tensor_of(mask, VIC_U8, 1, &n);
    vic_pattern *p = cutoff_pattern(&points, cutoff);
    CHECK_OK(vic_plan_create(NULL, p, &o, &plan, &err));
    vic_pattern_free(p);
    CHECK_OK(vic_bias_add(VIC_BIAS_GAUSSIAN, 2, 3, 1, cutoff, VIC_BIAS_POINTS, table, &err));
    a->q = a->k = tensor_of(zeros, VIC_F32, 3, shape);
    a->v = tensor_of(v, VIC_F32, 3, shape);
    a->out = tensor_of(out, VIC_F32, 3, shape);
    a->bias = tensor_of(table, VIC_F32, 2, of_table);
    return plan;
}

static void points_left_out(void **state)
{
    static float table[VIC_BIAS_POINTS], out[N * DIM];
    double reference[N * DIM], row[DIM];
    int64_t counts[N], pairs, all = 0;
    uint64_t seed = 41;
    vic_attention_args a = VIC_INIT(vic_attention_args);
    vic_error err;
    (void)state;
    for (int i = 0; i < 3 * N; i++) x[i] = 9 * random_uniform(&seed);
    for (int i = 0; i < N * DIM; i++) v[i] = (float)random_normal(&seed);
    for (int i = 0; i < N; i++) mask[i] = i % 5 != 2;
    vic_plan *plan = make_plan(&a, table, out);
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
    CHECK_OK(vic_attention_reference(NULL, plan, &a, N, NULL, reference, NULL, counts, &err));
    for (int i = 0; i < N; i++) {
        expected_row(i, row, &pairs);
        assert_int_equal(counts[i], pairs);
        all += pairs;
        for (int c = 0; c < DIM; c++)
            CHECK(fabs(reference[i * DIM + c] - row[c]) < 1e-4 && fabs((double)out[i * DIM + c] - row[c]) < 1e-4,
                  "row %d: expected %g, the reference gives %g, the kernel %g", i, row[c], reference[i * DIM + c],
                  (double)out[i * DIM + c]);
    }
    assert_true(all > 20 * N); /* many under more than one image */
    vic_plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(points_left_out) };
    return cmocka_run_group_tests_name("bias_rules_api", tests, NULL, NULL);
}
