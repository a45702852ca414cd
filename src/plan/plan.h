/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PLAN_PLAN_H
#define VIC_PLAN_PLAN_H

#include "contract/kernel.h"

/* What is asked of a kernel. */
struct plan_request {
    enum kernel_operation operation;
    struct attention_shape shape;
    vic_device device;
    bool pattern_order;
    unsigned features;  /* kernel_features */
    const char *kernel; /* forced by name; NULL = the best that fits */
};

/* The cheapest of `kernels` that fits.  NO_KERNEL says what was asked for and what each kernel lacks. */
vic_status plan_choose(const struct plan_request *request, const struct kernel *const *kernels, int count,
                       const struct kernel **out, vic_error *err);

/* A plan for a kernel that fits, prepared on the threads of `pool`; keeps a reference to the pattern. */
vic_status plan_make(const vic_pattern *p, const struct plan_request *request, const struct kernel *kernel,
                     struct pool *pool, vic_plan **out, vic_error *err);
void plan_free(vic_plan *plan); /* NULL is fine */

#endif
