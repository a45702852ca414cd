/* SPDX-License-Identifier: Apache-2.0 */
/* What a pattern looks like: the fullest row, and its 128 x 128 blocks. */
#include "base/memory.h"
#include "pattern/pattern.h"

#include <string.h>

enum {
    BIG = 128,
    STRIPS_PER_BIG = BIG / STRIP,
    CLUSTERS_PER_BIG = BIG / CLUSTER,
};

/* Pairs of one row of 128 x 128 blocks, by block column.  Images of one (strip, cluster) are united first, so that a
 * pair counts once. */
struct big_row {
    int32_t *pairs;   /* [columns], zero where nothing is */
    int32_t *columns; /* those with pairs, n of them */
    int64_t n;
    int32_t *slot; /* [clusters] index into united, or -1; NULL with one image */
    struct block_bits *united;
    int32_t *united_cluster;
    size_t n_united, united_capacity, cluster_capacity;
};

struct summary {
    int64_t max_pairs, count, full;
};

struct job {
    const vic_pattern *p;
    struct big_row *rows;      /* [workers] */
    struct summary *summaries; /* [workers] */
    int64_t columns;
    vic_status *status; /* [workers] */
    vic_error *errors;
};

static int popcount(const struct block_bits *bits)
{
    int count = 0;
    for (int c = 0; c < CLUSTER; c++) count += __builtin_popcountll(bits->key[c]);
    return count;
}

static void add_pairs(struct big_row *row, int32_t cluster, int pairs)
{
    int32_t column = cluster / CLUSTERS_PER_BIG;
    if (row->pairs[column] == 0) row->columns[row->n++] = column;
    row->pairs[column] += pairs;
}

static vic_status unite(struct big_row *row, int32_t cluster, const struct block_bits *bits, vic_error *err)
{
    if (row->slot[cluster] < 0) {
        size_t n = row->n_united + 1;
        TRY(mem_grow(&row->united, &row->united_capacity, n, sizeof *row->united, "united blocks", err));
        TRY(mem_grow(&row->united_cluster, &row->cluster_capacity, n, sizeof *row->united_cluster, "united blocks",
                     err));
        row->slot[cluster] = (int32_t)row->n_united;
        row->united_cluster[row->n_united] = cluster;
        row->united[row->n_united++] = *bits;
        return VIC_OK;
    }
    struct block_bits *all = &row->united[row->slot[cluster]];
    for (int c = 0; c < CLUSTER; c++) all->key[c] |= bits->key[c];
    return VIC_OK;
}

/* Adds up one row of big blocks; the caller reads row->columns and clears with big_row_clear(). */
static vic_status big_row_fill(const vic_pattern *p, struct big_row *row, int64_t big, vic_error *err)
{
    for (int64_t strip = big * STRIPS_PER_BIG; strip < (big + 1) * STRIPS_PER_BIG && strip < p->strips; strip++) {
        for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);) {
            if (row->slot)
                TRY(unite(row, w.cluster, w.bits, err));
            else
                add_pairs(row, w.cluster, popcount(w.bits));
        }
        for (size_t i = 0; i < row->n_united; i++) {
            add_pairs(row, row->united_cluster[i], popcount(&row->united[i]));
            row->slot[row->united_cluster[i]] = -1;
        }
        row->n_united = 0;
    }
    return VIC_OK;
}

static void big_row_clear(struct big_row *row)
{
    for (int64_t i = 0; i < row->n; i++) row->pairs[row->columns[i]] = 0;
    row->n = 0;
}

static bool big_block_is_full(const vic_pattern *p, int64_t big, int32_t column, int32_t pairs)
{
    int64_t rows = p->n_q - big * BIG < BIG ? p->n_q - big * BIG : BIG;
    int64_t keys = p->n_k - (int64_t)column * BIG < BIG ? p->n_k - (int64_t)column * BIG : BIG;
    return pairs == rows * keys;
}

static void big_row_free(struct big_row *row)
{
    free(row->pairs);
    free(row->columns);
    free(row->slot);
    free(row->united);
    free(row->united_cluster);
}

static vic_status big_row_make(const vic_pattern *p, struct big_row *row, vic_error *err)
{
    int64_t columns = (p->n_k + BIG - 1) / BIG;
    memset(row, 0, sizeof *row);
    TRY(mem_array_zero((size_t)columns, sizeof *row->pairs, "block columns", &row->pairs, err));
    TRY(mem_array((size_t)columns, sizeof *row->columns, "block columns", &row->columns, err));
    if (p->n_images > 1) {
        TRY(mem_array((size_t)p->clusters, sizeof *row->slot, "clusters", &row->slot, err));
        for (int64_t c = 0; c < p->clusters; c++) row->slot[c] = -1;
    }
    return VIC_OK;
}

static void statistics_task(void *context, int64_t big, int worker)
{
    struct job *job = context;
    struct big_row *row = &job->rows[worker];
    struct summary *s = &job->summaries[worker];
    if (job->status[worker] != VIC_OK) return;
    for (int64_t strip = big * STRIPS_PER_BIG; strip < (big + 1) * STRIPS_PER_BIG && strip < job->p->strips;
         strip++) {
        int64_t counts[STRIP];
        strip_counts(job->p, strip, counts);
        for (int r = 0; r < STRIP; r++) s->max_pairs = counts[r] > s->max_pairs ? counts[r] : s->max_pairs;
    }
    job->status[worker] = big_row_fill(job->p, row, big, &job->errors[worker]);
    s->count += row->n;
    for (int64_t i = 0; i < row->n; i++)
        s->full += big_block_is_full(job->p, big, row->columns[i], row->pairs[row->columns[i]]);
    big_row_clear(row);
}

vic_status pattern_statistics(vic_pattern *p, struct pool *pool, vic_error *err)
{
    vic_status st = VIC_OK;
    size_t workers = (size_t)pool_threads(pool);
    struct job job = { .p = p };
    TRY_GOTO(mem_array_zero(workers, sizeof *job.rows, "workers", &job.rows, err), done);
    TRY_GOTO(mem_array_zero(workers, sizeof *job.summaries, "workers", &job.summaries, err), done);
    TRY_GOTO(mem_array_zero(workers, sizeof *job.status, "workers", &job.status, err), done);
    TRY_GOTO(mem_array_zero(workers, sizeof *job.errors, "workers", &job.errors, err), done);
    for (size_t w = 0; w < workers; w++) TRY_GOTO(big_row_make(p, &job.rows[w], err), done);
    pool_run(pool, (p->strips + STRIPS_PER_BIG - 1) / STRIPS_PER_BIG, statistics_task, &job);
    for (size_t w = 0; w < workers; w++) {
        if (job.status[w] != VIC_OK) {
            st = job.status[w];
            if (err) *err = job.errors[w];
            goto done;
        }
        if (job.summaries[w].max_pairs > p->info.max_pairs) p->info.max_pairs = job.summaries[w].max_pairs;
        p->info.block128_count += job.summaries[w].count;
        p->info.block128_full += job.summaries[w].full;
    }
done:
    for (size_t w = 0; job.rows && w < workers; w++) big_row_free(&job.rows[w]);
    free(job.rows);
    free(job.summaries);
    free(job.status);
    free(job.errors);
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
    struct big_row row;
    TRY_GOTO(big_row_make(p, &row, err), done);
    row_ptr[0] = 0;
    for (int64_t big = 0; big < rows; big++) {
        TRY_GOTO(big_row_fill(p, &row, big, err), done);
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
