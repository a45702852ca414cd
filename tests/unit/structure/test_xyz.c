/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

static void test_plain(void **state)
{
    vic_structure *s =
        files_read("5\n a molecule = 3 \nC 0 0 1.5e0 extra columns\nfe\t1 2 3\n17 0 0 0\nX 1 1 1\nO_w 9 9 9\n\n \n",
                   NULL);
    vic_structure_info v = files_info(s);
    static const int numbers[] = { 6, 26, 17, 0, 8 };
    (void)state;
    assert_string_equal(v.format, "xyz");
    assert_string_equal(v.title, "a molecule = 3");
    assert_int_equal(v.atoms, 5);
    for (int i = 0; i < 5; ++i) assert_int_equal(v.atomic_numbers[i], numbers[i]);
    CHECK_POSITION(v, 0, 0, 0, 1.5);
    assert_null(v.labels);
    assert_false(v.has_cell || v.periodic[0]);
    vic_structure_free(s);
    s = files_read("1\n42\nHe 1 2 3\n", NULL); /* a number as comment: not GRO */
    assert_string_equal(files_info(s).format, "xyz");
    vic_structure_free(s);
}

static void check_cell(const char *comment, const double cell[9], const char *pbc)
{
    char text[600];
    vic_structure *s;
    vic_structure_info v;
    snprintf(text, sizeof text, "1\n%s\nH 0.5 0.5 0.5\n", comment);
    s = files_read(text, NULL);
    v = files_info(s);
    CHECK(strcmp(v.format, "extxyz") == 0, "%s: read as %s", comment, v.format);
    for (int i = 0; i < 9; ++i) CHECK(v.cell[i] == cell[i], "%s: cell %d is %g", comment, i, v.cell[i]);
    for (int i = 0; i < 3; ++i) CHECK(v.periodic[i] == (pbc[i] == 'T'), "%s: axis %d", comment, i);
    vic_structure_free(s);
}

static void test_lattice_and_pbc(void **state)
{
    const double general[9] = { 2, 0, 0, -1, 3, 0, 0.5, 0.25, 4 }, diagonal[9] = { 2, 0, 0, 0, 3, 0, 0, 0, 4 };
    const double slab[9] = { 2, 0, 0, 0, 3, 0, 0, 0, 0 }, none[9] = { 0 };
    (void)state;
    check_cell("Lattice=\"2 0 0 -1 3 0 0.5 0.25 4\" Properties=species:S:1:pos:R:3", general, "TTT");
    check_cell("Properties=species:S:1:pos:R:3 title='it is =' Lattice='2 0 0 -1 3 0 0.5 0.25 4'", general, "TTT");
    check_cell("energy=-1.5 lattice = {2 0 0 -1 3 0 0.5 0.25 4} pbc={T F T}", general, "TFT");
    check_cell("pbc=[true, False, 1] Lattice=[[2, 0, 0], [-1, 3, 0], [0.5, 0.25, 4]]", general, "TFT");
    check_cell("Lattice=\"2 3 4\" pbc=\"F F F\"", diagonal, "FFF");
    check_cell("pbc=T Lattice=\"2 3 4\"", diagonal, "TTT");
    check_cell("Lattice=\"2 0 0 0 3 0 0 0 0\" pbc=\"T T F\"", slab, "TTF");
    check_cell("Lattice=\"0 0 0 0 0 0 0 0 0\"", none, "FFF");
    check_cell("Lattice=\"1 0 0 0 1 0 0 0 1\" pbc=\"F F F\"", none, "FFF"); /* what some write for none */
    check_cell("Lattice=\"1 1 1\" pbc=\"T T T\"", none, "FFF");
    check_cell("note={not closed Lattice=\"2 3 4\" pbc=T", diagonal, "TTT");
    CHECK_NOTED("1\nLattice=\"1 1 1\" pbc=\"F T F\"\nH 0 0 0\n", NULL, 1, "so the pbc of the file is ignored");
    check_cell("pbc=\"F F F\" note=\"with \\\" inside\"", none, "FFF");
    CHECK_REFUSED("1\nLattice=\"2 0 0 0 3 0 0 0 0\"\nH 0 0 0\n", NULL, VIC_BAD_INPUT,
                  "line 2: expected a cell vector c");
    CHECK_REFUSED("1\nLattice=\"2 0 0 2 0 0 0 0 1\"\nH 0 0 0\n", NULL, VIC_BAD_INPUT, "different directions");
    CHECK_REFUSED("1\nLattice=\"2 0 0 0\"\nH 0 0 0\n", NULL, VIC_BAD_INPUT, "line 2: expected Lattice as 9 numbers");
    CHECK_REFUSED("1\nLattice=\"2 x 3\"\nH 0 0 0\n", NULL, VIC_BAD_INPUT, "found \"2 x 3\"");
    CHECK_REFUSED("1\nLattice=\"2 3 4\nH 0 0 0\n", NULL, VIC_BAD_INPUT, "closing quote");
    for (int i = 0; i < 3; ++i) { /* a Lattice that cannot be read matters where it is needed */
        static const char *const bad[] = { "\"2 0 0 0\"", "\"2 x 3\"", "\"2 3 4" };
        vic_read_options o = VIC_INIT(vic_read_options);
        char text[100];
        snprintf(text, sizeof text, "1\nLattice=%s\nH 0 0 0\n", bad[i]);
        o.pbc = VIC_PBC_SET;
        CHECK_NOTED(text, &o, 1, "The cell of the file cannot be used");
        o = (vic_read_options)VIC_INIT(vic_read_options);
        o.has_cell = true;
        for (int k = 0; k < 6; ++k) o.cell[k] = k < 3 ? 40 : 90;
        CHECK_NOTED(text, &o, 1, "");
    }
    CHECK_REFUSED("1\nLattice=\"2 3 4\" pbc=\"T maybe F\"\nH 0 0 0\n", NULL, VIC_BAD_INPUT,
                  "pbc as three of T and F");
    CHECK_REFUSED("1\npbc=\"F T F\"\nH 0 0 0\n", NULL, VIC_BAD_INPUT, "pbc says that axis b is periodic");
}

/* i-PI states edges and angles, and the units of all. */
static void test_ipi(void **state)
{
    static const char angstrom[] = "1\n# CELL(abcABC):   20.00000    30.00000    40.00000    90.00000    90.00000  "
                                   " 60.00000  Traj: positions{angstrom} Step: 0 Bead: 0 cell{angstrom}\nO 1 2 3\n";
    vic_structure *s = files_read(angstrom, NULL);
    vic_structure_info v = files_info(s);
    vic_read_options o = VIC_INIT(vic_read_options);
    (void)state;
    assert_string_equal(v.format, "xyz");
    assert_true(v.has_cell && v.periodic[0] && v.periodic[1] && v.periodic[2]);
    assert_true(fabs(v.cell[0] - 20) < 1e-12 && fabs(v.cell[3] - 15) < 1e-12 && fabs(v.cell[8] - 40) < 1e-12);
    assert_true(fabs(v.cell[4] - 30 * sqrt(0.75)) < 1e-12);
    assert_string_equal(v.notes, "");
    vic_structure_free(s);
    CHECK_NOTED("1\n# bead: 0 CELL(abcABC): 20 20 20 90 90 90 \nO 1 2 3\n", NULL, 1, "taken as angstrom");
    CHECK_NOTED("1\n# CELL(abcABC): 1.0 1.0 1.0 90.0 90.0 90.0 positions{Angstrom}\nO 1 2 3\n", NULL, 1, "");
    CHECK_REFUSED("1\n# CELL(abcABC): 20 20 20 90 90 90 positions{atomic_unit} cell{angstrom}\nO 1 2 3\n", NULL,
                  VIC_BAD_INPUT, "line 2: expected positions in angstrom, found \"positions{atomic_unit}\"; convert");
    CHECK_REFUSED("1\n# CELL(abcABC): 20 20 20 90 90 90 positions{angstrom} cell{atomic_unit}\nO 1 2 3\n", NULL,
                  VIC_BAD_INPUT, "line 2: expected the cell in angstrom, found \"cell{atomic_unit}\"");
    CHECK_REFUSED("1\n# CELL(abcABC): 20 20 20 90 90 Step: 1\nO 1 2 3\n", NULL, VIC_BAD_INPUT,
                  "expected CELL(abcABC) as 6 numbers");
    CHECK_REFUSED("1\n# CELL(abcABC): 20 20 0 90 90 90 cell{angstrom}\nO 1 2 3\n", NULL, VIC_BAD_INPUT,
                  "line 2: expected a cell edge c");
    o.pbc = VIC_PBC_SET; /* who needs no cell may have one in any unit */
    CHECK_NOTED("1\n# CELL(abcABC): 20 20 20 90 90 90 cell{atomic_unit}\nO 1 2 3\n", &o, 1, "cannot be used");
}

/* Other forms have no rule, so their cells are not read; but that is said. */
static void test_other_cells(void **state)
{
    static const char *const left[] = { "cell=10 10 10",
                                        "energy=-1 cell=\"10 0 0 0 10 0 0 0 10\"",
                                        "Box: 10 10 10",
                                        "water, box = 10, 10, 10",
                                        "unit_cell=[[10,0,0],[0,10,0],[0,0,10]]",
                                        "# CELL(H): 10 0 0 0 10 0 0 0 10 cell{angstrom}",
                                        "LATTICE: 10.0 10.0 10.0 90 90 90" },
                             *const none[] = { "cell",
                                               "a box of water",
                                               "cell=hela",
                                               "cell: 3 of 10",
                                               "cells=1 2 3",
                                               "hela_cells box",
                                               "1 2 3 box",
                                               "Lattice=\"9 9 9\" cell=\"1 2 3\"",
                                               "" };
    char text[200];
    (void)state;
    for (size_t i = 0; i < sizeof left / sizeof *left; ++i) {
        snprintf(text, sizeof text, "1\n%s\nO 1 2 3\n", left[i]);
        CHECK_NOTED(text, NULL, 1, "Line 2 may hold a cell, \"");
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; ++i) {
        vic_structure *s;
        snprintf(text, sizeof text, "1\n%s\nO 1 2 3\n", none[i]);
        s = files_read(text, NULL);
        CHECK(!*files_info(s).notes, "%s: %s", none[i], files_info(s).notes);
        vic_structure_free(s);
    }
}

static void check_elements(const char *text, const int *numbers, const char *note)
{
    vic_structure *s = files_read(text, NULL);
    vic_structure_info v = files_info(s);
    for (int i = 0; i < v.atoms; ++i)
        CHECK(v.atomic_numbers[i] == numbers[i], "%s: atom %d: element %d", text, i, v.atomic_numbers[i]);
    CHECK(*note ? strstr(v.notes, note) != NULL : !*v.notes, "%s: %s", text, v.notes);
    vic_structure_free(s);
}

/* MD programs write the names of a protein's atoms, as in its PDB file. */
static void test_names_of_atoms(void **state)
{
    (void)state;
    check_elements("11\nprotein\nN 0 0 0\nCA 0 0 1\nCB 0 0 2\nHE1 0 0 3\nCD2 0 0 4\nNE 0 0 5\nHG 0 0 6\nNA 0 0 7\n"
                   "Ca 0 0 8\nOXT 0 0 9\nSG 0 1 0\n",
                   (const int[]){ 7, 6, 6, 1, 6, 7, 1, 11, 20, 8, 16 }, "names of a protein's atoms (CB), so CA");
    check_elements("3\nno protein\nCA 0 0 0\nHE 0 0 1\nCD 0 0 2\n", (const int[]){ 20, 2, 48 }, "");
    check_elements("2\nno CA\nCB 0 0 0\nCl 0 0 1\n", (const int[]){ 6, 17 }, "");
    check_elements("2\nProperties=species:S:1:pos:R:3\nCB 0 0 0\nCA 0 0 1\n", (const int[]){ 6, 20 }, "");
}

/* LAMMPS's dump_modify element gives elements, and without it there are types. */
static void test_types_of_lammps(void **state)
{
    (void)state;
    check_elements("2\nAtoms. Timestep: 100\n1 0 0 0\n8 0 0 1\n", (const int[]){ 0, 0 }, "LAMMPS wrote types");
    check_elements("2\nAtoms. Timestep: 100\nO 0 0 0\nH 0 0 1\n", (const int[]){ 8, 1 }, "");
    check_elements("2\nAtoms\n1 0 0 0\n8 0 0 1\n", (const int[]){ 1, 8 }, "");
}

static void test_vectors_behind_rows(void **state)
{
    (void)state;
    CHECK_REFUSED("1\nx %PBC\n C 0 0 0\n\nVector1 9 0 0\nVector2 0 9 0\nVector3 0 0 9\nOffset 0 0 0\n", NULL,
                  VIC_BAD_INPUT, "line 5: expected the end of the frame, found a lattice vector behind its rows");
}

static void test_properties_in_any_order(void **state)
{
    vic_structure *s = files_read("2\nProperties=id:I:1:forces:R:3:pos:R:3:Z:I:1:fixed:L:2:tag:S:1\n"
                                  "7 nan 0 -inf 1 2 3 8 T .false. a\n"
                                  "-8 1e3 0 0 -4 5 6.5 92 0 True b\n",
                                  NULL);
    vic_structure_info v = files_info(s);
    (void)state;
    CHECK_POSITION(v, 0, 1, 2, 3);
    CHECK_POSITION(v, 1, -4, 5, 6.5);
    assert_int_equal(v.atomic_numbers[0], 8);
    assert_int_equal(v.atomic_numbers[1], 92);
    vic_structure_free(s);
    s = files_read("1\npbc=\"F F F\" Properties=pos:R:3\n1 2 3\n", NULL);
    assert_int_equal(files_info(s).atomic_numbers[0], 0);
    vic_structure_free(s);
    CHECK_REFUSED("1\nProperties=species:S:1\nH\n", NULL, VIC_BAD_INPUT, "a pos:R:3 in Properties");
    CHECK_REFUSED("1\nProperties=species:S:1:pos:R:2\nH 1 2\n", NULL, VIC_BAD_INPUT, "pos:R:3");
    CHECK_REFUSED("1\nProperties=species:S:1:pos:Q:3\nH 1 2 3\n", NULL, VIC_BAD_INPUT, "pos:R:3");
    CHECK_REFUSED("1\nProperties=species:S:1:a:R:x:pos:R:3\nH 1 2 3\n", NULL, VIC_BAD_INPUT, "name:type:columns");
    CHECK_NOTED("1\nProperties=species:S:1:pos:R:3:a:R:x:b\nH 1 2 3 4 5\n", NULL, 1, ""); /* the rest is not used */
    CHECK_REFUSED("1\nProperties=species:S:1:pos:R\nH 1 2 3\n", NULL, VIC_BAD_INPUT, "name:type:columns");
}

/* Only what is used is looked at; a word before it may have moved it. */
static void test_bad_rows(void **state)
{
    static const struct {
        const char *properties, *row, *part; /* "": read as 1 4 2 */
    } cases[] = {
        { "species:S:1:pos:R:3:a:R:1", "H 1 4 2", "" },
        { "species:S:1:pos:R:3:a:R:1", "H 1 4 2 ff", "" },
        { "species:S:1:pos:R:3:a:I:1", "H 1 4 2 1.5", "" },
        { "species:S:1:pos:R:3:a:Q:3", "H 1 4 2 3 4", "" },
        { "species:S:1:pos:R:3:a:L:1", "H 1 4 2 ok", "" },
        { "species:S:1:pos:R:3:a:S:1", "H 1 4 2 two words and more", "" },
        { "a:I:1:b:L:2:pos:R:3:species:S:1", "0.0 maybe 7 1 4 2 H", "" },
        { "a:R:2:species:S:1:pos:R:3", "nan x H 1 4 2 0 0", "" },
        { "a:S:1:species:S:1:pos:R:3", "x H 1 4 2", "" },
        { "a:S:1:species:S:1:pos:R:3", "two words H 1 4 2", "expected a number for pos (column), found \"H\"" },
        { "a:S:1:pos:R:3:b:I:1", "x 1 4 2", "expected the columns of Properties for this row, found nothing" },
        { "a:S:1:pos:R:3:b:I:1", "1 1 4 2 3 5", "no more for the end of the row, found \"5\"" },
        { "species:S:1:pos:R:3:a:S:1", "H 1 4 nan a", "expected a number for pos (column), found \"nan\"" },
        { "species:S:1:pos:R:3:a:S:1", "H 1 inf 3 a", "expected a number for pos" },
        { "species:S:1:pos:R:3:a:S:1", "H 1 4", "expected a number for pos (column), found nothing" },
        { "pos:R:3:a:R:1:species:S:1", "1 4 2 0", "expected the columns of Properties for this row, found nothing" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char text[200];
        snprintf(text, sizeof text, "1\nProperties=%s\n%s\n", cases[i].properties, cases[i].row);
        if (*cases[i].part) {
            CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, cases[i].part);
        } else {
            vic_structure *s = files_read(text, NULL);
            CHECK_POSITION(files_info(s), 0, 1, 4, 2);
            CHECK(files_info(s).atomic_numbers[0] == 1, "%s", text);
            vic_structure_free(s);
        }
    }
    /* the file ends in the row, before all columns: the last number may have been longer */
    CHECK_REFUSED("1\nProperties=species:S:1:pos:R:3:a:R:1\nH 1 4 2", NULL, VIC_BAD_INPUT,
                  "for this row, found nothing");
    CHECK_REFUSED("1\nplain\nH 1 2\n", NULL, VIC_BAD_INPUT, "line 3: expected a number for z, found nothing");
    CHECK_REFUSED("1\nplain\nH 1 nan 2\n", NULL, VIC_BAD_INPUT, "for y, found \"nan\"");
    CHECK_REFUSED("2\nplain\n\nH 1 2 3\n", NULL, VIC_BAD_INPUT, "line 3: expected an element");
}

static void test_counts_and_frames(void **state)
{
    static const char two[] = "1\nfirst\nH 1 0 0\n2\nLattice=\"5 5 5\"\nH 2 0 0\nO 3 0 0\n";
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s = files_read(two, NULL);
    (void)state;
    assert_int_equal(files_info(s).models, 2);
    assert_int_equal(files_info(s).atoms, 1);
    assert_false(files_info(s).has_cell);
    vic_structure_free(s);
    o.model = 2;
    s = files_read(two, &o);
    assert_int_equal(files_info(s).atoms, 2);
    assert_string_equal(files_info(s).format, "extxyz");
    assert_true(files_info(s).has_cell);
    vic_structure_free(s);
    o.model = 4;
    CHECK_REFUSED(two, &o, VIC_BAD_INPUT, "no frame 4; the file has 2: 1 to 2;");
    CHECK_REFUSED("8\nhelium\nHe 0 0 0\nHe 1 1 1\n", NULL, VIC_BAD_INPUT,
                  "line 1: expected 8 atom rows after this count and its comment line, found 2");
    CHECK_REFUSED("1\nx\nHe 0 0 0\nHe 1 1 1\n", NULL, VIC_BAD_INPUT,
                  "line 4: expected the number of atoms of frame 2, found \"He 1 1 1\"");
    CHECK_REFUSED("1\npbc=F Properties=pos:R:3\n0 0 0\n1 1 1\n", NULL, VIC_BAD_INPUT, "line 4: expected the number");
    CHECK_REFUSED("1\nx\nHe 0 0 0\nTv 5 0 0\n", NULL, VIC_BAD_INPUT, "line 4: expected the number of atoms");
    CHECK_NOTED("1\nx\nHe 0 0 0\n3\nx\nHe 1 1 1\n", NULL, 1, "left out: line 4: expected 3 atom rows");
    CHECK_NOTED("1\nx\nHe 0 0 0\nthe end\n", NULL, 1, "left out: line 4: expected the number of atoms of frame 2");
    CHECK_NOTED("\n1\nx\nHe 0 0 0\n\n \n1\nx\nHe 1 1 1\n\n", NULL, 1, "The file has 2 frames; the first was taken.");
    o.model = -1;
    CHECK_REFUSED("1\nx\nHe 0 0 0\n3\nx\nHe 1 1 1\n", &o, VIC_BAD_INPUT, "line 4: expected 3 atom rows");
    o.model = 2;
    CHECK_REFUSED("2\nx\nHe 0 0 0\n1\nx\nHe 1 1 1\n", &o, VIC_BAD_INPUT, "line 5: expected the number of atoms");
    CHECK_NOTED("1\nx\nHe 0 0\n\n1\nx\nHe 1 1 1\n1\n", &o, 1, "What follows frame 2 cannot be read");
    CHECK_REFUSED("0\nx\n", NULL, VIC_BAD_INPUT, "found no atoms");
    CHECK_REFUSED("-1\nx\n", NULL, VIC_BAD_INPUT, "expected the number of atoms of frame 1");
    CHECK_REFUSED("99999999999999\nx\nHe 0 0 0\n", NULL, VIC_BAD_INPUT, "found 1 up to the end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_atoms),
        cmocka_unit_test(test_types_of_lammps),
        cmocka_unit_test(test_vectors_behind_rows),
        cmocka_unit_test(test_ipi),
        cmocka_unit_test(test_other_cells),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_lattice_and_pbc),
        cmocka_unit_test(test_properties_in_any_order),
        cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_counts_and_frames),
    };
    return FILES_TESTS("structure_xyz", tests);
}
