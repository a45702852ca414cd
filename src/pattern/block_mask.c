/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/block_mask.h"

#include "base/memory.h"
#include "contract/block_walk.h"

#include <string.h>

enum { GROUP = 16, GROUPS = STRIP / GROUP }; /* rows that no boundary of a block cuts */

/* The bits of a cluster's keys, images united. */
struct united {
    int32_t cluster;
    struct block_bits bits;
};

struct builder {
    const vic_pattern *p;
    int64_t rows, keys;
    const struct block_mask_arrays *out;
    struct united *clusters; /* of the strip at hand, n of them; grows */
    size_t n, capacity;
    int32_t *slot;    /* [clusters] number in clusters[] + 1; 0 = not there */
    int64_t *pairs;   /* [columns] of the block row at hand, zero where nothing is */
    int32_t *columns; /* those with pairs, n_columns of them */
    int64_t n_columns;
};

static vic_status unite_strip(struct builder *b, int64_t strip, vic_error *err)
{
    b->n = 0;
    for (struct block_walk w = block_walk_start(b->p, strip); block_walk_next(&w);) {
        if (b->slot[w.cluster] == 0) {
            TRY(mem_grow(&b->clusters, &b->capacity, b->n + 1, sizeof *b->clusters, "clusters of a strip", err));
            b->clusters[b->n].cluster = w.cluster;
            b->clusters[b->n++].bits = *w.bits;
            b->slot[w.cluster] = (int32_t)b->n;
            continue;
        }
        struct block_bits *bits = &b->clusters[b->slot[w.cluster] - 1].bits;
        for (int c = 0; c < CLUSTER; c++) bits->key[c] |= w.bits->key[c];
    }
    for (size_t i = 0; i < b->n; i++) b->slot[b->clusters[i].cluster] = 0;
    return VIC_OK;
}

static void count_group(struct builder *b, int group)
{
    for (size_t i = 0; i < b->n; i++) {
        int32_t column = (int32_t)((int64_t)b->clusters[i].cluster * CLUSTER / b->keys);
        int pairs = 0;
        for (int c = 0; c < CLUSTER; c++)
            pairs += __builtin_popcountll((b->clusters[i].bits.key[c] >> (group * GROUP)) & 0xffff);
        if (pairs > 0 && b->pairs[column] == 0) b->columns[b->n_columns++] = column;
        b->pairs[column] += pairs;
    }
}

static int64_t size_of(int64_t n, int64_t size, int64_t number)
{
    return n - number * size < size ? n - number * size : size;
}

static int by_number(const void *a, const void *b)
{
    int32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static void put(int32_t *indices, int64_t stride, int64_t row, int32_t *count, int32_t column)
{
    if (indices && *count < stride) indices[row * stride + *count] = column;
    ++*count;
}

/* The block row is complete. */
static vic_status end_row(struct builder *b, int64_t row, vic_error *err)
{
    const struct block_mask_arrays *out = b->out;
    int64_t all = size_of(b->p->n_q, b->rows, row), stride = out->stride;
    int32_t some = 0, full = 0;
    if (b->n_columns > 0) qsort(b->columns, (size_t)b->n_columns, sizeof *b->columns, by_number);
    if (out->kv_indices) memset(out->kv_indices + row * stride, 0, (size_t)stride * sizeof(int32_t));
    if (out->full_kv_indices) memset(out->full_kv_indices + row * stride, 0, (size_t)stride * sizeof(int32_t));
    for (int64_t i = 0; i < b->n_columns; i++) {
        int32_t column = b->columns[i];
        if (b->pairs[column] == all * size_of(b->p->n_k, b->keys, column))
            put(out->full_kv_indices, stride, row, &full, column);
        else
            put(out->kv_indices, stride, row, &some, column);
        b->pairs[column] = 0;
    }
    b->n_columns = 0;
    out->kv_num_blocks[row] = some;
    out->full_kv_num_blocks[row] = full;
    if ((out->kv_indices && some > stride) || (out->full_kv_indices && full > stride))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "stride: block row %lld has %d blocks, expected room for them, got %lld", (long long)row,
                        some > full ? some : full, (long long)stride);
    return VIC_OK;
}

static vic_status build(struct builder *b, vic_error *err)
{
    int64_t groups = (b->p->n_q + GROUP - 1) / GROUP, per_row = b->rows / GROUP;
    for (int64_t g = 0; g < groups; g++) {
        if (g % GROUPS == 0) TRY(unite_strip(b, g / GROUPS, err));
        count_group(b, (int)(g % GROUPS));
        if (g % per_row == per_row - 1 || g == groups - 1) TRY(end_row(b, g / per_row, err));
    }
    return VIC_OK;
}

vic_status pattern_block_mask(const vic_pattern *p, int64_t rows, int64_t keys, const struct block_mask_arrays *out,
                              vic_error *err)
{
    vic_status st = VIC_OK;
    struct builder b = { .p = p, .rows = rows, .keys = keys, .out = out };
    if (rows < GROUP || rows % GROUP != 0 || keys < CLUSTER || keys % CLUSTER != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "rows, keys: expected multiples of %d, got %lld and %lld", GROUP,
                        (long long)rows, (long long)keys);
    size_t columns = (size_t)block_mask_count(p->n_k, keys);
    TRY_GOTO(mem_array_zero((size_t)p->clusters, sizeof *b.slot, "clusters", &b.slot, err), done);
    TRY_GOTO(mem_array_zero(columns, sizeof *b.pairs, "block columns", &b.pairs, err), done);
    TRY_GOTO(mem_array(columns, sizeof *b.columns, "block columns", &b.columns, err), done);
    TRY_GOTO(build(&b, err), done);
done:
    free(b.columns);
    free(b.pairs);
    free(b.slot);
    free(b.clusters);
    return st;
}
