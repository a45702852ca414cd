/* SPDX-License-Identifier: Apache-2.0 */
/* Whether two tensors share a byte: against all bytes of both. */
#include "check.h"

#include "base/overlap.h"
#include "base/sizes.h"

#include <string.h>

enum { ROOM = 4000, MIDDLE = 2000 };

static char memory[ROOM];

/* Marks the bytes of all elements. */
static void mark(const vic_tensor *t, int axis, int64_t at, bool *bytes)
{
    if (axis < t->ndim && axis < VIC_MAX_DIMS) {
        for (int64_t i = 0; i < t->shape[axis]; i++) mark(t, axis + 1, at + i * t->stride[axis], bytes);
        return;
    }
    int64_t size = (int64_t)vic_dtype_size(t->dtype), first = (char *)t->data - memory + at * size;
    assert_true(first >= 0 && first + size <= ROOM);
    for (int64_t i = 0; i < size; i++) bytes[first + i] = true;
}

static bool share_a_byte(const vic_tensor *a, const vic_tensor *b)
{
    static bool of_a[ROOM], of_b[ROOM];
    memset(of_a, 0, sizeof of_a);
    memset(of_b, 0, sizeof of_b);
    mark(a, 0, 0, of_a);
    mark(b, 0, 0, of_b);
    for (int i = 0; i < ROOM; i++)
        if (of_a[i] && of_b[i]) return true;
    return false;
}

static void check(const vic_tensor *a, const vic_tensor *b, const char *what, int round)
{
    bool expected = share_a_byte(a, b);
    CHECK(tensors_overlap(a, b) == expected && tensors_overlap(b, a) == expected, "%s %d: expected %d", what, round,
          expected);
}

/* Up to four dimensions of 1 to 4, any strides. */
static vic_tensor any_tensor(uint64_t *seed)
{
    static const vic_dtype types[] = { VIC_F32, VIC_F16, VIC_F64, VIC_U8 };
    vic_tensor t = { .data = memory + MIDDLE + random_bits(seed) % 160 / 8 * 8,
                     .dtype = types[random_bits(seed) % 4],
                     .ndim = (int32_t)(random_bits(seed) % 5) };
    for (int i = 0; i < t.ndim; i++) {
        t.shape[i] = (int64_t)(random_bits(seed) % 4) + 1;
        t.stride[i] = (int64_t)(random_bits(seed) % 41) - 20;
    }
    return t;
}

static void random_layouts(void **state)
{
    uint64_t seed = 2;
    int shared = 0;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        vic_tensor a = any_tensor(&seed), b = any_tensor(&seed);
        check(&a, &b, "layout", round);
        shared += share_a_byte(&a, &b);
    }
    assert_in_range(shared, 2000, 18000);
}

/* The dimensions of [rows, heads, parts, d] in any order of memory; one part and another, moved by a few elements. */
static void packed_layouts(void **state)
{
    uint64_t seed = 3;
    int shared = 0;
    (void)state;
    for (int round = 0; round < 4000; round++) {
        const int64_t shape[4] = { (int64_t)(random_bits(&seed) % 4) + 1, (int64_t)(random_bits(&seed) % 3) + 1, 4,
                                   (int64_t)(random_bits(&seed) % 5) + 1 };
        int64_t stride[4], step = 1;
        int order[4] = { 0, 1, 2, 3 };
        for (int i = 3; i > 0; i--) {
            int j = (int)(random_bits(&seed) % (uint64_t)(i + 1)), kept = order[i];
            order[i] = order[j];
            order[j] = kept;
        }
        for (int i = 3; i >= 0; i--) {
            stride[order[i]] = step;
            step *= shape[order[i]];
        }
        vic_tensor parts[2];
        for (int p = 0; p < 2; p++) {
            int64_t at = (int64_t)(random_bits(&seed) % 4) * stride[2];
            if (p == 1 && round % 2) at += (int64_t)(random_bits(&seed) % 3) - 1;
            parts[p] = (vic_tensor){ .data = memory + MIDDLE + 4 * at,
                                     .dtype = VIC_F32,
                                     .ndim = 3,
                                     .shape = { shape[0], shape[1], shape[3] },
                                     .stride = { stride[0], stride[1], stride[3] } };
        }
        check(&parts[0], &parts[1], "packed", round);
        shared += share_a_byte(&parts[0], &parts[1]);
    }
    assert_in_range(shared, 800, 3200);
}

static void nothing_to_share(void **state)
{
    vic_tensor t = vic_tensor_make(memory + MIDDLE, VIC_F32, 2, (const int64_t[]){ 3, 4 }), none = t, empty = t;
    (void)state;
    none.data = NULL;
    empty.shape[1] = 0;
    assert_true(tensors_overlap(&t, &t));
    assert_false(tensors_overlap(&t, &none));
    assert_false(tensors_overlap(&empty, &t));
    vic_tensor far = t; /* strides as far as any tensor's may reach */
    far.stride[0] = INT64_MAX / 64;
    assert_true(tensors_overlap(&t, &far));
    far.data = memory;
    assert_false(tensors_overlap(&t, &far));
}

/* No stride of a dimension of one matters, and none is too large to be compared: under sanitizers this says more. */
static void huge_strides(void **state)
{
    static const int64_t strides[] = { INT64_MIN, INT64_MAX, INT64_MAX / 2 };
    (void)state;
    for (size_t i = 0; i < sizeof strides / sizeof *strides; i++) {
        vic_tensor t = vic_tensor_make(memory + MIDDLE, VIC_F32, 3, (const int64_t[]){ 3, 1, 4 }), other = t;
        t.stride[1] = strides[i];
        assert_true(tensors_overlap(&t, &other));
        other.data = memory;
        assert_false(tensors_overlap(&t, &other));
        assert_false(tensors_overlap(&other, &t));
    }
}

/* The two reach as far from each other as strides may: one forwards, one backwards. */
static void opposite_strides(void **state)
{
    vic_tensor up = vic_tensor_make(memory + MIDDLE, VIC_F64, 2, (const int64_t[]){ 2, 2 }), down = up;
    (void)state;
    up.stride[0] = INT64_MAX / 2;
    while (!size_tensor_fits(&up)) up.stride[0] -= INT64_MAX / 512;
    down.stride[0] = -up.stride[0];
    assert_true(tensors_overlap(&up, &down));
    down.data = memory;
    assert_false(tensors_overlap(&up, &down));
    assert_false(tensors_overlap(&down, &up));
    down.data = memory + ROOM;
    assert_false(tensors_overlap(&up, &down));
    assert_false(tensors_overlap(&down, &up));
}

/* A million rows: no more work than for a few. */
static void large_tensors(void **state)
{
    enum { ROWS = 1000000, HEADS = 8, DIM = 64 };
    const int64_t shape[] = { ROWS, HEADS, DIM };
    vic_tensor q = vic_tensor_make(memory, VIC_F16, 3, shape), out = q; /* nothing is read there */
    (void)state;
    q.stride[0] = out.stride[0] = 4 * HEADS * DIM;
    q.stride[1] = out.stride[1] = 4 * DIM;
    out.data = memory + 3 * DIM * 2;
    assert_false(tensors_overlap(&q, &out));
    out.data = memory + 3 * DIM * 2 + 2;
    assert_true(tensors_overlap(&q, &out)); /* by one component of the next head */
}

/* Strides under which elements of one tensor would lie on each other. */
static void of_itself(void **state)
{
    static float place[400];
    static const struct {
        int64_t shape[3], stride[3];
        bool overlaps;
    } cases[] = {
        { { 5, 4, 8 }, { 32, 8, 1 }, false },  { { 5, 4, 8 }, { 8, 40, 1 }, false },
        { { 5, 4, 8 }, { 8, 8, 1 }, true },    { { 5, 4, 8 }, { 32, 7, 1 }, true },
        { { 5, 4, 8 }, { 0, 8, 1 }, true },    { { 1, 4, 8 }, { 0, 8, 1 }, false },
        { { 5, 4, 8 }, { -32, 8, 1 }, false }, { { 5, 0, 8 }, { 0, 0, 1 }, false },
        { { 5, 4, 8 }, { 31, 8, 1 }, true },   { { 5, 4, 8 }, { 80, 16, 2 }, false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vic_tensor t = vic_tensor_make(place + 200, VIC_F32, 3, cases[i].shape);
        memcpy(t.stride, cases[i].stride, sizeof cases[i].stride);
        CHECK(tensor_overlaps_itself(&t) == cases[i].overlaps, "case %zu", i);
    }
}

/* Steps that are nearly alike and all even, and bytes that are an odd number apart: nothing is shared, but only trying
 * every sum would tell.  What is not known in the end counts as shared. */
static void too_many_sums(void **state)
{
    vic_tensor a = vic_tensor_make(memory, VIC_U8, 4, (const int64_t[]){ 60, 60, 60, 60 }), b = a;
    (void)state;
    for (int i = 0; i < 4; i++) {
        a.stride[i] = 1000000 + 2 * i;
        b.stride[i] = 1000100 + 2 * i;
    }
    b.data = memory + 1;
    assert_true(tensors_overlap(&a, &b));
    a.shape[0] = a.shape[1] = a.shape[2] = b.shape[1] = b.shape[2] = b.shape[3] = 1; /* few enough */
    assert_false(tensors_overlap(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(random_layouts),   cmocka_unit_test(packed_layouts),
                                        cmocka_unit_test(nothing_to_share), cmocka_unit_test(large_tensors),
                                        cmocka_unit_test(huge_strides),     cmocka_unit_test(opposite_strides),
                                        cmocka_unit_test(of_itself),        cmocka_unit_test(too_many_sums) };
    return cmocka_run_group_tests_name("base_overlap", tests, NULL, NULL);
}
