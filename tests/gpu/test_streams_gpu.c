/* SPDX-License-Identifier: Apache-2.0 */
/* Launches as servers and training loops make them: captured in a graph and replayed 10,000 times, and on two streams
 * at once from one plan; always the same bits. */
#include "objects.h"
#include "vicinal_dev.h"

#ifdef VIC_HAVE_CUDA

#include "base/half.h"

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <time.h>

/* Short rows, cut, and several of them one after the other on each multiprocessor. */
enum { N = 9000, HEADS = 8, DIM = 32, SIZE = N * HEADS * DIM };

#define CHECK_CUDA(call)                                                                                             \
    do {                                                                                                             \
        cudaError_t check_code_ = (call);                                                                            \
        if (check_code_ != cudaSuccess) fail_msg("%s: %s", #call, cudaGetErrorString(check_code_));                  \
    } while (0)

static vic_error err;
static vic_pattern *pattern;
static vic_plan *plan;
static uint16_t *inputs[3], expected[SIZE], found[SIZE];

static bool no_gpu(void)
{
    int devices = 0;
    if (cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0) return false;
    cudaGetLastError();
    print_message("skipped: this machine has no GPU that CUDA can use\n");
    return true;
}

/* In the caller's order, so that each launch is two kernels and takes a workspace. */
static vic_attention_args make_args(uint16_t *out)
{
    const int64_t shape[3] = { N, HEADS, DIM };
    vic_attention_args a = VIC_INIT(vic_attention_args);
    a.q = vic_tensor_make(inputs[0], VIC_F16, 3, shape);
    a.k = vic_tensor_make(inputs[1], VIC_F16, 3, shape);
    a.v = vic_tensor_make(inputs[2], VIC_F16, 3, shape);
    a.out = vic_tensor_make(out, VIC_F16, 3, shape);
    a.q.device.type = a.k.device.type = a.v.device.type = a.out.device.type = VIC_CUDA;
    CHECK_OK(vic_plan_workspace(NULL, plan, 1, &a.workspace_size, &err));
    assert_true(a.workspace_size > 0);
    CHECK_CUDA(cudaMalloc(&a.workspace, a.workspace_size));
    return a;
}

static uint16_t *make_out(void)
{
    void *out;
    CHECK_CUDA(cudaMalloc(&out, sizeof expected));
    CHECK_CUDA(cudaMemset(out, 0xff, sizeof expected));
    return out;
}

static int start(void **state)
{
    const vic_plan_options lo = {
        .size = sizeof lo, .device = { VIC_CUDA, 0 }, .dtype = VIC_F16, .heads = HEADS, .head_dim = DIM
    };
    uint64_t seed = 3;
    static double x[3 * N];
    (void)state;
    if (no_gpu()) return 0;
    for (int i = 0; i < 3 * N; i++) x[i] = 45 * random_uniform(&seed);
    vic_points points = points_at(N, x, NULL);
    pattern = cutoff_pattern(&points, 4);
    CHECK_OK(vic_plan_create(NULL, pattern, &lo, &plan, &err));
    for (int t = 0; t < 3; t++) {
        void *data;
        for (int i = 0; i < SIZE; i++) expected[i] = f16_from_f32((float)random_normal(&seed));
        CHECK_CUDA(cudaMalloc(&data, sizeof expected));
        CHECK_CUDA(cudaMemcpy(data, expected, sizeof expected, cudaMemcpyHostToDevice));
        inputs[t] = data;
    }
    uint16_t *out = make_out();
    vic_attention_args a = make_args(out);
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
    CHECK_CUDA(cudaMemcpy(expected, out, sizeof expected, cudaMemcpyDeviceToHost));
    cudaFree(out);
    cudaFree(a.workspace);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++) cudaFree(inputs[t]);
    vic_plan_free(plan);
    vic_pattern_free(pattern);
    return 0;
}

static void graph_replays(void **state)
{
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t replay;
    (void)state;
    if (!plan) skip();
    uint16_t *out = make_out();
    vic_attention_args a = make_args(out);
    CHECK_CUDA(cudaStreamCreate(&stream));
    CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    a.stream = stream;
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
    CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
    CHECK_CUDA(cudaGraphInstantiate(&replay, graph, 0));
    for (int i = 0; i < 10000; i++) {
        CHECK_CUDA(cudaGraphLaunch(replay, stream));
        if (i % 1000 != 999) continue;
        CHECK_CUDA(cudaMemcpyAsync(found, out, sizeof found, cudaMemcpyDeviceToHost, stream));
        CHECK_CUDA(cudaMemsetAsync(out, 0xff, sizeof found, stream));
        CHECK_CUDA(cudaStreamSynchronize(stream));
        assert_memory_equal(found, expected, sizeof found);
    }
    cudaGraphExecDestroy(replay);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
    cudaFree(out);
    cudaFree(a.workspace);
}

/* ---- items at unrelated addresses ---- */

enum { ITEMS = 70, SLOT = SIZE + 4096 }; /* more than one launch writes to the workspace */

/* ITEMS problems with the inputs of the one problem, each in memory of its own: item i has q, k or v rolled around, so
 * that no two have the same results. */
struct item_set {
    uint16_t *memory;
    vic_attention_item items[ITEMS];
    vic_plan *plan;
    vic_attention_args args;
};

static void make_items(struct item_set *s, bool pattern_order, int n)
{
    const int64_t shape[3] = { N, HEADS, DIM };
    const vic_plan_options o = { .size = sizeof o,
                                 .device = { VIC_CUDA, 0 },
                                 .dtype = VIC_F16,
                                 .heads = HEADS,
                                 .head_dim = DIM,
                                 .pattern_order = pattern_order };
    memset(s, 0, sizeof *s);
    CHECK_OK(vic_plan_create(NULL, pattern, &o, &s->plan, &err));
    CHECK_CUDA(cudaMalloc((void **)&s->memory, 4 * (size_t)n * SLOT * sizeof *s->memory));
    CHECK_CUDA(cudaMemset(s->memory, 0xff, 4 * (size_t)n * SLOT * sizeof *s->memory));
    for (int i = 0; i < n; i++) {
        void *at[4];
        for (int t = 0; t < 4; t++) {
            /* 37 and 4 n have no common factor for the numbers used here; 16 bytes' alignment, no more. */
            size_t slot = (size_t)(4 * i + t) * 37 % (4 * (size_t)n);
            uint16_t *to = s->memory + slot * SLOT + (i * 131 + t * 57) % 256 * 8;
            int roll = (i * 977 + t * 31) % N * HEADS * DIM;
            at[t] = to;
            if (t == 3) continue;
            CHECK_CUDA(cudaMemcpy(to, inputs[t] + roll, (size_t)(SIZE - roll) * 2, cudaMemcpyDeviceToDevice));
            CHECK_CUDA(cudaMemcpy(to + SIZE - roll, inputs[t], (size_t)roll * 2, cudaMemcpyDeviceToDevice));
        }
        s->items[i] = (vic_attention_item){ at[0], at[1], at[2], at[3], NULL };
    }
    s->args = (vic_attention_args)VIC_INIT(vic_attention_args);
    s->args.q = vic_tensor_make(NULL, VIC_F16, 3, shape);
    s->args.q.device.type = VIC_CUDA;
    s->args.k = s->args.v = s->args.out = s->args.q;
    s->args.items = s->items;
    s->args.n_items = n;
    CHECK_OK(vic_plan_workspace(NULL, s->plan, n, &s->args.workspace_size, &err));
    CHECK_CUDA(cudaMalloc(&s->args.workspace, s->args.workspace_size));
}

static void free_items(struct item_set *s)
{
    cudaFree(s->memory);
    cudaFree(s->args.workspace);
    vic_plan_free(s->plan);
}

/* Each item has the bits of a lone call, whose result goes to `out`. */
static void check_items(const struct item_set *s, uint16_t *out, const char *what)
{
    for (int i = 0; i < s->args.n_items; i++) {
        vic_attention_args one = s->args;
        one.items = NULL;
        one.n_items = 0;
        one.stream = NULL;
        one.q.data = s->items[i].q;
        one.k.data = s->items[i].k;
        one.v.data = s->items[i].v;
        one.out.data = out;
        CHECK_OK(vic_attention(NULL, s->plan, &one, &err));
        CHECK_CUDA(cudaMemcpy(expected, out, sizeof expected, cudaMemcpyDeviceToHost));
        CHECK_CUDA(cudaMemcpy(found, s->items[i].out, sizeof found, cudaMemcpyDeviceToHost));
        CHECK(memcmp(found, expected, sizeof found) == 0, "%s: item %d of %lld has other bits than alone", what, i,
              (long long)s->args.n_items);
        CHECK_CUDA(cudaMemset(s->items[i].out, 0xff, sizeof found));
    }
}

static void items_have_lone_bits(void **state)
{
    static const int counts[] = { 1, 2, 3, 64, ITEMS };
    static uint16_t kept[SIZE];
    (void)state;
    if (!plan) skip();
    memcpy(kept, expected, sizeof kept);
    uint16_t *out = make_out();
    for (int order = 0; order < 2; order++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            struct item_set s;
            make_items(&s, order, counts[c]);
            CHECK_OK(vic_attention(NULL, s.plan, &s.args, &err));
            check_items(&s, out, order ? "pattern order" : "caller's order");
            free_items(&s);
        }
    cudaFree(out);
    memcpy(expected, kept, sizeof kept);
}

static void *first_call(void *argument)
{
    struct item_set *s = argument;
    return vic_attention(NULL, s->plan, &s->args, &err) == VIC_OK ? NULL : &err;
}

/* A thread may call CUDA for the first time by this. */
static void items_from_a_new_thread(void **state)
{
    static uint16_t kept[SIZE];
    pthread_t thread;
    struct item_set s;
    void *failed;
    (void)state;
    if (!plan) skip();
    memcpy(kept, expected, sizeof kept);
    uint16_t *out = make_out();
    make_items(&s, true, 2);
    assert_int_equal(pthread_create(&thread, NULL, first_call, &s), 0);
    pthread_join(thread, &failed);
    if (failed) fail_msg("%s", err.text);
    check_items(&s, out, "from a new thread");
    free_items(&s);
    cudaFree(out);
    memcpy(expected, kept, sizeof kept);
}

/* What a graph has captured does not depend on the list of items any more. */
static void items_in_graphs(void **state)
{
    static uint16_t kept[SIZE];
    (void)state;
    if (!plan) skip();
    memcpy(kept, expected, sizeof kept);
    uint16_t *out = make_out();
    for (int order = 0; order < 2; order++) {
        struct item_set s;
        vic_attention_item list[ITEMS];
        cudaStream_t stream;
        cudaGraph_t graph;
        cudaGraphExec_t replay;
        make_items(&s, order, ITEMS);
        memcpy(list, s.items, sizeof list);
        CHECK_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        CHECK_CUDA(cudaDeviceSynchronize());
        CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
        s.args.stream = stream;
        s.args.items = list;
        CHECK_OK(vic_attention(NULL, s.plan, &s.args, &err));
        CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
        CHECK_CUDA(cudaGraphInstantiate(&replay, graph, 0));
        memset(list, 0xff, sizeof list);
        s.args.items = s.items;
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < 20; i++) CHECK_CUDA(cudaGraphLaunch(replay, stream));
            CHECK_CUDA(cudaStreamSynchronize(stream));
            check_items(&s, out, order ? "graph, pattern order" : "graph, caller's order");
            CHECK_CUDA(cudaDeviceSynchronize());
        }
        cudaGraphExecDestroy(replay);
        cudaGraphDestroy(graph);
        cudaStreamDestroy(stream);
        free_items(&s);
    }
    cudaFree(out);
    memcpy(expected, kept, sizeof kept);
}

/* Launch after launch on two streams, each with two lists of items in turn in one workspace: what the one before still
 * reads must not be written over, and none may find the maps of another. */
static void items_on_two_streams(void **state)
{
    enum { SETS = 4 };
    static struct item_set sets[SETS];
    static uint16_t kept[SIZE];
    cudaStream_t streams[2];
    (void)state;
    if (!plan) skip();
    memcpy(kept, expected, sizeof kept);
    uint16_t *out = make_out();
    for (int s = 0; s < 2; s++) CHECK_CUDA(cudaStreamCreateWithFlags(&streams[s], cudaStreamNonBlocking));
    for (int order = 0; order < 2; order++) {
        for (int s = 0; s < SETS; s++) {
            make_items(&sets[s], order, s % 2 ? 3 : 16);
            sets[s].args.stream = streams[s / 2];
        }
        CHECK_CUDA(cudaDeviceSynchronize());
        for (int i = 0; i < 200; i++)
            for (int s = 0; s < SETS; s++) {
                vic_attention_args a = sets[s].args;
                a.workspace = sets[s / 2 * 2].args.workspace; /* that of the larger one */
                a.workspace_size = sets[s / 2 * 2].args.workspace_size;
                CHECK_OK(vic_attention(NULL, sets[s].plan, &a, &err));
            }
        CHECK_CUDA(cudaDeviceSynchronize());
        for (int s = 0; s < SETS; s++) {
            check_items(&sets[s], out, order ? "streams, pattern order" : "streams, caller's order");
            free_items(&sets[s]);
        }
    }
    for (int s = 0; s < 2; s++) cudaStreamDestroy(streams[s]);
    cudaFree(out);
    memcpy(expected, kept, sizeof kept);
}

static void items_that_are_refused(void **state)
{
    struct item_set s;
    (void)state;
    if (!plan) skip();
    make_items(&s, true, 3);
    s.items[2].k = (uint16_t *)s.items[2].k + 4;
    CHECK_FAILS(vic_attention(NULL, s.plan, &s.args, &err), VIC_BAD_ARGUMENT, "data must be aligned to 16 bytes");
    s.items[2].k = (uint16_t *)s.items[2].k - 4;
    s.args.workspace_size -= 64;
    CHECK_FAILS(vic_attention(NULL, s.plan, &s.args, &err), VIC_BAD_ARGUMENT, "workspace: expected");
    s.args.workspace_size += 64;
    CHECK_OK(vic_attention(NULL, s.plan, &s.args, &err));
    free_items(&s);
}

static void two_streams(void **state)
{
    cudaStream_t streams[2];
    uint16_t *out[2];
    vic_attention_args a[2];
    (void)state;
    if (!plan) skip();
    for (int s = 0; s < 2; s++) {
        CHECK_CUDA(cudaStreamCreateWithFlags(&streams[s], cudaStreamNonBlocking));
        out[s] = make_out();
        a[s] = make_args(out[s]);
        a[s].stream = streams[s];
    }
    CHECK_CUDA(cudaDeviceSynchronize());
    for (int i = 0; i < 500; i++)
        for (int s = 0; s < 2; s++) CHECK_OK(vic_attention(NULL, plan, &a[s], &err));
    for (int s = 0; s < 2; s++) {
        CHECK_CUDA(cudaStreamSynchronize(streams[s]));
        CHECK_CUDA(cudaMemcpy(found, out[s], sizeof found, cudaMemcpyDeviceToHost));
        assert_memory_equal(found, expected, sizeof found);
        cudaStreamDestroy(streams[s]);
        cudaFree(out[s]);
        cudaFree(a[s].workspace);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Timing runs what a launch runs: the same bits, in each way of timing, and no figure is left out. They are held
 * against the clock around the call alone, since a GPU may be busy with the work of others: the GPU's clock may
 * differ from the processor's by a little. */
static void timing_runs_the_work(void **state)
{
    enum { LAUNCHES = 700 }; /* more than are queued at a time */
    static const vic_time_options ways[] = {
        { .size = sizeof *ways, .warm_up = 3, .launches = LAUNCHES },
        { .size = sizeof *ways, .warm_up = 3, .launches = LAUNCHES, .cold = true },
        { .size = sizeof *ways, .warm_up = 1, .launches = LAUNCHES, .in_graph = 7 },
    };
    static double seconds[LAUNCHES];
    (void)state;
    if (!plan) skip();
    uint16_t *out = make_out();
    vic_attention_args a = make_args(out);
    for (int w = 0; w < 3; w++) {
        double shortest = 1e9, sum = 0, whole;
        CHECK_CUDA(cudaMemset(out, 0xff, sizeof found));
        memset(seconds, 0, sizeof seconds);
        whole = now();
        CHECK_OK(vic_attention_time(NULL, plan, &a, &ways[w], seconds, &err));
        whole = now() - whole;
        CHECK_CUDA(cudaMemcpy(found, out, sizeof found, cudaMemcpyDeviceToHost));
        assert_memory_equal(found, expected, sizeof found);
        for (int i = 0; i < LAUNCHES; i++) {
            CHECK(seconds[i] > 1e-7, "way %d, launch %d: %g s", w, i, seconds[i]);
            shortest = fmin(shortest, seconds[i]);
            sum += seconds[i] * (ways[w].in_graph ? ways[w].in_graph : 1);
        }
        CHECK(sum <= 1.01 * whole, "way %d: the launches took %g s of %g s", w, sum, whole);
        print_message("way %d: at least %.1f us\n", w, 1e6 * shortest);
    }
    vic_time_options both = ways[2];
    both.cold = true;
    CHECK_FAILS(vic_attention_time(NULL, plan, &a, &both, seconds, &err), VIC_BAD_ARGUMENT, "choose one of the two");
    a.q.device.type = VIC_CPU; /* refused while a graph is captured: the next one must work */
    CHECK_FAILS(vic_attention_time(NULL, plan, &a, &ways[2], seconds, &err), VIC_BAD_ARGUMENT, "tensor q");
    a.q.device.type = VIC_CUDA;
    CHECK_OK(vic_attention_time(NULL, plan, &a, &ways[2], seconds, &err));
    cudaFree(out);
    cudaFree(a.workspace);
}

/* In a context of the GPU: its stream, memory of its pool, and nothing is waited for before vic_context_wait(). */
static void a_context(void **state)
{
    vic_context_options o = { .size = sizeof o, .device = { VIC_CUDA, 0 }, .threads = 1 };
    cudaStream_t stream;
    vic_context *c;
    (void)state;
    if (!plan) skip();
    CHECK_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    o.stream = stream;
    CHECK_OK(vic_context_create(&o, &c, &err));
    uint16_t *out = make_out();
    vic_attention_args a = make_args(out);
    cudaFree(a.workspace);
    a.workspace = NULL;
    a.workspace_size = 0;
    CHECK_CUDA(cudaDeviceSynchronize());
    for (int i = 0; i < 100; i++) CHECK_OK(vic_attention(c, plan, &a, &err));
    CHECK_OK(vic_context_wait(c, &err));
    CHECK_CUDA(cudaMemcpy(found, out, sizeof found, cudaMemcpyDeviceToHost));
    assert_memory_equal(found, expected, sizeof found);
    vic_context_free(c);
    cudaStreamDestroy(stream);
    cudaFree(out);
}

/* The mean of two equal halves is each of them, and the LSE grows by ln 2; on the GPU as on the CPU. */
static void combined_parts(void **state)
{
    const int64_t shape[3] = { N, HEADS, DIM };
    static float lse[N * HEADS];
    float *sums;
    (void)state;
    if (!plan) skip();
    uint16_t *out = make_out(), *both = make_out();
    vic_attention_args a = make_args(out);
    CHECK_CUDA(cudaMalloc((void **)&sums, sizeof lse));
    a.lse = vic_tensor_make(sums, VIC_F32, 2, shape);
    a.lse.device.type = VIC_CUDA;
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
    CHECK_CUDA(cudaMemcpy(lse, sums, sizeof lse, cudaMemcpyDeviceToHost));
    float before = lse[7];
    const vic_tensor outs[] = { a.out, a.out }, lses[] = { a.lse, a.lse };
    vic_combine_args combine = { .size = sizeof combine,
                                 .parts = 2,
                                 .part_out = outs,
                                 .part_lse = lses,
                                 .out = vic_tensor_make(both, VIC_F16, 3, shape),
                                 .lse = a.lse };
    combine.out.device.type = VIC_CUDA;
    CHECK_OK(vic_combine(NULL, &combine, &err));
    CHECK_CUDA(cudaMemcpy(found, both, sizeof found, cudaMemcpyDeviceToHost));
    assert_memory_equal(found, expected, sizeof found);
    CHECK_CUDA(cudaMemcpy(lse, sums, sizeof lse, cudaMemcpyDeviceToHost));
    CHECK(fabs((double)lse[7] - (double)before - log(2.0)) < 1e-5, "from %g to %g", (double)before, (double)lse[7]);
    cudaFree(out);
    cudaFree(both);
    cudaFree(sums);
    cudaFree(a.workspace);
}

static void workspace_is_asked_for(void **state)
{
    (void)state;
    if (!plan) skip();
    uint16_t *out = make_out();
    vic_attention_args a = make_args(out);
    a.workspace_size -= 64;
    CHECK_FAILS(vic_attention(NULL, plan, &a, &err), VIC_BAD_ARGUMENT, "workspace: expected");
    a.q.device.type = VIC_CPU;
    CHECK_FAILS(vic_attention(NULL, plan, &a, &err), VIC_BAD_ARGUMENT, "tensor q: expected memory of cuda:0");
    cudaFree(out);
    cudaFree(a.workspace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graph_replays),          cmocka_unit_test(two_streams),
        cmocka_unit_test(timing_runs_the_work),   cmocka_unit_test(a_context),
        cmocka_unit_test(combined_parts),         cmocka_unit_test(workspace_is_asked_for),
        cmocka_unit_test(items_have_lone_bits),   cmocka_unit_test(items_from_a_new_thread),
        cmocka_unit_test(items_in_graphs),        cmocka_unit_test(items_on_two_streams),
        cmocka_unit_test(items_that_are_refused),
    };
    return test_result(cmocka_run_group_tests_name("gpu_streams", tests, start, stop), no_gpu());
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
    return test_result(cmocka_run_group_tests_name("gpu_streams", tests, NULL, NULL), true);
}

#endif
