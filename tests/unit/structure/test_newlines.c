/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that end in CR alone, and lines without end, in every format. */
#include "files.h"

static const char *const texts[] = {
    "# "
    "a\ndata_x\nloop_\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n_atom_site.id\n_atom_site.label_"
    "atom_id\n# b\n1 2 3 1 A\n4 5 6 2 B\n",
    "data_x\n_cell_length_a 9\n_cell_length_b 9\n_cell_length_c 9\n_cell_angle_alpha 90\n_cell_angle_beta 90\n"
    "_cell_angle_gamma 90\nloop_\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n#\n0 0 0\n.5 .5 .5\n",
    "t\n1\n9 0 0\n0 9 0\n0 0 9\nH\n2\nC\n0 0 0\n1 1 1\n",
    "2\nt\nH 0 0 0\nH 1 1 1\n",
    "t\n2\n    1MOL     H1    1   0.000   0.000   0.000\n    1MOL     H2    2   0.100   0.000   0.000\n0 0 0\n",
    "ATOM      1  H1  MOL A   1       0.000   0.000   0.000  1.00  0.00           H\n"
    "ATOM      2  H2  MOL A   1       1.000   0.000   0.000  1.00  0.00           H\n",
    "t\n2 atoms\n1 atom types\n0 9 xlo xhi\n0 9 ylo yhi\n0 9 zlo zhi\n\nAtoms # atomic\n\n1 1 0 0 0\n2 1 1 1 1\n",
    "t\n    2\n   1.0000000   2.0000000   3.0000000   4.0000000   5.0000000   6.0000000\n",
};
enum { TEXTS = sizeof texts / sizeof *texts };

static int64_t count_atoms(const char *text, size_t size, vic_error *err)
{
    vic_structure *s;
    int64_t atoms;
    if (vic_structure_read(files_write_bytes("input", text, size), NULL, &s, err) != VIC_OK) return -1;
    atoms = files_info(s).atoms;
    vic_structure_free(s);
    return atoms;
}

static void test_carriage_returns(void **state)
{
    (void)state;
    for (int i = 0; i < TEXTS; ++i) {
        char text[600];
        size_t size = strlen(texts[i]);
        vic_error err = { VIC_OK, "" };
        assert_true(size < sizeof text);
        memcpy(text, texts[i], size);
        CHECK(count_atoms(text, size, &err) == 2, "text %d: %s", i, err.text);
        for (size_t k = 0; k < size; ++k)
            if (text[k] == '\n') text[k] = '\r';
        CHECK(count_atoms(text, size, &err) == 2, "text %d with CR: %s", i, err.text);
    }
}

/* A line of a million characters put after each line: refused or read, in no time, with no other number of atoms. */
static void test_long_lines(void **state)
{
    enum { LONG = 1000000 };
    static const char fills[] = " x1.\"";
    char *text = malloc(LONG + 1000);
    (void)state;
    assert_non_null(text);
    for (int i = 0; i < TEXTS; ++i)
        for (const char *fill = fills; *fill; ++fill)
            for (const char *at = texts[i]; (at = strchr(at, '\n')); ++at) {
                size_t before = (size_t)(at - texts[i]), after = strlen(at);
                vic_error err = { VIC_OK, "" };
                int64_t atoms;
                memcpy(text, texts[i], before);
                memset(text + before, *fill, LONG);
                memcpy(text + before + LONG, at, after);
                atoms = count_atoms(text, before + LONG + after, &err);
                CHECK(atoms == 2 || (atoms == -1 && err.status == VIC_BAD_INPUT), "text %d, %lld atoms: %s", i,
                      (long long)atoms, err.text);
            }
    free(text);
}

/* A million blank lines anywhere take no time worth speaking of. */
static void test_blank_lines(void **state)
{
    enum { BLANK = 1000000 };
    char *text = malloc(BLANK + 1000);
    (void)state;
    assert_non_null(text);
    for (int i = 0; i < TEXTS; ++i)
        for (const char *at = texts[i]; (at = strchr(at, '\n')); ++at) {
            size_t before = (size_t)(at - texts[i]), after = strlen(at);
            vic_error err = { VIC_OK, "" };
            int64_t atoms;
            memcpy(text, texts[i], before);
            memset(text + before, '\n', BLANK);
            memcpy(text + before + BLANK, at, after);
            atoms = count_atoms(text, before + BLANK + after, &err);
            CHECK(atoms == 2 || (atoms == -1 && err.status == VIC_BAD_INPUT), "text %d, %lld atoms: %s", i,
                  (long long)atoms, err.text);
        }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_carriage_returns),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_blank_lines),
    };
    return FILES_TESTS("structure_newlines", tests);
}
