/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#define ATOM(name, alt, residue, number, occupancy)                                                                  \
    "ATOM      1  " name alt residue " A" number "       1.000   2.000   3.000  " occupancy "  5.00\n"

/* The names of all atoms that stay, each followed by its altloc.  All stand in one place, which does not matter here.
 */
static void check_kept(const char *text, const char *expected)
{
    vic_read_options o = { .size = sizeof o, .duplicates = VIC_DUPLICATES_KEEP };
    vic_structure *s = files_read(text, &o);
    vic_structure_info v = files_info(s);
    char kept[400] = "";
    for (int64_t i = 0; i < v.atoms; ++i) {
        char one[40];
        snprintf(one, sizeof one, "%s%s%c%s", i ? " " : "", v.labels[i].name,
                 v.labels[i].altloc == ' ' ? '-' : v.labels[i].altloc, v.labels[i].residue);
        strcat(kept, one);
    }
    CHECK(strcmp(kept, expected) == 0, "expected %s, got %s", expected, kept);
    vic_structure_free(s);
}

static void test_highest_mean_occupancy_wins(void **state)
{
    (void)state;
    check_kept(ATOM("N  ", " ", "SER", "   1", "1.00") ATOM("CA ", "A", "SER", "   1", "0.40")
                   ATOM("CA ", "B", "SER", "   1", "0.60") ATOM("CB ", "A", "SER", "   1", "0.40")
                       ATOM("CB ", "B", "SER", "   1", "0.60"),
               "N-SER CABSER CBBSER");
    check_kept(ATOM("CA ", "A", "SER", "   1", "0.90") ATOM("CA ", "B", "SER", "   1", "0.10")
                   ATOM("CB ", "A", "SER", "   1", "0.20") ATOM("CB ", "B", "SER", "   1", "0.80"),
               "CAASER CBASER"); /* mean 0.55 of A against 0.45 */
}

static void test_ties_go_to_the_first(void **state)
{
    (void)state;
    check_kept(ATOM("CA ", "B", "SER", "   1", "0.50") ATOM("CA ", "A", "SER", "   1", "0.50"), "CABSER");
    check_kept(ATOM("CA ", "A", "SER", "   1", "    ") ATOM("CA ", "B", "SER", "   1", "    "), "CAASER");
}

/* Each residue decides for itself, and the same number in another place is not another residue. */
static void test_residues_decide_alone(void **state)
{
    (void)state;
    check_kept(ATOM("CA ", "A", "SER", "   1", "0.40") ATOM("CA ", "B", "SER", "   1", "0.60")
                   ATOM("CA ", "A", "SER", "   2", "0.70") ATOM("CA ", "B", "SER", "   2", "0.30"),
               "CABSER CAASER");
    check_kept(ATOM("CA ", "A", "SER", "   1", "0.40") ATOM("CA ", " ", "GLY", "   2", "1.00")
                   ATOM("CA ", "B", "SER", "   1", "0.60"),
               "CA-GLY CABSER");
}

/* Labels that share no atom with the winner stay beside it; what only a loser has goes with it. */
static void test_atoms_without_the_winning_label(void **state)
{
    (void)state;
    check_kept(ATOM("CA ", "A", "SER", "   1", "0.60") ATOM("CA ", "B", "SER", "   1", "0.30")
                   ATOM("OG ", "B", "SER", "   1", "0.30") ATOM("OG ", "C", "SER", "   1", "0.40"),
               "CAASER OGCSER");
    check_kept(ATOM("CA ", "A", "SER", "   1", "0.60") ATOM("CA ", "B", "LYS", "   1", "0.40")
                   ATOM("CE ", "B", "LYS", "   1", "0.40") ATOM("OG ", "A", "SER", "   1", "0.60"),
               "CAASER OGASER");
    check_kept(ATOM("CA ", "A", "CYS", "   1", "0.80") ATOM("CA ", "B", "CYS", "   1", "0.20")
                   ATOM("SG ", "A", "CYS", "   1", "0.80") ATOM("SG ", "B", "CYS", "   1", "0.20")
                       ATOM("HG ", "B", "CYS", "   1", "0.20") ATOM("N  ", " ", "CYS", "   1", "1.00"),
               "CAACYS SGACYS N-CYS");
    check_kept(ATOM("CB ", "A", "SER", "   1", "0.60") ATOM("CB ", "B", "SER", "   1", "0.40")
                   ATOM("OG ", "C", "SER", "   1", "0.30") ATOM("OG ", "D", "SER", "   1", "0.70"),
               "CBASER OGDSER"); /* two that move on their own */
}

/* An atom without a label beside a labelled one of its name is a label of its own. */
static void test_no_label_beside_a_label(void **state)
{
    (void)state;
    check_kept(ATOM("CA ", " ", "LEU", "   5", "0.60") ATOM("CA ", "B", "LEU", "   5", "0.40")
                   ATOM("CB ", " ", "LEU", "   5", "1.00"),
               "CA-LEU CB-LEU");
    check_kept(ATOM("CA ", " ", "LEU", "   5", "0.30") ATOM("CA ", "B", "LEU", "   5", "0.70")
                   ATOM("CB ", " ", "LEU", "   5", "1.00"),
               "CABLEU CB-LEU");
    check_kept(ATOM("CA ", " ", "SER", "   5", "0.60") ATOM("OG ", " ", "SER", "   5", "0.60")
                   ATOM("CA ", "B", "THR", "   5", "0.40") ATOM("OG1", "B", "THR", "   5", "0.40"),
               "CA-SER OG-SER"); /* a point mutation of which one residue has no label */
}

static void test_all_keeps_all(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    (void)state;
    o.altloc = VIC_ALTLOC_ALL;
    s = files_read(ATOM("CA ", "A", "SER", "   1", "0.40") ATOM("CA ", "B", "SER", "   1", "0.60"), &o);
    assert_int_equal(files_info(s).atoms, 2);
    assert_int_equal(files_info(s).altloc_atoms, 2);
    vic_structure_free(s);
    s = files_read(ATOM("CA ", "A", "SER", "   1", "0.40") ATOM("CA ", "B", "SER", "   1", "0.60"), NULL);
    assert_int_equal(files_info(s).atoms, 1);
    assert_int_equal(files_info(s).altloc_atoms, 2);
    assert_int_equal(files_info(s).file_atoms, 2);
    vic_structure_free(s);
}

static void test_dropping(void **state)
{
    static const char text[] = ATOM("CA ", " ", "SER", "   1", "1.00") ATOM("HA ", " ", "SER", "   1", "1.00")
        ATOM("D  ", " ", "SER", "   1", "1.00") ATOM("OW ", " ", "HOH", "   2", "1.00")
            ATOM("HW1", " ", "HOH", "   2", "1.00");
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    (void)state;
    o.duplicates = VIC_DUPLICATES_KEEP;
    o.drop_hydrogen = true;
    s = files_read(text, &o);
    assert_int_equal(files_info(s).atoms, 2);
    vic_structure_free(s);
    o.drop_water = true;
    s = files_read(text, &o);
    assert_int_equal(files_info(s).atoms, 1);
    assert_int_equal(files_info(s).file_atoms, 5);
    vic_structure_free(s);
    o.drop_hydrogen = false;
    s = files_read(text, &o);
    assert_int_equal(files_info(s).atoms, 3);
    vic_structure_free(s);
    CHECK_REFUSED(ATOM("OW ", " ", "HOH", "   2", "1.00"), &o, VIC_BAD_INPUT,
                  "after dropping waters, found none of 1 left");
    CHECK_REFUSED("1\nx\nO 0 0 0\n", &o, VIC_BAD_ARGUMENT, "drop_water: expected a format with residue names");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_highest_mean_occupancy_wins),
        cmocka_unit_test(test_ties_go_to_the_first),
        cmocka_unit_test(test_residues_decide_alone),
        cmocka_unit_test(test_atoms_without_the_winning_label),
        cmocka_unit_test(test_no_label_beside_a_label),
        cmocka_unit_test(test_all_keeps_all),
        cmocka_unit_test(test_dropping),
    };
    return FILES_TESTS("structure_select", tests);
}
