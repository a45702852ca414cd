/* SPDX-License-Identifier: Apache-2.0 */
/* Everything at once: threads that submit, cancel, bring positions, replace the pattern and look on.  Every query is
 * answered exactly once, and where it was computed, with the bits of the pattern that its answer names. */
#include "unit/engine/fixture.h"

#include <stdatomic.h>

enum { SUBMITTERS = 4, QUERIES = 400, IN_FLIGHT = 16, INPUTS = 4, VERSIONS = 8192 };

/* One place of a submitter: a query, its results, and what came of it. */
struct place {
    struct test *test;
    vic_query query;
    float out[SIZE], lse[ROWS];
    int input, moves_to; /* -1: it brings no positions */
    atomic_bool free;
};

struct test {
    struct system *s;
    float *expected[2][INPUTS], *expected_lse[2][INPUTS]; /* of the first and the second positions */
    atomic_int origin[VERSIONS];                          /* 1 + which positions a version has; 0 = not known yet */
    atomic_long answered, cancelled, expired, unknown, wrong;
    atomic_bool stop;
};

static void check_result(struct test *t, const struct place *p, uint64_t version)
{
    int origin = version < VERSIONS ? atomic_load(&t->origin[version]) : 0;
    if (p->moves_to >= 0 && version < VERSIONS) {
        atomic_store(&t->origin[version], 1 + p->moves_to);
        origin = 1 + p->moves_to;
    }
    bool same[2];
    for (int m = 0; m < 2; m++)
        same[m] = memcmp(p->out, t->expected[m][p->input], sizeof p->out) == 0 &&
                  (!p->query.lse.data || memcmp(p->lse, t->expected_lse[m][p->input], sizeof p->lse) == 0);
    if (origin == 0) t->unknown++; /* it was one of the two, at any rate */
    if (origin ? !same[origin - 1] : !same[0] && !same[1]) t->wrong++;
}

static void answer(void *user, const vic_answer *a)
{
    struct place *p = user;
    struct test *t = p->test;
    t->answered++;
    t->cancelled += a->status == VIC_CANCELLED;
    t->expired += a->status == VIC_DEADLINE;
    if (a->status == VIC_OK)
        check_result(t, p, a->version);
    else if (a->status != VIC_CANCELLED && a->status != VIC_DEADLINE)
        t->wrong++;
    if (atomic_exchange(&p->free, true)) t->wrong++; /* answered twice */
}

static struct place *take_place(struct place *places)
{
    for (int i = 0;; i = (i + 1) % IN_FLIGHT) {
        if (atomic_exchange(&places[i].free, false)) return &places[i];
        if (i == IN_FLIGHT - 1) sleep_ms(1);
    }
}

static void prepare(struct test *t, struct place *p, uint64_t *seed)
{
    p->test = t;
    p->input = (int)(INPUTS * random_uniform(seed));
    p->query = query_of(t->s, p->input, false);
    p->query.out = tensor_of(p->out, VIC_F32, 3, shape);
    if (random_uniform(seed) < 0.5) p->query.lse = tensor_of(p->lse, VIC_F32, 2, shape);
    p->query.done = answer;
    p->query.user = p;
    p->moves_to = random_uniform(seed) < 0.05 ? (int)(2 * random_uniform(seed)) : -1;
    if (p->moves_to >= 0) p->query.positions = tensor_of(t->s->x[p->moves_to], VIC_F64, 2, (const int64_t[]){ N, 3 });
    if (random_uniform(seed) < 0.05) p->query.timeout = 1e-4;
    memset(p->out, 0xff, sizeof p->out);
    memset(p->lse, 0xff, sizeof p->lse);
}

static void *submitter(void *argument)
{
    static atomic_int number;
    struct test *t = argument;
    struct place *places = calloc(IN_FLIGHT, sizeof *places);
    uint64_t seed = 100 + (uint64_t)number++;
    long accepted = 0;
    assert_non_null(places);
    for (int i = 0; i < IN_FLIGHT; i++) atomic_init(&places[i].free, true);
    for (int n = 0; n < QUERIES; n++) {
        struct place *p = take_place(places);
        uint64_t ticket;
        vic_error err;
        prepare(t, p, &seed);
        vic_status st = vic_submit(t->s->endpoint, &p->query, &ticket, &err);
        if (st == VIC_BUSY) {
            atomic_store(&p->free, true);
            sleep_ms(1);
            continue;
        }
        if (st != VIC_OK) t->wrong++;
        accepted++;
        if (random_uniform(&seed) < 0.1) vic_cancel(t->s->endpoint, ticket);
    }
    for (int i = 0; i < IN_FLIGHT; i++)
        while (!atomic_load(&places[i].free)) sleep_ms(1);
    free(places);
    return (void *)(intptr_t)accepted;
}

/* Patterns by turns, and looks at everything. */
static void *replacer(void *argument)
{
    struct test *t = argument;
    for (int n = 0; !atomic_load(&t->stop); n++) {
        vic_engine_info info = VIC_INIT(vic_engine_info);
        vic_pattern *p;
        uint64_t version;
        vic_error err;
        CHECK_OK(vic_endpoint_replace(t->s->endpoint, n & 1 ? t->s->moved : t->s->pattern, &version, &err));
        if (version < VERSIONS) atomic_store(&t->origin[version], 1 + (n & 1));
        CHECK_OK(vic_endpoint_pattern(t->s->endpoint, &p, &err));
        vic_pattern_free(p);
        CHECK_OK(vic_engine_get(t->s->engine, &info, &err));
        endpoint_info(t->s->endpoint);
        sleep_ms(2);
    }
    return NULL;
}

static float *computed(struct system *s, int moved, int input, bool lse)
{
    vic_query q = query_of(s, input, true);
    vic_attention_args a = { .size = sizeof a, .q = q.q, .k = q.k, .v = q.v, .out = q.out, .lse = q.lse };
    float *copy = malloc((lse ? ROWS : SIZE) * sizeof *copy);
    vic_error err;
    assert_non_null(copy);
    CHECK_OK(vic_attention(NULL, moved ? s->moved_plan : s->plan, &a, &err));
    memcpy(copy, lse ? q.lse.data : q.out.data, (lse ? ROWS : SIZE) * sizeof *copy);
    return copy;
}

static void test_everything(void **state)
{
    struct system *s = *state;
    struct test *t = calloc(1, sizeof *t);
    pthread_t submitters[SUBMITTERS], other;
    long accepted = 0;
    vic_error err;
    assert_non_null(t);
    t->s = s;
    atomic_store(&t->origin[1], 1);
    renew(s, (vic_endpoint_options){ .max_batch = 7, .max_queue = 40 });
    for (int m = 0; m < 2; m++)
        for (int i = 0; i < INPUTS; i++) {
            t->expected[m][i] = computed(s, m, i, false);
            t->expected_lse[m][i] = computed(s, m, i, true);
        }
    assert_int_equal(pthread_create(&other, NULL, replacer, t), 0);
    for (int i = 0; i < SUBMITTERS; i++) assert_int_equal(pthread_create(&submitters[i], NULL, submitter, t), 0);
    for (int i = 0; i < SUBMITTERS; i++) {
        void *result;
        pthread_join(submitters[i], &result);
        accepted += (long)(intptr_t)result;
    }
    atomic_store(&t->stop, true);
    pthread_join(other, NULL);
    CHECK_OK(vic_engine_drain(s->engine, 100, &err));
    vic_endpoint_info info = endpoint_info(s->endpoint);
    print_message("%ld queries, %ld cancelled, %ld expired, %ld of a version whose bringer was not answered, "
                  "%llu versions, %llu launches\n",
                  accepted, atomic_load(&t->cancelled), atomic_load(&t->expired), atomic_load(&t->unknown),
                  (unsigned long long)info.version, (unsigned long long)info.launches);
    assert_int_equal(atomic_load(&t->wrong), 0);
    assert_int_equal(atomic_load(&t->answered), accepted);
    assert_int_equal(info.accepted, accepted);
    assert_int_equal(info.answered + info.cancelled + info.expired + info.failed, accepted);
    assert_int_equal(info.failed, 0);
    assert_int_equal(info.waiting + info.running, 0);
    for (int m = 0; m < 2; m++)
        for (int i = 0; i < INPUTS; i++) {
            free(t->expected[m][i]);
            free(t->expected_lse[m][i]);
        }
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_everything, set_up, tear_down) };
    return cmocka_run_group_tests_name("engine_stress", tests, NULL, NULL);
}
