/* SPDX-License-Identifier: Apache-2.0 */
/* Launches as servers and training loops make them: captured in a graph and replayed 10,000 times, and on two streams
 * at once from one plan; always the same bits. */
#include "check.h"

#ifdef VIC_HAVE_CUDA

#include "base/half.h"

#include <cuda_runtime_api.h>
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
    vic_attention_args a = VIC_ATTENTION_ARGS_INIT;
    a.q = vic_tensor_make(inputs[0], VIC_F16, 3, shape);
    a.k = vic_tensor_make(inputs[1], VIC_F16, 3, shape);
    a.v = vic_tensor_make(inputs[2], VIC_F16, 3, shape);
    a.out = vic_tensor_make(out, VIC_F16, 3, shape);
    a.q.device.kind = a.k.device.kind = a.v.device.kind = a.out.device.kind = VIC_CUDA;
    a.workspace_size = vic_plan_workspace_size(plan, 1, 1);
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
    vic_pattern_options po = VIC_PATTERN_OPTIONS_INIT;
    vic_plan_options lo = VIC_PLAN_OPTIONS_INIT;
    uint64_t seed = 3;
    static double x[3 * N];
    (void)state;
    if (no_gpu()) return 0;
    for (int i = 0; i < 3 * N; i++) x[i] = 45 * random_uniform(&seed);
    po.cutoff = 4;
    lo.heads = HEADS;
    lo.head_dim = DIM;
    lo.dtype = VIC_F16;
    lo.device.kind = VIC_CUDA;
    CHECK_OK(vic_pattern_build_points(N, x, 0, NULL, NULL, NULL, &po, &pattern, &err));
    CHECK_OK(vic_plan_create(pattern, &lo, &plan, &err));
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
    CHECK_OK(vic_attention_enqueue(plan, &a, stream, &err));
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
    }
    CHECK_CUDA(cudaDeviceSynchronize());
    for (int i = 0; i < 500; i++)
        for (int s = 0; s < 2; s++) CHECK_OK(vic_attention_enqueue(plan, &a[s], streams[s], &err));
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
        { sizeof(vic_time_options), 3, LAUNCHES, 0, false },
        { sizeof(vic_time_options), 3, LAUNCHES, 0, true },
        { sizeof(vic_time_options), 1, LAUNCHES, 7, false },
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
    CHECK_FAILS(vic_attention_time(NULL, plan, &a, &both, seconds, &err), VIC_BAD_ARGUMENT, "ask for one of the two");
    a.q.device.kind = VIC_CPU; /* refused while a graph is captured: the next one must work */
    CHECK_FAILS(vic_attention_time(NULL, plan, &a, &ways[2], seconds, &err), VIC_BAD_ARGUMENT, "tensor q");
    a.q.device.kind = VIC_CUDA;
    CHECK_OK(vic_attention_time(NULL, plan, &a, &ways[2], seconds, &err));
    cudaFree(out);
    cudaFree(a.workspace);
}

static void workspace_is_asked_for(void **state)
{
    (void)state;
    if (!plan) skip();
    uint16_t *out = make_out();
    vic_attention_args a = make_args(out);
    a.workspace_size -= 64;
    CHECK_FAILS(vic_attention_enqueue(plan, &a, NULL, &err), VIC_BAD_ARGUMENT, "workspace: expected");
    a.q.device.kind = VIC_CPU;
    CHECK_FAILS(vic_attention_enqueue(plan, &a, NULL, &err), VIC_BAD_ARGUMENT, "tensor q: expected memory of cuda:0");
    cudaFree(out);
    cudaFree(a.workspace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graph_replays),
        cmocka_unit_test(two_streams),
        cmocka_unit_test(timing_runs_the_work),
        cmocka_unit_test(workspace_is_asked_for),
    };
    return cmocka_run_group_tests_name("gpu_streams", tests, start, stop);
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
    return cmocka_run_group_tests_name("gpu_streams", tests, NULL, NULL);
}

#endif
