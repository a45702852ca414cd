/* SPDX-License-Identifier: Apache-2.0 */
/* Which structures are periodic where nobody says so, and what of a space group is left to be applied. */
#include "files.h"

#define PDB(group)                                                                                                   \
    "CRYST1   50.000   60.000   70.000  90.00  90.00  90.00 " group "\n"                                             \
    "ATOM      1  N   MET A   1      26.981  53.977  40.085  1.00 40.83           N  \n"
#define CUBE                                                                                                         \
    "data_x\n_cell_length_a 5.64\n_cell_length_b 5.64\n_cell_length_c 5.64\n_cell_angle_alpha 90\n"                  \
    "_cell_angle_beta 90\n_cell_angle_gamma 90\n"
#define SITES                                                                                                        \
    "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\nNa1 0 0 0\nCl1 .5 .5 .5\n"

static const struct {
    const char *text;
    int64_t unapplied; /* without symmetry */
    int64_t atoms;     /* with symmetry; 0: refused */
} files[] = {
    { PDB("P 1"), 0, 1 },
    { PDB("P 1           1"), 0, 1 },
    { PDB(""), 0, 0 }, /* no space group is stated: a box */
    { PDB("P 21 21 21    4"), 3, 4 },
    { PDB("P 1 21 1"), 1, 2 },
    { PDB("NONSENSE"), -1, 0 },
    { CUBE SITES, 0, 0 },
    { CUBE "_symmetry_space_group_name_H-M 'P 1'\n" SITES, 0, 2 },
    { CUBE "_symmetry_Int_Tables_number 1\n" SITES, 0, 2 },
    { CUBE "_symmetry_space_group_name_H-M 'F m -3 m'\n" SITES, 191, 8 },
    { CUBE "_symmetry_Int_Tables_number 225\n" SITES, 191, 8 },
    { CUBE "_space_group_name_Hall '-P 1'\n" SITES, 1, 2 }, /* both on centres */
    { CUBE "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n" SITES, 0, 2 },
    { CUBE "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n'x+1/2,y+1/2,z'\n" SITES, 1, 4 },
    { CUBE "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\nx,y,w\n" SITES, -1, 0 },
    { CUBE "_symmetry_space_group_name_H-M 'F d -3 m'\n" SITES, 191, 0 }, /* from which of its two origins? */
    { CUBE "_symmetry_Int_Tables_number 227\n" SITES, 191, 0 },
    { CUBE "_symmetry_space_group_name_H-M 'F d -3 m :1'\n" SITES, 191, 16 },
    { CUBE "_symmetry_space_group_name_H-M 'F d -3 m :2'\n" SITES, 191, 32 },
};

static bool is_periodic(vic_structure_info v)
{
    assert_true(v.periodic[0] == v.periodic[1] && v.periodic[1] == v.periodic[2]);
    return v.periodic[0];
}

static void test_default(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        vic_structure *s = files_read(files[i].text, NULL);
        vic_structure_info v = files_info(s);
        CHECK(v.unapplied_operations == files[i].unapplied, "file %zu: %d unapplied", i, (int)v.unapplied_operations);
        CHECK(is_periodic(v) == (files[i].unapplied == 0), "file %zu: periodic %d", i, v.periodic[0]);
        assert_int_equal(v.symmetry_operations, 1);
        assert_true(v.has_cell);
        vic_structure_free(s);
    }
}

static void test_symmetry(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    (void)state;
    o.symmetry = true;
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        vic_structure *s;
        vic_structure_info v;
        if (!files[i].atoms) {
            CHECK_REFUSED(files[i].text, &o, VIC_BAD_INPUT, "expected");
            continue;
        }
        s = files_read(files[i].text, &o);
        v = files_info(s);
        CHECK(v.atoms == files[i].atoms, "file %zu: %d atoms", i, (int)v.atoms);
        CHECK(v.symmetry_operations == files[i].unapplied + 1, "file %zu: %d applied", i, (int)v.symmetry_operations);
        assert_int_equal(v.unapplied_operations, 0);
        assert_true(is_periodic(v));
        vic_structure_free(s);
    }
    CHECK_REFUSED(CUBE "_symmetry_space_group_name_H-M 'F d -3 m'\n" SITES, &o, VIC_BAD_INPUT,
                  "expected the origin of space group F d -3 m, which has two, found neither; add :1 or :2");
}

/* Who says what is periodic, or gives the cell, is believed. */
static void test_said_otherwise(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        vic_read_options o = VIC_INIT(vic_read_options);
        vic_structure *s;
        o.pbc = VIC_PBC_SET;
        o.periodic[1] = true;
        s = files_read(files[i].text, &o);
        assert_true(!files_info(s).periodic[0] && files_info(s).periodic[1]);
        assert_int_equal(files_info(s).unapplied_operations, files[i].unapplied);
        vic_structure_free(s);
        o = (vic_read_options)VIC_INIT(vic_read_options);
        o.has_cell = true;
        for (int k = 0; k < 6; ++k) o.cell[k] = k < 3 ? 80 : 90;
        s = files_read(files[i].text, &o);
        assert_true(is_periodic(files_info(s)));
        assert_int_equal(files_info(s).unapplied_operations, 0); /* they are another cell's */
        vic_structure_free(s);
    }
}

/* A list that differs from the group that is named beside it is what counts, and that is said. */
static void test_list_and_name_differ(void **state)
{
    vic_structure *s = files_read(CUBE "_symmetry_space_group_name_H-M 'F m -3 m'\n"
                                       "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n" SITES,
                                  NULL);
    (void)state;
    assert_string_equal(files_info(s).notes, "The file lists 1 symmetry operation, but its space group F m -3 m "
                                             "has 192; the list is what counts.");
    assert_int_equal(files_info(s).unapplied_operations, 0);
    vic_structure_free(s);
    s = files_read(CUBE "_symmetry_space_group_name_H-M 'P -1'\n"
                        "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n-x,-y,-z\n" SITES,
                   NULL);
    assert_string_equal(files_info(s).notes, "");
    vic_structure_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_symmetry),
        cmocka_unit_test(test_said_otherwise),
        cmocka_unit_test(test_list_and_name_differ),
    };
    return FILES_TESTS("structure_periodic", tests);
}
