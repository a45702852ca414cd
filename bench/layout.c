/* SPDX-License-Identifier: Apache-2.0 */
/* Time of the host's part of a plan for a GPU, which needs none: tiles, schedule and the arrays that would be copied.
 * usage: bench_layout FILE CUTOFF THREADS REPEATS [a,b,c]     one JSON object; a,b,c makes the atoms periodic in that
 * box */
#include "vicinal_structure.h"

#include "base/clock.h"
#include "base/memory.h"
#include "kernels/cuda/sm90/plan/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1000, STAGES = 3 };

static void check(vic_status st, const vic_error *err)
{
    if (st == VIC_OK) return;
    fprintf(stderr, "bench_layout: %s\n", err->text);
    exit(1);
}

static vic_pattern *read_pattern(const char *path, double cutoff, const char *box)
{
    vic_points points = VIC_INIT(vic_points);
    vic_structure *s;
    vic_pattern *p;
    vic_error err;
    double cell[9] = { 0 };
    check(vic_structure_read(path, NULL, &s, &err), &err);
    check(vic_structure_points(s, &points, &err), &err);
    if (box && sscanf(box, "%lf,%lf,%lf", &cell[0], &cell[4], &cell[8]) != 3) exit(2);
    points.cell = box ? cell : NULL;
    points.periodic = NULL;
    check(vic_pattern_cutoff(NULL, &points, NULL, cutoff, NULL, &p, &err), &err);
    vic_structure_free(s);
    return p;
}

/* In fresh memory, as in a plan. */
static void fill(const vic_pattern *p, const struct tile_layout *l, struct pool *pool)
{
    struct tile_arrays a;
    vic_error err;
    check(mem_array((size_t)(l->n_stages + STAGE_OVERRUN), sizeof *a.stages, "stages", &a.stages, &err), &err);
    check(mem_array((size_t)(l->n_entries + LIST_OVERRUN), sizeof *a.list, "steps", &a.list, &err), &err);
    check(mem_array((size_t)l->n_masks, sizeof *a.masks, "masks", &a.masks, &err), &err);
    layout_fill(p, l, pool, &a);
    free(a.stages);
    free(a.list);
    free(a.masks);
}

static int by_size(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static const char *const names[STAGES] = { "layout", "schedule", "fill" };
    static double seconds[STAGES][MOST], total[MOST];
    const struct layout_shape shape = { .places = 4, .reach = 6 }; /* of the kernel for head size 64 */
    const struct attention_shape heads = { VIC_F16, 4, 4, 64, 64 };
    struct pool *pool;
    vic_error err;
    if (argc < 5 || argc > 6) {
        fprintf(stderr, "usage: bench_layout FILE CUTOFF THREADS REPEATS [a,b,c]\n");
        return 2;
    }
    int repeats = atoi(argv[4]);
    if (repeats < 1 || repeats > MOST) repeats = 1;
    vic_pattern *p = read_pattern(argv[1], strtod(argv[2], NULL), argc > 5 ? argv[5] : NULL);
    check(pool_create(atoi(argv[3]), &pool, &err), &err);
    struct tile_layout l = { 0 };
    for (int r = 0; r < repeats; r++) {
        struct tile_schedule schedule;
        double at[STAGES + 1];
        layout_free(&l);
        at[0] = clock_seconds();
        check(layout_make(p, &shape, pool, &l, &err), &err);
        at[1] = clock_seconds();
        check(schedule_make(&l, &heads, 132, false, &schedule, &err), &err);
        at[2] = clock_seconds();
        fill(p, &l, pool);
        at[3] = clock_seconds();
        for (int i = 0; i < STAGES; i++) seconds[i][r] = at[i + 1] - at[i];
        total[r] = at[STAGES] - at[0];
        schedule_free(&schedule);
    }
    printf("{\"file\": \"%s\", \"cutoff\": %s, \"threads\": %s, \"tiles\": %lld, \"stages\": %lld, \"steps\": %lld, "
           "\"mask_bytes\": %lld",
           argv[1], argv[2], argv[3], (long long)l.tiles, (long long)l.n_stages, (long long)l.steps,
           (long long)l.n_masks * (long long)sizeof(uint32_t[STEP_WORDS]));
    for (int i = 0; i < STAGES; i++) {
        qsort(seconds[i], (size_t)repeats, sizeof **seconds, by_size);
        printf(", \"%s_ms\": %.3f", names[i], 1e3 * seconds[i][repeats / 2]);
    }
    qsort(total, (size_t)repeats, sizeof *total, by_size);
    printf(", \"total_ms\": {\"min\": %.3f, \"median\": %.3f}}\n", 1e3 * total[0], 1e3 * total[repeats / 2]);
    layout_free(&l);
    pool_free(pool);
    vic_pattern_free(p);
    return 0;
}
