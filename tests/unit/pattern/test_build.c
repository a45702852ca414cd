/* SPDX-License-Identifier: Apache-2.0 */
/* The pattern against brute force: same pairs, same images, same counts.  Odd cases first. */
#include "brute.h"

static void sizes_off_the_strip(void **state)
{
    static const int sizes[] = { 0, 1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 129, 255, 257, 300 };
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint64_t seed = 100 + s;
        double *x = random_points(&seed, sizes[s], 12.0);
        struct pattern_input in = { .n_q = sizes[s], .q_positions = x, .cutoff = 5.0 };
        check_against_brute("open", &in, 0, 1);
        in.exclude_self = true;
        check_against_brute("open, no self", &in, 0, 3);
        free(x);
    }
}

static void coincident_atoms_and_no_neighbours(void **state)
{
    double x[3 * 100];
    (void)state;
    for (int i = 0; i < 100; i++) {
        x[3 * i] = i < 50 ? 1.0 : 100.0 * i; /* fifty on one spot, fifty alone */
        x[3 * i + 1] = x[3 * i + 2] = 2.0;
    }
    struct pattern_input in = { .n_q = 100, .q_positions = x, .cutoff = 3.0 };
    check_against_brute("coincident", &in, 0, 2);
    in.exclude_self = true;
    check_against_brute("coincident, no self", &in, 0, 2);
}

/* Atoms 10^9 A apart in one cluster: the float filter is useless there and must say so, not guess. */
static void far_apart(void **state)
{
    uint64_t seed = 7;
    double *x = random_points(&seed, 70, 10.0);
    (void)state;
    for (int i = 0; i < 70; i += 3) x[3 * i] += 1e9;
    for (int i = 1; i < 70; i += 3) x[3 * i + 1] -= 1e6;
    struct pattern_input in = { .n_q = 70, .q_positions = x, .cutoff = 4.0 };
    check_against_brute("far apart", &in, 0, 2);
    free(x);
}

static void periodic(const char *what, const double cell[3][3], const bool pbc[3], int n, double cutoff, int range,
                     double spread)
{
    uint64_t seed = 11;
    if (SANITIZED == 2 && range > 12) return; /* nearly all of it would be the brute force */
    double *x = random_points(&seed, n, spread);
    for (int i = 0; i < 3 * n; i++) x[i] -= 0.4 * spread; /* across cells: positions are not wrapped */
    struct pattern_input in = { .n_q = n, .q_positions = x, .cutoff = cutoff };
    memcpy(in.cell, cell, sizeof in.cell);
    memcpy(in.periodic, pbc, sizeof in.periodic);
    check_against_brute(what, &in, range, 2);
    in.exclude_self = true;
    check_against_brute(what, &in, range, 1);
    free(x);
}

static void cells(void **state)
{
    static const bool xyz[3] = { true, true, true }, xy[3] = { true, true, false }, z[3] = { false, false, true };
    static const double cube[3][3] = { { 10, 0, 0 }, { 0, 10, 0 }, { 0, 0, 10 } };
    static const double triclinic[3][3] = { { 9, 0, 0 }, { 3, 8, 0 }, { -2, 4, 7 } };
    static const double left_handed[3][3] = { { 0, 9, 0 }, { 8, 1, 0 }, { 0, 2, 10 } };
    /* b = 3 a + something short: without reduction its images would be far */
    static const double skewed[3][3] = { { 6, 0, 0 }, { 17, 6, 0 }, { -11, 7, 6 } };
    static const double tiny[3][3] = { { 2.45, 0, 0 }, { -1.2, 3.2, 0 }, { 0.3, -1.5, 3.1 } };
    static const double slab[3][3] = { { 8, 0, 0 }, { 2, 9, 0 }, { 0, 0, 0 } };
    static const double tilted_slab[3][3] = { { 8, 0, 1 }, { 2, 9, -2 }, { 5, 5, 30 } };
    (void)state;
    periodic("cube", cube, xyz, 150, 4.0, 5, 25);
    periodic("cutoff beyond half the cell", cube, xyz, 66, 7.5, 5, 25);
    periodic("cutoff beyond the cell", cube, xyz, 20, 23.0, 6, 20);
    periodic("triclinic", triclinic, xyz, 70, 4.0, 9, 25);
    periodic("left-handed", left_handed, xyz, 70, 4.0, 7, 25);
    periodic("strongly skewed", skewed, xyz, 30, 4.0, 20, 12);
    periodic("five atoms, many images", tiny, xyz, 5, 9.0, 12, 3);
    periodic("one atom", tiny, xyz, 1, 9.0, 12, 3);
    periodic("slab", slab, xy, 150, 4.0, 6, 25);
    periodic("tilted slab", tilted_slab, xy, 150, 4.0, 6, 25);
    periodic("wire", cube, z, 150, 4.0, 5, 25);
}

static void two_sets(void **state)
{
    static const bool xyz[3] = { true, true, true };
    static const double triclinic[3][3] = { { 9, 0, 0 }, { 3, 8, 0 }, { -2, 4, 7 } };
    uint64_t seed = 5;
    double *q = random_points(&seed, 37, 20.0), *k = random_points(&seed, 190, 20.0);
    struct pattern_input in = { .n_q = 37, .n_k = 190, .q_positions = q, .k_positions = k, .cutoff = 6.0 };
    (void)state;
    check_against_brute("two sets", &in, 0, 2);
    in.exclude_self = true; /* nothing is a self pair between two sets */
    memcpy(in.cell, triclinic, sizeof in.cell);
    memcpy(in.periodic, xyz, sizeof in.periodic);
    check_against_brute("two sets, periodic", &in, 8, 2);
    in.n_k = 0;
    check_against_brute("no keys", &in, 8, 2);
    in.n_k = 190;
    in.n_q = 0;
    check_against_brute("no queries", &in, 8, 2);
    free(q);
    free(k);
}

/* Neighbours exactly at the cutoff are out (the rule is strict), and counted as boundary pairs. */
static void ties_are_out_and_counted(void **state)
{
    double x[3 * 512];
    static const bool xyz[3] = { true, true, true };
    struct pattern_input in = { .n_q = 512, .q_positions = x, .cutoff = 1.25 };
    vic_error err;
    struct pool *pool;
    vic_pattern *p;
    (void)state;
    for (int i = 0; i < 512; i++) {
        x[3 * i] = 1.25 * (i % 8);
        x[3 * i + 1] = 1.25 * (i / 8 % 8);
        x[3 * i + 2] = 1.25 * (i / 64);
    }
    for (int k = 0; k < 3; k++) in.cell[k][k] = 10.0;
    memcpy(in.periodic, xyz, sizeof in.periodic);
    CHECK_OK(pool_create(2, &pool, &err));
    CHECK_OK(pattern_build(&in, pool, &p, &err));
    assert_int_equal(p->info.pairs, 512); /* themselves */
    assert_int_equal(p->info.boundary_pairs, 6 * 512);
    pattern_release(p);
    in.cutoff = 1.2500001;
    CHECK_OK(pattern_build(&in, pool, &p, &err));
    assert_int_equal(p->info.pairs, 7 * 512);
    assert_int_equal(p->info.boundary_pairs, 0);
    pattern_release(p);
    pool_free(pool);
}

/* A cutoff that takes in everything makes every inner block full, kept as runs without bits. */
static void full_blocks_are_runs(void **state)
{
    uint64_t seed = 3;
    double *x = random_points(&seed, 200, 5.0);
    struct pattern_input in = { .n_q = 200, .q_positions = x, .cutoff = 50.0 };
    vic_error err;
    struct pool *pool;
    vic_pattern *p;
    (void)state;
    check_against_brute("everything", &in, 0, 2);
    CHECK_OK(pool_create(2, &pool, &err));
    CHECK_OK(pattern_build(&in, pool, &p, &err));
    assert_int_equal(p->info.pairs, 200 * 200);
    assert_int_equal(p->strips, 4);
    assert_int_equal(p->info.blocks, 4 * 13);
    assert_int_equal(p->info.full_blocks, 3 * 12); /* 200 = 3 x 64 + 8 = 12 x 16 + 8 */
    assert_int_equal(p->full_ptr[4], 3);           /* one run each */
    pattern_release(p);
    pool_free(pool);
    free(x);
}

/* The same atoms in another order of input: the same pairs between the same atoms, and the same number of blocks. */
static void input_order_does_not_matter(void **state)
{
    enum { N = 700 };
    static const bool xyz[3] = { true, true, true };
    uint64_t seed = 21;
    double *x = random_points(&seed, N, 30.0), y[3 * N];
    int32_t shuffled[N];
    vic_error err;
    struct pool *pool;
    vic_pattern *p, *s;
    (void)state;
    for (int i = 0; i < N; i++) shuffled[i] = i;
    for (int i = N - 1; i > 0; i--) {
        int j = (int)(random_bits(&seed) % (uint64_t)(i + 1));
        int32_t t = shuffled[i];
        shuffled[i] = shuffled[j];
        shuffled[j] = t;
    }
    for (int i = 0; i < N; i++) memcpy(y + 3 * i, x + 3 * shuffled[i], 3 * sizeof *y);
    struct pattern_input in = { .n_q = N, .q_positions = x, .cutoff = 6.3 };
    for (int k = 0; k < 3; k++) in.cell[k][k] = 30.0;
    memcpy(in.periodic, xyz, sizeof in.periodic);
    CHECK_OK(pool_create(2, &pool, &err));
    CHECK_OK(pattern_build(&in, pool, &p, &err));
    in.q_positions = y;
    CHECK_OK(pattern_build(&in, pool, &s, &err));
    assert_int_equal(p->info.pairs, s->info.pairs);
    assert_int_equal(p->info.blocks, s->info.blocks);
    for (int row = 0; row < N; row++) assert_int_equal(p->q_order[row], shuffled[s->q_order[row]]);
    for (int64_t b = 0; b < p->n_partial; b++)
        assert_memory_equal(&p->partial_bits[b], &s->partial_bits[b], sizeof(struct block_bits));
    pattern_release(p);
    pattern_release(s);
    pool_free(pool);
    free(x);
}

/* A supercell has the pairs of its cell, once per repetition; a translation by lattice vectors changes nothing. */
static void supercell_and_translation(void **state)
{
    enum { N = 90 };
    static const bool xyz[3] = { true, true, true };
    static const double cell[3][3] = { { 11, 0, 0 }, { 3, 12, 0 }, { -2, 4, 13 } };
    uint64_t seed = 4;
    double *x = random_points(&seed, N, 12.0), *super = malloc(sizeof(double) * 3 * N * 12);
    struct pattern_input in = { .n_q = N, .q_positions = x, .cutoff = 7.1 };
    vic_error err;
    struct pool *pool;
    vic_pattern *p;
    (void)state;
    memcpy(in.cell, cell, sizeof in.cell);
    memcpy(in.periodic, xyz, sizeof in.periodic);
    CHECK_OK(pool_create(2, &pool, &err));
    CHECK_OK(pattern_build(&in, pool, &p, &err));
    int64_t pairs = p->info.pairs;
    assert_int_equal(p->info.boundary_pairs, 0);
    pattern_release(p);

    int at = 0;
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 3; b++)
            for (int c = 0; c < 2; c++)
                for (int i = 0; i < N; i++)
                    for (int d = 0; d < 3; d++)
                        super[at++] = x[3 * i + d] + a * cell[0][d] + b * cell[1][d] + c * cell[2][d];
    struct pattern_input big = in;
    big.n_q = 12 * N;
    big.q_positions = super;
    for (int d = 0; d < 3; d++) {
        big.cell[0][d] *= 2;
        big.cell[1][d] *= 3;
        big.cell[2][d] *= 2;
    }
    CHECK_OK(pattern_build(&big, pool, &p, &err));
    assert_int_equal(p->info.pairs, 12 * pairs);
    pattern_release(p);

    for (int i = 0; i < N; i++)
        for (int d = 0; d < 3; d++)
            x[3 * i + d] += (i % 5) * cell[0][d] - (i % 3) * cell[1][d] + (i % 7) * cell[2][d];
    CHECK_OK(pattern_build(&in, pool, &p, &err));
    assert_int_equal(p->info.pairs, pairs);
    pattern_release(p);
    pool_free(pool);
    free(x);
    free(super);
}

static void threads_change_nothing(void **state)
{
    uint64_t seed = 9;
    double *x = random_points(&seed, 20000, 60.0);
    struct pattern_input in = { .n_q = 20000, .q_positions = x, .cutoff = 5.0 };
    vic_error err;
    vic_pattern *first = NULL;
    (void)state;
    for (int threads = 1; threads <= 7; threads += 3) {
        struct pool *pool;
        vic_pattern *p;
        CHECK_OK(pool_create(threads, &pool, &err));
        CHECK_OK(pattern_build(&in, pool, &p, &err));
        pool_free(pool);
        if (!first) {
            first = p;
            continue;
        }
        assert_int_equal(p->n_partial, first->n_partial);
        assert_memory_equal(p->q_order, first->q_order, (size_t)in.n_q * sizeof *p->q_order);
        assert_memory_equal(p->partial_cluster, first->partial_cluster,
                            (size_t)p->n_partial * sizeof *p->partial_cluster);
        assert_memory_equal(p->partial_bits, first->partial_bits, (size_t)p->n_partial * sizeof *p->partial_bits);
        pattern_release(p);
    }
    pattern_release(first);
    free(x);
}

/* Positions in which ordering and boxes have nothing to go by, or float coordinates do not suffice. */
static void degenerate_positions(void **state)
{
    enum { N = 290 };
    static const bool xyz[3] = { true, true, true };
    double x[3 * N];
    (void)state;
    for (int kind = 0; kind < 6; kind++) {
        uint64_t seed = 31;
        for (int i = 0; i < N; i++) {
            double u = random_uniform(&seed), far = i % 2 ? 1e9 : 0.0;
            double *r = x + 3 * i;
            r[0] = kind == 0 ? 7.5 : kind == 1 ? 0.5 * i : kind == 2 ? (i % 17) * 0.5 : 12.0 * u;
            r[1] = kind == 0 ? 7.5 : kind == 1 ? 0.0 : kind == 2 ? (i / 17) * 0.5 : 12.0 * random_uniform(&seed);
            r[2] = kind == 0 ? 7.5 : kind < 3 ? 0.0 : 12.0 * random_uniform(&seed);
            if (kind == 3) r[i % 3] += far;                                      /* four swarms 10^9 A apart */
            if (kind == 4) r[0] = 0.01 * u + (i % 5 == 0 ? 1e4 : 0.0), r[2] = 0; /* drops, and a few gone astray */
            if (kind == 5) r[0] += 1e6, r[1] -= 3e6;                             /* far from the origin */
        }
        struct pattern_input in = { .n_q = N, .q_positions = x, .cutoff = 2.0001 };
        check_against_brute("degenerate", &in, 0, 2);
        if (kind == 3 || kind == 5) continue; /* the brute force would need all images in between */
        for (int k = 0; k < 3; k++) in.cell[k][k] = kind == 4 ? 2e4 : 200.0;
        memcpy(in.periodic, xyz, sizeof in.periodic);
        check_against_brute("degenerate, periodic", &in, 1, 3);
    }
}

/* The same bits on every instruction set, also where the rule has to decide. */
static void instruction_sets_change_nothing(void **state)
{
    static const char *const off[] = { "", "avx512", "avx512,avx2" };
    static const bool xyz[3] = { true, true, true };
    enum { N = 4000 };
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        uint64_t seed = 77;
        double *x = random_points(&seed, N, 30.0);
        struct pattern_input in = { .n_q = N, .q_positions = x, .cutoff = 5.0 };
        for (int i = 0; kind == 1 && i < 3 * N; i++) x[i] = 1.25 * (int)(x[i] / 1.25); /* ties with 4 steps */
        for (int i = 0; kind == 2 && i < N; i++) x[3 * i] += i % 3 == 0 ? 1e8 : 1e3;
        for (int k = 0; k < 3; k++) {
            in.cell[k][k] = 30.0;
            in.cell[k][(k + 1) % 3] = kind == 3 ? 4.0 : 0.0;
        }
        if (kind & 1) memcpy(in.periodic, xyz, sizeof in.periodic);
        vic_pattern *first = NULL;
        for (int v = 0; v < 3; v++) {
            struct pool *pool;
            vic_pattern *p;
            vic_error err;
            setenv("VIC_DISABLE_CPU", off[v], 1);
            CHECK_OK(pool_create(2, &pool, &err));
            CHECK_OK(pattern_build(&in, pool, &p, &err));
            pool_free(pool);
            unsetenv("VIC_DISABLE_CPU");
            if (!first) {
                first = p;
                continue;
            }
            p->info.seconds_order = first->info.seconds_order;
            p->info.seconds_build = first->info.seconds_build;
            assert_memory_equal(&p->info, &first->info, sizeof p->info);
            assert_memory_equal(p->partial_ptr, first->partial_ptr, (size_t)(p->strips + 1) * sizeof *p->partial_ptr);
            assert_memory_equal(p->partial_cluster, first->partial_cluster,
                                (size_t)p->n_partial * sizeof *p->partial_cluster);
            assert_memory_equal(p->partial_image, first->partial_image,
                                (size_t)p->n_partial * sizeof *p->partial_image);
            assert_memory_equal(p->partial_bits, first->partial_bits, (size_t)p->n_partial * sizeof *p->partial_bits);
            pattern_release(p);
        }
        if (kind == 1) assert_true(first->info.boundary_pairs > N);
        pattern_release(first);
        free(x);
    }
}

static void bad_input_is_refused(void **state)
{
    double x[6] = { 0, 0, 0, 1, 1, 1 };
    struct pattern_input in = { .n_q = 2, .q_positions = x, .cutoff = 3.0 };
    vic_error err;
    struct pool *pool;
    vic_pattern *p;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    static const double cutoffs[] = { 0.0, -1.0, NAN, INFINITY, 1e10 };
    for (size_t i = 0; i < sizeof cutoffs / sizeof *cutoffs; i++) {
        in.cutoff = cutoffs[i];
        CHECK_FAILS(pattern_build(&in, pool, &p, &err), VIC_BAD_ARGUMENT, "cutoff: expected a distance above 0");
        assert_null(p);
    }
    in.cutoff = 3.0;
    x[4] = NAN;
    CHECK_FAILS(pattern_build(&in, pool, &p, &err), VIC_BAD_INPUT, "atom 1: coordinate y is nan");
    x[4] = 1e13;
    CHECK_FAILS(pattern_build(&in, pool, &p, &err), VIC_BAD_INPUT, "within 1e+12 A");
    x[4] = 1.0;
    in.periodic[1] = true;
    CHECK_FAILS(pattern_build(&in, pool, &p, &err), VIC_BAD_INPUT, "cell vector b is 0 A long");
    in.periodic[0] = true;
    in.cell[0][0] = in.cell[1][0] = 5.0;
    CHECK_FAILS(pattern_build(&in, pool, &p, &err), VIC_BAD_INPUT, "not independent");
    in.cell[1][0] = 0.0;
    in.cell[1][1] = 5.0;
    in.cutoff = 1e6;
    CHECK_FAILS(pattern_build(&in, pool, &p, &err), VIC_BAD_ARGUMENT, "periodic images");
    in.cutoff = 3.0;
    x[0] = 1e12;
    in.cell[0][0] = 0.01;
    CHECK_FAILS(pattern_build(&in, pool, &p, &err), VIC_BAD_INPUT, "more than 2^29 cells away");
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_off_the_strip),
        cmocka_unit_test(coincident_atoms_and_no_neighbours),
        cmocka_unit_test(far_apart),
        cmocka_unit_test(cells),
        cmocka_unit_test(two_sets),
        cmocka_unit_test(ties_are_out_and_counted),
        cmocka_unit_test(full_blocks_are_runs),
        cmocka_unit_test(input_order_does_not_matter),
        cmocka_unit_test(supercell_and_translation),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(degenerate_positions),
        cmocka_unit_test(instruction_sets_change_nothing),
        cmocka_unit_test(bad_input_is_refused),
    };
    return cmocka_run_group_tests_name("pattern_build", tests, NULL, NULL);
}
