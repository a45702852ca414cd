/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_seeds FOLDER: one .vnp of each kind of pattern, small, for fuzz_vnp to begin with. */
#include "vicinal_dev.h"

#include <stdio.h>
#include <stdlib.h>

enum { ATOMS = 40 };

static vic_error err;

static void need(vic_status st)
{
    if (st == VIC_OK) return;
    fprintf(stderr, "fuzz_seeds: %s\n", err.text);
    exit(1);
}

/* Frees the pattern. */
static void save(const char *folder, const char *name, vic_pattern *p)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.vnp", folder, name);
    need(vic_pattern_save(p, path, &err));
    vic_pattern_free(p);
}

/* ---- what they are made of ---- */

static double positions[3 * ATOMS];
static int32_t query[] = { 0, 1, 2 }, key[] = { 5, 6, 7 }, shift[] = { 0, 0, 0, 1, 0, 0, 0, -1, 0 };
static int64_t ids[ATOMS];
static const double cell[9] = { 9, 0, 0, 2, 8, 0, 0, 1, 7 };
static const int64_t offsets[] = { 0, 10, ATOMS }, each[] = { 0, 1, 2 }, n = ATOMS;
static const int32_t listed[] = { 0, 20, 10, ATOMS };
static uint8_t mask[ATOMS];

static vic_points in_space(const double *in_cell)
{
    return (vic_points){ .size = sizeof(vic_points),
                         .positions = vic_tensor_make(positions, VIC_F64, 2, (const int64_t[]){ ATOMS, 3 }),
                         .cell = in_cell };
}

static vic_pattern *within(const vic_points *points)
{
    vic_pattern *p;
    need(vic_pattern_cutoff(NULL, points, NULL, 3.0, NULL, &p, &err));
    return p;
}

static vic_pair_list three_pairs(void)
{
    const int64_t three = 3;
    return (vic_pair_list){ .size = sizeof(vic_pair_list),
                            .query = vic_tensor_make(query, VIC_I32, 1, &three),
                            .key = vic_tensor_make(key, VIC_I32, 1, &three),
                            .shift = vic_tensor_make(shift, VIC_I32, 2, (const int64_t[]){ 3, 3 }) };
}

/* ---- of each kind one ---- */

static void cutoffs(const char *folder)
{
    vic_points points = in_space(NULL);
    save(folder, "open", within(&points));
    points.groups = 2;
    points.group_offsets = offsets;
    save(folder, "structures", within(&points));
    points = in_space(cell);
    save(folder, "crystal", within(&points));
    points.ids = vic_tensor_make(ids, VIC_I64, 1, &n);
    save(folder, "ids", within(&points));
    points.mask = vic_tensor_make(mask, VIC_U8, 1, &n);
    save(folder, "masked", within(&points));
}

static void combinations(const char *folder)
{
    vic_points open = in_space(NULL), crystal = in_space(cell);
    vic_pair_list list = three_pairs();
    vic_pattern *near = within(&open), *all = within(&crystal), *nearest, *p;
    need(vic_pattern_exclude(NULL, all, &list, &p, &err));
    save(folder, "exclude", p);
    need(vic_pattern_nearest(NULL, &open, NULL, 4, NULL, &nearest, &err));
    need(vic_pattern_union(NULL, near, nearest, &p, &err));
    save(folder, "union", p);
    need(vic_pattern_difference(NULL, near, nearest, &p, &err));
    save(folder, "difference", p);
    need(vic_pattern_transpose(NULL, nearest, &p, &err));
    save(folder, "transpose", p);
    save(folder, "nearest", nearest);
    vic_pattern_free(near);
    vic_pattern_free(all);
}

static void lists(const char *folder)
{
    vic_points crystal = in_space(cell), nowhere = { .size = sizeof nowhere, .n = ATOMS };
    vic_pair_list list = three_pairs();
    const vic_range_list ranges = { .size = sizeof ranges,
                                    .groups = 2,
                                    .query_offsets = offsets,
                                    .range_offsets = each,
                                    .ranges = listed,
                                    .causal = true };
    const int64_t first_two[] = { 0, ATOMS / 2 * 2 }, length = 16;
    const int32_t page = 0;
    const vic_page_list pages = { .size = sizeof pages,
                                  .groups = 1,
                                  .page = 16,
                                  .query_offsets = first_two,
                                  .lengths = &length,
                                  .table = &page,
                                  .table_stride = 1,
                                  .queries_per_place = 2 };
    vic_pattern *p;
    need(vic_pattern_pairs(NULL, &crystal, NULL, &list, NULL, &p, &err));
    save(folder, "pairs", p);
    need(vic_pattern_generate(NULL, "blocks:3x3:n=4,block=16", NULL, &p, &err));
    save(folder, "blocks", p);
    need(vic_pattern_windows(NULL, &nowhere, 8, 16, NULL, &p, &err));
    save(folder, "windows", p);
    need(vic_pattern_ranges(NULL, &nowhere, NULL, &ranges, NULL, &p, &err));
    save(folder, "ranges", p);
    need(vic_pattern_pages(NULL, &nowhere, NULL, &pages, NULL, &p, &err));
    save(folder, "pages", p);
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    for (int i = 0; i < 3 * ATOMS; i++) positions[i] = (double)(i * 37 % 101) / 12.0;
    for (int i = 0; i < ATOMS; i++) {
        mask[i] = i % 7 != 3;
        ids[i] = 1000 - i;
    }
    cutoffs(argv[1]);
    combinations(argv[1]);
    lists(argv[1]);
    return 0;
}
