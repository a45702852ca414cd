/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PLAN_PLAN_H
#define VIC_PLAN_PLAN_H

#include "contract/kernel_row.h"

/* What is asked of a kernel. */
struct plan_request {
    struct attention_shape shape;
    vic_device device;
    bool pattern_order;
    unsigned features;  /* kernel_features */
    const char *kernel; /* forced by name; NULL = the best that fits */
    int parts; /* for tests: cut strips in so many where a tile can (plan/tiles.h); 0 = as the pattern asks */
    int64_t most_steps; /* for tests: split longer tiles */
    bool whole;         /* for tests: each CTA all shares of a tile */
};

/* The cheapest of `rows` that fits.  NO_KERNEL tells what was asked for and what each row lacks. */
vic_status plan_choose(const struct plan_request *request, const struct kernel_row *const *rows, int count,
                       const struct kernel_row **out, vic_error *err);

/* A plan on a kernel that fits; keeps a reference to the pattern. */
vic_status plan_make(vic_pattern *p, const struct plan_request *request, const struct kernel_row *kernel,
                     vic_plan **out, vic_error *err);
void plan_free(vic_plan *plan); /* NULL is fine */

#endif
