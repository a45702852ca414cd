/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of attention on every kernel of gradients, against the reference of the gradients in float64; and what only
 * gradients have: a bias that gives gradients too, results that are not wanted, rows without weights. */
#include "lib/cases.h"
#include "lib/gradient_cases.h"
#include "lib/way_cases.h"

enum { MOST_HEADS = 6 };

static void check_one(const struct kernel *kernel, void *context)
{
    const struct checked_case *x = context;
    check_gradients(kernel, x->c, x->g);
}

static void test_bias(void **state)
{
    static const struct attention_case cases[] = {
        { .name = "open", .n_q = 200, .n_k = -1, .box = 10, .cutoff = 4 },
        { .name = "two sets, in pattern order", .n_q = 77, .n_k = 133, .box = 9, .cutoff = 5, .pattern_order = true },
        { .name = "no self, most rows empty", .n_q = 300, .n_k = -1, .box = 40, .cutoff = 2, .exclude_self = true },
        { .name = "coincident", .n_q = 150, .n_k = -1, .box = 10, .cutoff = 3, .coincident = true },
        { .name = "cubic", .cell = CUBIC, .n_q = 140, .n_k = -1, .box = 12, .cutoff = 4 },
        { .name = "skewed, images", .cell = SKEWED, .n_q = 20, .n_k = -1, .box = 5, .cutoff = 6 },
        { .name = "slab", .cell = SLAB, .n_q = 100, .n_k = -1, .box = 9, .cutoff = 6 },
        { .name = "wire", .cell = WIRE, .n_q = 100, .n_k = -1, .box = 9, .cutoff = 6, .pattern_order = true },
        { .name = "one atom and its images", .cell = CUBIC, .n_q = 1, .n_k = -1, .box = 3, .cutoff = 7 },
        { .name = "two sets, skewed", .cell = SKEWED, .n_q = 77, .n_k = 133, .box = 9, .cutoff = 5 },
        { .name = "dense, full blocks", .n_q = 192, .n_k = 512, .box = 5, .cutoff = 100 },
        { .name = "masked", .n_q = 200, .n_k = -1, .box = 12, .cutoff = 5, .way = way_masked },
        { .name = "exclusion", .n_q = 150, .n_k = -1, .box = 12, .cutoff = 5, .way = way_exclude, .way_size = 3 },
        { .name = "exclusion, images",
          .cell = SKEWED,
          .n_q = 20,
          .n_k = -1,
          .box = 5,
          .cutoff = 6,
          .way = way_exclude,
          .way_size = 3 },
        { .name = "difference",
          .cell = CUBIC,
          .n_q = 150,
          .n_k = -1,
          .box = 12,
          .cutoff = 5,
          .way = way_difference,
          .way_size = 6 },
        { .name = "exclusion, two sets",
          .cell = CUBIC,
          .n_q = 100,
          .n_k = 200,
          .box = 14,
          .cutoff = 5,
          .way = way_exclude,
          .way_size = 2 },
        { .name = "f16", .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4, .dtype = VIC_F16, .d_v = 72 },
        { .name = "bf16, group query",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .dtype = VIC_BF16,
          .heads = MOST_HEADS,
          .kv_heads = 2 },
        { .name = "six heads, padded, batch",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .heads = 6,
          .batch = 3,
          .layout = PADDED },
        { .name = "all scores -inf",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = ALL_MINUS_INF,
          .scale = 1.0 },
        { .name = "large", .n_q = 150, .n_k = -1, .box = 9, .cutoff = 5, .values = LARGE },
    };
    static const int points[] = { 2, 3, 40, 1000 };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t n = 0; n < sizeof points / sizeof *points; n++)
            for (int infinite = 0; infinite < 2; infinite++) {
                if ((small() || SANITIZED > 0) && (points[n] != 40 || !infinite)) continue;
                struct attention_case c = cases[i];
                float *tables = make_tables(MOST_HEADS, points[n], infinite, 100 * i + n);
                c.bias = (struct distance_bias){ tables, points[n], n == 1 ? 0 : points[n] };
                with_gradients(&c, 10 * i + n, check_one);
                free(tables);
            }
}

/* ---- rows without weights ---- */

/* One row of three has lse -inf, as if its tables had been: its dout is NaN, and nobody sees it. */
static void check_without_weights(const struct kernel *kernel, void *context)
{
    const struct checked_case *x = context;
    struct gradients *g = x->g;
    const struct tensor *const written[] = { &g->dq, &g->dk, &g->dv };
    launch_gradients(kernel, g, 2, 0xc5);
    for (int64_t row = 0; row < g->dq.rows; row += 3)
        for (int head = 0; head < g->dq.heads; head++)
            for (int i = 0; i < g->dq.d; i++)
                CHECK(get(&g->dq, row, head, i) == 0.0, "%s: row %lld without weights has a gradient", kernel->name,
                      (long long)row);
    for (int t = 0; t < 3; t++)
        for (int64_t row = 0; row < written[t]->rows; row++)
            for (int head = 0; head < written[t]->heads; head++)
                for (int i = 0; i < written[t]->d; i++)
                    CHECK(isfinite(get(written[t], row, head, i)), "%s: a row without weights is seen", kernel->name);
    compare_gradients(x->c, g, kernel->name);
}

static void test_without_weights(void **state)
{
    struct attention_case c = { .name = "without weights", .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4 };
    struct problem p;
    struct gradients g;
    struct checked_case x = { &c, &g };
    (void)state;
    make_problem(&c, 81, &p);
    for (int64_t row = 0; row < c.n_q; row += 3)
        for (int head = 0; head < p.shape.heads; head++) p.ref_lse[row * p.shape.heads + head] = -INFINITY;
    make_gradients(&p, c.layout, 81, &g);
    for (int64_t row = 0; row < c.n_q; row += 3)
        for (int head = 0; head < p.shape.heads; head++) {
            for (int i = 0; i < p.shape.d_v; i++) set(&g.dout, row, head, i, NAN);
            set(&g.dlse, row, head, 0, NAN);
        }
    for_each_kernel(&p.shape, check_without_weights, &x);
    free_gradients(&g);
    free_problem(&p);
}

/* ---- NaN and infinity ---- */

/* With out and lse as they are, a number of a query's row (q, out, lse, dout, dlse) is in dq of that query and in dk and
 * dv of its keys; one of a key's row (k, v) is in dq of its queries and in dk and dv of that key.  Nothing else of their
 * heads, and no other head, depends on it. */
struct poisoned {
    const char *name;
    const struct tensor *tensor;
    bool of_query, in_dv; /* in_dv: weights depend on it, too, or it is dout */
};

struct spread {
    struct gradients *g;
    const uint8_t *pairs; /* [n_q, n_k] by atom */
    int64_t query, key;
    double value;
};

static void check_row(const struct tensor *t, const unsigned char *before, int64_t row, int head, bool reached,
                      bool must_show, const char *what)
{
    const char *at = element_at(t, row, head, 0);
    bool odd = false;
    for (int c = 0; c < t->d; c++) odd |= !isfinite(get(t, row, head, c));
    if (reached && must_show) CHECK(odd, "%s: row %lld, head %d hides it", what, (long long)row, head);
    if (!reached)
        CHECK(memcmp(at, before + (at - (char *)t->buffer), (size_t)t->d * element_size(t->dtype)) == 0,
              "%s: row %lld, head %d changed, which does not depend on it", what, (long long)row, head);
}

static void check_spread(const struct kernel *kernel, void *context)
{
    const struct spread *s = context;
    struct gradients *g = s->g;
    struct problem *p = g->p;
    const int64_t n_q = p->pattern.n_q, n_k = p->pattern.n_k;
    const int group = p->shape.heads / p->shape.kv_heads, kv_head = 1, head = kv_head * group + 1;
    const struct poisoned all[] = { { "q", &p->q, true, true },        { "out", &p->out, true, false },
                                    { "lse", &p->lse, true, true },    { "dout", &g->dout, true, true },
                                    { "dlse", &g->dlse, true, false }, { "k", &p->k, false, true },
                                    { "v", &p->v, false, false } };
    const struct tensor *const written[] = { &g->dq, &g->dk, &g->dv };
    unsigned char *clean[3];
    launch_gradients(kernel, g, 2, 0);
    for (int i = 0; i < 3; i++) clean[i] = copy_of(written[i]);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const struct poisoned *x = &all[i];
        const int64_t row = x->of_query ? s->query : s->key;
        const int at_head = x->of_query ? head : kv_head, column = x->tensor->d > 1 ? 3 : 0;
        const double kept = get(x->tensor, row, at_head, column);
        char what[160];
        if (!strcmp(x->name, "lse") && s->value == -INFINITY) continue; /* a row without weights */
        snprintf(what, sizeof what, "%s, %g in %s", kernel->name, s->value, x->name);
        set(x->tensor, row, at_head, column, s->value);
        launch_gradients(kernel, g, 2, 0);
        set(x->tensor, row, at_head, column, kept);
        for (int64_t q = 0; q < n_q; q++)
            for (int h = 0; h < p->shape.heads; h++) {
                const bool reached =
                    x->of_query ? q == s->query && h == head : s->pairs[q * n_k + s->key] && h / group == kv_head;
                check_row(&g->dq, clean[0], q, h, reached, isnan(s->value), what);
            }
        for (int64_t k = 0; k < n_k; k++)
            for (int h = 0; h < p->shape.kv_heads; h++) {
                const bool reached = h == kv_head && (x->of_query ? s->pairs[s->query * n_k + k] : k == s->key);
                check_row(&g->dk, clean[1], k, h, reached, isnan(s->value), what);
                check_row(&g->dv, clean[2], k, h, reached && x->in_dv, isnan(s->value), what);
            }
    }
    for (int i = 0; i < 3; i++) free(clean[i]);
}

static void test_non_finite(void **state)
{
    static const double values[] = { NAN, INFINITY, -INFINITY };
    (void)state;
    for (int t = 0; t < TYPES; t++) {
        struct attention_case c = { .name = "non-finite",
                                    .n_q = 150,
                                    .n_k = 200,
                                    .box = 9,
                                    .cutoff = 4,
                                    .heads = 4,
                                    .kv_heads = 2,
                                    .dtype = types[t] };
        struct problem p;
        struct gradients g;
        struct spread s = { .g = &g, .query = 66, .key = 117 };
        int64_t queries = 0, keys = 0;
        make_problem(&c, 6000, &p);
        make_gradients(&p, c.layout, 6000, &g);
        const struct brute_points *points = &p.points;
        uint8_t *pairs = brute_alloc(c.n_q * c.n_k, 1);
        for (int64_t i = 0; i < c.n_q; i++)
            for (int64_t j = 0; j < c.n_k; j++) {
                pairs[i * c.n_k + j] =
                    pair_distance2(points->q + 3 * i, points->k + 3 * j, points->cell, 0, 0, 0) < c.cutoff * c.cutoff;
                queries += j == s.key && pairs[i * c.n_k + j];
                keys += i == s.query && pairs[i * c.n_k + j];
            }
        CHECK(queries > 3 && queries < 100 && keys > 3 && keys < 100, "some, not all: %lld, %lld", (long long)queries,
              (long long)keys);
        s.pairs = pairs;
        for (size_t v = 0; v < (small() ? 1 : sizeof values / sizeof *values); v++) {
            s.value = values[v];
            for_each_kernel(&p.shape, check_spread, &s);
        }
        free(pairs);
        free_gradients(&g);
        free_problem(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_geometries),
        cmocka_unit_test(test_head_sizes),
        cmocka_unit_test(test_heads_and_layouts),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_built_patterns),
        cmocka_unit_test(test_first_keys_masked),
        cmocka_unit_test(test_batches),
        WAY_TESTS,
        cmocka_unit_test(test_bias),
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_without_weights),
        cmocka_unit_test(test_given),
        cmocka_unit_test(test_non_finite),
    };
    tested_operation = ATTENTION_BACKWARD;
    return cmocka_run_group_tests_name("parity_backward", tests, start_pools, stop_pools);
}
