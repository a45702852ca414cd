/* SPDX-License-Identifier: Apache-2.0 */
/* Transposes against lists of pairs turned round. */
#include "pattern/transpose.h"

#include "unit/pattern/kinds.h"

static void bits_are_turned(void **state)
{
    uint64_t seed = 1;
    (void)state;
    for (int try = 0; try < 100; try++) {
        struct block_bits bits, turned;
        for (int c = 0; c < CLUSTER; c++) bits.key[c] = random_bits(&seed);
        turned = bits;
        block_turn(&turned);
        for (int g = 0; g < 4; g++)
            for (int r = 0; r < 16; r++)
                for (int c = 0; c < 16; c++)
                    assert_int_equal(turned.key[r] >> (16 * g + c) & 1, bits.key[c] >> (16 * g + r) & 1);
    }
}

static struct expected turned(const struct expected *e)
{
    struct expected t = { 0 };
    for (int64_t i = 0; i < e->n; i++) {
        const int32_t *n = e->list[i].n, back[3] = { -n[0], -n[1], -n[2] };
        expect_pair(&t, e->list[i].j, e->list[i].i, back, 0.0);
    }
    return t;
}

static void every_kind(void **state)
{
    struct pool *pool;
    vic_error err;
    int symmetric = 0;
    (void)state;
    CHECK_OK(pool_create(2, &pool, &err));
    for (int form = 0; form < 4; form++) {
        struct kinds s;
        kinds_make(&s, 20 + (uint64_t)form, form & 1, form & 2);
        for (int k = 0; k < KINDS; k++) {
            char what[64];
            vic_pattern *p, *t, *again;
            if (s.two && k == KIND_WINDOWS) continue;
            snprintf(what, sizeof what, "kind %d of form %d", k, form);
            p = kinds_pattern(&s, (enum kind)k, pool);
            struct expected e = pairs_there(p, pool), back = turned(&e);
            CHECK_OK(pattern_transpose(p, pool, &t, &err));
            CHECK((t == p) == p->symmetric, "%s: a pattern of its own", what);
            symmetric += p->symmetric;
            assert_true(t->n_q == p->n_k && t->n_k == p->n_q && t->one_set == p->one_set);
            bool turned_rule =
                t->n_rules > 0 && t->rules[t->n_rules - 1].transposed; /* one that has no mirror image */
            assert_string_equal(pattern_kind(t), turned_rule ? "transpose" : pattern_kind(p));
            assert_int_equal(t->info.boundary_pairs, p->info.boundary_pairs);
            expect_pattern(what, t, &back, pool);
            CHECK_OK(pattern_transpose(t, pool, &again, &err));
            expect_pattern(what, again, &e, pool);
            pattern_release(again);
            pattern_release(t);
            pattern_release(p);
        }
        kinds_free(&s);
    }
    assert_true(symmetric >= 6);
    pool_free(pool);
}

/* Block masks that are their own transposes say so, others do not. */
static void symmetric_masks(void **state)
{
    static const int64_t ptr[] = { 0, 2, 3, 5 };
    static const int32_t yes[] = { 0, 2, 1, 0, 2 }, no[] = { 0, 1, 1, 0, 2 }, late[] = { 0, 2, 0, 0, 1 };
    const struct point_set q = { .n = 45 };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    const int32_t *const columns[] = { yes, no, late };
    for (int i = 0; i < 3; i++) {
        const struct block_mask mask = { 16, ptr, columns[i] };
        CHECK_OK(pattern_from_blocks(&q, NULL, &mask, pool, &p, &err));
        assert_int_equal(p->symmetric, i == 0);
        pattern_release(p);
    }
    CHECK_OK(pattern_windows(&q, 8, 8, pool, &p, &err));
    assert_true(p->symmetric);
    struct expected e = pairs_there(p, pool);
    expect_pattern("windows of themselves", p, &e, pool);
    pattern_release(p);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_turned),
        cmocka_unit_test(every_kind),
        cmocka_unit_test(symmetric_masks),
    };
    return cmocka_run_group_tests_name("pattern_transpose", tests, NULL, NULL);
}
