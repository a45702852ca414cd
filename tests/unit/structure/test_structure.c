/* SPDX-License-Identifier: Apache-2.0 */
/* Options of reading, and structures from arrays. */
#include "files.h"

static const char plain[] = "2\nx\nH 0 0 0\nO 1 1 1\n", boxed[] = "2\nLattice=\"4 5 6\"\nH 0 0 0\nO 1 1 1\n";
static const char cryst[] = "CRYST1   10.000   20.000   30.000  90.00 200.00  90.00 P 1\n"
                            "ATOM      1  N   MET A   1      26.981  53.977  40.085  1.00 40.83           N  \n";

static void test_a_cell_by_hand(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    const double cell[6] = { 10, 11, 12, 90, 90, 120 };
    vic_structure *s;
    vic_structure_info v;
    const char *const texts[] = { plain, boxed, cryst };
    (void)state;
    o.has_cell = true;
    memcpy(o.cell, cell, sizeof cell);
    for (int i = 0; i < 3; ++i) { /* also where the file's own is absent or wrong */
        s = files_read(texts[i], &o);
        v = files_info(s);
        assert_true(v.has_cell && v.periodic[0] && v.periodic[1] && v.periodic[2]);
        assert_true(v.cell[0] == 10 && v.cell[3] == -5.5 && v.cell[8] == 12);
        vic_structure_free(s);
    }
    CHECK_REFUSED(cryst, NULL, VIC_BAD_INPUT,
                  "line 1: expected a cell angle beta between 0 and 180 degrees, found 200");
    o.cell[4] = 0;
    CHECK_REFUSED(plain, &o, VIC_BAD_ARGUMENT, "cell angle beta");
}

static void test_periodicity_by_hand(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    vic_structure_info v;
    (void)state;
    o.pbc = VIC_PBC_SET;
    s = files_read(boxed, &o);
    v = files_info(s);
    assert_true(v.has_cell && !v.periodic[0] && !v.periodic[1] && !v.periodic[2]);
    vic_structure_free(s);
    s = files_read(plain, &o);
    assert_false(files_info(s).has_cell);
    vic_structure_free(s);
    s = files_read("1\npbc=\"T T T\"\nH 0 0 0\n", &o); /* overrides the file's */
    assert_false(files_info(s).periodic[0]);
    vic_structure_free(s);
    o.periodic[1] = true;
    s = files_read(boxed, &o);
    v = files_info(s);
    assert_true(!v.periodic[0] && v.periodic[1] && !v.periodic[2]);
    vic_structure_free(s);
    CHECK_REFUSED(plain, &o, VIC_BAD_ARGUMENT, "give one (--cell a,b,c) or leave that axis open");
}

/* Periodic where there is a cell, but open where the cell has operations that were not applied. */
static void test_the_default_of_periodicity(void **state)
{
    static const struct {
        const char *group;
        bool symmetry, cell;
        vic_pbc pbc; /* SET: along b */
        int64_t unapplied;
        bool periodic[3];
    } cases[] = {
        { "P 1", false, false, VIC_PBC_AUTO, 0, { true, true, true } },
        { "P 1", true, false, VIC_PBC_AUTO, 0, { true, true, true } },
        { "P 21 21 21", false, false, VIC_PBC_AUTO, 3, { false, false, false } },
        { "P 21 21 21", true, false, VIC_PBC_AUTO, 0, { true, true, true } },
        { "P 21 21 21", false, true, VIC_PBC_AUTO, 0, { true, true, true } },
        { "P 21 21 21", false, false, VIC_PBC_SET, 3, { false, true, false } },
        { "C 1 2 1", false, false, VIC_PBC_AUTO, 3, { false, false, false } },
        { "unheard", false, false, VIC_PBC_AUTO, -1, { false, false, false } },
        { "", false, false, VIC_PBC_AUTO, 0, { true, true, true } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        vic_read_options o = VIC_INIT(vic_read_options);
        const double cell[6] = { 10, 11, 12, 90, 90, 90 };
        char text[512];
        vic_structure *s;
        vic_structure_info v;
        snprintf(text, sizeof text,
                 "CRYST1   10.000   20.000   30.000  90.00  90.00  90.00 %s\n"
                 "ATOM      1  N   MET A   1       1.981   3.977   4.085  1.00 40.83           N  \n",
                 cases[i].group);
        o.symmetry = cases[i].symmetry;
        o.has_cell = cases[i].cell;
        memcpy(o.cell, cell, sizeof cell);
        o.pbc = cases[i].pbc;
        o.periodic[1] = o.pbc == VIC_PBC_SET;
        s = files_read(text, &o);
        v = files_info(s);
        CHECK(v.unapplied_operations == cases[i].unapplied, "%s, case %zu: %lld operations not applied",
              cases[i].group, i, (long long)v.unapplied_operations);
        for (int a = 0; a < 3; ++a)
            CHECK(v.periodic[a] == cases[i].periodic[a], "%s, case %zu: axis %c", cases[i].group, i, "abc"[a]);
        assert_string_equal(v.notes, "");
        vic_structure_free(s);
    }
}

static void test_options_are_checked(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_error err = { VIC_OK, "" };
    vic_structure *s;
    (void)state;
#define REFUSED(field, value, part)                                                                                  \
    do {                                                                                                             \
        vic_read_options bad = VIC_INIT(vic_read_options);                                                           \
        bad.field = (value);                                                                                         \
        CHECK_REFUSED(plain, &bad, VIC_BAD_ARGUMENT, part);                                                          \
    } while (0)
    REFUSED(size, 1, "vic_read_options.size");
    REFUSED(altloc, (vic_altloc)7, "altloc: expected");
    REFUSED(pbc, (vic_pbc)2, "pbc: expected");
    REFUSED(supercell[1], -1, "supercell[1]: expected at least 1");
    REFUSED(reserved[3], 1, "vic_read_options: a reserved member");
    REFUSED(reserved_1[4], true, "vic_read_options: a reserved member");
    REFUSED(max_atoms, -1, "max_atoms: expected");
    CHECK_FAILS(vic_structure_read(NULL, &o, &s, &err), VIC_BAD_ARGUMENT, "path is NULL");
    CHECK_FAILS(vic_structure_read("", &o, &s, &err), VIC_BAD_ARGUMENT, "path is empty");
    CHECK_FAILS(vic_structure_read("x", &o, NULL, &err), VIC_BAD_ARGUMENT, "out is NULL");
    assert_int_equal(vic_structure_read("/nonexistent", NULL, &s, NULL), VIC_CANNOT_READ); /* err may be NULL */
    vic_structure_free(NULL);
}

static void test_unknown_content(void **state)
{
    (void)state;
    CHECK_REFUSED("\n\nITEM: TIMESTEP\n0\n", NULL, VIC_BAD_INPUT,
                  "line 3: expected PDB, CIF, GRO, XYZ, POSCAR, LAMMPS data or Amber rst7, found");
    CHECK_REFUSED("   \n\n", NULL, VIC_BAD_INPUT, "found nothing");
    CHECK_REFUSED("\001\002\003 binary \377\n", NULL, VIC_BAD_INPUT, "found \"??? binary ?\"");
}

static void test_from_arrays(void **state)
{
    double positions[6] = { 1, 2, 3, 4, 5, 6 };
    const double cell[9] = { 4, 0, 0, 0, 4, 0, 1, 1, 0 }, none[9] = { 0 };
    const bool slab[3] = { true, true, false }, all[3] = { true, true, true };
    uint8_t numbers[2] = { 1, 118 };
    vic_error err = { VIC_OK, "" };
    vic_structure *s;
    vic_structure_info v;
    (void)state;
    CHECK_OK(vic_structure_from_arrays(2, positions, cell, slab, numbers, &s, &err));
    v = files_info(s);
    positions[0] = numbers[0] = 77; /* copied */
    CHECK_POSITION(v, 0, 1, 2, 3);
    assert_true(v.atoms == 2 && v.file_atoms == 2 && v.models == 1 && v.symmetry_operations == 1);
    assert_true(v.has_cell && v.periodic[1] && !v.periodic[2] && v.cell[7] == 1 && v.atomic_numbers[0] == 1);
    assert_string_equal(v.format, "arrays");
    assert_string_equal(v.title, "");
    assert_true(!v.labels && !v.b_factors && !v.occupancies);
    vic_structure_free(s);
    CHECK_OK(vic_structure_from_arrays(0, NULL, NULL, NULL, NULL, &s, &err));
    assert_int_equal(files_info(s).atoms, 0);
    vic_structure_free(s);
    CHECK_OK(vic_structure_from_arrays(2, positions, none, NULL, NULL, &s, &err));
    assert_false(files_info(s).has_cell);
    assert_int_equal(files_info(s).atomic_numbers[1], 0);
    vic_structure_free(s);
    CHECK_FAILS(vic_structure_from_arrays(2, positions, cell, NULL, NULL, &s, &err), VIC_BAD_ARGUMENT,
                "different directions");
    assert_null(s);
    CHECK_FAILS(vic_structure_from_arrays(2, positions, NULL, all, NULL, &s, &err), VIC_BAD_ARGUMENT,
                "there is no cell");
    CHECK_FAILS(vic_structure_from_arrays(-1, positions, NULL, NULL, NULL, &s, &err), VIC_BAD_ARGUMENT,
                "atoms: expected 0 to 2147483583");
    CHECK_FAILS(vic_structure_from_arrays(2, NULL, NULL, NULL, NULL, &s, &err), VIC_BAD_ARGUMENT,
                "positions is NULL");
    numbers[1] = 119;
    CHECK_FAILS(vic_structure_from_arrays(2, positions, NULL, NULL, numbers, &s, &err), VIC_BAD_ARGUMENT,
                "atomic_numbers[1]");
    positions[4] = NAN;
    CHECK_FAILS(vic_structure_from_arrays(2, positions, NULL, NULL, NULL, &s, &err), VIC_BAD_ARGUMENT,
                "positions[1][1]: expected a finite number");
    assert_null(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cell_by_hand),
        cmocka_unit_test(test_periodicity_by_hand),
        cmocka_unit_test(test_the_default_of_periodicity),
        cmocka_unit_test(test_options_are_checked),
        cmocka_unit_test(test_unknown_content),
        cmocka_unit_test(test_from_arrays),
    };
    return FILES_TESTS("structure_structure", tests);
}
