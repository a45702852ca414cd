/* SPDX-License-Identifier: Apache-2.0 */
/* What a pattern looks like: the fullest row, and its 128 x 128 blocks. */
#include "pattern/statistics.h"

#include "base/memory.h"
#include "pattern/pattern.h"

#include <string.h>

enum {
    BIG = 128,
    CLUSTERS_PER_BIG = BIG / CLUSTER,
};

static int popcount(const struct block_bits *bits)
{
    int count = 0;
    for (int c = 0; c < CLUSTER; c++) count += __builtin_popcountll(bits->key[c]);
    return count;
}

struct strip_blocks strip_blocks_of(const vic_pattern *p, int64_t strip)
{
    int64_t first = p->partial_ptr[strip], run = p->full_ptr[strip];
    return (struct strip_blocks){ p->partial_ptr[strip + 1] - first, p->partial_cluster + first,
                                  p->partial_bits + first,           NULL,
                                  p->full_ptr[strip + 1] - run,      p->full_runs + run };
}

vic_status big_row_make(int64_t n_k, bool one_image, struct big_row *row, vic_error *err)
{
    int64_t columns = (n_k + BIG - 1) / BIG, clusters = (n_k + CLUSTER - 1) / CLUSTER;
    memset(row, 0, sizeof *row);
    TRY(mem_array_zero((size_t)columns, sizeof *row->pairs, "block columns", &row->pairs, err));
    TRY(mem_array((size_t)columns, sizeof *row->columns, "block columns", &row->columns, err));
    if (!one_image) TRY(mem_array_zero((size_t)clusters, sizeof *row->full_in, "clusters", &row->full_in, err));
    return VIC_OK;
}

void big_row_free(struct big_row *row)
{
    free(row->pairs);
    free(row->columns);
    free(row->full_in);
}

static void add_pairs(struct big_row *row, int32_t cluster, int pairs)
{
    int32_t column = cluster / CLUSTERS_PER_BIG;
    if (row->pairs[column] == 0) row->columns[row->n++] = column;
    row->pairs[column] += pairs;
}

void big_row_add(struct big_row *row, const struct strip_blocks *b)
{
    row->strips++;
    for (int64_t r = 0; r < b->runs; r++) {
        for (int32_t i = 0; i < b->run[r].count; i++) {
            int32_t cluster = b->run[r].first + i;
            if (row->full_in) {
                if (row->full_in[cluster] == row->strips) continue;
                row->full_in[cluster] = row->strips;
            }
            add_pairs(row, cluster, BLOCK);
        }
    }
    for (int64_t i = 0, end; i < b->partials; i = end) {
        int32_t cluster = b->cluster[i];
        for (end = i + 1; end < b->partials && b->cluster[end] == cluster;) end++;
        if (row->full_in && row->full_in[cluster] == row->strips) continue;
        if (end == i + 1) {
            add_pairs(row, cluster, b->pairs ? b->pairs[i] : popcount(&b->bits[i]));
            continue;
        }
        struct block_bits all = b->bits[i];
        for (int64_t other = i + 1; other < end; other++)
            for (int c = 0; c < CLUSTER; c++) all.key[c] |= b->bits[other].key[c];
        add_pairs(row, cluster, popcount(&all));
    }
}

static bool big_block_is_full(const vic_pattern *p, int64_t big, int32_t column, int32_t pairs)
{
    int64_t rows = p->n_q - big * BIG < BIG ? p->n_q - big * BIG : BIG;
    int64_t keys = p->n_k - (int64_t)column * BIG < BIG ? p->n_k - (int64_t)column * BIG : BIG;
    return pairs == rows * keys;
}

static void big_row_clear(struct big_row *row)
{
    for (int64_t i = 0; i < row->n; i++) row->pairs[row->columns[i]] = 0;
    row->n = 0;
}

void big_row_count(struct big_row *row, const vic_pattern *p, int64_t big, struct pattern_summary *s)
{
    s->blocks += row->n;
    for (int64_t i = 0; i < row->n; i++)
        s->full_blocks += big_block_is_full(p, big, row->columns[i], row->pairs[row->columns[i]]);
    big_row_clear(row);
}

void pattern_summary_add(struct pattern_summary *s, const struct pattern_summary *other)
{
    if (other->max_pairs > s->max_pairs) s->max_pairs = other->max_pairs;
    s->blocks += other->blocks;
    s->full_blocks += other->full_blocks;
}

struct job {
    const vic_pattern *p;
    struct big_row *rows;              /* [workers] */
    struct pattern_summary *summaries; /* [workers] */
};

static void statistics_task(void *context, int64_t big, int worker)
{
    struct job *job = context;
    for (int64_t strip = big * STRIPS_PER_BIG; strip < (big + 1) * STRIPS_PER_BIG && strip < job->p->strips;
         strip++) {
        struct strip_blocks b = strip_blocks_of(job->p, strip);
        int64_t most = strip_blocks_fullest(&b);
        if (most > job->summaries[worker].max_pairs) job->summaries[worker].max_pairs = most;
        big_row_add(&job->rows[worker], &b);
    }
    big_row_count(&job->rows[worker], job->p, big, &job->summaries[worker]);
}

vic_status pattern_statistics(vic_pattern *p, struct pool *pool, vic_error *err)
{
    vic_status st = VIC_OK;
    size_t workers = (size_t)pool_threads(pool);
    struct job job = { .p = p };
    struct pattern_summary all = { 0 };
    TRY_GOTO(mem_array_zero(workers, sizeof *job.rows, "workers", &job.rows, err), done);
    TRY_GOTO(mem_array_zero(workers, sizeof *job.summaries, "workers", &job.summaries, err), done);
    for (size_t w = 0; w < workers; w++) TRY_GOTO(big_row_make(p->n_k, p->n_images == 1, &job.rows[w], err), done);
    pool_run(pool, (p->strips + STRIPS_PER_BIG - 1) / STRIPS_PER_BIG, statistics_task, &job);
    for (size_t w = 0; w < workers; w++) pattern_summary_add(&all, &job.summaries[w]);
    pattern_summary_tell(p, &all);
done:
    for (size_t w = 0; job.rows && w < workers; w++) big_row_free(&job.rows[w]);
    free(job.rows);
    free(job.summaries);
    return st;
}

void pattern_summary_tell(vic_pattern *p, const struct pattern_summary *s)
{
    p->info.max_pairs = s->max_pairs;
    p->info.block128_count = s->blocks;
    p->info.block128_full = s->full_blocks;
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
    struct big_row row;
    TRY_GOTO(big_row_make(p->n_k, p->n_images == 1, &row, err), done);
    row_ptr[0] = 0;
    for (int64_t big = 0; big < rows; big++) {
        for (int64_t strip = big * STRIPS_PER_BIG; strip < (big + 1) * STRIPS_PER_BIG && strip < p->strips; strip++) {
            struct strip_blocks b = strip_blocks_of(p, strip);
            big_row_add(&row, &b);
        }
        qsort(row.columns, (size_t)row.n, sizeof *row.columns, by_column);
        for (int64_t i = 0; i < row.n; i++) {
            column[at] = row.columns[i];
            full[at++] = big_block_is_full(p, big, row.columns[i], row.pairs[row.columns[i]]);
        }
        row_ptr[big + 1] = at;
        big_row_clear(&row);
    }
done:
    big_row_free(&row);
    return st;
}
