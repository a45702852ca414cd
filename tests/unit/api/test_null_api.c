/* SPDX-License-Identifier: Apache-2.0 */
/* Every function that is handed pointers, with each of them NULL in turn: it works where the header says that NULL is
 * fine, and otherwise answers BAD_ARGUMENT in words that name NULL.  tests/api/check_symbols.py holds the table below
 * against the headers. */
#include "objects.h"

#include "vicinal_dev.h"
#include "vicinal_dist.h"
#include "vicinal_engine.h"
#include "vicinal_structure.h"

#include <fcntl.h>
#include <unistd.h>

enum { N = 16, DIM = 8 };

static const vic_device cpu = { VIC_CPU, 0 };

/* Good arguments for all calls. */
static struct {
    vic_context *context;
    vic_structure *structure;
    vic_pattern *pattern, *other;
    vic_plan *plan;
    vic_engine *engine;
    vic_endpoint *endpoint;
    vic_dist *dist;
    vic_endpoint_options endpoint_options;
    vic_points points, nowhere;
    vic_pattern_options pattern_options;
    vic_plan_options plan_options;
    vic_attention_args args;
    vic_attention_backward_args backward;
    vic_pair_list pairs;
    vic_tensor in, out, part_lse;
    double numbers[3 * N], values[N * DIM], counts_of[N];
    float features[N * DIM], results[N * DIM], lse[N], table[4];
    int32_t first[1], ints[3 * N * N];
    int64_t counts[N];
    char folder[64], saved[100], written[100];
    int descriptor;
} o;

/* What the call handed out: freed, and NULL where it failed. */
static struct {
    vic_context *context;
    vic_structure *structure;
    vic_pattern *pattern;
    vic_plan *plan;
    vic_engine *engine;
    vic_endpoint *endpoint;
    vic_dist *dist;
    void *memory;
} made;

#define P(index, value) (null == (index) ? NULL : (value))
#define CALL(name)      static vic_status call_##name(int null, vic_error *e)

/* ---- vicinal.h ---- */

CALL(vic_context_create)
{
    vic_context_options c = { .size = sizeof c, .threads = 1 };
    return vic_context_create(P(0, &c), P(1, &made.context), P(2, e));
}

CALL(vic_context_get)
{
    vic_context_info info = VIC_INIT(vic_context_info);
    return vic_context_get(P(0, o.context), P(1, &info), P(2, e));
}

CALL(vic_context_wait)
{
    return vic_context_wait(P(0, o.context), P(1, e));
}

CALL(vic_context_free)
{
    vic_context *c = context_of(1);
    (void)e;
    vic_context_free(P(0, c));
    if (null == 0) vic_context_free(c);
    return VIC_OK;
}

CALL(vic_memory_alloc)
{
    return vic_memory_alloc(cpu, 8, P(0, &made.memory), P(1, e));
}

CALL(vic_memory_free)
{
    void *memory = malloc(1);
    (void)e;
    vic_memory_free(cpu, P(0, memory));
    if (null == 0) free(memory);
    return VIC_OK;
}

CALL(vic_memory_copy)
{
    return vic_memory_copy(cpu, P(0, o.results), cpu, P(1, o.features), 8, P(2, e));
}

CALL(vic_pattern_cutoff)
{
    return vic_pattern_cutoff(P(0, o.context), P(1, &o.points), P(2, &o.points), 2.0, P(3, &o.pattern_options),
                              P(4, &made.pattern), P(5, e));
}

CALL(vic_pattern_nearest)
{
    return vic_pattern_nearest(P(0, o.context), P(1, &o.points), P(2, &o.points), 2, P(3, &o.pattern_options),
                               P(4, &made.pattern), P(5, e));
}

CALL(vic_pattern_windows)
{
    return vic_pattern_windows(P(0, o.context), P(1, &o.nowhere), 2, 4, P(2, &o.pattern_options), P(3, &made.pattern),
                               P(4, e));
}

CALL(vic_pattern_blocks)
{
    static const int64_t row_ptr[] = { 0, 1 };
    static const int32_t column[] = { 0 };
    vic_block_list list = { .size = sizeof list, .block = 16, .row_ptr = row_ptr, .column = column };
    return vic_pattern_blocks(P(0, o.context), P(1, &o.nowhere), P(2, &o.nowhere), P(3, &list),
                              P(4, &o.pattern_options), P(5, &made.pattern), P(6, e));
}

CALL(vic_pattern_pairs)
{
    return vic_pattern_pairs(P(0, o.context), P(1, &o.points), P(2, &o.points), P(3, &o.pairs),
                             P(4, &o.pattern_options), P(5, &made.pattern), P(6, e));
}

CALL(vic_pattern_ranges)
{
    static const int64_t queries[] = { 0, N }, offsets[] = { 0, 1 };
    static const int32_t range[] = { 0, N };
    vic_range_list list = {
        .size = sizeof list, .groups = 1, .query_offsets = queries, .range_offsets = offsets, .ranges = range
    };
    return vic_pattern_ranges(P(0, o.context), P(1, &o.nowhere), P(2, &o.nowhere), P(3, &list),
                              P(4, &o.pattern_options), P(5, &made.pattern), P(6, e));
}

CALL(vic_pattern_pages)
{
    static const int64_t queries[] = { 0, N }, lengths[] = { 16 };
    static const int32_t table[] = { 0 };
    vic_page_list list = { .size = sizeof list,
                           .groups = 1,
                           .page = 16,
                           .query_offsets = queries,
                           .lengths = lengths,
                           .table = table,
                           .table_stride = 1 };
    return vic_pattern_pages(P(0, o.context), P(1, &o.nowhere), P(2, &o.nowhere), P(3, &list),
                             P(4, &o.pattern_options), P(5, &made.pattern), P(6, e));
}

CALL(vic_pattern_union)
{
    return vic_pattern_union(P(0, o.context), P(1, o.pattern), P(2, o.other), P(3, &made.pattern), P(4, e));
}

CALL(vic_pattern_difference)
{
    return vic_pattern_difference(P(0, o.context), P(1, o.pattern), P(2, o.other), P(3, &made.pattern), P(4, e));
}

CALL(vic_pattern_exclude)
{
    return vic_pattern_exclude(P(0, o.context), P(1, o.pattern), P(2, &o.pairs), P(3, &made.pattern), P(4, e));
}

CALL(vic_pattern_transpose)
{
    return vic_pattern_transpose(P(0, o.context), P(1, o.pattern), P(2, &made.pattern), P(3, e));
}

CALL(vic_pattern_update)
{
    vic_pattern *p = cutoff_pattern(&o.points, 2.0);
    vic_status st = vic_pattern_update(P(0, o.context), P(1, &p), P(2, &o.points), P(3, NULL), P(4, e));
    vic_pattern_free(p);
    return st;
}

CALL(vic_pattern_save)
{
    return vic_pattern_save(P(0, o.pattern), P(1, o.written), P(2, e));
}

CALL(vic_pattern_save_to)
{
    return vic_pattern_save_to(P(0, o.pattern), o.descriptor, P(1, "nowhere"), P(2, e));
}

CALL(vic_pattern_load)
{
    return vic_pattern_load(P(0, o.context), P(1, o.saved), P(2, &made.pattern), P(3, e));
}

CALL(vic_pattern_get)
{
    vic_pattern_info info = VIC_INIT(vic_pattern_info);
    return vic_pattern_get(P(0, o.pattern), P(1, &info), P(2, e));
}

CALL(vic_pattern_order)
{
    const int32_t *order;
    return vic_pattern_order(P(0, o.pattern), VIC_KEY, P(1, &order), P(2, e));
}

CALL(vic_pattern_positions)
{
    const double *positions;
    return vic_pattern_positions(P(0, o.pattern), VIC_KEY, P(1, &positions), P(2, e));
}

CALL(vic_pattern_counts)
{
    return vic_pattern_counts(P(0, o.pattern), P(1, o.counts), P(2, e));
}

CALL(vic_pattern_neighbors)
{
    vic_neighbors list = VIC_INIT(vic_neighbors);
    return vic_pattern_neighbors(P(0, o.context), P(1, o.pattern), P(2, &list), P(3, e));
}

CALL(vic_pattern_block_mask)
{
    vic_block_mask mask = { .size = sizeof mask, .query_block = 64, .key_block = 64 };
    return vic_pattern_block_mask(P(0, o.context), P(1, o.pattern), P(2, &mask), P(3, e));
}

CALL(vic_pattern_sort)
{
    return vic_pattern_sort(P(0, o.context), P(1, o.pattern), VIC_QUERY, P(2, &o.in), P(3, &o.out), P(4, NULL),
                            P(5, e));
}

CALL(vic_pattern_unsort)
{
    return vic_pattern_unsort(P(0, o.context), P(1, o.pattern), VIC_QUERY, P(2, &o.in), P(3, &o.out), P(4, NULL),
                              P(5, e));
}

CALL(vic_pattern_free)
{
    vic_pattern *p = cutoff_pattern(&o.points, 2.0);
    (void)e;
    vic_pattern_free(P(0, p));
    if (null == 0) vic_pattern_free(p);
    return VIC_OK;
}

CALL(vic_plan_create)
{
    return vic_plan_create(P(0, o.context), P(1, o.pattern), P(2, &o.plan_options), P(3, &made.plan), P(4, e));
}

CALL(vic_plan_get)
{
    vic_plan_info info = VIC_INIT(vic_plan_info);
    return vic_plan_get(P(0, o.plan), P(1, &info), P(2, e));
}

CALL(vic_plan_free)
{
    vic_plan *plan;
    vic_status st = vic_plan_create(NULL, o.pattern, &o.plan_options, &plan, e);
    vic_plan_free(P(0, plan));
    if (null == 0) vic_plan_free(plan);
    return st;
}

CALL(vic_plan_workspace)
{
    size_t bytes;
    return vic_plan_workspace(P(0, o.context), P(1, o.plan), 1, P(2, &bytes), P(3, e));
}

CALL(vic_attention)
{
    return vic_attention(P(0, o.context), P(1, o.plan), P(2, &o.args), P(3, e));
}

CALL(vic_attention_backward)
{
    return vic_attention_backward(P(0, o.context), P(1, o.plan), P(2, &o.backward), P(3, e));
}

CALL(vic_combine)
{
    vic_combine_args a = { .size = sizeof a, .parts = 1, .part_out = &o.in, .part_lse = &o.part_lse, .out = o.out };
    return vic_combine(P(0, o.context), P(1, &a), P(2, e));
}

CALL(vic_bias_add)
{
    return vic_bias_add(VIC_BIAS_LINEAR, -1, 0, 0, 2.0, 4, P(0, o.table), P(1, e));
}

/* No status to answer with: NULL data is no tensor, and where there is no shape it has no elements. */
CALL(vic_tensor_make)
{
    const int64_t shape[] = { 4 };
    vic_tensor t = vic_tensor_make(P(0, o.table), VIC_F32, 1, P(1, shape));
    (void)e;
    return (t.data == NULL) == (null == 0) && t.shape[0] == (null == 1 ? 0 : 4) ? VIC_OK : VIC_FAILED;
}

/* ---- vicinal_dev.h ---- */

CALL(vic_attention_reference)
{
    static const int64_t rows[] = { 3 };
    return vic_attention_reference(P(0, o.context), P(1, o.plan), P(2, &o.args), 1, P(3, rows), P(4, o.values),
                                   P(5, o.counts_of), P(6, o.counts), P(7, e));
}

CALL(vic_pattern_dense)
{
    return vic_pattern_dense(P(0, o.pattern), P(1, (uint8_t *)o.ints), P(2, e));
}

CALL(vic_attention_backward_reference)
{
    const vic_reference_gradients g = { .size = sizeof g, .dq = o.values };
    return vic_attention_backward_reference(P(0, o.context), P(1, o.plan), P(2, &o.backward), P(3, &g), P(4, e));
}

CALL(vic_attention_backward_time)
{
    vic_time_options t = { .size = sizeof t, .launches = 1 };
    double seconds[1000];
    return vic_attention_backward_time(P(0, o.context), P(1, o.plan), P(2, &o.backward), P(3, &t), P(4, seconds),
                                       P(5, e));
}

CALL(vic_attention_time)
{
    vic_time_options t = { .size = sizeof t, .launches = 2, .warm_up = 1 };
    double seconds[1000]; /* as many as there are by default */
    return vic_attention_time(P(0, o.context), P(1, o.plan), P(2, &o.args), P(3, &t), P(4, seconds), P(5, e));
}

CALL(vic_pattern_generate)
{
    return vic_pattern_generate(P(0, o.context), P(1, "blocks:1x1:n=1"), P(2, &o.pattern_options),
                                P(3, &made.pattern), P(4, e));
}

CALL(vic_pattern_list_blocks)
{
    return vic_pattern_list_blocks(P(0, o.pattern), P(1, o.ints), P(2, o.ints + N), P(3, o.ints + 2 * N), P(4, e));
}

CALL(vic_kernel_get)
{
    vic_kernel_info info = VIC_INIT(vic_kernel_info);
    return vic_kernel_get(0, P(0, &info), P(1, e));
}

CALL(vic_device_get)
{
    vic_device_info info = VIC_INIT(vic_device_info);
    return vic_device_get(0, P(0, &info), P(1, e));
}

CALL(vic_switch_get)
{
    vic_switch_info info = VIC_INIT(vic_switch_info);
    return vic_switch_get(0, P(0, &info), P(1, e));
}

CALL(vic_switches_check)
{
    return vic_switches_check(P(0, e));
}

/* ---- vicinal_structure.h ---- */

CALL(vic_structure_read)
{
    vic_read_options r = VIC_INIT(vic_read_options);
    return vic_structure_read(P(0, "examples/quartz.xyz"), P(1, &r), P(2, &made.structure), P(3, e));
}

CALL(vic_structure_from_arrays)
{
    static const double cell[9] = { 9, 0, 0, 0, 9, 0, 0, 0, 9 };
    static const bool periodic[3] = { true, true, true };
    static const uint8_t numbers[N] = { 1 };
    return vic_structure_from_arrays(N, P(0, o.numbers), P(1, cell), P(2, null == 1 ? NULL : periodic), P(3, numbers),
                                     P(4, &made.structure), P(5, e));
}

CALL(vic_structure_get)
{
    vic_structure_info info = VIC_INIT(vic_structure_info);
    return vic_structure_get(P(0, o.structure), P(1, &info), P(2, e));
}

CALL(vic_structure_points)
{
    vic_points points = VIC_INIT(vic_points);
    return vic_structure_points(P(0, o.structure), P(1, &points), P(2, e));
}

CALL(vic_structure_write)
{
    return vic_structure_write(P(0, o.structure), P(1, o.written), P(2, "value"), P(3, o.values), P(4, e));
}

CALL(vic_structure_write_to)
{
    return vic_structure_write_to(P(0, o.structure), o.descriptor, P(1, "x.pdb"), P(2, "value"), P(3, o.values),
                                  P(4, e));
}

CALL(vic_structure_free)
{
    vic_structure *s;
    vic_status st = vic_structure_from_arrays(N, o.numbers, NULL, NULL, NULL, &s, e);
    vic_structure_free(P(0, s));
    if (null == 0) vic_structure_free(s);
    return st;
}

/* ---- vicinal_engine.h ---- */

static void ignore(void *user, const vic_answer *answer)
{
    (void)user, (void)answer;
}

CALL(vic_engine_create)
{
    const vic_engine_options c = { .size = sizeof c, .threads = 1 };
    return vic_engine_create(P(0, &c), P(1, &made.engine), P(2, e));
}

CALL(vic_engine_get)
{
    vic_engine_info info = VIC_INIT(vic_engine_info);
    return vic_engine_get(P(0, o.engine), P(1, &info), P(2, e));
}

CALL(vic_engine_drain)
{
    vic_engine *engine = NULL; /* one that serves is of no use any more */
    vic_status st = vic_engine_create(NULL, &engine, e);
    if (st == VIC_OK) st = vic_engine_drain(P(0, engine), 100, P(1, e));
    vic_engine_free(engine);
    return st;
}

CALL(vic_engine_free)
{
    vic_engine *engine;
    vic_status st = vic_engine_create(NULL, &engine, e);
    vic_engine_free(P(0, engine));
    if (null == 0) vic_engine_free(engine);
    return st;
}

CALL(vic_endpoint_create)
{
    return vic_endpoint_create(P(0, o.engine), P(1, o.pattern), P(2, &o.endpoint_options), P(3, &made.endpoint),
                               P(4, e));
}

CALL(vic_endpoint_replace)
{
    uint64_t version;
    return vic_endpoint_replace(P(0, o.endpoint), P(1, o.pattern), P(2, &version), P(3, e));
}

CALL(vic_endpoint_pattern)
{
    return vic_endpoint_pattern(P(0, o.endpoint), P(1, &made.pattern), P(2, e));
}

CALL(vic_endpoint_get)
{
    vic_endpoint_info info = VIC_INIT(vic_endpoint_info);
    return vic_endpoint_get(P(0, o.endpoint), P(1, &info), P(2, e));
}

CALL(vic_endpoint_free)
{
    vic_endpoint *endpoint;
    vic_status st = vic_endpoint_create(o.engine, o.pattern, &o.endpoint_options, &endpoint, e);
    vic_endpoint_free(P(0, endpoint));
    if (null == 0) vic_endpoint_free(endpoint);
    return st;
}

CALL(vic_submit)
{
    vic_engine_info info = VIC_INIT(vic_engine_info);
    vic_query q = { .size = sizeof q, .q = o.in, .k = o.in, .v = o.in, .out = o.out, .done = ignore };
    uint64_t ticket;
    vic_status st = vic_submit(P(0, o.endpoint), P(1, &q), P(2, &ticket), P(3, e));
    do assert_int_equal(vic_engine_get(o.engine, &info, NULL), VIC_OK);
    while (info.waiting + info.running > 0);
    return st;
}

CALL(vic_cancel)
{
    (void)e;
    assert_false(vic_cancel(P(0, o.endpoint), 77));
    return VIC_OK;
}

/* With all that they need these need a GPU: tests/gpu/test_memory_gpu.c. */
CALL(vic_memory_export)
{
    vic_memory_handle handle;
    if (null < 0 || null == 2) return VIC_OK;
    return vic_memory_export((vic_device){ VIC_CUDA, 0 }, P(0, o.values), P(1, &handle), e);
}

CALL(vic_memory_open)
{
    vic_memory_handle handle = { { 0 } };
    if (null < 0 || null == 2) return VIC_OK;
    return vic_memory_open((vic_device){ VIC_CUDA, 0 }, P(0, &handle), 1, P(1, &made.memory), e);
}

CALL(vic_memory_close)
{
    (void)e;
    if (null == 0) vic_memory_close((vic_device){ VIC_CUDA, 0 }, NULL);
    return VIC_OK;
}

/* ---- vicinal_dist.h ---- */

static const vic_dist_options two_domains = { .size = sizeof two_domains, .domains = 2 };

CALL(vic_dist_create)
{
    return vic_dist_create(P(0, o.context), P(1, o.pattern), P(2, &two_domains), P(3, &made.dist), P(4, e));
}

CALL(vic_dist_free)
{
    vic_dist *dist;
    vic_status st = vic_dist_create(o.context, o.pattern, &two_domains, &dist, e);
    vic_dist_free(P(0, dist));
    if (null == 0) vic_dist_free(dist);
    return st;
}

CALL(vic_dist_get)
{
    vic_dist_info info = VIC_INIT(vic_dist_info);
    return vic_dist_get(P(0, o.dist), P(1, &info), P(2, e));
}

CALL(vic_dist_get_rows)
{
    vic_dist_rows rows = VIC_INIT(vic_dist_rows);
    return vic_dist_get_rows(P(0, o.dist), 1, VIC_KEY, P(1, &rows), P(2, e));
}

CALL(vic_dist_make_pattern)
{
    return vic_dist_make_pattern(P(0, o.context), P(1, o.dist), 0, VIC_QUERY, VIC_BOUNDARY, P(2, &made.pattern),
                                 P(3, e));
}

/* ---- the table ---- */

#define OPTIONAL(index) (1u << (index))
/* Name, pointers, and which of them may be NULL. */
#define FUNCTIONS(X)                                                                                                 \
    X(vic_tensor_make, 2, OPTIONAL(0) | OPTIONAL(1))                                                                 \
    X(vic_context_create, 3, OPTIONAL(0) | OPTIONAL(2))                                                              \
    X(vic_context_get, 3, OPTIONAL(0) | OPTIONAL(2))                                                                 \
    X(vic_context_wait, 2, OPTIONAL(0) | OPTIONAL(1))                                                                \
    X(vic_context_free, 1, OPTIONAL(0))                                                                              \
    X(vic_memory_alloc, 2, OPTIONAL(1))                                                                              \
    X(vic_memory_free, 1, OPTIONAL(0))                                                                               \
    X(vic_memory_copy, 3, OPTIONAL(2))                                                                               \
    X(vic_pattern_cutoff, 6, OPTIONAL(0) | OPTIONAL(2) | OPTIONAL(3) | OPTIONAL(5))                                  \
    X(vic_pattern_nearest, 6, OPTIONAL(0) | OPTIONAL(2) | OPTIONAL(3) | OPTIONAL(5))                                 \
    X(vic_pattern_windows, 5, OPTIONAL(0) | OPTIONAL(2) | OPTIONAL(4))                                               \
    X(vic_pattern_blocks, 7, OPTIONAL(0) | OPTIONAL(2) | OPTIONAL(4) | OPTIONAL(6))                                  \
    X(vic_pattern_pairs, 7, OPTIONAL(0) | OPTIONAL(2) | OPTIONAL(4) | OPTIONAL(6))                                   \
    X(vic_pattern_ranges, 7, OPTIONAL(0) | OPTIONAL(2) | OPTIONAL(4) | OPTIONAL(6))                                  \
    X(vic_pattern_pages, 7, OPTIONAL(0) | OPTIONAL(2) | OPTIONAL(4) | OPTIONAL(6))                                   \
    X(vic_pattern_union, 5, OPTIONAL(0) | OPTIONAL(4))                                                               \
    X(vic_pattern_difference, 5, OPTIONAL(0) | OPTIONAL(4))                                                          \
    X(vic_pattern_exclude, 5, OPTIONAL(0) | OPTIONAL(4))                                                             \
    X(vic_pattern_transpose, 4, OPTIONAL(0) | OPTIONAL(3))                                                           \
    X(vic_pattern_update, 5, OPTIONAL(0) | OPTIONAL(3) | OPTIONAL(4))                                                \
    X(vic_pattern_save, 3, OPTIONAL(2))                                                                              \
    X(vic_pattern_save_to, 3, OPTIONAL(2))                                                                           \
    X(vic_pattern_load, 4, OPTIONAL(0) | OPTIONAL(3))                                                                \
    X(vic_pattern_get, 3, OPTIONAL(2))                                                                               \
    X(vic_pattern_order, 3, OPTIONAL(2))                                                                             \
    X(vic_pattern_positions, 3, OPTIONAL(2))                                                                         \
    X(vic_pattern_counts, 3, OPTIONAL(2))                                                                            \
    X(vic_pattern_neighbors, 4, OPTIONAL(0) | OPTIONAL(3))                                                           \
    X(vic_pattern_block_mask, 4, OPTIONAL(0) | OPTIONAL(3))                                                          \
    X(vic_pattern_sort, 6, OPTIONAL(0) | OPTIONAL(4) | OPTIONAL(5))                                                  \
    X(vic_pattern_unsort, 6, OPTIONAL(0) | OPTIONAL(4) | OPTIONAL(5))                                                \
    X(vic_pattern_free, 1, OPTIONAL(0))                                                                              \
    X(vic_plan_create, 5, OPTIONAL(0) | OPTIONAL(4))                                                                 \
    X(vic_plan_get, 3, OPTIONAL(2))                                                                                  \
    X(vic_plan_free, 1, OPTIONAL(0))                                                                                 \
    X(vic_plan_workspace, 4, OPTIONAL(0) | OPTIONAL(3))                                                              \
    X(vic_attention, 4, OPTIONAL(0) | OPTIONAL(3))                                                                   \
    X(vic_attention_backward, 4, OPTIONAL(0) | OPTIONAL(3))                                                          \
    X(vic_combine, 3, OPTIONAL(0) | OPTIONAL(2))                                                                     \
    X(vic_bias_add, 2, OPTIONAL(1))                                                                                  \
    X(vic_attention_reference, 8, OPTIONAL(0) | OPTIONAL(3) | OPTIONAL(5) | OPTIONAL(6) | OPTIONAL(7))               \
    X(vic_pattern_dense, 3, OPTIONAL(2))                                                                             \
    X(vic_attention_time, 6, OPTIONAL(0) | OPTIONAL(3) | OPTIONAL(5))                                                \
    X(vic_attention_backward_reference, 5, OPTIONAL(0) | OPTIONAL(4))                                                \
    X(vic_attention_backward_time, 6, OPTIONAL(0) | OPTIONAL(3) | OPTIONAL(5))                                       \
    X(vic_pattern_generate, 5, OPTIONAL(0) | OPTIONAL(2) | OPTIONAL(4))                                              \
    X(vic_pattern_list_blocks, 5, OPTIONAL(4))                                                                       \
    X(vic_kernel_get, 2, OPTIONAL(1))                                                                                \
    X(vic_device_get, 2, OPTIONAL(1))                                                                                \
    X(vic_switch_get, 2, OPTIONAL(1))                                                                                \
    X(vic_switches_check, 1, OPTIONAL(0))                                                                            \
    X(vic_structure_read, 4, OPTIONAL(1) | OPTIONAL(3))                                                              \
    X(vic_structure_from_arrays, 6, OPTIONAL(1) | OPTIONAL(2) | OPTIONAL(3) | OPTIONAL(5))                           \
    X(vic_structure_get, 3, OPTIONAL(2))                                                                             \
    X(vic_structure_points, 3, OPTIONAL(2))                                                                          \
    X(vic_structure_write, 5, OPTIONAL(2) | OPTIONAL(4))                                                             \
    X(vic_structure_write_to, 5, OPTIONAL(2) | OPTIONAL(4))                                                          \
    X(vic_structure_free, 1, OPTIONAL(0))                                                                            \
    X(vic_engine_create, 3, OPTIONAL(0) | OPTIONAL(2))                                                               \
    X(vic_engine_get, 3, OPTIONAL(2))                                                                                \
    X(vic_engine_drain, 2, OPTIONAL(1))                                                                              \
    X(vic_engine_free, 1, OPTIONAL(0))                                                                               \
    X(vic_endpoint_create, 5, OPTIONAL(4))                                                                           \
    X(vic_endpoint_replace, 4, OPTIONAL(2) | OPTIONAL(3))                                                            \
    X(vic_endpoint_pattern, 3, OPTIONAL(2))                                                                          \
    X(vic_endpoint_get, 3, OPTIONAL(2))                                                                              \
    X(vic_endpoint_free, 1, OPTIONAL(0))                                                                             \
    X(vic_submit, 4, OPTIONAL(2) | OPTIONAL(3))                                                                      \
    X(vic_cancel, 1, OPTIONAL(0))                                                                                    \
    X(vic_memory_export, 3, OPTIONAL(2))                                                                             \
    X(vic_memory_open, 3, OPTIONAL(2))                                                                               \
    X(vic_memory_close, 1, OPTIONAL(0))                                                                              \
    X(vic_dist_create, 5, OPTIONAL(0) | OPTIONAL(4))                                                                 \
    X(vic_dist_free, 1, OPTIONAL(0))                                                                                 \
    X(vic_dist_get, 3, OPTIONAL(2))                                                                                  \
    X(vic_dist_get_rows, 3, OPTIONAL(2))                                                                             \
    X(vic_dist_make_pattern, 4, OPTIONAL(0) | OPTIONAL(3))

static const struct function {
    const char *name;
    vic_status (*call)(int null, vic_error *e);
    int pointers;
    unsigned optional;
} functions[] = {
#define ROW(name, pointers, optional) { #name, call_##name, pointers, optional },
    FUNCTIONS(ROW)
};

static void free_what_was_made(const struct function *f, int null, vic_status st)
{
    if (st != VIC_OK)
        CHECK(!made.context && !made.structure && !made.pattern && !made.plan && !made.memory && !made.engine &&
                  !made.endpoint && !made.dist,
              "%s with argument %d NULL failed and handed something out", f->name, null);
    vic_context_free(made.context);
    vic_structure_free(made.structure);
    vic_pattern_free(made.pattern);
    vic_plan_free(made.plan);
    vic_endpoint_free(made.endpoint);
    vic_dist_free(made.dist);
    vic_engine_free(made.engine);
    free(made.memory);
    memset(&made, 0, sizeof made);
}

static void check_call(const struct function *f, int null)
{
    bool fine = null < 0 || (f->optional >> null & 1);
    vic_error err = { VIC_OK, "" };
    vic_status st = f->call(null, &err);
    if (fine)
        CHECK(st == VIC_OK, "%s with argument %d NULL: %s: %s", f->name, null, vic_status_name(st), err.text);
    else {
        CHECK(st == VIC_BAD_ARGUMENT, "%s with argument %d NULL: expected BAD_ARGUMENT, got %s", f->name, null,
              vic_status_name(st));
        CHECK(err.status == st && strstr(err.text, "NULL"), "%s with argument %d NULL says \"%s\"", f->name, null,
              err.text);
    }
    free_what_was_made(f, null, st);
}

static void each_pointer_in_turn(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        for (int null = -1; null < functions[i].pointers; null++) check_call(&functions[i], null);
}

/* Without an error to fill, each still says that it failed. */
static void all_pointers_at_once(void **state)
{
    vic_status st[8];
    (void)state;
    st[0] = vic_pattern_cutoff(NULL, NULL, NULL, 2.0, NULL, NULL, NULL);
    st[1] = vic_pattern_get(NULL, NULL, NULL);
    st[2] = vic_plan_create(NULL, NULL, NULL, NULL, NULL);
    st[3] = vic_attention(NULL, NULL, NULL, NULL);
    st[4] = vic_structure_read(NULL, NULL, NULL, NULL);
    st[5] = vic_pattern_load(NULL, NULL, NULL, NULL);
    st[6] = vic_attention_reference(NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL);
    st[7] = vic_combine(NULL, NULL, NULL);
    for (int i = 0; i < 8; i++) CHECK(st[i] == VIC_BAD_ARGUMENT, "call %d: %s", i, vic_status_name(st[i]));
}

static int set_up(void **state)
{
    const int64_t shape[] = { N, 1, DIM };
    vic_error err;
    (void)state;
    for (int i = 0; i < 3 * N; i++) o.numbers[i] = i * i % 13 * 0.4;
    o.context = context_of(1);
    o.points = points_at(N, o.numbers, NULL);
    o.nowhere = points_of(N);
    o.pattern = cutoff_pattern(&o.points, 2.0);
    o.other = cutoff_pattern(&o.points, 1.0);
    o.pattern_options = (vic_pattern_options)VIC_INIT(vic_pattern_options);
    o.plan_options =
        (vic_plan_options){ .size = sizeof o.plan_options, .dtype = VIC_F32, .head_dim = DIM, .backward = true };
    o.in = vic_tensor_make(o.features, VIC_F32, 3, shape);
    o.out = vic_tensor_make(o.results, VIC_F32, 3, shape);
    o.part_lse = vic_tensor_make(o.lse, VIC_F32, 2, shape);
    o.args = (vic_attention_args){ .size = sizeof o.args, .q = o.in, .k = o.in, .v = o.in, .out = o.out };
    o.backward = (vic_attention_backward_args){ .size = sizeof o.backward,
                                                .q = o.in,
                                                .k = o.in,
                                                .v = o.in,
                                                .out = o.in,
                                                .lse = o.part_lse,
                                                .dout = o.in,
                                                .dq = o.out };
    o.pairs = (vic_pair_list){ .size = sizeof o.pairs,
                               .query = vic_tensor_make(o.first, VIC_I32, 1, (const int64_t[]){ 1 }),
                               .key = vic_tensor_make(o.first, VIC_I32, 1, (const int64_t[]){ 1 }) };
    if (vic_plan_create(NULL, o.pattern, &o.plan_options, &o.plan, &err) != VIC_OK) return -1;
    o.endpoint_options = (vic_endpoint_options){ .size = sizeof o.endpoint_options, .plan = &o.plan_options };
    if (vic_engine_create(NULL, &o.engine, &err) != VIC_OK) return -1;
    if (vic_endpoint_create(o.engine, o.pattern, &o.endpoint_options, &o.endpoint, &err) != VIC_OK) return -1;
    if (vic_dist_create(NULL, o.pattern, &two_domains, &o.dist, &err) != VIC_OK) return -1;
    if (vic_structure_from_arrays(N, o.numbers, NULL, NULL, NULL, &o.structure, &err) != VIC_OK) return -1;
    snprintf(o.folder, sizeof o.folder, "/tmp/vicinal-null-XXXXXX");
    if (!mkdtemp(o.folder)) return -1;
    snprintf(o.saved, sizeof o.saved, "%s/saved.vnp", o.folder);
    snprintf(o.written, sizeof o.written, "%s/written.pdb", o.folder);
    o.descriptor = open("/dev/null", O_WRONLY);
    return vic_pattern_save(o.pattern, o.saved, &err) == VIC_OK && o.descriptor >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    close(o.descriptor);
    vic_dist_free(o.dist);
    vic_endpoint_free(o.endpoint);
    vic_engine_free(o.engine);
    vic_plan_free(o.plan);
    vic_pattern_free(o.pattern);
    vic_pattern_free(o.other);
    vic_structure_free(o.structure);
    vic_context_free(o.context);
    return unlink(o.saved) + unlink(o.written) + rmdir(o.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_pointer_in_turn),
                                        cmocka_unit_test(all_pointers_at_once) };
    return cmocka_run_group_tests_name("api_null", tests, set_up, tear_down);
}
