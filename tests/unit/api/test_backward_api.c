/* SPDX-License-Identifier: Apache-2.0 */
/* The gradients through the API: what a plan has for them, and that a call gives what the reference gives, which computes
 * out and lse anew. */
#include "backward_system.h"

static void meets_the_reference(void **state)
{
    struct system *s = *state;
    const vic_plan_info info = plan_info_of(s->plan);
    vic_error err;
    poison(s);
    CHECK_OK(vic_attention_backward(s->context, s->plan, &s->args, &err));
    compare(s);
    assert_true(strncmp(info.backward_kernel, "attn_bwd_", 9) == 0);
    poison(s);
    CHECK_OK(vic_attention_backward(NULL, s->plan, &s->args, &err)); /* on the calling thread */
    compare(s);
}

/* Each kernel of gradients that this machine has, by its name and by the environment's. */
static void each_kernel(void **state)
{
    struct system *s = *state;
    vic_plan_options o = plan_options;
    vic_plan *best = s->plan;
    vic_error err;
    for (int i = 0; i < vic_kernel_count(); i++) {
        vic_kernel_info kernel = VIC_INIT(vic_kernel_info);
        CHECK_OK(vic_kernel_get(i, &kernel, &err));
        if (!kernel.backward || !kernel.available || strcmp(kernel.device, "cpu") != 0) continue;
        for (int environment = 0; environment < 2; environment++) {
            if (environment) setenv("VIC_FORCE_BACKWARD_KERNEL", kernel.name, 1);
            o.backward_kernel = environment ? NULL : kernel.name;
            CHECK_OK(vic_plan_create(s->context, s->pattern, &o, &s->plan, &err));
            unsetenv("VIC_FORCE_BACKWARD_KERNEL");
            assert_string_equal(plan_info_of(s->plan).backward_kernel, kernel.name);
            assert_string_equal(plan_info_of(s->plan).kernel, plan_info_of(best).kernel);
            poison(s);
            CHECK_OK(vic_attention_backward(s->context, s->plan, &s->args, &err));
            compare(s);
            vic_plan_free(s->plan);
        }
    }
    s->plan = best;
}

/* Rows in pattern order give the same rows, moved. */
static void pattern_order(void **state)
{
    struct system *s = *state;
    struct system *moved = make(s->n_k != N);
    const struct {
        const vic_tensor *from, *to;
        vic_side side;
    } in[] = { { &s->args.q, &moved->args.q, VIC_QUERY },      { &s->args.k, &moved->args.k, VIC_KEY },
               { &s->args.v, &moved->args.v, VIC_KEY },        { &s->args.out, &moved->args.out, VIC_QUERY },
               { &s->args.lse, &moved->args.lse, VIC_QUERY },  { &s->args.dout, &moved->args.dout, VIC_QUERY },
               { &s->args.dlse, &moved->args.dlse, VIC_QUERY } },
      back[] = { { &moved->args.dq, &s->args.dq, VIC_QUERY },
                 { &moved->args.dk, &s->args.dk, VIC_KEY },
                 { &moved->args.dv, &s->args.dv, VIC_KEY } };
    vic_plan_options o = plan_options;
    vic_error err;
    vic_plan_free(moved->plan);
    o.pattern_order = true;
    CHECK_OK(vic_plan_create(moved->context, s->pattern, &o, &moved->plan, &err));
    for (size_t i = 0; i < sizeof in / sizeof *in; i++)
        CHECK_OK(vic_pattern_sort(NULL, s->pattern, in[i].side, in[i].from, in[i].to, NULL, &err));
    poison(moved);
    CHECK_OK(vic_attention_backward(moved->context, moved->plan, &moved->args, &err));
    for (size_t i = 0; i < 3; i++)
        CHECK_OK(vic_pattern_unsort(NULL, s->pattern, back[i].side, back[i].from, back[i].to, NULL, &err));
    memcpy(s->dtable, moved->dtable, sizeof s->dtable); /* positions and what is no row stay where they are */
    memcpy(s->dq_at, moved->dq_at, sizeof s->dq_at);
    memcpy(s->dk_at, moved->dk_at, sizeof s->dk_at);
    memcpy(s->dcell, moved->dcell, sizeof s->dcell);
    compare(s);
    drop(moved);
}

/* A batch in one call, with a workspace of the caller's that is exactly as large as it must be. */
static void batches(void **state)
{
    enum { BATCH = 3, ROW = HEADS * D };
    struct system *s = *state;
    const int64_t q[] = { BATCH, N, HEADS, D }, lse[] = { BATCH, N, HEADS };
    static float x[BATCH][N * ROW], out[BATCH][N * ROW], sums[BATCH][N * HEADS], dx[BATCH][N * ROW];
    static float together[3][BATCH][N * ROW], alone[3][N * ROW];
    vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .heads = HEADS, .head_dim = D, .backward = true };
    vic_attention_args f = VIC_INIT(vic_attention_args);
    vic_attention_backward_args a = VIC_INIT(vic_attention_backward_args);
    uint64_t random = 5;
    vic_plan *plan;
    vic_error err;
    size_t bytes;
    fill(&x[0][0], sizeof x / sizeof(float), &random);
    fill(&dx[0][0], sizeof dx / sizeof(float), &random);
    CHECK_OK(vic_plan_create(s->context, s->pattern, &o, &plan, &err));
    f.q = f.k = f.v = tensor_of(x, VIC_F32, 4, q);
    f.out = tensor_of(out, VIC_F32, 4, q);
    f.lse = tensor_of(sums, VIC_F32, 3, lse);
    CHECK_OK(vic_attention(s->context, plan, &f, &err));
    a.q = a.k = a.v = f.q;
    a.out = f.out;
    a.lse = f.lse;
    a.dout = tensor_of(dx, VIC_F32, 4, q);
    a.dq = tensor_of(together[0], VIC_F32, 4, q);
    a.dk = tensor_of(together[1], VIC_F32, 4, q);
    a.dv = tensor_of(together[2], VIC_F32, 4, q);
    CHECK_OK(vic_plan_workspace(s->context, plan, BATCH, &bytes, &err));
    unsigned char *memory = aligned_alloc(64, (bytes + 64 + 63) / 64 * 64);
    assert_non_null(memory);
    memset(memory, 0xff, bytes);
    a.workspace = memory;
    a.workspace_size = bytes;
    CHECK_OK(vic_attention_backward(s->context, plan, &a, &err));
    CHECK_OK(vic_attention(s->context, plan, &f, &err)); /* the size is enough for both */
    for (int b = 0; b < BATCH; b++) {
        vic_attention_backward_args one = a;
        vic_tensor *const tensors[] = { &one.q,    &one.k,  &one.v,  &one.out, &one.lse,
                                        &one.dout, &one.dq, &one.dk, &one.dv };
        one.workspace = NULL;
        for (int t = 0; t < 9; t++) {
            vic_tensor *const was = tensors[t];
            float *const from = (float *)was->data + (t == 4 ? b * N * HEADS : b * N * ROW);
            *was = tensor_of(t < 6 ? from : alone[t - 6], VIC_F32, was->ndim - 1, was->shape + 1);
        }
        memset(alone, 0xff, sizeof alone);
        CHECK_OK(vic_attention_backward(NULL, plan, &one, &err));
        for (int t = 0; t < 3; t++) assert_memory_equal(alone[t], together[t][b], sizeof alone[t]);
    }
    free(memory);
    vic_plan_free(plan);
}

/* Strides of any kind: heads first, rows backwards, room between. */
static void strides(void **state)
{
    struct system *s = *state;
    static float q[HEADS * N * (D + 3)], dq[HEADS * N * (D + 3)], dk[N_K * KV_HEADS * D];
    vic_attention_backward_args a = s->args;
    vic_error err;
    for (int i = 0; i < N; i++)
        for (int h = 0; h < HEADS; h++)
            for (int c = 0; c < D; c++) q[(h * N + i) * (D + 3) + c] = s->q[(i * HEADS + h) * D + c];
    a.q.data = q;
    a.dq.data = dq;
    a.q.stride[0] = a.dq.stride[0] = D + 3;
    a.q.stride[1] = a.dq.stride[1] = N * (D + 3);
    a.dk.data = dk + (s->n_k - 1) * KV_HEADS * D;
    a.dk.stride[0] = -KV_HEADS * D;
    poison(s);
    CHECK_OK(vic_attention_backward(s->context, s->plan, &a, &err));
    for (int i = 0; i < N; i++)
        for (int h = 0; h < HEADS; h++)
            for (int c = 0; c < D; c++) s->dq[(i * HEADS + h) * D + c] = dq[(h * N + i) * (D + 3) + c];
    for (int64_t j = 0; j < s->n_k; j++)
        memcpy(s->dk + j * KV_HEADS * D, dk + (s->n_k - 1 - j) * KV_HEADS * D, KV_HEADS * D * sizeof *dk);
    compare(s);
}

/* Atoms without neighbours: their rows are 0, and what came in for them is not seen. */
static void rows_without_pairs(void **state)
{
    enum { FAR = 5 };
    double at[3 * FAR] = { 0, 0, 0, 1, 0, 0, 50, 0, 0, 0, 1, 0, 0, 80, 0 };
    const vic_points points = points_at(FAR, at, NULL);
    const vic_pattern_options no_self = { .size = sizeof no_self, .exclude_self = true };
    const vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .head_dim = D, .backward = true };
    const int64_t shape[] = { FAR, 1, D };
    float x[FAR * D], out[FAR * D], lse[FAR], dout[FAR * D], dlse[FAR], dq[FAR * D], dk[FAR * D], dv[FAR * D];
    vic_attention_args f = VIC_INIT(vic_attention_args);
    vic_attention_backward_args a = VIC_INIT(vic_attention_backward_args);
    uint64_t random = 1;
    vic_pattern *p;
    vic_plan *plan;
    vic_error err;
    (void)state;
    fill(x, FAR * D, &random);
    fill(dout, FAR * D, &random);
    fill(dlse, FAR, &random);
    for (int c = 0; c < D; c++) dout[2 * D + c] = dout[4 * D + c] = NAN;
    dlse[2] = NAN;
    dlse[4] = INFINITY;
    CHECK_OK(vic_pattern_cutoff(NULL, &points, NULL, 2.0, &no_self, &p, &err));
    CHECK_OK(vic_plan_create(NULL, p, &o, &plan, &err));
    f.q = f.k = f.v = tensor_of(x, VIC_F32, 3, shape);
    f.out = tensor_of(out, VIC_F32, 3, shape);
    f.lse = tensor_of(lse, VIC_F32, 2, shape);
    CHECK_OK(vic_attention(NULL, plan, &f, &err));
    assert_true(lse[2] == -INFINITY && lse[4] == -INFINITY);
    a.q = a.k = a.v = f.q;
    a.out = f.out;
    a.lse = f.lse;
    a.dout = tensor_of(dout, VIC_F32, 3, shape);
    a.dlse = tensor_of(dlse, VIC_F32, 2, shape);
    a.dq = tensor_of(dq, VIC_F32, 3, shape);
    a.dk = tensor_of(dk, VIC_F32, 3, shape);
    a.dv = tensor_of(dv, VIC_F32, 3, shape);
    memset(dq, 0xff, sizeof dq);
    memset(dk, 0xff, sizeof dk);
    memset(dv, 0xff, sizeof dv);
    CHECK_OK(vic_attention_backward(NULL, plan, &a, &err));
    for (int i = 0; i < FAR; i++)
        for (int c = 0; c < D; c++) {
            const float three[] = { dq[i * D + c], dk[i * D + c], dv[i * D + c] };
            for (int t = 0; t < 3; t++) {
                assert_true(isfinite(three[t]));
                if (i == 2 || i == 4) assert_true(three[t] == 0.0f);
                if (i != 2 && i != 4) assert_true(three[t] != 0.0f);
            }
        }
    vic_plan_free(plan);
    vic_pattern_free(p);
}

/* A table that is -inf throughout: no pair weighs anything, and every gradient is 0. */
static void no_weight_at_all(void **state)
{
    struct system *s = *state;
    vic_error err;
    for (int m = 0; m < HEADS * POINTS; m++) s->table[m] = -INFINITY;
    CHECK_OK(vic_attention(s->context, s->plan, &s->forward, &err));
    for (int i = 0; i < N * HEADS; i++) assert_true(s->lse[i] == -INFINITY);
    poison(s);
    CHECK_OK(vic_attention_backward(s->context, s->plan, &s->args, &err));
    for (int i = 0; i < N * HEADS * D; i++) assert_true(s->dq[i] == 0.0f);
    for (int i = 0; i < s->n_k * KV_HEADS * D; i++) assert_true(s->dk[i] == 0.0f);
    for (int i = 0; i < s->n_k * KV_HEADS * D_V; i++) assert_true(s->dv[i] == 0.0f);
    for (int m = 0; m < HEADS * POINTS; m++) assert_true(s->dtable[m] == 0.0f);
    for (int i = 0; i < 3 * N; i++) assert_true(s->dq_at[i] == 0.0);
    for (int i = 0; i < 3 * s->n_k && s->n_k != N; i++) assert_true(s->dk_at[i] == 0.0);
    for (int i = 0; i < 9; i++) assert_true(s->dcell[i] == 0.0);
}

/* Without queries, without keys, without either: nothing is read, and what there is of results is 0. */
static void nothing_at_all(void **state)
{
    static const int64_t sizes[][2] = { { 0, 3 }, { 3, 0 }, { 0, 0 } };
    (void)state;
    for (int i = 0; i < 3; i++) {
        const int64_t n_q = sizes[i][0], n_k = sizes[i][1], q[] = { n_q, 1, 8 }, k[] = { n_k, 1, 8 };
        const vic_points queries = points_of(n_q), keys = points_of(n_k);
        const vic_pair_list none = pairs_listed(0, NULL, NULL, NULL);
        const vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .head_dim = 8, .backward = true };
        float zeros[3 * 8] = { 0 }, lse[3] = { -INFINITY, -INFINITY, -INFINITY }, dq[3 * 8], dk[3 * 8], dv[3 * 8];
        vic_attention_backward_args a = VIC_INIT(vic_attention_backward_args);
        vic_pattern *p;
        vic_plan *plan;
        vic_error err;
        CHECK_OK(vic_pattern_pairs(NULL, &queries, &keys, &none, NULL, &p, &err));
        CHECK_OK(vic_plan_create(NULL, p, &o, &plan, &err));
        memset(dq, 0xff, sizeof dq);
        memset(dk, 0xff, sizeof dk);
        memset(dv, 0xff, sizeof dv);
        a.q = tensor_of(n_q ? zeros : NULL, VIC_F32, 3, q);
        a.k = a.v = tensor_of(n_k ? zeros : NULL, VIC_F32, 3, k);
        a.out = a.dout = a.q;
        a.lse = tensor_of(n_q ? lse : NULL, VIC_F32, 2, q);
        a.dq = tensor_of(n_q ? dq : NULL, VIC_F32, 3, q);
        a.dk = tensor_of(n_k ? dk : NULL, VIC_F32, 3, k);
        a.dv = tensor_of(n_k ? dv : NULL, VIC_F32, 3, k);
        CHECK_OK(vic_attention_backward(NULL, plan, &a, &err));
        for (int64_t x = 0; x < 8 * n_q; x++) assert_true(dq[x] == 0.0f);
        for (int64_t x = 0; x < 8 * n_k; x++) assert_true(dk[x] == 0.0f && dv[x] == 0.0f);
        vic_plan_free(plan);
        vic_pattern_free(p);
    }
}

/* Attention over two parts of the keys, put together: the gradients of each part, given out and lse of the whole, are
 * those of the whole by these keys, and the parts of dq add up. */
static void parts_of_the_keys(void **state)
{
    enum { HALF = N_K / 2, ROW = KV_HEADS * D, ROW_V = KV_HEADS * D_V };
    struct system *s = *state;
    const int64_t k[] = { HALF, KV_HEADS, D }, v[] = { HALF, KV_HEADS, D_V };
    const vic_points queries = points_at(N, s->at, cell);
    static float out[2][N * HEADS * D_V], lse[2][N * HEADS], dq[2][N * HEADS * D];
    vic_pattern *p[2];
    vic_plan *plan[2];
    vic_tensor part_out[2], part_lse[2];
    vic_error err;
    for (int half = 0; half < 2; half++) {
        const vic_points keys = points_at(HALF, s->keys_at + 3 * half * HALF, NULL);
        vic_attention_args f = s->forward;
        CHECK_OK(vic_pattern_cutoff(NULL, &queries, &keys, 4.0, NULL, &p[half], &err));
        CHECK_OK(vic_plan_create(NULL, p[half], &plan_options, &plan[half], &err));
        f.k = tensor_of(s->k + half * HALF * ROW, VIC_F32, 3, k);
        f.v = tensor_of(s->v + half * HALF * ROW_V, VIC_F32, 3, v);
        f.out.data = out[half];
        f.lse.data = lse[half];
        CHECK_OK(vic_attention(NULL, plan[half], &f, &err));
        part_out[half] = f.out;
        part_lse[half] = f.lse;
    }
    const vic_combine_args whole = { .size = sizeof whole,
                                     .parts = 2,
                                     .part_out = part_out,
                                     .part_lse = part_lse,
                                     .out = s->forward.out,
                                     .lse = s->forward.lse };
    CHECK_OK(vic_combine(NULL, &whole, &err));
    poison(s);
    for (int half = 0; half < 2; half++) {
        vic_attention_backward_args a = s->args;
        a.k = tensor_of(s->k + half * HALF * ROW, VIC_F32, 3, k);
        a.v = tensor_of(s->v + half * HALF * ROW_V, VIC_F32, 3, v);
        a.dk = tensor_of(s->dk + half * HALF * ROW, VIC_F32, 3, k);
        a.dv = tensor_of(s->dv + half * HALF * ROW_V, VIC_F32, 3, v);
        a.dq.data = dq[half];
        a.dbias.data = a.dquery_positions.data = a.dkey_positions.data = a.dcell.data = NULL;
        CHECK_OK(vic_attention_backward(NULL, plan[half], &a, &err));
        vic_plan_free(plan[half]);
        vic_pattern_free(p[half]);
    }
    for (int i = 0; i < N * HEADS * D; i++) s->dq[i] = dq[0][i] + dq[1][i];
    compare_with_reference(s, false);
}

/* ---- plans ---- */

static void plans(void **state)
{
    struct system *s = *state;
    vic_plan_options o = plan_options;
    vic_plan_info with = plan_info_of(s->plan), without;
    vic_plan *plan;
    size_t bytes, one, all;
    vic_error err;
    o.backward = false;
    CHECK_OK(vic_plan_create(s->context, s->pattern, &o, &plan, &err));
    without = plan_info_of(plan);
    assert_null(without.backward_kernel);
    assert_true(with.bytes > without.bytes && with.computed_pairs == without.computed_pairs);
    if (s->n_k != N) assert_true(with.bytes > without.bytes + info_of(s->pattern).bytes / 4); /* the transpose */
    CHECK_FAILS(vic_attention_backward(s->context, plan, &s->args, &err), VIC_BAD_ARGUMENT,
                "the plan was made without gradients: set `backward`");
    CHECK_FAILS(vic_attention_backward_time(s->context, plan, &s->args, NULL, (double[1000]){ 0 }, &err),
                VIC_BAD_ARGUMENT, "without gradients");
    CHECK_OK(vic_plan_workspace(s->context, plan, 1, &bytes, &err));
    CHECK_OK(vic_plan_workspace(s->context, s->plan, 1, &one, &err));
    CHECK_OK(vic_plan_workspace(s->context, s->plan, 5, &all, &err));
    assert_true(one >= bytes && all >= one);
    vic_plan_free(plan);
    o.backward_kernel = "attn_bwd_ref";
    CHECK_FAILS(vic_plan_create(s->context, s->pattern, &o, &plan, &err), VIC_BAD_ARGUMENT, "set `backward`");
    o.backward = true;
    o.backward_kernel = "attn_bwd_abacus";
    CHECK_FAILS(vic_plan_create(s->context, s->pattern, &o, &plan, &err), VIC_NO_KERNEL, "attn_bwd_ref");
    o.backward_kernel = "attn_fwd_ref";
    CHECK_FAILS(vic_plan_create(s->context, s->pattern, &o, &plan, &err), VIC_NO_KERNEL,
                "attn_fwd_ref computes attention");
    o.backward_kernel = NULL;
    o.kernel = "attn_bwd_ref";
    CHECK_FAILS(vic_plan_create(s->context, s->pattern, &o, &plan, &err), VIC_NO_KERNEL,
                "attn_bwd_ref computes the gradients of attention");
    assert_null(plan);
}

/* The pattern may go before the plan, and the plan still has both of it. */
static void outlives_the_pattern(void **state)
{
    struct system *s = *state;
    vic_error err;
    vic_pattern_free(s->pattern);
    s->pattern = NULL;
    poison(s);
    CHECK_OK(vic_attention_backward(s->context, s->plan, &s->args, &err));
    compare(s);
}

static void times(void **state)
{
    struct system *s = *state;
    const vic_time_options o = { .size = sizeof o, .launches = 3, .warm_up = -1 };
    double seconds[3] = { -1, -1, -1 };
    vic_attention_backward_args a = s->args;
    vic_error err;
    poison(s);
    CHECK_OK(vic_attention_backward_time(s->context, s->plan, &s->args, &o, seconds, &err));
    for (int i = 0; i < 3; i++) assert_true(seconds[i] >= 0.0);
    compare(s);
    a.q.ndim = 2;
    CHECK_FAILS(vic_attention_backward_time(s->context, s->plan, &a, &o, seconds, &err), VIC_BAD_ARGUMENT,
                "tensor q");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(meets_the_reference),
        BOTH(each_kernel),
        BOTH(pattern_order),
        cmocka_unit_test_setup_teardown(batches, one_set, tear_down),
        BOTH(strides),
        cmocka_unit_test_setup_teardown(parts_of_the_keys, two_sets, tear_down),
        cmocka_unit_test(rows_without_pairs),
        BOTH(no_weight_at_all),
        cmocka_unit_test(nothing_at_all),
        BOTH(plans),
        BOTH(outlives_the_pattern),
        BOTH(times),
    };
    return cmocka_run_group_tests_name("backward_api", tests, NULL, NULL);
}
