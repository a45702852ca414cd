/* SPDX-License-Identifier: Apache-2.0 */
/* Unions, differences and exclusions against the same with lists of pairs. */
#include "unit/pattern/kinds.h"

static void check(const char *what, const vic_pattern *a, const vic_pattern *b, struct pool *pool)
{
    struct expected x = pairs_there(a, pool), y = pairs_there(b, pool), both = { 0 }, rest = { 0 };
    vic_pattern *p;
    vic_error err;
    for (int64_t t = 0; t < x.n; t++) {
        const struct expected_pair *e = &x.list[t];
        expect_pair(&both, e->i, e->j, e->n, 0.0);
        if (!has_pair(&y, e->i, e->j, e->n)) expect_pair(&rest, e->i, e->j, e->n, 0.0);
    }
    for (int64_t t = 0; t < y.n; t++)
        if (!has_pair(&x, y.list[t].i, y.list[t].j, y.list[t].n))
            expect_pair(&both, y.list[t].i, y.list[t].j, y.list[t].n, 0.0);
    CHECK_OK(pattern_unite(a, b, pool, &p, &err));
    expect_pattern(what, p, &both, pool);
    assert_string_equal(pattern_kind(p), "union");
    pattern_release(p);
    CHECK_OK(pattern_difference(a, b, pool, &p, &err));
    expect_pattern(what, p, &rest, pool);
    assert_string_equal(pattern_kind(p), "difference");
    pattern_release(p);
    free(x.list);
    free(y.list);
}

/* Rows of one order and of two, images, wraps, full blocks. */
static void every_two_kinds(void **state)
{
    struct pool *pool;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(2, &pool, &err));
    for (int two = 0; two < 2; two++) {
        struct kinds s;
        vic_pattern *of[KINDS];
        kinds_make(&s, 3, two, false);
        for (int k = 0; k < KINDS; k++)
            of[k] = two && k == KIND_WINDOWS ? NULL : kinds_pattern(&s, (enum kind)k, pool);
        for (int a = 0; a < KINDS; a++)
            for (int b = SANITIZED == 2 ? a % 3 : 0; b < KINDS; b += SANITIZED == 2 ? 3 : 1) {
                char what[64];
                bool ids = (a == KIND_CUTOFF_IDS || a == KIND_NEAREST_IDS) !=
                           (b == KIND_CUTOFF_IDS || b == KIND_NEAREST_IDS);
                bool geometry = of[a] && of[b] && of[a]->q_positions && of[b]->q_positions;
                if (!of[a] || !of[b] || (ids && geometry)) continue;
                snprintf(what, sizeof what, "kinds %d and %d, %d sets", a, b, 1 + two);
                check(what, of[a], of[b], pool);
            }
        vic_pattern *p;
        CHECK_FAILS(pattern_unite(of[KIND_CUTOFF], of[KIND_CUTOFF_IDS], pool, &p, &err), VIC_BAD_ARGUMENT,
                    "same ids");
        for (int k = 0; k < KINDS; k++) pattern_release(of[k]);
        kinds_free(&s);
    }
    pool_free(pool);
}

static void groups(void **state)
{
    struct pool *pool;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    for (int two = 0; two < 2; two++) {
        struct kinds s;
        kinds_make(&s, 9, two, true);
        vic_pattern *a = kinds_pattern(&s, KIND_CUTOFF, pool), *b = kinds_pattern(&s, KIND_NEAREST_MASKED, pool), *p;
        check("groups", a, b, pool);
        s.q_offsets[1]++;
        vic_pattern *c = kinds_pattern(&s, KIND_CUTOFF, pool);
        CHECK_FAILS(pattern_difference(a, c, pool, &p, &err), VIC_BAD_ARGUMENT,
                    "a difference is over the same structures");
        pattern_release(a);
        pattern_release(b);
        pattern_release(c);
        kinds_free(&s);
    }
    pool_free(pool);
}

/* A list takes out its pairs: under its images, or under all where it has none. */
static void exclusions(void **state)
{
    enum { N = 400 };
    struct pool *pool;
    vic_error err;
    uint64_t seed = 6;
    (void)state;
    CHECK_OK(pool_create(2, &pool, &err));
    for (int images = 0; images < 2; images++) {
        struct kinds s;
        int32_t query[N], key[N], image[N][3];
        struct expected rest = { 0 };
        kinds_make(&s, 12, true, false);
        vic_pattern *a = kinds_pattern(&s, KIND_CUTOFF, pool), *p;
        struct expected x = pairs_there(a, pool);
        for (int t = 0; t < N; t++) { /* some that are there, some that are not, each once */
            const struct expected_pair *e = &x.list[(size_t)t * (size_t)x.n / N];
            query[t] = e->i;
            key[t] = e->j;
            memcpy(image[t], e->n, sizeof image[t]);
            if (random_bits(&seed) % 4 == 0) image[t][t % 3] += 5;
        }
        struct pair_list list = { 0, query, key, images ? &image[0][0] : NULL };
        for (int t = 0; t < N; t++) { /* without images pairs come twice where they had several */
            bool again = false;
            for (int64_t o = 0; o < list.n; o++) again |= query[o] == query[t] && key[o] == key[t];
            if (again) continue;
            query[list.n] = query[t];
            key[list.n] = key[t];
            memmove(image[list.n++], image[t], sizeof image[t]);
        }
        for (int64_t t = 0; t < x.n; t++) {
            bool out = false;
            for (int64_t o = 0; o < list.n; o++)
                out |= query[o] == x.list[t].i && key[o] == x.list[t].j &&
                       (!images || memcmp(image[o], x.list[t].n, sizeof image[o]) == 0);
            if (!out) expect_pair(&rest, x.list[t].i, x.list[t].j, x.list[t].n, 0.0);
        }
        assert_true(rest.n < x.n - 100);
        CHECK_OK(pattern_exclude(a, &list, pool, &p, &err));
        expect_pattern("exclusion", p, &rest, pool);
        pattern_release(p);
        pattern_release(a);
        free(x.list);
        kinds_free(&s);
    }
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_two_kinds),
        cmocka_unit_test(groups),
        cmocka_unit_test(exclusions),
    };
    return cmocka_run_group_tests_name("pattern_combine", tests, NULL, NULL);
}
