/* SPDX-License-Identifier: Apache-2.0 */
/* Executions: the requests of a batch are read, handed to the engine together, and answered as its callbacks come.
 * The engine's threads only note that a query is done; all that is Triton's happens on Triton's own thread. */
#define _POSIX_C_SOURCE 200809L
#include "backend.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOK_AROUND_MS = 20 }; /* how often cancelled requests are looked for while none is answered */

struct scratch {
    void *memory; /* aligned to 64 bytes */
    size_t size;
};

/* An output that the engine writes elsewhere than where Triton wants it. */
struct detour {
    void *to;
    vic_device device;
    size_t bytes; /* 0 = none */
};

/* One request. */
struct slot {
    struct batch *batch;
    TRITONBACKEND_Request *request;
    TRITONBACKEND_Response *response;
    vic_query query;
    uint64_t ticket;
    int64_t items;      /* its share of a batch */
    vic_status refused; /* what kept it from being handed in */
    bool pending;       /* handed in, and not answered */
    uint64_t submitted;
    vic_status status; /* of the answer */
    vic_error error;
    uint64_t version, time_ns[VIC_STAGES];
    double cell[9];
    struct detour detours[TENSORS];
    struct scratch scratch[TENSORS]; /* kept from one execution to the next */
    struct slot *next;
};

struct batch {
    pthread_mutex_t lock; /* guards what is done */
    pthread_cond_t done;
    struct slot *first_done, *last_done;
    struct slot *slots;
    uint32_t size;
};

struct execution {
    struct batch *batch;
    struct instance *instance;
    TRITONBACKEND_ModelInstance *handle;
    uint32_t count, pending;
    uint64_t start, compute_start, compute_end, items;
};

/* ---- Memory ---- */

vic_status batch_new(struct batch **out, vic_error *err)
{
    pthread_condattr_t attributes;
    struct batch *b = calloc(1, sizeof *b);
    if (!b) return fail(err, VIC_NO_MEMORY, "out of memory: an instance");
    pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&b->done, &attributes);
    pthread_condattr_destroy(&attributes);
    *out = b;
    return VIC_OK;
}

void batch_free(struct batch *b)
{
    if (!b) return;
    for (uint32_t k = 0; k < b->size; k++)
        for (int t = 0; t < TENSORS; t++) free(b->slots[k].scratch[t].memory);
    free(b->slots);
    pthread_cond_destroy(&b->done);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static bool make_room(struct batch *b, uint32_t count)
{
    if (count <= b->size) return true;
    struct slot *slots = realloc(b->slots, count * sizeof *slots);
    if (!slots) return false;
    memset(slots + b->size, 0, (count - b->size) * sizeof *slots);
    b->slots = slots;
    b->size = count;
    return true;
}

static vic_status scratch_take(struct slot *s, int t, size_t bytes, void **out, vic_error *err)
{
    struct scratch *scratch = &s->scratch[t];
    if (scratch->size < bytes || !scratch->memory) {
        const size_t size = (bytes / 64 + 1) * 64;
        free(scratch->memory);
        scratch->memory = bytes < SIZE_MAX - 64 ? aligned_alloc(64, size) : NULL;
        scratch->size = scratch->memory ? size : 0;
        if (!scratch->memory)
            return fail(err, VIC_NO_MEMORY, "out of memory: %zu bytes for %s", bytes, tensor_names[t]);
    }
    *out = scratch->memory;
    return VIC_OK;
}

/* Pinned memory matters to an engine on a GPU alone, which copies it without a detour. */
static vic_device device_of(const struct instance *i, TRITONSERVER_MemoryType memory, int64_t id)
{
    if (memory == TRITONSERVER_MEMORY_GPU) return (vic_device){ VIC_CUDA, (int32_t)id };
    const bool pinned = memory == TRITONSERVER_MEMORY_CPU_PINNED && i->device.type == VIC_CUDA;
    return (vic_device){ pinned ? VIC_CUDA_HOST : VIC_CPU, 0 };
}

/* Whether the engine takes the tensor where it is.  Inputs over HTTP lie behind a JSON text of any length, at any
 * address; on a GPU what is not aligned to 16 bytes would be refused by some kernels. */
static bool in_place(const struct instance *i, int t, const void *data, vic_device device, size_t alignment)
{
    if (!data) return false;
    if (device.type != VIC_CUDA) return (uintptr_t)data % alignment == 0;
    return t != TENSOR_POSITIONS && t != TENSOR_CELL && i->device.type == VIC_CUDA &&
           i->device.index == device.index && (uintptr_t)data % 16 == 0;
}

/* ---- Inputs ---- */

static vic_dtype from_triton(TRITONSERVER_DataType type)
{
    switch (type) {
    case TRITONSERVER_TYPE_FP16: return VIC_F16;
    case TRITONSERVER_TYPE_FP32: return VIC_F32;
    case TRITONSERVER_TYPE_FP64: return VIC_F64;
    case TRITONSERVER_TYPE_BF16: return VIC_BF16;
    case TRITONSERVER_TYPE_INVALID: break;
    }
    return VIC_DTYPE_UNKNOWN;
}

static TRITONSERVER_DataType to_triton(vic_dtype type)
{
    return type == VIC_F16    ? TRITONSERVER_TYPE_FP16
           : type == VIC_BF16 ? TRITONSERVER_TYPE_BF16
           : type == VIC_F64  ? TRITONSERVER_TYPE_FP64
                              : TRITONSERVER_TYPE_FP32;
}

/* Bytes of a dense tensor; false where they do not fit. */
static bool volume(const int64_t *shape, int ndim, vic_dtype dtype, size_t *bytes)
{
    *bytes = vic_dtype_size(dtype);
    for (int i = 0; i < ndim; i++)
        if (shape[i] < 0 || __builtin_mul_overflow(*bytes, (size_t)shape[i], bytes)) return false;
    return true;
}

struct given_input {
    TRITONBACKEND_Input *handle;
    const char *name;
    TRITONSERVER_DataType type;
    const int64_t *shape;
    uint32_t dims, buffers;
    uint64_t bytes;
};

/* The tensor's memory, as it is or copied into one piece. */
static vic_status input_memory(struct execution *x, struct slot *s, int t, const struct given_input *in,
                               vic_tensor *out, vic_error *err)
{
    const struct instance *i = x->instance;
    size_t filled = 0;
    void *copy = NULL;
    for (uint32_t b = 0; b < in->buffers; b++) {
        const void *data = NULL;
        uint64_t bytes = 0;
        TRITONSERVER_MemoryType memory =
            i->device.type == VIC_CUDA ? TRITONSERVER_MEMORY_GPU : TRITONSERVER_MEMORY_CPU;
        int64_t id = i->device.index;
        TRY(taken(TRITONBACKEND_InputBuffer(in->handle, b, &data, &bytes, &memory, &id), err));
        const vic_device device = device_of(i, memory, id);
        if (bytes > in->bytes - filled)
            return fail(err, VIC_BAD_ARGUMENT, "%s: its buffers hold more than its %llu bytes", in->name,
                        (unsigned long long)in->bytes);
        if (in->buffers == 1 && bytes == in->bytes && in_place(i, t, data, device, vic_dtype_size(out->dtype))) {
            memcpy(&out->data, &data, sizeof data); /* only read */
            out->device = device;
            return VIC_OK;
        }
        if (!copy) TRY(scratch_take(s, t, in->bytes, &copy, err));
        if (device.type != VIC_CUDA) {
            if (bytes) memcpy((char *)copy + filled, data, bytes);
        } else {
            TRY(vic_memory_copy((vic_device){ VIC_CPU, 0 }, (char *)copy + filled, device, data, bytes, err));
        }
        filled += bytes;
    }
    if (filled != in->bytes)
        return fail(err, VIC_BAD_ARGUMENT, "%s: expected buffers of %llu bytes, got %zu", in->name,
                    (unsigned long long)in->bytes, filled);
    if (!copy) TRY(scratch_take(s, t, 0, &copy, err));
    out->data = copy;
    out->device = (vic_device){ VIC_CPU, 0 };
    return VIC_OK;
}

static vic_status read_input(struct execution *x, struct slot *s, vic_tensor tensors[INPUTS],
                             const struct given_input *in, vic_error *err)
{
    const struct config *c = &x->instance->model->config;
    int t = 0;
    size_t bytes;
    while (t < INPUTS && strcmp(in->name, tensor_names[t]) != 0) t++;
    if (t == INPUTS || !c->tensors[t].dtype)
        return fail(err, VIC_BAD_ARGUMENT, "input %s: not one of the model's", in->name);
    const struct config_tensor *want = &c->tensors[t];
    const int front = c->batches; /* dimensions before those of the tensor itself */
    if ((int64_t)in->dims != want->ndim + front)
        return fail(err, VIC_BAD_ARGUMENT, "input %s: expected %d dimensions, got %u", in->name, want->ndim + front,
                    in->dims);
    if (from_triton(in->type) != want->dtype)
        return fail(err, VIC_BAD_ARGUMENT, "input %s: expected %s, got Triton's type %d", in->name,
                    vic_dtype_name(want->dtype), (int)in->type);
    if (!volume(in->shape, (int)in->dims, want->dtype, &bytes) || bytes != in->bytes)
        return fail(err, VIC_BAD_ARGUMENT, "input %s: expected as many bytes as its shape says, got %llu", in->name,
                    (unsigned long long)in->bytes);
    const bool moves = t == TENSOR_POSITIONS || t == TENSOR_CELL;
    if (moves && front && in->shape[0] != 1)
        return fail(
            err, VIC_BAD_ARGUMENT,
            "input %s: new positions come with one query, not with a batch: expected a first dimension of 1, got "
            "%lld",
            in->name, (long long)in->shape[0]);
    /* A batch of one is a query like those without a batch dimension, and shares their launches. */
    const int drop = front && in->shape[0] == 1;
    tensors[t] = vic_tensor_make(NULL, want->dtype, (int)in->dims - drop, in->shape + drop);
    return input_memory(x, s, t, in, &tensors[t], err);
}

static vic_status read_cell(const vic_tensor *t, double cell[9], vic_error *err)
{
    if (t->shape[0] != 3 || t->shape[1] != 3)
        return fail(err, VIC_BAD_ARGUMENT, "input CELL: expected shape [3, 3], the vectors as rows, got [%lld, %lld]",
                    (long long)t->shape[0], (long long)t->shape[1]);
    for (int i = 0; i < 9; i++)
        cell[i] = t->dtype == VIC_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
    return VIC_OK;
}

static vic_status read_inputs(struct execution *x, struct slot *s, vic_error *err)
{
    vic_tensor tensors[INPUTS] = { { 0 } };
    uint32_t count;
    TRY(taken(TRITONBACKEND_RequestInputCount(s->request, &count), err));
    for (uint32_t i = 0; i < count; i++) {
        struct given_input in;
        TRY(taken(TRITONBACKEND_RequestInputByIndex(s->request, i, &in.handle), err));
        TRY(taken(TRITONBACKEND_InputProperties(in.handle, &in.name, &in.type, &in.shape, &in.dims, &in.bytes,
                                                &in.buffers),
                  err));
        TRY(read_input(x, s, tensors, &in, err));
    }
    int missing = -1, present = 0;
    for (int t = 0; t < TENSOR_POSITIONS; t++) {
        present += tensors[t].data != NULL;
        if (!tensors[t].data) missing = t;
    }
    if (present % 3 != 0 || (present == 0 && !tensors[TENSOR_POSITIONS].data && !tensors[TENSOR_CELL].data))
        return fail(err, VIC_BAD_ARGUMENT, "input %s is missing: expected Q, K and V%s", tensor_names[missing],
                    x->instance->model->config.tensors[TENSOR_POSITIONS].dtype
                        ? ", new positions (POSITIONS, CELL), or both"
                        : "");
    if (tensors[TENSOR_CELL].data) {
        TRY(read_cell(&tensors[TENSOR_CELL], s->cell, err));
        s->query.cell = s->cell;
    }
    s->query.q = tensors[TENSOR_Q];
    s->query.k = tensors[TENSOR_K];
    s->query.v = tensors[TENSOR_V];
    s->query.positions = tensors[TENSOR_POSITIONS];
    return VIC_OK;
}

/* ---- Outputs ---- */

/* An output's shape, as Triton has it: with the batch dimension of the model in front. */
static int output_shape(const struct execution *x, const struct slot *s, int t, int64_t shape[4])
{
    const struct model *m = x->instance->model;
    int n = 0;
    if (m->config.batches) shape[n++] = s->items;
    shape[n++] = m->n_q;
    shape[n++] = m->config.plan.heads;
    if (t == TENSOR_O) shape[n++] = m->config.plan.head_dim_v;
    return n;
}

static vic_status output_tensor(struct execution *x, struct slot *s, int t, bool wanted, vic_tensor *out,
                                vic_error *err)
{
    const struct instance *i = x->instance;
    const vic_dtype dtype = t == TENSOR_LSE ? VIC_F32 : i->model->config.plan.dtype;
    TRITONBACKEND_Output *output;
    int64_t shape[4];
    size_t bytes;
    const int ndim = output_shape(x, s, t, shape), drop = i->model->config.batches && s->items == 1;
    *out = vic_tensor_make(NULL, dtype, ndim - drop, shape + drop);
    if (!volume(shape, ndim, dtype, &bytes))
        return fail(err, VIC_BAD_ARGUMENT, "output %s: a batch of %lld does not fit memory", tensor_names[t],
                    (long long)s->items);
    if (wanted) {
        TRITONSERVER_MemoryType memory =
            i->device.type == VIC_CUDA ? TRITONSERVER_MEMORY_GPU : TRITONSERVER_MEMORY_CPU;
        int64_t id = i->device.index;
        void *data = NULL;
        TRY(taken(TRITONBACKEND_ResponseOutput(s->response, &output, tensor_names[t], to_triton(dtype), shape,
                                               (uint32_t)ndim),
                  err));
        TRY(taken(TRITONBACKEND_OutputBuffer(output, &data, bytes, &memory, &id), err));
        const vic_device device = device_of(i, memory, id);
        if (in_place(i, t, data, device, vic_dtype_size(dtype))) {
            out->data = data;
            out->device = device;
            return VIC_OK;
        }
        s->detours[t] = (struct detour){ data, device, bytes };
    }
    return scratch_take(s, t, bytes, &out->data, err);
}

static vic_status make_outputs(struct execution *x, struct slot *s, vic_error *err)
{
    uint32_t count;
    bool wanted[TENSORS] = { false };
    TRY(taken(TRITONBACKEND_RequestOutputCount(s->request, &count), err));
    for (uint32_t i = 0; i < count; i++) {
        const char *name;
        int t = TENSOR_O;
        TRY(taken(TRITONBACKEND_RequestOutputName(s->request, i, &name), err));
        while (t < TENSORS && strcmp(name, tensor_names[t]) != 0) t++;
        if (t == TENSORS) return fail(err, VIC_BAD_ARGUMENT, "output %s: not known; there are O and LSE", name);
        wanted[t] = true;
    }
    if (!s->query.q.data) return VIC_OK; /* positions alone: there is nothing to put out */
    TRY(output_tensor(x, s, TENSOR_O, wanted[TENSOR_O], &s->query.out, err));
    if (wanted[TENSOR_LSE]) TRY(output_tensor(x, s, TENSOR_LSE, true, &s->query.lse, err));
    return VIC_OK;
}

static vic_status copy_outputs(struct slot *s, vic_error *err)
{
    const vic_tensor *from[TENSORS] = { [TENSOR_O] = &s->query.out, [TENSOR_LSE] = &s->query.lse };
    for (int t = TENSOR_O; t < TENSORS; t++) {
        const struct detour *d = &s->detours[t];
        if (d->bytes == 0) continue;
        if (!d->to) return fail(err, VIC_FAILED, "output %s: Triton gave no memory for it", tensor_names[t]);
        if (d->device.type != VIC_CUDA) {
            memcpy(d->to, from[t]->data, d->bytes);
        } else {
            TRY(vic_memory_copy(d->device, d->to, from[t]->device, from[t]->data, d->bytes, err));
        }
    }
    return VIC_OK;
}

/* ---- A request's way ---- */

/* On a thread of the engine's. */
static void on_done(void *user, const vic_answer *answer)
{
    struct slot *s = user;
    struct batch *b = s->batch;
    s->status = answer->status;
    if (answer->status != VIC_OK) (void)fail(&s->error, answer->status, "%s", answer->text);
    s->version = answer->version;
    memcpy(s->time_ns, answer->time_ns, sizeof s->time_ns);
    s->next = NULL;
    pthread_mutex_lock(&b->lock);
    if (b->first_done) {
        b->last_done->next = s;
    } else {
        b->first_done = s;
        pthread_cond_signal(&b->done);
    }
    b->last_done = s;
    pthread_mutex_unlock(&b->lock);
}

static vic_status prepare(struct execution *x, struct slot *s, vic_error *err)
{
    const struct config *c = &x->instance->model->config;
    bool cancelled = false;
    uint64_t timeout = 0;
    TRY(taken(TRITONBACKEND_RequestIsCancelled(s->request, &cancelled), err));
    if (cancelled) return fail(err, VIC_CANCELLED, "the request was cancelled before it was read");
    TRY(taken(TRITONBACKEND_InferenceRequestTimeoutMicroseconds(s->request, &timeout), err));
    s->query.timeout = (double)timeout * 1e-6;
    s->query.scale = c->scale;
    s->query.zero_scale = c->zero_scale;
    s->query.done = on_done;
    s->query.user = s;
    TRY(read_inputs(x, s, err));
    s->items = s->query.q.ndim == 4 ? s->query.q.shape[0] : 1;
    return make_outputs(x, s, err);
}

static void submit(struct execution *x, struct slot *s)
{
    vic_error err; /* the callback, which may come before vic_submit() returns, has the slot's */
    s->submitted = now_ns();
    s->refused = vic_submit(x->instance->shared->endpoint, &s->query, &s->ticket, &err);
    s->pending = s->refused == VIC_OK;
    x->pending += s->pending;
    if (!s->pending) s->error = err;
}

/* Where its time went, in the four steps that Triton knows: waiting in the engine's queue counts as input. */
static void report(struct execution *x, const struct slot *s, bool good)
{
    const uint64_t end = now_ns(), *ns = s->time_ns;
    uint64_t compute_start = s->submitted + ns[VIC_STAGE_QUEUE] + ns[VIC_STAGE_INPUT];
    if (compute_start > end) compute_start = end;
    uint64_t compute_end = compute_start + ns[VIC_STAGE_COMPUTE];
    if (compute_end > end) compute_end = end;
    if (!good) compute_start = compute_end = x->start;
    noted(TRITONBACKEND_ModelInstanceReportStatistics(x->handle, s->request, good, x->start, compute_start,
                                                      compute_end, end));
    if (!good) return;
    if (x->items == 0 || compute_start < x->compute_start) x->compute_start = compute_start;
    if (compute_end > x->compute_end) x->compute_end = compute_end;
    x->items += (uint64_t)s->items;
}

static void answer(struct execution *x, struct slot *s)
{
    if (s->status == VIC_OK) s->status = copy_outputs(s, &s->error);
    if (s->status == VIC_OK)
        s->status =
            taken(TRITONBACKEND_ResponseSetIntParameter(s->response, "positions_version", (int64_t)s->version),
                  &s->error);
    report(x, s, s->status == VIC_OK);
    TRITONSERVER_Error *error = given(s->status, &s->error);
    noted(TRITONBACKEND_ResponseSend(s->response, TRITONSERVER_RESPONSE_COMPLETE_FINAL, error));
    if (error) TRITONSERVER_ErrorDelete(error);
    noted(TRITONBACKEND_RequestRelease(s->request, TRITONSERVER_REQUEST_RELEASE_ALL));
}

static void take_back_cancelled(const struct execution *x)
{
    for (uint32_t k = 0; k < x->count; k++) {
        const struct slot *s = &x->batch->slots[k];
        bool cancelled = false;
        if (!s->pending) continue;
        noted(TRITONBACKEND_RequestIsCancelled(s->request, &cancelled));
        if (cancelled) (void)vic_cancel(x->instance->shared->endpoint, s->ticket);
    }
}

/* What is done since the last call, at least one. */
static struct slot *wait_for_done(const struct execution *x)
{
    struct batch *b = x->batch;
    pthread_mutex_lock(&b->lock);
    while (!b->first_done) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_AROUND_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&b->done, &b->lock, &until) == 0) continue;
        pthread_mutex_unlock(&b->lock);
        take_back_cancelled(x);
        pthread_mutex_lock(&b->lock);
    }
    struct slot *first = b->first_done;
    b->first_done = NULL;
    pthread_mutex_unlock(&b->lock);
    return first;
}

/* Nothing is taken over yet: a failure here is Triton's to answer. */
static TRITONSERVER_Error *begin(struct batch *b, TRITONBACKEND_Request **requests, uint32_t count)
{
    if (!make_room(b, count))
        return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_UNAVAILABLE, "vicinal: out of memory for the requests");
    for (uint32_t k = 0; k < count; k++) {
        struct slot *s = &b->slots[k];
        TRITONBACKEND_Response *response;
        TRITONSERVER_Error *error = TRITONBACKEND_ResponseNew(&response, requests[k]);
        if (error) {
            while (k > 0) noted(TRITONBACKEND_ResponseDelete(b->slots[--k].response));
            return error;
        }
        s->batch = b;
        s->request = requests[k];
        s->response = response;
        s->query = (vic_query)VIC_INIT(vic_query);
        s->items = 1;
        s->version = 0;
        s->pending = false;
        memset(s->time_ns, 0, sizeof s->time_ns);
        memset(s->detours, 0, sizeof s->detours);
    }
    return NULL;
}

TRITONSERVER_Error *batch_run(struct batch *b, struct instance *instance, TRITONBACKEND_ModelInstance *handle,
                              TRITONBACKEND_Request **requests, uint32_t count)
{
    struct execution x = { .batch = b, .instance = instance, .handle = handle, .count = count, .start = now_ns() };
    TRITONSERVER_Error *error = begin(b, requests, count);
    if (error) return error;
    for (uint32_t k = 0; k < count; k++) b->slots[k].refused = prepare(&x, &b->slots[k], &b->slots[k].error);
    for (uint32_t k = 0; k < count; k++)
        if (b->slots[k].refused == VIC_OK) submit(&x, &b->slots[k]);
    for (uint32_t k = 0; k < count; k++) {
        struct slot *s = &b->slots[k];
        if (s->refused == VIC_OK) continue;
        s->status = s->refused;
        answer(&x, s);
    }
    while (x.pending > 0) {
        struct slot *next;
        for (struct slot *s = wait_for_done(&x); s; s = next) {
            next = s->next;
            s->pending = false;
            x.pending--;
            answer(&x, s);
        }
    }
    if (x.items > 0)
        noted(TRITONBACKEND_ModelInstanceReportBatchStatistics(handle, x.items, x.start, x.compute_start,
                                                               x.compute_end, now_ns()));
    return NULL;
}
