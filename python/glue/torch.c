/* SPDX-License-Identifier: Apache-2.0 */
/* The torch operators, registered from C: through the functions of libtorch's stable C interface, found at run time
 * (torch 2.10 or newer), so that neither torch's headers nor C++ are needed and one build serves every torch.
 * https://docs.pytorch.org/docs/stable/notes/libtorch_stable_abi.html
 *
 *     vicinal::attn(Tensor q, Tensor k, Tensor v, SymInt pattern, float scale, bool sorted) -> Tensor
 *     vicinal::attn_lse(...) -> (Tensor, Tensor)
 *     vicinal::attn_biased(Tensor q, Tensor k, Tensor v, Tensor table, ...) -> (Tensor, Tensor)
 *
 * out [.., n_q, heads, d_v] and lse [.., n_q, heads]; scale NaN = 1 / sqrt(d).  This file is compiled with
 * -fexceptions, since torch's errors are C++ exceptions that pass through it. */
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
enum { MOST = 12 };
struct call {
    handle own[MOST];
    int n;
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

/* Whether the kernels take it as it lies: the last dimension contiguous, on GPUs rows at multiples of 16 bytes. */
static bool lies_well(const vic_tensor *t)
{
    const int64_t bytes = (int64_t)vic_dtype_size(t->dtype);
    if (t->ndim < 1 || t->ndim > VIC_MAX_DIMS) return true;
    if (t->shape[t->ndim - 1] > 1 && t->stride[t->ndim - 1] != 1) return false;
    if (t->device.type != VIC_CUDA) return true;
    if ((uintptr_t)t->data % 16) return false;
    for (int i = 0; i < t->ndim - 1; i++)
        if (t->shape[i] > 1 && t->stride[i] * bytes % 16) return false;
    return true;
}

static bool take(struct call *c, uint64_t value, vic_tensor *out)
{
    handle t = keep(c, (handle)(uintptr_t)value), copy; // NOLINT(performance-no-int-to-ptr): how torch hands it over
    vic_tensor given;
    *out = tensor_of(t);
    if (out->dtype == VIC_DTYPE_UNKNOWN)
        return fail(c, VIC_BAD_ARGUMENT, "q, k and v: expected float32, float16 or bfloat16 tensors of a CPU or GPU");
    if (lies_well(out)) return true;
    given = *out;
    if (!empty(c, given.device, given.ndim, given.shape, given.dtype, &copy, out)) return false;
    return torch.copy_(copy, t, 0) == 0 || fail(c, VIC_FAILED, "torch could not copy a tensor");
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
static bool scratch(struct call *c, struct planned *plan, vic_attention_args *a, bool *of_plan)
{
    size_t bytes;
    handle owner;
    vic_tensor seen;
    if (planned_workspace(plan, a->q.ndim == 4 ? a->q.shape[0] : 1, &bytes, &c->err)) return false;
    if (bytes == 0) return true;
    const bool captured = stream_captured(a->stream);
    const int64_t size[] = { (int64_t)bytes };
    a->workspace_size = bytes;
    if (!captured && (a->workspace = planned_scratch(plan, a->stream, bytes))) return *of_plan = true;
    if (!empty(c, a->q.device, 1, size, VIC_U8, &owner, &seen)) return false;
    a->workspace = seen.data;
    *of_plan = !captured && planned_keep_scratch(plan, a->stream, seen.data, bytes, owner, release);
    if (*of_plan) c->n--; /* not the call's own now */
    return true;
}

static bool run(struct call *c, vic_attention_args *a, int64_t pattern, bool sorted)
{
    struct planned *plan;
    bool of_plan = false;
    if (plan_take(pattern, a, sorted, &plan, &c->err)) return false;
    const bool good =
        (a->q.device.type == VIC_CPU || scratch(c, plan, a, &of_plan)) && planned_run(plan, a, &c->err) == VIC_OK;
    if (of_plan) planned_scratch_back(plan);
    plan_give(plan);
    return good;
}

/* The stack holds q, k, v, with `biased` a table, then pattern, scale and sorted; it owns the tensors.  `lse` NULL: not
 * wanted. */
static bool attend(struct call *c, const uint64_t *stack, bool biased, handle *out, handle *lse)
{
    vic_attention_args a = VIC_INIT(vic_attention_args);
    const uint64_t *rest = stack + (biased ? 4 : 3);
    int64_t shape[4];
    double scale;
    bool good = true;
    for (int i = 0; i < (biased ? 4 : 3); i++)
        good = take(c, stack[i], i == 0 ? &a.q : i == 1 ? &a.k : i == 2 ? &a.v : &a.bias) && good;
    if (!good) return false;
    memcpy(&scale, &rest[1], sizeof scale);
    a.zero_scale = scale == 0.0;
    a.scale = isnan(scale) ? 0.0 : scale;
    if (a.q.ndim < 3 || a.q.ndim > 4 || a.v.ndim != a.q.ndim)
        return fail(c, VIC_BAD_ARGUMENT,
                    "q, k and v: expected [n, heads, d] or [batch, n, heads, d], the same number of dimensions each");
    memcpy(shape, a.q.shape, sizeof shape);
    shape[a.q.ndim - 1] = a.v.shape[a.q.ndim - 1];
    if (!stream_of(c, &a.q, &a.stream) || !empty(c, a.q.device, a.q.ndim, shape, a.q.dtype, out, &a.out) ||
        (lse && !empty(c, a.q.device, a.q.ndim - 1, shape, VIC_F32, lse, &a.lse)))
        return false;
    return run(c, &a, (int64_t)rest[0], (rest[2] & 1) != 0);
}

static void call(uint64_t *stack, bool biased, bool with_lse)
{
    struct call c; /* a kilobyte that need not be cleared */
    handle out = NULL, lse = NULL;
    c.n = 0;
    c.err.text[0] = '\0';
    const bool good = attend(&c, stack, biased, &out, with_lse ? &lse : NULL);
    for (int i = 0; i < c.n; i++)
        if (!good || (c.own[i] != out && c.own[i] != lse)) torch.delete(c.own[i]);
    if (!good) {
        char text[sizeof c.err.text + 16];
        snprintf(text, sizeof text, "vicinal: %s", c.err.text); /* by which _torch.py knows it */
        torch.check(false, __func__, __FILE__, __LINE__, text); /* throws */
    }
    stack[0] = (uint64_t)(uintptr_t)out;
    if (with_lse) stack[1] = (uint64_t)(uintptr_t)lse;
}

static void attn(uint64_t *stack, uint64_t n_in, uint64_t n_out)
{
    (void)n_in;
    (void)n_out;
    call(stack, false, false);
}

static void attn_lse(uint64_t *stack, uint64_t n_in, uint64_t n_out)
{
    (void)n_in;
    (void)n_out;
    call(stack, false, true);
}

static void attn_biased(uint64_t *stack, uint64_t n_in, uint64_t n_out)
{
    (void)n_in;
    (void)n_out;
    call(stack, true, true);
}

#define REST "SymInt pattern, float scale, bool sorted) -> "

static bool implement(const char *device)
{
    const uint64_t abi = (uint64_t)2 << 56 | (uint64_t)10 << 48; /* the interface of torch 2.10 */
    void *library;
    return torch.library_init_impl("vicinal", device, __FILE__, __LINE__, &library) == 0 &&
           torch.library_impl(library, "attn", attn, abi) == 0 &&
           torch.library_impl(library, "attn_lse", attn_lse, abi) == 0 &&
           torch.library_impl(library, "attn_biased", attn_biased, abi) == 0;
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
    if (torch.library_init_fragment("vicinal", __FILE__, __LINE__, &library) ||
        torch.library_def(library, "attn(Tensor q, Tensor k, Tensor v, " REST "Tensor") ||
        torch.library_def(library, "attn_lse(Tensor q, Tensor k, Tensor v, " REST "(Tensor, Tensor)") ||
        torch.library_def(library,
                          "attn_biased(Tensor q, Tensor k, Tensor v, Tensor table, " REST "(Tensor, Tensor)") ||
        !implement("CPU") || (libtorch_cuda && !implement("CUDA")))
        return "an operator that can be registered";
    return NULL;
}
