/* SPDX-License-Identifier: Apache-2.0 */
/* Plans and attention through the public header: arguments, batches, life times.  Numbers are in tests/parity. */
#include "check.h"

#include <pthread.h>
#include <time.h>

enum { N = 150, HEADS = 4, DIM = 16 };

struct system {
    vic_engine *engine;
    vic_pattern *pattern;
    vic_plan *plan;
    float q[2 * N * HEADS * DIM], k[2 * N * HEADS * DIM], v[2 * N * HEADS * DIM], out[2 * N * HEADS * DIM];
    float lse[2 * N * HEADS];
    vic_attention_args args;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* as the library does: the time of day may be set meanwhile */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int set_up(void **state)
{
    struct system *s = malloc(sizeof *s);
    vic_pattern_options po = VIC_PATTERN_OPTIONS_INIT;
    vic_plan_options lo = VIC_PLAN_OPTIONS_INIT;
    int64_t shape[3] = { N, HEADS, DIM };
    double x[3 * N];
    uint64_t seed = 12;
    vic_error err;
    assert_non_null(s);
    for (int i = 0; i < 3 * N; i++) x[i] = 12 * random_uniform(&seed);
    po.cutoff = 5.0;
    lo.heads = HEADS;
    lo.head_dim = DIM;
    CHECK_OK(vic_engine_create(NULL, &s->engine, &err));
    CHECK_OK(vic_pattern_build_points(N, x, 0, NULL, NULL, NULL, &po, &s->pattern, &err));
    CHECK_OK(vic_plan_create(s->pattern, &lo, &s->plan, &err));
    for (int i = 0; i < 2 * N * HEADS * DIM; i++) {
        s->q[i] = (float)random_normal(&seed);
        s->k[i] = (float)random_normal(&seed);
        s->v[i] = (float)random_normal(&seed);
    }
    s->args = (vic_attention_args)VIC_ATTENTION_ARGS_INIT;
    s->args.q = vic_tensor_make(s->q, VIC_F32, 3, shape);
    s->args.k = vic_tensor_make(s->k, VIC_F32, 3, shape);
    s->args.v = vic_tensor_make(s->v, VIC_F32, 3, shape);
    s->args.out = vic_tensor_make(s->out, VIC_F32, 3, shape);
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

static void times_are_those_of_the_run(void **state)
{
    struct system *s = *state;
    vic_time_options o = VIC_TIME_OPTIONS_INIT;
    double seconds[6] = { -1, -1, -1, -1, -1, -1 }, start = 0, sum = 0;
    vic_error err;
    float *expected = malloc(sizeof s->out);
    assert_non_null(expected);
    CHECK_OK(vic_attention(s->engine, s->plan, &s->args, &err));
    memcpy(expected, s->out, sizeof s->out);
    memset(s->out, 0xff, N * HEADS * DIM * sizeof *s->out);
    o.warm_up = 2;
    o.launches = 5;
    start = now();
    CHECK_OK(vic_attention_time(s->engine, s->plan, &s->args, &o, seconds, &err));
    start = now() - start;
    for (int i = 0; i < 5; i++) {
        CHECK(seconds[i] > 0, "launch %d took %g s", i, seconds[i]);
        sum += seconds[i];
    }
    CHECK(sum <= start + 1e-6, "the launches took %g s of %g s", sum, start);
    assert_true(seconds[5] == -1);
    assert_memory_equal(s->out, expected, N * HEADS * DIM * sizeof *s->out);
    free(expected);
}

static void times_need_sensible_options(void **state)
{
    struct system *s = *state;
    vic_time_options o = VIC_TIME_OPTIONS_INIT;
    double seconds = 7;
    vic_error err;
    o.launches = 0;
    CHECK_FAILS(vic_attention_time(s->engine, s->plan, &s->args, &o, &seconds, &err), VIC_BAD_ARGUMENT,
                "launches, warm_up: expected 1 to");
    o.launches = 1;
    o.in_graph = 4;
    CHECK_FAILS(vic_attention_time(s->engine, s->plan, &s->args, &o, &seconds, &err), VIC_BAD_ARGUMENT,
                "the plan is for the CPU");
    o.in_graph = 0;
    o.cold = true;
    CHECK_FAILS(vic_attention_time(s->engine, s->plan, &s->args, &o, &seconds, &err), VIC_BAD_ARGUMENT,
                "the plan is for the CPU");
    o.cold = false;
    o.size = 1;
    CHECK_FAILS(vic_attention_time(s->engine, s->plan, &s->args, &o, &seconds, &err), VIC_BAD_ARGUMENT,
                "vic_time_options");
    o.size = sizeof o;
    s->args.q.ndim = 2;
    CHECK_FAILS(vic_attention_time(s->engine, s->plan, &s->args, &o, &seconds, &err), VIC_BAD_ARGUMENT, "tensor q");
    s->args.q.ndim = 3;
    assert_true(seconds == 7);
}

static void tensors_are_checked(void **state)
{
    struct system *s = *state;
    vic_error err;
    vic_attention_args a = s->args;
    a.q.shape[1] = 3;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT,
                "tensor q: expected shape [150 x 4 x 16]");
    a = s->args;
    a.k.dtype = VIC_F16;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT,
                "tensor k: the plan was made for float32");
    a = s->args;
    a.v.stride[2] = 2;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor v: the last dimension");
    a = s->args;
    a.out.data = (char *)s->out + 2;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor out: data is not aligned");
    a = s->args;
    a.out.stride[1] = 0;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT, "stride 0");
    a = s->args;
    a.q.device.kind = VIC_CUDA;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT, "another device");
    for (int ndim = -1; ndim <= 6; ndim++) {
        if (ndim == 3) continue;
        a = s->args;
        a.k.ndim = ndim;
        CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor k: expected shape");
    }
    a = s->args;
    a.k.ndim = INT32_MIN;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor k: expected shape");
    a = s->args;
    a.v.stride[0] = INT64_MAX / 2;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT,
                "tensor v: its strides reach further than memory does");
    a = s->args;
    a.v.data = NULL;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor v: data is NULL");
    a = s->args;
    a.lse = vic_tensor_make(s->lse, VIC_F32, 2, (const int64_t[]){ N, HEADS + 1 });
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT,
                "tensor lse: expected shape [150 x 4], with a batch");
    a.lse = vic_tensor_make(s->lse, VIC_F32, 2, (const int64_t[]){ N, HEADS });
    a.lse.stride[0] = 0;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT,
                "tensor lse: dimension 0 has stride 0");
    const int64_t two[] = { 2, N, HEADS, DIM };
    a = s->args;
    a.q = vic_tensor_make(s->q, VIC_F32, 4, two); /* the others have no batch */
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT, "in all tensors or in none");
    a.q.shape[0] = 0;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor q: expected shape");
    a.q.shape[0] = 2;
    a.k = vic_tensor_make(s->k, VIC_F32, 4, two);
    a.k.shape[0] = 1;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor k: expected shape");
    a = s->args;
    a.scale = NAN;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT, "scale");
    a = s->args;
    a.workspace = s->lse;
    a.workspace_size = 64;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT, "workspace: expected");
    a = s->args;
    a.q.ndim = 4;
    CHECK_FAILS(vic_attention(s->engine, s->plan, &a, &err), VIC_BAD_ARGUMENT, "batch dimension");
}

static void plans_are_checked(void **state)
{
    struct system *s = *state;
    vic_plan_options o = VIC_PLAN_OPTIONS_INIT;
    vic_error err;
    vic_plan *plan;
    static const int dims[] = { 0, 4, 12, 136, -8 };
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        o.head_dim = dims[i];
        CHECK_FAILS(vic_plan_create(s->pattern, &o, &plan, &err), VIC_BAD_ARGUMENT, "multiple of 8 from 8 to 128");
        assert_null(plan);
    }
    o.head_dim = 64;
    o.kv_heads = 3;
    o.heads = 4;
    CHECK_FAILS(vic_plan_create(s->pattern, &o, &plan, &err), VIC_BAD_ARGUMENT,
                "kv_heads: expected a divisor of heads (4)");
    o.kv_heads = 2;
    o.dtype = VIC_F64;
    CHECK_FAILS(vic_plan_create(s->pattern, &o, &plan, &err), VIC_BAD_ARGUMENT, "got float64");
    o.dtype = VIC_BF16;
    o.device.index = 1;
    CHECK_FAILS(vic_plan_create(s->pattern, &o, &plan, &err), VIC_NO_DEVICE, "no device 1");
    o.device.index = 0;
    o.kernel = "attn_fwd_none";
    CHECK_FAILS(vic_plan_create(s->pattern, &o, &plan, &err), VIC_NO_KERNEL, "there is no kernel");
}

/* A batch gives the bits of its items run alone, with a caller's workspace or without. */
static void batches(void **state)
{
    struct system *s = *state;
    enum { ITEM = N * HEADS * DIM };
    static float alone[2 * ITEM];
    int64_t shape[4] = { 2, N, HEADS, DIM };
    vic_error err;
    vic_attention_args a = s->args;
    for (int b = 0; b < 2; b++) {
        a.q.data = s->q + b * ITEM;
        a.k.data = s->k + b * ITEM;
        a.v.data = s->v + b * ITEM;
        a.out.data = alone + b * ITEM;
        CHECK_OK(vic_attention(s->engine, s->plan, &a, &err));
    }
    a.q = vic_tensor_make(s->q, VIC_F32, 4, shape);
    a.k = vic_tensor_make(s->k, VIC_F32, 4, shape);
    a.v = vic_tensor_make(s->v, VIC_F32, 4, shape);
    a.out = vic_tensor_make(s->out, VIC_F32, 4, shape);
    a.lse = vic_tensor_make(s->lse, VIC_F32, 3, shape);
    a.workspace_size = vic_plan_workspace_size(s->plan, vic_engine_threads(s->engine), 2);
    a.workspace = aligned_alloc(64, (a.workspace_size + 63) / 64 * 64);
    assert_non_null(a.workspace);
    memset(s->out, 0xff, sizeof s->out);
    memset(s->lse, 0xff, sizeof s->lse);
    CHECK_OK(vic_attention(s->engine, s->plan, &a, &err));
    assert_memory_equal(s->out, alone, sizeof alone);
    for (int i = 0; i < 2 * N * HEADS; i++) assert_true(isfinite(s->lse[i]));
    free(a.workspace);
    CHECK_FAILS(vic_attention_reference(s->engine, s->plan, &a, 0, NULL, NULL, NULL, NULL, &err), VIC_BAD_ARGUMENT,
                "no batch");
}

static void plan_outlives_pattern(void **state)
{
    struct system *s = *state;
    vic_error err;
    vic_pattern_free(s->pattern);
    s->pattern = NULL;
    CHECK_OK(vic_attention(s->engine, s->plan, &s->args, &err));
}

struct caller {
    struct system *system;
    float *out;
};

static void *call(void *argument)
{
    struct caller *c = argument;
    vic_attention_args a = c->system->args;
    vic_error err;
    a.out.data = c->out;
    for (int i = 0; i < 20; i++)
        if (vic_attention(c->system->engine, c->system->plan, &a, &err) != VIC_OK) return c;
    return NULL;
}

/* One engine and one plan, several callers at once: they take turns and get the same bits. */
static void callers_share_an_engine(void **state)
{
    struct system *s = *state;
    static float out[4][N * HEADS * DIM];
    pthread_t threads[4];
    struct caller callers[4];
    for (int t = 0; t < 4; t++) {
        callers[t] = (struct caller){ s, out[t] };
        assert_int_equal(pthread_create(&threads[t], NULL, call, &callers[t]), 0);
    }
    for (int t = 0; t < 4; t++) {
        void *failed;
        assert_int_equal(pthread_join(threads[t], &failed), 0);
        assert_null(failed);
        assert_memory_equal(out[t], out[0], sizeof out[0]);
    }
}

static void environment(void **state)
{
    vic_device_info devices[4];
    char note[256];
    bool cpu = false;
    (void)state;
    assert_true(vic_devices(4, devices, note) >= 1);
    assert_int_equal(devices[0].device.kind, VIC_CPU);
    assert_true(devices[0].memory_bytes > 0);
    assert_true(vic_devices(0, NULL, NULL) >= 1);
    for (int i = 0; i < vic_kernel_count(); i++) {
        vic_kernel_info k = vic_kernel_get(i);
        assert_true(k.available == (*k.reason == '\0'));
        cpu = cpu || (k.available && strcmp(k.device, "cpu") == 0);
    }
    assert_true(cpu);
    assert_false(vic_kernel_get(-1).available);
    setenv("VIC_LOG", "pattern", 1);
    bool seen = false;
    for (int i = 0; i < vic_switch_count(); i++)
        seen = seen ||
               (strcmp(vic_switch_get(i).name, "VIC_LOG") == 0 && strcmp(vic_switch_get(i).value, "pattern") == 0);
    assert_true(seen);
    unsetenv("VIC_LOG");
    assert_string_equal(vic_version(), VIC_VERSION);
    assert_true(strlen(vic_build_info()) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tensors_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(plans_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(batches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(plan_outlives_pattern, set_up, tear_down),
        cmocka_unit_test_setup_teardown(callers_share_an_engine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_are_those_of_the_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_need_sensible_options, set_up, tear_down),
        cmocka_unit_test(environment),
    };
    return cmocka_run_group_tests_name("api_attention", tests, NULL, NULL);
}
