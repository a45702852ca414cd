/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#define ONE  "   1.0000000   2.0000000  -3.5000000"
#define FULL " 999.1234567-999.1234567   0.0000000"

static void test_forms(void **state)
{
    vic_structure *s = files_read("title\n    3  0.1E+02  0.3E+03\n" ONE FULL "\n" ONE "\n", NULL);
    vic_structure_info v = files_info(s);
    (void)state;
    assert_string_equal(v.format, "amber");
    assert_string_equal(v.title, "title");
    assert_int_equal(v.atoms, 3);
    CHECK_POSITION(v, 1, 999.1234567, -999.1234567, 0); /* fields run together */
    assert_false(v.has_cell);
    vic_structure_free(s);
    s = files_read("2\n    3\n" ONE FULL "\r\n" ONE "\r\n  10.0000000  20.0000000  30.0000000\r\n", NULL);
    v = files_info(s);
    assert_true(v.has_cell && v.cell[4] == 20 && v.periodic[2]);
    vic_structure_free(s);
}

static void test_refusals(void **state)
{
    (void)state;
    CHECK_REFUSED("t\n    3\n" ONE FULL "\n", NULL, VIC_BAD_INPUT,
                  "line 3: expected the position of atom 3 of the 3");
    CHECK_REFUSED("t\n    3\n" ONE FULL "\n" ONE FULL "\n", NULL, VIC_BAD_INPUT,
                  "line 4: expected 3 numbers in columns of 12");
    CHECK_REFUSED("t\n    4\n" ONE FULL "\n" ONE " ***********           0.0000000\n", NULL, VIC_BAD_INPUT,
                  "line 4: expected 6");
    CHECK_REFUSED("t\n    4\n" ONE FULL "\n" ONE "         nan   1.0000000   0.0000000\n", NULL, VIC_BAD_INPUT,
                  "line 4");
    CHECK_REFUSED("t\n    3\n" ONE FULL "\n" ONE "\n" ONE FULL "\n" ONE "\n" ONE "\n" ONE "\n", NULL, VIC_BAD_INPUT,
                  "a line with the box, or both, found");
    CHECK_REFUSED("t\n    1\n" ONE "\n" ONE "\n", NULL, VIC_BAD_INPUT, "velocities or a box");
    CHECK_REFUSED("t\n    3\n" ONE FULL "\n" ONE "\n  10.0000000  20.0000000 -30.0000000\n", NULL, VIC_BAD_INPUT,
                  "line 5: expected a cell edge c");
    CHECK_REFUSED("t\n9000000000000000000\n" ONE FULL "\n", NULL, VIC_BAD_INPUT,
                  "position of atom 3 of the 9000000000000000000");
    CHECK_REFUSED("t\n    0\n" ONE "\n", NULL, VIC_BAD_INPUT, "expected positions, found no atoms");
}

/* Velocities are not looked at, and a box only where it is needed. */
static void test_what_follows(void **state)
{
    static const char head[] = "t\n    3\n" ONE FULL "\n" ONE "\n";
    static const char *const boxes[] = { "*************12.0000000  13.0000000",
                                         "   1.0000000   2.0000000   3.000000" };
    char text[400];
    vic_structure *s;
    (void)state;
    snprintf(text, sizeof text,
             "%s************************************************************************\nnan\n  10.0000000"
             "  20.0000000  30.0000000\n",
             head);
    s = files_read(text, NULL);
    assert_true(files_info(s).has_cell && files_info(s).cell[4] == 20);
    vic_structure_free(s);
    for (int i = 0; i < 2; ++i) {
        vic_read_options o = VIC_INIT(vic_read_options);
        snprintf(text, sizeof text, "%s%s\n", head, boxes[i]);
        CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "line 5: expected the box as 3 or 6 numbers");
        o.pbc = VIC_PBC_SET;
        CHECK_NOTED(text, &o, 3, "The cell of the file cannot be used");
        o = (vic_read_options)VIC_INIT(vic_read_options);
        o.has_cell = true;
        for (int k = 0; k < 6; ++k) o.cell[k] = k < 3 ? 40 : 90;
        CHECK_NOTED(text, &o, 3, "");
        CHECK_NOTED("t\n    1\n" ONE "\n" ONE "\n", &o, 1, ""); /* velocities or a box */
    }
    s = files_read("t\n    3  1.0E+00  3.0E+02  7.0E+00\n" ONE FULL "\n" ONE "\n", NULL); /* with a pH */
    assert_int_equal(files_info(s).atoms, 3);
    vic_structure_free(s);
    /* a number that is longer than its columns moves all others */
    CHECK_REFUSED("t\n    2\n-1000.1234567   2.0000000   3.0000000   4.0000000   5.0000000   6.0000000\n", NULL,
                  VIC_BAD_INPUT, "line 3");
    CHECK_REFUSED("t\n    3\n" ONE FULL "\n  1.0000000   2.0000000  -3.5000000\n", NULL, VIC_BAD_INPUT, "line 4");
    CHECK_REFUSED("t\n    3\n************" FULL "   2.0000000  -3.5000000\n" ONE "\n", NULL, VIC_BAD_INPUT,
                  "line 3: expected 6 numbers in columns of 12");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_what_follows),
    };
    return FILES_TESTS("structure_amber", tests);
}
