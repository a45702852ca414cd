/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PLAN_PLAN_H
#define VIC_PLAN_PLAN_H

#include "contract/kernel.h"

/* What a kernel must do. */
struct plan_request {
    enum kernel_operation operation;
    struct attention_shape shape;
    vic_device device;
    bool pattern_order;
    unsigned features;       /* kernel_features */
    vic_pair_bias pair_bias; /* the layout, where FEATURE_PAIR_BIAS is among them */
    const char *kernel;      /* forced by name; NULL = the best that fits, or what the environment forces */
};

/* Sets *out to the cheapest of `kernels` that fits.  The error NO_KERNEL has what was requested and what each kernel
 * lacks. */
vic_status plan_choose(const struct plan_request *request, const struct kernel *const *kernels, int count,
                       const struct kernel **out, vic_error *err);

/* Makes a plan for a kernel that fits; one of gradients has the transposed pattern, too.  The plan keeps a reference to
 * the pattern, and nothing of `setup`: memory that came from its pool is given back to it, or where that is gone to the
 * device. */
vic_status plan_make(const vic_pattern *p, const struct plan_request *request, const struct kernel *kernel,
                     const struct kernel_setup *setup, vic_plan **out, vic_error *err);
/* Makes plan->backward, for a kernel of gradients that fits, and counts its bytes into the plan's. */
vic_status plan_add_backward(vic_plan *plan, const struct plan_request *request, const struct kernel *kernel,
                             const struct kernel_setup *setup, vic_error *err);
void plan_free(vic_plan *plan); /* NULL is fine */

#endif
