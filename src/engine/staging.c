/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/staging.h"

#include "base/dtype.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "context/context.h"
#include "device/memory.h"
#include "device/stream.h"

#include <string.h>

enum { ALIGNMENT = 256, KINDS = 4 };

/* ---- tensors ---- */

static bool is_dense(const vic_tensor *t)
{
    int64_t step = 1;
    for (int i = t->ndim - 1; i >= 0; i--) {
        if (t->shape[i] > 1 && t->stride[i] != step) return false;
        step *= t->shape[i];
    }
    return true;
}

static size_t dense_bytes(const vic_tensor *t)
{
    size_t bytes = vic_dtype_size(t->dtype);
    for (int i = 0; i < t->ndim; i++) bytes = size_times(bytes, (size_t)t->shape[i]);
    return bytes;
}

static vic_tensor densely(const vic_tensor *t, vic_device device, void *data)
{
    vic_tensor dense = vic_tensor_make(data, t->dtype, t->ndim, t->shape);
    dense.device = device;
    return dense;
}

/* Copies between a tensor with any strides and a dense one.  Where there are components in a row, all at once. */
static void copy_elements(const vic_tensor *t, char *dense, bool to_dense)
{
    const size_t element = vic_dtype_size(t->dtype);
    const int last = t->ndim - 1;
    const bool rows = t->stride[last] == 1;
    const size_t run = rows ? element * (size_t)t->shape[last] : element;
    int64_t index[VIC_MAX_DIMS] = { 0 };
    for (size_t left = dense_bytes(t); left > 0; left -= run, dense += run) {
        int64_t at = 0;
        for (int i = 0; i <= last; i++) at += index[i] * t->stride[i];
        char *there = (char *)t->data + at * (int64_t)element;
        memcpy(to_dense ? dense : there, to_dense ? there : dense, run);
        for (int i = rows ? last - 1 : last; i >= 0 && ++index[i] == t->shape[i]; i--) index[i] = 0;
    }
}

static void gather(const vic_tensor *t, void *dense)
{
    if (is_dense(t))
        memcpy(dense, t->data, dense_bytes(t));
    else
        copy_elements(t, dense, true);
}

static void scatter(const vic_tensor *t, void *dense)
{
    if (is_dense(t))
        memcpy(t->data, dense, dense_bytes(t));
    else
        copy_elements(t, dense, false);
}

/* ---- places ---- */

uint64_t staging_flags(const vic_tensor tensor[TENSORS])
{
    uint64_t flags = 0;
    for (int t = 0; t < TENSORS; t++) {
        if (!tensor[t].data || !device_is_cpu(tensor[t].device)) continue;
        flags |= (uint64_t)LAYOUT_HOST << t;
        if (tensor[t].device.type != VIC_CUDA_HOST || tensor[t].ndim > VIC_MAX_DIMS) continue; /* not checked yet */
        if (is_dense(&tensor[t])) flags |= (uint64_t)LAYOUT_PINNED << t;
    }
    return flags;
}

static bool is_staged(const struct layout *l, int tensor)
{
    return (l->flags & (uint64_t)LAYOUT_HOST << tensor) != 0;
}

static bool is_pinned(const struct layout *l, int tensor)
{
    return (l->flags & (uint64_t)LAYOUT_PINNED << tensor) != 0;
}

/* Tensor t of query i is at offset[t] + i size[t]; size 0 = it is not staged.  First what is gathered, so that it is
 * one piece, last what is scattered; what the GPU copies by itself is in between, and takes no pinned memory. */
struct places {
    size_t offset[TENSORS], size[TENSORS];
    size_t gathered, scattered; /* the end of the one, the begin of the other */
    size_t total;
};

static struct places places_of(const struct layout *l, const vic_tensor tensor[TENSORS], int64_t n)
{
    struct places p = { .total = 0 };
    for (int kind = 0; kind < KINDS; kind++) {
        if (kind == 1) p.gathered = p.total;
        if (kind == 3) p.scattered = p.total;
        for (int t = 0; t < TENSORS; t++) {
            const bool output = t >= TENSOR_OUT, pinned = is_pinned(l, t);
            const int of = output ? (pinned ? 2 : 3) : (pinned ? 1 : 0);
            if (!is_staged(l, t) || of != kind) continue;
            p.offset[t] = p.total;
            p.size[t] = size_round_up(dense_bytes(&tensor[t]), ALIGNMENT);
            p.total = size_plus(p.total, size_times(p.size[t], (size_t)n));
        }
    }
    return p;
}

/* Bytes of each kind, pinned and on the GPU, that a launch may have: two are under way in each stream. */
static size_t share(const vic_engine *engine)
{
    const size_t launches = (size_t)engine->options.streams * GPU_LAUNCHES;
    return engine->options.staging_bytes / (2 * launches) / ALIGNMENT * ALIGNMENT;
}

int64_t staging_fits(const vic_engine *engine, const struct layout *layout, const vic_tensor tensor[TENSORS],
                     int64_t most)
{
    const size_t one = places_of(layout, tensor, 1).total;
    const size_t fit = one ? share(engine) / one : 0;
    return fit < 1 ? 1 : fit < (size_t)most ? (int64_t)fit : most;
}

/* ---- memory ---- */

static vic_status make_room(struct staging *s, vic_engine *engine, size_t bytes, void *stream, vic_error *err)
{
    const vic_device device = engine->options.device;
    const size_t most = share(engine);
    if (bytes > most) {
        TRY(mem_array(bytes, 1, "bytes for copies to the GPU", &s->large_host, err));
        return device_alloc_on(device, engine->context->scratch, bytes, stream, &s->large_gpu, err);
    }
    if (s->host && s->gpu) return VIC_OK;
    if (!s->host) TRY(device_alloc_host(most, &s->host, err));
    if (!s->gpu) TRY(device_alloc_on(device, engine->context->scratch, most, stream, &s->gpu, err));
    pthread_mutex_lock(&engine->lock);
    engine->staging += 2 * most;
    pthread_mutex_unlock(&engine->lock);
    return VIC_OK;
}

static char *host_of(const struct staging *s)
{
    return s->large_host ? s->large_host : s->host;
}

static char *gpu_of(const struct staging *s)
{
    return s->large_host ? s->large_gpu : s->gpu;
}

void staging_free(struct staging *s, const vic_engine *engine, void *stream)
{
    device_free_on(engine->options.device, s->gpu, stream);
    device_free_host(s->host);
    *s = (struct staging){ 0 };
}

/* ---- copies ---- */

static vic_tensor tensor_at(const struct launch *l, const struct query *q, int t)
{
    vic_tensor tensor = l->tensor[t];
    tensor.data = q->data[t];
    return tensor;
}

/* The address in an item of tensor t. */
static void **item_address(vic_attention_item *item, int t)
{
    void **const all[TENSORS] = { &item->q, &item->k, &item->v, &item->out, &item->lse };
    return all[t];
}

vic_status staging_gather(struct staging *s, vic_engine *engine, const struct launch *l, vic_attention_args *a,
                          vic_attention_item *items, void *stream, vic_error *err)
{
    const struct places p = places_of(&l->layout, l->tensor, l->n);
    vic_tensor *const tensors[TENSORS] = { &a->q, &a->k, &a->v, &a->out, &a->lse };
    size_t i = 0;
    TRY(make_room(s, engine, p.total, stream, err));
    for (const struct query *q = l->first; q; q = q->next, i++)
        for (int t = 0; t < TENSORS; t++) {
            const size_t at = p.offset[t] + i * p.size[t];
            const vic_tensor tensor = tensor_at(l, q, t);
            if (!is_staged(&l->layout, t)) continue;
            if (t < TENSOR_OUT && !is_pinned(&l->layout, t)) gather(&tensor, host_of(s) + at);
            if (a->items) *item_address(&items[i], t) = gpu_of(s) + at;
            if (i == 0) *tensors[t] = densely(tensors[t], engine->options.device, gpu_of(s) + at);
        }
    return VIC_OK;
}

/* Of the tensors from `first` to before `end`, those that the GPU copies by itself. */
static vic_status copy_pinned(struct staging *s, const vic_engine *engine, const struct launch *l,
                              const struct places *p, int first, int end, void *stream, vic_error *err)
{
    size_t i = 0;
    for (const struct query *q = l->first; q; q = q->next, i++)
        for (int t = first; t < end; t++) {
            const vic_tensor tensor = tensor_at(l, q, t);
            const size_t bytes = dense_bytes(&tensor);
            void *there = gpu_of(s) + p->offset[t] + i * p->size[t];
            const bool in = t < TENSOR_OUT;
            if (!is_pinned(&l->layout, t) || bytes == 0) continue;
            TRY(device_copy_on(engine->options.device, in ? there : tensor.data, in ? tensor.data : there, bytes,
                               stream, err));
        }
    return VIC_OK;
}

vic_status staging_in(struct staging *s, const vic_engine *engine, const struct launch *l, void *stream,
                      vic_error *err)
{
    const struct places p = places_of(&l->layout, l->tensor, l->n);
    TRY(copy_pinned(s, engine, l, &p, 0, TENSOR_OUT, stream, err));
    if (p.gathered == 0) return VIC_OK;
    return device_copy_on(engine->options.device, gpu_of(s), host_of(s), p.gathered, stream, err);
}

vic_status staging_out(struct staging *s, const vic_engine *engine, const struct launch *l, void *stream,
                       vic_error *err)
{
    const struct places p = places_of(&l->layout, l->tensor, l->n);
    TRY(copy_pinned(s, engine, l, &p, TENSOR_OUT, TENSORS, stream, err));
    if (p.total == p.scattered) return VIC_OK;
    return device_copy_on(engine->options.device, host_of(s) + p.scattered, gpu_of(s) + p.scattered,
                          p.total - p.scattered, stream, err);
}

void staging_end(struct staging *s, const vic_engine *engine, const struct launch *l, bool good, void *stream)
{
    const struct places p = places_of(&l->layout, l->tensor, l->n);
    size_t i = 0;
    for (const struct query *q = l->first; q && good; q = q->next, i++)
        for (int t = TENSOR_OUT; t < TENSORS; t++) {
            const vic_tensor tensor = tensor_at(l, q, t);
            if (is_staged(&l->layout, t) && !is_pinned(&l->layout, t))
                scatter(&tensor, host_of(s) + p.offset[t] + i * p.size[t]);
        }
    device_free_on(engine->options.device, s->large_gpu, stream);
    free(s->large_host);
    s->large_host = s->large_gpu = NULL;
}
