/* SPDX-License-Identifier: Apache-2.0 */
#include "faults/operations.h"

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

static void write_structures(void)
{
    static const char pdb[] = "CRYST1   20.000   21.000   22.000  90.00 100.00  90.00 P 1 21 1      4\n"
                              "ATOM      1  N   ALA A   1       0.000   2.000   3.250  1.00 10.00           N\n"
                              "ATOM      2  CA AALA A   1       1.500   2.000   3.250  0.60 10.00           C\n"
                              "ATOM      3  CA BALA A   1       1.600   2.000   3.250  0.40 10.00           C\n"
                              "HETATM    4  O   HOH B   2       9.000   9.000   9.000  0.50 20.00           O\nEND\n";
    gzFile gz = gzopen("seed.pdb.gz", "wb");
    assert_non_null(gz);
    assert_int_equal(gzwrite(gz, pdb, sizeof pdb - 1), sizeof pdb - 1);
    assert_int_equal(gzclose(gz), Z_OK);
    write_text("seed.pdb", pdb);
    write_text("seed.cif",
               "data_x\n_cell.length_a 20\n_cell.length_b 21\n_cell.length_c 22\n_cell.angle_alpha 90\n"
               "_cell.angle_beta 90\n_cell.angle_gamma 90\n_symmetry.space_group_name_H-M 'P 21 21 21'\nloop_\n"
               "_atom_site.type_symbol\n_atom_site.label_atom_id\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site."
               "Cartn_z\nC C 1 2 3\nO O 3 2 1\n");
    write_text("seed.gro", "title\n    2\n    1SOL     OW    1   0.126   1.624   1.679\n"
                           "    1SOL    HW1    2   0.190   1.661   1.747\n   1.82060   1.82060   1.82060\n");
    write_text("seed.xyz", "2\nwater\nO 0 0 0\nH 0.757 0.586 0\n");
    write_text("seed.extxyz", "2\nLattice=\"5 0 0 0 5 0 0 1 5\" Properties=species:S:1:pos:R:3 pbc=\"T T F\"\n"
                              "Si 0 0 0\nO 1.5 1 2\n");
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
    if (strcmp(kind, "load") == 0) return finish(vic_pattern_load("seed.vnp", &p, err), &p);
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
    if (st == VIC_OK) st = vic_pattern_update(&p, positions, NULL, NULL, 2, err);
    return finish(st, &p);
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

const struct operation library_operations[] = {
    { "read PDB", read_file, "seed.pdb", NULL, true },
    { "read PDB, gzipped", read_file, "seed.pdb.gz", NULL, true },
    { "read mmCIF", read_file, "seed.cif", NULL, true },
    { "read GRO", read_file, "seed.gro", NULL, true },
    { "read XYZ", read_file, "seed.xyz", NULL, true },
    { "read extXYZ", read_file, "seed.extxyz", NULL, true },
    { "structure from arrays", from_arrays, NULL, NULL, false },
    { "write PDB", write_structure, "out.pdb", "out.pdb", false },
    { "write extXYZ", write_structure, "out.extxyz", "out.extxyz", false },
    { "pattern: cutoff", make_pattern, "cutoff", NULL, false },
    { "pattern: two sets", make_pattern, "points", NULL, false },
    { "pattern: atoms skipped", make_pattern, "skip", NULL, false },
    { "pattern: nearest", make_pattern, "nearest", NULL, false },
    { "pattern: windows", make_pattern, "windows", NULL, false },
    { "pattern: blocks", make_pattern, "blocks", NULL, false },
    { "pattern: pairs", make_pattern, "pairs", NULL, false },
    { "pattern: structures", make_pattern, "structures", NULL, false },
    { "pattern: union", make_pattern, "unite", NULL, false },
    { "pattern: exclusion", make_pattern, "exclude", NULL, false },
    { "pattern: update", update_pattern, NULL, NULL, false },
    { "pattern: neighbours and pairs", list_pairs, NULL, NULL, false },
    { "pattern: save", save_pattern, "out.vnp", "out.vnp", false },
    { "pattern: load", make_pattern, "load", NULL, true },
    { "plan and attention", attention, NULL, NULL, false },
    { "attention and reference", attention, "check", NULL, false },
};
const int library_operation_count = sizeof library_operations / sizeof *library_operations;
