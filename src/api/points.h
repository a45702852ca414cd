/* SPDX-License-Identifier: Apache-2.0 */
/* Queries and keys of the API as src/pattern takes them. */
#ifndef VIC_API_POINTS_H
#define VIC_API_POINTS_H

#include "api/arrays.h"
#include "pattern/point_set.h"

/* What a way to a pattern takes of its points. */
struct points_rules {
    const char *way;    /* in messages: "windows", "blocks", ... */
    bool positions;     /* needed; otherwise they may be missing */
    bool no_positions;  /* refused */
    bool no_keys;       /* of one set */
    bool no_groups, no_ids;
};

/* Borrows from what was given, and owns what had to be converted. */
struct points_taken {
    struct point_sets sets;
    struct array arrays[2][3];
    uint8_t *skip[2];
};
vic_status points_take(const vic_points *queries, const vic_points *keys, const struct points_rules *rules,
                       struct points_taken *out, vic_error *err);
void points_drop(struct points_taken *t);

#endif
