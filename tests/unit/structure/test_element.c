/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "structure/element.h"

static void test_symbols(void **state)
{
    (void)state;
    assert_string_equal(element_symbol(0), "X");
    assert_string_equal(element_symbol(1), "H");
    assert_string_equal(element_symbol(26), "Fe");
    assert_string_equal(element_symbol(118), "Og");
    assert_string_equal(element_symbol(200), "X");
    for (uint8_t z = 1; z < ELEMENT_COUNT; ++z)
        assert_int_equal(element_from_symbol(element_symbol(z), strlen(element_symbol(z))), z);
    assert_int_equal(element_from_symbol("cL", 2), 17);
    assert_int_equal(element_from_symbol("D", 1), 1);
    assert_int_equal(element_from_symbol("Xx", 2), 0);
    assert_int_equal(element_from_symbol("", 0), 0);
    assert_int_equal(element_from_symbol("Fee", 3), 0);
}

static void test_names(void **state)
{
    static const struct {
        const char *name, *residue;
        enum element_column column;
        bool hetero;
        int number;
    } cases[] = {
        { "CA", "ALA", ELEMENT_COLUMN_ONE, false, 6 },    { "CA", "LYS", ELEMENT_COLUMN_TWO, false, 6 },
        { "CA", "CA", ELEMENT_COLUMN_TWO, true, 20 },     { "CA", "CA", ELEMENT_COLUMN_NONE, false, 20 },
        { "HG21", "VAL", ELEMENT_COLUMN_TWO, false, 1 },  { "1HB", "ALA", ELEMENT_COLUMN_ONE, false, 1 },
        { "HG", "SER", ELEMENT_COLUMN_TWO, false, 1 },    { "HG", "HG", ELEMENT_COLUMN_TWO, true, 80 },
        { "HE21", "GLN", ELEMENT_COLUMN_TWO, false, 1 },  { "CD", "GLU", ELEMENT_COLUMN_NONE, false, 6 },
        { "CD", "CD", ELEMENT_COLUMN_TWO, true, 48 },     { "NE2", "HSD", ELEMENT_COLUMN_ONE, false, 7 },
        { "OH2", "TIP3", ELEMENT_COLUMN_ONE, false, 8 },  { "OW", "SOL", ELEMENT_COLUMN_NONE, false, 8 },
        { "HW1", "SOL", ELEMENT_COLUMN_NONE, false, 1 },  { "MW", "SOL", ELEMENT_COLUMN_NONE, false, 0 },
        { "SOD", "SOD", ELEMENT_COLUMN_ONE, false, 11 },  { "CLA", "CLA", ELEMENT_COLUMN_ONE, false, 17 },
        { "POT", "POT", ELEMENT_COLUMN_ONE, false, 19 },  { "CES", "CES", ELEMENT_COLUMN_ONE, false, 55 },
        { "MG", "MG", ELEMENT_COLUMN_ONE, false, 12 },    { "NA", "NA+", ELEMENT_COLUMN_NONE, false, 11 },
        { "CL", "CL-", ELEMENT_COLUMN_NONE, false, 17 },  { "FE", "HEM", ELEMENT_COLUMN_TWO, true, 26 },
        { "NA", "HEM", ELEMENT_COLUMN_ONE, true, 7 },     { "CHA", "HEM", ELEMENT_COLUMN_ONE, true, 6 },
        { "CL1", "LIG", ELEMENT_COLUMN_TWO, true, 17 },   { "BR", "LIG", ELEMENT_COLUMN_TWO, true, 35 },
        { "SE", "MSE", ELEMENT_COLUMN_TWO, true, 34 },    { "SD", "MET", ELEMENT_COLUMN_ONE, false, 16 },
        { "C12", "POPC", ELEMENT_COLUMN_ONE, false, 6 },  { "P", "POPC", ELEMENT_COLUMN_ONE, false, 15 },
        { "H12A", "POPC", ELEMENT_COLUMN_TWO, false, 1 }, { "O5'", "DA", ELEMENT_COLUMN_ONE, false, 8 },
        { "DUM", "DUM", ELEMENT_COLUMN_ONE, true, 0 },    { "PT1", "CPT", ELEMENT_COLUMN_TWO, true, 78 },
        { "CU", "CUA", ELEMENT_COLUMN_TWO, true, 29 },    { "CB", "NALA", ELEMENT_COLUMN_TWO, false, 6 },
        { "D", "ALA", ELEMENT_COLUMN_ONE, false, 1 },     { "BB", "ALX", ELEMENT_COLUMN_NONE, false, 0 },
        { "Pt", "UNK", ELEMENT_COLUMN_NONE, false, 78 },  { "Cu", "1DUM", ELEMENT_COLUMN_ONE, false, 29 },
        { "Na", "DUM", ELEMENT_COLUMN_NONE, false, 11 },  { "PT", "UNK", ELEMENT_COLUMN_ONE, false, 15 },
        { "Ca", "UNK", ELEMENT_COLUMN_NONE, false, 6 },   { "Cu1", "UNK", ELEMENT_COLUMN_NONE, false, 6 },
        { "FE", "HEM", ELEMENT_COLUMN_ONE, false, 26 },   { "FE", "LIG", ELEMENT_COLUMN_ONE, true, 9 },
        { "Sn", "ALA", ELEMENT_COLUMN_NONE, false, 16 },  { "Ni", "LIG", ELEMENT_COLUMN_TWO, false, 28 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        int number = element_from_name(cases[i].name, cases[i].residue, cases[i].column, cases[i].hetero);
        CHECK(number == cases[i].number, "%s of %s (column rule %d): expected %s, got %s", cases[i].name,
              cases[i].residue, (int)cases[i].column, element_symbol((uint8_t)cases[i].number),
              element_symbol((uint8_t)number));
    }
}

static void test_residues(void **state)
{
    (void)state;
    assert_true(residue_is_water("HOH") && residue_is_water("TIP3") && residue_is_water("SOL") &&
                residue_is_water("wat"));
    assert_false(residue_is_water("HO") || residue_is_water("") || residue_is_water("ALA") ||
                 residue_is_water("OH HOH"));
    assert_true(residue_is_polymer("ALA") && residue_is_polymer("HSD") && residue_is_polymer("DA5") &&
                residue_is_polymer("CLYS"));
    assert_false(residue_is_polymer("HOH") || residue_is_polymer("POPC") || residue_is_polymer(""));
}

/* Whatever was asked before, in any order. */
static void test_answers_are_remembered_right(void **state)
{
    static const char *const names[] = { "CA", "CB",  "HG",  "HG1", "NA",  "CL",  "SOD", "O",  "OW",   "H1",
                                         "PT", "1HB", "CD1", "CD",  "DUM", "O5'", "FE",  "SE", "HE21", "" };
    static const char *const residues[] = { "ALA", "MSE", "CA", "HOH", "SOL", "TIP3", "POPC", "HEM", "NA+", "SOD",
                                            "LIG", "DA",  "CL", "HG",  "UNK", "CPT",  "NALA", "PT",  "CD",  "" };
    static struct element_memory memory;
    uint64_t seed = 5;
    (void)state;
    for (int i = 0; i < 20000; ++i) {
        char name[8] = "", residue[8] = "";
        enum element_column column = (enum element_column)(random_bits(&seed) % 3);
        bool hetero = random_bits(&seed) % 2;
        snprintf(name, sizeof name, "%s", names[random_bits(&seed) % 20]);
        snprintf(residue, sizeof residue, "%s", residues[random_bits(&seed) % 20]);
        assert_int_equal(element_recall(&memory, name, residue, column, hetero),
                         element_from_name(name, residue, column, hetero));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_residues),
        cmocka_unit_test(test_answers_are_remembered_right),
    };
    return cmocka_run_group_tests_name("structure_element", tests, NULL, NULL);
}
