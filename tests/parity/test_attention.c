/* SPDX-License-Identifier: Apache-2.0 */
/* One body of cases, run for every kernel row of this machine against the float64 reference. */
#include "attention_problem.h"

/* Calls `body` for every kernel row that this machine can run. */
static void for_each_kernel(void (*body)(const struct kernel_row *, void *), void *context)
{
    for (int i = 0; i < kernel_table_size; i++)
        if (kernel_table[i]->device == VIC_CPU && !kernel_table[i]->unavailable()) body(kernel_table[i], context);
}

struct checked {
    const struct attention_case *c;
    struct problem *p;
    uint64_t seed;
};

static void check_kernel(const struct kernel_row *kernel, void *context)
{
    struct checked *x = context;
    char what[256];
    snprintf(what, sizeof what, "%s, case \"%s\", seed %llu", kernel->name, x->c->name, (unsigned long long)x->seed);
    launch(kernel, x->p, 2, 0x00);
    unsigned char *out = copy_of(&x->p->out), *lse = copy_of(&x->p->lse);
    launch(kernel, x->p, 1, 0xc5);
    check_poison(&x->p->out, out, 0xc5, 0x00, what);
    if (x->c->no_lse)
        for (size_t i = 0; i < x->p->lse.bytes; i++) CHECK(x->p->lse.buffer[i] == 0xc5, "%s: lse written", what);
    else
        check_poison(&x->p->lse, lse, 0xc5, 0x00, what);
    compare(x->c, x->p, what);
    free(out);
    free(lse);
}

static void run_case(const struct attention_case *c, uint64_t seed)
{
    struct problem p;
    struct checked x = { c, &p, seed };
    make_problem(c, seed, &p);
    for_each_kernel(check_kernel, &x);
    free_problem(&p);
}

#define RUN_ALL(cases, seed)                                                                                         \
    for (size_t i_ = 0; i_ < sizeof(cases) / sizeof *(cases); i_++) run_case(&(cases)[i_], (seed) + i_)

static void test_sizes(void **state)
{
    static const int64_t sizes[] = { 0, 1, 15, 16, 17, 63, 64, 65, 129, 200 };
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct attention_case one = { .name = "size, one set", .n_q = sizes[i], .n_k = -1, .box = 10, .cutoff = 4 };
        struct attention_case self = { .name = "size, no self",
                                       .n_q = sizes[i],
                                       .n_k = -1,
                                       .box = 10,
                                       .cutoff = 4,
                                       .exclude_self = true,
                                       .pattern_order = true };
        struct attention_case queries = {
            .name = "size of queries", .n_q = sizes[i], .n_k = 70, .box = 10, .cutoff = 4
        };
        struct attention_case keys = {
            .name = "size of keys", .n_q = 70, .n_k = sizes[i], .box = 10, .cutoff = 4, .pattern_order = true
        };
        run_case(&one, 100 + i);
        run_case(&self, 200 + i);
        run_case(&queries, 300 + i);
        run_case(&keys, 400 + i);
    }
}

static void test_geometries(void **state)
{
    static const struct attention_case cases[] = {
        { .name = "coincident", .n_q = 150, .n_k = -1, .box = 10, .cutoff = 3, .coincident = true },
        { .name = "coincident, no self",
          .n_q = 150,
          .n_k = -1,
          .box = 10,
          .cutoff = 3,
          .coincident = true,
          .exclude_self = true },
        { .name = "all rows empty", .n_q = 100, .n_k = -1, .box = 1e4, .cutoff = 0.5, .exclude_self = true },
        { .name = "most rows empty", .n_q = 300, .n_k = -1, .box = 40, .cutoff = 2, .exclude_self = true },
        { .name = "only self", .n_q = 100, .n_k = -1, .box = 1e4, .cutoff = 0.5 },
        { .name = "cubic", .cell = CUBIC, .n_q = 140, .n_k = -1, .box = 12, .cutoff = 4 },
        { .name = "skewed", .cell = SKEWED, .n_q = 140, .n_k = -1, .box = 12, .cutoff = 4 },
        { .name = "skewed, cutoff beyond the cell", .cell = SKEWED, .n_q = 20, .n_k = -1, .box = 5, .cutoff = 6 },
        { .name = "one atom and its images",
          .cell = CUBIC,
          .n_q = 1,
          .n_k = -1,
          .box = 3,
          .cutoff = 7,
          .exclude_self = true },
        { .name = "slab", .cell = SLAB, .n_q = 100, .n_k = -1, .box = 9, .cutoff = 6 },
        { .name = "wire", .cell = WIRE, .n_q = 100, .n_k = -1, .box = 9, .cutoff = 6, .pattern_order = true },
        { .name = "two sets, periodic", .cell = SKEWED, .n_q = 77, .n_k = 133, .box = 9, .cutoff = 5 },
        { .name = "dense, every block full", .n_q = 192, .n_k = 512, .box = 5, .cutoff = 100 },
        { .name = "dense, ragged", .n_q = 100, .n_k = 523, .box = 5, .cutoff = 100, .pattern_order = true },
        { .name = "many keys, several chunks", .n_q = 70, .n_k = 3000, .box = 12, .cutoff = 7 },
    };
    (void)state;
    RUN_ALL(cases, 1000);
}

static void test_head_sizes(void **state)
{
    (void)state;
    for (int d = 8; d <= 128; d += 8)
        for (int dtype = VIC_F32; dtype <= VIC_BF16; dtype++) {
            struct attention_case same = {
                .name = "head size", .n_q = 90, .n_k = -1, .box = 9, .cutoff = 4, .d_qk = d, .dtype = (vic_dtype)dtype
            };
            struct attention_case mixed = { .name = "two head sizes",
                                            .n_q = 90,
                                            .n_k = 60,
                                            .box = 9,
                                            .cutoff = 4,
                                            .d_qk = d,
                                            .d_v = 136 - d,
                                            .dtype = (vic_dtype)dtype,
                                            .heads = 4,
                                            .kv_heads = 2,
                                            .layout = PADDED };
            run_case(&same, (uint64_t)(2000 + d));
            run_case(&mixed, (uint64_t)(3000 + d));
        }
}

static void test_heads_and_layouts(void **state)
{
    static const int heads[][2] = { { 1, 1 }, { 3, 3 }, { 6, 2 }, { 5, 1 } };
    (void)state;
    for (size_t h = 0; h < sizeof heads / sizeof *heads; h++)
        for (int dtype = VIC_F32; dtype <= VIC_BF16; dtype++)
            for (int layout = ATOMS_HEADS; layout <= PADDED; layout++)
                for (int order = 0; order < 2; order++) {
                    struct attention_case c = { .name = "layout",
                                                .n_q = 130,
                                                .n_k = -1,
                                                .box = 9,
                                                .cutoff = 3,
                                                .heads = heads[h][0],
                                                .kv_heads = heads[h][1],
                                                .d_qk = 24,
                                                .dtype = (vic_dtype)dtype,
                                                .layout = (enum layout)layout,
                                                .pattern_order = order,
                                                .no_lse = order && layout == PADDED };
                    if (layout == PACKED_QKV && heads[h][0] != heads[h][1]) continue;
                    run_case(&c, (uint64_t)(4000 + 100 * layout + 10 * dtype + order));
                }
}

static void test_values(void **state)
{
    static const struct attention_case cases[] = {
        { .name = "logits to 1e4", .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4, .values = LOGITS_1E4, .scale = 1.0 },
        { .name = "logits to -1e4",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = LOGITS_1E4,
          .scale = -1.0 },
        { .name = "all scores -1000",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = ALL_MINUS_1000,
          .scale = 1.0 },
        { .name = "all scores -1000, f16",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = ALL_MINUS_1000,
          .scale = 1.0,
          .dtype = VIC_F16 },
        { .name = "all scores -inf",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = ALL_MINUS_INF,
          .scale = 1.0 },
        { .name = "one dominant key",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = ONE_DOMINANT,
          .scale = 1.0 },
        { .name = "one dominant key, bf16",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = ONE_DOMINANT,
          .scale = 1.0,
          .dtype = VIC_BF16 },
        { .name = "growing scores", .n_q = 70, .n_k = 2000, .box = 9, .cutoff = 6, .values = GROWING, .scale = 0.5 },
        { .name = "falling scores", .n_q = 70, .n_k = 2000, .box = 9, .cutoff = 6, .values = GROWING, .scale = -0.5 },
        { .name = "negative scale", .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4, .scale = -0.3 },
        { .name = "tiny scale", .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4, .scale = 1e-30 },
        { .name = "zero q and k", .cell = SKEWED, .n_q = 40, .n_k = -1, .box = 7, .cutoff = 6, .values = ZERO },
    };
    (void)state;
    RUN_ALL(cases, 5000);
}

/* ---- NaN and infinity reach neighbours only ------------------------------------------------------------------ */

struct spread {
    struct problem *p;
    const struct tensor *poisoned; /* k or v */
    int64_t key_atom;
    double value;
    const uint8_t *neighbour; /* [n_q] by atom */
    const char *what;
};

static void check_spread(const struct kernel_row *kernel, void *context)
{
    struct spread *s = context;
    struct problem *p = s->p;
    int64_t row = s->key_atom;
    double kept = get(s->poisoned, row, 1, 3);
    launch(kernel, p, 2, 0);
    unsigned char *out = copy_of(&p->out), *lse = copy_of(&p->lse);
    set(s->poisoned, row, 1, 3, s->value);
    launch(kernel, p, 2, 0);
    set(s->poisoned, row, 1, 3, kept);
    for (int64_t atom = 0; atom < p->pattern.n_q; atom++)
        for (int head = 0; head < p->shape.heads; head++) {
            size_t at = (size_t)(element_at(&p->out, atom, head, 0) - (char *)p->out.buffer);
            size_t lse_at = (size_t)(element_at(&p->lse, atom, head, 0) - (char *)p->lse.buffer);
            bool reached = s->neighbour[atom] && head / (p->shape.heads / p->shape.kv_heads) == 1, odd = false;
            for (int c = 0; c < p->shape.d_v; c++) odd = odd || !isfinite(get(&p->out, atom, head, c));
            /* An infinite score of the right sign gives NaN, of the other gives weight 0: both are right. */
            if (reached && isnan(s->value))
                CHECK(odd, "%s, %s: atom %lld, head %d hides the NaN of its neighbour", kernel->name, s->what,
                      (long long)atom, head);
            if (!reached)
                CHECK(memcmp(out + at, p->out.buffer + at, (size_t)p->shape.d_v * element_size(p->shape.dtype)) ==
                              0 &&
                          memcmp(lse + lse_at, p->lse.buffer + lse_at, sizeof(float)) == 0,
                      "%s, %s: atom %lld, head %d changed, though atom %lld is no neighbour", kernel->name, s->what,
                      (long long)atom, head, (long long)s->key_atom);
        }
    free(out);
    free(lse);
}

static void test_non_finite(void **state)
{
    static const double values[] = { NAN, INFINITY, -INFINITY };
    (void)state;
    for (int dtype = VIC_F32; dtype <= VIC_BF16; dtype++) {
        struct attention_case c = { .name = "non-finite",
                                    .n_q = 150,
                                    .n_k = 200,
                                    .box = 9,
                                    .cutoff = 4,
                                    .heads = 4,
                                    .kv_heads = 2,
                                    .dtype = (vic_dtype)dtype };
        struct problem p;
        make_problem(&c, 6000, &p);
        const struct brute_points *points = &p.points;
        uint8_t *neighbour = brute_alloc(c.n_q, 1);
        int64_t key_atom = 117, some = 0;
        for (int64_t i = 0; i < c.n_q; i++) {
            neighbour[i] = pair_distance2(points->q + 3 * i, points->k + 3 * key_atom, points->cell, 0, 0, 0) <
                           c.cutoff * c.cutoff;
            some += neighbour[i];
        }
        CHECK(some > 3 && some < 100, "a neighbour for some, not for all: %lld", (long long)some);
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            struct spread in_k = { &p, &p.k, key_atom, values[v], neighbour, "in K" };
            struct spread in_v = { &p, &p.v, key_atom, values[v], neighbour, "in V" };
            for_each_kernel(check_spread, &in_k);
            for_each_kernel(check_spread, &in_v);
        }
        free(neighbour);
        free_problem(&p);
    }
}

/* ---- Determinism, choice -------------------------------------------------------------------------------------- */

static void check_threads(const struct kernel_row *kernel, void *context)
{
    static const int threads[] = { 2, 3, 7 };
    struct problem *p = context;
    launch(kernel, p, 1, 0);
    unsigned char *out = copy_of(&p->out), *lse = copy_of(&p->lse);
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        launch(kernel, p, threads[i], 0);
        CHECK(memcmp(out, p->out.buffer, p->out.bytes) == 0 && memcmp(lse, p->lse.buffer, p->lse.bytes) == 0,
              "%s: other bits with %d threads", kernel->name, threads[i]);
    }
    free(out);
    free(lse);
}

static void test_threads_give_the_same_bits(void **state)
{
    struct attention_case c = {
        .name = "threads", .cell = SKEWED, .n_q = 500, .n_k = -1, .box = 18, .cutoff = 6, .d_qk = 40, .d_v = 72
    };
    struct problem p;
    (void)state;
    make_problem(&c, 7000, &p);
    for_each_kernel(check_threads, &p);
    free_problem(&p);
}

static void check_row(const struct kernel_row *kernel, void *context)
{
    const struct problem *p = context;
    int64_t computed = 0;
    for (int64_t s = 0; s < p->pattern.strips; s++) computed += kernel->strip_pairs(&p->pattern, s);
    CHECK(computed >= p->pattern.info.pairs && computed <= (p->pattern.n_partial + p->pattern.n_full) * BLOCK,
          "%s computes %lld pairs for %lld", kernel->name, (long long)computed, (long long)p->pattern.info.pairs);
    print_message("%s: %.2f pairs computed for each needed\n", kernel->name,
                  (double)computed / (double)p->pattern.info.pairs);
}

static void test_rows(void **state)
{
    struct attention_case c = { .name = "rows", .cell = CUBIC, .n_q = 400, .n_k = -1, .box = 16, .cutoff = 5 };
    struct problem p;
    (void)state;
    for (int i = 0; i < kernel_table_size; i++) {
        const char *why = kernel_table[i]->unavailable();
        print_message("%s: %s%s\n", kernel_table[i]->name, why ? "skipped: " : "tested", why ? why : "");
        for (int j = 0; j < i; j++)
            CHECK(strcmp(kernel_table[i]->name, kernel_table[j]->name), "two rows of one name");
    }
    make_problem(&c, 8000, &p);
    for_each_kernel(check_row, &p);
    free_problem(&p);
}

static int start_pools(void **state)
{
    static const int threads[] = { 1, 2, 3, 7 };
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
        CHECK_OK(pool_create(threads[i], &pools[threads[i]], &err));
    return 0;
}

static int stop_pools(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) pool_free(pools[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_geometries),
        cmocka_unit_test(test_head_sizes),
        cmocka_unit_test(test_heads_and_layouts),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_non_finite),
        cmocka_unit_test(test_threads_give_the_same_bits),
    };
    return cmocka_run_group_tests_name("parity_attention", tests, start_pools, stop_pools);
}
