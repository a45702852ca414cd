/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/plan.h"

#include "base/memory.h"
#include "pattern/pair_numbers.h"
#include "pattern/pattern.h"
#include "pattern/transpose.h"

static vic_status add_transposed(vic_plan *plan, const struct kernel_setup *setup, vic_error *err)
{
    TRY(pattern_transpose(plan->pattern, setup->pool, &plan->transposed, err));
    if (plan->transposed != plan->pattern) plan->bytes += plan->transposed->info.bytes;
    return VIC_OK;
}

static vic_status add_numbers(vic_plan *plan, const struct kernel_setup *setup, vic_error *err)
{
    TRY(pair_numbers_make(plan->pattern, setup->pool, &plan->numbers, err));
    plan->bytes += pair_numbers_bytes(plan->pattern);
    if (!plan->transposed) return VIC_OK;
    TRY(pair_numbers_transposed(plan->pattern, plan->numbers, plan->transposed, setup->pool,
                                &plan->transposed_numbers, err));
    plan->bytes += pair_numbers_bytes(plan->transposed);
    return VIC_OK;
}

vic_status plan_make(const vic_pattern *p, const struct plan_request *request, const struct kernel *kernel,
                     const struct kernel_setup *setup, vic_plan **out, vic_error *err)
{
    vic_status st = VIC_OK;
    vic_plan *plan = NULL;
    *out = NULL;
    TRY(mem_array_zero(1, sizeof *plan, "plan", &plan, err));
    plan->pattern = pattern_retain(p);
    plan->shape = request->shape;
    plan->device = request->device;
    plan->pattern_order = request->pattern_order;
    plan->bias = request->features & FEATURE_DISTANCE_BIAS ? VIC_BIAS_DISTANCE : VIC_BIAS_NONE;
    plan->pair_bias = request->pair_bias;
    plan->kernel = kernel;
    plan->bytes = sizeof *plan;
    if (request->operation == ATTENTION_BACKWARD) TRY_GOTO(add_transposed(plan, setup, err), done);
    if (request->pair_bias == VIC_PAIR_BIAS_PAIRS && kernel->pair_numbers)
        TRY_GOTO(add_numbers(plan, setup, err), done);
    TRY_GOTO(kernel->prepare(plan, setup, err), done);
    *out = plan;
    plan = NULL;
done:
    plan_free(plan);
    return st;
}

vic_status plan_add_backward(vic_plan *plan, const struct plan_request *request, const struct kernel *kernel,
                             const struct kernel_setup *setup, vic_error *err)
{
    TRY(plan_make(plan->pattern, request, kernel, setup, &plan->backward, err));
    plan->bytes += plan->backward->bytes;
    return VIC_OK;
}

void plan_free(vic_plan *plan)
{
    if (!plan) return;
    plan_free(plan->backward);
    if (plan->kernel_data) plan->kernel->release(plan);
    pair_numbers_free(plan->numbers);
    pair_numbers_free(plan->transposed_numbers);
    pattern_release(plan->transposed);
    pattern_release(plan->pattern);
    free(plan);
}
