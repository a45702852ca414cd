/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/boxes.h"

#include "check.h"
#include "contract/pattern.h"

/* Outward rounding: no point may fall out of its own box, however awkward its digits. */
static void boxes_hold_their_points(void **state)
{
    uint64_t seed = 3;
    (void)state;
    for (int trial = 0; trial < 2000; trial++) {
        double x[5][3], scale = pow(10.0, 12.0 * random_uniform(&seed) - 3.0);
        double shift[3] = { scale * random_normal(&seed), 1e-9, -scale };
        for (int i = 0; i < 5; i++)
            for (int k = 0; k < 3; k++) x[i][k] = scale * random_normal(&seed);
        struct box b = box_of_points((const double(*)[3])x, 5), moved = box_shifted(&b, shift);
        for (int i = 0; i < 5; i++)
            for (int k = 0; k < 3; k++) {
                assert_true((double)b.low[k] <= x[i][k] && x[i][k] <= (double)b.high[k]);
                assert_true((double)moved.low[k] <= x[i][k] + shift[k] &&
                            x[i][k] + shift[k] <= (double)moved.high[k]);
            }
    }
}

/* The tree finds what a walk over all clusters finds, in rising order. */
static void tree_equals_brute_force(void **state)
{
    enum { N = 16 * 700 + 5 };
    static double x[N][3];
    static int32_t found[N];
    uint64_t seed = 4;
    vic_error err;
    struct box_tree tree;
    (void)state;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 3; k++) x[i][k] = (i / 64) * 0.1 + random_normal(&seed);
    struct box *boxes = malloc(701 * sizeof *boxes);
    assert_non_null(boxes);
    for (int c = 0; c < 701; c++)
        boxes[c] = box_of_points((const double(*)[3])(x + c * CLUSTER),
                                 N - c * CLUSTER < CLUSTER ? N - c * CLUSTER : CLUSTER);
    CHECK_OK(box_tree_make(boxes, 701, &tree, &err));
    assert_int_equal(tree.count[0], 701);
    for (int trial = 0; trial < 50; trial++) {
        double at[1][3];
        float reach = 3.0f;
        int64_t n = 0, expected = 0;
        for (int k = 0; k < 3; k++) at[0][k] = 17.0 * random_uniform(&seed);
        struct box query = box_of_points((const double(*)[3])at, 1);
        box_tree_near(&tree, &query, reach, found, &n);
        for (int c = 0; c < 701; c++) {
            int count = N - c * CLUSTER < CLUSTER ? N - c * CLUSTER : CLUSTER;
            struct box b = box_of_points((const double(*)[3])(x + c * CLUSTER), count);
            float sum = 0;
            for (int k = 0; k < 3; k++) {
                float gap = fmaxf(0, fmaxf(b.low[k] - query.high[k], query.low[k] - b.high[k]));
                sum += gap * gap;
            }
            if (sum <= reach * reach) {
                assert_true(expected < n);
                assert_int_equal(found[expected++], c);
            }
        }
        assert_int_equal(expected, n);
    }
    box_tree_free(&tree);
    CHECK_OK(box_tree_make(malloc(1), 0, &tree, &err));
    assert_int_equal(tree.levels, 0);
    box_tree_free(&tree);
}

/* Four boxes at once are near when each of them is, and nothing is near to what does not exist. */
static void four_at_once(void **state)
{
    uint64_t seed = 5;
    (void)state;
    for (int trial = 0; trial < 2000; trial++) {
        struct box4 four;
        struct box one[5], nowhere = box_nowhere();
        unsigned expected = 0;
        float limit2 = (float)(20.0 * random_uniform(&seed));
        for (int i = 0; i < 5; i++) {
            double x[2][3];
            for (int k = 0; k < 3; k++) {
                x[0][k] = 10.0 * random_uniform(&seed);
                x[1][k] = x[0][k] + 2.0 * random_uniform(&seed);
            }
            one[i] = box_of_points((const double(*)[3])x, 2);
        }
        if (trial % 3 == 0) one[trial % 4] = nowhere;
        for (int i = 0; i < 4; i++) {
            float sum = 0;
            box4_set(&four, i, &one[i]);
            for (int k = 0; k < 3; k++) {
                float gap = fmaxf(0, fmaxf(one[i].low[k] - one[4].high[k], one[4].low[k] - one[i].high[k]));
                sum += gap * gap;
            }
            expected |= (unsigned)(sum <= limit2) << i;
        }
        assert_int_equal(box4_near(&four, one[4].low, one[4].high, limit2), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boxes_hold_their_points),
        cmocka_unit_test(tree_equals_brute_force),
        cmocka_unit_test(four_at_once),
    };
    return cmocka_run_group_tests_name("pattern_boxes", tests, NULL, NULL);
}
