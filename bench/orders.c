/* SPDX-License-Identifier: Apache-2.0 */
/* The order of rows that the library uses, k-d bisection, beside two others: along a Hilbert curve, and by three
 * sorts (slabs along x, columns along y, then z). What counts is the fill: 64 x 16 block pairs per useful pair. All
 * on one thread; the others are sorted by radix. usage: bench_orders STRUCTURE CUTOFF [REPEATS]     one JSON object a
 * line; open systems */
#include "base/clock.h"
#include "base/memory.h"
#include "pattern/order.h"
#include "vicinal_structure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRIP = 64, CLUSTER = 16, DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

struct input {
    int64_t n;
    double (*points)[3];
    double low[3], side[3];
    struct pool *pool; /* of one thread */
    uint64_t *key, *key_other;
    int32_t *index_other;
};

static void check(vic_status st, const vic_error *err)
{
    if (st == VIC_OK) return;
    fprintf(stderr, "bench_orders: %s\n", err->text);
    exit(1);
}

/* Sorts index[0 .. n) by key, both in place; `bits` of the keys are used. */
static void radix_sort(const struct input *in, uint64_t *key, int32_t *index, int64_t n, int bits)
{
    uint64_t *from = key, *to = in->key_other;
    int32_t *index_from = index, *index_to = in->index_other;
    for (int shift = 0; shift < bits; shift += DIGIT_BITS) {
        int64_t place[DIGITS] = { 0 }, at = 0;
        for (int64_t i = 0; i < n; i++) place[from[i] >> shift & (DIGITS - 1)]++;
        for (int d = 0; d < DIGITS; d++) {
            int64_t count = place[d];
            place[d] = at;
            at += count;
        }
        for (int64_t i = 0; i < n; i++) {
            int64_t place_of = place[from[i] >> shift & (DIGITS - 1)]++;
            to[place_of] = from[i];
            index_to[place_of] = index_from[i];
        }
        uint64_t *swap = from;
        int32_t *index_swap = index_from;
        from = to;
        to = swap;
        index_from = index_to;
        index_to = index_swap;
    }
    if (from == key) return;
    memcpy(key, from, (size_t)n * sizeof *key);
    memcpy(index, index_from, (size_t)n * sizeof *index);
}

/* A coordinate as an integer of `bits` bits, in units of the longest side. */
static uint32_t grid(const struct input *in, int32_t atom, int axis, int bits)
{
    double longest = in->side[0] > in->side[1] ? in->side[0] : in->side[1];
    longest = in->side[2] > longest ? in->side[2] : longest;
    double at = longest > 0 ? (in->points[atom][axis] - in->low[axis]) / longest : 0.0;
    return (uint32_t)(at * (double)((1u << bits) - 1));
}

/* The place of a grid point on Hilbert's curve: J. Skilling, "Programming the Hilbert curve", 2004. */
static uint64_t hilbert_place(uint32_t x[3], int bits)
{
    uint64_t place = 0;
    uint32_t t = 0;
    for (uint32_t q = 1u << (bits - 1); q > 1; q >>= 1) {
        for (int i = 0; i < 3; i++) {
            if (x[i] & q) {
                x[0] ^= q - 1;
            } else {
                uint32_t swap = (x[0] ^ x[i]) & (q - 1);
                x[0] ^= swap;
                x[i] ^= swap;
            }
        }
    }
    for (int i = 1; i < 3; i++) x[i] ^= x[i - 1];
    for (uint32_t q = 1u << (bits - 1); q > 1; q >>= 1)
        if (x[2] & q) t ^= q - 1;
    for (int i = 0; i < 3; i++) x[i] ^= t;
    for (int b = bits - 1; b >= 0; b--)
        for (int i = 0; i < 3; i++) place = place << 1 | (x[i] >> b & 1);
    return place;
}

static void order_hilbert(const struct input *in, int32_t *order)
{
    enum { BITS = 14 };
    for (int64_t i = 0; i < in->n; i++) {
        uint32_t x[3];
        for (int a = 0; a < 3; a++) x[a] = grid(in, (int32_t)i, a, BITS);
        in->key[i] = hilbert_place(x, BITS);
        order[i] = (int32_t)i;
    }
    radix_sort(in, in->key, order, in->n, 3 * BITS);
}

static void sort_along(const struct input *in, int axis, int32_t *order, int64_t n)
{
    enum { BITS = 22 };
    for (int64_t i = 0; i < n; i++) in->key[i] = grid(in, order[i], axis, BITS);
    radix_sort(in, in->key, order, n, BITS);
}

/* Rows of one of `parts` parts, in whole strips. */
static int64_t part(int64_t n, double parts)
{
    int64_t strips = (int64_t)((double)n / STRIP / (parts < 1 ? 1 : parts) + 0.999);
    return (strips < 1 ? 1 : strips) * STRIP;
}

static void order_three_sorts(const struct input *in, int32_t *order)
{
    double strips = (double)in->n / STRIP, edge = 1.0;
    for (int a = 0; a < 3; a++) edge *= in->side[a];
    edge = edge > 0 ? edge / strips : 1.0;
    double low = 0, high = 1e6;
    for (int i = 0; i < 100; i++) { /* the cube root */
        double middle = 0.5 * (low + high);
        if (middle * middle * middle < edge)
            low = middle;
        else
            high = middle;
    }
    for (int64_t i = 0; i < in->n; i++) order[i] = (int32_t)i;
    sort_along(in, 0, order, in->n);
    int64_t slab = part(in->n, in->side[0] / low);
    for (int64_t s = 0; s < in->n; s += slab) {
        int64_t in_slab = in->n - s < slab ? in->n - s : slab;
        sort_along(in, 1, order + s, in_slab);
        int64_t column = part(in_slab, in->side[1] / low);
        for (int64_t c = 0; c < in_slab; c += column)
            sort_along(in, 2, order + s + c, in_slab - c < column ? in_slab - c : column);
    }
}

/* The same, and bisection inside each strip. */
static void order_three_sorts_bisected(const struct input *in, int32_t *order)
{
    order_three_sorts(in, order);
    for (int64_t s = 0; s < in->n; s += STRIP) {
        int64_t n = in->n - s < STRIP ? in->n - s : STRIP;
        double points[STRIP][3];
        int32_t inner[STRIP], sorted[STRIP];
        vic_error err;
        for (int64_t i = 0; i < n; i++) memcpy(points[i], in->points[order[s + i]], sizeof points[i]);
        check(order_kd(n, (const double(*)[3])points, in->pool, inner, &err), &err);
        for (int64_t i = 0; i < n; i++) sorted[i] = order[s + inner[i]];
        memcpy(order + s, sorted, (size_t)n * sizeof *order);
    }
}

static void order_of_the_library(const struct input *in, int32_t *order)
{
    vic_error err;
    check(order_kd(in->n, (const double(*)[3])in->points, in->pool, order, &err), &err);
}

/* Blocks of 64 x 16 with a pair; pairs are sorted by i. */
static int64_t count_blocks(int64_t n, int64_t pairs, const int32_t *i, const int32_t *j, const int32_t *order)
{
    int64_t *first, blocks = 0;
    int32_t *row, *seen;
    vic_error err;
    check(mem_array_zero((size_t)n + 1, sizeof *first, "atoms", &first, &err), &err);
    check(mem_array((size_t)n, sizeof *row, "atoms", &row, &err), &err);
    check(mem_array_zero((size_t)n / CLUSTER + 1, sizeof *seen, "clusters", &seen, &err), &err);
    for (int64_t p = 0; p < pairs; p++) first[i[p] + 1]++;
    for (int64_t a = 0; a < n; a++) first[a + 1] += first[a];
    for (int64_t r = 0; r < n; r++) row[order[r]] = (int32_t)r;
    for (int64_t r = 0; r < n; r++) {
        int32_t strip = (int32_t)(r / STRIP) + 1;
        for (int64_t p = first[order[r]]; p < first[order[r] + 1]; p++) {
            int32_t cluster = row[j[p]] / CLUSTER;
            blocks += seen[cluster] != strip;
            seen[cluster] = strip;
        }
    }
    free(first);
    free(row);
    free(seen);
    return blocks;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*make)(const struct input *in, int32_t *order);
    } orders[] = { { "k-d bisection", order_of_the_library },
                   { "Hilbert", order_hilbert },
                   { "three sorts", order_three_sorts },
                   { "three sorts, strips bisected", order_three_sorts_bisected } };
    const vic_read_options read = { .size = sizeof read, .pbc = VIC_PBC_SET }; /* open */
    vic_pattern_info info = VIC_INIT(vic_pattern_info);
    vic_structure_info atoms = VIC_INIT(vic_structure_info);
    vic_points points = VIC_INIT(vic_points);
    vic_structure *s;
    vic_pattern *p;
    vic_context *c;
    vic_error err;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_orders STRUCTURE CUTOFF [REPEATS]\n");
        return 2;
    }
    int repeats = argc > 3 ? atoi(argv[3]) : 5;
    double cutoff = strtod(argv[2], NULL);
    check(vic_context_create(NULL, &c, &err), &err);
    check(vic_structure_read(argv[1], &read, &s, &err), &err);
    check(vic_structure_get(s, &atoms, &err), &err);
    check(vic_structure_points(s, &points, &err), &err);
    check(vic_pattern_cutoff(c, &points, NULL, cutoff, NULL, &p, &err), &err);
    check(vic_pattern_get(p, &info, &err), &err);
    int64_t n = info.n_q, pairs = info.pairs;
    int32_t *i, *j, *order;
    struct input in = { .n = n };
    check(mem_array((size_t)pairs, sizeof *i, "pairs", &i, &err), &err);
    check(mem_array((size_t)pairs, sizeof *j, "pairs", &j, &err), &err);
    check(mem_array((size_t)n, sizeof *order, "rows", &order, &err), &err);
    check(mem_array((size_t)n, sizeof *in.key, "keys", &in.key, &err), &err);
    check(mem_array((size_t)n, sizeof *in.key, "keys", &in.key_other, &err), &err);
    check(mem_array((size_t)n, sizeof *order, "keys", &in.index_other, &err), &err);
    check(pool_create(1, &in.pool, &err), &err);
    vic_neighbors list = { .size = sizeof list, .pairs = pairs, .i = i, .j = j };
    check(vic_pattern_neighbors(c, p, &list, &err), &err);
    check(mem_array((size_t)n, sizeof *in.points, "positions", &in.points, &err), &err);
    memcpy(in.points, atoms.positions, (size_t)n * sizeof *in.points);
    for (int a = 0; a < 3; a++) {
        double high = in.points[0][a];
        in.low[a] = high;
        for (int64_t k = 1; k < n; k++) {
            in.low[a] = in.points[k][a] < in.low[a] ? in.points[k][a] : in.low[a];
            high = in.points[k][a] > high ? in.points[k][a] : high;
        }
        in.side[a] = high - in.low[a];
    }
    for (size_t o = 0; o < sizeof orders / sizeof *orders; o++) {
        double best = 1e30;
        for (int r = 0; r < repeats; r++) {
            double start = clock_seconds();
            orders[o].make(&in, order);
            double seconds = clock_seconds() - start;
            best = seconds < best ? seconds : best;
        }
        int64_t blocks = count_blocks(n, pairs, i, j, order);
        printf("{\"order\": \"%s\", \"atoms\": %lld, \"cutoff\": %g, \"pairs\": %lld, \"blocks\": %lld, "
               "\"block_pairs_per_pair\": %.3f, \"seconds\": %.6f}\n",
               orders[o].name, (long long)n, cutoff, (long long)pairs, (long long)blocks,
               1024.0 * (double)blocks / (double)pairs, best);
    }
    pool_free(in.pool);
    free(in.points);
    free(in.key);
    free(in.key_other);
    free(in.index_other);
    free(order);
    free(i);
    free(j);
    vic_pattern_free(p);
    vic_structure_free(s);
    vic_context_free(c);
    return 0;
}
