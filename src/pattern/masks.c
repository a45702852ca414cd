/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/masks.h"

#include "base/clock.h"
#include "base/memory.h"
#include "pattern/pattern.h"

#include <string.h>

/* ---- sources ---- */

struct source {
    const vic_pattern *p;
    const struct pattern_rule *rule;
};

/* Bits of rows first .. end - 1 of those of a strip. */
static uint64_t rows_between(const vic_pattern *p, int64_t strip, int64_t first, int64_t end)
{
    int64_t low = first - strip * STRIP, high = (end < p->n_q ? end : p->n_q) - strip * STRIP;
    uint64_t below_high = high >= STRIP ? UINT64_MAX : ((uint64_t)1 << high) - 1;
    return low <= 0 ? below_high : below_high & ~(((uint64_t)1 << low) - 1);
}

/* Take out what takes no part. */
static void skip_entries(const struct source *s, int64_t strip, struct block_entries *e)
{
    const vic_pattern *p = s->p;
    uint64_t rows;
    if (!s->rule->q_skip && !s->rule->k_skip) return;
    rows = skip_rows(p, s->rule->q_skip, strip);
    for (size_t i = 0; i < e->n; i++)
        for (int c = 0; c < CLUSTER; c++) {
            int64_t key = (int64_t)e->list[i].cluster * CLUSTER + c;
            bool out = key >= p->n_k || skip_key(p, s->rule->k_skip, key);
            e->list[i].bits.key[c] = out ? 0 : e->list[i].bits.key[c] & rows;
        }
}

static vic_status blocks_strip(void *context, int64_t strip, int worker, struct block_entries *out, vic_error *err)
{
    const struct source *s = context;
    const vic_pattern *p = s->p;
    const struct pattern_rule *rule = s->rule;
    int64_t first = strip * STRIP, end = first + STRIP < p->n_q ? first + STRIP : p->n_q;
    (void)worker;
    for (int64_t row = first / rule->count; row * rule->count < end; row++) {
        uint64_t rows = rows_between(p, strip, row * rule->count, (row + 1) * rule->count);
        for (int64_t t = rule->ptr[row]; t < rule->ptr[row + 1]; t++) {
            int64_t key = rule->index[t] * rule->count, last = key + rule->count;
            TRY(entries_add_rectangle(out, rows, key, last < p->n_k ? last : p->n_k, err));
        }
    }
    skip_entries(s, strip, out);
    return VIC_OK;
}

static vic_status windows_strip(void *context, int64_t strip, int worker, struct block_entries *out, vic_error *err)
{
    const struct source *s = context;
    const vic_pattern *p = s->p;
    const struct pattern_rule *rule = s->rule;
    int64_t end = strip * STRIP + STRIP < p->n_q ? strip * STRIP + STRIP : p->n_q;
    (void)worker;
    for (int64_t window = strip * STRIP / rule->count; window * rule->count < end; window++) {
        int64_t query = window * rule->count, key = query - (rule->keys - rule->count) / 2, last = key + rule->keys;
        TRY(entries_add_rectangle(out, rows_between(p, strip, query, query + rule->count), key > 0 ? key : 0,
                                  last < p->n_k ? last : p->n_k, err));
    }
    skip_entries(s, strip, out);
    return VIC_OK;
}

static vic_status finish(vic_pattern *p, double start, strip_source *source, struct pool *pool, vic_error *err)
{
    struct source s = { p, &p->rules[0] };
    TRY(frame_set_no_images(p, err));
    TRY(assemble(p, pool, source, &s, err));
    TRY(pattern_finish(p, pool, err));
    p->info.seconds_build = clock_seconds() - start;
    return VIC_OK;
}

/* ---- block masks ---- */

static int by_number(const void *a, const void *b)
{
    int32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static vic_status check_row_ptr(const struct block_mask *m, int64_t rows, vic_error *err)
{
    if (m->row_ptr[0] != 0)
        return vic_fail(err, VIC_BAD_INPUT, "row_ptr[0]: expected 0, found %lld", (long long)m->row_ptr[0]);
    for (int64_t i = 0; i < rows; i++)
        if (m->row_ptr[i + 1] < m->row_ptr[i])
            return vic_fail(err, VIC_BAD_INPUT, "row_ptr[%lld]: expected at least %lld, as before it, found %lld",
                            (long long)i + 1, (long long)m->row_ptr[i], (long long)m->row_ptr[i + 1]);
    return VIC_OK;
}

static vic_status take_columns(const struct block_mask *m, int64_t rows, int64_t columns, struct pattern_rule *rule,
                               vic_error *err)
{
    int64_t *ptr;
    int32_t *column;
    TRY(mem_array((size_t)rows + 1, sizeof *ptr, "block rows", &ptr, err));
    rule->ptr = ptr;
    rule->rows = rows;
    memcpy(ptr, m->row_ptr, ((size_t)rows + 1) * sizeof *ptr);
    TRY(mem_array((size_t)ptr[rows], sizeof *column, "blocks", &column, err));
    rule->index = column;
    rule->n = ptr[rows];
    if (rule->n > 0) memcpy(column, m->column, (size_t)rule->n * sizeof *column);
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t i = ptr[row]; i < ptr[row + 1]; i++)
            if (column[i] < 0 || column[i] >= columns)
                return vic_fail(err, VIC_BAD_INPUT, "column[%lld], in block row %lld: expected 0 to %lld, found %d",
                                (long long)i, (long long)row, (long long)columns - 1, column[i]);
        qsort(column + ptr[row], (size_t)(ptr[row + 1] - ptr[row]), sizeof *column, by_number);
        for (int64_t i = ptr[row] + 1; i < ptr[row + 1]; i++)
            if (column[i] == column[i - 1])
                return vic_fail(err, VIC_BAD_INPUT, "block row %lld: expected each column once, found %d twice",
                                (long long)row, column[i]);
    }
    return VIC_OK;
}

vic_status pattern_from_blocks(const struct block_mask *m, const uint8_t *q_skip, const uint8_t *k_skip,
                               struct pool *pool, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds();
    struct frame_input frame = { .n_q = m->n_q, .n_k = m->n_k, .one_set = m->one_set };
    struct pattern_rule *rule;
    vic_pattern *p;
    *out = NULL;
    if (m->block < CLUSTER || m->block % CLUSTER != 0 || m->block > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "block: expected a multiple of %d, got %lld", CLUSTER,
                        (long long)m->block);
    TRY(frame_make(&frame, pool, NULL, &p, err));
    int64_t rows = (p->n_q + m->block - 1) / m->block, columns = (p->n_k + m->block - 1) / m->block;
    TRY_GOTO(check_row_ptr(m, rows, err), done);
    if (m->row_ptr[rows] > 0 && !m->column) {
        st = vic_fail(err, VIC_BAD_ARGUMENT, "column is NULL, but row_ptr counts %lld blocks",
                      (long long)m->row_ptr[rows]);
        goto done;
    }
    TRY_GOTO(frame_add_rule(p, RULE_BLOCKS, &rule, err), done);
    rule->count = m->block;
    TRY_GOTO(take_columns(m, rows, columns, rule, err), done);
    TRY_GOTO(frame_set_skip(p, rule, q_skip, k_skip, err), done);
    TRY_GOTO(finish(p, start, blocks_strip, pool, err), done);
    *out = p;
    p = NULL;
done:
    pattern_release(p);
    return st;
}

/* ---- windows ---- */

vic_status pattern_windows(int64_t atoms, int64_t queries, int64_t keys, const uint8_t *skip, struct pool *pool,
                           vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds();
    struct frame_input frame = { .n_q = atoms, .one_set = true };
    struct pattern_rule *rule;
    vic_pattern *p;
    *out = NULL;
    if (queries < 1 || queries > INT32_MAX || keys < 1 || keys > INT32_MAX || (keys - queries) % 2 != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "windows: expected queries and keys of at least 1, both even or both odd so that the keys "
                        "can "
                        "be centred, got %lld and %lld",
                        (long long)queries, (long long)keys);
    TRY(frame_make(&frame, pool, NULL, &p, err));
    TRY_GOTO(frame_add_rule(p, RULE_WINDOWS, &rule, err), done);
    rule->count = queries;
    rule->keys = keys;
    TRY_GOTO(frame_set_skip(p, rule, skip, NULL, err), done);
    TRY_GOTO(finish(p, start, windows_strip, pool, err), done);
    *out = p;
    p = NULL;
done:
    pattern_release(p);
    return st;
}
