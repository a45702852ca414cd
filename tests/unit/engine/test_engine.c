/* SPDX-License-Identifier: Apache-2.0 */
/* The engine on the CPU from outside: what queries are answered with, and in what order. */
#include "objects.h"
#include "vicinal_engine.h"

#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N = 150, HEADS = 2, DIM = 16, SIZE = N * HEADS * DIM, MOST = 64 };

/* What a test waits for. */
struct wait {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int answers;
    vic_answer last;
    char text[1024];
    vic_status status[256];
    uint64_t version[256];
};

struct system {
    double x[2][3 * N]; /* two sets of positions */
    vic_pattern *pattern, *moved;
    vic_plan *plan, *moved_plan;
    vic_engine *engine;
    vic_endpoint *endpoint;
    struct wait wait;
    float *q, *k, *v;
};

static const double cell[9] = { 12, 0, 0, 0, 12, 0, 0, 0, 12 };
static const int64_t shape[] = { N, HEADS, DIM };

static vic_plan_options plan_options(void)
{
    return (vic_plan_options){ .size = sizeof(vic_plan_options), .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM };
}

static vic_plan *plan_for(const vic_pattern *p)
{
    const vic_plan_options o = plan_options();
    vic_plan *plan;
    vic_error err;
    CHECK_OK(vic_plan_create(NULL, p, &o, &plan, &err));
    return plan;
}

static float *numbers(size_t n, uint64_t seed)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)random_normal(&seed);
    return x;
}

static int set_up(void **state)
{
    struct system *s = calloc(1, sizeof *s);
    const vic_engine_options eo = { .size = sizeof eo, .threads = 2, .build_threads = 1 };
    const vic_plan_options po = plan_options();
    const vic_endpoint_options o = { .size = sizeof o, .name = "e", .plan = &po };
    uint64_t seed = 5;
    vic_error err;
    assert_non_null(s);
    for (int m = 0; m < 2; m++)
        for (int i = 0; i < 3 * N; i++) s->x[m][i] = 12 * random_uniform(&seed);
    vic_points points = points_at(N, s->x[0], cell), other = points_at(N, s->x[1], cell);
    s->pattern = cutoff_pattern(&points, 4.0);
    s->moved = cutoff_pattern(&other, 4.0);
    s->plan = plan_for(s->pattern);
    s->moved_plan = plan_for(s->moved);
    s->q = numbers(SIZE * MOST, 1);
    s->k = numbers(SIZE * MOST, 2);
    s->v = numbers(SIZE * MOST, 3);
    pthread_mutex_init(&s->wait.lock, NULL);
    pthread_cond_init(&s->wait.changed, NULL);
    CHECK_OK(vic_engine_create(&eo, &s->engine, &err));
    CHECK_OK(vic_endpoint_create(s->engine, s->pattern, &o, &s->endpoint, &err));
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct system *s = *state;
    vic_endpoint_free(s->endpoint);
    vic_engine_free(s->engine);
    vic_plan_free(s->plan);
    vic_plan_free(s->moved_plan);
    vic_pattern_free(s->pattern);
    vic_pattern_free(s->moved);
    free(s->q);
    free(s->k);
    free(s->v);
    pthread_cond_destroy(&s->wait.changed);
    pthread_mutex_destroy(&s->wait.lock);
    free(s);
    return 0;
}

static void done(void *user, const vic_answer *answer)
{
    struct wait *w = user;
    pthread_mutex_lock(&w->lock);
    w->last = *answer;
    snprintf(w->text, sizeof w->text, "%s", answer->text);
    w->last.text = w->text;
    w->status[w->answers] = answer->status;
    w->version[w->answers] = answer->version;
    w->answers++;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

/* Waits until `n` answers have come since the last call. */
static void wait_for(struct wait *w, int n)
{
    pthread_mutex_lock(&w->lock);
    while (w->answers < n) pthread_cond_wait(&w->changed, &w->lock);
    assert_int_equal(w->answers, n);
    w->answers = 0;
    pthread_mutex_unlock(&w->lock);
}

static vic_query query_at(struct system *s, int item, float *out, float *lse)
{
    const size_t at = (size_t)item * SIZE;
    vic_query q = VIC_INIT(vic_query);
    q.q = tensor_of(s->q + at, VIC_F32, 3, shape);
    q.k = tensor_of(s->k + at, VIC_F32, 3, shape);
    q.v = tensor_of(s->v + at, VIC_F32, 3, shape);
    q.out = tensor_of(out, VIC_F32, 3, shape);
    if (lse) q.lse = tensor_of(lse, VIC_F32, 2, shape);
    q.done = done;
    q.user = &s->wait;
    return q;
}

static void lone(const vic_plan *plan, const vic_query *q, float *out, float *lse)
{
    vic_attention_args a = { .size = sizeof a, .q = q->q, .k = q->k, .v = q->v, .out = q->out, .lse = q->lse };
    vic_error err;
    a.out.data = out;
    if (lse) a.lse.data = lse;
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
}

static void test_bits(void **state)
{
    struct system *s = *state;
    float *out = malloc(MOST * SIZE * sizeof *out), *expected = malloc(SIZE * sizeof *out);
    float *lse = malloc(MOST * N * HEADS * sizeof *lse), *expected_lse = malloc(N * HEADS * sizeof *lse);
    vic_query q[MOST];
    vic_error err;
    for (int i = 0; i < MOST; i++) {
        q[i] = query_at(s, i, out + (size_t)i * SIZE, i % 3 ? lse + (size_t)i * N * HEADS : NULL);
        CHECK_OK(vic_submit(s->endpoint, &q[i], NULL, &err));
    }
    wait_for(&s->wait, MOST);
    for (int i = 0; i < MOST; i++) {
        assert_int_equal(s->wait.status[i], VIC_OK);
        assert_int_equal(s->wait.version[i], 1);
        lone(s->plan, &q[i], expected, i % 3 ? expected_lse : NULL);
        assert_memory_equal(expected, out + (size_t)i * SIZE, SIZE * sizeof *out);
        if (i % 3) assert_memory_equal(expected_lse, lse + (size_t)i * N * HEADS, N * HEADS * sizeof *lse);
    }
    free(out);
    free(expected);
    free(lse);
    free(expected_lse);
}

static void test_positions(void **state)
{
    struct system *s = *state;
    float *out = malloc(3 * SIZE * sizeof *out), *expected = malloc(SIZE * sizeof *out);
    vic_query q[3];
    vic_error err;
    for (int i = 0; i < 3; i++) q[i] = query_at(s, i, out + (size_t)i * SIZE, NULL);
    q[1].positions = tensor_of(s->x[1], VIC_F64, 2, (const int64_t[]){ N, 3 });
    for (int i = 0; i < 3; i++) CHECK_OK(vic_submit(s->endpoint, &q[i], NULL, &err));
    wait_for(&s->wait, 3);
    for (int i = 0; i < 3; i++) {
        CHECK(s->wait.status[i] == VIC_OK, "%s", s->wait.text);
        assert_int_equal(s->wait.version[i], i == 0 ? 1 : 2);
        lone(i == 0 ? s->plan : s->moved_plan, &q[i], expected, NULL);
        assert_memory_equal(expected, out + (size_t)i * SIZE, SIZE * sizeof *out);
    }
    free(out);
    free(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_positions, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
