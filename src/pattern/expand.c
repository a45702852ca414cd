/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/expand.h"

#include "base/memory.h"
#include "contract/block_walk.h"
#include "contract/pair_rule.h"
#include "pattern/block_list.h"
#include "pattern/pattern.h"
#include "pattern/statistics.h"

#include <math.h>
#include <string.h>

/* Pairs come out sorted by key without a sort of pairs: the mask words of a strip, one per key and up to 64 pairs
 * each, are sorted by key, and walked in that order.  A strip's pairs are written side by side in the cache first:
 * straight into 64 places of each of the large arrays takes longer. */

/* The rows that have a key under an image. */
struct key_rows {
    int32_t key, image;
    uint64_t rows;
};

enum {
    DIGIT_BITS = 11,
    DIGITS = 1 << DIGIT_BITS,
    FILL_ATOMS = 1 << 12,
};

struct scratch {
    struct key_rows *keys, *sorted; /* of a strip, grow */
    size_t capacity, sorted_capacity;
    int32_t *j, *shift; /* of the strip's pairs, by row; grow */
    double *distance, *vector;
    size_t j_capacity, shift_capacity, distance_capacity, vector_capacity;
    uint32_t place[DIGITS];
};

struct job {
    const vic_pattern *p;
    int64_t *first; /* [n_q + 1] where an atom's pairs begin */
    struct neighbour_arrays out;
    struct scratch *scratch; /* [workers] */
    vic_status *status;      /* [workers] */
    vic_error *errors;
};

static bool is_above_zero(const int32_t n[3])
{
    for (int x = 0; x < 3; x++)
        if (n[x] != 0) return n[x] > 0;
    return false;
}

/* Of the rows of a strip that have a key under an image, those that a half list keeps.  Between an atom and itself
 * the wraps cancel, and the image is that of the block. */
static uint64_t half_of(const vic_pattern *p, int64_t strip, int32_t key, int32_t image, uint64_t rows)
{
    const int32_t *order = p->q_order + strip * STRIP;
    uint64_t kept = 0;
    for (uint64_t left = rows; left; left &= left - 1) {
        int r = __builtin_ctzll(left);
        if (order[r] < key || (order[r] == key && is_above_zero(p->images[image]))) kept |= (uint64_t)1 << r;
    }
    return kept;
}

static vic_status collect_keys(const vic_pattern *p, bool half, int64_t strip, struct scratch *s, size_t *count,
                               vic_error *err)
{
    size_t n = 0;
    for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);) {
        TRY(mem_grow(&s->keys, &s->capacity, n + CLUSTER, sizeof *s->keys, "keys of a strip", err));
        for (int c = 0; c < CLUSTER; c++) {
            uint64_t rows = w.bits->key[c];
            if (!rows) continue;
            int32_t key = pattern_key(p, (int64_t)w.cluster * CLUSTER + c);
            if (half) rows = half_of(p, strip, key, w.image, rows);
            if (rows) s->keys[n++] = (struct key_rows){ key, w.image, rows };
        }
    }
    *count = n;
    return mem_grow(&s->sorted, &s->sorted_capacity, n, sizeof *s->sorted, "keys of a strip", err);
}

/* By key, then image: a radix sort by key, then whatever stands wrong among the images of one key. */
static void sort_keys(int64_t n_k, struct scratch *s, size_t n)
{
    for (int shift = 0; shift < 32 && (n_k - 1) >> shift > 0; shift += DIGIT_BITS) {
        uint32_t at = 0;
        memset(s->place, 0, sizeof s->place);
        for (size_t i = 0; i < n; i++) s->place[((uint32_t)s->keys[i].key >> shift) % DIGITS]++;
        for (int d = 0; d < DIGITS; d++) {
            uint32_t count = s->place[d];
            s->place[d] = at;
            at += count;
        }
        for (size_t i = 0; i < n; i++)
            s->sorted[s->place[((uint32_t)s->keys[i].key >> shift) % DIGITS]++] = s->keys[i];
        struct key_rows *swap = s->keys;
        size_t capacity = s->capacity;
        s->keys = s->sorted;
        s->capacity = s->sorted_capacity;
        s->sorted = swap;
        s->sorted_capacity = capacity;
    }
    for (size_t i = 1; i < n; i++) {
        struct key_rows k = s->keys[i];
        size_t at = i;
        for (; at > 0 && s->keys[at - 1].key == k.key && s->keys[at - 1].image > k.image; at--)
            s->keys[at] = s->keys[at - 1];
        s->keys[at] = k;
    }
}

static const double nowhere[3] = { 0, 0, 0 }; /* of a pattern without geometry, which has no distances */

/* What is known of the strip's rows.  Rows of one wrap, and of one structure, have the same shift to a key under an
 * image: they make a class, of which there is one in an open system, and few at the faces of a cell. */
struct rows {
    int64_t at[STRIP]; /* where the row's next pair goes, among the strip's */
    double position[STRIP][3];
    int classes;
    uint64_t members[STRIP];
    int32_t wrap[STRIP][3]; /* by class */
    int64_t structure[STRIP];
};

/* Of a query; 0 where there is one. */
static int64_t structure_of(const vic_pattern *p, int32_t atom)
{
    int64_t low = 0, high = p->structures;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (p->offsets[middle] <= atom)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Else all shifts are 0. */
static bool has_shifts(const vic_pattern *p)
{
    return p->n_images > 1 || p->q_wrap;
}

/* Returns the number of pairs. */
static size_t rows_load(const struct job *job, int64_t strip, struct rows *rows)
{
    static const int32_t zero[3] = { 0, 0, 0 };
    const vic_pattern *p = job->p;
    int64_t n = 0;
    rows->classes = 0;
    for (int r = 0; r < STRIP && strip * STRIP + r < p->n_q; r++) {
        int32_t atom = p->q_order[strip * STRIP + r];
        const int32_t *wrap = p->q_wrap ? p->q_wrap[atom] : zero;
        int64_t structure = job->out.distance || job->out.vector ? structure_of(p, atom) : 0;
        int c = 0;
        while (c < rows->classes &&
               (memcmp(rows->wrap[c], wrap, sizeof rows->wrap[c]) != 0 || rows->structure[c] != structure))
            c++;
        if (c == rows->classes) {
            memcpy(rows->wrap[c], wrap, sizeof rows->wrap[c]);
            rows->structure[c] = structure;
            rows->members[c] = 0;
            rows->classes++;
        }
        rows->members[c] |= (uint64_t)1 << r;
        rows->at[r] = n;
        n += job->first[atom + 1] - job->first[atom];
        memcpy(rows->position[r], p->q_positions ? p->q_positions + 3 * (int64_t)atom : nowhere,
               sizeof rows->position[r]);
    }
    return (size_t)n;
}

/* The pairs of a key under an image with the rows of a class. */
static inline void write_key(const struct neighbour_arrays *to, struct rows *rows, uint64_t members, int32_t key,
                             const int32_t shift[3], const double position[3], const double translation[3])
{
    const double r[3] = { position[0], position[1], position[2] };
    const double t[3] = { translation[0], translation[1], translation[2] };
    const int32_t n[3] = { shift[0], shift[1], shift[2] };
    for (uint64_t left = members; left; left &= left - 1) {
        int row = __builtin_ctzll(left);
        int64_t at = rows->at[row]++;
        to->j[at] = key;
        if (to->shift) memcpy(to->shift + 3 * at, n, sizeof n);
        if (to->distance) to->distance[at] = pair_shifted_distance2(rows->position[row], r, t);
        for (int x = 0; to->vector && x < 3; x++) to->vector[3 * at + x] = (r[x] - rows->position[row][x]) + t[x];
    }
}

/* All pairs of the strip, row after row, with squared distances. */
static void write_pairs(const vic_pattern *p, const struct key_rows *keys, size_t n, struct rows *rows,
                        const struct neighbour_arrays *to)
{
    const struct neighbour_arrays out = *to;
    for (size_t i = 0; i < n; i++) {
        int32_t key = keys[i].key;
        for (int c = 0; c < rows->classes; c++) {
            uint64_t members = keys[i].rows & rows->members[c];
            int32_t shift[3];
            double translation[3];
            if (!members) continue;
            for (int x = 0; x < 3; x++)
                shift[x] = p->images[keys[i].image][x] + (p->k_wrap ? p->k_wrap[key][x] : 0) - rows->wrap[c][x];
            const double(*cell)[3] =
                p->cells ? (const double(*)[3])p->cells[rows->structure[c]].cell : (const double(*)[3])p->cell;
            pair_shift(cell, shift[0], shift[1], shift[2], translation);
            write_key(&out, rows, members, key, shift, p->k_positions ? p->k_positions + 3 * (int64_t)key : nowhere,
                      translation);
        }
    }
}

/* Pairs at .. of the strip to where the atom's pairs begin. */
static void copy_row(const struct neighbour_arrays *from, int64_t at, int64_t n, int64_t first,
                     const struct neighbour_arrays *to)
{
    if (n == 0) return;
    if (to->j) memcpy(to->j + first, from->j + at, (size_t)n * sizeof *to->j);
    if (from->shift) memcpy(to->shift + 3 * first, from->shift + 3 * at, (size_t)n * 3 * sizeof *to->shift);
    if (from->vector) memcpy(to->vector + 3 * first, from->vector + 3 * at, (size_t)n * 3 * sizeof *to->vector);
    if (to->distance) {
        double *restrict d = to->distance + first;
        const double *restrict d2 = from->distance + at;
        for (int64_t k = 0; k < n; k++) d[k] = sqrt(d2[k]);
    }
}

static vic_status write_strip(const struct job *job, struct scratch *s, int64_t strip, vic_error *err)
{
    const vic_pattern *p = job->p;
    struct rows rows;
    size_t n, pairs;
    TRY(collect_keys(p, job->out.half, strip, s, &n, err));
    sort_keys(p->n_k, s, n);
    pairs = rows_load(job, strip, &rows);
    struct neighbour_arrays local = { 0 };
    TRY(mem_grow(&s->j, &s->j_capacity, pairs, sizeof *s->j, "pairs of a strip", err));
    local.j = s->j;
    if (job->out.shift && has_shifts(p)) {
        TRY(mem_grow(&s->shift, &s->shift_capacity, pairs, 3 * sizeof *s->shift, "pairs of a strip", err));
        local.shift = s->shift;
    }
    if (job->out.distance) {
        TRY(mem_grow(&s->distance, &s->distance_capacity, pairs, sizeof *s->distance, "pairs of a strip", err));
        local.distance = s->distance;
    }
    if (job->out.vector) {
        TRY(mem_grow(&s->vector, &s->vector_capacity, pairs, 3 * sizeof *s->vector, "pairs of a strip", err));
        local.vector = s->vector;
    }
    write_pairs(p, s->keys, n, &rows, &local);
    for (int64_t row = strip * STRIP, at = 0; row < p->n_q && row < (strip + 1) * STRIP; row++) {
        int32_t atom = p->q_order[row];
        int64_t first = job->first[atom], count = job->first[atom + 1] - first;
        copy_row(&local, at, count, first, &job->out);
        at += count;
    }
    return VIC_OK;
}

static void neighbours_task(void *context, int64_t strip, int worker)
{
    const struct job *job = context;
    if (job->status[worker] == VIC_OK)
        job->status[worker] = write_strip(job, &job->scratch[worker], strip, &job->errors[worker]);
}

/* What needs no look at the pairs, atom after atom: one stream through each array. */
static void fill_task(void *context, int64_t task, int worker)
{
    const struct job *job = context;
    int64_t begin = task * FILL_ATOMS, end = begin + FILL_ATOMS < job->p->n_q ? begin + FILL_ATOMS : job->p->n_q;
    int64_t first = job->first[begin], pairs = job->first[end] - first;
    (void)worker;
    for (int64_t atom = begin; job->out.i && atom < end; atom++) {
        int32_t *i = job->out.i + job->first[atom];
        for (int64_t n = job->first[atom + 1] - job->first[atom], k = 0; k < n; k++) i[k] = (int32_t)atom;
    }
    if (job->out.shift && !has_shifts(job->p) && pairs > 0)
        memset(job->out.shift + 3 * first, 0, (size_t)pairs * 3 * sizeof *job->out.shift);
}

/* Pairs of each row that a half list keeps. */
static void half_counts(const vic_pattern *p, int64_t strip, int64_t counts[STRIP])
{
    memset(counts, 0, STRIP * sizeof *counts);
    for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);)
        for (int c = 0; c < CLUSTER; c++) {
            if (!w.bits->key[c]) continue;
            int32_t key = pattern_key(p, (int64_t)w.cluster * CLUSTER + c);
            for (uint64_t rows = half_of(p, strip, key, w.image, w.bits->key[c]); rows; rows &= rows - 1)
                counts[__builtin_ctzll(rows)]++;
        }
}

static vic_status check_half(const vic_pattern *p, vic_error *err)
{
    if (p->symmetric) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT,
                    "half: expected a pattern in which every pair is there both ways, got one of kind %s that is not "
                    "known to be such",
                    pattern_kind(p));
}

vic_status pattern_half_pairs(const vic_pattern *p, int64_t *out, vic_error *err)
{
    *out = 0;
    TRY(check_half(p, err));
    for (int64_t strip = 0; strip < p->strips; strip++) {
        int64_t counts[STRIP];
        half_counts(p, strip, counts);
        for (int r = 0; r < STRIP; r++) *out += counts[r];
    }
    return VIC_OK;
}

static void counts_task(void *context, int64_t strip, int worker)
{
    const struct job *job = context;
    const vic_pattern *p = job->p;
    int64_t counts[STRIP];
    (void)worker;
    if (job->out.half)
        half_counts(p, strip, counts);
    else
        strip_counts(p, strip, counts);
    for (int r = 0; r < STRIP && strip * STRIP + r < p->n_q; r++)
        job->first[p->q_order[strip * STRIP + r] + 1] = counts[r];
}

vic_status pattern_neighbours(const vic_pattern *p, struct pool *pool, const struct neighbour_arrays *out,
                              vic_error *err)
{
    vic_status st = VIC_OK;
    struct job job = { .p = p, .out = *out };
    size_t workers = (size_t)pool_threads(pool);
    if (out->half) TRY(check_half(p, err));
    TRY_GOTO(mem_array_zero((size_t)p->n_q + 1, sizeof *job.first, "atoms", &job.first, err), done);
    TRY_GOTO(mem_array_zero(workers, sizeof *job.scratch, "workers", &job.scratch, err), done);
    TRY_GOTO(mem_array_zero(workers, sizeof *job.status, "workers", &job.status, err), done);
    TRY_GOTO(mem_array_zero(workers, sizeof *job.errors, "workers", &job.errors, err), done);
    pool_run(pool, p->strips, counts_task, &job);
    for (int64_t i = 0; i < p->n_q; i++) job.first[i + 1] += job.first[i];
    pool_run(pool, (p->n_q + FILL_ATOMS - 1) / FILL_ATOMS, fill_task, &job);
    pool_run(pool, p->strips, neighbours_task, &job);
    for (size_t w = 0; w < workers; w++) {
        if (job.status[w] == VIC_OK) continue;
        st = job.status[w];
        if (err) *err = job.errors[w];
    }
done:
    for (size_t w = 0; job.scratch && w < workers; w++) {
        free(job.scratch[w].keys);
        free(job.scratch[w].sorted);
        free(job.scratch[w].j);
        free(job.scratch[w].shift);
        free(job.scratch[w].distance);
        free(job.scratch[w].vector);
    }
    free(job.errors);
    free(job.status);
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
            rows[n] = (struct block_row){ w.cluster, w.image, block_pairs(w.bits) };
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

void pattern_dense(const vic_pattern *p, uint8_t *mask)
{
    memset(mask, 0, (size_t)p->n_q * (size_t)p->n_k); /* both below 2^31 */
    for (int64_t strip = 0; strip < p->strips; strip++) {
        for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);) {
            for (int c = 0; c < CLUSTER; c++) {
                for (uint64_t rows = w.bits->key[c]; rows; rows &= rows - 1) {
                    int64_t query = p->q_order[strip * STRIP + __builtin_ctzll(rows)];
                    uint8_t *entry = &mask[query * p->n_k + pattern_key(p, (int64_t)w.cluster * CLUSTER + c)];
                    *entry = (uint8_t)(*entry + (*entry < UINT8_MAX));
                }
            }
        }
    }
}
