/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpu_features.h"
#include "base/sizes.h"
#include "base/threads.h"
#include "kernels/cpu/attention_cpu.h"
#include "kernels/cpu/strip_order.h"
#include "kernels/cpu/strip_tasks.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

/* Sets kernel_data to the order in which strips are computed. */
static vic_status prepare(struct vic_plan *plan, const struct kernel_setup *setup, vic_error *err)
{
    int32_t *order;
    (void)setup;
    TRY(strip_order_make(plan->pattern, &order, &plan->computed_pairs, err));
    plan->kernel_data = order;
    plan->bytes += (size_t)plan->pattern->strips * sizeof *order;
    return VIC_OK;
}

static void release(struct vic_plan *plan)
{
    free(plan->kernel_data);
}

static size_t scratch_size(const struct vic_plan *plan, struct strip_use *use)
{
    *use = (struct strip_use){ .bias = plan->bias, .pair_bias = plan->pair_bias };
    return strip_scratch_size(&plan->shape, use);
}

static size_t workspace(const struct vic_plan *plan, int threads, int64_t batch, bool items)
{
    struct strip_use use;
    (void)batch; /* a worker has one strip at a time */
    (void)items;
    return size_times(scratch_size(plan, &use), (size_t)threads);
}

/* The largest scale for which float32 is used for rows without further checks: 128 products rounded at 2^-150, times
 * 2^100, leave a score right to 2^-43, where a larger scale would magnify what float32 loses at its lower end.  A
 * small scale needs no limit: where `scale` itself loses digits below 2^-126, a score that float32 holds is off by
 * 2^-22 at most. */
#define SCALE_MAX 0x1p100

/* What differs between instruction sets. */
struct instance {
    attention_strip *strip;
};

struct launch {
    const struct vic_plan *plan;
    const struct attention_args *args;
    const int32_t *strip_order;
    int64_t strips; /* of an entry */
    struct strip_tasks tasks;
    int threads;
    attention_strip *strip;
    char *workspace;
    struct strip_use use;
    size_t scratch_size;
};

/* The tensors of one entry of the batch. */
struct one_entry {
    int64_t entry;
    struct attention_args args;
};

/* Makes `one` the entry that strip `at` belongs to. */
static void find_entry(const struct launch *l, int64_t at, struct one_entry *one)
{
    int64_t entry = at / l->strips;
    if (one->entry == entry) return;
    one->entry = entry;
    one->args = attention_entry(l->args, l->plan->shape.dtype, entry);
}

static void run_task(void *context, int64_t task, int worker)
{
    const struct launch *l = context;
    const struct vic_plan *plan = l->plan;
    struct strip_scratch *scratch =
        strip_scratch_place(&plan->shape, &l->use, l->workspace + (size_t)worker * l->scratch_size);
    int64_t end = strip_tasks_first(&l->tasks, task + 1), later = strip_tasks_first(&l->tasks, task + l->threads);
    struct one_entry here = { .entry = -1 }, ahead = { .entry = -1 };
    for (int64_t at = strip_tasks_first(&l->tasks, task); at < end; at++) {
        int64_t next = at + 1 < end ? at + 1 : later;
        find_entry(l, at, &here);
        if (next < l->tasks.total) find_entry(l, next, &ahead);
        const struct cpu_run run = { .pattern = plan->pattern,
                                     .shape = &plan->shape,
                                     .args = &here.args,
                                     .next_args = &ahead.args,
                                     .bias = plan->bias,
                                     .wide = fabs(l->args->scale) > SCALE_MAX,
                                     .pair_bias = plan->pair_bias,
                                     .numbers = plan->numbers };
        l->strip(&run, l->strip_order[at % l->strips], next < l->tasks.total ? l->strip_order[next % l->strips] : -1,
                 scratch);
    }
}

static vic_status launch(const struct vic_plan *plan, const struct attention_args *args,
                         const struct kernel_exec *exec, vic_error *err)
{
    const struct instance *instance = plan->kernel->instance;
    struct launch l = {
        .plan = plan,
        .args = args,
        .strip_order = plan->kernel_data,
        .strips = plan->pattern->strips,
        .tasks = strip_tasks_make(plan->pattern->strips * args->batch, pool_threads(exec->pool)),
        .threads = pool_threads(exec->pool),
        .strip = instance->strip,
        .workspace = exec->workspace,
    };
    (void)err;
    l.scratch_size = scratch_size(plan, &l.use);
    pool_run(exec->pool, l.tasks.count, run_task, &l);
    return VIC_OK;
}

#define KERNEL(isa, its_cost, lacks)                                                                                 \
    static const char *unavailable_##isa(vic_device device)                                                          \
    {                                                                                                                \
        (void)device;                                                                                                \
        return lacks();                                                                                              \
    }                                                                                                                \
    const struct kernel attn_fwd_cpu_##isa = {                                                                       \
        .name = "attn_fwd_cpu_" #isa,                                                                                \
        .operation = ATTENTION_FORWARD,                                                                              \
        .device = VIC_CPU,                                                                                           \
        .dtypes = DTYPE_F32 | DTYPE_F16 | DTYPE_BF16,                                                                \
        .features = FEATURE_LSE | FEATURE_GROUP_QUERY | FEATURE_UNEQUAL_DIMS | FEATURE_DISTANCE_BIAS |               \
                    FEATURE_ITEMS | FEATURE_PAIR_BIAS,                                                               \
        .dim_min = 8,                                                                                                \
        .dim_max = DIM_MAX,                                                                                          \
        .dim_step = 8,                                                                                               \
        .cost = its_cost,                                                                                            \
        .pair_numbers = true,                                                                                        \
        .instance = &(const struct instance){ attention_strip_##isa },                                               \
        .unavailable = unavailable_##isa,                                                                            \
        .prepare = prepare,                                                                                          \
        .release = release,                                                                                          \
        .workspace = workspace,                                                                                      \
        .launch = launch,                                                                                            \
    };

KERNEL(scalar, 4.0, cpu_lacks_baseline)
#if defined(__x86_64__)
KERNEL(avx2, 1.5, cpu_lacks_avx2)
KERNEL(avx512, 1.0, cpu_lacks_avx512)
#endif
