/* SPDX-License-Identifier: Apache-2.0 */
#include "context/bind.h"

#include "base/dtype.h"
#include "base/overlap.h"
#include "base/sizes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void shape_text(int ndim, const int64_t *shape, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < ndim && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? " x " : "", (long long)shape[i]);
}

vic_status bind_tensor(const vic_tensor *t, const char *name, vic_device device, vic_dtype dtype, int dims,
                       const int64_t *expected, int64_t *batch, struct attention_tensor *out, vic_error *err)
{
    char want[96], got[96];
    int lead = t->ndim == dims + 1;
    bool fits = lead || t->ndim == dims;
    for (int i = 0; fits && i < dims; i++) fits = t->shape[lead + i] == expected[i];
    if (fits) fits = lead == 0 ? *batch <= 0 : t->shape[0] >= 1 && (*batch < 0 || *batch == t->shape[0]);
    if (!fits) {
        shape_text(dims, expected, want, sizeof want);
        shape_text(t->ndim > VIC_MAX_DIMS ? 0 : t->ndim, t->shape, got, sizeof got);
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "tensor %s: expected shape [%s], with a batch dimension in front in all tensors or in none; "
                        "got [%s]",
                        name, want, got);
    }
    *batch = lead ? t->shape[0] : 0;
    if (t->dtype != dtype)
        return vic_fail(err, VIC_BAD_ARGUMENT, "tensor %s: the plan was made for %s, got %s", name,
                        vic_dtype_name(dtype), vic_dtype_name(t->dtype));
    if (!device_same(t->device, device))
        return vic_fail(err, VIC_BAD_ARGUMENT, "tensor %s: expected memory of %s, got memory of another device, %s",
                        name, device_text(device, want), device_text(t->device, got));
    if (dims == 3 && t->shape[lead + 2] > 1 && t->stride[lead + 2] != 1)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "tensor %s: the last dimension must be contiguous (stride 1), got stride %lld", name,
                        (long long)t->stride[lead + 2]);
    if (!size_tensor_fits(t))
        return vic_fail(err, VIC_BAD_ARGUMENT, "tensor %s: its strides reach further than memory does", name);
    bool empty = expected[0] == 0;
    if (!empty && (!t->data || (uintptr_t)t->data % vic_dtype_size(dtype) != 0))
        return vic_fail(err, VIC_BAD_ARGUMENT, "tensor %s: data is %s", name,
                        t->data ? "not aligned to its type" : "NULL");
    *out = (struct attention_tensor){ t->data, t->stride[lead], t->stride[lead + 1], lead ? t->stride[0] : 0 };
    return VIC_OK;
}

vic_status bind_written(const vic_tensor *t, const char *name, vic_error *err)
{
    if (!tensor_overlaps_itself(t)) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT,
                    "tensor %s: with its strides elements would overwrite each other; give each a place of its own",
                    name);
}

vic_status bind_apart(const struct named_tensor *written, const struct named_tensor *others, int n, vic_error *err)
{
    for (int i = 0; i < n; i++)
        if (tensors_overlap(written->tensor, others[i].tensor))
            return vic_fail(err, VIC_BAD_ARGUMENT, "tensor %s overlaps %s in memory: give it memory of its own",
                            written->name, others[i].name);
    return VIC_OK;
}

void attention_tensors(const vic_attention_args *a, struct named_tensor out[ATTENTION_TENSORS])
{
    const struct named_tensor all[ATTENTION_TENSORS] = {
        { "q", &a->q },     { "k", &a->k },    { "v", &a->v }, { "bias", &a->bias }, { "pair_bias", &a->pair_bias },
        { "out", &a->out }, { "lse", &a->lse }
    };
    memcpy(out, all, sizeof all);
}

/* out and lse are written: each must be apart from all before it. */
static vic_status check_apart(const vic_attention_args *a, vic_error *err)
{
    struct named_tensor all[ATTENTION_TENSORS];
    attention_tensors(a, all);
    for (int i = 5; i < ATTENTION_TENSORS; i++) TRY(bind_apart(&all[i], all, i, err));
    return VIC_OK;
}

vic_status context_bind_bias(const vic_plan *plan, const vic_tensor *t, struct distance_bias *out, vic_error *err)
{
    if (!plan->bias && !t->data) return VIC_OK;
    if (!plan->bias)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "bias: the plan was made without one; set `bias` in vic_plan_options to VIC_BIAS_DISTANCE");
    if (!t->data)
        return vic_fail(
            err, VIC_BAD_ARGUMENT,
            "bias: the plan was made for a distance bias, but the tensor has no data; give a table, or set "
            "`bias` in vic_plan_options to VIC_BIAS_NONE");
    char here[DEVICE_TEXT], there[DEVICE_TEXT];
    if (t->dtype != VIC_F32)
        return vic_fail(err, VIC_BAD_ARGUMENT, "bias: expected float32, got %s", vic_dtype_name(t->dtype));
    if (!device_same(t->device, plan->device))
        return vic_fail(err, VIC_BAD_ARGUMENT, "bias: expected memory of %s, got memory of another device, %s",
                        device_text(plan->device, here), device_text(t->device, there));
    if (t->ndim != 2 || (t->shape[0] != 1 && t->shape[0] != plan->shape.heads) || t->shape[1] < 2 ||
        t->shape[1] > 65536 || t->stride[1] != 1 || !size_tensor_fits(t))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "bias: expected shape [%d or 1, points], points 2 to 65536, contiguous; got %d dimensions, "
                        "[%lld, %lld], strides %lld, %lld",
                        plan->shape.heads, t->ndim, (long long)t->shape[0], (long long)t->shape[1],
                        (long long)t->stride[0], (long long)t->stride[1]);
    *out = (struct distance_bias){ t->data, (int)t->shape[1], t->shape[0] > 1 ? t->stride[0] : 0 };
    if (!device_is_cpu(plan->device)) return VIC_OK;
    /* Reading the table costs nothing beside the millions of pairs that use it. */
    for (int head = 0; head < t->shape[0]; head++)
        for (int m = 0; m < out->points; m++) {
            float b = out->table[head * out->head_stride + m];
            if (isfinite(b) || b == -INFINITY) continue;
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "bias: expected finite values or -inf, got %g for head %d, point %d of %d", (double)b,
                            head, m, out->points);
        }
    return VIC_OK;
}

vic_status bind_scale(const vic_plan *plan, double scale, bool zero_scale, double *out, vic_error *err)
{
    if (!isfinite(scale))
        return vic_fail(err, VIC_BAD_ARGUMENT, "scale: expected a finite number (0 = 1/sqrt(head_dim)), got %g",
                        scale);
    if (zero_scale && scale != 0.0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "scale is %g, but zero_scale sets it to 0: leave one of them 0",
                        scale);
    *out = scale == 0.0 && !zero_scale ? 1.0 / sqrt((double)plan->shape.d_qk) : scale;
    return VIC_OK;
}

vic_status context_bind(const vic_plan *plan, const vic_attention_args *given, bool outputs,
                        struct attention_args *out, vic_error *err)
{
    vic_attention_args args = *given;
    const vic_attention_args *a = &args;
    const struct attention_shape *s = &plan->shape;
    const vic_pattern *p = plan->pattern;
    const int64_t q[] = { p->n_q, s->heads, s->d_qk }, k[] = { p->n_k, s->kv_heads, s->d_qk };
    const int64_t v[] = { p->n_k, s->kv_heads, s->d_v }, o[] = { p->n_q, s->heads, s->d_v };
    vic_device device = outputs ? plan->device : (vic_device){ VIC_CPU, 0 };
    int64_t batch = -1;
    *out = (struct attention_args){ 0 };
    if (!outputs && (a->items || a->n_items != 0))
        return vic_fail(err, VIC_BAD_ARGUMENT, "the reference takes no items: give it the tensors of one");
    TRY(context_take_items(&args, err));
    TRY(context_bind_bias(plan, &a->bias, &out->bias, err));
    TRY(bind_tensor(&a->q, "q", device, s->dtype, 3, q, &batch, &out->q, err));
    TRY(bind_pair_bias(plan, &a->pair_bias, "pair_bias", batch, &out->pair_bias, err));
    TRY(bind_tensor(&a->k, "k", device, s->dtype, 3, k, &batch, &out->k, err));
    TRY(bind_tensor(&a->v, "v", device, s->dtype, 3, v, &batch, &out->v, err));
    if (outputs) {
        TRY(bind_tensor(&a->out, "out", device, s->dtype, 3, o, &batch, &out->out, err));
        TRY(bind_written(&a->out, "out", err));
    }
    if (outputs && a->lse.data) {
        TRY(bind_tensor(&a->lse, "lse", device, VIC_F32, 2, q, &batch, &out->lse, err));
        TRY(bind_written(&a->lse, "lse", err));
    }
    if (outputs && a->items) {
        TRY(context_check_items(a, err));
    } else if (outputs) {
        TRY(check_apart(a, err));
    }
    if (!outputs && batch > 0)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "the reference takes no batch: give tensors [atoms, heads, head size]");
    TRY(bind_scale(plan, a->scale, a->zero_scale, &out->scale, err));
    if (!plan->pattern_order) {
        out->q_rows = p->q_order;
        out->k_rows = p->k_order;
    }
    out->batch = a->items ? a->n_items : batch > 0 ? batch : 1;
    out->items = out->batch > 1 ? a->items : NULL; /* one has its addresses in the tensors */
    return VIC_OK;
}
