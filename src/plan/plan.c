/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/plan.h"

#include "base/memory.h"
#include "pattern/pattern.h"

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
    plan->kernel = kernel;
    plan->bytes = sizeof *plan;
    TRY_GOTO(kernel->prepare(plan, setup, err), done);
    *out = plan;
    plan = NULL;
done:
    plan_free(plan);
    return st;
}

void plan_free(vic_plan *plan)
{
    if (!plan) return;
    if (plan->kernel_data) plan->kernel->release(plan);
    pattern_release(plan->pattern);
    free(plan);
}
