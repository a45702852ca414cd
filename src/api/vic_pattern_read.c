/* SPDX-License-Identifier: Apache-2.0 */
/* Reading patterns: their pairs and blocks in several forms; and patterns in files. */
#include "base/memory.h"
#include "base/threads.h"
#include "context/context.h"
#include "pattern/block_mask.h"
#include "pattern/expand.h"
#include "pattern/io/vnp.h"
#include "pattern/pattern.h"
#include "pattern/statistics.h"

#include <string.h>

static const char make_one[] = "make one first, with vic_pattern_cutoff() or another constructor";

vic_status vic_pattern_get(const vic_pattern *p, vic_pattern_info *out, vic_error *err)
{
    NEED(p, "pattern", make_one);
    vic_pattern_info info = p->info;
    info.kind = pattern_kind(p);
    info.groups = p->structures > 0 ? p->structures : 1;
    memcpy(info.cell, p->cell, sizeof info.cell);
    memcpy(info.periodic, p->periodic, sizeof info.periodic);
    info.one_set = p->one_set;
    info.symmetric = p->symmetric;
    info.positions = p->q_positions != NULL;
    info.device = (vic_device){ VIC_CPU, 0 };
    return struct_give(out, &info, sizeof info, "vic_pattern_info", err);
}

static vic_status check_side(vic_side side, vic_error *err)
{
    if (side == VIC_QUERY || side == VIC_KEY) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT, "side: expected VIC_QUERY or VIC_KEY, got %d", (int)side);
}

vic_status vic_pattern_order(const vic_pattern *p, vic_side side, const int32_t **out, vic_error *err)
{
    NEED_OUT(out);
    NEED(p, "pattern", make_one);
    TRY(check_side(side, err));
    if (side == VIC_KEY) return pattern_key_order(p, out, err);
    *out = p->q_order;
    return VIC_OK;
}

vic_status vic_pattern_positions(const vic_pattern *p, vic_side side, const double **out, vic_error *err)
{
    NEED_OUT(out);
    NEED(p, "pattern", make_one);
    TRY(check_side(side, err));
    if (!p->q_positions)
        return vic_fail(err, VIC_BAD_ARGUMENT, "the pattern, of kind %s, was made without positions",
                        pattern_kind(p));
    *out = side == VIC_KEY ? p->k_positions : p->q_positions;
    return VIC_OK;
}

vic_status vic_pattern_counts(const vic_pattern *p, int64_t *counts, vic_error *err)
{
    NEED(p, "pattern", make_one);
    NEED(counts, "counts", "expected room for one number a query");
    pattern_counts(p, counts);
    return VIC_OK;
}

static bool only_counts(const vic_neighbors *l)
{
    return !l->i && !l->j && !l->S && !l->d && !l->D;
}

static vic_status check_neighbors(const vic_pattern *p, const vic_neighbors *l, int64_t there, vic_error *err)
{
    if (l->half && !p->symmetric)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "half: the pattern, of kind %s, is not symmetric, so no pair stands for its mirror image",
                        pattern_kind(p));
    if (!only_counts(l) && l->pairs < there)
        return vic_fail(err, VIC_BAD_ARGUMENT, "pairs: the arrays hold %lld, the pattern has %lld",
                        (long long)l->pairs, (long long)there);
    if ((l->d || l->D) && !p->q_positions)
        return vic_fail(err, VIC_BAD_ARGUMENT, "d, D: the pattern, of kind %s, was made without positions",
                        pattern_kind(p));
    return VIC_OK;
}

vic_status vic_pattern_neighbors(vic_context *c, const vic_pattern *p, vic_neighbors *list, vic_error *err)
{
    struct pool *pool;
    TRY(context_enter(c, &pool, err));
    NEED(p, "pattern", make_one);
    NEED_STRUCT(vic_neighbors, l, list, err);
    TRY(reserved_check(l.reserved_1, sizeof l.reserved_1, "vic_neighbors", err));
    int64_t there = p->info.pairs;
    if (l.half && p->symmetric) TRY(pattern_half_pairs(p, &there, err));
    TRY(check_neighbors(p, &l, there, err));
    if (!only_counts(&l)) {
        const struct neighbour_arrays arrays = {
            .i = l.i, .j = l.j, .shift = l.S, .distance = l.d, .vector = l.D, .half = l.half
        };
        TRY(pattern_neighbours(p, pool, &arrays, err));
    }
    l.pairs = there;
    return struct_give(list, &l, sizeof l, "vic_neighbors", err);
}

static void sum_up(int64_t rows, const int32_t *counts, int64_t *sum, int64_t *most)
{
    *sum = *most = 0;
    for (int64_t r = 0; r < rows; r++) {
        *sum += counts[r];
        if (counts[r] > *most) *most = counts[r];
    }
}

/* The numbers of blocks are counted first, into arrays of our own where the caller wants none. */
static vic_status block_mask(const vic_pattern *p, vic_block_mask *m, vic_error *err)
{
    vic_status st = VIC_OK;
    int32_t *own = NULL;
    m->rows = block_mask_count(p->n_q, m->query_block);
    m->columns = block_mask_count(p->n_k, m->key_block);
    TRY_GOTO(mem_array((size_t)m->rows, 2 * sizeof *own, "rows of blocks", &own, err), done);
    struct block_mask_arrays arrays = { .kv_num_blocks = m->kv_num_blocks ? m->kv_num_blocks : own,
                                        .full_kv_num_blocks =
                                            m->full_kv_num_blocks ? m->full_kv_num_blocks : own + m->rows,
                                        .stride = m->columns };
    TRY_GOTO(pattern_block_mask(p, m->query_block, m->key_block, &arrays, err), done);
    sum_up(m->rows, arrays.kv_num_blocks, &m->partial, &m->max_partial);
    sum_up(m->rows, arrays.full_kv_num_blocks, &m->full, &m->max_full);
    if (!m->kv_indices && !m->full_kv_indices) goto done;
    if (m->width < (m->kv_indices ? m->max_partial : 0) || m->width < (m->full_kv_indices ? m->max_full : 0)) {
        st = vic_fail(err, VIC_BAD_ARGUMENT,
                      "width: expected at least %lld and %lld (max_partial, max_full), got %lld",
                      (long long)m->max_partial, (long long)m->max_full, (long long)m->width);
        goto done;
    }
    arrays.kv_indices = m->kv_indices;
    arrays.full_kv_indices = m->full_kv_indices;
    arrays.stride = m->width;
    TRY_GOTO(pattern_block_mask(p, m->query_block, m->key_block, &arrays, err), done);
done:
    free(own);
    return st;
}

vic_status vic_pattern_block_mask(vic_context *c, const vic_pattern *p, vic_block_mask *mask, vic_error *err)
{
    struct pool *pool;
    TRY(context_enter(c, &pool, err));
    NEED(p, "pattern", make_one);
    NEED_STRUCT(vic_block_mask, m, mask, err);
    const int64_t sizes[] = { m.query_block, m.key_block };
    for (int i = 0; i < 2; i++)
        if (sizes[i] < 16 || sizes[i] % 16 != 0)
            return vic_fail(err, VIC_BAD_ARGUMENT, "%s_block: expected a multiple of 16, got %lld",
                            i ? "key" : "query", (long long)sizes[i]);
    TRY(block_mask(p, &m, err));
    return struct_give(mask, &m, sizeof m, "vic_block_mask", err);
}

vic_status vic_pattern_dense(const vic_pattern *p, uint8_t *mask, vic_error *err)
{
    NEED(p, "pattern", make_one);
    NEED(mask, "mask", "expected room for [n_q, n_k] bytes");
    pattern_dense(p, mask);
    return VIC_OK;
}

vic_status vic_pattern_list_blocks(const vic_pattern *p, int32_t *strip, int32_t *cluster, int32_t *pairs,
                                   vic_error *err)
{
    NEED(p, "pattern", make_one);
    NEED(strip, "strip", "expected room for one number a block");
    NEED(cluster, "cluster", "expected room for one number a block");
    NEED(pairs, "pairs", "expected room for one number a block");
    return pattern_blocks(p, strip, cluster, pairs, err);
}

vic_status vic_pattern_save(const vic_pattern *p, const char *path, vic_error *err)
{
    NEED(p, "pattern", make_one);
    NEED(path, "path", "expected a file");
    if (!*path) return vic_fail(err, VIC_BAD_ARGUMENT, "path is empty: expected a file");
    return vnp_save(p, path, err);
}

vic_status vic_pattern_save_to(const vic_pattern *p, int descriptor, const char *name, vic_error *err)
{
    NEED(p, "pattern", make_one);
    NEED(name, "name", "expected the name of the file for errors");
    return vnp_save_to(p, descriptor, name, err);
}

vic_status vic_pattern_load(vic_context *c, const char *path, vic_pattern **out, vic_error *err)
{
    struct pool *pool;
    NEED_OUT(out);
    TRY(context_enter(c, &pool, err));
    NEED(path, "path", "expected a file");
    return vnp_load(path, pool, out, err);
}

void vic_pattern_free(vic_pattern *p)
{
    pattern_release(p);
}
