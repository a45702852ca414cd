/* SPDX-License-Identifier: Apache-2.0 */
/* The pair bias among the arguments of attention, and its gradient. */
#include "base/dtype.h"
#include "base/sizes.h"
#include "context/bind.h"

#include <stdio.h>

enum { TEXT = 160 };

static void shape_text(int ndim, const int64_t *shape, char text[TEXT])
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < ndim && i < VIC_MAX_DIMS && used < TEXT; i++)
        used += (size_t)snprintf(text + used, TEXT - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
}

/* Sets `shape` to that of the plan's layout, and returns its number of dimensions. */
static int layout_shape(const vic_plan *plan, int64_t shape[4])
{
    const vic_pattern *p = plan->pattern;
    if (plan->pair_bias == VIC_PAIR_BIAS_PAIRS) {
        shape[0] = p->info.pairs;
        shape[1] = plan->shape.heads;
        return 2;
    }
    shape[0] = (p->n_q + p->rules[0].count - 1) / p->rules[0].count;
    shape[1] = p->rules[0].count;
    shape[2] = p->rules[0].keys;
    shape[3] = plan->shape.heads;
    return 4;
}

static vic_status check_shape(const vic_plan *plan, const vic_tensor *t, const char *name, int64_t batch, int dims,
                              const int64_t *shape, vic_error *err)
{
    char want[TEXT], got[TEXT];
    const int lead = t->ndim == dims + 1;
    bool fits = lead ? batch > 0 && t->shape[0] == batch : t->ndim == dims;
    for (int i = 0; fits && i < dims; i++) fits = t->shape[lead + i] == shape[i];
    if (fits) return VIC_OK;
    shape_text(dims, shape, want);
    shape_text(t->ndim, t->shape, got);
    return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected shape [%s], which is %s%s; got [%s]", name, want,
                    plan->pair_bias == VIC_PAIR_BIAS_PAIRS
                        ? "[pairs, heads], pairs as vic_pattern_neighbors() lists them"
                        : "[windows, query_window, key_window, heads]",
                    batch > 0 ? ", with the batch in front of it or without" : "", got);
}

/* A stride that is never stepped along may be anything. */
static int64_t stride_of(const vic_tensor *t, int i)
{
    return t->shape[i] > 1 ? t->stride[i] : 0;
}

vic_status bind_pair_bias(const vic_plan *plan, const vic_tensor *t, const char *name, int64_t batch,
                          struct pair_bias *out, vic_error *err)
{
    char here[DEVICE_TEXT], there[DEVICE_TEXT];
    int64_t shape[4] = { 0 };
    if (plan->pair_bias == VIC_PAIR_BIAS_NONE) {
        if (!t->data) return VIC_OK;
        return vic_fail(
            err, VIC_BAD_ARGUMENT,
            "%s: the plan was made without a pair bias; set `pair_bias` in vic_plan_options to its layout", name);
    }
    const int dims = layout_shape(plan, shape);
    if (!t->data) {
        if (plan->pattern->info.pairs == 0) return VIC_OK;
        return vic_fail(
            err, VIC_BAD_ARGUMENT,
            "%s: the plan was made for a pair bias, but the tensor has no data; give it, or set `pair_bias` "
            "in vic_plan_options to VIC_PAIR_BIAS_NONE",
            name);
    }
    if (t->dtype != VIC_F32 && t->dtype != VIC_F16 && t->dtype != VIC_BF16)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected float32, float16 or bfloat16, got %s", name,
                        vic_dtype_name(t->dtype));
    if (!device_same(t->device, plan->device))
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected memory of %s, got memory of another device, %s", name,
                        device_text(plan->device, here), device_text(t->device, there));
    TRY(check_shape(plan, t, name, batch, dims, shape, err));
    if (!size_tensor_fits(t))
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: its strides reach further than memory does", name);
    if ((uintptr_t)t->data % vic_dtype_size(t->dtype) != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: data is not aligned to its type", name);
    const int lead = t->ndim - dims;
    *out = (struct pair_bias){ .data = t->data,
                               .dtype = t->dtype,
                               .batch_stride = lead ? stride_of(t, 0) : 0,
                               .head_stride = stride_of(t, t->ndim - 1) };
    if (dims == 2) {
        out->pair_stride = stride_of(t, lead);
        return VIC_OK;
    }
    out->window = shape[1];
    out->key_window = shape[2];
    out->window_stride = stride_of(t, lead);
    out->query_stride = stride_of(t, lead + 1);
    out->key_stride = stride_of(t, lead + 2);
    return VIC_OK;
}

vic_tensor bind_without_sums(const vic_tensor *t, const struct pair_bias *bound)
{
    vic_tensor one = *t;
    if (!bound->data) return one;
    if (bound->head_stride == 0) one.shape[one.ndim - 1] = one.shape[one.ndim - 1] > 0;
    if (bound->batch_stride == 0 && one.ndim == (bound->window ? 5 : 3)) one.shape[0] = 1;
    return one;
}
