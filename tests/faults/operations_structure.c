/* SPDX-License-Identifier: Apache-2.0 */
/* Structures from files of each format, whole and broken, and into files. */
#include "faults/operations.h"

#include "vicinal_structure.h"

#include <zlib.h>

enum { ATOMS = 120 };

static double positions[3 * ATOMS];
static const double cell[9] = { 14, 0, 0, 3, 13, 0, 0, 2, 12 };
static vic_structure *crystal;

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static const char pdb[] = "CRYST1   20.000   21.000   22.000  90.00 100.00  90.00 P 1 21 1      4\n"
                          "ATOM      1  N   ALA A   1       0.000   2.000   3.250  1.00 10.00           N\n"
                          "ATOM      2  CA AALA A   1       1.500   2.000   3.250  0.60 10.00           C\n"
                          "ATOM      3  CA BALA A   1       1.600   2.000   3.250  0.40 10.00           C\n"
                          "HETATM    4  O   HOH B   2       9.000   9.000   9.000  0.50 20.00           O\n";

/* Each ends in what a broken one (bad.*) has in its place. */
static const struct {
    const char *ending, *text, *last, *broken;
} texts[] = {
    { "pdb", pdb, "END\n", "ATOM      5  N   ALA A   3       0.000     x.0   3.250  1.00 10.00           N\n" },
    { "cif",
      "data_x\n_cell.length_a 20\n_cell.length_b 21\n_cell.length_c 22\n_cell.angle_alpha 90\n"
      "_cell.angle_beta 90\n_cell.angle_gamma 90\n_symmetry.space_group_name_H-M 'P 21 21 21'\nloop_\n"
      "_atom_site.type_symbol\n_atom_site.label_atom_id\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site."
      "Cartn_z\nC C 1 2 3\nO O 3 2 ",
      "1\n", "\n" },
    { "small.cif",
      "data_x\n_cell_length_a 5\n_cell_length_b 5\n_cell_length_c 5.4\n_cell_angle_alpha 90\n_cell_angle_beta 90\n"
      "_cell_angle_gamma 120\n_symmetry_space_group_name_H-M 'P 31 2 1'\nloop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n"
      "-y,x-y,z+1/3\n-x+y,-x,z+2/3\ny,x,-z\n-x,-x+y,1/3-z\nx-y,-y,2/"
      "3-z\nloop_\n_atom_site_label\n_atom_site_fract_x\n"
      "_atom_site_fract_y\n_atom_site_fract_z\nSi1 0.47 0 0\nO1 0.4 0.2 ",
      "0.1\n", "?\n" },
    { "gro",
      "title\n    2\n    1SOL     OW    1   0.126   1.624   1.679\n    1SOL    HW1    2   0.190   1.661   1.747\n",
      "   1.82060   1.82060   1.82060\n", "   1.82060\n" },
    { "xyz", "2\nwater\nO 0 0 0\nH 0.757 0.586", " 0\n", "\n" },
    { "extxyz", "2\nLattice=\"5 0 0 0 5 0 0 1 5\" Properties=species:S:1:pos:R:3 pbc=\"T T F\"\nSi 0 0 0\nO 1.5 1 ",
      "2\n", "inf\n" },
    { "poscar", "NaCl\n1.0\n5.6 0 0\n0 5.6 0\n0 0 5.6\nNa Cl\n1 1\nSelective dynamics\nDirect\n0 0 0 T T F\n",
      "0.5 0.5 0.5 T T T\n", "0.5 0.5\n" },
    { "old.poscar", "O\n1.0\n5.6 0 0\n0 5.6 0\n0 0 5.6\n2\nCartesian\n0 0 0\n", "1 2 3\n", "1 2\n" },
    { "lammps",
      "title\n\n2 atoms\n2 atom types\n0 10 xlo xhi\n0 11 ylo yhi\n0 12 zlo zhi\n1 0 2 xy xz yz\n\nAtom "
      "Type Labels\n\n1 O\n2 H\n\nMasses\n\n1 15.999\n2 1.008\n\nAtoms\n\n1 1 1 -0.8 1 2 3 0 0 -1\n",
      "2 1 2 .4 4 5 6 0 1 0\n", "2 1 9 .4 4 5 6 0 1 0\n" },
    { "rst7",
      "title\n    3\n   1.0000000   2.0000000   3.0000000   4.0000000   5.0000000   6.0000000\n   7.0000000   "
      "8.0000000"
      "   9.0000000\n",
      "  30.0000000  31.0000000  32.0000000  90.0000000 100.0000000  90.0000000\n", "  30.0000000  31.0000000\n" },
};

static void write_structures(void)
{
    gzFile gz = gzopen("seed.pdb.gz", "wb"), cut = gzopen("bad.pdb.gz", "wb");
    assert_non_null(gz);
    assert_non_null(cut);
    assert_int_equal(gzwrite(gz, pdb, sizeof pdb - 1), sizeof pdb - 1);
    assert_int_equal(gzclose(gz), Z_OK);
    assert_int_equal(gzwrite(cut, "nonsense\n", 9), 9);
    assert_int_equal(gzclose(cut), Z_OK);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int broken = 0; broken < 2; broken++) {
            char path[64], text[2048];
            snprintf(path, sizeof path, "%s.%s", broken ? "bad" : "seed", texts[i].ending);
            assert_true(snprintf(text, sizeof text, "%s%s", texts[i].text, broken ? texts[i].broken : texts[i].last) <
                        (int)sizeof text);
            write_text(path, text);
        }
}

static void write_broken_tensors(void)
{
    write_text("empty", "");
    write_text("bad.npy", "\x93NUMPY\1");
    write_text("bad.npz", "PK\3\4 and nothing after it, not even the record at its end");
    write_text("bad.safetensors", "\1\1\1\1\1\1\1\1{}");
    write_text("bad.vnp", "\x89VNP\r\n\x1a\n and no more");
}

void structures_setup(void)
{
    uint64_t state = 7;
    vic_error err;
    for (int i = 0; i < 3 * ATOMS; i++) positions[i] = 13.0 * random_uniform(&state);
    write_structures();
    write_broken_tensors();
    CHECK_OK(vic_structure_from_arrays(ATOMS, positions, cell, NULL, NULL, &crystal, &err));
}

void structures_teardown(void)
{
    vic_structure_free(crystal);
}

vic_status refused(vic_status st, vic_error *err)
{
    assert_int_not_equal(st, VIC_OK);
    if (st != VIC_BAD_INPUT) return st;
    err->status = VIC_OK;
    return VIC_OK;
}

static void check_structure(const vic_structure *s)
{
    vic_structure_info info = VIC_INIT(vic_structure_info);
    vic_error err;
    CHECK_OK(vic_structure_get(s, &info, &err));
    assert_true(info.atoms >= 2);
}

static vic_status read_file(const char *path, vic_error *err)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    o.symmetry = strstr(path, ".pdb") || strstr(path, ".cif");
    o.supercell[0] = 2;
    if (strstr(path, ".xyz")) o.supercell[0] = 1;
    vic_status st = vic_structure_read(path, &o, &s, err);
    assert_true((st == VIC_OK) == (s != NULL));
    if (s) check_structure(s);
    vic_structure_free(s);
    return st;
}

static vic_status read_broken(const char *path, vic_error *err)
{
    vic_structure *s;
    vic_status st = vic_structure_read(path, NULL, &s, err);
    assert_null(s);
    return refused(st, err);
}

static vic_status read_no_model(const char *path, vic_error *err)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    o.model = 7;
    vic_status st = vic_structure_read(path, &o, &s, err);
    assert_null(s);
    return refused(st, err);
}

static vic_status from_arrays(const char *unused, vic_error *err)
{
    vic_structure *s;
    (void)unused;
    vic_status st = vic_structure_from_arrays(ATOMS, positions, cell, NULL, NULL, &s, err);
    assert_true((st == VIC_OK) == (s != NULL));
    vic_structure_free(s);
    return st;
}

static vic_status write_structure(const char *path, vic_error *err)
{
    return vic_structure_write(crystal, path, "value", positions, err);
}

const struct operation structure_operations[] = {
    { "read PDB", read_file, "seed.pdb", NULL, READS },
    { "read PDB, gzipped", read_file, "seed.pdb.gz", NULL, READS },
    { "read mmCIF", read_file, "seed.cif", NULL, READS },
    { "read GRO", read_file, "seed.gro", NULL, READS },
    { "read XYZ", read_file, "seed.xyz", NULL, READS },
    { "read extXYZ", read_file, "seed.extxyz", NULL, READS },
    { "read CIF", read_file, "seed.small.cif", NULL, READS },
    { "read POSCAR", read_file, "seed.poscar", NULL, READS },
    { "read POSCAR without elements", read_file, "seed.old.poscar", NULL, READS },
    { "read LAMMPS data", read_file, "seed.lammps", NULL, READS },
    { "read Amber", read_file, "seed.rst7", NULL, READS },
    { "broken PDB", read_broken, "bad.pdb", NULL, READS },
    { "broken gzip", read_broken, "bad.pdb.gz", NULL, READS },
    { "broken mmCIF", read_broken, "bad.cif", NULL, READS },
    { "broken CIF", read_broken, "bad.small.cif", NULL, READS },
    { "broken GRO", read_broken, "bad.gro", NULL, READS },
    { "broken XYZ", read_broken, "bad.xyz", NULL, READS },
    { "broken extXYZ", read_broken, "bad.extxyz", NULL, READS },
    { "broken POSCAR", read_broken, "bad.poscar", NULL, READS },
    { "broken LAMMPS data", read_broken, "bad.lammps", NULL, READS },
    { "broken Amber", read_broken, "bad.rst7", NULL, READS },
    { "no such model", read_no_model, "seed.pdb", NULL, READS },
    { "empty file", read_broken, "empty", NULL, READS },
    { "structure from arrays", from_arrays, NULL, NULL, PLAIN },
    { "write PDB", write_structure, "out.pdb", "out.pdb", PLAIN },
    { "write extXYZ", write_structure, "out.extxyz", "out.extxyz", PLAIN },
};
const int structure_operation_count = sizeof structure_operations / sizeof *structure_operations;
