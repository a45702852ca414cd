/* SPDX-License-Identifier: Apache-2.0 */
/* Small open structures among others: every pair of atoms is tried, in float where that is sure and else by the rule,
 * which for so few atoms is faster than a search. */
#ifndef VIC_PATTERN_SMALL_H
#define VIC_PATTERN_SMALL_H

#include "base/threads.h"
#include "pattern/block_list.h"

enum { SMALL_ATOMS = 256 };

/* By row of the whole; only rows of small structures are filled. */
struct small {
    int32_t *atom;        /* [rows] number within its structure */
    double (*at)[3];      /* [rows] positions */
    float *near[3];       /* [rows + 64] by component, from the middle of the structure; 64 more may be read */
    float *extent;        /* [rows] of a structure's first row: no component of its rows is larger in size */
    double far_component; /* no component of a position is larger in size */
    double cutoff;
    bool exclude_self;
};

vic_status small_make(int64_t rows, double cutoff, bool exclude_self, struct small *out, vic_error *err);
void small_free(struct small *s);

/* The n atoms at `positions` [n, 3], SMALL_ATOMS at most, get rows first .. first + n - 1. */
vic_status small_place(struct small *s, int64_t first, int64_t n, const double *positions, struct pool *pool,
                       vic_error *err);

/* Blocks of the structure with rows first .. first + n - 1 in a strip, under image number `image`. */
vic_status small_strip(const struct small *s, int64_t first, int64_t n, int64_t strip, int32_t image,
                       struct block_list *out, vic_error *err);

#endif
