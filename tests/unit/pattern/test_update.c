/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns that follow their points are those built from scratch, and stay what they were when that fails. */
#include "pattern/update.h"

#include "unit/pattern/kinds.h"

static void move(struct kinds *s, uint64_t *seed)
{
    for (int i = 0; i < 3 * KIND_QUERIES; i++) s->x[i] += random_uniform(seed) - 0.5;
    for (int i = 0; i < 3 * KIND_KEYS; i++) s->y[i] += random_uniform(seed) - 0.5;
}

static void expect_same(const char *what, const vic_pattern *p, const vic_pattern *fresh, struct pool *pool)
{
    struct expected e = pairs_there(fresh, pool);
    expect_pattern(what, p, &e, pool);
    CHECK(p->n_rules == fresh->n_rules && p->exclude_self == fresh->exclude_self, "%s: rules", what);
    assert_int_equal(p->info.boundary_pairs, fresh->info.boundary_pairs);
    assert_memory_equal(p->q_order, fresh->q_order, (size_t)p->n_q * sizeof *p->q_order);
}

static void every_kind_that_can(void **state)
{
    struct pool *pool;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(2, &pool, &err));
    for (int form = 0; form < 4; form++)
        for (int k = 0; k < KINDS; k++) {
            struct kinds s;
            uint64_t seed = 500 + (uint64_t)k;
            vic_pattern *p, *fresh, *before;
            if ((form & 1) && k == KIND_WINDOWS) continue;
            kinds_make(&s, 70 + (uint64_t)form, form & 1, form & 2);
            p = before = kinds_pattern(&s, (enum kind)k, pool);
            const double *keys = s.two ? s.y : NULL;
            if (k > KIND_NEAREST_MASKED) {
                CHECK_FAILS(pattern_update(&p, s.x, keys, NULL, pool, &err), VIC_BAD_ARGUMENT,
                            "only patterns of a cutoff");
                assert_ptr_equal(p, before);
            }
            for (int step = 0; k <= KIND_NEAREST_MASKED && step < 4; step++) {
                struct expected kept = pairs_there(p, pool);
                double x = s.x[4];
                before = p;
                move(&s, &seed);
                s.x[4] = NAN;
                CHECK_FAILS(pattern_update(&p, s.x, keys, NULL, pool, &err), VIC_BAD_INPUT, "nan");
                assert_ptr_equal(p, before);
                expect_pattern("after a failure", p, &kept, pool);
                s.x[4] = x;
                if (step == 2) pattern_retain(before); /* a plan holds it */
                CHECK_OK(pattern_update(&p, s.x, keys, NULL, pool, &err));
                if (step == 2) pattern_release(before);
                fresh = kinds_pattern(&s, (enum kind)k, pool);
                expect_same("update", p, fresh, pool);
                pattern_release(fresh);
            }
            pattern_release(p);
            kinds_free(&s);
        }
    pool_free(pool);
}

/* Two patterns take turns in their memory; nobody gets one that is held. */
static void memory_takes_turns(void **state)
{
    struct pool *pool;
    struct kinds s;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    kinds_make(&s, 3, false, false);
    vic_pattern *p = kinds_pattern(&s, KIND_CUTOFF, pool), *first = p, *second;
    CHECK_OK(pattern_update(&p, s.x, NULL, NULL, pool, &err));
    second = p;
    assert_ptr_not_equal(second, first);
    CHECK_OK(pattern_update(&p, s.x, NULL, NULL, pool, &err));
    assert_ptr_equal(p, first);
    pattern_retain(p);
    CHECK_OK(pattern_update(&p, s.x, NULL, NULL, pool, &err));
    assert_ptr_equal(p, second);
    CHECK_OK(pattern_update(&p, s.x, NULL, NULL, pool, &err));
    assert_true(p != first && p != second);
    assert_int_equal(first->info.pairs, p->info.pairs); /* still there */
    pattern_release(first);
    pattern_release(p);
    kinds_free(&s);
    pool_free(pool);
}

/* The pattern that is followed stays as it is, and the one in whose memory the new one is made may be of any place
 * before, with another cell. */
static void beside_the_one_that_stays(void **state)
{
    struct pool *pool;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(2, &pool, &err));
    for (int form = 0; form < 4; form += 2)
        for (int k = 0; k < KINDS; k++) {
            struct kinds s;
            uint64_t seed = 900 + (uint64_t)k;
            vic_pattern *spare = NULL, *moved;
            kinds_make(&s, 90 + (uint64_t)form, false, form & 2);
            vic_pattern *base = kinds_pattern(&s, (enum kind)k, pool);
            struct expected kept = pairs_there(base, pool);
            assert_int_equal(pattern_follows(base), k <= KIND_NEAREST_MASKED);
            if (k > KIND_NEAREST_MASKED) {
                CHECK_FAILS(pattern_moved(base, s.x, NULL, NULL, pool, &moved, &err), VIC_BAD_ARGUMENT,
                            "only patterns of a cutoff");
                assert_null(moved);
            }
            for (int step = 0; k <= KIND_NEAREST_MASKED && step < 4; step++) {
                move(&s, &seed);
                const vic_pattern *memory = spare;
                CHECK_OK(pattern_moved(base, s.x, NULL, spare, pool, &moved, &err));
                if (k == KIND_CUTOFF && form == 0 && step > 0) assert_ptr_equal(moved, memory);
                vic_pattern *fresh = kinds_pattern(&s, (enum kind)k, pool);
                expect_same("moved", moved, fresh, pool);
                pattern_release(fresh);
                spare = moved;
            }
            s.x[4] = NAN;
            if (k <= KIND_NEAREST_MASKED)
                CHECK_FAILS(pattern_moved(base, s.x, NULL, spare, pool, &moved, &err), VIC_BAD_INPUT, "nan");
            expect_pattern("the one that stays", base, &kept, pool);
            pattern_release(base);
            kinds_free(&s);
        }
    pool_free(pool);
}

static int released;

static void release_kept(struct pattern_on_device *kept)
{
    (void)kept;
    released++;
}

/* What is kept of a pattern on a GPU goes before its memory holds other orders. */
static void nothing_stays_on_a_gpu(void **state)
{
    struct pattern_on_device kept = { NULL, release_kept };
    struct pool *pool;
    struct kinds s;
    vic_pattern *p, *first;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    kinds_make(&s, 81, false, false);
    p = first = kinds_pattern(&s, KIND_CUTOFF, pool);
    p->on_device = &kept;
    CHECK_OK(pattern_update(&p, s.x, NULL, NULL, pool, &err));
    CHECK_OK(pattern_update(&p, s.x, NULL, NULL, pool, &err));
    assert_ptr_equal(p, first); /* in the memory of the first */
    assert_null(p->on_device);
    assert_int_equal(released, 1);
    pattern_release(p);
    kinds_free(&s);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_that_can),
        cmocka_unit_test(memory_takes_turns),
        cmocka_unit_test(beside_the_one_that_stays),
        cmocka_unit_test(nothing_stays_on_a_gpu),
    };
    return cmocka_run_group_tests_name("pattern_update", tests, NULL, NULL);
}
