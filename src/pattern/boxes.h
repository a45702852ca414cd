/* SPDX-License-Identifier: Apache-2.0 */
/* Bounding boxes over runs of rows: what comes near what. */
#ifndef VIC_PATTERN_BOXES_H
#define VIC_PATTERN_BOXES_H

#include "base/status.h"
#include "pattern/lanes.h"

/* Rounded outward, so that a box in float holds every point it was made from. */
struct box {
    float low[3], high[3];
};

/* Four boxes, one a lane. */
struct box4 {
    lanes low[3], high[3];
};

/* Holds all of points[0 .. n); n >= 1. */
struct box box_of_points(const double (*points)[3], int64_t n);

/* `b` moved by a translation, rounded outward. */
struct box box_shifted(const struct box *b, const double shift[3]);
struct box4 box4_shifted(const struct box4 *b, const double shift[3]);

/* Makes `b` hold `other` too. */
void box_join(struct box *b, const struct box *other);

/* In place of a box that does not exist: far from all that do. */
struct box box_nowhere(void);

void box4_set(struct box4 *b, int lane, const struct box *box);

/* Bit per lane: the box comes within sqrt(limit2) of `b`. */
static inline unsigned box4_near(const struct box4 *boxes, const float low[3], const float high[3], float limit2)
{
    lanes sum = { 0 };
    for (int x = 0; x < 3; x++) {
        lanes above = boxes->low[x] - high[x], under = low[x] - boxes->high[x];
        lanes gap = lanes_larger(lanes_larger(above, under), (lanes){ 0 });
        sum += gap * gap;
    }
    return lanes_mask(sum <= limit2);
}

/* A tree with fan-out 4: level 0 has the boxes it was made from, the last level one.  The k-d order makes all of them
 * compact. */
enum { BOX_LEVELS = 16 };
struct box_tree {
    int levels;                /* 0 without boxes */
    int64_t count[BOX_LEVELS]; /* boxes of a level */
    struct box *box[BOX_LEVELS];
};

/* Takes over `boxes` [n], also on failure. */
vic_status box_tree_make(struct box *boxes, int64_t n, struct box_tree *out, vic_error *err);
void box_tree_free(struct box_tree *tree);

/* Boxes of level 0 within `reach` of the query box, appended to out[*n ..] in rising order; out has room for all of
 * them.  `reach` must include the slack for rounding (see build.c). */
void box_tree_near(const struct box_tree *tree, const struct box *query, float reach, int32_t *out, int64_t *n);

#endif
