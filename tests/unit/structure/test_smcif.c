/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#include "structure/io/gemmi_shim.h"
#include "structure/symop.h"

#define CELL_TEXT                                                                                                    \
    "_cell_length_a 4.0(1)\n_cell_length_b 5\n_cell_length_c 6.00(12)\n_cell_angle_alpha 90\n_cell_angle_beta 90.\n" \
    "_cell_angle_gamma 90.0(3)\n"
#define SITES     "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
#define INVERSION "loop_\n_symmetry_equiv_pos_as_xyz\n-x,-y,-z\n'x, y, z'\n"

static void test_values(void **state)
{
    static const char text[] =
        "data_x\n_chemical_name_mineral 'a name'\n" CELL_TEXT
        "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_"
        "z\n"
        "_atom_site_occupancy\n_atom_site_U_iso_or_equiv\n_atom_site_B_iso_or_equiv\n_atom_site_calc_flag\n"
        "A Si4+ 0.25(12) -.5 1.125(3) 0.5(1) 0.0126651479552922 ? d\n"
        "B O2- 0 0 0 . . 2.5(1) d\nDUM D 0 0 0 1 ? ? dum\nCA1 ? 0 0 0 1 ? ? calc\nCl2a . 0 0 0 1 ? ? calc\n"
        "Zn Zn2+ 0 0 0 1 ? ? d\nX1 Va 0 0 0 1 ? ? d\nD1 D 0 0 0 1 ? ? d\nC Cval 0 0 0 1 ? ? d\nf FE 0 0 0 1 ? ? d\n";
    static const int numbers[] = { 14, 8, 6, 17, 30, 0, 1, 6, 26 }; /* Va: a vacancy */
    vic_structure *s = files_read(text, NULL);
    vic_structure_info v = files_info(s);
    (void)state;
    assert_string_equal(v.format, "cif");
    assert_string_equal(v.title, "a name");
    assert_int_equal(v.atoms, 9);
    for (int i = 0; i < 9; ++i)
        CHECK(v.atomic_numbers[i] == numbers[i], "atom %d: element %d", i, v.atomic_numbers[i]);
    CHECK_POSITION(v, 0, 1, -2.5, 6.75);
    assert_true(v.occupancies[0] == 0.5f && v.occupancies[1] == 1.0f);
    assert_true(fabsf(v.b_factors[0] - 1.0f) < 1e-6f && v.b_factors[1] == 2.5f && v.b_factors[2] == 0.0f);
    assert_true(v.has_cell && v.periodic[0] && v.periodic[2] && v.cell[8] == 6 && v.cell[3] == 0);
    assert_null(v.labels);
    vic_structure_free(s);
}

static void test_symmetry(void **state)
{
    static const char text[] = "data_a\n_x 1\ndata_b\n" CELL_TEXT INVERSION SITES "C1 0.5 0.501 0.5\nO1 .1 .2 .3\n"
                               "data_c\n" CELL_TEXT "_space_group_name_H-M_alt 'P -1'\n" SITES "N 0 0 0\n";
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    vic_structure_info v;
    (void)state;
    o.symmetry = true;
    s = files_read(text, &o);
    v = files_info(s);
    assert_int_equal(v.models, 2); /* blocks with sites */
    assert_string_equal(v.notes, "The file has atoms in 2 data blocks: the first was taken.");
    assert_int_equal(v.atoms, 3); /* 0.01 A from the centre: merged */
    CHECK_POSITION(v, 0, 2, 2.505, 3);
    CHECK_POSITION(v, 2, -0.4, -1, -1.8);
    vic_structure_free(s);
    o.model = -1;
    s = files_read(text, &o);
    assert_int_equal(files_info(s).atoms, 1);
    assert_int_equal(files_info(s).symmetry_operations, 2);
    assert_int_equal(files_info(s).atomic_numbers[0], 7);
    vic_structure_free(s);
    o.model = 3;
    CHECK_REFUSED(text, &o, VIC_BAD_INPUT, "no data block 3; the file has 2: 1 to 2;");
}

/* Names as they were written before, and the operations of what they are called now. */
static void test_old_spellings(void **state)
{
    static const char *const names[][2] = {
        { "P2(1)/c", "P 1 21/c 1" },
        { "P 2(1)/n", "P 1 21/n 1" },
        { "P 21/c", "P 1 21/c 1" },
        { "P2_1/c", "P 1 21/c 1" },
        { "P2(1)2(1)2(1)", "P 21 21 21" },
        { "P 2(1) 2(1) 2", "P 21 21 2" },
        { "P6(3)/mmc", "P 63/m m c" },
        { "F4(1)32", "F 41 3 2" },
        { "P-42(1)m", "P -4 21 m" },
        { "Fm3m", "F m -3 m" },
        { "F m 3 m", "F m -3 m" },
        { "FM3M", "F m -3 m" },
        { "Fd3m:2", "F d -3 m :2" },
        { "Ia3d", "I a -3 d" },
        { "Pa3", "P a -3" },
        { "Im3", "I m -3" },
        { "Pn3n:1", "P n -3 n :1" },
        { "R 3 m", "R 3 m :H" },
        { "P 3 m 1", "P 3 m 1" },
        { "P -4 3 m", "P -4 3 m" },
    };
    static const char *const none[] = { "P2(3)/c", "Fq3m", "m3m", "()" };
    static struct shim_operation old[SHIM_MAX_OPERATIONS], now[SHIM_MAX_OPERATIONS];
    bool two_origins;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        int count = shim_space_group(names[i][1], 90, 120, now, &two_origins);
        CHECK(count > 1 && shim_space_group(names[i][0], 90, 120, old, &two_origins) == count &&
                  memcmp(old, now, (size_t)count * sizeof *old) == 0,
              "%s is not %s", names[i][0], names[i][1]);
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; ++i)
        CHECK(shim_space_group(none[i], 90, 90, old, &two_origins) == 0, "%s", none[i]);
    assert_true(shim_space_group("Fd3m", 90, 90, old, &two_origins) == 192 && two_origins);
    assert_true(shim_space_group("Fm3m", 90, 90, old, &two_origins) == 192 && !two_origins);
}

/* A cell of 1 A is no cell: the numbers are angstrom. */
static void test_molecule(void **state)
{
    vic_structure *s =
        files_read("data_x\n_cell_length_a 1\n_cell_length_b 1\n_cell_length_c 1\n_cell_angle_alpha 90\n"
                   "_cell_angle_beta 90\n_cell_angle_gamma 90\n" SITES "C 1.5 -2 3\n",
                   NULL);
    (void)state;
    assert_false(files_info(s).has_cell);
    CHECK_POSITION(files_info(s), 0, 1.5, -2, 3);
    vic_structure_free(s);
}

static void test_refusals(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    (void)state;
    CHECK_REFUSED("data_x\n" CELL_TEXT SITES "C1 0 0 0\nO1 0 ? 0\n", NULL, VIC_BAD_INPUT,
                  "line 14: expected fract_y of site 2 (\"O1\") as a number, found \"?\"");
    CHECK_REFUSED("data_x\n" CELL_TEXT SITES "C1 0 0 nan\n", NULL, VIC_BAD_INPUT, "fract_z of site 1");
    CHECK_REFUSED("data_x\n" CELL_TEXT SITES "C1 0 0 1e999\n", NULL, VIC_BAD_INPUT, "fract_z of site 1");
    CHECK_REFUSED("data_x\n" CELL_TEXT SITES "C1 0 0 1e308\n", NULL, VIC_BAD_INPUT, "expected finite positions");
    CHECK_REFUSED("data_x\n" CELL_TEXT SITES "C1 0 0 1(2\n", NULL, VIC_BAD_INPUT, "found \"1(2\"");
    CHECK_REFUSED("data_x\n" CELL_TEXT "loop_\n_atom_site_label\n_atom_site_fract_x\nC 0\n", NULL, VIC_BAD_INPUT,
                  "line 8: expected fract_y of site 1 (\"C\") as a number, found nothing");
    CHECK_REFUSED("data_x\n" SITES "C 0 0 0\n", NULL, VIC_BAD_INPUT,
                  "expected a cell, as the positions are fractional");
    CHECK_REFUSED("data_x\n_cell_length_a ten\n" SITES "C 0 0 0\n", NULL, VIC_BAD_INPUT,
                  "line 2: expected _cell_length_a as a number, found \"ten\"");
    CHECK_REFUSED("data_x\n_cell_length_a 1\n_cell_length_b 2\n_cell_length_c 3\n_cell_angle_alpha 10\n"
                  "_cell_angle_beta 10\n_cell_angle_gamma 90\n" SITES "C 0 0 0\n",
                  NULL, VIC_BAD_INPUT, "expected cell angles that close a cell");
    o.symmetry = true;
    CHECK_REFUSED("data_x\n" CELL_TEXT SITES "C1 0 0 0\n", &o, VIC_BAD_INPUT, "found none in the file");
    CHECK_REFUSED("data_x\n" CELL_TEXT "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\nx,y,w\n" SITES "C1 0 0 0\n", &o,
                  VIC_BAD_INPUT, "line 11: expected a symmetry operation such as -x+1/2, y, -z, found \"x,y,w\"");
    CHECK_REFUSED("data_x\n" CELL_TEXT "loop_\n_symmetry_equiv_pos_as_xyz\n-x,-y,z\n" SITES "C1 0 0 0\n", &o,
                  VIC_BAD_INPUT, "expected x, y, z among");
    CHECK_REFUSED("data_x\n" CELL_TEXT "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\ny,x,-z\n" SITES "C1 0 0 0\n", &o,
                  VIC_BAD_INPUT, "operations distort"); /* a is not b */
    o.symmetry = false;                                 /* the operations do not matter then */
    s = files_read("data_x\n" CELL_TEXT "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,w\n" SITES "C1 0 0 0\n", &o);
    vic_structure_free(s);
    /* a loop without rows is no list of operations; it was once read beyond its end */
    s = files_read("data_x\n" CELL_TEXT SITES "C1 0 0 0\nloop_\n_symmetry_equiv_pos_as_xyz\n", &o);
    vic_structure_free(s);
    o.has_cell = true; /* fractions of the cell given by hand */
    for (int i = 0; i < 6; ++i) o.cell[i] = i < 3 ? 10 : 90;
    s = files_read("data_x\n" SITES "C .5 0 -1\n", &o);
    CHECK_POSITION(files_info(s), 0, 5, 0, -10);
    vic_structure_free(s);
}

static bool reads(const char *text, struct expand_operation *out)
{
    struct piece p = { text, strlen(text) };
    return symop_read(p, out);
}

static void test_operations(void **state)
{
    static const char *const same[] = { "-y+1/2,x-y,z-2/3", " 1/2 - Y , +X-Y , -2/3+Z", ".5-y,x-1*y,-.66667+z" };
    static const char *const wrong[] = { "",        "x,y",    "x,y,z,",    "x,y,z,x",  "x y,y,z",
                                         "x,,z",    "x,y,z+", "x,y,z+1/0", "x,y,zz/2", "x,y,1/2*",
                                         "x,y,--z", "a,b,c",  "x,y,0.3z" };
    struct expand_operation op;
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; ++i) {
        assert_true(reads(same[i], &op));
        assert_true(op.rotation[0][0] == 0 && op.rotation[0][1] == -1 && op.rotation[1][0] == 1 &&
                    op.rotation[1][1] == -1 && op.rotation[2][2] == 1);
        assert_true(op.translation[0] == 0.5 && op.translation[1] == 0 && op.translation[2] == -16.0 / 24);
    }
    assert_true(reads("x,y,z+.3333", &op));
    assert_true(op.translation[2] == 8.0 / 24);
    assert_true(reads("x,y,z+.2", &op)); /* no 24th is near */
    assert_true(op.translation[2] == 0.2);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) CHECK(!reads(wrong[i], &op), "taken: %s", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_symmetry),   cmocka_unit_test(test_molecule),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_operations), cmocka_unit_test(test_old_spellings),
    };
    return FILES_TESTS("structure_smcif", tests);
}
