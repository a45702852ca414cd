/* SPDX-License-Identifier: Apache-2.0 */
/* What a pattern looks like: pairs of rows, the fullest row, and the 128 x 128 blocks. */
#include "pattern/statistics.h"

#include "base/memory.h"
#include "pattern/block_list.h"
#include "pattern/pattern.h"
#include "pattern/symmetry.h"

#include <string.h>

enum {
    BIG = 128,
    CLUSTERS_PER_BIG = BIG / CLUSTER,
};

/* ---- pairs of rows ---- */

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
    return (struct strip_blocks){ p->partial_ptr[strip + 1] - first, p->partial_cluster + first,
                                  p->partial_bits + first,           NULL,
                                  p->full_ptr[strip + 1] - run,      p->full_runs + run };
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

static int64_t fullest_row(const struct strip_blocks *b)
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

/* ---- 128 x 128 blocks ---- */

vic_status strip_counter_make(const vic_pattern *p, struct strip_counter *c, vic_error *err)
{
    size_t columns = (size_t)(p->n_k + BIG - 1) / BIG;
    memset(c, 0, sizeof *c);
    TRY(mem_array_zero(columns, sizeof *c->pairs, "block columns", &c->pairs, err));
    TRY(mem_array(columns, sizeof *c->columns, "block columns", &c->columns, err));
    if (p->n_images == 1) return VIC_OK;
    return mem_array_zero((size_t)p->clusters, sizeof *c->full_in, "clusters", &c->full_in, err);
}

void strip_counter_free(struct strip_counter *c)
{
    free(c->pairs);
    free(c->columns);
    free(c->full_in);
}

static void add_pairs(struct strip_counter *c, int32_t cluster, int pairs)
{
    int32_t column = cluster / CLUSTERS_PER_BIG;
    if (c->pairs[column] == 0) c->columns[c->n++] = column;
    c->pairs[column] += pairs;
}

static void add_full(struct strip_counter *c, const struct full_run *run)
{
    for (int32_t cluster = run->first; cluster < run->first + run->count; cluster++) {
        if (c->full_in) {
            if (c->full_in[cluster] == c->strips) continue;
            c->full_in[cluster] = c->strips;
        }
        add_pairs(c, cluster, BLOCK);
    }
}

static void add_strip(struct strip_counter *c, const struct strip_blocks *b)
{
    c->strips++;
    for (int64_t r = 0; r < b->runs; r++) add_full(c, &b->run[r]);
    for (int64_t i = 0, end; i < b->partials; i = end) {
        int32_t cluster = b->cluster[i];
        for (end = i + 1; end < b->partials && b->cluster[end] == cluster;) end++;
        if (c->full_in && c->full_in[cluster] == c->strips) continue;
        if (end == i + 1) {
            add_pairs(c, cluster, b->pairs ? b->pairs[i] : block_pairs(&b->bits[i]));
            continue;
        }
        struct block_bits all = b->bits[i];
        for (int64_t other = i + 1; other < end; other++)
            for (int k = 0; k < CLUSTER; k++) all.key[k] |= b->bits[other].key[k];
        add_pairs(c, cluster, block_pairs(&all));
    }
}

static bool is_full(const vic_pattern *p, int64_t big, int32_t column, int32_t pairs)
{
    int64_t rows = p->n_q - big * BIG < BIG ? p->n_q - big * BIG : BIG;
    int64_t keys = p->n_k - (int64_t)column * BIG < BIG ? p->n_k - (int64_t)column * BIG : BIG;
    return pairs == rows * keys;
}

static void clear_row(struct strip_counter *c)
{
    for (int64_t i = 0; i < c->n; i++) c->pairs[c->columns[i]] = 0;
    c->n = 0;
}

void strip_counter_add(struct strip_counter *c, const vic_pattern *p, int64_t strip, const struct strip_blocks *b)
{
    int64_t most = fullest_row(b), big = strip / STRIPS_PER_BIG;
    if (most > c->max_pairs) c->max_pairs = most;
    add_strip(c, b);
    if (strip % STRIPS_PER_BIG != STRIPS_PER_BIG - 1 && strip != p->strips - 1) return;
    c->big += c->n;
    for (int64_t i = 0; i < c->n; i++) c->full_big += is_full(p, big, c->columns[i], c->pairs[c->columns[i]]);
    clear_row(c);
}

void strip_counters_tell(vic_pattern *p, const struct strip_counter *counters, int workers)
{
    vic_pattern_info *info = &p->info;
    info->max_pairs = p->block128_count = p->block128_full = 0;
    for (int w = 0; w < workers; w++) {
        if (counters[w].max_pairs > info->max_pairs) info->max_pairs = counters[w].max_pairs;
        p->block128_count += counters[w].big;
        p->block128_full += counters[w].full_big;
    }
}

/* ---- of a pattern that is complete ---- */

struct job {
    const vic_pattern *p;
    struct strip_counter *counters; /* [workers] */
};

static void statistics_task(void *context, int64_t big, int worker)
{
    struct job *job = context;
    int64_t end = (big + 1) * STRIPS_PER_BIG < job->p->strips ? (big + 1) * STRIPS_PER_BIG : job->p->strips;
    for (int64_t strip = big * STRIPS_PER_BIG; strip < end; strip++) {
        struct strip_blocks b = blocks_of(job->p, strip);
        strip_counter_add(&job->counters[worker], job->p, strip, &b);
    }
}

vic_status pattern_statistics(vic_pattern *p, struct pool *pool, vic_error *err)
{
    vic_status st = VIC_OK;
    int workers = pool_threads(pool);
    struct job job = { .p = p };
    TRY_GOTO(pattern_find_symmetry(p, err), done);
    TRY_GOTO(mem_array_zero((size_t)workers, sizeof *job.counters, "workers", &job.counters, err), done);
    for (int w = 0; w < workers; w++) TRY_GOTO(strip_counter_make(p, &job.counters[w], err), done);
    pool_run(pool, (p->strips + STRIPS_PER_BIG - 1) / STRIPS_PER_BIG, statistics_task, &job);
    strip_counters_tell(p, job.counters, workers);
    pattern_fill_info(p);
done:
    for (int w = 0; job.counters && w < workers; w++) strip_counter_free(&job.counters[w]);
    free(job.counters);
    return st;
}

static int by_column(const void *a, const void *b)
{
    int32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

vic_status pattern_blocks128(const vic_pattern *p, int64_t *row_ptr, int32_t *column, uint8_t *full, vic_error *err)
{
    vic_status st = VIC_OK;
    int64_t rows = (p->n_q + BIG - 1) / BIG, at = 0;
    struct strip_counter c;
    TRY_GOTO(strip_counter_make(p, &c, err), done);
    row_ptr[0] = 0;
    for (int64_t big = 0; big < rows; big++) {
        for (int64_t strip = big * STRIPS_PER_BIG; strip < (big + 1) * STRIPS_PER_BIG && strip < p->strips; strip++) {
            struct strip_blocks b = blocks_of(p, strip);
            add_strip(&c, &b);
        }
        qsort(c.columns, (size_t)c.n, sizeof *c.columns, by_column);
        for (int64_t i = 0; i < c.n; i++) {
            column[at] = c.columns[i];
            full[at++] = is_full(p, big, c.columns[i], c.pairs[c.columns[i]]);
        }
        row_ptr[big + 1] = at;
        clear_row(&c);
    }
done:
    strip_counter_free(&c);
    return st;
}
