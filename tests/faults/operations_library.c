/* SPDX-License-Identifier: Apache-2.0 */
#include "faults/operations.h"

#include "kernels/cuda/sm90/plan/layout.h"
#include "vicinal_dev.h"

enum { ATOMS = 120, HEADS = 2, DIM = 16 };

static double positions[3 * ATOMS];
static float q[ATOMS * HEADS * DIM], out[ATOMS * HEADS * DIM];
static double reference[ATOMS * HEADS * DIM];
static const double cell[9] = { 14, 0, 0, 3, 13, 0, 0, 2, 12 };
static const int64_t query_and_key[] = { 0, 5, 1, 6, 2, 7 }, offsets[] = { 0, 50, ATOMS }, every[] = { 0, 1, 2 },
                     far_offsets[] = { 0, 25, 60 };
static const int32_t sequences[][2] = { { 0, 50 }, { 50, ATOMS } }, other_column[] = { 1, 0 };
static const int64_t page_lengths[] = { 40, 17 };
static const int32_t page_table[][3] = { { 4, 0, 2 }, { 1, 3, 0 } };
static int32_t ids[ATOMS];
static vic_points atoms, two, far,
    nowhere;                   /* of the crystal; in two groups without it; the last 60; without places */
static vic_points named[2][2]; /* [0]: `atoms` and `far` with ids; [1]: the same in two groups */
static vic_pair_list pairs;    /* with strides, so that it is copied */
static vic_range_list ranges;
static vic_page_list pages;
static vic_pattern *made, *mixed, *windowed; /* of `atoms` alone; of two sets, of several kinds; of places in a row */

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

/* Several structures in two sets of points with ids; and ranges. */
static void write_grouped(void)
{
    vic_pattern *p;
    vic_error err;
    CHECK_OK(vic_pattern_ranges(NULL, &nowhere, NULL, &ranges, NULL, &p, &err));
    CHECK_OK(vic_pattern_save(p, "ranges.vnp", &err));
    vic_pattern_free(p);
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
    pages = (vic_page_list){ .size = sizeof pages,
                             .groups = 2,
                             .page = 16,
                             .query_offsets = offsets,
                             .lengths = page_lengths,
                             .table = page_table[0],
                             .table_stride = 3,
                             .causal = true };
    make_named();
}

void operations_setup(void)
{
    uint64_t state = 7;
    vic_error err;
    for (int i = 0; i < 3 * ATOMS; i++) positions[i] = 13.0 * random_uniform(&state);
    for (int i = 0; i < ATOMS * HEADS * DIM; i++) q[i] = (float)random_normal(&state);
    structures_setup();
    engine_setup();
    make_inputs();
    made = cutoff_pattern(&atoms, 4.0);
    windowed = windows_pattern(ATOMS, 16, 64);
    CHECK_OK(vic_pattern_save(made, "seed.vnp", &err));
    CHECK_OK(command("run seed.extxyz --cutoff 3 --head-dim 8 --threads 1 --json -o seed.npy", &err));
    CHECK_OK(command("run seed.extxyz --cutoff 3 --head-dim 8 --threads 1 --json -o seed.safetensors", &err));
    CHECK_OK(command("pattern seed.extxyz --cutoff 3 --threads 1 --json --pairs-out seed.npz", &err));
    write_archives();
    write_joined();
    write_grouped();
    make_mixed();
}

void operations_teardown(void)
{
    vic_pattern_free(made);
    vic_pattern_free(mixed);
    vic_pattern_free(windowed);
    engine_teardown();
    structures_teardown();
}

static vic_status load_broken(const char *path, vic_error *err)
{
    vic_pattern *p;
    vic_status st = vic_pattern_load(NULL, path, &p, err);
    assert_null(p);
    return refused(st, err);
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

/* Of all points of the crystal, or of those that a mask leaves: where they are, or nowhere. */
static vic_status construct_masked(vic_context *c, const char *kind, const vic_tensor *mask, vic_pattern **p,
                                   vic_error *err)
{
    const vic_block_list blocks = { .size = sizeof blocks, .block = 64, .row_ptr = every, .column = other_column };
    const vic_pattern_options room = { .size = sizeof room, .max_bytes = (size_t)1 << 19 };
    vic_points points = atoms, places = nowhere;
    points.mask = places.mask = *mask;
    if (strcmp(kind, "nearest") == 0) return vic_pattern_nearest(c, &points, NULL, 6, NULL, p, err);
    if (strcmp(kind, "windows") == 0) return vic_pattern_windows(c, &places, 16, 64, NULL, p, err);
    if (strcmp(kind, "blocks") == 0) return vic_pattern_blocks(c, &places, NULL, &blocks, NULL, p, err);
    if (strcmp(kind, "pairs") == 0) return vic_pattern_pairs(c, &points, NULL, &pairs, NULL, p, err);
    if (strcmp(kind, "pages") == 0) return vic_pattern_pages(c, &places, NULL, &pages, NULL, p, err);
    if (strcmp(kind, "ranges") == 0) return vic_pattern_ranges(c, &places, NULL, &ranges, NULL, p, err);
    return vic_pattern_cutoff(c, &points, NULL, 4.0, strcmp(kind, "cutoff, estimated") == 0 ? &room : NULL, p, err);
}

/* In groups, or of two sets. */
static vic_status construct_sets(vic_context *c, const char *kind, vic_pattern **p, vic_error *err)
{
    const vic_pattern_options no_self = { .size = sizeof no_self, .exclude_self = true };
    const vic_points *named_sets = named[strcmp(kind, "nearest by ids in groups") == 0];
    if (strcmp(kind, "groups") == 0) return vic_pattern_cutoff(c, &two, NULL, 4.0, NULL, p, err);
    if (strcmp(kind, "two sets") == 0) return vic_pattern_cutoff(c, &atoms, &far, 4.0, NULL, p, err);
    if (strcmp(kind, "nearest in groups") == 0) return vic_pattern_nearest(c, &two, NULL, 6, NULL, p, err);
    return vic_pattern_nearest(c, &named_sets[0], &named_sets[1], 6, &no_self, p, err);
}

/* What is described so. */
static vic_status construct(vic_context *c, const char *kind, vic_pattern **p, vic_error *err)
{
    static uint8_t some[ATOMS];
    const int64_t n = ATOMS;
    const bool masked = strncmp(kind, "masked ", 7) == 0;
    vic_tensor mask = tensor_of(masked ? some : NULL, VIC_U8, 1, &n);
    for (int i = 0; i < ATOMS; i++) some[i] = i % 7 != 3;
    if (strstr(kind, ".vnp")) return vic_pattern_load(c, kind, p, err);
    if (strcmp(kind, "generated") == 0) return vic_pattern_generate(c, "blocks:5x5:n=7,block=64", NULL, p, err);
    if (strcmp(kind, "union") == 0) return vic_pattern_union(c, made, made, p, err);
    if (strcmp(kind, "union of two orders") == 0) return vic_pattern_union(c, made, windowed, p, err);
    if (strcmp(kind, "exclude") == 0) return vic_pattern_exclude(c, made, &pairs, p, err);
    if (strcmp(kind, "transpose") == 0) return vic_pattern_transpose(c, mixed, p, err);
    if (strstr(kind, "groups") || strstr(kind, "ids") || strstr(kind, "sets")) return construct_sets(c, kind, p, err);
    return construct_masked(c, kind + (masked ? 7 : 0), &mask, p, err);
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

/* A number for each pair and head, and its gradient, in memory that the tests' failures leave alone. */
static float *pair_numbers(const vic_pattern *p, int64_t shape[2])
{
    static float numbers[2 * 65536];
    shape[0] = info_of(p).pairs;
    shape[1] = HEADS;
    assert_true(shape[0] * HEADS <= 65536);
    for (int64_t i = 0; i < shape[0] * HEADS; i++) numbers[i] = 0.01f * (float)(i % 13);
    return numbers;
}

/* Attention and all its gradients, which are the reference's. */
static vic_status gradients_over(const vic_pattern *p, const char *kernel, vic_error *err)
{
    static float lse[ATOMS * HEADS], dq[ATOMS * HEADS * DIM], dk[ATOMS * HEADS * DIM], dv[ATOMS * HEADS * DIM];
    static float table[4], dtable[4];
    static double dq_at[3 * ATOMS], dcell[9], want_table[4];
    const bool bias = info_of(p).cutoff > 0.0 && info_of(p).one_set;
    const vic_plan_options o = { .size = sizeof o,
                                 .dtype = VIC_F32,
                                 .heads = HEADS,
                                 .head_dim = DIM,
                                 .bias = bias ? VIC_BIAS_DISTANCE : VIC_BIAS_NONE,
                                 .backward = true,
                                 .backward_kernel = kernel,
                                 .pair_bias = VIC_PAIR_BIAS_PAIRS };
    int64_t stored[2];
    float *const numbers = pair_numbers(p, stored);
    const int64_t queries[] = { info_of(p).n_q, HEADS, DIM }, keys[] = { info_of(p).n_k, HEADS, DIM };
    vic_attention_args f = VIC_INIT(vic_attention_args);
    vic_reference_gradients g = { .size = sizeof g, .dv = reference, .dbias = bias ? want_table : NULL };
    vic_context *c = NULL;
    vic_plan *plan = NULL;
    f.q = vic_tensor_make(q, VIC_F32, 3, queries);
    f.k = f.v = vic_tensor_make(q, VIC_F32, 3, keys);
    f.out = vic_tensor_make(out, VIC_F32, 3, queries);
    f.lse = vic_tensor_make(lse, VIC_F32, 2, queries);
    if (bias) f.bias = vic_tensor_make(table, VIC_F32, 2, (const int64_t[]){ 1, 4 });
    f.pair_bias = vic_tensor_make(numbers, VIC_F32, 2, stored);
    vic_attention_backward_args a = { .size = sizeof a,
                                      .q = f.q,
                                      .k = f.k,
                                      .v = f.v,
                                      .out = f.out,
                                      .lse = f.lse,
                                      .dout = f.q,
                                      .dq = vic_tensor_make(dq, VIC_F32, 3, queries),
                                      .dk = vic_tensor_make(dk, VIC_F32, 3, keys),
                                      .dv = vic_tensor_make(dv, VIC_F32, 3, keys),
                                      .bias = f.bias,
                                      .pair_bias = f.pair_bias,
                                      .dpair_bias = vic_tensor_make(numbers + 65536, VIC_F32, 2, stored) };
    if (bias) {
        a.dbias = vic_tensor_make(dtable, VIC_F32, 2, (const int64_t[]){ 1, 4 });
        a.dquery_positions = vic_tensor_make(dq_at, VIC_F64, 2, (const int64_t[]){ queries[0], 3 });
        a.dcell = vic_tensor_make(dcell, VIC_F64, 2, (const int64_t[]){ 3, 3 });
    }
    vic_status st = two_threads(&c, err);
    if (st == VIC_OK) st = vic_plan_create(c, p, &o, &plan, err);
    if (st == VIC_OK) st = vic_attention(c, plan, &f, err);
    if (st == VIC_OK) st = vic_attention_backward(c, plan, &a, err);
    if (st == VIC_OK) st = vic_attention_backward_reference(c, plan, &a, &g, err);
    for (int64_t i = 0; i < keys[0] * HEADS * DIM && st == VIC_OK; i++)
        assert_true(fabs(reference[i] - (double)dv[i]) < 1e-4 * (1.0 + fabs(reference[i])));
    for (int m = 0; m < 4 && bias && st == VIC_OK; m++)
        assert_true(fabs(want_table[m] - (double)dtable[m]) < 1e-3 * (1.0 + fabs(want_table[m])));
    vic_plan_free(plan);
    vic_context_free(c);
    return st;
}

static vic_status gradients(const char *kernel, vic_error *err)
{
    return gradients_over(made, kernel, err);
}

/* Of a pattern that is not its own transpose. */
static vic_status gradients_by_rules(const char *kernel, vic_error *err)
{
    return gradients_over(mixed, kernel, err);
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
    { "broken .vnp", load_broken, "bad.vnp", NULL, READS },
    { "pattern: cutoff", make_pattern, "cutoff", NULL, PLAIN },
    { "pattern: two sets", make_pattern, "two sets", NULL, PLAIN },
    { "pattern: cutoff within so many bytes", make_pattern, "cutoff, estimated", NULL, PLAIN },
    { "pattern: points left out of a cutoff", make_pattern, "masked cutoff", NULL, PLAIN },
    { "pattern: points left out of the nearest", make_pattern, "masked nearest", NULL, PLAIN },
    { "pattern: points left out of windows", make_pattern, "masked windows", NULL, PLAIN },
    { "pattern: points left out of blocks", make_pattern, "masked blocks", NULL, PLAIN },
    { "pattern: points left out of pairs", make_pattern, "masked pairs", NULL, PLAIN },
    { "pattern: points left out of ranges", make_pattern, "masked ranges", NULL, PLAIN },
    { "pattern: nearest", make_pattern, "nearest", NULL, PLAIN },
    { "pattern: nearest of two sets by ids", make_pattern, "nearest by ids", NULL, PLAIN },
    { "pattern: nearest in groups", make_pattern, "nearest in groups", NULL, PLAIN },
    { "pattern: nearest of two sets by ids in groups", make_pattern, "nearest by ids in groups", NULL, PLAIN },
    { "pattern: windows", make_pattern, "windows", NULL, PLAIN },
    { "pattern: blocks", make_pattern, "generated", NULL, PLAIN },
    { "pattern: pairs", make_pattern, "pairs", NULL, PLAIN },
    { "pattern: ranges", make_pattern, "ranges", NULL, PLAIN },
    { "pattern: pages", make_pattern, "pages", NULL, PLAIN },
    { "pattern: several structures", make_pattern, "groups", NULL, PLAIN },
    { "pattern: union", make_pattern, "union", NULL, PLAIN },
    { "pattern: union of two orders", make_pattern, "union of two orders", NULL, PLAIN },
    { "pattern: exclusion", make_pattern, "exclude", NULL, PLAIN },
    { "pattern: difference", subtract, NULL, NULL, PLAIN },
    { "pattern: transpose", make_pattern, "transpose", NULL, PLAIN },
    { "pattern: updates", update_pattern, "cutoff", NULL, PLAIN },
    { "pattern: updates of the nearest", update_pattern, "nearest", NULL, PLAIN },
    { "pattern: updates in groups", update_pattern, "groups", NULL, PLAIN },
    { "pattern: neighbours", list_pairs, NULL, NULL, PLAIN },
    { "pattern: block mask", block_mask, NULL, NULL, PLAIN },
    { "engine", serve_queries, NULL, NULL, PLAIN },
    { "pattern: save", save_pattern, "out.vnp", "out.vnp", PLAIN },
    { "pattern: load", make_pattern, "seed.vnp", NULL, READS },
    { "pattern: load structures and rules", make_pattern, "joined.vnp", NULL, READS },
    { "pattern: load structures of two sets with ids", make_pattern, "grouped.vnp", NULL, READS },
    { "pattern: load ranges", make_pattern, "ranges.vnp", NULL, READS },
    { "pattern: load rules of two sets", make_pattern, "mixed.vnp", NULL, READS },
    { "tiles", lay_out_tiles, "blocks:1x120:density=1", NULL, PLAIN },
    { "plan and attention", attention, NULL, NULL, PLAIN },
    { "attention and reference", attention, "check", NULL, PLAIN },
    { "attention and reference by rules", attention_by_rules, NULL, NULL, PLAIN },
    { "gradients", gradients, NULL, NULL, PLAIN },
    { "gradients by the reference", gradients, "attn_bwd_ref", NULL, PLAIN },
    { "gradients by rules", gradients_by_rules, NULL, NULL, PLAIN },
    { "gradients by rules, by the reference", gradients_by_rules, "attn_bwd_ref", NULL, PLAIN },
    { "combine", combine, NULL, NULL, PLAIN },
    { "contexts and memory", context, NULL, NULL, PLAIN },
};
const int library_operation_count = sizeof library_operations / sizeof *library_operations;
