/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing among made-up kernels: filter, rank, and an answer that teaches when nothing fits. */
#include "plan/plan.h"

#include "check.h"

static const char *can_run(vic_device device)
{
    (void)device;
    return NULL;
}

static const char *cannot_run(vic_device device)
{
    (void)device;
    return "this machine has no such thing";
}

static const struct kernel slow = { .name = "slow",
                                    .device = VIC_CPU,
                                    .dtypes = DTYPE_F32 | DTYPE_F16,
                                    .features = 7,
                                    .dim_min = 8,
                                    .dim_max = 128,
                                    .dim_step = 8,
                                    .cost = 9,
                                    .unavailable = can_run };
static const struct kernel fast = { .name = "fast",
                                    .device = VIC_CPU,
                                    .dtypes = DTYPE_F16,
                                    .features = FEATURE_LSE,
                                    .dim_min = 64,
                                    .dim_max = 128,
                                    .dim_step = 64,
                                    .cost = 1,
                                    .unavailable = can_run };
static const struct kernel absent = { .name = "absent",
                                      .device = VIC_CPU,
                                      .dtypes = DTYPE_F32 | DTYPE_F16,
                                      .features = 7,
                                      .dim_min = 8,
                                      .dim_max = 128,
                                      .dim_step = 8,
                                      .cost = 0.5,
                                      .unavailable = cannot_run };
static const struct kernel asked = { .name = "asked",
                                     .device = VIC_CPU,
                                     .dtypes = DTYPE_F32 | DTYPE_F16 | DTYPE_BF16,
                                     .features = 7,
                                     .dim_min = 8,
                                     .dim_max = 128,
                                     .dim_step = 8,
                                     .cost = 0.1,
                                     .only_by_name = true,
                                     .unavailable = can_run };
static const struct kernel *const table[] = { &slow, &fast, &absent, &asked };
enum { KERNELS = sizeof table / sizeof *table };

static struct plan_request request(vic_dtype dtype, int dim)
{
    return (
        struct plan_request){ .device = { VIC_CPU, 0 }, .shape = { dtype, 4, 4, dim, dim }, .features = FEATURE_LSE };
}

static void cheapest_that_fits(void **state)
{
    struct plan_request r = request(VIC_F16, 64);
    const struct kernel *chosen;
    vic_error err;
    (void)state;
    CHECK_OK(plan_choose(&r, table, KERNELS, &chosen, &err));
    assert_ptr_equal(chosen, &fast);
    r = request(VIC_F32, 64);
    CHECK_OK(plan_choose(&r, table, KERNELS, &chosen, &err));
    assert_ptr_equal(chosen, &slow);
    r = request(VIC_F16, 72);
    CHECK_OK(plan_choose(&r, table, KERNELS, &chosen, &err));
    assert_ptr_equal(chosen, &slow);
    r = request(VIC_F16, 64);
    r.features |= FEATURE_GROUP_QUERY;
    CHECK_OK(plan_choose(&r, table, KERNELS, &chosen, &err));
    assert_ptr_equal(chosen, &slow);
}

static void forced(void **state)
{
    struct plan_request r = request(VIC_F16, 64);
    const struct kernel *chosen;
    vic_error err;
    (void)state;
    r.kernel = "slow";
    CHECK_OK(plan_choose(&r, table, KERNELS, &chosen, &err));
    assert_ptr_equal(chosen, &slow);
    r.kernel = "absent";
    CHECK_FAILS(plan_choose(&r, table, KERNELS, &chosen, &err), VIC_NO_KERNEL,
                "absent: this machine has no such thing");
    r.kernel = "fats";
    CHECK_FAILS(plan_choose(&r, table, KERNELS, &chosen, &err), VIC_NO_KERNEL,
                "this build has slow, fast, absent, asked");
    r.kernel = NULL;
    setenv("VIC_FORCE_KERNEL", "slow", 1);
    CHECK_OK(plan_choose(&r, table, KERNELS, &chosen, &err));
    assert_ptr_equal(chosen, &slow);
    unsetenv("VIC_FORCE_KERNEL");
}

/* It is the cheapest of all, and the only one for bfloat16. */
static void only_by_name(void **state)
{
    struct plan_request r = request(VIC_BF16, 64);
    const struct kernel *chosen;
    vic_error err;
    (void)state;
    CHECK_FAILS(plan_choose(&r, table, KERNELS, &chosen, &err), VIC_NO_KERNEL, "asked: must be requested by name");
    r.kernel = "asked";
    CHECK_OK(plan_choose(&r, table, KERNELS, &chosen, &err));
    assert_ptr_equal(chosen, &asked);
}

static void nothing_fits(void **state)
{
    struct plan_request r = request(VIC_F32, 64);
    const struct kernel *chosen;
    vic_error err;
    (void)state;
    r.device.type = VIC_CUDA;
    CHECK_FAILS(plan_choose(&r, table, KERNELS, &chosen, &err), VIC_NO_KERNEL, "float32 on cuda");
    assert_ptr_equal(strstr(err.text, "this build has no CUDA kernels: build vicinal where nvcc 12.3"), err.text);
    assert_non_null(strstr(err.text, "slow and 3 more: runs on cpu only"));
    r.device.type = VIC_CPU;
    r.features |= FEATURE_DISTANCE_BIAS;
    CHECK_FAILS(plan_choose(&r, table, KERNELS, &chosen, &err), VIC_NO_KERNEL, "does not support a distance bias");
    assert_non_null(strstr(err.text, "fast: does not support float32"));
    assert_ptr_equal(strstr(err.text, "no kernel here supports a distance bias"), err.text);
    assert_null(chosen);
}

/* What excludes every kernel comes first: what the machine lacks, then what another request would change. */
static void the_reason_comes_first(void **state)
{
    static const struct kernel gpu = { .name = "gpu",
                                       .device = VIC_CUDA,
                                       .dtypes = DTYPE_F16 | DTYPE_BF16,
                                       .features = FEATURE_LSE,
                                       .dim_min = 8,
                                       .dim_max = 128,
                                       .dim_step = 8,
                                       .unavailable = can_run };
    struct kernel biased = slow, other = gpu, away = gpu;
    biased.features |= FEATURE_DISTANCE_BIAS;
    other.name = "other";
    away.unavailable = cannot_run;
    const struct kernel *const present[] = { &biased, &gpu, &other }, *const missing[] = { &slow, &away };
    struct plan_request r = request(VIC_F32, 64);
    const struct kernel *chosen;
    vic_error err;
    (void)state;
    r.device.type = VIC_CUDA;
    CHECK_FAILS(plan_choose(&r, present, 3, &chosen, &err), VIC_NO_KERNEL,
                "gpu and 1 more: does not support float32");
    assert_ptr_equal(strstr(err.text, "float32 runs on the CPU only: take dtype float16 or bfloat16; no kernel fits"),
                     err.text);
    CHECK_FAILS(plan_choose(&r, missing, 2, &chosen, &err), VIC_NO_KERNEL, "; besides, float32 runs on the CPU only");
    assert_ptr_equal(strstr(err.text, "this machine has no such thing; "), err.text);
    r.shape.dtype = VIC_F64;
    CHECK_FAILS(plan_choose(&r, present, 3, &chosen, &err), VIC_NO_KERNEL, "no kernel supports float64: take dtype");
    r = request(VIC_F16, 64);
    r.device.type = VIC_CUDA;
    r.features |= FEATURE_DISTANCE_BIAS;
    CHECK_FAILS(plan_choose(&r, present, 3, &chosen, &err), VIC_NO_KERNEL, "a distance bias runs on the CPU only; ");
    r.features = FEATURE_LSE | FEATURE_UNEQUAL_DIMS | FEATURE_DISTANCE_BIAS;
    CHECK_FAILS(plan_choose(&r, missing, 1, &chosen, &err), VIC_NO_KERNEL, "no CUDA kernels");
    r.kernel = "slow";
    CHECK_FAILS(plan_choose(&r, missing, 2, &chosen, &err), VIC_NO_KERNEL, "slow runs on the CPU only; ");
    r.kernel = NULL;
    r.features = FEATURE_LSE;
    CHECK_OK(plan_choose(&r, present, 3, &chosen, &err));
    assert_ptr_equal(chosen, &gpu);
}

/* The second GPU is what the kernel needs. */
static const char *second_only(vic_device device)
{
    return device.index == 1 ? NULL : "it is an old one";
}

static void the_device_that_is_asked_for(void **state)
{
    struct kernel gpu = slow;
    const struct kernel *const kernels[] = { &gpu };
    struct plan_request r = request(VIC_F16, 64);
    const struct kernel *chosen;
    vic_error err;
    (void)state;
    gpu.device = VIC_CUDA;
    gpu.unavailable = second_only;
    r.device = (vic_device){ VIC_CUDA, 0 };
    CHECK_FAILS(plan_choose(&r, kernels, 1, &chosen, &err), VIC_NO_KERNEL, "it is an old one");
    r.device.index = 1;
    CHECK_OK(plan_choose(&r, kernels, 1, &chosen, &err));
    assert_ptr_equal(chosen, &gpu);
}

static void other_operations(void **state)
{
    struct kernel backward = slow;
    const struct kernel *const both[] = { &slow, &backward, &fast };
    struct plan_request r = request(VIC_F16, 64);
    const struct kernel *chosen;
    vic_error err;
    (void)state;
    r.operation = ATTENTION_BACKWARD;
    CHECK_FAILS(plan_choose(&r, table, KERNELS, &chosen, &err), VIC_NO_KERNEL,
                "no kernel computes the gradients of attention;");
    assert_non_null(strstr(err.text, "slow and 3 more: computes attention"));
    backward.operation = ATTENTION_BACKWARD;
    backward.name = "backward";
    CHECK_OK(plan_choose(&r, both, 3, &chosen, &err));
    assert_ptr_equal(chosen, &backward);
    r.shape.dtype = VIC_F64;
    CHECK_FAILS(plan_choose(&r, both, 3, &chosen, &err), VIC_NO_KERNEL, "backward: does not support float64");
    assert_null(strstr(err.text, "slow"));
    r.shape.dtype = VIC_F16;
    r.kernel = "slow"; /* computes something else */
    CHECK_FAILS(plan_choose(&r, both, 3, &chosen, &err), VIC_NO_KERNEL, "slow computes attention;");
    r.kernel = NULL;
    r.device.type = VIC_CUDA;
    CHECK_FAILS(plan_choose(&r, both, 3, &chosen, &err), VIC_NO_KERNEL, "backward: runs on cpu only");
    assert_ptr_equal(strstr(err.text, "the gradients of attention are computed on the CPU only: make a plan for that "
                                      "device, or one without `backward`"),
                     err.text);
    assert_null(strstr(err.text, "slow"));
    r.device.type = VIC_CPU;
    setenv("VIC_FORCE_KERNEL", "slow", 1); /* of attention, not of gradients */
    CHECK_OK(plan_choose(&r, both, 3, &chosen, &err));
    assert_ptr_equal(chosen, &backward);
    setenv("VIC_FORCE_BACKWARD_KERNEL", "fast", 1);
    CHECK_FAILS(plan_choose(&r, both, 3, &chosen, &err), VIC_NO_KERNEL, "fast computes attention;");
    r.operation = ATTENTION_FORWARD;
    CHECK_OK(plan_choose(&r, both, 3, &chosen, &err));
    assert_ptr_equal(chosen, &slow);
    unsetenv("VIC_FORCE_KERNEL");
    unsetenv("VIC_FORCE_BACKWARD_KERNEL");
    r = request(VIC_F16, 72);
    CHECK_OK(plan_choose(&r, both, 3, &chosen, &err));
    assert_ptr_equal(chosen, &slow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cheapest_that_fits),     cmocka_unit_test(forced),
        cmocka_unit_test(only_by_name),           cmocka_unit_test(nothing_fits),
        cmocka_unit_test(the_reason_comes_first), cmocka_unit_test(the_device_that_is_asked_for),
        cmocka_unit_test(other_operations),
    };
    return cmocka_run_group_tests_name("plan_choose", tests, NULL, NULL);
}
