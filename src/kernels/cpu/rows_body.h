/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: a section of attention_body.h and attention_backward_body.h, compiled with them for each instruction set.  It
 * reads queries, keys and values from the caller's memory, prefetches them, and stores results there.
 *
 * Needs chunks_body.h. */
#ifndef UNROLL
#error "rows_body.h is a section of attention_body.h and attention_backward_body.h: include one of these"
#endif
#include "base/half.h"
#include "kernels/cpu/attention_cpu.h"
#include "kernels/cpu/vector.h"

#include <string.h>

static void convert(int n, vic_dtype dtype, const void *from, float *restrict to)
{
    const uint16_t *half = from;
    if (dtype == VIC_F32)
        memcpy(to, from, (size_t)n * sizeof(float));
    else if (dtype == VIC_F16)
        for (int i = 0; i < n; i++) to[i] = f32_from_f16(half[i]);
    else
        for (int i = 0; i < n; i++) to[i] = f32_from_bf16(half[i]);
}

static void *row_of(const struct attention_tensor *t, vic_dtype dtype, int64_t row, int head)
{
    int64_t element = row * t->row_stride + head * t->head_stride;
    return (char *)t->data + element * (dtype == VIC_F32 ? 4 : 2);
}

/* Sets s->k_row and s->v_row for the chunk's keys. */
static void find_rows(const struct cpu_run *run, int kv_head, struct strip_scratch *s)
{
    const struct attention_args *a = run->args;
    const struct attention_shape *shape = run->shape;
    for (int key = 0; key < s->chunk_keys; key++) {
        int64_t row = a->k_rows ? a->k_rows[s->key_rows[key]] : s->key_rows[key];
        const void *k = row_of(&a->k, shape->dtype, row, kv_head), *v = row_of(&a->v, shape->dtype, row, kv_head);
        if (shape->dtype == VIC_F32) {
            s->k_row[key] = k;
            s->v_row[key] = v;
        } else {
            float *k_float = s->k_float + (size_t)key * (size_t)shape->d_qk;
            float *v_float = s->v_float + (size_t)key * (size_t)shape->d_v;
            convert(shape->d_qk, shape->dtype, k, k_float);
            convert(shape->d_v, shape->dtype, v, v_float);
            s->k_row[key] = k_float;
            s->v_row[key] = v_float;
        }
    }
}

/* Prefetches d numbers of a query's row, all heads: nothing else waits for memory as long as they do. */
static void prefetch_queries(const struct cpu_run *run, const struct attention_tensor *t, int d, int64_t row)
{
    const int32_t *q_rows = run->args->q_rows;
    vic_dtype dtype = run->shape->dtype;
    int bytes = d * (dtype == VIC_F32 ? 4 : 2);
    if (row >= run->pattern->n_q) return;
    for (int head = 0; head < run->shape->heads; head++) {
        const char *at = row_of(t, dtype, q_rows ? q_rows[row] : row, head);
        for (int byte = 0; byte < bytes; byte += 64) __builtin_prefetch(at + byte);
    }
}

INLINE void prefetch_bytes(const struct attention_tensor *t, vic_dtype dtype, int64_t row, int head, int d)
{
    const char *at = row_of(t, dtype, row, head);
    for (int byte = 0; byte < d * (dtype == VIC_F32 ? 4 : 2); byte += 64) __builtin_prefetch(at + byte, 0, 2);
}

/* Prefetches some more of what the next strip reads (its own rows are most of its keys), and of the memory that this
 * strip's results go to: a few rows at a time, between the arithmetic, which takes longer than they do. */
static void prefetch_ahead(const struct cpu_run *run, int64_t strip, struct strip_scratch *s)
{
    const struct attention_args *a = run->args, *n = run->next_args;
    const struct attention_shape *shape = run->shape;
    for (int i = 0; i < HEAD_ROWS_AHEAD; i++) {
        int64_t row = strip * STRIP + s->ahead_row, next = s->next_strip * STRIP + s->ahead_row;
        int head = s->ahead_head;
        if (s->ahead_row == STRIP) return;
        if (++s->ahead_head == shape->heads) {
            s->ahead_head = 0;
            s->ahead_row++;
        }
        if (row < run->pattern->n_q && a->out.data)
            prefetch_bytes(&a->out, shape->dtype, a->q_rows ? a->q_rows[row] : row, head, shape->d_v);
        if (s->next_strip < 0) continue;
        if (next < run->pattern->n_q)
            prefetch_bytes(&n->q, shape->dtype, n->q_rows ? n->q_rows[next] : next, head, shape->d_qk);
        if (head >= shape->kv_heads || !run->pattern->one_set || next >= run->pattern->n_k) continue;
        next = n->k_rows ? n->k_rows[next] : next;
        prefetch_bytes(&n->k, shape->dtype, next, head, shape->d_qk);
        prefetch_bytes(&n->v, shape->dtype, next, head, shape->d_v);
    }
}

/* A group's rows lie as [d / 4][row % 4][row / 4][4] before vec_transpose() makes [d][GROUP_ROWS] of them, and after
 * it has made that of [d][GROUP_ROWS].  These write and read the d values of one row there. */
INLINE void scatter_row(int d, const float *row, int r, float *group)
{
    float *to = group + r % 4 * GROUP_ROWS + r / 4 * 4;
    for (int c = 0; c < d; c += 4) memcpy(to + c * GROUP_ROWS, row + c, 4 * sizeof *row);
}

INLINE void gather_row(int d, const float *group, int r, float *row)
{
    const float *from = group + r % 4 * GROUP_ROWS + r / 4 * 4;
    for (int c = 0; c < d; c += 4) memcpy(row + c, from + c * GROUP_ROWS, 4 * sizeof *row);
}

/* Sets `to` [heads, STRIP_GROUPS, d, GROUP_ROWS] to the strip's rows of a tensor [n_q, heads, d], transposed, so that
 * the vectors of a group hold one element of its 16 rows.  Rows past the end are 0. */
static void load_rows(const struct cpu_run *run, const struct attention_tensor *t, int d, int64_t strip, float *to)
{
    const int32_t *q_rows = run->args->q_rows;
    vic_dtype dtype = run->shape->dtype;
    static const float zeros[DIM_MAX];
    float row_values[DIM_MAX];
    for (int r = 0; r < ROWS_AHEAD; r++) prefetch_queries(run, t, d, strip * STRIP + r);
    for (int g = 0; g < STRIP_GROUPS; g++) {
        for (int r = 0; r < GROUP_ROWS; r++) {
            int64_t row = strip * STRIP + g * GROUP_ROWS + r, at = row;
            prefetch_queries(run, t, d, row + ROWS_AHEAD);
            if (row < run->pattern->n_q && q_rows) at = q_rows[row];
            for (int head = 0; head < run->shape->heads; head++) {
                const void *from = row >= run->pattern->n_q ? zeros : row_of(t, dtype, at, head);
                if (dtype != VIC_F32 && from != zeros) {
                    convert(d, dtype, from, row_values);
                    from = row_values;
                }
                scatter_row(d, from, r, to + ((size_t)head * STRIP_GROUPS + (size_t)g) * GROUP_ROWS * (size_t)d);
            }
        }
        for (int head = 0; head < run->shape->heads; head++) {
            vf *x = (vf *)(to + ((size_t)head * STRIP_GROUPS + (size_t)g) * GROUP_ROWS * (size_t)d);
            for (int c = 0; c < d; c += 4, x += 4 * VECTORS)
                UNROLL for (int w = 0; w < VECTORS; w++)
                    vec_transpose(x + w, x + VECTORS + w, x + 2 * VECTORS + w, x + 3 * VECTORS + w);
        }
    }
}

/* Stores row r of a group that lies as for gather_row(). */
INLINE void store_row(const struct attention_tensor *t, vic_dtype dtype, int64_t row, int head, int d,
                      const float *group, int r)
{
    void *to = row_of(t, dtype, row, head);
    float row_values[DIM_MAX];
    gather_row(d, group, r, dtype == VIC_F32 ? to : row_values);
    if (dtype == VIC_F16)
        for (int c = 0; c < d; c++) ((uint16_t *)to)[c] = f16_from_f32(row_values[c]);
    else if (dtype == VIC_BF16)
        for (int c = 0; c < d; c++) ((uint16_t *)to)[c] = bf16_from_f32(row_values[c]);
}
