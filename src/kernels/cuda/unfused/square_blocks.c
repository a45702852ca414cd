/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/unfused/square_blocks.h"

#include "base/memory.h"

#include <string.h>

enum { UNIT = 16, UNITS = STRIP / UNIT }; /* a unit is the smallest block; a strip has four rows of units */

/* The units of one (strip, cluster) that are whole: bit u for rows 16 u .. 16 u + 15 of the strip. */
struct column_units {
    int32_t cluster;
    unsigned units;
};

struct finder {
    const struct vic_pattern *p;
    struct column_units *units; /* [n_partial + n_full], by strip */
    int64_t *ptr;               /* [strips + 1] */
    int32_t *found;             /* [clusters] by block column: its units in the present block row */
    int32_t *columns;           /* [clusters] the block columns that have some */
};

static int64_t at_most(int64_t n, int64_t limit)
{
    return n < limit ? n : limit;
}

static vic_status not_square(const struct vic_pattern *p, int64_t strip, int64_t cluster, const char *why,
                             vic_error *err)
{
    return vic_fail(err, VIC_NO_KERNEL,
                    "attn_fwd_unfused computes whole square blocks of 128, 64, 32 or 16 rows, and this pattern %s: "
                    "first at rows %lld to %lld, keys %lld to %lld; do not request a kernel: attn_fwd_sm90 takes "
                    "any pattern",
                    why, (long long)(strip * STRIP), (long long)at_most(strip * STRIP + STRIP, p->n_q) - 1,
                    (long long)(cluster * CLUSTER), (long long)at_most(cluster * CLUSTER + CLUSTER, p->n_k) - 1);
}

/* Sets *units to the units of a partial block; returns false where a unit is neither whole nor empty. */
static bool whole_units(const struct vic_pattern *p, int64_t strip, int64_t cluster, const struct block_bits *bits,
                        unsigned *units)
{
    int keys = (int)at_most(CLUSTER, p->n_k - cluster * CLUSTER);
    *units = 0;
    for (int u = 0; u < UNITS; u++) {
        int64_t rows = at_most(UNIT, p->n_q - strip * STRIP - u * UNIT);
        if (rows <= 0) break;
        uint64_t all = (((uint64_t)1 << rows) - 1) << (u * UNIT);
        int whole = 0;
        for (int c = 0; c < keys; c++) {
            if ((bits->key[c] & all) == all)
                whole++;
            else if (bits->key[c] & all)
                return false;
        }
        if (whole != 0 && whole != keys) return false;
        *units |= (unsigned)(whole != 0) << u;
    }
    return true;
}

/* Fills f->units and f->ptr.  All pairs must have one image: two images of one key would need it twice in a row's
 * softmax. */
static vic_status find_units(struct finder *f, vic_error *err)
{
    const struct vic_pattern *p = f->p;
    int64_t n = 0;
    int32_t image = -1;
    for (int64_t s = 0; s < p->strips; s++) {
        f->ptr[s] = n;
        for (int64_t i = p->full_ptr[s]; i < p->full_ptr[s + 1]; i++) {
            const struct full_run *run = &p->full_runs[i];
            if (image >= 0 && run->image != image) return not_square(p, s, run->first, "has periodic images", err);
            image = run->image;
            for (int32_t c = 0; c < run->count; c++)
                f->units[n++] = (struct column_units){ run->first + c, (1u << UNITS) - 1 };
        }
        for (int64_t i = p->partial_ptr[s]; i < p->partial_ptr[s + 1]; i++) {
            struct column_units u = { p->partial_cluster[i], 0 };
            if (image >= 0 && p->partial_image[i] != image)
                return not_square(p, s, u.cluster, "has periodic images", err);
            image = p->partial_image[i];
            if (!whole_units(p, s, u.cluster, &p->partial_bits[i], &u.units))
                return not_square(p, s, u.cluster, "has other pairs", err);
            f->units[n++] = u;
        }
    }
    f->ptr[p->strips] = n;
    return VIC_OK;
}

static int compare_columns(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Lists the block columns of block row `row` in f->columns, with the units of each in f->found; returns how many. */
static int64_t list_columns(struct finder *f, int64_t row, int size)
{
    int64_t strip = row * size / STRIP, end = (row * size + size + STRIP - 1) / STRIP, n = 0;
    unsigned mask = (1u << UNITS) - 1;
    if (size < STRIP) mask = ((1u << size / UNIT) - 1) << (row * size % STRIP / UNIT);
    for (; strip < at_most(end, f->p->strips); strip++)
        for (int64_t i = f->ptr[strip]; i < f->ptr[strip + 1]; i++) {
            int64_t column = f->units[i].cluster / (size / CLUSTER);
            int units = __builtin_popcount(f->units[i].units & mask);
            if (units == 0) continue;
            if (f->found[column] == 0) f->columns[n++] = (int32_t)column;
            f->found[column] += units;
        }
    if (n > 0) qsort(f->columns, (size_t)n, sizeof *f->columns, compare_columns);
    return n;
}

/* Fills out->row_ptr, row and column; sets *fits to whether all blocks of this size are whole. */
static vic_status try_size(struct finder *f, int size, struct square_blocks *out, bool *fits, vic_error *err)
{
    const struct vic_pattern *p = f->p;
    *fits = true;
    out->size = size;
    out->rows = (p->n_q + size - 1) / size;
    out->columns = (p->n_k + size - 1) / size;
    out->count = 0;
    out->most = 0;
    TRY(mem_resize(&out->row_ptr, (size_t)(out->rows + 1), sizeof *out->row_ptr, "block rows", err));
    for (int64_t r = 0; r < out->rows; r++) {
        int64_t rows = (at_most(size, p->n_q - r * size) + UNIT - 1) / UNIT, n = list_columns(f, r, size);
        out->row_ptr[r] = (int32_t)out->count;
        if (n > INT32_MAX - out->count) return vic_fail(err, VIC_NO_MEMORY, "out of memory: more than 2^31 blocks");
        for (int64_t i = 0; i < n; i++) {
            int64_t column = f->columns[i], keys = (at_most(size, p->n_k - column * size) + CLUSTER - 1) / CLUSTER;
            *fits = *fits && f->found[column] == rows * keys;
            f->found[column] = 0;
            if (!*fits) continue; /* but go on: the counts must be zero again for the next size */
            out->row[out->count] = (int32_t)r;
            out->column[out->count++] = (int32_t)column;
        }
        if (n > out->most) out->most = (int32_t)n;
        if (!*fits) return VIC_OK;
    }
    out->row_ptr[out->rows] = (int32_t)out->count;
    return VIC_OK;
}

vic_status square_blocks_find(const struct vic_pattern *p, struct square_blocks *out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct finder f = { .p = p };
    size_t columns = (size_t)(p->clusters > 0 ? p->clusters : 1), blocks = (size_t)(p->n_partial + p->n_full);
    bool fits = false;
    memset(out, 0, sizeof *out);
    TRY_GOTO(mem_array(blocks, sizeof *f.units, "blocks", &f.units, err), done);
    TRY_GOTO(mem_array((size_t)(p->strips + 1), sizeof *f.ptr, "strips", &f.ptr, err), done);
    TRY_GOTO(find_units(&f, err), done);
    TRY_GOTO(mem_array_zero(columns, sizeof *f.found, "block columns", &f.found, err), done);
    TRY_GOTO(mem_array(columns, sizeof *f.columns, "block columns", &f.columns, err), done);
    /* A unit belongs to one block, whatever the size. */
    TRY_GOTO(mem_array(blocks * UNITS, sizeof *out->row, "blocks", &out->row, err), done);
    TRY_GOTO(mem_array(blocks * UNITS, sizeof *out->column, "blocks", &out->column, err), done);
    for (int size = 128; size >= UNIT && !fits; size /= 2) TRY_GOTO(try_size(&f, size, out, &fits, err), done);
done:
    free(f.columns);
    free(f.found);
    free(f.ptr);
    free(f.units);
    if (st != VIC_OK) square_blocks_free(out);
    return st;
}

void square_blocks_free(struct square_blocks *b)
{
    free(b->column);
    free(b->row);
    free(b->row_ptr);
    memset(b, 0, sizeof *b);
}
