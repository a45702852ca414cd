/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sizes.h"
#include "base/threads.h"
#include "contract/block_walk.h"
#include "device/permute.h"
#include "pattern/cutoff.h"
#include "pattern/expand.h"
#include "pattern/pattern.h"
#include "pattern/statistics.h"
#include "pattern/update.h"

#include <string.h>

static vic_status build(struct point_set *queries, struct point_set *keys, const vic_pattern_options *options,
                        vic_pattern **out, vic_error *err)
{
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    struct pool *pool;
    vic_status st;
    *out = NULL;
    TRY(options_copy(&o, sizeof o, options, "vic_pattern_options", err));
    const struct cutoff_input input = { o.cutoff, o.exclude_self, o.max_bytes, o.estimate };
    if (o.estimate) memset(o.estimate, 0, sizeof *o.estimate);
    if (!keys && o.skip_keys)
        return vic_fail(err, VIC_BAD_ARGUMENT, "skip_keys: the queries are the keys, so `skip` says it for both");
    queries->mask = o.skip;
    if (keys) keys->mask = o.skip_keys;
    TRY(pool_create(o.threads, &pool, err));
    st = pattern_cutoff(queries, keys, &input, pool, out, err);
    pool_free(pool);
    return st;
}

vic_status vic_pattern_build(const vic_structure *s, const vic_pattern_options *options, vic_pattern **out,
                             vic_error *err)
{
    *out = NULL;
    if (!s) return vic_fail(err, VIC_BAD_ARGUMENT, "structure is NULL: read one first");
    vic_structure_view view = vic_structure_get(s);
    struct point_set points = {
        .n = view.atoms, .positions = view.positions, .cells = &view.cell[0][0], .periodic = view.periodic
    };
    return build(&points, NULL, options, out, err);
}

vic_status vic_pattern_build_points(int64_t n_q, const double *query_positions, int64_t n_k,
                                    const double *key_positions, const double cell[3][3], const bool periodic[3],
                                    const vic_pattern_options *options, vic_pattern **out, vic_error *err)
{
    struct point_set queries = { .n = n_q, .positions = query_positions, .periodic = periodic };
    struct point_set keys = { .n = n_k, .positions = key_positions };
    *out = NULL;
    if (!query_positions && n_q != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "query_positions is NULL, but n_q is %lld", (long long)n_q);
    if (!key_positions && n_k != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "key_positions is NULL (queries are keys), so n_k must be 0; got %lld",
                        (long long)n_k);
    if (cell) queries.cells = &cell[0][0];
    for (int axis = 0; axis < 3; axis++)
        if (periodic && periodic[axis] && !cell)
            return vic_fail(err, VIC_BAD_ARGUMENT, "periodic along %c, but no cell was given", 'a' + axis);
    return build(&queries, key_positions ? &keys : NULL, options, out, err);
}

vic_status vic_pattern_update(vic_pattern **p, const double *query_positions, const double *key_positions,
                              const double cell[3][3], int threads, vic_error *err)
{
    struct pool *pool;
    vic_status st;
    TRY(pool_create(threads, &pool, err));
    st = pattern_update(p, query_positions, key_positions, cell, pool, err);
    pool_free(pool);
    return st;
}

vic_pattern_info vic_pattern_get(const vic_pattern *p)
{
    vic_pattern_info info = p->info;
    info.kind = pattern_kind(p);
    info.structures = p->structures > 0 ? p->structures : 1;
    memcpy(info.cell, p->cell, sizeof info.cell);
    memcpy(info.periodic, p->periodic, sizeof info.periodic);
    return info;
}

const int32_t *vic_pattern_query_order(const vic_pattern *p)
{
    return p->q_order;
}

const int32_t *vic_pattern_key_order(const vic_pattern *p)
{
    return p->k_order;
}

void vic_pattern_counts(const vic_pattern *p, int64_t *counts)
{
    pattern_counts(p, counts);
}

vic_status vic_pattern_neighbours(const vic_pattern *p, int64_t pairs, int threads, int32_t *i, int32_t *j,
                                  int32_t *shift, double *distance, vic_error *err)
{
    const struct neighbour_arrays out = { .i = i, .j = j, .shift = shift, .distance = distance };
    struct pool *pool;
    vic_status st;
    if (pairs != p->info.pairs)
        return vic_fail(err, VIC_BAD_ARGUMENT, "the arrays hold %lld pairs, the pattern has %lld", (long long)pairs,
                        (long long)p->info.pairs);
    if (distance && (!p->q_positions || p->structures > 1))
        return vic_fail(err, VIC_BAD_ARGUMENT, "distance: the pattern has no %s",
                        p->q_positions ? "cell that all of its structures share" : "positions");
    TRY(pool_create(threads, &pool, err));
    st = pattern_neighbours(p, pool, &out, err);
    pool_free(pool);
    return st;
}

vic_status vic_pattern_pairs(const vic_pattern *p, int64_t pairs, int32_t *query, int32_t *key, int32_t *image,
                             vic_error *err)
{
    return vic_pattern_neighbours(p, pairs, 0, query, key, image, NULL, err);
}

vic_status vic_pattern_dense(const vic_pattern *p, uint8_t *mask, vic_error *err)
{
    (void)err;
    memset(mask, 0, (size_t)p->n_q * (size_t)p->n_k); /* both below 2^31 */
    for (int64_t strip = 0; strip < p->strips; strip++) {
        for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);) {
            for (int c = 0; c < CLUSTER; c++) {
                for (uint64_t rows = w.bits->key[c]; rows; rows &= rows - 1) {
                    int64_t query = p->q_order[strip * STRIP + __builtin_ctzll(rows)];
                    uint8_t *entry = &mask[query * p->n_k + p->k_order[(int64_t)w.cluster * CLUSTER + c]];
                    *entry = (uint8_t)(*entry + (*entry < UINT8_MAX));
                }
            }
        }
    }
    return VIC_OK;
}

vic_status vic_pattern_blocks128(const vic_pattern *p, int64_t *row_ptr, int32_t *column, uint8_t *full,
                                 vic_error *err)
{
    return pattern_blocks128(p, row_ptr, column, full, err);
}

vic_status vic_pattern_blocks(const vic_pattern *p, int32_t *strip, int32_t *cluster, int32_t *pairs, vic_error *err)
{
    return pattern_blocks(p, strip, cluster, pairs, err);
}

void vic_pattern_free(vic_pattern *p)
{
    pattern_release(p);
}

/* ---- sort and unsort ---- */

static vic_status check_pair(const vic_tensor *in, const vic_tensor *out, int64_t n, vic_error *err)
{
    if (in->ndim < 1 || in->ndim > 4 || in->ndim != out->ndim || in->dtype != out->dtype || in->shape[0] != n ||
        vic_dtype_size(in->dtype) == 0)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "expected in and out of one type and 1 to 4 dimensions, the first %lld atoms; got %s with %d "
                        "and %s with %d dimensions, the first %lld and %lld",
                        (long long)n, vic_dtype_name(in->dtype), in->ndim, vic_dtype_name(out->dtype), out->ndim,
                        (long long)in->shape[0], (long long)out->shape[0]);
    for (int i = 0; i < in->ndim; i++)
        if (in->shape[i] != out->shape[i])
            return vic_fail(err, VIC_BAD_ARGUMENT, "dimension %d: in has %lld, out has %lld", i,
                            (long long)in->shape[i], (long long)out->shape[i]);
    if (in->device.kind != out->device.kind || in->device.index != out->device.index)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "in and out lie in the memory of two devices, %s:%d and %s:%d: vic_memory_copy() one of them",
                        in->device.kind == VIC_CUDA ? "cuda" : "cpu", in->device.index,
                        out->device.kind == VIC_CUDA ? "cuda" : "cpu", out->device.index);
    for (int i = 0; i < 2; i++)
        if (!size_tensor_fits(i ? out : in))
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "%s: its shape and strides reach further than memory does, or a dimension is below 0",
                            i ? "out" : "in");
    int last = in->ndim - 1;
    if (last > 0 && in->shape[last] > 1 && (in->stride[last] != 1 || out->stride[last] != 1))
        return vic_fail(err, VIC_BAD_ARGUMENT, "the last dimension must be contiguous (stride 1), got %lld and %lld",
                        (long long)in->stride[last], (long long)out->stride[last]);
    if (in->data == out->data && n > 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "in and out are the same memory: sorting is not done in place");
    uintptr_t misaligned = ((uintptr_t)in->data | (uintptr_t)out->data) % vic_dtype_size(in->dtype);
    if (in->device.kind == VIC_CUDA && misaligned)
        return vic_fail(err, VIC_BAD_ARGUMENT, "in and out: expected data aligned to its type, %zu bytes",
                        vic_dtype_size(in->dtype));
    return VIC_OK;
}

/* Bytes from one to the next along dimension `i`; a dimension that `t` has not, or of one, is not stepped along. */
static int64_t step(const vic_tensor *t, int i, bool has)
{
    return has && t->shape[i] > 1 ? t->stride[i] * (int64_t)vic_dtype_size(t->dtype) : 0;
}

static void permute_on_cpu(const struct device_permutation *m, const int32_t *order)
{
    for (int64_t row = 0; row < m->n; row++) {
        const char *from = (const char *)m->from + (m->scatter ? row : order[row]) * m->from_row;
        char *to = (char *)m->to + (m->scatter ? order[row] : row) * m->to_row;
        for (int64_t a = 0; a < m->inner[0]; a++)
            for (int64_t b = 0; b < m->inner[1]; b++)
                memcpy(to + a * m->to_inner[0] + b * m->to_inner[1],
                       from + a * m->from_inner[0] + b * m->from_inner[1], (size_t)m->run);
    }
}

static vic_status permute(const vic_pattern *p, vic_side side, bool to_rows, const vic_tensor *in,
                          const vic_tensor *out, vic_error *err)
{
    const int32_t *order = side == VIC_KEY ? p->k_order : p->q_order;
    int64_t n = side == VIC_KEY ? p->n_k : p->n_q;
    TRY(check_pair(in, out, n, err));
    bool third = in->ndim > 2, fourth = in->ndim > 3;
    struct device_permutation m = {
        .from = in->data,
        .to = out->data,
        .n = n,
        .inner = { third ? in->shape[1] : 1, fourth ? in->shape[2] : 1 },
        .run = (in->ndim > 1 ? in->shape[in->ndim - 1] : 1) * (int64_t)vic_dtype_size(in->dtype),
        .from_row = step(in, 0, true),
        .from_inner = { step(in, 1, third), step(in, 2, fourth) },
        .to_row = step(out, 0, true),
        .to_inner = { step(out, 1, third), step(out, 2, fourth) },
        .scatter = !to_rows,
    };
    if (in->device.kind == VIC_CUDA) return device_permute(in->device, &m, order, err);
    permute_on_cpu(&m, order);
    return VIC_OK;
}

vic_status vic_pattern_sort(const vic_pattern *p, vic_side side, const vic_tensor *in, const vic_tensor *out,
                            vic_error *err)
{
    return permute(p, side, true, in, out, err);
}

vic_status vic_pattern_unsort(const vic_pattern *p, vic_side side, const vic_tensor *in, const vic_tensor *out,
                              vic_error *err)
{
    return permute(p, side, false, in, out, err);
}
