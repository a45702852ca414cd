/* SPDX-License-Identifier: Apache-2.0 */
/* One set of atoms in the form that search and tests want: wrapped, ordered, cut into clusters of 16 rows. */
#ifndef VIC_PATTERN_POINTS_H
#define VIC_PATTERN_POINTS_H

#include "base/threads.h"
#include "contract/pattern.h"
#include "pattern/boxes.h"
#include "pattern/lattice.h"

/* 16 consecutive rows, relative to a centre near them.  Rows past the end are so far away that no test takes them. */
struct cluster_points {
    _Alignas(64) float at[3][CLUSTER];
    float centre[3];
    float radius; /* no row is further than this from the centre */
};

/* Beyond every position and cutoff, with a finite square.  Keys past the end are at -far_away; queries past the end
 * are put at far_away when a strip is loaded, so that the two do not meet. */
static const float far_away = 1e18f;

struct points {
    int64_t n;
    struct cluster_points *clusters; /* [ceil(n / STRIP) * 4] */
    struct box4 *boxes;              /* [ceil(n / STRIP)] a lane per cluster */
    struct box_tree tree;            /* over the boxes of 64 rows */
    double largest;                  /* component of a position as given, in size */
};

/* The arrays that a pattern keeps of a set. */
struct points_kept {
    double *positions;  /* [n, 3] as given */
    int32_t (*wrap)[3]; /* [n]; NULL in an open system */
    int32_t *order;     /* [n] */
};

/* Copies, checks, wraps and orders n positions [n, 3]; `what` names them in errors.  Arrays in *kept that are not
 * NULL have the right size and are used again; all of them are owned by the caller, also on failure.  *out is freed
 * by points_free(), also after a failure. */
vic_status points_make(const char *what, int64_t n, const double *positions, const struct lattice *lattice,
                       struct pool *pool, struct points_kept *kept, struct points *out, vic_error *err);
void points_free(struct points *p);

/* ---- of a pattern ---- */

enum place_wanted {
    PLACE_ORDER,  /* what the pattern keeps, and no more */
    PLACE_ROWS,   /* also the wrapped positions, row after row */
    PLACE_POINTS, /* also clusters and boxes */
};

/* What a search needs beyond the pattern. */
struct placed {
    struct lattice lattice;
    struct points queries, keys;       /* PLACE_POINTS; keys are empty where queries are keys */
    double (*q_rows)[3], (*k_rows)[3]; /* PLACE_ROWS; the same where queries are keys */
};

/* Positions, orders and wraps of both sides of `p`, whose sizes and cell are there; `k` is not looked at where
 * queries are keys.  Arrays that `p` has already are used again.  placed_free() also after a failure. */
vic_status pattern_place(vic_pattern *p, const double *q, const double *k, enum place_wanted wanted,
                         struct pool *pool, struct placed *out, vic_error *err);
void placed_free(struct placed *placed);

/* A copy of n positions; BAD_INPUT, with the atom, for a coordinate that is not finite or beyond what a pattern can
 * hold. */
vic_status positions_copy(const char *what, int64_t n, const double *positions, double **out, vic_error *err);

#endif
