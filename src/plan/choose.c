/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing a kernel: of those that can do what is requested, the cheapest; and the reasons when none fits. */
#include "base/switches.h"
#include "plan/plan.h"

#include <stdio.h>
#include <string.h>

static const char *device_name(vic_device_type kind)
{
    return kind == VIC_CUDA ? "cuda" : "cpu";
}

static bool dim_fits(const struct kernel *kernel, int dim)
{
    return dim >= kernel->dim_min && dim <= kernel->dim_max && (dim - kernel->dim_min) % kernel->dim_step == 0;
}

static const char *device_words(vic_device_type kind)
{
    return kind == VIC_CUDA ? "the GPU" : "the CPU";
}

static const char *feature_words(unsigned features)
{
    return features & FEATURE_DISTANCE_BIAS  ? "a distance bias"
           : features & FEATURE_PAIR_BIAS    ? "a pair bias"
           : features & FEATURE_FLOAT32_OUT  ? "float32 output for other inputs"
           : features & FEATURE_GROUP_QUERY  ? "fewer key heads than query heads"
           : features & FEATURE_UNEQUAL_DIMS ? "unequal head sizes"
                                             : "LSE";
}

static const char *operation_words(enum kernel_operation operation)
{
    return operation == ATTENTION_BACKWARD ? "the gradients of attention" : "attention";
}

/* What a kernel may lack: first what no other request would change, then what another request would. */
enum lack {
    LACKS_OPERATION,
    LACKS_DEVICE,
    LACKS_MACHINE,
    LACKS_DTYPE,
    LACKS_DIMS,
    LACKS_FEATURES,
    LACKS_NAME,
    LACKS
};

/* What one kernel lacks for the request. */
struct lacking {
    const struct kernel *kernel;
    bool is[LACKS];
    char machine[128]; /* why this machine cannot run it */
};

/* Fills *l and returns whether the kernel lacks anything; `named`: it was requested by name.  unavailable() is called
 * once, because a GPU that did not answer may answer the next time. */
static bool find_lacks(const struct kernel *kernel, const struct plan_request *r, bool named, struct lacking *l)
{
    const char *reason = kernel->device == r->device.type ? kernel->unavailable(r->device) : NULL;
    bool any = false;
    *l = (struct lacking){ .kernel = kernel };
    if (reason) snprintf(l->machine, sizeof l->machine, "%s", reason);
    l->is[LACKS_OPERATION] = kernel->operation != r->operation;
    l->is[LACKS_DEVICE] = kernel->device != r->device.type;
    l->is[LACKS_MACHINE] = reason != NULL;
    l->is[LACKS_DTYPE] = !(kernel->dtypes & kernel_dtype(r->shape.dtype));
    l->is[LACKS_DIMS] = !dim_fits(kernel, r->shape.d_qk) || !dim_fits(kernel, r->shape.d_v);
    l->is[LACKS_FEATURES] = (r->features & ~kernel->features) != 0;
    l->is[LACKS_NAME] = kernel->only_by_name && !named;
    for (int i = 0; i < LACKS; i++) any |= l->is[i];
    return any;
}

/* The first thing that a kernel lacks, as a phrase. */
static void lack_phrase(const struct lacking *l, const struct plan_request *r, char *text, size_t size)
{
    const struct kernel *kernel = l->kernel;
    if (l->is[LACKS_OPERATION])
        snprintf(text, size, "computes %s", operation_words(kernel->operation));
    else if (l->is[LACKS_DEVICE])
        snprintf(text, size, "runs on %s only", device_name(kernel->device));
    else if (l->is[LACKS_DTYPE])
        snprintf(text, size, "does not support %s", vic_dtype_name(r->shape.dtype));
    else if (l->is[LACKS_DIMS])
        snprintf(text, size, "supports head sizes %d to %d in steps of %d", kernel->dim_min, kernel->dim_max,
                 kernel->dim_step);
    else if (l->is[LACKS_FEATURES])
        snprintf(text, size, "does not support %s", feature_words(r->features & ~kernel->features));
    else if (l->is[LACKS_NAME])
        snprintf(text, size, "must be requested by name");
    else
        snprintf(text, size, "%.127s", l->machine);
}

/* ---- when none fits ---- */

/* A request that no kernel fits, and what each of the kernels lacks that were considered: those of the device, or the
 * one forced. */
struct refusal {
    const struct plan_request *request;
    const struct kernel *const *kernels;
    int all;
    struct lacking *lacking;
    int n;
    bool forced;
};

/* Whether a kernel of another device supports the type and the features. */
static bool others_have(const struct refusal *f, vic_dtype dtype, unsigned features)
{
    for (int i = 0; i < f->all; i++)
        if (f->kernels[i]->device != f->request->device.type && f->kernels[i]->dtypes & kernel_dtype(dtype) &&
            (features & ~f->kernels[i]->features) == 0)
            return true;
    return false;
}

static void dtype_reason(const struct refusal *f, char *text, size_t size)
{
    vic_dtype dtype = f->request->shape.dtype;
    vic_device_type here = f->request->device.type;
    unsigned have = 0;
    size_t used;
    for (int i = 0; i < f->n; i++) have |= f->lacking[i].kernel->dtypes;
    if (others_have(f, dtype, 0))
        used = (size_t)snprintf(text, size, "%s runs on %s only", vic_dtype_name(dtype),
                                device_words(here == VIC_CUDA ? VIC_CPU : VIC_CUDA));
    else
        used = (size_t)snprintf(text, size, "no kernel supports %s", vic_dtype_name(dtype));
    static const vic_dtype dtypes[] = { VIC_F32, VIC_F16, VIC_BF16 };
    for (int i = 0, named = 0; i < 3; i++) {
        if (!(have & kernel_dtype(dtypes[i]))) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s", named++ ? " or " : ": take dtype ",
                                 vic_dtype_name(dtypes[i]));
    }
}

/* Writes the reason of that kind as a phrase and returns true, where it holds for every kernel. */
static bool common_reason(const struct refusal *f, enum lack kind, char *text, size_t size)
{
    const struct attention_shape *s = &f->request->shape;
    unsigned missing = f->request->features;
    for (int i = 0; i < f->n; i++) {
        if (!f->lacking[i].is[kind]) return false;
        missing &= ~f->lacking[i].kernel->features;
    }
    switch (kind) {
    case LACKS_OPERATION:
        snprintf(text, size, "%s computes %s", f->forced ? f->lacking[0].kernel->name : "no kernel",
                 operation_words(f->forced ? f->lacking[0].kernel->operation : f->request->operation));
        return true;
    case LACKS_DEVICE:
        if (f->request->operation == ATTENTION_BACKWARD && !f->forced)
            snprintf(
                text, size,
                "the gradients of attention are computed on %s only: make a plan for that device, or one without "
                "`backward`",
                device_words(f->lacking[0].kernel->device));
        else if (f->request->device.type == VIC_CUDA && !f->forced)
            snprintf(text, size,
                     "this build has no CUDA kernels: build vicinal where nvcc 12.3 or newer is%s, or run on the CPU",
                     s->dtype == VIC_F32 ? " and take float16 or bfloat16" : "");
        else
            snprintf(text, size, "%s runs on %s only", f->lacking[0].kernel->name,
                     device_words(f->lacking[0].kernel->device));
        return true;
    case LACKS_MACHINE: snprintf(text, size, "%.127s", f->lacking[0].machine); return true;
    case LACKS_DTYPE: dtype_reason(f, text, size); return true;
    case LACKS_DIMS:
        snprintf(text, size, "no kernel here supports head sizes %d and %d", s->d_qk, s->d_v);
        return true;
    case LACKS_FEATURES:
        if (!missing) return false;
        if (others_have(f, s->dtype, missing))
            snprintf(text, size, "%s runs on %s only", feature_words(missing),
                     device_words(f->request->device.type == VIC_CUDA ? VIC_CPU : VIC_CUDA));
        else
            snprintf(text, size, "no kernel here supports %s", feature_words(missing));
        return true;
    default: return false;
    }
}

/* Lists what kernels lack, those with the same phrase together: "a and 5 more: does not support float32; b: ...". */
static void list_lacks(const struct refusal *f, char *list, size_t size)
{
    char phrase[160], other[160];
    size_t used = 0;
    for (int i = 0; i < f->n && used + 1 < size; i++) {
        int more = 0, length;
        bool listed = false;
        lack_phrase(&f->lacking[i], f->request, phrase, sizeof phrase);
        for (int j = 0; j < f->n; j++) {
            lack_phrase(&f->lacking[j], f->request, other, sizeof other);
            if (strcmp(phrase, other) != 0) continue;
            listed |= j < i;
            more += j > i;
        }
        if (listed) continue;
        length = snprintf(list + used, size - used, "%s%s", used ? "; " : "", f->lacking[i].kernel->name);
        used = used + (size_t)length < size ? used + (size_t)length : size - 1;
        if (more > 0)
            length = snprintf(list + used, size - used, " and %d more: %s", more, phrase);
        else
            length = snprintf(list + used, size - used, ": %s", phrase);
        used = used + (size_t)length < size ? used + (size_t)length : size - 1;
    }
}

static vic_status nothing_fits(const struct refusal *f, vic_error *err)
{
    const struct plan_request *r = f->request;
    char reasons[400] = "", reason[200], list[500] = "";
    size_t used = 0;
    for (int kind = 0; kind < LACKS; kind++) {
        if (!common_reason(f, (enum lack)kind, reason, sizeof reason)) continue;
        used += (size_t)snprintf(reasons + used, sizeof reasons - used, "%s%s", used ? "; besides, " : "", reason);
        if (kind <= LACKS_DEVICE || used + sizeof reason > sizeof reasons) break;
    }
    list_lacks(f, list, sizeof list);
    return vic_fail(err, VIC_NO_KERNEL,
                    "%s%sno kernel fits %s on %s, %d heads (%d of keys), head sizes %d and %d%s%s (%s)", reasons,
                    used ? "; " : "", vic_dtype_name(r->shape.dtype), device_name(r->device.type), r->shape.heads,
                    r->shape.kv_heads, r->shape.d_qk, r->shape.d_v,
                    r->features & FEATURE_DISTANCE_BIAS ? ", with a distance bias" : "",
                    r->features & FEATURE_PAIR_BIAS ? ", with a pair bias" : "", list);
}

static vic_status unknown_kernel(const char *name, const struct kernel *const *kernels, int count, vic_error *err)
{
    char names[600] = "";
    size_t used = 0;
    for (int i = 0; i < count && used < sizeof names - 1; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", kernels[i]->name);
    return vic_fail(err, VIC_NO_KERNEL, "there is no kernel \"%s\"; this build has %s", name, names);
}

/* How near a kernel is to the request: 0 it computes something else, 1 that, on another device, 2 on this one. */
static int nearness(const struct kernel *kernel, const struct plan_request *r)
{
    return kernel->operation != r->operation ? 0 : kernel->device != r->device.type ? 1 : 2;
}

static const char *forced_by_environment(const struct plan_request *r)
{
    const char *name =
        switch_value(r->operation == ATTENTION_BACKWARD ? SWITCH_FORCE_BACKWARD_KERNEL : SWITCH_FORCE_KERNEL);
    return *name ? name : NULL;
}

vic_status plan_choose(const struct plan_request *request, const struct kernel *const *kernels, int count,
                       const struct kernel **out, vic_error *err)
{
    enum { MOST_KERNELS = 64 };
    const char *forced = request->kernel ? request->kernel : forced_by_environment(request);
    const struct kernel *best = NULL;
    struct lacking lacking[MOST_KERNELS];
    struct refusal refusal = {
        .request = request, .kernels = kernels, .all = count, .lacking = lacking, .forced = forced != NULL
    };
    bool known = false;
    int nearest = 0; /* those that are further from the request need not be named */
    *out = NULL;
    for (int i = 0; i < count; i++)
        if (nearness(kernels[i], request) > nearest) nearest = nearness(kernels[i], request);
    for (int i = 0; i < count && refusal.n < MOST_KERNELS; i++) {
        if (forced && strcmp(kernels[i]->name, forced) != 0) continue;
        known = true;
        if (!forced && nearness(kernels[i], request) < nearest) continue;
        if (find_lacks(kernels[i], request, forced, &lacking[refusal.n]))
            refusal.n++;
        else if (!best || kernels[i]->cost < best->cost)
            best = kernels[i];
    }
    if (forced && !known) return unknown_kernel(forced, kernels, count, err);
    if (!best) return nothing_fits(&refusal, err);
    log_line("plan", "%s for %s, %d heads (%d of keys), head sizes %d and %d%s", best->name,
             vic_dtype_name(request->shape.dtype), request->shape.heads, request->shape.kv_heads, request->shape.d_qk,
             request->shape.d_v, forced ? " (forced)" : "");
    *out = best;
    return VIC_OK;
}
