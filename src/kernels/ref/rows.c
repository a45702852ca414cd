/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ref/rows.h"

#include "base/half.h"

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
