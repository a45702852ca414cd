/* SPDX-License-Identifier: Apache-2.0 */
/* The JAX operators: handlers that XLA calls through its foreign function interface.  Of that interface's header only
 * what is needed here is declared, of version 0.3 (JAX 0.9.1); tests/with_torch/test_jax.py compares it with the header of
 * the JAX that is installed.
 * https://github.com/openxla/xla/blob/main/xla/ffi/api/c_api.h
 *
 *     vicinal_attention
 *         operands q [.., n_q, heads, d], k [.., n_k, kv_heads, d], v [.., n_k, kv_heads, d_v], dense and row-major
 *         results  out [.., n_q, heads, d_v], lse float32 [.., n_q, heads]
 *     vicinal_attention_backward
 *         operands q, k, v, out, lse, dout, dlse
 *         results  dq, dk, dv
 *     attributes of both  int64 pattern (its number), float64 scale, int64 sorted (0 or 1)
 *
 * An executable holds its pattern: vicpy_jax_instantiate() takes it, and XLA lets go of it with the executable.
 *
 * The handlers do not have the trait COMMAND_BUFFER_COMPATIBLE: XLA would record them into a CUDA graph without a call
 * before, in which the plan could be made, and replay it after update_() has given the same number another plan. */
#include "glue.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- XLA's interface ---- */

enum { XLA_MAJOR = 0, XLA_MINOR = 3 }; /* and any later minor version, which only adds */
enum { XLA_METADATA = 1, XLA_SCALAR = 3, XLA_INSTANTIATE = 0, XLA_EXECUTE = 3 };
enum { XLA_S64 = 5, XLA_F16 = 10, XLA_F32 = 11, XLA_F64 = 12, XLA_BF16 = 16 };
enum {
    XLA_BAD_ARGUMENT = 3,
    XLA_NO_MEMORY = 8,
    XLA_FAILED_PRECONDITION = 9,
    XLA_UNIMPLEMENTED = 12,
    XLA_FAILED = 13
};

struct xla_error;   /* opaque */
struct xla_context; /* opaque */

struct xla_extension {
    size_t size;
    int type;
    struct xla_extension *next;
};

struct xla_version {
    size_t size;
    struct xla_extension *more;
    int major, minor;
};

struct xla_bytes {
    const char *start;
    size_t length;
};

struct xla_type_id {
    int64_t id;
};

struct xla_error_create {
    size_t size;
    struct xla_extension *more;
    const char *text;
    int code;
};

struct xla_stream_get {
    size_t size;
    struct xla_extension *more;
    struct xla_context *context;
    void *stream; /* out */
};

struct xla_ordinal_get {
    size_t size;
    struct xla_extension *more;
    struct xla_context *context;
    int32_t ordinal; /* out */
};

struct xla_allocate {
    size_t size;
    struct xla_extension *more;
    struct xla_context *context;
    size_t bytes, alignment; /* alignment at most 16 */
    void *data;              /* out */
};

struct xla_free {
    size_t size;
    struct xla_extension *more;
    struct xla_context *context;
    size_t bytes;
    void *data;
};

struct xla_type_info {
    size_t size;
    struct xla_extension *more;
    void (*release)(void *state);
};

struct xla_type_register {
    size_t size;
    struct xla_extension *more;
    struct xla_bytes name;
    struct xla_type_id *id; /* 0 = to be given */
    const struct xla_type_info *info;
};

struct xla_state_set {
    size_t size;
    struct xla_extension *more;
    struct xla_context *context;
    int stage;
    struct xla_type_id *id;
    void *state;
};

struct xla_api {
    size_t size;
    struct xla_extension *more;
    struct xla_version version;
    const void *internal;
    struct xla_error *(*error_create)(struct xla_error_create *);
    void *error_get_message, *error_destroy, *handler_register;
    struct xla_error *(*stream_get)(struct xla_stream_get *);
    struct xla_error *(*type_register)(struct xla_type_register *);
    void *context_get;
    struct xla_error *(*state_set)(struct xla_state_set *);
    void *state_get;
    struct xla_error *(*memory_allocate)(struct xla_allocate *);
    struct xla_error *(*memory_free)(struct xla_free *);
    void *threads_schedule, *threads_number, *future_create, *future_set_available, *future_set_error, *run_id_get;
    struct xla_error *(*ordinal_get)(struct xla_ordinal_get *);
};

struct xla_metadata {
    size_t size;
    struct xla_version version; /* out */
    uint32_t traits;            /* out */
    struct xla_type_id state;   /* out */
};

struct xla_metadata_extension {
    struct xla_extension base;
    struct xla_metadata *metadata;
};

struct xla_buffer {
    size_t size;
    struct xla_extension *more;
    int dtype;
    void *data;
    int64_t rank;
    int64_t *shape;
};

struct xla_scalar {
    int dtype;
    void *value;
};

struct xla_buffers {
    size_t size;
    struct xla_extension *more;
    int64_t n;
    int *types;
    void **buffers;
};

struct xla_attributes {
    size_t size;
    struct xla_extension *more;
    int64_t n;
    int *types;
    struct xla_bytes **names;
    void **values;
};

struct xla_frame {
    size_t size;
    struct xla_extension *more;
    const struct xla_api *api;
    struct xla_context *context;
    int stage;
    struct xla_buffers operands, results;
    struct xla_attributes attributes;
};

/* ---- Errors ---- */

static struct xla_error *error_of(const struct xla_api *api, int code, const char *text)
{
    struct xla_error_create e = { .size = sizeof e, .text = text, .code = code };
    return api->error_create(&e);
}

static struct xla_error *fail(const struct xla_api *api, const vic_error *err)
{
    static const struct {
        vic_status status;
        int code;
    } codes[] = { { VIC_BAD_ARGUMENT, XLA_BAD_ARGUMENT },
                  { VIC_BAD_INPUT, XLA_BAD_ARGUMENT },
                  { VIC_NO_MEMORY, XLA_NO_MEMORY },
                  { VIC_NO_DEVICE, XLA_FAILED_PRECONDITION },
                  { VIC_NO_KERNEL, XLA_UNIMPLEMENTED } };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].status == err->status) return error_of(api, codes[i].code, err->text);
    return error_of(api, XLA_FAILED, err->text);
}

static struct xla_error *misuse(const struct xla_frame *f)
{
    return error_of(
        f->api, XLA_BAD_ARGUMENT,
        "vicinal_attention: expected operands q, k, v, results out, lse, of vicinal_attention_backward q, k, v, "
        "out, lse, dout, dlse, and dq, dk, dv, and attributes int64 pattern, float64 scale, int64 sorted, as "
        "vicinal.jax.attention() gives them");
}

/* NULL when this XLA has what is used of it. */
static struct xla_error *unsuited(const struct xla_frame *f)
{
    const struct xla_api *api = f->api;
    char text[512];
    if (f->size >= sizeof *f && api->size >= sizeof *api && api->version.major == XLA_MAJOR &&
        api->version.minor >= XLA_MINOR)
        return NULL;
    snprintf(text, sizeof text,
             "vicinal needs XLA's foreign function interface in version %d.%d or a later %d.x, with %zu bytes of "
             "functions and %zu of a call frame; this JAX has version %d.%d, with %zu and %zu. Install JAX 0.9.1 or "
             "newer, or, where JAX is newer than vicinal, a newer vicinal",
             XLA_MAJOR, XLA_MINOR, XLA_MAJOR, sizeof *api, sizeof *f, api->version.major, api->version.minor,
             api->size, f->size);
    return error_of(api, XLA_UNIMPLEMENTED, text);
}

/* ---- Executables hold their patterns ---- */

static void let_go(void *state)
{
    vicpy_drop((int64_t)(uintptr_t)state);
}

/* The type of a held pattern, with this XLA: that of the CPU and each plugin's number their types on their own. */
static struct xla_error *type_of(const struct xla_api *api, struct xla_type_id **out)
{
    enum { MOST = 8 };
    static struct {
        const struct xla_api *api;
        struct xla_type_id id;
    } known[MOST];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static const char name[] = "vicinal_pattern";
    const struct xla_type_info info = { .size = sizeof info, .release = let_go };
    struct xla_error *error = NULL;
    int i = 0;
    pthread_mutex_lock(&lock);
    while (i < MOST - 1 && known[i].api && known[i].api != api) i++;
    if (known[i].api != api) {
        struct xla_type_register r = { .size = sizeof r, .name = { name, strlen(name) }, .id = &known[i].id };
        r.info = &info;
        known[i].id.id = 0;
        error = api->type_register(&r);
        if (!error) known[i].api = api;
    }
    *out = &known[i].id;
    pthread_mutex_unlock(&lock);
    return error;
}

/* ---- What XLA asks first ---- */

/* Whether the call only asks what the handler is like, and then the answer. */
static bool asked(const struct xla_frame *f, bool stateful, struct xla_error **error)
{
    struct xla_extension *e = f->more;
    while (e && e->type != XLA_METADATA) e = e->next;
    if (!e) return false;
    struct xla_metadata *m = ((struct xla_metadata_extension *)e)->metadata;
    struct xla_type_id *id;
    *error = f->api ? unsuited(f) : NULL; /* an XLA that does not tell yet finds the version wrong by itself */
    m->version.major = XLA_MAJOR;
    m->version.minor = XLA_MINOR;
    m->traits = 0;
    if (stateful && f->api && !*error) {
        *error = type_of(f->api, &id);
        if (!*error) m->state = *id;
    }
    return true;
}

static const void *attribute(const struct xla_frame *f, const char *name, int dtype)
{
    for (int64_t i = 0; i < f->attributes.n; i++) {
        const struct xla_bytes *b = f->attributes.names[i];
        const struct xla_scalar *s = f->attributes.values[i];
        if (b->length == strlen(name) && memcmp(b->start, name, b->length) == 0)
            return f->attributes.types[i] == XLA_SCALAR && s->dtype == dtype ? s->value : NULL;
    }
    return NULL;
}

static bool read_attribute(const struct xla_frame *f, const char *name, int dtype, void *out)
{
    const void *value = attribute(f, name, dtype);
    if (value) memcpy(out, value, 8);
    return value != NULL;
}

/* When an executable is made or loaded. */
struct xla_error *vicpy_jax_instantiate(struct xla_frame *f)
{
    struct xla_error *error = NULL;
    struct xla_type_id *id;
    int64_t number;
    if (asked(f, true, &error) || (error = unsuited(f))) return error;
    if (!read_attribute(f, "pattern", XLA_S64, &number)) return misuse(f);
    if ((error = type_of(f->api, &id))) return error;
    vic_error err;
    if (vicpy_hold(number, &err)) return fail(f->api, &err);
    struct xla_state_set set = { .size = sizeof set, .context = f->context, .stage = XLA_INSTANTIATE, .id = id };
    set.state = (void *)(uintptr_t)number; // NOLINT(performance-no-int-to-ptr): the number is all there is to keep
    if ((error = f->api->state_set(&set))) vicpy_drop(number);
    return error;
}

/* ---- Attention ---- */

/* Dimensions before the last three, or two of lse, are the batch. */
static bool tensor_of(const struct xla_buffer *b, int inner, vic_device device, vic_tensor *out)
{
    const vic_dtype dtype = b->dtype == XLA_F32    ? VIC_F32
                            : b->dtype == XLA_F16  ? VIC_F16
                            : b->dtype == XLA_BF16 ? VIC_BF16
                                                   : VIC_DTYPE_UNKNOWN;
    int64_t shape[VIC_MAX_DIMS] = { 1 };
    if (b->rank < inner || dtype == VIC_DTYPE_UNKNOWN) return false;
    const int64_t outer = b->rank - inner;
    for (int64_t i = 0; i < outer; i++) shape[0] *= b->shape[i];
    for (int i = 0; i < inner; i++) shape[(outer > 0) + i] = b->shape[outer + i];
    *out = vic_tensor_make(b->data, dtype, inner + (outer > 0), shape);
    out->device = device;
    return true;
}

struct place {
    vic_tensor *to;
    int inner; /* dimensions */
};

static bool read_tensors(const struct xla_buffers *b, const struct place *places, int n, vic_device device)
{
    bool good = b->n == n;
    for (int i = 0; good && i < n; i++) good = tensor_of(b->buffers[i], places[i].inner, device, places[i].to);
    return good;
}

struct options {
    int64_t pattern, sorted;
    double scale;
};

static bool read_options(const struct xla_frame *f, struct options *out)
{
    return read_attribute(f, "pattern", XLA_S64, &out->pattern) && read_attribute(f, "scale", XLA_F64, &out->scale) &&
           read_attribute(f, "sorted", XLA_S64, &out->sorted);
}

/* Scratch on a GPU.  It goes back as soon as the work is enqueued: XLA's allocator gives memory out in the order of the
 * stream that its computations run on. */
struct scratch {
    struct xla_allocate memory;
    void *aligned;
    size_t bytes;
};

static struct xla_error *scratch_take(const struct xla_frame *f, const struct planned *plan, const vic_tensor *q,
                                      struct scratch *out)
{
    enum { ALIGNMENT = 64 };
    struct xla_error *error;
    vic_error err;
    *out = (struct scratch){ .memory = { .size = sizeof out->memory, .context = f->context, .alignment = 16 } };
    if (q->device.type == VIC_CPU) return NULL;
    if (planned_workspace(plan, q->ndim == 4 ? q->shape[0] : 1, &out->bytes, &err)) return fail(f->api, &err);
    if (out->bytes == 0) return NULL;
    out->memory.bytes = out->bytes + ALIGNMENT;
    if ((error = f->api->memory_allocate(&out->memory))) {
        out->bytes = 0;
        return error;
    }
    out->aligned = (char *)out->memory.data + (-(uintptr_t)out->memory.data % ALIGNMENT);
    return NULL;
}

/* The first of two errors. */
static struct xla_error *scratch_back(const struct xla_frame *f, const struct scratch *s, struct xla_error *error)
{
    struct xla_free back = { .size = sizeof back, .context = f->context };
    if (s->bytes == 0) return error;
    back.bytes = s->memory.bytes;
    back.data = s->memory.data;
    struct xla_error *late = f->api->memory_free(&back);
    return error ? error : late;
}

static struct xla_error *attend(const struct xla_frame *f, vic_device device, void *stream)
{
    vic_attention_args a = VIC_INIT(vic_attention_args);
    const struct place operands[] = { { &a.q, 3 }, { &a.k, 3 }, { &a.v, 3 } },
                       results[] = { { &a.out, 3 }, { &a.lse, 2 } };
    struct scratch s;
    struct options o;
    struct planned *plan;
    vic_error err;
    if (!read_tensors(&f->operands, operands, 3, device) || !read_tensors(&f->results, results, 2, device) ||
        !read_options(f, &o))
        return misuse(f);
    a.scale = o.scale;
    a.zero_scale = o.scale == 0.0;
    a.stream = stream;
    if (plan_take(o.pattern, &a, o.sorted != 0, &plan, &err)) return fail(f->api, &err);
    struct xla_error *error = scratch_take(f, plan, &a.q, &s);
    a.workspace = s.aligned;
    a.workspace_size = s.bytes;
    if (!error && planned_run(plan, &a, &err)) error = fail(f->api, &err);
    error = scratch_back(f, &s, error);
    plan_give(plan);
    return error;
}

static struct xla_error *differentiate(const struct xla_frame *f, vic_device device, void *stream)
{
    vic_attention_backward_args a = VIC_INIT(vic_attention_backward_args);
    const struct place operands[] = { { &a.q, 3 },   { &a.k, 3 },    { &a.v, 3 },   { &a.out, 3 },
                                      { &a.lse, 2 }, { &a.dout, 3 }, { &a.dlse, 2 } };
    const struct place results[] = { { &a.dq, 3 }, { &a.dk, 3 }, { &a.dv, 3 } };
    struct scratch s;
    struct options o;
    struct planned *plan;
    vic_error err;
    if (!read_tensors(&f->operands, operands, 7, device) || !read_tensors(&f->results, results, 3, device) ||
        !read_options(f, &o))
        return misuse(f);
    a.scale = o.scale;
    a.zero_scale = o.scale == 0.0;
    a.stream = stream;
    if (plan_take_backward(o.pattern, &a, o.sorted != 0, &plan, &err)) return fail(f->api, &err);
    struct xla_error *error = scratch_take(f, plan, &a.q, &s);
    a.workspace = s.aligned;
    a.workspace_size = s.bytes;
    if (!error && planned_run_backward(plan, &a, &err)) error = fail(f->api, &err);
    error = scratch_back(f, &s, error);
    plan_give(plan);
    return error;
}

/* One of the two. */
typedef struct xla_error *(*work)(const struct xla_frame *, vic_device, void *stream);

static struct xla_error *on_cpu(const struct xla_frame *f, work todo)
{
    struct xla_error *error = NULL;
    if (asked(f, false, &error) || (error = unsuited(f))) return error;
    return todo(f, (vic_device){ VIC_CPU, 0 }, NULL);
}

static struct xla_error *on_gpu(const struct xla_frame *f, work todo)
{
    struct xla_error *error = NULL;
    if (asked(f, false, &error) || (error = unsuited(f))) return error;
    struct xla_stream_get s = { .size = sizeof s, .context = f->context };
    struct xla_ordinal_get o = { .size = sizeof o, .context = f->context };
    if ((error = f->api->stream_get(&s)) || (error = f->api->ordinal_get(&o))) return error;
    return todo(f, (vic_device){ VIC_CUDA, o.ordinal }, s.stream ? s.stream : VIC_STREAM_DEFAULT);
}

struct xla_error *vicpy_jax_cpu(struct xla_frame *f)
{
    return on_cpu(f, attend);
}

struct xla_error *vicpy_jax_cuda(struct xla_frame *f)
{
    return on_gpu(f, attend);
}

struct xla_error *vicpy_jax_backward_cpu(struct xla_frame *f)
{
    return on_cpu(f, differentiate);
}

struct xla_error *vicpy_jax_backward_cuda(struct xla_frame *f)
{
    return on_gpu(f, differentiate);
}
