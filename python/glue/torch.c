/* SPDX-License-Identifier: Apache-2.0 */
/* The torch operators, registered from C: through the functions of libtorch's stable C interface, found at run time
 * (torch 2.10 or newer), so that neither torch's headers nor C++ are needed and one build serves every torch.
 * https://docs.pytorch.org/docs/stable/notes/libtorch_stable_abi.html
 *
 *     vicinal::attn(Tensor q, Tensor k, Tensor v, SymInt pattern, float scale, bool sorted) -> Tensor
 *     vicinal::attn_lse(...) -> (Tensor, Tensor)
 *     vicinal::attn_biased(Tensor q, Tensor k, Tensor v, Tensor table, ...) -> (Tensor, Tensor)
 *     vicinal::attn_backward(Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, Tensor dout, Tensor dlse, ..., int wanted)
 *         -> (Tensor dq, Tensor dk, Tensor dv)
 *     vicinal::attn_biased_backward(Tensor q, Tensor k, Tensor v, Tensor table, Tensor out, ...) -> (..., Tensor dtable)
 *
 * out [.., n_q, heads, d_v] and lse [.., n_q, heads]; scale NaN = 1 / sqrt(d).  Bits of `wanted`: 1 dq, 2 dk, 4 dv,
 * 8 dtable; what is not wanted is an empty tensor.  This file is compiled with -fexceptions, since torch's errors are C++
 * exceptions that pass through it. */
#include "glue.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef void *handle; /* of a tensor; owned */

static struct {
    int32_t (*library_init_fragment)(const char *, const char *, uint32_t, void **);
    int32_t (*library_init_impl)(const char *, const char *, const char *, uint32_t, void **);
    int32_t (*library_def)(void *, const char *);
    int32_t (*library_impl)(void *, const char *, void (*)(uint64_t *, uint64_t, uint64_t), uint64_t);
    int32_t (*get_data_ptr)(handle, void **);
    int32_t (*get_dim)(handle, int64_t *);
    int32_t (*get_sizes)(handle, int64_t **);
    int32_t (*get_strides)(handle, int64_t **);
    int32_t (*get_dtype)(handle, int32_t *);
    int32_t (*get_device_type)(handle, int32_t *);
    int32_t (*get_device_index)(handle, int32_t *);
    int32_t (*empty_strided)(int64_t, const int64_t *, const int64_t *, int32_t, int32_t, int32_t, handle *);
    int32_t (*copy_)(handle, handle, int32_t);
    int32_t (*zero_)(handle);
    int32_t (*delete)(handle);
    void (*check)(bool, const char *, const char *, uint32_t, const char *);
    int32_t (*float16)(void), (*bfloat16)(void), (*float32)(void), (*float64)(void), (*uint8)(void);
    int32_t (*cpu)(void), (*cuda)(void);
    int32_t (*current_stream)(int32_t, void **); /* NULL = this torch has no CUDA */
} torch;

/* What the functions above answer, asked once. */
static struct {
    int32_t float16, bfloat16, float32, float64, uint8, cpu, cuda;
} code;

static const struct {
    void *place;
    const char *name;
} needed[] = {
    { &torch.library_init_fragment, "aoti_torch_library_init_fragment" },
    { &torch.library_init_impl, "aoti_torch_library_init_impl" },
    { &torch.library_def, "aoti_torch_library_def" },
    { &torch.library_impl, "torch_library_impl" },
    { &torch.get_data_ptr, "aoti_torch_get_data_ptr" },
    { &torch.get_dim, "aoti_torch_get_dim" },
    { &torch.get_sizes, "aoti_torch_get_sizes" },
    { &torch.get_strides, "aoti_torch_get_strides" },
    { &torch.get_dtype, "aoti_torch_get_dtype" },
    { &torch.get_device_type, "aoti_torch_get_device_type" },
    { &torch.get_device_index, "aoti_torch_get_device_index" },
    { &torch.empty_strided, "aoti_torch_empty_strided" },
    { &torch.copy_, "aoti_torch_copy_" },
    { &torch.zero_, "aoti_torch_zero_" },
    { &torch.delete, "aoti_torch_delete_tensor_object" },
    { &torch.check, "aoti_torch_check" },
    { &torch.float16, "aoti_torch_dtype_float16" },
    { &torch.bfloat16, "aoti_torch_dtype_bfloat16" },
    { &torch.float32, "aoti_torch_dtype_float32" },
    { &torch.float64, "aoti_torch_dtype_float64" },
    { &torch.uint8, "aoti_torch_dtype_uint8" },
    { &torch.cpu, "aoti_torch_device_type_cpu" },
    { &torch.cuda, "aoti_torch_device_type_cuda" },
};

/* One call's tensors, so that whatever happens they are deleted. */
enum { READ = 8, WRITTEN = 4 }; /* at most */
struct call {
    handle own[2 * READ + WRITTEN + 1]; /* what is read may be copied; scratch */
    handle results[WRITTEN];
    int n, n_results;
    vic_error err;
};

static handle keep(struct call *c, handle t)
{
    return c->own[c->n++] = t;
}

static bool fail(struct call *c, vic_status status, const char *text)
{
    c->err.status = status;
    snprintf(c->err.text, sizeof c->err.text, "%s", text);
    return false;
}

static vic_tensor tensor_of(handle t)
{
    vic_tensor v = { 0 };
    int64_t *sizes, *strides, dims = 0;
    int32_t dtype = 0, type = 0, index = 0;
    torch.get_data_ptr(t, &v.data);
    torch.get_dim(t, &dims);
    torch.get_sizes(t, &sizes);
    torch.get_strides(t, &strides);
    torch.get_dtype(t, &dtype);
    torch.get_device_type(t, &type);
    if (type == code.cuda) torch.get_device_index(t, &index);
    v.device = (vic_device){ type == code.cuda ? VIC_CUDA : VIC_CPU, index };
    v.dtype = dtype == code.float32    ? VIC_F32
              : dtype == code.float16  ? VIC_F16
              : dtype == code.bfloat16 ? VIC_BF16
              : dtype == code.float64  ? VIC_F64
                                       : VIC_DTYPE_UNKNOWN;
    v.ndim = (int32_t)dims;
    for (int i = 0; i < dims && i < VIC_MAX_DIMS; i++) {
        v.shape[i] = sizes[i];
        v.stride[i] = strides[i];
    }
    return v;
}

/* Which of torch's numbers a type of ours has. */
static int32_t number_of(vic_dtype dtype)
{
    return dtype == VIC_F16    ? code.float16
           : dtype == VIC_BF16 ? code.bfloat16
           : dtype == VIC_F64  ? code.float64
           : dtype == VIC_U8   ? code.uint8
                               : code.float32;
}

/* A new row-major tensor of the call's own, on a device; *seen is what it is like. */
static bool empty(struct call *c, vic_device device, int ndim, const int64_t *shape, vic_dtype dtype, handle *out,
                  vic_tensor *seen)
{
    const bool gpu = device.type == VIC_CUDA;
    *seen = vic_tensor_make(NULL, dtype, ndim, shape);
    seen->device = device;
    if (torch.empty_strided(ndim, shape, seen->stride, number_of(dtype), gpu ? code.cuda : code.cpu, device.index,
                            out))
        return fail(c, VIC_NO_MEMORY, "torch has no memory for the result");
    torch.get_data_ptr(keep(c, *out), &seen->data);
    return true;
}

/* A new tensor that the call will return, its next result. */
static bool result(struct call *c, vic_device device, int ndim, const int64_t *shape, vic_dtype dtype,
                   vic_tensor *seen)
{
    handle t;
    if (!empty(c, device, ndim, shape, dtype, &t, seen)) return false;
    c->results[c->n_results++] = t;
    return true;
}

/* Whether the kernels take it as it lies: the last dimension contiguous, and `rows` of q, k, v and the like on GPUs at
 * multiples of 16 bytes. */
static bool lies_well(const vic_tensor *t, bool rows)
{
    const int64_t bytes = (int64_t)vic_dtype_size(t->dtype);
    if (t->ndim < 1 || t->ndim > VIC_MAX_DIMS) return true;
    if (t->shape[t->ndim - 1] > 1 && t->stride[t->ndim - 1] != 1) return false;
    if (t->device.type != VIC_CUDA || !rows) return true;
    if ((uintptr_t)t->data % 16) return false;
    for (int i = 0; i < t->ndim - 1; i++)
        if (t->shape[i] > 1 && t->stride[i] * bytes % 16) return false;
    return true;
}

static bool take(struct call *c, uint64_t value, bool rows, vic_tensor *out)
{
    handle t = keep(c, (handle)(uintptr_t)value), copy; // NOLINT(performance-no-int-to-ptr): how torch hands it over
    vic_tensor given;
    *out = tensor_of(t);
    if (out->dtype == VIC_DTYPE_UNKNOWN)
        return fail(c, VIC_BAD_ARGUMENT, "q, k and v: expected float32, float16 or bfloat16 tensors of a CPU or GPU");
    if (lies_well(out, rows)) return true;
    given = *out;
    if (!empty(c, given.device, given.ndim, given.shape, given.dtype, &copy, out)) return false;
    return torch.copy_(copy, t, 0) == 0 || fail(c, VIC_FAILED, "torch could not copy a tensor");
}

/* Where the tensors of the stack go; `rows` as for lies_well(). */
struct place {
    vic_tensor *to;
    bool rows;
};

/* They are the call's own from now on, whatever is wrong with one of them. */
static bool take_all(struct call *c, const uint64_t *stack, const struct place *places, int n)
{
    bool good = true;
    for (int i = 0; i < n; i++) good = take(c, stack[i], places[i].rows, places[i].to) && good;
    return good;
}

static bool stream_of(struct call *c, const vic_tensor *q, void **out)
{
    *out = NULL;
    if (q->device.type != VIC_CUDA) return true;
    if (!torch.current_stream || torch.current_stream(q->device.index, out))
        return fail(c, VIC_FAILED, "torch told no current stream");
    if (!*out) *out = VIC_STREAM_DEFAULT;
    return true;
}

static void release(void *owner)
{
    torch.delete(owner);
}

/* Scratch on a GPU: the plan's own, or new one, which then stays with it if it can.  *of_plan: to be given back. */
struct scratch {
    void *memory;
    size_t bytes;
    bool of_plan;
};

static bool scratch_for(struct call *c, struct planned *plan, const vic_tensor *q, void *stream, struct scratch *out)
{
    handle owner;
    vic_tensor seen;
    *out = (struct scratch){ 0 };
    if (q->device.type == VIC_CPU) return true;
    if (planned_workspace(plan, q->ndim == 4 ? q->shape[0] : 1, &out->bytes, &c->err)) return false;
    if (out->bytes == 0) return true;
    const bool captured = stream_captured(stream);
    const int64_t size[] = { (int64_t)out->bytes };
    if (!captured && (out->memory = planned_scratch(plan, stream, out->bytes))) return out->of_plan = true;
    if (!empty(c, q->device, 1, size, VIC_U8, &owner, &seen)) return false;
    out->memory = seen.data;
    out->of_plan = !captured && planned_keep_scratch(plan, stream, seen.data, out->bytes, owner, release);
    if (out->of_plan) c->n--; /* not the call's own now */
    return true;
}

/* What follows the tensors on the stack. */
struct rest {
    int64_t pattern, wanted; /* wanted: of gradients */
    double scale;
    bool zero_scale, sorted;
};

static struct rest rest_of(const uint64_t *stack, bool gradients)
{
    struct rest r = { .pattern = (int64_t)stack[0], .sorted = (stack[2] & 1) != 0 };
    memcpy(&r.scale, &stack[1], sizeof r.scale);
    r.zero_scale = r.scale == 0.0;
    if (isnan(r.scale)) r.scale = 0.0;
    if (gradients) r.wanted = (int64_t)stack[3];
    return r;
}

static bool check_dims(struct call *c, const vic_tensor *q, const vic_tensor *k, const vic_tensor *v,
                       const vic_tensor *table)
{
    if (table->ndim > VIC_MAX_DIMS)
        return fail(c, VIC_BAD_ARGUMENT, "table: expected [heads or 1, points], got more dimensions");
    return (q->ndim >= 3 && q->ndim <= 4 && k->ndim == q->ndim && v->ndim == q->ndim) ||
           fail(c, VIC_BAD_ARGUMENT,
                "q, k and v: expected [n, heads, d] or [batch, n, heads, d], the same number of dimensions each");
}

/* The stack holds q, k, v, with `biased` a table, then the rest; it owns the tensors. */
static bool attend(struct call *c, const uint64_t *stack, bool biased, bool with_lse)
{
    vic_attention_args a = VIC_INIT(vic_attention_args);
    const struct place places[] = { { &a.q, true }, { &a.k, true }, { &a.v, true }, { &a.bias, false } };
    struct planned *plan;
    struct scratch s;
    int64_t shape[4];
    if (!take_all(c, stack, places, biased ? 4 : 3) || !check_dims(c, &a.q, &a.k, &a.v, &a.bias)) return false;
    const struct rest r = rest_of(stack + (biased ? 4 : 3), false);
    a.scale = r.scale;
    a.zero_scale = r.zero_scale;
    memcpy(shape, a.q.shape, sizeof shape);
    shape[a.q.ndim - 1] = a.v.shape[a.q.ndim - 1];
    if (!stream_of(c, &a.q, &a.stream) || !result(c, a.q.device, a.q.ndim, shape, a.q.dtype, &a.out) ||
        (with_lse && !result(c, a.q.device, a.q.ndim - 1, shape, VIC_F32, &a.lse)) ||
        plan_take(r.pattern, &a, r.sorted, &plan, &c->err))
        return false;
    bool good = scratch_for(c, plan, &a.q, a.stream, &s);
    a.workspace = s.memory;
    a.workspace_size = s.bytes;
    good = good && planned_run(plan, &a, &c->err) == VIC_OK;
    if (s.of_plan) planned_scratch_back(plan);
    plan_give(plan);
    return good;
}

/* The stack holds q, k, v, with `biased` a table, then out, lse, dout, dlse and the rest; it owns the tensors. */
static bool differentiate(struct call *c, const uint64_t *stack, bool biased)
{
    vic_attention_backward_args a = VIC_INIT(vic_attention_backward_args);
    const struct place given[] = { { &a.q, true }, { &a.k, true }, { &a.v, true }, { &a.bias, false } };
    const struct place made[] = { { &a.out, true }, { &a.lse, false }, { &a.dout, true }, { &a.dlse, false } };
    const int n_given = biased ? 4 : 3;
    const struct {
        const vic_tensor *like;
        vic_tensor *to;
    } results[WRITTEN] = { { &a.q, &a.dq }, { &a.k, &a.dk }, { &a.v, &a.dv }, { &a.bias, &a.dbias } };
    struct planned *plan;
    struct scratch s;
    bool good = take_all(c, stack, given, n_given);
    good = take_all(c, stack + n_given, made, 4) && good;
    if (!good || !check_dims(c, &a.q, &a.k, &a.v, &a.bias)) return false;
    const struct rest r = rest_of(stack + n_given + 4, true);
    a.scale = r.scale;
    a.zero_scale = r.zero_scale;
    if (!stream_of(c, &a.q, &a.stream)) return false;
    for (int i = 0; i < n_given; i++) {
        const vic_tensor *like = results[i].like;
        const bool wanted = (r.wanted >> i & 1) != 0;
        const int64_t none[] = { 0 };
        vic_tensor seen;
        if (!result(c, a.q.device, wanted ? like->ndim : 1, wanted ? like->shape : none, like->dtype, &seen))
            return false;
        if (wanted) *results[i].to = seen;
    }
    /* A sum over a batch of nothing. */
    if (biased && a.q.ndim == 4 && a.q.shape[0] == 0 && torch.zero_(c->results[3]))
        return fail(c, VIC_FAILED, "torch could not fill a tensor");
    if (plan_take_backward(r.pattern, &a, r.sorted, &plan, &c->err)) return false;
    good = scratch_for(c, plan, &a.q, a.stream, &s);
    a.workspace = s.memory;
    a.workspace_size = s.bytes;
    good = good && planned_run_backward(plan, &a, &c->err) == VIC_OK;
    if (s.of_plan) planned_scratch_back(plan);
    plan_give(plan);
    return good;
}

/* The results of a call onto the stack, or its error. */
static void end(struct call *c, bool good, uint64_t *stack)
{
    for (int i = 0; i < c->n; i++) {
        bool returned = false;
        for (int j = 0; good && j < c->n_results; j++) returned = returned || c->own[i] == c->results[j];
        if (!returned) torch.delete(c->own[i]);
    }
    if (!good) {
        char text[sizeof c->err.text + 16];
        snprintf(text, sizeof text, "vicinal: %s", c->err.text); /* by which _torch.py knows it */
        torch.check(false, __func__, __FILE__, __LINE__, text);  /* throws */
    }
    for (int i = 0; i < c->n_results; i++) stack[i] = (uint64_t)(uintptr_t)c->results[i];
}

static void begin(struct call *c)
{
    c->n = c->n_results = 0;
    c->err.text[0] = '\0';
}

static void attn(uint64_t *stack, uint64_t n_in, uint64_t n_out)
{
    struct call c; /* a kilobyte that need not be cleared */
    (void)n_in;
    (void)n_out;
    begin(&c);
    end(&c, attend(&c, stack, false, false), stack);
}

static void attn_lse(uint64_t *stack, uint64_t n_in, uint64_t n_out)
{
    struct call c;
    (void)n_in;
    (void)n_out;
    begin(&c);
    end(&c, attend(&c, stack, false, true), stack);
}

static void attn_biased(uint64_t *stack, uint64_t n_in, uint64_t n_out)
{
    struct call c;
    (void)n_in;
    (void)n_out;
    begin(&c);
    end(&c, attend(&c, stack, true, true), stack);
}

static void attn_backward(uint64_t *stack, uint64_t n_in, uint64_t n_out)
{
    struct call c;
    (void)n_in;
    (void)n_out;
    begin(&c);
    end(&c, differentiate(&c, stack, false), stack);
}

static void attn_biased_backward(uint64_t *stack, uint64_t n_in, uint64_t n_out)
{
    struct call c;
    (void)n_in;
    (void)n_out;
    begin(&c);
    end(&c, differentiate(&c, stack, true), stack);
}

#define REST      "SymInt pattern, float scale, bool sorted"
#define GRADIENTS "Tensor out, Tensor lse, Tensor dout, Tensor dlse, " REST ", int wanted"

static const struct {
    const char *name, *schema;
    void (*function)(uint64_t *, uint64_t, uint64_t);
} operators[] = {
    { "attn", "attn(Tensor q, Tensor k, Tensor v, " REST ") -> Tensor", attn },
    { "attn_lse", "attn_lse(Tensor q, Tensor k, Tensor v, " REST ") -> (Tensor, Tensor)", attn_lse },
    { "attn_biased", "attn_biased(Tensor q, Tensor k, Tensor v, Tensor table, " REST ") -> (Tensor, Tensor)",
      attn_biased },
    { "attn_backward", "attn_backward(Tensor q, Tensor k, Tensor v, " GRADIENTS ") -> (Tensor, Tensor, Tensor)",
      attn_backward },
    { "attn_biased_backward",
      "attn_biased_backward(Tensor q, Tensor k, Tensor v, Tensor table, " GRADIENTS
      ") -> (Tensor, Tensor, Tensor, Tensor)",
      attn_biased_backward },
};
enum { OPERATORS = sizeof operators / sizeof *operators };

static bool implement(const char *device)
{
    const uint64_t abi = (uint64_t)2 << 56 | (uint64_t)10 << 48; /* the interface of torch 2.10 */
    void *library;
    bool good = torch.library_init_impl("vicinal", device, __FILE__, __LINE__, &library) == 0;
    for (int i = 0; i < OPERATORS; i++)
        good = good && torch.library_impl(library, operators[i].name, operators[i].function, abi) == 0;
    return good;
}

const char *vicpy_register_torch(void *libtorch_cpu, void *libtorch_cuda)
{
    void *library;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        void *found = dlsym(libtorch_cpu, needed[i].name);
        if (!found) return needed[i].name;
        memcpy(needed[i].place, &found, sizeof found);
    }
    if (libtorch_cuda) {
        void *found = dlsym(libtorch_cuda, "aoti_torch_get_current_cuda_stream");
        if (!found) return "aoti_torch_get_current_cuda_stream";
        memcpy(&torch.current_stream, &found, sizeof found);
    }
    code.float16 = torch.float16();
    code.bfloat16 = torch.bfloat16();
    code.float32 = torch.float32();
    code.float64 = torch.float64();
    code.uint8 = torch.uint8();
    code.cpu = torch.cpu();
    code.cuda = torch.cuda();
    bool good = torch.library_init_fragment("vicinal", __FILE__, __LINE__, &library) == 0;
    for (int i = 0; i < OPERATORS; i++) good = good && torch.library_def(library, operators[i].schema) == 0;
    if (!good || !implement("CPU") || (libtorch_cuda && !implement("CUDA")))
        return "an operator that can be registered";
    return NULL;
}
