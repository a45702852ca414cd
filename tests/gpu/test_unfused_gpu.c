/* SPDX-License-Identifier: Apache-2.0 */
/* attn_fwd_unfused on block masks: the cases of the other rows, long rows, every head size, batches, graphs and two
 * streams; skipped where there is no GPU or no cuBLAS. */
#ifdef VIC_HAVE_CUDA

#include "parity/lib/run.h"
#include "parity/lib/ways.h"

#include <cuda_runtime_api.h>

#define CHECK_CUDA(call)                                                                                             \
    do {                                                                                                             \
        cudaError_t check_code_ = (call);                                                                            \
        if (check_code_ != cudaSuccess) fail_msg("%s: %s", #call, cudaGetErrorString(check_code_));                  \
    } while (0)

static const struct kernel *row_of(vic_dtype dtype)
{
    const char *name = dtype == VIC_BF16 ? "attn_fwd_unfused_bf16" : "attn_fwd_unfused_f16";
    for (int i = 0; i < kernel_table_size; i++)
        if (strcmp(kernel_table[i]->name, name) == 0) return kernel_table[i];
    fail_msg("there is no row %s", name);
    return NULL;
}

static vic_plan_options unfused_options(int heads, int dim)
{
    return (vic_plan_options){ .size = sizeof(vic_plan_options),
                               .device = the_gpu,
                               .dtype = VIC_F16,
                               .heads = heads,
                               .head_dim = dim,
                               .kernel = "attn_fwd_unfused_f16" };
}

/* As nothing_to_test(), and a word where cuBLAS is missing. */
static bool cannot_run(void)
{
    static const int64_t ptr[] = { 0, 1 };
    static const int32_t column[] = { 0 };
    const vic_block_list list = { .size = sizeof list, .block = 16, .row_ptr = ptr, .column = column };
    const vic_points points = points_of(16);
    const vic_plan_options o = unfused_options(1, 64);
    vic_pattern *p;
    vic_plan *plan;
    vic_error err;
    if (nothing_to_test()) return true;
    CHECK_OK(vic_pattern_blocks(NULL, &points, &points, &list, NULL, &p, &err));
    vic_status st = vic_plan_create(NULL, p, &o, &plan, &err);
    vic_plan_free(plan);
    vic_pattern_free(p);
    if (st == VIC_NO_KERNEL) print_message("skipped: %s\n", err.text);
    if (st != VIC_OK && st != VIC_NO_KERNEL) fail_msg("%s", err.text);
    return st != VIC_OK;
}

/* Both types, both orders of rows; of small ones each once. */
static void run_unfused(const struct attention_case *given, uint64_t seed)
{
    if (small() && (given->n_q > 700 || given->n_k > 3000)) return;
    for (int t = 1; t < TYPES; t++)
        for (int order = 0; order < 2; order++) {
            struct attention_case c = *given;
            struct problem p;
            struct checked x = { &c, &p, seed };
            if (small() && order != (types[t] == VIC_BF16)) continue;
            c.dtype = types[t];
            c.pattern_order = order;
            make_problem(&c, seed, &p);
            check_kernel(row_of(c.dtype), &x);
            free_problem(&p);
        }
}

static void blocks(void **state)
{
    static const struct attention_case more[] = {
        /* Cutoff patterns of which everything is in: rows are not in the order of the atoms. */
        { .name = "dense", .n_q = 512, .n_k = -1, .box = 5, .cutoff = 100, .built = true, .d_qk = 64 },
        { .name = "dense, ragged", .n_q = 333, .n_k = 470, .box = 5, .cutoff = 100, .built = true, .layout = PADDED },
        { .name = "dense, packed", .n_q = 192, .n_k = -1, .box = 5, .cutoff = 100, .layout = PACKED_QKV },
        { .name = "no blocks", .n_q = 100, .n_k = 300, .box = 1e4, .cutoff = 0.01, .built = true },
        /* Longer than a CTA holds. */
        { .name = "long rows", .n_q = 200, .n_k = 21000, .way = way_blocks, .way_size = 128, .d_qk = 64 },
        { .name = "long rows of 32",
          .n_q = 64,
          .n_k = 33000,
          .way = way_blocks,
          .way_size = 32,
          .values = GROWING,
          .scale = 0.05 },
        { .name = "all below float32",
          .n_q = 300,
          .n_k = 333,
          .way = way_blocks,
          .way_size = 64,
          .values = BELOW_FLOAT,
          .scale = 1.0 },
        { .name = "scaled below float32",
          .n_q = 300,
          .n_k = 333,
          .way = way_blocks,
          .way_size = 64,
          .values = SCALED_BELOW_FLOAT,
          .scale = 1e20 },
        { .name = "windows of 32", .n_q = 320, .n_k = -1, .way = way_windows, .way_size = 32 },
    };
    (void)state;
    if (cannot_run()) skip();
    for (size_t i = 0; i < block_case_count; i++) run_unfused(&block_cases[i], 100 + i);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) run_unfused(&more[i], 200 + i);
}

static void head_sizes(void **state)
{
    (void)state;
    if (cannot_run()) skip();
    for (int d = 8; d <= 128; d += small() ? 40 : 8) {
        struct attention_case c = {
            .name = "head size", .n_q = 200, .n_k = 260, .way = way_blocks, .way_size = 64, .d_qk = d, .d_v = 136 - d
        };
        run_unfused(&c, 300 + (uint64_t)d);
    }
}

static void entries(void **state)
{
    (void)state;
    if (cannot_run()) skip();
    for (int t = 1; t < TYPES; t++)
        for (int order = 0; order < 2; order++) {
            struct attention_case c = { .name = "entries",
                                        .n_q = 400,
                                        .n_k = -1,
                                        .heads = 3,
                                        .d_qk = 64,
                                        .batch = 3,
                                        .way = way_blocks,
                                        .way_size = 64,
                                        .dtype = types[t],
                                        .pattern_order = order };
            struct problem p;
            make_problem(&c, 400, &p);
            check_entries(row_of(c.dtype), &p);
            free_problem(&p);
        }
}

static void refusal(void **state)
{
    struct attention_case c = { .name = "cutoff", .n_q = 300, .n_k = -1, .box = 15, .cutoff = 5, .dtype = VIC_F16 };
    struct problem p;
    vic_error err;
    (void)state;
    if (cannot_run()) skip();
    make_problem(&c, 500, &p);
    CHECK_FAILS(launch_on_gpu(row_of(VIC_F16), &p, &err), VIC_NO_KERNEL, "attn_fwd_sm90 takes any pattern");
    free_problem(&p);
}

/* Captured at its first launch after the plan, replayed, and on two streams at once: the same bits. */
static void graphs_and_streams(void **state)
{
    enum { N = 1000, HEADS = 2, DIM = 64, SIZE = N * HEADS * DIM, STREAMS = 2 };
    static uint16_t host[SIZE], expected[SIZE], found[SIZE];
    const int64_t shape[] = { N, HEADS, DIM };
    struct attention_case c = { .name = "graph", .n_q = N, .way_size = 128 };
    struct brute_points points = { .n_q = N, .one_set = true };
    const vic_plan_options o = unfused_options(HEADS, DIM);
    vic_attention_args a[STREAMS];
    cudaStream_t streams[STREAMS];
    cudaGraphExec_t replays[STREAMS];
    void *inputs[3];
    uint64_t seed = 600;
    vic_plan *plan;
    vic_error err;
    (void)state;
    if (cannot_run()) skip();
    vic_pattern *p = way_blocks(&c, &points, 7);
    CHECK_OK(vic_plan_create(NULL, p, &o, &plan, &err));
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < SIZE; j++) host[j] = f16_from_f32((float)random_normal(&seed));
        inputs[i] = to_gpu((const unsigned char *)host, sizeof host);
    }
    memset(found, 0xff, sizeof found);
    for (int s = 0; s < STREAMS; s++) {
        cudaGraph_t graph;
        a[s] = (vic_attention_args)VIC_INIT(vic_attention_args);
        a[s].q = vic_tensor_make(inputs[0], VIC_F16, 3, shape);
        a[s].k = vic_tensor_make(inputs[1], VIC_F16, 3, shape);
        a[s].v = vic_tensor_make(inputs[2], VIC_F16, 3, shape);
        a[s].out = vic_tensor_make(to_gpu((const unsigned char *)found, sizeof found), VIC_F16, 3, shape);
        a[s].q.device = a[s].k.device = a[s].v.device = a[s].out.device = the_gpu;
        CHECK_OK(vic_plan_workspace(NULL, plan, 1, &a[s].workspace_size, &err));
        CHECK_CUDA(cudaMalloc(&a[s].workspace, a[s].workspace_size));
        CHECK_CUDA(cudaStreamCreateWithFlags(&streams[s], cudaStreamNonBlocking));
        CHECK_CUDA(cudaStreamBeginCapture(streams[s], cudaStreamCaptureModeGlobal));
        a[s].stream = streams[s];
        CHECK_OK(vic_attention(NULL, plan, &a[s], &err));
        CHECK_CUDA(cudaStreamEndCapture(streams[s], &graph));
        CHECK_CUDA(cudaGraphInstantiate(&replays[s], graph, 0));
        cudaGraphDestroy(graph);
    }
    CHECK_OK(vic_attention(NULL, plan, &a[0], &err));
    CHECK_CUDA(cudaStreamSynchronize(streams[0]));
    from_gpu((unsigned char *)expected, a[0].out.data, sizeof expected);
    assert_memory_not_equal(expected, found, sizeof expected);
    for (int s = 0; s < STREAMS; s++) CHECK_CUDA(cudaMemset(a[s].out.data, 0xff, sizeof found));
    CHECK_CUDA(cudaDeviceSynchronize());
    for (int i = 0; i < 200; i++)
        for (int s = 0; s < STREAMS; s++) {
            CHECK_CUDA(cudaGraphLaunch(replays[s], streams[s]));
            CHECK_OK(vic_attention(NULL, plan, &a[s], &err));
        }
    for (int s = 0; s < STREAMS; s++) {
        CHECK_CUDA(cudaStreamSynchronize(streams[s]));
        from_gpu((unsigned char *)found, a[s].out.data, sizeof found);
        assert_memory_equal(found, expected, sizeof found);
        cudaGraphExecDestroy(replays[s]);
        cudaStreamDestroy(streams[s]);
        cudaFree(a[s].out.data);
        cudaFree(a[s].workspace);
    }
    for (int i = 0; i < 3; i++) cudaFree(inputs[i]);
    vic_plan_free(plan);
    vic_pattern_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks),  cmocka_unit_test(head_sizes),         cmocka_unit_test(entries),
        cmocka_unit_test(refusal), cmocka_unit_test(graphs_and_streams),
    };
    tested = VIC_CUDA;
    return test_result(cmocka_run_group_tests_name("gpu_unfused", tests, start_pools, stop_pools), cannot_run());
}

#else

#include "check.h"

static void without_cuda(void **state)
{
    (void)state;
    print_message("skipped: this build has no CUDA\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(without_cuda) };
    return test_result(cmocka_run_group_tests_name("gpu_unfused", tests, NULL, NULL), true);
}

#endif
