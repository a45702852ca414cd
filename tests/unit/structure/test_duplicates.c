/* SPDX-License-Identifier: Apache-2.0 */
/* Atoms that are listed twice, and those that only look so. */
#include "files.h"

#define ROW(name, altloc, residue, chain, number, x, occupancy)                                                      \
    "ATOM      1  " name altloc residue " " chain number "    " x "   2.000   3.000" occupancy "  5.00\n"
#define N(x)   ROW("N  ", " ", "ALA", "A", "   1", x, "  1.00")
#define CA(x)  ROW("CA ", " ", "ALA", "A", "   1", x, "  1.00")
#define GLY(x) ROW("CA ", " ", "GLY", "B", "   2", x, "  1.00")

static void check_atoms(const char *text, vic_duplicates duplicates, int64_t atoms)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    o.duplicates = duplicates;
    o.altloc = VIC_ALTLOC_ALL;
    s = files_read(text, &o);
    CHECK(files_info(s).atoms == atoms, "expected %d atoms, got %d of\n%s", (int)atoms, (int)files_info(s).atoms,
          text);
    vic_structure_free(s);
}

static void test_refused(void **state)
{
    static const char *const twice[] = {
        N("   1.000") CA("   2.000") N("   1.000") CA("   2.000"), /* the file behind itself */
        N("   1.000") CA("   2.000") "TER\n" N("   1.000"),        /* one of them, elsewhere */
        N("   1.000") CA("   2.000") GLY("   2.000"),              /* in another residue */
        CA("   0.000") N("   2.000") GLY("  -0.000"),              /* 0 and -0 are one place */
        ROW("N  ", " ", "ALA", "A", "   1", "   1.000", "  0.50")  /* half an atom, but the same */
        ROW("N  ", " ", "ALA", "A", "   1", "   1.000", "  0.50"),
        ROW("N  ", " ", "ALA", "A", "   1", "   1.000", "  0.00") /* a column that nobody filled */
        ROW("N  ", " ", "ALA", "B", "   1", "   1.000", "  0.00"),
        ROW("N  ", "A", "ALA", "A", "   1", "   1.000", "  0.50") /* one label twice */
        ROW("N  ", "A", "ALA", "A", "   1", "   1.000", "  0.50"),
        ROW("O  ", " ", "HOH", "A", "   1", "   1.000", "  0.50") /* more than fits in one place */
        ROW("O  ", " ", "HOH", "A", "   2", "   1.000", "  0.50")
            ROW("O  ", " ", "HOH", "A", "   3", "   1.000", "  0.50"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof twice / sizeof *twice; ++i) {
        CHECK_REFUSED(twice[i], NULL, VIC_BAD_INPUT, "expected each atom once");
        check_atoms(twice[i], VIC_DUPLICATES_KEEP, (int64_t)(strlen(twice[i]) / strlen(N("   1.000"))));
    }
    check_atoms(twice[0], VIC_DUPLICATES_DROP, 2);
    check_atoms(twice[2], VIC_DUPLICATES_DROP, 2);
    check_atoms(twice[7], VIC_DUPLICATES_DROP, 2);
}

static void test_allowed(void **state)
{
    static const struct {
        const char *text;
        int64_t atoms;
    } fine[] = {
        { N("   1.000") N("   1.001") N("   5.000"), 3 },
        { ROW("CA ", "A", "ALA", "A", "   1", "   1.000", "  0.60") /* conformers that have an atom in common */
          ROW("CA ", "B", "ALA", "A", "   1", "   1.000", "  0.40"),
          2 },
        { ROW("CA ", " ", "ALA", "A", "   1", "   1.000", "  0.60")
              ROW("CA ", "B", "ALA", "A", "   1", "   1.000", "  0.40"),
          2 },
        { ROW("ZN ", " ", " ZN", "A", "   1", "   1.000", "  0.50") /* two metals share a site */
          ROW("MG ", " ", " MG", "A", "   2", "   1.000", "  0.50"),
          2 },
        { ROW("ZN ", " ", " ZN", "A", "   1", "   1.000", "  0.34")
              ROW("MG ", " ", " MG", "A", "   2", "   1.000", "  0.34")
                  ROW("CA ", " ", " CA", "A", "   3", "   1.000", "  0.34"),
          3 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; ++i)
        check_atoms(fine[i].text, VIC_DUPLICATES_REFUSE, fine[i].atoms);
}

/* Atoms of other names in one place are read, and said: a particle on its atom, positions rounded to nothing. */
static void test_crowded(void **state)
{
    static const char text[] = N("   1.000") ROW("DN ", " ", "ALA", "A", "   1", "   1.000", "  1.00") CA("   2.000")
        ROW("LP ", " ", "ALA", "A", "   1", "   1.000", "  1.00");
    vic_structure *s = files_read(text, NULL);
    vic_read_options o = VIC_INIT(vic_read_options);
    (void)state;
    assert_int_equal(files_info(s).atoms, 4);
    assert_string_equal(files_info(s).notes, "2 atoms stand where an atom of another name stands.");
    vic_structure_free(s);
    o.duplicates = VIC_DUPLICATES_DROP;
    s = files_read(N("   1.000") ROW("DN ", " ", "ALA", "A", "   1", "   1.000", "  1.00") N("   1.000"), &o);
    assert_int_equal(files_info(s).atoms, 2);
    assert_string_equal(files_info(s).notes, "1 atom listed where the same one stands already was left out.\n"
                                             "1 atom stands where an atom of another name stands.");
    vic_structure_free(s);
}

static void test_message(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    (void)state;
    CHECK_REFUSED("REMARK\n" N("   1.000") CA("   2.000") "TER\n" N("   1.000") CA("   2.000"), NULL, VIC_BAD_INPUT,
                  "line 5: expected each atom once, found atom 3 (N of ALA A 1) where atom 1 (N of ALA A 1) of line "
                  "2 "
                  "stands, at 1 2 3, the first of 2 such; remove one");
    o.duplicates = VIC_DUPLICATES_DROP;
    s = files_read(N("   1.000") CA("   2.000") N("   1.000"), &o);
    assert_string_equal(files_info(s).notes, "1 atom listed where the same one stands already was left out.");
    assert_int_equal(files_info(s).file_atoms, 3);
    vic_structure_free(s);
    o.duplicates = (vic_duplicates)3;
    CHECK_REFUSED(N("   1.000"), &o, VIC_BAD_ARGUMENT, "duplicates: expected VIC_DUPLICATES_REFUSE");
}

/* Other models do not count, whatever they hold. */
static void test_models_apart(void **state)
{
    (void)state;
    check_atoms("MODEL 1\n" N("   1.000") "ENDMDL\nMODEL 2\n" N("   1.000") N("   1.000") "ENDMDL\n",
                VIC_DUPLICATES_REFUSE, 1);
}

static void test_mmcif(void **state)
{
    static const char head[] =
        "data_x\nloop_\n_atom_site.label_atom_id\n_atom_site.label_alt_id\n"
        "_atom_site.auth_asym_id\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n";
    char text[600];
    (void)state;
    snprintf(text, sizeof text, "%sO . A 0 0 0\nH . A 1 0 0\nH . A 0 1 0\nO . B 0.0 0 0.00\n", head);
    CHECK_REFUSED(text, NULL, VIC_BAD_INPUT,
                  "line 12: expected each atom once, found atom 4 (O B 0) where atom 1 (O A 0)");
    check_atoms(text, VIC_DUPLICATES_DROP, 3);
    snprintf(text, sizeof text, "%sO A A 0 0 0\nO B A 0 0 0\nO C A 0 0 0\n", head);
    check_atoms(text, VIC_DUPLICATES_REFUSE, 3);
}

/* More than one look-up table's worth, each found again. */
static void test_many(void **state)
{
    enum { ATOMS = 3000 };
    static char text[2 * ATOMS * 90];
    size_t at = 0;
    (void)state;
    for (int again = 0; again < 2; ++again)
        for (int i = 0; i < ATOMS; ++i)
            at += (size_t)snprintf(text + at, sizeof text - at,
                                   "ATOM      1  CA  ALA A   1    %8.3f   2.000   3.000\n", i * 0.5);
    check_atoms(text, VIC_DUPLICATES_DROP, ATOMS);
    check_atoms(text, VIC_DUPLICATES_KEEP, 2 * ATOMS);
    CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "the first of 3000 such");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_allowed),      cmocka_unit_test(test_message),
        cmocka_unit_test(test_crowded), cmocka_unit_test(test_models_apart), cmocka_unit_test(test_mmcif),
        cmocka_unit_test(test_many),
    };
    return FILES_TESTS("structure_duplicates", tests);
}
