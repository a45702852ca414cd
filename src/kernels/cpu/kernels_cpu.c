/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpu_features.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "base/threads.h"
#include "kernels/cpu/attention_cpu.h"
#include "kernels/cpu/strip_order.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

/* The pairs that P V is computed for: 16 for every (key, row group) with a bit.  The scores of a group are computed
 * for a multiple of STEP_KEYS keys in each chunk, which adds 1 to 3 % to that half of the work. */
static int64_t strip_pairs(const struct vic_pattern *p, int64_t strip)
{
    int64_t keys = 0;
    for (int64_t i = p->partial_ptr[strip]; i < p->partial_ptr[strip + 1]; i++) {
        uint16_t groups[CLUSTER * STRIP_GROUPS];
        int in_block = 0;
        _Static_assert(sizeof groups == sizeof p->partial_bits[i], "a block is its groups");
        memcpy(groups, &p->partial_bits[i], sizeof groups);
        for (int g = 0; g < CLUSTER * STRIP_GROUPS; g++) in_block += groups[g] != 0;
        keys += in_block;
    }
    for (int64_t i = p->full_ptr[strip]; i < p->full_ptr[strip + 1]; i++)
        keys += (int64_t)p->full_runs[i].count * CLUSTER * STRIP_GROUPS;
    return keys * GROUP_ROWS;
}

/* Sets kernel_data to the order in which strips are computed. */
static vic_status prepare(struct vic_plan *plan, const struct kernel_setup *setup, vic_error *err)
{
    vic_status st = VIC_OK;
    const struct vic_pattern *p = plan->pattern;
    int64_t *work = NULL;
    int32_t *order;
    (void)setup;
    TRY(mem_array((size_t)p->strips, sizeof *order, "strips", &order, err));
    plan->kernel_data = order;
    plan->bytes += (size_t)p->strips * sizeof *order;
    TRY_GOTO(mem_array((size_t)p->strips, sizeof *work, "strips", &work, err), done);
    for (int64_t s = 0; s < p->strips; s++) {
        work[s] = strip_pairs(p, s);
        plan->computed_pairs += work[s];
    }
    TRY_GOTO(strip_order(p->strips, work, order, err), done);
done:
    free(work);
    return st;
}

static void release(struct vic_plan *plan)
{
    free(plan->kernel_data);
}

static size_t workspace(const struct vic_plan *plan, int threads, int64_t batch, bool items)
{
    (void)batch; /* a worker has one strip at a time */
    (void)items;
    return size_times(strip_scratch_size(&plan->shape, plan->bias), (size_t)threads);
}

/* The strips of all entries follow each other: number at = entry * strips + its place in strip_order.  A task is
 * TOGETHER of them, which share keys and values, and each of which knows the next.  The last SINGLE strips per thread
 * are tasks by themselves, so that threads end together. */
enum { TOGETHER = 4, SINGLE = 8 };

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
    int64_t strips;         /* of an entry */
    int64_t total;          /* of all entries */
    int64_t tasks_together; /* so many tasks have TOGETHER strips; the others have one */
    int threads;
    attention_strip *strip;
    char *workspace;
    size_t scratch_size;
};

/* The number of a task's first strip; for a task behind the last one, the number of strips. */
static int64_t first_strip(const struct launch *l, int64_t task)
{
    int64_t together = task < l->tasks_together ? task : l->tasks_together;
    int64_t at = together * TOGETHER + (task - together);
    return at < l->total ? at : l->total;
}

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
        strip_scratch_place(&plan->shape, plan->bias, l->workspace + (size_t)worker * l->scratch_size);
    int64_t end = first_strip(l, task + 1), later = first_strip(l, task + l->threads);
    struct one_entry here = { .entry = -1 }, ahead = { .entry = -1 };
    for (int64_t at = first_strip(l, task); at < end; at++) {
        int64_t next = at + 1 < end ? at + 1 : later;
        find_entry(l, at, &here);
        if (next < l->total) find_entry(l, next, &ahead);
        const struct cpu_run run = { plan->pattern, &plan->shape, &here.args,
                                     &ahead.args,   plan->bias,   fabs(l->args->scale) > SCALE_MAX };
        l->strip(&run, l->strip_order[at % l->strips], next < l->total ? l->strip_order[next % l->strips] : -1,
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
        .total = plan->pattern->strips * args->batch,
        .threads = pool_threads(exec->pool),
        .strip = instance->strip,
        .workspace = exec->workspace,
        .scratch_size = strip_scratch_size(&plan->shape, plan->bias),
    };
    int64_t many = l.total - (int64_t)l.threads * SINGLE;
    (void)err;
    l.tasks_together = many > 0 ? many / TOGETHER : 0;
    pool_run(exec->pool, l.tasks_together + (l.total - l.tasks_together * TOGETHER), run_task, &l);
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
        .features =                                                                                                  \
            FEATURE_LSE | FEATURE_GROUP_QUERY | FEATURE_UNEQUAL_DIMS | FEATURE_DISTANCE_BIAS | FEATURE_ITEMS,        \
        .dim_min = 8,                                                                                                \
        .dim_max = DIM_MAX,                                                                                          \
        .dim_step = 8,                                                                                               \
        .cost = its_cost,                                                                                            \
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
