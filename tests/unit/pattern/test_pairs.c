/* SPDX-License-Identifier: Apache-2.0 */
/* Listed pairs come back, whatever the order of the list, the images and the wraps. */
#include "pattern/pairs.h"

#include "unit/pattern/expect.h"

static const double cell[9] = { 9, 0, 0, 2, 8, 0, 0, 1, 10 };

/* Random pairs, each once, with images up to two cells away; shuffled by being drawn so. */
static void come_back(void **state)
{
    enum { Q = 200, K = 170, N = 4000 };
    static int32_t query[N], key[N], image[N][3];
    static uint8_t seen[Q][Q > K ? Q : K];
    struct pool *pool;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(2, &pool, &err));
    for (int form = 0; form < 16; form++) {
        bool two = form & 1, images = form & 2, geometry = form & 4, masks = form & 8;
        uint64_t seed = 70 + (uint64_t)form;
        double *x = random_positions(&seed, Q, 30.0), *y = random_positions(&seed, K, 30.0);
        uint8_t *q_mask = random_mask(&seed, Q, 0.2), *k_mask = random_mask(&seed, K, 0.2);
        struct point_set q = { .n = Q, .mask = masks ? q_mask : NULL }, k = { .n = K, .mask = masks ? k_mask : NULL };
        struct pair_list list = { 0, query, key, images ? &image[0][0] : NULL };
        struct expected e = { 0 };
        vic_pattern *p;
        if (geometry) q.positions = x, k.positions = y, q.cells = cell;
        memset(seen, 0, sizeof seen);
        for (int t = 0; t < N; t++) {
            int32_t i = (int32_t)(random_bits(&seed) % Q), j = (int32_t)(random_bits(&seed) % (two ? K : Q));
            if (seen[i][j]++ > (images ? 2 : 0)) continue;
            query[list.n] = i;
            key[list.n] = j;
            for (int c = 0; c < 3; c++) image[list.n][c] = images ? (seen[i][j] - 2) * (c + 1) % 3 : 0;
            const uint8_t *mask = two ? k_mask : q_mask;
            if (!masks || (!q_mask[i] && !mask[j])) expect_pair(&e, i, j, image[list.n], 0.0);
            list.n++;
        }
        CHECK_OK(pattern_from_pairs(&q, two ? &k : NULL, &list, pool, &p, &err));
        char what[32];
        snprintf(what, sizeof what, "form %d", form);
        expect_pattern(what, p, &e, pool);
        pattern_release(p);
        free(x);
        free(y);
        free(q_mask);
        free(k_mask);
    }
    pool_free(pool);
}

static void refused(void **state)
{
    double x[9] = { 0, 0, 0, 1, 1, 1, 2, 2, 2 };
    const bool slab[3] = { true, true, false };
    const int32_t query[] = { 0, 2, 0 }, key[] = { 1, 0, 1 }, far[] = { 1, 3, 1 };
    int32_t image[9] = { 0, 1, 0, 0, 0, 0, 0, 1, 0 };
    struct point_set q = { .n = 3, .positions = x, .cells = cell, .periodic = slab };
    struct pair_list list = { 3, query, key, NULL };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_FAILS(pattern_from_pairs(&q, NULL, &list, pool, &p, &err), VIC_BAD_INPUT,
                "pair 2 is (0, 1), and so is pair 0");
    list.image = image;
    CHECK_FAILS(pattern_from_pairs(&q, NULL, &list, pool, &p, &err), VIC_BAD_INPUT, "under the same image");
    image[7] = -1;
    CHECK_OK(pattern_from_pairs(&q, NULL, &list, pool, &p, &err));
    pattern_release(p);
    image[5] = 1;
    CHECK_FAILS(pattern_from_pairs(&q, NULL, &list, pool, &p, &err), VIC_BAD_INPUT, "not periodic there");
    image[5] = 0;
    image[0] = 1 << 29;
    CHECK_FAILS(pattern_from_pairs(&q, NULL, &list, pool, &p, &err), VIC_BAD_INPUT, "images within 2^29 cells");
    image[0] = 0;
    list.key = far;
    CHECK_FAILS(pattern_from_pairs(&q, NULL, &list, pool, &p, &err), VIC_BAD_INPUT,
                "expected a key atom from 0 to 2, found 3");
    list.key = NULL;
    CHECK_FAILS(pattern_from_pairs(&q, NULL, &list, pool, &p, &err), VIC_BAD_ARGUMENT, "both arrays");
    assert_null(p);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(come_back),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests_name("pattern_pairs", tests, NULL, NULL);
}
