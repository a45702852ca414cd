/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/blocks.h"

#include "base/cpu_features.h"
#include "contract/pair_rule.h"

#include <math.h>

block_filter *block_filter_choose(void)
{
#if defined(__x86_64__)
    if (!cpu_lacks_avx512()) return block_filter_avx512;
    if (!cpu_lacks_avx2()) return block_filter_avx2;
#endif
    return block_filter_scalar;
}

void strip_rows_load(const struct block_test *t, int64_t strip, struct strip_rows *rows)
{
    const struct cluster_points *clusters = t->queries->clusters + strip * (STRIP / CLUSTER);
    const struct box *box = &t->queries->tree.box[0][strip];
    int64_t left = t->queries->n - strip * STRIP;
    int n = left < STRIP ? (int)left : STRIP;
    float largest = 1e-15f, longest2 = 0.0f; /* the small number keeps a square of it above 0 */
    for (int x = 0; x < 3; x++) {
        rows->centre[x] = 0.5 * ((double)box->low[x] + (double)box->high[x]);
        for (int g = 0; g * CLUSTER < n; g++) {
            float offset = (float)((double)clusters[g].centre[x] - rows->centre[x]);
            largest = fmaxf(largest, fmaxf(fabsf(offset), clusters[g].radius));
            for (int r = 0; r < CLUSTER; r++) rows->at[x][g * CLUSTER + r] = clusters[g].at[x][r] + offset;
        }
        for (int r = n; r < STRIP; r++) rows->at[x][r] = far_away;
    }
    for (int r = 0; r < STRIP; r++) {
        rows->length2[r] =
            (rows->at[0][r] * rows->at[0][r] + rows->at[1][r] * rows->at[1][r]) + rows->at[2][r] * rows->at[2][r];
        if (r < n && rows->length2[r] > longest2) longest2 = rows->length2[r];
    }
    rows->radius = fmaxf(sqrtf(longest2), largest) * (1.0f + 0x1p-20f);
}

/* The rule itself for one pair. */
static bool pair_is_in(const struct block_test *t, int64_t q_row, int64_t k_row, int32_t image, int64_t *boundary)
{
    const struct vic_pattern *p = t->p;
    int32_t i = p->q_order[q_row], j = p->k_order[k_row], n[3];
    pair_image(p, image, i, j, n);
    double d2 =
        pair_distance2(p->q_positions + 3 * (int64_t)i, p->k_positions + 3 * (int64_t)j, p->cell, n[0], n[1], n[2]);
    if (fabs(sqrt(d2) - p->cutoff) <= 1e-9 * p->cutoff) ++*boundary;
    return d2 < t->cutoff2;
}

/* Bits of the first n of 64. */
static uint64_t first_bits(int64_t n)
{
    return n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1;
}

static int decide(const struct block_test *t, int64_t strip, const struct candidate *c, struct block_bits *inside,
                  const struct block_bits *reached, int64_t *boundary)
{
    int64_t first = strip * STRIP, first_key = (int64_t)c->cluster * CLUSTER;
    uint64_t rows = first_bits(t->p->n_q - first); /* a wide band may reach the rows past the end */
    int pairs = 0;
    for (int k = 0; k < CLUSTER && first_key + k < t->p->n_k; k++) {
        inside->key[k] &= rows;
        for (uint64_t open = (reached->key[k] ^ inside->key[k]) & rows; open; open &= open - 1) {
            int r = __builtin_ctzll(open);
            if (pair_is_in(t, first + r, first_key + k, c->image, boundary)) inside->key[k] |= (uint64_t)1 << r;
        }
        pairs += __builtin_popcountll(inside->key[k]);
    }
    return pairs;
}

int block_settle(const struct block_test *t, int64_t strip, const struct candidate *c, struct filtered filtered,
                 struct block_bits *inside, const struct block_bits *reached, int64_t *boundary)
{
    const int32_t *image = t->p->images[c->image];
    int pairs = filtered.pairs;
    if (filtered.unsure) pairs = decide(t, strip, c, inside, reached, boundary);
    /* Rows and keys are in one order, so a self pair stands at the same row; its image is the block's own. */
    if (t->exclude_diagonal && c->cluster / (STRIP / CLUSTER) == strip && !image[0] && !image[1] && !image[2]) {
        int first = c->cluster % (STRIP / CLUSTER) * CLUSTER;
        for (int k = 0; k < CLUSTER; k++) {
            uint64_t self = (uint64_t)1 << (first + k);
            pairs -= (inside->key[k] & self) != 0;
            inside->key[k] &= ~self;
        }
    }
    return pairs;
}
