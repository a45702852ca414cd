/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "base/switches.h"
#include "device/memory.h"
#include "engine/engine.h"
#include "kernels/kernels.h"
#include "kernels/ref/attention_ref.h"
#include "plan/plan.h"

#include <string.h>

/* ---- tensors ---- */

size_t vic_dtype_size(vic_dtype dtype)
{
    switch (dtype) {
    case VIC_F32: return 4;
    case VIC_F16:
    case VIC_BF16: return 2;
    case VIC_F64: return 8;
    }
    return 0;
}

const char *vic_dtype_name(vic_dtype dtype)
{
    switch (dtype) {
    case VIC_F32: return "float32";
    case VIC_F16: return "float16";
    case VIC_BF16: return "bfloat16";
    case VIC_F64: return "float64";
    }
    return "unknown type";
}

vic_tensor vic_tensor_make(void *data, vic_dtype dtype, int ndim, const int64_t *shape)
{
    vic_tensor t = VIC_TENSOR_NONE;
    int64_t stride = 1;
    t.data = data;
    t.dtype = dtype;
    t.ndim = ndim;
    for (int i = (ndim < 4 ? ndim : 4) - 1; i >= 0; i--) {
        t.shape[i] = shape[i];
        t.stride[i] = stride;
        /* A tensor that no memory holds is refused where it is used. */
        if (__builtin_mul_overflow(stride, shape[i], &stride)) stride = INT64_MAX;
    }
    return t;
}

/* ---- engine ---- */

vic_status vic_engine_create(const vic_engine_options *options, vic_engine **out, vic_error *err)
{
    vic_engine_options o = VIC_ENGINE_OPTIONS_INIT;
    vic_engine *e;
    vic_status st;
    *out = NULL;
    TRY(options_copy(&o, sizeof o, options, "vic_engine_options", err));
    TRY(mem_array_zero(1, sizeof *e, "engine", &e, err));
    st = pool_create(o.threads, &e->pool, err);
    if (st == VIC_OK)
        *out = e;
    else
        free(e);
    return st;
}

int vic_engine_threads(const vic_engine *e)
{
    return pool_threads(e->pool);
}

void vic_engine_free(vic_engine *e)
{
    if (!e) return;
    pool_free(e->pool);
    free(e);
}

/* ---- plans ---- */

static vic_status check_plan_options(const vic_plan_options *o, vic_error *err)
{
    if (o->heads < 1 || o->heads > 65536)
        return vic_fail(err, VIC_BAD_ARGUMENT, "heads: expected 1 to 65536, got %d", o->heads);
    if (o->kv_heads < 1 || o->heads % o->kv_heads != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "kv_heads: expected a divisor of heads (%d), got %d", o->heads,
                        o->kv_heads);
    const int dims[] = { o->head_dim, o->head_dim_v };
    for (int i = 0; i < 2; i++)
        if (dims[i] < 8 || dims[i] > 128 || dims[i] % 8 != 0)
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "head_dim%s: expected a multiple of 8 from 8 to 128, got %d; pad the heads with zeros",
                            i ? "_v" : "", dims[i]);
    if (o->dtype != VIC_F32 && o->dtype != VIC_F16 && o->dtype != VIC_BF16)
        return vic_fail(err, VIC_BAD_ARGUMENT, "dtype: expected float32, float16 or bfloat16, got %s",
                        vic_dtype_name(o->dtype));
    if (o->device.kind != VIC_CPU && o->device.kind != VIC_CUDA)
        return vic_fail(err, VIC_BAD_ARGUMENT, "device.kind: expected VIC_CPU or VIC_CUDA, got %d",
                        (int)o->device.kind);
    if (o->device.index < 0 || (o->device.kind == VIC_CPU && o->device.index != 0))
        return vic_fail(err, VIC_NO_DEVICE, "device.index: there is no device %d of this kind", o->device.index);
    return VIC_OK;
}

vic_status vic_plan_create(const vic_pattern *p, const vic_plan_options *options, vic_plan **out, vic_error *err)
{
    vic_plan_options o = VIC_PLAN_OPTIONS_INIT;
    const struct kernel *kernel;
    struct pool *pool = NULL;
    vic_status st;
    *out = NULL;
    if (!p) return vic_fail(err, VIC_BAD_ARGUMENT, "pattern is NULL: build one first");
    TRY(options_copy(&o, sizeof o, options, "vic_plan_options", err));
    TRY(switch_check(SWITCH_LOG, err));
    if (o.kv_heads == 0) o.kv_heads = o.heads;
    if (o.head_dim_v == 0) o.head_dim_v = o.head_dim;
    TRY(check_plan_options(&o, err));
    if (o.radial && (p->cutoff == 0.0 || !p->q_positions || p->structures > 1))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "radial: expected a pattern of one structure with a cutoff, up to which the tables reach; "
                        "got %s",
                        !p->q_positions     ? "one without positions"
                        : p->structures > 1 ? "several structures"
                                            : "one whose pairs may be at any distance");
    struct plan_request request = {
        .operation = ATTENTION_FORWARD,
        .shape = { o.dtype, o.heads, o.kv_heads, o.head_dim, o.head_dim_v },
        .device = o.device,
        .pattern_order = o.pattern_order,
        .features = FEATURE_LSE | (o.kv_heads != o.heads ? FEATURE_GROUP_QUERY : 0u) |
                    (o.head_dim_v != o.head_dim ? FEATURE_UNEQUAL_DIMS : 0u) | (o.radial ? FEATURE_RADIAL : 0u),
        .kernel = o.kernel,
    };
    TRY(plan_choose(&request, kernel_table, kernel_table_size, &kernel, err));
    /* The reference count is the one thing in a pattern that changes, and it does so atomically. */
    union {
        const vic_pattern *in;
        vic_pattern *out;
    } shared = { p };
    /* Plans for the CPU are made by this thread alone. */
    TRY(pool_create(o.device.kind == VIC_CUDA ? 0 : 1, &pool, err));
    st = plan_make(shared.out, &request, kernel, pool, out, err);
    pool_free(pool);
    return st;
}

vic_plan_info vic_plan_get(const vic_plan *plan)
{
    return (vic_plan_info){ plan->kernel->name, plan->device, plan->computed_pairs, plan->bytes };
}

void vic_plan_free(vic_plan *plan)
{
    plan_free(plan);
}

size_t vic_plan_workspace_size(const vic_plan *plan, int threads, int64_t batch)
{
    return plan->kernel->workspace(plan, threads < 1 ? 1 : threads, batch < 1 ? 1 : batch);
}

/* ---- attention ---- */

vic_status vic_attention(vic_engine *e, const vic_plan *plan, const vic_attention_args *args, vic_error *err)
{
    vic_attention_args a = VIC_ATTENTION_ARGS_INIT;
    TRY(options_copy(&a, sizeof a, args, "vic_attention_args", err));
    return engine_run(e, plan, &a, err);
}

vic_status vic_attention_enqueue(const vic_plan *plan, const vic_attention_args *args, void *stream, vic_error *err)
{
    vic_attention_args a = VIC_ATTENTION_ARGS_INIT;
    TRY(options_copy(&a, sizeof a, args, "vic_attention_args", err));
    return engine_enqueue(plan, &a, stream, err);
}

vic_status vic_attention_time(vic_engine *e, const vic_plan *plan, const vic_attention_args *args,
                              const vic_time_options *options, double *seconds, vic_error *err)
{
    vic_attention_args a = VIC_ATTENTION_ARGS_INIT;
    vic_time_options o = VIC_TIME_OPTIONS_INIT;
    TRY(options_copy(&a, sizeof a, args, "vic_attention_args", err));
    TRY(options_copy(&o, sizeof o, options, "vic_time_options", err));
    return engine_time(e, plan, &a, &o, seconds, err);
}

vic_status vic_attention_reference(vic_engine *e, const vic_plan *plan, const vic_attention_args *args,
                                   int64_t n_rows, const int64_t *rows, double *out, double *lse, int64_t *counts,
                                   vic_error *err)
{
    vic_attention_args given = VIC_ATTENTION_ARGS_INIT;
    struct attention_args a;
    int64_t batch;
    TRY(options_copy(&given, sizeof given, args, "vic_attention_args", err));
    if (!e) return vic_fail(err, VIC_BAD_ARGUMENT, "engine is NULL: the reference runs on an engine's threads");
    TRY(engine_bind(plan, &given, false, &a, &batch, err));
    if (batch > 0)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "the reference takes no batch: give tensors [atoms, heads, head size]");
    if (!rows) n_rows = plan->pattern->n_q;
    return attention_ref_rows(plan->pattern, &plan->shape, &a, e->pool, n_rows, rows, out, lse, counts, err);
}

/* ---- memory ---- */

vic_status vic_memory_alloc(vic_device device, size_t bytes, void **out, vic_error *err)
{
    *out = NULL;
    if (device.kind == VIC_CPU) return mem_array(bytes, 1, "bytes", out, err);
    return device_alloc(device, bytes, out, err);
}

void vic_memory_free(vic_device device, void *memory)
{
    if (device.kind == VIC_CPU)
        free(memory);
    else
        device_free(device, memory);
}

vic_status vic_memory_copy(vic_device to_device, void *to, vic_device from_device, const void *from, size_t bytes,
                           vic_error *err)
{
    if (to_device.kind == VIC_CPU && from_device.kind == VIC_CPU) {
        if (bytes > 0) memcpy(to, from, bytes);
        return VIC_OK;
    }
    return device_copy(to_device, to, from_device, from, bytes, err);
}
