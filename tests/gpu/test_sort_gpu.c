/* SPDX-License-Identifier: Apache-2.0 */
/* vic_pattern_sort() and unsort() of tensors in the memory of a GPU: what the CPU makes of the same bytes, also of
 * those between the elements, which nobody may write. */
#include "objects.h"

enum { N_Q = 200, N_K = 131, MOST = 1 << 20 };

static const vic_device gpu = { VIC_CUDA, 0 }, cpu = { VIC_CPU, 0 };
static vic_error err;
static vic_pattern *pattern;
static unsigned char in[MOST], expected[MOST], found[MOST];

static int start(void **state)
{
    static double q[3 * N_Q], k[3 * N_K];
    uint64_t seed = 11;
    (void)state;
    for (int i = 0; i < 3 * N_Q; i++) q[i] = 20 * random_uniform(&seed);
    for (int i = 0; i < 3 * N_K; i++) k[i] = 20 * random_uniform(&seed);
    vic_points queries = points_at(N_Q, q, NULL), keys = points_at(N_K, k, NULL);
    CHECK_OK(vic_pattern_cutoff(NULL, &queries, &keys, 5, NULL, &pattern, &err));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    vic_pattern_free(pattern);
    return 0;
}

static bool no_gpu(void)
{
    void *memory;
    if (vic_memory_alloc(gpu, 1, &memory, &err) == VIC_OK) {
        vic_memory_free(gpu, memory);
        return false;
    }
    if (err.status != VIC_NO_DEVICE) fail_msg("%s", err.text);
    print_message("skipped: %s\n", err.text);
    return true;
}

/* `gap` elements between what follows each other; the last dimension stays contiguous. */
static vic_tensor make(void *data, vic_dtype dtype, int ndim, const int64_t *shape, int64_t gap)
{
    vic_tensor t = vic_tensor_make((char *)data + (size_t)gap * vic_dtype_size(dtype), dtype, ndim, shape);
    int64_t stride = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        t.stride[i] = stride;
        stride = stride * shape[i] + gap;
    }
    CHECK((size_t)(stride + 2 * gap) * vic_dtype_size(dtype) <= MOST, "a larger buffer is needed");
    return t;
}

typedef vic_status permute(vic_context *, const vic_pattern *, vic_side, const vic_tensor *, const vic_tensor *,
                           void *, vic_error *);

static void check_one(permute *work, vic_side side, vic_dtype dtype, int ndim, const int64_t *shape, int64_t in_gap,
                      int64_t out_gap)
{
    vic_tensor from = make(in, dtype, ndim, shape, in_gap), to = make(expected, dtype, ndim, shape, out_gap);
    void *copies[2];
    memset(expected, 0xc5, MOST);
    CHECK_OK(work(NULL, pattern, side, &from, &to, NULL, &err));
    for (int i = 0; i < 2; i++) CHECK_OK(vic_memory_alloc(gpu, MOST, &copies[i], &err));
    memset(found, 0xc5, MOST);
    CHECK_OK(vic_memory_copy(gpu, copies[0], cpu, in, MOST, &err));
    CHECK_OK(vic_memory_copy(gpu, copies[1], cpu, found, MOST, &err));
    from = make(copies[0], dtype, ndim, shape, in_gap);
    to = make(copies[1], dtype, ndim, shape, out_gap);
    from.device = to.device = gpu;
    CHECK_OK(work(NULL, pattern, side, &from, &to, NULL, &err));
    CHECK_OK(vic_memory_copy(cpu, found, gpu, copies[1], MOST, &err));
    for (int i = 0; i < MOST; i++)
        CHECK(found[i] == expected[i], "%s, %d dimensions, gaps %lld and %lld: byte %d: expected %02x, got %02x",
              vic_dtype_name(dtype), ndim, (long long)in_gap, (long long)out_gap, i, expected[i], found[i]);
    for (int i = 0; i < 2; i++) vic_memory_free(gpu, copies[i]);
}

static void sorted_as_on_the_cpu(void **state)
{
    static const vic_dtype types[] = { VIC_F16, VIC_BF16, VIC_F32, VIC_F64 };
    static const int64_t gaps[][2] = { { 0, 0 }, { 8, 0 }, { 0, 3 }, { 5, 4 } };
    uint64_t seed = 12;
    (void)state;
    if (no_gpu()) skip();
    for (int i = 0; i < MOST; i++) in[i] = (unsigned char)random_bits(&seed);
    for (size_t type = 0; type < sizeof types / sizeof *types; type++)
        for (int ndim = 1; ndim <= 4; ndim++)
            for (size_t gap = 0; gap < sizeof gaps / sizeof *gaps; gap++)
                for (int side = 0; side < 2; side++) {
                    const int64_t inner[] = { 3, 2, gap % 2 ? 7 : 16 }; /* of a tensor of four dimensions */
                    int64_t shape[4] = { side == VIC_KEY ? N_K : N_Q };
                    for (int i = 1; i < ndim; i++) shape[i] = inner[3 - ndim + i];
                    check_one(vic_pattern_sort, (vic_side)side, types[type], ndim, shape, gaps[gap][0], gaps[gap][1]);
                    check_one(vic_pattern_unsort, (vic_side)side, types[type], ndim, shape, gaps[gap][0],
                              gaps[gap][1]);
                }
}

/* Enough rows for many blocks of threads, and back again. */
static void there_and_back(void **state)
{
    const int64_t shape[] = { N_Q, 16, 64 };
    void *copies[3];
    uint64_t seed = 13;
    (void)state;
    if (no_gpu()) skip();
    size_t bytes = (size_t)N_Q * 16 * 64 * 2;
    assert_true(bytes <= MOST);
    for (int i = 0; i < MOST; i++) in[i] = (unsigned char)random_bits(&seed);
    vic_tensor t[3];
    for (int i = 0; i < 3; i++) {
        CHECK_OK(vic_memory_alloc(gpu, bytes, &copies[i], &err));
        t[i] = vic_tensor_make(copies[i], VIC_F16, 3, shape);
        t[i].device = gpu;
    }
    memset(found, 0xc5, MOST);
    CHECK_OK(vic_memory_copy(gpu, copies[0], cpu, in, bytes, &err));
    for (int i = 1; i < 3; i++) CHECK_OK(vic_memory_copy(gpu, copies[i], cpu, found, bytes, &err));
    CHECK_OK(vic_pattern_sort(NULL, pattern, VIC_QUERY, &t[0], &t[1], NULL, &err));
    CHECK_OK(vic_pattern_unsort(NULL, pattern, VIC_QUERY, &t[1], &t[2], NULL, &err));
    CHECK_OK(vic_memory_copy(cpu, found, gpu, copies[2], bytes, &err));
    assert_memory_equal(found, in, bytes);
    CHECK_OK(vic_memory_copy(cpu, found, gpu, copies[1], bytes, &err));
    assert_memory_not_equal(found, in, bytes);
    t[1].data = (char *)copies[1] + 1;
    CHECK_FAILS(vic_pattern_sort(NULL, pattern, VIC_QUERY, &t[0], &t[1], NULL, &err), VIC_BAD_ARGUMENT,
                "aligned to its type");
    for (int i = 0; i < 3; i++) vic_memory_free(gpu, copies[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorted_as_on_the_cpu),
        cmocka_unit_test(there_and_back),
    };
    return test_result(cmocka_run_group_tests_name("gpu_sort", tests, start, stop), no_gpu());
}
