/* SPDX-License-Identifier: Apache-2.0 */
/* Rows between the caller's order and the pattern's. */
#include "base/dtype.h"
#include "base/overlap.h"
#include "base/sizes.h"
#include "context/context.h"
#include "device/permute.h"
#include "pattern/pattern.h"

static vic_status check_shapes(const vic_tensor *in, const vic_tensor *out, int64_t n, vic_error *err)
{
    if (in->ndim < 1 || in->ndim > 4 || in->ndim != out->ndim || in->dtype != out->dtype || in->shape[0] != n ||
        vic_dtype_size(in->dtype) == 0)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "expected in and out of one type and 1 to 4 dimensions, the first %lld atoms; got %s with %d "
                        "and %s with %d dimensions, the first %lld and %lld",
                        (long long)n, vic_dtype_name(in->dtype), in->ndim, vic_dtype_name(out->dtype), out->ndim,
                        (long long)in->shape[0], (long long)out->shape[0]);
    for (int i = 0; i < in->ndim; i++)
        if (in->shape[i] != out->shape[i])
            return vic_fail(err, VIC_BAD_ARGUMENT, "dimension %d: in has %lld, out has %lld", i,
                            (long long)in->shape[i], (long long)out->shape[i]);
    return VIC_OK;
}

static vic_status check_memory(const vic_tensor *in, const vic_tensor *out, vic_error *err)
{
    char here[DEVICE_TEXT], there[DEVICE_TEXT];
    int last = in->ndim - 1;
    bool empty = false;
    for (int i = 0; i < in->ndim; i++) empty |= in->shape[i] == 0;
    if (!device_same(in->device, out->device) || (!device_is_cpu(in->device) && !device_is_cuda(in->device)))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "in and out lie in the memory of two devices, %s and %s: vic_memory_copy() one of them",
                        device_text(in->device, here), device_text(out->device, there));
    for (int i = 0; i < 2; i++)
        if (!size_tensor_fits(i ? out : in))
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "%s: its shape and strides reach further than memory does, or a dimension is below 0",
                            i ? "out" : "in");
    if (last > 0 && in->shape[last] > 1 && (in->stride[last] != 1 || out->stride[last] != 1))
        return vic_fail(err, VIC_BAD_ARGUMENT, "the last dimension must be contiguous (stride 1), got %lld and %lld",
                        (long long)in->stride[last], (long long)out->stride[last]);
    if (!empty && (!in->data || !out->data))
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: data is NULL", in->data ? "out" : "in");
    if (tensors_overlap(in, out))
        return vic_fail(err, VIC_BAD_ARGUMENT, "in and out share memory: sorting is not done in place");
    if (tensor_overlaps_itself(out))
        return vic_fail(err, VIC_BAD_ARGUMENT, "out: with its strides elements would overwrite each other");
    uintptr_t misaligned = ((uintptr_t)in->data | (uintptr_t)out->data) % vic_dtype_size(in->dtype);
    if (device_is_cuda(in->device) && misaligned)
        return vic_fail(err, VIC_BAD_ARGUMENT, "in and out: expected data aligned to its type, %zu bytes",
                        vic_dtype_size(in->dtype));
    return VIC_OK;
}

/* Bytes from one element to the next along dimension `i`; 0 for a dimension of size 1, or that `t` does not have. */
static int64_t step(const vic_tensor *t, int i, bool has)
{
    return has && t->shape[i] > 1 ? t->stride[i] * (int64_t)vic_dtype_size(t->dtype) : 0;
}

static struct device_permutation permutation_of(const vic_tensor *in, const vic_tensor *out, bool to_rows)
{
    bool third = in->ndim > 2, fourth = in->ndim > 3;
    return (struct device_permutation){
        .from = in->data,
        .to = out->data,
        .n = in->shape[0],
        .inner = { third ? in->shape[1] : 1, fourth ? in->shape[2] : 1 },
        .run = (in->ndim > 1 ? in->shape[in->ndim - 1] : 1) * (int64_t)vic_dtype_size(in->dtype),
        .from_row = step(in, 0, true),
        .from_inner = { step(in, 1, third), step(in, 2, fourth) },
        .to_row = step(out, 0, true),
        .to_inner = { step(out, 1, third), step(out, 2, fourth) },
        .scatter = !to_rows,
    };
}

static vic_status permute(const vic_context *c, const vic_pattern *p, vic_side side, bool to_rows,
                          const vic_tensor *in, const vic_tensor *out, void *stream, vic_error *err)
{
    struct context_stream s;
    struct pool *pool;
    NEED(p, "pattern", "make one first");
    NEED(in, "in", "expected a tensor");
    NEED(out, "out", "expected a tensor");
    if (side != VIC_QUERY && side != VIC_KEY)
        return vic_fail(err, VIC_BAD_ARGUMENT, "side: expected VIC_QUERY or VIC_KEY, got %d", (int)side);
    TRY(context_enter(c, &pool, err));
    TRY(check_shapes(in, out, side == VIC_KEY ? p->n_k : p->n_q, err));
    TRY(check_memory(in, out, err));
    const int32_t *order = p->q_order;
    if (side == VIC_KEY) TRY(pattern_key_order(p, &order, err));
    struct device_permutation m = permutation_of(in, out, to_rows);
    if (device_is_cpu(in->device)) {
        cpu_permute(&m, order, pool);
        return VIC_OK;
    }
    TRY(context_stream(c, in->device, stream, &s, err));
    TRY(device_permute(in->device, &m, p, side, order, s.stream, err));
    return context_stream_end(&s, err);
}

vic_status vic_pattern_sort(vic_context *c, const vic_pattern *p, vic_side side, const vic_tensor *in,
                            const vic_tensor *out, void *stream, vic_error *err)
{
    return permute(c, p, side, true, in, out, stream, err);
}

vic_status vic_pattern_unsort(vic_context *c, const vic_pattern *p, vic_side side, const vic_tensor *in,
                              const vic_tensor *out, void *stream, vic_error *err)
{
    return permute(c, p, side, false, in, out, stream, err);
}
