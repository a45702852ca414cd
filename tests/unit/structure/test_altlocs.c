/* SPDX-License-Identifier: Apache-2.0 */
/* Which atoms with alternate locations are of one residue, where chain and number do not say. */
#include "files.h"

struct row {
    const char *name, *residue, *number, *segment;
    char altloc;
    double x, occupancy;
    bool stays;
};

/* As one PDB file; the rows that stay must be those that say so. */
static void check_rows(const struct row *rows, size_t count)
{
    static char text[1 << 20];
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *all, *s;
    vic_structure_info v;
    size_t at = 0, kept = 0;
    for (size_t i = 0; i < count; ++i)
        at += (size_t)snprintf(text + at, sizeof text - at,
                               "HETATM%5zu  %-3s%c%3s A%4s    %8.3f%8.3f%8.3f%6.2f  5.00      %-4s\n", i % 100000,
                               rows[i].name, rows[i].altloc, rows[i].residue, rows[i].number, rows[i].x, 0.0, 0.0,
                               rows[i].occupancy, rows[i].segment);
    s = files_read(text, &o);
    o.altloc = VIC_ALTLOC_ALL;
    all = files_read(text, &o);
    v = files_info(s);
    assert_int_equal(files_info(all).atoms, count);
    for (size_t i = 0; i < count; ++i) {
        bool stays = kept < (size_t)v.atoms && v.positions[3 * kept] == files_info(all).positions[3 * i] &&
                     memcmp(&v.labels[kept], &files_info(all).labels[i], sizeof *v.labels) == 0;
        CHECK(stays == rows[i].stays, "row %zu (%s %c at %g): expected it to %s", i, rows[i].name, rows[i].altloc,
              rows[i].x, rows[i].stays ? "stay" : "go");
        kept += stays;
    }
    assert_int_equal(kept, v.atoms);
    vic_structure_free(all);
    vic_structure_free(s);
}

#define CHECK_ROWS(...)                                                                                              \
    do {                                                                                                             \
        static const struct row rows_[] = { __VA_ARGS__ };                                                           \
        check_rows(rows_, sizeof rows_ / sizeof *rows_);                                                             \
    } while (0)

static void test_segments(void **state)
{
    (void)state;
    CHECK_ROWS({ "CB", "SER", "10", "PROT", 'A', 0, 0.6, true }, { "CB", "SER", "10", "PROT", 'B', 1, 0.4, false },
               { "CA", "GLY", "11", "PROT", ' ', 5, 1.0, true }, { "O", "HOH", "10", "WATR", 'A', 9, 0.5, true },
               { "O", "HOH", "10", "WATR", 'B', 9.6, 0.5, false });
    /* one segment after the other, residues of one number touching */
    CHECK_ROWS({ "CA", "SER", "10", "PROA", 'A', 0, 0.6, true }, { "CA", "SER", "10", "PROA", 'B', 1, 0.4, false },
               { "CA", "SER", "10", "PROB", 'A', 3, 0.4, false }, { "CA", "SER", "10", "PROB", 'B', 4, 0.6, true });
}

/* Without segments: the place in the file and in space. */
static void test_same_number(void **state)
{
    (void)state;
    CHECK_ROWS({ "CB", "SER", "10", "", 'A', 0, 0.6, true }, { "CB", "SER", "10", "", 'B', 1, 0.4, false },
               { "CA", "GLY", "11", "", ' ', 5, 1.0, true }, { "O", "HOH", "10", "", 'A', 2, 0.4, false },
               { "O", "HOH", "10", "", 'B', 2.6, 0.6, true });
    /* a water right behind the residue whose number it has, and near it */
    CHECK_ROWS({ "CB", "SER", "10", "", 'A', 0, 0.6, true }, { "CB", "SER", "10", "", 'B', 1, 0.4, false },
               { "O", "HOH", "10", "", 'A', 2, 0.4, false }, { "O", "HOH", "10", "", 'B', 2.6, 0.6, true });
    CHECK_ROWS({ "C1", "LIG", "1", "", ' ', 0, 1.0, true }, { "O", "HOH", "1", "", 'A', 3, 0.4, false },
               { "O", "HOH", "1", "", 'B', 3.5, 0.6, true });
    /* numbers that wrap */
    CHECK_ROWS({ "O", "HOH", "1", "", 'A', 0, 0.5, true }, { "O", "HOH", "1", "", 'B', 0.5, 0.5, false },
               { "O", "HOH", "2", "", ' ', 20, 1.0, true }, { "O", "HOH", "1", "", 'B', 40, 0.5, true },
               { "O", "HOH", "3", "", ' ', 60, 1.0, true }, { "O", "HOH", "1", "", 'C', 80, 0.3, true });
}

static void test_waters_of_one_number(void **state)
{
    static const char *const numbers[] = { "1", "", "****" };
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
        const char *n = numbers[i];
        const struct row pairs[] = {
            { "O", "HOH", n, "", 'A', 0, 0.6, true },    { "O", "HOH", n, "", 'B', 0.5, 0.4, false },
            { "O", "HOH", n, "", 'A', 3, 0.3, false },   { "O", "HOH", n, "", 'B', 3.5, 0.7, true },
            { "O", "HOH", n, "", ' ', 6, 1.0, true },    { "O", "HOH", n, "", 'B', 14, 0.5, true },
            { "O", "HOH", n, "", 'A', 22, 0.5, true },   { "O", "HOH", n, "", ' ', 30, 0.6, true },
            { "O", "HOH", n, "", 'B', 30.4, 0.4, false }
        };
        const struct row sorted[] = {
            { "O", "HOH", n, "", 'A', 0, 0.6, true },     { "O", "HOH", n, "", 'A', 10, 0.4, false },
            { "O", "HOH", n, "", 'A', 20, 0.5, true },    { "O", "HOH", n, "", 'B', 10.5, 0.6, true },
            { "O", "HOH", n, "", 'B', 20.5, 0.5, false }, { "O", "HOH", n, "", 'B', 0.5, 0.4, false }
        };
        check_rows(pairs, sizeof pairs / sizeof *pairs);
        check_rows(sorted, sizeof sorted / sizeof *sorted);
    }
}

/* Conformer after conformer, with other residues between. */
static void test_conformers_apart(void **state)
{
    (void)state;
    CHECK_ROWS({ "CA", "SER", "1", "", 'A', 0, 0.4, false }, { "OG", "SER", "1", "", 'A', 2, 0.4, false },
               { "CA", "THR", "2", "", 'A', 4, 0.4, false }, { "CA", "SER", "1", "", 'B', 0.3, 0.6, true },
               { "OG", "SER", "1", "", 'B', 2.8, 0.6, true }, { "CA", "THR", "2", "", 'B', 4.3, 0.6, true });
    /* sparse labels of one residue decide together */
    CHECK_ROWS({ "CA", "ARG", "1", "", 'A', 0, 0.5, true }, { "CA", "ARG", "1", "", 'B', 0.2, 0.5, false },
               { "CB", "ARG", "1", "", ' ', 1.5, 1.0, true }, { "NH2", "ARG", "1", "", 'A', 7, 0.5, true },
               { "NH2", "ARG", "1", "", 'B', 7.9, 0.5, false });
}

/* 10,000 labelled atoms of one number, each beside its own. */
static void test_many_of_one_number(void **state)
{
    enum { WATERS = 5000 };
    static struct row rows[2 * WATERS];
    (void)state;
    for (int i = 0; i < WATERS; ++i) {
        rows[2 * i] = (struct row){ "O", "HOH", "1", "", 'A', -500 + 0.2 * i, 0.6, true };
        rows[2 * i + 1] = (struct row){ "O", "HOH", "1", "", 'B', -499.9 + 0.2 * i, 0.4, false };
    }
    check_rows(rows, sizeof rows / sizeof *rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_same_number),
        cmocka_unit_test(test_waters_of_one_number),
        cmocka_unit_test(test_conformers_apart),
        cmocka_unit_test(test_many_of_one_number),
    };
    return FILES_TESTS("structure_altlocs", tests);
}
