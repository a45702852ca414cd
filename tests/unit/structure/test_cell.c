/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "structure/cell.h"

static void test_right_angles_are_exact(void **state)
{
    const double p[6] = { 10, 20, 30, 90, 90, 90 };
    double cell[3][3];
    char why[200];
    (void)state;
    assert_true(cell_from_parameters(p, cell, why, sizeof why));
    for (int i = 0; i < 3; ++i)
        for (int k = 0; k < 3; ++k) assert_true(cell[i][k] == (i == k ? p[i] : 0.0));
}

static void test_parameters_come_back(void **state)
{
    uint64_t seed = 11;
    int cells = 0;
    (void)state;
    for (int i = 0; i < 3000; ++i) {
        double p[6], q[6], cell[3][3], inverse[3][3], unit[3], volume, ca, cb, cg;
        char why[200];
        for (int k = 0; k < 3; ++k) p[k] = 1 + 99 * random_uniform(&seed);
        for (int k = 3; k < 6; ++k) p[k] = 20 + 140 * random_uniform(&seed);
        if (!cell_from_parameters(p, cell, why, sizeof why)) continue;
        ++cells;
        cell_to_parameters(CELL(cell), q);
        for (int k = 0; k < 6; ++k)
            CHECK(fabs(p[k] - q[k]) < 1e-6 * p[k], "%d: %.9g came back as %.9g", k, p[k], q[k]);
        ca = cos(p[3] * 3.14159265358979323846 / 180);
        cb = cos(p[4] * 3.14159265358979323846 / 180);
        cg = cos(p[5] * 3.14159265358979323846 / 180);
        volume = p[0] * p[1] * p[2] * sqrt(1 - ca * ca - cb * cb - cg * cg + 2 * ca * cb * cg);
        assert_true(fabs(cell_volume(CELL(cell)) - volume) < 1e-6 * p[0] * p[1] * p[2]);
        assert_true(cell_is_upright(CELL(cell)) && cell_is_full(CELL(cell)));
        cell_invert(CELL(cell), inverse);
        for (int k = 0; k < 3; ++k) {
            cell_multiply(cell[k], CELL(inverse), unit);
            for (int m = 0; m < 3; ++m) assert_true(fabs(unit[m] - (m == k)) < 1e-6);
        }
    }
    assert_true(cells > 500);
}

static void check_refused(const double p[6], const char *part)
{
    double cell[3][3];
    char why[200] = "";
    assert_false(cell_from_parameters(p, cell, why, sizeof why));
    CHECK(strstr(why, part), "no \"%s\" in: %s", part, why);
}

static void test_impossible_parameters(void **state)
{
    const double edge[6] = { 10, -1, 10, 90, 90, 90 }, nan_edge[6] = { 10, 10, NAN, 90, 90, 90 };
    const double angle[6] = { 10, 10, 10, 90, 180, 90 }, zero[6] = { 10, 10, 10, 0, 0, 0 };
    const double open[6] = { 10, 10, 10, 30, 30, 90 }, flat[6] = { 10, 10, 10, 120, 120, 120 };
    (void)state;
    check_refused(edge, "edge b between 0 and 1e9 A, found -1");
    check_refused(nan_edge, "edge c");
    check_refused(angle, "angle beta between 0 and 180 degrees, found 180");
    check_refused(zero, "angle alpha");
    check_refused(open, "close a cell");
    check_refused(flat, "close a cell");
}

static void test_periodic_vectors_must_be_independent(void **state)
{
    const double slab[3][3] = { { 2, 0, 0 }, { 1, 3, 0 }, { 0, 0, 0 } },
                 line[3][3] = { { 1, 1, 0 }, { 2, 2, 0 }, { 0, 0, 5 } };
    const bool open_c[3] = { true, true, false }, all[3] = { true, true, true }, open_b[3] = { true, false, true };
    char why[300];
    (void)state;
    assert_true(cell_check_periodic(slab, open_c, why, sizeof why));
    assert_false(cell_check_periodic(slab, all, why, sizeof why));
    assert_non_null(strstr(why, "cell vector c"));
    assert_false(cell_check_periodic(line, all, why, sizeof why));
    assert_non_null(strstr(why, "different directions"));
    assert_false(cell_check_periodic(line, open_c, why, sizeof why));
    assert_true(cell_check_periodic(line, open_b, why, sizeof why));
}

/* 4HHB's SCALE records: a frame of its own, printed to six decimals. */
static void test_frame_of_the_file(void **state)
{
    const double p[6] = { 63.15, 83.59, 53.8, 90, 99.34, 90 };
    const double scale[3][3] = { { 0.015462, 0.002192, 0.003698 },
                                 { -0.001902, 0.011771, 0.000974 },
                                 { -0.001062, -0.001721, 0.018728 } };
    const double other[3][3] = { { 0.02, 0, 0 }, { 0, 0.02, 0 }, { 0, 0, 0.02 } }, nothing[3][3] = { { 0 } };
    double cell[3][3], before[3][3], q[6];
    char why[200];
    (void)state;
    assert_true(cell_from_parameters(p, cell, why, sizeof why));
    memcpy(before, cell, sizeof before);
    assert_false(cell_turn_to_frame(other, cell));
    assert_false(cell_turn_to_frame(nothing, cell));
    assert_memory_equal(cell, before, sizeof cell);
    assert_true(cell_turn_to_frame(scale, cell));
    assert_false(cell_is_upright(CELL(cell)));
    cell_to_parameters(CELL(cell), q);
    for (int i = 0; i < 6; ++i) assert_true(fabs(q[i] - p[i]) < 1e-9);
    for (int i = 0; i < 3; ++i) /* SCALE times the vectors is the unit matrix */
        for (int k = 0; k < 3; ++k) {
            double sum = 0;
            for (int m = 0; m < 3; ++m) sum += scale[i][m] * cell[k][m];
            assert_true(fabs(sum - (i == k)) < 2e-3);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_angles_are_exact), cmocka_unit_test(test_parameters_come_back),
        cmocka_unit_test(test_impossible_parameters),  cmocka_unit_test(test_periodic_vectors_must_be_independent),
        cmocka_unit_test(test_frame_of_the_file),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
