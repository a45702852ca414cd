/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of attention and of its gradients on a GPU's kernels of gradients, which are requested by name; then what
 * only large problems and graphs show.  Skipped where there is no GPU. */
#include "parity/lib/cases.h"
#include "parity/lib/gradient_cases.h"
#include "parity/lib/way_cases.h"

#ifdef VIC_HAVE_CUDA

#include "base/half.h"
#include "vicinal_dev.h"

#include <cuda_runtime_api.h>

#define CHECK_CUDA(call)                                                                                             \
    do {                                                                                                             \
        cudaError_t check_code_ = (call);                                                                            \
        if (check_code_ != cudaSuccess) fail_msg("%s: %s", #call, cudaGetErrorString(check_code_));                  \
    } while (0)

/* ---- through the library's interface ---- */

/* Host and device copies of everything that a call takes, [n, heads, d] each. */
enum { Q, K, V, OUT, LSE, DOUT, DLSE, DQ, DK, DV, TENSORS };
struct call {
    vic_pattern *pattern;
    vic_plan *plan;
    int64_t n, count[TENSORS];
    int heads, kv_heads, d, d_v;
    vic_dtype dtype;
    void *host[TENSORS], *device[TENSORS];
    vic_attention_args forward;
    vic_attention_backward_args args;
    cudaStream_t stream;
};

static size_t bytes_of(const struct call *c, int which)
{
    return (size_t)c->count[which] * (which == LSE || which == DLSE ? sizeof(float) : sizeof(uint16_t));
}

static float read_number(const struct call *c, int which, int64_t i)
{
    if (which == LSE || which == DLSE) return ((const float *)c->host[which])[i];
    const uint16_t half = ((const uint16_t *)c->host[which])[i];
    return c->dtype == VIC_F16 ? f32_from_f16(half) : f32_from_bf16(half);
}

static void write_number(const struct call *c, int which, int64_t i, float x)
{
    if (which == LSE || which == DLSE)
        ((float *)c->host[which])[i] = x;
    else
        ((uint16_t *)c->host[which])[i] = c->dtype == VIC_F16 ? f16_from_f32(x) : bf16_from_f32(x);
}

static vic_tensor tensor_at(const struct call *c, int which, void *data, vic_device device)
{
    const int heads = which == K || which == V || which == DK || which == DV ? c->kv_heads : c->heads;
    const int d = which == V || which == OUT || which == DOUT || which == DV ? c->d_v : c->d;
    const int64_t shape[] = { c->n, heads, d };
    const bool sums = which == LSE || which == DLSE;
    vic_tensor t = vic_tensor_make(data, sums ? VIC_F32 : c->dtype, sums ? 2 : 3, shape);
    t.device = device;
    return t;
}

/* The arguments in memory of the host or the GPU. */
static vic_attention_backward_args args_at(const struct call *c, void *const at[TENSORS], vic_device device)
{
    vic_attention_backward_args a = VIC_INIT(vic_attention_backward_args);
    vic_tensor *const tensors[TENSORS] = { &a.q, &a.k, &a.v, &a.out, &a.lse, &a.dout, &a.dlse, &a.dq, &a.dk, &a.dv };
    for (int i = 0; i < TENSORS; i++) *tensors[i] = tensor_at(c, i, at[i], device);
    return a;
}

/* Random inputs, out and lse by the forward kernel; `size`: of dout and dlse. */
static void begin(vic_pattern *pattern, vic_dtype dtype, int heads, int kv_heads, int d, bool pattern_order,
                  double size, struct call *c)
{
    char name[64];
    uint64_t seed = 3;
    vic_error err;
    vic_plan_options o = VIC_INIT(vic_plan_options);
    *c = (struct call){
        .pattern = pattern, .n = pattern->n_q, .heads = heads, .kv_heads = kv_heads, .d = d, .d_v = d, .dtype = dtype
    };
    snprintf(name, sizeof name, "attn_bwd_sm90_%s_d%d", dtype == VIC_F16 ? "f16" : "bf16", d);
    o.device = the_gpu;
    o.dtype = dtype;
    o.heads = heads;
    o.kv_heads = kv_heads;
    o.head_dim = d;
    o.pattern_order = pattern_order;
    o.backward = true;
    o.backward_kernel = name;
    CHECK_OK(vic_plan_create(NULL, pattern, &o, &c->plan, &err));
    for (int i = 0; i < TENSORS; i++) {
        const int of = i == K || i == V || i == DK || i == DV ? kv_heads : heads;
        c->count[i] = c->n * of * (i == LSE || i == DLSE ? 1 : d);
        c->host[i] = brute_alloc((int64_t)bytes_of(c, i), 1);
        for (int64_t k = 0; k < c->count[i] && (i <= V || i == DOUT || i == DLSE); k++)
            write_number(c, i, k, (float)(random_normal(&seed) * (i <= V ? 1.0 : size)));
        CHECK_CUDA(cudaMalloc(&c->device[i], bytes_of(c, i)));
        CHECK_CUDA(cudaMemcpy(c->device[i], c->host[i], bytes_of(c, i), cudaMemcpyHostToDevice));
    }
    CHECK_CUDA(cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking));
    c->args = args_at(c, c->device, the_gpu);
    c->args.stream = c->stream;
    vic_attention_args f = VIC_INIT(vic_attention_args);
    f.q = c->args.q;
    f.k = c->args.k;
    f.v = c->args.v;
    f.out = c->args.out;
    f.lse = c->args.lse;
    f.stream = c->stream;
    CHECK_OK(vic_plan_workspace(NULL, c->plan, 1, &c->args.workspace_size, &err));
    CHECK_CUDA(cudaMalloc(&c->args.workspace, c->args.workspace_size + 1));
    f.workspace = c->args.workspace;
    f.workspace_size = c->args.workspace_size;
    CHECK_OK(vic_attention(NULL, c->plan, &f, &err));
    CHECK_CUDA(cudaStreamSynchronize(c->stream));
    for (int i = OUT; i <= LSE; i++)
        CHECK_CUDA(cudaMemcpy(c->host[i], c->device[i], bytes_of(c, i), cudaMemcpyDeviceToHost));
}

static void end(struct call *c)
{
    for (int i = 0; i < TENSORS; i++) {
        free(c->host[i]);
        CHECK_CUDA(cudaFree(c->device[i]));
    }
    CHECK_CUDA(cudaFree(c->args.workspace));
    CHECK_CUDA(cudaStreamDestroy(c->stream));
    vic_plan_free(c->plan);
    vic_pattern_free(c->pattern);
}

static void poison(const struct call *c)
{
    for (int i = DQ; i < TENSORS; i++) CHECK_CUDA(cudaMemset(c->device[i], 0xff, bytes_of(c, i)));
    CHECK_CUDA(cudaDeviceSynchronize());
}

static void fetch(const struct call *c)
{
    CHECK_CUDA(cudaStreamSynchronize(c->stream));
    for (int i = DQ; i < TENSORS; i++)
        CHECK_CUDA(cudaMemcpy(c->host[i], c->device[i], bytes_of(c, i), cudaMemcpyDeviceToHost));
}

static void run(const struct call *c)
{
    vic_error err;
    poison(c);
    CHECK_OK(vic_attention_backward(NULL, c->plan, &c->args, &err));
    fetch(c);
}

/* Relative Frobenius norms against the reference in float64, which makes out and lse anew. */
static void compare_call(struct call *c, const char *what)
{
    const int which[] = { DQ, DK, DV };
    static const char *const names[] = { "dq", "dk", "dv" };
    const double allowed = c->dtype == VIC_F16 ? 1.5e-3 : 1e-2;
    const vic_attention_backward_args a = args_at(c, c->host, the_cpu);
    double *want[3];
    vic_error err;
    for (int t = 0; t < 3; t++) want[t] = brute_alloc(c->count[which[t]], sizeof(double));
    vic_reference_gradients to = { .size = sizeof to, .dq = want[0], .dk = want[1], .dv = want[2] };
    CHECK_OK(vic_attention_backward_reference(NULL, c->plan, &a, &to, &err));
    for (int t = 0; t < 3; t++) {
        double difference = 0.0, size = 0.0;
        for (int64_t i = 0; i < c->count[which[t]]; i++) {
            const double x = (double)read_number(c, which[t], i), y = want[t][i];
            CHECK(isfinite(x), "%s: %s[%lld] is %g", what, names[t], (long long)i, x);
            difference += (x - y) * (x - y);
            size += y * y;
        }
        print_message("%s: %s: relative error %.2e\n", what, names[t], sqrt(difference / size));
        CHECK(sqrt(difference) <= allowed * sqrt(size), "%s: %s: relative error %.2e, expected at most %.2e", what,
              names[t], sqrt(difference / size), allowed);
        free(want[t]);
    }
}

static void check_same_bits(struct call *c, void *const before[3], const char *what)
{
    for (int t = 0; t < 3; t++)
        CHECK(memcmp(before[t], c->host[DQ + t], bytes_of(c, DQ + t)) == 0, "%s: other bits in %s", what,
              t == 0   ? "dq"
              : t == 1 ? "dk"
                       : "dv");
}

static vic_pattern *of_atoms(int n, double size, double cutoff)
{
    uint64_t seed = 17;
    double *x = brute_alloc(3 * n, sizeof *x);
    vic_pattern *p;
    vic_error err;
    for (int i = 0; i < 3 * n; i++) x[i] = size * random_uniform(&seed);
    const vic_points points = points_at(n, x, NULL);
    CHECK_OK(vic_pattern_cutoff(NULL, &points, NULL, cutoff, NULL, &p, &err));
    free(x);
    return p;
}

/* Enough strips that each CTA has several items, and small gradients, whose products float16 holds only because of the
 * weights' shift; each launch has the same bits, one by one, one behind the other, and from a graph. */
static void test_many_items(void **state)
{
    static const int sizes[] = { 64, 32, 128 };
    enum { REPLAYS = 50 };
    (void)state;
    if (nothing_to_test()) skip();
    for (int t = first_type(); t < TYPES; t++)
        for (int s = 0; s < 3; s++)
            for (int order = 0; order < 2; order++) {
                struct call c;
                char what[80];
                void *before[3];
                cudaGraph_t graph;
                cudaGraphExec_t replay;
                vic_error err;
                const int n = small() ? 700 : 5003;
                begin(of_atoms(n, 2.2 * cbrt(n), 6.0), types[t], 8, s == 1 ? 8 : 2, sizes[s], order,
                      order ? 1.0 : 1e-3, &c);
                snprintf(what, sizeof what, "%s, d = %d, %s order", vic_dtype_name(types[t]), sizes[s],
                         order ? "pattern" : "caller's");
                run(&c);
                compare_call(&c, what);
                for (int k = 0; k < 3; k++) {
                    before[k] = brute_alloc((int64_t)bytes_of(&c, DQ + k), 1);
                    memcpy(before[k], c.host[DQ + k], bytes_of(&c, DQ + k));
                }
                run(&c);
                check_same_bits(&c, before, what);
                poison(&c);
                for (int k = 0; k < REPLAYS; k++) CHECK_OK(vic_attention_backward(NULL, c.plan, &c.args, &err));
                fetch(&c);
                check_same_bits(&c, before, what);
                CHECK_CUDA(cudaStreamBeginCapture(c.stream, cudaStreamCaptureModeThreadLocal));
                CHECK_OK(vic_attention_backward(NULL, c.plan, &c.args, &err));
                CHECK_CUDA(cudaStreamEndCapture(c.stream, &graph));
                CHECK_CUDA(cudaGraphInstantiate(&replay, graph, 0));
                poison(&c);
                for (int k = 0; k < REPLAYS; k++) CHECK_CUDA(cudaGraphLaunch(replay, c.stream));
                fetch(&c);
                check_same_bits(&c, before, what);
                CHECK_CUDA(cudaGraphExecDestroy(replay));
                CHECK_CUDA(cudaGraphDestroy(graph));
                for (int k = 0; k < 3; k++) free(before[k]);
                end(&c);
            }
}
/* Not a test: what each pass takes, with the row terms before it, and all of them.  The row terms alone are what the
 * first two are longer than the third. */
static void print_times(void **state)
{
    static const struct {
        double cutoff;
        int d, heads;
    } cases[] = { { 10.0, 64, 4 }, { 6.0, 64, 4 }, { 10.0, 32, 4 }, { 10.0, 128, 8 } };
    static const int launches[] = { 100, 1000 };
    enum { ATOMS = 92224, MOST = 1000 };
    static double seconds[MOST];
    (void)state;
    if (nothing_to_test()) skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call c;
        begin(of_atoms(ATOMS, cbrt(ATOMS / 0.1), cases[i].cutoff), VIC_F16, cases[i].heads, cases[i].heads,
              cases[i].d, true, 1.0, &c);
        for (int l = 0; l < 2; l++)
            for (int wanted = 1; wanted <= 3; wanted++) {
                const vic_time_options o = { .size = sizeof o, .launches = launches[l] };
                vic_attention_backward_args a = c.args;
                vic_error err;
                double sum = 0.0;
                if (!(wanted & 1)) a.dq = (vic_tensor){ 0 };
                if (!(wanted & 2)) a.dk = a.dv = (vic_tensor){ 0 };
                CHECK_OK(vic_attention_backward_time(NULL, c.plan, &a, &o, seconds, &err));
                for (int k = 0; k < launches[l]; k++) sum += seconds[k];
                print_message("%d atoms, %g A, %d x %d, %s, mean of %d launches: %.4f ms\n", ATOMS, cases[i].cutoff,
                              cases[i].heads, cases[i].d,
                              wanted == 1   ? "row terms and dq"
                              : wanted == 2 ? "row terms, dk and dv"
                                            : "all gradients",
                              launches[l], 1e3 * sum / launches[l]);
            }
        end(&c);
    }
}
#else
static void print_times(void **state)
{
    (void)state;
    skip();
}

static void test_many_items(void **state)
{
    (void)state;
    skip();
}
#endif

/* Whether a group is to run: all are where none is named. */
static bool is_named(int argc, char **argv, const char *group)
{
    bool named = argc == 1;
    for (int k = 1; k < argc; k++) named = named || strcmp(argv[k], group) == 0;
    return named;
}

/* All groups, or those that are named, times only if they are: checkers that take minutes run side by side. */
int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_geometries),
        cmocka_unit_test(test_head_sizes),
        cmocka_unit_test(test_heads_and_layouts),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_built_patterns),
        cmocka_unit_test(test_first_keys_masked),
        cmocka_unit_test(test_batches),
    };
    const struct CMUnitTest gradients[] = {
        cmocka_unit_test(test_many_items),
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_given),
    };
    const struct CMUnitTest ways[] = { WAY_TESTS }, times[] = { cmocka_unit_test(print_times) };
    int failed = 0;
    tested = VIC_CUDA;
    tested_operation = ATTENTION_BACKWARD;
    if (is_named(argc, argv, "gpu_backward"))
        failed += cmocka_run_group_tests_name("gpu_backward", gradients, start_pools, stop_pools);
    if (is_named(argc, argv, "gpu_backward_cases"))
        failed += cmocka_run_group_tests_name("gpu_backward_cases", cases, start_pools, stop_pools);
    if (is_named(argc, argv, "gpu_backward_ways"))
        failed += cmocka_run_group_tests_name("gpu_backward_ways", ways, start_pools, stop_pools);
    if (argc > 1 && is_named(argc, argv, "gpu_backward_times"))
        failed += cmocka_run_group_tests_name("gpu_backward_times", times, start_pools, stop_pools);
    return test_result(failed, nothing_to_test());
}
