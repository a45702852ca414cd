/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#define HEAD "title\n2\n1 0 0\n0 2 0\n0 0 3\n"

static void check_numbers(const char *text, int first, int second)
{
    vic_structure *s = files_read(text, NULL);
    vic_structure_info v = files_info(s);
    CHECK(strcmp(v.format, "poscar") == 0, "read as %s: %s", v.format, text);
    CHECK(v.atomic_numbers[0] == first && v.atomic_numbers[1] == second, "%d %d: %s", v.atomic_numbers[0],
          v.atomic_numbers[1], text);
    vic_structure_free(s);
}

static void test_elements(void **state)
{
    (void)state;
    check_numbers(HEAD "Fe O\n1 1\nDirect\n0 0 0\n.5 .5 .5\n", 26, 8);
    check_numbers(HEAD "Fe_pv O/ab12\n1 1 ! counts\nSelective\nDirect\n0 0 0 T T T\n.5 .5 .5 F F F\n", 26, 8);
    check_numbers(HEAD "1 1\nDirect\n0 0 0\n.5 .5 .5\n", 0, 0);
    check_numbers("Fe O\n2\n1 0 0\n0 2 0\n0 0 3\n1 1\nDirect\n0 0 0\n.5 .5 .5\n", 26, 8);
    check_numbers("# Co1 C1\n2\n1 0 0\n0 2 0\n0 0 3\n1 1\nDirect\n0 0 0\n.5 .5 .5\n", 27, 6);
    check_numbers("CO\n2\n1 0 0\n0 2 0\n0 0 3\n1 1\nDirect\n0 0 0\n.5 .5 .5\n", 6, 8);
    check_numbers("Fe O H\n2\n1 0 0\n0 2 0\n0 0 3\n1 1\nDirect\n0 0 0\n.5 .5 .5\n", 0, 0);
    check_numbers(HEAD "1 1\nDirect\n0 0 0 T T T Na\n.5 .5 .5 F F F Cl1\n", 11, 17);
    check_numbers(HEAD "1 1\nDirect\n0 0 0 # V1\n.5 .5 .5 # O2\n", 23, 8);
    check_numbers(HEAD "1 1\nDirect\n0 0 0 # V1\n.5 .5 .5\n", 0, 0);
    check_numbers("12\n1\n9 0 0\n0 9 0\n0 0 9\nH He\n1 1\nC\n0 0 0\n1 1 1\n", 1, 2); /* not GRO, not XYZ */
}

static void test_what_follows(void **state)
{
    vic_structure *s = files_read(HEAD "H\r\n1\r\nC\r\n0 0 1\r\n\r\n 1 2 3\r\n", NULL); /* velocities */
    (void)state;
    CHECK_POSITION(files_info(s), 0, 0, 0, 2);
    vic_structure_free(s);
    CHECK_REFUSED(HEAD "H\n1\nC\n0 0 1\n0 0 2\n", NULL, VIC_BAD_INPUT, "line 10: expected 1 rows, as the counts");
    CHECK_REFUSED(HEAD "H\n2\nC\n0 0 1\n", NULL, VIC_BAD_INPUT,
                  "line 7: expected 2 rows, as these counts say, found 1");
    CHECK_REFUSED(HEAD "H\n1\nC\n0 0 1..\n", NULL, VIC_BAD_INPUT, "line 9: expected x, y, z of atom 1 of the 1");
    CHECK_REFUSED(HEAD "H\n1\nC\n0 nan 1\n", NULL, VIC_BAD_INPUT, "found \"0 nan 1\"");
    CHECK_REFUSED(HEAD "H\n1\n0 0 1\n", NULL, VIC_BAD_INPUT, "line 8: expected Direct or Cartesian, found \"0 0 1\"");
    CHECK_REFUSED(HEAD "H\n1\nScaled\n0 0 1\n", NULL, VIC_BAD_INPUT, /* s is for Selective dynamics */
                  "line 9: expected Direct or Cartesian, found \"0 0 1\"");
    CHECK_REFUSED(HEAD "H\n1\n\nDirect\n0 0 1\n", NULL, VIC_BAD_INPUT, "line 9: expected x, y, z of atom 1");
    CHECK_REFUSED(HEAD "H\n1\n", NULL, VIC_BAD_INPUT, "line 7: expected Direct or Cartesian after this line");
    CHECK_REFUSED(HEAD "H O\n1\nC\n0 0 1\n", NULL, VIC_BAD_INPUT, "line 7: expected as many counts");
    CHECK_REFUSED(HEAD "H\n1 1\nC\n0 0 1\n", NULL, VIC_BAD_INPUT, "line 7: expected as many counts");
    CHECK_REFUSED(HEAD "H\n-1\nC\n0 0 1\n", NULL, VIC_BAD_INPUT, "the number of atoms of each species");
    CHECK_REFUSED(HEAD "H\n9000000000000000000\nC\n0 0 1\n", NULL, VIC_BAD_INPUT,
                  "counts that the file has rows for");
    CHECK_REFUSED(HEAD "H O\n9000000000000000000 9000000000000000000\nC\n", NULL, VIC_BAD_INPUT, "rows for");
    CHECK_REFUSED(HEAD "H\n1\nDirect configuration=     1\n0 0 0\nDirect configuration=     2\n0 0 0\n", NULL,
                  VIC_BAD_INPUT, "line 8: expected Direct or Cartesian of a POSCAR (XDATCAR is not read");
    CHECK_REFUSED(HEAD "H\n0\nC\n", NULL, VIC_BAD_INPUT, "expected counts above 0");
}

static void test_bad_cells(void **state)
{
    const char *path;
    vic_error err = { VIC_OK, "" };
    vic_structure *s;
    (void)state;
    CHECK_REFUSED("t\n0\n1 0 0\n0 2 0\n0 0 3\n1\nC\n0 0 0\n", NULL, VIC_BAD_INPUT,
                  "line 2: expected a scale other than 0");
    CHECK_REFUSED("t\n1 1 -1\n1 0 0\n0 2 0\n0 0 3\n1\nC\n0 0 0\n", NULL, VIC_BAD_INPUT, "three scales above 0");
    CHECK_REFUSED("t\n-5\n1 0 0\n2 0 0\n0 0 3\n1\nC\n0 0 0\n", NULL, VIC_BAD_INPUT,
                  "line 3: expected cell vectors with a volume");
    CHECK_REFUSED("t\n5\n1 0 0\n2 0 0\n0 0 3\n1\nC\n0 0 0\n", NULL, VIC_BAD_INPUT,
                  "line 3: expected periodic cell vectors");
    CHECK_REFUSED("t\n1e300\n1e300 0 0\n0 2 0\n0 0 3\n1\nC\n0 0 0\n", NULL, VIC_BAD_INPUT, "finite cell vectors");
    CHECK_REFUSED("t\n1e9\n1e-9 0 0\n0 1e-9 0\n0 0 1e-9\n1\nC\n1e308 0 0\n", NULL, VIC_BAD_INPUT, "finite positions");
    path = files_write("POSCAR_broken", "t\n1\n1 0\n0 2 0\n0 0 3\n1\nC\n0 0 0\n"); /* by its name */
    CHECK_FAILS(vic_structure_read(path, NULL, &s, &err), VIC_BAD_INPUT, "line 3: expected a cell vector as three");
    assert_null(s);
}

/* VASP's rule: c and k, else direct. */
static void test_modes(void **state)
{
    static const char *const direct[] = { "", " ", "\t", "Fractional", "relative", "x" },
                             *const plain[] = { "D", "direct!", " Direct" },
                             *const cartesian[] = { "c", "Cart", "K", " k" };
    enum { PLAIN = sizeof plain / sizeof *plain, CARTESIAN = sizeof cartesian / sizeof *cartesian };
    char text[200];
    (void)state;
    for (size_t i = 0; i < sizeof direct / sizeof *direct; ++i)
        for (int selective = 0; selective < 2; ++selective) {
            vic_structure *s;
            snprintf(text, sizeof text, HEAD "H\n1\n%s%s\n0 0.5 0 T T T\n", selective ? "selective\n" : "",
                     direct[i]);
            s = files_read(text, NULL);
            CHECK_POSITION(files_info(s), 0, 0, 2, 0);
            vic_structure_free(s);
            CHECK_NOTED(text, NULL, 1,
                        selective ? "Line 9 says neither Direct nor Cartesian" : "Line 8 says neither");
        }
    for (size_t i = 0; i < PLAIN + CARTESIAN; ++i) {
        vic_structure *s;
        snprintf(text, sizeof text, HEAD "H\n1\n%s\n0 0.5 0\n", i < PLAIN ? plain[i] : cartesian[i - PLAIN]);
        s = files_read(text, NULL);
        CHECK_POSITION(files_info(s), 0, 0, i < PLAIN ? 2 : 1, 0);
        CHECK(!files_info(s).notes || !*files_info(s).notes, "%s", text);
        vic_structure_free(s);
    }
}

static void test_lists_on_several_lines(void **state)
{
    (void)state;
    check_numbers(HEAD "Fe\n O\n1\n1\nDirect\n0 0 0\n.5 .5 .5\n", 26, 8);
    check_numbers(HEAD "Fe O\n1\n1\nDirect\n0 0 0\n.5 .5 .5\n", 26, 8);
    check_numbers(HEAD "Fe\nO H\n1 1\n0\nS\nC\n0 0 0\n.5 .5 .5\n", 26, 8);
    check_numbers(HEAD "Fe O\n1 1\n\n0 0 0\n1 0 0\n", 26, 8); /* a blank mode line, and rows that look like counts */
    CHECK_REFUSED(HEAD "Fe O\nH\n1 1\nDirect\n0 0 0\n", NULL, VIC_BAD_INPUT, "line 8: expected as many counts");
    CHECK_REFUSED(HEAD "Fe O\n1\n1 1\nDirect\n0 0 0\n", NULL, VIC_BAD_INPUT, "line 8: expected as many counts");
    CHECK_REFUSED(HEAD "Fe O\n1 1\n1\nDirect\n0 0 0\n", NULL, VIC_BAD_INPUT, "line 8: expected Direct or Cartesian");
}

static void give_cell(vic_read_options *o)
{
    *o = (vic_read_options)VIC_INIT(vic_read_options);
    o->has_cell = true;
    for (int k = 0; k < 6; ++k) o->cell[k] = k < 3 ? 40 : 90;
}

/* Vectors that cannot be read are needed for Direct, unless a cell is given. */
static void test_vectors_in_doubt(void **state)
{
    static const char *const modes[] = { "Direct", "Cartesian" };
    vic_read_options o;
    vic_error err = { VIC_OK, "" };
    (void)state;
    for (int i = 0; i < 2; ++i) {
        char text[200];
        const char *path;
        vic_structure *s;
        snprintf(text, sizeof text, "t\n2\n1 0 0\n0 2\n0 0 3\nH\n1\n%s\n0 0.5 0\n", modes[i]);
        path = files_write("POSCAR", text);
        CHECK_FAILS(vic_structure_read(path, NULL, &s, &err), VIC_BAD_INPUT,
                    "line 4: expected a cell vector as three numbers, found \"0 2\"");
        o = (vic_read_options)VIC_INIT(vic_read_options);
        o.pbc = VIC_PBC_SET;
        if (i == 0) {
            CHECK_FAILS(vic_structure_read(path, &o, &s, &err), VIC_BAD_INPUT, "line 4: expected a cell vector");
        } else {
            CHECK_OK(vic_structure_read(path, &o, &s, &err));
            CHECK_POSITION(files_info(s), 0, 0, 1, 0);
            vic_structure_free(s);
        }
        give_cell(&o);
        CHECK_OK(vic_structure_read(path, &o, &s, &err));
        CHECK_POSITION(files_info(s), 0, 0, i ? 1 : 20, 0);
        vic_structure_free(s);
    }
    give_cell(&o); /* a volume says nothing of how long Cartesian positions are, without vectors */
    CHECK_REFUSED("t\n-5\n1 0 0\n2 0 0\n0 0 3\n1\nC\n0 0 0\n", &o, VIC_BAD_INPUT,
                  "line 3: expected cell vectors with a volume");
    CHECK_NOTED("t\n-5\n1 0 0\n2 0 0\n0 0 3\n1\nD\n0 0 0\n", &o, 1, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_what_follows),
        cmocka_unit_test(test_bad_cells),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_lists_on_several_lines),
        cmocka_unit_test(test_vectors_in_doubt),
    };
    return FILES_TESTS("structure_poscar", tests);
}
