/* SPDX-License-Identifier: Apache-2.0 */
/* Plans and attention through the public header: arguments, batches, life times.  Numbers are in tests/parity. */
#include "objects.h"

#include "vicinal_dev.h"

#include <pthread.h>
#include <time.h>

enum { N = 150, HEADS = 4, DIM = 16 };

struct system {
    vic_context *context;
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
    const vic_plan_options lo = { .size = sizeof lo, .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM };
    const int64_t shape[3] = { N, HEADS, DIM };
    double x[3 * N];
    uint64_t seed = 12;
    vic_error err;
    assert_non_null(s);
    for (int i = 0; i < 3 * N; i++) x[i] = 12 * random_uniform(&seed);
    vic_points points = points_at(N, x, NULL);
    s->context = context_of(0);
    s->pattern = cutoff_pattern(&points, 5.0);
    CHECK_OK(vic_plan_create(s->context, s->pattern, &lo, &s->plan, &err));
    for (int i = 0; i < 2 * N * HEADS * DIM; i++) {
        s->q[i] = (float)random_normal(&seed);
        s->k[i] = (float)random_normal(&seed);
        s->v[i] = (float)random_normal(&seed);
    }
    s->args = (vic_attention_args)VIC_INIT(vic_attention_args);
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
    vic_context_free(s->context);
    free(s);
    return 0;
}

static void times_are_those_of_the_run(void **state)
{
    struct system *s = *state;
    vic_time_options o = VIC_INIT(vic_time_options);
    double seconds[6] = { -1, -1, -1, -1, -1, -1 }, start = 0, sum = 0;
    vic_error err;
    float *expected = malloc(sizeof s->out);
    assert_non_null(expected);
    CHECK_OK(vic_attention(s->context, s->plan, &s->args, &err));
    memcpy(expected, s->out, sizeof s->out);
    memset(s->out, 0xff, N * HEADS * DIM * sizeof *s->out);
    o.warm_up = 2;
    o.launches = 5;
    start = now();
    CHECK_OK(vic_attention_time(s->context, s->plan, &s->args, &o, seconds, &err));
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
    vic_time_options o = VIC_INIT(vic_time_options);
    double seconds = 7;
    vic_error err;
    o.launches = -1;
    CHECK_FAILS(vic_attention_time(s->context, s->plan, &s->args, &o, &seconds, &err), VIC_BAD_ARGUMENT, "launches");
    o.launches = 1;
    o.in_graph = 4;
    CHECK_FAILS(vic_attention_time(s->context, s->plan, &s->args, &o, &seconds, &err), VIC_BAD_ARGUMENT,
                "the plan is for the CPU");
    o.in_graph = 0;
    o.cold = true;
    CHECK_FAILS(vic_attention_time(s->context, s->plan, &s->args, &o, &seconds, &err), VIC_BAD_ARGUMENT,
                "the plan is for the CPU");
    o.cold = false;
    o.size = 1;
    CHECK_FAILS(vic_attention_time(s->context, s->plan, &s->args, &o, &seconds, &err), VIC_BAD_ARGUMENT,
                "vic_time_options");
    o.size = sizeof o;
    s->args.q.ndim = 2;
    CHECK_FAILS(vic_attention_time(s->context, s->plan, &s->args, &o, &seconds, &err), VIC_BAD_ARGUMENT, "tensor q");
    s->args.q.ndim = 3;
    assert_true(seconds == 7);
}

static void tensors_are_checked(void **state)
{
    struct system *s = *state;
    vic_error err;
    vic_attention_args a = s->args;
    a.q.shape[1] = 3;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT,
                "tensor q: expected shape [150 x 4 x 16]");
    a = s->args;
    a.k.dtype = VIC_F16;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT,
                "tensor k: the plan was made for float32");
    a = s->args;
    a.v.stride[2] = 2;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor v: the last dimension");
    a = s->args;
    a.out.data = (char *)s->out + 2;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor out: data is not aligned");
    a = s->args;
    a.out.stride[1] = 0;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "overwrite each other");
    a = s->args;
    a.q.device.type = VIC_CUDA;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "another device");
    for (int ndim = -1; ndim <= VIC_MAX_DIMS + 1; ndim++) {
        if (ndim == 3) continue;
        a = s->args;
        a.k.ndim = ndim;
        CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor k: expected shape");
    }
    a = s->args;
    a.k.ndim = INT32_MIN;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor k: expected shape");
    a = s->args;
    a.v.stride[0] = INT64_MAX / 2;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT,
                "tensor v: its strides reach further than memory does");
    a = s->args;
    a.v.data = NULL;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor v: data is NULL");
    a = s->args;
    a.lse = vic_tensor_make(s->lse, VIC_F32, 2, (const int64_t[]){ N, HEADS + 1 });
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT,
                "tensor lse: expected shape [150 x 4], with a batch");
    a.lse = vic_tensor_make(s->lse, VIC_F32, 2, (const int64_t[]){ N, HEADS });
    a.lse.stride[0] = 0;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor lse: with its strides");
    const int64_t two[] = { 2, N, HEADS, DIM };
    a = s->args;
    a.q = vic_tensor_make(s->q, VIC_F32, 4, two); /* the others have no batch */
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "in all tensors or in none");
    a.q.shape[0] = 0;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor q: expected shape");
    a.q.shape[0] = 2;
    a.k = vic_tensor_make(s->k, VIC_F32, 4, two);
    a.k.shape[0] = 1;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "tensor k: expected shape");
    a = s->args;
    a.scale = NAN;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "scale");
    a = s->args;
    a.workspace = s->lse;
    a.workspace_size = 64;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "workspace: expected");
    a = s->args;
    a.q.ndim = 4;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "batch dimension");
}

static void plans_are_checked(void **state)
{
    static const int dims[] = { 0, 4, 12, 136, -8 };
    struct system *s = *state;
    vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32 };
    vic_error err;
    vic_plan *plan;
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        o.head_dim = dims[i];
        CHECK_FAILS(vic_plan_create(s->context, s->pattern, &o, &plan, &err), VIC_BAD_ARGUMENT,
                    "multiple of 8 from 8 to 128");
        assert_null(plan);
    }
    o.head_dim = 64;
    o.kv_heads = 3;
    o.heads = 4;
    CHECK_FAILS(vic_plan_create(s->context, s->pattern, &o, &plan, &err), VIC_BAD_ARGUMENT,
                "kv_heads: expected a divisor of heads (4)");
    o.kv_heads = 2;
    o.dtype = VIC_F64;
    CHECK_FAILS(vic_plan_create(s->context, s->pattern, &o, &plan, &err), VIC_BAD_ARGUMENT, "got float64");
    o.dtype = VIC_DTYPE_UNKNOWN; /* forgotten */
    CHECK_FAILS(vic_plan_create(s->context, s->pattern, &o, &plan, &err), VIC_BAD_ARGUMENT, "dtype: expected");
    o.dtype = VIC_BF16;
    o.out_dtype = VIC_I32;
    CHECK_FAILS(vic_plan_create(s->context, s->pattern, &o, &plan, &err), VIC_BAD_ARGUMENT, "out_dtype");
    o.out_dtype = VIC_DTYPE_UNKNOWN;
    o.bias = (vic_bias)7;
    CHECK_FAILS(vic_plan_create(s->context, s->pattern, &o, &plan, &err), VIC_BAD_ARGUMENT, "bias");
    o.bias = VIC_BIAS_NONE;
    o.device = (vic_device){ VIC_CPU, 1 };
    CHECK_FAILS(vic_plan_create(s->context, s->pattern, &o, &plan, &err), VIC_NO_DEVICE, "no device 1");
    o.device = (vic_device){ VIC_DEVICE_UNKNOWN, 0 };
    o.kernel = "attn_fwd_none";
    CHECK_FAILS(vic_plan_create(s->context, s->pattern, &o, &plan, &err), VIC_NO_KERNEL, "there is no kernel");
}

/* One head is the default, and the device is the context's. */
static void plans_have_defaults(void **state)
{
    struct system *s = *state;
    const vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .head_dim = HEADS * DIM };
    const int64_t shape[] = { N, 1, HEADS * DIM };
    vic_attention_args a = s->args;
    vic_plan *plan;
    vic_error err;
    for (int own = 0; own < 2; own++) {
        vic_context *c = own ? s->context : NULL;
        CHECK_OK(vic_plan_create(c, s->pattern, &o, &plan, &err));
        assert_int_equal(plan_info_of(plan).device.type, VIC_CPU);
        assert_true(plan_info_of(plan).computed_pairs >= info_of(s->pattern).pairs);
        a.q = vic_tensor_make(s->q, VIC_F32, 3, shape);
        a.k = vic_tensor_make(s->k, VIC_F32, 3, shape);
        a.v = vic_tensor_make(s->v, VIC_F32, 3, shape);
        a.out = vic_tensor_make(s->out, VIC_F32, 3, shape);
        CHECK_OK(vic_attention(c, plan, &a, &err));
        vic_plan_free(plan);
    }
}

/* scale 0 is 1 / sqrt(head_dim), a scale of 0 has a flag of its own and weighs all pairs alike. */
static void scales(void **state)
{
    struct system *s = *state;
    static double expected[N * HEADS * DIM], lse[N * HEADS];
    static float by_default[N * HEADS * DIM];
    int64_t counts[N];
    vic_attention_args a = s->args;
    vic_error err;
    CHECK_OK(vic_attention(s->context, s->plan, &a, &err));
    memcpy(by_default, s->out, sizeof by_default);
    a.scale = 0.25; /* of 16 components */
    CHECK_OK(vic_attention(s->context, s->plan, &a, &err));
    assert_memory_equal(by_default, s->out, sizeof by_default);
    a.zero_scale = true;
    CHECK_FAILS(vic_attention(s->context, s->plan, &a, &err), VIC_BAD_ARGUMENT, "zero_scale");
    a.scale = 0;
    CHECK_OK(vic_attention_reference(s->context, s->plan, &a, 0, NULL, expected, lse, counts, &err));
    a.lse = vic_tensor_make(s->lse, VIC_F32, 2, (const int64_t[]){ N, HEADS });
    CHECK_OK(vic_attention(s->context, s->plan, &a, &err));
    for (int i = 0; i < N * HEADS; i++) {
        assert_true(fabs(lse[i] - log((double)counts[i / HEADS])) < 1e-12);
        assert_true(fabs((double)s->lse[i] - lse[i]) < 1e-5);
    }
    for (int i = 0; i < N * HEADS * DIM; i++) assert_true(fabs((double)s->out[i] - expected[i]) < 1e-5);
    a.zero_scale = false; /* 1e-30 is no 0 */
    a.scale = 1e-30;
    CHECK_OK(vic_attention(s->context, s->plan, &a, &err));
}

/* A batch gives the bits of its items run alone, with a caller's workspace or without. */
static void batches(void **state)
{
    struct system *s = *state;
    enum { ITEM = N * HEADS * DIM };
    static float alone[2 * ITEM];
    static double row[ITEM];
    int64_t shape[4] = { 2, N, HEADS, DIM };
    vic_error err;
    vic_attention_args a = s->args;
    for (int b = 0; b < 2; b++) {
        a.q.data = s->q + b * ITEM;
        a.k.data = s->k + b * ITEM;
        a.v.data = s->v + b * ITEM;
        a.out.data = alone + b * ITEM;
        CHECK_OK(vic_attention(s->context, s->plan, &a, &err));
    }
    a.q = vic_tensor_make(s->q, VIC_F32, 4, shape);
    a.k = vic_tensor_make(s->k, VIC_F32, 4, shape);
    a.v = vic_tensor_make(s->v, VIC_F32, 4, shape);
    a.out = vic_tensor_make(s->out, VIC_F32, 4, shape);
    a.lse = vic_tensor_make(s->lse, VIC_F32, 3, shape);
    CHECK_OK(vic_plan_workspace(s->context, s->plan, 2, &a.workspace_size, &err));
    a.workspace = aligned_alloc(64, (a.workspace_size + 63) / 64 * 64);
    assert_non_null(a.workspace);
    memset(s->out, 0xff, sizeof s->out);
    memset(s->lse, 0xff, sizeof s->lse);
    CHECK_OK(vic_attention(s->context, s->plan, &a, &err));
    assert_memory_equal(s->out, alone, sizeof alone);
    for (int i = 0; i < 2 * N * HEADS; i++) assert_true(isfinite(s->lse[i]));
    free(a.workspace);
    CHECK_FAILS(vic_attention_reference(s->context, s->plan, &a, 0, NULL, row, NULL, NULL, &err), VIC_BAD_ARGUMENT,
                "no batch");
}

static void plan_outlives_pattern(void **state)
{
    struct system *s = *state;
    vic_error err;
    vic_pattern_free(s->pattern);
    s->pattern = NULL;
    CHECK_OK(vic_attention(s->context, s->plan, &s->args, &err));
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
        if (vic_attention(c->system->context, c->system->plan, &a, &err) != VIC_OK) return c;
    return NULL;
}

/* One context and one plan, several callers at once: they take turns and get the same bits. */
static void callers_share_a_context(void **state)
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

/* The CPU is the first device; past the last one the error says why there is no GPU, or no further one. */
static void devices(void **state)
{
    vic_device_info d = VIC_INIT(vic_device_info);
    vic_status st;
    vic_error err;
    int n = 0;
    (void)state;
    for (; (st = vic_device_get(n, &d, &err)) == VIC_OK; n++) {
        assert_int_equal(d.device.type, n == 0 ? VIC_CPU : VIC_CUDA);
        assert_int_equal(d.device.index, n == 0 ? 0 : n - 1);
        assert_true(d.memory_bytes > 0 && *d.name && *d.detail);
    }
    assert_true(n >= 1);
    assert_int_equal(st, VIC_NO_DEVICE);
    CHECK(n > 1 || strstr(err.text, "CUDA") || strstr(err.text, "NVIDIA"), "%s", err.text);
    CHECK_FAILS(vic_device_get(-1, &d, &err), VIC_BAD_ARGUMENT, "-1");
}

static void kernels(void **state)
{
    vic_kernel_info k = VIC_INIT(vic_kernel_info);
    vic_error err;
    bool cpu[2] = { false, false };
    (void)state;
    for (int i = 0; i < vic_kernel_count(); i++) {
        CHECK_OK(vic_kernel_get(i, &k, &err));
        assert_true(k.available == (*k.reason == '\0'));
        assert_true(k.backward == (strncmp(k.name, "attn_bwd_", 9) == 0));
        if (k.available && strcmp(k.device, "cpu") == 0) cpu[k.backward] = true;
    }
    assert_true(cpu[false] && cpu[true]);
    CHECK_FAILS(vic_kernel_get(-1, &k, &err), VIC_BAD_ARGUMENT, "got -1");
    CHECK_FAILS(vic_kernel_get(vic_kernel_count(), &k, &err), VIC_BAD_ARGUMENT, "index");
}

static void switches(void **state)
{
    vic_switch_info s = VIC_INIT(vic_switch_info);
    vic_error err;
    bool seen = false;
    (void)state;
    setenv("VIC_LOG", "pattern", 1);
    for (int i = 0; i < vic_switch_count(); i++) {
        CHECK_OK(vic_switch_get(i, &s, &err));
        seen = seen || (strcmp(s.name, "VIC_LOG") == 0 && strcmp(s.value, "pattern") == 0);
    }
    assert_true(seen);
    unsetenv("VIC_LOG");
    CHECK_FAILS(vic_switch_get(vic_switch_count(), &s, &err), VIC_BAD_ARGUMENT, "index");
    assert_string_equal(vic_version(), VIC_VERSION);
    assert_true(strlen(vic_build_info()) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tensors_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(plans_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(plans_have_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scales, set_up, tear_down),
        cmocka_unit_test_setup_teardown(batches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(plan_outlives_pattern, set_up, tear_down),
        cmocka_unit_test_setup_teardown(callers_share_a_context, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_are_those_of_the_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_need_sensible_options, set_up, tear_down),
        cmocka_unit_test(devices),
        cmocka_unit_test(kernels),
        cmocka_unit_test(switches),
    };
    return cmocka_run_group_tests_name("api_attention", tests, NULL, NULL);
}
