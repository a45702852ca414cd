/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

/*                   1         2         3         4         5         6         7         8
            12345678901234567890123456789012345678901234567890123456789012345678901234567890 */
#define N1 "ATOM      1  N   MET A   1      26.981  53.977  40.085  1.00 40.83           N  \n"
#define C2 "ATOM      2  CA  MET A   1      26.091  52.849  39.889  0.50 37.14           C  \n"

static void test_columns(void **state)
{
    vic_structure *s = files_read("TITLE     ONE\nTITLE    2 AND TWO\n" N1 C2
                                  "HETATM    3 FE   HEM B -12A    -10.000 -20.500-300.125  1.00 -5.00          FE\n"
                                  "END\n",
                                  NULL);
    vic_structure_view v = vic_structure_get(s);
    (void)state;
    assert_int_equal(v.atoms, 3);
    assert_string_equal(v.format, "pdb");
    assert_string_equal(v.title, "ONE AND TWO");
    assert_int_equal(v.models, 1);
    assert_int_equal(v.file_atoms, 3);
    assert_int_equal(v.symmetry_operations, 1);
    assert_false(v.has_cell);
    CHECK_POSITION(v, 0, 26.981, 53.977, 40.085);
    CHECK_POSITION(v, 2, -10, -20.5, -300.125);
    assert_int_equal(v.atomic_numbers[0], 7);
    assert_int_equal(v.atomic_numbers[2], 26);
    assert_true(v.b_factors[1] == 37.14f && v.occupancies[1] == 0.5f && v.b_factors[2] == -5.0f);
    assert_string_equal(v.labels[1].name, "CA");
    assert_string_equal(v.labels[1].residue, "MET");
    assert_string_equal(v.labels[1].chain, "A");
    assert_int_equal(v.labels[1].sequence, 1);
    assert_int_equal(v.labels[1].insertion, ' ');
    assert_int_equal(v.labels[1].altloc, ' ');
    assert_false(v.labels[1].hetero);
    assert_true(v.labels[2].hetero);
    assert_int_equal(v.labels[2].sequence, -12);
    assert_int_equal(v.labels[2].insertion, 'A');
    vic_structure_free(s);
}

/* Serials never matter: hybrid-36, stars, letters, glued to HETATM, six digits. */
static void test_serials_and_wide_fields(void **state)
{
    vic_structure *s = files_read("HETATMA42PC MG    MGAA1601     -15.370   5.844 -58.511  1.00 44.55          MG\n"
                                  "ATOM  *****  OH2 TIP3 2391      67.275  48.893  23.568  1.00   .00      TIP3\n"
                                  "ATOM  1869f  H1  TIP3W2392      66.641  48.181  23.485  1.00   .00      WAT9\n"
                                  "ATOM 100000  N   ALA AA000      66.000  48.000  23.000  1.00  0.00\n"
                                  "ATOM  zzzzz  CA  ALA Aa000      66.000  48.000  24.000  1.00  0.00\n"
                                  "ATOM        HG21 VAL A10000     66.000  48.000  25.000  1.00  0.00\n",
                                  NULL);
    vic_structure_view v = vic_structure_get(s);
    static const int numbers[] = { 12, 8, 1, 7, 6, 1 };
    (void)state;
    assert_int_equal(v.atoms, 6);
    for (int i = 0; i < 6; ++i) assert_int_equal(v.atomic_numbers[i], numbers[i]);
    assert_string_equal(v.labels[0].chain, "AA");
    assert_string_equal(v.labels[0].residue, "MG");
    assert_string_equal(v.labels[1].residue, "TIP3");
    assert_string_equal(v.labels[1].chain, "");
    assert_string_equal(v.labels[2].residue, "TIP3");
    assert_string_equal(v.labels[2].chain, "W");
    assert_int_equal(v.labels[3].sequence, 10000);
    assert_int_equal(v.labels[4].sequence, 10000 + 26 * 36 * 36 * 36);
    assert_int_equal(v.labels[5].sequence, 10000);
    assert_int_equal(v.labels[5].insertion, ' ');
    vic_structure_free(s);
}

static void test_short_records_and_old_text(void **state)
{
    vic_structure *s = files_read("ATOM      1 CA   LYS A   1     111.252  98.373  98.187\n"
                                  "ATOM      2  CB  LYS A   1     111.252  98.373  99.187              1CRN  70\n"
                                  "ATOM      3  CG  LYS A   1     111.252  98.373  97.187  1.00        1CRN  71\n",
                                  NULL);
    vic_structure_view v = vic_structure_get(s);
    (void)state;
    assert_int_equal(v.atoms, 3);
    assert_null(v.b_factors);
    assert_true(v.occupancies[0] == 1.0f);
    for (int i = 0; i < 3; ++i) assert_int_equal(v.atomic_numbers[i], 6);
    vic_structure_free(s);
    s = files_read("ATOM      1 CA   LYS A   1     111.252  98.373  98.187\n" C2, NULL);
    v = vic_structure_get(s);
    assert_true(v.b_factors && v.b_factors[0] == 0.0f && v.b_factors[1] == 37.14f);
    vic_structure_free(s);
}

static void test_garbled_fields(void **state)
{
    (void)state;
    CHECK_REFUSED(N1 "ATOM      7  SD  MET A   1      21.917                                          \n" N1, NULL,
                  VIC_BAD_INPUT, "line 2: expected y as a number in columns 39 to 46, found nothing");
    CHECK_REFUSED("ATOM      1  N   MET A   1      26.9x1  53.977  40.085  1.00 40.83\n", NULL, VIC_BAD_INPUT,
                  "x as a number in columns 31 to 38, found \"26.9x1\"");
    CHECK_REFUSED("ATOM      1  N   MET A   1      26.981  53.977     nan  1.00 40.83\n", NULL, VIC_BAD_INPUT,
                  "z as");
    CHECK_REFUSED("ATOM      1  N   MET A   1      26.981  53.977  40.085  1.a0 40.83\n", NULL, VIC_BAD_INPUT,
                  "the occupancy as a number (or blanks) in columns 55 to 60, found \"1.a0\"");
    CHECK_REFUSED("ATOM      1  N   MET A   1      26.981  53.977  40.085  1.00******\n", NULL, VIC_BAD_INPUT,
                  "the B-factor");
    CHECK_REFUSED("CRYST1   80.017   8x.017   80.017  60.00  60.00  90.00 P 1\n" N1, NULL, VIC_BAD_INPUT,
                  "line 1: expected a, b, c");
    CHECK_REFUSED("CRYST1   80.017   80.017   80.017 160.00  60.00  60.00 P 1\n" N1, NULL, VIC_BAD_INPUT,
                  "line 1: expected cell angles that close a cell");
    CHECK_REFUSED("REMARK nothing here\nEND\n", NULL, VIC_BAD_INPUT, "found no atoms");
}

static void test_cut_files(void **state)
{
    (void)state;
    CHECK_REFUSED(N1 "ATOM      5  CB  MET\n", NULL, VIC_BAD_INPUT, "line 2: expected an atom record");
    CHECK_REFUSED(N1 "ATOM      5  CB  MET A   1      26.981  53.977  40.0", NULL, VIC_BAD_INPUT, "cut: fetch");
    CHECK_REFUSED(N1 "ATOM      5  CB  MET A   1      26.981  53.977  40.085  1.00 40.", NULL, VIC_BAD_INPUT,
                  "cut: fetch");
    CHECK_REFUSED(N1 "ATO", NULL, VIC_BAD_INPUT, "line 2: expected a whole record");
    vic_structure_free(files_read(N1 "END", NULL));
}

#define WATER(n)        "ATOM      1  OW  SOL  " n "       1.000   2.000   3.000  1.00  0.00           O\n"
#define LIGAND(name, x) "HETATM    1  " name "  UNL     1       " x "   2.000   3.000  1.00  0.00           C\n"

static void test_duplicates(void **state)
{
    vic_structure *s;
    (void)state;
    CHECK_REFUSED(N1 C2 C2, NULL, VIC_BAD_INPUT, "line 3: expected each atom once, found CA of MET A 1 again");
    CHECK_REFUSED(N1 "ATOM      2  N   MET A   1      99.981  53.977  40.085  1.00 40.83           N  \n", NULL,
                  VIC_BAD_INPUT, "line 2: expected each atom once");
    /* numbers that wrap: the same residue twice, but not in one piece */
    s = files_read(WATER("   1") WATER("   2") WATER("   1") WATER("****") WATER("****") WATER("    ") WATER("    "),
                   NULL);
    assert_int_equal(vic_structure_get(s).atoms, 7);
    vic_structure_free(s);
    /* programs that name atoms by their element alone */
    s = files_read(LIGAND("C ", "1.000") LIGAND("C ", "2.500"), NULL);
    assert_int_equal(vic_structure_get(s).atoms, 2);
    vic_structure_free(s);
    CHECK_REFUSED(LIGAND("C ", "1.000") LIGAND("C ", "1.000"), NULL, VIC_BAD_INPUT, "each atom once");
    CHECK_REFUSED(LIGAND("C1", "1.000") LIGAND("C1", "2.000"), NULL, VIC_BAD_INPUT, "each atom once");
}

static void test_models(void **state)
{
    static const char three[] = "MODEL        1\n" N1 C2 "ENDMDL\nMODEL        5\n" C2 "ENDMDL\nMODEL 9\n" N1 C2
                                "ATOM      3  CB  MET A   1       1.000   2.000   3.000\n"; /* no ENDMDL */
    vic_read_options o = VIC_READ_OPTIONS_INIT;
    vic_structure *s = files_read(three, NULL);
    vic_structure_view v = vic_structure_get(s);
    (void)state;
    assert_int_equal(v.atoms, 2);
    assert_int_equal(v.models, 3);
    vic_structure_free(s);
    o.model = 5;
    s = files_read(three, &o);
    assert_int_equal(vic_structure_get(s).atoms, 1);
    vic_structure_free(s);
    o.model = 9;
    s = files_read(three, &o);
    assert_int_equal(vic_structure_get(s).atoms, 3);
    vic_structure_free(s);
    o.model = 2;
    CHECK_REFUSED(three, &o, VIC_BAD_INPUT, "no model 2; the file has 3: 1, 5, 9");
    for (int i = 1; i <= 3; ++i) { /* from the end: the same atoms as by number */
        static const int number[] = { 0, 9, 5, 1 };
        vic_structure *end;
        o.model = -i;
        end = files_read(three, &o);
        o.model = number[i];
        s = files_read(three, &o);
        assert_int_equal(vic_structure_get(end).atoms, vic_structure_get(s).atoms);
        assert_memory_equal(vic_structure_get(end).positions, vic_structure_get(s).positions,
                            (size_t)vic_structure_get(s).atoms * 3 * sizeof(double));
        vic_structure_free(end);
        vic_structure_free(s);
    }
    o.model = -4;
    CHECK_REFUSED(three, &o, VIC_BAD_INPUT, "no frame -4; the file has 3: 1 to 3");
    CHECK_REFUSED("MODEL 1\n" N1 "ENDMDL\nMODEL 1\n" N1 "ENDMDL\n", NULL, VIC_BAD_INPUT,
                  "line 4: expected each model number once, found MODEL 1 again after line 1");
    CHECK_REFUSED("MODEL x\n" N1, NULL, VIC_BAD_INPUT, "expected MODEL and its number");
    o.model = 2; /* frames by END alone, each with its own cell */
    s = files_read("CRYST1   10.000   10.000   10.000  90.00  90.00  90.00 P 1\n" N1 "END\n"
                   "CRYST1   20.000   20.000   20.000  90.00  90.00  90.00 P 1\n" C2 "END\n"
                   "CRYST1   30.000   30.000   30.000  90.00  90.00  90.00 P 1\n" C2 N1 "END\n",
                   &o);
    v = vic_structure_get(s);
    assert_int_equal(v.models, 3);
    assert_true(v.cell[0][0] == 20.0);
    vic_structure_free(s);
}

static void test_cells(void **state)
{
    vic_structure *s =
        files_read("CRYST1   80.000   80.000   80.000  60.00  60.00  90.00 P 1           1\n" N1, NULL);
    vic_structure_view v = vic_structure_get(s);
    (void)state;
    assert_true(v.has_cell && v.periodic[0] && v.periodic[1] && v.periodic[2]);
    assert_string_equal(v.space_group, "P 1");
    assert_true(v.cell[0][1] == 0 && v.cell[0][2] == 0 && v.cell[1][0] == 0 && v.cell[1][1] == 80);
    vic_structure_free(s);
    s = files_read("CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1\n" N1, NULL);
    v = vic_structure_get(s);
    assert_false(v.has_cell || v.periodic[0]);
    assert_string_equal(v.space_group, "");
    vic_structure_free(s);
    s = files_read("CRYST1    0.000    0.000    0.000  90.00  90.00  90.00 P 1           1\n" N1, NULL);
    assert_false(vic_structure_get(s).has_cell);
    vic_structure_free(s);
    s = files_read("CRYST1 25.5 26.5 27.5 90 90 90 P 21 21 21\r\n" N1, NULL); /* not in columns, CRLF */
    v = vic_structure_get(s);
    assert_true(v.cell[1][1] == 26.5);
    assert_string_equal(v.space_group, "P 21 21 21");
    vic_structure_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_serials_and_wide_fields),
        cmocka_unit_test(test_short_records_and_old_text),
        cmocka_unit_test(test_garbled_fields),
        cmocka_unit_test(test_cut_files),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_cells),
    };
    return FILES_TESTS("structure_pdb", tests);
}
