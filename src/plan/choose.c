/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernel: filter by what it can do, rank by cost, and say why when none fits. */
#include "base/switches.h"
#include "plan/plan.h"

#include <stdio.h>
#include <string.h>

static const char *device_name(vic_device_kind kind)
{
    return kind == VIC_CUDA ? "cuda" : "cpu";
}

static bool dim_fits(const struct kernel_row *row, int dim)
{
    return dim >= row->dim_min && dim <= row->dim_max && (dim - row->dim_min) % row->dim_step == 0;
}

/* What the row, `named` or not, lacks for the request, as a phrase in `text`; false when it lacks nothing. */
static bool lacks(const struct kernel_row *row, const struct plan_request *r, bool named, char *text, size_t size)
{
    const struct attention_shape *s = &r->shape;
    const char *reason;
    if (row->device != r->device.kind) {
        snprintf(text, size, "runs on %s", device_name(row->device));
    } else if (!(row->dtypes >> s->dtype & 1u)) {
        snprintf(text, size, "has no %s", vic_dtype_name(s->dtype));
    } else if (!dim_fits(row, s->d_qk) || !dim_fits(row, s->d_v)) {
        snprintf(text, size, "head sizes %d to %d in steps of %d", row->dim_min, row->dim_max, row->dim_step);
    } else if (r->features & ~row->features) {
        unsigned missing = r->features & ~row->features;
        snprintf(text, size, "has no%s%s%s%s", missing & FEATURE_LSE ? " LSE" : "",
                 missing & FEATURE_GROUP_QUERY ? " group-query heads" : "",
                 missing & FEATURE_UNEQUAL_DIMS ? " unequal head sizes" : "",
                 missing & FEATURE_RADIAL ? " radial term" : "");
    } else if (row->only_by_name && !named) {
        snprintf(text, size, "only when asked for by name");
    } else if ((reason = row->unavailable()) != NULL) {
        snprintf(text, size, "%s", reason);
    } else {
        return false;
    }
    return true;
}

/* What each row lacks, asked once: a GPU that did not answer may do so when it is asked again. */
struct lacking {
    char list[700];
    size_t used;
};

static void add_lacking(struct lacking *l, const char *name, const char *phrase)
{
    int length = snprintf(l->list + l->used, sizeof l->list - l->used, "%s%s: %s", l->used ? "; " : "", name, phrase);
    l->used = l->used + (size_t)length < sizeof l->list ? l->used + (size_t)length : sizeof l->list - 1;
}

static vic_status nothing_fits(const struct plan_request *r, const struct lacking *l, vic_error *err)
{
    return vic_fail(err, VIC_NO_KERNEL, "no kernel fits %s on %s, %d heads on %d, head sizes %d and %d%s (%s)",
                    vic_dtype_name(r->shape.dtype), device_name(r->device.kind), r->shape.heads, r->shape.kv_heads,
                    r->shape.d_qk, r->shape.d_v, r->features & FEATURE_RADIAL ? ", with a radial term" : "", l->list);
}

vic_status plan_choose(const struct plan_request *request, const struct kernel_row *const *rows, int count,
                       const struct kernel_row **out, vic_error *err)
{
    const char *forced = request->kernel;
    const struct kernel_row *best = NULL;
    struct lacking lacking = { "", 0 };
    bool known = false, on_device = false;
    *out = NULL;
    if (!forced && *switch_value(SWITCH_FORCE_KERNEL)) forced = switch_value(SWITCH_FORCE_KERNEL);
    for (int i = 0; i < count; i++) on_device = on_device || rows[i]->device == request->device.kind;
    for (int i = 0; i < count; i++) {
        char phrase[160];
        if (forced && strcmp(rows[i]->name, forced) != 0) continue;
        known = true;
        if (!lacks(rows[i], request, forced, phrase, sizeof phrase)) {
            if (!best || rows[i]->cost < best->cost) best = rows[i];
        } else if (forced || !on_device || rows[i]->device == request->device.kind) { /* else of no help */
            add_lacking(&lacking, rows[i]->name, phrase);
        }
    }
    if (forced && !known) {
        char names[600] = "";
        size_t used = 0;
        for (int i = 0; i < count && used < sizeof names - 1; i++) {
            int length = snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", rows[i]->name);
            used += (size_t)length;
        }
        return vic_fail(err, VIC_NO_KERNEL, "there is no kernel \"%s\"; this build has %s", forced, names);
    }
    if (!best) return nothing_fits(request, &lacking, err);
    log_line("plan", "%s for %s, %d heads on %d, head sizes %d and %d%s", best->name,
             vic_dtype_name(request->shape.dtype), request->shape.heads, request->shape.kv_heads, request->shape.d_qk,
             request->shape.d_v, forced ? " (forced)" : "");
    *out = best;
    return VIC_OK;
}
