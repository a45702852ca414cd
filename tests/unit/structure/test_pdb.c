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
    vic_structure_info v = files_info(s);
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
    vic_structure_info v = files_info(s);
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
    vic_structure_info v = files_info(s);
    (void)state;
    assert_int_equal(v.atoms, 3);
    assert_null(v.b_factors);
    assert_true(v.occupancies[0] == 1.0f);
    for (int i = 0; i < 3; ++i) assert_int_equal(v.atomic_numbers[i], 6);
    vic_structure_free(s);
    s = files_read("ATOM      1 CA   LYS A   1     111.252  98.373  98.187\n" C2, NULL);
    v = files_info(s);
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
    CHECK_REFUSED("ATOM      1  N   MET A   1      26.981  53.977  40.085  1.00 40.x3\n", NULL, VIC_BAD_INPUT,
                  "the B-factor");
    CHECK_REFUSED("CRYST1   80.017   8x.017   80.017  60.00  60.00  90.00 P 1\n" N1, NULL, VIC_BAD_INPUT,
                  "line 1: expected a, b, c");
    CHECK_REFUSED("CRYST1   80.017   80.017   80.017 160.00  60.00  60.00 P 1\n" N1, NULL, VIC_BAD_INPUT,
                  "line 1: expected cell angles that close a cell");
    CHECK_REFUSED("REMARK nothing here\nEND\n", NULL, VIC_BAD_INPUT, "found no atoms");
}

/* A value that the writing program did not have, or could not print, is not stated, and that is said. */
static void test_no_numbers(void **state)
{
    static const char *const fields[] = { "   inf   inf", "  1.00******", "******  5.00", "   NaN  -inf" };
    (void)state;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; ++i) {
        char text[300];
        vic_structure *s;
        snprintf(text, sizeof text, N1 "ATOM      2  CA  MET A   1      27.981  53.977  40.085%s\n", fields[i]);
        s = files_read(text, NULL);
        assert_int_equal(files_info(s).atoms, 2);
        assert_true(files_info(s).occupancies[1] == 1.0f);
        assert_true(files_info(s).b_factors[1] == (i == 2 ? 5.0f : 0.0f));
        CHECK(strstr(files_info(s).notes, "inf, nan or stars (the ") &&
                  strstr(files_info(s).notes, " in line 2 is the first)"),
              "%s", files_info(s).notes);
        vic_structure_free(s);
    }
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

/* A record that is not spelt as an atom is read where it can be, and refused otherwise; never passed over. */
static void test_spelling(void **state)
{
    static const char *const refused[] = {
        " ATOM     2  CA  MET A   1      26.091  52.849  39.889  0.50 37.14           C  \n",
        "ATOM\t2\tCA\tMET\tA\t1\t26.091\t52.849\t39.889\t0.50\t37.14\tC\n",
        "HETATM\t2\tCA\tMET\tA\t1\t26.091\t52.849\t39.889\t0.50\t37.14\tC\n",
        "ATOMS     2  CA  MET A   1      26.091  52.849  39.889  0.50 37.14           C  \n",
        "ATM       2  CA  MET A   1      26.091  52.849  39.889  0.50 37.14           C  \n",
        "HETATOM    2  CA  MET A   1      26.091  52.849  39.889  0.50 37.14           C  \n",
        "HETAT     2  CA  MET A   1      26.091  52.849  39.889  0.50 37.14           C  \n",
        "          2  CA  MET A   1      26.091  52.849  39.889  0.50 37.14           C  \n",
        "2ATOM     2  CA  MET A   1      26.091  52.849  39.889  0.50 37.14           C  \n",
        "LIGAND    2  CA  MET A   1      26.091  52.849  39.889  0.50 37.14           C  \n",
        "hetatm 2 CA MET A 1 26.091 52.849 39.889 0.50 37.14 C\n",
    };
    char text[400];
    vic_structure *s =
        files_read(N1 "atom      2  CA  MET A   1      26.091  52.849  39.889  0.50 37.14           C  \n"
                      "Hetatm    3  CB  MET A   1      27.091  52.849  39.889  0.50 37.14           C  \n"
                      "ATOM123456  CG  MET A   1      28.091  52.849  39.889  0.50 37.14           C  \n"
                      "Atom 4 is not listed\natom\n",
                   NULL);
    (void)state;
    assert_int_equal(files_info(s).atoms, 4);
    assert_true(files_info(s).labels[2].hetero);
    vic_structure_free(s);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i) {
        snprintf(text, sizeof text, N1 "%s" C2, refused[i]);
        CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "line 2: expected ATOM or HETATM from column 1 on");
    }
    s = files_read(N1 "END\n# table\nLYS_2 -6.4602 0.80256 5.80073 0.01352 0.33342 0.21172 -4.81908 0 0\n"
                      "pose -693.742 102.876 465.365 1.48723 29.0452 -7.72022 -219.931 0.07115 -52.8586\n",
                   NULL); /* scores of a modelling program */
    assert_int_equal(files_info(s).atoms, 1);
    assert_int_equal(files_info(s).models, 1);
    vic_structure_free(s);
    /* other records may hold numbers in the same columns */
    s = files_read("REMARK    2  CA  MET A   1      26.091  52.849  39.889  0.50 37.14\n" N1
                   "SIGATM    1  N   MET A   1       0.981   0.977   0.085  0.00  0.83           N  \n"
                   "ANISOU    1  N   MET A   1     1000   1000   1000    100    100    100       N  \n"
                   "# ATOM    2  CA  MET A   1      26.091  52.849  39.889  0.50 37.14\n",
                   NULL);
    assert_int_equal(files_info(s).atoms, 1);
    vic_structure_free(s);
    s = files_read("MODEL1\n" N1 C2 " ENDMDL\n MODEL\t2\n" N1 "END \n MODEL 3\n" N1, NULL);
    assert_int_equal(files_info(s).atoms, 2);
    assert_int_equal(files_info(s).models, 3);
    vic_structure_free(s);
    s = files_read("model 1\n" N1 C2 "endmdl\nModel 2\n" N1 "EndMdl\nend\n", NULL);
    assert_int_equal(files_info(s).atoms, 2);
    assert_int_equal(files_info(s).models, 2);
    vic_structure_free(s);
    s = files_read("Cryst1   50.000   60.000   70.000  90.00  90.00  90.00 P 1\n" N1, NULL);
    assert_true(files_info(s).cell[4] == 60);
    vic_structure_free(s);
}

#define FIELDS(before_x, rest) "ATOM      2  CA  MET A   1" before_x rest "\n"

/* A digit or a sign on the other side of a field's edge is not lost. */
static void test_edges(void **state)
{
    static const struct {
        const char *text, *part;
    } refused[] = {
        { FIELDS("   -", "101.200   2.300   0.500  1.00 10.00"), "expected x whole and in its columns" },
        { FIELDS("   1", "2345.678   2.300   0.500  1.00 10.00"), "expected x whole" },
        { FIELDS("  - ", " 101.200   2.300   0.500  1.00 10.00"), "expected x whole" },
        { FIELDS(" 12 ", " 101.200   2.300   0.500  1.00 10.00"), "expected x whole" },
        { FIELDS("    ", "12345.6781234.567   0.500  1.00 10.00"), "expected x and y whole" },
        { FIELDS("    ", "   1.20012345.6781234.567  1.00 10.00"), "expected x and y whole" },
        { FIELDS("    ", "   1.200   2.300-1000.123"), "expected z and the occupancy whole" },
        { FIELDS("    ", "   1.200   2.300-1000.123  1.00 10.00"), "z and the occupancy" },
    };
    vic_structure *s;
    vic_structure_info v;
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i)
        CHECK_REFUSED(refused[i].text, NULL, VIC_BAD_INPUT, refused[i].part);
    /* fields that are full touch each other, and residue numbers may be long */
    s = files_read(FIELDS("    ", "1234.567-123.4561234.567100.00100.00      SEG C")
                       FIELDS("2345", "-101.200   2.300  10.000100.00999.99")
                           FIELDS("23  ", "12.3456712.3456712.34567  1.00 10.00")
                               FIELDS("    ", "  1.2     2.3     0.5     1.0   10.0"),
                   NULL);
    v = files_info(s);
    assert_int_equal(v.atoms, 4);
    CHECK_POSITION(v, 0, 1234.567, -123.456, 1234.567);
    assert_true(v.occupancies[0] == 100 && v.b_factors[0] == 100);
    CHECK_POSITION(v, 1, -101.2, 2.3, 10);
    assert_int_equal(v.labels[1].sequence, 12345);
    CHECK_POSITION(v, 2, 12.34567, 12.34567, 12.34567);
    assert_int_equal(v.labels[2].sequence, 123);
    CHECK_POSITION(v, 3, 1.2, 2.3, 0.5);
    vic_structure_free(s);
    /* a B-factor of many digits is read whole, and moves what follows where it fills its columns */
    s = files_read("ATOM      2  C1  LIG A   1       1.200   2.300   0.500  1.001234.56      SEG CL\n"
                   "ATOM      3  C2  LIG A   1       2.200   2.300   0.500  1.00   0.125        CL\n"
                   "ATOM      4  C3  LIG A   1       3.200   2.300   0.500  1.00 1000.5\n",
                   NULL);
    v = files_info(s);
    assert_true(v.b_factors[0] == 1234.56f && v.b_factors[1] == 0.125f && v.b_factors[2] == 1000.5f);
    assert_int_equal(v.atomic_numbers[0], 17);
    assert_int_equal(v.atomic_numbers[1], 17);
    vic_structure_free(s);
}

#define WATER(n, x)     "ATOM      1  OW  SOL  " n "       " x "   2.000   3.000  1.00  0.00           O\n"
#define LIGAND(name, x) "HETATM    1  " name "  UNL     1       " x "   2.000   3.000  1.00  0.00           C\n"

/* Where atoms stand tells them apart, not what they are called. */
static void test_duplicates(void **state)
{
    vic_structure *s;
    (void)state;
    CHECK_REFUSED(N1 C2 C2, NULL, VIC_BAD_INPUT,
                  "line 3: expected each atom once, found atom 3 (CA of MET A 1) where atom 2 (CA of MET A 1) of "
                  "line 2");
    CHECK_REFUSED(N1 C2 WATER("   1", "1.000") N1 C2, NULL, VIC_BAD_INPUT, "line 4: expected each atom once");
    s = files_read(N1 "ATOM      2  N   MET A   1      99.981  53.977  40.085  1.00 40.83           N  \n", NULL);
    assert_int_equal(files_info(s).atoms, 2);
    vic_structure_free(s);
    s = files_read(WATER("   1", "1.000") WATER("   2", "2.000") WATER("   1", "3.000") WATER("****", "4.000")
                       WATER("****", "5.000") WATER("    ", "6.000") WATER("    ", "7.000"),
                   NULL);
    assert_int_equal(files_info(s).atoms, 7);
    vic_structure_free(s);
    CHECK_REFUSED(WATER("   1", "1.000") WATER("   2", "1.000"), NULL, VIC_BAD_INPUT, "each atom once");
    s = files_read(LIGAND("C ", "1.000") LIGAND("C ", "2.500") LIGAND("C1", "3.000") LIGAND("C1", "4.000"), NULL);
    assert_int_equal(files_info(s).atoms, 4);
    vic_structure_free(s);
    CHECK_REFUSED(LIGAND("C ", "1.000") LIGAND("C ", "1.000"), NULL, VIC_BAD_INPUT, "each atom once");
}

static void test_models(void **state)
{
    static const char three[] = "MODEL        1\n" N1 C2 "ENDMDL\nMODEL        5\n" C2 "ENDMDL\nMODEL 9\n" N1 C2
                                "ATOM      3  CB  MET A   1       1.000   2.000   3.000\n"; /* no ENDMDL */
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s = files_read(three, NULL);
    vic_structure_info v = files_info(s);
    (void)state;
    assert_int_equal(v.atoms, 2);
    assert_int_equal(v.models, 3);
    vic_structure_free(s);
    o.model = 5;
    s = files_read(three, &o);
    assert_int_equal(files_info(s).atoms, 1);
    vic_structure_free(s);
    o.model = 9;
    s = files_read(three, &o);
    assert_int_equal(files_info(s).atoms, 3);
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
        assert_int_equal(files_info(end).atoms, files_info(s).atoms);
        assert_memory_equal(files_info(end).positions, files_info(s).positions,
                            (size_t)files_info(s).atoms * 3 * sizeof(double));
        vic_structure_free(end);
        vic_structure_free(s);
    }
    o.model = -4;
    CHECK_REFUSED(three, &o, VIC_BAD_INPUT, "no model -4; the file has 3: 1 to 3");
    CHECK_REFUSED("MODEL x\n" N1, NULL, VIC_BAD_INPUT, "expected MODEL and its number");
    o.model = 2; /* frames by END alone, each with its own cell */
    s = files_read("CRYST1   10.000   10.000   10.000  90.00  90.00  90.00 P 1\n" N1 "END\n"
                   "CRYST1   20.000   20.000   20.000  90.00  90.00  90.00 P 1\n" C2 "END\n"
                   "CRYST1   30.000   30.000   30.000  90.00  90.00  90.00 P 1\n" C2 N1 "END\n",
                   &o);
    v = files_info(s);
    assert_int_equal(v.models, 3);
    assert_true(v.cell[0] == 20.0);
    vic_structure_free(s);
    /* a number for each frame that is always the same says nothing: the place does */
    s = files_read("MODEL 1\n" N1 "ENDMDL\nMODEL 1\n" N1 C2 "ENDMDL\nMODEL 1\n" C2 "ENDMDL\n", &o);
    v = files_info(s);
    assert_int_equal(v.atoms, 2);
    assert_int_equal(v.models, 3);
    assert_non_null(strstr(v.notes, "numbered as they stand"));
    vic_structure_free(s);
    o.model = 4;
    CHECK_REFUSED("MODEL 1\n" N1 "ENDMDL\nMODEL 1\n" N1 "ENDMDL\n", &o, VIC_BAD_INPUT,
                  "no model 4; the file has 2: 1, 2");
}

/* What stands behind the end of the model that is taken is said. */
static void test_rest_is_said(void **state)
{
    static const char *const ends[] = { "ENDMDL\n", "END\n", "ENDMDL\nMODEL 2\n" };
    vic_read_options o = VIC_INIT(vic_read_options);
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; ++i) {
        char text[600];
        vic_structure *s;
        snprintf(text, sizeof text, N1 C2 "%s" LIGAND("C1", "3.000") LIGAND("C2", "4.000") LIGAND("C3", "5.000"),
                 ends[i]);
        o.model = 0;
        s = files_read(text, &o);
        assert_int_equal(files_info(s).atoms, 2);
        assert_string_equal(files_info(s).notes,
                            "The file has 2 models: the first was taken, and 3 atoms of the others left out.");
        vic_structure_free(s);
        o.model = 1;
        s = files_read(text, &o);
        assert_string_equal(files_info(s).notes, ""); /* it was asked for */
        vic_structure_free(s);
    }
}

static void test_cells(void **state)
{
    vic_structure *s =
        files_read("CRYST1   80.000   80.000   80.000  60.00  60.00  90.00 P 1           1\n" N1, NULL);
    vic_structure_info v = files_info(s);
    (void)state;
    assert_true(v.has_cell && v.periodic[0] && v.periodic[1] && v.periodic[2]);
    assert_string_equal(v.space_group, "P 1");
    assert_true(v.cell[1] == 0 && v.cell[2] == 0 && v.cell[3] == 0 && v.cell[4] == 80);
    vic_structure_free(s);
    s = files_read("CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1\n" N1, NULL);
    v = files_info(s);
    assert_false(v.has_cell || v.periodic[0]);
    assert_string_equal(v.space_group, "");
    vic_structure_free(s);
    s = files_read("CRYST1    0.000    0.000    0.000  90.00  90.00  90.00 P 1           1\n" N1, NULL);
    assert_false(files_info(s).has_cell);
    vic_structure_free(s);
    s = files_read("CRYST1 25.5 26.5 27.5 90 90 90 P 21 21 21\r\n" N1, NULL); /* not in columns, CRLF */
    v = files_info(s);
    assert_true(v.cell[4] == 26.5);
    assert_string_equal(v.space_group, "P 21 21 21");
    vic_structure_free(s);
    /* full fields touch; numbers apart are whole wherever they stand */
    s = files_read("CRYST112345.67812345.67812345.678  90.00  90.00 120.00 P 1\n" N1, NULL);
    assert_true(fabs(files_info(s).cell[0] - 12345.678) < 1e-9);
    vic_structure_free(s);
    s = files_read("CRYST1   150.2345  160.0000  170.0000  90.00  90.00  90.00 P 1\n" N1, NULL);
    assert_true(files_info(s).cell[0] == 150.2345 && files_info(s).cell[4] == 160);
    assert_string_equal(files_info(s).space_group, "P 1");
    vic_structure_free(s);
}

static void test_cells_that_cannot_be_read(void **state)
{
    static const char *const cells[] = {
        "CRYST1                             90.00  90.00  90.00 P 1\n",
        "CRYST1  123456.789123456.789123456.789  90.00  90.00  90.00 P 1\n",
        "CRYST1   50.000   50.000   50.0x0  90.00  90.00  90.00 P 1\n",
        "CRYST1   50.000   50.000   50.000 190.00  90.00  90.00 P 1\n",
    };
    vic_read_options o = VIC_INIT(vic_read_options);
    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; ++i) {
        char text[400];
        vic_structure *s;
        snprintf(text, sizeof text, "%s" N1 C2, cells[i]);
        o = (vic_read_options)VIC_INIT(vic_read_options);
        CHECK_REFUSED(text, &o, VIC_BAD_INPUT, "line 1: expected");
        o.pbc = VIC_PBC_SET; /* open along all axes: no cell is needed */
        s = files_read(text, &o);
        assert_false(files_info(s).has_cell);
        assert_non_null(strstr(files_info(s).notes, "The cell of the file cannot be used"));
        vic_structure_free(s);
        o.periodic[2] = true;
        CHECK_REFUSED(text, &o, VIC_BAD_INPUT, "line 1: expected");
        o = (vic_read_options)VIC_INIT(vic_read_options);
        o.has_cell = true; /* another in its place */
        for (int k = 0; k < 6; ++k) o.cell[k] = k < 3 ? 70 : 90;
        s = files_read(text, &o);
        assert_true(files_info(s).cell[8] == 70 && files_info(s).periodic[2]);
        vic_structure_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_serials_and_wide_fields),
        cmocka_unit_test(test_short_records_and_old_text),
        cmocka_unit_test(test_garbled_fields),
        cmocka_unit_test(test_no_numbers),
        cmocka_unit_test(test_cut_files),
        cmocka_unit_test(test_spelling),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_rest_is_said),
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_cells_that_cannot_be_read),
    };
    return FILES_TESTS("structure_pdb", tests);
}
