/* SPDX-License-Identifier: Apache-2.0 */
/* The pair bias: what is refused, what a NaN reaches, and the float64 formulas of pair_bias_system.h against differences. */
#include "pair_bias_system.h"

static double at[3 * 40];

static vic_pattern *forty(vic_context *c)
{
    uint64_t random = 3;
    vic_pattern *p;
    vic_error err;
    for (int x = 0; x < 3 * 40; x++) at[x] = 7.0 * random_uniform(&random);
    const vic_points points = points_at(40, at, NULL);
    CHECK_OK(vic_pattern_cutoff(c, &points, NULL, 4.0, NULL, &p, &err));
    return p;
}

static const struct pair_case plain = { .name = "plain", .make = forty };

/* Tensors of one problem without a batch, rows as the points. */
struct tensors {
    struct pair_system s;
    struct stored bias, gradient;
    vic_tensor q, k, v, out, lse, dout, dq;
};

static vic_tensor filled(const struct pair_system *s, int heads, int d, const double *x)
{
    const int64_t shape[] = { s->info.n_q, heads, d };
    const int64_t n = shape[0] * heads * (d ? d : 1);
    vic_tensor t = tensor_of(NULL, VIC_F32, d ? 3 : 2, shape);
    t.data = malloc((size_t)n * sizeof(float));
    assert_non_null(t.data);
    for (int64_t i = 0; i < n; i++) ((float *)t.data)[i] = x ? (float)x[i] : NAN;
    return t;
}

static struct tensors open_tensors(void)
{
    struct tensors t = { .s = make_pairs(&plain, 5) };
    t.bias = store_bias(&t.s);
    t.gradient = store_make(&t.s, VIC_F32, 0xff);
    t.q = filled(&t.s, HEADS, D, t.s.q);
    t.k = filled(&t.s, KV_HEADS, D, t.s.k);
    t.v = filled(&t.s, KV_HEADS, D_V, t.s.v);
    t.out = filled(&t.s, HEADS, D_V, NULL);
    t.lse = filled(&t.s, HEADS, 0, NULL);
    t.dout = filled(&t.s, HEADS, D_V, t.s.dout);
    t.dq = filled(&t.s, HEADS, D, NULL);
    return t;
}

static void close_tensors(struct tensors *t)
{
    void *const all[] = { t->bias.t.data, t->gradient.t.data, t->q.data,    t->k.data, t->v.data,
                          t->out.data,    t->lse.data,        t->dout.data, t->dq.data };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    drop_pairs(&t->s);
}

static vic_plan_options options_for(vic_pair_bias layout, const char *kernel)
{
    return (vic_plan_options){ .size = sizeof(vic_plan_options),
                               .dtype = VIC_F32,
                               .heads = HEADS,
                               .kv_heads = KV_HEADS,
                               .head_dim = D,
                               .head_dim_v = D_V,
                               .backward = !kernel,
                               .kernel = kernel,
                               .pair_bias = layout };
}

static vic_plan *plan_for(const struct tensors *t, vic_pair_bias layout, const char *kernel)
{
    const vic_plan_options o = options_for(layout, kernel);
    vic_plan *plan;
    vic_error err;
    CHECK_OK(vic_plan_create(t->s.context, t->s.pattern, &o, &plan, &err));
    return plan;
}

static vic_attention_args forward_of(const struct tensors *t)
{
    return (vic_attention_args){ .size = sizeof(vic_attention_args),
                                 .q = t->q,
                                 .k = t->k,
                                 .v = t->v,
                                 .out = t->out,
                                 .lse = t->lse,
                                 .pair_bias = t->bias.t };
}

static vic_attention_backward_args backward_of(const struct tensors *t)
{
    return (vic_attention_backward_args){ .size = sizeof(vic_attention_backward_args),
                                          .q = t->q,
                                          .k = t->k,
                                          .v = t->v,
                                          .out = t->out,
                                          .lse = t->lse,
                                          .dout = t->dout,
                                          .pair_bias = t->bias.t,
                                          .dpair_bias = t->gradient.t };
}

/* Each way in which a pair bias or its gradient can be wrong; `part` is in the text. */
static void wrong(const struct tensors *t, const vic_plan *plan, vic_tensor bad, const char *part)
{
    vic_attention_args f = forward_of(t);
    vic_attention_backward_args b = backward_of(t);
    vic_error err;
    f.pair_bias = bad;
    CHECK_FAILS(vic_attention(t->s.context, plan, &f, &err), VIC_BAD_ARGUMENT, part);
    b.pair_bias = bad;
    CHECK_FAILS(vic_attention_backward(t->s.context, plan, &b, &err), VIC_BAD_ARGUMENT, part);
    b = backward_of(t);
    b.dpair_bias = bad;
    if (bad.data) CHECK_FAILS(vic_attention_backward(t->s.context, plan, &b, &err), VIC_BAD_ARGUMENT, part);
}

static void wrong_tensors(void **state)
{
    struct tensors t = open_tensors();
    vic_plan *plan = plan_for(&t, VIC_PAIR_BIAS_PAIRS, NULL), *without = plan_for(&t, VIC_PAIR_BIAS_NONE, NULL);
    const vic_tensor good = t.bias.t;
    vic_attention_args f = forward_of(&t);
    vic_error err;
    (void)state;
    CHECK_OK(vic_attention(t.s.context, plan, &f, &err));
    vic_tensor bad = good;
    bad.shape[0]++;
    wrong(&t, plan, bad, "expected shape [");
    bad = good;
    bad.shape[1]--;
    wrong(&t, plan, bad, "expected shape [");
    bad = good;
    bad.ndim = 1;
    wrong(&t, plan, bad, "expected shape [");
    bad.ndim = VIC_MAX_DIMS + 1;
    wrong(&t, plan, bad, "pair_bias");
    bad = good;
    bad.ndim = 3; /* a batch, where there is none */
    wrong(&t, plan, bad, "expected shape [");
    bad = good;
    bad.dtype = VIC_F64;
    wrong(&t, plan, bad, "expected float32, float16 or bfloat16");
    bad = good;
    bad.device.type = VIC_CUDA;
    wrong(&t, plan, bad, "pair_bias");
    bad = good;
    bad.stride[0] = INT64_MAX / 2;
    wrong(&t, plan, bad, "pair_bias");
    bad = good;
    bad.data = (char *)bad.data + 1;
    wrong(&t, plan, bad, "not aligned");
    bad = good;
    bad.data = NULL;
    wrong(&t, plan, bad, "has no data");
    wrong(&t, without, good, "made without a pair bias");
    vic_plan_free(plan);
    vic_plan_free(without);
    close_tensors(&t);
}

/* Results over other tensors, and the bias under a result. */
static void overlaps(void **state)
{
    struct tensors t = open_tensors();
    vic_plan *plan = plan_for(&t, VIC_PAIR_BIAS_PAIRS, NULL);
    vic_attention_args f = forward_of(&t);
    vic_attention_backward_args b = backward_of(&t);
    vic_error err;
    (void)state;
    CHECK_OK(vic_attention(t.s.context, plan, &f, &err));
    f.out.data = t.bias.t.data;
    CHECK_FAILS(vic_attention(t.s.context, plan, &f, &err), VIC_BAD_ARGUMENT, "overlap");
    b.dpair_bias = b.pair_bias;
    CHECK_FAILS(vic_attention_backward(t.s.context, plan, &b, &err), VIC_BAD_ARGUMENT, "overlap");
    b = backward_of(&t);
    b.dq = t.dq;
    b.dq.data = t.gradient.t.data;
    CHECK_FAILS(vic_attention_backward(t.s.context, plan, &b, &err), VIC_BAD_ARGUMENT, "overlap");
    vic_plan_free(plan);
    close_tensors(&t);
}

/* Layouts that the pattern does not have, and numbers that are none. */
static void wrong_plans(void **state)
{
    struct tensors t = open_tensors();
    vic_plan_options o = options_for(VIC_PAIR_BIAS_WINDOWS, NULL);
    vic_plan *plan = NULL;
    vic_error err;
    (void)state;
    CHECK_FAILS(vic_plan_create(t.s.context, t.s.pattern, &o, &plan, &err), VIC_BAD_ARGUMENT, "windows");
    o.pair_bias = (vic_pair_bias)7;
    CHECK_FAILS(vic_plan_create(t.s.context, t.s.pattern, &o, &plan, &err), VIC_BAD_ARGUMENT, "pair_bias");
    assert_null(plan);
    close_tensors(&t);
}

/* A NaN, or +inf, in one number makes the row of that head NaN, and no other. */
static void not_finite(void **state)
{
    const float odd[] = { NAN, INFINITY };
    (void)state;
    for (int32_t n = 0; n < vic_kernel_count(); n++) {
        vic_kernel_info kernel = VIC_INIT(vic_kernel_info);
        vic_error err;
        CHECK_OK(vic_kernel_get(n, &kernel, &err));
        if (kernel.backward || !kernel.available || strcmp(kernel.device, "cpu") != 0) continue;
        for (size_t x = 0; x < sizeof odd / sizeof *odd; x++) {
            struct tensors t = open_tensors();
            vic_plan *plan = plan_for(&t, VIC_PAIR_BIAS_PAIRS, kernel.name);
            const vic_attention_args f = forward_of(&t);
            const int64_t pair = t.s.pairs / 2;
            const int head = 4;
            ((float *)t.bias.t.data)[store_at(&t.s, &t.bias, 0, pair, head)] = odd[x];
            CHECK_OK(vic_attention(t.s.context, plan, &f, &err));
            for (int64_t row = 0; row < t.s.info.n_q * HEADS; row++) {
                const bool reached = row == t.s.i[pair] * HEADS + head;
                const float lse = ((const float *)t.lse.data)[row], out = ((const float *)t.out.data)[row * D_V];
                CHECK(reached == isnan(lse) && reached == isnan(out), "%s: row %lld: lse %g, out %g", kernel.name,
                      (long long)row, (double)lse, (double)out);
            }
            vic_plan_free(plan);
            close_tensors(&t);
        }
    }
}

/* Numbers at the ends of float32: the pair takes all the weight, or none. */
static void large(void **state)
{
    (void)state;
    for (int32_t n = 0; n < vic_kernel_count(); n++) {
        vic_kernel_info kernel = VIC_INIT(vic_kernel_info);
        vic_error err;
        CHECK_OK(vic_kernel_get(n, &kernel, &err));
        if (kernel.backward || !kernel.available || strcmp(kernel.device, "cpu") != 0) continue;
        struct tensors t = open_tensors();
        vic_plan *plan = plan_for(&t, VIC_PAIR_BIAS_PAIRS, kernel.name);
        const vic_attention_args f = forward_of(&t);
        const int64_t pair = t.s.pairs / 2, other = pair > 0 && t.s.i[pair - 1] == t.s.i[pair] ? pair - 1 : pair + 1;
        assert_int_equal(t.s.i[other], t.s.i[pair]);
        ((float *)t.bias.t.data)[store_at(&t.s, &t.bias, 0, pair, 0)] = 3e38f;
        ((float *)t.bias.t.data)[store_at(&t.s, &t.bias, 0, other, 0)] = -3e38f;
        CHECK_OK(vic_attention(t.s.context, plan, &f, &err));
        for (int c = 0; c < D_V; c++) {
            const float got = ((const float *)t.out.data)[(int64_t)t.s.i[pair] * HEADS * D_V + c];
            const double want = t.s.v[(int64_t)t.s.j[pair] * KV_HEADS * D_V + c];
            CHECK(fabs((double)got - want) <= 1e-6 * (1.0 + fabs(want)), "%s: expected %g, got %g", kernel.name, want,
                  (double)got);
        }
        vic_plan_free(plan);
        close_tensors(&t);
    }
}

/* The loss of which dout and dlse are the gradients by out and lse. */
static double loss(const struct pair_system *s)
{
    double sum = 0.0;
    for (int64_t x = 0; x < s->info.n_q * HEADS * D_V; x++) sum += s->out[x] * s->dout[x];
    for (int64_t x = 0; x < s->info.n_q * HEADS; x++) sum += s->lse[x] * s->dlse[x];
    return sum;
}

static void differences(void **state)
{
    struct pair_system s = make_pairs(&plain, 11);
    const double h = 1e-5;
    (void)state;
    double *analytic = numbers(s.pairs * HEADS);
    memcpy(analytic, s.dz, (size_t)(s.pairs * HEADS) * sizeof *analytic);
    for (int64_t x = 0; x < s.pairs * HEADS; x += 37) {
        const double z = s.z[x];
        s.z[x] = z + h;
        evaluate(&s);
        const double more = loss(&s);
        s.z[x] = z - h;
        evaluate(&s);
        const double found = (more - loss(&s)) / (2.0 * h);
        s.z[x] = z;
        CHECK(fabs(found - analytic[x]) < 1e-6 * (1.0 + fabs(found)), "number %lld: difference %.12g, formula %.12g",
              (long long)x, found, analytic[x]);
    }
    free(analytic);
    drop_pairs(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_tensors), cmocka_unit_test(overlaps), cmocka_unit_test(wrong_plans),
        cmocka_unit_test(not_finite),    cmocka_unit_test(large),    cmocka_unit_test(differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
