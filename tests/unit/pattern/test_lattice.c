/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/lattice.h"

#include "check.h"

static const bool xyz[3] = { true, true, true };

static double size2(const double a[3])
{
    return a[0] * a[0] + a[1] * a[1] + a[2] * a[2];
}

static double volume(const double m[3][3])
{
    return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
           m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

/* Random cells made skewed by random integer shears: the reduced vectors span the same lattice (integers, and the
 * same volume), and none is longer than the shortest way to write the cell that we started from. */
static void reduction_keeps_the_lattice(void **state)
{
    uint64_t seed = 1;
    (void)state;
    for (int trial = 0; trial < 300; trial++) {
        double start[3][3], cell[3][3], longest = 0;
        struct lattice l;
        vic_error err;
        for (int k = 0; k < 3; k++)
            for (int x = 0; x < 3; x++) start[k][x] = cell[k][x] = (k == x ? 8.0 : 0.0) + 3 * random_normal(&seed);
        if (fabs(volume((const double(*)[3])start)) < 50) continue;
        for (int shear = 0; shear < 6; shear++) {
            int i = (int)(random_bits(&seed) % 3), j = (i + 1 + (int)(random_bits(&seed) % 2)) % 3;
            int t = (int)(random_bits(&seed) % 7) - 3;
            for (int x = 0; x < 3; x++) cell[i][x] += t * cell[j][x];
        }
        CHECK_OK(lattice_make((const double(*)[3])cell, xyz, &l, &err));
        double ratio = volume((const double(*)[3])l.basis) / volume((const double(*)[3])start);
        CHECK(fabs(fabs(ratio) - 1) < 1e-9, "trial %d: volume changed by a factor %g", trial, ratio);
        for (int k = 0; k < 3; k++) longest = fmax(longest, size2(start[k]));
        for (int k = 0; k < 3; k++) {
            CHECK(size2(l.basis[k]) <= 3 * longest, "trial %d: vector %d is %g long, started from %g", trial, k,
                  sqrt(size2(l.basis[k])), sqrt(longest));
            for (int x = 0; x < 3; x++) {
                double sum = 0;
                for (int j = 0; j < 3; j++) sum += l.to_cell[k][j] * cell[j][x];
                assert_true(fabs(sum - l.basis[k][x]) < 1e-9);
            }
        }
    }
}

static void wrapping_gives_the_wrap(void **state)
{
    static const double cell[3][3] = { { 6, 0, 0 }, { 17, 6, 0 }, { -11, 7, 6 } };
    struct lattice l;
    vic_error err;
    uint64_t seed = 2;
    (void)state;
    CHECK_OK(lattice_make(cell, xyz, &l, &err));
    for (int i = 0; i < 1000; i++) {
        double r[3], wrapped[3];
        int32_t n[3];
        for (int x = 0; x < 3; x++) r[x] = 200 * random_normal(&seed);
        assert_true(lattice_wrap(&l, r, wrapped, n));
        for (int x = 0; x < 3; x++) {
            double moved = r[x] + n[0] * cell[0][x] + n[1] * cell[1][x] + n[2] * cell[2][x], f = 0;
            assert_true(fabs(moved - wrapped[x]) < 1e-9);
            for (int y = 0; y < 3; y++) f += wrapped[y] * l.inverse[x][y];
            assert_true(f > -1e-9 && f < 1 + 1e-9);
        }
    }
}

/* Open axes: nothing is wrapped along them, and there is one image. */
static void open_axes(void **state)
{
    static const double cell[3][3] = { { 8, 0, 0 }, { 0, 0, 0 }, { 0, 0, 0 } };
    static const bool none[3] = { false, false, false }, x_only[3] = { true, false, false };
    struct lattice l;
    struct lattice_image *images;
    int64_t count;
    vic_error err;
    double wrapped[3];
    int32_t n[3];
    (void)state;
    CHECK_OK(lattice_make(cell, none, &l, &err));
    CHECK_OK(lattice_images(&l, 1e6, &images, &count, &err));
    assert_int_equal(count, 1);
    free(images);
    CHECK_OK(lattice_make(cell, x_only, &l, &err));
    assert_true(lattice_wrap(&l, (const double[3]){ 17, 500, -500 }, wrapped, n));
    assert_int_equal(n[0], -2);
    assert_int_equal(n[1], 0);
    assert_true(wrapped[0] == 1 && wrapped[1] == 500 && wrapped[2] == -500);
    CHECK_OK(lattice_images(&l, 9, &images, &count, &err));
    assert_int_equal(count, 5); /* two points of one cell, 8 A: within 9 A through -2 .. 2 */
    free(images);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reduction_keeps_the_lattice),
        cmocka_unit_test(wrapping_gives_the_wrap),
        cmocka_unit_test(open_axes),
    };
    return cmocka_run_group_tests_name("pattern_lattice", tests, NULL, NULL);
}
