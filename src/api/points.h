/* SPDX-License-Identifier: Apache-2.0 */
/* Queries and keys of the API, converted to what src/pattern takes. */
#ifndef VIC_API_POINTS_H
#define VIC_API_POINTS_H

#include "api/dense.h"
#include "pattern/point_set.h"

/* What a constructor can do with its points. */
enum points_kind {
    POINTS_GEOMETRY = 1, /* it needs positions; without this it has no use for them */
    POINTS_MAY_BE = 2,   /* positions are optional */
    POINTS_TWO_SETS = 4, /* keys may be another set than the queries */
    POINTS_GROUPS = 8,
    POINTS_IDS = 16,
};

/* Points to what was given, and owns what had to be converted. */
struct points_taken {
    struct point_set queries, keys;
    const struct point_set *keys_or_null; /* NULL = the queries are the keys */
    struct dense owned[2][3];
    uint8_t *mask[2];
};

/* `way` names the constructor in messages.  After a failure there is nothing to drop. */
vic_status points_take(const vic_points *queries, const vic_points *keys, const char *way, unsigned kind,
                       struct points_taken *out, vic_error *err);
void points_drop(struct points_taken *t);

#endif
