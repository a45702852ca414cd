/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns written out: as pairs with images, and as a list of blocks. */
#include "base/memory.h"
#include "pattern/pattern.h"

#include <string.h>

struct neighbour {
    int32_t key;
    int32_t image[3];
};

static int by_key_and_image(const void *a, const void *b)
{
    const struct neighbour *p = a, *q = b;
    if (p->key != q->key) return p->key < q->key ? -1 : 1;
    for (int x = 0; x < 3; x++)
        if (p->image[x] != q->image[x]) return p->image[x] < q->image[x] ? -1 : 1;
    return 0;
}

struct job {
    const vic_pattern *p;
    int64_t *first; /* [n_q + 1] where an atom's pairs begin */
    int32_t *query, *key, *image;
    struct neighbour **scratch; /* [workers], for one row each */
};

static void write_row(const struct job *job, int32_t atom, struct neighbour *list, int64_t n)
{
    int64_t at = job->first[atom];
    qsort(list, (size_t)n, sizeof *list, by_key_and_image);
    for (int64_t i = 0; i < n; i++, at++) {
        if (job->query) job->query[at] = atom;
        if (job->key) job->key[at] = list[i].key;
        if (job->image) memcpy(job->image + 3 * at, list[i].image, sizeof list[i].image);
    }
}

static void pairs_task(void *context, int64_t strip, int worker)
{
    const struct job *job = context;
    const vic_pattern *p = job->p;
    struct neighbour *list = job->scratch[worker];
    for (int r = 0; r < STRIP && strip * STRIP + r < p->n_q; r++) {
        int32_t atom = p->q_order[strip * STRIP + r];
        int64_t n = 0;
        for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);) {
            for (int c = 0; c < CLUSTER; c++) {
                if (!((w.bits->key[c] >> r) & 1)) continue;
                int32_t key = p->k_order[(int64_t)w.cluster * CLUSTER + c];
                struct neighbour *found = &list[n++];
                found->key = key;
                for (int x = 0; x < 3; x++)
                    found->image[x] = p->images[w.image][x] + (p->k_wrap ? p->k_wrap[key][x] : 0) -
                                      (p->q_wrap ? p->q_wrap[atom][x] : 0);
            }
        }
        write_row(job, atom, list, n);
    }
}

vic_status pattern_pairs(const vic_pattern *p, struct pool *pool, int32_t *query, int32_t *key, int32_t *image,
                         vic_error *err)
{
    vic_status st = VIC_OK;
    struct job job = { .p = p, .query = query, .key = key, .image = image };
    size_t workers = (size_t)pool_threads(pool);
    TRY_GOTO(mem_array_zero((size_t)p->n_q + 1, sizeof *job.first, "atoms", &job.first, err), done);
    TRY_GOTO(mem_array_zero(workers, sizeof *job.scratch, "workers", &job.scratch, err), done);
    for (size_t w = 0; w < workers; w++)
        TRY_GOTO(mem_array((size_t)p->info.max_pairs, sizeof **job.scratch, "pairs of a row", &job.scratch[w], err),
                 done);
    pattern_counts(p, job.first + 1);
    for (int64_t i = 0; i < p->n_q; i++) job.first[i + 1] += job.first[i];
    pool_run(pool, p->strips, pairs_task, &job);
done:
    for (size_t w = 0; job.scratch && w < workers; w++) free(job.scratch[w]);
    free(job.scratch);
    free(job.first);
    return st;
}

struct block_row {
    int32_t cluster, image, pairs;
};

static int by_cluster(const void *a, const void *b)
{
    const struct block_row *p = a, *q = b;
    if (p->cluster != q->cluster) return p->cluster < q->cluster ? -1 : 1;
    return (p->image > q->image) - (p->image < q->image);
}

vic_status pattern_blocks(const vic_pattern *p, int32_t *strip, int32_t *cluster, int32_t *pairs, vic_error *err)
{
    vic_status st = VIC_OK;
    struct block_row *rows = NULL;
    size_t capacity = 0;
    int64_t at = 0;
    for (int64_t s = 0; s < p->strips; s++) {
        size_t n = 0;
        for (struct block_walk w = block_walk_start(p, s); block_walk_next(&w); n++) {
            TRY_GOTO(mem_grow(&rows, &capacity, n + 1, sizeof *rows, "blocks of a strip", err), done);
            rows[n] = (struct block_row){ w.cluster, w.image, 0 };
            for (int c = 0; c < CLUSTER; c++) rows[n].pairs += __builtin_popcountll(w.bits->key[c]);
        }
        if (n > 0) qsort(rows, n, sizeof *rows, by_cluster);
        for (size_t i = 0; i < n; i++, at++) {
            if (strip) strip[at] = (int32_t)s;
            if (cluster) cluster[at] = rows[i].cluster;
            if (pairs) pairs[at] = rows[i].pairs;
        }
    }
done:
    free(rows);
    return st;
}
