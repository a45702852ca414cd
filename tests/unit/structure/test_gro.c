/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#define WATER                                                                                                        \
    "    1SOL     OW99999   0.569  -1.275   1.165  0.1 velocity\n"                                                   \
    "    1SOL    HW1    0   0.600   1.300   1.000\n"                                                                 \
    "99999NA      NA    1   0.000   0.000  10.000\n"

static void test_rows(void **state)
{
    vic_structure *s = files_read("water, t= 0\n3\n" WATER "   1.0 2.0 3.0\n\n\n", NULL);
    vic_structure_info v = files_info(s);
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
    assert_true(v.has_cell && v.cell[0] == 10 && v.cell[4] == 20 && v.cell[8] == 30 && v.periodic[1]);
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
    vic_structure_info v = files_info(s);
    (void)state;
    CHECK_POSITION(v, 0, -1001.2345, -2000, -3005);
    CHECK_POSITION(v, 1, 1.2345, 0, 5);
    /* v1x v2y v3z v1y v1z v2x v2z v3x v3y */
    assert_true(v.cell[0] == 50 && v.cell[4] == 60 && v.cell[8] == 70);
    assert_true(v.cell[1] == 1 && v.cell[2] == 2 && v.cell[3] == 3);
    assert_true(v.cell[5] == 4 && v.cell[6] == 5 && v.cell[7] == 6);
    vic_structure_free(s);
}

/* What stands behind the wanted frame does not undo it.  (Found by fuzzing: what stood where the count should be was
 * said of the frame before, or read from anywhere.) */
static void test_what_follows_the_frame(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    (void)state;
    CHECK_NOTED("t\n3\n" WATER "0 0 0\nt\n", NULL, 3,
                "What follows frame 1 cannot be read and is left out: line 7: expected the number of atoms of frame "
                "2, "
                "found nothing.");
    CHECK_NOTED("t\n3\n" WATER "1 1 1\nt\nmany\n", NULL, 3, "line 8: expected the number of atoms of frame 2");
    CHECK_NOTED("t\n3\n" WATER "1 1 1\nt\n4\n" WATER, NULL, 3, "line 8: expected 4 atom rows after this count");
    CHECK_NOTED("t\n3\n" WATER "1 1 1\nt\n3\n" WATER, NULL, 3, "The file has 2 frames; the first was taken.");
    o.model = 2;
    CHECK_REFUSED("t\n3\n" WATER "0 0 0\nt\n", &o, VIC_BAD_INPUT, "frame 2, found nothing");
    CHECK_NOTED("t\n3\n" WATER "no box\nt\n1\n    1SOL     OW    1   0.100   0.200   0.300\n\n", &o, 1, "");
    o.model = -1;
    CHECK_REFUSED("t\n3\n" WATER "0 0 0\nt\n", &o, VIC_BAD_INPUT, "frame 2, found nothing");
}

#define ROW(serial, rest) "t\n1\n    1SOL     OW" serial rest "\n 2 2 2\n"

static void check_x(const char *text, double x)
{
    vic_structure *s = files_read(text, NULL);
    CHECK(files_info(s).positions[0] == x, "%g, not %g: %s", files_info(s).positions[0], x, text);
    vic_structure_free(s);
}

/* A number is looked at as a whole: what stands right before or behind its columns is its neighbour, or a part of it.
 */
static void test_edges(void **state)
{
    static const char before[] = "x begins before its columns", behind[] = "z goes on behind its columns";
    (void)state;
    check_x(ROW("12345", "-102.542  -1.493   2.303"), -1025.42);
    check_x(ROW("    1", "2345.678   1.493   2.303"),
            23456.78); /* the digit before is the serial's: it begins at 1 */
    check_x(ROW("*****", "2345.678   1.493   2.303"), 23456.78);
    check_x(ROW("    1", "-102.542-100.493-200.303-10.1234-10.5432  1.2345"), -1025.42);
    check_x(ROW("    1", "   0.5421234.4931234.567 11.1234 10.5432  1.2345"), 5.42);
    check_x(ROW("    1", "   0.542   0.493   0.567111.1234 10.5432  1.2345"), 5.42);
    check_x(ROW("    1", "   0.54210   0.49312   0.56700-10.123456  0.543200  1.234500"), 5.421);
    check_x(ROW("    1", "   0.5   1.493   2.303  "), 5); /* one column to the left, but whole */
    CHECK_REFUSED(ROW("   1-", "1025.420  -1.493   2.303"), NULL, VIC_BAD_INPUT, before);
    CHECK_REFUSED(ROW("   1+", "1025.420  -1.493   2.303"), NULL, VIC_BAD_INPUT, before);
    CHECK_REFUSED(ROW("   11", "2345.678   1.493   2.303"), NULL, VIC_BAD_INPUT, before); /* 12345.678? */
    CHECK_REFUSED(ROW("  11.", "2345678    1.493   2.303"), NULL, VIC_BAD_INPUT, "line 3");
    CHECK_REFUSED(ROW("    1", "   0.542   1.493   2.3034"), NULL, VIC_BAD_INPUT, behind);
    CHECK_REFUSED(ROW("    1", "   0.542   1.493-1000.303"), NULL, VIC_BAD_INPUT, "numbers run into");
    CHECK_REFUSED(ROW("    1", "   0.542   1.493   2.303e5"), NULL, VIC_BAD_INPUT, behind);
    CHECK_REFUSED(ROW("    1", "   0.542   1.493   2.303-05"), NULL, VIC_BAD_INPUT, behind);
    CHECK_REFUSED(ROW("    1", "10000.542   1.493   2.303"), NULL, VIC_BAD_INPUT, "line 3: expected atom 1 of the 1");
    CHECK_REFUSED(ROW("    1", "  0.542  11.4932  12.3034"), NULL, VIC_BAD_INPUT, "line 3: expected atom 1 of the 1");
    /* in the second row, after serial 1 */
    CHECK_REFUSED("t\n2\n    1SOL     OW    1   0.542   0.493   0.567\n    1SOL     OW   212345.678   1.493   "
                  "2.303\n1 1 1\n",
                  NULL, VIC_BAD_INPUT, "line 4");
}

/* Large numbers leave no blank: the decimals, or signs, tell where one ends. */
static void test_boxes_that_touch(void **state)
{
    vic_structure *s = files_read("t\n3\n" WATER "40000.0000050000.0000060000.00000\n", NULL);
    vic_structure_info v = files_info(s);
    (void)state;
    assert_true(v.cell[0] == 400000 && v.cell[4] == 500000 && v.cell[8] == 600000);
    vic_structure_free(s);
    s = files_read("t\n3\n" WATER " 100.0 200.0 300.0 0.0 0.0 10.0 0.0-20.0-30.0\n", NULL);
    v = files_info(s);
    assert_true(v.cell[0] == 1000 && v.cell[3] == 100 && v.cell[6] == -200 && v.cell[7] == -300);
    vic_structure_free(s);
}

/* A box that cannot be read matters where it is needed. */
static void test_box_in_doubt(void **state)
{
    static const char *const boxes[] = { "1 2\n",        "1 2 x\n",           "1.0 2.0 3.0 4.0\n",
                                         "1.02.03.05\n", "***************\n", "" };
    vic_read_options o = VIC_INIT(vic_read_options);
    char text[400];
    (void)state;
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; ++i) {
        vic_structure *s;
        snprintf(text, sizeof text, "t\n3\n" WATER "%s", boxes[i]);
        o = (vic_read_options)VIC_INIT(vic_read_options);
        CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "expected ");
        o.pbc = VIC_PBC_SET;
        CHECK_NOTED(text, &o, 3, "The cell of the file cannot be used");
        o = (vic_read_options)VIC_INIT(vic_read_options);
        o.has_cell = true;
        for (int k = 0; k < 6; ++k) o.cell[k] = k < 3 ? 40 : 90;
        s = files_read(text, &o);
        assert_true(files_info(s).has_cell && files_info(s).cell[8] == 40);
        vic_structure_free(s);
    }
    /* one atom more than the count is no box */
    o.pbc = VIC_PBC_SET;
    CHECK_REFUSED("t\n2\n" WATER "1 1 1\n", &o, VIC_BAD_INPUT, "found one more atom");
}

static void test_no_box(void **state)
{
    vic_structure *s = files_read("t\n3\n" WATER "0 0 0\n", NULL);
    (void)state;
    assert_false(files_info(s).has_cell);
    vic_structure_free(s);
    s = files_read("t\n3\n" WATER "\n", NULL); /* as ASE writes it */
    assert_false(files_info(s).has_cell);
    vic_structure_free(s);
    s = files_read("t\n3\n" WATER "0.1 0.1 0.1\n", NULL); /* 1 A */
    assert_false(files_info(s).has_cell);
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
}

static void test_frames(void **state)
{
    static const char two[] =
        "first\n3\n" WATER "1 1 1\nsecond\n1\n    1SOL     OW    1   0.100   0.200   0.300\n2 2 2\n";
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s = files_read(two, NULL);
    vic_structure_info v = files_info(s);
    (void)state;
    assert_int_equal(v.models, 2);
    assert_int_equal(v.atoms, 3);
    assert_true(v.cell[0] == 10);
    vic_structure_free(s);
    o.model = 2;
    s = files_read(two, &o);
    v = files_info(s);
    assert_int_equal(v.atoms, 1);
    assert_string_equal(v.title, "second");
    CHECK_POSITION(v, 0, 1, 2, 3);
    assert_true(v.cell[0] == 20);
    vic_structure_free(s);
    o.model = 3;
    CHECK_REFUSED(two, &o, VIC_BAD_INPUT, "no frame 3; the file has 2: 1 to 2;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_precision_and_touching_fields),
        cmocka_unit_test(test_what_follows_the_frame),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_boxes_that_touch),
        cmocka_unit_test(test_box_in_doubt),
        cmocka_unit_test(test_no_box),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_frames),
    };
    return FILES_TESTS("structure_gro", tests);
}
