/* SPDX-License-Identifier: Apache-2.0 */
/* An engine with one endpoint, and answers that can be waited for and held up.  On the CPU; with ENGINE_ON_GPU on what
 * stands in for a GPU (gpu_stand_in.c), in one stream, with tensors in memory of the host. */
#ifndef VIC_TESTS_ENGINE_FIXTURE_H
#define VIC_TESTS_ENGINE_FIXTURE_H

#include "objects.h"
#include "vicinal_engine.h"

#include <pthread.h>
#include <time.h>

enum { N = 150, HEADS = 2, DIM = 16, SIZE = N * HEADS * DIM, ROWS = N * HEADS, MOST = 64, ANSWERS = 1024 };

/* The answers that came, in their order. */
struct answers {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int n;
    bool hold; /* the callback of the next query does not return while this is set */
    bool held; /* it is there */
    vic_answer answer[ANSWERS];
    char text[1024]; /* of the last that had one */
};

struct system {
    double x[2][3 * N]; /* two sets of positions, in `cell` */
    vic_pattern *pattern, *moved;
    vic_plan *plan, *moved_plan;
    vic_engine *engine;
    vic_endpoint *endpoint;
    struct answers answers;
    float *q, *k, *v;                           /* [MOST, N, HEADS, DIM] */
    float *out, *lse, *expected, *expected_lse; /* [MOST, ...], of one */
};

static const double cell[9] = { 12, 0, 0, 0, 12, 0, 0, 0, 12 };
static const int64_t shape[] = { N, HEADS, DIM };
static const double cutoff = 4.0;

static inline vic_plan_options plan_options(void)
{
    return (vic_plan_options){ .size = sizeof(vic_plan_options), .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM };
}

static inline vic_plan *plan_for(const vic_pattern *p)
{
    const vic_plan_options o = plan_options();
    vic_plan *plan;
    vic_error err;
    CHECK_OK(vic_plan_create(NULL, p, &o, &plan, &err));
    return plan;
}

static inline float *numbers(size_t n, uint64_t seed)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)random_normal(&seed);
    return x;
}

static inline vic_endpoint *endpoint_of(struct system *s, vic_endpoint_options o)
{
    const vic_plan_options po = plan_options();
    vic_endpoint *e;
    vic_error err;
    o.size = sizeof o;
    o.name = "e";
    if (!o.plan) o.plan = &po;
    CHECK_OK(vic_endpoint_create(s->engine, s->pattern, &o, &e, &err));
    return e;
}

/* The endpoint again, with other options. */
static inline void renew(struct system *s, vic_endpoint_options o)
{
    vic_endpoint_free(s->endpoint);
    s->endpoint = endpoint_of(s, o);
}

static inline int set_up(void **state)
{
    struct system *s = calloc(1, sizeof *s);
    vic_engine_options o = { .size = sizeof o, .threads = 2, .build_threads = 1 };
    uint64_t seed = 5;
    vic_error err;
    assert_non_null(s);
    for (int m = 0; m < 2; m++)
        for (int i = 0; i < 3 * N; i++) s->x[m][i] = 12 * random_uniform(&seed);
    vic_points points = points_at(N, s->x[0], cell), other = points_at(N, s->x[1], cell);
    s->pattern = cutoff_pattern(&points, cutoff);
    s->moved = cutoff_pattern(&other, cutoff);
    s->plan = plan_for(s->pattern);
    s->moved_plan = plan_for(s->moved);
    s->q = numbers(SIZE * MOST, 1);
    s->k = numbers(SIZE * MOST, 2);
    s->v = numbers(SIZE * MOST, 3);
    s->out = numbers(SIZE * MOST, 4);
    s->lse = numbers(ROWS * MOST, 5);
    s->expected = numbers(SIZE, 6);
    s->expected_lse = numbers(ROWS, 7);
    pthread_mutex_init(&s->answers.lock, NULL);
    pthread_cond_init(&s->answers.changed, NULL);
#ifdef ENGINE_ON_GPU
    o.device.type = VIC_CUDA;
    o.streams = 1;
    o.staging_bytes = (size_t)64 << 20;
#endif
    CHECK_OK(vic_engine_create(&o, &s->engine, &err));
    s->endpoint = endpoint_of(s, (vic_endpoint_options){ 0 });
    *state = s;
    return 0;
}

static inline int tear_down(void **state)
{
    struct system *s = *state;
    float *const arrays[] = { s->q, s->k, s->v, s->out, s->lse, s->expected, s->expected_lse };
    vic_endpoint_free(s->endpoint);
    vic_engine_free(s->engine);
    vic_plan_free(s->plan);
    vic_plan_free(s->moved_plan);
    vic_pattern_free(s->pattern);
    vic_pattern_free(s->moved);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
    pthread_cond_destroy(&s->answers.changed);
    pthread_mutex_destroy(&s->answers.lock);
    free(s);
    return 0;
}

static inline void note(void *user, const vic_answer *answer)
{
    struct answers *a = user;
    pthread_mutex_lock(&a->lock);
    assert_true(a->n < ANSWERS);
    a->answer[a->n++] = *answer;
    if (answer->text[0]) snprintf(a->text, sizeof a->text, "%s", answer->text);
    const bool first = a->hold && !a->held;
    a->held = a->held || first;
    pthread_cond_broadcast(&a->changed);
    while (first && a->hold) pthread_cond_wait(&a->changed, &a->lock);
    if (first) a->held = false;
    pthread_mutex_unlock(&a->lock);
}

static inline int answers_now(struct answers *a)
{
    pthread_mutex_lock(&a->lock);
    int n = a->n;
    pthread_mutex_unlock(&a->lock);
    return n;
}

/* Waits until `n` answers have come since they were last forgotten. */
static inline void wait_for(struct answers *a, int n)
{
    pthread_mutex_lock(&a->lock);
    while (a->n < n) pthread_cond_wait(&a->changed, &a->lock);
    pthread_mutex_unlock(&a->lock);
}

static inline void forget(struct answers *a)
{
    pthread_mutex_lock(&a->lock);
    a->n = 0;
    a->text[0] = '\0';
    pthread_mutex_unlock(&a->lock);
}

/* Query `item`; its results go to places of their own. */
static inline vic_query query_of(struct system *s, int item, bool lse)
{
    const size_t at = (size_t)item * SIZE;
    vic_query q = VIC_INIT(vic_query);
    q.q = tensor_of(s->q + at, VIC_F32, 3, shape);
    q.k = tensor_of(s->k + at, VIC_F32, 3, shape);
    q.v = tensor_of(s->v + at, VIC_F32, 3, shape);
    q.out = tensor_of(s->out + at, VIC_F32, 3, shape);
    if (lse) q.lse = tensor_of(s->lse + (size_t)item * ROWS, VIC_F32, 2, shape);
    q.done = note;
    q.user = &s->answers;
    return q;
}

static inline uint64_t submit(struct system *s, const vic_query *q)
{
    uint64_t ticket = 0;
    vic_error err;
    CHECK_OK(vic_submit(s->endpoint, q, &ticket, &err));
    assert_true(ticket != 0);
    return ticket;
}

/* From here to let_go() the thread that answers this query, the first that is answered, stands in its callback. */
static inline void hold_with(struct system *s, const vic_query *q)
{
    s->answers.hold = true;
    submit(s, q);
    pthread_mutex_lock(&s->answers.lock);
    while (!s->answers.held) pthread_cond_wait(&s->answers.changed, &s->answers.lock);
    pthread_mutex_unlock(&s->answers.lock);
}

/* The same for the one thread that launches. */
static inline void hold(struct system *s)
{
    const vic_query q = query_of(s, MOST - 1, false);
    hold_with(s, &q);
}

static inline void let_go(struct system *s)
{
    pthread_mutex_lock(&s->answers.lock);
    s->answers.hold = false;
    pthread_cond_broadcast(&s->answers.changed);
    pthread_mutex_unlock(&s->answers.lock);
}

/* The results of a query that was answered are those of vic_attention() for it alone, bit for bit. */
static inline void check_bits(struct system *s, const vic_plan *plan, const vic_query *q)
{
    vic_attention_args a = { .size = sizeof a,
                             .q = q->q,
                             .k = q->k,
                             .v = q->v,
                             .out = q->out,
                             .lse = q->lse,
                             .scale = q->scale,
                             .zero_scale = q->zero_scale };
    vic_error err;
    a.out = tensor_of(s->expected, VIC_F32, 3, shape);
    if (q->lse.data) a.lse = tensor_of(s->expected_lse, VIC_F32, 2, shape);
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
    for (int64_t i = 0; i < SIZE; i++) {
        const int64_t row = i / (HEADS * DIM), head = i / DIM % HEADS, d = i % DIM;
        const float *got = (const float *)q->out.data + row * q->out.stride[0] + head * q->out.stride[1] + d;
        CHECK(memcmp(got, &s->expected[i], sizeof *got) == 0, "out [%d]: %g, alone %g", (int)i, (double)*got,
              (double)s->expected[i]);
    }
    if (q->lse.data) assert_memory_equal(q->lse.data, s->expected_lse, ROWS * sizeof(float));
}

static inline vic_endpoint_info endpoint_info(const vic_endpoint *e)
{
    vic_endpoint_info info = VIC_INIT(vic_endpoint_info);
    vic_error err;
    CHECK_OK(vic_endpoint_get(e, &info, &err));
    return info;
}

static inline void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = (long)ms * 1000000 }, NULL);
}

#endif
