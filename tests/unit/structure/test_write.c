/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

static const char crystal[] = "CRYST1   63.150   83.590   53.800  90.00  99.34  90.00 P 1 21 1      4\n"
                              "ATOM      1  N   MET A   1      26.981  53.977  40.085  1.00 40.83           N  \n"
                              "ATOM      2 HG21AVAL A  -2A     26.981 -53.977  40.085  0.50 40.83           H  \n"
                              "HETATM    3 CA    CA B9999       1.000   2.000   3.000  1.00 40.83          CA  \n"
                              "HETATM    4  H1  TIP3WA000       1.000   3.000   3.000  1.00 40.83           H  \n";

static void read_back(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "rb");
    size_t length;
    assert_non_null(file);
    length = fread(text, 1, size - 1, file);
    text[length] = 0;
    fclose(file);
}

static void test_pdb(void **state)
{
    const double values[4] = { 1.234, -99.99, 999.99, 0 };
    vic_error err = { VIC_OK, "" };
    vic_structure *s = files_read(crystal, NULL), *back;
    vic_structure_info v = files_info(s), w;
    char text[2000];
    (void)state;
    CHECK_OK(vic_structure_write(s, files_path("out.pdb"), "count", values, &err));
    read_back(files_path("out.pdb"), text, sizeof text);
    assert_non_null(strstr(text, "CRYST1   63.150   83.590   53.800  90.00  99.34  90.00 P 1 21 1  "));
    assert_non_null(
        strstr(text, "\nATOM      1  N   MET A   1      26.981  53.977  40.085  1.00  1.23           N  \n"));
    assert_non_null(
        strstr(text, "\nATOM      2 HG21AVAL A  -2A     26.981 -53.977  40.085  0.50-99.99           H  \n"));
    assert_non_null(
        strstr(text, "\nHETATM    3 CA    CA B9999       1.000   2.000   3.000  1.00999.99          CA  \n"));
    assert_non_null(
        strstr(text, "\nHETATM    4  H1  TIP3WA000       1.000   3.000   3.000  1.00  0.00           H  \n"));
    CHECK_OK(vic_structure_read(files_path("out.pdb"), NULL, &back, &err));
    w = files_info(back);
    assert_int_equal(w.atoms, v.atoms);
    assert_memory_equal(w.positions, v.positions, sizeof(double) * 12);
    assert_memory_equal(w.labels, v.labels, sizeof(vic_atom_label) * 4);
    assert_memory_equal(w.atomic_numbers, v.atomic_numbers, 4);
    assert_memory_equal(w.cell, v.cell, sizeof v.cell);
    vic_structure_free(back);
    vic_structure_free(s);
}

/* A cell in a frame of its own (4HHB) goes out as SCALE records and comes back. */
static void test_pdb_keeps_the_frame(void **state)
{
    char text[3000];
    double values[4] = { 0 };
    vic_error err = { VIC_OK, "" };
    vic_structure *s, *back;
    vic_structure_info v, w;
    (void)state;
    snprintf(text, sizeof text,
             "SCALE1      0.015462  0.002192  0.003698        0.26656\n"
             "SCALE2     -0.001902  0.011771  0.000974        0.16413\n"
             "SCALE3     -0.001062 -0.001721  0.018728        0.75059\n%s",
             crystal);
    s = files_read(text, NULL);
    v = files_info(s);
    assert_true(fabs(v.cell[1]) > 1);
    CHECK_OK(vic_structure_write(s, files_path("out.pdb"), NULL, values, &err));
    read_back(files_path("out.pdb"), text, sizeof text);
    assert_non_null(strstr(text, "SCALE3     -0.00106"));
    assert_non_null(strstr(text, "0.75059"));
    CHECK_OK(vic_structure_read(files_path("out.pdb"), NULL, &back, &err));
    w = files_info(back);
    for (int i = 0; i < 9; ++i) assert_true(fabs(w.cell[i] - v.cell[i]) < 0.02);
    vic_structure_free(back);
    vic_structure_free(s);
}

/* Serials above 99,999 are hybrid-36. */
static void test_pdb_of_many_atoms(void **state)
{
    enum { ATOMS = 100002 };
    double *positions = calloc(3 * ATOMS, sizeof *positions), *values = calloc(ATOMS, sizeof *values);
    uint8_t *numbers = malloc(ATOMS);
    char line[100] = "", wanted[100] = "";
    int64_t count = 0;
    vic_error err = { VIC_OK, "" };
    vic_structure *s, *back;
    FILE *file;
    (void)state;
    assert_true(positions && values && numbers);
    for (int i = 0; i < ATOMS; ++i) {
        positions[3 * i] = i * 0.05;
        numbers[i] = 6;
    }
    CHECK_OK(vic_structure_from_arrays(ATOMS, positions, NULL, NULL, numbers, &s, &err));
    CHECK_OK(vic_structure_write(s, files_path("many.pdb"), NULL, values, &err));
    file = fopen(files_path("many.pdb"), "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "ATOM", 4) == 0 && ++count == 100001) memcpy(wanted, line, sizeof line);
    fclose(file);
    assert_int_equal(count, ATOMS);
    assert_memory_equal(wanted, "ATOM  A0001  C   MOL     1 ", 27);
    CHECK_OK(vic_structure_read(files_path("many.pdb"), NULL, &back, &err)); /* names are no identity here */
    assert_int_equal(files_info(back).atoms, ATOMS);
    vic_structure_free(back);
    vic_structure_free(s);
    free(numbers);
    free(values);
    free(positions);
}

static void test_extxyz_is_exact(void **state)
{
    const double positions[6] = { 0.1, -1e-9, 12345.678901234567, 1.0 / 3, 0, -0.25 };
    const double cell[9] = { 0.1, 7, 0, -3, 0.3, 0.7, 0, 0, 0 }, values[2] = { 1.0 / 7, -INFINITY };
    const bool periodic[3] = { true, true, false };
    const uint8_t numbers[2] = { 26, 0 };
    vic_error err = { VIC_OK, "" };
    vic_structure *s, *back;
    vic_structure_info w;
    char text[1000];
    (void)state;
    CHECK_OK(vic_structure_from_arrays(2, positions, cell, periodic, numbers, &s, &err));
    CHECK_OK(vic_structure_write(s, files_path("out.extxyz"), "neighbours", values, &err));
    read_back(files_path("out.extxyz"), text, sizeof text);
    assert_non_null(strstr(text, "pbc=\"T T F\" Properties=species:S:1:pos:R:3:neighbours:R:1\nFe 0.1 -1e-09 "));
    assert_non_null(strstr(text, " 0.142857142857142"));
    assert_non_null(strstr(text, " -inf\n"));
    CHECK_OK(vic_structure_read(files_path("out.extxyz"), NULL, &back, &err));
    w = files_info(back);
    assert_int_equal(w.atoms, 2);
    assert_memory_equal(w.positions, positions, sizeof positions);
    assert_memory_equal(w.cell, cell, sizeof cell);
    assert_memory_equal(w.periodic, periodic, sizeof periodic);
    assert_int_equal(w.atomic_numbers[0], 26);
    assert_int_equal(w.atomic_numbers[1], 0);
    vic_structure_free(back);
    vic_structure_free(s);
}

/* Names that CIF must quote, a frame of its own, and exact numbers come back. */
static void test_mmcif(void **state)
{
    static const char source[] =
        "data_x\n_cell.length_a 10\n_cell.length_b 11\n_cell.length_c 12\n_cell.angle_alpha 80\n_cell.angle_beta 95\n"
        "_cell.angle_gamma 103\n_symmetry.space_group_name_H-M 'P 1'\nloop_\n_atom_site.group_PDB\n"
        "_atom_site.label_atom_id\n_atom_site.label_alt_id\n_atom_site.label_comp_id\n_atom_site.auth_asym_id\n"
        "_atom_site.auth_seq_id\n_atom_site.pdbx_PDB_ins_code\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n"
        "_atom_site.Cartn_z\n_atom_site.occupancy\n"
        "ATOM \"O5'\" . DA 'data_' -5 ? 0.1 -1e-7 12345.678901 0.5\nHETATM '_X' A '#1' \"a' \" 7 B 1 2 3 1\n"
        "ATOM 'a\"b' . \"?\" A 8 ? 1 2 3 1\nATOM\n;a\"' b'\n; . X A 9 ? 1 2 4 1\n";
    const double values[4] = { 1.0 / 3, -1e10, 0, 7 };
    vic_read_options all = VIC_INIT(vic_read_options);
    vic_error err = { VIC_OK, "" };
    vic_structure *s, *back;
    vic_structure_info v, w;
    (void)state;
    all.altloc = VIC_ALTLOC_ALL;
    s = files_read(source, &all);
    v = files_info(s);
    CHECK_OK(vic_structure_write(s, files_path("out.cif"), NULL, values, &err));
    CHECK_OK(vic_structure_read(files_path("out.cif"), &all, &back, &err));
    w = files_info(back);
    assert_int_equal(w.atoms, 4);
    assert_string_equal(w.format, "mmcif");
    assert_string_equal(w.labels[3].name, "a\"' b'");
    assert_memory_equal(w.labels, v.labels, 4 * sizeof *v.labels);
    assert_memory_equal(w.positions, v.positions, 12 * sizeof(double));
    assert_memory_equal(w.occupancies, v.occupancies, 4 * sizeof(float));
    for (int i = 0; i < 4; ++i) assert_true(w.b_factors[i] == (float)values[i]);
    for (int i = 0; i < 9; ++i) assert_true(fabs(w.cell[i] - v.cell[i]) < 1e-9);
    vic_structure_free(back);
    vic_structure_free(s);
}

static void test_failures_leave_nothing(void **state)
{
    const double positions[3] = { 1, 2, 3 }, far[3] = { 1, -1000, 3 }, left[9] = { 0, 5, 0, 5, 0, 0, 0, 0, 5 };
    const double fits = 999.99, rounds_up = 999.996, low = -100, none = NAN;
    vic_error err = { VIC_OK, "" };
    vic_structure *s;
    int before = files_count();
    const char *pdb;
    char path[500];
    (void)state;
    CHECK_OK(vic_structure_from_arrays(1, positions, NULL, NULL, NULL, &s, &err));
    snprintf(path, sizeof path, "%s", files_path("fail.pdb"));
    pdb = path;
    CHECK_FAILS(vic_structure_write(s, pdb, NULL, &rounds_up, &err), VIC_CANNOT_WRITE,
                "write extXYZ (.extxyz) instead");
    CHECK_FAILS(vic_structure_write(s, pdb, NULL, &low, &err), VIC_CANNOT_WRITE,
                "the value of atom 1 within -99.99 to 999.99");
    CHECK_FAILS(vic_structure_write(s, pdb, NULL, &none, &err), VIC_CANNOT_WRITE, "the value");
    CHECK_FAILS(vic_structure_write(s, files_path("fail.gro"), "v", &fits, &err), VIC_BAD_ARGUMENT,
                ".pdb, .cif, .mmcif, .xyz or .extxyz");
    CHECK_FAILS(vic_structure_write(s, files_path("fail.cif"), "v", &none, &err), VIC_CANNOT_WRITE,
                "expected a finite value for atom 1");
    CHECK_FAILS(vic_structure_write(s, files_path("fail.xyz"), "a b", &fits, &err), VIC_BAD_ARGUMENT,
                "found \"a b\"");
    CHECK_FAILS(vic_structure_write(s, files_path("fail.xyz"), NULL, &fits, &err), VIC_BAD_ARGUMENT, "value_name");
    CHECK_FAILS(vic_structure_write(s, files_path("fail.xyz"), "pos", &fits, &err), VIC_BAD_ARGUMENT,
                "other than species");
    CHECK_FAILS(vic_structure_write(s, files_path("no/fail.xyz"), "v", &fits, &err), VIC_CANNOT_WRITE,
                "No such file");
    CHECK_FAILS(vic_structure_write(s, pdb, NULL, NULL, &err), VIC_BAD_ARGUMENT, "values is NULL");
    CHECK_FAILS(vic_structure_write(NULL, pdb, NULL, &fits, &err), VIC_BAD_ARGUMENT, "structure is NULL");
    CHECK_FAILS(vic_structure_write(s, "", NULL, &fits, &err), VIC_BAD_ARGUMENT, "path is empty");
    vic_structure_free(s);
    CHECK_OK(vic_structure_from_arrays(1, far, NULL, NULL, NULL, &s, &err));
    CHECK_FAILS(vic_structure_write(s, pdb, NULL, &fits, &err), VIC_CANNOT_WRITE, "the position of atom 1");
    vic_structure_free(s);
    CHECK_OK(vic_structure_from_arrays(1, positions, left, NULL, NULL, &s, &err));
    CHECK_FAILS(vic_structure_write(s, pdb, NULL, &fits, &err), VIC_CANNOT_WRITE, "right-handed");
    CHECK_FAILS(vic_structure_write(s, files_path("fail.cif"), NULL, &fits, &err), VIC_CANNOT_WRITE, "right-handed");
    vic_structure_free(s);
    assert_int_equal(files_count(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pdb),
        cmocka_unit_test(test_pdb_keeps_the_frame),
        cmocka_unit_test(test_pdb_of_many_atoms),
        cmocka_unit_test(test_extxyz_is_exact),
        cmocka_unit_test(test_mmcif),
        cmocka_unit_test(test_failures_leave_nothing),
    };
    return FILES_TESTS("structure_write", tests);
}
