/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs of rows, and the fullest row. */
#include "pattern/statistics.h"

#include "base/memory.h"
#include "pattern/pattern.h"
#include "pattern/symmetry.h"

#include <string.h>

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

static struct strip_blocks blocks_of(const vic_pattern *p, int64_t strip)
{
    int64_t first = p->partial_ptr[strip], run = p->full_ptr[strip];
    return (struct strip_blocks){ p->partial_ptr[strip + 1] - first, p->partial_bits + first,
                                  p->full_ptr[strip + 1] - run, p->full_runs + run };
}

void strip_counts(const vic_pattern *p, int64_t strip, int64_t counts[STRIP])
{
    uint64_t planes[PLANES];
    struct strip_blocks b = blocks_of(p, strip);
    int used = sum_columns(b.bits, b.partials, planes);
    int64_t full = full_pairs(&b);
    for (int r = 0; r < STRIP; r++) {
        counts[r] = full;
        for (int i = 0; i < used; i++) counts[r] += (int64_t)((planes[i] >> r) & 1) << i;
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

static int64_t strip_fullest(const struct strip_blocks *b)
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

/* ---- of a pattern that is complete ---- */

enum { TASK_STRIPS = 16 };

struct job {
    const vic_pattern *p;
    struct fullest *fullest; /* [workers] */
};

static void statistics_task(void *context, int64_t task, int worker)
{
    struct job *job = context;
    int64_t end = (task + 1) * TASK_STRIPS < job->p->strips ? (task + 1) * TASK_STRIPS : job->p->strips;
    for (int64_t strip = task * TASK_STRIPS; strip < end; strip++) {
        struct strip_blocks b = blocks_of(job->p, strip);
        fullest_add(&job->fullest[worker], &b);
    }
}

vic_status pattern_statistics(vic_pattern *p, struct pool *pool, vic_error *err)
{
    struct job job = { .p = p };
    TRY(pattern_find_symmetry(p, err));
    TRY(mem_array_zero((size_t)pool_threads(pool), sizeof *job.fullest, "workers", &job.fullest, err));
    pool_run(pool, (p->strips + TASK_STRIPS - 1) / TASK_STRIPS, statistics_task, &job);
    fullest_report(p, job.fullest, pool_threads(pool));
    pattern_fill_info(p);
    free(job.fullest);
    return VIC_OK;
}

void fullest_add(struct fullest *f, const struct strip_blocks *b)
{
    int64_t most = strip_fullest(b);
    if (most > f->pairs) f->pairs = most;
}

void fullest_report(vic_pattern *p, const struct fullest *f, int workers)
{
    p->info.max_pairs = 0;
    for (int w = 0; w < workers; w++)
        if (f[w].pairs > p->info.max_pairs) p->info.max_pairs = f[w].pairs;
}
