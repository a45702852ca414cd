/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern against a list of pairs that the test made by trying all of them. */
#ifndef VIC_TESTS_EXPECT_H
#define VIC_TESTS_EXPECT_H

#include "check.h"
#include "contract/pair_rule.h"
#include "pattern/expand.h"
#include "pattern/pattern.h"
#include "pattern/point_set.h"

struct expected_pair {
    int32_t i, j, n[3];
    double d2;
};

struct expected {
    struct expected_pair *list;
    int64_t n, capacity;
};

static inline void expect_pair(struct expected *e, int32_t i, int32_t j, const int32_t n[3], double d2)
{
    if (e->n == e->capacity) {
        e->capacity = e->capacity ? 2 * e->capacity : 1024;
        e->list = realloc(e->list, (size_t)e->capacity * sizeof *e->list);
        assert_non_null(e->list);
    }
    e->list[e->n++] = (struct expected_pair){ i, j, { n[0], n[1], n[2] }, d2 };
}

static inline int by_place(const void *a, const void *b)
{
    const struct expected_pair *p = a, *q = b;
    if (p->i != q->i) return p->i < q->i ? -1 : 1;
    if (p->j != q->j) return p->j < q->j ? -1 : 1;
    for (int x = 0; x < 3; x++)
        if (p->n[x] != q->n[x]) return p->n[x] < q->n[x] ? -1 : 1;
    return 0;
}

/* Whatever says that it is symmetric has every pair both ways. */
static inline void expect_symmetry(const char *what, const vic_pattern *p, const struct expected *e)
{
    for (int64_t t = 0; p->symmetric && t < e->n; t++) {
        const struct expected_pair *x = &e->list[t], back = { x->j, x->i, { -x->n[0], -x->n[1], -x->n[2] }, 0 };
        CHECK(bsearch(&back, e->list, (size_t)e->n, sizeof back, by_place), "%s: not symmetric at %d-%d", what, x->i,
              x->j);
    }
}

/* The pairs that a pattern has. */
static inline struct expected pairs_there(const vic_pattern *p, struct pool *pool)
{
    struct expected e = { 0 };
    vic_error err;
    size_t n = (size_t)p->info.pairs + 1;
    int32_t *i = malloc(n * sizeof *i), *j = malloc(n * sizeof *j), (*shift)[3] = malloc(n * sizeof *shift);
    assert_true(i && j && shift);
    CHECK_OK(pattern_neighbours(p, pool, &(struct neighbour_arrays){ .i = i, .j = j, .shift = &shift[0][0] }, &err));
    for (int64_t t = 0; t < p->info.pairs; t++) expect_pair(&e, i[t], j[t], shift[t], 0.0);
    free(i);
    free(j);
    free(shift);
    return e;
}

static inline bool has_pair(const struct expected *e, int32_t i, int32_t j, const int32_t n[3])
{
    const struct expected_pair one = { i, j, { n[0], n[1], n[2] }, 0 };
    return e->n > 0 && bsearch(&one, e->list, (size_t)e->n, sizeof one, by_place);
}

/* The pattern has these pairs and no others, and its figures agree; frees the list. */
static inline void expect_pattern(const char *what, const vic_pattern *p, struct expected *e, struct pool *pool)
{
    vic_error err;
    size_t n = (size_t)p->info.pairs + 1;
    int32_t *i = malloc(n * sizeof *i), *j = malloc(n * sizeof *j), *shift = malloc(3 * n * sizeof *shift);
    int64_t row = 0, most = 0;
    assert_true(i && j && shift);
    if (e->n > 0) qsort(e->list, (size_t)e->n, sizeof *e->list, by_place);
    CHECK(p->info.pairs == e->n, "%s: %lld pairs, expected %lld", what, (long long)p->info.pairs, (long long)e->n);
    CHECK_OK(pattern_neighbours(p, pool, &(struct neighbour_arrays){ .i = i, .j = j, .shift = shift }, &err));
    for (int64_t t = 0; t < e->n; t++) {
        const struct expected_pair *x = &e->list[t];
        CHECK(i[t] == x->i && j[t] == x->j && memcmp(shift + 3 * t, x->n, sizeof x->n) == 0,
              "%s: pair %lld is %d-%d (%d %d %d), expected %d-%d (%d %d %d)", what, (long long)t, i[t], j[t],
              shift[3 * t], shift[3 * t + 1], shift[3 * t + 2], x->i, x->j, x->n[0], x->n[1], x->n[2]);
        row = t > 0 && x->i == x[-1].i ? row + 1 : 1;
        most = row > most ? row : most;
    }
    assert_int_equal(p->info.max_pairs, most);
    expect_symmetry(what, p, e);
    free(i);
    free(j);
    free(shift);
    free(e->list);
    *e = (struct expected){ 0 };
}

/* ---- sets of points ---- */

static inline int64_t set_group(const struct point_set *s, int64_t i)
{
    int64_t g = 0;
    while (s->groups > 0 && s->group_offsets[g + 1] <= i) g++;
    return g;
}

static inline int64_t set_id(const struct point_set *s, int64_t i)
{
    return s->ids ? s->ids[i] : i;
}

/* Every pair of the sets that is not masked, within a group, under images -range .. range of its cell. */
typedef void each_pair(void *context, int32_t i, int32_t j, const int32_t n[3], double d2);
static inline void try_pairs(const struct point_set *q, const struct point_set *keys, int range, each_pair *each,
                             void *context)
{
    const struct point_set *k = keys ? keys : q;
    for (int32_t i = 0; i < q->n; i++)
        for (int32_t j = 0; j < k->n; j++) {
            int64_t g = set_group(q, i);
            struct pattern_cell c;
            int m[3];
            if (set_group(k, j) != g || (q->mask && q->mask[i]) || (k->mask && k->mask[j])) continue;
            if (q->groups > 0)
                group_cell(q, g, &c);
            else
                point_set_cell(q, &c);
            for (int x = 0; x < 3; x++) m[x] = c.periodic[x] ? range : 0;
            for (int32_t n1 = -m[0]; n1 <= m[0]; n1++)
                for (int32_t n2 = -m[1]; n2 <= m[1]; n2++)
                    for (int32_t n3 = -m[2]; n3 <= m[2]; n3++) {
                        const int32_t n[3] = { n1, n2, n3 };
                        each(context, i, j, n,
                             pair_distance2(q->positions + 3 * i, k->positions + 3 * j, (const double(*)[3])c.cell,
                                            n1, n2, n3));
                    }
        }
}

/* What exclude_self leaves out, by the words of point_set.h. */
static inline bool is_self_pair(const struct point_set *q, const struct point_set *k, int32_t i, int32_t j, double d2)
{
    if (k && !q->ids && !k->ids) return false;
    return d2 == 0.0 && set_id(q, i) == set_id(k ? k : q, j);
}

/* ---- random sets ---- */

static inline double *random_positions(uint64_t *seed, int64_t n, double size)
{
    double *x = malloc((size_t)(3 * n + 1) * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < 3 * n; i++) x[i] = size * random_uniform(seed);
    return x;
}

static inline uint8_t *random_mask(uint64_t *seed, int64_t n, double share)
{
    uint8_t *mask = malloc((size_t)n + 1);
    assert_non_null(mask);
    for (int64_t i = 0; i < n; i++) mask[i] = random_uniform(seed) < share;
    return mask;
}

/* Offsets of so many groups, some of them empty. */
static inline int64_t *random_offsets(uint64_t *seed, int64_t groups, int64_t n)
{
    int64_t *offsets = malloc((size_t)(groups + 1) * sizeof *offsets);
    assert_non_null(offsets);
    offsets[0] = 0;
    for (int64_t g = 1; g < groups; g++) {
        offsets[g] = (int64_t)(random_bits(seed) % (uint64_t)(n + 1));
        for (int64_t at = g; at > 1 && offsets[at] < offsets[at - 1]; at--) {
            int64_t t = offsets[at];
            offsets[at] = offsets[at - 1];
            offsets[at - 1] = t;
        }
        if (g > 2 && g % 3 == 0) offsets[g] = offsets[g - 1];
    }
    offsets[groups] = n;
    return offsets;
}

#endif
