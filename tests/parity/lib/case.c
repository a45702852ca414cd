/* SPDX-License-Identifier: Apache-2.0 */
#include "case.h"

vic_dtype type_of(const struct attention_case *c)
{
    return c->dtype ? c->dtype : VIC_F32;
}

size_t element_size(vic_dtype dtype)
{
    return dtype == VIC_F32 ? 4 : 2;
}

char *element_at(const struct tensor *t, int64_t row, int head, int c)
{
    int64_t at = row * t->view.row_stride + head * t->view.head_stride + c;
    return (char *)t->view.data + at * (int64_t)element_size(t->dtype);
}

double get(const struct tensor *t, int64_t row, int head, int c)
{
    const char *at = element_at(t, row, head, c);
    uint16_t half;
    float single;
    if (t->dtype == VIC_F32) {
        memcpy(&single, at, sizeof single);
        return single;
    }
    memcpy(&half, at, sizeof half);
    return t->dtype == VIC_F16 ? f32_from_f16(half) : f32_from_bf16(half);
}

void set(const struct tensor *t, int64_t row, int head, int c, double x)
{
    float single = (float)x;
    uint16_t half = t->dtype == VIC_F16 ? f16_from_f32(single) : bf16_from_f32(single);
    if (t->dtype == VIC_F32)
        memcpy(element_at(t, row, head, c), &single, sizeof single);
    else
        memcpy(element_at(t, row, head, c), &half, sizeof half);
}

struct tensor entry_of(const struct tensor *t, int entry)
{
    struct tensor one = *t;
    one.view.data = (char *)t->view.data + entry * t->view.batch_stride * (int64_t)element_size(t->dtype);
    return one;
}

struct tensor make_tensor(int batch, int64_t rows, int heads, int d, vic_dtype dtype, enum layout layout, bool even)
{
    struct tensor t = { .rows = rows, .heads = heads, .d = d, .batch = batch, .dtype = dtype };
    int64_t lead = 0;
    t.view.row_stride = (int64_t)heads * d;
    t.view.head_stride = d;
    t.view.batch_stride = rows * heads * d;
    if (layout == HEADS_ATOMS) {
        t.view.row_stride = d;
        t.view.head_stride = rows * d;
    } else if (layout == PADDED) { /* memory before, between and after */
        t.view.head_stride = d + (even ? 8 : 3);
        t.view.row_stride = heads * t.view.head_stride + (even ? 8 : 5);
        t.view.batch_stride = rows * t.view.row_stride + (even ? 16 : 1);
        lead = even ? 8 : 7;
    }
    t.bytes = (size_t)(batch * t.view.batch_stride + 2 * lead) * element_size(dtype);
    t.buffer = brute_alloc((int64_t)t.bytes, 1);
    t.view.data = t.buffer + (size_t)lead * element_size(dtype);
    return t;
}
