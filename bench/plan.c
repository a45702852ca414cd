/* SPDX-License-Identifier: Apache-2.0 */
/* What making a context (which starts the GPU), the first plan in the process and later ones cost.
 *
 *     bench_plan FILE CUTOFF cpu|cuda THREADS [REPEATS [HEADS HEAD_DIM]]
 *
 * FILE is a structure, or n=ATOMS for random points at 0.1 a cubic angstrom.  One line of JSON. */
#define _POSIX_C_SOURCE 200809L
#include "vicinal.h"
#include "vicinal_structure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static vic_error err;

static void check(vic_status st)
{
    if (st == VIC_OK) return;
    fprintf(stderr, "bench_plan: %s\n", err.text);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double *random_points(int64_t n)
{
    double *x = malloc((size_t)n * 3 * sizeof *x), edge = cbrt((double)n / 0.1);
    uint64_t state = 88172645463325252u;
    for (int64_t i = 0; x && i < 3 * n; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        x[i] = edge * (double)(state >> 11) * 0x1p-53;
    }
    if (!x) exit(1);
    return x;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double once(vic_context *c, const vic_pattern *p, const vic_plan_options *o)
{
    vic_plan *plan;
    double start = now();
    check(vic_plan_create(c, p, o, &plan, &err));
    start = now() - start;
    vic_plan_free(plan);
    return start;
}

int main(int argc, char **argv)
{
    enum { MOST = 1000 };
    static double seconds[MOST];
    vic_points points = VIC_INIT(vic_points);
    vic_structure *s = NULL;
    vic_context *c;
    vic_pattern *p;
    double *x = NULL;
    if (argc < 5) {
        fprintf(stderr, "usage: bench_plan FILE|n=ATOMS CUTOFF cpu|cuda THREADS [REPEATS [HEADS HEAD_DIM]]\n");
        return 2;
    }
    bool gpu = strcmp(argv[3], "cuda") == 0;
    int repeats = argc > 5 ? atoi(argv[5]) : 20;
    vic_context_options co = { .size = sizeof co,
                               .device = { gpu ? VIC_CUDA : VIC_CPU, 0 },
                               .threads = atoi(argv[4]) };
    vic_plan_options o = { .size = sizeof o,
                           .device = { gpu ? VIC_CUDA : VIC_CPU, 0 },
                           .dtype = gpu ? VIC_F16 : VIC_F32,
                           .heads = argc > 6 ? atoi(argv[6]) : 4,
                           .head_dim = argc > 7 ? atoi(argv[7]) : 64 };
    if (repeats < 1 || repeats > MOST) repeats = 20;
    if (strncmp(argv[1], "n=", 2) == 0) {
        int64_t n = atoll(argv[1] + 2);
        x = random_points(n);
        points.positions = vic_tensor_make(x, VIC_F64, 2, (const int64_t[]){ n, 3 });
    } else {
        check(vic_structure_read(argv[1], NULL, &s, &err));
        check(vic_structure_points(s, &points, &err));
    }
    double start = now();
    check(vic_context_create(&co, &c, &err));
    double context = now() - start;
    start = now();
    check(vic_pattern_cutoff(c, &points, NULL, atof(argv[2]), NULL, &p, &err));
    double pattern = now() - start, first = once(c, p, &o);
    for (int i = 0; i < repeats; i++) seconds[i] = once(c, p, &o);
    qsort(seconds, (size_t)repeats, sizeof *seconds, by_value);
    printf(
        "{\"input\": \"%s\", \"cutoff\": %s, \"device\": \"%s\", \"threads\": %s, \"context_s\": %.6f, \"pattern_s\": %.6f, "
        "\"plan_first_s\": %.6f, \"plan_min_s\": %.6f, \"plan_median_s\": %.6f, \"repeats\": %d}\n",
        argv[1], argv[2], argv[3], argv[4], context, pattern, first, seconds[0], seconds[repeats / 2], repeats);
    vic_pattern_free(p);
    vic_structure_free(s);
    vic_context_free(c);
    free(x);
    return 0;
}
