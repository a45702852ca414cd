/* SPDX-License-Identifier: Apache-2.0 */
#include "brute.h"

/* Images -4 .. 4 along periodic axes; a pair at the edge of the range fails the test. */
enum { BRUTE_RANGE = 4, BRUTE_SIDE = 2 * BRUTE_RANGE + 1, BRUTE_IMAGES = BRUTE_SIDE * BRUTE_SIDE * BRUTE_SIDE };

struct brute_pair {
    int64_t query_row, key_row;
    int32_t image[3]; /* between wrapped copies: what contract images hold */
};

void *brute_alloc(int64_t count, size_t size)
{
    void *p = calloc(count > 0 ? (size_t)count : 1, size);
    CHECK(p != NULL, "out of memory");
    return p;
}

static int32_t *brute_identity(int64_t n)
{
    int32_t *order = brute_alloc(n, sizeof *order);
    for (int64_t i = 0; i < n; i++) order[i] = (int32_t)i;
    return order;
}

static int32_t *brute_permutation(int64_t n, uint64_t *state)
{
    int32_t *order = brute_identity(n);
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)(random_bits(state) % (uint64_t)(i + 1));
        int32_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    return order;
}

static int brute_compare_pairs(const void *left, const void *right)
{
    const struct brute_pair *a = left, *b = right;
    int64_t keys[][2] = { { a->query_row / STRIP, b->query_row / STRIP },
                          { a->key_row / CLUSTER, b->key_row / CLUSTER },
                          { a->image[0], b->image[0] },
                          { a->image[1], b->image[1] },
                          { a->image[2], b->image[2] } };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i][0] != keys[i][1]) return keys[i][0] < keys[i][1] ? -1 : 1;
    return 0;
}

static int brute_compare_images(const void *left, const void *right)
{
    const int32_t *a = left, *b = right;
    for (int i = 0; i < 3; i++)
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    return 0;
}

/* Whether the shifted box around the keys comes within the cutoff of the box around the queries; nothing is lost with
 * the others, and they are most. */
static bool brute_image_counts(const struct brute_points *in, const int32_t image[3], const double shift[3])
{
    const double *keys = in->one_set ? in->q : in->k;
    for (int x = 0; x < 3; x++) {
        double low[2] = { INFINITY, INFINITY }, high[2] = { -INFINITY, -INFINITY };
        if (image[x] != 0 && !in->periodic[x]) return false;
        for (int side = 0; side < 2; side++)
            for (int64_t i = 0; i < (side && !in->one_set ? in->n_k : in->n_q); i++) {
                low[side] = fmin(low[side], (side ? keys : in->q)[3 * i + x]);
                high[side] = fmax(high[side], (side ? keys : in->q)[3 * i + x]);
            }
        if (low[1] + shift[x] - high[0] > in->cutoff + 1e-3 || low[0] - high[1] - shift[x] > in->cutoff + 1e-3)
            return false;
    }
    return true;
}

void brute_build(const struct brute_points *in, uint64_t seed, struct vic_pattern *p, int64_t *counts)
{
    uint64_t state = seed;
    int64_t n_q = in->n_q, n_k = in->one_set ? in->n_q : in->n_k, n = 0, capacity = 1024;
    struct brute_pair *pair = brute_alloc(capacity, sizeof *pair);
    int32_t(*wraps[2])[3];
    const struct vic_pattern *made = p;
    double limit = in->cutoff * in->cutoff;

    memset(p, 0, sizeof *p);
    p->n_q = n_q;
    p->n_k = n_k;
    p->strips = (n_q + STRIP - 1) / STRIP;
    p->clusters = (n_k + CLUSTER - 1) / CLUSTER;
    p->one_set = in->one_set;
    p->exclude_self = in->exclude_self;
    p->cutoff = in->cutoff;
    memcpy(p->cell, in->cell, sizeof p->cell);
    memcpy(p->periodic, in->periodic, sizeof p->periodic);
    p->q_positions = in->q;
    p->k_positions = in->one_set ? in->q : in->k;
    p->q_order = in->keep_order ? brute_identity(n_q) : brute_permutation(n_q, &state);
    p->k_order = in->one_set ? p->q_order : in->keep_order ? brute_identity(n_k) : brute_permutation(n_k, &state);
    for (int side = 0; side < 2; side++) {
        int64_t count = side ? n_k : n_q;
        wraps[side] = side && in->one_set ? wraps[0] : brute_alloc(count, sizeof *wraps[side]);
        for (int64_t i = 0; i < count && wraps[side] != wraps[1 - side]; i++)
            for (int a = 0; a < 3; a++)
                if (in->periodic[a]) wraps[side][i][a] = (int32_t)(random_bits(&state) % 3) - 1;
    }
    p->q_wrap = wraps[0];
    p->k_wrap = wraps[1];

    for (int32_t image = 0; image < BRUTE_IMAGES; image++) {
        const int32_t m[3] = { image / (BRUTE_SIDE * BRUTE_SIDE) - BRUTE_RANGE,
                               image / BRUTE_SIDE % BRUTE_SIDE - BRUTE_RANGE, image % BRUTE_SIDE - BRUTE_RANGE };
        double shift[3];
        pair_shift(made->cell, m[0], m[1], m[2], shift);
        if (!brute_image_counts(in, m, shift)) continue;
        for (int64_t qr = 0; qr < n_q; qr++)
            for (int64_t kr = 0; kr < n_k; kr++) {
                int64_t i = p->q_order[qr], j = p->k_order[kr];
                if (!(pair_shifted_distance2(p->q_positions + 3 * i, p->k_positions + 3 * j, shift) < limit))
                    continue;
                if (in->exclude_self && in->one_set && i == j && !m[0] && !m[1] && !m[2]) continue;
                if (n == capacity) {
                    capacity *= 2;
                    pair = realloc(pair, (size_t)capacity * sizeof *pair);
                    CHECK(pair != NULL, "out of memory");
                }
                pair[n].query_row = qr;
                pair[n].key_row = kr;
                for (int x = 0; x < 3; x++) {
                    CHECK(!in->periodic[x] || abs(m[x]) < BRUTE_RANGE, "widen BRUTE_RANGE for this test");
                    pair[n].image[x] = m[x] - p->k_wrap[j][x] + p->q_wrap[i][x];
                }
                if (counts) counts[i]++;
                n++;
            }
    }
    p->info.pairs = n;

    /* images that occur, sorted and unique */
    int32_t(*images)[3] = brute_alloc(n, sizeof *images);
    for (int64_t i = 0; i < n; i++) memcpy(images[i], pair[i].image, sizeof images[i]);
    qsort(images, (size_t)n, sizeof *images, brute_compare_images);
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || brute_compare_images(images[i], images[p->n_images - 1]))
            memmove(images[p->n_images++], images[i], sizeof *images);
    p->images = images;

    /* blocks */
    int64_t *partial_ptr = brute_alloc(p->strips + 1, sizeof *partial_ptr);
    int64_t *full_ptr = brute_alloc(p->strips + 1, sizeof *full_ptr);
    int32_t *partial_cluster = brute_alloc(n, sizeof *partial_cluster);
    int32_t *partial_image = brute_alloc(n, sizeof *partial_image);
    struct block_bits *partial_bits = brute_alloc(n, sizeof *partial_bits);
    struct full_run *runs = brute_alloc(n, sizeof *runs);
    int64_t n_runs = 0, strip = 0;
    qsort(pair, (size_t)n, sizeof *pair, brute_compare_pairs);
    for (int64_t first = 0, end; first < n; first = end) {
        struct block_bits bits = { { 0 } };
        int32_t cluster = (int32_t)(pair[first].key_row / CLUSTER), image = 0;
        bool full = true;
        for (end = first; end < n && brute_compare_pairs(&pair[end], &pair[first]) == 0; end++)
            bits.key[pair[end].key_row % CLUSTER] |= (uint64_t)1 << (pair[end].query_row % STRIP);
        for (int key = 0; key < CLUSTER; key++) full = full && bits.key[key] == ~(uint64_t)0;
        while (brute_compare_images(images[image], pair[first].image)) image++;
        for (; strip < pair[first].query_row / STRIP; strip++) {
            partial_ptr[strip + 1] = p->n_partial;
            full_ptr[strip + 1] = n_runs;
        }
        if (!full) {
            partial_cluster[p->n_partial] = cluster;
            partial_image[p->n_partial] = image;
            partial_bits[p->n_partial++] = bits;
            continue;
        }
        p->n_full++;
        if (n_runs > full_ptr[strip] && runs[n_runs - 1].image == image &&
            runs[n_runs - 1].first + runs[n_runs - 1].count == cluster)
            runs[n_runs - 1].count++;
        else
            runs[n_runs++] = (struct full_run){ cluster, 1, image };
    }
    for (; strip < p->strips; strip++) {
        partial_ptr[strip + 1] = p->n_partial;
        full_ptr[strip + 1] = n_runs;
    }
    p->partial_ptr = partial_ptr;
    p->full_ptr = full_ptr;
    p->partial_cluster = partial_cluster;
    p->partial_image = partial_image;
    p->partial_bits = partial_bits;
    p->full_runs = runs;
    free(pair);
}

/* free() of what the contract shows as const. */
static void brute_release(const void *p)
{
    void *plain;
    memcpy(&plain, &p, sizeof plain);
    free(plain);
}

void brute_free(struct vic_pattern *p)
{
    if (!p->one_set) {
        brute_release(p->k_order);
        brute_release(p->k_wrap);
    }
    brute_release(p->q_order);
    brute_release(p->q_wrap);
    brute_release(p->images);
    brute_release(p->partial_ptr);
    brute_release(p->partial_cluster);
    brute_release(p->partial_image);
    brute_release(p->partial_bits);
    brute_release(p->full_ptr);
    brute_release(p->full_runs);
}

/* ---- Geometries ---------------------------------------------------------------------------------------------- */

struct brute_points brute_points(enum brute_cell kind, int64_t n_q, int64_t n_k, bool one_set, double box,
                                 double cutoff, bool coincident, uint64_t seed)
{
    static const double cells[][3][3] = {
        [OPEN] = { { 0 } },
        [CUBIC] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } },
        [SKEWED] = { { 1, 0.05, 0 }, { 0.6, 0.9, -0.1 }, { -0.5, 0.4, 1.1 } },
        [SLAB] = { { 1, 0, 0.2 }, { 0.5, 0.9, 0 }, { 0, 0, 0 } },
        [WIRE] = { { 0, 0, 0 }, { 0.3, 0.8, 0.4 }, { 0, 0, 0 } },
    };
    struct brute_points p = { .n_q = n_q, .n_k = n_k, .one_set = one_set, .cutoff = cutoff };
    uint64_t state = seed;
    for (int a = 0; a < 3; a++) {
        p.periodic[a] = kind == CUBIC || kind == SKEWED || (kind == SLAB && a < 2) || (kind == WIRE && a == 1);
        for (int x = 0; x < 3; x++) p.cell[a][x] = p.periodic[a] ? box * cells[kind][a][x] : 0.0;
    }
    for (int side = 0; side < (one_set ? 1 : 2); side++) {
        int64_t n = side ? n_k : n_q;
        double *r = brute_alloc(n, 3 * sizeof *r);
        for (int64_t i = 0; i < 3 * n; i++) r[i] = box * (1.3 * random_uniform(&state) - 0.2);
        for (int64_t i = 2; coincident && i < n; i += 3) memcpy(r + 3 * i, r + 3 * (i - 2), 3 * sizeof *r);
        if (side)
            p.k = r;
        else
            p.q = r;
    }
    return p;
}

void brute_points_free(struct brute_points *p)
{
    free(p->q);
    if (!p->one_set) free(p->k);
}
