/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/plan.h"

#include "base/memory.h"
#include "pattern/pattern.h"

#include <string.h>

struct weighed_strip {
    int64_t pairs;
    int32_t strip;
};

static int heaviest_first(const void *a, const void *b)
{
    const struct weighed_strip *p = a, *q = b;
    if (p->pairs != q->pairs) return p->pairs > q->pairs ? -1 : 1;
    return (p->strip > q->strip) - (p->strip < q->strip);
}

static vic_status schedule(vic_plan *plan, vic_error *err)
{
    vic_status st = VIC_OK;
    const vic_pattern *p = plan->pattern;
    struct weighed_strip *strips = NULL;
    int32_t *order;
    TRY_GOTO(mem_array((size_t)p->strips, sizeof *order, "strips", &order, err), done);
    plan->strip_order = order;
    TRY_GOTO(mem_array((size_t)p->strips, sizeof *strips, "strips", &strips, err), done);
    for (int64_t s = 0; s < p->strips; s++) {
        strips[s] = (struct weighed_strip){ plan->kernel->strip_pairs(p, s), (int32_t)s };
        plan->computed_pairs += strips[s].pairs;
    }
    qsort(strips, (size_t)p->strips, sizeof *strips, heaviest_first);
    for (int64_t s = 0; s < p->strips; s++) order[s] = strips[s].strip;
    plan->bytes = sizeof *plan + (size_t)p->strips * sizeof *order;
done:
    free(strips);
    return st;
}

vic_status plan_make(vic_pattern *p, const struct plan_request *request, const struct kernel_row *kernel,
                     vic_plan **out, vic_error *err)
{
    vic_status st = VIC_OK;
    vic_plan *plan = NULL;
    *out = NULL;
    TRY(mem_array_zero(1, sizeof *plan, "plan", &plan, err));
    plan->pattern = pattern_retain(p);
    plan->shape = request->shape;
    plan->device = request->device;
    plan->pattern_order = request->pattern_order;
    plan->kernel = kernel;
    TRY_GOTO(schedule(plan, err), done);
    *out = plan;
    plan = NULL;
done:
    plan_free(plan);
    return st;
}

void plan_free(vic_plan *plan)
{
    if (!plan) return;
    union {
        const int32_t *in;
        void *out;
    } order = { plan->strip_order };
    free(order.out);
    pattern_release(plan->pattern);
    free(plan);
}
