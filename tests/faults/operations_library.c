/* SPDX-License-Identifier: Apache-2.0 */
#include "faults/operations.h"

#include "plan/tiles.h"

#include <zlib.h>

enum { ATOMS = 120, HEADS = 2, DIM = 16 };

static double positions[3 * ATOMS];
static float q[ATOMS * HEADS * DIM], out[ATOMS * HEADS * DIM];
static double reference[ATOMS * HEADS * DIM];
static const double cell[3][3] = { { 14, 0, 0 }, { 3, 13, 0 }, { 0, 2, 12 } };
static const int32_t query[] = { 0, 1, 2 }, key[] = { 5, 6, 7 };
static vic_structure *crystal;
static vic_pattern *made;

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
      "title\n\n2 atoms\n2 atom types\n0 10 xlo xhi\n0 11 ylo yhi\n0 12 zlo zhi\n1 0 2 xy xz yz\n\nMasses\n\n1 "
      "15.999\n"
      "2 1.008\n\nAtoms\n\n1 1 1 -0.8 1 2 3 0 0 -1\n",
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

/* Several structures, with their cells, and a union. */
static void write_joined(void)
{
    const int64_t offsets[] = { 0, 50, ATOMS };
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_pattern *several, *joined;
    vic_error err;
    o.cutoff = 4.0;
    CHECK_OK(vic_pattern_structures(2, offsets, positions, NULL, NULL, &o, &several, &err));
    CHECK_OK(vic_pattern_unite(several, several, &joined, &err));
    CHECK_OK(vic_pattern_save(joined, "joined.vnp", &err));
    vic_pattern_free(joined);
    vic_pattern_free(several);
}

void operations_setup(void)
{
    uint64_t state = 7;
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_error err;
    for (int i = 0; i < 3 * ATOMS; i++) positions[i] = 13.0 * random_uniform(&state);
    for (int i = 0; i < ATOMS * HEADS * DIM; i++) q[i] = (float)random_normal(&state);
    write_structures();
    o.cutoff = 4.0;
    CHECK_OK(vic_structure_from_arrays(ATOMS, positions, cell, NULL, NULL, &crystal, &err));
    CHECK_OK(vic_pattern_build(crystal, &o, &made, &err));
    CHECK_OK(vic_pattern_save(made, "seed.vnp", &err));
    CHECK_OK(command("run seed.extxyz --cutoff 3 --head-dim 8 --threads 1 --json -o seed.npy", &err));
    CHECK_OK(command("run seed.extxyz --cutoff 3 --head-dim 8 --threads 1 --json -o seed.safetensors", &err));
    CHECK_OK(command("pattern seed.extxyz --cutoff 3 --threads 1 --json --pairs-out seed.npz", &err));
    write_broken_tensors();
    write_archives();
    write_joined();
}

void operations_teardown(void)
{
    vic_pattern_free(made);
    vic_structure_free(crystal);
}

static vic_status read_file(const char *path, vic_error *err)
{
    vic_read_options o = VIC_READ_OPTIONS_INIT;
    vic_structure *s;
    o.symmetry = strstr(path, ".pdb") || strstr(path, ".cif");
    o.supercell[0] = 2;
    if (strstr(path, ".xyz")) o.supercell[0] = 1;
    vic_status st = vic_structure_read(path, &o, &s, err);
    assert_true((st == VIC_OK) == (s != NULL));
    if (s) assert_true(vic_structure_get(s).atoms >= 2);
    vic_structure_free(s);
    return st;
}

/* What it is for is done when the file is refused for what is in it. */
static vic_status refused(vic_status st, vic_error *err)
{
    assert_int_not_equal(st, VIC_OK);
    if (st != VIC_BAD_INPUT) return st;
    err->status = VIC_OK;
    return VIC_OK;
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
    vic_read_options o = VIC_READ_OPTIONS_INIT;
    vic_structure *s;
    o.model = 7;
    vic_status st = vic_structure_read(path, &o, &s, err);
    assert_null(s);
    return refused(st, err);
}

static vic_status load_broken(const char *path, vic_error *err)
{
    vic_pattern *p;
    vic_status st = vic_pattern_load(path, &p, err);
    assert_null(p);
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

/* By address: the call that fills it is an argument too. */
static vic_status finish(vic_status st, vic_pattern **made_here)
{
    vic_pattern *p = *made_here;
    assert_true((st == VIC_OK) == (p != NULL));
    if (p) assert_true(vic_pattern_get(p).pairs > 0);
    vic_pattern_free(p);
    return st;
}

static vic_status make_pattern(const char *kind, vic_error *err)
{
    const int64_t offsets[] = { 0, 50, ATOMS };
    static const uint8_t skip[ATOMS] = { 1, 0, 1 };
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_pattern *p = NULL;
    o.threads = 2;
    if (strcmp(kind, "nearest") == 0) return finish(vic_pattern_nearest(crystal, 6, &o, &p, err), &p);
    if (strcmp(kind, "windows") == 0) return finish(vic_pattern_windows(ATOMS, 16, 64, &o, &p, err), &p);
    if (strcmp(kind, "blocks") == 0) return finish(vic_pattern_generate("blocks:5x5:n=7,block=64", &o, &p, err), &p);
    if (strcmp(kind, "pairs") == 0)
        return finish(vic_pattern_from_pairs(crystal, ATOMS, 0, 3, query, key, NULL, &o, &p, err), &p);
    if (strcmp(kind, "unite") == 0) return finish(vic_pattern_unite(made, made, &p, err), &p);
    if (strcmp(kind, "exclude") == 0) return finish(vic_pattern_exclude(made, 3, query, key, NULL, &p, err), &p);
    if (strstr(kind, ".vnp")) return finish(vic_pattern_load(kind, &p, err), &p);
    o.cutoff = 4.0;
    if (strcmp(kind, "skip") == 0) o.skip = skip;
    if (strcmp(kind, "structures") == 0)
        return finish(vic_pattern_structures(2, offsets, positions, NULL, NULL, &o, &p, err), &p);
    if (strcmp(kind, "points") == 0)
        return finish(vic_pattern_build_points(40, positions, 60, positions + 120, cell, NULL, &o, &p, err), &p);
    return finish(vic_pattern_build(crystal, &o, &p, err), &p);
}

static vic_status update_pattern(const char *unused, vic_error *err)
{
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_pattern *p;
    (void)unused;
    o.cutoff = 4.0;
    vic_status st = vic_pattern_build(crystal, &o, &p, err);
    /* The second finds memory of the first.  One that fails leaves a pattern that can be used. */
    for (int i = 0; st == VIC_OK && i < 2; i++) st = vic_pattern_update(&p, positions, NULL, NULL, 2, err);
    if (st == VIC_OK || !p) return finish(st, &p);
    assert_true(vic_pattern_get(p).pairs > 0);
    vic_pattern_free(p);
    return st;
}

static vic_status save_pattern(const char *path, vic_error *err)
{
    return vic_pattern_save(made, path, err);
}

static vic_status list_pairs(const char *unused, vic_error *err)
{
    static int32_t i[200000], j[200000];
    int64_t pairs = vic_pattern_get(made).pairs;
    (void)unused;
    assert_in_range(pairs, 1, 200000);
    vic_status st = vic_pattern_neighbours(made, pairs, 2, i, j, NULL, NULL, err);
    return st == VIC_OK ? vic_pattern_pairs(made, pairs, i, j, NULL, err) : st;
}

static vic_status attention(const char *check, vic_error *err)
{
    const int64_t shape[] = { ATOMS, HEADS, DIM };
    vic_engine_options threads = VIC_ENGINE_OPTIONS_INIT;
    vic_plan_options o = VIC_PLAN_OPTIONS_INIT;
    vic_attention_args a = VIC_ATTENTION_ARGS_INIT;
    vic_engine *engine = NULL;
    vic_plan *plan = NULL;
    threads.threads = 2;
    o.heads = HEADS;
    o.head_dim = DIM;
    a.q = a.k = a.v = vic_tensor_make(q, VIC_F32, 3, shape);
    a.out = vic_tensor_make(out, VIC_F32, 3, shape);
    memset(out, 0, sizeof out);
    vic_status st = vic_engine_create(&threads, &engine, err);
    if (st == VIC_OK) st = vic_plan_create(made, &o, &plan, err);
    if (st == VIC_OK) st = vic_attention(engine, plan, &a, err);
    if (st == VIC_OK && check)
        st = vic_attention_reference(engine, plan, &a, ATOMS, NULL, reference, NULL, NULL, err);
    if (st == VIC_OK && check)
        for (int i = 0; i < ATOMS * HEADS * DIM; i++) assert_true(fabs(reference[i] - (double)out[i]) < 1e-4);
    vic_plan_free(plan);
    vic_engine_free(engine);
    return st;
}

/* What a plan for a GPU is made of, as far as it needs none: `text` has long rows, whose tiles are split. */
static vic_status lay_out_tiles(const char *text, vic_error *err)
{
    const struct attention_shape shape = { VIC_F16, 3, 3, 64, 64 };
    struct tile_layout layout = { 0 };
    struct tile_schedule schedule = { 0 };
    struct pool *pool = NULL;
    vic_pattern *p = NULL;
    vic_status st = vic_pattern_generate(text, NULL, &p, err);
    if (st == VIC_OK) st = pool_create(2, &pool, err);
    if (st == VIC_OK) st = tiles_make(p, 4, 6, pool, &layout, err);
    if (st == VIC_OK) st = tiles_schedule(&layout, &shape, 132, false, &schedule, err);
    if (st == VIC_OK) assert_true(layout.shares > layout.tiles && schedule.n_joins > 0);
    tiles_schedule_free(&schedule);
    tiles_free(&layout);
    pool_free(pool);
    vic_pattern_free(p);
    return st;
}

const struct operation library_operations[] = {
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
    { "broken .vnp", load_broken, "bad.vnp", NULL, READS },
    { "structure from arrays", from_arrays, NULL, NULL, PLAIN },
    { "write PDB", write_structure, "out.pdb", "out.pdb", PLAIN },
    { "write extXYZ", write_structure, "out.extxyz", "out.extxyz", PLAIN },
    { "pattern: cutoff", make_pattern, "cutoff", NULL, PLAIN },
    { "pattern: two sets", make_pattern, "points", NULL, PLAIN },
    { "pattern: atoms skipped", make_pattern, "skip", NULL, PLAIN },
    { "pattern: nearest", make_pattern, "nearest", NULL, PLAIN },
    { "pattern: windows", make_pattern, "windows", NULL, PLAIN },
    { "pattern: blocks", make_pattern, "blocks", NULL, PLAIN },
    { "pattern: pairs", make_pattern, "pairs", NULL, PLAIN },
    { "pattern: structures", make_pattern, "structures", NULL, PLAIN },
    { "pattern: union", make_pattern, "unite", NULL, PLAIN },
    { "pattern: exclusion", make_pattern, "exclude", NULL, PLAIN },
    { "pattern: update", update_pattern, NULL, NULL, PLAIN },
    { "pattern: neighbours and pairs", list_pairs, NULL, NULL, PLAIN },
    { "pattern: save", save_pattern, "out.vnp", "out.vnp", PLAIN },
    { "pattern: load", make_pattern, "seed.vnp", NULL, READS },
    { "pattern: load structures and rules", make_pattern, "joined.vnp", NULL, READS },
    { "tiles", lay_out_tiles, "blocks:1x120:density=1", NULL, PLAIN },
    { "plan and attention", attention, NULL, NULL, PLAIN },
    { "attention and reference", attention, "check", NULL, PLAIN },
};
const int library_operation_count = sizeof library_operations / sizeof *library_operations;
