/* SPDX-License-Identifier: Apache-2.0 */
/* Fields that a reader takes in more ways than ordinary files show; test_rare_values.c has the like of whole files.
 */
#include "files.h"

#include "structure/io/format.h"
#include "structure/io/source.h"

/* ---- one reader each ---- */

static void check_one(const char *text, const vic_read_options *options, int64_t atoms)
{
    vic_structure *s = files_read(text, options);
    assert_int_equal(files_info(s).atoms, atoms);
    vic_structure_free(s);
}

static void test_extxyz_values(void **state)
{
    vic_structure *s;
    vic_structure_info v;
    (void)state;
    /* in brackets a backslash is a character, in quotes it goes with the next */
    check_one("1\na={b\\} c=[d\\] pbc=F\nO 0 0 0\n", NULL, 1);
    check_one("1\npbc=F a=\"b\\\"\nO 0 0 0\n", NULL, 1); /* a quote that nobody needs may stay open */
    CHECK_REFUSED("1\npbc=\"F F\\\"\nO 0 0 0\n", NULL, VIC_BAD_INPUT, "expected a closing quote or bracket");
    s = files_read("1\nLattice=\"5 6 7\"\nO 0 0 0\n", NULL);
    v = files_info(s);
    for (int i = 0; i < 9; ++i) assert_true(v.cell[i] == (i % 4 ? 0 : 5 + i / 4));
    vic_structure_free(s);
    CHECK_REFUSED("1\npbc=\"T T T T\"\nO 0 0 0\n", NULL, VIC_BAD_INPUT, "expected pbc as three of T and F");
    CHECK_REFUSED("1\npbc=\"T x T\"\nO 0 0 0\n", NULL, VIC_BAD_INPUT, "expected pbc as three of T and F");
    CHECK_REFUSED("1\nProperties=species:S:1:pos:R:2\nO 0 0\n", NULL, VIC_BAD_INPUT, "expected pos:R:3");
    CHECK_REFUSED("1\nProperties=species:S:1:pos:S:3\nO 0 0 0\n", NULL, VIC_BAD_INPUT, "expected pos:R:3");
    /* what says an element has one column of the right type; of two the first counts */
    static const struct {
        const char *properties, *row;
        int element;
    } of[] = {
        { "pos:R:3:positions:R:3:species:S:1", "0 0 0 1 1 1 O", 8 },
        { "species:S:2:pos:R:3", "O O 0 0 0", 0 },
        { "species:R:1:pos:R:3", "8 0 0 0", 0 },
        { "species:I:1:pos:R:3", "8 0 0 0", 8 },
        { "species:S:1:pos:R:3:symbols:S:1", "O 0 0 0 N", 8 },
        { "Z:I:2:pos:R:3", "8 8 0 0 0", 0 },
        { "Z:S:1:pos:R:3", "8 0 0 0", 0 },
        { "Z:I:1:pos:R:3:species:S:1", "8 0 0 0 N", 8 },
        { "species:S:1:pos:R:3:Z:I:1", "O 0 0 0 7", 8 },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; ++i) {
        char text[200];
        snprintf(text, sizeof text, "1\nProperties=%s\n%s\n", of[i].properties, of[i].row);
        s = files_read(text, NULL);
        v = files_info(s);
        CHECK((v.atomic_numbers ? v.atomic_numbers[0] : 0) == of[i].element, "%s", of[i].properties);
        CHECK_POSITION(v, 0, 0, 0, 0);
        vic_structure_free(s);
    }
}

/* A cell is not lost where quotes and brackets are unusual. */
static void test_extxyz_lattice_behind_quotes(void **state)
{
#define LATTICE "Lattice=\"5 0 0 0 6 0 0 0 7\""
    static const char *const before[] = { "s={\"}\"}", "s=[\"]\"]", "s={\"a\": [1, \"}]\\\"\"]}", "s=[it\"s]",
                                          "s=[\"\\\\\"]" };
    static const char *const lost[] = { "s=\"open " LATTICE, "s={\"open\" {" LATTICE "}", "s=\"a LATTICE={5 6 7}\"" };
    vic_read_options o = VIC_INIT(vic_read_options);
    char text[200];
    (void)state;
    for (size_t i = 0; i < sizeof before / sizeof *before; ++i) {
        vic_structure *s;
        snprintf(text, sizeof text, "1\n%s " LATTICE "\nO 0 0 0\n", before[i]);
        s = files_read(text, NULL);
        CHECK(files_info(s).has_cell && files_info(s).cell[4] == 6, "%s", before[i]);
        vic_structure_free(s);
    }
    for (size_t i = 0; i < sizeof lost / sizeof *lost; ++i) {
        snprintf(text, sizeof text, "1\n%s\nO 0 0 0\n", lost[i]);
        CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "line 2: expected Lattice as a key of its own");
    }
    o.pbc = VIC_PBC_SET; /* no axis */
    check_one(text, &o, 1);
    check_one("1\na lattice here, s=\"no Lattice=\"\nO 0 0 0\n", NULL, 1); /* words alone are no cell */
}

static void test_xyz_dummies(void **state)
{
    vic_structure *s = files_read("5\nc\nBq 0 0 0\nDu 1 0 0\nbq1 2 0 0\nB 3 0 0\nD 4 0 0\n", NULL);
    const uint8_t *numbers = files_info(s).atomic_numbers;
    (void)state;
    assert_int_equal(numbers[0] + numbers[1] + numbers[2], 0);
    assert_int_equal(numbers[3], 5);
    assert_int_equal(numbers[4], 1);
    vic_structure_free(s);
}

static void test_xyz_frames(void **state)
{
    static const char two[] = "1\nc\nH 0 0 0\n1\nc\nO 0 0 0\n";
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    (void)state;
    CHECK_REFUSED("0", NULL, VIC_BAD_INPUT, "expected atom rows, found no atoms");
    CHECK_REFUSED("1", NULL, VIC_BAD_INPUT, "expected 1 atom rows after this count and its comment line, found 0");
    CHECK_REFUSED("2\nc\nH 0 0 0\n\nH 0 0 1\n", NULL, VIC_BAD_INPUT, "line 4: expected an element");
    CHECK_REFUSED("2\nc\nH 0 0 0\n\n", NULL, VIC_BAD_INPUT, "expected 2 atom rows");
    o.model = -1;
    s = files_read(two, &o);
    assert_int_equal(files_info(s).atomic_numbers[0], 8);
    vic_structure_free(s);
    o.model = -3;
    CHECK_REFUSED(two, &o, VIC_BAD_INPUT, "no frame -3; the file has 2: 1 to 2;");
}

static void test_gro_numbers(void **state)
{
    static const char row[] = "t\n1\n%sSOL     OW    1   0.126   1.624   1.679\n 2 2 2\n";
    char text[200];
    vic_structure *s;
    (void)state;
    snprintf(text, sizeof text, row, "*****"); /* what Fortran writes of a number with no room */
    s = files_read(text, NULL);
    assert_int_equal(files_info(s).labels[0].sequence, 0);
    vic_structure_free(s);
    snprintf(text, sizeof text, row, "  one");
    CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "line 3: expected atom 1 of the 1");
}

static void test_lammps_masses(void **state)
{
    static const char file[] = "t\n1 atoms\n2 atom types\n0 5 xlo xhi\n0 5 ylo yhi\n0 5 zlo zhi\n\nMasses\n\n1 16\n"
                               "%s\n\nAtoms\n\n1 1 0 0 0\n";
    static const char *const wrong[] = { "0 1", "3 1", "2 x", "x 1", "2" };
    char text[300];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        snprintf(text, sizeof text, file, wrong[i]);
        CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "line 11: expected an atom type");
    }
    snprintf(text, sizeof text, file, "2 1");
    check_one(text, NULL, 1);
}

/* ---- PDB ---- */

#define ATOM_1 "ATOM      1  N   MET A   1      26.981  53.977  40.085  1.00 40.83           N  "
#define ATOM_2 "ATOM      2  CA  MET A   1      26.091  52.849  39.889  1.00 37.14           C  "

/* No atom is lost where a line end is missing, or is one of another kind. */
static void test_pdb_records_on_one_line(void **state)
{
    static const char *const joined[] = {
        ATOM_1 ATOM_2,
        ATOM_1 "\v" ATOM_2,
        ATOM_1 "\xe2\x80\xa8" ATOM_2,
        "TER " ATOM_2,
        "MODEL 1 " ATOM_2,
        "END" ATOM_2,
        "ENDMDL" ATOM_2,
        "CRYST1 50 60 70 90 90 90 P 1 HETATM"
        "    2  CA  MET A   1  26.091 52.849 39.889",
    };
    char text[400];
    (void)state;
    for (size_t i = 0; i < sizeof joined / sizeof *joined; ++i) {
        snprintf(text, sizeof text, ATOM_1 "\n%s\n", joined[i]);
        CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "line 2: expected one record, found another atom behind it");
    }
    check_one(ATOM_1 " no ATOM  here, but 1.0 and 2.0\n" ATOM_2 "\nTER ATOM  1 2 3 are above the membrane\n", NULL,
              2);
}

/* Quotation signs and spaces of other kinds move a record out of its columns. */
static void test_pdb_marks_before_records(void **state)
{
    static const char *const marks[] = { "\"", "> ", "\xc2\xa0", "'", "(", "- ", "\xe2\x80\x8b" };
    static const char *const comments[] = { "! ", ";", "# ", "*", "//", "% " };
    char text[400];
    (void)state;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; ++i) {
        snprintf(text, sizeof text, ATOM_1 "\n%s" ATOM_2 "\n", marks[i]);
        CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "line 2: expected ATOM or HETATM from column 1 on");
    }
    for (size_t i = 0; i < sizeof comments / sizeof *comments; ++i) {
        snprintf(text, sizeof text, ATOM_1 "\n%s ATOM      2  CA  MET A   1      26.091  52.849  39.889\n",
                 comments[i]);
        check_one(text, NULL, 1);
    }
}

static void test_pdb_cell_out_of_place(void **state)
{
    static const char *const cells[] = { " CRYST1   50.000   60.000   70.000  90.00  90.00  90.00 P 1",
                                         "CRYST   50.000   60.000   70.000  90.00  90.00  90.00 P 1",
                                         "\tCRYST1\t50\t60\t70\t90\t90\t90\tP 1" };
    char text[400];
    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; ++i) {
        vic_structure *s;
        snprintf(text, sizeof text, "%s\n" ATOM_1 "\n", cells[i]);
        s = files_read(text, NULL);
        CHECK(files_info(s).has_cell && files_info(s).cell[4] == 60, "%s", cells[i]);
        assert_string_equal(files_info(s).space_group, "P 1");
        vic_structure_free(s);
    }
}

/* A group one column out of place is not another group: " 4" of "I 4" is a number of one, and P 21 21 2 exists. */
static void test_pdb_group_out_of_place(void **state)
{
    static const struct {
        const char *before, *group, *behind, *expected;
    } of[] = {
        { "  90.00  90.00  90.00 ", "I 4", "           8", "I 4" },
        { "  90.00  90.00 90.00 ", "I 4", "           8", "I 4" },
        { "  90.00  90.00  90.00", " P 21 21 21", "   4", "P 21 21 21" },
        { "  90.00  90.00  90.00 ", "  P 21 21 21", " ", "P 21 21 21" },
        { "  90.00  90.00  90.00   ", "P 21 21 21", "    4", "P 21 21 21" },
        { " 90.00 90.00 90.00 ", "P 1 21 1", "    2", "P 1 21 1" },
        { "  90.00  90.00  90.00 ", "", "              4", "" },
        { "  90.00  90.00  90.00 ", "", "", "" },
    };
    char text[400];
    (void)state;
    for (size_t i = 0; i < sizeof of / sizeof *of; ++i) {
        vic_structure *s;
        snprintf(text, sizeof text, "CRYST1   50.000   50.000   70.000%s%s%s\n" ATOM_1 "\n", of[i].before,
                 of[i].group, of[i].behind);
        s = files_read(text, NULL);
        assert_string_equal(files_info(s).space_group, of[i].expected);
        vic_structure_free(s);
    }
}

static void test_pdb_model_without_atoms(void **state)
{
    static const char file[] = "MODEL 1\nENDMDL\nMODEL 2\n" ATOM_1 "\n" ATOM_2 "\nENDMDL\n";
    vic_read_options o = VIC_INIT(vic_read_options);
    (void)state;
    CHECK_REFUSED(file, NULL, VIC_BAD_INPUT, "expected atoms in model 1, found all 2 of them in others");
    o.model = 2;
    check_one(file, &o, 2);
}

/* Of the two names for the list of operations the first that the file has. */
static void test_small_cif_operations(void **state)
{
    static const char cell[] = "data_x\n_cell_length_a 5\n_cell_length_b 5\n_cell_length_c 5\n_cell_angle_alpha 90\n"
                               "_cell_angle_beta 90\n_cell_angle_gamma 90\n",
                      one[] = "loop_\n_space_group_symop_operation_xyz\nx,y,z\n-x,-y,-z\n",
                      other[] = "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n-x,-y,z\n-x,y,-z\nx,-y,-z\n",
                      row[] = "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
                              "C1 .1 .2 .3\n";
    vic_read_options o = VIC_INIT(vic_read_options);
    char text[1000];
    (void)state;
    o.symmetry = true;
    snprintf(text, sizeof text, "%s%s%s%s", cell, other, one, row);
    check_one(text, &o, 2);
    snprintf(text, sizeof text, "%s%s%s", cell, other, row);
    check_one(text, &o, 4);
}

static void pdb_row(char *line, size_t size, const char *altloc, const char *residue, const char *sequence)
{
    snprintf(line, size, "ATOM      1  CA %s%-5s%s    %8.3f%8.3f%8.3f  1.00 10.00           C\n", altloc, residue,
             sequence, 1.0, 2.0, 3.0);
}

static void test_pdb_columns(void **state)
{
    static const struct {
        const char *altloc, *columns, *sequence;
        const char *residue, *chain;
        int number;
        char altloc_read;
    } rows[] = {
        { " ", "ALA A", "   7", "ALA", "A", 7, ' ' },       { "\x7f", "ALA A", "   7", "ALA", "A", 7, ' ' },
        { "~", "ALA A", "   7", "ALA", "A", 7, '~' },       { " ", "ABCDE", "   7", "ABC", "DE", 7, ' ' },
        { " ", "ABCD ", "   7", "ABCD", "", 7, ' ' },       { " ", "TIP3A", "   7", "TIP3", "A", 7, ' ' },
        { " ", "POPCA", "   7", "POPC", "A", 7, ' ' },      { " ", "ALA A", "A000", "ALA", "A", 10000, ' ' },
        { " ", "ALA A", "a000", "ALA", "A", 1223056, ' ' }, { " ", "ALA A", "A00a", "ALA", "A", 0, ' ' },
        { " ", "ALA A", "A0*0", "ALA", "A", 0, ' ' },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        char line[120];
        pdb_row(line, sizeof line, rows[i].altloc, rows[i].columns, rows[i].sequence);
        vic_structure *s = files_read(line, NULL);
        const vic_atom_label *label = files_info(s).labels;
        assert_string_equal(label->residue, rows[i].residue);
        assert_string_equal(label->chain, rows[i].chain);
        assert_int_equal(label->sequence, rows[i].number);
        assert_int_equal(label->altloc, rows[i].altloc_read);
        vic_structure_free(s);
    }
}

static void test_pdb_recognised(void **state)
{
    char text[400] = "";
    (void)state;
    for (int i = 0; i < 19; ++i) strcat(text, "nothing\n");
    strcat(text, "HEADER x\n"); /* in line 20, not later: other texts may hold such a word */
    CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "expected ATOM or HETATM records");
    memmove(text + 8, text, strlen(text) + 1);
    CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "which begins none of them");
}

/* Of many models the error shows the first ones and the last. */
static void test_pdb_models(void **state)
{
    char text[4000] = "", line[120];
    vic_read_options o = VIC_INIT(vic_read_options);
    (void)state;
    pdb_row(line, sizeof line, " ", "ALA A", "   1");
    for (int i = 1; i <= 13; ++i) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "MODEL %8d\n%sENDMDL\n", i, line);
        o.model = 99;
        if (i == 12)
            CHECK_REFUSED(text, &o, VIC_BAD_INPUT,
                          "no model 99; the file has 12: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12;");
    }
    CHECK_REFUSED(text, &o, VIC_BAD_INPUT, "the file has 13: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... 13;");
    /* the one after the largest number that a MODEL may have */
    snprintf(text, sizeof text, "MODEL 2147483647\n%sENDMDL\nMODEL\n%sENDMDL\n", line, line);
    o.model = -1;
    check_one(text, &o, 1);
}

/* ---- POSCAR ---- */

static void test_poscar_values(void **state)
{
    static const char *const names[] = { "POSCAR", "POSCAR_relaxed", "CONTCAR", "a.vasp", "a.poscar" };
    vic_structure *s;
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        CHECK_FAILS(vic_structure_read(files_write(names[i], "t\n1.0\nbroken\n"), NULL, &s, &err), VIC_BAD_INPUT,
                    "expected a cell vector as three numbers");
    CHECK_FAILS(vic_structure_read(files_write("a.txt", "t\n1.0\nbroken\n"), NULL, &s, &err), VIC_BAD_INPUT,
                "which begins none of them");
    CHECK_REFUSED("t\n-1e300\n1e-105 0 0\n0 1e-105 0\n0 0 1e-105\nO\n1\nDirect\n0 0 0\n", NULL, VIC_BAD_INPUT,
                  "found a flat cell");
    CHECK_REFUSED("t\n-5\n1 0 0\n1 0 0\n0 0 1\nO\n1\nDirect\n0 0 0\n", NULL, VIC_BAD_INPUT, "found a flat cell");
    s = files_read("C{\n1\n5 0 0\n0 5 0\n0 0 5\n1\nDirect\n0 0 0\n", NULL); /* a comment that names no elements */
    assert_int_equal(files_info(s).atomic_numbers[0], 0);
    vic_structure_free(s);
    s = files_read("Co C\n1\n5 0 0\n0 5 0\n0 0 5\n1 1\nDirect\n0 0 0\n.5 0 0\n", NULL);
    assert_int_equal(files_info(s).atomic_numbers[0], 27);
    assert_int_equal(files_info(s).atomic_numbers[1], 6);
    vic_structure_free(s);
}

/* ---- parts ---- */

static void test_dummy_cells(void **state)
{
    static const struct {
        double cell[6];
        bool dummy;
    } cells[] = {
        { { 1, 1, 1, 90, 90, 90 }, true },  { { 1, 1, 5, 90, 90, 90 }, false },  { { 1, 5, 1, 90, 90, 90 }, false },
        { { 5, 1, 1, 90, 90, 90 }, false }, { { 0, 0, 0, 90, 90, 90 }, true },   { { 0, 0, 0, 0, 0, 0 }, true },
        { { 0, 0, 0, 90, 90, 1 }, false },  { { 0, 0, 90, 90, 90, 90 }, false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; ++i)
        CHECK(format_cell_is_dummy(cells[i].cell) == cells[i].dummy, "cell %zu", i);
}

static void test_sources(void **state)
{
    struct source source;
    vic_error err;
    (void)state;
    CHECK_FAILS(source_from_bytes("huge", "x", (size_t)PTRDIFF_MAX, &source, &err), VIC_NO_MEMORY,
                "bytes of the file");
    CHECK_FAILS(source_read(files_write("long", "more than five"), 5, &source, &err), VIC_BAD_INPUT,
                "split the file, check");
    CHECK_OK(source_read(files_write("short", "12345"), 5, &source, &err));
    assert_string_equal(source.text, "12345");
    source_free(&source);
    setenv("VIC_READ_LIMIT_MB", "0", 1);
    assert_int_equal(source_limit(), (size_t)SOURCE_LIMIT_MB << 20);
    setenv("VIC_READ_LIMIT_MB", "3", 1);
    assert_int_equal(source_limit(), 3u << 20);
    unsetenv("VIC_READ_LIMIT_MB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extxyz_values),
        cmocka_unit_test(test_extxyz_lattice_behind_quotes),
        cmocka_unit_test(test_xyz_dummies),
        cmocka_unit_test(test_xyz_frames),
        cmocka_unit_test(test_gro_numbers),
        cmocka_unit_test(test_lammps_masses),
        cmocka_unit_test(test_small_cif_operations),
        cmocka_unit_test(test_pdb_records_on_one_line),
        cmocka_unit_test(test_pdb_marks_before_records),
        cmocka_unit_test(test_pdb_cell_out_of_place),
        cmocka_unit_test(test_pdb_group_out_of_place),
        cmocka_unit_test(test_pdb_model_without_atoms),
        cmocka_unit_test(test_pdb_models),
        cmocka_unit_test(test_pdb_columns),
        cmocka_unit_test(test_pdb_recognised),
        cmocka_unit_test(test_poscar_values),
        cmocka_unit_test(test_dummy_cells),
        cmocka_unit_test(test_sources),
    };
    return FILES_TESTS("structure_rare_fields", tests);
}
