/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/block_list.h"

#include "base/memory.h"

#include <string.h>

void block_list_clear(struct block_list *l)
{
    l->n = l->n_runs = 0;
    l->n_pairs = l->n_full = l->boundary_pairs = 0;
    memset(l->partial_count, 0, sizeof l->partial_count);
    memset(l->run_count, 0, sizeof l->run_count);
}

void block_list_free(struct block_list *l)
{
    free(l->cluster);
    free(l->image);
    free(l->bits);
    free(l->pairs);
    free(l->runs);
}

/* ---- blocks as they are found ---- */

vic_status block_list_room(struct block_list *l, size_t more, vic_error *err)
{
    size_t needed = l->n + more, capacity = l->capacity + l->capacity / 2;
    if (needed <= l->capacity) return VIC_OK;
    if (capacity < needed) capacity = needed;
    TRY(mem_resize(&l->cluster, capacity, sizeof *l->cluster, "blocks", err));
    TRY(mem_resize(&l->image, capacity, sizeof *l->image, "blocks", err));
    TRY(mem_resize(&l->bits, capacity, sizeof *l->bits, "block masks", err));
    TRY(mem_resize(&l->pairs, capacity, sizeof *l->pairs, "blocks", err));
    l->capacity = capacity;
    return VIC_OK;
}

vic_status block_list_add(struct block_list *l, int32_t cluster, int32_t image, const struct block_bits *bits,
                          vic_error *err)
{
    TRY(block_list_room(l, 1, err));
    l->cluster[l->n] = cluster;
    l->image[l->n] = image;
    l->bits[l->n++] = *bits;
    return VIC_OK;
}

vic_status block_list_add_rectangle(struct block_list *l, uint64_t rows, int64_t first, int64_t end, vic_error *err)
{
    for (int64_t cluster = first / CLUSTER; rows && cluster * CLUSTER < end; cluster++) {
        struct block_bits bits;
        for (int c = 0; c < CLUSTER; c++) {
            int64_t key = cluster * CLUSTER + c;
            bits.key[c] = key >= first && key < end ? rows : 0;
        }
        TRY(block_list_add(l, (int32_t)cluster, 0, &bits, err));
    }
    return VIC_OK;
}

/* ---- one block for each (cluster, image) ---- */

/* Blocks are large, so these are sorted, and the blocks moved once. */
struct place {
    uint64_t value;
    size_t index;
};

static uint64_t place_value(const struct block_list *l, size_t i)
{
    return (uint64_t)(uint32_t)l->cluster[i] << 32 | (uint32_t)l->image[i];
}

static int by_value(const void *a, const void *b)
{
    const struct place *p = a, *q = b;
    return (p->value > q->value) - (p->value < q->value);
}

static bool is_sorted(const struct block_list *l, size_t first)
{
    for (size_t i = first + 1; i < l->n; i++)
        if (place_value(l, i - 1) > place_value(l, i)) return false;
    return true;
}

static vic_status sort_blocks(struct block_list *l, size_t first, vic_error *err)
{
    vic_status st = VIC_OK;
    size_t n = l->n - first;
    struct place *places = NULL;
    struct block_bits *sorted = NULL;
    TRY_GOTO(mem_array(n, sizeof *places, "blocks of a strip", &places, err), done);
    TRY_GOTO(mem_array(n, sizeof *sorted, "blocks of a strip", &sorted, err), done);
    for (size_t i = 0; i < n; i++) places[i] = (struct place){ place_value(l, first + i), first + i };
    qsort(places, n, sizeof *places, by_value);
    for (size_t i = 0; i < n; i++) {
        sorted[i] = l->bits[places[i].index];
        l->cluster[first + i] = (int32_t)(places[i].value >> 32);
        l->image[first + i] = (int32_t)(places[i].value & UINT32_MAX);
    }
    memcpy(l->bits + first, sorted, n * sizeof *sorted);
done:
    free(sorted);
    free(places);
    return st;
}

static void move_block(struct block_list *l, size_t from, size_t to)
{
    if (from == to) return;
    l->cluster[to] = l->cluster[from];
    l->image[to] = l->image[from];
    l->bits[to] = l->bits[from];
    l->pairs[to] = l->pairs[from];
}

vic_status block_list_unite(struct block_list *l, size_t first, vic_error *err)
{
    size_t kept = first;
    if (!is_sorted(l, first)) TRY(sort_blocks(l, first, err));
    for (size_t i = first, end; i < l->n; i = end) {
        struct block_bits *bits = &l->bits[i];
        for (end = i + 1; end < l->n && place_value(l, end) == place_value(l, i); end++)
            for (int c = 0; c < CLUSTER; c++) bits->key[c] |= l->bits[end].key[c];
        l->pairs[i] = (uint16_t)block_pairs(bits);
        if (l->pairs[i] > 0) move_block(l, i, kept++);
    }
    l->n = kept;
    return VIC_OK;
}

size_t block_list_find(const struct block_list *l, size_t first, int32_t cluster)
{
    size_t low = first, high = l->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->cluster[middle] < cluster)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void block_list_drop_empty(struct block_list *l, size_t first)
{
    size_t kept = first;
    for (size_t i = first; i < l->n; i++)
        if (l->pairs[i] > 0) move_block(l, i, kept++);
    l->n = kept;
}

void block_list_subtract(struct block_list *l, size_t first, const struct block_list *other)
{
    size_t j = 0;
    for (size_t i = first; i < l->n; i++) {
        while (j < other->n && place_value(other, j) < place_value(l, i)) j++;
        if (j == other->n || place_value(other, j) != place_value(l, i)) continue;
        for (int c = 0; c < CLUSTER; c++) l->bits[i].key[c] &= ~other->bits[j].key[c];
        l->pairs[i] = (uint16_t)block_pairs(&l->bits[i]);
    }
    block_list_drop_empty(l, first);
}

/* ---- full and partial ones ---- */

static vic_status add_full(struct block_list *l, int64_t *strip_runs, int32_t cluster, int32_t image, vic_error *err)
{
    struct full_run *last = *strip_runs > 0 ? &l->runs[l->n_runs - 1] : NULL;
    l->n_full++;
    if (last && last->image == image && last->first + last->count == cluster) {
        last->count++;
        return VIC_OK;
    }
    TRY(mem_grow(&l->runs, &l->run_capacity, l->n_runs + 1, sizeof *l->runs, "runs of full blocks", err));
    l->runs[l->n_runs++] = (struct full_run){ cluster, 1, image };
    ++*strip_runs;
    return VIC_OK;
}

vic_status block_list_close(struct block_list *l, size_t first, int number, vic_error *err)
{
    size_t kept = first;
    l->run_count[number] = 0;
    for (size_t i = first; i < l->n; i++) {
        l->n_pairs += l->pairs[i];
        if (l->pairs[i] == BLOCK)
            TRY(add_full(l, &l->run_count[number], l->cluster[i], l->image[i], err));
        else
            move_block(l, i, kept++);
    }
    l->n = kept;
    l->partial_count[number] = (int64_t)(kept - first);
    return VIC_OK;
}
