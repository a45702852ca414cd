/* SPDX-License-Identifier: Apache-2.0 */
/* What a step of a server of language models costs before attention: a pattern from pages, and its plan.
 *
 *     bench_pages SEQUENCES LENGTH QUERIES SLOTS [SHARE [REPEATS]]
 *
 * So many sequences of LENGTH keys, each with QUERIES queries at its end (SHARE of which stand at one place), in pages
 * of 16 that lie at random among SLOTS keys; causal; on the CPU, one thread; also attention itself, float32, 8 heads
 * over 2 (8 / SHARE over 2 where heads are packed as queries) of 64.  One line of JSON: the least and the median of
 * REPEATS. */
#define _POSIX_C_SOURCE 200809L
#include "vicinal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PAGE = 16, HEADS = 8, KV_HEADS = 2, DIM = 64, MOST = 1000 };

static vic_error err;

static void check(vic_status st)
{
    if (st == VIC_OK) return;
    fprintf(stderr, "bench_pages: %s\n", err.text);
    exit(1);
}

static void *need(int64_t n, size_t size)
{
    void *memory = calloc((size_t)n + 1, size);
    if (!memory) exit(1);
    return memory;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void shuffle(int32_t *x, int64_t n)
{
    uint64_t state = 88172645463325252u;
    for (int64_t i = 0; i < n; i++) x[i] = (int32_t)i;
    for (int64_t i = n - 1; i > 0; i--) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        int64_t j = (int64_t)(state % (uint64_t)(i + 1));
        int32_t swap = x[i];
        x[i] = x[j];
        x[j] = swap;
    }
}

static vic_tensor zeros(int64_t n, int64_t heads)
{
    const int64_t shape[] = { n, heads, DIM };
    return vic_tensor_make(need(n * heads * DIM, sizeof(float)), VIC_F32, 3, shape);
}

int main(int argc, char **argv)
{
    static double pattern_s[MOST], plan_s[MOST], run_s[MOST];
    if (argc < 5) {
        fprintf(stderr, "usage: bench_pages SEQUENCES LENGTH QUERIES SLOTS [SHARE [REPEATS]]\n");
        return 2;
    }
    int64_t n = atoll(argv[1]), length = atoll(argv[2]), queries = atoll(argv[3]), slots = atoll(argv[4]);
    int64_t share = argc > 5 ? atoll(argv[5]) : 1, pages = (length + PAGE - 1) / PAGE;
    int repeats = argc > 6 ? atoi(argv[6]) : 50;
    if (n < 1 || length < 1 || queries < 1 || share < 1 || HEADS % share != 0 || n * pages > slots / PAGE ||
        repeats < 1 || repeats > MOST) {
        fprintf(stderr, "bench_pages: expected numbers that go together\n");
        return 2;
    }
    int64_t *first = need(n + 1, sizeof *first), *lengths = need(n, sizeof *lengths);
    int32_t *table = need(slots / PAGE, sizeof *table);
    shuffle(table, slots / PAGE);
    for (int64_t g = 0; g < n; g++) {
        lengths[g] = length;
        first[g + 1] = first[g] + queries * share;
    }
    const vic_context_options co = { .size = sizeof co, .threads = 1 };
    const vic_page_list list = { .size = sizeof list,
                                 .groups = n,
                                 .page = PAGE,
                                 .query_offsets = first,
                                 .lengths = lengths,
                                 .table = table,
                                 .table_stride = pages,
                                 .queries_per_place = share,
                                 .causal = true };
    const vic_plan_options po = { .size = sizeof po,
                                  .dtype = VIC_F32,
                                  .heads = (int32_t)(HEADS / share),
                                  .kv_heads = KV_HEADS,
                                  .head_dim = DIM,
                                  .pattern_order = true };
    const vic_points q = { .size = sizeof q, .n = first[n] }, k = { .size = sizeof k, .n = slots };
    vic_attention_args args = { .size = sizeof args,
                                .q = zeros(q.n, HEADS / share),
                                .k = zeros(slots, KV_HEADS),
                                .v = zeros(slots, KV_HEADS),
                                .out = zeros(q.n, HEADS / share) };
    vic_context *c;
    vic_pattern_info info = VIC_INIT(vic_pattern_info);
    vic_plan_info plan_info = VIC_INIT(vic_plan_info);
    check(vic_context_create(&co, &c, &err));
    for (int i = 0; i < repeats; i++) {
        vic_pattern *p;
        vic_plan *plan;
        double start = now(), made, planned;
        check(vic_pattern_pages(c, &q, &k, &list, NULL, &p, &err));
        made = now();
        check(vic_plan_create(c, p, &po, &plan, &err));
        planned = now();
        check(vic_attention(c, plan, &args, &err));
        run_s[i] = now() - planned;
        pattern_s[i] = made - start;
        plan_s[i] = planned - made;
        check(vic_pattern_get(p, &info, &err));
        check(vic_plan_get(plan, &plan_info, &err));
        vic_plan_free(plan);
        vic_pattern_free(p);
    }
    qsort(pattern_s, (size_t)repeats, sizeof *pattern_s, by_value);
    qsort(plan_s, (size_t)repeats, sizeof *plan_s, by_value);
    qsort(run_s, (size_t)repeats, sizeof *run_s, by_value);
    printf("{\"sequences\": %lld, \"length\": %lld, \"queries\": %lld, \"slots\": %lld, \"share\": %lld, "
           "\"pairs\": %lld, \"blocks\": %lld, \"computed_pairs\": %lld, \"pattern_us\": [%.1f, %.1f], "
           "\"plan_us\": [%.1f, %.1f], \"attention_us\": [%.1f, %.1f], \"repeats\": %d}\n",
           (long long)n, (long long)length, (long long)queries, (long long)slots, (long long)share,
           (long long)info.pairs, (long long)info.blocks, (long long)plan_info.computed_pairs, 1e6 * pattern_s[0],
           1e6 * pattern_s[repeats / 2], 1e6 * plan_s[0], 1e6 * plan_s[repeats / 2], 1e6 * run_s[0],
           1e6 * run_s[repeats / 2], repeats);
    vic_context_free(c);
    free(first);
    free(lengths);
    free(table);
    free(args.q.data);
    free(args.k.data);
    free(args.v.data);
    free(args.out.data);
    return 0;
}
