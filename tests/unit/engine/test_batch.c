/* SPDX-License-Identifier: Apache-2.0 */
/* The policy with a clock of the test's own, and the queue under it. */
#include "check.h"

#include "engine/batch.h"
#include "engine/version.h"

enum { MS = 1000000, MOST = 4 };
#define FOR_EVER INT64_MAX

static const vic_tensor no_tensors[TENSORS];
static struct queue queue;
static struct version one, two, three; /* which outlive their test's queries: tear_down() ends their lanes */

static int set_up(void **state)
{
    (void)state;
    queue = (struct queue){ 0 };
    one = (struct version){ .ready = true };
    two = (struct version){ .ready = true };
    three = (struct version){ 0 };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    while (queue.lanes) queue_remove(&queue, queue.lanes->head);
    queue_free(&queue);
    return 0;
}

/* A query of `version` in layout number `layout` that came at `now`. */
static struct query *add(struct version *version, int64_t layout, int64_t now, int64_t deadline)
{
    struct layout l = { .most = MOST, .stride = { { layout } } };
    l.hash = layout % 2 ? layout_hash(&l) : 0; /* which is right, too, only slow */
    const struct query given = { .submitted = now, .deadline = deadline };
    struct query *q;
    bool is_new;
    vic_error err;
    CHECK_OK(queue_add(&queue, version, &l, no_tensors, &given, &q, &is_new, &err));
    return q;
}

static void expect_wait(int64_t now, int64_t until)
{
    const struct batch_choice c = batch_choose(&queue, now, false, true);
    assert_int_equal(c.step, BATCH_WAIT);
    assert_int_equal(c.until, until);
}

/* The choice is a launch of the first `n` of this query's lane; they are taken. */
static void expect_launch(int64_t now, const struct query *first, int64_t n)
{
    const struct batch_choice c = batch_choose(&queue, now, false, true);
    assert_int_equal(c.step, BATCH_TAKE);
    assert_ptr_equal(c.lane->head, first);
    assert_int_equal(c.n, n);
    for (struct query *q = c.lane->head, *next; n > 0; q = next, n--) {
        next = q->next;
        queue_remove(&queue, q);
        queue_give_back(&queue, q);
    }
}

static void test_all_that_waits(void **state)
{
    (void)state;
    expect_wait(0, FOR_EVER);
    struct query *a = add(&one, 1, 5, FOR_EVER);
    add(&one, 1, 6, FOR_EVER);
    add(&one, 1, 7, FOR_EVER);
    expect_launch(7, a, 3);
    expect_wait(7, FOR_EVER);
    struct query *first[3];
    for (int i = 0; i < 9; i++) {
        struct query *q = add(&one, 1, 10 + i, FOR_EVER);
        if (i % 4 == 0) first[i / 4] = q;
    }
    expect_launch(20, first[0], 4); /* up to the limit */
    expect_launch(20, first[1], 4);
    expect_launch(20, first[2], 1);
}

/* Layouts and versions are launched apart, and whose first query came first is first, however many wait elsewhere. */
static void test_oldest_first(void **state)
{
    (void)state;
    struct query *b = add(&two, 1, 1, FOR_EVER);
    struct query *a = add(&one, 1, 2, FOR_EVER);
    struct query *c = add(&one, 2, 3, FOR_EVER);
    for (int i = 0; i < 3; i++) add(&one, 1, 4 + i, FOR_EVER);
    add(&two, 1, 8, FOR_EVER);
    expect_launch(9, b, 2);
    struct query *d = add(&two, 1, 9, FOR_EVER);
    expect_launch(9, a, 4);
    expect_launch(9, c, 1);
    expect_launch(9, d, 1);
}

static void test_delay_waits(void **state)
{
    (void)state;
    one.max_delay = 10 * MS;
    struct query *a = add(&one, 1, 3 * MS, FOR_EVER);
    expect_wait(3 * MS, 13 * MS);
    add(&one, 1, 9 * MS, FOR_EVER);
    expect_wait(13 * MS - 1, 13 * MS); /* of the first, not of the last */
    expect_launch(13 * MS, a, 2);
    struct query *b = add(&one, 1, 20 * MS, FOR_EVER);
    for (int i = 0; i < 3; i++) add(&one, 1, 20 * MS, FOR_EVER);
    expect_launch(20 * MS, b, 4); /* full */
    struct query *c = add(&one, 1, 30 * MS, FOR_EVER), *d = add(&two, 1, 31 * MS, FOR_EVER);
    expect_launch(31 * MS, d, 1); /* which does not wait */
    expect_wait(31 * MS, 40 * MS);
    const struct batch_choice hurried = batch_choose(&queue, 31 * MS, true, true);
    assert_int_equal(hurried.step, BATCH_TAKE);
    assert_ptr_equal(hurried.lane->head, c);
}

static void test_deadline_first(void **state)
{
    (void)state;
    one.max_delay = 100 * MS;
    struct query *late = add(&one, 1, 0, 7 * MS), *later = add(&one, 1, 0, 9 * MS);
    struct query *soon = add(&one, 2, 0, 3 * MS);
    expect_wait(1 * MS, 3 * MS);
    struct batch_choice c = batch_choose(&queue, 3 * MS, false, true);
    assert_int_equal(c.step, BATCH_EXPIRE);
    assert_ptr_equal(queue_most_urgent(&queue), soon);
    queue_remove(&queue, soon);
    queue_give_back(&queue, soon);
    expect_wait(3 * MS, 7 * MS);
    queue_remove(&queue, late);
    queue_give_back(&queue, late);
    expect_wait(3 * MS, 9 * MS);
    c = batch_choose(&queue, 100 * MS, false, true);
    assert_int_equal(c.step, BATCH_EXPIRE); /* before the launch that is due, too */
    queue_remove(&queue, later);
    queue_give_back(&queue, later);
    expect_wait(3 * MS, FOR_EVER);
}

/* Queries of a version that is being built wait, those of others do not wait for them. */
static void test_version_not_there(void **state)
{
    (void)state;
    two.ready = false;
    struct query *b = add(&two, 1, 1, FOR_EVER), *a = add(&one, 1, 2, FOR_EVER);
    expect_launch(5, a, 1);
    expect_wait(5, FOR_EVER);
    two.instead = &one; /* it could not be built */
    queue_settle(&queue, &two);
    expect_launch(5, b, 1);
}

static void test_alone(void **state)
{
    (void)state;
    const struct layout batched = { .most = 1, .batch = 3 }, nothing = { .most = MOST, .flags = LAYOUT_NOTHING };
    const struct query given = { .submitted = 1, .deadline = FOR_EVER }, earlier = { .deadline = FOR_EVER };
    struct query *q;
    bool is_new;
    vic_error err;
    one.max_delay = 10 * MS;
    for (int i = 0; i < 2; i++) CHECK_OK(queue_add(&queue, &one, &batched, no_tensors, &given, &q, &is_new, &err));
    struct batch_choice c = batch_choose(&queue, 10 * MS, false, true);
    assert_int_equal(c.step, BATCH_TAKE);
    assert_int_equal(c.n, 1); /* a batch dimension */
    CHECK_OK(queue_add(&queue, &one, &nothing, no_tensors, &earlier, &q, &is_new, &err));
    c = batch_choose(&queue, 0, false, true);
    assert_int_equal(c.step, BATCH_TAKE); /* only new positions: there is no launch to share */
    assert_ptr_equal(c.lane->head, q);
}

/* ---- the queue ---- */

/* Many queries with deadlines, taken out in any order: the most urgent of those that are left is always known, and
 * tickets are found for as long as their query waits. */
static void test_heap_and_tickets(void **state)
{
    enum { MANY = 300 };
    struct query *waiting[MANY];
    uint64_t tickets[MANY], seed = 3, old = 0;
    int n = 0;
    (void)state;
    for (int step = 0; step < 20000; step++) {
        if (n < MANY && random_uniform(&seed) < 0.5) {
            bool limited = random_uniform(&seed) < 0.7;
            waiting[n] = add(random_uniform(&seed) < 0.5 ? &one : &two, (int64_t)(3 * random_uniform(&seed)), step,
                             limited ? (int64_t)(1000 * random_uniform(&seed)) : FOR_EVER);
            tickets[n] = query_ticket(waiting[n]);
            n++;
        } else if (n > 0) {
            int at = (int)(n * random_uniform(&seed));
            assert_ptr_equal(queue_find(&queue, tickets[at]), waiting[at]);
            queue_remove(&queue, waiting[at]);
            queue_give_back(&queue, waiting[at]);
            assert_null(queue_find(&queue, old = tickets[at]));
            waiting[at] = waiting[--n];
            tickets[at] = tickets[n];
        }
        int64_t earliest = FOR_EVER;
        for (int i = 0; i < n; i++)
            if (waiting[i]->deadline < earliest) earliest = waiting[i]->deadline;
        const struct query *urgent = queue_most_urgent(&queue);
        assert_int_equal(urgent ? urgent->deadline : FOR_EVER, earliest);
        assert_int_equal(queue.waiting, n);
    }
    assert_null(queue_find(&queue, old));
    int64_t in_lanes = 0;
    for (const struct lane *l = queue.lanes; l; l = l->next) in_lanes += l->waiting;
    assert_int_equal(in_lanes, n);
}

/* What the policy says, by looking at all lanes. */
static struct lane *slow_choice(int64_t now, int64_t *until)
{
    struct lane *best = NULL;
    *until = INT64_MAX;
    for (struct lane *l = queue.lanes; l; l = l->next) {
        const int64_t from = l->waiting >= MOST ? 0 : l->head->submitted + l->version->max_delay;
        if (!version_settled(l->version)) continue;
        if (from > now)
            *until = from < *until ? from : *until;
        else if (!best || l->head->submitted < best->head->submitted)
            best = l;
    }
    return best;
}

/* Thousands of lanes, of versions with and without a delay and one that is not there at first: the choice is that of
 * looking at all of them, and equal layouts of one version are in one lane. */
static void test_many_lanes(void **state)
{
    enum { STEPS = 30000, LAYOUTS = 3000, SETTLED = 10000 };
    struct version *const versions[] = { &one, &two, &three };
    uint64_t seed = 7;
    size_t most = 0;
    (void)state;
    two.max_delay = 500;
    three.max_delay = 50;
    for (int64_t now = 0; now < STEPS; now++) {
        if (now == SETTLED) {
            three.ready = true;
            queue_settle(&queue, &three);
        }
        const int64_t layout = (int64_t)(LAYOUTS * random_uniform(&seed));
        struct version *version = versions[(int)(3 * random_uniform(&seed))];
        struct query *q = add(version, layout, now, FOR_EVER);
        assert_ptr_equal(q->lane->version, version);
        assert_int_equal(q->lane->layout.stride[0][0], layout);
        most = queue.n_lanes > most ? queue.n_lanes : most;
        if (now % 7 || now < STEPS / 3) { /* most come before any is taken, and then lanes come and go */
            if (now % 5) continue;
            struct query *cancelled = queue.lanes->tail;
            queue_remove(&queue, cancelled);
            queue_give_back(&queue, cancelled);
            continue;
        }
        int64_t until;
        struct lane *expected = slow_choice(now, &until);
        const struct batch_choice c = batch_choose(&queue, now, false, true);
        assert_int_equal(c.step, expected ? BATCH_TAKE : BATCH_WAIT);
        assert_int_equal(c.until, until);
        if (!expected) continue;
        assert_int_equal(c.lane->head->submitted, expected->head->submitted);
        expect_launch(now, expected->head, c.n);
    }
    assert_true(most > LAYOUTS);
    for (struct lane *l = queue.lanes; l; l = l->next)
        for (struct lane *other = l->older; other; other = other->older)
            assert_int_not_equal(memcmp(&l->layout, &other->layout, sizeof l->layout), 0);
}

static void test_order_in_a_lane(void **state)
{
    struct query *q[5];
    (void)state;
    for (int i = 0; i < 5; i++) q[i] = add(&one, 1, i, FOR_EVER);
    assert_null(queue_remove(&queue, q[2]));
    assert_null(queue_remove(&queue, q[4]));
    assert_null(queue_remove(&queue, q[0]));
    assert_ptr_equal(queue.lanes->head, q[1]);
    assert_ptr_equal(q[1]->next, q[3]);
    assert_ptr_equal(queue.lanes->tail, q[3]);
    assert_null(queue_remove(&queue, q[3]));
    assert_ptr_equal(queue_remove(&queue, q[1]), &one); /* the lane is gone */
    assert_null(queue.lanes);
    assert_null(one.lanes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_all_that_waits),   TEST(test_oldest_first),      TEST(test_delay_waits),
        TEST(test_deadline_first),   TEST(test_version_not_there), TEST(test_alone),
        TEST(test_heap_and_tickets), TEST(test_many_lanes),        TEST(test_order_in_a_lane),
    };
    return cmocka_run_group_tests_name("engine_batch", tests, NULL, NULL);
}
