/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over items at unrelated addresses: the bits of lone calls, whatever the kernel, and what is refused. */
#include "objects.h"

#include <time.h>

enum { N = 70, HEADS = 2, DIM = 16, SIZE = N * HEADS * DIM, MANY = 4096 };

static vic_pattern *pattern;
static vic_plan *plan;
static float *inputs, *outputs, *sums; /* of three items */

static int set_up(void **state)
{
    static double x[3 * N];
    const vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM };
    uint64_t seed = 21;
    vic_error err;
    (void)state;
    for (int i = 0; i < 3 * N; i++) x[i] = 8 * random_uniform(&seed);
    vic_points points = points_at(N, x, NULL);
    pattern = cutoff_pattern(&points, 3);
    CHECK_OK(vic_plan_create(NULL, pattern, &o, &plan, &err));
    inputs = malloc(9 * SIZE * sizeof *inputs);
    outputs = malloc(4 * SIZE * sizeof *outputs);
    sums = malloc(4 * N * HEADS * sizeof *sums);
    assert_true(inputs && outputs && sums);
    for (int i = 0; i < 9 * SIZE; i++) inputs[i] = (float)random_normal(&seed);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(inputs);
    free(outputs);
    free(sums);
    vic_plan_free(plan);
    vic_pattern_free(pattern);
    return 0;
}

/* Tensors that have a layout and no memory. */
static vic_attention_args args_of(const vic_attention_item *items, int64_t n)
{
    const int64_t shape[] = { N, HEADS, DIM };
    vic_attention_args a = VIC_INIT(vic_attention_args);
    a.q = a.k = a.v = a.out = tensor_of(NULL, VIC_F32, 3, shape);
    a.lse = tensor_of(NULL, VIC_F32, 2, shape);
    a.items = items;
    a.n_items = n;
    return a;
}

static vic_attention_item item_of(int i)
{
    return (vic_attention_item){ inputs + (3 * i) * SIZE, inputs + (3 * i + 1) * SIZE, inputs + (3 * i + 2) * SIZE,
                                 outputs + (i * 2 % 3) * SIZE, sums + i * N * HEADS };
}

static void lone_bits(void **state)
{
    const vic_attention_item items[] = { item_of(0), item_of(1), item_of(2) };
    static float out[3][SIZE], lse[3][N * HEADS];
    vic_context *contexts[] = { NULL, context_of(1), context_of(3) };
    vic_error err;
    (void)state;
    for (int i = 0; i < 3; i++) {
        vic_attention_args a = args_of(NULL, 0);
        a.q.data = items[i].q;
        a.k.data = items[i].k;
        a.v.data = items[i].v;
        a.out.data = out[i];
        a.lse.data = lse[i];
        CHECK_OK(vic_attention(NULL, plan, &a, &err));
    }
    assert_memory_not_equal(out[0], out[1], sizeof out[0]);
    for (int c = 0; c < 3; c++)
        for (int n = 1; n <= 3; n++) {
            vic_attention_args a = args_of(items + 3 - n, n);
            memset(outputs, 0xff, 4 * SIZE * sizeof *outputs);
            memset(sums, 0xff, 4 * N * HEADS * sizeof *sums);
            CHECK_OK(vic_attention(contexts[c], plan, &a, &err));
            for (int i = 3 - n; i < 3; i++) {
                assert_memory_equal(items[i].out, out[i], sizeof out[i]);
                assert_memory_equal(items[i].lse, lse[i], sizeof lse[i]);
            }
            assert_true(isnan(outputs[3 * SIZE]));
        }
    for (int c = 1; c < 3; c++) vic_context_free(contexts[c]);
}

/* Without an LSE its tensor is not looked at; and items may share inputs. */
static void without_lse(void **state)
{
    vic_attention_item items[] = { item_of(0), item_of(1) };
    vic_attention_args a = args_of(items, 2);
    vic_error err;
    (void)state;
    items[0].lse = items[1].lse = NULL;
    items[1].q = items[0].q;
    items[1].k = items[0].k;
    items[1].v = items[0].v;
    a.lse = (vic_tensor){ 0 };
    memset(outputs, 0xff, 4 * SIZE * sizeof *outputs);
    memset(sums, 0xff, N * HEADS * sizeof *sums);
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
    assert_memory_equal(items[0].out, items[1].out, SIZE * sizeof *outputs);
    assert_true(isfinite(*(float *)items[0].out) && isnan(sums[0]));
}

static void with_a_workspace(void **state)
{
    const vic_attention_item items[] = { item_of(0), item_of(1), item_of(2) };
    vic_attention_args a = args_of(items, 3);
    vic_error err;
    (void)state;
    CHECK_OK(vic_plan_workspace(NULL, plan, 3, &a.workspace_size, &err));
    a.workspace = aligned_alloc(64, (a.workspace_size + 63) / 64 * 64);
    assert_non_null(a.workspace);
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
    vic_attention_item over[] = { items[0], items[1] };
    over[1].k = (char *)a.workspace + 64;
    a.items = over;
    a.n_items = 2;
    CHECK_FAILS(vic_attention(NULL, plan, &a, &err), VIC_BAD_ARGUMENT, "workspace overlaps tensor k in memory");
    free(a.workspace);
}

static void check_refused(const vic_attention_item *items, int64_t n, const char *words)
{
    vic_attention_args a = args_of(items, n);
    vic_error err;
    CHECK_FAILS(vic_attention(NULL, plan, &a, &err), VIC_BAD_ARGUMENT, words);
}

static void refusals(void **state)
{
    const vic_attention_item good[] = { item_of(0), item_of(1), item_of(2) };
    vic_attention_item bad[3];
    vic_error err;
    (void)state;
    memset(outputs, 0, SIZE * sizeof *outputs);
    check_refused(NULL, 2, "n_items is 2, but items is NULL");
    check_refused(good, 0, "n_items: expected 1 to 65536, got 0");
    check_refused(good, -1, "n_items: expected 1 to 65536, got -1");
    check_refused(good, 65537, "n_items: expected 1 to 65536, got 65537");
#define BAD(index, member, value, words)                                                                             \
    do {                                                                                                             \
        memcpy(bad, good, sizeof bad);                                                                               \
        bad[index].member = (value);                                                                                 \
        check_refused(bad, 3, words);                                                                                \
    } while (0)
    BAD(0, q, NULL, "tensor q: data is NULL");
    BAD(1, q, NULL, "items[1].q is NULL");
    BAD(2, k, NULL, "items[2].k is NULL");
    BAD(2, v, (char *)good[2].v + 2, "items[2].v is not aligned to its type");
    BAD(1, out, NULL, "items[1].out is NULL");
    BAD(1, lse, NULL, "items[1].lse is NULL, but items[0].lse is given");
    BAD(0, lse, NULL, "items[1].lse is given, but items[0].lse is NULL");
    BAD(1, lse, (char *)good[1].lse + 1, "items[1].lse is not aligned");
    BAD(1, out, good[0].out, "overlaps items[");
    BAD(2, out, (float *)good[0].out + SIZE - 1, "overlaps items[");
    BAD(2, out, good[2].q, "items[2].out overlaps items[2].q in memory");
    BAD(2, out, (float *)good[0].k + 5, "items[2].out overlaps items[0].k in memory");
    BAD(0, v, (float *)good[1].out - 1, "items[1].out overlaps items[0].v in memory");
    BAD(1, lse, good[2].v, "items[1].lse overlaps items[2].v in memory");
    BAD(1, lse, good[2].out, "overlaps items[");
#undef BAD
    vic_attention_args a = args_of(good, 3);
    a.v.ndim = 4;
    CHECK_FAILS(vic_attention(NULL, plan, &a, &err), VIC_BAD_ARGUMENT, "tensor v has a batch dimension");
    a = args_of(good, 3);
    a.lse.shape[1]++;
    CHECK_FAILS(vic_attention(NULL, plan, &a, &err), VIC_BAD_ARGUMENT, "tensor lse: expected shape [70 x 2]");
    a = args_of(good, 3);
    double reference[SIZE];
    CHECK_FAILS(vic_attention_reference(NULL, plan, &a, 1, NULL, reference, NULL, NULL, &err), VIC_BAD_ARGUMENT,
                "the reference takes no items");
    assert_true(outputs[0] == 0);
}

/* Row by row in one piece of memory: their spans meet, and no element does. */
static void interleaved(void **state)
{
    enum { ITEMS = 6 };
    static float memory[N][ITEMS + 1][HEADS * DIM], out[SIZE];
    static vic_attention_item items[ITEMS];
    vic_attention_args a = args_of(items, ITEMS), one = args_of(NULL, 0);
    vic_error err;
    (void)state;
    a.out.stride[0] = (ITEMS + 1) * HEADS * DIM;
    for (int i = 0; i < ITEMS; i++) {
        items[i] = item_of(i % 3);
        items[i].out = memory[0][ITEMS - 1 - i];
        items[i].lse = NULL;
    }
    memset(memory, 0xff, sizeof memory);
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
    one.q.data = items[4].q;
    one.k.data = items[4].k;
    one.v.data = items[4].v;
    one.out.data = out;
    one.lse.data = NULL;
    CHECK_OK(vic_attention(NULL, plan, &one, &err));
    for (int row = 0; row < N; row++) {
        assert_memory_equal(memory[row][ITEMS - 1 - 4], out + row * HEADS * DIM, sizeof memory[0][0]);
        assert_true(isnan(memory[row][ITEMS][0]));
    }
    items[3].out = &memory[0][2][1];
    CHECK_FAILS(vic_attention(NULL, plan, &a, &err), VIC_BAD_ARGUMENT, "overlaps items[");
}

/* A refusal comes before any work, so its time is that of the checks: far from a comparison of each with each, which
 * would be 168 million. */
static void many_are_checked_quickly(void **state)
{
    static vic_attention_item items[MANY];
    vic_attention_args a = args_of(items, MANY);
    char *space = malloc((size_t)MANY * SIZE * sizeof(float));
    vic_error err;
    (void)state;
    assert_non_null(space);
    for (int i = 0; i < MANY; i++) {
        items[i] = item_of(i % 3);
        items[i].out = space + (size_t)(i * 1027 % MANY) * SIZE * sizeof(float);
        items[i].lse = NULL;
    }
    items[MANY - 1].v = items[7].out;
    clock_t start = clock();
    CHECK_FAILS(vic_attention(NULL, plan, &a, &err), VIC_BAD_ARGUMENT,
                "items[7].out overlaps items[4095].v in memory");
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    CHECK(seconds < 0.5, "checking %d items took %g s", MANY, seconds);
    /* One row of each after the other: too many to be told apart, which is said, not computed for minutes. */
    a.out.stride[0] = (int64_t)MANY * HEADS * DIM;
    for (int i = 0; i < MANY; i++) items[i].out = space + (size_t)i * HEADS * DIM * sizeof(float);
    items[MANY - 1].v = items[0].v;
    start = clock();
    CHECK_FAILS(vic_attention(NULL, plan, &a, &err), VIC_BAD_ARGUMENT, "interleave in memory");
    seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    CHECK(seconds < 2, "giving up on %d items took %g s", MANY, seconds);
    free(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lone_bits), cmocka_unit_test(without_lse), cmocka_unit_test(with_a_workspace),
        cmocka_unit_test(refusals),  cmocka_unit_test(interleaved), cmocka_unit_test(many_are_checked_quickly),
    };
    return cmocka_run_group_tests_name("items_api", tests, set_up, tear_down);
}
