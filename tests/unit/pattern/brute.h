/* SPDX-License-Identifier: Apache-2.0 */
/* All pairs by trying every key under every image that could matter, with the rule and nothing else. */
#ifndef VIC_TESTS_BRUTE_H
#define VIC_TESTS_BRUTE_H

#include "check.h"
#include "contract/pair_rule.h"
#include "pattern/build.h"
#include "pattern/expand.h"
#include "pattern/pattern.h"
#include "pattern/statistics.h"

struct pair {
    int32_t query, key, image[3];
};

struct pair_list {
    struct pair *pairs;
    int64_t n, capacity, boundary;
};

static inline void pair_list_add(struct pair_list *list, struct pair pair)
{
    if (list->n == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 1024;
        list->pairs = realloc(list->pairs, (size_t)list->capacity * sizeof *list->pairs);
        assert_non_null(list->pairs);
    }
    list->pairs[list->n++] = pair;
}

/* Images -range .. range along periodic axes: the caller picks a range that is surely enough. */
static inline struct pair_list brute_pairs(const struct pattern_input *in, int range)
{
    struct pair_list list = { 0 };
    const double *keys = in->k_positions ? in->k_positions : in->q_positions;
    int32_t n_k = (int32_t)(in->k_positions ? in->n_k : in->n_q);
    int m[3];
    for (int x = 0; x < 3; x++) m[x] = in->periodic[x] ? range : 0;
    for (int32_t i = 0; i < in->n_q; i++)
        for (int32_t j = 0; j < n_k; j++)
            for (int a = -m[0]; a <= m[0]; a++)
                for (int b = -m[1]; b <= m[1]; b++)
                    for (int c = -m[2]; c <= m[2]; c++) {
                        double d2 = pair_distance2(in->q_positions + 3 * i, keys + 3 * j, in->cell, a, b, c);
                        bool self = in->exclude_self && !in->k_positions && i == j && !a && !b && !c;
                        if (fabs(sqrt(d2) - in->cutoff) <= 1e-9 * in->cutoff) list.boundary++;
                        if (d2 < in->cutoff * in->cutoff && !self)
                            pair_list_add(&list, (struct pair){ i, j, { a, b, c } });
                    }
    return list;
}

/* Build the pattern on `threads` and compare everything it says about its pairs with the brute force. */
static inline void check_against_brute(const char *what, const struct pattern_input *in, int range, int threads)
{
    vic_error err;
    struct pool *pool;
    vic_pattern *p;
    if (SANITIZED == 2 && threads == 1) return;
    struct pair_list expected = brute_pairs(in, range);
    CHECK_OK(pool_create(threads, &pool, &err));
    CHECK_OK(pattern_build(in, pool, &p, &err));
    vic_pattern_info info = p->info;
    CHECK(info.pairs == expected.n, "%s: %lld pairs, expected %lld", what, (long long)info.pairs,
          (long long)expected.n);
    CHECK(info.boundary_pairs == expected.boundary, "%s: %lld boundary pairs, expected %lld", what,
          (long long)info.boundary_pairs, (long long)expected.boundary);
    size_t n = (size_t)info.pairs + 1;
    int32_t *query = malloc(n * sizeof *query), *key = malloc(n * sizeof *key),
            *image = malloc(3 * n * sizeof *image);
    int64_t *counts = calloc((size_t)in->n_q + 1, sizeof *counts), most = 0;
    assert_true(query && key && image && counts);
    double *distance = malloc(n * sizeof *distance);
    assert_non_null(distance);
    struct neighbour_arrays arrays = { .i = query, .j = key, .shift = image, .distance = distance };
    CHECK_OK(pattern_neighbours(p, pool, &arrays, &err));
    for (int64_t i = 0; i < expected.n; i++) {
        struct pair e = expected.pairs[i];
        CHECK(query[i] == e.query && key[i] == e.key && memcmp(image + 3 * i, e.image, sizeof e.image) == 0,
              "%s: pair %lld is %d-%d (%d %d %d), expected %d-%d (%d %d %d)", what, (long long)i, query[i], key[i],
              image[3 * i], image[3 * i + 1], image[3 * i + 2], e.query, e.key, e.image[0], e.image[1], e.image[2]);
        const double *rj = (in->k_positions ? in->k_positions : in->q_positions) + 3 * e.key;
        double d2 = pair_distance2(in->q_positions + 3 * e.query, rj, in->cell, e.image[0], e.image[1], e.image[2]);
        CHECK(distance[i] == sqrt(d2), "%s: pair %lld is %.17g apart, expected %.17g", what, (long long)i,
              distance[i], sqrt(d2));
        counts[e.query]++;
    }
    free(distance);
    for (int64_t i = 0; i < in->n_q; i++) most = counts[i] > most ? counts[i] : most;
    assert_int_equal(info.max_pairs, most);
    int64_t *told = calloc((size_t)in->n_q + 1, sizeof *told);
    assert_non_null(told);
    pattern_counts(p, told);
    for (int64_t i = 0; i < in->n_q; i++) assert_int_equal(told[i], counts[i]);
    free(told);
    free(counts);
    free(query);
    free(key);
    free(image);
    free(expected.pairs);
    pattern_release(p);
    pool_free(pool);
}

static inline double *random_points(uint64_t *seed, int64_t n, double size)
{
    double *x = malloc((size_t)(3 * n + 1) * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < 3 * n; i++) x[i] = size * random_uniform(seed);
    return x;
}

#endif
