/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a GPU: shared with another process, pinned on the host, and that of plans, which are made and freed while
 * a stream goes on. */
#include "objects.h"
#include "vicinal_engine.h"

#ifdef VIC_HAVE_CUDA

#include <cuda_runtime_api.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 3 << 20, N = 20000, HEADS = 4, DIM = 64 };

#define CHECK_CUDA(call)                                                                                             \
    do {                                                                                                             \
        cudaError_t check_code_ = (call);                                                                            \
        if (check_code_ != cudaSuccess) fail_msg("%s: %s", #call, cudaGetErrorString(check_code_));                  \
    } while (0)

static const vic_device gpu = { VIC_CUDA, 0 }, cpu = { VIC_CPU, 0 }, host = { VIC_CUDA_HOST, 0 };
static vic_error err;
static pid_t child;
static int to_child, from_child;
static unsigned char bytes[BYTES];

static bool no_gpu(void)
{
    int devices = 0;
    if (cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0) return false;
    cudaGetLastError();
    print_message("skipped: this machine has no GPU that CUDA can use\n");
    return true;
}

/* ---- the other process: forked before CUDA is started, as it does not survive a fork ---- */

static int expect(bool right, const char *what)
{
    if (!right) fprintf(stderr, "other process: %s: %s\n", what, err.text);
    return right ? 0 : 1;
}

static int other_process(int in, int out)
{
    vic_memory_handle handle, none = { { 0 } };
    void *memory = NULL;
    int wrong = 0;
    if (read(in, &handle, sizeof handle) != (ssize_t)sizeof handle) return 0; /* nothing is tested */
    wrong += expect(vic_memory_open(gpu, &none, 1, &memory, &err) == VIC_BAD_ARGUMENT && !memory, "no handle");
    wrong += expect(vic_memory_open(gpu, &handle, (size_t)1 << 40, &memory, &err) == VIC_BAD_ARGUMENT && !memory,
                    "more than there is");
    wrong += expect(vic_memory_open(gpu, &handle, BYTES, &memory, &err) == VIC_OK, "opening");
    if (!wrong) {
        wrong += expect(vic_memory_copy(cpu, bytes, gpu, memory, BYTES, &err) == VIC_OK, "reading");
        for (int i = 0; i < BYTES && !wrong; i++)
            wrong += expect(bytes[i] == (unsigned char)(i * 7 + i / 251), "bytes");
        for (int i = 0; i < BYTES; i++) bytes[i] = (unsigned char)~bytes[i];
        wrong += expect(vic_memory_copy(gpu, memory, cpu, bytes, BYTES, &err) == VIC_OK, "writing");
        vic_memory_close(gpu, memory);
    }
    if (write(out, &wrong, sizeof wrong) != (ssize_t)sizeof wrong) return 1;
    return wrong;
}

static void start_other_process(void)
{
    int there[2], back[2];
    if (pipe(there) || pipe(back)) abort();
    child = fork();
    if (child == 0) {
        close(there[1]);
        close(back[0]);
        _exit(other_process(there[0], back[1]));
    }
    close(there[0]);
    close(back[1]);
    to_child = there[1];
    from_child = back[0];
}

static void shared_with_a_process(void **state)
{
    vic_memory_handle handle;
    void *memory;
    int wrong = -1;
    (void)state;
    if (no_gpu()) skip();
    for (int i = 0; i < BYTES; i++) bytes[i] = (unsigned char)(i * 7 + i / 251);
    CHECK_OK(vic_memory_alloc(gpu, BYTES, &memory, &err));
    CHECK_OK(vic_memory_copy(gpu, memory, cpu, bytes, BYTES, &err));
    CHECK_FAILS(vic_memory_export(gpu, (char *)memory + 256, &handle, &err), VIC_BAD_ARGUMENT,
                "256 bytes behind its beginning");
    CHECK_FAILS(vic_memory_export(gpu, bytes, &handle, &err), VIC_BAD_ARGUMENT, "no memory of the GPU");
    CHECK_OK(vic_memory_export(gpu, memory, &handle, &err));
    assert_int_equal(write(to_child, &handle, sizeof handle), sizeof handle);
    assert_int_equal(read(from_child, &wrong, sizeof wrong), sizeof wrong);
    assert_int_equal(wrong, 0);
    CHECK_OK(vic_memory_copy(cpu, bytes, gpu, memory, BYTES, &err));
    for (int i = 0; i < BYTES; i++)
        CHECK(bytes[i] == (unsigned char)~(i * 7 + i / 251), "byte %d is not what the other process wrote", i);
    vic_memory_free(gpu, memory);
}

static void pinned(void **state)
{
    struct cudaPointerAttributes a;
    void *memory;
    (void)state;
    if (no_gpu()) skip();
    CHECK_OK(vic_memory_alloc(host, BYTES, &memory, &err));
    CHECK_CUDA(cudaPointerGetAttributes(&a, memory));
    assert_int_equal(a.type, cudaMemoryTypeHost);
    memset(memory, 3, BYTES);
    CHECK_OK(vic_memory_copy(cpu, bytes, host, memory, BYTES, &err));
    assert_int_equal(bytes[BYTES - 1], 3);
    vic_memory_free(host, memory);
    CHECK_OK(vic_memory_alloc(host, 0, &memory, &err));
    vic_memory_free(host, memory);
}

/* ---- plans ---- */

static void CUDART_CB hold(void *flag)
{
    while (!__atomic_load_n((bool *)flag, __ATOMIC_ACQUIRE)) usleep(1000);
}

static vic_plan *make_plan(vic_context *c, const vic_pattern *p)
{
    const vic_plan_options o = {
        .size = sizeof o, .device = gpu, .dtype = VIC_F16, .heads = HEADS, .head_dim = DIM, .pattern_order = true
    };
    vic_plan *plan;
    CHECK_OK(vic_plan_create(c, p, &o, &plan, &err));
    return plan;
}

/* Streams that are held up, one of them the default one's follower, hold no plan up; and what the plan computes is
 * right, wherever its memory comes from. */
static void plans_beside_work(void **state)
{
    static double x[3 * N];
    const int64_t shape[] = { N, HEADS, DIM };
    const size_t size = (size_t)N * HEADS * DIM * 2;
    uint16_t *first = malloc(size), *again = malloc(size);
    const vic_context_options o = { .size = sizeof o, .device = gpu, .threads = 2 };
    vic_attention_args a = VIC_INIT(vic_attention_args);
    cudaStream_t streams[2];
    vic_context *c;
    void *memory[4];
    uint64_t seed = 4;
    bool go_on = false;
    (void)state;
    if (no_gpu()) skip();
    assert_true(first && again);
    for (int i = 0; i < 3 * N; i++) x[i] = 60 * random_uniform(&seed);
    vic_points points = points_at(N, x, NULL);
    vic_pattern *p = cutoff_pattern(&points, 5);
    vic_tensor *const tensors[] = { &a.q, &a.k, &a.v, &a.out };
    CHECK_OK(vic_context_create(&o, &c, &err));
    vic_plan_free(make_plan(c, p)); /* what is loaded once is loaded */
    for (size_t i = 0; i < size / 2; i++) first[i] = (uint16_t)(0x3000 + random_bits(&seed) % 0x0c00);
    for (int t = 0; t < 4; t++) {
        CHECK_OK(vic_memory_alloc(gpu, size, &memory[t], &err));
        CHECK_OK(vic_memory_copy(gpu, memory[t], cpu, first, size, &err));
        *tensors[t] = vic_tensor_make(memory[t], VIC_F16, 3, shape);
        tensors[t]->device = gpu;
    }
    CHECK_CUDA(cudaStreamCreateWithFlags(&streams[0], cudaStreamNonBlocking));
    CHECK_CUDA(cudaStreamCreate(&streams[1]));
    for (int s = 0; s < 2; s++) CHECK_CUDA(cudaLaunchHostFunc(streams[s], hold, &go_on));
    vic_plan *plans[] = { make_plan(c, p), make_plan(NULL, p), make_plan(c, p) };
    for (int s = 0; s < 2; s++)
        CHECK(cudaStreamQuery(streams[s]) == cudaErrorNotReady, "stream %d is not held up any more", s);
    __atomic_store_n(&go_on, true, __ATOMIC_RELEASE);
    CHECK_CUDA(cudaDeviceSynchronize());
    vic_context_free(c); /* a plan's memory outlives the pool that it came from */
    for (int k = 0; k < 3; k++) {
        CHECK_CUDA(cudaMemset(memory[3], 0xff, size));
        CHECK_OK(vic_attention(NULL, plans[k], &a, &err));
        CHECK_OK(vic_memory_copy(cpu, k ? again : first, gpu, memory[3], size, &err));
        if (k) assert_memory_equal(again, first, size);
    }
    /* Freed right behind a launch: the launch still finds it. */
    CHECK_CUDA(cudaMemset(memory[3], 0xff, size));
    CHECK_CUDA(cudaDeviceSynchronize());
    a.stream = streams[0];
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < 20; i++) CHECK_OK(vic_attention(NULL, plans[k], &a, &err));
        vic_plan_free(plans[k]);
    }
    CHECK_CUDA(cudaDeviceSynchronize());
    CHECK_OK(vic_memory_copy(cpu, again, gpu, memory[3], size, &err));
    assert_memory_equal(again, first, size);
    for (int s = 0; s < 2; s++) cudaStreamDestroy(streams[s]);
    for (int t = 0; t < 4; t++) vic_memory_free(gpu, memory[t]);
    vic_pattern_free(p);
    free(first);
    free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(shared_with_a_process), cmocka_unit_test(pinned),
                                        cmocka_unit_test(plans_beside_work) };
    start_other_process();
    int failed = cmocka_run_group_tests_name("gpu_memory", tests, NULL, NULL);
    close(to_child); /* where nothing was sent, the other process ends now */
    waitpid(child, NULL, 0);
    return test_result(failed, no_gpu());
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
    return test_result(cmocka_run_group_tests_name("gpu_memory", tests, NULL, NULL), true);
}

#endif
