/* SPDX-License-Identifier: Apache-2.0 */
#include "faults/operations.h"

#include "kernels/cuda/sm90/plan/layout.h"
#include "vicinal_dev.h"
#include "vicinal_structure.h"

#include <zlib.h>

enum { ATOMS = 120, HEADS = 2, DIM = 16 };

static double positions[3 * ATOMS];
static float q[ATOMS * HEADS * DIM], out[ATOMS * HEADS * DIM];
static double reference[ATOMS * HEADS * DIM];
static const double cell[9] = { 14, 0, 0, 3, 13, 0, 0, 2, 12 };
static const int64_t query_and_key[] = { 0, 5, 1, 6, 2, 7 }, offsets[] = { 0, 50, ATOMS }, every[] = { 0, 1, 2 },
                     far_offsets[] = { 0, 25, 60 };
static const int32_t sequences[][2] = { { 0, 50 }, { 50, ATOMS } };
static int32_t ids[ATOMS];
static vic_points atoms, two, far,
    nowhere;                   /* of the crystal; in two groups without it; the last 60; without places */
static vic_points named[2][2]; /* [0]: `atoms` and `far` with ids; [1]: the same in two groups */
static vic_pair_list pairs;    /* with strides, so that it is copied */
static vic_range_list ranges;
static vic_structure *crystal;
static vic_pattern *made, *mixed; /* of `atoms` alone; of two sets, of several kinds */

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

/* Several structures, and a union. */
static void write_joined(void)
{
    vic_pattern *several = cutoff_pattern(&two, 4.0), *joined;
    vic_error err;
    CHECK_OK(vic_pattern_union(NULL, several, several, &joined, &err));
    CHECK_OK(vic_pattern_save(joined, "joined.vnp", &err));
    vic_pattern_free(joined);
    vic_pattern_free(several);
}

/* Several structures in two sets of points with ids. */
static void write_grouped(void)
{
    vic_pattern *p;
    vic_error err;
    CHECK_OK(vic_pattern_nearest(NULL, &named[1][0], &named[1][1], 6, NULL, &p, &err));
    CHECK_OK(vic_pattern_save(p, "grouped.vnp", &err));
    vic_pattern_free(p);
}

/* The nearest and a cutoff by ids, without listed pairs: what a transpose has to turn. */
static void make_mixed(void)
{
    vic_pattern *near, *within, *both;
    vic_error err;
    CHECK_OK(vic_pattern_nearest(NULL, &named[0][0], &named[0][1], 6, NULL, &near, &err));
    CHECK_OK(vic_pattern_cutoff(NULL, &named[0][0], &named[0][1], 4.0, NULL, &within, &err));
    CHECK_OK(vic_pattern_union(NULL, near, within, &both, &err));
    CHECK_OK(vic_pattern_exclude(NULL, both, &pairs, &mixed, &err));
    CHECK_OK(vic_pattern_save(mixed, "mixed.vnp", &err));
    vic_pattern_free(near);
    vic_pattern_free(within);
    vic_pattern_free(both);
}

static void make_named(void)
{
    for (int i = 0; i < ATOMS; i++) ids[i] = (i * 7) % ATOMS;
    for (int grouped = 0; grouped < 2; grouped++)
        for (int side = 0; side < 2; side++) {
            vic_points *p = &named[grouped][side];
            *p = side ? far : grouped ? two : atoms;
            p->ids = tensor_of(ids, VIC_I32, 1, &p->n);
            p->groups = grouped ? 2 : 0;
            p->group_offsets = !grouped ? NULL : side ? far_offsets : offsets;
        }
}

static void make_inputs(void)
{
    static float coarse[3 * 60];
    const int64_t three = 3;
    for (int i = 0; i < 3 * 60; i++) coarse[i] = (float)positions[3 * 60 + i];
    atoms = points_at(ATOMS, positions, cell);
    two = points_at(ATOMS, positions, NULL);
    two.groups = 2;
    two.group_offsets = offsets;
    far = points_of(60);
    far.positions = tensor_of(coarse, VIC_F32, 2, (const int64_t[]){ 60, 3 });
    nowhere = points_of(ATOMS);
    pairs = (vic_pair_list){ .size = sizeof pairs,
                             .query = tensor_of(query_and_key, VIC_I64, 1, &three),
                             .key = tensor_of(query_and_key + 1, VIC_I64, 1, &three) };
    pairs.query.stride[0] = pairs.key.stride[0] = 2;
    ranges = (vic_range_list){ .size = sizeof ranges,
                               .groups = 2,
                               .query_offsets = offsets,
                               .range_offsets = every,
                               .ranges = sequences[0],
                               .causal = true };
    make_named();
}

void operations_setup(void)
{
    uint64_t state = 7;
    vic_error err;
    for (int i = 0; i < 3 * ATOMS; i++) positions[i] = 13.0 * random_uniform(&state);
    for (int i = 0; i < ATOMS * HEADS * DIM; i++) q[i] = (float)random_normal(&state);
    write_structures();
    make_inputs();
    CHECK_OK(vic_structure_from_arrays(ATOMS, positions, cell, NULL, NULL, &crystal, &err));
    made = cutoff_pattern(&atoms, 4.0);
    CHECK_OK(vic_pattern_save(made, "seed.vnp", &err));
    CHECK_OK(command("run seed.extxyz --cutoff 3 --head-dim 8 --threads 1 --json -o seed.npy", &err));
    CHECK_OK(command("run seed.extxyz --cutoff 3 --head-dim 8 --threads 1 --json -o seed.safetensors", &err));
    CHECK_OK(command("pattern seed.extxyz --cutoff 3 --threads 1 --json --pairs-out seed.npz", &err));
    write_broken_tensors();
    write_archives();
    write_joined();
    write_grouped();
    make_mixed();
}

void operations_teardown(void)
{
    vic_pattern_free(made);
    vic_pattern_free(mixed);
    vic_structure_free(crystal);
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
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_structure *s;
    o.model = 7;
    vic_status st = vic_structure_read(path, &o, &s, err);
    assert_null(s);
    return refused(st, err);
}

static vic_status load_broken(const char *path, vic_error *err)
{
    vic_pattern *p;
    vic_status st = vic_pattern_load(NULL, path, &p, err);
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
    if (p) assert_true(info_of(p).pairs > 0);
    vic_pattern_free(p);
    return st;
}

static vic_status two_threads(vic_context **c, vic_error *err)
{
    const vic_context_options o = { .size = sizeof o, .threads = 2 };
    return vic_context_create(&o, c, err);
}

/* The constructor of that name. */
static vic_status construct(vic_context *c, const char *kind, vic_pattern **p, vic_error *err)
{
    static const uint8_t mask[ATOMS] = { 0, 1, 0, 1, 1 };
    const int64_t n = ATOMS;
    vic_points points = atoms;
    const vic_pattern_options no_self = { .size = sizeof no_self, .exclude_self = true };
    if (strcmp(kind, "nearest") == 0) return vic_pattern_nearest(c, &atoms, NULL, 6, NULL, p, err);
    if (strcmp(kind, "nearest by ids") == 0)
        return vic_pattern_nearest(c, &named[0][0], &named[0][1], 6, &no_self, p, err);
    if (strcmp(kind, "nearest in groups") == 0) return vic_pattern_nearest(c, &two, NULL, 6, NULL, p, err);
    if (strcmp(kind, "nearest by ids in groups") == 0)
        return vic_pattern_nearest(c, &named[1][0], &named[1][1], 6, &no_self, p, err);
    if (strcmp(kind, "windows") == 0) return vic_pattern_windows(c, &nowhere, 16, 64, NULL, p, err);
    if (strcmp(kind, "blocks") == 0) return vic_pattern_generate(c, "blocks:5x5:n=7,block=64", NULL, p, err);
    if (strcmp(kind, "pairs") == 0) return vic_pattern_pairs(c, &atoms, NULL, &pairs, NULL, p, err);
    if (strcmp(kind, "ranges") == 0) return vic_pattern_ranges(c, &nowhere, NULL, &ranges, NULL, p, err);
    if (strcmp(kind, "union") == 0) return vic_pattern_union(c, made, made, p, err);
    if (strcmp(kind, "exclude") == 0) return vic_pattern_exclude(c, made, &pairs, p, err);
    if (strcmp(kind, "transpose") == 0) return vic_pattern_transpose(c, mixed, p, err);
    if (strcmp(kind, "groups") == 0) return vic_pattern_cutoff(c, &two, NULL, 4.0, NULL, p, err);
    if (strcmp(kind, "points") == 0) return vic_pattern_cutoff(c, &atoms, &far, 4.0, NULL, p, err);
    if (strstr(kind, ".vnp")) return vic_pattern_load(c, kind, p, err);
    if (strcmp(kind, "masked") == 0) points.mask = tensor_of(mask, VIC_U8, 1, &n);
    return vic_pattern_cutoff(c, &points, NULL, 4.0, NULL, p, err);
}

static vic_status make_pattern(const char *kind, vic_error *err)
{
    static const char *known; /* which had so many pairs with nothing failing, as each begins */
    static int64_t known_pairs;
    vic_context *c = NULL;
    vic_pattern *p = NULL;
    vic_status st = two_threads(&c, err);
    if (st == VIC_OK) st = construct(c, kind, &p, err);
    vic_context_free(c);
    if (p && known != kind) known_pairs = info_of(p).pairs;
    if (p) assert_int_equal(info_of(p).pairs, known_pairs);
    if (p) known = kind;
    return finish(st, &p);
}

static vic_status subtract(const char *unused, vic_error *err)
{
    vic_pattern *less = NULL, *p = NULL;
    (void)unused;
    vic_status st = vic_pattern_exclude(NULL, made, &pairs, &less, err);
    if (st == VIC_OK) st = vic_pattern_difference(NULL, less, less, &p, err);
    if (st == VIC_OK) assert_int_equal(info_of(p).pairs, 0);
    vic_pattern_free(less);
    vic_pattern_free(p);
    return st;
}

static double first_coordinate(const vic_pattern *p)
{
    const double *there;
    vic_error err;
    CHECK_OK(vic_pattern_positions(p, VIC_QUERY, &there, &err));
    return there[0];
}

/* The third time in memory of the first.  What cannot be done leaves the pattern as it was. */
static vic_status update_pattern(const char *kind, vic_error *err)
{
    static double moved[3 * ATOMS];
    vic_points there = points_at(ATOMS, moved, NULL);
    vic_context *c = NULL;
    vic_pattern *p = NULL;
    vic_status st = two_threads(&c, err);
    if (st == VIC_OK) st = construct(c, kind, &p, err);
    for (int step = 1; step <= 3 && st == VIC_OK; step++) {
        double before = first_coordinate(p);
        for (int i = 0; i < 3 * ATOMS; i++) moved[i] = (1.0 - 0.1 * step) * positions[i];
        st = vic_pattern_update(c, &p, &there, NULL, err);
        assert_non_null(p);
        assert_true(first_coordinate(p) == (st == VIC_OK ? moved[0] : before));
        assert_true(info_of(p).pairs > 0);
    }
    vic_context_free(c);
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
    static double d[3 * 200000];
    vic_neighbors list = { .size = sizeof list, .pairs = 200000, .i = i, .j = j, .D = d };
    vic_context *c = NULL;
    (void)unused;
    vic_status st = two_threads(&c, err);
    if (st == VIC_OK) st = vic_pattern_neighbors(c, made, &list, err);
    vic_context_free(c);
    if (st == VIC_OK) assert_int_equal(list.pairs, info_of(made).pairs);
    return st;
}

static vic_status block_mask(const char *unused, vic_error *err)
{
    static int32_t counts[2][2], columns[2][4];
    vic_block_mask mask = { .size = sizeof mask, .query_block = 64, .key_block = 64 };
    (void)unused;
    vic_status st = vic_pattern_block_mask(NULL, made, &mask, err);
    if (st != VIC_OK) return st;
    assert_true(mask.rows == 2 && mask.columns == 2);
    mask.width = 2;
    mask.kv_num_blocks = counts[0];
    mask.full_kv_num_blocks = counts[1];
    mask.kv_indices = columns[0];
    mask.full_kv_indices = columns[1];
    return vic_pattern_block_mask(NULL, made, &mask, err);
}

/* Output of all rows beside the reference's. */
static vic_status compare(vic_context *c, const vic_plan *plan, const vic_attention_args *a, vic_error *err)
{
    int64_t rows = a->q.shape[0];
    TRY(vic_attention_reference(c, plan, a, rows, NULL, reference, NULL, NULL, err));
    for (int64_t i = 0; i < rows * HEADS * DIM; i++) assert_true(fabs(reference[i] - (double)out[i]) < 1e-4);
    return VIC_OK;
}

static vic_status attention_over(const vic_pattern *p, bool check, vic_error *err)
{
    const vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM };
    const int64_t queries[] = { info_of(p).n_q, HEADS, DIM }, keys[] = { info_of(p).n_k, HEADS, DIM };
    vic_attention_args a = VIC_INIT(vic_attention_args);
    vic_context *c = NULL;
    vic_plan *plan = NULL;
    a.q = vic_tensor_make(q, VIC_F32, 3, queries);
    a.k = a.v = vic_tensor_make(q, VIC_F32, 3, keys);
    a.out = vic_tensor_make(out, VIC_F32, 3, queries);
    memset(out, 0, sizeof out);
    vic_status st = two_threads(&c, err);
    if (st == VIC_OK) st = vic_plan_create(c, p, &o, &plan, err);
    if (st == VIC_OK) st = vic_attention(c, plan, &a, err);
    if (st == VIC_OK && check) st = compare(c, plan, &a, err);
    vic_plan_free(plan);
    vic_context_free(c);
    return st;
}

static vic_status attention(const char *check, vic_error *err)
{
    return attention_over(made, check != NULL, err);
}

/* The reference by the rules of several kinds, turned round. */
static vic_status attention_by_rules(const char *unused, vic_error *err)
{
    vic_pattern *turned = NULL;
    (void)unused;
    vic_status st = vic_pattern_transpose(NULL, mixed, &turned, err);
    if (st == VIC_OK) st = attention_over(turned, true, err);
    vic_pattern_free(turned);
    return st;
}

/* Twice the same part is that part. */
static vic_status combine(const char *unused, vic_error *err)
{
    static float sum[ATOMS * HEADS * DIM], lse[ATOMS * HEADS];
    const int64_t shape[] = { ATOMS, HEADS, DIM };
    vic_tensor part = vic_tensor_make(q, VIC_F32, 3, shape), weight = vic_tensor_make(lse, VIC_F32, 2, shape);
    const vic_combine_args a = { .size = sizeof a,
                                 .parts = 2,
                                 .part_out = (const vic_tensor[]){ part, part },
                                 .part_lse = (const vic_tensor[]){ weight, weight },
                                 .out = vic_tensor_make(sum, VIC_F32, 3, shape) };
    vic_context *c = NULL;
    (void)unused;
    memset(sum, 0, sizeof sum);
    vic_status st = two_threads(&c, err);
    if (st == VIC_OK) st = vic_combine(c, &a, err);
    vic_context_free(c);
    if (st == VIC_OK) assert_memory_equal(sum, q, sizeof sum);
    return st;
}

/* A context leaves nothing behind, nor does memory that a caller takes. */
static vic_status context(const char *unused, vic_error *err)
{
    const vic_device cpu = { VIC_CPU, 0 };
    vic_context *c[2] = { NULL, NULL };
    void *memory = NULL;
    (void)unused;
    vic_status st = two_threads(&c[0], err);
    if (st == VIC_OK) st = two_threads(&c[1], err);
    if (st == VIC_OK) st = vic_memory_alloc(cpu, sizeof positions, &memory, err);
    if (st == VIC_OK) st = vic_memory_copy(cpu, memory, cpu, positions, sizeof positions, err);
    if (st == VIC_OK) assert_memory_equal(memory, positions, sizeof positions);
    vic_memory_free(cpu, memory);
    vic_context_free(c[0]);
    vic_context_free(c[1]);
    return st;
}

/* What a plan for a GPU is made of, as far as it needs none: `text` has long rows, whose tiles are split. */
static vic_status lay_out_tiles(const char *text, vic_error *err)
{
    const struct attention_shape shape = { VIC_F16, 3, 3, 64, 64 };
    const struct layout_shape by_heuristics = { .places = 4, .reach = 6 };
    struct tile_layout layout = { 0 };
    struct tile_schedule schedule = { 0 };
    struct pool *pool = NULL;
    vic_pattern *p = NULL;
    vic_status st = vic_pattern_generate(NULL, text, NULL, &p, err);
    if (st == VIC_OK) st = pool_create(2, &pool, err);
    if (st == VIC_OK) st = layout_make(p, &by_heuristics, pool, &layout, err);
    if (st == VIC_OK) st = schedule_make(&layout, &shape, 132, false, &schedule, err);
    if (st == VIC_OK) assert_true(layout.splits > layout.tiles && schedule.n_combines > 0);
    schedule_free(&schedule);
    layout_free(&layout);
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
    { "pattern: points left out", make_pattern, "masked", NULL, PLAIN },
    { "pattern: nearest", make_pattern, "nearest", NULL, PLAIN },
    { "pattern: nearest of two sets by ids", make_pattern, "nearest by ids", NULL, PLAIN },
    { "pattern: nearest in groups", make_pattern, "nearest in groups", NULL, PLAIN },
    { "pattern: nearest of two sets by ids in groups", make_pattern, "nearest by ids in groups", NULL, PLAIN },
    { "pattern: windows", make_pattern, "windows", NULL, PLAIN },
    { "pattern: blocks", make_pattern, "blocks", NULL, PLAIN },
    { "pattern: pairs", make_pattern, "pairs", NULL, PLAIN },
    { "pattern: ranges", make_pattern, "ranges", NULL, PLAIN },
    { "pattern: several structures", make_pattern, "groups", NULL, PLAIN },
    { "pattern: union", make_pattern, "union", NULL, PLAIN },
    { "pattern: exclusion", make_pattern, "exclude", NULL, PLAIN },
    { "pattern: difference", subtract, NULL, NULL, PLAIN },
    { "pattern: transpose", make_pattern, "transpose", NULL, PLAIN },
    { "pattern: updates", update_pattern, "cutoff", NULL, PLAIN },
    { "pattern: updates of the nearest", update_pattern, "nearest", NULL, PLAIN },
    { "pattern: updates in groups", update_pattern, "groups", NULL, PLAIN },
    { "pattern: neighbours", list_pairs, NULL, NULL, PLAIN },
    { "pattern: block mask", block_mask, NULL, NULL, PLAIN },
    { "pattern: save", save_pattern, "out.vnp", "out.vnp", PLAIN },
    { "pattern: load", make_pattern, "seed.vnp", NULL, READS },
    { "pattern: load structures and rules", make_pattern, "joined.vnp", NULL, READS },
    { "pattern: load structures of two sets with ids", make_pattern, "grouped.vnp", NULL, READS },
    { "pattern: load rules of two sets", make_pattern, "mixed.vnp", NULL, READS },
    { "tiles", lay_out_tiles, "blocks:1x120:density=1", NULL, PLAIN },
    { "plan and attention", attention, NULL, NULL, PLAIN },
    { "attention and reference", attention, "check", NULL, PLAIN },
    { "attention and reference by rules", attention_by_rules, NULL, NULL, PLAIN },
    { "combine", combine, NULL, NULL, PLAIN },
    { "contexts and memory", context, NULL, NULL, PLAIN },
};
const int library_operation_count = sizeof library_operations / sizeof *library_operations;
