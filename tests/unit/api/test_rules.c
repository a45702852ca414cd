/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of every kind against the reference's rules, which share no code with what made them, query by query: as
 * they are, turned round, and after a walk through a file. */
#include "kernels/ref/rules.h"

#include "pattern/io/vnp.h"
#include "pattern/transpose.h"
#include "unit/pattern/kinds.h"

#include <unistd.h>

static void check_rows(const char *what, const vic_pattern *p, struct pool *pool)
{
    struct expected e = pairs_there(p, pool);
    struct rules *rules;
    vic_error err;
    int64_t at = 0;
    CHECK_OK(rules_make(p, 1, &rules, &err));
    for (int64_t query = 0; query < p->n_q; query++) {
        int64_t n;
        const struct rule_pair *row = rules_row(rules, query, 0, &n);
        for (int64_t t = 0; t < n; t++, at++)
            CHECK(at < e.n && e.list[at].i == query && e.list[at].j == row[t].key &&
                      memcmp(e.list[at].n, row[t].image, sizeof row[t].image) == 0,
                  "%s: query %lld and key %d are in by the rules alone", what, (long long)query, row[t].key);
        CHECK(at == e.n || e.list[at].i > query, "%s: query %lld and key %d are in, but not by the rules", what,
              (long long)query, e.list[at].j);
    }
    CHECK_OK(rules_status(rules, &err));
    assert_int_equal(at, e.n);
    rules_free(rules);
    free(e.list);
}

/* One that is a cutoff alone has no rules: then one of its own stands for it, as in a union. */
static void check_with_rules(const char *what, vic_pattern *p, struct pool *pool)
{
    vic_error err;
    vic_pattern *both;
    if (p->n_rules > 0) {
        check_rows(what, p, pool);
        return;
    }
    CHECK_OK(pattern_unite(p, p, pool, &both, &err));
    check_rows(what, both, pool);
    pattern_release(both);
}

static vic_pattern *through_a_file(const vic_pattern *p, struct pool *pool)
{
    char path[] = "/tmp/vicinal-rules-XXXXXX";
    int descriptor = mkstemp(path);
    vic_pattern *loaded;
    vic_error err;
    assert_true(descriptor >= 0);
    close(descriptor);
    CHECK_OK(vnp_save(p, path, &err));
    CHECK_OK(vnp_load(path, pool, &loaded, &err));
    unlink(path);
    assert_true(loaded->symmetric == p->symmetric && loaded->n_rules == p->n_rules);
    assert_int_equal(loaded->info.pairs, p->info.pairs);
    return loaded;
}

static void every_kind(void **state)
{
    struct pool *pool;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(2, &pool, &err));
    for (int form = 0; form < 4; form++) {
        struct kinds s;
        kinds_make(&s, 20 + (uint64_t)form, form & 1, form & 2);
        for (int k = 0; k < KINDS; k++) {
            char what[64];
            if (s.two && k == KIND_WINDOWS) continue;
            snprintf(what, sizeof what, "kind %d of form %d", k, form);
            vic_pattern *p = kinds_pattern(&s, (enum kind)k, pool), *turned, *loaded;
            check_with_rules(what, p, pool);
            CHECK_OK(pattern_transpose(p, pool, &turned, &err));
            check_with_rules(what, turned, pool);
            loaded = through_a_file(turned, pool);
            check_with_rules(what, loaded, pool);
            pattern_release(loaded);
            pattern_release(turned);
            pattern_release(p);
        }
        kinds_free(&s);
    }
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_kind) };
    return cmocka_run_group_tests_name("api_rules", tests, NULL, NULL);
}
