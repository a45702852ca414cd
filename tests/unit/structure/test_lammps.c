/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#define BOX  "0 10 xlo xhi\n0 11 ylo yhi\n-1 11 zlo zhi\n"
#define HEAD "title\n\n2 atoms\n2 atom types\n" BOX "\n"

static void test_forms(void **state)
{
    vic_structure *s =
        files_read(HEAD "Atoms # full\n\n7 1 2 -0.5 1 2 3\n3 1 1 .5 4 5 6\n\nBonds\n\n1 1 1 2\n\nMasses\n\n"
                        "1 15.9994 # O\n2 2.014\n",
                   NULL);
    vic_structure_view v = vic_structure_get(s);
    (void)state;
    assert_string_equal(v.format, "lammps");
    assert_int_equal(v.atoms, 2);
    CHECK_POSITION(v, 0, 1, 2, 3); /* in the order of the file, not of the ids */
    assert_true(v.atomic_numbers[0] == 1 && v.atomic_numbers[1] == 8);
    assert_true(v.cell[0][0] == 10 && v.cell[1][1] == 11 && v.cell[2][2] == 12 && v.periodic[2]);
    vic_structure_free(s);
    s = files_read("t\n2 atoms\n1 atom types\n1 2 0 avec\n0 3 0 bvec\n0 1 4 cvec\n0 0 0 abc origin\n\nAtoms\n\n1 1 0 "
                   "0 0\n"
                   "2 1 1 1 1\n\nMasses\n\n1 72.0\n",
                   NULL);
    v = vic_structure_get(s);
    assert_true(v.cell[0][1] == 2 && v.cell[2][1] == 1 && v.cell[2][2] == 4);
    assert_int_equal(v.atomic_numbers[0], 0); /* a bead */
    vic_structure_free(s);
}

/* Six columns: id type q x y z or id molecule type x y z; the rows tell, or nothing does. */
static void test_guessed_styles(void **state)
{
    vic_structure *s = files_read(HEAD "Atoms\n\n1 1 1 2 3 4\n2 2 -1 5 6 7\n", NULL);
    (void)state;
    CHECK_POSITION(vic_structure_get(s), 0, 2, 3, 4);
    vic_structure_free(s);
    s = files_read(HEAD "Atoms\n\n1 3 1 2 3 4 0 0 1\n2 3 2 5 6 7 0 0 0\n", NULL);
    CHECK_POSITION(vic_structure_get(s), 1, 5, 6, 7);
    vic_structure_free(s);
    CHECK_REFUSED(HEAD "Atoms\n\n1 1 1 2 3 4\n2 2 2 5 6 7\n", NULL, VIC_BAD_INPUT,
                  "line 9: expected the style of the atoms behind the keyword (Atoms # charge, for example), as 6 "
                  "columns");
    CHECK_REFUSED(HEAD "Atoms\n\n1 1 1.5 1.0 2 3 4\n2 2 1.5 1.0 5 6 7\n", NULL, VIC_BAD_INPUT,
                  "as 7 columns do not tell");
    CHECK_REFUSED(HEAD "Atoms\n\n1 1 2 3\n2 2 3 4\n", NULL, VIC_BAD_INPUT, "as 4 columns do not tell");
}

static void test_refusals(void **state)
{
    (void)state;
    CHECK_REFUSED(HEAD "Atoms # sphere\n\n1 1 1 1 2 3 4\n", NULL, VIC_BAD_INPUT, "found the style \"sphere\"");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 0\n", NULL, VIC_BAD_INPUT,
                  "expected 2 rows in Atoms, as line 3 says, found 1");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 0\n2 1 0 0 0\n3 1 0 0 0\n", NULL, VIC_BAD_INPUT,
                  "line 13: expected 2 rows in Atoms, as line 3 says, found one more");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 0\n\nVelocities\n\n1 0 0 0\n", NULL, VIC_BAD_INPUT, "found 1;");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 3 0 0 0\n2 1 0 0 0\n", NULL, VIC_BAD_INPUT,
                  "line 11: expected an atom type of");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 inf\n2 1 0 0 0\n", NULL, VIC_BAD_INPUT, "x, y, z as numbers");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 0 0.5 1 1\n2 1 0 0 0 0 0 0\n", NULL, VIC_BAD_INPUT,
                  "line 11: expected 5 columns of style atomic, or 8 with image flags");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 0\n2 1 0 0 0\n\nMasses\n\n1 1\n", NULL, VIC_BAD_INPUT,
                  "expected 1 more rows in Masses");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 0\n2 1 0 0 0\n\nMasses\n\nC 12\nH 1\n", NULL, VIC_BAD_INPUT,
                  "labels are not read");
    CHECK_REFUSED("t\n9000000000000000000 atoms\n1 atom types\n" BOX "\nAtoms # atomic\n\n1 1 0 0 0\n", NULL,
                  VIC_BAD_INPUT, "found 1;");
    CHECK_REFUSED("t\n1 atoms\n9000000000000000000 atom types\n" BOX
                  "\nMasses\n\n1 1\n\nAtoms # atomic\n\n1 1 0 0 0\n",
                  NULL, VIC_BAD_INPUT, "expected the number of atom types in the header");
    CHECK_REFUSED("t\n1 atoms\n1 atom types\n0 10 xlo xhi\n5 5 ylo yhi\n0 1 zlo zhi\n\nAtoms # atomic\n\n1 1 0 0 0\n",
                  NULL, VIC_BAD_INPUT, "line 5: expected two numbers, the lower one first");
    CHECK_REFUSED("t\n1 atoms\n1 atom types\n0 10 xlo xhi\n\nAtoms # atomic\n\n1 1 0 0 0\n", NULL, VIC_BAD_INPUT,
                  "expected a line \"low high ylo yhi\"");
    CHECK_REFUSED("t\n0 atoms\n" BOX, NULL, VIC_BAD_INPUT, "expected a section Atoms with rows");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_guessed_styles),
        cmocka_unit_test(test_refusals),
    };
    return FILES_TESTS("structure_lammps", tests);
}
