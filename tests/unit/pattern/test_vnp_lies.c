/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule of src/pattern/io/check.c broken alone: a pattern is changed in memory and saved, so that its file is
 * right in all but that. */
#include "base/threads.h"
#include "pattern/expand.h"
#include "pattern/pattern.h"
#include "pattern/statistics.h"
#include "unit/pattern/kinds.h"
#include "unit/pattern/vnp_file.h"

/* ---- patterns ---- */

enum { DENSE = 100, RULED = 48 };

/* More atoms than one strip in a cell of 2 A: full runs and partial blocks under many images; no rules. */
static vic_pattern *dense(void)
{
    const double cell[9] = { 2, 0, 0, 0, 2, 0, 0, 0, 2 };
    double x[3 * DENSE];
    uint64_t seed = 5;
    for (int i = 0; i < 3 * DENSE; i++) x[i] = 2.0 * random_uniform(&seed);
    const vic_points atoms = points_at(DENSE, x, cell);
    return cutoff_pattern(&atoms, 5.0);
}

static vic_pattern *points(void)
{
    const double cell[9] = { 5, 0, 0, 1, 5, 0, 0, 1, 5 };
    double x[360];
    uint64_t seed = 6;
    vic_pattern *p;
    vic_error err;
    for (int i = 0; i < 360; i++) x[i] = 12.0 * random_uniform(&seed);
    const vic_points queries = points_at(70, x, cell), keys = points_at(50, x + 210, NULL);
    CHECK_OK(vic_pattern_cutoff(NULL, &queries, &keys, 3.0, NULL, &p, &err));
    return p;
}

static vic_pattern *several(void)
{
    const int64_t offsets[] = { 0, 20, 45, 70 };
    double x[210], cells[27] = { 0 };
    uint64_t seed = 4;
    for (int i = 0; i < 210; i++) x[i] = 6.0 * random_uniform(&seed);
    for (int i = 0; i < 3; i++) cells[9 + 4 * i] = cells[18 + 4 * i] = 6.0 + i;
    vic_points atoms = points_at(70, x, cells);
    atoms.groups = 3;
    atoms.group_offsets = offsets;
    return cutoff_pattern(&atoms, 2.5);
}

static vic_pattern *joined(vic_pattern *a, vic_pattern *b)
{
    vic_pattern *p;
    vic_error err;
    CHECK_OK(vic_pattern_union(NULL, a, b, &p, &err));
    vic_pattern_free(a);
    vic_pattern_free(b);
    return p;
}

static vic_pattern *without(vic_pattern *from, const int32_t key[2])
{
    const vic_pair_list list = pairs_listed(2, (const int32_t[]){ 0, 0 }, key, NULL);
    vic_pattern *p;
    vic_error err;
    CHECK_OK(vic_pattern_exclude(NULL, from, &list, &p, &err));
    vic_pattern_free(from);
    return p;
}

/* Where its rules stand. */
enum { CUTOFF, NEAREST, UNION, BLOCKS, WINDOWS = 5, PAIRS = 7, EXCLUDED = 9 };

static vic_pattern *ruled_in(const double *cell)
{
    const int64_t row_ptr[] = { 0, 1, 2, 3 };
    const int32_t column[] = { 0, 1, 2 }, query[] = { 0, 0, 0 }, key[] = { 1, 1, 2 },
                  shift[] = { 0, 0, 0, 0, 0, cell ? 1 : 0, 0, 0, 0 };
    const vic_pattern_options no_self = { .size = sizeof no_self, .exclude_self = true };
    const vic_pair_list list = pairs_listed(3, query, key, shift);
    double x[3 * RULED];
    uint64_t seed = 8;
    vic_pattern *p, *more;
    vic_error err;
    for (int i = 0; i < 3 * RULED; i++) x[i] = 8.0 * random_uniform(&seed);
    const vic_points atoms = points_at(RULED, x, cell);
    CHECK_OK(vic_pattern_cutoff(NULL, &atoms, NULL, 3.0, &no_self, &p, &err));
    p = joined(p, nearest_pattern(&atoms, 4, true));
    p = joined(p, blocks_pattern(RULED, 0, 16, row_ptr, column));
    p = joined(p, windows_pattern(RULED, 4, 8));
    if (!cell) return p;
    CHECK_OK(vic_pattern_pairs(NULL, &atoms, NULL, &list, NULL, &more, &err));
    return without(joined(p, more), (const int32_t[]){ 3, 5 });
}

static vic_pattern *ruled(void)
{
    const double cell[9] = { 9, 0, 0, 2, 8, 0, 0, 1, 10 };
    return ruled_in(cell);
}

static vic_pattern *ruled_in_the_open(void)
{
    return ruled_in(NULL);
}

/* Two sets, points left out of each, a union and an exclusion: rules BLOCKS, BLOCKS, UNITE, EXCLUDE. */
static vic_pattern *two_sided(void)
{
    bool mask[64], key_mask[32];
    const int64_t n_q = 64, n_k = 32, row_ptr[] = { 0, 1, 2 }, other_ptr[] = { 0, 1, 1, 1, 1 };
    const int32_t column[] = { 0, 0 }, other[] = { 1 };
    const vic_block_list list = { .size = sizeof list, .block = 32, .row_ptr = row_ptr, .column = column };
    vic_points queries = points_of(n_q), keys = points_of(n_k);
    vic_pattern *a;
    vic_error err;
    for (int i = 0; i < n_q; i++) mask[i] = i != 0 && i != 2;
    for (int i = 0; i < n_k; i++) key_mask[i] = i != 1;
    queries.mask = vic_tensor_make(mask, VIC_BOOL, 1, &n_q);
    keys.mask = vic_tensor_make(key_mask, VIC_BOOL, 1, &n_k);
    CHECK_OK(vic_pattern_blocks(NULL, &queries, &keys, &list, NULL, &a, &err));
    return without(joined(a, blocks_pattern(n_q, n_k, 16, other_ptr, other)), (const int32_t[]){ 3, 5 });
}

static vic_pattern *of_kind(enum kind kind, bool groups)
{
    struct kinds s;
    struct pool *pool;
    vic_error err;
    CHECK_OK(pool_create(1, &pool, &err));
    kinds_make(&s, 5, true, groups);
    vic_pattern *p = kinds_pattern(&s, kind, pool);
    kinds_free(&s);
    pool_free(pool);
    return p;
}

static vic_pattern *ranged(void)
{
    return of_kind(KIND_RANGES, false);
}

static vic_pattern *grouped(void)
{
    return of_kind(KIND_CUTOFF_IDS, true);
}

/* ---- lies ---- */

static void set(const void *array, int64_t index, int32_t value)
{
    union {
        const void *in;
        int32_t *out;
    } shared = { array };
    shared.out[index] = value;
}

static void set_wide(const void *array, int64_t index, int64_t value)
{
    set(array, 2 * index, (int32_t)(uint32_t)value);
    set(array, 2 * index + 1, (int32_t)(uint32_t)((uint64_t)value >> 32));
}

static void set_real(const void *array, int64_t index, double value)
{
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    set_wide(array, index, bits);
}

static void set_run(const vic_pattern *p, int64_t index, int32_t first, int32_t count, int32_t image)
{
    set(p->full_runs, 3 * index, first);
    set(p->full_runs, 3 * index + 1, count);
    set(p->full_runs, 3 * index + 2, image);
}

static void take_list(struct pattern_rule *to, const struct pattern_rule *from)
{
    to->ptr = from->ptr;
    to->index = from->index;
    to->rows = from->rows;
    to->n = from->n;
}

#define LIE(name, statements)                                                                                        \
    static void name(vic_pattern *p)                                                                                 \
    {                                                                                                                \
        statements;                                                                                                  \
    }

LIE(no_positions, p->q_positions = p->k_positions = NULL)
LIE(two_sets, p->one_set = p->exclude_self = false)
LIE(self_of_two_sets, p->exclude_self = true)
LIE(cutoff_zero, p->cutoff = 0)
LIE(cutoff_negative, p->cutoff = -1)
LIE(cutoff_nan, p->cutoff = (double)NAN)
LIE(cutoff_huge, p->cutoff = 1e10)
LIE(cutoff_far, p->cutoff = 1e6)
LIE(cell_nan, p->cell[1][0] = (double)NAN)
LIE(cell_flat, p->cell[0][0] = 0)
LIE(key_nan, set_real(p->k_positions, 4, (double)NAN))
LIE(key_order, set(p->k_order, 2, 50))
LIE(key_order_negative, set(p->k_order, 2, -1))
LIE(key_wrap, set(p->k_wrap, 5, 1 << 29))
LIE(query_wrap, set(p->q_wrap, 5, -(1 << 29)))
LIE(image_high, set(p->images, 4, 1 << 30))
LIE(image_low, set(p->images, 1, -(1 << 30)))
LIE(image_twice, for (int x = 0; x < 3; x++) set(p->images, 3 + x, p->images[0][x]))
LIE(offset_negative, set_wide(p->offsets, 1, -1))
LIE(structure_nan, set_real(p->cells[1].cell, 4, (double)NAN))
LIE(structure_flat, set_real(p->cells[1].cell, 4, 0))
LIE(no_rows, p->n_q = p->strips = 0)
LIE(ptr_negative, set_wide(p->partial_ptr, 1, -1))
LIE(ptr_short, set_wide(p->partial_ptr, p->strips, p->n_partial - 1))
LIE(run_before, set_run(p, 0, -1, 1, 0))
LIE(run_empty, set_run(p, 0, 0, 0, 0))
LIE(run_behind, set_run(p, 0, 7, 1, 0))
LIE(run_long, set_run(p, 0, 5, 2, 0))
LIE(run_image, set_run(p, 0, 0, 1, (int32_t)p->n_images))
LIE(run_image_negative, set_run(p, 0, 0, 1, -1))
LIE(run_in_a_cut_strip, set_wide(p->full_ptr, 1, p->full_ptr[1] - 1))
LIE(run_twice, set_run(p, 1, p->full_runs[0].first, 1, p->full_runs[0].image))
LIE(run_of_a_partial, set_run(p, 0, p->partial_cluster[0], 1, p->partial_image[0]))
LIE(partial_image, set(p->partial_image, 0, -1))
LIE(partial_twice, set(p->partial_image, 1, p->partial_image[0]))
LIE(partial_back, set(p->partial_cluster, p->partial_ptr[1] - 1, 0))
LIE(bits_none, for (int w = 0; w < 2 * CLUSTER; w++) set(p->partial_bits, w, 0))
LIE(bits_all, for (int w = 0; w < 2 * CLUSTER; w++) set(p->partial_bits, w, -1))
LIE(bits_behind, set(p->partial_bits, (p->n_partial - 1) * 2 * CLUSTER + 1, -1))
LIE(rule_zero, p->rules[CUTOFF].cutoff = 0)
LIE(rule_nan, p->rules[CUTOFF].cutoff = (double)NAN)
LIE(rule_huge, p->rules[CUTOFF].cutoff = 1e10)
LIE(rule_far, p->rules[CUTOFF].cutoff = 1e6)
LIE(nearest_cutoff, p->rules[NEAREST].cutoff = 1)
LIE(nearest_none, p->rules[NEAREST].count = 0)
LIE(nearest_many, p->rules[NEAREST].count = (int64_t)1 << 31)
LIE(nearest_list, take_list(&p->rules[NEAREST], &p->rules[EXCLUDED]))
LIE(windows_self, p->rules[WINDOWS].exclude_self = true)
LIE(windows_none, p->rules[WINDOWS].keys = 0)
LIE(windows_many, p->rules[WINDOWS].keys = (int64_t)1 << 31)
LIE(windows_odd, p->rules[WINDOWS].keys++)
LIE(blocks_size, p->rules[BLOCKS].count = 24)
LIE(blocks_none, p->rules[BLOCKS].count = 0)
LIE(blocks_image, p->rules[BLOCKS].image = p->rules[PAIRS].image)
LIE(blocks_rows, p->rules[BLOCKS].rows--)
LIE(blocks_column, set(p->rules[BLOCKS].index, 2, 3))
LIE(pairs_listless, take_list(&p->rules[PAIRS], &p->rules[CUTOFF]); p->rules[PAIRS].image = NULL)
LIE(pairs_negative, set(p->rules[PAIRS].index, 0, -1))
LIE(pairs_back, set(p->rules[PAIRS].index, 2, 0))
LIE(pairs_twice, set(p->rules[PAIRS].image, 5, 0))
LIE(pairs_image_low, set(p->rules[PAIRS].image, 1, -(1 << 30)))
LIE(pairs_image_high, set(p->rules[PAIRS].image, 1, 1 << 30))
LIE(pairs_ptr, set_wide(p->rules[PAIRS].ptr, 1, 4))
LIE(excluded_twice, set(p->rules[EXCLUDED].index, 1, 3))
LIE(excluded_skip, p->rules[EXCLUDED].q_skip = (uint8_t *)p->q_order)
LIE(excluded_skip_keys, p->rules[3].k_skip = p->rules[0].k_skip)
LIE(union_list, take_list(&p->rules[UNION], &p->rules[EXCLUDED]))
LIE(union_skip, p->rules[UNION].q_skip = (uint8_t *)p->q_order)
LIE(union_skip_keys, p->rules[UNION].k_skip = p->rules[0].k_skip)
LIE(union_missing, p->n_rules = 2)
LIE(union_early, p->rules[NEAREST] = p->rules[UNION])
LIE(exclusion_early, p->rules[CUTOFF] = p->rules[EXCLUDED])

LIE(key_offset, set_wide(p->k_offsets, 1, -1))
LIE(ids_gone, p->q_ids = p->k_ids = NULL)
LIE(ranges_odd, set_wide(p->rules[0].ptr, 1, 3))
LIE(ranges_far, set(p->rules[0].index, 1, 300))
LIE(ranges_twice, set(p->rules[0].index, 2, 70); set(p->rules[0].index, 3, 90))
LIE(ranges_first, set_wide(p->rules[0].first, 4, 149))
LIE(ranges_firstless, p->rules[0].first = NULL)
LIE(ranges_before, p->rules[0].count = -2)
LIE(ranges_share, p->rules[0].share = 7)
LIE(ranges_image, p->rules[0].image = (int32_t(*)[3])p->rules[0].index; p->rules[0].n /= 3)
LIE(pairs_transposed, p->rules[PAIRS].transposed = true)
LIE(pairs_first, p->rules[PAIRS].first = p->rules[PAIRS].ptr)

static const char far[] = "expected a cutoff that reaches at most", ends[] = "expected clusters of 16 keys, below 6",
                  partial[] = "bits of a partial block, found";

static const struct {
    vic_pattern *(*make)(void);
    void (*lie)(vic_pattern *p);
    const char *words;
} lies[] = {
    { several, no_positions, "several structures need positions, found none" },
    { several, offset_negative, "offsets[1]: expected 0 to 70, found -1" },
    { several, structure_nan, "cell of a structure: expected finite numbers, found nan" },
    { several, structure_flat, "cell of a structure: cell vector b is 0 A long" },
    { several, rule_far, far },
    { dense, no_positions, "expected positions, or a rule that needs none, found neither" },
    { dense, cutoff_zero, "cutoff: expected up to 1e+09 A and above 0, as there is no other rule, found 0" },
    { dense, cutoff_negative, "found -1" },
    { dense, cutoff_huge, "cutoff: expected up to 1e+09 A and above 0" },
    { dense, cutoff_far, far },
    { ruled, cutoff_nan, "cutoff: expected up to 1e+09 A, found nan" },
    { points, self_of_two_sets, "self pairs left out of two sets of atoms, which have none" },
    { dense, cell_nan, "cell: expected finite numbers, found nan" },
    { dense, cell_flat, "cell: cell vector a is 0 A long" },
    { points, key_nan, "key positions[1]: expected coordinates within 1e+12 A, found nan" },
    { points, key_order, "key order[2]: expected an atom below 50, found 50" },
    { points, key_order_negative, "key order[2]: expected an atom below 50, found -1" },
    { points, key_wrap, "key wraps[1]: expected wraps within 2^29 cells, found 536870912" },
    { points, query_wrap, "query wraps[1]: expected wraps within 2^29 cells, found -536870912" },
    { dense, image_high, "images[1]: expected images within 2^30 cells, found 1073741824" },
    { dense, image_low, "images[0]: expected images within 2^30 cells, found -1073741824" },
    { dense, image_twice, "images[1]: expected images in rising order" },
    { points, no_rows, "entries in rows, found no row" },
    { dense, ptr_negative, "partial_ptr[1]: expected 0 to" },
    { dense, ptr_short, "partial_ptr[2]: expected" },
    { dense, run_before, ends },
    { dense, run_empty, ends },
    { dense, run_behind, ends },
    { dense, run_long, ends },
    { dense, run_image, "full_runs[0]: expected an image below" },
    { dense, run_image_negative, "found -1" },
    { dense, run_in_a_cut_strip, "expected no full block in a strip that is cut, found one" },
    { dense, run_twice, "expected runs of strip 0 that do not overlap, found cluster 0 twice" },
    { dense, run_of_a_partial, "partial_cluster[0]: expected a block to be partial or full, found cluster 0 both" },
    { dense, partial_image, "partial_image[0]: expected an image below" },
    { dense, partial_twice, "partial_cluster[1]: expected blocks of a strip by cluster and image, found (0, " },
    { dense, partial_back, "expected blocks of a strip by cluster and image, found (0, " },
    { dense, bits_none, partial },
    { dense, bits_all, partial },
    { dense, bits_behind, "expected no bit of a row or key past the end, found ffffff" },
    { ruled, no_positions, "rules[0]: expected a rule of kind 1 that goes with the atoms" },
    { ruled, two_sets, "rules[0]: expected a rule of kind 1" },
    { ruled, rule_zero, "rules[0]: expected a rule of kind 1" },
    { ruled, rule_nan, "rules[0]: expected a rule of kind 1" },
    { ruled_in_the_open, rule_huge, "rules[0]: expected a rule of kind 1" },
    { ruled, rule_far, far },
    { ruled, nearest_cutoff, "rules[1]: expected a rule of kind 2" },
    { ruled, nearest_none, "rules[1]: expected a rule of kind 2" },
    { ruled, nearest_many, "rules[1]: expected a rule of kind 2" },
    { ruled, nearest_list, "rules[1]: expected a rule of kind 2" },
    { ruled, windows_self, "rules[5]: expected a rule of kind 5" },
    { ruled, windows_none, "rules[5]: expected a rule of kind 5" },
    { ruled, windows_many, "rules[5]: expected a rule of kind 5" },
    { ruled, windows_odd, "rules[5]: expected a rule of kind 5" },
    { ruled, blocks_size, "rules[3]: expected a rule of kind 3" },
    { ruled, blocks_none, "rules[3]: expected a rule of kind 3" },
    { ruled, blocks_image, "rules[3]: expected a rule of kind 3" },
    { ruled, blocks_rows, "rules[3]: expected a rule of kind 3" },
    { ruled, blocks_column, "a rule's index[2]: expected 0 to 2, found 3" },
    { ruled, pairs_listless, "rules[7]: expected a rule of kind 4" },
    { ruled, pairs_negative, "a rule's index[0]: expected 0 to 47, found -1" },
    { ruled, pairs_back, "a rule's index[2]: expected a row in rising order, found 0 after 1" },
    { ruled, pairs_twice, "a rule's index[1]: expected a row in rising order, found 1 after 1" },
    { ruled, pairs_image_low, "a rule's images[0]: expected images within 2^30, found -1073741824" },
    { ruled, pairs_image_high, "a rule's images[0]: expected images within 2^30, found 1073741824" },
    { ruled, pairs_ptr, "a rule's ptr[1]: expected 0 to 3, found 4" },
    { ruled, excluded_twice, "a rule's index[1]: expected a row in rising order, found 3 after 3" },
    { ruled, excluded_skip, "rules[9]: expected a rule of kind 7" },
    { two_sided, excluded_skip_keys, "rules[3]: expected a rule of kind 7" },
    { ruled, union_list, "rules[2]: expected a union without a list, found one" },
    { ruled, union_skip, "rules[2]: expected a union without a list, found one" },
    { two_sided, union_skip_keys, "rules[2]: expected a union without a list, found one" },
    { ruled, union_missing, "rules[1]: expected one set at the end, found 2" },
    { ruled, union_early, "rules[1]: expected 2 sets before it, found 1" },
    { grouped, key_offset, "key offsets[1]: expected 0 to 210, found -1" },
    { grouped, ids_gone, "self pairs left out of two sets of atoms, which have none" },
    { ranged, ranges_odd, "a rule's ptr[1]: expected a start and an end of each range, found 3 numbers" },
    { ranged, ranges_far, "range 0, of group 0: expected a start and an end from 0 to 210, found 60 and 300" },
    { ranged, ranges_twice, "group 0: expected each key once, found key 70 in two ranges" },
    { ranged, ranges_first, "query_offsets[4]: expected 150 to 150, found 149" },
    { ranged, ranges_firstless, "rules[0]: expected a rule of kind 9" },
    { ranged, ranges_before, "left, right: expected numbers of keys" },
    { ranged, ranges_share, "group 0: expected a multiple of the 7 queries that share a place, found 30" },
    { ranged, ranges_image, "rules[0]: expected a rule of kind 9" },
    { ruled, pairs_transposed, "rules[7]: expected a rule of kind 4" },
    { ruled, pairs_first, "rules[7]: expected a rule of kind 4" },
    { ruled, exclusion_early, "rules[0]: expected 1 sets before it, found 0" },
};

/* What a lie has changed but arrays is as before when this returns, so that the pattern can be freed. */
static vic_status save_lie(vic_pattern *p, void lie(vic_pattern *p), vic_error *err)
{
    struct pattern_rule rules[16];
    vic_pattern before = *p;
    assert_in_range(p->n_rules, 0, 16);
    memcpy(rules, p->rules ? p->rules : rules, (size_t)p->n_rules * sizeof *rules);
    lie(p);
    vic_status st = vnp_save(p, path, err);
    before.k_order_written = p->k_order_written; /* by vnp_save(); the pattern's to free */
    *p = before;
    if (p->rules) memcpy(p->rules, rules, (size_t)p->n_rules * sizeof *rules);
    return st;
}

static void each_rule_alone(void **state)
{
    struct pool *pool;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        vic_pattern *p = lies[i].make(), *loaded;
        CHECK_OK(save_lie(p, lies[i].lie, &err));
        vic_status st = vnp_load(path, pool, &loaded, &err);
        CHECK(st == VIC_BAD_INPUT && !loaded && strstr(err.text, lies[i].words), "lie %zu, \"%s\": %s: %s", i,
              lies[i].words, vic_status_name(st), st == VIC_OK ? "taken" : err.text);
        vic_pattern_free(p);
    }
    pool_free(pool);
}

static void runs_backwards(vic_pattern *p)
{
    for (int64_t i = 0, j = p->full_ptr[1] - 1; i < j; i++, j--) {
        struct full_run a = p->full_runs[i], b = p->full_runs[j];
        set_run(p, i, b.first, b.count, b.image);
        set_run(p, j, a.first, a.count, a.image);
    }
}

static void nothing(vic_pattern *p)
{
    (void)p;
}

/* What is true is taken, with the same pairs; runs of full blocks may stand in any order. */
static void the_truth(void **state)
{
    static const struct {
        vic_pattern *(*make)(void);
        void (*change)(vic_pattern *p);
    } true_ones[] = { { dense, nothing },     { dense, runs_backwards }, { points, nothing },
                      { several, nothing },   { ruled, nothing },        { ruled_in_the_open, nothing },
                      { two_sided, nothing }, { ranged, nothing },       { grouped, nothing } };
    struct pool *pool;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    for (size_t i = 0; i < sizeof true_ones / sizeof *true_ones; i++) {
        vic_pattern *p = true_ones[i].make(), *loaded;
        CHECK_OK(save_lie(p, true_ones[i].change, &err));
        CHECK_OK(vnp_load(path, pool, &loaded, &err));
        assert_true(p->info.pairs > 0);
        assert_int_equal(loaded->info.pairs, p->info.pairs);
        assert_int_equal(loaded->n_full, p->n_full);
        assert_int_equal(loaded->n_rules, p->n_rules);
        for (int64_t r = 0; r < p->n_rules; r++) {
            assert_int_equal(loaded->rules[r].exclude_self, p->rules[r].exclude_self);
            assert_int_equal(!loaded->rules[r].k_skip, !p->rules[r].k_skip);
            if (p->rules[r].k_skip) assert_memory_equal(loaded->rules[r].k_skip, p->rules[r].k_skip, (size_t)p->n_k);
        }
        vic_pattern_free(loaded);
        vic_pattern_free(p);
    }
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_alone),
        cmocka_unit_test(the_truth),
    };
    return cmocka_run_group_tests_name("pattern_vnp_lies", tests, set_up, tear_down);
}
