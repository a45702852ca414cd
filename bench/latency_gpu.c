/* SPDX-License-Identifier: Apache-2.0 */
/* Times the GPU's attention as the device sees it: events around single launches, and launches inside a graph.
 * usage: bench_latency_gpu STRUCTURE|dense:N CUTOFF HEADS HEAD_DIM f16|bf16 pattern|caller [A,B,C]
 * One JSON object on stdout.  STRUCTURE is read as the command reads it (open boundaries; A,B,C makes it periodic);
 * dense:N is N points that all see each other.  256 rows are compared with float64 before anything is timed. */
#include "base/half.h"
#include "vicinal.h"

#include <cuda_runtime_api.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_UP = 20, LAUNCHES = 1000, IN_GRAPH = 20, GRAPHS = 20, ROWS = 256 };

static vic_error err;
static uint64_t seed = 1;

static void ok(vic_status status)
{
    if (status == VIC_OK) return;
    fprintf(stderr, "bench_latency_gpu: %s\n", err.text);
    exit(1);
}

static void cuda(cudaError_t code)
{
    if (code == cudaSuccess) return;
    fprintf(stderr, "bench_latency_gpu: CUDA: %s\n", cudaGetErrorString(code));
    exit(1);
}

static double uniform(void) /* splitmix64 */
{
    uint64_t z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static double normal(void)
{
    double u = uniform(), v = uniform();
    return sqrt(-2 * log(1 - u)) * cos(6.283185307179586 * v);
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static vic_pattern *make_pattern(const char *what, double cutoff, const char *box)
{
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_pattern *p;
    o.cutoff = cutoff;
    if (strncmp(what, "dense:", 6) == 0) {
        int64_t n = atoll(what + 6);
        double *x = malloc((size_t)(3 * n) * sizeof *x);
        if (!x) exit(1);
        for (int64_t i = 0; i < 3 * n; i++) x[i] = uniform();
        o.cutoff = 10;
        ok(vic_pattern_build_points(n, x, 0, NULL, NULL, NULL, &o, &p, &err));
        free(x);
        return p;
    }
    vic_read_options r = VIC_READ_OPTIONS_INIT;
    vic_structure *s;
    r.pbc = VIC_PBC_SET;
    if (box && sscanf(box, "%lf,%lf,%lf", &r.cell[0], &r.cell[1], &r.cell[2]) == 3) {
        r.has_cell = r.periodic[0] = r.periodic[1] = r.periodic[2] = true;
        r.cell[3] = r.cell[4] = r.cell[5] = 90;
    }
    ok(vic_structure_read(what, &r, &s, &err));
    ok(vic_pattern_build(s, &o, &p, &err));
    vic_structure_free(s);
    return p;
}

struct problem {
    vic_pattern *pattern;
    vic_plan *plan;
    int heads, dim;
    vic_dtype dtype;
    bool sorted;
    vic_attention_args host, gpu;
};

static void fill(struct problem *p)
{
    int64_t shape[3] = { vic_pattern_get(p->pattern).n_q, p->heads, p->dim };
    size_t n = (size_t)(shape[0] * shape[1] * shape[2]), bytes = 2 * n;
    vic_tensor *host[4] = { &p->host.q, &p->host.k, &p->host.v, &p->host.out };
    vic_tensor *gpu[4] = { &p->gpu.q, &p->gpu.k, &p->gpu.v, &p->gpu.out };
    for (int t = 0; t < 4; t++) {
        uint16_t *x = malloc(bytes);
        void *on_gpu;
        if (!x) exit(1);
        for (size_t i = 0; i < n; i++)
            x[i] = p->dtype == VIC_BF16 ? bf16_from_f32((float)normal()) : f16_from_f32((float)normal());
        cuda(cudaMalloc(&on_gpu, bytes));
        cuda(cudaMemcpy(on_gpu, x, bytes, cudaMemcpyHostToDevice));
        *host[t] = vic_tensor_make(x, p->dtype, 3, shape);
        *gpu[t] = vic_tensor_make(on_gpu, p->dtype, 3, shape);
        gpu[t]->device.kind = VIC_CUDA;
    }
    p->gpu.workspace_size = vic_plan_workspace_size(p->plan, 1, 1);
    if (p->gpu.workspace_size) cuda(cudaMalloc(&p->gpu.workspace, p->gpu.workspace_size));
}

/* Relative Frobenius error of sampled rows; ends the program when it is out of bounds. */
static double check(struct problem *p)
{
    int64_t n = vic_pattern_get(p->pattern).n_q, rows[ROWS];
    size_t row = (size_t)(p->heads * p->dim);
    const int32_t *order = vic_pattern_query_order(p->pattern);
    double *expected = malloc(ROWS * row * sizeof *expected), difference = 0, size = 0;
    vic_engine *engine;
    if (!expected) exit(1);
    for (int i = 0; i < ROWS; i++)
        rows[i] = p->sorted ? order[(int64_t)(uniform() * (double)n)] : (int64_t)(uniform() * (double)n);
    ok(vic_engine_create(NULL, &engine, &err));
    ok(vic_attention_enqueue(p->plan, &p->gpu, NULL, &err));
    cuda(cudaDeviceSynchronize());
    cuda(cudaMemcpy(p->host.out.data, p->gpu.out.data, 2 * (size_t)n * row, cudaMemcpyDeviceToHost));
    ok(vic_attention_reference(engine, p->plan, &p->host, ROWS, rows, expected, NULL, NULL, &err));
    int32_t *place = malloc((size_t)n * sizeof *place);
    if (!place) exit(1);
    for (int64_t i = 0; i < n; i++) place[order[i]] = (int32_t)i;
    for (int i = 0; i < ROWS; i++)
        for (size_t c = 0; c < row; c++) {
            uint16_t h = ((uint16_t *)p->host.out.data)[(size_t)(p->sorted ? place[rows[i]] : rows[i]) * row + c];
            double x = p->dtype == VIC_BF16 ? f32_from_bf16(h) : f32_from_f16(h), r = expected[(size_t)i * row + c];
            difference += (x - r) * (x - r);
            size += r * r;
        }
    free(expected);
    free(place);
    vic_engine_free(engine);
    double error = sqrt(difference / size);
    if (!(error <= (p->dtype == VIC_BF16 ? 4e-3 : 5e-4))) {
        fprintf(stderr, "bench_latency_gpu: wrong: relative error %g\n", error);
        exit(1);
    }
    return error;
}

int main(int argc, char **argv)
{
    static float ms[LAUNCHES], in_graph[GRAPHS];
    struct problem p = { .host = VIC_ATTENTION_ARGS_INIT, .gpu = VIC_ATTENTION_ARGS_INIT };
    vic_plan_options o = VIC_PLAN_OPTIONS_INIT;
    cudaStream_t stream;
    cudaEvent_t from, to;
    cudaGraph_t graph;
    cudaGraphExec_t replay;
    double sum = 0, squares = 0;
    int driver, runtime;
    struct cudaDeviceProp device;
    if (argc < 7) {
        fprintf(stderr,
                "usage: bench_latency_gpu STRUCTURE|dense:N CUTOFF HEADS HEAD_DIM f16|bf16 pattern|caller [A,B,C]\n");
        return 2;
    }
    p.pattern = make_pattern(argv[1], atof(argv[2]), argc > 7 ? argv[7] : NULL);
    p.heads = o.heads = atoi(argv[3]);
    p.dim = o.head_dim = atoi(argv[4]);
    p.dtype = o.dtype = strcmp(argv[5], "bf16") == 0 ? VIC_BF16 : VIC_F16;
    p.sorted = o.pattern_order = strcmp(argv[6], "pattern") == 0;
    o.device.kind = VIC_CUDA;
    ok(vic_plan_create(p.pattern, &o, &p.plan, &err));
    fill(&p);
    double error = check(&p);
    cuda(cudaStreamCreate(&stream));
    cuda(cudaEventCreate(&from));
    cuda(cudaEventCreate(&to));
    for (int i = 0; i < WARM_UP + LAUNCHES; i++) {
        cuda(cudaEventRecord(from, stream));
        ok(vic_attention_enqueue(p.plan, &p.gpu, stream, &err));
        cuda(cudaEventRecord(to, stream));
        cuda(cudaEventSynchronize(to));
        if (i >= WARM_UP) cuda(cudaEventElapsedTime(&ms[i - WARM_UP], from, to));
    }
    cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    for (int i = 0; i < IN_GRAPH; i++) ok(vic_attention_enqueue(p.plan, &p.gpu, stream, &err));
    cuda(cudaStreamEndCapture(stream, &graph));
    cuda(cudaGraphInstantiate(&replay, graph, 0));
    for (int i = 0; i < GRAPHS; i++) {
        cuda(cudaEventRecord(from, stream));
        cuda(cudaGraphLaunch(replay, stream));
        cuda(cudaEventRecord(to, stream));
        cuda(cudaEventSynchronize(to));
        cuda(cudaEventElapsedTime(&in_graph[i], from, to));
    }
    qsort(ms, LAUNCHES, sizeof *ms, by_value);
    qsort(in_graph, GRAPHS, sizeof *in_graph, by_value);
    for (int i = 0; i < LAUNCHES; i++) {
        sum += (double)ms[i];
        squares += (double)ms[i] * (double)ms[i];
    }
    double mean = sum / LAUNCHES, p50 = (double)ms[LAUNCHES / 2], flop = 4.0 * p.heads * p.dim;
    vic_pattern_info pattern = vic_pattern_get(p.pattern);
    vic_plan_info plan = vic_plan_get(p.plan);
    cuda(cudaDriverGetVersion(&driver));
    cuda(cudaRuntimeGetVersion(&runtime));
    cuda(cudaGetDeviceProperties(&device, 0));
    const char *name = strrchr(argv[1], '/');
    printf("{\"structure\": \"%s\", \"cutoff\": %g, \"periodic\": %s, \"atoms\": %lld, \"pairs\": %lld, \"heads\": "
           "%d, "
           "\"head_dim\": %d, \"dtype\": \"%s\", \"order\": \"%s\", \"kernel\": \"%s\", \"computed_pairs\": %lld, "
           "\"relative_frobenius\": %.3g, \"launches\": %d, \"ms\": {\"p50\": %.5f, \"min\": %.5f, \"p95\": %.5f, "
           "\"p99\": %.5f, \"sigma\": %.5f, \"graph\": %.5f}, \"tflops_computed\": %.1f, \"tflops_useful\": %.1f, "
           "\"plan_bytes\": %zu, \"gpu\": \"%s\", \"cuda_driver\": %d, \"cuda_runtime\": %d, \"build\": \"%s\"}\n",
           name ? name + 1 : argv[1], pattern.cutoff, argc > 7 ? "true" : "false", (long long)pattern.n_q,
           (long long)pattern.pairs, p.heads, p.dim, vic_dtype_name(p.dtype), argv[6], plan.kernel,
           (long long)plan.computed_pairs, error, LAUNCHES, p50, (double)ms[0], (double)ms[LAUNCHES * 95 / 100],
           (double)ms[LAUNCHES * 99 / 100], sqrt(fmax(0, squares / LAUNCHES - mean * mean)),
           (double)in_graph[GRAPHS / 2] / IN_GRAPH, (double)plan.computed_pairs * flop / p50 * 1e-9,
           (double)pattern.pairs * flop / p50 * 1e-9, plan.bytes, device.name, driver, runtime, vic_build_info());
    return 0;
}
