/* SPDX-License-Identifier: Apache-2.0 */
/* Finite inputs that leave float32: scores that overflow in the end or on the way, sums of values that would, numbers
 * at float32's lower end, scales of any size.  Every row of the CPU against the reference and against known answers,
 * and what the others in the strip have to do with it: nothing. */
#include "attention_run.h"
#include "contract/radial.h"

#include <float.h>

enum { N = 120, POINTS = 20 };

/* ---- Problems whose values a test writes ---------------------------------------------------------------------- */

typedef double value_of(uint64_t *state, int64_t row, int head, int c);

static void write_values(const struct tensor *t, uint64_t *state, value_of *of)
{
    for (int item = 0; item < t->batch; item++) {
        struct tensor one = item_of(t, item);
        for (int64_t row = 0; row < t->rows; row++)
            for (int head = 0; head < t->heads; head++)
                for (int c = 0; c < t->d; c++) set(&one, row, head, c, of(state, row, head, c));
    }
}

static void refer(struct problem *p)
{
    vic_error err;
    for (int item = 0; item < p->items; item++) {
        struct attention_args args = item_args(p, item);
        int64_t vectors = item * p->pattern.n_q * p->shape.heads;
        CHECK_OK(attention_ref_rows(&p->pattern, &p->shape, &args, pools[7], p->pattern.n_q, NULL,
                                    p->ref_out + vectors * p->shape.d_v, p->ref_lse + vectors, NULL, &err));
    }
}

static void write_problem(struct problem *p, uint64_t seed, value_of *q, value_of *k, value_of *v)
{
    write_values(&p->q, &seed, q);
    write_values(&p->k, &seed, k);
    write_values(&p->v, &seed, v);
    refer(p);
}

static double normal(uint64_t *state, int64_t row, int head, int c)
{
    (void)row, (void)head, (void)c;
    return random_normal(state);
}

static double zero(uint64_t *state, int64_t row, int head, int c)
{
    (void)state, (void)row, (void)head, (void)c;
    return 0.0;
}

/* ---- Comparison ------------------------------------------------------------------------------------------------ */

/* What float32 may lose of one row and head.  A score that float32 holds is off by its terms' rounding, and so its
 * weight, relatively; that counts for nothing in rows that are done in double, those with a pair whose score is
 * surely beyond float32. */
struct limits {
    bool wide, pairs;
    double scores;       /* the error of a score */
    double values[128];  /* the largest |v| of the neighbours, by column */
    double most, fewest; /* neighbours' exact scores, without the radial term */
};

static double distance2(const struct problem *p, int64_t atom, int64_t key)
{
    return pair_distance2(p->points.q + 3 * atom, p->points.q + 3 * key, p->points.cell, 0, 0, 0);
}

static bool is_pair(const struct problem *p, int64_t atom, int64_t key)
{
    return distance2(p, atom, key) < p->pattern.cutoff * p->pattern.cutoff &&
           !(p->points.exclude_self && key == atom);
}

static struct limits find_limits(const struct problem *p, int64_t atom, int head)
{
    int kv_head = head / (p->shape.heads / p->shape.kv_heads);
    struct limits l = { .most = -INFINITY, .fewest = INFINITY };
    for (int64_t key = 0; key < p->pattern.n_k; key++) {
        double dot = 0.0, terms = 0.0;
        if (!is_pair(p, atom, key)) continue;
        for (int c = 0; c < p->shape.d_qk; c++) {
            double term = get(&p->q, atom, head, c) * get(&p->k, key, kv_head, c);
            dot += term;
            terms += fabs(term);
        }
        l.pairs = true;
        l.wide = l.wide || fabs(dot) >= 0x1p129 || fabs(dot * p->args.scale) >= 0x1p129;
        l.scores = fmax(l.scores, fabs(p->args.scale) * terms * (p->shape.d_qk + 4.0) * 0x1p-24 + 0x1p-20);
        l.most = fmax(l.most, dot * p->args.scale);
        l.fewest = fmin(l.fewest, dot * p->args.scale);
        for (int c = 0; c < p->shape.d_v; c++) l.values[c] = fmax(l.values[c], fabs(get(&p->v, key, kv_head, c)));
    }
    l.wide = l.wide || fabs(p->args.scale) > 0x1p100;
    if (l.wide) l.scores = 0.0;
    return l;
}

/* What rounding to the type leaves of a number, and its smallest one. */
static double type_error(vic_dtype dtype)
{
    return dtype == VIC_F32 ? 0x1p-24 : dtype == VIC_F16 ? 0x1p-11 : 0x1p-8;
}

static double smallest(vic_dtype dtype)
{
    return dtype == VIC_F32 ? 0x1p-149 : dtype == VIC_F16 ? 0x1p-24 : 0x1p-133;
}

struct compared {
    const struct problem *p;
    const char *what;
    int64_t rows, wide;
};

static void check_row(const struct kernel_row *kernel, struct compared *x, int64_t atom, int head)
{
    const struct problem *p = x->p;
    struct limits l = find_limits(p, atom, head);
    int64_t at = atom * p->shape.heads + head;
    double lse = get(&p->lse, atom, head, 0), want_lse = lse_as_float(p->ref_lse[at]);
    x->rows += l.pairs;
    x->wide += l.wide && l.pairs;
    CHECK(agrees(lse, want_lse, 1e-6 * (1.0 + fabs(want_lse)) + fmin(l.scores, 1e300)),
          "%s, %s: lse[%lld, %d]: expected %.9g, got %.9g", kernel->name, x->what, (long long)atom, head, want_lse,
          lse);
    CHECK((lse == -INFINITY) == !l.pairs, "%s, %s: lse[%lld, %d] is %g", kernel->name, x->what, (long long)atom, head,
          lse);
    for (int c = 0; c < p->shape.d_v; c++) {
        double want = p->ref_out[at * p->shape.d_v + c], got = get(&p->out, atom, head, c);
        double allowed = l.values[c] * fmin(2.0, 2e-6 + type_error(p->shape.dtype) + 4.0 * l.scores) +
                         smallest(p->shape.dtype) + (l.wide ? 0.0 : N * 0x1p-149);
        CHECK(isfinite(got) && fabs(got - want) <= allowed,
              "%s, %s: out[%lld, %d, %d]: expected %.9g, got %.9g, allowed %.3g", kernel->name, x->what,
              (long long)atom, head, c, want, got, allowed);
        CHECK(fabs(got) <= l.values[c] * (1.0 + 1e-5 + type_error(p->shape.dtype)) + smallest(p->shape.dtype),
              "%s, %s: out[%lld, %d, %d]: %.9g is no mean of values up to %.9g", kernel->name, x->what,
              (long long)atom, head, c, got, l.values[c]);
    }
}

static void check_kernel_in_range(const struct kernel_row *kernel, void *context)
{
    struct compared *x = context;
    struct problem *p = (struct problem *)(uintptr_t)x->p;
    launch(kernel, p, 2, 0x00);
    unsigned char *out = copy_of(&p->out), *lse = copy_of(&p->lse);
    launch(kernel, p, 1, 0xc5);
    check_poison(&p->out, out, 0xc5, 0x00, x->what);
    check_poison(&p->lse, lse, 0xc5, 0x00, x->what);
    for (int64_t atom = 0; atom < p->pattern.n_q; atom++)
        for (int head = 0; head < p->shape.heads; head++) check_row(kernel, x, atom, head);
    free(out);
    free(lse);
}

static struct attention_case case_of(vic_dtype dtype, int d)
{
    return (struct attention_case){
        .name = "range", .n_q = N, .n_k = -1, .box = 9, .cutoff = 4, .d_qk = d, .d_v = 24, .dtype = dtype
    };
}

/* ---- Exponents over all of the type's range ------------------------------------------------------------------- */

static int first_exponent, last_exponent; /* of wild() */

static double wild(uint64_t *state, int64_t row, int head, int c)
{
    double sign = random_uniform(state) < 0.5 ? -1.0 : 1.0, fraction = 1.0 + random_uniform(state);
    double exponent = floor(first_exponent + random_uniform(state) * (last_exponent - first_exponent));
    (void)row, (void)head, (void)c;
    return sign * fmin(ldexp(fraction, (int)exponent), 0x1.fep127);
}

static void test_random_exponents(void **state)
{
    static const double scales[] = { 0, -1, 1e-30, 1e25, 1e38, -1e300, 1e-300 };
    int64_t rows = 0, wide = 0;
    (void)state;
    for (int dtype = VIC_F32; dtype <= VIC_BF16; dtype++)
        for (size_t s = 0; s < sizeof scales / sizeof *scales; s++)
            for (uint64_t seed = 0; seed < (SANITIZED ? 2 : 8); seed++) {
                struct attention_case c = case_of((vic_dtype)dtype, seed % 2 ? 8 : 40);
                struct problem p;
                char what[96];
                c.scale = scales[s];
                c.exclude_self = seed % 4 >= 2;
                c.cutoff = seed % 3 ? 4 : 2;
                make_problem(&c, 9000 + seed, &p);
                first_exponent = dtype == VIC_F16 ? -24 : -149;
                last_exponent = dtype == VIC_F16 ? 15 : 127;
                write_problem(&p, 100 * seed + s, wild, wild, wild);
                snprintf(what, sizeof what, "%s, scale %g, seed %llu", vic_dtype_name(c.dtype), c.scale,
                         (unsigned long long)seed);
                struct compared x = { .p = &p, .what = what };
                for_each_kernel(&p.shape, check_kernel_in_range, &x);
                rows += x.rows;
                wide += x.wide;
                free_problem(&p);
            }
    CHECK(wide > rows / 5 && wide < rows, "%lld of %lld rows overflow", (long long)wide, (long long)rows);
}

/* The same, with values near float32's ends and scores that have no part in it. */
static void test_values_at_the_ends(void **state)
{
    static const int exponents[][2] = { { 120, 127 }, { -149, -126 }, { -149, -110 }, { -149, 127 } };
    (void)state;
    for (int dtype = VIC_F32; dtype <= VIC_BF16; dtype++)
        for (size_t i = 0; i < sizeof exponents / sizeof *exponents && dtype != VIC_F16; i++) {
            struct attention_case c = case_of((vic_dtype)dtype, 16);
            struct problem p;
            char what[96];
            make_problem(&c, 9100 + i, &p);
            first_exponent = exponents[i][0];
            last_exponent = exponents[i][1];
            write_problem(&p, i, normal, normal, wild);
            snprintf(what, sizeof what, "%s, values from 2^%d to 2^%d", vic_dtype_name(c.dtype), first_exponent,
                     last_exponent);
            struct compared x = { .p = &p, .what = what };
            for_each_kernel(&p.shape, check_kernel_in_range, &x);
            free_problem(&p);
        }
}

/* ---- Known answers --------------------------------------------------------------------------------------------- */

/* Of a row whose scores, all but for the radial term, are the same: the mean of the values. */
static void check_means(const struct kernel_row *kernel, void *context)
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

static double q_value, k_value; /* of same_q(), same_k() */
static int flip;                /* components from here on have the other sign */

static double same_q(uint64_t *state, int64_t row, int head, int c)
{
    (void)state, (void)row, (void)head, (void)c;
    return q_value;
}

static double same_k(uint64_t *state, int64_t row, int head, int c)
{
    (void)state, (void)row, (void)head;
    return c >= flip ? -k_value : k_value;
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
        for (int dtype = VIC_F32; dtype <= VIC_BF16; dtype++) {
            struct attention_case c = case_of((vic_dtype)dtype, 8);
            struct problem p;
            if (dtype == VIC_F16) continue; /* holds none of these numbers */
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

static void check_hidden(const struct kernel_row *kernel, void *context)
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

/* ---- With a radial term ---------------------------------------------------------------------------------------- */

/* Scores that are all the same leave the decision to the term, whatever their size; a pair whose term is -inf has no
 * weight, whatever its score. */
static void check_radial(const struct kernel_row *kernel, void *context)
{
    struct compared *x = context;
    struct problem *p = (struct problem *)(uintptr_t)x->p;
    const vic_radial *radial = &p->args.radial;
    int64_t none = 0;
    launch(kernel, p, 2, 0);
    for (int64_t atom = 0; atom < p->pattern.n_q; atom++)
        for (int head = 0; head < p->shape.heads; head++) {
            const float *table = radial->table + head * radial->head_stride;
            double sum[128] = { 0 }, weight = 0.0, score = 0.0, lse = get(&p->lse, atom, head, 0);
            for (int64_t key = 0; key < p->pattern.n_k; key++) {
                if (!is_pair(p, atom, key)) continue;
                double w = exp(radial_value(table, radial->points, distance2(p, atom, key), p->pattern.cutoff));
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

static void test_radial_terms(void **state)
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
        c.radial = (vic_radial){ table, POINTS, POINTS };
        c.exclude_self = true;
        c.cutoff = 2;
        make_problem(&c, 9500 + i, &p);
        snprintf(what, sizeof what, "keys of %g", factors[i]);
        q_value = fabs(factors[i]);
        k_value = factors[i];
        flip = 8;
        struct compared x = { .p = &p, .what = what };
        write_problem(&p, i, same_q, same_k, normal);
        for_each_kernel(&p.shape, check_radial, &x);
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
            c.radial = (vic_radial){ table, POINTS, 0 };
            c.scale = 0.125;
            make_problem(&c, 9600, &p);
            q_value = 1.0;
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

/* ---- Nobody else's rows ---------------------------------------------------------------------------------------- */

/* A row that overflows, by its query or a neighbour's key, or a NaN: no other row has other bits. */
static void check_others(const struct kernel_row *kernel, void *context)
{
    static const double values[] = { 1e30, -1e30, NAN };
    struct problem *p = context;
    bool *kept = brute_alloc(N, sizeof *kept);
    launch(kernel, p, 2, 0);
    unsigned char *out = copy_of(&p->out), *lse = copy_of(&p->lse);
    for (int in_key = 0; in_key < 2; in_key++)
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            const struct tensor *t = in_key ? &p->k : &p->q;
            int64_t atom = 17 + 31 * (int64_t)i;
            double before[128], row[128];
            for (int c = 0; c < p->shape.d_qk; c++) {
                before[c] = get(t, atom, 0, c);
                set(t, atom, 0, c, values[i] * (c % 3 == 1 ? -1.0 : 1.0));
            }
            for (int64_t other = 0; other < N; other++)
                kept[other] = in_key ? !is_pair(p, other, atom) : other != atom;
            launch(kernel, p, 2, 0);
            check_rows_kept(p, out, lse, kept, kernel->name);
            for (int c = 0; c < p->shape.d_v; c++) row[c] = get(&p->out, atom, 0, c);
            for (int c = 0; c < p->shape.d_v && p->shape.dtype != VIC_F16; c++)
                CHECK(isnan(row[c]) == isnan(values[i]), "%s: row %lld: %g", kernel->name, (long long)atom, row[c]);
            for (int c = 0; c < p->shape.d_qk; c++) set(t, atom, 0, c, before[c]);
        }
    free(out);
    free(lse);
    free(kept);
}

static void test_other_rows(void **state)
{
    (void)state;
    for (int dtype = VIC_F32; dtype <= VIC_BF16; dtype++) {
        struct attention_case c = case_of((vic_dtype)dtype, 16);
        struct problem p;
        c.cutoff = 2.5;
        make_problem(&c, 9700, &p);
        for_each_kernel(&p.shape, check_others, &p);
        free_problem(&p);
    }
}

/* Rows in double beside rows with a NaN among their neighbours: those are NaN, and only those. */
static void check_beside_nan(const struct kernel_row *kernel, void *context)
{
    struct problem *p = context;
    int64_t odd = 0;
    launch(kernel, p, 2, 0);
    for (int64_t atom = 0; atom < N; atom++) {
        bool reached = is_pair(p, atom, 40);
        odd += reached;
        for (int head = 0; head < p->shape.heads; head++)
            for (int c = 0; c < p->shape.d_v; c++) {
                double want = p->ref_out[(atom * p->shape.heads + head) * p->shape.d_v + c];
                double got = get(&p->out, atom, head, c);
                CHECK(reached && c == 3 ? isnan(got) : reached || fabs(got - want) <= 1e-5,
                      "%s: out[%lld, %d, %d]: expected %g, got %g", kernel->name, (long long)atom, head, c, want,
                      got);
            }
    }
    CHECK(odd > 1 && odd < N / 2, "%lld rows have the NaN", (long long)odd);
}

static void test_beside_nan(void **state)
{
    struct attention_case c = case_of(VIC_F32, 8);
    struct problem p;
    (void)state;
    c.cutoff = 2.5;
    make_problem(&c, 9750, &p);
    q_value = 1e19;
    k_value = -1e19;
    flip = 8;
    write_problem(&p, 5, same_q, same_k, normal);
    for (int head = 0; head < p.shape.heads; head++) set(&p.v, 40, head, 3, NAN);
    refer(&p);
    for_each_kernel(&p.shape, check_beside_nan, &p);
    free_problem(&p);
}

static void check_same_bits(const struct kernel_row *kernel, void *context)
{
    struct problem *p = context;
    launch(kernel, p, 1, 0);
    unsigned char *out = copy_of(&p->out), *lse = copy_of(&p->lse);
    for (int threads = 2; threads <= 3; threads++) {
        launch(kernel, p, threads, 0);
        CHECK(!memcmp(out, p->out.buffer, p->out.bytes) && !memcmp(lse, p->lse.buffer, p->lse.bytes),
              "%s: other bits with %d threads", kernel->name, threads);
    }
    free(out);
    free(lse);
    check_items(kernel, p);
}

static void test_same_bits(void **state)
{
    struct attention_case c = case_of(VIC_F32, 24);
    struct problem p;
    (void)state;
    c.batch = 3;
    make_problem(&c, 9800, &p);
    first_exponent = 40;
    last_exponent = 70; /* some rows overflow, others do not */
    write_problem(&p, 8, wild, wild, normal);
    for_each_kernel(&p.shape, check_same_bits, &p);
    free_problem(&p);
}

/* Nothing of all that is for a call without neighbours. */
static void test_rows_without_pairs(void **state)
{
    struct attention_case c = case_of(VIC_F32, 8);
    struct problem p;
    (void)state;
    c.box = 1e4;
    c.cutoff = 1;
    c.exclude_self = true;
    c.scale = 1e200;
    make_problem(&c, 9900, &p);
    struct compared x = { .p = &p, .what = "no pairs" };
    write_problem(&p, 1, normal, normal, zero);
    for_each_kernel(&p.shape, check_kernel_in_range, &x);
    CHECK(x.rows == 0, "%lld rows have pairs", (long long)x.rows);
    free_problem(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_exponents),
        cmocka_unit_test(test_values_at_the_ends),
        cmocka_unit_test(test_equal_scores),
        cmocka_unit_test(test_largest_halves),
        cmocka_unit_test(test_score_lost_on_the_way),
        cmocka_unit_test(test_radial_terms),
        cmocka_unit_test(test_large_terms),
        cmocka_unit_test(test_other_rows),
        cmocka_unit_test(test_beside_nan),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_rows_without_pairs),
    };
    return cmocka_run_group_tests_name("parity_range", tests, start_pools, stop_pools);
}
