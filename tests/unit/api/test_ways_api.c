/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over patterns of every kind against the reference, which goes by each kind's definition; and small
 * molecules in one pattern against one by one. */
#include "objects.h"

#include "vicinal_dev.h"

enum { HEADS = 2, DIM = 16, ATOMS = 300 };

static const vic_plan_options plan_options = {
    .size = sizeof plan_options, .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM
};

struct problem {
    vic_context *context;
    float *q, *k, *v, *out, *lse;
    double *ref_out, *ref_lse;
    int64_t *counts, *pattern_counts;
};

static float *numbers(uint64_t seed, int64_t n)
{
    float *x = calloc((size_t)n + 1, sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) x[i] = (float)random_normal(&seed);
    return x;
}

static void problem_make(struct problem *m, int64_t n_q, int64_t n_k)
{
    size_t rows = (size_t)n_q + 1;
    m->context = context_of(0);
    m->q = numbers(1, n_q * HEADS * DIM);
    m->k = numbers(2, n_k * HEADS * DIM);
    m->v = numbers(3, n_k * HEADS * DIM);
    m->out = numbers(4, n_q * HEADS * DIM); /* what is left of it must not be seen */
    m->lse = numbers(5, n_q * HEADS);
    m->ref_out = calloc(rows * HEADS * DIM, sizeof *m->ref_out);
    m->ref_lse = calloc(rows * HEADS, sizeof *m->ref_lse);
    m->counts = calloc(rows, sizeof *m->counts);
    m->pattern_counts = calloc(rows, sizeof *m->pattern_counts);
    assert_true(m->ref_out && m->ref_lse && m->counts && m->pattern_counts);
}

static void problem_free(struct problem *m)
{
    free(m->q);
    free(m->k);
    free(m->v);
    free(m->out);
    free(m->lse);
    free(m->ref_out);
    free(m->ref_lse);
    free(m->counts);
    free(m->pattern_counts);
    vic_context_free(m->context);
}

static void attend(const struct problem *m, const vic_plan *plan, const vic_pattern_info *info,
                   vic_attention_args *args)
{
    const int64_t q[] = { info->n_q, HEADS, DIM }, k[] = { info->n_k, HEADS, DIM };
    vic_error err;
    *args = (vic_attention_args)VIC_INIT(vic_attention_args);
    args->q = vic_tensor_make(m->q, VIC_F32, 3, q);
    args->k = vic_tensor_make(m->k, VIC_F32, 3, k);
    args->v = vic_tensor_make(m->v, VIC_F32, 3, k);
    args->out = vic_tensor_make(m->out, VIC_F32, 3, q);
    args->lse = vic_tensor_make(m->lse, VIC_F32, 2, q);
    CHECK_OK(vic_attention(m->context, plan, args, &err));
}

/* Frees the pattern. */
static void check_pattern(const char *what, vic_pattern *p)
{
    vic_pattern_info info = info_of(p);
    vic_plan_options o = plan_options;
    struct problem m;
    vic_attention_args args;
    vic_plan *plan;
    vic_error err;
    int64_t pairs = 0, empty = 0;
    problem_make(&m, info.n_q, info.n_k);
    CHECK_OK(vic_plan_create(m.context, p, &o, &plan, &err));
    attend(&m, plan, &info, &args);
    CHECK_OK(vic_attention_reference(m.context, plan, &args, info.n_q, NULL, m.ref_out, m.ref_lse, m.counts, &err));
    CHECK_OK(vic_pattern_counts(p, m.pattern_counts, &err));
    for (int64_t i = 0; i < info.n_q; i++) {
        CHECK(m.counts[i] == m.pattern_counts[i], "%s: row %lld has %lld pairs, by its definition %lld", what,
              (long long)i, (long long)m.pattern_counts[i], (long long)m.counts[i]);
        pairs += m.counts[i];
        empty += m.counts[i] == 0;
        for (int h = 0; h < HEADS; h++) {
            double lse = m.ref_lse[i * HEADS + h], got = m.lse[i * HEADS + h];
            if (m.counts[i] == 0)
                assert_true(lse == -INFINITY && got == -INFINITY);
            else
                CHECK(fabs(got - lse) < 1e-5, "%s: row %lld: LSE %g, expected %g", what, (long long)i, got, lse);
        }
        for (int64_t c = i * HEADS * DIM; c < (i + 1) * HEADS * DIM; c++)
            CHECK(fabs(m.out[c] - m.ref_out[c]) < 2e-5, "%s: row %lld: %g, expected %g", what, (long long)i, m.out[c],
                  m.ref_out[c]);
    }
    CHECK(pairs == info.pairs, "%s: %lld pairs, expected %lld", what, (long long)info.pairs, (long long)pairs);
    vic_plan_free(plan);
    /* The reference as a kernel of its own takes the same way. */
    o.kernel = "attn_fwd_ref";
    CHECK_OK(vic_plan_create(m.context, p, &o, &plan, &err));
    attend(&m, plan, &info, &args);
    for (int64_t c = 0; c < info.n_q * HEADS * DIM; c++) assert_true(m.out[c] == (float)m.ref_out[c]);
    vic_plan_free(plan);
    print_message("%s: %lld pairs, %lld empty rows\n", what, (long long)pairs, (long long)empty);
    problem_free(&m);
    vic_pattern_free(p);
}

static double *positions(uint64_t seed, int64_t n, double size)
{
    double *x = malloc((size_t)(3 * n + 1) * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < 3 * n; i++) x[i] = size * random_uniform(&seed);
    return x;
}

static const double cell[9] = { 8, 0, 0, 3, 9, 0, -2, 1, 10 };

struct crystal { /* what the patterns of every_way() are made of */
    double *x;
    uint8_t mask[ATOMS];
    int32_t query[ATOMS], key[ATOMS], shift[3 * ATOMS];
    vic_points all, kept; /* of all points, and without those that the mask leaves out */
    vic_pair_list list;   /* with shifts */
};

static void crystal_make(struct crystal *m)
{
    const int64_t n = ATOMS;
    m->x = positions(7, ATOMS, 25.0);
    for (int i = 0; i < ATOMS; i++) {
        m->mask[i] = i % 5 != 2;
        m->query[i] = i;
        m->key[i] = (7 * i + 3) % ATOMS;
        for (int x = 0; x < 3; x++) m->shift[3 * i + x] = (i + x) % 3 - 1;
    }
    m->all = m->kept = points_at(ATOMS, m->x, cell);
    m->kept.mask = vic_tensor_make(m->mask, VIC_U8, 1, &n);
    m->list = (vic_pair_list){ .size = sizeof m->list,
                               .query = vic_tensor_make(m->query, VIC_I32, 1, &n),
                               .key = vic_tensor_make(m->key, VIC_I32, 1, &n),
                               .shift = vic_tensor_make(m->shift, VIC_I32, 2, (const int64_t[]){ ATOMS, 3 }) };
}

static vic_pattern *without_self(const struct crystal *m, double r)
{
    vic_pattern_options o = { .size = sizeof o, .exclude_self = true };
    vic_pattern *p;
    vic_error err;
    CHECK_OK(vic_pattern_cutoff(NULL, &m->kept, NULL, r, &o, &p, &err));
    return p;
}

static void every_cutoff(void **state)
{
    vic_points keys;
    vic_pattern *p;
    vic_error err;
    struct crystal m;
    (void)state;
    crystal_make(&m);
    check_pattern("a cutoff without some points", without_self(&m, 5.0));
    keys = points_at(ATOMS - 40, m.x + 120, NULL);
    keys.mask = vic_tensor_make(m.mask, VIC_BOOL, 1, (const int64_t[]){ ATOMS - 40 });
    CHECK_OK(vic_pattern_cutoff(NULL, &m.kept, &keys, 4.0, NULL, &p, &err));
    assert_false(info_of(p).one_set);
    check_pattern("a cutoff between two sets", p);
    CHECK_OK(vic_pattern_nearest(NULL, &m.kept, NULL, 40, NULL, &p, &err));
    check_pattern("nearest in a cell", p);
    CHECK_OK(vic_pattern_nearest(NULL, &m.kept, &keys, 17, NULL, &p, &err));
    check_pattern("nearest of another set", p);
    free(m.x);
}

static void block_masks(void **state)
{
    const int64_t row_ptr[] = { 0, 2, 2, 5, 6 };
    const int32_t column[] = { 1, 4, 0, 2, 3, 4 }, square[] = { 1, 3, 0, 2, 3, 1 };
    vic_block_list list = { .size = sizeof list, .block = 80, .row_ptr = row_ptr, .column = column };
    vic_points q = points_of(200), k = points_of(333), one = points_of(320);
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(vic_pattern_blocks(NULL, &q, &k, &list, NULL, &p, &err)); /* ends within a block */
    check_pattern("blocks", p);
    CHECK_FAILS(vic_pattern_blocks(NULL, &q, NULL, &list, NULL, &p, &err), VIC_BAD_INPUT, "column[");
    list.column = square;
    CHECK_OK(vic_pattern_blocks(NULL, &one, NULL, &list, NULL, &p, &err));
    check_pattern("square blocks", p);
    CHECK_OK(vic_pattern_generate(NULL, "blocks:5x7:density=0.4,block=64", NULL, &p, &err));
    check_pattern("generated blocks", p);
}

static void lists_and_windows(void **state)
{
    const int64_t n = ATOMS;
    vic_points keys = points_of(ATOMS + 1), here = points_of(ATOMS);
    vic_pattern *p;
    vic_error err;
    struct crystal m;
    (void)state;
    crystal_make(&m);
    CHECK_OK(vic_pattern_pairs(NULL, &m.kept, NULL, &m.list, NULL, &p, &err));
    check_pattern("pairs with shifts", p);
    m.list.shift.data = NULL;
    CHECK_OK(vic_pattern_pairs(NULL, &here, &keys, &m.list, NULL, &p, &err));
    check_pattern("pairs", p);
    here.mask = vic_tensor_make(m.mask, VIC_U8, 1, &n);
    CHECK_OK(vic_pattern_windows(NULL, &here, 32, 128, NULL, &p, &err));
    check_pattern("windows", p);
    free(m.x);
}

/* Packed sequences, a page table, and both with a window. */
static void ranges(void **state)
{
    static const int64_t query_offsets[] = { 0, 70, 70, 75, 200 }, range_offsets[] = { 0, 1, 2, 5, 7 };
    static const int32_t keys[][2] = { { 0, 70 },    { 300, 333 }, { 96, 112 }, { 16, 32 },
                                       { 200, 203 }, { 70, 180 },  { 240, 333 } };
    vic_range_list list = { .size = sizeof list,
                            .groups = 4,
                            .query_offsets = query_offsets,
                            .range_offsets = range_offsets,
                            .ranges = keys[0] };
    vic_points q = points_of(200), k = points_of(333);
    vic_pattern *p;
    vic_error err;
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        char what[40];
        list.causal = kind & 1;
        list.window = kind & 2;
        list.left = kind & 2 ? 19 : 0;
        list.right = kind & 2 ? -1 : 0;
        snprintf(what, sizeof what, "ranges%s%s", kind & 1 ? ", causal" : "", kind & 2 ? ", with a window" : "");
        CHECK_OK(vic_pattern_ranges(NULL, &q, &k, &list, NULL, &p, &err));
        assert_string_equal(info_of(p).kind, "ranges");
        if (kind == 0) assert_int_equal(info_of(p).pairs, 70 * 70 + 5 * (16 + 16 + 3) + 125 * (110 + 93));
        if (kind == 1) assert_int_equal(info_of(p).pairs, 70 * 71 / 2 + 5 * 31 + 10 + 125 * 79 + 125 * 124 / 2);
        check_pattern(what, p);
    }
}

/* Prefill, decode and a page that two sequences share; with heads packed as queries, and with a window. */
static void pages(void **state)
{
    static const int64_t query_offsets[] = { 0, 120, 120, 124, 200 }, lengths[] = { 70, 0, 33, 160 };
    static const int32_t table[][5] = { { 9, 2, 4, 0, 0 }, { 0 }, { 4, 7, 0, 0, 0 }, { 1, 3, 0, 6, 8 } };
    vic_page_list list = { .size = sizeof list,
                           .groups = 4,
                           .page = 32,
                           .query_offsets = query_offsets,
                           .lengths = lengths,
                           .table = table[0],
                           .table_stride = 5 };
    vic_points q = points_of(200), k = points_of(333);
    vic_pattern *p;
    vic_error err;
    (void)state;
    for (int kind = 0; kind < 8; kind++) {
        char what[60];
        list.causal = kind & 1;
        list.window = kind & 2;
        list.left = kind & 2 ? 19 : 0;
        list.right = kind & 2 ? 6 : 0;
        list.queries_per_place = kind & 4 ? 4 : 0;
        snprintf(what, sizeof what, "pages%s%s%s", kind & 1 ? ", causal" : "", kind & 2 ? ", with a window" : "",
                 kind & 4 ? ", packed" : "");
        CHECK_OK(vic_pattern_pages(NULL, &q, &k, &list, NULL, &p, &err));
        assert_string_equal(info_of(p).kind, "ranges");
        if (kind == 0 || kind == 4) assert_int_equal(info_of(p).pairs, 120 * 70 + 4 * 33 + 76 * 160);
        if (kind == 1) assert_int_equal(info_of(p).pairs, 70 * 71 / 2 + 30 + 31 + 32 + 33 + 76 * 84 + 76 * 77 / 2);
        if (kind == 5) /* 30, 1 and 19 places */
            assert_int_equal(info_of(p).pairs, 4 * (30 * 40 + 30 * 31 / 2 + 33 + 19 * 141 + 19 * 20 / 2));
        check_pattern(what, p);
    }
}

static vic_pair_list first_pairs(const vic_neighbors *l, int64_t n)
{
    return (vic_pair_list){ .size = sizeof(vic_pair_list),
                            .query = vic_tensor_make(l->i, VIC_I32, 1, &n),
                            .key = vic_tensor_make(l->j, VIC_I32, 1, &n),
                            .shift = vic_tensor_make(l->S, VIC_I32, 2, (const int64_t[]){ n, 3 }) };
}

static void combinations(void **state)
{
    vic_pattern *a, *b, *both, *left, *p;
    vic_error err;
    struct crystal m;
    (void)state;
    crystal_make(&m);
    a = without_self(&m, 4.0);
    b = windows_pattern(ATOMS, 8, 24);
    CHECK_OK(vic_pattern_union(NULL, a, b, &both, &err));
    m.list.shift.data = NULL;
    CHECK_OK(vic_pattern_exclude(NULL, both, &m.list, &left, &err));
    vic_neighbors l = neighbors_of(left, false);
    vic_pair_list third = first_pairs(&l, l.pairs / 3);
    CHECK_OK(vic_pattern_exclude(NULL, left, &third, &p, &err));
    assert_int_equal(info_of(p).pairs, l.pairs - l.pairs / 3);
    check_pattern("a union without pairs, and without shifts of pairs", p);
    neighbors_free(&l);
    check_pattern("a union without pairs", left);
    CHECK_OK(vic_pattern_difference(NULL, both, a, &p, &err));
    assert_int_equal(info_of(p).pairs, info_of(both).pairs - info_of(a).pairs);
    check_pattern("a difference", p);
    check_pattern("a union", both);
    vic_pattern_free(a);
    vic_pattern_free(b);
    free(m.x);
}

/* (j, i, -S) for each (i, j, S). */
static void check_transpose(const char *what, vic_pattern *p)
{
    vic_pattern *t, *again;
    vic_pattern_info info = info_of(p);
    vic_error err;
    CHECK_OK(vic_pattern_transpose(NULL, p, &t, &err));
    CHECK_OK(vic_pattern_transpose(NULL, t, &again, &err));
    vic_neighbors there = neighbors_of(p, false), back = neighbors_of(again, false), other = neighbors_of(t, false);
    assert_true(info_of(t).n_q == info.n_k && info_of(t).n_k == info.n_q && info_of(t).symmetric == info.symmetric);
    assert_true(other.pairs == there.pairs && back.pairs == there.pairs);
    assert_memory_equal(there.i, back.i, (size_t)there.pairs * sizeof *there.i);
    assert_memory_equal(there.j, back.j, (size_t)there.pairs * sizeof *there.j);
    assert_memory_equal(there.S, back.S, 3 * (size_t)there.pairs * sizeof *there.S);
    bool same = info.one_set && memcmp(there.i, other.i, (size_t)there.pairs * sizeof *there.i) == 0 &&
                memcmp(there.j, other.j, (size_t)there.pairs * sizeof *there.j) == 0 &&
                memcmp(there.S, other.S, 3 * (size_t)there.pairs * sizeof *there.S) == 0;
    if (info.symmetric) assert_true(same); /* that of a pattern which happens to be is not always known */
    vic_neighbors listed = VIC_INIT(vic_neighbors);
    vic_pair_list turned = first_pairs(&there, there.pairs);
    vic_tensor key = turned.key;
    turned.key = turned.query;
    turned.query = key;
    for (int64_t k = 0; k < 3 * there.pairs; k++) there.S[k] = -there.S[k];
    vic_pattern *none;
    CHECK_OK(vic_pattern_exclude(NULL, t, &turned, &none, &err));
    CHECK_OK(vic_pattern_neighbors(NULL, none, &listed, &err));
    CHECK(listed.pairs == 0, "%s: the transpose has %lld other pairs", what, (long long)listed.pairs);
    vic_pattern_free(none);
    neighbors_free(&there);
    neighbors_free(&back);
    neighbors_free(&other);
    vic_pattern_free(again);
    check_pattern(what, t);
    vic_pattern_free(p);
}

static void transposes(void **state)
{
    vic_points keys;
    vic_pattern *p;
    vic_error err;
    struct crystal m;
    (void)state;
    crystal_make(&m);
    keys = points_at(70, m.x + 120, NULL);
    p = without_self(&m, 5.0);
    assert_true(info_of(p).symmetric);
    check_transpose("the transpose of a cutoff", p);
    CHECK_OK(vic_pattern_cutoff(NULL, &m.all, &keys, 5.0, NULL, &p, &err));
    check_transpose("the transpose of a cutoff between two sets", p);
    CHECK_OK(vic_pattern_nearest(NULL, &m.all, NULL, 12, NULL, &p, &err));
    assert_false(info_of(p).symmetric);
    check_transpose("the transpose of the nearest", p);
    CHECK_OK(vic_pattern_pairs(NULL, &m.all, NULL, &m.list, NULL, &p, &err));
    check_transpose("the transpose of pairs with shifts", p);
    free(m.x);
}

static void options_that_say_nothing(void **state)
{
    vic_pattern_options o = { .size = sizeof o, .exclude_self = true };
    vic_points eight = points_of(8);
    const int64_t n = 8;
    const uint8_t mask[8] = { 0 };
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_FAILS(vic_pattern_windows(NULL, &eight, 2, 4, &o, &p, &err), VIC_BAD_ARGUMENT, "vic_pattern_exclude()");
    CHECK_FAILS(vic_pattern_generate(NULL, "origin:800", &o, &p, &err), VIC_BAD_ARGUMENT, "exclude_self");
    eight.mask = tensor_of(mask, VIC_F32, 1, &n);
    CHECK_FAILS(vic_pattern_windows(NULL, &eight, 2, 4, NULL, &p, &err), VIC_BAD_ARGUMENT, "mask");
}

/* ---- several structures ---- */

enum { MOLECULES = 40 };

struct molecules {
    int64_t offsets[MOLECULES + 1];
    double cells[9 * MOLECULES], *x;
    bool periodic[3 * MOLECULES];
    vic_points points; /* all of them */
};

static void molecules_make(struct molecules *m)
{
    uint64_t seed = 99;
    memset(m, 0, sizeof *m);
    for (int s = 0; s < MOLECULES; s++) {
        m->offsets[s + 1] = m->offsets[s] + (int64_t)(random_bits(&seed) % 90);
        for (int x = 0; x < 3; x++) {
            m->cells[9 * s + 4 * x] = 6.0 + x;
            m->periodic[3 * s + x] = random_bits(&seed) % 3 == 0;
        }
    }
    m->x = positions(8, m->offsets[MOLECULES], 9.0);
    m->points = points_at(m->offsets[MOLECULES], m->x, m->cells);
    m->points.periodic = m->periodic;
    m->points.group_offsets = m->offsets;
    m->points.groups = MOLECULES;
}

/* The pattern of molecule s alone; 0: within a cutoff, 1: the nearest. */
static vic_pattern *pattern_of(const vic_points *points, int kind)
{
    vic_pattern *p;
    vic_error err;
    if (kind == 0)
        CHECK_OK(vic_pattern_cutoff(NULL, points, NULL, 5.0, NULL, &p, &err));
    else
        CHECK_OK(vic_pattern_nearest(NULL, points, NULL, 6, NULL, &p, &err));
    return p;
}

/* Rows of molecule s are those of a pattern of its own; gives the number of its pairs. */
static int64_t check_molecule(const struct molecules *m, const struct problem *all, int s, int kind)
{
    int64_t n = m->offsets[s + 1] - m->offsets[s], at = m->offsets[s] * HEADS * DIM;
    struct problem one = { .context = all->context,
                           .q = all->q + at,
                           .k = all->k + at,
                           .v = all->v + at,
                           .out = numbers(1, n * HEADS * DIM),
                           .lse = numbers(1, n * HEADS) };
    vic_points own = points_at(n, m->x + 3 * m->offsets[s], m->cells + 9 * s);
    vic_attention_args args;
    vic_plan *plan;
    vic_error err;
    own.periodic = m->periodic + 3 * s;
    vic_pattern *p = pattern_of(&own, kind);
    vic_pattern_info info = info_of(p);
    CHECK_OK(vic_plan_create(all->context, p, &plan_options, &plan, &err));
    attend(&one, plan, &info, &args);
    for (int64_t c = 0; c < n * HEADS * DIM; c++) assert_true(fabsf(one.out[c] - all->out[at + c]) < 2e-5f);
    for (int64_t c = 0; c < n * HEADS; c++)
        assert_true(fabsf(one.lse[c] - all->lse[m->offsets[s] * HEADS + c]) < 1e-5f);
    vic_plan_free(plan);
    vic_pattern_free(p);
    free(one.out);
    free(one.lse);
    return info.pairs;
}

static void check_groups(int kind)
{
    struct molecules m;
    struct problem problem;
    vic_attention_args args;
    vic_plan *plan;
    vic_error err;
    int64_t pairs = 0;
    molecules_make(&m);
    vic_pattern *all = pattern_of(&m.points, kind);
    vic_pattern_info info = info_of(all);
    assert_int_equal(info.groups, MOLECULES);
    problem_make(&problem, info.n_q, info.n_k);
    CHECK_OK(vic_plan_create(problem.context, all, &plan_options, &plan, &err));
    attend(&problem, plan, &info, &args);
    vic_plan_free(plan);
    for (int s = 0; s < MOLECULES; s++) pairs += check_molecule(&m, &problem, s, kind);
    assert_int_equal(pairs, info.pairs);
    problem_free(&problem);
    free(m.x);
    check_pattern(kind ? "nearest in several structures" : "several structures", all);
}

static void several_structures(void **state)
{
    (void)state;
    check_groups(0);
    check_groups(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cutoff),
        cmocka_unit_test(block_masks),
        cmocka_unit_test(lists_and_windows),
        cmocka_unit_test(ranges),
        cmocka_unit_test(pages),
        cmocka_unit_test(combinations),
        cmocka_unit_test(transposes),
        cmocka_unit_test(several_structures),
        cmocka_unit_test(options_that_say_nothing),
    };
    return cmocka_run_group_tests_name("api_ways", tests, NULL, NULL);
}
