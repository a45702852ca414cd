/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#define ONE  "   1.0000000   2.0000000  -3.5000000"
#define FULL " 999.1234567-999.1234567   0.0000000"

static void test_forms(void **state)
{
    vic_structure *s = files_read("title\n    3  0.1E+02  0.3E+03\n" ONE FULL "\n" ONE "\n", NULL);
    vic_structure_view v = vic_structure_get(s);
    (void)state;
    assert_string_equal(v.format, "amber");
    assert_string_equal(v.title, "title");
    assert_int_equal(v.atoms, 3);
    CHECK_POSITION(v, 1, 999.1234567, -999.1234567, 0); /* fields run together */
    assert_false(v.has_cell);
    vic_structure_free(s);
    s = files_read("2\n    3\n" ONE FULL "\r\n" ONE "\r\n  10.0000000  20.0000000  30.0000000\r\n", NULL);
    v = vic_structure_get(s);
    assert_true(v.has_cell && v.cell[1][1] == 20 && v.periodic[2]);
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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_forms), cmocka_unit_test(test_refusals) };
    return FILES_TESTS("structure_amber", tests);
}
