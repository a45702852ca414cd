/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel of the CPU on inputs that leave float32 (range.h) and whose results are known without a reference. */
#include "lib/range.h"

/* ---- Known answers --------------------------------------------------------------------------------------------- */

/* Of a row whose scores, all but for the distance bias, are the same: the mean of the values. */
static void check_means(const struct kernel *kernel, void *context)
{
    struct compared *x = context;
    struct problem *p = (struct problem *)(uintptr_t)x->p;
    launch(kernel, p, 2, 0);
    for (int64_t atom = 0; atom < p->pattern.n_q; atom++)
        for (int head = 0; head < p->shape.heads; head++) {
            struct limits l = find_limits(p, atom, head);
            double sum[128] = { 0 }, pairs = 0.0, lse = get(&p->lse, atom, head, 0);
            for (int64_t key = 0; key < p->pattern.n_k; key++) {
                if (!is_pair(p, atom, key)) continue;
                pairs += 1.0;
                for (int c = 0; c < p->shape.d_v; c++) sum[c] += get(&p->v, key, head, c);
            }
            for (int c = 0; c < p->shape.d_v; c++) {
                double want = sum[c] / pairs, got = get(&p->out, atom, head, c);
                CHECK(fabs(got - want) <= l.values[c] * (1e-6 + type_error(p->shape.dtype)),
                      "%s, %s: out[%lld, %d, %d]: expected %.9g, got %.9g", kernel->name, x->what, (long long)atom,
                      head, c, want, got);
            }
            double want = lse_as_float(l.most + log(pairs));
            CHECK(isfinite(lse) && fabs(lse - want) <= 1e-6 * (1.0 + fabs(want)),
                  "%s, %s: lse[%lld, %d]: expected %.9g, got %.9g", kernel->name, x->what, (long long)atom, head,
                  want, lse);
        }
}

static double largest_value(uint64_t *state, int64_t row, int head, int c)
{
    (void)state, (void)head;
    return c % 2 ? 0x1.fep127 : row % 2 ? 0x1.fep127 : -0x1.fep127; /* the largest bfloat16 */
}

static void test_equal_scores(void **state)
{
    static const struct {
        const char *what;
        double q, k, scale;
        int flip;
    } cases[] = {
        { "q.k = -8e38", 1e19, -1e19, 0, 8 },
        { "q.k = 8e38", 1e19, 1e19, 0, 8 },
        { "q.k = 9e77", 0x1.fep127, 0x1.fep127, 0, 8 },
        { "q.k = -9e77", 0x1.fep127, -0x1.fep127, 0, 8 },
        { "-inf on the way to 0", 1.5e19, -1.5e19, 0, 4 },
        { "inf on the way to 0", 1.5e19, 1.5e19, 0, 4 },
        { "inf - inf on the way to 0", 1e20, 1e20, 0, 4 },
        { "inf - inf on the way to -4e40", 1e20, 1e20, 0, 2 },
        { "-1e20 times 1e25", 1e10, -1e10, 1e25, 8 },
        { "1e20 times 1e25", 1e10, 1e10, 1e25, 8 },
        { "1e20 times -1e25", 1e10, 1e10, -1e25, 8 },
        { "8e38 times 1e-38", 1e19, 1e19, 1e-38, 8 },
        { "8e38 times 1e-45", 1e19, 1e19, 1e-45, 8 },
        { "0 times 1e60", 1e19, 1e19, 1e60, 4 },
        { "8e-40 times 1e60", 1e-20, 1e-20, 1e60, 8 },
        { "8e-60 times 1e60", 1e-30, 1e-30, 1e60, 8 },
        { "8e-90 times 1e90", 0x1p-149, 0x1p-149, 1e90, 8 },
        { "8e38 times 1e308", 1e19, 1e19, 1e308, 8 },
        { "9e77 times -1.7e308", 0x1.fep127, 0x1.fep127, -1.7e308, 8 },
        { "8e38 times 1e-320", 1e19, 1e19, 1e-320, 8 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int t = 0; t < TYPES; t++) {
            struct attention_case c = case_of(types[t], 8);
            struct problem p;
            if (types[t] == VIC_F16) continue; /* holds none of these numbers */
            c.scale = cases[i].scale;
            make_problem(&c, 9200 + i, &p);
            q_value = cases[i].q;
            k_value = cases[i].k;
            flip = cases[i].flip;
            struct compared x = { .p = &p, .what = cases[i].what };
            write_problem(&p, i, same_q, same_k, normal);
            for_each_kernel(&p.shape, check_means, &x);
            write_problem(&p, i, same_q, same_k, largest_value);
            for_each_kernel(&p.shape, check_means, &x);
            free_problem(&p);
        }
}

/* Products that float32 rounds to 0, and a scale that it holds, of which they are 2.4e-5 in all. */
static void test_small_products(void **state)
{
    struct attention_case c = case_of(VIC_F32, 128);
    struct problem p;
    (void)state;
    c.scale = 3e38;
    make_problem(&c, 9250, &p);
    q_value = 0x1p-75;
    k_value = 0.9 * 0x1p-75;
    flip = 128;
    struct compared x = { .p = &p, .what = "products below float32" };
    write_problem(&p, 1, same_q, same_k, normal);
    for_each_kernel(&p.shape, check_means, &x);
    free_problem(&p);
}

/* float16's own ends: 128 products of 65504 * 65504. */
static void test_largest_halves(void **state)
{
    struct attention_case c = case_of(VIC_F16, 128);
    struct problem p;
    (void)state;
    q_value = k_value = 65504;
    for (flip = 0; flip <= 128; flip += 128) { /* without terms that cancel: 2^-24 of them is 10^4 */
        make_problem(&c, 9300, &p);
        struct compared x = { .p = &p, .what = "float16's largest numbers" };
        write_problem(&p, 1, same_q, same_k, same_q);
        for_each_kernel(&p.shape, check_means, &x);
        free_problem(&p);
    }
}

/* One neighbour's score is lost on the way: -inf, though it is 0 in the end and all others are far below. */
static double key_of_pairs(uint64_t *state, int64_t row, int head, int c)
{
    (void)state, (void)head;
    return row % 7 ? -1e4 : c < 2 ? -3e38 : c < 4 ? 3e38 : 0.0;
}

static double ones(uint64_t *state, int64_t row, int head, int c)
{
    (void)state, (void)row, (void)head, (void)c;
    return 1.0;
}

static double which_key(uint64_t *state, int64_t row, int head, int c)
{
    (void)state, (void)head, (void)c;
    return row % 7 ? -1.0 : 1.0;
}

static void check_hidden(const struct kernel *kernel, void *context)
{
    struct problem *p = context;
    int64_t some = 0;
    launch(kernel, p, 2, 0);
    for (int64_t atom = 0; atom < N; atom++)
        for (int head = 0; head < p->shape.heads; head++) {
            struct limits l = find_limits(p, atom, head);
            double want = l.most == 0.0 ? 1.0 : -1.0, got = get(&p->out, atom, head, 5);
            some += want > 0.0;
            CHECK(got == want, "%s: out[%lld, %d]: expected %g, got %g", kernel->name, (long long)atom, head, want,
                  got);
        }
    CHECK(some > N / 2 && some < 2 * N, "%lld rows of %d have such a neighbour", (long long)some, 2 * N);
}

static void test_score_lost_on_the_way(void **state)
{
    struct attention_case c = case_of(VIC_F32, 8);
    struct problem p;
    (void)state;
    c.cutoff = 2.5;
    make_problem(&c, 9400, &p);
    write_problem(&p, 1, ones, key_of_pairs, which_key);
    for_each_kernel(&p.shape, check_hidden, &p);
    free_problem(&p);
}

/* ---- With a distance bias ----------------------------------------------------------------------------------------
 * */

/* Scores that are all the same leave the decision to the term, whatever their size; a pair whose term is -inf has no
 * weight, whatever its score. */
static void check_bias(const struct kernel *kernel, void *context)
{
    struct compared *x = context;
    struct problem *p = (struct problem *)(uintptr_t)x->p;
    const struct distance_bias *bias = &p->args.bias;
    int64_t none = 0;
    launch(kernel, p, 2, 0);
    for (int64_t atom = 0; atom < p->pattern.n_q; atom++)
        for (int head = 0; head < p->shape.heads; head++) {
            const float *table = bias->table + head * bias->head_stride;
            double sum[128] = { 0 }, weight = 0.0, score = 0.0, lse = get(&p->lse, atom, head, 0);
            for (int64_t key = 0; key < p->pattern.n_k; key++) {
                if (!is_pair(p, atom, key)) continue;
                double w = exp(distance_bias_value(table, bias->points, distance2(p, atom, key), p->pattern.cutoff));
                weight += w;
                score = 0.0;
                for (int c = 0; c < p->shape.d_qk; c++)
                    score += p->args.scale * get(&p->q, atom, head, c) * get(&p->k, key, head, c);
                for (int c = 0; c < p->shape.d_v; c++) sum[c] += w * get(&p->v, key, head, c);
            }
            none += weight == 0.0;
            for (int c = 0; c < p->shape.d_v; c++) {
                double want = weight == 0.0 ? 0.0 : sum[c] / weight, got = get(&p->out, atom, head, c);
                CHECK(fabs(got - want) <= 1e-5, "%s, %s: out[%lld, %d, %d]: expected %.9g, got %.9g", kernel->name,
                      x->what, (long long)atom, head, c, want, got);
            }
            double want = weight == 0.0 ? -INFINITY : lse_as_float(score + log(weight));
            CHECK(agrees(lse, want, 1e-6 * (1.0 + fabs(want))), "%s, %s: lse[%lld, %d]: expected %.9g, got %.9g",
                  kernel->name, x->what, (long long)atom, head, want, lse);
        }
    CHECK(none > 0, "%s, %s: no row without weight", kernel->name, x->what);
}

static void test_distance_biases(void **state)
{
    static const double factors[] = { 1e19, -1e19, 0x1.fep127, 1.0 };
    float table[2 * POINTS];
    (void)state;
    for (int i = 0; i < POINTS; i++) {
        table[i] = i < 3 ? -INFINITY : -0.2f * (float)i;
        table[POINTS + i] = i < 12 ? -INFINITY : (float)i;
    }
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        struct attention_case c = case_of(VIC_F32, 8);
        struct problem p;
        char what[64];
        c.bias = (struct distance_bias){ table, POINTS, POINTS };
        c.exclude_self = true;
        c.cutoff = 2;
        make_problem(&c, 9500 + i, &p);
        snprintf(what, sizeof what, "keys of %g", factors[i]);
        q_value = fabs(factors[i]);
        k_value = factors[i];
        flip = 8;
        struct compared x = { .p = &p, .what = what };
        write_problem(&p, i, same_q, same_k, normal);
        for_each_kernel(&p.shape, check_bias, &x);
        free_problem(&p);
    }
}

/* Terms that take a score out of float32, or back. */
static void test_large_terms(void **state)
{
    static const double keys[] = { 3e38, -3e38, 0.0 }, terms[] = { 3e38, -3e38 };
    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 2; j++) {
            struct attention_case c = case_of(VIC_F32, 8);
            struct problem p;
            float table[POINTS];
            char what[64];
            for (int m = 0; m < POINTS; m++) table[m] = (float)terms[j];
            c.bias = (struct distance_bias){ table, POINTS, 0 };
            c.scale = 1.0;
            make_problem(&c, 9600, &p);
            q_value = 0.125; /* q . k is the key's number, which float32 holds */
            k_value = keys[i];
            flip = 8;
            snprintf(what, sizeof what, "scores of %g, terms of %g", keys[i], terms[j]);
            write_problem(&p, 3, same_q, same_k, normal);
            struct compared x = { .p = &p, .what = what };
            for (int64_t at = 0; at < N * p.shape.heads; at++) CHECK(isfinite(p.ref_lse[at]), "the reference");
            for_each_kernel(&p.shape, check_kernel_in_range, &x);
            free_problem(&p);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_scores),    cmocka_unit_test(test_small_products),
        cmocka_unit_test(test_largest_halves),  cmocka_unit_test(test_score_lost_on_the_way),
        cmocka_unit_test(test_distance_biases), cmocka_unit_test(test_large_terms),
    };
    return cmocka_run_group_tests_name("parity_range_answers", tests, start_pools, stop_pools);
}
