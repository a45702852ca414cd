/* SPDX-License-Identifier: Apache-2.0 */
/* The two kinds of products: a section of attention_body.h and attention_backward_body.h, compiled with them for each
 * instruction set.  A row of the chunk times the 16 rows of a group gives 16 numbers; and rows of the chunk times such
 * numbers, added up, give 16 rows.
 *
 * Needs chunks_body.h, and from who includes it: STEP_KEYS, STEP_COLUMNS. */
#ifndef UNROLL
#error "products_body.h is a section of attention_body.h and attention_backward_body.h: include one of these"
#endif
#include "kernels/cpu/attention_cpu.h"
#include "kernels/cpu/vector.h"

INLINE void prefetch_row(const float *row, int d)
{
    for (int c = 0; c < d; c += 16) __builtin_prefetch(row + c);
}

/* dot[u] = row[u] . own for the group's rows `own`, which are [d, GROUP_ROWS]. */
INLINE void dot_products(int d, const float *own, const float *const row[STEP_KEYS], vf dot[STEP_KEYS][VECTORS])
{
    /* clang-format off */
    UNROLL for (int u = 0; u < STEP_KEYS; u++)
        UNROLL for (int w = 0; w < VECTORS; w++)
            dot[u][w] = (vf){ 0 };
    for (int c = 0; c < d; c++) {
        const vf *q = (const vf *)(own + c * GROUP_ROWS);
        UNROLL for (int u = 0; u < STEP_KEYS; u++)
            UNROLL for (int w = 0; w < VECTORS; w++)
                dot[u][w] += q[w] * row[u][c];
    }
    /* clang-format on */
}

/* The columns of a value as a struct, so that each is at a constant offset from one pointer: for v[u] GCC keeps an
 * offset register per column, and spills them. */
struct columns {
    float x[STEP_COLUMNS];
};

/* accumulate() for `columns` columns from `first` on. */
INLINE void accumulate_columns(const int columns, int first, bool careful, int keys, const struct group_key *key,
                               float (*weights)[GROUP_ROWS], const float *const *rows, const vf shrink[VECTORS],
                               float *sum)
{
    vf chunk_sum[STEP_COLUMNS][VECTORS];
    /* clang-format off */
    UNROLL for (int u = 0; u < columns; u++)
        UNROLL for (int w = 0; w < VECTORS; w++)
            chunk_sum[u][w] = (vf){ 0 };
    for (int i = 0; i < keys; i++) {
        const struct columns *v = (const void *)(rows[key[i].index] + first);
        const vf *p = (const vf *)weights[i];
        UNROLL for (int u = 0; u < columns; u++)
            UNROLL for (int w = 0; w < VECTORS; w++) {
                if (careful)
                    chunk_sum[u][w] += p[w] * vec_select(lanes_in(key[i].bits, w), vec_fill(v->x[u]), (vf){ 0 });
                else
                    chunk_sum[u][w] += p[w] * v->x[u];
            }
    }
    UNROLL for (int u = 0; u < columns; u++)
        UNROLL for (int w = 0; w < VECTORS; w++) {
            vf *to = (vf *)(sum + (first + u) * GROUP_ROWS) + w;
            *to = *to * shrink[w] + chunk_sum[u][w];
        }
    /* clang-format on */
}

/* sum = sum * shrink + P V, where P are the `weights` of a group's keys, and rows[] those of V by a key's index in the
 * chunk. */
INLINE void accumulate(int d, bool careful, int keys, const struct group_key *key, float (*weights)[GROUP_ROWS],
                       const float *const *rows, const vf shrink[VECTORS], float *sum)
{
    int c = 0;
    for (; c + STEP_COLUMNS <= d; c += STEP_COLUMNS)
        accumulate_columns(STEP_COLUMNS, c, careful, keys, key, weights, rows, shrink, sum);
#if STEP_COLUMNS > 8
    if (c < d)
        accumulate_columns(8, c, careful, keys, key, weights, rows, shrink, sum); /* head sizes are multiples of 8 */
#endif
}
