/* SPDX-License-Identifier: Apache-2.0 */
/* Neighbour lists: vectors, distances, and each pair once. */
#include "unit/pattern/kinds.h"

struct lists {
    int32_t *i, *j, (*shift)[3];
    double *d, (*vector)[3];
};

static struct lists lists_make(int64_t n)
{
    size_t room = (size_t)n + 1;
    struct lists l = { malloc(room * 4), malloc(room * 4), malloc(room * 12), malloc(room * 8), malloc(room * 24) };
    assert_true(l.i && l.j && l.shift && l.d && l.vector);
    return l;
}

static void lists_free(struct lists *l)
{
    free(l->i);
    free(l->j);
    free(l->shift);
    free(l->d);
    free(l->vector);
}

static void cell_of(const struct kinds *s, int32_t i, double cell[3][3])
{
    memcpy(cell, kinds_cell + 9 * set_group(&s->q, i), 9 * sizeof(double));
}

static void check_vectors(const char *what, const struct kinds *s, const struct lists *l, int64_t n)
{
    for (int64_t t = 0; t < n; t++) {
        const double *ri = s->x + 3 * l->i[t], *rj = (s->two ? s->y : s->x) + 3 * l->j[t];
        const int32_t *m = l->shift[t];
        double cell[3][3], sum = 0.0, d2;
        cell_of(s, l->i[t], cell);
        d2 = pair_distance2(ri, rj, (const double(*)[3])cell, m[0], m[1], m[2]);
        for (int x = 0; x < 3; x++) {
            double moved = ((double)m[0] * cell[0][x] + (double)m[1] * cell[1][x]) + (double)m[2] * cell[2][x];
            CHECK(l->vector[t][x] == (rj[x] - ri[x]) + moved, "%s: vector %lld", what, (long long)t);
            sum += l->vector[t][x] * l->vector[t][x];
        }
        CHECK(l->d[t] == sqrt(d2) && fabs(sqrt(sum) - l->d[t]) <= 1e-14 * l->d[t], "%s: distance %lld", what,
              (long long)t);
    }
}

static void vectors(void **state)
{
    struct pool *pool;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(2, &pool, &err));
    for (int form = 0; form < 4; form++) {
        struct kinds s;
        kinds_make(&s, 40 + (uint64_t)form, form & 1, form & 2);
        for (int k = KIND_CUTOFF; k <= KIND_NEAREST_MASKED; k++) {
            vic_pattern *p = kinds_pattern(&s, (enum kind)k, pool);
            struct lists l = lists_make(p->info.pairs);
            CHECK_OK(pattern_neighbours(p, pool,
                                        &(struct neighbour_arrays){ .i = l.i,
                                                                    .j = l.j,
                                                                    .shift = &l.shift[0][0],
                                                                    .distance = l.d,
                                                                    .vector = &l.vector[0][0] },
                                        &err));
            check_vectors("vectors", &s, &l, p->info.pairs);
            lists_free(&l);
            pattern_release(p);
        }
        kinds_free(&s);
    }
    pool_free(pool);
}

/* Of (i, j, S) and (j, i, -S) one is kept: i < j, or i = j and S above 0. */
static void half_lists(void **state)
{
    struct pool *pool;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(2, &pool, &err));
    for (int form = 0; form < 8; form++) {
        struct kinds s;
        kinds_make(&s, 60 + (uint64_t)form, false, form & 1);
        if (form & 4) s.q.cells = NULL;
        vic_pattern *p = kinds_pattern(&s, form & 2 ? KIND_CUTOFF_MASKED : KIND_CUTOFF, pool);
        struct expected all = pairs_there(p, pool);
        struct lists l = lists_make(all.n);
        int64_t n, at = 0, selfs = 0;
        CHECK_OK(pattern_half_pairs(p, &n, &err));
        CHECK_OK(pattern_neighbours(p, pool,
                                    &(struct neighbour_arrays){
                                        .i = l.i, .j = l.j, .shift = &l.shift[0][0], .half = true },
                                    &err));
        for (int64_t t = 0; t < all.n; t++) {
            const struct expected_pair *e = &all.list[t];
            bool above = e->n[0] > 0 || (e->n[0] == 0 && (e->n[1] > 0 || (e->n[1] == 0 && e->n[2] > 0)));
            selfs += e->i == e->j && !e->n[0] && !e->n[1] && !e->n[2];
            if (e->i > e->j || (e->i == e->j && !above)) continue;
            assert_true(at < n);
            assert_true(l.i[at] == e->i && l.j[at] == e->j && memcmp(l.shift[at], e->n, sizeof e->n) == 0);
            at++;
        }
        assert_int_equal(at, n);
        assert_int_equal(2 * n + selfs, all.n);
        free(all.list);
        lists_free(&l);
        pattern_release(p);
        kinds_free(&s);
    }
    pool_free(pool);
}

static void halves_need_symmetry(void **state)
{
    struct pool *pool;
    struct kinds s;
    vic_error err;
    int64_t n;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    kinds_make(&s, 2, false, false);
    vic_pattern *p = kinds_pattern(&s, KIND_NEAREST, pool);
    CHECK_FAILS(pattern_half_pairs(p, &n, &err), VIC_BAD_ARGUMENT, "half: expected a pattern in which every pair");
    CHECK_FAILS(pattern_neighbours(p, pool, &(struct neighbour_arrays){ .half = true }, &err), VIC_BAD_ARGUMENT,
                "got one of kind nearest");
    pattern_release(p);
    kinds_free(&s);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(half_lists),
        cmocka_unit_test(halves_need_symmetry),
    };
    return cmocka_run_group_tests_name("pattern_expand", tests, NULL, NULL);
}
