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
    vic_structure_info v = files_info(s);
    (void)state;
    assert_string_equal(v.format, "lammps");
    assert_int_equal(v.atoms, 2);
    CHECK_POSITION(v, 0, 1, 2, 3); /* in the order of the file, not of the ids */
    assert_true(v.atomic_numbers[0] == 1 && v.atomic_numbers[1] == 8);
    assert_true(v.cell[0] == 10 && v.cell[4] == 11 && v.cell[8] == 12 && v.periodic[2]);
    vic_structure_free(s);
    s = files_read("t\n2 atoms\n1 atom types\n1 2 0 avec\n0 3 0 bvec\n0 1 4 cvec\n0 0 0 abc origin\n\nAtoms\n\n1 1 0 "
                   "0 0\n"
                   "2 1 1 1 1\n\nMasses\n\n1 72.0\n",
                   NULL);
    v = files_info(s);
    assert_true(v.cell[1] == 2 && v.cell[7] == 1 && v.cell[8] == 4);
    assert_int_equal(v.atomic_numbers[0], 0); /* a bead */
    vic_structure_free(s);
}

/* Six columns: id type q x y z or id molecule type x y z; the rows tell, or nothing does. */
static void test_guessed_styles(void **state)
{
    vic_structure *s = files_read(HEAD "Atoms\n\n1 1 1 2 3 4\n2 2 -1 5 6 7\n", NULL);
    (void)state;
    CHECK_POSITION(files_info(s), 0, 2, 3, 4);
    vic_structure_free(s);
    s = files_read(HEAD "Atoms\n\n1 3 1 2 3 4 0 0 1\n2 3 2 5 6 7 0 0 0\n", NULL);
    CHECK_POSITION(files_info(s), 1, 5, 6, 7);
    vic_structure_free(s);
    CHECK_REFUSED(HEAD "Atoms\n\n1 1 1 2 3 4\n2 2 2 5 6 7\n", NULL, VIC_BAD_INPUT,
                  "line 9: expected the style of the atoms behind the keyword (Atoms # charge, for example), as it "
                  "cannot be inferred from 6 columns");
    CHECK_REFUSED(HEAD "Atoms\n\n1 1 1.5 1.0 2 3 4\n2 2 1.5 1.0 5 6 7\n", NULL, VIC_BAD_INPUT,
                  "as it cannot be inferred from 7 columns");
    CHECK_REFUSED(HEAD "Atoms\n\n1 1 2 3\n2 2 3 4\n", NULL, VIC_BAD_INPUT, "as it cannot be inferred from 4 columns");
}

static void test_refusals(void **state)
{
    (void)state;
    CHECK_REFUSED(HEAD "Atoms # sphere\n\n1 1 1 1 2 3\n", NULL, VIC_BAD_INPUT, "expected 7 columns of style sphere");
    CHECK_REFUSED(HEAD "Atoms # hybrid\n\n1 1 1 1\n", NULL, VIC_BAD_INPUT, "5 columns or more of style hybrid");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 0\n", NULL, VIC_BAD_INPUT,
                  "expected 2 rows in Atoms, as line 3 says, found 1");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 0\n2 1 0 0 0\n3 1 0 0 0\n", NULL, VIC_BAD_INPUT,
                  "line 13: expected 2 rows in Atoms, as line 3 says, found one more");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 0\n\nVelocities\n\n1 0 0 0\n", NULL, VIC_BAD_INPUT, "found 1;");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 3 0 0 0\n2 1 0 0 0\n", NULL, VIC_BAD_INPUT,
                  "line 11: expected an atom type of");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 inf\n2 1 0 0 0\n", NULL, VIC_BAD_INPUT, "x, y, z as numbers");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 0 1 1\n2 1 0 0 0 0 0\n", NULL, VIC_BAD_INPUT,
                  "line 11: expected 5 columns of style atomic, or 8 with image flags");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 0\n2 1 0 0 0\n\nMasses\n\n1 1\n", NULL, VIC_BAD_INPUT,
                  "expected 1 more rows in Masses");
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n1 1 0 0 0\n2 1 0 0 0\n\nMasses\n\nC 12\nH 1\n", NULL, VIC_BAD_INPUT,
                  "or a label of Atom Type Labels");
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

/* An id that stands twice is one atom twice; ids need not count on, and 0 is none. */
static void test_ids(void **state)
{
    enum { MANY = 3000 };
    static char text[MANY * 40 + 400];
    size_t used;
    (void)state;
    CHECK_REFUSED(HEAD "Atoms # atomic\n\n7 1 0 0 0\n\n7 1 1 1 1 # again\n", NULL, VIC_BAD_INPUT,
                  "line 13: expected an id of its own for each atom, found 7, which the atom of line 11 has");
    CHECK_NOTED(HEAD "Atoms # atomic\n\n0 1 0 0 0\n0 1 1 1 1\n", NULL, 2, "");
    CHECK_NOTED(HEAD "Atoms # atomic\n\n-7 1 0 0 0\n9223372036854775807 1 1 1 1\n", NULL, 2, "");
    for (int twice = 0; twice < 2; ++twice) {
        used = (size_t)snprintf(text, sizeof text, "t\n%d atoms\n1 atom types\n" BOX "\nAtoms # atomic\n\n", MANY);
        for (int i = 0; i < MANY; ++i)
            used += (size_t)snprintf(text + used, sizeof text - used, "%lld 1 0 0 %d\n",
                                     twice && i == 2500 ? 64ll * 11 : 64ll * (MANY - i), i);
        if (twice)
            CHECK_REFUSED(
                text, NULL, VIC_BAD_INPUT,
                "line 2999: expected an id of its own for each atom, found 704, which the atom of line 2510");
        else
            CHECK_NOTED(text, NULL, MANY, "");
    }
}

/* Whatever begins with a letter ends the atoms. */
static void test_sections(void **state)
{
    static const char *const sections[] = {
        "Molecules\n\n1 1\n2 1\n",
        "CMAP\n\n1 1 1 2 1 2 1\n",
        "Clumps # of beads\n\n1 0.5\n",
        "Ellipsoids\n\n1 1 1 1 1 0 0 0\n",
        "Bodies\n\n1 1 12\n2\n1 1 1 0 0 0\n0 0 0 1 1 1\n",
        "my_Section\n\n1 5\n",
        "Bond Coeffs # harmonic\n\n1 300 1.0\n",
        "Tinker Types\n\n1 5\n",
        "PairIJ Coeffs\n\n1 2 0.1 3\n",
    };
    char text[400];
    (void)state;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; ++i) {
        vic_structure *s;
        snprintf(text, sizeof text, HEAD "Atoms # atomic\n\n1 1 0 0 0\n2 2 1 2 3\n\n%s\nMasses\n\n1 12.011\n2 1\n",
                 sections[i]);
        s = files_read(text, NULL);
        assert_int_equal(files_info(s).atoms, 2);
        CHECK(files_info(s).atomic_numbers[1] == 1, "%s", sections[i]);
        vic_structure_free(s);
        snprintf(text, sizeof text, HEAD "%s\nAtoms # atomic\n\n1 1 0 0 0\n2 2 1 2 3\n", sections[i]);
        s = files_read(text, NULL);
        CHECK_POSITION(files_info(s), 1, 1, 2, 3);
        vic_structure_free(s);
        snprintf(text, sizeof text, HEAD "Atoms # atomic\n\n1 1 0 0 0\n%s", sections[i]);
        CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "expected 2 rows in Atoms, as line 3 says, found 1;");
    }
}

/* The comment behind Atoms: a style, a style in other words, or anything. */
static void test_comments(void **state)
{
    static const struct {
        const char *comment, *row;
        double x;
        const char *note;
    } cases[] = {
        { "full", "1 1 -0.5 7 8 9", 7, "" },
        { "atom_style full", "1 1 -0.5 7 8 9", 7, "" },
        { "full (id mol type q x y z)", "1 1 -0.5 7 8 9", 7, "" },
        { "I like comments", "1 -0.5 7 8 9", 7,
          "\"I like comments\", names no style; the columns were taken as those of style charge" },
        { "full of water", "1 -0.5 7 8 9", 7, "style charge" },
        { "positions", "1 7 8 9", 7, "" },
        { "sphere", "1 0.5 1.5 7 8 9", 7, "" },
        { "dipole", "1 0.5 7 8 9 1 0 0", 7, "" },
        { "peri", "1 1.0 1.0 7 8 9", 7, "" },
        { "dpd", "1 1.0 7 8 9", 7, "" },
        { "electron", "1 1.0 1 0.5 7 8 9", 7, "" },
        { "bpm/sphere", "5 1 0.5 1.0 7 8 9", 7, "" },
        { "ellipsoid", "1 1 1.0 7 8 9", 7, "" },
        { "hybrid", "1 7 8 9 0.5 1 1.0", 7, "" },
        { "template", "5 1 2 1 7 8 9", 7, "" },
        { "spin", "1 7 8 9 0 0 1 2.2", 7, "" },
        { "tdpd", "1 7 8 9 0.1", 7, "" },
        { "smd", "1 1 1 1 1 1 4 5 6 7 8 9", 7, "" },
        { "line", "5 1 0 1.0 7 8 9", 7, "" },
        { "amoeba", "5 1 -0.5 7 8 9", 7, "" },
        { "atomic", "1 7 8 9 0.0 0.0 x", 7, "" }, /* image flags are not used */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char text[400];
        vic_structure *s;
        snprintf(text, sizeof text, HEAD "Atoms  # %s\n\n1 %s # first\n2 %s\n", cases[i].comment, cases[i].row,
                 cases[i].row);
        s = files_read(text, NULL);
        CHECK(files_info(s).positions[3] == cases[i].x, "%s", text);
        CHECK(*cases[i].note ? strstr(files_info(s).notes, cases[i].note) != NULL : !*files_info(s).notes, "%s: %s",
              text, files_info(s).notes);
        vic_structure_free(s);
    }
    /* eight columns with no name are atomic only if the last three can be image flags */
    CHECK_REFUSED(HEAD "Atoms # granules\n\n1 5 1 0.5 1.0 7 8 9.5\n2 5 1 0.5 1 7 8 9\n", NULL, VIC_BAD_INPUT,
                  "as it cannot be inferred from 8 columns, found \"granules\"");
}

static void test_type_labels(void **state)
{
    vic_structure *s =
        files_read("LAMMPS data file via write_data, version 1, timestep = 0, units = real\n2 atoms\n2 atom "
                   "types\n" BOX
                   "\nAtom Type Labels\n\n1 OW\n2 [C;X4]\n\nBond Type Labels\n\n1 OW-HW\n\nMasses\n\nOW 15.9994\n"
                   "2 12.0107\n\nPair Coeffs # lj/cut\n\nOW 0.1 3\n[C;X4] 0.1 3\n\nAtoms # full\n\n"
                   "1 1 [C;X4] 0.5 1 2 3 0 0 0\n2 1 OW -0.5 4 5 6 0 0 0\n\nVelocities\n\n1 0 0 0\n2 0 0 0\n",
                   NULL);
    vic_structure_info v = files_info(s);
    (void)state;
    assert_true(v.atoms == 2 && v.atomic_numbers[0] == 6 && v.atomic_numbers[1] == 8);
    assert_string_equal(v.notes, "");
    vic_structure_free(s);
    CHECK_REFUSED(HEAD "Atom Type Labels\n\n1 A\n2 B\n\nAtoms # atomic\n\n1 A 0 0 0\n2 AB 1 1 1\n", NULL,
                  VIC_BAD_INPUT,
                  "line 17: expected an atom type of the header, or a label of one, found \"2 AB 1 1 1\"");
    CHECK_REFUSED(HEAD "Atom Type Labels\n\n1 A\n\nAtoms # atomic\n\n1 A 0 0 0\n2 A 1 1 1\n", NULL, VIC_BAD_INPUT,
                  "expected an atom type (a number) and its label, found \"Atoms\"");
    CHECK_REFUSED(HEAD "Atom Type Labels\n\n3 A\n2 B\n", NULL, VIC_BAD_INPUT,
                  "line 11: expected an atom type (a number)");
    CHECK_REFUSED(HEAD "Atom Type Labels\n\n1 A\n", NULL, VIC_BAD_INPUT, "expected 1 more rows in Atom Type Labels");
}

/* Masses of beads and of lj units claim no element. */
static void test_masses(void **state)
{
    static const struct {
        const char *title, *first, *second;
        int numbers[2];
    } cases[] = {
        { "t", "1.0", "1", { 0, 0 } },
        { "t", "1.0", "12.0", { 1, 6 } },
        { "t", "1.0", "2.0", { 0, 0 } },
        { "t", "1.0", "4.0026", { 0, 2 } },
        { "t", "1.0", "10.0", { 0, 0 } },
        { "t", "1.00794", "1.00794", { 1, 1 } },
        { "t", "14.027", "15.035", { 0, 0 } },
        { "t", "14.0", "16.0", { 7, 8 } },
        { "t", "14.01", "16.00", { 7, 8 } },
        { "t", "72.0", "45.0", { 0, 0 } },
        { "t", "28.0", "45.0", { 14, 21 } },
        { "t", "11.991", "13.983", { 0, 0 } },
        { "t", "3.024", "15.999", { 0, 8 } },
        { "t", "1e-5", "28.0", { 0, 14 } },
        { "t", "26.98", "63.55", { 13, 29 } },
        { "x, timestep = 0, units = lj", "12.011", "1.008", { 0, 0 } },
        { "x, timestep = 0, units = metal", "12.011", "1.008", { 6, 1 } },
        { "x, timestep = 0, units = electron", "12.011", "1.008", { 6, 1 } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char text[400];
        vic_structure *s;
        vic_structure_info v;
        snprintf(text, sizeof text,
                 "%s\n2 atoms\n2 atom types\n" BOX "\nMasses\n\n1 %s\n2 %s\n\nAtoms\n\n1 1 0 0 0\n2 2 1 1 1\n",
                 cases[i].title, cases[i].first, cases[i].second);
        s = files_read(text, NULL);
        v = files_info(s);
        CHECK(v.atomic_numbers[0] == cases[i].numbers[0] && v.atomic_numbers[1] == cases[i].numbers[1], "%s: %d %d",
              text, v.atomic_numbers[0], v.atomic_numbers[1]);
        CHECK(!strstr(cases[i].title, "lj") == !strstr(v.notes, "units = \"lj\""), "%s", v.notes);
        vic_structure_free(s);
    }
}

static void test_box_in_doubt(void **state)
{
    static const char *const boxes[] = { "0 10 xlo xhi\n5 5 ylo yhi\n0 1 zlo zhi\n",
                                         "0 10 xlo xhi\n0 1 ylo yhi\n",
                                         "0 10 xlo xhi\n0 0 ylo yhi\n0 1 zlo zhi\n",
                                         "0 x xlo xhi\n0 1 ylo yhi\n0 1 zlo zhi\n",
                                         BOX "1 0 z xy xz yz\n",
                                         "1 2 x avec\n0 3 0 bvec\n0 1 4 cvec\n",
                                         "" };
    vic_structure *s;
    (void)state;
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; ++i) {
        vic_read_options o = VIC_INIT(vic_read_options);
        char text[300];
        snprintf(text, sizeof text, "t\n1 atoms\n1 atom types\n%s\nAtoms # atomic\n\n1 1 0 0 0\n", boxes[i]);
        CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "give one (--cell");
        o.pbc = VIC_PBC_SET;
        CHECK_NOTED(text, &o, 1, "The cell of the file cannot be used");
        o = (vic_read_options)VIC_INIT(vic_read_options);
        o.has_cell = true;
        for (int k = 0; k < 6; ++k) o.cell[k] = k < 3 ? 40 : 90;
        CHECK_NOTED(text, &o, 1, "");
    }
    s = files_read("t\n1 atoms\n1 atom types\n0 0 xlo xhi\n0 0 ylo yhi\n0 0 zlo zhi\n\nAtoms\n\n1 1 0 0 0\n", NULL);
    assert_false(files_info(s).has_cell || files_info(s).periodic[0]);
    vic_structure_free(s);
    s = files_read("t\n1 atoms\n1 atom types\n0 1 xlo xhi\n0 1 ylo yhi\n0 1 zlo zhi\n\nAtoms\n\n1 1 0 0 0\n", NULL);
    assert_false(files_info(s).has_cell || files_info(s).periodic[0]);
    vic_structure_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),        cmocka_unit_test(test_guessed_styles),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_ids),
        cmocka_unit_test(test_sections),     cmocka_unit_test(test_comments),
        cmocka_unit_test(test_type_labels),  cmocka_unit_test(test_masses),
        cmocka_unit_test(test_box_in_doubt),
    };
    return FILES_TESTS("structure_lammps", tests);
}
