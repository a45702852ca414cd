/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_seeds FOLDER: one .vnp of each kind of pattern, small, for fuzz_vnp to begin with. */
#include "vicinal.h"

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

static void save(const char *folder, const char *name, vic_pattern *p)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.vnp", folder, name);
    need(vic_pattern_save(p, path, &err));
}

int main(int argc, char **argv)
{
    double positions[3 * ATOMS];
    const double cell[3][3] = { { 9, 0, 0 }, { 2, 8, 0 }, { 0, 1, 7 } };
    const bool axes[3] = { true, true, true };
    const int32_t query[] = { 0, 1, 2 }, key[] = { 5, 6, 7 }, image[] = { 0, 0, 0, 1, 0, 0, 0, -1, 0 };
    const int64_t offsets[] = { 0, 10, ATOMS };
    vic_pattern_options o = VIC_PATTERN_OPTIONS_INIT;
    vic_structure *open, *crystal;
    vic_pattern *a, *b, *c;
    if (argc != 2) return 2;
    for (int i = 0; i < 3 * ATOMS; i++) positions[i] = (double)(i * 37 % 101) / 12.0;
    o.cutoff = 3.0;
    o.threads = 1;
    need(vic_structure_from_arrays(ATOMS, positions, NULL, NULL, NULL, &open, &err));
    need(vic_structure_from_arrays(ATOMS, positions, cell, axes, NULL, &crystal, &err));
    need(vic_pattern_build(open, &o, &a, &err));
    save(argv[1], "open", a);
    need(vic_pattern_build(crystal, &o, &b, &err));
    save(argv[1], "crystal", b);
    need(vic_pattern_exclude(b, 3, query, key, image, &c, &err));
    save(argv[1], "exclude", c);
    vic_pattern_free(c);
    vic_pattern_free(b);
    o.cutoff = 0;
    need(vic_pattern_nearest(open, 4, &o, &b, &err));
    o.cutoff = 3.0;
    save(argv[1], "nearest", b);
    need(vic_pattern_unite(a, b, &c, &err));
    save(argv[1], "unite", c);
    vic_pattern_free(c);
    vic_pattern_free(b);
    vic_pattern_free(a);
    need(vic_pattern_structures(2, offsets, positions, NULL, NULL, &o, &a, &err));
    save(argv[1], "structures", a);
    vic_pattern_free(a);
    o.cutoff = 0;
    need(vic_pattern_from_pairs(crystal, ATOMS, 0, 3, query, key, image, &o, &a, &err));
    save(argv[1], "pairs", a);
    vic_pattern_free(a);
    need(vic_pattern_generate("blocks:3x3:n=4,block=16", &o, &a, &err));
    save(argv[1], "blocks", a);
    vic_pattern_free(a);
    need(vic_pattern_windows(ATOMS, 8, 16, &o, &a, &err));
    save(argv[1], "windows", a);
    vic_pattern_free(a);
    vic_structure_free(open);
    vic_structure_free(crystal);
    return 0;
}
