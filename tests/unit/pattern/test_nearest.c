/* SPDX-License-Identifier: Apache-2.0 */
/* The k nearest keys against all pairs, ranked by distance, id, image and number. */
#include "pattern/nearest.h"

#include "unit/pattern/expect.h"

static const struct point_set *ranked_keys; /* whose ids rank */

static int by_rank(const struct expected_pair *p, const struct expected_pair *q)
{
    int64_t x = set_id(ranked_keys, p->j), y = set_id(ranked_keys, q->j);
    if (p->d2 != q->d2) return p->d2 < q->d2 ? -1 : 1;
    if (x != y) return x < y ? -1 : 1;
    for (int c = 0; c < 3; c++)
        if (p->n[c] != q->n[c]) return p->n[c] < q->n[c] ? -1 : 1;
    return (p->j > q->j) - (p->j < q->j);
}

struct nearest {
    const struct point_set *q, *k;
    bool exclude_self;
    int64_t count, first; /* where the pairs of the query at hand begin, in the order of their ranks */
    struct expected found;
};

/* Keeps the pair where it is among the nearest of its query so far; each query's pairs come together. */
static void keep_if_near(void *context, int32_t i, int32_t j, const int32_t n[3], double d2)
{
    struct nearest *a = context;
    struct expected *e = &a->found;
    const struct expected_pair one = { i, j, { n[0], n[1], n[2] }, d2 };
    if (a->exclude_self && is_self_pair(a->q, a->k, i, j, d2)) return;
    if (e->n > 0 && e->list[e->n - 1].i != i) a->first = e->n;
    if (e->n - a->first < a->count)
        expect_pair(e, i, j, n, d2);
    else if (by_rank(&one, &e->list[e->n - 1]) > 0)
        return;
    int64_t at = e->n - 1;
    for (; at > a->first && by_rank(&one, &e->list[at - 1]) < 0; at--) e->list[at] = e->list[at - 1];
    e->list[at] = one;
}

static void check(const char *what, const struct point_set *q, const struct point_set *k, int64_t count, bool no_self,
                  int range)
{
    const struct nearest_input in = { .k = count, .exclude_self = no_self };
    struct nearest expected = { q, k, no_self, count, 0, { 0 } };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    CHECK_OK(pool_create(2, &pool, &err));
    CHECK_OK(pattern_nearest(q, k, &in, pool, &p, &err));
    ranked_keys = k ? k : q;
    try_pairs(q, k, range, keep_if_near, &expected);
    expect_pattern(what, p, &expected.found, pool);
    pattern_release(p);
    pool_free(pool);
}

static const double cell[9] = { 9, 0, 0, 2, 8, 0, 0, 1, 10 };

/* Coordinates on a grid, so that many keys stand at one distance. */
static double *on_grid(uint64_t *seed, int64_t n)
{
    double *x = random_positions(seed, n, 9.0);
    for (int64_t i = 0; i < 3 * n; i++) x[i] = floor(x[i] / 1.5) * 1.5;
    return x;
}

static void all_forms(void **state)
{
    enum { Q = 90, K = 120, GROUPS = 4 };
    (void)state;
    for (int form = 0; form < 128; form += SANITIZED == 2 ? 7 : 1) {
        bool two = form & 1, masks = form & 2, groups = form & 4, ids = form & 8, periodic = form & 16,
             no_self = form & 32, grid = form & 64;
        uint64_t seed = 100 + (uint64_t)form;
        double *x = grid ? on_grid(&seed, Q) : random_positions(&seed, Q, 9.0);
        double *y = grid ? on_grid(&seed, K) : random_positions(&seed, K, 9.0), cells[9 * GROUPS];
        int64_t q_ids[Q], k_ids[K], *q_offsets = random_offsets(&seed, GROUPS, Q),
                                    *k_offsets = random_offsets(&seed, GROUPS, K);
        uint8_t *q_mask = random_mask(&seed, Q, 0.2), *k_mask = random_mask(&seed, K, 0.2);
        for (int i = 0; i < Q; i++) q_ids[i] = 1000 - i % 60;
        for (int i = 0; i < K; i++) k_ids[i] = 1000 - i % 80;
        for (int i = 0; i < Q; i += 3) memcpy(y + 3 * i, x + 3 * i, 3 * sizeof *x);
        for (int i = 0; i < 9 * GROUPS; i++) cells[i] = periodic && i / 9 % 2 == 0 ? cell[i % 9] : 0.0;
        struct point_set q = { .n = Q, .positions = x }, k = { .n = K, .positions = y };
        if (masks) q.mask = q_mask, k.mask = k_mask;
        if (groups) q.groups = k.groups = GROUPS, q.group_offsets = q_offsets, k.group_offsets = k_offsets;
        if (ids) q.ids = q_ids, k.ids = k_ids;
        if (periodic) q.cells = groups ? cells : cell;
        char what[64];
        snprintf(what, sizeof what, "form %d", form);
        check(what, &q, two ? &k : NULL, 9, no_self, periodic ? 3 : 0);
        if (!periodic) check(what, &q, two ? &k : NULL, 500, no_self, 0); /* more than there are */
        free(x);
        free(y);
        free(q_mask);
        free(k_mask);
        free(q_offsets);
        free(k_offsets);
    }
}

/* Without a key that takes part there is nothing to look for, however periodic the cell. */
static void no_keys(void **state)
{
    double x[] = { 1, 2, 3, 4, 5, 6 };
    const uint8_t all[] = { 1, 1 };
    const struct point_set q = { .n = 2, .positions = x, .cells = cell }, none = { .n = 0 };
    const struct point_set masked = { .n = 2, .positions = x, .mask = all };
    (void)state;
    check("no keys", &q, &none, 3, false, 1);
    check("masked keys", &q, &masked, 3, false, 1);
    check("no queries", &none, &q, 3, false, 1);
    check("nothing", &none, NULL, 3, false, 1);
}

/* A part of the queries, with all keys in another order but the same ids, has the neighbours that the whole has. */
static void ties_go_by_ids(void **state)
{
    enum { N = 80, K = 7 };
    uint64_t seed = 8;
    double *x = on_grid(&seed, N), y[3 * N];
    int64_t q_ids[N], k_ids[N];
    struct pool *pool;
    vic_pattern *whole, *part;
    vic_error err;
    int32_t a[2 * N * K], b[2 * N * K];
    const struct nearest_input in = { .k = K, .exclude_self = true };
    (void)state;
    for (int i = 0; i < N; i++) {
        q_ids[i] = i;
        k_ids[i] = (i * 37 + 11) % N;
        memcpy(y + 3 * i, x + 3 * k_ids[i], 3 * sizeof *y);
    }
    const struct point_set q = { .n = N, .positions = x, .cells = cell };
    const struct point_set some = { .n = 20, .positions = x, .ids = q_ids, .cells = cell };
    const struct point_set keys = { .n = N, .positions = y, .ids = k_ids };
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_OK(pattern_nearest(&q, NULL, &in, pool, &whole, &err));
    CHECK_OK(pattern_nearest(&some, &keys, &in, pool, &part, &err));
    assert_int_equal(whole->info.pairs, N * K);
    assert_int_equal(part->info.pairs, 20 * K);
    CHECK_OK(pattern_neighbours(whole, pool, &(struct neighbour_arrays){ .j = a }, &err));
    CHECK_OK(pattern_neighbours(part, pool, &(struct neighbour_arrays){ .j = b }, &err));
    for (int i = 0; i < 20; i++) {
        int64_t sum = 0, squares = 0;
        for (int t = i * K; t < (i + 1) * K; t++) {
            sum += a[t] - k_ids[b[t]];
            squares += (int64_t)a[t] * a[t] - k_ids[b[t]] * k_ids[b[t]];
        }
        assert_true(sum == 0 && squares == 0);
    }
    pattern_release(whole);
    pattern_release(part);
    pool_free(pool);
    free(x);
}

static void refused(void **state)
{
    double x[3] = { 0 };
    const struct point_set q = { .n = 1, .positions = x }, nowhere = { .n = 1 };
    const struct nearest_input none = { .k = 0 }, one = { .k = 1 };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_FAILS(pattern_nearest(&q, NULL, &none, pool, &p, &err), VIC_BAD_ARGUMENT, "k: expected 1 or more");
    CHECK_FAILS(pattern_nearest(&nowhere, NULL, &one, pool, &p, &err), VIC_BAD_ARGUMENT, "need the positions");
    CHECK_FAILS(pattern_nearest(&q, &nowhere, &one, pool, &p, &err), VIC_BAD_ARGUMENT, "need the positions");
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms),
        cmocka_unit_test(no_keys),
        cmocka_unit_test(ties_go_by_ids),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests_name("pattern_nearest", tests, NULL, NULL);
}
