/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dtype.h"
#include "base/switches.h"
#include "context/context.h"
#include "kernels/kernels.h"
#include "pattern/pattern.h"
#include "plan/plan.h"

static vic_status check_heads(const vic_plan_options *o, vic_error *err)
{
    if (o->heads < 1 || o->heads > 65536)
        return vic_fail(err, VIC_BAD_ARGUMENT, "heads: expected 1 to 65536 (0 = 1), got %d", o->heads);
    if (o->kv_heads < 1 || o->heads % o->kv_heads != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "kv_heads: expected a divisor of heads (%d), got %d", o->heads,
                        o->kv_heads);
    const int dims[] = { o->head_dim, o->head_dim_v };
    for (int i = 0; i < 2; i++)
        if (dims[i] < 8 || dims[i] > 128 || dims[i] % 8 != 0)
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "head_dim%s: expected a multiple of 8 from 8 to 128, got %d; pad the heads with zeros",
                            i ? "_v" : "", dims[i]);
    return VIC_OK;
}

static vic_status check_device_and_type(const vic_plan_options *o, vic_error *err)
{
    if (o->dtype != VIC_F32 && o->dtype != VIC_F16 && o->dtype != VIC_BF16)
        return vic_fail(err, VIC_BAD_ARGUMENT, "dtype: expected float32, float16 or bfloat16, got %s",
                        vic_dtype_name(o->dtype));
    if (o->out_dtype != o->dtype && o->out_dtype != VIC_F32)
        return vic_fail(err, VIC_BAD_ARGUMENT, "out_dtype: expected that of q, k and v (%s), or float32, got %s",
                        vic_dtype_name(o->dtype), vic_dtype_name(o->out_dtype));
    if (o->device.type != VIC_CPU && o->device.type != VIC_CUDA)
        return vic_fail(err, VIC_BAD_ARGUMENT, "device.type: expected VIC_CPU, VIC_CUDA or 0, got %d",
                        (int)o->device.type);
    if (o->device.index < 0 || (o->device.type == VIC_CPU && o->device.index != 0))
        return vic_fail(err, VIC_NO_DEVICE, "device.index: there is no device %d of this type", o->device.index);
    return VIC_OK;
}

static vic_status check_bias(const vic_pattern *p, vic_bias bias, vic_error *err)
{
    if (bias != VIC_BIAS_NONE && bias != VIC_BIAS_DISTANCE)
        return vic_fail(err, VIC_BAD_ARGUMENT, "bias: expected VIC_BIAS_NONE or VIC_BIAS_DISTANCE, got %d",
                        (int)bias);
    if (bias == VIC_BIAS_NONE || (p->cutoff != 0.0 && p->q_positions && p->structures <= 1)) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT,
                    "bias: expected a pattern of one structure with a cutoff, up to which the tables reach; got %s",
                    !p->q_positions     ? "one without positions"
                    : p->structures > 1 ? "several structures"
                                        : "one whose pairs may be at any distance");
}

static vic_status check_pair_bias(const vic_pattern *p, vic_pair_bias layout, vic_error *err)
{
    if (layout != VIC_PAIR_BIAS_NONE && layout != VIC_PAIR_BIAS_PAIRS && layout != VIC_PAIR_BIAS_WINDOWS)
        return vic_fail(
            err, VIC_BAD_ARGUMENT,
            "pair_bias: expected VIC_PAIR_BIAS_NONE, VIC_PAIR_BIAS_PAIRS or VIC_PAIR_BIAS_WINDOWS, got %d",
            (int)layout);
    if (layout != VIC_PAIR_BIAS_WINDOWS ||
        (p->n_rules == 1 && p->rules[0].kind == RULE_WINDOWS && !p->rules[0].transposed))
        return VIC_OK;
    return vic_fail(
        err, VIC_BAD_ARGUMENT,
        "pair_bias: VIC_PAIR_BIAS_WINDOWS is of a pattern made by vic_pattern_windows(), got one of kind %s; "
        "take VIC_PAIR_BIAS_PAIRS",
        pattern_kind(p));
}

static vic_status take_options(const vic_context *c, const vic_pattern *p, vic_plan_options *o, vic_error *err)
{
    TRY(reserved_check(o->reserved_1, sizeof o->reserved_1, "vic_plan_options", err));
    TRY(reserved_check(o->reserved_2, sizeof o->reserved_2, "vic_plan_options", err));
    if (o->device.type == VIC_DEVICE_UNKNOWN) o->device = c ? c->options.device : (vic_device){ VIC_CPU, 0 };
    if (o->out_dtype == VIC_DTYPE_UNKNOWN) o->out_dtype = o->dtype;
    if (o->heads == 0) o->heads = 1;
    if (o->kv_heads == 0) o->kv_heads = o->heads;
    if (o->head_dim_v == 0) o->head_dim_v = o->head_dim;
    if (o->backward_kernel && !o->backward)
        return vic_fail(
            err, VIC_BAD_ARGUMENT,
            "backward_kernel is \"%.80s\", but the plan is made without gradients: set `backward`, or leave "
            "it NULL",
            o->backward_kernel);
    TRY(check_heads(o, err));
    TRY(check_device_and_type(o, err));
    TRY(check_bias(p, o->bias, err));
    return check_pair_bias(p, o->pair_bias, err);
}

static struct plan_request request_of(const vic_plan_options *o, enum kernel_operation operation)
{
    return (struct plan_request){
        .operation = operation,
        .shape = { o->dtype, o->heads, o->kv_heads, o->head_dim, o->head_dim_v },
        .device = o->device,
        .pattern_order = o->pattern_order,
        .features = FEATURE_LSE | (o->kv_heads != o->heads ? FEATURE_GROUP_QUERY : 0u) |
                    (o->head_dim_v != o->head_dim ? FEATURE_UNEQUAL_DIMS : 0u) |
                    (o->bias == VIC_BIAS_DISTANCE ? FEATURE_DISTANCE_BIAS : 0u) |
                    (o->pair_bias != VIC_PAIR_BIAS_NONE ? FEATURE_PAIR_BIAS : 0u) |
                    (o->out_dtype != o->dtype ? FEATURE_FLOAT32_OUT : 0u),
        .pair_bias = o->pair_bias,
        .kernel = operation == ATTENTION_BACKWARD ? o->backward_kernel : o->kernel,
    };
}

vic_status vic_plan_create(vic_context *c, const vic_pattern *p, const vic_plan_options *options, vic_plan **out,
                           vic_error *err)
{
    vic_status st = VIC_OK;
    const struct kernel *kernel, *backward_kernel = NULL;
    struct pool *pool;
    vic_plan *plan = NULL;
    NEED_OUT(out);
    NEED(p, "pattern", "make one first, with vic_pattern_cutoff() or another constructor");
    NEED(options, "vic_plan_options", "expected one with dtype and head_dim");
    TAKE_STRUCT(vic_plan_options, o, options, err);
    TRY(context_enter(c, &pool, err));
    TRY(switch_check(SWITCH_LOG, err));
    TRY(take_options(c, p, &o, err));
    const struct plan_request request = request_of(&o, ATTENTION_FORWARD);
    const struct plan_request backward = request_of(&o, ATTENTION_BACKWARD);
    TRY(plan_choose(&request, kernel_table, kernel_table_size, &kernel, err));
    if (o.backward) TRY(plan_choose(&backward, kernel_table, kernel_table_size, &backward_kernel, err));
    const struct kernel_setup setup = { .pool = pool,
                                        .memory = c && device_same(c->options.device, o.device) ? c->scratch : NULL };
    TRY_GOTO(plan_make(p, &request, kernel, &setup, &plan, err), done);
    if (o.backward) TRY_GOTO(plan_add_backward(plan, &backward, backward_kernel, &setup, err), done);
    *out = plan;
    plan = NULL;
done:
    plan_free(plan);
    return st;
}

vic_status vic_plan_get(const vic_plan *plan, vic_plan_info *out, vic_error *err)
{
    vic_plan_info info = VIC_INIT(vic_plan_info);
    NEED(plan, "plan", "make one first, with vic_plan_create()");
    info.kernel = plan->kernel->name;
    info.device = plan->device;
    info.computed_pairs = plan->computed_pairs;
    info.bytes = plan->bytes;
    if (plan->backward) info.backward_kernel = plan->backward->kernel->name;
    return struct_give(out, &info, sizeof info, "vic_plan_info", err);
}

void vic_plan_free(vic_plan *plan)
{
    plan_free(plan);
}

vic_status vic_plan_workspace(const vic_context *c, const vic_plan *plan, int64_t batch, size_t *bytes,
                              vic_error *err)
{
    struct pool *pool;
    NEED(plan, "plan", "make one first, with vic_plan_create()");
    NEED(bytes, "bytes", "expected where to put the size");
    TRY(context_enter(c, &pool, err));
    const int64_t entries = batch < 1 ? 1 : batch;
    *bytes = plan->kernel->workspace(plan, pool_threads(pool), entries, batch > 1);
    if (plan->backward) {
        const size_t backward = plan->backward->kernel->workspace(plan->backward, pool_threads(pool), entries, false);
        if (backward > *bytes) *bytes = backward;
    }
    return VIC_OK;
}
