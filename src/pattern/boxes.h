/* SPDX-License-Identifier: Apache-2.0 */
/* Bounding boxes over runs of rows: which clusters come near a strip. */
#ifndef VIC_PATTERN_BOXES_H
#define VIC_PATTERN_BOXES_H

#include "base/status.h"

/* Rounded outward, so that a box in float holds every point it was made from. */
struct box {
    float low[3], high[3];
};

/* Holds all of points[0 .. n); n >= 1. */
struct box box_of_points(const double (*points)[3], int64_t n);

/* `b` moved by a translation, rounded outward. */
struct box box_shifted(const struct box *b, const double shift[3]);

/* A tree with fan-out 4 over consecutive clusters: level 0 has a box per 16 rows, level 1 per 64, and so on; the last
 * level has one.  The k-d order makes all of them compact. */
enum { BOX_LEVELS = 16 };
struct box_tree {
    int levels;                /* 0 without points */
    int64_t count[BOX_LEVELS]; /* boxes of a level */
    struct box *box[BOX_LEVELS];
};

vic_status box_tree_make(const double (*points)[3], int64_t n, struct box_tree *out, vic_error *err);
void box_tree_free(struct box_tree *tree);

/* Clusters whose box comes within `reach` of the query box, appended to out[*n ..] in rising order; out has room for
 * all clusters.  `reach` must include the slack for rounding (see build.c). */
void box_tree_near(const struct box_tree *tree, const struct box *query, float reach, int32_t *out, int64_t *n);

#endif
