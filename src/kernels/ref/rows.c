/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ref/rows.h"

#include "base/half.h"
#include "contract/block_walk.h"

#include <string.h>

void ref_atom_rows(int64_t n, const int32_t *order, const int32_t *rows, int32_t *row_of_atom)
{
    for (int64_t row = 0; row < n; row++) row_of_atom[order ? order[row] : row] = rows ? rows[row] : (int32_t)row;
}

/* Not one by one: a choice and a call for each element is most of the work in a build with sanitizers. */
void ref_read(const struct attention_tensor *t, vic_dtype dtype, int64_t row, int head, int n, double *to)
{
    const int64_t at = row * t->row_stride + head * t->head_stride;
    if (dtype == VIC_F32) {
        const float *from = (const float *)t->data + at;
        for (int c = 0; c < n; c++) to[c] = from[c];
        return;
    }
    const uint16_t *from = (const uint16_t *)t->data + at;
    for (int c = 0; c < n; c++) to[c] = dtype == VIC_F16 ? f32_from_f16(from[c]) : f32_from_bf16(from[c]);
}

void ref_write(const struct attention_tensor *t, vic_dtype dtype, int64_t row, int head, int n, const double *from)
{
    const int64_t at = row * t->row_stride + head * t->head_stride;
    for (int c = 0; c < n; c++) {
        const float x = (float)from[c];
        if (dtype == VIC_F32)
            ((float *)t->data)[at + c] = x;
        else
            ((uint16_t *)t->data)[at + c] = dtype == VIC_F16 ? f16_from_f32(x) : bf16_from_f32(x);
    }
}

void ref_first_pairs(const struct vic_pattern *p, int64_t *first)
{
    memset(first, 0, ((size_t)p->n_q + 1) * sizeof *first);
    for (int64_t strip = 0; strip < p->strips; strip++)
        for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);)
            for (int c = 0; c < CLUSTER; c++)
                for (uint64_t left = w.bits->key[c]; left; left &= left - 1)
                    first[p->q_order[strip * STRIP + __builtin_ctzll(left)] + 1]++;
    for (int64_t i = 0; i < p->n_q; i++) first[i + 1] += first[i];
}

static struct attention_tensor pair_element(const struct pair_bias *b, int64_t query, int64_t key, int64_t number)
{
    const int64_t size = b->dtype == VIC_F32 ? 4 : 2;
    return (struct attention_tensor){ .data = (char *)b->data + pair_bias_place(b, query, key, number) * size,
                                      .head_stride = b->head_stride };
}

double ref_pair_bias(const struct pair_bias *b, int64_t query, int64_t key, int64_t number, int head)
{
    const struct attention_tensor t = pair_element(b, query, key, number);
    double x;
    ref_read(&t, b->dtype, 0, head, 1, &x);
    return x;
}

void ref_write_pair(const struct pair_bias *b, int64_t query, int64_t key, int64_t number, int head, double x)
{
    const struct attention_tensor t = pair_element(b, query, key, number);
    ref_write(&t, b->dtype, 0, head, 1, &x);
}
