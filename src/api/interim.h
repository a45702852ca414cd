/* SPDX-License-Identifier: Apache-2.0 */
/* What src/pattern will have. */
#include "pattern/build.h"
#include "pattern/join.h"
#include "pattern/point_set.h"
#include "pattern/nearest.h"
#include "pattern/pattern.h"
#include "pattern/expand.h"
#include "contract/block_walk.h"
#include <string.h>

struct ranges_input {
    int64_t groups;
    const int64_t *first_query, *range_ptr;
    const int32_t *ranges;
    int64_t before, after;
};
static inline vic_status pattern_ranges(const struct point_set *q, const struct point_set *k,
                                        const struct ranges_input *in, struct pool *pool, vic_pattern **out,
                                        vic_error *err)
{
    (void)q, (void)k, (void)in, (void)pool, (void)out;
    return vic_fail(err, VIC_FAILED, "not yet");
}
static inline vic_status pattern_difference(const vic_pattern *a, const vic_pattern *b, struct pool *pool, vic_pattern **out,
                                        vic_error *err)
{
    (void)a, (void)b, (void)pool, (void)out;
    return vic_fail(err, VIC_FAILED, "not yet");
}
static inline vic_status pattern_transpose(const vic_pattern *a, struct pool *pool, vic_pattern **out,
                                        vic_error *err)
{
    (void)a, (void)pool, (void)out;
    return vic_fail(err, VIC_FAILED, "not yet");
}
static inline vic_status pattern_update(vic_pattern **p, const struct point_set *q, const struct point_set *k, struct pool *pool, vic_error *err)
{
    vic_pattern *old = *p;
    struct pattern_input input = { .n_q = old->n_q, .n_k = old->one_set ? 0 : old->n_k, .q_positions = q->positions,
                                   .k_positions = k ? k->positions : NULL, .cutoff = old->cutoff, .exclude_self = old->exclude_self };
    if (old->n_rules > 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "only the pattern of a cutoff follows its atoms, got one of kind %s", pattern_kind(old));
    memcpy(input.cell, q->cells ? q->cells : &old->cell[0][0], sizeof input.cell);
    memcpy(input.periodic, old->periodic, sizeof input.periodic);
    *p = NULL;
    return pattern_rebuild(&input, old, pool, p, err);
}
static inline int64_t pattern_half_pairs(const vic_pattern *p) { return p->info.pairs; }
static inline vic_status pattern_block_mask(const vic_pattern *p, struct pool *pool, vic_block_mask *m, vic_error *err)
{
    (void)pool;
    if (m->query_block != 128 || m->key_block != 128) return vic_fail(err, VIC_FAILED, "not yet");
    m->rows = (p->n_q + 127) / 128;
    m->columns = (p->n_k + 127) / 128;
    m->partial = p->block128_count - p->block128_full;
    m->full = p->block128_full;
    return VIC_OK;
}
static inline void pattern_dense(const vic_pattern *p, uint8_t *mask)
{
    memset(mask, 0, (size_t)p->n_q * (size_t)p->n_k);
    for (int64_t strip = 0; strip < p->strips; strip++)
        for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);)
            for (int c = 0; c < CLUSTER; c++)
                for (uint64_t rows = w.bits->key[c]; rows; rows &= rows - 1) {
                    int64_t query = p->q_order[strip * STRIP + __builtin_ctzll(rows)];
                    uint8_t *entry = &mask[query * p->n_k + p->k_order[(int64_t)w.cluster * CLUSTER + c]];
                    *entry = (uint8_t)(*entry + (*entry < UINT8_MAX));
                }
}
