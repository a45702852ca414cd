/* SPDX-License-Identifier: Apache-2.0 */
/* Short ways to points, patterns and what is known of them, for tests that need some and test something else. */
#ifndef VIC_TESTS_OBJECTS_H
#define VIC_TESTS_OBJECTS_H

#include "check.h"
#include "vicinal_dev.h"

/* Tensors have no const; the library writes to outputs alone. */
static inline vic_tensor tensor_of(const void *data, vic_dtype dtype, int ndim, const int64_t *shape)
{
    return vic_tensor_make((void *)(uintptr_t)data, dtype, ndim, shape);
}

/* n points at float64 positions [n, 3], in a cell [9] or in none. */
static inline vic_points points_at(int64_t n, const double *positions, const double *cell)
{
    vic_points p = VIC_INIT(vic_points);
    p.n = n;
    p.positions = tensor_of(positions, VIC_F64, 2, (const int64_t[]){ n, 3 });
    p.cell = cell;
    return p;
}

/* n points that are nowhere. */
static inline vic_points points_of(int64_t n)
{
    vic_points p = VIC_INIT(vic_points);
    p.n = n;
    return p;
}

static inline vic_pattern *cutoff_pattern(const vic_points *points, double cutoff)
{
    vic_pattern *p = NULL;
    vic_error err;
    CHECK_OK(vic_pattern_cutoff(NULL, points, NULL, cutoff, NULL, &p, &err));
    return p;
}

/* Listed pairs; shift [n, 3] or NULL. */
static inline vic_pair_list pairs_listed(int64_t n, const int32_t *query, const int32_t *key, const int32_t *shift)
{
    return (vic_pair_list){ .size = sizeof(vic_pair_list),
                            .query = tensor_of(query, VIC_I32, 1, &n),
                            .key = tensor_of(key, VIC_I32, 1, &n),
                            .shift = tensor_of(shift, VIC_I32, 2, (const int64_t[]){ n, 3 }) };
}

/* A block mask of points that are nowhere; n_k 0 = the queries are the keys. */
static inline vic_pattern *blocks_pattern(int64_t n_q, int64_t n_k, int64_t block, const int64_t *row_ptr,
                                          const int32_t *column)
{
    const vic_points queries = points_of(n_q), keys = points_of(n_k);
    const vic_block_list list = { .size = sizeof list, .block = block, .row_ptr = row_ptr, .column = column };
    vic_pattern *p = NULL;
    vic_error err;
    CHECK_OK(vic_pattern_blocks(NULL, &queries, n_k ? &keys : NULL, &list, NULL, &p, &err));
    return p;
}

static inline vic_pattern *windows_pattern(int64_t n, int64_t queries, int64_t keys)
{
    const vic_points nowhere = points_of(n);
    vic_pattern *p = NULL;
    vic_error err;
    CHECK_OK(vic_pattern_windows(NULL, &nowhere, queries, keys, NULL, &p, &err));
    return p;
}

static inline vic_pattern *nearest_pattern(const vic_points *points, int64_t count, bool exclude_self)
{
    const vic_pattern_options o = { .size = sizeof o, .exclude_self = exclude_self };
    vic_pattern *p = NULL;
    vic_error err;
    CHECK_OK(vic_pattern_nearest(NULL, points, NULL, count, &o, &p, &err));
    return p;
}

static inline vic_pattern *generated_pattern(const char *text)
{
    vic_pattern *p = NULL;
    vic_error err;
    CHECK_OK(vic_pattern_generate(NULL, text, NULL, &p, &err));
    return p;
}

static inline vic_pattern_info info_of(const vic_pattern *p)
{
    vic_pattern_info info = VIC_INIT(vic_pattern_info);
    vic_error err;
    CHECK_OK(vic_pattern_get(p, &info, &err));
    return info;
}

static inline vic_plan_info plan_info_of(const vic_plan *plan)
{
    vic_plan_info info = VIC_INIT(vic_plan_info);
    vic_error err;
    CHECK_OK(vic_plan_get(plan, &info, &err));
    return info;
}

static inline const int32_t *order_of(const vic_pattern *p, vic_side side)
{
    const int32_t *order;
    vic_error err;
    CHECK_OK(vic_pattern_order(p, side, &order, &err));
    return order;
}

static inline vic_context *context_of(int threads)
{
    vic_context_options o = VIC_INIT(vic_context_options);
    vic_context *c = NULL;
    vic_error err;
    o.threads = threads;
    CHECK_OK(vic_context_create(&o, &c, &err));
    return c;
}

/* All pairs of a pattern; freed by neighbors_free(). */
static inline vic_neighbors neighbors_of(const vic_pattern *p, bool distances)
{
    vic_neighbors list = VIC_INIT(vic_neighbors);
    vic_error err;
    list.pairs = info_of(p).pairs;
    size_t n = (size_t)list.pairs + 1;
    list.i = malloc(n * sizeof *list.i);
    list.j = malloc(n * sizeof *list.j);
    list.S = malloc(3 * n * sizeof *list.S);
    list.d = distances ? malloc(n * sizeof *list.d) : NULL;
    list.D = distances ? malloc(3 * n * sizeof *list.D) : NULL;
    assert_true(list.i && list.j && list.S && (!distances || (list.d && list.D)));
    CHECK_OK(vic_pattern_neighbors(NULL, p, &list, &err));
    return list;
}

static inline void neighbors_free(vic_neighbors *list)
{
    free(list->i);
    free(list->j);
    free(list->S);
    free(list->d);
    free(list->D);
}

#endif
