/* SPDX-License-Identifier: Apache-2.0 */
/* Time and peak memory of patterns as systems grow: a periodic liquid of N atoms at 0.1 atoms per cubic angstrom (a
 * cubic grid, each atom off its place by up to a third of the spacing), built from scratch, and again after all atoms
 * moved a little, by vic_pattern_update() in the memory of the old one.
 * usage: bench_pattern_scale N CUTOFF THREADS REPEATS     one JSON object; one process per size, for its peak */
#include "vicinal.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double spacing = 2.15443469; /* A */

static void check(vic_status st, const vic_error *err)
{
    if (st == VIC_OK) return;
    fprintf(stderr, "bench_pattern_scale: %s\n", err->text);
    exit(1);
}

/* Bytes that the process has or had in memory, by Linux' account. */
static double memory(const char *field)
{
    char line[256];
    double kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, field, strlen(field))) kilobytes = strtod(line + strlen(field), NULL);
    if (file) fclose(file);
    return 1024.0 * kilobytes;
}

static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53;
}

static int by_size(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static void print_times(const char *name, double *seconds, int n)
{
    qsort(seconds, (size_t)n, sizeof *seconds, by_size);
    printf(", \"%s\": {\"min\": %.6f, \"median\": %.6f}", name, seconds[0], seconds[n / 2]);
}

int main(int argc, char **argv)
{
    enum { MOST = 1000 };
    double build[MOST], update[MOST];
    vic_pattern_options options = VIC_PATTERN_OPTIONS_INIT;
    vic_pattern *p = NULL;
    vic_error err;
    if (argc != 5) {
        fprintf(stderr, "usage: bench_pattern_scale N CUTOFF THREADS REPEATS\n");
        return 2;
    }
    int64_t wanted = atoll(argv[1]), edge = 1;
    while ((edge + 1) * (edge + 1) * (edge + 1) <= wanted) edge++;
    int64_t n = edge * edge * edge, repeats = atoi(argv[4]);
    if (repeats < 1 || repeats > MOST) repeats = 1;
    options.cutoff = strtod(argv[2], NULL);
    options.threads = atoi(argv[3]);
    double *x = malloc((size_t)(3 * n + 1) * sizeof *x), size = spacing * (double)edge;
    const double cell[3][3] = { { size, 0, 0 }, { 0, size, 0 }, { 0, 0, size } };
    uint64_t state = 1;
    if (!x) return 1;
    for (int64_t i = 0; i < n; i++)
        for (int64_t a = 0, place = i; a < 3; a++, place /= edge)
            x[3 * i + a] = spacing * ((double)(place % edge) + 0.66 * uniform(&state));
    double before = memory("VmRSS:"), peak = 0;
    for (int r = 0; r < repeats; r++) {
        vic_pattern_free(p);
        double start = clock_seconds();
        check(vic_pattern_build_points(n, x, 0, NULL, cell, NULL, &options, &p, &err), &err);
        build[r] = clock_seconds() - start;
        if (r == 0) peak = memory("VmHWM:") - before;
    }
    vic_pattern_info info = vic_pattern_get(p);
    for (int r = 0; r < repeats; r++) {
        for (int64_t i = 0; i < 3 * n; i++) x[i] += 0.2 * (uniform(&state) - 0.5);
        double start = clock_seconds();
        check(vic_pattern_update(&p, x, NULL, NULL, options.threads, &err), &err);
        update[r] = clock_seconds() - start;
    }
    printf("{\"atoms\": %lld, \"cutoff\": %g, \"threads\": %d, \"repeats\": %d, \"pairs\": %lld, \"blocks\": %lld, "
           "\"pattern_bytes\": %zu, \"peak_bytes\": %.0f",
           (long long)n, options.cutoff, options.threads, (int)repeats, (long long)info.pairs, (long long)info.blocks,
           info.bytes, peak);
    print_times("build_seconds", build, (int)repeats);
    print_times("update_seconds", update, (int)repeats);
    printf("}\n");
    vic_pattern_free(p);
    free(x);
    return 0;
}
