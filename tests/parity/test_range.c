/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel of the CPU against the reference on inputs that leave float32 (range.h); such rows do not change the
 * others of their strip. */
#include "lib/range.h"

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
    for (int t = 0; t < TYPES; t++)
        for (size_t s = 0; s < sizeof scales / sizeof *scales; s++)
            for (uint64_t seed = 0; seed < (SANITIZED ? 2 : 8); seed++) {
                struct attention_case c = case_of(types[t], seed % 2 ? 8 : 40);
                struct problem p;
                char what[96];
                c.scale = scales[s];
                c.exclude_self = seed % 4 >= 2;
                c.cutoff = seed % 3 ? 4 : 2;
                make_problem(&c, 9000 + seed, &p);
                first_exponent = types[t] == VIC_F16 ? -24 : -149;
                last_exponent = types[t] == VIC_F16 ? 15 : 127;
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

/* The same, with values near float32's ends and ordinary scores. */
static void test_values_at_the_ends(void **state)
{
    static const int exponents[][2] = { { 120, 127 }, { -149, -126 }, { -149, -112 }, { -149, 127 } };
    (void)state;
    for (int t = 0; t < TYPES; t++)
        for (size_t i = 0; i < sizeof exponents / sizeof *exponents && types[t] != VIC_F16; i++) {
            struct attention_case c = case_of(types[t], 16);
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

/* The mean of what is the same everywhere, a few of float32's smallest units. */
static double few_units(uint64_t *state, int64_t row, int head, int c)
{
    (void)state, (void)row, (void)head;
    return (double)(1 + c % 7) * 0x1p-149;
}

static void check_units(const struct kernel *kernel, void *context)
{
    struct problem *p = context;
    launch(kernel, p, 2, 0);
    for (int64_t atom = 0; atom < N; atom++)
        for (int head = 0; head < p->shape.heads; head++)
            for (int c = 0; c < p->shape.d_v; c++) {
                double got = get(&p->out, atom, head, c), want = few_units(NULL, atom, head, c);
                CHECK(got == want, "%s: out[%lld, %d, %d]: expected %g, got %g", kernel->name, (long long)atom, head,
                      c, want, got);
            }
}

static void test_smallest_values(void **state)
{
    struct attention_case c = case_of(VIC_F32, 16);
    struct problem p;
    (void)state;
    make_problem(&c, 9150, &p);
    write_problem(&p, 7, normal, normal, few_units);
    for_each_kernel(&p.shape, check_units, &p);
    free_problem(&p);
}

/* ---- Nobody else's rows ---------------------------------------------------------------------------------------- */

/* A row that overflows, by its query or a neighbour's key, or a NaN: no other row has other bits. */
static void check_others(const struct kernel *kernel, void *context)
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
    for (int t = 0; t < TYPES; t++) {
        struct attention_case c = case_of(types[t], 16);
        struct problem p;
        c.cutoff = 2.5;
        make_problem(&c, 9700, &p);
        for_each_kernel(&p.shape, check_others, &p);
        free_problem(&p);
    }
}

/* Rows in double beside rows with a NaN among their neighbours: those are NaN, and only those. */
static void check_beside_nan(const struct kernel *kernel, void *context)
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

static void check_same_bits(const struct kernel *kernel, void *context)
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
    check_entries(kernel, p);
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
        cmocka_unit_test(test_random_exponents),   cmocka_unit_test(test_values_at_the_ends),
        cmocka_unit_test(test_smallest_values),    cmocka_unit_test(test_other_rows),
        cmocka_unit_test(test_beside_nan),         cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_rows_without_pairs),
    };
    return cmocka_run_group_tests_name("parity_range", tests, start_pools, stop_pools);
}
