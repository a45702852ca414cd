/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#define CELL_PART                                                                                                    \
    "_cell.length_a 10.5\n_cell.length_b 20\n_cell.length_c 30\n_cell.angle_alpha 90\n_cell.angle_beta 90\n"         \
    "_cell.angle_gamma 90\n_symmetry.space_group_name_H-M 'P 21 21 21'\n_struct.title 'a title'\n"
#define LOOP                                                                                                         \
    "data_TEST\n#\n" CELL_PART "loop_\n_atom_site.group_PDB\n_atom_site.id\n_atom_site.type_symbol\n"                \
    "_atom_site.label_atom_id\n_atom_site.label_alt_id\n_atom_site.label_comp_id\n_atom_site.label_asym_id\n"        \
    "_atom_site.label_seq_id\n_atom_site.pdbx_PDB_ins_code\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n"                \
    "_atom_site.Cartn_z\n_atom_site.occupancy\n_atom_site.B_iso_or_equiv\n_atom_site.auth_seq_id\n"                  \
    "_atom_site.auth_asym_id\n_atom_site.pdbx_PDB_model_num\n"
#define ROW_N  "ATOM 1 N N . MET A 1 ? 1.5 2.5 -3.5 1.00 20.25 7 X 1\n"
#define ROW_CA "ATOM 2 C CA . MET A 1 ? 1.75(3) 2 3 0.5 ? 7 X 1\n"

static void test_columns(void **state)
{
    vic_structure *s = files_read(LOOP ROW_N ROW_CA "HETATM 3 FE \"FE'\" B HEM C . A 4 5 6 ? 1.0 -9 Y 1\n#\n", NULL);
    vic_structure_info v = files_info(s);
    (void)state;
    assert_int_equal(v.atoms, 3);
    assert_string_equal(v.format, "mmcif");
    assert_string_equal(v.title, "a title");
    assert_string_equal(v.space_group, "P 21 21 21");
    assert_true(v.has_cell && v.cell[0] == 10.5 && v.cell[8] == 30);
    assert_int_equal(v.unapplied_operations, 3); /* so the lattice is not applied either */
    assert_false(v.periodic[0] || v.periodic[1] || v.periodic[2]);
    CHECK_POSITION(v, 0, 1.5, 2.5, -3.5);
    CHECK_POSITION(v, 1, 1.75, 2, 3);
    assert_true(v.b_factors[0] == 20.25f && v.b_factors[1] == 0 && v.occupancies[1] == 0.5f && v.occupancies[2] == 1);
    assert_string_equal(v.labels[0].chain, "X"); /* the author's */
    assert_int_equal(v.labels[0].sequence, 7);
    assert_string_equal(v.labels[2].name, "FE'");
    assert_int_equal(v.labels[2].altloc, 'B');
    assert_int_equal(v.labels[2].insertion, 'A');
    assert_int_equal(v.labels[2].sequence, -9);
    assert_true(v.labels[2].hetero && !v.labels[1].hetero);
    assert_int_equal(v.atomic_numbers[2], 26);
    vic_structure_free(s);
}

/* One atom may be written without a loop, tags may have any case, and columns may be missing. */
static void test_forms(void **state)
{
    vic_structure *s = files_read("data_x\n_atom_site.CARTN_X 1\n_atom_site.Cartn_y 2\n_atom_site.Cartn_z 3\n"
                                  "_atom_site.label_atom_id CA\n_atom_site.label_comp_id ALA\n",
                                  NULL);
    vic_structure_info v = files_info(s);
    (void)state;
    assert_int_equal(v.atoms, 1);
    CHECK_POSITION(v, 0, 1, 2, 3);
    assert_int_equal(v.atomic_numbers[0], 6);
    assert_null(v.b_factors);
    assert_null(v.occupancies);
    assert_int_equal(v.models, 1);
    vic_structure_free(s);
}

static void test_bad_values(void **state)
{
    (void)state;
    CHECK_REFUSED(LOOP ROW_N "ATOM 9 C CA . MET A 1 ? ? 2 3 1 20 7 X 1\n", NULL, VIC_BAD_INPUT,
                  "line 30: atom 9: expected Cartn_x as a number, found \"?\"");
    CHECK_REFUSED(LOOP ROW_N "ATOM 9 C CA . MET A 1 ? 1 . 3 1 20 7 X 1\n", NULL, VIC_BAD_INPUT,
                  "Cartn_y as a number");
    CHECK_REFUSED(LOOP ROW_N "ATOM 9 C CA . MET A 1 ? 1 2 1...0 1 20 7 X 1\n", NULL, VIC_BAD_INPUT,
                  "found \"1...0\"");
    CHECK_REFUSED(LOOP ROW_N "ATOM 9 C CA . MET A 1 ? 1 2 nan 1 20 7 X 1\n", NULL, VIC_BAD_INPUT, "found \"nan\"");
    CHECK_REFUSED(LOOP ROW_N "ATOM 9 C CA . MET A 1 ? 1 2 3 x 20 7 X 1\n", NULL, VIC_BAD_INPUT,
                  "occupancy as a number");
    CHECK_REFUSED(LOOP ROW_N "ATOM 9 C CA . MET A 1 ? 1 2 3 1 2,0 7 X 1\n", NULL, VIC_BAD_INPUT, "B_iso_or_equiv as");
    CHECK_REFUSED(LOOP ROW_N "ATOM 9 C CA . MET A 1 ? 1 2 3 1 20 7 X one\n", NULL, VIC_BAD_INPUT,
                  "pdbx_PDB_model_num as");
    CHECK_REFUSED(LOOP ROW_N ROW_CA ROW_CA, NULL, VIC_BAD_INPUT,
                  "line 31: expected each atom once, found atom 3 (CA of MET X 7) where atom 2");
    CHECK_REFUSED("data_x\n_cell.length_a 1O.5\nloop_\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n1 "
                  "2 3\n",
                  NULL, VIC_BAD_INPUT, "_cell.length_a as a number (or ?), found \"1O.5\"");
    CHECK_REFUSED("data_x\n_cell.length_a 10\n_cell.length_b 10\n_cell.length_c 10\nloop_\n_atom_site.Cartn_x\n"
                  "_atom_site.Cartn_y\n_atom_site.Cartn_z\n1 2 3\n",
                  NULL, VIC_BAD_INPUT, "angle alpha");
}

static void test_bad_syntax(void **state)
{
    (void)state;
    CHECK_REFUSED(LOOP ROW_N "ATOM 2 C\n", NULL, VIC_BAD_INPUT, "Wrong number of values in the loop");
    CHECK_REFUSED("data_x\n_a.b\n;never closed\n", NULL, VIC_BAD_INPUT,
                  "line 4: expected correct CIF, found: unterminated text field");
    CHECK_REFUSED("data_x\n_a.b\n_a.c 1\n", NULL, VIC_BAD_INPUT,
                  "line 2: expected correct CIF, found: _a.b has no value");
    CHECK_REFUSED("data_x\n_a.b 2\n_A.B 1\n", NULL, VIC_BAD_INPUT,
                  "line 3: expected correct CIF, found: duplicate tag");
    CHECK_REFUSED("data_x\n_a.b 2\ndata_X\n_a.b 1\n", NULL, VIC_BAD_INPUT, "duplicate block name");
    CHECK_REFUSED("data_x\nloop_\n_s\n1\n2\n", NULL, VIC_BAD_INPUT, "expected a CIF with an _atom_site.Cartn_x or");
}

static void test_models_may_be_mixed(void **state)
{
    static const char text[] = LOOP "ATOM 1 N N . MET A 1 ? 1 0 0 1 1 7 X 3\nATOM 2 N N . MET A 1 ? 2 0 0 1 1 7 X 1\n"
                                    "ATOM 3 C C . MET A 1 ? 3 0 0 1 1 7 X 3\n";
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s = files_read(text, NULL);
    vic_structure_info v = files_info(s);
    (void)state;
    assert_int_equal(v.models, 2);
    assert_int_equal(v.atoms, 2);
    CHECK_POSITION(v, 1, 3, 0, 0);
    vic_structure_free(s);
    o.model = 1;
    s = files_read(text, &o);
    v = files_info(s);
    assert_int_equal(v.atoms, 1);
    CHECK_POSITION(v, 0, 2, 0, 0);
    vic_structure_free(s);
    o.model = 2;
    CHECK_REFUSED(text, &o, VIC_BAD_INPUT, "no model 2; the file has 2: 1, 3");
    o.model = -1; /* the highest number */
    s = files_read(text, &o);
    assert_int_equal(files_info(s).atoms, 2);
    vic_structure_free(s);
    o.model = -3;
    CHECK_REFUSED(text, &o, VIC_BAD_INPUT, "no model -3; the file has 2: 1, 3");
}

/* Several data blocks with atoms: their models are numbered through, and what is not taken is said. */
static void test_blocks(void **state)
{
    static const char loop[] = "loop_\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n"
                               "_atom_site.pdbx_PDB_model_num\n";
    static const int64_t atoms[] = { 0, 2, 1, 3, 1 };
    vic_read_options o = VIC_INIT(vic_read_options);
    char text[2000];
    vic_structure *s;
    (void)state;
    snprintf(text, sizeof text,
             "data_a\n%s1 0 0 7\n2 0 0 7\n3 0 0 9\ndata_none\n_a.b 1\ndata_empty\n_cell.length_a 5\n"
             "data_b\n%s4 0 0 1\n5 0 0 1\n6 0 0 1\ndata_c\n%s7 0 0 3\n",
             loop, loop, loop);
    s = files_read(text, NULL);
    assert_int_equal(files_info(s).atoms, 2);
    assert_int_equal(files_info(s).models, 4);
    assert_non_null(strstr(files_info(s).notes, "atoms in 3 data blocks, whose 4 models"));
    vic_structure_free(s);
    for (int i = 1; i <= 4; ++i)
        for (int sign = -1; sign <= 1; sign += 2) {
            o.model = sign > 0 ? i : i - 5;
            s = files_read(text, &o);
            assert_int_equal(files_info(s).atoms, atoms[i]);
            assert_int_equal(files_info(s).models, 4);
            assert_string_equal(files_info(s).notes, "");
            vic_structure_free(s);
        }
    o.model = 5;
    CHECK_REFUSED(text, &o, VIC_BAD_INPUT, "no model 5; the file has 4: 1 to 4");
    o.model = -5;
    CHECK_REFUSED(text, &o, VIC_BAD_INPUT, "no model -5");
}

/* Labels of more than one character are as different as others. */
static void test_long_altlocs(void **state)
{
    vic_structure *s =
        files_read(LOOP
                   "ATOM 1 C CB AA SER A 1 ? 0 0 0 0.4 10 10 A 1\nATOM 2 C CB AB SER A 1 ? 0.5 0 0 0.6 10 10 A 1\n"
                   "ATOM 3 O OG AA SER A 1 ? 0 0 2 0.4 10 10 A 1\nATOM 4 O OG AB SER A 1 ? 0 0 2.6 0.6 10 10 A 1\n",
                   NULL);
    char text[8000];
    size_t at;
    (void)state;
    assert_int_equal(files_info(s).atoms, 2);
    assert_int_equal(files_info(s).altloc_atoms, 4);
    CHECK_POSITION(files_info(s), 0, 0.5, 0, 0);
    CHECK_POSITION(files_info(s), 1, 0, 0, 2.6);
    vic_structure_free(s);
    at = (size_t)snprintf(text, sizeof text, "%s", LOOP);
    for (int i = 0; i < 27; ++i)
        at +=
            (size_t)snprintf(text + at, sizeof text - at, "ATOM 1 C CB L%d SER A 1 ? %d 0 0 0.03 10 10 A 1\n", i, i);
    CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "at most 26 label_alt_id of more than one character, found \"L26\" too");
}

static void test_models_are_said(void **state)
{
    vic_structure *s =
        files_read(LOOP ROW_N "ATOM 1 N N . MET A 1 ? 1 2 3 1 20 7 X 2\nATOM 1 N N . MET A 1 ? 1 2 4 1 20 7 X 2\n",
                   NULL);
    (void)state;
    assert_int_equal(files_info(s).atoms, 1);
    assert_string_equal(files_info(s).notes,
                        "The file has 2 models: the first was taken, and 2 atoms of the others left out.");
    vic_structure_free(s);
}

/* Waters of one author's number are told apart by label_asym_id, or by where they are. */
static void test_altlocs_of_one_number(void **state)
{
    vic_structure *s =
        files_read(LOOP
                   "ATOM 1 C CB A SER A 1 ? 0 0 0 0.6 10 10 A 1\nATOM 2 C CB B SER A 1 ? 0.5 0 0 0.4 10 10 A 1\n"
                   "HETATM 4 O O A HOH C . ? 0 0 2 0.4 10 10 A 1\nHETATM 5 O O B HOH C . ? 0 0 2.6 0.6 10 10 A 1\n",
                   NULL);
    (void)state;
    assert_int_equal(files_info(s).atoms, 2);
    CHECK_POSITION(files_info(s), 0, 0, 0, 0);
    CHECK_POSITION(files_info(s), 1, 0, 0, 2.6);
    vic_structure_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_long_altlocs),
        cmocka_unit_test(test_models_are_said),
        cmocka_unit_test(test_altlocs_of_one_number),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_bad_syntax),
        cmocka_unit_test(test_models_may_be_mixed),
    };
    return FILES_TESTS("structure_mmcif", tests);
}
