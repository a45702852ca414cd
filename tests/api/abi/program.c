/* SPDX-License-Identifier: Apache-2.0 */
/* A program that uses all of the library, compiled three times: against the headers as they are, as an older version
 * might have had them (ABI_OLD) and as a newer one might (ABI_NEW); each runs with the library as it is.  Everything is
 * computed once more here.  other_headers.py makes the headers. */
#include "vicinal.h"
#include "vicinal_dev.h"
#include "vicinal_dist.h"
#include "vicinal_engine.h"
#include "vicinal_structure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 60, DIM = 8, CANARY = 0xa5, BEHIND = 64 };

static vic_error err;

static void fail(int line, const char *what)
{
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, what, err.text);
    exit(1);
}

#define NEED(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))
#define OK(call)        NEED((call) == VIC_OK)

/* A struct that the library fills, with bytes behind it that it must not touch. */
#define FILLED(type, name)                                                                                           \
    struct {                                                                                                         \
        type s;                                                                                                      \
        unsigned char behind[BEHIND];                                                                                \
    } name;                                                                                                          \
    memset(&name, CANARY, sizeof name);                                                                              \
    name.s.size = sizeof name.s
#ifdef ABI_NEW
#define CHECK_FILLED(name)                                                                                           \
    check_behind(name.behind);                                                                                       \
    NEED(name.s.size == sizeof name.s && name.s.added_number == 0 && name.s.added_pointer == NULL)
#else
#define CHECK_FILLED(name)                                                                                           \
    check_behind(name.behind);                                                                                       \
    NEED(name.s.size == sizeof name.s)
#endif

static void check_behind(const unsigned char *bytes)
{
    for (int i = 0; i < BEHIND; i++) NEED(bytes[i] == CANARY);
}

/* What a newer program asks for is not passed over. */
#ifdef ABI_NEW
#define REFUSED(given, type, call)                                                                                   \
    do {                                                                                                             \
        given.added_number = 0.5;                                                                                    \
        err.text[0] = '\0';                                                                                          \
        NEED((call) == VIC_BAD_ARGUMENT && strstr(err.text, #type " has"));                                          \
        given.added_number = 0;                                                                                      \
        given.added_pointer = &err;                                                                                  \
        NEED((call) == VIC_BAD_ARGUMENT && strstr(err.text, #type " has"));                                          \
        given.added_pointer = NULL;                                                                                  \
    } while (0)
#else
#define REFUSED(given, type, call) ((void)0)
#endif

/* ---- what is computed once more ---- */

static double at[3 * N];
static float q[N * DIM], out[N * DIM], lse[N];

static double distance(int i, int j)
{
    double sum = 0;
    for (int c = 0; c < 3; c++) sum += (at[3 * j + c] - at[3 * i + c]) * (at[3 * j + c] - at[3 * i + c]);
    return sqrt(sum);
}

static int64_t pairs_within(double cutoff)
{
    int64_t pairs = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) pairs += distance(i, j) < cutoff;
    return pairs;
}

static void check_attention(double cutoff, double scale)
{
    for (int i = 0; i < N; i++) {
        double weight = 0, sum[DIM] = { 0 };
        for (int j = 0; j < N; j++) {
            double score = 0;
            if (!(distance(i, j) < cutoff)) continue;
            for (int c = 0; c < DIM; c++) score += (double)q[i * DIM + c] * (double)q[j * DIM + c];
            weight += exp(score * scale);
            for (int c = 0; c < DIM; c++) sum[c] += exp(score * scale) * (double)q[j * DIM + c];
        }
        NEED(fabs((double)lse[i] - log(weight)) < 1e-5);
        for (int c = 0; c < DIM; c++) NEED(fabs((double)out[i * DIM + c] - sum[c] / weight) < 1e-5);
    }
}

/* dv where dout is 1 everywhere: the weights of a row add up to 1. */
static void check_sums(const float *dv)
{
    for (int c = 0; c < DIM; c++) {
        double sum = 0;
        for (int j = 0; j < N; j++) sum += (double)dv[j * DIM + c];
        NEED(fabs(sum - N) < 1e-4);
    }
}

/* ---- each part of the library ---- */

static vic_context *contexts(void)
{
    vic_context_options o = VIC_INIT(vic_context_options);
    FILLED(vic_context_info, info);
    vic_context *c;
    o.threads = 2;
    OK(vic_context_create(&o, &c, &err));
    OK(vic_context_get(c, &info.s, &err));
    CHECK_FILLED(info);
    NEED(info.s.threads == 2 && info.s.device.type == VIC_CPU);
    vic_context *none;
    (void)none;
    REFUSED(o, vic_context_options, vic_context_create(&o, &none, &err));
    return c;
}

static vic_structure *structures(vic_points *points)
{
    vic_read_options o = VIC_INIT(vic_read_options);
    FILLED(vic_structure_info, info);
    vic_structure *crystal, *s;
    o.supercell[1] = 2;
    OK(vic_structure_read("examples/quartz.xyz", &o, &crystal, &err));
    OK(vic_structure_get(crystal, &info.s, &err));
    CHECK_FILLED(info);
    NEED(info.s.atoms == 18 && info.s.has_cell && strcmp(info.s.format, "extxyz") == 0);
    REFUSED(o, vic_read_options, vic_structure_read("examples/quartz.xyz", &o, &s, &err));
    vic_structure_free(crystal);
    OK(vic_structure_from_arrays(N, at, NULL, NULL, NULL, &s, &err));
    OK(vic_structure_points(s, points, &err));
    NEED(points->size == sizeof *points && points->n == N && points->cell == NULL);
    return s;
}

static vic_pattern *patterns(vic_context *c, vic_points *points, double cutoff)
{
    struct {
        vic_pattern_estimate s;
        unsigned char behind[BEHIND];
    } e;
    vic_pattern_options o = VIC_INIT(vic_pattern_options);
    FILLED(vic_pattern_info, info);
    vic_pattern *p, *other;
    memset(&e, CANARY, sizeof e);
    e.s.size = sizeof e.s;
    o.max_bytes = (size_t)1 << 32;
    o.estimate = &e.s;
    OK(vic_pattern_cutoff(c, points, NULL, cutoff, &o, &p, &err));
    CHECK_FILLED(e);
    OK(vic_pattern_get(p, &info.s, &err));
    CHECK_FILLED(info);
    NEED(info.s.pairs == pairs_within(cutoff) && info.s.n_q == N && info.s.cutoff == cutoff && info.s.one_set);
    REFUSED(o, vic_pattern_options, vic_pattern_cutoff(c, points, NULL, cutoff, &o, &other, &err));
    REFUSED((*points), vic_points, vic_pattern_cutoff(c, points, NULL, cutoff, NULL, &other, &err));
    (void)other;
    return p;
}

static void lists(vic_context *c, vic_points *points)
{
    static int32_t query[] = { 0, 1, 2 }, key[] = { 5, 6, 7 };
    static const int64_t three = 3, rows[] = { 0, 0, 0, 0, 0 }, queries[] = { 0, N }, one[] = { 0, 1 };
    static const int32_t range[] = { 0, N };
    vic_pair_list pairs = VIC_INIT(vic_pair_list);
    vic_block_list blocks = VIC_INIT(vic_block_list); /* of none, as an older one has no columns */
    vic_range_list ranges = VIC_INIT(vic_range_list);
    vic_page_list pages = VIC_INIT(vic_page_list);
    const int64_t length = 16;
    vic_points nowhere = VIC_INIT(vic_points);
    vic_pattern *p, *other;
    (void)other;
    nowhere.n = N;
    pairs.query = vic_tensor_make(query, VIC_I32, 1, &three);
    pairs.key = vic_tensor_make(key, VIC_I32, 1, &three);
    OK(vic_pattern_pairs(c, points, NULL, &pairs, NULL, &p, &err));
    REFUSED(pairs, vic_pair_list, vic_pattern_pairs(c, points, NULL, &pairs, NULL, &other, &err));
    vic_pattern_free(p);
    blocks.block = 16;
    blocks.row_ptr = rows;
    OK(vic_pattern_blocks(c, &nowhere, NULL, &blocks, NULL, &p, &err));
    REFUSED(blocks, vic_block_list, vic_pattern_blocks(c, &nowhere, NULL, &blocks, NULL, &other, &err));
    vic_pattern_free(p);
    ranges.groups = 1;
    ranges.query_offsets = queries;
    ranges.range_offsets = one;
    ranges.ranges = range;
    ranges.causal = true;
    OK(vic_pattern_ranges(c, &nowhere, NULL, &ranges, NULL, &p, &err));
    REFUSED(ranges, vic_range_list, vic_pattern_ranges(c, &nowhere, NULL, &ranges, NULL, &other, &err));
    vic_pattern_free(p);
    pages.groups = 1;
    pages.page = 16;
    pages.query_offsets = queries;
    pages.lengths = &length;
    pages.table = range;
    pages.table_stride = 1;
    OK(vic_pattern_pages(c, &nowhere, NULL, &pages, NULL, &p, &err));
    REFUSED(pages, vic_page_list, vic_pattern_pages(c, &nowhere, NULL, &pages, NULL, &other, &err));
    vic_pattern_free(p);
}

static void expansions(vic_context *c, const vic_pattern *p, double cutoff)
{
    int32_t *i = malloc(N * N * sizeof *i), *j = malloc(N * N * sizeof *j);
    double *d = malloc(N * N * sizeof *d);
    FILLED(vic_neighbors, list);
    FILLED(vic_block_mask, mask);
    NEED(i && j && d);
    memset(&list.s, 0, sizeof list.s);
    memset(&mask.s, 0, sizeof mask.s);
    list.s.size = sizeof list.s;
    list.s.pairs = N * N;
    list.s.i = i;
    list.s.j = j;
    list.s.d = d;
    OK(vic_pattern_neighbors(c, p, &list.s, &err));
    CHECK_FILLED(list);
    NEED(list.s.pairs == pairs_within(cutoff));
    for (int64_t k = 0; k < list.s.pairs; k++) NEED(fabs(d[k] - distance(i[k], j[k])) < 1e-12);
    REFUSED(list.s, vic_neighbors, vic_pattern_neighbors(c, p, &list.s, &err));
    mask.s.size = sizeof mask.s;
    mask.s.query_block = mask.s.key_block = 64;
    OK(vic_pattern_block_mask(c, p, &mask.s, &err));
    CHECK_FILLED(mask);
    NEED(mask.s.rows == 1 && mask.s.columns == 1 && mask.s.partial + mask.s.full == 1);
    REFUSED(mask.s, vic_block_mask, vic_pattern_block_mask(c, p, &mask.s, &err));
    free(i);
    free(j);
    free(d);
}

static vic_plan *plans(vic_context *c, const vic_pattern *p)
{
    vic_plan_options o = VIC_INIT(vic_plan_options);
    FILLED(vic_plan_info, info);
    vic_plan *plan, *other;
    (void)other;
    o.dtype = VIC_F32;
    o.head_dim = DIM;
    o.backward = true;
    OK(vic_plan_create(c, p, &o, &plan, &err));
    OK(vic_plan_get(plan, &info.s, &err));
    CHECK_FILLED(info);
    NEED(strncmp(info.s.kernel, "attn_fwd_", 9) == 0 && info.s.computed_pairs >= pairs_within(3.0));
    REFUSED(o, vic_plan_options, vic_plan_create(c, p, &o, &other, &err));
    return plan;
}

static void attention(vic_context *c, const vic_plan *plan)
{
    static const int64_t shape[] = { N, 1, DIM };
    vic_attention_args a = VIC_INIT(vic_attention_args);
    vic_attention_backward_args backward = VIC_INIT(vic_attention_backward_args);
    vic_time_options t = VIC_INIT(vic_time_options);
    vic_combine_args combine = VIC_INIT(vic_combine_args);
    vic_reference_gradients gradients = VIC_INIT(vic_reference_gradients);
    static float copy[N * DIM], ones[N * DIM];
    static double dv[N * DIM];
    double row[DIM], seconds[3];
    const int64_t first = 0;
    a.q = a.k = a.v = vic_tensor_make(q, VIC_F32, 3, shape);
    a.out = vic_tensor_make(out, VIC_F32, 3, shape);
    a.lse = vic_tensor_make(lse, VIC_F32, 2, shape);
    a.scale = 0.5;
    OK(vic_attention(c, plan, &a, &err));
    check_attention(3.0, 0.5);
    OK(vic_attention_reference(c, plan, &a, 1, &first, row, NULL, NULL, &err));
    for (int i = 0; i < DIM; i++) NEED(fabs(row[i] - (double)out[i]) < 1e-5);
    REFUSED(a, vic_attention_args, vic_attention(c, plan, &a, &err));
    t.launches = 3;
    t.warm_up = 1;
    OK(vic_attention_time(c, plan, &a, &t, seconds, &err));
    REFUSED(t, vic_time_options, vic_attention_time(c, plan, &a, &t, seconds, &err));
    combine.parts = 1;
    combine.part_out = &a.out;
    combine.part_lse = &a.lse;
    combine.out = vic_tensor_make(copy, VIC_F32, 3, shape);
    OK(vic_combine(c, &combine, &err));
    NEED(memcmp(copy, out, sizeof out) == 0);
    REFUSED(combine, vic_combine_args, vic_combine(c, &combine, &err));
    backward.q = backward.k = backward.v = a.q;
    backward.out = a.out;
    backward.lse = a.lse;
    backward.scale = a.scale;
    for (int i = 0; i < N * DIM; i++) ones[i] = 1.0f;
    backward.dout = vic_tensor_make(ones, VIC_F32, 3, shape);
    backward.dv = vic_tensor_make(copy, VIC_F32, 3, shape);
    OK(vic_attention_backward(c, plan, &backward, &err));
    check_sums(copy);
    REFUSED(backward, vic_attention_backward_args, vic_attention_backward(c, plan, &backward, &err));
    gradients.dv = dv;
    OK(vic_attention_backward_reference(c, plan, &backward, &gradients, &err));
    for (int i = 0; i < N * DIM; i++) NEED(fabs(dv[i] - (double)copy[i]) < 1e-5);
    REFUSED(gradients, vic_reference_gradients,
            vic_attention_backward_reference(c, plan, &backward, &gradients, &err));
    OK(vic_attention_backward_time(c, plan, &backward, &t, seconds, &err));
}

static void environment(void)
{
    FILLED(vic_kernel_info, kernel);
    FILLED(vic_device_info, device);
    FILLED(vic_switch_info, environment_switch);
    OK(vic_kernel_get(0, &kernel.s, &err));
    CHECK_FILLED(kernel);
    NEED(*kernel.s.name && *kernel.s.device);
    OK(vic_device_get(0, &device.s, &err));
    CHECK_FILLED(device);
    NEED(device.s.device.type == VIC_CPU && *device.s.name);
    OK(vic_switch_get(0, &environment_switch.s, &err));
    CHECK_FILLED(environment_switch);
    NEED(strncmp(environment_switch.s.name, "VIC_", 4) == 0);
}

static vic_answer answer;

static void done(void *user, const vic_answer *given)
{
    (void)user;
    NEED(given->size >= sizeof answer - 2 * sizeof(void *)); /* the library's, which may be another one */
    memcpy(&answer, given, given->size < sizeof answer ? given->size : sizeof answer);
}

static void engines(const vic_pattern *p, double cutoff)
{
    const int64_t shape[] = { N, 1, DIM };
    vic_engine_options eo = VIC_INIT(vic_engine_options);
    vic_endpoint_options o = VIC_INIT(vic_endpoint_options);
    vic_plan_options po = VIC_INIT(vic_plan_options);
    vic_query query = VIC_INIT(vic_query);
    FILLED(vic_engine_info, engine_info);
    FILLED(vic_endpoint_info, info);
    vic_engine *engine, *no_engine;
    vic_endpoint *e, *no_endpoint;
    (void)no_engine;
    (void)no_endpoint;
    eo.threads = 2;
    po.dtype = VIC_F32;
    po.head_dim = DIM;
    o.plan = &po;
    o.max_batch = 3;
    OK(vic_engine_create(&eo, &engine, &err));
    REFUSED(eo, vic_engine_options, vic_engine_create(&eo, &no_engine, &err));
    OK(vic_endpoint_create(engine, p, &o, &e, &err));
    REFUSED(o, vic_endpoint_options, vic_endpoint_create(engine, p, &o, &no_endpoint, &err));
    query.q = query.k = query.v = vic_tensor_make(q, VIC_F32, 3, shape);
    query.out = vic_tensor_make(out, VIC_F32, 3, shape);
    query.lse = vic_tensor_make(lse, VIC_F32, 2, shape);
    query.done = done;
    REFUSED(query, vic_query, vic_submit(e, &query, NULL, &err));
    memset(out, 0, sizeof out);
    OK(vic_submit(e, &query, NULL, &err));
    OK(vic_engine_drain(engine, 100, &err));
    NEED(answer.status == VIC_OK && answer.batch == 1 && answer.version == 1);
    check_attention(cutoff, 1 / sqrt(DIM));
    OK(vic_engine_get(engine, &engine_info.s, &err));
    CHECK_FILLED(engine_info);
    NEED(engine_info.s.threads == 2 && engine_info.s.draining);
    OK(vic_endpoint_get(e, &info.s, &err));
    CHECK_FILLED(info);
    NEED(info.s.version == 1 && info.s.answered == 1 && info.s.n_q == N);
    vic_endpoint_free(e);
    vic_engine_free(engine);
}

static void domains(vic_context *c, const vic_pattern *p)
{
    vic_dist_options o = VIC_INIT(vic_dist_options);
    FILLED(vic_dist_info, info);
    FILLED(vic_dist_rows, rows);
    vic_dist *d, *none;
    vic_pattern *part;
    (void)none;
    o.domains = 2;
    OK(vic_dist_create(c, p, &o, &d, &err));
    REFUSED(o, vic_dist_options, vic_dist_create(c, p, &o, &none, &err));
    OK(vic_dist_get(d, &info.s, &err));
    CHECK_FILLED(info);
    NEED(info.s.domains == 2 && info.s.one_set);
    int64_t own = 0;
    for (int i = 0; i < 2; i++) { /* one strip, which one of the two has */
        OK(vic_dist_get_rows(d, i, VIC_KEY, &rows.s, &err));
        CHECK_FILLED(rows);
        NEED(rows.s.own == rows.s.interior && rows.s.halo == 0);
        own += rows.s.own;
    }
    NEED(own == N);
    OK(vic_dist_make_pattern(c, d, 0, VIC_QUERY, VIC_INTERIOR, &part, &err));
    vic_pattern_free(part);
    vic_dist_free(d);
}

int main(void)
{
    vic_points points = VIC_INIT(vic_points);
    for (int i = 0; i < 3 * N; i++) at[i] = (double)(i * 37 % 101) / 16.0;
    for (int i = 0; i < N * DIM; i++) q[i] = (float)(i * 53 % 97) / 48.0f - 1.0f;
    vic_context *c = contexts();
    vic_structure *s = structures(&points);
    vic_pattern *p = patterns(c, &points, 3.0);
    lists(c, &points);
    expansions(c, p, 3.0);
    vic_plan *plan = plans(c, p);
    attention(c, plan);
    domains(c, p);
    engines(p, 3.0);
    environment();
    vic_plan_free(plan);
    vic_pattern_free(p);
    vic_structure_free(s);
    vic_context_free(c);
    return 0;
}
