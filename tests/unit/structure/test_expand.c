/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#define CRYST(group)  "CRYST1   10.000   20.000   30.000  90.00  90.00  90.00 " group "\n"
#define ATOM(x, y, z) "HETATM    1  O   HOH     1    " x y z "  1.00  7.00           O\n"

static void test_general_position(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    vic_structure_info v;
    (void)state;
    o.symmetry = true;
    s = files_read(CRYST("P 21 21 21") ATOM("   1.000", "   2.000", "   3.000"), &o);
    v = files_info(s);
    assert_int_equal(v.atoms, 4);
    assert_int_equal(v.symmetry_operations, 4);
    assert_int_equal(v.file_atoms, 1);
    CHECK_POSITION(v, 0, 1, 2, 3);
    for (int i = 1; i < 4; ++i) { /* 1/2-x, -y, 1/2+z; -x, 1/2+y, 1/2-z; 1/2+x, 1/2-y, -z, up to whole cells */
        const double *r = v.positions + 3 * i;
        double f[3] = { r[0] / 10, r[1] / 20, r[2] / 30 };
        bool found = false;
        const double images[3][3] = { { 0.4, -0.1, 0.6 }, { -0.1, 0.6, 0.4 }, { 0.6, 0.4, -0.1 } };
        for (int k = 0; k < 3; ++k) {
            double away = 0;
            for (int m = 0; m < 3; ++m) {
                double d = f[m] - images[k][m];
                away += fabs(d - round(d));
            }
            found = found || away < 1e-9;
        }
        CHECK(found, "copy %d at %g %g %g", i, f[0], f[1], f[2]);
        assert_true(v.b_factors[i] == 7.0f);
        assert_string_equal(v.labels[i].residue, "HOH");
    }
    vic_structure_free(s);
}

/* On and off a twofold axis (P 1 2 1: along b at x = z = 0). */
static void test_special_positions(void **state)
{
    static const struct {
        const char *x;
        int copies;
    } cases[] = { { "   0.000", 1 }, { "   0.030", 1 }, { "   0.049", 1 }, { "   0.051", 2 },
                  { "   0.300", 2 }, { "   5.000", 1 }, { "  10.020", 1 }, { "   4.900", 2 } };
    vic_read_options o = VIC_INIT(vic_read_options);
    (void)state;
    o.symmetry = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char text[300];
        vic_structure *s;
        snprintf(text, sizeof text, CRYST("P 1 2 1") ATOM("%s", "   7.000", "   0.000"), cases[i].x);
        s = files_read(text, &o);
        CHECK(files_info(s).atoms == cases[i].copies, "x = %s: %d copies", cases[i].x, (int)files_info(s).atoms);
        vic_structure_free(s);
    }
}

/* Two atoms of the file at one place are the file's business: only copies of the same atom are merged. */
static void test_other_atoms_are_not_merged(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    (void)state;
    o.symmetry = true;
    s = files_read(CRYST("P 1 2 1")
                       ATOM("   1.000", "   7.000", "   2.000") "HETATM    2  O   HOH     2      -1.000   7.000  "
                                                                "-2.000  1.00  7.00           O\n",
                   &o);
    assert_int_equal(files_info(s).atoms, 4);
    vic_structure_free(s);
}

static void test_cubic_special_position(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    (void)state;
    o.symmetry = true;
    s = files_read("CRYST1   10.000   10.000   10.000  90.00  90.00  90.00 F m -3 m\n" ATOM("   0.000", "   0.000",
                                                                                            "   0.000"),
                   &o);
    assert_int_equal(files_info(s).symmetry_operations, 192);
    assert_int_equal(files_info(s).atoms, 4);
    vic_structure_free(s);
    s = files_read("CRYST1   10.000   10.000   10.000  90.00  90.00  90.00 F m -3 m\n" ATOM("   1.000", "   2.000",
                                                                                            "   3.500"),
                   &o);
    assert_int_equal(files_info(s).atoms, 192);
    vic_structure_free(s);
}

static void test_symmetry_errors(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    (void)state;
    o.symmetry = true;
    CHECK_REFUSED(ATOM("   1.000", "   2.000", "   3.000"), &o, VIC_BAD_INPUT, "found no cell");
    CHECK_REFUSED(CRYST("") ATOM("   1.000", "   2.000", "   3.000"), &o, VIC_BAD_INPUT, "a space group to apply");
    CHECK_REFUSED(CRYST("Q 7 7 7") ATOM("   1.000", "   2.000", "   3.000"), &o, VIC_BAD_INPUT, "found \"Q 7 7 7\"");
    CHECK_REFUSED(CRYST("P 41 21 2") ATOM("   1.000", "   2.000", "   3.000"), &o, VIC_BAD_INPUT,
                  "operations distort");
}

static void test_supercell(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    vic_structure_info v;
    int at = 0;
    (void)state;
    o.supercell[0] = 2;
    o.supercell[2] = 3;
    s = files_read("2\nLattice=\"4 0 0 1 5 0 0.5 0.25 6\"\nH 0.5 0 0\nO -1 2 3\n", &o);
    v = files_info(s);
    assert_int_equal(v.atoms, 12);
    assert_true(v.cell[0] == 8 && v.cell[4] == 5 && v.cell[3] == 1 && v.cell[8] == 18 && v.cell[6] == 1.5);
    for (int i = 0; i < 2; ++i)
        for (int k = 0; k < 3; ++k) {
            CHECK_POSITION(v, at, 0.5 + 4 * i + 0.5 * k, 0.25 * k, 6.0 * k);
            CHECK_POSITION(v, at + 1, -1 + 4 * i + 0.5 * k, 2 + 0.25 * k, 3 + 6.0 * k);
            assert_int_equal(v.atomic_numbers[at], 1);
            assert_int_equal(v.atomic_numbers[at + 1], 8);
            at += 2;
        }
    vic_structure_free(s);
    CHECK_REFUSED("1\nx\nH 0 0 0\n", &o, VIC_BAD_ARGUMENT, "give a cell (--cell");
    CHECK_REFUSED("1\nLattice=\"4 0 0 0 4 0 0 0 0\" pbc=\"T T F\"\nH 0 0 0\n", &o, VIC_BAD_ARGUMENT,
                  "a cell vector c to repeat 3");
}

/* The limit is checked before anything is allocated: these would need terabytes, or overflow. */
static void test_max_atoms(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    static const char text[] = CRYST("P 21 21 21") ATOM("   1.000", "   2.000", "   3.000");
    vic_structure *s;
    (void)state;
    o.max_atoms = 8;
    o.symmetry = true;
    o.supercell[1] = 2;
    s = files_read(text, &o);
    assert_int_equal(files_info(s).atoms, 8);
    vic_structure_free(s);
    o.max_atoms = 7;
    CHECK_REFUSED(text, &o, VIC_BAD_INPUT, "at most 7 atoms (max_atoms), found 4 in each of 2 repetitions");
    o.max_atoms = 0;
    o.symmetry = false;
    o.supercell[0] = o.supercell[1] = o.supercell[2] = INT32_MAX;
    CHECK_REFUSED(text, &o, VIC_BAD_INPUT, "(max_atoms)");
    o.supercell[1] = o.supercell[2] = 1;
    CHECK_REFUSED(text, &o, VIC_BAD_INPUT, "at most 2147483583 atoms");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_general_position),
        cmocka_unit_test(test_special_positions),
        cmocka_unit_test(test_other_atoms_are_not_merged),
        cmocka_unit_test(test_cubic_special_position),
        cmocka_unit_test(test_symmetry_errors),
        cmocka_unit_test(test_supercell),
        cmocka_unit_test(test_max_atoms),
    };
    return FILES_TESTS("structure_expand", tests);
}
