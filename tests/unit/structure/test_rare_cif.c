/* SPDX-License-Identifier: Apache-2.0 */
/* CIF's fields in more ways than ordinary files show; test_rare_fields.c has the other formats'. */
#include "files.h"

static void check_one(const char *text, const vic_read_options *options, int64_t atoms)
{
    vic_structure *s = files_read(text, options);
    assert_int_equal(files_info(s).atoms, atoms);
    vic_structure_free(s);
}

/* ---- mmCIF ---- */

static const char sites[] = "loop_\n_atom_site.group_PDB\n_atom_site.label_atom_id\n_atom_site.type_symbol\n"
                            "_atom_site.label_comp_id\n_atom_site.label_alt_id\n_atom_site.auth_seq_id\n"
                            "_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n";

static const char *mmcif(const char *before, const char *rows)
{
    static char text[2048];
    snprintf(text, sizeof text, "data_x\n%s%s%s", before, sites, rows);
    return text;
}

static void test_mmcif_values(void **state)
{
    vic_structure *s;
    vic_structure_info v;
    (void)state;
    CHECK_REFUSED(mmcif("", "ATOM C C ALA . 1 1.5) 0 0\n"), NULL, VIC_BAD_INPUT,
                  "Cartn_x as a number, found \"1.5)\"");
    CHECK_REFUSED(mmcif("", "ATOM C C ALA . 1 1.5() 0 0\n"), NULL, VIC_BAD_INPUT, "found \"1.5()\"");
    CHECK_REFUSED(mmcif("", "ATOM C C ALA . 1 1.5(x) 0 0\n"), NULL, VIC_BAD_INPUT, "found \"1.5(x)\"");
    s = files_read(mmcif("", "ATOM C C ALA '' 99999999999 1.5(2) 0 0\nATOM N N ALA ' A' -99999999999 1 0 0\n"
                             "ATOM O O{ ALA\n;\x7f\n; 7 2 0 0\nATOM CA C ALA B 8 2 2 0\n"),
                   NULL);
    v = files_info(s);
    assert_int_equal(v.atoms, 4);
    CHECK_POSITION(v, 0, 1.5, 0, 0);
    for (int i = 0; i < 3; ++i) assert_int_equal(v.labels[i].altloc, ' '); /* nothing, a blank, no character */
    assert_int_equal(v.labels[3].altloc, 'B');
    assert_int_equal(v.labels[0].sequence, 0); /* no 32 bits hold it */
    assert_int_equal(v.labels[1].sequence, 0);
    assert_int_equal(v.labels[2].sequence, 7);
    assert_int_equal(v.atomic_numbers[2], 8); /* the letters of O{ */
    vic_structure_free(s);
}

/* Two atoms of one name are two where they stand apart. */
static void test_mmcif_twice(void **state)
{
    (void)state;
    check_one(mmcif("", "HETATM O O XYZ . 1 0 0 0\nHETATM O O XYZ . 1 1 0 0\n"), NULL, 2);
    CHECK_REFUSED(mmcif("", "HETATM O O XYZ . 1 1 0 0\nHETATM O O XYZ . 1 1 0 0\n"), NULL, VIC_BAD_INPUT,
                  "expected each atom once");
    check_one(mmcif("", "ATOM O O ALA . 1 0 0 0\nATOM O O ALA . 1 1 0 0\n"), NULL, 2);
}

static void test_mmcif_cell(void **state)
{
    static const char lengths[] = "_cell.length_a 5\n_cell.length_b 5\n_cell.length_c 5\n",
                      angles[] = "_cell.angle_alpha 90\n_cell.angle_beta 90\n_cell.angle_gamma 90\n"
                                 "_symmetry.space_group_name_H-M ''\n_space_group.name_H-M_alt 'P 1 21 1'\n",
                      row[] = "ATOM C C ALA . 1 0 0 0\n";
    vic_read_options o = VIC_INIT(vic_read_options);
    char both[600];
    vic_structure *s;
    (void)state;
    CHECK_REFUSED(mmcif(lengths, row), NULL, VIC_BAD_INPUT, "expected a cell angle alpha");
    o.has_cell = true;
    for (int i = 0; i < 6; ++i) o.cell[i] = i < 3 ? 7 : 90;
    check_one(mmcif(lengths, row), &o, 1);
    snprintf(both, sizeof both, "%s%s", lengths, angles);
    s = files_read(mmcif(both, row), NULL);
    assert_string_equal(files_info(s).space_group, "P 1 21 1"); /* the first that has a value */
    vic_structure_free(s);
}

/* Another residue does not make room for two atoms in one place. */
static void test_mmcif_residues(void **state)
{
    static const char columns[] = "data_x\nloop_\n_atom_site.label_atom_id\n_atom_site.auth_seq_id\n"
                                  "_atom_site.pdbx_PDB_ins_code\n_atom_site.auth_asym_id\n_atom_site.label_asym_id\n"
                                  "_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n";
    static const char *const others[] = { "CA 2 . A A", "CA 1 X A A", "CA 1 . B A", "CA 1 . A B" };
    char text[600];
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; ++i) {
        snprintf(text, sizeof text, "%sCA 1 . A A 0 0 0\n%s 0 0 1e-3\n", columns, others[i]);
        check_one(text, NULL, 2);
        snprintf(text, sizeof text, "%sCA 1 . A A 0 0 0\n%s 0 0 0\n", columns, others[i]);
        CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "expected each atom once");
    }
    snprintf(text, sizeof text, "%sCA 1 . A A 0 0 0\nCA 1 . A A 0 0 0\n", columns);
    CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "expected each atom once");
}

/* The matrix turns the cell to the frame of the atoms, when all of it is there. */
static void test_mmcif_frame(void **state)
{
    char text[2048], head[1024] = "_cell.length_a 5\n_cell.length_b 6\n_cell.length_c 7\n_cell.angle_alpha 90\n"
                                  "_cell.angle_beta 90\n_cell.angle_gamma 90\n";
    static const double matrix[3][3] = { { 0, 0.2, 0 }, { -1 / 6.0, 0, 0 }, { 0, 0, 1 / 7.0 } };
    vic_structure *s;
    vic_structure_info v;
    (void)state;
    for (int i = 0; i < 3; ++i) {
        size_t at = strlen(head);
        for (int k = 0; k < 3; ++k)
            at += (size_t)snprintf(head + at, sizeof head - at, "_atom_sites.fract_transf_matrix[%d][%d] %.12g\n",
                                   i + 1, k + 1, matrix[i][k]);
        if (i == 2) { /* one number is missing */
            s = files_read(mmcif(head, "ATOM C C ALA . 1 0 0 0\n"), NULL);
            assert_true(fabs(files_info(s).cell[0] - 5) < 1e-9);
            vic_structure_free(s);
        }
        snprintf(head + at, sizeof head - at, "_atom_sites.fract_transf_vector[%d] 0\n", i + 1);
    }
    snprintf(text, sizeof text, "%s", mmcif(head, "ATOM C C ALA . 1 0 0 0\n"));
    s = files_read(text, NULL);
    v = files_info(s);
    assert_true(fabs(v.cell[1] - 5) < 1e-6 && fabs(v.cell[3] + 6) < 1e-6 && fabs(v.cell[8] - 7) < 1e-6);
    vic_structure_free(s);
}

static void test_small_cif(void **state)
{
    static const char head[] = "data_x\n_cell_length_a 5\n_cell_length_b 5\n_cell_length_c 5\n_cell_angle_alpha 90\n"
                               "_cell_angle_beta 90\n_cell_angle_gamma 90\n_space_group_name_H-M_alt ''\n"
                               "_symmetry_space_group_name_H-M 'P -1'\nloop_\n_atom_site_label\n"
                               "_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n",
                      rows[] = "V1 0 0 0\nVA2 0 0 .5\nVa3 0 .5 0\nVB4 .5 0 0\n";
    static const int elements[] = { 23, 0, 0, 23 }; /* vanadium, two vacancies, vanadium with a B after it */
    char text[1000];
    vic_structure *s;
    (void)state;
    snprintf(text, sizeof text, "%s%s", head, rows);
    s = files_read(text, NULL);
    assert_string_equal(files_info(s).space_group, "P -1");
    for (int i = 0; i < 4; ++i) assert_int_equal(files_info(s).atomic_numbers[i], elements[i]);
    vic_structure_free(s);
}

/* A loop of one row is a value like any other, one of two is none. */
static void test_mmcif_loops(void **state)
{
    vic_structure *s =
        files_read(mmcif("loop_\n_struct.entry_id\n_struct.title\nx 'a title'\n", "ATOM C C ALA . 1 0 0 0\n"), NULL);
    (void)state;
    assert_string_equal(files_info(s).title, "a title");
    vic_structure_free(s);
    s = files_read(mmcif("loop_\n_struct.entry_id\n_struct.title\nx 'a title'\ny b\n", "ATOM C C ALA . 1 0 0 0\n"),
                   NULL);
    assert_string_equal(files_info(s).title, "");
    vic_structure_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mmcif_values),   cmocka_unit_test(test_mmcif_twice), cmocka_unit_test(test_mmcif_cell),
        cmocka_unit_test(test_mmcif_residues), cmocka_unit_test(test_mmcif_frame), cmocka_unit_test(test_small_cif),
        cmocka_unit_test(test_mmcif_loops),
    };
    return FILES_TESTS("structure_rare_cif", tests);
}
