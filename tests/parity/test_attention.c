/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of attention on every kernel of the CPU, and what only the CPU promises. */
#include "lib/cases.h"

/* ---- NaN and infinity reach neighbours only ------------------------------------------------------------------ */

struct spread {
    struct problem *p;
    const struct tensor *poisoned; /* k or v */
    int64_t key_atom;
    double value;
    const uint8_t *neighbour; /* [n_q] by atom */
    const char *what;
};

static void check_spread(const struct kernel *kernel, void *context)
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
        for (size_t v = 0; v < (small() ? 1 : sizeof values / sizeof *values); v++) {
            struct spread in_k = { &p, &p.k, key_atom, values[v], neighbour, "in K" };
            struct spread in_v = { &p, &p.v, key_atom, values[v], neighbour, "in V" };
            for_each_kernel(&p.shape, check_spread, &in_k);
            for_each_kernel(&p.shape, check_spread, &in_v);
        }
        free(neighbour);
        free_problem(&p);
    }
}

/* ---- Determinism, choice -------------------------------------------------------------------------------------- */

static void check_threads(const struct kernel *kernel, void *context)
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
    struct attention_case c = { .name = "threads",
                                .cell = SKEWED,
                                .n_q = SANITIZED > 0 ? 600 : 2500,
                                .n_k = -1,
                                .box = SANITIZED > 0 ? 19 : 31,
                                .cutoff = 6,
                                .d_qk = 40,
                                .d_v = 72 };
    struct problem p;
    (void)state;
    make_problem(&c, 7000, &p);
    for_each_kernel(&p.shape, check_threads, &p);
    free_problem(&p);
}

static void check_computed_pairs(const struct kernel *kernel, void *context)
{
    struct problem *p = context;
    const struct plan_request request = request_of(p, kernel);
    vic_plan *plan;
    vic_error err;
    CHECK_OK(plan_make(&p->pattern, &request, kernel, &(struct kernel_setup){ .pool = pools[2] }, &plan, &err));
    int64_t computed = plan->computed_pairs;
    plan_free(plan);
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
        const char *why = unavailable(kernel_table[i]);
        print_message("%s: %s%s\n", kernel_table[i]->name, why ? "skipped: " : "tested", why ? why : "");
        for (int j = 0; j < i; j++)
            CHECK(strcmp(kernel_table[i]->name, kernel_table[j]->name), "two kernels of one name");
    }
    make_problem(&c, 8000, &p);
    for_each_kernel(&p.shape, check_computed_pairs, &p);
    free_problem(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        SHARED_TESTS,
        cmocka_unit_test(test_non_finite),
        cmocka_unit_test(test_threads_give_the_same_bits),
    };
    return cmocka_run_group_tests_name("parity_attention", tests, start_pools, stop_pools);
}
