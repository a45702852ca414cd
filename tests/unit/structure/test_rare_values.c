/* SPDX-License-Identifier: Apache-2.0 */
/* Values that no ordinary file of a format has, which the coverage of branches showed to be untried. */
#include "files.h"

#include "structure/io/format.h"
#include "structure/io/source.h"

static void test_amber(void **state)
{
    static const char zero[] = "   0.0000000   0.0000000   0.0000000\n",
                      two[] = "t\n    2\n   1.0000000   2.0000000"
                              "   3.0000000   4.0000000   5.0000000   6.0000000\n";
    char text[400];
    vic_structure *s;
    (void)state;
    snprintf(text, sizeof text, "%s%s", two, zero); /* a box of zeros is none */
    s = files_read(text, NULL);
    assert_false(files_info(s).has_cell);
    vic_structure_free(s);
    snprintf(text, sizeof text, "%s%s", two, strchr(strchr(two, '\n') + 1, '\n') + 1);
    CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "may be either after 2 atoms");
    CHECK_REFUSED("t\n    1\n   1.0000000   2.0000000   3.0000000\n   1.0000000   2.0000000   3.0000000\n", NULL,
                  VIC_BAD_INPUT, "may be either after 1 atom;");
}

static void test_extxyz(void **state)
{
    static const char *const species[] = { "element:S:1", "elements:S:1", "symbols:S:1", "numbers:I:1",
                                           "atomic_numbers:I:1" };
    char text[4096] = "1\nProperties=pos:R:3";
    (void)state;
    for (size_t i = 0; i < sizeof species / sizeof *species; ++i) {
        char one[200];
        snprintf(one, sizeof one, "1\nProperties=%s:positions:R:3\n%s 1 2 3\n", species[i],
                 strchr(species[i], 'I') ? "8" : "O");
        vic_structure *s = files_read(one, NULL);
        assert_int_equal(files_info(s).atomic_numbers[0], 8);
        CHECK_POSITION(files_info(s), 0, 1, 2, 3);
        vic_structure_free(s);
    }
    for (int i = 0; i < 200; ++i) strcat(text, ":a:R:1");
    strcat(text, "\n0 0 0\n");
    vic_structure_free(files_read(text, NULL)); /* many columns, none of them used */
    CHECK_REFUSED("1\nProperties=a:R:100000:pos:R:3\n0 0 0\n", NULL, VIC_BAD_INPUT, "at most 100000 columns");
    CHECK_REFUSED("1\nx\nTv 1 0 0\n", NULL, VIC_BAD_INPUT, "found the lattice vector \"Tv 1 0 0\"");
    CHECK_REFUSED("1\nx\nTV 1 0 0\n", NULL, VIC_BAD_INPUT, "found the lattice vector");
    CHECK_REFUSED("ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\n", NULL, VIC_BAD_INPUT, "which begins none of them");
}

static void test_cif(void **state)
{
    static const char cell[] = "data_x\n_cell_length_a 5\n_cell_length_b 5\n_cell_length_c 5\n_cell_angle_alpha 90\n"
                               "_cell_angle_beta 90\n_cell_angle_gamma 90\n",
                      sites[] =
                          "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
                          "_atom_site_calc_flag\n";
    char text[8192];
    size_t at;
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    (void)state;
    snprintf(text, sizeof text, "%s%sC1 0 0 0 dum\n", cell, sites);
    CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "not calc_flag dum");
    at = (size_t)snprintf(text, sizeof text, "%sloop_\n_symmetry_equiv_pos_as_xyz\n", cell);
    for (int i = 0; i < 193; ++i) at += (size_t)snprintf(text + at, sizeof text - at, "x,y,z\n");
    snprintf(text + at, sizeof text - at, "%sC1 0 0 0 d\n", sites);
    s = files_read(text, NULL);
    assert_int_equal(files_info(s).atoms, 1);
    vic_structure_free(s);
    o.symmetry = true;
    CHECK_REFUSED(text, &o, VIC_BAD_INPUT, "expected at most 192 symmetry operations, found 193");
    snprintf(text, sizeof text, "%s_space_group_name_Hall 'no such symbol'\n%sC1 0 0 0 d\n", cell, sites);
    CHECK_REFUSED(text, &o, VIC_BAD_INPUT, "of a space group (P 21 21 21, C 1 2 1, ...), found \"no such symbol\"");
    snprintf(text, sizeof text, "%s_space_group_name_Hall '-P 1'\n%sC1 0.1 0 0 d\n", cell, sites);
    s = files_read(text, &o);
    assert_int_equal(files_info(s).atoms, 2);
    vic_structure_free(s);
    snprintf(text, sizeof text, "save_frame\n_a.b 1\nsave_\n");
    CHECK_REFUSED(text, NULL, VIC_BAD_INPUT, "expected");
    snprintf(text, sizeof text, "%ssave_frame\n_atom_site_label 1\nsave_\n%sC1 0 0 0 d\n", cell, sites);
    s = files_read(text, NULL); /* what a save frame holds is read over */
    assert_int_equal(files_info(s).atoms, 1);
    vic_structure_free(s);
}

static void test_models_of_pdb(void **state)
{
    (void)state;
    CHECK_REFUSED("MODEL  99999999999\nENDMDL\n", NULL, VIC_BAD_INPUT, "expected MODEL and its number");
    CHECK_REFUSED("MODEL -99999999999\nENDMDL\n", NULL, VIC_BAD_INPUT, "expected MODEL and its number");
    CHECK_REFUSED("MODEL        x\nENDMDL\n", NULL, VIC_BAD_INPUT, "expected MODEL and its number");
}

/* Titles keep UTF-8 that is right and nothing else. */
static void test_titles(void **state)
{
    static const struct {
        const char *text, *title;
    } titles[] = {
        { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "\xc1\x81z", "??z" },               /* overlong */
        { "\xe0\x80\x80z", "???z" },          /* overlong */
        { "\xed\xa0\x80z", "???z" },          /* a surrogate */
        { "\xed\x9f\xbfz", "\xed\x9f\xbfz" }, /* the last before them */
        { "\xf0\x8f\xbf\xbfz", "????z" },     /* overlong */
        { "\xf4\x90\x80\x80z", "????z" },     /* past the last character */
        { "\xf4\x8f\xbf\xbfz", "\xf4\x8f\xbf\xbfz" },
        { "\xf5\x80\x80\x80z", "????z" },
        { "\xe2\x82", "??" }, /* cut */
        { "a\tb\x01\x7f"
          "c",
          "a b??c" },
    };
    char title[512], longest[600];
    (void)state;
    for (size_t i = 0; i < sizeof titles / sizeof *titles; ++i) {
        title[0] = 0;
        format_set_title(title, (struct piece){ titles[i].text, strlen(titles[i].text) });
        assert_string_equal(title, titles[i].title);
    }
    memset(longest, 'x', sizeof longest);
    title[0] = 0;
    format_set_title(title, (struct piece){ longest, 510 });
    format_set_title(title, (struct piece){ "yz", 2 }); /* a blank, and no room */
    assert_int_equal(strlen(title), 511);
    format_set_title(title, (struct piece){ "yz", 2 });
    format_set_title(title, (struct piece){ "", 0 });
    assert_int_equal(strlen(title), 511);
}

static void test_names_of_files(void **state)
{
    char name[400];
    struct source source;
    vic_error err;
    (void)state;
    memset(name, 'n', sizeof name);
    memcpy(name + sizeof name - 9, "last.pdb", 9);
    CHECK_OK(source_from_bytes(name, "x", 1, &source, &err));
    assert_int_equal(strlen(source.name), sizeof source.name - 1);
    assert_memory_equal(source.name, "...nnn", 6);
    assert_string_equal(source.name + sizeof source.name - 9, "last.pdb");
    source_free(&source);
    setenv("VIC_READ_LIMIT_MB", "-5", 1);
    assert_int_equal(source_limit(), (size_t)SOURCE_LIMIT_MB << 20);
    unsetenv("VIC_READ_LIMIT_MB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_amber),         cmocka_unit_test(test_extxyz), cmocka_unit_test(test_cif),
        cmocka_unit_test(test_models_of_pdb), cmocka_unit_test(test_titles), cmocka_unit_test(test_names_of_files),
    };
    return FILES_TESTS("structure_rare_values", tests);
}
