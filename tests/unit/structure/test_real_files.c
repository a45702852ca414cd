/* SPDX-License-Identifier: Apache-2.0 */
/* Every file of the folder of real structures that the formats cover: counts and cells, or the telling refusal. */
#include "files.h"

static void test_good_files(void **state)
{
    static const struct {
        const char *name, *format;
        int64_t atoms, models, altlocs;
        bool cell;
    } files[] = {
        { "small/1crn.pdb", "pdb", 327, 1, 0, true },
        { "small/1crn.cif", "mmcif", 327, 1, 0, true },
        { "small/1UBQ.pdb", "pdb", 660, 1, 0, true },
        { "small/1UBQ.cif", "mmcif", 660, 1, 0, true },
        { "small/4hhb.pdb", "pdb", 4779, 1, 0, true },
        { "small/4hhb.cif", "mmcif", 4779, 1, 0, true },
        { "small/1AKE.pdb", "pdb", 3816, 1, 24, true },
        { "small/1AKE.cif", "mmcif", 3816, 1, 24, true },
        { "small/1EN2.pdb", "pdb", 819, 1, 114, true },
        { "small/1EN2.cif", "mmcif", 819, 1, 114, true },
        { "small/1SSU.pdb.gz", "pdb", 756, 20, 0, false },
        { "small/1SSU.cif.gz", "mmcif", 756, 20, 0, false },
        { "small/1a4w.pdb", "pdb", 2439, 1, 0, true },
        { "small/1a4w.cif", "mmcif", 2439, 1, 0, true },
        { "small/1o1z.pdb", "pdb", 2302, 1, 96, true },
        { "small/1o1z.cif", "mmcif", 2302, 1, 96, true },
        { "small/mg_tst.pdb", "pdb", 7, 1, 0, false },
        { "small/xl_serial.pdb", "pdb", 4, 1, 0, true },
        { "small/1vln-triclinic.gro", "gro", 14520, 1, 0, true },
        { "small/1vln-triclinic.pdb.gz", "pdb", 14520, 1, 0, true },
        { "large/1aon.pdb.gz", "pdb", 58870, 1, 0, true },
        { "large/5lel.cif.gz", "mmcif", 41668, 1, 0, true },
        { "large/bigbox.gro.gz", "gro", 132303, 1, 0, true },
        { "large/popc.gro.gz", "gro", 63565, 1, 0, true },
        { "large/3nig.cif.gz", "mmcif", 22226, 1, 80, true },
        { "large/3nig.pdb.gz", "pdb", 22226, 1, 80, true },
        { "large/apoa1.pdb.gz", "pdb", 92224, 1, 0, false },
        { "huge/4v6x.cif.gz", "mmcif", 237685, 1, 0, false },
        { "crystals/carbon.xyz", "extxyz", 4, 1, 0, true },
        { "crystals/diamond.xyz", "extxyz", 8, 1, 0, true },
        { "crystals/carbon_64000_model.xyz.gz", "extxyz", 64000, 1, 0, true },
        { "crystals/graphene_40400_model.xyz", "extxyz", 40400, 1, 0, true },
        { "crystals/1011031.cif", "cif", 2, 1, 0, true },
        { "crystals/2242624.cif", "cif", 3, 1, 0, true },
        { "crystals/LiFePO4.cif", "cif", 28, 1, 0, true },
        { "crystals/btet_1915.cif", "cif", 6, 1, 0, true },
        { "crystals/IRMOF-1.cif", "cif", 7, 1, 0, true },
        { "crystals/POSCAR-002", "poscar", 44, 1, 0, true },
        { "crystals/MnO.cartesian.poscar", "poscar", 24, 1, 0, true },
        { "crystals/albite_triclinic.data", "lammps", 17, 1, 0, true },
        { "malformed/cve-2022-46280.xyz", "xyz", 1, 1, 0, false }, /* it only broke another program */
    };
    vic_read_options o = VIC_INIT(vic_read_options);
    (void)state;
    o.altloc = VIC_ALTLOC_ALL;
    if (!test_data("small/1crn.pdb")) skip();
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        const char *path = test_data(files[i].name);
        vic_error err = { VIC_OK, "" };
        vic_structure_info v;
        vic_structure *s;
        int64_t unknown = 0;
        assert_non_null(path);
        CHECK_OK(vic_structure_read(path, &o, &s, &err));
        v = files_info(s);
        CHECK(v.atoms == files[i].atoms, "%s: %lld atoms", files[i].name, (long long)v.atoms);
        CHECK(strcmp(v.format, files[i].format) == 0, "%s: read as %s", files[i].name, v.format);
        CHECK(v.models == files[i].models, "%s: %lld models", files[i].name, (long long)v.models);
        CHECK(v.altloc_atoms == files[i].altlocs, "%s: %lld altlocs", files[i].name, (long long)v.altloc_atoms);
        CHECK(v.has_cell == files[i].cell, "%s: has_cell %d", files[i].name, v.has_cell);
        for (int64_t k = 0; k < v.atoms; ++k) unknown += v.atomic_numbers[k] == 0;
        CHECK(unknown == 0, "%s: %lld atoms of unknown element", files[i].name, (long long)unknown);
        vic_structure_free(s);
    }
}

static void test_malformed_files(void **state)
{
    static const struct {
        const char *name, *part;
    } files[] = {
        { "malformed/1AKE_err_a.pdb", "line 7: expected y as a number in columns 39 to 46, found nothing" },
        { "malformed/1AKE_err_b.pdb", "line 5: expected an atom record" },
        { "malformed/1EN2_err.cif", "line 30: expected each atom once, found atom 6 (CD of PCA A 1) where atom 5" },
        { "malformed/1AKE_err.cif", "line 3: expected correct CIF, found: Wrong number of values in the loop" },
        { "malformed/truncated.gro", "line 558: expected atom 556 of the 1405 that line 2 announces" },
        { "malformed/helium_bad.xyz", "line 1: expected 8 atom rows after this count and its comment line, found 4" },
        { "malformed/empty_atom.gro", "line 3: expected atom 1 of the 1" },
        { "malformed/not-reals.cif", "expected a CIF with an _atom_site.Cartn_x or" },
        { "malformed/unterminated-text-field.cif", "line 12: expected correct CIF, found: unterminated text field" },
        { "malformed/1bna-errors.cif", "expected correct CIF, found: Wrong number of values in the loop" },
        { "malformed/2004198-no-cell-angles.cif", "expected _cell_angle_alpha, found none beside the rest" },
        { "malformed/MnO.misnumbered.poscar", "line 6: expected 36 rows, as these counts say, found 24" },
    };
    (void)state;
    if (!test_data("small/1crn.pdb")) skip();
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        const char *path = test_data(files[i].name);
        vic_error err = { VIC_OK, "" };
        vic_structure *s;
        assert_non_null(path);
        CHECK_FAILS(vic_structure_read(path, NULL, &s, &err), VIC_BAD_INPUT, files[i].part);
        assert_null(s);
    }
}

/* Each of the nine frames of this file is wrong in another column, none of which is used. */
static void test_each_bad_frame(void **state)
{
    const char *path = test_data("malformed/extended_bad.xyz");
    (void)state;
    if (!path) skip();
    for (int i = 0; i < 9; ++i) {
        vic_read_options o = VIC_INIT(vic_read_options);
        vic_error err = { VIC_OK, "" };
        vic_structure *s;
        o.model = i + 1;
        CHECK_OK(vic_structure_read(path, &o, &s, &err));
        assert_true(files_info(s).atoms == 1 && files_info(s).positions[2] == 2.3);
        vic_structure_free(s);
    }
}

/* 1EN2 has residues of two names at one number: one name may stay. */
static void test_point_mutations(void **state)
{
    static const char *const names[2] = { "small/1EN2.pdb", "small/1EN2.cif" };
    (void)state;
    for (int f = 0; f < 2; ++f) {
        const char *path = test_data(names[f]);
        vic_error err = { VIC_OK, "" };
        vic_structure *s;
        vic_structure_info v;
        if (!path) skip();
        CHECK_OK(vic_structure_read(path, NULL, &s, &err));
        v = files_info(s);
        assert_true(v.atoms < v.file_atoms);
        for (int64_t i = 1; i < v.atoms; ++i) {
            const vic_atom_label *a = &v.labels[i - 1], *b = &v.labels[i];
            if (a->sequence == b->sequence && strcmp(a->chain, b->chain) == 0 && a->hetero == b->hetero)
                CHECK(strcmp(a->residue, b->residue) == 0, "%s %d: both %s and %s", b->chain, b->sequence, a->residue,
                      b->residue);
        }
        vic_structure_free(s);
    }
}

static void test_models(void **state)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_error err = { VIC_OK, "" };
    vic_structure *a, *b;
    const char *path = test_data("small/1SSU.pdb.gz");
    (void)state;
    if (!path) skip();
    o.model = 20;
    CHECK_OK(vic_structure_read(path, &o, &a, &err));
    CHECK_OK(vic_structure_read(test_data("small/1SSU.cif.gz"), &o, &b, &err));
    assert_int_equal(files_info(a).atoms, 756);
    assert_memory_equal(files_info(a).positions, files_info(b).positions, 756 * 3 * sizeof(double));
    vic_structure_free(a);
    vic_structure_free(b);
    o.model = 21;
    CHECK_FAILS(vic_structure_read(test_data("small/1SSU.pdb.gz"), &o, &a, &err), VIC_BAD_INPUT,
                "no model 21; the file has 20: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... 20");
}

/* The crystal of the demonstration: 5,684 atoms, 6 operations, 3 cells along c. */
static void test_1tii(void **state)
{
    static const char path[] = "/usr/share/pymol/data/demo/1tii.pdb";
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_error err = { VIC_OK, "" };
    vic_structure *s;
    FILE *file = fopen(path, "r");
    (void)state;
    if (!file) {
        print_message("skipped: no %s (Debian's pymol-data)\n", path);
        skip();
    }
    fclose(file);
    o.symmetry = true;
    o.supercell[2] = 3;
    CHECK_OK(vic_structure_read(path, &o, &s, &err));
    assert_int_equal(files_info(s).atoms, 102312);
    assert_int_equal(files_info(s).symmetry_operations, 6);
    vic_structure_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_files),     cmocka_unit_test(test_malformed_files),
        cmocka_unit_test(test_each_bad_frame), cmocka_unit_test(test_point_mutations),
        cmocka_unit_test(test_models),         cmocka_unit_test(test_1tii),
    };
    return cmocka_run_group_tests_name("structure_real_files", tests, NULL, NULL);
}
