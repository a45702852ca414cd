/* SPDX-License-Identifier: Apache-2.0 */
/* Running plans: what the engine asks of workspaces and batches, and what it does when a kernel fails.  The kernels
 * here only write down how they were called, so the paths of a GPU are walked without one. */
#include "check.h"
#include "engine/engine.h"

enum { N = 70, HEADS = 2, DIM = 8, ITEMS = 3 };

static struct {
    int launches, fail_at; /* this launch and later ones fail; 0 = none does */
    struct attention_args args;
    void *workspace, *stream;
    size_t bytes; /* asked for, an item or a thread */
} seen;

static size_t cpu_workspace(const struct vic_plan *plan, int threads, int64_t batch)
{
    (void)plan, (void)batch;
    return seen.bytes * (size_t)threads;
}

static size_t device_workspace(const struct vic_plan *plan, int threads, int64_t batch)
{
    (void)plan, (void)threads;
    return seen.bytes * (size_t)batch;
}

static vic_status note(const struct vic_plan *plan, const struct attention_args *args, const struct kernel_exec *exec,
                       vic_error *err)
{
    (void)plan;
    seen.args = *args;
    seen.workspace = exec->workspace;
    seen.stream = exec->stream;
    seen.launches++;
    if (seen.fail_at && seen.launches >= seen.fail_at) return vic_fail(err, VIC_FAILED, "launch %d", seen.launches);
    return VIC_OK;
}

static const struct kernel device_kernel = {
    .name = "noted", .device = VIC_CUDA, .workspace = device_workspace, .launch = note
};
static const struct kernel cpu_kernel = { .name = "noted", .workspace = cpu_workspace, .launch = note };

struct system {
    vic_engine *engine;
    vic_pattern *pattern;
    vic_plan *plan, cpu, gpu; /* a real one, and the same for the kernels above */
    vic_attention_args args;  /* of ITEMS items */
    _Alignas(64) char workspace[1024];
    float q[ITEMS * N * HEADS * DIM], out[ITEMS * N * HEADS * DIM];
};

static void on(vic_attention_args *a, vic_device device)
{
    a->q.device = a->k.device = a->v.device = a->out.device = device;
}

static int set_up(void **state)
{
    struct system *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    vic_pattern_options po = VIC_PATTERN_OPTIONS_INIT;
    vic_plan_options lo = VIC_PLAN_OPTIONS_INIT;
    const int64_t shape[] = { ITEMS, N, HEADS, DIM };
    double x[3 * N];
    uint64_t seed = 2;
    vic_error err;
    assert_non_null(s);
    memset(s, 0, sizeof *s);
    memset(&seen, 0, sizeof seen);
    for (int i = 0; i < 3 * N; i++) x[i] = 9 * random_uniform(&seed);
    po.cutoff = 4.0;
    lo.heads = HEADS;
    lo.head_dim = DIM;
    CHECK_OK(vic_engine_create(NULL, &s->engine, &err));
    CHECK_OK(vic_pattern_build_points(N, x, 0, NULL, NULL, NULL, &po, &s->pattern, &err));
    CHECK_OK(vic_plan_create(s->pattern, &lo, &s->plan, &err));
    s->cpu = s->gpu = *s->plan;
    s->cpu.kernel = &cpu_kernel;
    s->gpu.kernel = &device_kernel;
    s->gpu.device.kind = VIC_CUDA;
    s->args = (vic_attention_args)VIC_ATTENTION_ARGS_INIT;
    s->args.q = s->args.k = s->args.v = vic_tensor_make(s->q, VIC_F32, 4, shape);
    s->args.out = vic_tensor_make(s->out, VIC_F32, 4, shape);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct system *s = *state;
    vic_plan_free(s->plan);
    vic_pattern_free(s->pattern);
    vic_engine_free(s->engine);
    free(s);
    return 0;
}

static void enqueued_on_a_device(void **state)
{
    struct system *s = *state;
    vic_attention_args a = s->args;
    int stream;
    vic_error err;
    seen.bytes = 100;
    on(&a, s->gpu.device);
    CHECK_FAILS(engine_enqueue(&s->gpu, &a, &stream, &err), VIC_BAD_ARGUMENT, "workspace: expected 300 bytes");
    a.workspace_size = 300;
    CHECK_FAILS(engine_enqueue(&s->gpu, &a, &stream, &err), VIC_BAD_ARGUMENT, "got 300 at");
    a.workspace = s->workspace + 8;
    CHECK_FAILS(engine_enqueue(&s->gpu, &a, &stream, &err), VIC_BAD_ARGUMENT, "at a 64-byte boundary");
    a.workspace = s->workspace;
    a.workspace_size = 299;
    CHECK_FAILS(engine_enqueue(&s->gpu, &a, &stream, &err), VIC_BAD_ARGUMENT, "got 299");
    assert_int_equal(seen.launches, 0);
    a.workspace_size = 300;
    CHECK_OK(engine_enqueue(&s->gpu, &a, &stream, &err));
    assert_int_equal(seen.launches, 1);
    assert_ptr_equal(seen.workspace, s->workspace);
    assert_ptr_equal(seen.stream, &stream);
    assert_int_equal(seen.args.batch, ITEMS);
    assert_int_equal(seen.args.q.batch_stride, N * HEADS * DIM);
    assert_true(fabs(seen.args.scale - 1.0 / sqrt(DIM)) < 1e-15);
    seen.bytes = 0; /* a kernel that needs none */
    a.workspace = NULL;
    CHECK_OK(vic_attention_enqueue(&s->gpu, &a, &stream, &err));
    seen.fail_at = 1;
    CHECK_FAILS(engine_enqueue(&s->gpu, &a, &stream, &err), VIC_FAILED, "launch 3");
    a.k.device = (vic_device){ VIC_CUDA, 1 };
    CHECK_FAILS(engine_enqueue(&s->gpu, &a, &stream, &err), VIC_BAD_ARGUMENT,
                "tensor k: expected memory of cuda:0, got memory of another device, cuda:1");
    a.size = sizeof a + 8;
    CHECK_FAILS(vic_attention_enqueue(&s->gpu, &a, NULL, &err), VIC_BAD_ARGUMENT, "vic_attention_args.size");
    CHECK_FAILS(vic_attention_enqueue(s->plan, &s->args, NULL, &err), VIC_BAD_ARGUMENT, "which has no streams");
    assert_int_equal(seen.launches, 3);
}

/* Device memory is there or it is not; nothing is launched without. */
static void run_on_a_device(void **state)
{
    struct system *s = *state;
    vic_attention_args a = s->args;
    vic_error err = { VIC_OK, "" };
    seen.bytes = 64;
    on(&a, s->gpu.device);
    vic_status st = engine_run(NULL, &s->gpu, &a, &err);
    assert_int_equal(seen.launches, st == VIC_OK);
    if (st != VIC_OK) assert_int_equal(st, VIC_NO_DEVICE);
    seen.launches = 0;
    a.workspace = s->workspace;
    a.workspace_size = 100;
    CHECK_FAILS(engine_run(NULL, &s->gpu, &a, &err), VIC_BAD_ARGUMENT, "workspace: expected 192 bytes");
    assert_int_equal(seen.launches, 0);
    a.workspace_size = 192;
    st = engine_run(NULL, &s->gpu, &a, &err);
    assert_true(st == VIC_OK || st == VIC_NO_DEVICE);
    assert_int_equal(seen.launches, 1);
    assert_ptr_equal(seen.workspace, s->workspace);
}

static void batches_of_strange_sizes(void **state)
{
    struct system *s = *state;
    vic_attention_args a = s->args;
    assert_int_equal(engine_batch(&a), ITEMS);
    a.q.shape[0] = -5; /* refused later, in words about shapes */
    assert_int_equal(engine_batch(&a), 1);
    a.q.shape[0] = INT64_MAX;
    assert_true(engine_batch(&a) == INT64_MAX);
    a.q.ndim = 3;
    assert_int_equal(engine_batch(&a), 1);
}

static void a_kernel_fails(void **state)
{
    struct system *s = *state;
    vic_attention_args a = s->args;
    vic_time_options o = VIC_TIME_OPTIONS_INIT;
    double seconds[4];
    vic_error err;
    seen.bytes = 10;
    seen.fail_at = 1;
    CHECK_FAILS(engine_run(s->engine, &s->cpu, &a, &err), VIC_FAILED, "launch 1");
    seen.launches = 0;
    seen.fail_at = 3;
    CHECK_OK(engine_run(s->engine, &s->cpu, &a, &err));
    assert_int_equal(seen.launches, 1);
    assert_int_equal(seen.args.batch, ITEMS);
    assert_ptr_equal(seen.args.q.data, s->q);
    assert_null(seen.args.lse.data);
    o.launches = 4;
    o.warm_up = 0;
    CHECK_FAILS(engine_time(s->engine, &s->cpu, &a, &o, seconds, &err), VIC_FAILED, "launch 3");
    assert_int_equal(seen.launches, 3);
}

static void timed(void **state)
{
    struct system *s = *state;
    vic_attention_args a = s->args;
    vic_time_options o = VIC_TIME_OPTIONS_INIT;
    double seconds[2] = { -1, -1 };
    vic_error err;
    seen.bytes = 16;
    o.launches = 2;
    o.warm_up = 1;
    a.workspace = s->workspace;
    a.workspace_size = sizeof s->workspace;
    CHECK_OK(engine_time(s->engine, &s->cpu, &a, &o, seconds, &err));
    assert_int_equal(seen.launches, 3);
    assert_ptr_equal(seen.workspace, s->workspace); /* the caller's, which is still his */
    assert_true(seconds[0] >= 0 && seconds[1] >= 0);
    seen.bytes = 0; /* a kernel that needs none may be given some, aligned all the same */
    CHECK_OK(engine_run(s->engine, &s->cpu, &a, &err));
    a.workspace = s->workspace + 4;
    CHECK_FAILS(engine_run(s->engine, &s->cpu, &a, &err), VIC_BAD_ARGUMENT, "expected 0 bytes at a 64-byte boundary");
    o.warm_up = -1;
    CHECK_FAILS(engine_time(s->engine, &s->cpu, &a, &o, seconds, &err), VIC_BAD_ARGUMENT, "got 2 and -1");
    o.warm_up = 1000001;
    CHECK_FAILS(engine_time(s->engine, &s->cpu, &a, &o, seconds, &err), VIC_BAD_ARGUMENT, "got 2 and 1000001");
    o.warm_up = 0;
    for (int i = -1; i <= 1; i += 2) {
        o.in_graph = i < 0 ? -1 : 1000001;
        CHECK_FAILS(engine_time(s->engine, &s->cpu, &a, &o, seconds, &err), VIC_BAD_ARGUMENT,
                    "in_graph: expected 0 to 1000000");
    }
    o.in_graph = 3;
    CHECK_FAILS(engine_time(s->engine, &s->cpu, &a, &o, seconds, &err), VIC_BAD_ARGUMENT, "the plan is for the CPU");
    o.cold = true;
    on(&a, s->gpu.device);
    CHECK_FAILS(engine_time(NULL, &s->gpu, &a, &o, seconds, &err), VIC_BAD_ARGUMENT, "ask for one of the two");
    o.in_graph = 0;
    CHECK_FAILS(engine_time(s->engine, &s->cpu, &a, &o, seconds, &err), VIC_BAD_ARGUMENT, "the plan is for the CPU");
}

static void timed_on_a_device(void **state)
{
    struct system *s = *state;
    vic_attention_args a = s->args;
    vic_time_options o = VIC_TIME_OPTIONS_INIT;
    double seconds[2] = { -1, -1 };
    vic_error err;
    o.launches = 2;
    o.warm_up = 0;
    seen.bytes = 64;
    on(&a, s->gpu.device);
    for (int own = 0; own < 2; own++) {
        seen.launches = 0;
        a.workspace = own ? s->workspace : NULL;
        a.workspace_size = own ? sizeof s->workspace : 0;
        vic_status st = engine_time(NULL, &s->gpu, &a, &o, seconds, &err);
        assert_true(st == VIC_OK || st == VIC_NO_DEVICE);
        assert_int_equal(seen.launches, st == VIC_OK ? 2 : 0);
    }
}

static void without_an_engine(void **state)
{
    struct system *s = *state;
    vic_time_options o = VIC_TIME_OPTIONS_INIT;
    double seconds = 7, out[N * HEADS * DIM];
    vic_error err;
    o.launches = 1;
    CHECK_FAILS(vic_attention(NULL, s->plan, &s->args, &err), VIC_BAD_ARGUMENT, "engine is NULL");
    CHECK_FAILS(vic_attention_time(NULL, s->plan, &s->args, &o, &seconds, &err), VIC_BAD_ARGUMENT, "engine is NULL");
    CHECK_FAILS(vic_attention_reference(NULL, s->plan, &s->args, 0, NULL, out, NULL, NULL, &err), VIC_BAD_ARGUMENT,
                "engine is NULL");
    assert_true(seconds == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(enqueued_on_a_device, set_up, tear_down),
        cmocka_unit_test_setup_teardown(run_on_a_device, set_up, tear_down),
        cmocka_unit_test_setup_teardown(batches_of_strange_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kernel_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timed_on_a_device, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_an_engine, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
