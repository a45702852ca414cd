/* SPDX-License-Identifier: Apache-2.0 */
/* Time and peak memory of a pattern: built from scratch; built again after all atoms moved a little, by
 * vic_pattern_update() in the memory of the old one; and its neighbour list, written into arrays in use.
 * usage: bench_pattern ATOMS CUTOFF THREADS REPEATS [a,b,c]     one JSON object; one process per case, for its peak
 * ATOMS is a structure file, or N for a periodic liquid of N atoms at 0.1 atoms per cubic angstrom (a cubic grid,
 * each atom off its place by up to a third of the spacing); a,b,c makes a file's atoms periodic in that box. */
#include "base/clock.h"
#include "vicinal_structure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const double spacing = 2.15443469; /* A */

static void check(vic_status st, const vic_error *err)
{
    if (st == VIC_OK) return;
    fprintf(stderr, "bench_pattern: %s\n", err->text);
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

/* Processor time of the process so far: its own, and the system's for it. */
static void processor_time(double *user, double *system)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    *user = (double)use.ru_utime.tv_sec + 1e-6 * (double)use.ru_utime.tv_usec;
    *system = (double)use.ru_stime.tv_sec + 1e-6 * (double)use.ru_stime.tv_usec;
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

struct atoms {
    int64_t n;
    double *x; /* [n, 3] */
    bool periodic;
    double cell[9];
};

static void make_liquid(int64_t wanted, struct atoms *out)
{
    int64_t edge = 1;
    uint64_t state = 1;
    while ((edge + 1) * (edge + 1) * (edge + 1) <= wanted) edge++;
    out->n = edge * edge * edge;
    out->periodic = true;
    for (int k = 0; k < 3; k++) out->cell[4 * k] = spacing * (double)edge;
    out->x = malloc((size_t)(3 * out->n) * sizeof *out->x);
    for (int64_t i = 0; out->x && i < out->n; i++)
        for (int64_t a = 0, place = i; a < 3; a++, place /= edge)
            out->x[3 * i + a] = spacing * ((double)(place % edge) + 0.66 * uniform(&state));
}

static void read_file(const char *path, const char *box, struct atoms *out)
{
    vic_structure_info v = VIC_INIT(vic_structure_info);
    vic_structure *s;
    vic_error err;
    check(vic_structure_read(path, NULL, &s, &err), &err);
    check(vic_structure_get(s, &v, &err), &err);
    out->n = v.atoms;
    out->periodic = box != NULL;
    if (box && sscanf(box, "%lf,%lf,%lf", &out->cell[0], &out->cell[4], &out->cell[8]) != 3) exit(2);
    out->x = malloc((size_t)(3 * v.atoms) * sizeof *out->x);
    if (out->x) memcpy(out->x, v.positions, (size_t)(3 * v.atoms) * sizeof *out->x);
    vic_structure_free(s);
}

/* The list of a pattern, `repeats` times; the first one touches the arrays and is not counted. */
static void time_list(vic_context *c, const vic_pattern *p, int64_t pairs, int repeats, double *seconds)
{
    size_t size = (size_t)pairs * sizeof(int32_t);
    vic_neighbors list = { .size = sizeof list,
                           .pairs = pairs,
                           .i = malloc(size),
                           .j = malloc(size),
                           .S = malloc(3 * size),
                           .d = malloc(2 * size) };
    vic_error err;
    if (!list.i || !list.j || !list.S || !list.d) exit(1);
    for (int r = -1; r < repeats; r++) {
        double start = clock_seconds();
        check(vic_pattern_neighbors(c, p, &list, &err), &err);
        if (r >= 0) seconds[r] = clock_seconds() - start;
    }
    free(list.i);
    free(list.j);
    free(list.S);
    free(list.d);
}

int main(int argc, char **argv)
{
    enum { MOST = 1000 };
    double build[MOST], update[MOST], list[MOST];
    vic_context_options options = VIC_INIT(vic_context_options);
    vic_pattern_info info = VIC_INIT(vic_pattern_info);
    vic_points points = VIC_INIT(vic_points);
    vic_context *c;
    struct atoms atoms = { 0 };
    vic_pattern *p = NULL;
    vic_error err;
    uint64_t state = 2;
    char *end;
    if (argc < 5 || argc > 6) {
        fprintf(stderr, "usage: bench_pattern ATOMS CUTOFF THREADS REPEATS [a,b,c]\n");
        return 2;
    }
    long long wanted = strtoll(argv[1], &end, 10);
    int repeats = atoi(argv[4]);
    if (repeats < 1 || repeats > MOST) repeats = 1;
    double cutoff = strtod(argv[2], NULL);
    options.threads = atoi(argv[3]);
    check(vic_context_create(&options, &c, &err), &err);
    if (*end == '\0')
        make_liquid(wanted, &atoms);
    else
        read_file(argv[1], argc > 5 ? argv[5] : NULL, &atoms);
    if (!atoms.x) return 1;
    points.positions = vic_tensor_make(atoms.x, VIC_F64, 2, (const int64_t[]){ atoms.n, 3 });
    points.cell = atoms.periodic ? atoms.cell : NULL;
    double before = memory("VmRSS:"), peak = 0, user[2] = { 0 }, system[2] = { 0 };
    processor_time(&user[0], &system[0]);
    for (int r = 0; r < repeats; r++) {
        vic_pattern_free(p);
        double start = clock_seconds();
        check(vic_pattern_cutoff(c, &points, NULL, cutoff, NULL, &p, &err), &err);
        build[r] = clock_seconds() - start;
        if (r > 0) continue;
        peak = memory("VmHWM:") - before;
        processor_time(&user[1], &system[1]);
    }
    check(vic_pattern_get(p, &info, &err), &err);
    bool with_list = info.pairs <= 30000000; /* 28 bytes a pair */
    if (with_list) time_list(c, p, info.pairs, repeats, list);
    for (int r = 0; r < repeats; r++) {
        for (int64_t i = 0; i < 3 * atoms.n; i++) atoms.x[i] += 0.2 * (uniform(&state) - 0.5);
        double start = clock_seconds();
        check(vic_pattern_update(c, &p, &points, NULL, &err), &err);
        update[r] = clock_seconds() - start;
    }
    printf("{\"atoms\": %lld, \"periodic\": %s, \"cutoff\": %g, \"threads\": %d, \"repeats\": %d, \"pairs\": %lld, "
           "\"blocks\": %lld, \"block_pairs_per_pair\": %.3f, \"pattern_bytes\": %zu, \"peak_bytes\": %.0f",
           (long long)atoms.n, atoms.periodic ? "true" : "false", cutoff, (int)options.threads, repeats,
           (long long)info.pairs, (long long)info.blocks, 1024.0 * (double)info.blocks / (double)info.pairs,
           info.bytes, peak);
    printf(", \"first_build_cpu_seconds\": {\"user\": %.3f, \"system\": %.3f}", user[1] - user[0],
           system[1] - system[0]);
    print_times("build_seconds", build, repeats);
    print_times("update_seconds", update, repeats);
    if (with_list) print_times("neighbours_seconds", list, repeats);
    printf("}\n");
    vic_pattern_free(p);
    vic_context_free(c);
    free(atoms.x);
    return 0;
}
