/* SPDX-License-Identifier: Apache-2.0 */
/* Running plans: what is asked of workspaces, streams and batches, and what happens when a kernel fails.  The kernels
 * here only write down how they were called, so the paths of a GPU are walked without one. */
#include "objects.h"

#include "context/context.h"

enum { N = 70, HEADS = 2, DIM = 8, ITEMS = 3 };

static struct {
    int launches, fail_at; /* this launch and later ones fail; 0 = none does */
    struct attention_args args;
    void *workspace, *stream;
    struct pool *pool;
    size_t bytes; /* asked for, an item or a thread */
} seen;

static size_t cpu_workspace(const struct vic_plan *plan, int threads, int64_t batch, bool items)
{
    (void)plan, (void)batch, (void)items;
    return seen.bytes * (size_t)threads;
}

static size_t device_workspace(const struct vic_plan *plan, int threads, int64_t batch, bool items)
{
    (void)plan, (void)threads;
    return seen.bytes * (size_t)batch + (items ? 64 : 0);
}

static vic_status note(const struct vic_plan *plan, const struct attention_args *args, const struct kernel_exec *exec,
                       vic_error *err)
{
    (void)plan;
    seen.args = *args;
    seen.pool = exec->pool;
    seen.workspace = exec->workspace;
    seen.stream = exec->stream;
    seen.launches++;
    if (seen.fail_at && seen.launches >= seen.fail_at) return vic_fail(err, VIC_FAILED, "launch %d", seen.launches);
    return VIC_OK;
}

static const struct kernel device_kernel = {
    .name = "noted", .device = VIC_CUDA, .workspace = device_workspace, .launch = note
};
static const struct kernel items_kernel = {
    .name = "noted", .device = VIC_CUDA, .features = FEATURE_ITEMS, .workspace = device_workspace, .launch = note
};
static const struct kernel cpu_kernel = { .name = "noted", .workspace = cpu_workspace, .launch = note };

struct system {
    vic_context *context; /* of the CPU */
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
    const vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM };
    const int64_t shape[] = { ITEMS, N, HEADS, DIM };
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
    s->cpu.kernel = &cpu_kernel;
    s->gpu.kernel = &device_kernel;
    s->gpu.device.type = VIC_CUDA;
    s->args = (vic_attention_args)VIC_INIT(vic_attention_args);
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
    vic_context_free(s->context);
    free(s);
    return 0;
}

/* ---- on a GPU ---- */

/* A kernel gets items as they are, and one without them gets one problem after the other, in the workspace of one. */
static void items(void **state)
{
    struct system *s = *state;
    vic_attention_item list[ITEMS];
    vic_attention_args a = s->args;
    int stream;
    vic_error err;
    for (int i = 0; i < ITEMS; i++)
        list[i] = (vic_attention_item){ s->q, s->q, s->q, s->out + (ITEMS - 1 - i) * N * HEADS * DIM, NULL };
    const int64_t shape[] = { N, HEADS, DIM };
    a.q = a.k = a.v = a.out = vic_tensor_make(NULL, VIC_F32, 3, shape);
    on(&a, s->gpu.device);
    a.items = list;
    a.n_items = ITEMS;
    a.stream = &stream;
    a.workspace = s->workspace;
    a.workspace_size = 299;
    seen.bytes = 100;
    s->gpu.kernel = &items_kernel;
    CHECK_FAILS(vic_attention(NULL, &s->gpu, &a, &err), VIC_BAD_ARGUMENT, "workspace: expected 364 bytes");
    a.workspace_size = 364;
    CHECK_OK(vic_attention(NULL, &s->gpu, &a, &err));
    assert_int_equal(seen.launches, 1);
    assert_ptr_equal(seen.args.items, list);
    assert_int_equal(seen.args.batch, ITEMS);
    assert_ptr_equal(seen.args.out.data, list[0].out);
    assert_int_equal(seen.args.out.batch_stride, 0);
    s->gpu.kernel = &device_kernel;
    a.workspace_size = 100;
    CHECK_OK(vic_attention(NULL, &s->gpu, &a, &err));
    assert_int_equal(seen.launches, 1 + ITEMS);
    assert_null(seen.args.items);
    assert_int_equal(seen.args.batch, 1);
    assert_ptr_equal(seen.args.out.data, list[ITEMS - 1].out);
    seen.fail_at = seen.launches + 2;
    CHECK_FAILS(vic_attention(NULL, &s->gpu, &a, &err), VIC_FAILED, "launch 6");
    assert_int_equal(seen.launches, 3 + ITEMS);
    seen.fail_at = 0;
    s->gpu.kernel = &items_kernel; /* one item is one problem */
    a.n_items = 1;
    CHECK_OK(vic_attention(NULL, &s->gpu, &a, &err));
    assert_null(seen.args.items);
    assert_ptr_equal(seen.args.out.data, list[0].out);
    seen.bytes = 0;
}

/* A stream is named and there is a workspace: nothing is waited for, and no GPU is asked for anything. */
static void enqueued_on_a_stream(void **state)
{
    struct system *s = *state;
    vic_attention_args a = s->args;
    int stream;
    vic_error err;
    seen.bytes = 100;
    on(&a, s->gpu.device);
    a.stream = &stream;
    a.workspace = s->workspace + 8;
    a.workspace_size = 300;
    CHECK_FAILS(vic_attention(NULL, &s->gpu, &a, &err), VIC_BAD_ARGUMENT, "at a 64-byte boundary");
    a.workspace = s->workspace;
    a.workspace_size = 299;
    CHECK_FAILS(vic_attention(NULL, &s->gpu, &a, &err), VIC_BAD_ARGUMENT, "workspace: expected 300 bytes");
    assert_non_null(strstr(err.text, "got 299"));
    assert_int_equal(seen.launches, 0);
    a.workspace_size = 300;
    CHECK_OK(vic_attention(NULL, &s->gpu, &a, &err));
    assert_int_equal(seen.launches, 1);
    assert_ptr_equal(seen.workspace, s->workspace);
    assert_ptr_equal(seen.stream, &stream);
    assert_int_equal(seen.args.batch, ITEMS);
    assert_int_equal(seen.args.q.batch_stride, N * HEADS * DIM);
    assert_true(fabs(seen.args.scale - 1.0 / sqrt(DIM)) < 1e-15);
    seen.bytes = 0; /* a kernel that needs none */
    a.workspace = NULL;
    a.workspace_size = 0;
    CHECK_OK(vic_attention(NULL, &s->gpu, &a, &err));
    seen.fail_at = 1;
    CHECK_FAILS(vic_attention(NULL, &s->gpu, &a, &err), VIC_FAILED, "launch 3");
    a.k.device = (vic_device){ VIC_CUDA, 1 };
    CHECK_FAILS(vic_attention(NULL, &s->gpu, &a, &err), VIC_BAD_ARGUMENT,
                "tensor k: expected memory of cuda:0, got memory of another device, cuda:1");
    CHECK_FAILS(vic_attention(s->context, s->plan, &(vic_attention_args){ .size = sizeof a, .stream = &stream },
                              &err),
                VIC_BAD_ARGUMENT, "which has none");
    assert_int_equal(seen.launches, 3);
}

/* Memory of a context's own, in the order of its stream. */
struct memory {
    char block[1000];
    int taken, given;
    size_t bytes;
    void *stream;
    bool none;
};

static void *take(void *user, size_t bytes, void *stream)
{
    struct memory *m = user;
    m->taken++;
    m->bytes = bytes;
    m->stream = stream;
    return m->none ? NULL : m->block;
}

static void give(void *user, void *memory, void *stream)
{
    struct memory *m = user;
    m->given++;
    assert_ptr_equal(memory, m->block);
    assert_ptr_equal(stream, m->stream);
}

/* A context of the GPU: its stream and its memory are used, and the work is not waited for. */
static void enqueued_in_a_context(void **state)
{
    struct system *s = *state;
    struct memory m = { .taken = 0 };
    int stream, other;
    struct vic_context c = {
        .options = { .device = s->gpu.device, .stream = &stream, .allocate = take, .release = give, .user = &m }
    };
    vic_attention_args a = s->args;
    vic_error err;
    seen.bytes = 64;
    on(&a, s->gpu.device);
    CHECK_OK(vic_attention(&c, &s->gpu, &a, &err));
    assert_ptr_equal(seen.stream, &stream);
    assert_ptr_equal(seen.workspace, m.block);
    assert_int_equal(m.bytes, 64 * ITEMS);
    a.stream = &other; /* the call's own comes first, for its memory too */
    CHECK_OK(vic_attention(&c, &s->gpu, &a, &err));
    assert_ptr_equal(seen.stream, &other);
    assert_ptr_equal(m.stream, &other);
    seen.fail_at = 1; /* given back all the same */
    CHECK_FAILS(vic_attention(&c, &s->gpu, &a, &err), VIC_FAILED, "launch 3");
    assert_int_equal(m.taken, 3);
    assert_int_equal(m.given, 3);
    m.none = true;
    CHECK_FAILS(vic_attention(&c, &s->gpu, &a, &err), VIC_NO_MEMORY, "192 bytes");
    assert_int_equal(seen.launches, 3);
    assert_int_equal(m.given, 3);
    m.none = false;
    a.workspace = s->workspace; /* none is taken for this call */
    a.workspace_size = sizeof s->workspace;
    seen.fail_at = 0;
    CHECK_OK(vic_attention(&c, &s->gpu, &a, &err));
    assert_int_equal(m.taken, 4);
    c.options.device.index = 1;
    CHECK_FAILS(vic_attention(&c, &s->gpu, &a, &err), VIC_BAD_ARGUMENT, "the context is of cuda:1");
    CHECK_FAILS(vic_attention(s->context, &s->gpu, &a, &err), VIC_BAD_ARGUMENT, "the context is of cpu:0");
}

/* With neither context nor stream the call takes memory of the GPU, and waits. */
static void run_on_a_device(void **state)
{
    struct system *s = *state;
    vic_attention_args a = s->args;
    vic_error err = { VIC_OK, "" };
    seen.bytes = 64;
    on(&a, s->gpu.device);
    vic_status st = vic_attention(NULL, &s->gpu, &a, &err);
    assert_int_equal(seen.launches,
                     st == VIC_OK); /* device memory is there or it is not; nothing is launched without */
    if (st != VIC_OK) assert_int_equal(st, VIC_NO_DEVICE);
    seen.launches = 0;
    a.workspace = s->workspace;
    a.workspace_size = 100;
    CHECK_FAILS(vic_attention(NULL, &s->gpu, &a, &err), VIC_BAD_ARGUMENT, "workspace: expected 192 bytes");
    assert_int_equal(seen.launches, 0);
    a.workspace_size = 192;
    st = vic_attention(NULL, &s->gpu, &a, &err);
    assert_true(st == VIC_OK || st == VIC_NO_DEVICE);
    assert_int_equal(seen.launches, 1);
    assert_ptr_equal(seen.workspace, s->workspace);
}

static void timed_on_a_device(void **state)
{
    struct system *s = *state;
    vic_attention_args a = s->args;
    const vic_time_options o = { .size = sizeof o, .launches = 2, .warm_up = -1 };
    double seconds[2] = { -1, -1 };
    vic_error err;
    seen.bytes = 64;
    on(&a, s->gpu.device);
    for (int own = 0; own < 2; own++) {
        seen.launches = 0;
        a.workspace = own ? s->workspace : NULL;
        a.workspace_size = own ? sizeof s->workspace : 0;
        vic_status st = vic_attention_time(NULL, &s->gpu, &a, &o, seconds, &err);
        assert_true(st == VIC_OK || st == VIC_NO_DEVICE);
        assert_int_equal(seen.launches, st == VIC_OK ? 2 : 0);
    }
}

/* ---- on the CPU ---- */

/* The threads are those of the context: any, also that of a GPU, and the calling thread where there is none. */
static void threads_of_the_context(void **state)
{
    struct system *s = *state;
    struct vic_context gpu = { .options = { .device = s->gpu.device }, .pool = s->context->pool };
    vic_context *const contexts[] = { s->context, &gpu, NULL };
    size_t bytes;
    vic_error err;
    seen.bytes = 64;
    for (int i = 0; i < 3; i++) {
        CHECK_OK(vic_attention(contexts[i], &s->cpu, &s->args, &err));
        assert_ptr_equal(seen.pool, i < 2 ? s->context->pool : NULL);
        CHECK_OK(vic_plan_workspace(contexts[i], &s->cpu, ITEMS, &bytes, &err));
        assert_int_equal(bytes, i < 2 ? 2 * 64 : 64);
    }
}

static void a_kernel_fails(void **state)
{
    struct system *s = *state;
    const vic_time_options o = { .size = sizeof o, .launches = 4, .warm_up = -1 };
    double seconds[4];
    vic_error err;
    seen.bytes = 10;
    seen.fail_at = 1;
    CHECK_FAILS(vic_attention(s->context, &s->cpu, &s->args, &err), VIC_FAILED, "launch 1");
    seen.launches = 0;
    seen.fail_at = 3; /* the first failure ends it */
    CHECK_FAILS(vic_attention_time(s->context, &s->cpu, &s->args, &o, seconds, &err), VIC_FAILED, "launch 3");
    assert_int_equal(seen.launches, 3);
}

static void timed(void **state)
{
    struct system *s = *state;
    vic_attention_args a = s->args;
    vic_time_options o = { .size = sizeof o, .launches = 2, .warm_up = 1 };
    double seconds[2] = { -1, -1 };
    vic_error err;
    seen.bytes = 16;
    a.workspace = s->workspace;
    a.workspace_size = sizeof s->workspace;
    CHECK_OK(vic_attention_time(s->context, &s->cpu, &a, &o, seconds, &err));
    assert_int_equal(seen.launches, 3);
    assert_ptr_equal(seen.workspace, s->workspace); /* the caller's, which is still theirs */
    assert_true(seconds[0] >= 0 && seconds[1] >= 0);
    seen.bytes = 0; /* a kernel that needs none may be given some, aligned all the same */
    CHECK_OK(vic_attention(s->context, &s->cpu, &a, &err));
    a.workspace = s->workspace + 4;
    CHECK_FAILS(vic_attention(s->context, &s->cpu, &a, &err), VIC_BAD_ARGUMENT,
                "expected 0 bytes at a 64-byte boundary");
}

static void timed_by_default(void **state)
{
    struct system *s = *state;
    static double seconds[1000];
    vic_error err;
    CHECK_OK(vic_attention_time(s->context, &s->cpu, &s->args, NULL, seconds, &err));
    assert_int_equal(seen.launches, 10 + 1000);
}

static void timed_with_other_options(void **state)
{
    static const struct {
        int32_t launches, warm_up, in_graph;
        bool cold, gpu;
        const char *words;
    } wrong[] = {
        { -1, 0, 0, false, false, "launches" },
        { 1000001, 0, 0, false, false, "got 1000001" },
        { 2, 1000001, 0, false, false, "got 2 and 1000001" },
        { 2, 0, -1, false, false, "in_graph: expected 0 to 1000000" },
        { 2, 0, 1000001, false, false, "in_graph: expected 0 to 1000000" },
        { 2, 0, 3, false, false, "the plan is for the CPU" },
        { 2, 0, 0, true, false, "the plan is for the CPU" },
        { 2, 0, 3, true, true, "choose one of the two" },
    };
    struct system *s = *state;
    vic_attention_args a = s->args;
    double seconds[2] = { 7, 7 };
    vic_error err;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const vic_plan *plan = wrong[i].gpu ? &s->gpu : &s->cpu;
        const vic_time_options o = { .size = sizeof o,
                                     .launches = wrong[i].launches,
                                     .warm_up = wrong[i].warm_up,
                                     .in_graph = wrong[i].in_graph,
                                     .cold = wrong[i].cold };
        on(&a, plan->device);
        CHECK_FAILS(vic_attention_time(wrong[i].gpu ? NULL : s->context, plan, &a, &o, seconds, &err),
                    VIC_BAD_ARGUMENT, wrong[i].words);
    }
    assert_int_equal(seen.launches, 0);
    assert_true(seconds[0] == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(items, set_up, tear_down),
        cmocka_unit_test_setup_teardown(enqueued_on_a_stream, set_up, tear_down),
        cmocka_unit_test_setup_teardown(enqueued_in_a_context, set_up, tear_down),
        cmocka_unit_test_setup_teardown(run_on_a_device, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timed_on_a_device, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_of_the_context, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kernel_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timed_by_default, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timed_with_other_options, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
