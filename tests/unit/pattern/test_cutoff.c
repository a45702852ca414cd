/* SPDX-License-Identifier: Apache-2.0 */
/* Cutoffs between sets of points in all forms: one or two, masks, groups with a cell each, global ids. */
#include "pattern/cutoff.h"

#include "pattern/io/vnp.h"
#include "unit/pattern/expect.h"

#include <unistd.h>

struct within {
    const struct point_set *q, *k;
    const struct cutoff_input *in;
    struct expected found;
};

static void add_within(void *context, int32_t i, int32_t j, const int32_t n[3], double d2)
{
    struct within *w = context;
    bool self = w->in->exclude_self && is_self_pair(w->q, w->k, i, j, d2);
    if (d2 < w->in->cutoff * w->in->cutoff && !self) expect_pair(&w->found, i, j, n, d2);
}

/* The same pairs after a walk through a file, and the same file again. */
static void check_file(const char *what, const vic_pattern *p, struct pool *pool)
{
    char path[] = "/tmp/vicinal-cutoff-XXXXXX";
    int descriptor = mkstemp(path);
    vic_pattern *loaded;
    vic_error err;
    assert_true(descriptor >= 0);
    close(descriptor);
    CHECK_OK(vnp_save(p, path, &err));
    CHECK_OK(vnp_load(path, pool, &loaded, &err));
    CHECK(loaded->info.pairs == p->info.pairs && (loaded->q_ids != NULL) == (p->q_ids != NULL), "%s: file", what);
    if (p->q_ids) assert_memory_equal(loaded->q_ids, p->q_ids, (size_t)p->n_q * sizeof *p->q_ids);
    if (p->k_ids) assert_memory_equal(loaded->k_ids, p->k_ids, (size_t)p->n_k * sizeof *p->k_ids);
    if (p->k_offsets)
        assert_memory_equal(loaded->k_offsets, p->k_offsets, (size_t)(p->structures + 1) * sizeof *p->k_offsets);
    pattern_release(loaded);
    unlink(path);
}

static void check(const char *what, const struct point_set *q, const struct point_set *k, double cutoff, bool no_self,
                  int range)
{
    const struct cutoff_input in = { .cutoff = cutoff, .exclude_self = no_self };
    struct within w = { q, k, &in, { 0 } };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    CHECK_OK(pool_create(2, &pool, &err));
    CHECK_OK(pattern_cutoff(q, k, &in, pool, &p, &err));
    try_pairs(q, k, range, add_within, &w);
    expect_pattern(what, p, &w.found, pool);
    check_file(what, p, pool);
    pattern_release(p);
    pool_free(pool);
}

static const double cell[9] = { 9, 0, 0, 2, 8, 0, 0, 1, 10 };

/* Every combination of one or two sets, masks, groups, ids, a cell, and self pairs left out. */
static void all_forms(void **state)
{
    enum { Q = 150, K = 190, GROUPS = 7 };
    (void)state;
    for (int form = 0; form < 64; form += SANITIZED == 2 ? 7 : 1) {
        bool two = form & 1, masks = form & 2, groups = form & 4, ids = form & 8, periodic = form & 16,
             no_self = form & 32;
        uint64_t seed = 900 + (uint64_t)form;
        double *x = random_positions(&seed, Q, 13.0), *y = random_positions(&seed, K, 13.0), cells[9 * GROUPS];
        int64_t q_ids[Q], k_ids[K], *q_offsets = random_offsets(&seed, GROUPS, Q),
                                    *k_offsets = random_offsets(&seed, GROUPS, K);
        uint8_t *q_mask = random_mask(&seed, Q, 0.2), *k_mask = random_mask(&seed, K, 0.2);
        for (int i = 0; i < Q; i++) q_ids[i] = (i % 50) * 1000000007ll - 3; /* none is alone */
        for (int i = 0; i < K; i++) k_ids[i] = (i % 70) * 1000000007ll - 3;
        for (int i = 0; i < Q; i += 3)
            memcpy(y + 3 * i, x + 3 * i, 3 * sizeof *x); /* the same place, and the same id */
        memcpy(x + 3 * 50, x, 3 * sizeof *x);            /* twice in one set */
        for (int i = 0; i < 9 * GROUPS; i++) cells[i] = periodic && i / 9 % 2 == 0 ? cell[i % 9] : 0.0;
        struct point_set q = { .n = Q, .positions = x }, k = { .n = K, .positions = y };
        if (masks) q.mask = q_mask, k.mask = k_mask;
        if (groups) q.groups = k.groups = GROUPS, q.group_offsets = q_offsets, k.group_offsets = k_offsets;
        if (ids) q.ids = q_ids, k.ids = k_ids;
        if (periodic) q.cells = groups ? cells : cell;
        char what[64];
        snprintf(what, sizeof what, "form %d", form);
        check(what, &q, two ? &k : NULL, 5.0, no_self, 3);
        if (ids) q.ids = NULL; /* the numbers of the queries stand for their ids */
        if (ids && two) check(what, &q, &k, 5.0, no_self, 3);
        free(x);
        free(y);
        free(q_mask);
        free(k_mask);
        free(q_offsets);
        free(k_offsets);
    }
}

/* Own atoms among own and ghost keys that are copies in an open box: those of a domain have the neighbours that the
 * whole crystal gives them, their own ghosts among them, and not themselves. */
static void ghosts_are_neighbours_of_their_own(void **state)
{
    enum { N = 40, COPIES = 27 };
    uint64_t seed = 4;
    double *x = random_positions(&seed, N, 6.0), *ghosts = malloc((size_t)N * COPIES * 3 * sizeof *ghosts);
    int64_t ids[N], ghost_ids[N * COPIES];
    const double cube[9] = { 8, 0, 0, 0, 8, 0, 0, 0, 8 }; /* sums of translations are exact enough for this cutoff */
    struct pool *pool;
    vic_pattern *whole, *domain;
    vic_error err;
    (void)state;
    assert_non_null(ghosts);
    for (int i = 0; i < N; i++) ids[i] = 7000 + i;
    for (int c = 0; c < COPIES; c++)
        for (int i = 0; i < N; i++) {
            const double t[3] = { 8.0 * (c % 3 - 1), 8.0 * (c / 3 % 3 - 1), 8.0 * (c / 9 - 1) };
            for (int a = 0; a < 3; a++) ghosts[3 * (c * N + i) + a] = x[3 * i + a] + t[a];
            ghost_ids[c * N + i] = ids[i];
        }
    const struct cutoff_input in = { .cutoff = 8.5, .exclude_self = true };
    const struct point_set crystal = { .n = N, .positions = x, .cells = cube };
    const struct point_set own = { .n = N, .positions = x, .ids = ids };
    const struct point_set keys = { .n = N * COPIES, .positions = ghosts, .ids = ghost_ids };
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_OK(pattern_cutoff(&crystal, NULL, &in, pool, &whole, &err));
    CHECK_OK(pattern_cutoff(&own, &keys, &in, pool, &domain, &err));
    assert_true(whole->info.pairs > 6 * N); /* also its own images */
    assert_int_equal(domain->info.pairs, whole->info.pairs);
    assert_true(domain->exclude_self);
    pattern_release(whole);
    pattern_release(domain);
    pool_free(pool);
    free(x);
    free(ghosts);
}

static void what_is_no_set_is_refused(void **state)
{
    double x[6] = { 0 };
    const int64_t falls[] = { 0, 2, 1 }, late[] = { 1, 2, 2 }, few[] = { 0, 1, 1 }, good[] = { 0, 1, 2 };
    const bool open[6] = { 0 }, periodic[6] = { 0, 0, 0, 0, 1, 0 };
    const struct cutoff_input in = { .cutoff = 1.0 };
    struct point_set q = { .n = 2, .positions = x, .groups = 2 }, k = { .n = 2, .positions = x };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_FAILS(pattern_cutoff(&q, NULL, &in, pool, &p, &err), VIC_BAD_ARGUMENT, "offsets is NULL");
    q.group_offsets = falls;
    CHECK_FAILS(pattern_cutoff(&q, NULL, &in, pool, &p, &err), VIC_BAD_ARGUMENT, "offsets[2]: expected at least 2");
    q.group_offsets = late;
    CHECK_FAILS(pattern_cutoff(&q, NULL, &in, pool, &p, &err), VIC_BAD_ARGUMENT, "offsets[0]: expected 0, got 1");
    q.group_offsets = few;
    CHECK_FAILS(pattern_cutoff(&q, NULL, &in, pool, &p, &err), VIC_BAD_ARGUMENT, "offsets[2]: expected 2");
    q.group_offsets = good;
    CHECK_FAILS(pattern_cutoff(&q, &k, &in, pool, &p, &err), VIC_BAD_ARGUMENT, "go together: got 2 and 0");
    q.periodic = periodic;
    CHECK_FAILS(pattern_cutoff(&q, NULL, &in, pool, &p, &err), VIC_BAD_ARGUMENT, "structure 1: periodic along b");
    q.periodic = open;
    q.positions = NULL;
    CHECK_FAILS(pattern_cutoff(&q, NULL, &in, pool, &p, &err), VIC_BAD_ARGUMENT, "positions is NULL");
    x[4] = NAN;
    q.positions = x;
    CHECK_FAILS(pattern_cutoff(&q, NULL, &in, pool, &p, &err), VIC_BAD_INPUT, "coordinate y is nan");
    assert_null(p);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms),
        cmocka_unit_test(ghosts_are_neighbours_of_their_own),
        cmocka_unit_test(what_is_no_set_is_refused),
    };
    return cmocka_run_group_tests_name("pattern_cutoff", tests, NULL, NULL);
}
