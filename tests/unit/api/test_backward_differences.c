/* SPDX-License-Identifier: Apache-2.0 */
/* The reference of the gradients against differences of the reference of attention, both in float64: every input is
 * moved back and forth, and the loss sum(out * dout) + sum(lse * dlse) computed anew. */
#include "objects.h"

enum { MOST = 20, HEADS = 4, POINTS = 9, D = 8, D_V = 16 };

struct problem {
    const char *name;
    int64_t n_q, n_k; /* n_k 0 = the queries are the keys */
    int heads, kv_heads;
    bool periodic[3], exclude_self;
    double cell[9], cutoff;
    int tables, points;       /* points 0 = no bias */
    int minus_from, minus_to; /* the points of the tables from one up to the other are -inf */
    bool zero_scale, no_dout, no_dlse;
    double step; /* 0 = no atom is moved */
};

#define SKEWED                                                                                                       \
    {                                                                                                                \
        5.0, 0, 0, 1.5, 5.5, 0, -1.25, 0.75, 6.0                                                                     \
    }
static const struct problem problems[] = {
    { .name = "open", .n_q = 15, .heads = 2, .kv_heads = 2, .cutoff = 4 },
    { .name = "no self pairs", .n_q = 15, .heads = 1, .kv_heads = 1, .cutoff = 3, .exclude_self = true },
    { .name = "two sets, fewer key heads", .n_q = 9, .n_k = 14, .heads = 4, .kv_heads = 2, .cutoff = 4 },
    { .name = "scale 0", .n_q = 10, .heads = 1, .kv_heads = 1, .cutoff = 4, .zero_scale = true },
    { .name = "lse alone", .n_q = 10, .heads = 2, .kv_heads = 1, .cutoff = 4, .no_dout = true },
    { .name = "out alone", .n_q = 10, .heads = 2, .kv_heads = 1, .cutoff = 4, .no_dlse = true },
    { .name = "several images of a pair",
      .n_q = 6,
      .heads = 1,
      .kv_heads = 1,
      .cutoff = 6,
      .cell = SKEWED,
      .periodic = { true, true, true } },
    { .name = "bias", .n_q = 15, .heads = 2, .kv_heads = 2, .cutoff = 5, .tables = 2, .points = 6, .step = 1e-4 },
    { .name = "bias, two points",
      .n_q = 12,
      .heads = 1,
      .kv_heads = 1,
      .cutoff = 5,
      .tables = 1,
      .points = 2,
      .step = 1e-4 },
    { .name = "bias to -inf at the cutoff",
      .n_q = 14,
      .heads = 4,
      .kv_heads = 2,
      .cutoff = 5,
      .tables = 4,
      .points = 5,
      .minus_from = 4,
      .minus_to = 5,
      .step = 1e-5 },
    { .name = "bias with -inf in the middle",
      .n_q = 14,
      .heads = 2,
      .kv_heads = 1,
      .cutoff = 5,
      .tables = 2,
      .points = 9,
      .minus_from = 3,
      .minus_to = 5,
      .step = 1e-5 },
    { .name = "bias, -inf from 0 on",
      .n_q = 14,
      .heads = 2,
      .kv_heads = 1,
      .cutoff = 5,
      .tables = 1,
      .points = 7,
      .minus_from = 0,
      .minus_to = 2,
      .step = 1e-5 },
    { .name = "bias, one table, two sets, no dout",
      .n_q = 9,
      .n_k = 14,
      .heads = 4,
      .kv_heads = 2,
      .cutoff = 5,
      .tables = 1,
      .points = 4,
      .no_dout = true,
      .step = 1e-4 },
    { .name = "bias, several images of a pair, skewed cell",
      .n_q = 4,
      .heads = 2,
      .kv_heads = 2,
      .cutoff = 6,
      .cell = SKEWED,
      .periodic = { true, true, true },
      .tables = 2,
      .points = 3,
      .minus_from = 2,
      .minus_to = 3,
      .step = 1e-5 },
    { .name = "bias, slab, two sets, scale 0",
      .n_q = 5,
      .n_k = 6,
      .heads = 1,
      .kv_heads = 1,
      .cutoff = 5,
      .cell = { 6, 0.5, 0, 1, 7, 0, 0, 0, 0 },
      .periodic = { true, true, false },
      .tables = 1,
      .points = 4,
      .zero_scale = true,
      .step = 1e-4 },
};

/* A problem with its tensors. */
static struct {
    const struct problem *p;
    double at[2][3 * MOST], cell[9]; /* of queries, of keys */
    float q[MOST * HEADS * D], k[MOST * HEADS * D], v[MOST * HEADS * D_V];
    float dout[MOST * HEADS * D_V], dlse[MOST * HEADS], table[HEADS * POINTS];
    vic_pattern *pattern;
    vic_plan *plan;
} now;

static int64_t keys(void)
{
    return now.p->n_k ? now.p->n_k : now.p->n_q;
}

static void drop(void)
{
    vic_plan_free(now.plan);
    vic_pattern_free(now.pattern);
    now.plan = NULL;
    now.pattern = NULL;
}

/* The pattern of the positions and the cell as they are now. */
static void build(void)
{
    const struct problem *p = now.p;
    vic_points q = points_at(p->n_q, now.at[0], now.cell), k = points_at(p->n_k, now.at[1], now.cell);
    const vic_pattern_options o = { .size = sizeof o, .exclude_self = p->exclude_self };
    const vic_plan_options plan = { .size = sizeof plan,
                                    .dtype = VIC_F32,
                                    .heads = p->heads,
                                    .kv_heads = p->kv_heads,
                                    .head_dim = D,
                                    .head_dim_v = D_V,
                                    .bias = p->points ? VIC_BIAS_DISTANCE : VIC_BIAS_NONE };
    vic_error err;
    drop();
    q.periodic = k.periodic = p->periodic;
    CHECK_OK(vic_pattern_cutoff(NULL, &q, p->n_k ? &k : NULL, p->cutoff, &o, &now.pattern, &err));
    CHECK_OK(vic_plan_create(NULL, now.pattern, &plan, &now.plan, &err));
}

/* float32 numbers with 12 bits behind the point, so that a step by a power of two is exact. */
static void fill(float *x, size_t n, uint64_t *random)
{
    for (size_t i = 0; i < n; i++) x[i] = (float)(round(random_normal(random) * 4096) / 4096);
}

/* Is a pair so near to the cutoff or to a point of the table that a step might carry it over? */
static bool near_a_kink(void)
{
    vic_neighbors list = neighbors_of(now.pattern, true);
    bool near = info_of(now.pattern).pairs == 0;
    const double at_cutoff = now.p->cutoff * now.p->cutoff;
    for (int64_t e = 0; e < list.pairs; e++) {
        const double x = list.d[e] * list.d[e] / at_cutoff * (now.p->points - 1);
        near |= now.p->points && list.d[e] > 0.0 && fabs(x - round(x)) < 30 * now.p->step;
    }
    neighbors_free(&list);
    return near;
}

static void make(const struct problem *p, uint64_t *random)
{
    const double box = cbrt(25.0 * (double)(p->n_q > p->n_k ? p->n_q : p->n_k));
    now.p = p;
    memcpy(now.cell, p->cell, sizeof now.cell);
    do {
        for (int side = 0; side < 2; side++)
            for (int i = 0; i < 3 * MOST; i++) now.at[side][i] = box * random_uniform(random);
        build();
    } while (near_a_kink());
    fill(now.q, sizeof now.q / sizeof *now.q, random);
    fill(now.k, sizeof now.k / sizeof *now.k, random);
    fill(now.v, sizeof now.v / sizeof *now.v, random);
    fill(now.dout, sizeof now.dout / sizeof *now.dout, random);
    fill(now.dlse, sizeof now.dlse / sizeof *now.dlse, random);
    fill(now.table, sizeof now.table / sizeof *now.table, random);
    for (int table = 0; table < p->tables; table++)
        for (int m = p->minus_from; m < p->minus_to; m++) now.table[table * p->points + m] = -INFINITY;
}

static vic_attention_backward_args arguments(void)
{
    const struct problem *p = now.p;
    const int64_t q[] = { p->n_q, p->heads, D }, k[] = { keys(), p->kv_heads, D }, v[] = { keys(), p->kv_heads, D_V };
    const int64_t o[] = { p->n_q, p->heads, D_V }, table[] = { p->tables, p->points };
    vic_attention_backward_args a = VIC_INIT(vic_attention_backward_args);
    a.q = tensor_of(now.q, VIC_F32, 3, q);
    a.k = tensor_of(now.k, VIC_F32, 3, k);
    a.v = tensor_of(now.v, VIC_F32, 3, v);
    if (!p->no_dout) a.dout = tensor_of(now.dout, VIC_F32, 3, o);
    if (!p->no_dlse) a.dlse = tensor_of(now.dlse, VIC_F32, 2, o);
    if (p->points) a.bias = tensor_of(now.table, VIC_F32, 2, table);
    a.scale = p->zero_scale ? 0.0 : 0.4375;
    a.zero_scale = p->zero_scale;
    return a;
}

static double loss(void)
{
    const struct problem *p = now.p;
    const vic_attention_backward_args b = arguments();
    const vic_attention_args a = {
        .size = sizeof a, .q = b.q, .k = b.k, .v = b.v, .bias = b.bias, .scale = b.scale, .zero_scale = b.zero_scale
    };
    static double out[MOST * HEADS * D_V], lse[MOST * HEADS];
    double sum = 0.0;
    vic_error err;
    CHECK_OK(vic_attention_reference(NULL, now.plan, &a, 0, NULL, out, lse, NULL, &err));
    for (int64_t i = 0; i < p->n_q * p->heads * D_V && !p->no_dout; i++) sum += out[i] * (double)now.dout[i];
    for (int64_t i = 0; i < p->n_q * p->heads && !p->no_dlse; i++)
        if (lse[i] != -INFINITY) sum += lse[i] * (double)now.dlse[i];
    return sum;
}

/* Differences of two widths, put together so that the error of second order is gone. */
static double difference_f32(float *x)
{
    const float was = *x;
    double d[2];
    for (int i = 0; i < 2; i++) {
        const float h = i ? 0x1p-9f : 0x1p-8f;
        *x = was + h;
        const double above = loss();
        *x = was - h;
        d[i] = (above - loss()) / (2.0 * (double)h);
    }
    *x = was;
    return (4.0 * d[1] - d[0]) / 3.0;
}

static double difference_f64(double *x)
{
    const double was = *x;
    double d[2];
    for (int i = 0; i < 2; i++) {
        const double h = i ? now.p->step / 2 : now.p->step;
        *x = was + h;
        build();
        const double above = loss();
        *x = was - h;
        build();
        d[i] = (above - loss()) / (2.0 * h);
    }
    *x = was;
    return (4.0 * d[1] - d[0]) / 3.0;
}

static void compare(const char *what, int64_t at, double got, double expected, double error)
{
    CHECK(fabs(got - expected) <= error * (1.0 + fabs(expected)), "%s: %s[%lld]: expected %.12g, got %.12g",
          now.p->name, what, (long long)at, expected, got);
}

static void compare_f32(const char *what, const double *got, float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (x[i] == -INFINITY)
            CHECK(got[i] == 0.0, "%s: %s[%lld]: a gradient for -inf: %g", now.p->name, what, (long long)i, got[i]);
        else
            compare(what, i, got[i], difference_f32(&x[i]), 1e-7);
    }
}

static void compare_f64(const char *what, const double *got, double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) compare(what, i, got[i], difference_f64(&x[i]), 2e-6);
}

static void check(const struct problem *p, uint64_t seed)
{
    static double dq[MOST * HEADS * D], dk[MOST * HEADS * D], dv[MOST * HEADS * D_V], dbias[HEADS * POINTS];
    double dq_at[3 * MOST], dk_at[3 * MOST], dcell[9];
    vic_reference_gradients g = { .size = sizeof g, .dq = dq, .dk = dk, .dv = dv };
    vic_error err;
    make(p, &seed);
    if (p->points) {
        g.dbias = dbias;
        g.dquery_positions = dq_at;
        g.dkey_positions = p->n_k ? dk_at : NULL;
        g.dcell = dcell;
    }
    memset(dq, 0xff, sizeof dq); /* NaN */
    memset(dk, 0xff, sizeof dk);
    memset(dv, 0xff, sizeof dv);
    memset(dbias, 0xff, sizeof dbias);
    memset(dq_at, 0xff, sizeof dq_at);
    memset(dk_at, 0xff, sizeof dk_at);
    memset(dcell, 0xff, sizeof dcell);
    const vic_attention_backward_args a = arguments();
    CHECK_OK(vic_attention_backward_reference(NULL, now.plan, &a, &g, &err));
    compare_f32("dq", dq, now.q, p->n_q * p->heads * D);
    compare_f32("dk", dk, now.k, keys() * p->kv_heads * D);
    compare_f32("dv", dv, now.v, keys() * p->kv_heads * D_V);
    if (p->points) compare_f32("dbias", dbias, now.table, p->tables * p->points);
    if (p->step > 0.0) {
        compare_f64("dquery_positions", dq_at, now.at[0], 3 * p->n_q);
        if (p->n_k) compare_f64("dkey_positions", dk_at, now.at[1], 3 * p->n_k);
        for (int axis = 0; axis < 3; axis++) {
            if (p->periodic[axis]) {
                compare_f64("dcell", dcell + 3 * axis, now.cell + 3 * axis, 3);
                continue;
            }
            for (int x = 0; x < 3; x++) assert_true(dcell[3 * axis + x] == 0.0);
        }
    }
    drop();
}

static void differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
        for (uint64_t seed = 1; seed <= (SANITIZED > 0 ? 1 : 2); seed++) check(&problems[i], seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(differences) };
    return cmocka_run_group_tests_name("backward_differences", tests, NULL, NULL);
}
