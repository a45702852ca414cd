/* SPDX-License-Identifier: Apache-2.0 */
/* Engines on a GPU: tensors in its memory, in memory of the host, pinned or not, and mixed; many queries at once while
 * positions change; cancelling, draining and freeing with work under way.  Always the bits of a query alone. */
#include "objects.h"
#include "vicinal_engine.h"

#ifdef VIC_HAVE_CUDA

#include "base/half.h"

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { N = 1500, HEADS = 2, DIM = 32, SIZE = N * HEADS * DIM, ROWS = N * HEADS, INPUTS = 8, MOST = 96 };
enum { RESIDENT, PAGED, PINNED, MIXED, STRIDED, PLACEMENTS }; /* STRIDED: heads first, in memory of the host */

static const vic_device gpu = { VIC_CUDA, 0 }, cpu = { VIC_CPU, 0 }, pinned = { VIC_CUDA_HOST, 0 };
static const int64_t shape[] = { N, HEADS, DIM };
static const double cell[9] = { 30, 0, 0, 0, 30, 0, 0, 0, 30 };

static vic_error err;
static bool has_gpu;
static double positions[2][3 * N];
static vic_pattern *pattern;
static uint16_t *inputs[3][PLACEMENTS][INPUTS]; /* of MIXED: NULL */
static uint16_t expected[2][INPUTS][SIZE];      /* at the first and at the second positions */
static float expected_lse[2][INPUTS][ROWS];

/* ---- queries ---- */

/* A query with results of its own. */
struct place {
    vic_query query;
    int input, placement;
    bool lse;
    void *out, *lse_data; /* in memory of `results` */
    vic_device results;
    atomic_int answers;
    vic_status status;
    uint64_t version;
    char text[256];
};

static void *memory_on(vic_device device, size_t bytes)
{
    void *memory;
    vic_error error;
    if (vic_memory_alloc(device, bytes, &memory, &error) != VIC_OK) fail_msg("%s", error.text);
    return memory;
}

static vic_tensor tensor_on(vic_device device, void *data, vic_dtype dtype, int ndim)
{
    vic_tensor t = vic_tensor_make(data, dtype, ndim, shape);
    t.device = device;
    return t;
}

static vic_device device_of(int placement, int tensor)
{
    if (placement == MIXED) placement = tensor % 3;
    return placement == RESIDENT ? gpu : placement == PINNED ? pinned : cpu;
}

static uint16_t *input_of(int placement, int tensor, int input)
{
    return inputs[tensor][placement == MIXED ? tensor % 3 : placement][input];
}

static void place_open(struct place *p, int placement, bool lse)
{
    p->placement = placement;
    p->lse = lse;
    p->results = device_of(placement, 4);
    p->out = memory_on(p->results, SIZE * sizeof(uint16_t));
    p->lse_data = memory_on(p->results, ROWS * sizeof(float));
}

static void place_close(struct place *p)
{
    vic_memory_free(p->results, p->out);
    vic_memory_free(p->results, p->lse_data);
}

static void note(void *user, const vic_answer *answer)
{
    struct place *p = user;
    p->status = answer->status;
    p->version = answer->version;
    snprintf(p->text, sizeof p->text, "%s", answer->text);
    atomic_fetch_add(&p->answers, 1);
}

static void put_strides(vic_tensor *t, int placement)
{
    if (placement != STRIDED) return;
    t->stride[0] = DIM;
    t->stride[1] = N * DIM;
}

static void prepare(struct place *p, int input)
{
    vic_query q = VIC_INIT(vic_query);
    vic_tensor *const tensors[] = { &q.q, &q.k, &q.v };
    p->input = input;
    for (int t = 0; t < 3; t++) {
        *tensors[t] = tensor_on(device_of(p->placement, t), input_of(p->placement, t, input), VIC_F16, 3);
        put_strides(tensors[t], p->placement);
    }
    q.out = tensor_on(p->results, p->out, VIC_F16, 3);
    put_strides(&q.out, p->placement);
    if (p->lse) q.lse = tensor_on(p->results, p->lse_data, VIC_F32, 2);
    q.done = note;
    q.user = p;
    p->query = q;
    atomic_store(&p->answers, 0);
}

static void wait_for(struct place *p)
{
    while (atomic_load(&p->answers) == 0) nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
}

static void *copy_back(const struct place *p, const void *from, size_t bytes)
{
    void *to = malloc(bytes);
    vic_error error;
    assert_non_null(to);
    if (vic_memory_copy(cpu, to, p->results, from, bytes, &error) != VIC_OK) fail_msg("%s", error.text);
    return to;
}

static void place_check(const struct place *p, int at)
{
    uint16_t *out = copy_back(p, p->out, SIZE * sizeof *out);
    CHECK(p->status == VIC_OK, "%s", p->text);
    for (int i = 0; i < SIZE; i++) {
        const int row = i / (HEADS * DIM), head = i / DIM % HEADS, d = i % DIM;
        const int found = p->placement == STRIDED ? (head * N + row) * DIM + d : i;
        CHECK(out[found] == expected[at][p->input][i], "input %d, placement %d, positions %d: out [%d, %d, %d]",
              p->input, p->placement, at, row, head, d);
    }
    free(out);
    if (!p->lse) return;
    float *lse = copy_back(p, p->lse_data, ROWS * sizeof *lse);
    assert_memory_equal(lse, expected_lse[at][p->input], ROWS * sizeof *lse);
    free(lse);
}

/* ---- what is expected ---- */

static vic_plan_options plan_options(void)
{
    return (vic_plan_options){
        .size = sizeof(vic_plan_options), .device = gpu, .dtype = VIC_F16, .heads = HEADS, .head_dim = DIM
    };
}

static void compute_expected(int at, const vic_pattern *p)
{
    const vic_plan_options o = plan_options();
    vic_plan *plan;
    struct place alone = { .answers = 0 };
    CHECK_OK(vic_plan_create(NULL, p, &o, &plan, &err));
    place_open(&alone, RESIDENT, true);
    for (int i = 0; i < INPUTS; i++) {
        prepare(&alone, i);
        const vic_attention_args a = { .size = sizeof a,
                                       .q = alone.query.q,
                                       .k = alone.query.k,
                                       .v = alone.query.v,
                                       .out = alone.query.out,
                                       .lse = alone.query.lse };
        CHECK_OK(vic_attention(NULL, plan, &a, &err));
        CHECK_OK(vic_memory_copy(cpu, expected[at][i], gpu, alone.out, sizeof expected[at][i], &err));
        CHECK_OK(vic_memory_copy(cpu, expected_lse[at][i], gpu, alone.lse_data, sizeof expected_lse[at][i], &err));
    }
    place_close(&alone);
    vic_plan_free(plan);
}

static void make_input(int tensor, int input, uint64_t *seed)
{
    static uint16_t x[SIZE], heads_first[SIZE];
    for (int i = 0; i < SIZE; i++) {
        const int row = i / (HEADS * DIM), head = i / DIM % HEADS, d = i % DIM;
        x[i] = f16_from_f32((float)random_normal(seed));
        heads_first[(head * N + row) * DIM + d] = x[i];
    }
    for (int p = 0; p < PLACEMENTS; p++) {
        if (p == MIXED) continue;
        inputs[tensor][p][input] = memory_on(device_of(p, tensor), sizeof x);
        CHECK_OK(vic_memory_copy(device_of(p, tensor), inputs[tensor][p][input], cpu, p == STRIDED ? heads_first : x,
                                 sizeof x, &err));
    }
}

static int start(void **state)
{
    uint64_t seed = 3;
    int devices = 0;
    (void)state;
    has_gpu = cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
    cudaGetLastError();
    if (!has_gpu) {
        print_message("skipped: this machine has no GPU that CUDA can use\n");
        return 0;
    }
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < INPUTS; i++) make_input(t, i, &seed);
    for (int m = 0; m < 2; m++) {
        for (int i = 0; i < 3 * N; i++) positions[m][i] = 30 * random_uniform(&seed);
        const vic_points points = points_at(N, positions[m], cell);
        vic_pattern *p = cutoff_pattern(&points, 5.0);
        compute_expected(m, p);
        if (m == 0)
            pattern = p;
        else
            vic_pattern_free(p);
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    vic_pattern_free(pattern);
    for (int t = 0; t < 3; t++)
        for (int p = 0; p < PLACEMENTS; p++)
            for (int i = 0; i < INPUTS; i++) vic_memory_free(device_of(p, t), inputs[t][p][i]);
    return 0;
}

/* ---- an engine ---- */

struct served {
    vic_engine *engine;
    vic_endpoint *endpoint;
};

static struct served serve(int streams, size_t staging_bytes, int max_queue)
{
    const vic_engine_options eo = {
        .size = sizeof eo, .device = gpu, .streams = streams, .staging_bytes = staging_bytes
    };
    const vic_plan_options po = plan_options();
    const vic_endpoint_options o = { .size = sizeof o, .name = "gpu", .plan = &po, .max_queue = max_queue };
    struct served s;
    CHECK_OK(vic_engine_create(&eo, &s.engine, &err));
    CHECK_OK(vic_endpoint_create(s.engine, pattern, &o, &s.endpoint, &err));
    return s;
}

static void end(struct served *s)
{
    vic_endpoint_free(s->endpoint);
    vic_engine_free(s->engine);
}

static vic_endpoint_info info_now(const struct served *s)
{
    vic_endpoint_info info = VIC_INIT(vic_endpoint_info);
    CHECK_OK(vic_endpoint_get(s->endpoint, &info, &err));
    return info;
}

/* Queries of all placements at once, in engines with one stream and several, with staging that holds many and none. */
static void test_bits(void **state)
{
    static const struct {
        int streams;
        size_t staging;
    } engines[] = { { 1, 0 }, { 2, 0 }, { 3, (size_t)4 << 20 }, { 1, 4096 } };
    struct place *places = calloc(MOST, sizeof *places);
    (void)state;
    if (!has_gpu) skip();
    assert_non_null(places);
    for (int i = 0; i < MOST; i++) place_open(&places[i], i % PLACEMENTS, i % 3 != 0);
    for (size_t k = 0; k < sizeof engines / sizeof *engines; k++) {
        struct served s = serve(engines[k].streams, engines[k].staging, 0);
        for (int round = 0; round < 5; round++) {
            for (int i = 0; i < MOST; i++) {
                prepare(&places[i], (i + round) % INPUTS);
                CHECK_OK(vic_submit(s.endpoint, &places[i].query, NULL, &err));
            }
            for (int i = 0; i < MOST; i++) wait_for(&places[i]);
            for (int i = 0; i < MOST; i++) place_check(&places[i], 0);
        }
        const vic_endpoint_info info = info_now(&s);
        assert_int_equal(info.answered, 5 * MOST);
        assert_true(info.launches < 5 * MOST || engines[k].staging == 4096);
        for (int stage = VIC_STAGE_QUEUE; stage < VIC_STAGES; stage++) assert_true(info.time_ns[stage] > 0);
        print_message("%d streams, %zu bytes of staging: %llu queries in %llu launches\n", engines[k].streams,
                      engines[k].staging, (unsigned long long)info.answered, (unsigned long long)info.launches);
        end(&s);
    }
    for (int i = 0; i < MOST; i++) place_close(&places[i]);
    free(places);
}

/* ---- positions under load ---- */

enum { SUBMITTERS = 3, IN_FLIGHT = 8, UPDATES = 60 };

struct load {
    struct served *s;
    atomic_bool stop;
    atomic_long queries;
};

/* Version 1 has the first positions, and they take turns. */
static int positions_of(uint64_t version)
{
    return version % 2 ? 0 : 1;
}

static void *submitter(void *argument)
{
    struct load *l = argument;
    struct place *places = calloc(IN_FLIGHT, sizeof *places);
    vic_error error;
    assert_non_null(places);
    for (int i = 0; i < IN_FLIGHT; i++) place_open(&places[i], i % PLACEMENTS, i & 1);
    for (int n = 0; n < IN_FLIGHT || !atomic_load(&l->stop); n++) {
        struct place *p = &places[n % IN_FLIGHT];
        if (n >= IN_FLIGHT) {
            wait_for(p);
            place_check(p, positions_of(p->version));
        }
        prepare(p, n % INPUTS);
        if (vic_submit(l->s->endpoint, &p->query, NULL, &error) != VIC_OK) fail_msg("%s", error.text);
        atomic_fetch_add(&l->queries, 1);
    }
    for (int i = 0; i < IN_FLIGHT; i++) {
        wait_for(&places[i]);
        place_check(&places[i], positions_of(places[i].version));
        place_close(&places[i]);
    }
    free(places);
    return NULL;
}

static void test_updates_under_load(void **state)
{
    pthread_t threads[SUBMITTERS];
    struct place mover = { .answers = 0 };
    (void)state;
    if (!has_gpu) skip();
    struct served s = serve(2, 0, 0);
    struct load l = { .s = &s };
    place_open(&mover, RESIDENT, true);
    for (int i = 0; i < SUBMITTERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, submitter, &l), 0);
    for (int u = 0; u < UPDATES; u++) {
        prepare(&mover, u % INPUTS);
        mover.query.positions = tensor_of(positions[(u + 1) % 2], VIC_F64, 2, (const int64_t[]){ N, 3 });
        CHECK_OK(vic_submit(s.endpoint, &mover.query, NULL, &err));
        wait_for(&mover);
        assert_int_equal(mover.version, u + 2);
        place_check(&mover, (u + 1) % 2);
    }
    atomic_store(&l.stop, true);
    for (int i = 0; i < SUBMITTERS; i++) pthread_join(threads[i], NULL);
    CHECK_OK(vic_engine_drain(s.engine, 100, &err));
    const vic_endpoint_info info = info_now(&s);
    print_message("%ld queries beside %d updates\n", atomic_load(&l.queries), UPDATES);
    assert_int_equal(info.answered, atomic_load(&l.queries) + UPDATES);
    assert_int_equal(info.updates, UPDATES);
    assert_int_equal(info.failed, 0);
    place_close(&mover);
    end(&s);
}

/* ---- ends ---- */

static void test_cancel_drain_free(void **state)
{
    struct place *places = calloc(MOST, sizeof *places);
    (void)state;
    if (!has_gpu) skip();
    assert_non_null(places);
    for (int i = 0; i < MOST; i++) place_open(&places[i], i % PLACEMENTS, false);
    for (int how = 0; how < 3; how++) {
        struct served s = serve(2, 0, 0);
        uint64_t tickets[MOST];
        int cancelled = 0, answered = 0;
        for (int i = 0; i < MOST; i++) {
            prepare(&places[i], i % INPUTS);
            CHECK_OK(vic_submit(s.endpoint, &places[i].query, &tickets[i], &err));
        }
        for (int i = MOST - 1; i >= 0 && how == 0; i--) cancelled += vic_cancel(s.endpoint, tickets[i]);
        if (how < 2) {
            CHECK_OK(vic_engine_drain(s.engine, 100, &err));
            CHECK_FAILS(vic_submit(s.endpoint, &places[0].query, NULL, &err), VIC_BUSY, "drains");
        }
        end(&s);
        for (int i = 0; i < MOST; i++) {
            assert_int_equal(atomic_load(&places[i].answers), 1);
            answered += places[i].status == VIC_OK;
            if (places[i].status == VIC_OK)
                place_check(&places[i], 0);
            else
                assert_int_equal(places[i].status, VIC_CANCELLED);
        }
        if (how == 0) assert_int_equal(answered, MOST - cancelled);
        if (how == 1) assert_int_equal(answered, MOST);
        print_message("%d of %d answered, %d cancelled one by one\n", answered, MOST, cancelled);
    }
    for (int i = 0; i < MOST; i++) place_close(&places[i]);
    free(places);
}

/* One after the other: what a lone query takes from submission to callback.  It is printed, not judged. */
static void test_lone_queries(void **state)
{
    enum { TIMES = 2000 };
    struct place p = { .answers = 0 };
    uint64_t sum = 0;
    (void)state;
    if (!has_gpu) skip();
    struct served s = serve(0, 0, 0);
    place_open(&p, RESIDENT, true);
    for (int i = 0; i < TIMES; i++) {
        prepare(&p, i % INPUTS);
        CHECK_OK(vic_submit(s.endpoint, &p.query, NULL, &err));
        while (atomic_load(&p.answers) == 0)
            ;
    }
    place_check(&p, 0);
    const vic_endpoint_info info = info_now(&s);
    sum = info.time_ns[VIC_STAGE_TOTAL];
    print_message("a lone query: %.1f us, of which %.1f on the GPU and %.1f until it was launched\n",
                  1e-3 * (double)sum / TIMES, 1e-3 * (double)info.time_ns[VIC_STAGE_COMPUTE] / TIMES,
                  1e-3 * (double)info.time_ns[VIC_STAGE_QUEUE] / TIMES);
    assert_int_equal(info.launches, TIMES);
    place_close(&p);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_updates_under_load),
        cmocka_unit_test(test_cancel_drain_free),
        cmocka_unit_test(test_lone_queries),
    };
    int failed = cmocka_run_group_tests_name("gpu_engine", tests, start, stop);
    return test_result(failed, !has_gpu);
}

#else

static void without_cuda(void **state)
{
    (void)state;
    print_message("skipped: this build has no CUDA\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(without_cuda) };
    return test_result(cmocka_run_group_tests_name("gpu_engine", tests, NULL, NULL), true);
}

#endif
