/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments of the gradients of attention. */
#include "base/dtype.h"
#include "base/sizes.h"
#include "context/bind.h"

#include <string.h>

enum { READ = 9 }; /* so many of the tensors are read, and the others written */

void backward_tensors(const vic_attention_backward_args *a, struct named_tensor out[BACKWARD_TENSORS])
{
    const struct named_tensor all[BACKWARD_TENSORS] = { { "q", &a->q },
                                                        { "k", &a->k },
                                                        { "v", &a->v },
                                                        { "out", &a->out },
                                                        { "lse", &a->lse },
                                                        { "dout", &a->dout },
                                                        { "dlse", &a->dlse },
                                                        { "bias", &a->bias },
                                                        { "pair_bias", &a->pair_bias },
                                                        { "dq", &a->dq },
                                                        { "dk", &a->dk },
                                                        { "dv", &a->dv },
                                                        { "dbias", &a->dbias },
                                                        { "dquery_positions", &a->dquery_positions },
                                                        { "dkey_positions", &a->dkey_positions },
                                                        { "dcell", &a->dcell },
                                                        { "dpair_bias", &a->dpair_bias } };
    memcpy(out, all, sizeof all);
}

static vic_status check_apart(const vic_attention_backward_args *a, const struct pair_bias *dpair_bias,
                              vic_error *err)
{
    struct named_tensor all[BACKWARD_TENSORS];
    const vic_tensor summed = bind_without_sums(&a->dpair_bias, dpair_bias);
    backward_tensors(a, all);
    all[BACKWARD_TENSORS - 1].tensor = &summed;
    for (int i = READ; i < BACKWARD_TENSORS; i++) {
        if (!all[i].tensor->data) continue;
        TRY(bind_written(all[i].tensor, all[i].name, err));
        TRY(bind_apart(&all[i], all, i, err));
    }
    return VIC_OK;
}

/* With nothing to compute something was forgotten; without points there may be nothing to point to. */
static vic_status check_wanted(const vic_pattern *p, const vic_attention_backward_args *a, vic_error *err)
{
    struct named_tensor all[BACKWARD_TENSORS];
    backward_tensors(a, all);
    for (int i = READ; i < BACKWARD_TENSORS; i++)
        if (all[i].tensor->data) return VIC_OK;
    if (p->n_q == 0 || p->n_k == 0) return VIC_OK;
    return vic_fail(
        err, VIC_BAD_ARGUMENT,
        "dq, dk, dv, dbias, dquery_positions, dkey_positions, dcell, dpair_bias: none of them has data, so that "
        "there is nothing to compute; give at least one");
}

/* ---- through the distance bias ---- */

/* A [rows, columns] array without gaps, of which no batch has more than one. */
static vic_status bind_sum(const vic_plan *plan, const vic_tensor *t, const char *name, vic_dtype dtype, int64_t rows,
                           int64_t columns, vic_error *err)
{
    char here[DEVICE_TEXT], there[DEVICE_TEXT];
    if (t->dtype != dtype)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected %s, got %s", name, vic_dtype_name(dtype),
                        vic_dtype_name(t->dtype));
    if (!device_same(t->device, plan->device))
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected memory of %s, got memory of another device, %s", name,
                        device_text(plan->device, here), device_text(t->device, there));
    if (t->ndim != 2 || t->shape[0] != rows || t->shape[1] != columns || (columns > 1 && t->stride[1] != 1) ||
        (rows > 1 && t->stride[0] != columns))
        return vic_fail(
            err, VIC_BAD_ARGUMENT,
            "%s: expected shape [%lld, %lld], contiguous; got %d dimensions, [%lld, %lld], strides %lld, %lld", name,
            (long long)rows, (long long)columns, t->ndim, (long long)t->shape[0], (long long)t->shape[1],
            (long long)t->stride[0], (long long)t->stride[1]);
    if ((uintptr_t)t->data % vic_dtype_size(dtype) != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: data is not aligned to its type", name);
    return VIC_OK;
}

static vic_status bind_sums(const vic_plan *plan, const vic_attention_backward_args *a,
                            struct attention_backward_args *out, vic_error *err)
{
    const vic_pattern *p = plan->pattern;
    const struct {
        const char *name;
        const vic_tensor *tensor;
        vic_dtype dtype;
        int64_t rows, columns;
    } all[] = { { "dbias", &a->dbias, VIC_F32, a->bias.shape[0], out->bias.points },
                { "dquery_positions", &a->dquery_positions, VIC_F64, p->n_q, 3 },
                { "dkey_positions", &a->dkey_positions, VIC_F64, p->n_k, 3 },
                { "dcell", &a->dcell, VIC_F64, 3, 3 } };
    for (int i = 0; i < 4; i++) {
        if (!all[i].tensor->data) continue;
        if (!plan->bias)
            return vic_fail(
                err, VIC_BAD_ARGUMENT,
                "%s: the plan was made without a distance bias, through which alone there is such a gradient; "
                "leave it none",
                all[i].name);
        TRY(bind_sum(plan, all[i].tensor, all[i].name, all[i].dtype, all[i].rows, all[i].columns, err));
    }
    if (p->one_set && a->dkey_positions.data)
        return vic_fail(
            err, VIC_BAD_ARGUMENT,
            "dkey_positions: the queries are the keys, and dquery_positions has the sum for both roles; leave "
            "it none");
    out->dtable = a->dbias.data;
    out->dtable_head_stride = out->bias.head_stride ? out->bias.points : 0;
    out->dq_positions = a->dquery_positions.data;
    out->dk_positions = a->dkey_positions.data;
    out->dcell = a->dcell.data;
    return VIC_OK;
}

/* ---- all ---- */

vic_status context_bind_backward(const vic_plan *plan, const vic_attention_backward_args *a, bool outputs,
                                 struct attention_backward_args *out, vic_error *err)
{
    const struct attention_shape *s = &plan->shape;
    const vic_pattern *p = plan->pattern;
    const int64_t q[] = { p->n_q, s->heads, s->d_qk }, k[] = { p->n_k, s->kv_heads, s->d_qk };
    const int64_t v[] = { p->n_k, s->kv_heads, s->d_v }, o[] = { p->n_q, s->heads, s->d_v };
    const vic_device device = outputs ? plan->device : (vic_device){ VIC_CPU, 0 };
    *out = (struct attention_backward_args){ 0 };
    const struct {
        const char *name;
        const vic_tensor *tensor;
        const int64_t *shape;
        int dims;
        vic_dtype dtype;
        bool result,
            optional; /* result: of a run, which the reference has not; optional: none where it has no data */
        struct attention_tensor *to;
    } all[] = { { "q", &a->q, q, 3, s->dtype, false, false, &out->q },
                { "k", &a->k, k, 3, s->dtype, false, false, &out->k },
                { "v", &a->v, v, 3, s->dtype, false, false, &out->v },
                { "out", &a->out, o, 3, s->dtype, true, false, &out->out },
                { "lse", &a->lse, q, 2, VIC_F32, true, false, &out->lse },
                { "dout", &a->dout, o, 3, s->dtype, false, true, &out->dout },
                { "dlse", &a->dlse, q, 2, VIC_F32, false, true, &out->dlse },
                { "dq", &a->dq, q, 3, s->dtype, true, true, &out->dq },
                { "dk", &a->dk, k, 3, s->dtype, true, true, &out->dk },
                { "dv", &a->dv, v, 3, s->dtype, true, true, &out->dv } };
    int64_t batch = -1;
    TRY(context_bind_bias(plan, &a->bias, &out->bias, err));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if ((all[i].result && !outputs) || (all[i].optional && !all[i].tensor->data)) continue;
        TRY(bind_tensor(all[i].tensor, all[i].name, device, all[i].dtype, all[i].dims, all[i].shape, &batch,
                        all[i].to, err));
    }
    TRY(bind_pair_bias(plan, &a->pair_bias, "pair_bias", batch, &out->pair_bias, err));
    TRY(bind_scale(plan, a->scale, a->zero_scale, &out->scale, err));
    if (!outputs && batch > 0)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "the reference takes no batch: give tensors [atoms, heads, head size]");
    if (outputs) {
        TRY(check_wanted(p, a, err));
        TRY(bind_sums(plan, a, out, err));
        if (a->dpair_bias.data) TRY(bind_pair_bias(plan, &a->dpair_bias, "dpair_bias", batch, &out->dpair_bias, err));
        TRY(check_apart(a, &out->dpair_bias, err));
    }
    if (!plan->pattern_order) {
        out->q_rows = p->q_order;
        out->k_rows = p->k_order;
    }
    out->batch = batch > 0 ? batch : 1;
    return VIC_OK;
}
