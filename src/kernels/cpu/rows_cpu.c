/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpu_features.h"
#include "base/sizes.h"
#include "base/threads.h"
#include "kernels/cpu/attention_cpu.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

/* 16 for every (key, group of 16 rows) with a bit: what accumulating P V computes.  The scores of a group are
 * computed for a multiple of STEP_KEYS keys in each chunk, which adds 1 to 3 % to that half of the work. */
static int64_t strip_pairs(const struct vic_pattern *p, int64_t strip)
{
    int64_t keys = 0;
    for (int64_t i = p->partial_ptr[strip]; i < p->partial_ptr[strip + 1]; i++) {
        uint16_t groups[CLUSTER * GROUPS];
        int in_block = 0;
        _Static_assert(sizeof groups == sizeof p->partial_bits[i], "a block is its groups");
        memcpy(groups, &p->partial_bits[i], sizeof groups);
        for (int g = 0; g < CLUSTER * GROUPS; g++) in_block += groups[g] != 0;
        keys += in_block;
    }
    for (int64_t i = p->full_ptr[strip]; i < p->full_ptr[strip + 1]; i++)
        keys += (int64_t)p->full_runs[i].count * CLUSTER * GROUPS;
    return keys * GROUP;
}

static size_t workspace(const struct vic_plan *plan, int threads)
{
    return size_times(strip_scratch_size(&plan->shape, plan->radial), (size_t)threads);
}

/* Strips of a task: neighbours share keys and values, and the next one is known.  Single ones in the end, so that
 * threads end together. */
enum { TOGETHER = 4, SINGLE = 8 /* a thread */ };

/* Times this, 128 products rounded at 2^-150 leave a score right to 2^-43; a larger scale would make of what float32
 * loses at its lower end something that counts.  Small ones need no limit: where `scale` itself loses digits below
 * 2^-126, a score that float32 holds is off by 2^-22 at most. */
#define SCALE_MAX 0x1p100

struct launch {
    struct cpu_run run;
    const int32_t *strip_order;
    int64_t strips, tasks_together; /* tasks of TOGETHER strips; each of the others is one */
    int threads;
    attention_strip *strip;
    char *workspace;
    size_t scratch_size;
};

/* The first strip of a task, as a place in the order; of the one after the last task, their number. */
static int64_t first_strip(const struct launch *l, int64_t task)
{
    int64_t together = task < l->tasks_together ? task : l->tasks_together;
    int64_t at = together * TOGETHER + (task - together);
    return at < l->strips ? at : l->strips;
}

static void run_task(void *context, int64_t task, int worker)
{
    const struct launch *l = context;
    struct strip_scratch *scratch =
        strip_scratch_place(l->run.shape, l->run.radial, l->workspace + (size_t)worker * l->scratch_size);
    int64_t end = first_strip(l, task + 1), later = first_strip(l, task + l->threads);
    for (int64_t at = first_strip(l, task); at < end; at++) {
        int64_t next = at + 1 < end ? at + 1 : later;
        l->strip(&l->run, l->strip_order[at], next < l->strips ? l->strip_order[next] : -1, scratch);
    }
}

static vic_status launch(const struct vic_plan *plan, const struct attention_args *args, struct pool *pool,
                         void *memory, attention_strip *strip)
{
    struct launch l = {
        .run = { plan->pattern, &plan->shape, args, plan->radial, fabs(args->scale) > SCALE_MAX },
        .strip_order = plan->strip_order,
        .strips = plan->pattern->strips,
        .threads = pool_threads(pool),
        .strip = strip,
        .workspace = memory,
        .scratch_size = strip_scratch_size(&plan->shape, plan->radial),
    };
    int64_t many = l.strips - (int64_t)l.threads * SINGLE;
    l.tasks_together = many > 0 ? many / TOGETHER : 0;
    pool_run(pool, l.tasks_together + (l.strips - l.tasks_together * TOGETHER), run_task, &l);
    return VIC_OK;
}

/* The functions of a row cannot know the row: one launch each. */
#define LAUNCH(isa)                                                                                                  \
    static vic_status launch_##isa(const struct vic_plan *plan, const struct attention_args *args,                   \
                                   struct pool *pool, void *memory, vic_error *err)                                  \
    {                                                                                                                \
        (void)err;                                                                                                   \
        return launch(plan, args, pool, memory, attention_strip_##isa);                                              \
    }

#define ROW(isa, its_cost, lacks)                                                                                    \
    const struct kernel_row attn_fwd_cpu_##isa = {                                                                   \
        .name = "attn_fwd_cpu_" #isa,                                                                                \
        .device = VIC_CPU,                                                                                           \
        .dtypes = 1u << VIC_F32 | 1u << VIC_F16 | 1u << VIC_BF16,                                                    \
        .features = FEATURE_LSE | FEATURE_GROUP_QUERY | FEATURE_UNEQUAL_DIMS | FEATURE_RADIAL,                       \
        .dim_min = 8,                                                                                                \
        .dim_max = DIM_MAX,                                                                                          \
        .dim_step = 8,                                                                                               \
        .cost = its_cost,                                                                                            \
        .unavailable = lacks,                                                                                        \
        .strip_pairs = strip_pairs,                                                                                  \
        .workspace = workspace,                                                                                      \
        .launch = launch_##isa,                                                                                      \
    };

LAUNCH(scalar)
ROW(scalar, 4.0, cpu_lacks_baseline)
#if defined(__x86_64__)
LAUNCH(avx2)
ROW(avx2, 1.5, cpu_lacks_avx2)
LAUNCH(avx512)
ROW(avx512, 1.0, cpu_lacks_avx512)
#endif
