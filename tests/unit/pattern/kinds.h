/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern of every kind, over sets of points that all of them share: for tests of what takes patterns. */
#ifndef VIC_TESTS_KINDS_H
#define VIC_TESTS_KINDS_H

#include "pattern/combine.h"
#include "pattern/cutoff.h"
#include "pattern/masks.h"
#include "pattern/nearest.h"
#include "pattern/pages.h"
#include "pattern/ranges.h"
#include "unit/pattern/expect.h"

enum { KIND_QUERIES = 150, KIND_KEYS = 210 };

struct kinds {
    double *x, *y;
    int64_t q_ids[KIND_QUERIES], k_ids[KIND_KEYS];
    uint8_t *q_mask, *k_mask;
    int64_t q_offsets[4], k_offsets[4];
    struct point_set q, k;
    bool two;
};

static const double kinds_cell[27] = { 9, 0, 0, 2, 8, 0, 0, 1, 10, 0, 0, 0, 0, 0,
                                       0, 0, 0, 0, 7, 0, 0, 0, 9,  0, 0, 0, 8 };

/* One set or two, in a cell or (with `groups`) three groups with a cell each, one of them open. */
static inline void kinds_make(struct kinds *s, uint64_t seed, bool two, bool groups)
{
    static const int64_t q_offsets[] = { 0, 40, 45, KIND_QUERIES }, k_offsets[] = { 0, 20, 100, KIND_KEYS };
    *s = (struct kinds){ .two = two };
    s->x = random_positions(&seed, KIND_QUERIES, 12.0);
    s->y = random_positions(&seed, KIND_KEYS, 12.0);
    s->q_mask = random_mask(&seed, KIND_QUERIES, 0.15);
    s->k_mask = random_mask(&seed, KIND_KEYS, 0.15);
    memcpy(s->q_offsets, q_offsets, sizeof q_offsets);
    memcpy(s->k_offsets, k_offsets, sizeof k_offsets);
    for (int i = 0; i < KIND_QUERIES; i++) s->q_ids[i] = 5 * (i % 97) - 3;
    for (int i = 0; i < KIND_KEYS; i++) s->k_ids[i] = 5 * (i % 97) - 3;
    for (int i = 0; i < KIND_QUERIES; i += 4) memcpy(s->y + 3 * i, s->x + 3 * i, 3 * sizeof *s->x);
    s->q = (struct point_set){ .n = KIND_QUERIES, .positions = s->x, .cells = kinds_cell };
    s->k = (struct point_set){ .n = KIND_KEYS, .positions = s->y };
    if (!groups) return;
    s->q.groups = s->k.groups = 3;
    s->q.group_offsets = s->q_offsets;
    s->k.group_offsets = s->k_offsets;
}

static inline void kinds_free(struct kinds *s)
{
    free(s->x);
    free(s->y);
    free(s->q_mask);
    free(s->k_mask);
}

enum kind {
    KIND_CUTOFF,
    KIND_CUTOFF_NO_SELF,
    KIND_CUTOFF_IDS,
    KIND_CUTOFF_MASKED,
    KIND_NEAREST,
    KIND_NEAREST_IDS,
    KIND_NEAREST_MASKED,
    KIND_BLOCKS,
    KIND_WINDOWS,
    KIND_PAIRS,
    KIND_RANGES,
    KIND_PAGES, /* queries share places */
    KIND_EXCLUSION,
    KIND_UNION,
    KIND_DIFFERENCE,
    KINDS,
};

/* Each pair of a few with an image; those of several groups stay within one and without images. */
static inline vic_pattern *kinds_pairs(const struct kinds *s, const vic_pattern *from, struct pool *pool)
{
    enum { MOST = 3000 };
    static int32_t query[MOST], key[MOST], image[MOST][3];
    struct pair_list list = { 0, query, key, from ? NULL : &image[0][0] };
    struct point_set q = s->q, k = s->k;
    vic_pattern *p;
    vic_error err;
    uint64_t seed = 77;
    for (int32_t i = 0; i < s->q.n; i += 2)
        for (int32_t j = i % 7; j < (s->two ? s->k.n : s->q.n) && list.n < MOST; j += 11, list.n++) {
            query[list.n] = i;
            key[list.n] = j;
            for (int x = 0; x < 3; x++) image[list.n][x] = (int32_t)(random_bits(&seed) % 3) - 1;
        }
    if (from) {
        CHECK_OK(pattern_exclude(from, &list, pool, &p, &err));
        return p;
    }
    q.groups = k.groups = 0; /* a list is over one cell */
    q.mask = s->q_mask;
    k.mask = s->k_mask;
    CHECK_OK(pattern_from_pairs(&q, s->two ? &k : NULL, &list, pool, &p, &err));
    return p;
}

static inline vic_pattern *kinds_ranges(const struct kinds *s, struct pool *pool)
{
    static const int64_t first[] = { 0, 30, 31, 31, KIND_QUERIES }, ptr[] = { 0, 2, 3, 4, 7 };
    static const int32_t ranges[] = { 60, 100, 3, 30, 0, 100, 5, 9, 100, 149, 20, 37, 44, 80 };
    const struct ranges_input in = { 4, first, ptr, ranges, 25, 4, 1 };
    struct point_set q = s->q, k = s->k;
    vic_pattern *p;
    vic_error err;
    q.mask = s->q_mask;
    k.mask = s->k_mask;
    CHECK_OK(pattern_ranges(&q, s->two ? &k : NULL, &in, pool, &p, &err));
    return p;
}

static inline vic_pattern *kinds_pages(const struct kinds *s, struct pool *pool)
{
    static const int64_t first[] = { 0, 30, 33, 33, KIND_QUERIES }, length[] = { 40, 16, 0, 130 };
    static const int32_t table[][9] = { { 5, 0, 7 }, { 2 }, { 0 }, { 8, 1, 0, 3, 2, 6, 5, 4, 7 } };
    const struct pages_input in = { 4, 16, first, length, table[0], 9, 25, 4, 3 };
    struct point_set q = s->q, k = s->k;
    vic_pattern *p;
    vic_error err;
    q.mask = s->q_mask;
    k.mask = s->k_mask;
    CHECK_OK(pattern_pages(&q, s->two ? &k : NULL, &in, pool, &p, &err));
    return p;
}

static inline vic_pattern *kinds_blocks(const struct kinds *s, struct pool *pool)
{
    static const int64_t ptr[] = { 0, 2, 3, 3, 5, 7 };
    static const int32_t column[] = { 4, 0, 3, 1, 2, 0, 4 };
    const struct block_mask mask = { 32, ptr, column };
    struct point_set q = s->q, k = s->k;
    vic_pattern *p;
    vic_error err;
    q.mask = s->q_mask;
    CHECK_OK(pattern_from_blocks(&q, s->two ? &k : NULL, &mask, pool, &p, &err));
    return p;
}

static inline vic_pattern *kinds_pattern(const struct kinds *s, enum kind kind, struct pool *pool);

static inline vic_pattern *kinds_combined(const struct kinds *s, enum kind kind, struct pool *pool)
{
    vic_pattern *a = kinds_pattern(s, KIND_CUTOFF_MASKED, pool), *b = kinds_pattern(s, KIND_NEAREST, pool), *p;
    vic_error err;
    if (kind == KIND_UNION)
        CHECK_OK(pattern_unite(a, b, pool, &p, &err));
    else
        CHECK_OK(pattern_difference(a, b, pool, &p, &err));
    pattern_release(a);
    pattern_release(b);
    return p;
}

static inline vic_pattern *kinds_pattern(const struct kinds *s, enum kind kind, struct pool *pool)
{
    struct cutoff_input within = { .cutoff = 4.5 };
    struct nearest_input nearest = { .k = 6 };
    struct point_set q = s->q, k = s->k;
    const struct point_set *keys = s->two ? &k : NULL;
    vic_pattern *p, *whole;
    vic_error err;
    if (kind == KIND_CUTOFF_MASKED || kind == KIND_NEAREST_MASKED) {
        q.mask = s->q_mask;
        k.mask = s->k_mask;
    }
    if (kind == KIND_CUTOFF_IDS || kind == KIND_NEAREST_IDS) {
        q.ids = s->q_ids;
        k.ids = s->k_ids;
    }
    within.exclude_self = kind == KIND_CUTOFF_NO_SELF || kind == KIND_CUTOFF_IDS;
    nearest.exclude_self = kind == KIND_NEAREST_IDS;
    switch (kind) {
    case KIND_NEAREST:
    case KIND_NEAREST_IDS:
    case KIND_NEAREST_MASKED: CHECK_OK(pattern_nearest(&q, keys, &nearest, pool, &p, &err)); return p;
    case KIND_BLOCKS: return kinds_blocks(s, pool);
    case KIND_WINDOWS: CHECK_OK(pattern_windows(&q, 10, 24, pool, &p, &err)); return p;
    case KIND_PAIRS: return kinds_pairs(s, NULL, pool);
    case KIND_RANGES: return kinds_ranges(s, pool);
    case KIND_PAGES: return kinds_pages(s, pool);
    case KIND_EXCLUSION:
        whole = kinds_pattern(s, KIND_CUTOFF, pool);
        p = kinds_pairs(s, whole, pool);
        pattern_release(whole);
        return p;
    case KIND_UNION:
    case KIND_DIFFERENCE: return kinds_combined(s, kind, pool);
    default: CHECK_OK(pattern_cutoff(&q, keys, &within, pool, &p, &err)); return p;
    }
}

#endif
