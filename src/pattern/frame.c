/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/frame.h"

#include "base/memory.h"
#include "pattern/order.h"
#include "pattern/pattern.h"

#include <math.h>
#include <string.h>

static const double max_coordinate = 1e12; /* A, as in build.c */

enum { MAX_IMAGE = 1 << 30 }; /* its sum with two wraps fits 32 bits */

/* ---- sets of atoms ---- */

static vic_status check_size(const char *what, int64_t n, vic_error *err)
{
    if (n >= 0 && n <= INT32_MAX - STRIP) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT, "%lld %s atoms: a pattern holds 0 to %d", (long long)n, what,
                    INT32_MAX - STRIP);
}

vic_status frame_copy_positions(const char *what, int64_t n, const double *positions, const double **out,
                                vic_error *err)
{
    double *copy;
    for (int64_t i = 0; i < 3 * n; i++)
        if (!(fabs(positions[i]) <= max_coordinate))
            return vic_fail(err, VIC_BAD_INPUT, "%s atom %lld: coordinate %c is %g, expected a number within %g A",
                            what, (long long)(i / 3), (int)('x' + i % 3), positions[i], max_coordinate);
    TRY(mem_array((size_t)n, 3 * sizeof *copy, "positions", &copy, err));
    if (n > 0) memcpy(copy, positions, (size_t)n * 3 * sizeof *copy);
    *out = copy;
    return VIC_OK;
}

static vic_status wrap_atoms(const struct lattice *l, int64_t n, const double *positions, double (*wrapped)[3],
                             const int32_t (**out)[3], vic_error *err)
{
    int32_t(*wrap)[3];
    TRY(mem_array((size_t)n, sizeof *wrap, "wraps", &wrap, err));
    *out = (const int32_t(*)[3])wrap;
    for (int64_t i = 0; i < n; i++)
        if (!lattice_wrap(l, positions + 3 * i, wrapped[i], wrap[i]))
            return vic_fail(err, VIC_BAD_INPUT,
                            "atom %lld at (%g, %g, %g) is more than 2^29 cells away from the origin: check the cell "
                            "and the units",
                            (long long)i, positions[3 * i], positions[3 * i + 1], positions[3 * i + 2]);
    return VIC_OK;
}

static vic_status identity(int64_t n, const int32_t **out, vic_error *err)
{
    int32_t *order;
    TRY(mem_array((size_t)n, sizeof *order, "rows", &order, err));
    for (int64_t i = 0; i < n; i++) order[i] = (int32_t)i;
    *out = order;
    return VIC_OK;
}

/* Positions, wraps and order of a set, as the builder makes them; its points in row order. */
static vic_status place_set(const struct lattice *l, const char *what, int64_t n, const double *given,
                            struct pool *pool, const double **positions, const int32_t (**wrap)[3],
                            const int32_t **order_out, double (**points)[3], vic_error *err)
{
    vic_status st = VIC_OK;
    double(*wrapped)[3] = NULL;
    int32_t *order;
    TRY(frame_copy_positions(what, n, given, positions, err));
    TRY(mem_array((size_t)n, sizeof *order, "rows", &order, err));
    *order_out = order;
    TRY_GOTO(mem_array((size_t)n, sizeof *wrapped, "wrapped positions", &wrapped, err), done);
    if (l->rank > 0)
        TRY_GOTO(wrap_atoms(l, n, *positions, wrapped, wrap, err), done);
    else if (n > 0)
        memcpy(wrapped, *positions, (size_t)n * sizeof *wrapped);
    TRY_GOTO(order_kd(n, (const double(*)[3])wrapped, pool, order, err), done);
    if (points) {
        TRY_GOTO(mem_array((size_t)n, sizeof **points, "positions in row order", points, err), done);
        for (int64_t row = 0; row < n; row++) memcpy((*points)[row], wrapped[order[row]], sizeof **points);
    }
done:
    free(wrapped);
    return st;
}

void frame_points_free(struct frame_points *points)
{
    if (points->k != points->q) free(points->k);
    free(points->q);
    points->q = points->k = NULL;
}

static vic_status place(const struct frame_input *in, struct pool *pool, struct frame_points *points, vic_pattern *p,
                        vic_error *err)
{
    struct lattice lattice;
    for (int axis = 0; axis < 3; axis++) {
        p->periodic[axis] = in->periodic[axis];
        if (in->periodic[axis]) memcpy(p->cell[axis], in->cell[axis], sizeof p->cell[axis]);
    }
    TRY(lattice_make((const double(*)[3])p->cell, p->periodic, &lattice, err));
    if (points) points->lattice = lattice;
    TRY(place_set(&lattice, "query", p->n_q, in->q_positions, pool, &p->q_positions, &p->q_wrap, &p->q_order,
                  points ? &points->q : NULL, err));
    if (!p->one_set)
        TRY(place_set(&lattice, "key", p->n_k, in->k_positions, pool, &p->k_positions, &p->k_wrap, &p->k_order,
                      points ? &points->k : NULL, err));
    else if (points)
        points->k = points->q;
    return VIC_OK;
}

vic_status frame_make(const struct frame_input *in, struct pool *pool, struct frame_points *points, vic_pattern **out,
                      vic_error *err)
{
    vic_status st = VIC_OK;
    vic_pattern *p;
    *out = NULL;
    if (points) memset(points, 0, sizeof *points);
    TRY(check_size("query", in->n_q, err));
    if (!in->one_set) TRY(check_size("key", in->n_k, err));
    TRY(mem_array_zero(1, sizeof *p, "pattern", &p, err));
    p->references = 1;
    p->one_set = in->one_set;
    p->n_q = in->n_q;
    p->n_k = in->one_set ? in->n_q : in->n_k;
    p->strips = (p->n_q + STRIP - 1) / STRIP;
    p->clusters = (p->n_k + CLUSTER - 1) / CLUSTER;
    if (in->q_positions) {
        TRY_GOTO(place(in, pool, points, p, err), done);
    } else {
        TRY_GOTO(identity(p->n_q, &p->q_order, err), done);
        if (!p->one_set) TRY_GOTO(identity(p->n_k, &p->k_order, err), done);
    }
    if (p->one_set) {
        p->k_positions = p->q_positions;
        p->k_wrap = p->q_wrap;
        p->k_order = p->q_order;
    }
    *out = p;
    p = NULL;
done:
    pattern_release(p);
    return st;
}

/* ---- rules ---- */

vic_status frame_add_rule(vic_pattern *p, enum pattern_rule_kind kind, struct pattern_rule **out, vic_error *err)
{
    size_t n = (size_t)p->n_rules;
    TRY(mem_grow(&p->rules, &n, n + 1, sizeof *p->rules, "rules", err));
    p->rules[p->n_rules] = (struct pattern_rule){ .kind = kind };
    *out = &p->rules[p->n_rules++];
    return VIC_OK;
}

static vic_status copy_skip(int64_t n, const uint8_t *skip, const uint8_t **out, vic_error *err)
{
    uint8_t *copy;
    if (!skip) return VIC_OK;
    TRY(mem_array((size_t)n, 1, "atoms", &copy, err));
    for (int64_t i = 0; i < n; i++) copy[i] = skip[i] != 0;
    *out = copy;
    return VIC_OK;
}

vic_status frame_set_skip(const vic_pattern *p, struct pattern_rule *rule, const uint8_t *q, const uint8_t *k,
                          vic_error *err)
{
    TRY(copy_skip(p->n_q, q, &rule->q_skip, err));
    if (!p->one_set) return copy_skip(p->n_k, k, &rule->k_skip, err);
    rule->k_skip = rule->q_skip;
    return VIC_OK;
}

uint64_t skip_rows(const vic_pattern *p, const uint8_t *q_skip, int64_t strip)
{
    uint64_t rows = 0;
    for (int64_t r = 0; r < STRIP && strip * STRIP + r < p->n_q; r++)
        rows |= (uint64_t) !(q_skip && q_skip[p->q_order[strip * STRIP + r]]) << r;
    return rows;
}

bool skip_key(const vic_pattern *p, const uint8_t *k_skip, int64_t row)
{
    return k_skip && k_skip[p->k_order[row]];
}

/* ---- images ---- */

static uint32_t hash(const int32_t image[3])
{
    uint64_t h = 0;
    for (int x = 0; x < 3; x++) {
        h = (h ^ (uint32_t)image[x]) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return (uint32_t)(h >> 32);
}

static vic_status rehash(struct image_set *set, vic_error *err)
{
    size_t n = set->n_slots ? 2 * set->n_slots : 64;
    uint32_t *slots;
    TRY(mem_array_zero(n, sizeof *slots, "images", &slots, err));
    for (size_t i = 0; i < set->n; i++) {
        size_t at = hash(set->list[i]) & (n - 1);
        while (slots[at]) at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(set->slots);
    set->slots = slots;
    set->n_slots = n;
    return VIC_OK;
}

vic_status image_set_add(struct image_set *set, const int32_t image[3], vic_error *err)
{
    size_t at;
    if (2 * set->n >= set->n_slots) TRY(rehash(set, err));
    at = hash(image) & (set->n_slots - 1);
    for (; set->slots[at]; at = (at + 1) & (set->n_slots - 1))
        if (memcmp(set->list[set->slots[at] - 1], image, sizeof *set->list) == 0) return VIC_OK;
    if (set->n == INT32_MAX) return vic_fail(err, VIC_BAD_INPUT, "more than 2^31 - 1 different images");
    TRY(mem_grow(&set->list, &set->capacity, set->n + 1, sizeof *set->list, "images", err));
    memcpy(set->list[set->n++], image, sizeof *set->list);
    set->slots[at] = (uint32_t)set->n;
    return VIC_OK;
}

void image_set_free(struct image_set *set)
{
    free(set->list);
    free(set->slots);
    memset(set, 0, sizeof *set);
}

static int by_integers(const void *a, const void *b)
{
    const int32_t *p = a, *q = b;
    for (int x = 0; x < 3; x++)
        if (p[x] != q[x]) return p[x] < q[x] ? -1 : 1;
    return 0;
}

vic_status frame_set_images(vic_pattern *p, struct image_set *set, vic_error *err)
{
    static const int32_t zero[3] = { 0, 0, 0 };
    TRY(image_set_add(set, zero, err));
    qsort(set->list, set->n, sizeof *set->list, by_integers);
    p->images = (const int32_t(*)[3])set->list;
    p->n_images = (int64_t)set->n;
    set->list = NULL;
    set->n = set->capacity = 0;
    image_set_free(set);
    return VIC_OK;
}

vic_status frame_set_no_images(vic_pattern *p, vic_error *err)
{
    struct image_set none = { 0 };
    vic_status st = frame_set_images(p, &none, err);
    image_set_free(&none);
    return st;
}

int32_t frame_find_image(const vic_pattern *p, const int32_t image[3])
{
    int64_t low = 0, high = p->n_images - 1;
    while (low <= high) {
        int64_t middle = low + (high - low) / 2;
        int order = by_integers(p->images[middle], image);
        if (order == 0) return (int32_t)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return -1;
}

bool frame_block_image(const vic_pattern *p, int32_t i, int32_t j, const int32_t n[3], int32_t out[3])
{
    for (int x = 0; x < 3; x++) {
        int64_t image = (int64_t)n[x] - (p->k_wrap ? p->k_wrap[j][x] : 0) + (p->q_wrap ? p->q_wrap[i][x] : 0);
        if (image <= -MAX_IMAGE || image >= MAX_IMAGE) return false;
        out[x] = (int32_t)image;
    }
    return true;
}
