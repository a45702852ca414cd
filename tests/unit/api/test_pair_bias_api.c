/* SPDX-License-Identifier: Apache-2.0 */
/* The pair bias through the API: every kernel of the CPU, in both layouts and over all kinds of patterns, against what
 * the neighbour list gives in float64. */
#include "pair_bias_system.h"

/* ---- patterns ---- */

static double at[3 * 220], keys_at[3 * 90];

static vic_points points_in(int64_t n, double *positions, double side, const double *cell, uint64_t seed)
{
    for (int64_t x = 0; x < 3 * n; x++) positions[x] = side * random_uniform(&seed);
    return points_at(n, positions, cell);
}

static vic_pattern *cutoff_of(vic_context *c, const vic_points *q, const vic_points *k, double cutoff, bool no_self)
{
    vic_pattern_options o = { .size = sizeof o, .exclude_self = no_self };
    vic_pattern *p;
    vic_error err;
    CHECK_OK(vic_pattern_cutoff(c, q, k, cutoff, &o, &p, &err));
    return p;
}

static vic_pattern *open_system(vic_context *c)
{
    const vic_points q = points_in(220, at, 12, NULL, 1);
    return cutoff_of(c, &q, NULL, 4.5, false);
}

static vic_pattern *sparse_no_self(vic_context *c)
{
    const vic_points q = points_in(150, at, 25, NULL, 2);
    return cutoff_of(c, &q, NULL, 3.0, true);
}

static vic_pattern *dense(vic_context *c)
{
    const vic_points q = points_in(70, at, 3, NULL, 3), k = points_in(90, keys_at, 3, NULL, 4);
    return cutoff_of(c, &q, &k, 9.0, false);
}

static const double skewed[9] = { 6, 0, 0, 1.5, 5.5, 0, -1.25, 0.75, 6.5 }, cubic[9] = { 9, 0, 0, 0, 9, 0, 0, 0, 9 };

/* Several images of each pair, and of each point itself. */
static vic_pattern *images(vic_context *c)
{
    const vic_points q = points_in(17, at, 9, skewed, 5);
    return cutoff_of(c, &q, NULL, 7.0, false);
}

static vic_pattern *images_of_two(vic_context *c)
{
    const vic_points q = points_in(30, at, 9, skewed, 6), k = points_in(41, keys_at, 9, NULL, 7);
    return cutoff_of(c, &q, &k, 6.0, false);
}

static vic_pattern *cubic_no_self(vic_context *c)
{
    const vic_points q = points_in(100, at, 12, cubic, 8);
    return cutoff_of(c, &q, NULL, 5.0, true);
}

static vic_pattern *nearest(vic_context *c)
{
    const vic_points q = points_in(90, at, 9, cubic, 9);
    vic_pattern *p;
    vic_error err;
    CHECK_OK(vic_pattern_nearest(c, &q, NULL, 11, NULL, &p, &err));
    return p;
}

/* Keys in their own order, which no array holds. */
static vic_pattern *causal_ranges(vic_context *c)
{
    static const int64_t query_offsets[] = { 0, 30, 50 }, range_offsets[] = { 0, 2, 3 };
    static const int32_t ranges[][2] = { { 3, 40 }, { 60, 80 }, { 41, 70 } };
    const vic_range_list list = { .size = sizeof list,
                                  .groups = 2,
                                  .query_offsets = query_offsets,
                                  .range_offsets = range_offsets,
                                  .ranges = ranges[0],
                                  .causal = true };
    const vic_points q = { .size = sizeof q, .n = 50 }, k = { .size = sizeof k, .n = 90 };
    vic_pattern *p;
    vic_error err;
    CHECK_OK(vic_pattern_ranges(c, &q, &k, &list, NULL, &p, &err));
    return p;
}

static vic_pattern *united(vic_context *c)
{
    const vic_points q = points_in(90, at, 9, cubic, 10);
    vic_pattern *near = cutoff_of(c, &q, NULL, 3.0, false), *eight, *p;
    vic_error err;
    CHECK_OK(vic_pattern_nearest(c, &q, NULL, 8, NULL, &eight, &err));
    CHECK_OK(vic_pattern_union(c, near, eight, &p, &err));
    vic_pattern_free(near);
    vic_pattern_free(eight);
    return p;
}

/* Without some points; the last window has fewer queries, and keys end before it does. */
static vic_pattern *windows_of(vic_context *c, int64_t n, int64_t window, int64_t keys, bool masked)
{
    vic_points points = points_of(n);
    bool mask[300];
    vic_pattern *p;
    vic_error err;
    for (int i = 0; i < 300; i++) mask[i] = i % 11 != 4 && i / 40 != 2;
    if (masked) points.mask = tensor_of(mask, VIC_BOOL, 1, &n);
    CHECK_OK(vic_pattern_windows(c, &points, window, keys, NULL, &p, &err));
    return p;
}

static vic_pattern *windows(vic_context *c)
{
    return windows_of(c, 150, 32, 128, false);
}

static vic_pattern *masked_windows(vic_context *c)
{
    return windows_of(c, 203, 32, 64, true);
}

static vic_pattern *odd_windows(vic_context *c)
{
    return windows_of(c, 77, 9, 25, false);
}

static vic_pattern *gaps_between_windows(
    vic_context *c) /* fewer keys than queries: some rows attend to no near key */
{
    return windows_of(c, 95, 20, 6, false);
}

static vic_pattern *nothing(vic_context *c)
{
    return windows_of(c, 0, 4, 8, false);
}

/* ---- cases ---- */

static const struct pair_case cases[] = {
    { .name = "open", .make = open_system },
    { .name = "open, heads first, -inf", .make = open_system, .heads_first = true, .minus_inf = true },
    { .name = "no self pairs, empty rows", .make = sparse_no_self, .minus_inf = true },
    { .name = "dense, two sets", .make = dense },
    { .name = "several images", .make = images },
    { .name = "several images, with a distance bias", .make = images, .distance = true, .minus_inf = true },
    { .name = "two sets and images", .make = images_of_two, .pattern_order = true },
    { .name = "cubic, pattern order", .make = cubic_no_self, .pattern_order = true, .distance = true },
    { .name = "nearest", .make = nearest, .heads_first = true },
    { .name = "union", .make = united, .batch = 2 },
    { .name = "batch, one bias", .make = images, .batch = 3, .shared = true },
    { .name = "batch, stride 0", .make = cubic_no_self, .batch = 2, .stride_0 = true, .distance = true },
    { .name = "one head's bias", .make = images_of_two, .one_head = true },
    { .name = "one head's bias for a batch", .make = images, .one_head = true, .batch = 3, .shared = true },
    { .name = "half types", .make = images, .type = VIC_F16, .bias_type = VIC_BF16, .gradient_type = VIC_F16 },
    { .name = "half bias",
      .make = open_system,
      .bias_type = VIC_F16,
      .gradient_type = VIC_BF16,
      .batch = 2,
      .shared = true },
    { .name = "bfloat16", .make = nearest, .type = VIC_BF16, .bias_type = VIC_F32, .batch = 2 },
    { .name = "windows by pairs", .make = masked_windows },
    { .name = "ranges", .make = causal_ranges },
    { .name = "ranges, batch, pattern order", .make = causal_ranges, .batch = 2, .pattern_order = true },
#define WINDOWS .layout = VIC_PAIR_BIAS_WINDOWS
    { .name = "windows", .make = windows, WINDOWS, .window = 32, .keys = 128 },
    { .name = "windows, masked", .make = masked_windows, WINDOWS, .window = 32, .keys = 64, .minus_inf = true },
    { .name = "windows, one bias",
      .make = masked_windows,
      WINDOWS,
      .window = 32,
      .keys = 64,
      .batch = 3,
      .shared = true },
    { .name = "windows, batch",
      .make = odd_windows,
      WINDOWS,
      .window = 9,
      .keys = 25,
      .batch = 2,
      .heads_first = true },
    { .name = "windows, pattern order",
      .make = odd_windows,
      WINDOWS,
      .window = 9,
      .keys = 25,
      .pattern_order = true },
    { .name = "windows, half",
      .make = windows,
      WINDOWS,
      .window = 32,
      .keys = 128,
      .bias_type = VIC_BF16,
      .gradient_type = VIC_BF16 },
    { .name = "windows, few keys", .make = gaps_between_windows, WINDOWS, .window = 20, .keys = 6, .one_head = true },
    { .name = "no points", .make = nothing, WINDOWS, .window = 4, .keys = 8 },
};

/* ---- a run ---- */

/* The tensors of one run, rows as the plan has them. */
struct run {
    vic_tensor q, k, v, out, lse, dout, dlse, dq, dk, dv, table, dtable;
};

static vic_tensor tensor_make(const struct pair_system *s, int64_t n, int heads, int d, vic_dtype type)
{
    const int64_t shape[] = { s->entries, n, heads, d }; /* d 0 = no such dimension */
    const int lead = s->c->batch ? 0 : 1;
    vic_tensor t = tensor_of(NULL, type, (d ? 4 : 3) - lead, shape + lead);
    const size_t bytes = (size_t)(s->entries * n * heads * (d ? d : 1)) * vic_dtype_size(type) + 64;
    t.data = malloc(bytes);
    assert_non_null(t.data);
    memset(t.data, 0xff, bytes);
    return t;
}

static const int32_t *rows_of(const struct pair_system *s, vic_side side)
{
    const int32_t *order = NULL;
    vic_error err;
    if (s->c->pattern_order) CHECK_OK(vic_pattern_order(s->pattern, side, &order, &err));
    return order;
}

/* The tensor with the numbers x [entry, point, width] in its rows. */
static vic_tensor tensor_from(const struct pair_system *s, vic_side side, int heads, int d, vic_dtype type,
                              const double *x)
{
    const int64_t n = side == VIC_KEY ? s->info.n_k : s->info.n_q, width = heads * (d ? d : 1);
    const int32_t *order = rows_of(s, side);
    vic_tensor t = tensor_make(s, n, heads, d, type);
    for (int64_t row = 0; row < s->entries * n; row++)
        for (int64_t c = 0; c < width; c++)
            put(t.data, type, row * width + c, x[(row / n * n + (order ? order[row % n] : row % n)) * width + c]);
    return t;
}

static void compare(const struct pair_system *s, const vic_tensor *got, vic_side side, int64_t width,
                    const double *want, double tolerance, const char *kernel, const char *what)
{
    const int64_t n = side == VIC_KEY ? s->info.n_k : s->info.n_q;
    const int32_t *order = rows_of(s, side);
    for (int64_t row = 0; row < s->entries * n; row++)
        for (int64_t c = 0; c < width; c++) {
            const int64_t point = order ? order[row % n] : row % n;
            const double x = take(got->data, got->dtype, row * width + c),
                         y = want[(row / n * n + point) * width + c];
            CHECK(x == y || fabs(x - y) <= tolerance * (1.0 + fabs(y)),
                  "%s, %s: %s of entry %lld, point %lld, number %lld: expected %.9g, got %.9g", s->c->name, kernel,
                  what, (long long)(row / n), (long long)point, (long long)c, y, x);
        }
}

static vic_plan *plan_of(const struct pair_system *s, const char *kernel, const char *backward)
{
    vic_plan_options o = { .size = sizeof o,
                           .dtype = s->c->type ? s->c->type : VIC_F32,
                           .heads = HEADS,
                           .kv_heads = KV_HEADS,
                           .head_dim = D,
                           .head_dim_v = D_V,
                           .bias = s->c->distance ? VIC_BIAS_DISTANCE : VIC_BIAS_NONE,
                           .pattern_order = s->c->pattern_order,
                           .backward = true,
                           .kernel = kernel,
                           .backward_kernel = backward,
                           .pair_bias = s->c->layout ? s->c->layout : VIC_PAIR_BIAS_PAIRS };
    vic_plan *plan;
    vic_error err;
    CHECK_OK(vic_plan_create(s->context, s->pattern, &o, &plan, &err));
    return plan;
}

static void run_case(const struct pair_system *s, const char *kernel, const char *backward)
{
    const vic_dtype type = s->c->type ? s->c->type : VIC_F32;
    const double half = type == VIC_F16 ? 2e-3 : type == VIC_BF16 ? 1.6e-2 : 2e-5;
    const double stored_half = s->c->gradient_type == VIC_F16 ? 6e-4 : s->c->gradient_type == VIC_BF16 ? 5e-3 : 2e-5;
    vic_plan *plan = plan_of(s, kernel, backward);
    const struct stored bias = store_bias(s), gradient = store_make(s, s->c->gradient_type, 0xff);
    vic_attention_args a = VIC_INIT(vic_attention_args);
    vic_error err;
    a.q = tensor_from(s, VIC_QUERY, HEADS, D, type, s->q);
    a.k = tensor_from(s, VIC_KEY, KV_HEADS, D, type, s->k);
    a.v = tensor_from(s, VIC_KEY, KV_HEADS, D_V, type, s->v);
    a.out = tensor_make(s, s->info.n_q, HEADS, D_V, type);
    a.lse = tensor_make(s, s->info.n_q, HEADS, 0, VIC_F32);
    if (s->c->distance) a.bias = tensor_of(s->table, VIC_F32, 2, (const int64_t[]){ HEADS, POINTS });
    a.pair_bias = bias.t;
    CHECK_OK(vic_attention(s->context, plan, &a, &err));
    compare(s, &a.out, VIC_QUERY, HEADS * D_V, s->out, half, kernel, "out");
    compare(s, &a.lse, VIC_QUERY, HEADS, s->lse, 2e-5, kernel, "lse");

    vic_attention_backward_args b = { .size = sizeof b,
                                      .q = a.q,
                                      .k = a.k,
                                      .v = a.v,
                                      .out = a.out,
                                      .lse = a.lse,
                                      .bias = a.bias,
                                      .pair_bias = bias.t,
                                      .dpair_bias = gradient.t };
    b.dout = tensor_from(s, VIC_QUERY, HEADS, D_V, type, s->dout);
    b.dlse = tensor_from(s, VIC_QUERY, HEADS, 0, VIC_F32, s->dlse);
    b.dq = tensor_make(s, s->info.n_q, HEADS, D, type);
    b.dk = tensor_make(s, s->info.n_k, KV_HEADS, D, type);
    b.dv = tensor_make(s, s->info.n_k, KV_HEADS, D_V, type);
    CHECK_OK(vic_attention_backward(s->context, plan, &b, &err));
    compare(s, &b.dq, VIC_QUERY, HEADS * D, s->dq, 4 * half, backward, "dq");
    compare(s, &b.dk, VIC_KEY, KV_HEADS * D, s->dk, 4 * half, backward, "dk");
    compare(s, &b.dv, VIC_KEY, KV_HEADS * D_V, s->dv, 4 * half, backward, "dv");
    check_gradient(s, &gradient, 4 * stored_half, 4 * half, backward);

    /* The gradient of the bias alone, and on the calling thread: the same bits. */
    struct stored again = store_make(s, s->c->gradient_type, 0xff);
    vic_tensor *const unwanted[] = { &b.dq, &b.dk, &b.dv };
    void *kept[3];
    for (int x = 0; x < 3; x++) {
        kept[x] = unwanted[x]->data;
        unwanted[x]->data = NULL;
    }
    b.dpair_bias = again.t;
    CHECK_OK(vic_attention_backward(NULL, plan, &b, &err));
    assert_memory_equal(again.t.data, gradient.t.data, (size_t)again.elements * vic_dtype_size(again.t.dtype));
    void *const all[] = { a.q.data,    a.k.data,    a.v.data,    a.out.data,      a.lse.data,
                          b.dout.data, b.dlse.data, bias.t.data, gradient.t.data, again.t.data,
                          kept[0],     kept[1],     kept[2] };
    for (size_t x = 0; x < sizeof all / sizeof *all; x++) free(all[x]);
    vic_plan_free(plan);
}

/* Each pair of kernels of the CPU whose names end alike. */
static void each_kernel(void **state)
{
    int ran = 0;
    (void)state;
    for (size_t x = 0; x < sizeof cases / sizeof *cases; x++) {
        struct pair_system s = make_pairs(&cases[x], 100 + x);
        for (int n = 0; n < vic_kernel_count(); n++) {
            vic_kernel_info kernel = VIC_INIT(vic_kernel_info);
            char forward[64];
            vic_error err;
            CHECK_OK(vic_kernel_get(n, &kernel, &err));
            if (!kernel.backward || !kernel.available || strcmp(kernel.device, "cpu") != 0) continue;
            snprintf(forward, sizeof forward, "attn_fwd_%s", kernel.name + strlen("attn_bwd_"));
            run_case(&s, forward, kernel.name);
            ran++;
        }
        drop_pairs(&s);
    }
    assert_true(ran >= (int)(sizeof cases / sizeof *cases));
}

/* ---- the float64 reference ---- */

static void reference(void **state)
{
    (void)state;
    for (size_t x = 0; x < sizeof cases / sizeof *cases; x++) {
        if (cases[x].batch || cases[x].type) continue;
        struct pair_system s = make_pairs(&cases[x], 100 + x);
        const int64_t queries = s.info.n_q * HEADS, keys = s.info.n_k * KV_HEADS;
        const struct stored bias = store_bias(&s);
        vic_plan *plan = plan_of(&s, NULL, NULL);
        vic_attention_args a = VIC_INIT(vic_attention_args);
        vic_error err;
        double *out = numbers(queries * D_V), *lse = numbers(queries);
        vic_reference_gradients g = { .size = sizeof g,
                                      .dq = numbers(queries * D),
                                      .dk = numbers(keys * D),
                                      .dv = numbers(keys * D_V),
                                      .dpair_bias = numbers(s.pairs * HEADS) };
        a.q = tensor_from(&s, VIC_QUERY, HEADS, D, VIC_F32, s.q);
        a.k = tensor_from(&s, VIC_KEY, KV_HEADS, D, VIC_F32, s.k);
        a.v = tensor_from(&s, VIC_KEY, KV_HEADS, D_V, VIC_F32, s.v);
        if (s.c->distance) a.bias = tensor_of(s.table, VIC_F32, 2, (const int64_t[]){ HEADS, POINTS });
        a.pair_bias = bias.t;
        CHECK_OK(vic_attention_reference(s.context, plan, &a, 0, NULL, out, lse, NULL, &err));
        for (int64_t n = 0; n < queries; n++)
            CHECK(lse[n] == s.lse[n] || fabs(lse[n] - s.lse[n]) < 1e-9, "%s: lse %lld: expected %.15g, got %.15g",
                  s.c->name, (long long)n, s.lse[n], lse[n]);
        for (int64_t n = 0; n < queries * D_V; n++)
            CHECK(fabs(out[n] - s.out[n]) < 1e-9, "%s: out %lld: expected %.15g, got %.15g", s.c->name, (long long)n,
                  s.out[n], out[n]);
        vic_attention_backward_args b = {
            .size = sizeof b, .q = a.q, .k = a.k, .v = a.v, .bias = a.bias, .pair_bias = a.pair_bias
        };
        b.dout = tensor_from(&s, VIC_QUERY, HEADS, D_V, VIC_F32, s.dout);
        b.dlse = tensor_from(&s, VIC_QUERY, HEADS, 0, VIC_F32, s.dlse);
        b.out = b.dout; /* which the reference does not look at */
        b.lse = b.dlse;
        CHECK_OK(vic_attention_backward_reference(s.context, plan, &b, &g, &err));
        for (int64_t n = 0; n < s.pairs * HEADS; n++)
            CHECK(fabs(g.dpair_bias[n] - s.dz[n]) < 1e-9, "%s: gradient %lld: expected %.15g, got %.15g", s.c->name,
                  (long long)n, s.dz[n], g.dpair_bias[n]);
        void *const all[] = { a.q.data, a.k.data, a.v.data, b.dout.data, b.dlse.data, bias.t.data,
                              out,      lse,      g.dq,     g.dk,        g.dv,        g.dpair_bias };
        for (size_t n = 0; n < sizeof all / sizeof *all; n++) free(all[n]);
        vic_plan_free(plan);
        drop_pairs(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reference), cmocka_unit_test(each_kernel) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
