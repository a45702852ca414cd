/* SPDX-License-Identifier: Apache-2.0 */
/* The pictures of `packing` and `pattern`. */
#ifndef VICINAL_CLI_PLOTS_H
#define VICINAL_CLI_PLOTS_H

#include "cli.h"
#include "vicinal_structure.h"

struct packing_plot {
    const char *file;
    const char *setting; /* structure_caption() */
    const vic_structure_info *view;
    const double *counts; /* [atoms] */
    const float *b;       /* [atoms], or NULL when they say nothing */
    double cutoff, pearson;
    int threads;
};

/* The structure twice, coloured by packing and by B-factor, and one against the other; without B-factors the
 * structure once and how often each count occurs. */
vic_status plot_packing(const char *path, const struct packing_plot *plot, vic_error *err);

struct pattern_plot {
    const char *file;
    const char *what;    /* pattern_what() */
    const char *setting; /* structure_caption(), or NULL for a pattern without positions */
    const vic_structure_info *view;
    const vic_pattern *pattern;
    int threads;
};

/* The structure coloured by place in the pattern's order where there is one (its view has positions), and the blocks
 * of the pattern as a matrix. */
vic_status plot_pattern(const char *path, const struct pattern_plot *plot, vic_error *err);

#endif
