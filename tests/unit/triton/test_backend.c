/* SPDX-License-Identifier: Apache-2.0 */
/* The backend on a stand-in for Triton: what is answered to good and to bad requests wherever their bytes lie, new
 * positions, cancellation, several instances at once, and each call of Triton's and each allocation failing
 * in turn. */
#include "objects.h"
#include "stand_in.h"
#include "vicinal_engine.h"

#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { N = 40, HEADS = 2, DIM = 8, ELEMENTS = N * HEADS * DIM, BYTES = 4 * ELEMENTS, REQUESTS = 6 };
static const double CUTOFF = 3.0;

static char folder[64];
static double positions[3 * N];

/* ---- The world ---- */

struct world {
    TRITONBACKEND_Backend backend;
    TRITONBACKEND_Model model;
    TRITONBACKEND_ModelInstance instance;
    char config[2048];
};

/* A configuration; `more` are further parameters, as JSON. */
static void configure(struct world *w, int max_batch, const char *more)
{
    memset(w, 0, sizeof *w);
    snprintf(w->config, sizeof w->config,
             "{\"name\":\"m\",\"max_batch_size\":%d,\"input\":[],\"output\":[ ],\"parameters\":{\"heads\":{"
             "\"string_value\":\"%d\"},\"head_dim\":{\"string_value\":\"%d\"}%s%s}}",
             max_batch, HEADS, DIM, *more ? "," : "", more);
    w->backend.config.json = (char *)(uintptr_t) "{\"cmdline\":{\"threads\":\"2\",\"build-threads\":\"1\"}}";
    w->model = (TRITONBACKEND_Model){
        .backend = &w->backend, .name = "m", .folder = folder, .config = w->config, .complete = true
    };
    w->instance.model = &w->model;
    w->instance.kind = TRITONSERVER_INSTANCEGROUPKIND_CPU;
}

/* Deletes an error and says whether there was one. */
static bool failed(TRITONSERVER_Error *error)
{
    if (error) TRITONSERVER_ErrorDelete(error);
    return error != NULL;
}

static void good(TRITONSERVER_Error *error)
{
    if (error) fail_msg("%s", error->text);
}

static void refused(TRITONSERVER_Error *error, TRITONSERVER_Error_Code code, const char *part)
{
    assert_non_null(error);
    if (error->code != code || !strstr(error->text, part))
        fail_msg("expected code %d with '%s', got %d: %s", (int)code, part, (int)error->code, error->text);
    TRITONSERVER_ErrorDelete(error);
}

static void open_world(struct world *w)
{
    good(TRITONBACKEND_Initialize(&w->backend));
    good(TRITONBACKEND_ModelInitialize(&w->model));
    good(TRITONBACKEND_ModelInstanceInitialize(&w->instance));
}

static void close_world(struct world *w)
{
    good(TRITONBACKEND_ModelInstanceFinalize(&w->instance));
    good(TRITONBACKEND_ModelFinalize(&w->model));
    good(TRITONBACKEND_Finalize(&w->backend));
    free(w->model.completed);
    assert_false(w->instance.disorder);
    assert_int_equal(errors_alive, 0);
    assert_int_equal(messages_alive, 0);
}

/* ---- Requests ---- */

/* Q, K, V and what attention makes of them. */
struct problem {
    float q[ELEMENTS], k[ELEMENTS], v[ELEMENTS], out[ELEMENTS], lse[N * HEADS];
};

static void solve(struct problem *p, const vic_pattern *pattern)
{
    const int64_t shape[3] = { N, HEADS, DIM };
    vic_plan_options options = VIC_INIT(vic_plan_options);
    vic_attention_args a = VIC_INIT(vic_attention_args);
    vic_plan *plan;
    vic_error err;
    options.heads = HEADS;
    options.head_dim = DIM;
    options.dtype = VIC_F32;
    CHECK_OK(vic_plan_create(NULL, pattern, &options, &plan, &err));
    a.q = tensor_of(p->q, VIC_F32, 3, shape);
    a.k = tensor_of(p->k, VIC_F32, 3, shape);
    a.v = tensor_of(p->v, VIC_F32, 3, shape);
    a.out = tensor_of(p->out, VIC_F32, 3, shape);
    a.lse = tensor_of(p->lse, VIC_F32, 2, shape);
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
    vic_plan_free(plan);
}

static void draw(struct problem *p, uint64_t seed, const double at[3 * N])
{
    const vic_points points = points_at(N, at, NULL);
    vic_pattern *pattern = cutoff_pattern(&points, CUTOFF);
    for (int i = 0; i < ELEMENTS; i++) {
        p->q[i] = (float)random_normal(&seed);
        p->k[i] = (float)random_normal(&seed);
        p->v[i] = (float)random_normal(&seed);
    }
    solve(p, pattern);
    vic_pattern_free(pattern);
}

static TRITONBACKEND_Input *add_input(TRITONBACKEND_Request *r, const char *name, TRITONSERVER_DataType type,
                                      const void *data, uint64_t bytes, uint32_t dims, const int64_t *shape)
{
    TRITONBACKEND_Input *in = &r->inputs[r->input_count++];
    *in = (TRITONBACKEND_Input){ .name = name, .type = type, .dims = dims, .bytes = bytes, .pieces = 1 };
    memcpy(in->shape, shape, dims * sizeof *shape);
    in->piece[0] = (struct piece){ data, bytes, TRITONSERVER_MEMORY_CPU };
    return in;
}

/* All three, with a batch dimension of `batch` in front unless it is 0. */
static void ask(TRITONBACKEND_Request *r, const void *q, const void *k, const void *v, int64_t batch)
{
    const int64_t shape[4] = { batch, N, HEADS, DIM };
    const uint64_t bytes = (uint64_t)BYTES * (batch ? (uint64_t)batch : 1);
    const uint32_t front = batch ? 1 : 0;
    memset(r, 0, sizeof *r);
    add_input(r, "K", TRITONSERVER_TYPE_FP32, k, bytes, 3 + front, shape + 1 - front);
    add_input(r, "Q", TRITONSERVER_TYPE_FP32, q, bytes, 3 + front, shape + 1 - front);
    add_input(r, "V", TRITONSERVER_TYPE_FP32, v, bytes, 3 + front, shape + 1 - front);
    r->outputs[r->output_count++] = "O";
}

static void execute(TRITONBACKEND_ModelInstance *instance, TRITONBACKEND_Request *requests, uint32_t count)
{
    TRITONBACKEND_Request *list[16];
    for (uint32_t i = 0; i < count; i++) list[i] = &requests[i];
    good(TRITONBACKEND_ModelInstanceExecute(instance, list, count));
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(requests[i].sent, 1);
        assert_int_equal(requests[i].released, 1);
        assert_int_equal(requests[i].responses, 1);
        assert_int_equal(requests[i].deleted, 0);
    }
}

static void discard(TRITONBACKEND_Request *r)
{
    for (uint32_t i = 0; i < r->given_count; i++) free(r->given[i].memory);
    r->given_count = 0;
}

static const TRITONBACKEND_Output *output(const TRITONBACKEND_Request *r, const char *name)
{
    for (uint32_t i = 0; i < r->given_count; i++)
        if (!strcmp(r->given[i].name, name)) return &r->given[i];
    return NULL;
}

static void check_output(const TRITONBACKEND_Request *r, const char *name, const void *want, size_t bytes)
{
    const TRITONBACKEND_Output *o = output(r, name);
    if (r->failed) fail_msg("%s", r->error);
    assert_non_null(o);
    assert_int_equal(o->bytes, bytes);
    assert_int_equal(o->type, TRITONSERVER_TYPE_FP32);
    assert_memory_equal(o->data, want, bytes);
}

static void check_refused(const TRITONBACKEND_Request *r, TRITONSERVER_Error_Code code, const char *part)
{
    assert_true(r->failed);
    if (r->code != code || !strstr(r->error, part))
        fail_msg("expected code %d with '%s', got %d: %s", (int)code, part, (int)r->code, r->error);
}

/* ---- Good requests ---- */

/* One batch: with and without LSE, LSE alone, at addresses that are not aligned, in pieces, into buffers likewise. */
static void test_results(void **state)
{
    (void)state;
    static struct problem p[REQUESTS];
    static char moved[REQUESTS][3][BYTES + 8];
    static TRITONBACKEND_Request r[REQUESTS];
    struct world w;
    configure(&w, 0, "");
    open_world(&w);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < REQUESTS; i++) {
            draw(&p[i], (uint64_t)(100 * round + i + 1), positions);
            const int off = i % 4 == 2 ? 1 + i : 0; /* memory of one byte more or so */
            memcpy(moved[i][0] + off % 8, p[i].q, BYTES);
            memcpy(moved[i][1] + off % 8, p[i].k, BYTES);
            memcpy(moved[i][2] + off % 8, p[i].v, BYTES);
            ask(&r[i], moved[i][0] + off % 8, moved[i][1] + off % 8, moved[i][2] + off % 8, 0);
            if (i % 3 == 1) r[i].outputs[r[i].output_count++] = "LSE";
            if (i == 5) r[i].outputs[0] = "LSE";
            r[i].skew = i == 3 || i == 4 ? (size_t)i : 0;
            if (i == 1) { /* K in three pieces, one of them empty */
                TRITONBACKEND_Input *k = &r[i].inputs[0];
                k->pieces = 3;
                k->piece[0].bytes = 37;
                k->piece[1] = (struct piece){ NULL, 0, TRITONSERVER_MEMORY_CPU };
                k->piece[2] = (struct piece){ moved[i][1] + 37, BYTES - 37, TRITONSERVER_MEMORY_CPU_PINNED };
            }
        }
        execute(&w.instance, r, REQUESTS);
        for (int i = 0; i < REQUESTS; i++) {
            const bool lse = i % 3 == 1 || i == 5;
            if (i != 5) check_output(&r[i], "O", p[i].out, BYTES);
            if (lse) check_output(&r[i], "LSE", p[i].lse, sizeof p[i].lse);
            assert_int_equal(r[i].given_count, (i != 5) + lse);
            assert_int_equal(r[i].version, 1);
            discard(&r[i]);
        }
    }
    assert_int_equal(w.instance.good, 3 * REQUESTS);
    assert_int_equal(w.instance.bad, 0);
    assert_int_equal(w.instance.batches, 3);
    good(TRITONBACKEND_ModelInstanceReady(&w.instance));
    close_world(&w);
}

static void test_batch_dimension(void **state)
{
    (void)state;
    static struct problem p[3];
    static float q[3 * ELEMENTS], k[3 * ELEMENTS], v[3 * ELEMENTS];
    TRITONBACKEND_Request r[2];
    struct world w;
    configure(&w, 8, "");
    open_world(&w);
    for (int i = 0; i < 3; i++) {
        draw(&p[i], (uint64_t)i + 7, positions);
        memcpy(q + i * ELEMENTS, p[i].q, BYTES);
        memcpy(k + i * ELEMENTS, p[i].k, BYTES);
        memcpy(v + i * ELEMENTS, p[i].v, BYTES);
    }
    ask(&r[0], q, k, v, 3);
    ask(&r[1], q, k, v, 1);
    r[0].outputs[r[0].output_count++] = "LSE";
    execute(&w.instance, r, 2);
    check_output(&r[1], "O", p[0].out, BYTES);
    assert_int_equal(output(&r[1], "O")->dims, 4);
    assert_int_equal(output(&r[1], "O")->shape[0], 1);
    assert_false(r[0].failed);
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(output(&r[0], "O")->data + (size_t)i * BYTES, p[i].out, BYTES);
        assert_memory_equal(output(&r[0], "LSE")->data + (size_t)i * sizeof p[i].lse, p[i].lse, sizeof p[i].lse);
    }
    assert_int_equal(output(&r[0], "LSE")->dims, 3);
    assert_int_equal(output(&r[0], "LSE")->shape[0], 3);
    discard(&r[0]);
    discard(&r[1]);
    close_world(&w);
}

/* ---- Positions ---- */

static void bring(TRITONBACKEND_Request *r, const char *name, const void *data, int64_t rows)
{
    const int64_t shape[2] = { rows, 3 };
    add_input(r, name, TRITONSERVER_TYPE_FP64, data, (uint64_t)(rows * 3) * 8, 2, shape);
}

/* In one batch: a request, one that brings positions, one after it. */
static void test_positions(void **state)
{
    (void)state;
    static struct problem before, after;
    static TRITONBACKEND_Request r[4];
    double moved[3 * N];
    uint64_t seed = 3;
    struct world w;
    configure(&w, 0, "\"positions\":{\"string_value\":\"FP64\"}");
    open_world(&w);
    assert_non_null(strstr(w.model.completed, "{\"name\":\"POSITIONS\",\"data_type\":\"TYPE_FP64\",\"dims\":[40,3],"
                                              "\"optional\":true}"));
    for (int i = 0; i < 3 * N; i++) moved[i] = positions[i] + random_uniform(&seed) - 0.5;
    draw(&before, 5, positions);
    draw(&after, 5, moved);
    assert_memory_not_equal(before.out, after.out, BYTES);
    for (int i = 0; i < 3; i++) ask(&r[i], before.q, before.k, before.v, 0);
    bring(&r[1], "POSITIONS", moved, N);
    execute(&w.instance, r, 3);
    check_output(&r[0], "O", before.out, BYTES);
    check_output(&r[1], "O", after.out, BYTES);
    check_output(&r[2], "O", after.out, BYTES);
    assert_int_equal(r[0].version, 1);
    assert_int_equal(r[1].version, 2);
    assert_int_equal(r[2].version, 2);
    for (int i = 0; i < 3; i++) discard(&r[i]);

    /* Alone, and what is wrong with positions. */
    memset(r, 0, sizeof r);
    bring(&r[0], "POSITIONS", positions, N);
    r[0].outputs[r[0].output_count++] = "O";
    ask(&r[1], before.q, before.k, before.v, 0);
    ask(&r[2], before.q, before.k, before.v, 0);
    bring(&r[2], "POSITIONS", moved, N - 1);
    ask(&r[3], before.q, before.k, before.v, 0);
    bring(&r[3], "CELL", moved, 3);
    execute(&w.instance, r, 4);
    assert_false(r[0].failed);
    assert_int_equal(r[0].given_count, 0);
    assert_int_equal(r[0].version, 3);
    check_output(&r[1], "O", before.out, BYTES);
    check_refused(&r[2], TRITONSERVER_ERROR_INVALID_ARG, "positions: expected shape [40, 3]");
    check_refused(&r[3], TRITONSERVER_ERROR_INVALID_ARG, "CELL: not one of the model's"); /* it is not periodic */
    for (int i = 0; i < 4; i++) discard(&r[i]);
    close_world(&w);
}

/* A cell alone, in float32; one that is none. */
static void test_cells(void **state)
{
    (void)state;
    static struct problem p;
    static TRITONBACKEND_Request r[3];
    const float wider[9] = { 9, 0, 0, 0, 9, 0, 0, 0, 9 };
    const double cell[9] = { 9, 0, 0, 0, 9, 0, 0, 0, 9 };
    const vic_points points = points_at(N, positions, cell);
    struct world w;
    configure(&w, 0, "\"positions\":{\"string_value\":\"FP32\"},\"structure\":{\"string_value\":\"periodic.vnp\"}");
    open_world(&w);
    assert_non_null(strstr(w.model.completed, "{\"name\":\"CELL\",\"data_type\":\"TYPE_FP32\",\"dims\":[3,3],"
                                              "\"optional\":true}"));
    draw(&p, 5, positions);
    vic_pattern *pattern = cutoff_pattern(&points, CUTOFF);
    solve(&p, pattern);
    vic_pattern_free(pattern);
    for (int i = 0; i < 3; i++) ask(&r[i], p.q, p.k, p.v, 0);
    add_input(&r[0], "CELL", TRITONSERVER_TYPE_FP32, wider, 24, 2, (const int64_t[]){ 2, 3 });
    add_input(&r[1], "CELL", TRITONSERVER_TYPE_FP32, wider, 36, 2, (const int64_t[]){ 3, 3 });
    execute(&w.instance, r, 3);
    check_refused(&r[0], TRITONSERVER_ERROR_INVALID_ARG,
                  "CELL: expected shape [3, 3], the vectors as rows, got [2, 3]");
    check_output(&r[1], "O", p.out, BYTES);
    check_output(&r[2], "O", p.out, BYTES);
    assert_int_equal(r[2].version, 2);
    for (int i = 0; i < 3; i++) discard(&r[i]);
    close_world(&w);
}

/* ---- Bad requests ---- */

enum bad {
    NO_V,
    NOTHING,
    UNKNOWN_INPUT,
    WRONG_TYPE,
    WRONG_DIMS,
    WRONG_ROWS,
    NEGATIVE,
    TOO_FEW_BYTES,
    OVERFLOW,
    SHORT_PIECES,
    LONG_PIECES,
    UNKNOWN_OUTPUT,
    ON_A_GPU,
    CANCELLED,
    FINE,
    CASES
};

static void spoil(TRITONBACKEND_Request *r, enum bad how)
{
    TRITONBACKEND_Input *k = &r->inputs[0];
    switch (how) {
    case NO_V: r->input_count = 2; break;
    case NOTHING: r->input_count = 0; break;
    case UNKNOWN_INPUT: k->name = "POSITIONS"; break; /* the model has none */
    case WRONG_TYPE: k->type = TRITONSERVER_TYPE_BF16; break;
    case WRONG_DIMS: k->dims = 2; break;
    case WRONG_ROWS: k->shape[0] = N - 1, k->bytes = k->piece[0].bytes = BYTES - BYTES / N; break;
    case NEGATIVE: k->shape[0] = -1; break;
    case TOO_FEW_BYTES: k->bytes = BYTES - 4; break;
    case OVERFLOW: k->shape[0] = INT64_MAX / 2, k->shape[1] = 8; break;
    case SHORT_PIECES: k->piece[0].bytes = BYTES - 8; break;
    case LONG_PIECES: k->piece[0].bytes = BYTES + 8; break;
    case UNKNOWN_OUTPUT: r->outputs[0] = "OUT"; break;
    case ON_A_GPU: k->piece[0].memory = TRITONSERVER_MEMORY_GPU; break;
    case CANCELLED: r->cancelled = true; break;
    case FINE:
    case CASES: break;
    }
}

static void test_bad_requests(void **state)
{
    (void)state;
    static const struct {
        TRITONSERVER_Error_Code code;
        const char *part;
    } expected[CASES] = {
        [NO_V] = { TRITONSERVER_ERROR_INVALID_ARG, "input V is missing: expected Q, K and V" },
        [NOTHING] = { TRITONSERVER_ERROR_INVALID_ARG, "is missing" },
        [UNKNOWN_INPUT] = { TRITONSERVER_ERROR_INVALID_ARG, "input POSITIONS: not one of the model's" },
        [WRONG_TYPE] = { TRITONSERVER_ERROR_INVALID_ARG, "input K: expected float32, got Triton's type 14" },
        [WRONG_DIMS] = { TRITONSERVER_ERROR_INVALID_ARG, "input K: expected 3 dimensions, got 2" },
        [WRONG_ROWS] = { TRITONSERVER_ERROR_INVALID_ARG, "k" },
        [NEGATIVE] = { TRITONSERVER_ERROR_INVALID_ARG, "as many bytes as its shape says" },
        [TOO_FEW_BYTES] = { TRITONSERVER_ERROR_INVALID_ARG, "as many bytes as its shape says" },
        [OVERFLOW] = { TRITONSERVER_ERROR_INVALID_ARG, "as many bytes as its shape says" },
        [SHORT_PIECES] = { TRITONSERVER_ERROR_INVALID_ARG, "expected buffers of" },
        [LONG_PIECES] = { TRITONSERVER_ERROR_INVALID_ARG, "hold more than its" },
        [UNKNOWN_OUTPUT] = { TRITONSERVER_ERROR_INVALID_ARG, "output OUT: not known; there are O and LSE" },
        [ON_A_GPU] = { TRITONSERVER_ERROR_UNSUPPORTED, "" },
        [CANCELLED] = { TRITONSERVER_ERROR_CANCELLED, "cancelled" },
    };
    static struct problem p;
    static TRITONBACKEND_Request r[CASES];
    struct world w;
    vic_device_info gpu = VIC_INIT(vic_device_info);
    const bool has_gpu =
        vic_device_get(1, &gpu, NULL) == VIC_OK; /* then the copy from "its" memory is another story */
    draw(&p, 11, positions);
    configure(&w, 0, "");
    open_world(&w);
    for (int i = 0; i < CASES; i++) {
        ask(&r[i], p.q, p.k, p.v, 0);
        if (i != ON_A_GPU || !has_gpu) spoil(&r[i], (enum bad)i);
    }
    execute(&w.instance, r, CASES);
    for (int i = 0; i < CASES; i++) {
        if (i == FINE || (i == ON_A_GPU && has_gpu)) {
            check_output(&r[i], "O", p.out, BYTES);
        } else {
            check_refused(&r[i], expected[i].code, expected[i].part);
        }
        discard(&r[i]);
    }
    assert_int_equal(w.instance.good + w.instance.bad, CASES);
    assert_int_equal(w.instance.batches, 1);
    close_world(&w);

    configure(&w, 4, "\"positions\":{\"string_value\":\"FP64\"}");
    open_world(&w);
    static float many[2 * ELEMENTS];
    static double two[2 * 3 * N];
    ask(&r[0], many, many, many, 2);
    add_input(&r[0], "POSITIONS", TRITONSERVER_TYPE_FP64, two, sizeof two, 3, (const int64_t[]){ 2, N, 3 });
    execute(&w.instance, r, 1);
    check_refused(&r[0], TRITONSERVER_ERROR_INVALID_ARG, "expected a first dimension of 1, got 2");
    discard(&r[0]);
    close_world(&w);
}

/* ---- Cancelled while it waits: the model's max-delay holds the query back for others to come ---- */

static void *cancel_soon(void *request)
{
    nanosleep(&(struct timespec){ 0, 60000000 }, NULL);
    ((TRITONBACKEND_Request *)request)->cancelled = true;
    return NULL;
}

static void test_cancelled_while_waiting(void **state)
{
    (void)state;
    static struct problem p;
    TRITONBACKEND_Request r;
    pthread_t thread;
    struct world w;
    struct timespec from, to;
    draw(&p, 11, positions);
    configure(&w, 0, "\"max_delay\":{\"string_value\":\"600\"}");
    open_world(&w);
    ask(&r, p.q, p.k, p.v, 0);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &r), 0);
    clock_gettime(CLOCK_MONOTONIC, &from);
    execute(&w.instance, &r, 1);
    clock_gettime(CLOCK_MONOTONIC, &to);
    pthread_join(thread, NULL);
    check_refused(&r, TRITONSERVER_ERROR_CANCELLED, "");
    CHECK(to.tv_sec - from.tv_sec < 300, "it waited for others all the same");
    discard(&r);
    close_world(&w);
}

/* ---- Several instances ---- */

enum { THREADS = 4, ROUNDS = 20 };
struct caller {
    pthread_t thread;
    TRITONBACKEND_ModelInstance instance;
    struct problem problem;
    int wrong;
};

static void *call(void *pointer)
{
    struct caller *c = pointer;
    TRITONBACKEND_Request r[3], *list[3] = { &r[0], &r[1], &r[2] };
    if (failed(TRITONBACKEND_ModelInstanceInitialize(&c->instance))) return NULL;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 3; i++) ask(&r[i], c->problem.q, c->problem.k, c->problem.v, 0);
        c->wrong += failed(TRITONBACKEND_ModelInstanceExecute(&c->instance, list, 3));
        for (int i = 0; i < 3; i++) {
            c->wrong +=
                r[i].failed || r[i].given_count != 1 || memcmp(r[i].given[0].data, c->problem.out, BYTES) != 0;
            discard(&r[i]);
        }
    }
    c->wrong += failed(TRITONBACKEND_ModelInstanceFinalize(&c->instance));
    return NULL;
}

static void test_instances_at_once(void **state)
{
    (void)state;
    static struct caller callers[THREADS];
    struct world w;
    configure(&w, 0, "");
    good(TRITONBACKEND_Initialize(&w.backend));
    good(TRITONBACKEND_ModelInitialize(&w.model));
    for (int i = 0; i < THREADS; i++) {
        memset(&callers[i], 0, sizeof callers[i]);
        draw(&callers[i].problem, (uint64_t)i + 20, positions);
        callers[i].instance.model = &w.model;
        callers[i].instance.kind = TRITONSERVER_INSTANCEGROUPKIND_CPU;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].wrong, 0);
        assert_int_equal(callers[i].instance.good, 3 * ROUNDS);
        assert_false(callers[i].instance.disorder);
    }
    good(TRITONBACKEND_ModelInstanceInitialize(&w.instance));
    close_world(&w);
}

/* ---- Backend, model and instances that cannot be ---- */

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *more, *part;
    } cases[] = {
        { "\"cutof\":{\"string_value\":\"3\"}", "parameter cutof is not known; there are structure, cutoff" },
        { "\"scale\":{\"string_value\":\"nan\"}", "parameter scale: expected a number, got 'nan'" },
        { "\"scale\":{}", "parameter scale: expected { string_value" },
        { "\"queue\":{\"string_value\":\"0\"}", "queue: expected a whole number from 1 to 2147483647, got '0'" },
        { "\"timeout\":{\"string_value\":\"-1\"}", "timeout: expected a number of seconds, 0 or more, got '-1'" },
        { "\"symmetry\":{\"string_value\":\"yes\"}", "symmetry: expected true or false, got 'yes'" },
        { "\"cell\":{\"string_value\":\"10,10\"}", "cell: expected a,b,c" },
        { "\"cell\":{\"string_value\":\"10,10,10,90,90,190\"}", "cell: expected a,b,c" },
        { "\"pbc\":{\"string_value\":\"xx\"}", "pbc: expected auto, none, or axes" },
        { "\"supercell\":{\"string_value\":\"2x2\"}", "supercell: expected AxBxC" },
        { "\"dtype\":{\"string_value\":\"FP8\"}", "dtype: expected FP32, FP16, BF16 or FP64" },
        { "\"dtype\":{\"string_value\":\"FP64\"}", "" },
        { "\"structure\":{\"string_value\":\"../1/pattern.vnp\"}",
          "structure: expected the name of a file in the version's folder" },
        { "\"structure\":{\"string_value\":\"a/../../b.vnp\"}", "in the version's folder" },
        { "\"structure\":{\"string_value\":\"/1/pattern.vnp\"}", "in the version's folder" },
        { "\"structure\":{\"string_value\":\"absent.vnp\"}", "absent.vnp" },
        { "\"structure\":{\"string_value\":\"s.cif\"}", "parameter cutoff is missing" },
        { "\"cutoff\":{\"string_value\":\"3\"}",
          "belong to a structure; the pairs of pattern.vnp are there already" },
        { "\"positions\":{\"string_value\":\"FP16\"}", "POSITIONS: expected FP32 or FP64, got TYPE_FP16" },
        { "\"kernel\":{\"string_value\":\"none\"}", "none" },
    };
    struct world w;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        configure(&w, 0, cases[i].more);
        good(TRITONBACKEND_Initialize(&w.backend));
        TRITONSERVER_Error *error = TRITONBACKEND_ModelInitialize(&w.model);
        const bool has_model = error == NULL; /* of kernels it is the instance that knows */
        if (!error) error = TRITONBACKEND_ModelInstanceInitialize(&w.instance);
        if (!error) fail_msg("%s was taken", cases[i].more);
        if (!strstr(error->text, cases[i].part)) fail_msg("%s: %s", cases[i].more, error->text);
        TRITONSERVER_ErrorDelete(error);
        if (has_model) good(TRITONBACKEND_ModelFinalize(&w.model));
        good(TRITONBACKEND_Finalize(&w.backend));
        free(w.model.completed);
    }

    configure(&w, 0, "");
    interface_minor = TRITON_API_MINOR - 1;
    refused(TRITONBACKEND_Initialize(&w.backend), TRITONSERVER_ERROR_UNSUPPORTED, "1.18");
    interface_minor = TRITON_API_MINOR;
    w.backend.config.json = (char *)(uintptr_t) "{\"cmdline\":{\"threads\":\"none\"}}";
    refused(TRITONBACKEND_Initialize(&w.backend), TRITONSERVER_ERROR_INVALID_ARG, "threads: expected a whole number");
    w.backend.config.json = (char *)(uintptr_t) "{";
    refused(TRITONBACKEND_Initialize(&w.backend), TRITONSERVER_ERROR_INVALID_ARG, "not JSON");
    w.backend.config.json = (char *)(uintptr_t) "{\"cmdline\":{\"thread\":\"2\"}}";
    good(TRITONBACKEND_Initialize(&w.backend));
    w.model.complete = false;
    refused(TRITONBACKEND_ModelInitialize(&w.model), TRITONSERVER_ERROR_INVALID_ARG,
            "does not complete configurations");
    w.model.complete = true;
    w.model.config = "[]";
    refused(TRITONBACKEND_ModelInitialize(&w.model), TRITONSERVER_ERROR_INVALID_ARG, "heads is missing");
    w.model.config = "{\"a\":}";
    refused(TRITONBACKEND_ModelInitialize(&w.model), TRITONSERVER_ERROR_INVALID_ARG, "not JSON");
    good(TRITONBACKEND_Finalize(&w.backend));
    free(w.model.completed);
}

/* A model that follows positions is on one device; this one has an instance on the CPU. */
static void test_one_device_for_positions(void **state)
{
    (void)state;
    struct world w;
    TRITONBACKEND_ModelInstance second = { .kind = TRITONSERVER_INSTANCEGROUPKIND_GPU };
    configure(&w, 0, "\"positions\":{\"string_value\":\"FP32\"}");
    open_world(&w);
    second.model = &w.model;
    refused(TRITONBACKEND_ModelInstanceInitialize(&second), TRITONSERVER_ERROR_INVALID_ARG, "lives on one device");
    second.kind = TRITONSERVER_INSTANCEGROUPKIND_MODEL;
    refused(TRITONBACKEND_ModelInstanceInitialize(&second), TRITONSERVER_ERROR_INVALID_ARG, "KIND_CPU or KIND_GPU");
    second.kind = TRITONSERVER_INSTANCEGROUPKIND_CPU;
    good(TRITONBACKEND_ModelInstanceInitialize(&second));
    good(TRITONBACKEND_ModelInstanceFinalize(&second));
    close_world(&w);
}

static void test_preferred_instances(void **state)
{
    (void)state;
    TRITONBACKEND_BackendAttribute attribute = { .groups = 0 };
    good(TRITONBACKEND_GetBackendAttribute(NULL, &attribute));
    assert_true(attribute.groups >= 1 && attribute.parallel);
    assert_int_equal(attribute.kinds[attribute.groups - 1], TRITONSERVER_INSTANCEGROUPKIND_CPU);
}

/* ---- Each call of Triton's failing in turn ---- */

static void finalize(TRITONSERVER_Error *(*function)(void *), void *handle)
{
    while (failed(function(handle))) continue; /* a call fails once */
}

static TRITONSERVER_Error *finalize_instance(void *handle)
{
    return TRITONBACKEND_ModelInstanceFinalize(handle);
}

static TRITONSERVER_Error *finalize_model(void *handle)
{
    return TRITONBACKEND_ModelFinalize(handle);
}

static TRITONSERVER_Error *finalize_backend(void *handle)
{
    return TRITONBACKEND_Finalize(handle);
}

/* All that a backend does, once.  Every request is answered and released once, or not touched; what is answered as
 * good is right. */
static void life(const struct problem *p)
{
    static TRITONBACKEND_Request r[3];
    TRITONBACKEND_Request *list[3] = { &r[0], &r[1], &r[2] };
    struct world w;
    configure(&w, 0, "\"positions\":{\"string_value\":\"FP64\"}");
    if (failed(TRITONBACKEND_Initialize(&w.backend))) return;
    if (!failed(TRITONBACKEND_ModelInitialize(&w.model))) {
        if (!failed(TRITONBACKEND_ModelInstanceInitialize(&w.instance))) {
            for (int i = 0; i < 3; i++) ask(&r[i], p->q, p->k, p->v, 0);
            bring(&r[1], "POSITIONS", positions, N);
            r[1].outputs[r[1].output_count++] = "LSE";
            r[2].skew = 2;
            const bool none = failed(TRITONBACKEND_ModelInstanceExecute(&w.instance, list, 3));
            for (int i = 0; i < 3; i++) {
                assert_int_equal(r[i].sent, !none);
                assert_int_equal(r[i].released, !none);
                assert_int_equal(r[i].responses - r[i].deleted, !none);
                if (!none && !r[i].failed) check_output(&r[i], "O", p->out, BYTES);
                discard(&r[i]);
            }
            (void)failed(TRITONBACKEND_ModelInstanceReady(&w.instance));
            finalize(finalize_instance, &w.instance);
        }
        finalize(finalize_model, &w.model);
    }
    finalize(finalize_backend, &w.backend);
    free(w.model.completed);
    assert_false(w.instance.disorder);
}

static void test_failing_calls(void **state)
{
    (void)state;
    static struct problem p;
    long met = 0;
    draw(&p, 4, positions);
    for (bool failing = true; failing; met += failing) {
        calls = 0;
        failing_call = met + 1;
        life(&p);
        failing = calls >= failing_call;
        failing_call = 0;
        assert_int_equal(errors_alive, 0);
        assert_int_equal(messages_alive, 0);
    }
    print_message("%ld failing calls met\n", met);
    assert_true(met > 60);
}

static void test_failing_allocations(void **state)
{
    (void)state;
    static struct problem p;
    long met = 0;
    draw(&p, 4, positions);
    for (bool failing = true; failing; met += failing) {
        allocations = 0;
        failing_allocation = met + 1;
        life(&p);
        failing = allocations >= failing_allocation;
        failing_allocation = 0;
        assert_int_equal(errors_alive, 0);
        assert_int_equal(messages_alive, 0);
    }
    print_message("%ld failing allocations met\n", met);
    assert_true(met > 60);
}

static int set_up(void **state)
{
    (void)state;
    char path[128];
    uint64_t seed = 1;
    vic_error err;
    for (int i = 0; i < 3 * N; i++) positions[i] = 7.0 * random_uniform(&seed);
    const vic_points points = points_at(N, positions, NULL);
    vic_pattern *pattern = cutoff_pattern(&points, CUTOFF);
    strcpy(folder, "/tmp/vicinal-triton-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/1", folder);
    if (mkdir(path, 0700) != 0) return -1;
    snprintf(path, sizeof path, "%s/1/pattern.vnp", folder);
    CHECK_OK(vic_pattern_save(pattern, path, &err));
    vic_pattern_free(pattern);
    const vic_points crystal = points_at(N, positions, (const double[]){ 8, 0, 0, 0, 8, 0, 0, 0, 8 });
    pattern = cutoff_pattern(&crystal, CUTOFF);
    snprintf(path, sizeof path, "%s/1/periodic.vnp", folder);
    CHECK_OK(vic_pattern_save(pattern, path, &err));
    vic_pattern_free(pattern);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/1/pattern.vnp", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/1/periodic.vnp", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/1", folder);
    rmdir(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_batch_dimension),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_cancelled_while_waiting),
        cmocka_unit_test(test_instances_at_once),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_one_device_for_positions),
        cmocka_unit_test(test_preferred_instances),
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests_name("triton backend", tests, set_up, tear_down);
}
