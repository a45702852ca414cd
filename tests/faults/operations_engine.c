/* SPDX-License-Identifier: Apache-2.0 */
/* An engine with a few queries.  Whatever fails, each query that was accepted is answered once, and with OK only where
 * the result is that of vic_attention(). */
#include "faults/operations.h"

#include "vicinal_engine.h"

#include <pthread.h>

enum { ATOMS = 120, HEADS = 2, DIM = 16, SIZE = ATOMS * HEADS * DIM, QUERIES = 6, MOVES_AT = 3 };

static const int64_t shape[] = { ATOMS, HEADS, DIM };
static double positions[2][3 * ATOMS];
static float inputs[SIZE], outputs[QUERIES][SIZE], expected[2][SIZE];
static vic_pattern *pattern;

static vic_plan_options plan_options(void)
{
    return (vic_plan_options){ .size = sizeof(vic_plan_options), .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM };
}

void engine_setup(void)
{
    const vic_plan_options o = plan_options();
    uint64_t seed = 9;
    vic_error err;
    for (int i = 0; i < SIZE; i++) inputs[i] = (float)random_normal(&seed);
    for (int m = 0; m < 2; m++) {
        for (int i = 0; i < 3 * ATOMS; i++) positions[m][i] = 13.0 * random_uniform(&seed);
        const vic_points points = points_at(ATOMS, positions[m], NULL);
        vic_pattern *p = cutoff_pattern(&points, 4.0);
        vic_plan *plan;
        CHECK_OK(vic_plan_create(NULL, p, &o, &plan, &err));
        const vic_tensor in = tensor_of(inputs, VIC_F32, 3, shape), out = tensor_of(expected[m], VIC_F32, 3, shape);
        const vic_attention_args a = { .size = sizeof a, .q = in, .k = in, .v = in, .out = out };
        CHECK_OK(vic_attention(NULL, plan, &a, &err));
        vic_plan_free(plan);
        if (m == 0)
            pattern = p;
        else
            vic_pattern_free(p);
    }
}

void engine_teardown(void)
{
    vic_pattern_free(pattern);
}

struct served {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int answers;
    vic_error first; /* what failed first */
};

static struct asked {
    struct served *served;
    int number, answers;
} asked[QUERIES];

static void take_answer(void *user, const vic_answer *answer)
{
    struct asked *a = user;
    struct served *s = a->served;
    pthread_mutex_lock(&s->lock);
    assert_int_equal(++a->answers, 1);
    if (answer->status == VIC_OK) {
        /* Those after positions that could not be taken have the ones before. */
        bool moved = answer->version == 2;
        assert_true(answer->version == 1 || (moved && a->number >= MOVES_AT));
        assert_memory_equal(outputs[a->number], expected[moved], sizeof *outputs);
    } else if (s->first.status == VIC_OK) {
        s->first.status = answer->status;
        snprintf(s->first.text, sizeof s->first.text, "%s", answer->text);
    }
    s->answers++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static vic_status ask(vic_endpoint *e, struct served *s, vic_error *err)
{
    const vic_tensor in = tensor_of(inputs, VIC_F32, 3, shape);
    vic_status st = VIC_OK;
    int accepted = 0;
    for (int i = 0; i < QUERIES && st == VIC_OK; i++) {
        vic_query q = { .size = sizeof q, .q = in, .k = in, .v = in, .done = take_answer, .user = &asked[i] };
        asked[i] = (struct asked){ s, i, 0 };
        q.out = tensor_of(outputs[i], VIC_F32, 3, shape);
        q.timeout = i == 1 ? 1000 : 0; /* a deadline takes memory, too */
        if (i == MOVES_AT) q.positions = tensor_of(positions[1], VIC_F64, 2, (const int64_t[]){ ATOMS, 3 });
        st = vic_submit(e, &q, NULL, err);
        accepted += st == VIC_OK;
    }
    pthread_mutex_lock(&s->lock);
    while (s->answers < accepted) pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    if (st == VIC_OK && s->first.status != VIC_OK) *err = s->first;
    return st == VIC_OK ? s->first.status : st;
}

vic_status serve_queries(const char *unused, vic_error *err)
{
    const vic_engine_options eo = { .size = sizeof eo, .threads = 2, .build_threads = 2 };
    const vic_plan_options po = plan_options();
    const vic_endpoint_options o = { .size = sizeof o, .name = "crystal", .plan = &po };
    struct served s = { .first.status = VIC_OK };
    vic_engine *engine = NULL;
    vic_endpoint *e = NULL;
    vic_status st;
    (void)unused;
    memset(outputs, 0xff, sizeof outputs);
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.changed, NULL);
    st = vic_engine_create(&eo, &engine, err);
    assert_true((st == VIC_OK) == (engine != NULL));
    if (st == VIC_OK) st = vic_endpoint_create(engine, pattern, &o, &e, err);
    if (st == VIC_OK) st = ask(e, &s, err);
    if (st == VIC_OK) st = vic_endpoint_replace(e, pattern, NULL, err);
    vic_endpoint_free(e);
    vic_engine_free(engine);
    pthread_cond_destroy(&s.changed);
    pthread_mutex_destroy(&s.lock);
    return st;
}
