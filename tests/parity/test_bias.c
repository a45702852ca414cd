/* SPDX-License-Identifier: Apache-2.0 */
/* The distance bias: the reference against sums over images written out here, every CPU kernel against the reference,
 * and atoms that cross the cutoff. */
#include "lib/problem.h"

#include "vicinal_dev.h"

enum { HEADS = 2, MOST_HEADS = 6, POINTS = 40 };

/* e^b as the concepts page has it, without logarithms: geometric between finite points, linear next to -inf. */
static double weight_at(const float *t, int points, double d2, double cutoff)
{
    double x = d2 / (cutoff * cutoff) * (points - 1), m = fmin(floor(x), points - 2), f = x - m;
    double low = exp((double)t[(int)m]), high = exp((double)t[(int)m + 1]);
    return low > 0.0 && high > 0.0 ? pow(low, 1.0 - f) * pow(high, f) : (1.0 - f) * low + f * high;
}

/* ---- The reference, image by image --------------------------------------------------------------------------- */

static void check_reference(enum brute_cell cell, int64_t n_q, int64_t n_k, double box, double cutoff, bool exclude,
                            uint64_t seed)
{
    float *tables = make_tables(HEADS, POINTS, true, seed);
    struct attention_case c = { .name = "reference",
                                .cell = cell,
                                .n_q = n_q,
                                .n_k = n_k,
                                .box = box,
                                .cutoff = cutoff,
                                .heads = HEADS,
                                .d_qk = 8,
                                .exclude_self = exclude,
                                .bias = { tables, POINTS, POINTS } };
    struct problem p;
    make_problem(&c, seed, &p);
    const struct brute_points *points = &p.points;
    const double *k = p.pattern.k_positions;
    int several = 0;
    for (int64_t i = 0; i < n_q; i++)
        for (int h = 0; h < HEADS; h++) {
            double weight = 0.0, sum[8] = { 0.0 };
            for (int64_t j = 0; j < p.pattern.n_k; j++) {
                double dot = 0.0, images = 0.0;
                int found = 0;
                for (int image = 0; image < 729; image++) {
                    int n[3] = { image / 81 - 4, image / 9 % 9 - 4, image % 9 - 4 };
                    bool inside = true;
                    for (int a = 0; a < 3; a++) inside = inside && (points->periodic[a] || n[a] == 0);
                    if (!inside || (exclude && i == j && !n[0] && !n[1] && !n[2])) continue;
                    double d2 = pair_distance2(points->q + 3 * i, k + 3 * j, points->cell, n[0], n[1], n[2]);
                    if (!(d2 < cutoff * cutoff)) continue;
                    images += weight_at(tables + h * POINTS, POINTS, d2, cutoff);
                    found++;
                }
                several += found > 1;
                for (int x = 0; x < 8; x++) dot += get(&p.q, i, h, x) * get(&p.k, j, h, x);
                weight += images * exp(dot * p.args.scale);
                for (int x = 0; x < 8; x++) sum[x] += images * exp(dot * p.args.scale) * get(&p.v, j, h, x);
            }
            double lse = p.ref_lse[i * HEADS + h];
            CHECK(weight == 0.0 ? lse == -INFINITY : fabs(lse - log(weight)) < 1e-10,
                  "seed %llu: lse of atom %lld, head %d: expected %.15g, got %.15g", (unsigned long long)seed,
                  (long long)i, h, log(weight), lse);
            for (int x = 0; x < 8; x++) {
                double want = weight == 0.0 ? 0.0 : sum[x] / weight, got = p.ref_out[(i * HEADS + h) * 8 + x];
                CHECK(fabs(got - want) < 1e-10, "seed %llu: out of atom %lld, head %d, %d: expected %.15g, got %.15g",
                      (unsigned long long)seed, (long long)i, h, x, want, got);
            }
        }
    CHECK(cell == OPEN || cutoff < box || several > 0, "no key with several images in this case");
    free_problem(&p);
    free(tables);
}

static void test_reference(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= (SANITIZED == 2 ? 1 : 3); seed++) {
        check_reference(OPEN, 40, -1, 10, 5, false, seed);
        check_reference(OPEN, 40, 60, 10, 5, false, seed + 10);
        check_reference(CUBIC, 15, -1, 6, 7, true, seed + 20);
        check_reference(SKEWED, 20, 30, 6, 6.5, false, seed + 30);
        check_reference(SLAB, 30, -1, 6, 6, true, seed + 40);
        check_reference(CUBIC, 1, -1, 3, 6.5, true, seed + 50);
    }
}

/* ---- Every kernel against the reference ----------------------------------------------------------------------- */

static void for_each_kernel(void (*body)(const struct kernel *, void *), void *context)
{
    for (int i = 0; i < kernel_table_size; i++)
        if (kernel_table[i]->device == VIC_CPU && kernel_table[i]->operation == ATTENTION_FORWARD &&
            !unavailable(kernel_table[i])) {
            CHECK(kernel_table[i]->features & FEATURE_DISTANCE_BIAS, "%s has no distance bias",
                  kernel_table[i]->name);
            body(kernel_table[i], context);
        }
}

struct checked {
    const struct attention_case *c;
    struct problem *p;
};

static void check_kernel(const struct kernel *kernel, void *context)
{
    struct checked *x = context;
    char what[128];
    snprintf(what, sizeof what, "%s, case \"%s\"", kernel->name, x->c->name);
    launch(kernel, x->p, 2, 0x00);
    unsigned char *out = copy_of(&x->p->out), *lse = copy_of(&x->p->lse);
    launch(kernel, x->p, 1, 0xc5);
    check_poison(&x->p->out, out, 0xc5, 0x00, what);
    check_poison(&x->p->lse, lse, 0xc5, 0x00, what);
    compare(x->c, x->p, what);
    free(out);
    free(lse);
}

static void test_kernels(void **state)
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
        { .name = "several chunks", .n_q = 70, .n_k = 3000, .box = 12, .cutoff = 7 },
        { .name = "f16", .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4, .dtype = VIC_F16, .d_v = 72 },
        { .name = "bf16, group query",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .dtype = VIC_BF16,
          .heads = MOST_HEADS,
          .kv_heads = 2 },
        { .name = "six heads, padded", .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4, .heads = 6, .layout = PADDED },
        { .name = "all scores -inf",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = ALL_MINUS_INF,
          .scale = 1.0 },
        { .name = "growing scores", .n_q = 70, .n_k = 2000, .box = 9, .cutoff = 6, .values = GROWING, .scale = 0.5 },
    };
    static const int points[] = { 2, 3, POINTS, 1000 };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t n = 0; n < sizeof points / sizeof *points; n++)
            for (int infinite = 0; infinite < 2; infinite++) {
                if (SANITIZED == 2 && (points[n] != POINTS || !infinite)) continue;
                struct attention_case c = cases[i];
                struct problem p;
                struct checked x = { &c, &p };
                float *tables = make_tables(MOST_HEADS, points[n], infinite, 100 * i + n);
                c.bias = (struct distance_bias){ tables, points[n], n == 1 ? 0 : points[n] };
                make_problem(&c, 10 * i + n, &p);
                for_each_kernel(check_kernel, &x);
                free_problem(&p);
                free(tables);
            }
}

/* A table of zeros changes no bit; one that is -inf everywhere leaves rows as without pairs. */
static void check_trivial(const struct kernel *kernel, void *context)
{
    struct problem *p = context;
    float nothing[2] = { -INFINITY, -INFINITY }, zeros[2] = { 0.0f, 0.0f };
    p->args.bias = (struct distance_bias){ NULL, 0, 0 };
    launch(kernel, p, 2, 0);
    unsigned char *out = copy_of(&p->out), *lse = copy_of(&p->lse);
    p->args.bias = (struct distance_bias){ zeros, 2, 0 };
    launch(kernel, p, 2, 1);
    CHECK(memcmp(out, p->out.buffer, p->out.bytes) == 0 && memcmp(lse, p->lse.buffer, p->lse.bytes) == 0,
          "%s: a bias of 0 changed the result", kernel->name);
    p->args.bias = (struct distance_bias){ nothing, 2, 0 };
    launch(kernel, p, 2, 1);
    for (int64_t row = 0; row < p->pattern.n_q; row++)
        for (int head = 0; head < p->shape.heads; head++) {
            CHECK(get(&p->lse, row, head, 0) == -INFINITY, "%s: lse of a row without weight", kernel->name);
            for (int c = 0; c < p->shape.d_v; c++)
                CHECK(get(&p->out, row, head, c) == 0.0, "%s: a row without weight is not 0", kernel->name);
        }
    free(out);
    free(lse);
}

static void test_trivial_tables(void **state)
{
    struct attention_case c = { .name = "trivial", .cell = SKEWED, .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4 };
    struct problem p;
    (void)state;
    make_problem(&c, 1, &p);
    for_each_kernel(check_trivial, &p);
    p.args.bias = (struct distance_bias){ NULL, 0, 0 };
    free_problem(&p);
}

/* ---- An atom crosses the cutoff -------------------------------------------------------------------------------- */

/* Under a sanitizer still across the cutoff; the width of the walk is for values, which other builds see. */
enum { MOVES = SANITIZED == 2 ? 10 : SANITIZED == 1 ? 40 : 400 };
enum { ATOMS = 40, DIM = 8, CROSSING = 7 };

/* Moves one atom from MOVES / 2 steps inside to as many outside of atom 0's cutoff, and returns the largest change of
 * atom 0's row from one step of 0.0001 A to the next.  Patterns are built by the library; q, k, v do not change. */
static double largest_jump(const char *kernel, const float *table, int points, uint64_t seed)
{
    static const double cutoff = 5.0;
    double x[3 * ATOMS], direction[3] = { 0.48, 0.6, 0.64 }, before[DIM] = { 0.0 }, jump = 0.0;
    float q[ATOMS * DIM], k[ATOMS * DIM], v[ATOMS * DIM], out[ATOMS * DIM];
    const int64_t shape[] = { ATOMS, 1, DIM };
    int64_t most = 0, least = ATOMS;
    uint64_t state = seed;
    const vic_plan_options lo = {
        .size = sizeof lo, .dtype = VIC_F32, .head_dim = DIM, .kernel = kernel, .bias = VIC_BIAS_DISTANCE
    };
    vic_error err;
    for (int i = 0; i < 3 * ATOMS; i++) x[i] = 8.0 * random_uniform(&state) - 4.0;
    for (int a = 0; a < 3; a++) x[a] = 0.0;
    for (int i = 0; i < ATOMS * DIM; i++) {
        q[i] = (float)random_normal(&state);
        k[i] = (float)random_normal(&state);
        v[i] = (float)random_normal(&state);
    }
    for (int c = 0; c < DIM; c++) k[CROSSING * DIM + c] = q[c]; /* atom 0 looks at it */
    for (int step = 0; step < MOVES; step++) {
        vic_attention_args a = VIC_INIT(vic_attention_args);
        vic_points atoms = points_at(ATOMS, x, NULL);
        vic_plan *plan;
        int64_t counts[ATOMS];
        double d = cutoff + 1e-4 * (step - MOVES / 2);
        for (int c = 0; c < 3; c++) x[3 * CROSSING + c] = d * direction[c];
        vic_pattern *p = cutoff_pattern(&atoms, cutoff);
        CHECK_OK(vic_plan_create(NULL, p, &lo, &plan, &err));
        CHECK_OK(vic_pattern_counts(p, counts, &err));
        most = counts[0] > most ? counts[0] : most;
        least = counts[0] < least ? counts[0] : least;
        a.q = vic_tensor_make(q, VIC_F32, 3, shape);
        a.k = vic_tensor_make(k, VIC_F32, 3, shape);
        a.v = vic_tensor_make(v, VIC_F32, 3, shape);
        a.out = vic_tensor_make(out, VIC_F32, 3, shape);
        a.bias = tensor_of(table, VIC_F32, 2, (const int64_t[]){ 1, points });
        CHECK_OK(vic_attention(NULL, plan, &a, &err));
        for (int c = 0; c < DIM; c++) {
            if (step > 0) jump = fmax(jump, fabs((double)out[c] - before[c]));
            before[c] = (double)out[c];
        }
        vic_plan_free(plan);
        vic_pattern_free(p);
    }
    CHECK(most == least + 1, "the atom should cross: %lld to %lld neighbours", (long long)least, (long long)most);
    return jump;
}

/* With an envelope the weight of an atom 0.02 A from the cutoff is below 1e-4, and a step changes it by less than
 * 1e-6 of that of a near atom; without one the atom's whole weight goes in one step. */
static void test_continuous_at_the_cutoff(void **state)
{
    static const int points[] = { 64, VIC_BIAS_POINTS };
    (void)state;
    for (int i = 0; i < vic_kernel_count(); i++) {
        vic_kernel_info kernel = VIC_INIT(vic_kernel_info);
        vic_error err;
        CHECK_OK(vic_kernel_get(i, &kernel, &err));
        if (!kernel.available || kernel.backward || strcmp(kernel.device, "cpu") != 0) continue;
        for (size_t n = 0; n < sizeof points / sizeof *points; n++) {
            float *zero = brute_alloc(points[n], sizeof *zero), *cosine = brute_alloc(points[n], sizeof *cosine);
            float *polynomial = brute_alloc(points[n], sizeof *polynomial);
            CHECK_OK(vic_bias_add(VIC_BIAS_COSINE, 0, 0, 0, 5.0, points[n], cosine, &err));
            CHECK_OK(vic_bias_add(VIC_BIAS_POLYNOMIAL, 6, 0, 0, 5.0, points[n], polynomial, &err));
            double bare = largest_jump(kernel.name, zero, points[n], 5);
            double with_cosine = largest_jump(kernel.name, cosine, points[n], 5);
            double with_polynomial = largest_jump(kernel.name, polynomial, points[n], 5);
            print_message("%s, %d points: largest change in a step of 0.0001 A: %.2g without envelope, %.2g cosine, "
                          "%.2g polynomial\n",
                          kernel.name, points[n], bare, with_cosine, with_polynomial);
            CHECK(with_cosine < 5e-6, "%s jumps by %g with a cosine envelope", kernel.name, with_cosine);
            CHECK(with_polynomial < 5e-6, "%s jumps by %g with a polynomial envelope", kernel.name, with_polynomial);
            CHECK(bare > 1e-2, "%s: without an envelope the jump should show, got %g", kernel.name, bare);
            free(zero);
            free(cosine);
            free(polynomial);
        }
    }
}

/* A lone neighbour keeps its whole weight up to the cutoff, however small e^b: softmax knows ratios only. */
static void check_lone_neighbour(const struct kernel *kernel, void *context)
{
    const double *distance = context;
    double x[6] = { 0.1, 0.2, 0.3, 0.1 + *distance, 0.2, 0.3 };
    struct attention_case c = { .name = "lone", .n_q = 2, .n_k = -1, .box = 9, .cutoff = 4, .exclude_self = true };
    float table[3] = { 0.0f, -1.0f, -INFINITY };
    struct brute_points points = { .n_q = 2, .one_set = true, .exclude_self = true, .q = x, .k = x, .cutoff = 4.0 };
    struct problem p;
    vic_error err;
    c.bias = (struct distance_bias){ table, 3, 0 };
    make_problem(&c, 3, &p);
    brute_free(&p.pattern);
    brute_build(&points, 3, &p.pattern, NULL);
    p.pattern.references = 1 << 20; /* as in make_problem() */
    p.args.q_rows = p.pattern.q_order;
    p.args.k_rows = p.pattern.k_order;
    p.all_rows[0] = 0;
    p.all_rows[1] = 1;
    CHECK(p.pattern.info.pairs == 2, "expected a pair each way, got %lld", (long long)p.pattern.info.pairs);
    CHECK_OK(attention_ref_rows(&p.pattern, &p.shape, &p.args, pools[1], 2, NULL, p.ref_out, p.ref_lse, NULL, &err));
    launch(kernel, &p, 1, 0);
    compare(&c, &p, kernel->name);
    for (int x_ = 0; x_ < p.shape.d_v; x_++)
        CHECK(get(&p.out, 0, 1, x_) == get(&p.v, 1, 1, x_), "%s, %.17g A: the only neighbour's value", kernel->name,
              *distance);
    free_problem(&p);
}

static void test_lone_neighbour(void **state)
{
    double distances[] = { 1.0, 3.9, 3.999999, 3.9999999999 };
    (void)state;
    for (size_t i = 0; i < sizeof distances / sizeof *distances; i++)
        for_each_kernel(check_lone_neighbour, &distances[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),      cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_trivial_tables), cmocka_unit_test(test_continuous_at_the_cutoff),
        cmocka_unit_test(test_lone_neighbour),
    };
    return cmocka_run_group_tests_name("parity_bias", tests, start_pools, stop_pools);
}
