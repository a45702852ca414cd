/* SPDX-License-Identifier: Apache-2.0 */
/* Where tensors of one call may lie: the output must not share an element with what is read, but may stand between it,
 * as in packed q, k, v and out. */
#include "objects.h"

enum { N = 130, HEADS = 2, DIM = 8, ROW = HEADS * DIM, SPAN = 8 * N * ROW };

static struct {
    double at[3 * N];
    vic_pattern *pattern;
    vic_plan *plan;
    float memory[SPAN]; /* in which all tensors of a test lie */
} o;

static const int64_t shape[] = { N, HEADS, DIM };

/* [N, HEADS, DIM] from element `at` on, rows `row` elements apart. */
static vic_tensor part(int64_t at, int64_t row)
{
    vic_tensor t = vic_tensor_make(o.memory + at, VIC_F32, 3, shape);
    t.stride[0] = row;
    return t;
}

static void fill(void)
{
    uint64_t seed = 31;
    for (int i = 0; i < SPAN; i++) o.memory[i] = (float)random_normal(&seed);
}

/* The output of tensors that all have memory of their own, with the numbers of those of `args`. */
static void expected_output(const vic_attention_args *args, float *out)
{
    static float copies[3][N * ROW];
    const vic_tensor *from[] = { &args->q, &args->k, &args->v };
    vic_attention_args a = VIC_INIT(vic_attention_args);
    vic_tensor *to[] = { &a.q, &a.k, &a.v };
    vic_error err;
    for (int t = 0; t < 3; t++) {
        for (int64_t i = 0; i < N; i++)
            for (int64_t h = 0; h < HEADS; h++)
                for (int64_t c = 0; c < DIM; c++)
                    copies[t][(i * HEADS + h) * DIM + c] =
                        ((float *)from[t]->data)[i * from[t]->stride[0] + h * from[t]->stride[1] + c];
        *to[t] = vic_tensor_make(copies[t], VIC_F32, 3, shape);
    }
    a.out = vic_tensor_make(out, VIC_F32, 3, shape);
    CHECK_OK(vic_attention(NULL, o.plan, &a, &err));
}

/* Takes the tensors as they lie, gives the right numbers, and writes nothing else. */
static void accepted(const char *what, vic_attention_args args)
{
    static float expected[N * ROW], before[SPAN];
    static bool written[SPAN];
    vic_error err;
    fill();
    args.size = sizeof args;
    expected_output(&args, expected);
    memcpy(before, o.memory, sizeof before);
    memset(written, 0, sizeof written);
    CHECK_OK(vic_attention(NULL, o.plan, &args, &err));
    for (int64_t i = 0; i < N; i++)
        for (int64_t h = 0; h < HEADS; h++)
            for (int64_t c = 0; c < DIM; c++) {
                int64_t at = (float *)args.out.data - o.memory + i * args.out.stride[0] + h * args.out.stride[1] + c;
                written[at] = true;
                CHECK(o.memory[at] == expected[(i * HEADS + h) * DIM + c], "%s: row %d", what, (int)i);
            }
    for (int64_t i = 0; i < N && args.lse.data; i++)
        for (int64_t h = 0; h < HEADS; h++)
            written[(float *)args.lse.data - o.memory + i * args.lse.stride[0] + h * args.lse.stride[1]] = true;
    for (int i = 0; i < SPAN; i++)
        CHECK(written[i] || o.memory[i] == before[i], "%s: element %d was changed", what, i);
}

/* Says which two tensors it is, and leaves all as it was. */
static void refused(const char *what, vic_attention_args args, const char *one, const char *other)
{
    static float before[SPAN];
    char words[80];
    vic_error err = { VIC_OK, "" };
    fill();
    memcpy(before, o.memory, sizeof before);
    args.size = sizeof args;
    vic_status st = vic_attention(NULL, o.plan, &args, &err);
    CHECK(st == VIC_BAD_ARGUMENT, "%s: expected BAD_ARGUMENT, got %s", what, vic_status_name(st));
    snprintf(words, sizeof words, "tensor %s overlaps %s", one, other);
    CHECK(strstr(err.text, words), "%s: no \"%s\" in: %s", what, words, err.text);
    assert_memory_equal(before, o.memory, sizeof before);
}

enum { SIZE = N * ROW };

static void packed(void **state)
{
    (void)state;
    accepted("one after another",
             (vic_attention_args){
                 .q = part(0, ROW), .k = part(SIZE, ROW), .v = part(2 * SIZE, ROW), .out = part(3 * SIZE, ROW) });
    accepted("q, k, v and out in each row", (vic_attention_args){ .q = part(0, 4 * ROW),
                                                                  .k = part(ROW, 4 * ROW),
                                                                  .v = part(2 * ROW, 4 * ROW),
                                                                  .out = part(3 * ROW, 4 * ROW) });
    accepted("out before q, k and v in each row", (vic_attention_args){ .q = part(ROW, 4 * ROW),
                                                                        .k = part(2 * ROW, 4 * ROW),
                                                                        .v = part(3 * ROW, 4 * ROW),
                                                                        .out = part(0, 4 * ROW) });
    accepted("one tensor for q, k and v",
             (vic_attention_args){ .q = part(0, ROW), .k = part(0, ROW), .v = part(0, ROW), .out = part(SIZE, ROW) });
}

/* [N][HEADS][q k v out][DIM], and [HEADS][N][...]: neither a row nor a head lies in one piece. */
static void packed_by_head(void **state)
{
    vic_attention_args a = VIC_INIT(vic_attention_args);
    vic_tensor *const tensors[] = { &a.q, &a.k, &a.v, &a.out };
    (void)state;
    for (int i = 0; i < 4; i++) {
        *tensors[i] = part(i * DIM, 4 * ROW);
        tensors[i]->stride[1] = 4 * DIM;
    }
    accepted("interleaved in each head", a);
    for (int i = 0; i < 4; i++) {
        *tensors[i] = part(i * DIM, 4 * DIM);
        tensors[i]->stride[1] = 4 * DIM * N;
    }
    accepted("interleaved, heads first", a);
}

static void with_a_lse(void **state)
{
    vic_attention_args a = {
        .q = part(0, 4 * ROW), .k = part(ROW, 4 * ROW), .v = part(2 * ROW, 4 * ROW), .out = part(3 * ROW, 4 * ROW)
    };
    (void)state;
    a.lse = vic_tensor_make(o.memory + 4 * SIZE, VIC_F32, 2, shape);
    accepted("a LSE behind all", a);
    a.lse.data = o.memory + 4 * SIZE - 1; /* the last element of out */
    refused("a LSE that begins in out", a, "lse", "out");
    a.lse.data = o.memory;
    refused("a LSE in q", a, "lse", "q");
    a.out = part(4 * SIZE, ROW + HEADS); /* out and lse side by side */
    a.lse = vic_tensor_make(o.memory + 4 * SIZE + ROW, VIC_F32, 2, shape);
    a.lse.stride[0] = ROW + HEADS;
    accepted("out and LSE in each row", a);
}

static void overlapping(void **state)
{
    const vic_attention_args apart = { .q = part(0, ROW), .k = part(SIZE, ROW), .v = part(2 * SIZE, ROW) };
    vic_attention_args a = apart;
    (void)state;
    a.out = a.v;
    refused("out is v", a, "out", "v");
    a.out = a.q;
    refused("out is q", a, "out", "q");
    a.out = a.k;
    refused("out is k", a, "out", "k");
    a.q = part(3 * SIZE, ROW);
    a.out = part(4 * SIZE - ROW, ROW); /* its first row is q's last */
    refused("out begins with the last row of q", a, "out", "q");
    a.out = part(4 * SIZE - 1, ROW);
    refused("out begins with the last element of q", a, "out", "q");
    a.out = part(4 * SIZE, ROW);
    accepted("out begins behind q", a);
    a.q = part(4 * SIZE, ROW);
    a.out = part(3 * SIZE + ROW, ROW); /* its last row is q's first */
    refused("out ends with the first row of q", a, "out", "q");
    a.out = part(3 * SIZE + 1, ROW);
    refused("out ends with the first element of q", a, "out", "q");
}

static void overlapping_in_each_row(void **state)
{
    vic_attention_args a = { .q = part(0, 4 * ROW), .k = part(ROW, 4 * ROW), .v = part(2 * ROW, 4 * ROW) };
    (void)state;
    a.out = part(2 * ROW + 1, 4 * ROW);
    refused("out takes all but one element of v's rows", a, "out", "v");
    a.out = part(3 * ROW - 1, 4 * ROW);
    refused("out takes one element of v's rows", a, "out", "v");
    a.out = part(3 * ROW + 1, 4 * ROW);
    refused("out takes one element of q's next rows", a, "out", "q");
    a.out = part(3 * ROW, 4 * ROW);
    a.out.stride[0] = 3 * ROW; /* meets q in row 4 */
    refused("out's rows are closer together", a, "out", "q");
}

/* A plan in which a part of the keys has no query: v is longer than out. */
static void two_sets(void **state)
{
    const vic_plan_options p = { .size = sizeof p, .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM };
    const int64_t few[] = { 20, HEADS, DIM };
    vic_points queries = points_at(20, o.at, NULL), keys = points_at(N, o.at, NULL);
    vic_attention_args a = { .size = sizeof a, .k = part(SIZE, ROW), .v = part(2 * SIZE, ROW) };
    vic_pattern *pattern;
    vic_plan *plan;
    vic_error err;
    (void)state;
    CHECK_OK(vic_pattern_cutoff(NULL, &queries, &keys, 3.0, NULL, &pattern, &err));
    CHECK_OK(vic_plan_create(NULL, pattern, &p, &plan, &err));
    a.q = vic_tensor_make(o.memory, VIC_F32, 3, few);
    a.out = vic_tensor_make(o.memory + 3 * SIZE, VIC_F32, 3, few);
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
    a.out.data = o.memory + 3 * SIZE - ROW;
    CHECK_FAILS(vic_attention(NULL, plan, &a, &err), VIC_BAD_ARGUMENT, "tensor out overlaps v");
    a.out.data = o.memory + 2 * SIZE + 50 * ROW;
    CHECK_FAILS(vic_attention(NULL, plan, &a, &err), VIC_BAD_ARGUMENT, "tensor out overlaps v");
    vic_plan_free(plan);
    vic_pattern_free(pattern);
}

static void batches(void **state)
{
    const int64_t two[] = { 2, N, HEADS, DIM };
    vic_attention_args a = VIC_INIT(vic_attention_args);
    vic_error err;
    (void)state;
    fill();
    a.q = a.k = a.v = vic_tensor_make(o.memory, VIC_F32, 4, two);
    a.out = vic_tensor_make(o.memory + 2 * SIZE, VIC_F32, 4, two);
    CHECK_OK(vic_attention(NULL, o.plan, &a, &err));
    a.out.data = o.memory + SIZE;
    CHECK_FAILS(vic_attention(NULL, o.plan, &a, &err), VIC_BAD_ARGUMENT, "tensor out overlaps q");
    a.q.stride[0] = a.k.stride[0] = a.v.stride[0] = a.out.stride[0] = 2 * SIZE; /* in and out of an item in turn */
    CHECK_OK(vic_attention(NULL, o.plan, &a, &err));
    a.out.data = o.memory + SIZE - 1;
    CHECK_FAILS(vic_attention(NULL, o.plan, &a, &err), VIC_BAD_ARGUMENT, "tensor out overlaps q");
}

static int set_up(void **state)
{
    const vic_plan_options p = { .size = sizeof p, .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM };
    uint64_t seed = 3;
    vic_error err;
    (void)state;
    for (int i = 0; i < 3 * N; i++) o.at[i] = 8 * random_uniform(&seed);
    vic_points points = points_at(N, o.at, NULL);
    o.pattern = cutoff_pattern(&points, 3.0);
    return vic_plan_create(NULL, o.pattern, &p, &o.plan, &err) == VIC_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vic_plan_free(o.plan);
    vic_pattern_free(o.pattern);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed),      cmocka_unit_test(packed_by_head),          cmocka_unit_test(with_a_lse),
        cmocka_unit_test(overlapping), cmocka_unit_test(overlapping_in_each_row), cmocka_unit_test(two_sets),
        cmocka_unit_test(batches),
    };
    return cmocka_run_group_tests_name("api_overlap", tests, set_up, tear_down);
}
