/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#define WATER                                                                                                        \
    "    1SOL     OW99999   0.569  -1.275   1.165  0.1 velocity\n"                                                   \
    "    1SOL    HW1    0   0.600   1.300   1.000\n"                                                                 \
    "99999NA      NA    1   0.000   0.000  10.000\n"

static void test_rows(void **state)
{
    vic_structure *s = files_read("water, t= 0\n3\n" WATER "   1.0 2.0 3.0\n\n\n", NULL);
    vic_structure_view v = vic_structure_get(s);
    (void)state;
    assert_int_equal(v.atoms, 3);
    assert_string_equal(v.format, "gro");
    assert_string_equal(v.title, "water, t= 0");
    CHECK_POSITION(v, 0, 5.69, -12.75, 11.65);
    assert_true(v.positions[0] == 5.69); /* not 5.6899999999999995 */
    CHECK_POSITION(v, 2, 0, 0, 100);
    assert_int_equal(v.atomic_numbers[0], 8);
    assert_int_equal(v.atomic_numbers[1], 1);
    assert_int_equal(v.atomic_numbers[2], 11);
    assert_string_equal(v.labels[0].name, "OW");
    assert_string_equal(v.labels[0].residue, "SOL");
    assert_int_equal(v.labels[2].sequence, 99999);
    assert_null(v.b_factors);
    assert_null(v.occupancies);
    assert_true(v.has_cell && v.cell[0][0] == 10 && v.cell[1][1] == 20 && v.cell[2][2] == 30 && v.periodic[1]);
    vic_structure_free(s);
}

/* Five decimals and fields that touch: the width is the distance of the decimal points. */
static void test_precision_and_touching_fields(void **state)
{
    vic_structure *s = files_read("t\n2\n"
                                  "    1LIG     C1    1-100.12345-200.00000-300.50000\n"
                                  "    1LIG     C2    2   0.12345   0.00000   0.50000\n"
                                  "   5.0   6.0   7.0   0.1   0.2   0.3   0.4   0.5   0.6\n",
                                  NULL);
    vic_structure_view v = vic_structure_get(s);
    (void)state;
    CHECK_POSITION(v, 0, -1001.2345, -2000, -3005);
    CHECK_POSITION(v, 1, 1.2345, 0, 5);
    /* v1x v2y v3z v1y v1z v2x v2z v3x v3y */
    assert_true(v.cell[0][0] == 50 && v.cell[1][1] == 60 && v.cell[2][2] == 70);
    assert_true(v.cell[0][1] == 1 && v.cell[0][2] == 2 && v.cell[1][0] == 3);
    assert_true(v.cell[1][2] == 4 && v.cell[2][0] == 5 && v.cell[2][1] == 6);
    vic_structure_free(s);
}

/* Found by fuzzing: what stood where the count should be was said of the frame before, or read from anywhere. */
static void test_a_frame_of_a_title_alone(void **state)
{
    (void)state;
    CHECK_REFUSED("t\n3\n" WATER "0 0 0\nt\n", NULL, VIC_BAD_INPUT,
                  "line 7: expected the number of atoms of frame 2, found nothing");
}

static void test_no_box(void **state)
{
    vic_structure *s = files_read("t\n3\n" WATER "0 0 0\n", NULL);
    (void)state;
    assert_false(vic_structure_get(s).has_cell);
    vic_structure_free(s);
    CHECK_REFUSED("t\n3\n" WATER, NULL, VIC_BAD_INPUT, "line 5: expected a box line");
    CHECK_REFUSED("t\n3\n" WATER "1 2\n", NULL, VIC_BAD_INPUT, "line 6: expected the box as 3 or 9 numbers");
    CHECK_REFUSED("t\n3\n" WATER "1 2 x\n", NULL, VIC_BAD_INPUT, "expected the box");
    CHECK_REFUSED("t\n3\n" WATER "1 2 0\n", NULL, VIC_BAD_INPUT, "line 6: expected a cell vector c");
}

static void test_counts(void **state)
{
    (void)state;
    CHECK_REFUSED("t\n4\n" WATER "   1.0 2.0 3.0\n", NULL, VIC_BAD_INPUT,
                  "line 6: expected atom 4 of the 4 that line 2 announces");
    CHECK_REFUSED("t\n9\n" WATER, NULL, VIC_BAD_INPUT,
                  "line 2: expected 9 atom rows after this count, found 3 up to the end");
    CHECK_REFUSED("t\n2\n" WATER "   1.0 2.0 3.0\n", NULL, VIC_BAD_INPUT, "line 5: expected the box");
    CHECK_REFUSED("t\n0\n1 1 1\n", NULL, VIC_BAD_INPUT, "found no atoms");
    CHECK_REFUSED("t\n1\n\n 1 1 1\n", NULL, VIC_BAD_INPUT, "line 3: expected atom 1 of the 1");
    CHECK_REFUSED("t\n1\n    1SOL     OW    1   0.569   1.2x5   1.165\n 1 1 1\n", NULL, VIC_BAD_INPUT, "line 3");
    CHECK_REFUSED("t\n3\n" WATER "1 1 1\nt\nmany\n", NULL, VIC_BAD_INPUT,
                  "line 8: expected the number of atoms of frame 2, found \"many\"");
}

static void test_frames(void **state)
{
    static const char two[] =
        "first\n3\n" WATER "1 1 1\nsecond\n1\n    1SOL     OW    1   0.100   0.200   0.300\n2 2 2\n";
    vic_read_options o = VIC_READ_OPTIONS_INIT;
    vic_structure *s = files_read(two, NULL);
    vic_structure_view v = vic_structure_get(s);
    (void)state;
    assert_int_equal(v.models, 2);
    assert_int_equal(v.atoms, 3);
    assert_true(v.cell[0][0] == 10);
    vic_structure_free(s);
    o.model = 2;
    s = files_read(two, &o);
    v = vic_structure_get(s);
    assert_int_equal(v.atoms, 1);
    assert_string_equal(v.title, "second");
    CHECK_POSITION(v, 0, 1, 2, 3);
    assert_true(v.cell[0][0] == 20);
    vic_structure_free(s);
    o.model = 3;
    CHECK_REFUSED(two, &o, VIC_BAD_INPUT, "no model 3; the file has 2: 1, 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_precision_and_touching_fields),
        cmocka_unit_test(test_a_frame_of_a_title_alone),
        cmocka_unit_test(test_no_box),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_frames),
    };
    return FILES_TESTS("structure_gro", tests);
}
