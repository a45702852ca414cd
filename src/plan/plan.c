/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/plan.h"

#include "base/memory.h"
#include "pattern/pattern.h"
#include "plan/tiles.h"

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

static int by_place(const void *a, const void *b)
{
    const struct weighed_strip *p = a, *q = b;
    return (p->strip > q->strip) - (p->strip < q->strip);
}

/* Strips that follow each other in the pattern share most of their keys and values, which are then still in the
 * caches: so they go in its order.  The lightest come last, the heavier of them first, so that threads end together;
 * in small patterns, which the caches hold anyway, that is all of them. */
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
    int64_t last = p->strips / 8 > 64 ? p->strips / 8 : 64;
    qsort(strips, (size_t)p->strips, sizeof *strips, heaviest_first);
    if (p->strips > last) qsort(strips, (size_t)(p->strips - last), sizeof *strips, by_place);
    for (int64_t s = 0; s < p->strips; s++) order[s] = strips[s].strip;
    plan->bytes = sizeof *plan + (size_t)p->strips * sizeof *order;
done:
    free(strips);
    return st;
}

/* Tiles for a GPU where its kernel wants them, and what it makes of them. */
static vic_status lay_out(vic_plan *plan, const struct plan_request *request, vic_error *err)
{
    vic_status st = VIC_OK;
    const vic_pattern *p = plan->pattern;
    const struct device_row *row = plan->kernel->device_row;
    struct tile_layout layout = { 0 };
    struct tile_shape shape;
    struct tile_schedule schedules[2] = { 0 };
    struct pool *pool = NULL;
    plan->bytes = sizeof *plan;
    if (!row->tile_shape) return row->prepare(plan, NULL, NULL, err);
    TRY(row->tile_shape(plan, &shape, err));
    TRY_GOTO(pool_create(0, &pool, err), done);
    if (request->parts > 0 && shape.places % request->parts == 0)
        TRY_GOTO(tiles_lay_out(p, shape.places, request->parts, shape.reach, pool, &layout, err), done);
    else
        TRY_GOTO(tiles_make(p, shape.places, shape.reach, pool, &layout, err), done);
    if (request->most_steps > 0 && layout.shares == layout.tiles)
        TRY_GOTO(tiles_split(p, shape.reach, request->most_steps, pool, &layout, err), done);
    TRY_GOTO(tiles_schedule(&layout, &plan->shape, shape.ctas, request->whole, &schedules[SOME_IN_SHARES], err),
             done);
    if (layout.shares > layout.tiles)
        TRY_GOTO(tiles_schedule(&layout, &plan->shape, shape.ctas, true, &schedules[WHOLE_TILES], err), done);
    plan->computed_pairs = layout.steps * STRIP * STAGE_KEYS;
    TRY_GOTO(row->prepare(plan, &layout, schedules, err), done);
done:
    tiles_free(&layout);
    for (int i = 0; i < 2; i++) tiles_schedule_free(&schedules[i]);
    pool_free(pool);
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
    plan->radial = request->features & FEATURE_RADIAL;
    plan->kernel = kernel;
    TRY_GOTO(kernel->device_row ? lay_out(plan, request, err) : schedule(plan, err), done);
    *out = plan;
    plan = NULL;
done:
    plan_free(plan);
    return st;
}

void plan_free(vic_plan *plan)
{
    if (!plan) return;
    if (plan->on_device) plan->kernel->device_row->release(plan);
    union {
        const int32_t *in;
        void *out;
    } order = { plan->strip_order };
    free(order.out);
    pattern_release(plan->pattern);
    free(plan);
}
