/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/pattern.h"

#include <stdlib.h>

vic_pattern *pattern_retain(vic_pattern *p)
{
    __atomic_add_fetch(&p->references, 1, __ATOMIC_RELAXED);
    return p;
}

/* The pattern's arrays are const to everyone but the one that frees them. */
static void free_const(const void *memory)
{
    union {
        const void *in;
        void *out;
    } alias = { memory };
    free(alias.out);
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

/* Sum of three one-bit words as two: 64 full adders side by side. */
static inline uint64_t full_add(uint64_t a, uint64_t b, uint64_t c, uint64_t *carry)
{
    uint64_t x = a ^ b;
    *carry = (a & b) | (x & c);
    return x ^ c;
}

enum { PLANES = 40 };

/* Column sums of 16 words in five bit planes (a Harley-Seal adder tree), added into the running planes. */
static void add_block(uint64_t planes[PLANES], const struct block_bits *bits)
{
    uint64_t ones = 0, twos[8], fours[4], eights[2], sum[5], carry;
    const uint64_t *k = bits->key;
    for (int i = 0; i < 8; i++) ones = full_add(ones, k[2 * i], k[2 * i + 1], &twos[i]);
    sum[0] = ones;
    sum[1] = 0;
    for (int i = 0; i < 4; i++) sum[1] = full_add(sum[1], twos[2 * i], twos[2 * i + 1], &fours[i]);
    sum[2] = 0;
    for (int i = 0; i < 2; i++) sum[2] = full_add(sum[2], fours[2 * i], fours[2 * i + 1], &eights[i]);
    sum[3] = full_add(0, eights[0], eights[1], &sum[4]);
    carry = 0;
    for (int i = 0; i < 5; i++) planes[i] = full_add(planes[i], sum[i], carry, &carry);
    for (int i = 5; carry && i < PLANES; i++) {
        uint64_t overflow = planes[i] & carry;
        planes[i] ^= carry;
        carry = overflow;
    }
}

void strip_counts(const vic_pattern *p, int64_t strip, int64_t counts[STRIP])
{
    uint64_t planes[PLANES] = { 0 };
    int64_t full = 0;
    for (int64_t r = p->full_ptr[strip]; r < p->full_ptr[strip + 1]; r++)
        full += (int64_t)p->full_runs[r].count * CLUSTER;
    for (int64_t b = p->partial_ptr[strip]; b < p->partial_ptr[strip + 1]; b++)
        add_block(planes, &p->partial_bits[b]);
    for (int r = 0; r < STRIP; r++) {
        counts[r] = full;
        for (int i = 0; i < PLANES; i++) counts[r] += (int64_t)((planes[i] >> r) & 1) << i;
    }
}

void pattern_counts(const vic_pattern *p, int64_t *counts)
{
    for (int64_t strip = 0; strip < p->strips; strip++) {
        int64_t rows[STRIP];
        strip_counts(p, strip, rows);
        for (int r = 0; r < STRIP && strip * STRIP + r < p->n_q; r++) counts[p->q_order[strip * STRIP + r]] = rows[r];
    }
}
