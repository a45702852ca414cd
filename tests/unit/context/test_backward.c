/* SPDX-License-Identifier: Apache-2.0 */
/* Running the gradients of a plan: what their kernel is given, where its workspace comes from and goes, and what happens
 * when it fails.  The kernel here only writes down how it was called, so the paths of a GPU are walked without one. */
#include "objects.h"

#include "context/context.h"

enum { N = 70, HEADS = 2, DIM = 8, ENTRIES = 3, SIZE = ENTRIES * N * HEADS * DIM };

static struct {
    int launches;
    bool fails;
    struct attention_backward_args args;
    const struct vic_plan *plan;
    void *workspace, *stream;
} seen;

static size_t workspace(const struct vic_plan *plan, int threads, int64_t batch, bool items)
{
    (void)plan, (void)threads;
    assert_false(items); /* gradients have none */
    return 64 * (size_t)batch;
}

static vic_status note(const struct vic_plan *plan, const struct attention_backward_args *args,
                       const struct kernel_exec *exec, vic_error *err)
{
    seen.plan = plan;
    seen.args = *args;
    seen.workspace = exec->workspace;
    seen.stream = exec->stream;
    seen.launches++;
    return seen.fails ? vic_fail(err, VIC_FAILED, "launch %d", seen.launches) : VIC_OK;
}

static const struct kernel noted = {
    .name = "noted", .operation = ATTENTION_BACKWARD, .workspace = workspace, .launch_backward = note
};
static const struct kernel noted_on_gpu = { .name = "noted",
                                            .operation = ATTENTION_BACKWARD,
                                            .device = VIC_CUDA,
                                            .workspace = workspace,
                                            .launch_backward = note };

struct system {
    vic_context *context; /* of the CPU */
    vic_pattern *pattern;
    vic_plan *plan, cpu, cpu_backward, gpu, gpu_backward; /* a real one, and the same for the kernels above */
    vic_attention_backward_args args;
    _Alignas(64) char workspace[1024];
    float x[SIZE], dq[SIZE], lse[ENTRIES * N * HEADS];
};

static int set_up(void **state)
{
    struct system *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    const vic_plan_options o = {
        .size = sizeof o, .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM, .backward = true
    };
    const int64_t shape[] = { ENTRIES, N, HEADS, DIM };
    double x[3 * N];
    uint64_t seed = 2;
    vic_error err;
    assert_non_null(s);
    memset(s, 0, sizeof *s);
    memset(&seen, 0, sizeof seen);
    for (int i = 0; i < 3 * N; i++) x[i] = 9 * random_uniform(&seed);
    vic_points points = points_at(N, x, NULL);
    s->context = context_of(2);
    s->pattern = cutoff_pattern(&points, 4.0);
    CHECK_OK(vic_plan_create(s->context, s->pattern, &o, &s->plan, &err));
    s->cpu = s->gpu = *s->plan;
    s->cpu_backward = s->gpu_backward = *s->plan->backward;
    s->cpu.backward = &s->cpu_backward;
    s->gpu.backward = &s->gpu_backward;
    s->cpu_backward.kernel = &noted;
    s->gpu_backward.kernel = &noted_on_gpu;
    s->gpu.device.type = s->gpu_backward.device.type = VIC_CUDA;
    s->args = (vic_attention_backward_args)VIC_INIT(vic_attention_backward_args);
    s->args.q = s->args.k = s->args.v = s->args.out = s->args.dout = vic_tensor_make(s->x, VIC_F32, 4, shape);
    s->args.lse = vic_tensor_make(s->lse, VIC_F32, 3, shape);
    s->args.dq = vic_tensor_make(s->dq, VIC_F32, 4, shape);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct system *s = *state;
    vic_plan_free(s->plan);
    vic_pattern_free(s->pattern);
    vic_context_free(s->context);
    free(s);
    return 0;
}

static void on_gpu(vic_attention_backward_args *a)
{
    vic_tensor *const all[] = { &a->q, &a->k, &a->v, &a->out, &a->lse, &a->dout, &a->dq };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) all[i]->device.type = VIC_CUDA;
}

/* One launch for the batch, of the inner plan, with what is not given as NULL. */
static void once_for_a_batch(void **state)
{
    struct system *s = *state;
    vic_error err;
    CHECK_OK(vic_attention_backward(s->context, &s->cpu, &s->args, &err));
    assert_int_equal(seen.launches, 1);
    assert_ptr_equal(seen.plan, &s->cpu_backward);
    assert_int_equal(seen.args.batch, ENTRIES);
    assert_int_equal(seen.args.dq.batch_stride, N * HEADS * DIM);
    assert_ptr_equal(seen.args.dq.data, s->dq);
    assert_ptr_equal(seen.args.q_rows, s->pattern->q_order);
    assert_null(seen.args.dk.data);
    assert_null(seen.args.dv.data);
    assert_null(seen.args.dlse.data);
    assert_null(seen.args.dtable);
    assert_true(fabs(seen.args.scale - 1.0 / sqrt(DIM)) < 1e-15);
    assert_true(seen.plan->transposed == s->pattern && seen.plan->pattern == s->pattern); /* of a cutoff */
    s->args.zero_scale = true;
    CHECK_OK(vic_attention_backward(s->context, &s->cpu, &s->args, &err));
    assert_true(seen.args.scale == 0.0);
}

/* A stream is named and there is a workspace: nothing is waited for, and no GPU is asked for anything. */
static void enqueued_on_a_stream(void **state)
{
    struct system *s = *state;
    vic_attention_backward_args a = s->args;
    int stream;
    vic_error err;
    on_gpu(&a);
    a.stream = &stream;
    a.workspace = s->workspace;
    a.workspace_size = 64 * ENTRIES - 1;
    CHECK_FAILS(vic_attention_backward(NULL, &s->gpu, &a, &err), VIC_BAD_ARGUMENT, "workspace: expected 192 bytes");
    assert_int_equal(seen.launches, 0);
    a.workspace_size = 64 * ENTRIES;
    CHECK_OK(vic_attention_backward(NULL, &s->gpu, &a, &err));
    assert_ptr_equal(seen.workspace, s->workspace);
    assert_ptr_equal(seen.stream, &stream);
    a.dq.device = (vic_device){ VIC_CUDA, 1 };
    CHECK_FAILS(vic_attention_backward(NULL, &s->gpu, &a, &err), VIC_BAD_ARGUMENT,
                "tensor dq: expected memory of cuda:0, got memory of another device, cuda:1");
    assert_int_equal(seen.launches, 1);
}

struct memory {
    char block[1000];
    int taken, given;
    size_t bytes;
    bool none;
};

static void *take(void *user, size_t bytes, void *stream)
{
    struct memory *m = user;
    (void)stream;
    m->taken++;
    m->bytes = bytes;
    return m->none ? NULL : m->block;
}

static void give(void *user, void *memory, void *stream)
{
    struct memory *m = user;
    (void)stream;
    m->given++;
    assert_ptr_equal(memory, m->block);
}

/* A context of the GPU: its stream and its memory, which is given back whatever happens. */
static void enqueued_in_a_context(void **state)
{
    struct system *s = *state;
    struct memory m = { .taken = 0 };
    int stream;
    struct vic_context c = {
        .options = { .device = s->gpu.device, .stream = &stream, .allocate = take, .release = give, .user = &m }
    };
    vic_attention_backward_args a = s->args;
    vic_error err;
    on_gpu(&a);
    CHECK_OK(vic_attention_backward(&c, &s->gpu, &a, &err));
    assert_ptr_equal(seen.stream, &stream);
    assert_ptr_equal(seen.workspace, m.block);
    assert_int_equal(m.bytes, 64 * ENTRIES);
    seen.fails = true;
    CHECK_FAILS(vic_attention_backward(&c, &s->gpu, &a, &err), VIC_FAILED, "launch 2");
    assert_true(m.taken == 2 && m.given == 2);
    m.none = true;
    CHECK_FAILS(vic_attention_backward(&c, &s->gpu, &a, &err), VIC_NO_MEMORY, "192 bytes");
    assert_true(seen.launches == 2 && m.given == 2);
    CHECK_FAILS(vic_attention_backward(s->context, &s->gpu, &a, &err), VIC_BAD_ARGUMENT, "the context is of cpu:0");
}

static void timed(void **state)
{
    struct system *s = *state;
    vic_time_options o = { .size = sizeof o, .launches = 3, .warm_up = 2 };
    double seconds[3] = { -1, -1, -1 };
    vic_error err;
    CHECK_OK(vic_attention_backward_time(s->context, &s->cpu, &s->args, &o, seconds, &err));
    assert_int_equal(seen.launches, 5);
    for (int i = 0; i < 3; i++) assert_true(seconds[i] >= 0);
    seen.fails = true;
    CHECK_FAILS(vic_attention_backward_time(s->context, &s->cpu, &s->args, &o, seconds, &err), VIC_FAILED,
                "launch 6");
    seen.fails = false;
    s->args.workspace = s->workspace;
    s->args.workspace_size = sizeof s->workspace;
    CHECK_OK(vic_attention_backward_time(s->context, &s->cpu, &s->args, &o, seconds, &err));
    assert_ptr_equal(seen.workspace, s->workspace);
    o.cold = true;
    CHECK_FAILS(vic_attention_backward_time(s->context, &s->cpu, &s->args, &o, seconds, &err), VIC_BAD_ARGUMENT,
                "the plan is for the CPU");
}

/* As large as the larger of the two needs it. */
static void workspace_of_both(void **state)
{
    struct system *s = *state;
    size_t forward, both;
    vic_error err;
    s->cpu.backward = NULL;
    CHECK_OK(vic_plan_workspace(s->context, &s->cpu, 1, &forward, &err));
    s->cpu.backward = &s->cpu_backward;
    CHECK_OK(vic_plan_workspace(s->context, &s->cpu, 1, &both, &err));
    assert_int_equal(both, forward > 64 ? forward : 64);
    CHECK_OK(vic_plan_workspace(s->context, &s->cpu, 4096, &both, &err));
    assert_int_equal(both, forward > 64 * 4096 ? forward : 64 * 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(once_for_a_batch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(enqueued_on_a_stream, set_up, tear_down),
        cmocka_unit_test_setup_teardown(enqueued_in_a_context, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(workspace_of_both, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("context_backward", tests, NULL, NULL);
}
