/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/pattern.h"

#include "pattern/statistics.h"

#include <stdlib.h>
#include <string.h>

vic_pattern *pattern_retain(vic_pattern *p)
{
    __atomic_add_fetch(&p->references, 1, __ATOMIC_RELAXED);
    return p;
}

static void free_const(const void *memory)
{
    free(pattern_memory(memory));
}

void rule_free(struct pattern_rule *rule)
{
    if (rule->k_skip != rule->q_skip) free_const(rule->k_skip);
    free_const(rule->q_skip);
    free_const(rule->image);
    free_const(rule->index);
    free_const(rule->ptr);
    *rule = (struct pattern_rule){ .kind = rule->kind };
}

void pattern_release(vic_pattern *p)
{
    if (!p || __atomic_sub_fetch(&p->references, 1, __ATOMIC_ACQ_REL) > 0) return;
    if (!p->one_set) {
        free_const(p->k_positions);
        free_const(p->k_order);
        free_const(p->k_wrap);
    }
    free_const(p->q_positions);
    free_const(p->q_order);
    free_const(p->q_wrap);
    free_const(p->images);
    free_const(p->partial_ptr);
    free_const(p->partial_cluster);
    free_const(p->partial_image);
    free_const(p->partial_bits);
    free_const(p->full_ptr);
    free_const(p->full_runs);
    free_const(p->offsets);
    free_const(p->cells);
    for (int64_t r = 0; r < p->n_rules; r++) rule_free(&p->rules[r]);
    free(p->rules);
    free(p);
}

static const struct block_bits all_bits = BLOCK_BITS_ALL;

struct block_walk block_walk_start(const vic_pattern *p, int64_t strip)
{
    struct block_walk w = {
        p, p->full_ptr[strip], p->full_ptr[strip + 1], 0, p->partial_ptr[strip], p->partial_ptr[strip + 1], 0, 0, NULL
    };
    return w;
}

bool block_walk_next(struct block_walk *w)
{
    while (w->run < w->run_end) {
        const struct full_run *run = &w->p->full_runs[w->run];
        if (w->in_run < run->count) {
            w->cluster = run->first + (int32_t)w->in_run++;
            w->image = run->image;
            w->bits = &all_bits;
            return true;
        }
        w->run++;
        w->in_run = 0;
    }
    if (w->partial >= w->partial_end) return false;
    w->cluster = w->p->partial_cluster[w->partial];
    w->image = w->p->partial_image[w->partial];
    w->bits = &w->p->partial_bits[w->partial];
    w->partial++;
    return true;
}

/* Two mask words at once. */
typedef uint64_t words __attribute__((vector_size(16)));

enum { PLANES = 40 };

/* Sum of three one-bit numbers in each of 128 places, as two. */
static inline words full_add(words a, words b, words c, words *carry)
{
    words x = a ^ b;
    *carry = (a & b) | (x & c);
    return x ^ c;
}

/* Column sums of all blocks' words in bit planes (bit r of plane i: 2^i in the sum of row r), by a tree of adders: a
 * block gives one carry into the fourth plane.  Returns how many planes are used. */
static int sum_columns(const struct block_bits *bits, int64_t n, uint64_t planes[PLANES])
{
    words sum[PLANES], zero = { 0 };
    int used = 3;
    for (int i = 0; i < used; i++) sum[i] = zero;
    for (int64_t b = 0; b < n; b++) {
        words w[8], twos[4], fours[2], carry;
        memcpy(w, &bits[b], sizeof w);
        for (int i = 0; i < 4; i++) sum[0] = full_add(sum[0], w[2 * i], w[2 * i + 1], &twos[i]);
        for (int i = 0; i < 2; i++) sum[1] = full_add(sum[1], twos[2 * i], twos[2 * i + 1], &fours[i]);
        sum[2] = full_add(sum[2], fours[0], fours[1], &carry);
        for (int i = 3; (carry[0] | carry[1]) != 0; i++) {
            if (i == used) sum[used++] = zero;
            words overflow = sum[i] & carry;
            sum[i] ^= carry;
            carry = overflow;
        }
    }
    /* The two words of each plane, added. */
    uint64_t carry = 0;
    memset(planes, 0, PLANES * sizeof *planes);
    for (int i = 0; i < used; i++) {
        uint64_t x = sum[i][0] ^ sum[i][1];
        planes[i] = x ^ carry;
        carry = (sum[i][0] & sum[i][1]) | (x & carry);
    }
    planes[used] = carry;
    return used + 1;
}

static int64_t full_pairs(const struct strip_blocks *b)
{
    int64_t full = 0;
    for (int64_t r = 0; r < b->runs; r++) full += (int64_t)b->run[r].count * CLUSTER;
    return full;
}

void strip_blocks_counts(const struct strip_blocks *b, int64_t counts[STRIP])
{
    uint64_t planes[PLANES];
    int used = sum_columns(b->bits, b->partials, planes);
    int64_t full = full_pairs(b);
    for (int r = 0; r < STRIP; r++) {
        counts[r] = full;
        for (int i = 0; i < used; i++) counts[r] += (int64_t)((planes[i] >> r) & 1) << i;
    }
}

int64_t strip_blocks_fullest(const struct strip_blocks *b)
{
    uint64_t planes[PLANES], rows = ~(uint64_t)0;
    int64_t most = 0;
    for (int i = sum_columns(b->bits, b->partials, planes) - 1; i >= 0; i--) {
        if (!(rows & planes[i])) continue; /* no row that led so far has this bit */
        rows &= planes[i];
        most += (int64_t)1 << i;
    }
    return most + full_pairs(b);
}

void strip_counts(const vic_pattern *p, int64_t strip, int64_t counts[STRIP])
{
    struct strip_blocks b = strip_blocks_of(p, strip);
    strip_blocks_counts(&b, counts);
}

void pattern_counts(const vic_pattern *p, int64_t *counts)
{
    for (int64_t strip = 0; strip < p->strips; strip++) {
        int64_t rows[STRIP];
        strip_counts(p, strip, rows);
        for (int r = 0; r < STRIP && strip * STRIP + r < p->n_q; r++) counts[p->q_order[strip * STRIP + r]] = rows[r];
    }
}
