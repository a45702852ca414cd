/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sizes.h"
#include "engine/engine.h"

#include <math.h>
#include <stdio.h>

static void shape_text(int ndim, const int64_t *shape, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < ndim && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? " x " : "", (long long)shape[i]);
}

static const char *device_name(vic_device device)
{
    return device.kind == VIC_CUDA ? "cuda" : "cpu";
}

/* Check a tensor against [batch,] dims[0] x ... and give base and strides.  `last_contiguous`: the last dimension is
 * the head's components. */
static vic_status bind_tensor(const vic_tensor *t, const char *name, vic_device device, vic_dtype dtype, int dims,
                              const int64_t *expected, int64_t *batch, struct attention_tensor *out, vic_error *err)
{
    char want[96], got[96];
    int lead = t->ndim == dims + 1;
    bool fits = lead || t->ndim == dims;
    for (int i = 0; fits && i < dims; i++) fits = t->shape[lead + i] == expected[i];
    if (fits) fits = lead == 0 ? *batch <= 0 : t->shape[0] >= 1 && (*batch < 0 || *batch == t->shape[0]);
    if (!fits) {
        shape_text(dims, expected, want, sizeof want);
        shape_text(t->ndim > 4 ? 0 : t->ndim, t->shape, got, sizeof got);
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "tensor %s: expected shape [%s], with a batch dimension in front in all tensors or in none; "
                        "got [%s]",
                        name, want, got);
    }
    *batch = lead ? t->shape[0] : 0;
    if (t->dtype != dtype)
        return vic_fail(err, VIC_BAD_ARGUMENT, "tensor %s: the plan was made for %s, got %s", name,
                        vic_dtype_name(dtype), vic_dtype_name(t->dtype));
    if (t->device.kind != device.kind || t->device.index != device.index)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "tensor %s: expected memory of %s:%d, got memory of another device, %s:%d", name,
                        device_name(device), device.index, device_name(t->device), t->device.index);
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

static vic_status check_written(const vic_tensor *t, const char *name, vic_error *err)
{
    for (int i = 0; i < t->ndim; i++)
        if (t->shape[i] > 1 && t->stride[i] == 0)
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "tensor %s: dimension %d has stride 0, so its elements would overwrite each other", name,
                            i);
    return VIC_OK;
}

static vic_status bind_radial(const vic_plan *plan, const vic_radial *r, vic_error *err)
{
    if (!plan->radial && !r->table) return VIC_OK;
    if (!plan->radial)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "radial: the plan was made without a radial term; set `radial` in vic_plan_options");
    if (!r->table)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "radial: the plan was made for a radial term, but radial.table is NULL; give a table, or "
                        "clear "
                        "`radial` in vic_plan_options");
    if (r->points < 2 || r->points > 65536)
        return vic_fail(err, VIC_BAD_ARGUMENT, "radial.points: expected 2 to 65536, got %d", r->points);
    /* Against the millions of pairs that use it, looking at the table costs nothing. */
    for (int head = 0; head < (r->head_stride ? plan->shape.heads : 1); head++)
        for (int m = 0; m < r->points; m++) {
            float b = r->table[head * r->head_stride + m];
            if (isfinite(b) || b == -INFINITY) continue;
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "radial.table: expected finite values or -inf, got %g for head %d, "
                            "point %d of %d",
                            (double)b, head, m, r->points);
        }
    return VIC_OK;
}

vic_status engine_bind(const vic_plan *plan, const vic_attention_args *a, bool outputs, struct attention_args *out,
                       int64_t *batch, vic_error *err)
{
    const struct attention_shape *s = &plan->shape;
    const vic_pattern *p = plan->pattern;
    const int64_t q[] = { p->n_q, s->heads, s->d_qk }, k[] = { p->n_k, s->kv_heads, s->d_qk };
    const int64_t v[] = { p->n_k, s->kv_heads, s->d_v }, o[] = { p->n_q, s->heads, s->d_v };
    vic_device device = outputs ? plan->device : (vic_device){ VIC_CPU, 0 };
    *batch = -1;
    *out = (struct attention_args){ .scale = a->scale, .radial = a->radial };
    TRY(bind_radial(plan, &a->radial, err));
    TRY(bind_tensor(&a->q, "q", device, s->dtype, 3, q, batch, &out->q, err));
    TRY(bind_tensor(&a->k, "k", device, s->dtype, 3, k, batch, &out->k, err));
    TRY(bind_tensor(&a->v, "v", device, s->dtype, 3, v, batch, &out->v, err));
    if (outputs) {
        TRY(bind_tensor(&a->out, "out", device, s->dtype, 3, o, batch, &out->out, err));
        TRY(check_written(&a->out, "out", err));
    }
    if (outputs && a->lse.data) {
        TRY(bind_tensor(&a->lse, "lse", device, VIC_F32, 2, q, batch, &out->lse, err));
        TRY(check_written(&a->lse, "lse", err));
    }
    if (!isfinite(a->scale))
        return vic_fail(err, VIC_BAD_ARGUMENT, "scale: expected a finite number (0 = 1/sqrt(head_dim)), got %g",
                        a->scale);
    if (a->scale == 0.0) out->scale = 1.0 / sqrt((double)s->d_qk);
    if (!plan->pattern_order) {
        out->q_rows = p->q_order;
        out->k_rows = p->k_order;
    }
    out->batch = *batch > 0 ? *batch : 1;
    return VIC_OK;
}
