/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpu_features.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "base/threads.h"
#include "contract/block_walk.h"
#include "kernels/cpu/attention_backward.h"
#include "kernels/cpu/strip_order.h"
#include "kernels/cpu/strip_tasks.h"
#include "kernels/kernels.h"

#include <string.h>

/* In which order each pass computes its strips; the same array where the pattern is its own transpose. */
struct orders {
    int32_t *over_queries, *over_keys;
    int64_t most_pairs; /* of a strip of queries; with a pair bias */
};

/* For a pair bias by windows, whose pairs have no numbers. */
static int64_t most_pairs(const struct vic_pattern *p)
{
    int64_t most = 0;
    for (int64_t strip = 0; strip < p->strips; strip++) {
        int64_t pairs = 0;
        for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);)
            for (int c = 0; c < CLUSTER; c++) pairs += __builtin_popcountll(w.bits->key[c]);
        if (pairs > most) most = pairs;
    }
    return most;
}

static vic_status prepare(struct vic_plan *plan, const struct kernel_setup *setup, vic_error *err)
{
    struct orders *orders;
    int64_t pairs[2];
    (void)setup;
    TRY(mem_array_zero(1, sizeof *orders, "orders of strips", &orders, err));
    plan->kernel_data = orders;
    plan->bytes += sizeof *orders;
    TRY(strip_order_make(plan->pattern, &orders->over_queries, &pairs[0], err));
    plan->bytes += (size_t)plan->pattern->strips * sizeof *orders->over_queries;
    plan->computed_pairs = pairs[0];
    if (plan->pair_bias) orders->most_pairs = plan->numbers ? plan->numbers->most : most_pairs(plan->pattern);
    orders->over_keys = orders->over_queries;
    if (plan->transposed == plan->pattern) return VIC_OK;
    orders->over_keys = NULL;
    TRY(strip_order_make(plan->transposed, &orders->over_keys, &pairs[1], err));
    plan->bytes += (size_t)plan->transposed->strips * sizeof *orders->over_keys;
    plan->computed_pairs = (pairs[0] + pairs[1]) / 2; /* of the mean pass */
    return VIC_OK;
}

static void release(struct vic_plan *plan)
{
    struct orders *orders = plan->kernel_data;
    if (orders->over_keys != orders->over_queries) free(orders->over_keys);
    free(orders->over_queries);
    free(orders);
}

/* The shape as a pass has it (attention_backward.h). */
static struct attention_shape pass_shape(const struct attention_shape *shape, bool over_keys)
{
    struct attention_shape s = *shape;
    if (over_keys) {
        s.heads = shape->kv_heads;
        s.kv_heads = shape->heads;
    }
    return s;
}

/* A worker's scratch serves both passes; that over queries has no fewer heads. */
static size_t scratch_size(const struct vic_plan *plan, struct strip_use *use)
{
    const struct orders *orders = plan->kernel_data;
    *use = (struct strip_use){
        .bias = plan->bias, .pair_bias = plan->pair_bias, .gradients = true, .pair_sums = orders->most_pairs
    };
    return strip_scratch_size(&plan->shape, use);
}

/* Floats of the row terms of one entry. */
static size_t terms_size(const struct vic_plan *plan)
{
    return size_times(size_times((size_t)plan->pattern->strips, (size_t)plan->shape.heads), 2 * STRIP);
}

static size_t workspace(const struct vic_plan *plan, int threads, int64_t batch, bool items)
{
    struct strip_use use;
    (void)items;
    return size_plus(size_times(scratch_size(plan, &use), (size_t)threads),
                     size_times(size_times(terms_size(plan), (size_t)batch), sizeof(float)));
}

/* What differs between instruction sets. */
struct instance {
    attention_backward_strip *strip;
};

/* One pass over the strips of all entries. */
struct pass {
    const struct vic_plan *plan;
    const struct attention_backward_args *args;
    const struct vic_pattern *pattern;
    struct attention_shape shape;
    const int32_t *strip_order;
    bool over_keys;
    bool walk;                /* the pass gives more than row terms */
    bool sums;                /* it gives something through the distance bias */
    bool pairs, pairs_summed; /* it gives the gradient of the pair bias, and sums that over the entries */
    const struct pair_numbers *numbers;
    struct strip_tasks tasks;
    int threads;
    attention_backward_strip *strip;
    char *scratch;
    struct strip_use use;
    size_t scratch_size;
    float *terms;

    /* With `sums`: see run_part(). */
    int64_t parts;
    size_t table_size;    /* doubles of all tables; 0 = not wanted */
    double *part_sums;    /* [parts, table_size + 9] */
    double *to_positions; /* NULL = not wanted */
    bool add_positions;   /* to what is there */
};

/* The tensors of one entry, in the pass's roles. */
struct one_entry {
    int64_t entry;
    struct attention_backward_args problem;
    struct attention_args args;
};

/* Makes `one` an entry. */
static void find_entry(const struct pass *l, int64_t entry, struct one_entry *one)
{
    if (one->entry == entry) return;
    one->entry = entry;
    one->problem = attention_backward_entry(l->args, l->plan->shape.dtype, entry);
    const struct attention_backward_args *a = &one->problem;
    one->args = (struct attention_args){ .q = a->q,
                                         .k = a->k,
                                         .v = a->v,
                                         .q_rows = a->q_rows,
                                         .k_rows = a->k_rows,
                                         .scale = a->scale,
                                         .batch = 1,
                                         .bias = a->bias,
                                         .pair_bias = a->pair_bias };
    if (l->shape.d_v <= l->shape.d_qk) one->args.out = a->dq; /* prefetched as d_v numbers */
    if (!l->over_keys) return;
    one->args.q = a->k;
    one->args.k = a->q;
    one->args.v = a->dout;
    one->args.q_rows = a->k_rows;
    one->args.k_rows = a->q_rows;
    one->args.out = a->dv;
}

static void run_strip(const struct pass *l, const struct one_entry *here, const struct one_entry *ahead,
                      int64_t strip, int64_t next, struct bias_sums *sums, int worker)
{
    struct strip_scratch *scratch =
        strip_scratch_place(&l->plan->shape, &l->use, l->scratch + (size_t)worker * l->scratch_size);
    const struct attention_backward_args *a = &here->problem;
    const struct cpu_backward b = {
        .run = { .pattern = l->pattern,
                 .shape = &l->shape,
                 .args = &here->args,
                 .next_args = &ahead->args,
                 .bias = l->plan->bias,
                 .pair_bias = l->plan->pair_bias,
                 .exchanged = l->over_keys,
                 .numbers = l->numbers },
        .over_keys = l->over_keys,
        .values = l->over_keys ? a->v : a->dout,
        .dq = l->over_keys ? a->dk : a->dq,
        .dvalues = l->over_keys ? a->dv : (struct attention_tensor){ 0 },
        .sums = sums,
        .walk = l->walk,
        .pairs = l->pairs,
        .pairs_begin = !l->pairs_summed || here->entry == 0,
        .pairs_end = !l->pairs_summed || here->entry + 1 == l->args->batch,
        .terms = l->terms + (size_t)here->entry * terms_size(l->plan),
        .args = a,
    };
    l->strip(&b, strip, next, scratch);
}

static void run_task(void *context, int64_t task, int worker)
{
    const struct pass *l = context;
    const int64_t strips = l->pattern->strips;
    int64_t end = strip_tasks_first(&l->tasks, task + 1), later = strip_tasks_first(&l->tasks, task + l->threads);
    struct one_entry here = { .entry = -1 }, ahead = { .entry = -1 };
    for (int64_t at = strip_tasks_first(&l->tasks, task); l->pairs_summed && at < end; at++)
        for (int64_t entry = 0; entry < l->args->batch; entry++) {
            find_entry(l, entry, &here);
            run_strip(l, &here, &here, l->strip_order[at], -1, NULL, worker);
        }
    if (l->pairs_summed) return;
    for (int64_t at = strip_tasks_first(&l->tasks, task); at < end; at++) {
        int64_t next = at + 1 < end ? at + 1 : later;
        bool more = next < l->tasks.total;
        find_entry(l, at / strips, &here);
        if (more) find_entry(l, next / strips, &ahead);
        run_strip(l, &here, &ahead, l->strip_order[at % strips], more ? l->strip_order[next % strips] : -1, NULL,
                  worker);
    }
}

/* ---- Through the distance bias ------------------------------------------------------------------------------ */

/* The most parts, and the most memory of their sums. */
enum { MOST_PARTS = 256 };
#define MOST_PART_BYTES ((size_t)1 << 26)

static void store_positions(const struct pass *l, int64_t strip, const struct bias_sums *sums)
{
    for (int64_t row = strip * STRIP; row < (strip + 1) * STRIP && row < l->pattern->n_q; row++) {
        double *to = l->to_positions + 3 * (int64_t)l->pattern->q_order[row];
        for (int x = 0; x < 3; x++) to[x] = (l->add_positions ? to[x] : 0.0) + sums->position[x][row % STRIP];
    }
}

/* Adds what the strip gives to the cell.  The image of a pair is that of the key less q_wrap, and what the row's pairs
 * give to its position is what they give to the cell for each image, negated. */
static void add_cell(const struct pass *l, int64_t strip, const struct bias_sums *sums, double cell[9])
{
    const struct vic_pattern *p = l->pattern;
    for (int i = 0; i < 9; i++) cell[i] += sums->cell[i / 3][i % 3];
    for (int64_t row = strip * STRIP; p->q_wrap && row < (strip + 1) * STRIP && row < p->n_q; row++)
        for (int i = 0; i < 9; i++) cell[i] += p->q_wrap[p->q_order[row]][i / 3] * sums->position[i % 3][row % STRIP];
}

/* Sums over strips, entries and heads are the same for any number of threads: the strips are divided into parts by
 * their number alone.  A part has sums of its own, and takes its strips in order, all entries of one after the
 * other. */
static void run_part(void *context, int64_t part, int worker)
{
    const struct pass *l = context;
    const int64_t strips = l->pattern->strips, end = strips * (part + 1) / l->parts;
    double *part_sums = l->part_sums + (size_t)part * (l->table_size + 9);
    for (int64_t at = strips * part / l->parts; at < end; at++) {
        const int64_t strip = l->strip_order[at];
        struct one_entry here = { .entry = -1 };
        struct bias_sums sums = { .table = l->table_size ? part_sums + 9 : NULL,
                                  .table_head_stride = l->args->dtable_head_stride ? l->args->bias.points : 0,
                                  .forces = l->to_positions || l->args->dcell };
        for (int64_t entry = 0; entry < l->args->batch; entry++) {
            find_entry(l, entry, &here);
            run_strip(l, &here, &here, strip, -1, &sums, worker);
        }
        if (l->to_positions) store_positions(l, strip, &sums);
        if (sums.forces) add_cell(l, strip, &sums, part_sums);
    }
}

/* Adds up the parts, in their order. */
static void join_parts(const struct pass *l)
{
    const struct attention_backward_args *a = l->args;
    const size_t size = l->table_size + 9;
    for (size_t i = 0; i < size; i++) {
        double sum = 0.0;
        for (int64_t part = 0; part < l->parts; part++) sum += l->part_sums[(size_t)part * size + i];
        if (i < 9 && a->dcell) a->dcell[i] = sum;
        if (i < 9) continue;
        size_t table = (i - 9) / (size_t)a->bias.points, point = (i - 9) % (size_t)a->bias.points;
        a->dtable[(int64_t)table * a->dtable_head_stride + (int64_t)point] = (float)sum;
    }
}

/* How many points the table has, and so the memory of its gradient, is not known before. */
static vic_status run_parts(struct pass *l, struct pool *pool, vic_error *err)
{
    const struct attention_backward_args *a = l->args;
    if (!l->over_keys && a->dtable)
        l->table_size = (size_t)a->bias.points * (a->dtable_head_stride ? (size_t)l->plan->shape.heads : 1);
    size_t size = l->table_size + 9, most = MOST_PART_BYTES / (size * sizeof *l->part_sums);
    l->parts = most < 1 ? 1 : most < MOST_PARTS ? (int64_t)most : MOST_PARTS;
    if (l->parts > l->pattern->strips) l->parts = l->pattern->strips;
    TRY(mem_array_zero((size_t)l->parts, size * sizeof *l->part_sums, "gradients of tables", &l->part_sums, err));
    pool_run(pool, l->parts, run_part, l);
    if (!l->over_keys) join_parts(l);
    free(l->part_sums);
    return VIC_OK;
}

/* ---- All of it ---------------------------------------------------------------------------------------------- */

static vic_status run_pass(struct pass *l, struct pool *pool, vic_error *err)
{
    if (l->sums) return run_parts(l, pool, err);
    /* Where entries are summed, a strip does all of them, one after the other. */
    l->tasks = strip_tasks_make(l->pattern->strips * (l->pairs_summed ? 1 : l->args->batch), l->threads);
    pool_run(pool, l->tasks.count, run_task, l);
    return VIC_OK;
}

static vic_status launch(const struct vic_plan *plan, const struct attention_backward_args *given,
                         const struct kernel_exec *exec, vic_error *err)
{
    static _Alignas(64) float zeros[DIM_MAX]; /* of every type */
    const struct instance *instance = plan->kernel->instance;
    const struct orders *orders = plan->kernel_data;
    const bool one_set = plan->pattern->one_set;
    struct attention_backward_args a = *given;
    if (!a.dout.data) a.dout = (struct attention_tensor){ .data = zeros };
    double *key_positions = one_set ? a.dq_positions : a.dk_positions;
    struct strip_use use;
    size_t scratch = scratch_size(plan, &use);
    struct pass over_queries = {
        .plan = plan,
        .args = &a,
        .pattern = plan->pattern,
        .shape = pass_shape(&plan->shape, false),
        .strip_order = orders->over_queries,
        .sums = a.dtable || a.dq_positions || a.dcell,
        .threads = pool_threads(exec->pool),
        .strip = instance->strip,
        .pairs = a.dpair_bias.data != NULL,
        .pairs_summed = a.dpair_bias.data && a.dpair_bias.batch_stride == 0 && a.batch > 1,
        .numbers = plan->numbers,
        .scratch = exec->workspace,
        .use = use,
        .scratch_size = scratch,
        .terms = (float *)(void *)((char *)exec->workspace + scratch * (size_t)pool_threads(exec->pool)),
        .to_positions = a.dq_positions,
    };
    struct pass over_keys = over_queries;
    over_queries.walk = a.dq.data || over_queries.sums || over_queries.pairs;
    over_keys.over_keys = true;
    over_keys.pattern = plan->transposed;
    over_keys.shape = pass_shape(&plan->shape, true);
    over_keys.strip_order = orders->over_keys;
    over_keys.sums = key_positions;
    over_keys.pairs = over_keys.pairs_summed = false;
    over_keys.numbers = plan->transposed_numbers;
    over_keys.walk = a.dk.data || a.dv.data || key_positions;
    over_keys.to_positions = key_positions;
    over_keys.add_positions = one_set;
    TRY(run_pass(&over_queries, exec->pool, err)); /* first: the other needs its row terms */
    return over_keys.walk ? run_pass(&over_keys, exec->pool, err) : VIC_OK;
}

#define KERNEL(isa, its_cost, lacks)                                                                                 \
    static const char *unavailable_##isa(vic_device device)                                                          \
    {                                                                                                                \
        (void)device;                                                                                                \
        return lacks();                                                                                              \
    }                                                                                                                \
    const struct kernel attn_bwd_cpu_##isa = {                                                                       \
        .name = "attn_bwd_cpu_" #isa,                                                                                \
        .operation = ATTENTION_BACKWARD,                                                                             \
        .device = VIC_CPU,                                                                                           \
        .dtypes = DTYPE_F32 | DTYPE_F16 | DTYPE_BF16,                                                                \
        .features =                                                                                                  \
            FEATURE_LSE | FEATURE_GROUP_QUERY | FEATURE_UNEQUAL_DIMS | FEATURE_DISTANCE_BIAS | FEATURE_PAIR_BIAS,    \
        .dim_min = 8,                                                                                                \
        .dim_max = DIM_MAX,                                                                                          \
        .dim_step = 8,                                                                                               \
        .cost = its_cost,                                                                                            \
        .pair_numbers = true,                                                                                        \
        .instance = &(const struct instance){ attention_backward_strip_##isa },                                      \
        .unavailable = unavailable_##isa,                                                                            \
        .prepare = prepare,                                                                                          \
        .release = release,                                                                                          \
        .workspace = workspace,                                                                                      \
        .launch_backward = launch,                                                                                   \
    };

KERNEL(scalar, 4.0, cpu_lacks_baseline)
#if defined(__x86_64__)
KERNEL(avx2, 1.5, cpu_lacks_avx2)
KERNEL(avx512, 1.0, cpu_lacks_avx512)
#endif
