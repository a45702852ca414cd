/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of attention over one set of points or two, with a distance bias, their gradients, and what the reference says
 * of these: for tests of vic_attention_backward(). */
#ifndef VIC_TESTS_UNIT_API_BACKWARD_SYSTEM_H
#define VIC_TESTS_UNIT_API_BACKWARD_SYSTEM_H

#include "objects.h"

enum { N = 40, N_K = 60, HEADS = 4, KV_HEADS = 2, D = 16, D_V = 24, POINTS = 20 };

/* Tensors for one set of points or two; `two`: as many keys as N_K, which are others. */
struct system {
    vic_context *context;
    vic_pattern *pattern;
    vic_plan *plan;
    int64_t n_k;
    double at[3 * N], keys_at[3 * N_K];
    float q[N * HEADS * D], k[N_K * KV_HEADS * D], v[N_K * KV_HEADS * D_V], out[N * HEADS * D_V], lse[N * HEADS];
    float dout[N * HEADS * D_V], dlse[N * HEADS], table[HEADS * POINTS];
    float dq[N * HEADS * D], dk[N_K * KV_HEADS * D], dv[N_K * KV_HEADS * D_V], dtable[HEADS * POINTS];
    double dq_at[3 * N], dk_at[3 * N_K], dcell[9];
    vic_attention_args forward;
    vic_attention_backward_args args;
};

static inline void fill(float *x, size_t n, uint64_t *random)
{
    for (size_t i = 0; i < n; i++) x[i] = (float)random_normal(random);
}

static const vic_plan_options plan_options = { .size = sizeof plan_options,
                                               .dtype = VIC_F32,
                                               .heads = HEADS,
                                               .kv_heads = KV_HEADS,
                                               .head_dim = D,
                                               .head_dim_v = D_V,
                                               .bias = VIC_BIAS_DISTANCE,
                                               .backward = true };

static inline void set_tensors(struct system *s)
{
    const int64_t q[] = { N, HEADS, D }, k[] = { s->n_k, KV_HEADS, D }, v[] = { s->n_k, KV_HEADS, D_V };
    const int64_t o[] = { N, HEADS, D_V }, table[] = { HEADS, POINTS };
    vic_attention_args *f = &s->forward;
    vic_attention_backward_args *a = &s->args;
    *f = (vic_attention_args)VIC_INIT(vic_attention_args);
    f->q = tensor_of(s->q, VIC_F32, 3, q);
    f->k = tensor_of(s->k, VIC_F32, 3, k);
    f->v = tensor_of(s->v, VIC_F32, 3, v);
    f->out = tensor_of(s->out, VIC_F32, 3, o);
    f->lse = tensor_of(s->lse, VIC_F32, 2, q);
    f->bias = tensor_of(s->table, VIC_F32, 2, table);
    *a =
        (vic_attention_backward_args){ .size = sizeof *a,
                                       .q = f->q,
                                       .k = f->k,
                                       .v = f->v,
                                       .out = f->out,
                                       .lse = f->lse,
                                       .dout = tensor_of(s->dout, VIC_F32, 3, o),
                                       .dlse = tensor_of(s->dlse, VIC_F32, 2, q),
                                       .dq = tensor_of(s->dq, VIC_F32, 3, q),
                                       .dk = tensor_of(s->dk, VIC_F32, 3, k),
                                       .dv = tensor_of(s->dv, VIC_F32, 3, v),
                                       .bias = f->bias,
                                       .dbias = tensor_of(s->dtable, VIC_F32, 2, table),
                                       .dquery_positions = tensor_of(s->dq_at, VIC_F64, 2, (const int64_t[]){ N, 3 }),
                                       .dcell = tensor_of(s->dcell, VIC_F64, 2, (const int64_t[]){ 3, 3 }) };
    if (s->n_k != N) a->dkey_positions = tensor_of(s->dk_at, VIC_F64, 2, (const int64_t[]){ s->n_k, 3 });
}

static const double cell[9] = { 9, 0, 0, 1, 9, 0, 0, -1, 8 };

static inline struct system *make(bool two)
{
    struct system *s = calloc(1, sizeof *s);
    uint64_t random = 11;
    vic_error err;
    assert_non_null(s);
    s->n_k = two ? N_K : N;
    for (int i = 0; i < 3 * N; i++) s->at[i] = 9 * random_uniform(&random);
    for (int i = 0; i < 3 * N_K; i++) s->keys_at[i] = 9 * random_uniform(&random);
    fill(s->q, N * HEADS * D, &random);
    fill(s->k, N_K * KV_HEADS * D, &random);
    fill(s->v, N_K * KV_HEADS * D_V, &random);
    fill(s->dout, N * HEADS * D_V, &random);
    fill(s->dlse, N * HEADS, &random);
    fill(s->table, HEADS * POINTS, &random);
    for (int h = 0; h < HEADS; h++) s->table[(h + 1) * POINTS - 1] = -INFINITY;
    const vic_points q = points_at(N, s->at, cell), k = points_at(N_K, s->keys_at, NULL);
    s->context = context_of(2);
    CHECK_OK(vic_pattern_cutoff(s->context, &q, two ? &k : NULL, 4.0, NULL, &s->pattern, &err));
    CHECK_OK(vic_plan_create(s->context, s->pattern, &plan_options, &s->plan, &err));
    set_tensors(s);
    CHECK_OK(vic_attention(s->context, s->plan, &s->forward, &err));
    return s;
}

static inline void drop(struct system *s)
{
    vic_plan_free(s->plan);
    vic_pattern_free(s->pattern);
    vic_context_free(s->context);
    free(s);
}

static inline int one_set(void **state)
{
    *state = make(false);
    return 0;
}

static inline int two_sets(void **state)
{
    *state = make(true);
    return 0;
}

static inline int tear_down(void **state)
{
    drop(*state);
    return 0;
}

/* NaN everywhere, so that what is not written shows. */
static inline void poison(struct system *s)
{
    memset(s->dq, 0xff, sizeof s->dq);
    memset(s->dk, 0xff, sizeof s->dk);
    memset(s->dv, 0xff, sizeof s->dv);
    memset(s->dtable, 0xff, sizeof s->dtable);
    memset(s->dq_at, 0xff, sizeof s->dq_at);
    memset(s->dk_at, 0xff, sizeof s->dk_at);
    memset(s->dcell, 0xff, sizeof s->dcell);
}

static inline void near_f32(const char *what, const float *got, const double *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        CHECK(fabs((double)got[i] - want[i]) <= 3e-5 * (1.0 + fabs(want[i])), "%s[%lld]: expected %.9g, got %.9g",
              what, (long long)i, want[i], (double)got[i]);
}

static inline void near_f64(const char *what, const double *got, const double *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        CHECK(fabs(got[i] - want[i]) <= 3e-4 * (1.0 + fabs(want[i])), "%s[%lld]: expected %.9g, got %.9g", what,
              (long long)i, want[i], got[i]);
}

/* What the reference computes from q, k, v alone; `sums`: also what comes through the bias. */
static inline void compare_with_reference(struct system *s, bool sums)
{
    static double dq[N * HEADS * D], dk[N_K * KV_HEADS * D], dv[N_K * KV_HEADS * D_V], table[HEADS * POINTS];
    static double dq_at[3 * N], dk_at[3 * N_K], dcell[9];
    vic_reference_gradients g = { .size = sizeof g,
                                  .dq = dq,
                                  .dk = dk,
                                  .dv = dv,
                                  .dbias = table,
                                  .dquery_positions = dq_at,
                                  .dkey_positions = s->n_k == N ? NULL : dk_at,
                                  .dcell = dcell };
    vic_error err;
    CHECK_OK(vic_attention_backward_reference(s->context, s->plan, &s->args, &g, &err));
    near_f32("dq", s->dq, dq, N * HEADS * D);
    near_f32("dk", s->dk, dk, s->n_k * KV_HEADS * D);
    near_f32("dv", s->dv, dv, s->n_k * KV_HEADS * D_V);
    if (!sums) return;
    near_f32("dbias", s->dtable, table, HEADS * POINTS);
    near_f64("dquery_positions", s->dq_at, dq_at, 3 * N);
    if (s->n_k != N) near_f64("dkey_positions", s->dk_at, dk_at, 3 * s->n_k);
    near_f64("dcell", s->dcell, dcell, 9);
}

static inline void compare(struct system *s)
{
    compare_with_reference(s, true);
}

#define BOTH(test)                                                                                                   \
    cmocka_unit_test_setup_teardown(test, one_set, tear_down),                                                       \
        cmocka_unit_test_setup_teardown(test, two_sets, tear_down)

#endif
