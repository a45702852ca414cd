/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/masks.h"

#include "base/clock.h"
#include "base/memory.h"
#include "pattern/assemble.h"
#include "pattern/images.h"
#include "pattern/pattern.h"
#include "pattern/rectangles.h"

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
    return row_bits(low < 0 ? 0 : (int)low, high > STRIP ? STRIP : (int)high);
}

static vic_status blocks_strip(void *context, int64_t strip, int worker, struct block_list *out, vic_error *err)
{
    const struct source *s = context;
    const vic_pattern *p = s->p;
    const struct pattern_rule *rule = s->rule;
    int64_t first = strip * STRIP, end = first + STRIP < p->n_q ? first + STRIP : p->n_q;
    size_t before = out->n;
    (void)worker;
    for (int64_t row = first / rule->count; row * rule->count < end; row++) {
        uint64_t rows = rows_between(p, strip, row * rule->count, (row + 1) * rule->count);
        for (int64_t t = rule->ptr[row]; t < rule->ptr[row + 1]; t++) {
            int64_t key = rule->index[t] * rule->count, last = key + rule->count;
            TRY(block_list_add_rectangle(out, rows, key, last < p->n_k ? last : p->n_k, err));
        }
    }
    mask_blocks(p, rule, strip, out, before);
    return block_list_unite(out, before, err);
}

static vic_status windows_strip(void *context, int64_t strip, int worker, struct block_list *out, vic_error *err)
{
    const struct source *s = context;
    const vic_pattern *p = s->p;
    const struct pattern_rule *rule = s->rule;
    int64_t end = strip * STRIP + STRIP < p->n_q ? strip * STRIP + STRIP : p->n_q;
    size_t before = out->n;
    (void)worker;
    for (int64_t window = strip * STRIP / rule->count; window * rule->count < end; window++) {
        int64_t query = window * rule->count, key = query - (rule->keys - rule->count) / 2, last = key + rule->keys;
        TRY(block_list_add_rectangle(out, rows_between(p, strip, query, query + rule->count), key > 0 ? key : 0,
                                     last < p->n_k ? last : p->n_k, err));
    }
    mask_blocks(p, rule, strip, out, before);
    return block_list_unite(out, before, err);
}

static vic_status finish(vic_pattern *p, double start, strip_source *source, struct pool *pool, vic_error *err)
{
    struct source s = { p, &p->rules[0] };
    TRY(pattern_set_no_images(p, err));
    TRY(assemble(p, pool, source, &s, err));
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

vic_status pattern_from_blocks(const struct point_set *queries, const struct point_set *keys,
                               const struct block_mask *m, struct pool *pool, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds();
    struct pattern_rule *rule;
    vic_pattern *p;
    *out = NULL;
    if (m->block < CLUSTER || m->block % CLUSTER != 0 || m->block > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "block: expected a multiple of %d, got %lld", CLUSTER,
                        (long long)m->block);
    TRY(pattern_begin_plain(queries, keys, &p, err));
    int64_t rows = (p->n_q + m->block - 1) / m->block, columns = (p->n_k + m->block - 1) / m->block;
    TRY_GOTO(check_row_ptr(m, rows, err), done);
    if (m->row_ptr[rows] > 0 && !m->column) {
        st = vic_fail(err, VIC_BAD_ARGUMENT, "column is NULL, but row_ptr counts %lld blocks",
                      (long long)m->row_ptr[rows]);
        goto done;
    }
    TRY_GOTO(pattern_add_rule(p, RULE_BLOCKS, &rule, err), done);
    rule->count = m->block;
    TRY_GOTO(take_columns(m, rows, columns, rule, err), done);
    TRY_GOTO(rule_set_masks(p, rule, queries, keys, err), done);
    TRY_GOTO(finish(p, start, blocks_strip, pool, err), done);
    *out = p;
    p = NULL;
done:
    pattern_release(p);
    return st;
}

/* ---- windows ---- */

vic_status pattern_windows(const struct point_set *points, int64_t queries, int64_t keys, struct pool *pool,
                           vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds();
    struct pattern_rule *rule;
    vic_pattern *p;
    *out = NULL;
    if (queries < 1 || queries > INT32_MAX || keys < 1 || keys > INT32_MAX || (keys - queries) % 2 != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "windows: expected queries and keys of at least 1, both even or both odd so that the keys "
                        "can be centred, got %lld and %lld",
                        (long long)queries, (long long)keys);
    TRY(pattern_begin_plain(points, NULL, &p, err));
    TRY_GOTO(pattern_add_rule(p, RULE_WINDOWS, &rule, err), done);
    rule->count = queries;
    rule->keys = keys;
    TRY_GOTO(rule_set_masks(p, rule, points, NULL, err), done);
    TRY_GOTO(finish(p, start, windows_strip, pool, err), done);
    *out = p;
    p = NULL;
done:
    pattern_release(p);
    return st;
}
