/* SPDX-License-Identifier: Apache-2.0 */
/* Many small molecules at once: one pattern of all against a pattern each, and attention over either, through the
 * same calls.  Prints one JSON object; exit code 1 when the rows differ.
 *
 *     bench_structures [MOLECULES [CUTOFF [HEADS [HEAD_DIM [REPEATS]]]]] */
#include "base/clock.h"
#include "vicinal_dev.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SMALLEST = 20, LARGEST = 100 };

static vic_error err;

static void must(vic_status st)
{
    if (st == VIC_OK) return;
    fprintf(stderr, "bench_structures: %s\n", err.text);
    exit(1);
}

static void *must_have(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory) {
        fprintf(stderr, "bench_structures: out of memory\n");
        exit(1);
    }
    return memory;
}

static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53;
}

struct bench {
    int64_t molecules, atoms, *offsets;
    double cutoff, *positions;
    int heads, dim;
    float *q, *k, *v, *together, *alone;
    vic_context *context;
};

/* Atoms at the density of organic molecules, about 0.1 per cubic angstrom in a ball. */
static void make_molecules(struct bench *b)
{
    uint64_t seed = 1;
    b->offsets = must_have((size_t)b->molecules + 1, sizeof *b->offsets);
    for (int64_t m = 0; m < b->molecules; m++)
        b->offsets[m + 1] = b->offsets[m] + SMALLEST + (int64_t)(uniform(&seed) * (LARGEST - SMALLEST + 1));
    b->atoms = b->offsets[b->molecules];
    b->positions = must_have((size_t)b->atoms, 3 * sizeof *b->positions);
    for (int64_t m = 0; m < b->molecules; m++) {
        double radius = cbrt((double)(b->offsets[m + 1] - b->offsets[m]) / 0.1 * 3.0 / (4.0 * 3.14159265358979));
        for (int64_t i = b->offsets[m]; i < b->offsets[m + 1]; i++) {
            double *r = b->positions + 3 * i;
            do {
                for (int x = 0; x < 3; x++) r[x] = (2.0 * uniform(&seed) - 1.0) * radius;
            } while (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] > radius * radius);
        }
    }
    size_t n = (size_t)(b->atoms * b->heads * b->dim);
    float **tensors[] = { &b->q, &b->k, &b->v, &b->together, &b->alone };
    for (int t = 0; t < 5; t++) {
        *tensors[t] = must_have(n, sizeof(float));
        for (size_t i = 0; i < n && t < 3; i++) (*tensors[t])[i] = (float)(2.0 * uniform(&seed) - 1.0);
    }
}

/* Of molecule m, or of all where it is negative. */
static vic_pattern *pattern_of(const struct bench *b, int64_t m)
{
    const int64_t first = m < 0 ? 0 : b->offsets[m], n = m < 0 ? b->atoms : b->offsets[m + 1] - first;
    vic_points points = VIC_INIT(vic_points);
    vic_pattern *p;
    points.positions = vic_tensor_make(b->positions + 3 * first, VIC_F64, 2, (const int64_t[]){ n, 3 });
    if (m < 0) {
        points.groups = b->molecules;
        points.group_offsets = b->offsets;
    }
    must(vic_pattern_cutoff(b->context, &points, NULL, b->cutoff, NULL, &p, &err));
    return p;
}

static vic_plan *plan_of(const struct bench *b, const vic_pattern *p)
{
    const vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .heads = b->heads, .head_dim = b->dim };
    vic_plan *plan;
    must(vic_plan_create(b->context, p, &o, &plan, &err));
    return plan;
}

static int64_t computed_pairs(const vic_plan *plan)
{
    vic_plan_info info = VIC_INIT(vic_plan_info);
    must(vic_plan_get(plan, &info, &err));
    return info.computed_pairs;
}

static void attend(const struct bench *b, const vic_plan *plan, int64_t first, int64_t n, float *out)
{
    const int64_t shape[] = { n, b->heads, b->dim }, at = first * b->heads * b->dim;
    vic_attention_args a = VIC_INIT(vic_attention_args);
    a.q = vic_tensor_make(b->q + at, VIC_F32, 3, shape);
    a.k = vic_tensor_make(b->k + at, VIC_F32, 3, shape);
    a.v = vic_tensor_make(b->v + at, VIC_F32, 3, shape);
    a.out = vic_tensor_make(out + at, VIC_F32, 3, shape);
    must(vic_attention(b->context, plan, &a, &err));
}

struct times {
    double pattern, plan, attention;
    double processor; /* time of all threads in attention: that of other programs does not count */
    int64_t computed; /* pairs that the kernel computes */
};

static struct times run_together(const struct bench *b)
{
    double t0 = clock_seconds(), t1, t2, t3;
    vic_pattern *p = pattern_of(b, -1);
    t1 = clock_seconds();
    vic_plan *plan = plan_of(b, p);
    t2 = clock_seconds();
    clock_t ticks = clock();
    attend(b, plan, 0, b->atoms, b->together);
    ticks = clock() - ticks;
    t3 = clock_seconds();
    int64_t computed = computed_pairs(plan);
    vic_plan_free(plan);
    vic_pattern_free(p);
    return (struct times){ t1 - t0, t2 - t1, t3 - t2, (double)ticks / CLOCKS_PER_SEC, computed };
}

static struct times run_alone(const struct bench *b, vic_pattern **patterns, vic_plan **plans)
{
    double t0 = clock_seconds(), t1, t2, t3;
    for (int64_t m = 0; m < b->molecules; m++) patterns[m] = pattern_of(b, m);
    t1 = clock_seconds();
    for (int64_t m = 0; m < b->molecules; m++) plans[m] = plan_of(b, patterns[m]);
    t2 = clock_seconds();
    clock_t ticks = clock();
    for (int64_t m = 0; m < b->molecules; m++)
        attend(b, plans[m], b->offsets[m], b->offsets[m + 1] - b->offsets[m], b->alone);
    ticks = clock() - ticks;
    t3 = clock_seconds();
    int64_t computed = 0;
    for (int64_t m = 0; m < b->molecules; m++) {
        computed += computed_pairs(plans[m]);
        vic_plan_free(plans[m]);
        vic_pattern_free(patterns[m]);
    }
    return (struct times){ t1 - t0, t2 - t1, t3 - t2, (double)ticks / CLOCKS_PER_SEC, computed };
}

static void keep_best(struct times *best, struct times one)
{
    best->pattern = fmin(best->pattern, one.pattern);
    best->plan = fmin(best->plan, one.plan);
    best->attention = fmin(best->attention, one.attention);
    best->processor = fmin(best->processor, one.processor);
    best->computed = one.computed;
}

int main(int argc, char **argv)
{
    struct bench b = { .molecules = argc > 1 ? atoll(argv[1]) : 256,
                       .cutoff = argc > 2 ? atof(argv[2]) : 5.0,
                       .heads = argc > 3 ? atoi(argv[3]) : 4,
                       .dim = argc > 4 ? atoi(argv[4]) : 32 };
    int repeats = argc > 5 ? atoi(argv[5]) : 20;
    struct times together = { HUGE_VAL, HUGE_VAL, HUGE_VAL, HUGE_VAL, 0 }, alone = together;
    vic_context_info context = VIC_INIT(vic_context_info);
    vic_pattern_info info = VIC_INIT(vic_pattern_info);
    double worst = 0.0;
    must(vic_context_create(NULL, &b.context, &err));
    must(vic_context_get(b.context, &context, &err));
    make_molecules(&b);
    vic_pattern **patterns = must_have((size_t)b.molecules, sizeof *patterns);
    vic_plan **plans = must_have((size_t)b.molecules, sizeof *plans);
    for (int i = 0; i < repeats; i++) {
        keep_best(&together, run_together(&b));
        keep_best(&alone, run_alone(&b, patterns, plans));
    }
    for (int64_t i = 0; i < b.atoms * b.heads * b.dim; i++)
        worst = fmax(worst, fabs((double)b.together[i] - (double)b.alone[i]));
    vic_pattern *p = pattern_of(&b, -1);
    must(vic_pattern_get(p, &info, &err));
    printf("{\"build\": \"%s\", \"threads\": %d, \"molecules\": %lld, \"atoms\": %lld, \"pairs\": %lld, \"blocks\": "
           "%lld, "
           "\"cutoff\": %g, \"heads\": %d, \"head_dim\": %d, \"repeats\": %d,\n"
           " \"together\": {\"pattern\": %.6f, \"plan\": %.6f, \"attention\": %.6f, \"processor\": %.6f, "
           "\"computed_pairs\": %lld},\n"
           " \"one_by_one\": {\"pattern\": %.6f, \"plan\": %.6f, \"attention\": %.6f, \"processor\": %.6f, "
           "\"computed_pairs\": %lld},\n"
           " \"faster\": {\"pattern\": %.2f, \"attention\": %.2f, \"plan_and_attention\": %.2f}, "
           "\"largest_difference\": %.3g}\n",
           vic_build_info(), context.threads, (long long)b.molecules, (long long)b.atoms, (long long)info.pairs,
           (long long)info.blocks, b.cutoff, b.heads, b.dim, repeats, together.pattern, together.plan,
           together.attention, together.processor, (long long)together.computed, alone.pattern, alone.plan,
           alone.attention, alone.processor, (long long)alone.computed, alone.pattern / together.pattern,
           alone.attention / together.attention,
           (alone.plan + alone.attention) / (together.plan + together.attention), worst);
    vic_pattern_free(p);
    free(patterns);
    free(plans);
    free(b.offsets);
    free(b.positions);
    free(b.q);
    free(b.k);
    free(b.v);
    free(b.together);
    free(b.alone);
    vic_context_free(b.context);
    return worst < 1e-5 ? 0 : 1;
}
