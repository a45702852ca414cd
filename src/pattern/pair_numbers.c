/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of pairs in the order of a neighbour list, laid out as kernels walk over the blocks.  A strip's keys are sorted
 * by (atom, image); taken in that order, each row's pairs come in the order of the list. */
#include "pattern/pair_numbers.h"

#include "base/memory.h"
#include "contract/block_walk.h"
#include "pattern/statistics.h"

#include <string.h>

/* A key of a strip under one image, its rows, and where the first of its pairs is in the strip's numbers. */
struct strip_key {
    uint64_t order; /* key atom, then image */
    uint64_t rows;
    int64_t at;
};

struct scratch {
    struct strip_key *keys;
    size_t capacity;
    vic_status status;
    vic_error error;
};

struct job {
    const vic_pattern *p;
    const int64_t *first; /* [n_q] the number of an atom's first pair */
    struct pair_numbers *out;
    struct scratch *scratch; /* [workers] */
};

static int64_t strip_pairs(const vic_pattern *p, int64_t strip)
{
    int64_t pairs = 0;
    for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);)
        for (int c = 0; c < CLUSTER; c++) pairs += __builtin_popcountll(w.bits->key[c]);
    return pairs;
}

static void count_task(void *context, int64_t strip, int worker)
{
    const struct job *j = context;
    (void)worker;
    j->out->strip_first[strip + 1] = strip_pairs(j->p, strip);
}

static int by_order(const void *a, const void *b)
{
    const struct strip_key *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

static vic_status number_strip(const struct job *j, int64_t strip, struct scratch *s, vic_error *err)
{
    const vic_pattern *p = j->p;
    int64_t next[STRIP] = { 0 }, at = j->out->strip_first[strip];
    size_t n = 0;
    for (int r = 0; r < STRIP && strip * STRIP + r < p->n_q; r++) next[r] = j->first[p->q_order[strip * STRIP + r]];
    for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);) {
        TRY(mem_grow(&s->keys, &s->capacity, n + CLUSTER, sizeof *s->keys, "keys of a strip", err));
        for (int c = 0; c < CLUSTER; c++) {
            uint64_t rows = w.bits->key[c];
            if (!rows) continue;
            uint64_t atom = (uint64_t)pattern_key(p, (int64_t)w.cluster * CLUSTER + c);
            s->keys[n++] = (struct strip_key){ atom << 32 | (uint32_t)w.image, rows, at };
            at += __builtin_popcountll(rows);
        }
    }
    if (n > 0) qsort(s->keys, n, sizeof *s->keys, by_order);
    for (size_t i = 0; i < n; i++) {
        uint32_t *to = j->out->number + s->keys[i].at;
        for (uint64_t left = s->keys[i].rows; left; left &= left - 1) *to++ = (uint32_t)next[__builtin_ctzll(left)]++;
    }
    return VIC_OK;
}

static void number_task(void *context, int64_t strip, int worker)
{
    const struct job *j = context;
    struct scratch *s = &j->scratch[worker];
    if (s->status == VIC_OK) s->status = number_strip(j, strip, s, &s->error);
}

static vic_status scratch_status(const struct scratch *scratch, int workers, vic_error *err)
{
    for (int i = 0; i < workers; i++)
        if (scratch[i].status != VIC_OK) return vic_fail(err, scratch[i].status, "%s", scratch[i].error.text);
    return VIC_OK;
}

/* Sets first [n + 1] to where the pairs of each query atom begin. */
static vic_status first_pairs(const vic_pattern *p, int64_t **out, vic_error *err)
{
    int64_t at = 0;
    TRY(mem_array((size_t)p->n_q + 1, sizeof **out, "numbers of pairs", out, err));
    pattern_counts(p, *out);
    for (int64_t i = 0; i < p->n_q; i++) {
        int64_t count = (*out)[i];
        (*out)[i] = at;
        at += count;
    }
    (*out)[p->n_q] = at;
    return VIC_OK;
}

vic_status pair_numbers_make(const vic_pattern *p, struct pool *pool, struct pair_numbers **out, vic_error *err)
{
    vic_status st = VIC_OK;
    const int workers = pool_threads(pool);
    struct pair_numbers *numbers = NULL;
    int64_t *first = NULL;
    struct job j = { .p = p };
    *out = NULL;
    if (p->info.pairs > (int64_t)UINT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "pair_bias: expected a pattern of fewer than 2^32 pairs, got %lld; take a smaller cutoff, or "
                        "several patterns whose results vic_combine() puts together",
                        (long long)p->info.pairs);
    TRY(mem_array_zero(1, sizeof *numbers, "numbers of pairs", &numbers, err));
    TRY_GOTO(mem_array_zero((size_t)p->strips + 1, sizeof(int64_t), "numbers of pairs", &numbers->strip_first, err),
             done);
    TRY_GOTO(mem_array((size_t)p->info.pairs + NUMBER_PAD, sizeof(uint32_t), "numbers of pairs", &numbers->number,
                       err),
             done);
    memset(numbers->number + p->info.pairs, 0, NUMBER_PAD * sizeof(uint32_t));
    TRY_GOTO(first_pairs(p, &first, err), done);
    TRY_GOTO(mem_array_zero((size_t)workers, sizeof *j.scratch, "scratch for numbers of pairs", &j.scratch, err),
             done);
    j.out = numbers;
    j.first = first;
    pool_run(pool, p->strips, count_task, &j);
    for (int64_t strip = 0; strip < p->strips; strip++) {
        int64_t pairs = numbers->strip_first[strip + 1];
        if (pairs > numbers->most) numbers->most = pairs;
        numbers->strip_first[strip + 1] += numbers->strip_first[strip];
    }
    pool_run(pool, p->strips, number_task, &j);
    TRY_GOTO(scratch_status(j.scratch, workers, err), done);
    *out = numbers;
    numbers = NULL;
done:
    for (int i = 0; j.scratch && i < workers; i++) free(j.scratch[i].keys);
    free(j.scratch);
    free(first);
    pair_numbers_free(numbers);
    return st;
}

/* ---- transposed ---- */

/* Sets key [pairs] to the key atom of each pair of `p`, by number. */
static void list_keys(const vic_pattern *p, const struct pair_numbers *numbers, int32_t *key)
{
    int64_t at = 0;
    for (int64_t strip = 0; strip < p->strips; strip++)
        for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);)
            for (int c = 0; c < CLUSTER; c++)
                for (int pairs = __builtin_popcountll(w.bits->key[c]); pairs > 0; pairs--)
                    key[numbers->number[at++]] = pattern_key(p, (int64_t)w.cluster * CLUSTER + c);
}

/* Sets number [pairs] to that of each pair of the transpose, which are in the order of its own list: for each key atom j
 * by query atom, and where j has several images of one, which the transpose has negated, with the last one first.
 * `next` [n_k] says where the pairs of j begin. */
static void order_by_key(const vic_pattern *p, const int64_t *first, const int32_t *key, int64_t *next,
                         uint32_t *number)
{
    for (int64_t i = 0; i < p->n_q; i++)
        for (int64_t at = first[i], end; at < first[i + 1]; at = end) {
            for (end = at + 1; end < first[i + 1] && key[end] == key[at];) end++;
            for (int64_t n = end; n-- > at;) number[next[key[at]]++] = (uint32_t)n;
        }
}

vic_status pair_numbers_transposed(const vic_pattern *p, const struct pair_numbers *numbers,
                                   const vic_pattern *transposed, struct pool *pool, struct pair_numbers **out,
                                   vic_error *err)
{
    vic_status st = VIC_OK;
    const size_t pairs = (size_t)p->info.pairs;
    struct pair_numbers *own = NULL;
    int64_t *first = NULL, *next = NULL;
    uint32_t *number = NULL;
    int32_t *key = NULL;
    *out = NULL;
    TRY_GOTO(pair_numbers_make(transposed, pool, &own, err), done);
    TRY_GOTO(first_pairs(p, &first, err), done);
    TRY_GOTO(first_pairs(transposed, &next, err), done);
    TRY_GOTO(mem_array(pairs, sizeof *key, "keys of pairs", &key, err), done);
    TRY_GOTO(mem_array(pairs, sizeof *number, "numbers of pairs", &number, err), done);
    list_keys(p, numbers, key);
    order_by_key(p, first, key, next, number);
    for (size_t i = 0; i < pairs; i++) own->number[i] = number[own->number[i]];
    *out = own;
    own = NULL;
done:
    free(number);
    free(key);
    free(next);
    free(first);
    pair_numbers_free(own);
    return st;
}

void pair_numbers_free(struct pair_numbers *numbers)
{
    if (!numbers) return;
    free(numbers->strip_first);
    free(numbers->number);
    free(numbers);
}

size_t pair_numbers_bytes(const vic_pattern *p)
{
    return sizeof(struct pair_numbers) + ((size_t)p->strips + 1) * sizeof(int64_t) +
           ((size_t)p->info.pairs + NUMBER_PAD) * sizeof(uint32_t);
}
