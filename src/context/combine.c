/* SPDX-License-Identifier: Apache-2.0 */
#include "device/combine.h"
#include "base/dtype.h"
#include "base/half.h"
#include "base/overlap.h"
#include "base/sizes.h"
#include "context/context.h"

#include <math.h>
#include <stdio.h>

/* The strides of batch, row and head of a tensor [batch,] rows x heads [x d]. */
static struct combine_tensor tensor_of(const vic_tensor *t, bool components)
{
    int lead = t->ndim - (components ? 3 : 2);
    return (struct combine_tensor){ t->data, { lead ? t->stride[0] : 0, t->stride[lead], t->stride[lead + 1] } };
}

/* Checks a tensor against the shape of the first part, [batch,] rows x heads [x d]. */
static vic_status check_tensor(const vic_tensor *t, const char *name, const vic_tensor *like, bool components,
                               vic_error *err)
{
    int ndim = like->ndim - (components ? 0 : 1);
    bool fits = t->ndim == ndim;
    char here[DEVICE_TEXT], there[DEVICE_TEXT];
    for (int i = 0; fits && i < ndim; i++) fits = t->shape[i] == like->shape[i];
    if (!t->data) return vic_fail(err, VIC_BAD_ARGUMENT, "%s: data is NULL", name);
    if (!fits)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "%s: expected the shape of part_out[0]%s, got %d dimensions of another shape", name,
                        components ? "" : " without the head's components", t->ndim);
    if (!device_same(t->device, like->device))
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected memory of %s, like part_out[0], got that of %s", name,
                        device_text(like->device, there), device_text(t->device, here));
    if (!size_tensor_fits(t) || (components && t->shape[ndim - 1] > 1 && t->stride[ndim - 1] != 1))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "%s: the last dimension must be contiguous, and strides stay in memory", name);
    return VIC_OK;
}

static bool is_same(const vic_tensor *a, const vic_tensor *b)
{
    bool same = a->data == b->data && a->dtype == b->dtype && a->ndim == b->ndim;
    for (int i = 0; same && i < a->ndim; i++) same = a->stride[i] == b->stride[i] || a->shape[i] < 2;
    return same;
}

/* A part's own tensor may be written over, as all of a row is read before it is written; nothing else that is read. */
static vic_status check_apart(const vic_combine_args *a, const vic_tensor *written, const char *name, bool is_lse,
                              vic_error *err)
{
    if (!written->data) return VIC_OK;
    if (tensor_overlaps_itself(written))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "%s: with its strides elements would overwrite each other; give each a place of its own",
                        name);
    for (int64_t k = 0; k < a->parts; k++) {
        const vic_tensor *own = is_lse ? &a->part_lse[k] : &a->part_out[k];
        const vic_tensor *other = is_lse ? &a->part_out[k] : &a->part_lse[k];
        if ((tensors_overlap(written, own) && !is_same(written, own)) || tensors_overlap(written, other))
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "%s overlaps a tensor of part %lld in memory: give it memory of its own, or exactly the "
                            "memory, type and strides of that part's %s",
                            name, (long long)k, name);
    }
    return VIC_OK;
}

static bool is_float(vic_dtype t)
{
    return t == VIC_F32 || t == VIC_F16 || t == VIC_BF16;
}

static vic_status check_types(const vic_combine_args *a, int64_t k, vic_error *err)
{
    if (a->part_out[k].dtype != a->part_out[0].dtype || !is_float(a->part_out[0].dtype))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "part_out[%lld]: expected float32, float16 or bfloat16, and all parts alike; got %s",
                        (long long)k, vic_dtype_name(a->part_out[k].dtype));
    if (a->part_lse[k].dtype != VIC_F32)
        return vic_fail(err, VIC_BAD_ARGUMENT, "part_lse[%lld]: expected float32, got %s", (long long)k,
                        vic_dtype_name(a->part_lse[k].dtype));
    return VIC_OK;
}

static vic_status check(const vic_combine_args *a, vic_error *err)
{
    char name[64];
    const vic_tensor *first = a->part_out;
    if (a->parts < 1 || a->parts > COMBINE_PARTS || !a->part_out || !a->part_lse)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "parts: expected 1 to %d, with part_out and part_lse of each; got %lld", COMBINE_PARTS,
                        (long long)a->parts);
    if (first->ndim < 3 || first->ndim > 4)
        return vic_fail(err, VIC_BAD_ARGUMENT, "part_out[0]: expected [batch,] rows x heads x d, got %d dimensions",
                        first->ndim);
    for (int64_t k = 0; k < a->parts; k++) {
        TRY(check_types(a, k, err));
        snprintf(name, sizeof name, "part_out[%lld]", (long long)k);
        TRY(check_tensor(&a->part_out[k], name, first, true, err));
        snprintf(name, sizeof name, "part_lse[%lld]", (long long)k);
        TRY(check_tensor(&a->part_lse[k], name, first, false, err));
    }
    if (!is_float(a->out.dtype) || (a->lse.data && a->lse.dtype != VIC_F32))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "out, lse: expected float32, float16 or bfloat16, and float32; got %s and %s",
                        vic_dtype_name(a->out.dtype), vic_dtype_name(a->lse.dtype));
    TRY(check_tensor(&a->out, "out", first, true, err));
    if (a->lse.data) TRY(check_tensor(&a->lse, "lse", first, false, err));
    TRY(check_apart(a, &a->out, "out", false, err));
    TRY(check_apart(a, &a->lse, "lse", true, err));
    if (!a->lse.data || !tensors_overlap(&a->out, &a->lse)) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT, "lse overlaps out in memory: give it memory of its own");
}

static struct combine_problem problem_of(const vic_combine_args *a)
{
    const vic_tensor *f = &a->part_out[0];
    int lead = f->ndim - 3;
    struct combine_problem p = { .batch = lead ? f->shape[0] : 1,
                                 .rows = f->shape[lead],
                                 .heads = f->shape[lead + 1],
                                 .d = f->shape[lead + 2],
                                 .parts = (int)a->parts,
                                 .part_dtype = f->dtype,
                                 .out_dtype = a->out.dtype,
                                 .out = tensor_of(&a->out, true) };
    if (a->lse.data) p.lse = tensor_of(&a->lse, false);
    for (int k = 0; k < p.parts; k++) {
        p.part_out[k] = tensor_of(&a->part_out[k], true);
        p.part_lse[k] = tensor_of(&a->part_lse[k], false);
    }
    return p;
}

/* ---- on the CPU ---- */

static double element(const struct combine_tensor *t, vic_dtype dtype, int64_t at)
{
    if (dtype == VIC_F32) return (double)((const float *)t->data)[at];
    uint16_t half = ((const uint16_t *)t->data)[at];
    return (double)(dtype == VIC_F16 ? f32_from_f16(half) : f32_from_bf16(half));
}

static void set_element(const struct combine_tensor *t, vic_dtype dtype, int64_t at, double value)
{
    if (dtype == VIC_F32)
        ((float *)t->data)[at] = (float)value;
    else
        ((uint16_t *)t->data)[at] = dtype == VIC_F16 ? f16_from_f32((float)value) : bf16_from_f32((float)value);
}

static int64_t offset(const struct combine_tensor *t, const int64_t at[3])
{
    return at[0] * t->stride[0] + at[1] * t->stride[1] + at[2] * t->stride[2];
}

/* Combines one row of one head.  An element of all parts is read before it is written, so the first part may be the
 * output. */
static void combine_row(const struct combine_problem *p, const int64_t at[3])
{
    double weight[COMBINE_PARTS], most = -INFINITY, sum = 0;
    for (int k = 0; k < p->parts; k++) {
        weight[k] = (double)((const float *)p->part_lse[k].data)[offset(&p->part_lse[k], at)];
        most = fmax(most, weight[k]);
    }
    double base = isinf(most) && most < 0 ? 0.0 : most;
    for (int k = 0; k < p->parts; k++) sum += weight[k] = exp(weight[k] - base);
    for (int64_t c = 0; c < p->d; c++) {
        double value = 0;
        for (int k = 0; k < p->parts; k++)
            if (weight[k] != 0)
                value += weight[k] * element(&p->part_out[k], p->part_dtype, offset(&p->part_out[k], at) + c);
        set_element(&p->out, p->out_dtype, offset(&p->out, at) + c, sum == 0 ? 0 : value / sum);
    }
    if (p->lse.data) ((float *)p->lse.data)[offset(&p->lse, at)] = sum == 0 ? -INFINITY : (float)(base + log(sum));
}

enum { TASK_ROWS = 64 };

static void combine_task(void *context, int64_t task, int worker)
{
    const struct combine_problem *p = context;
    int64_t tasks = (p->rows + TASK_ROWS - 1) / TASK_ROWS, first = task % tasks * TASK_ROWS;
    (void)worker;
    for (int64_t row = first; row < p->rows && row < first + TASK_ROWS; row++)
        for (int64_t head = 0; head < p->heads; head++) combine_row(p, (const int64_t[]){ task / tasks, row, head });
}

vic_status context_combine(const struct vic_context *c, const vic_combine_args *a, vic_error *err)
{
    struct context_stream s;
    struct pool *pool;
    TRY(context_enter(c, &pool, err));
    TRY(check(a, err));
    struct combine_problem p = problem_of(a);
    if (device_is_cpu(a->out.device)) {
        pool_run(pool, p.batch * ((p.rows + TASK_ROWS - 1) / TASK_ROWS), combine_task, &p);
        return VIC_OK;
    }
    TRY(context_stream(c, a->out.device, a->stream, &s, err));
    TRY(device_combine(a->out.device, &p, s.stream, err));
    return context_stream_end(&s, err);
}
