/* SPDX-License-Identifier: Apache-2.0 */
/* What a pattern can hold: each number once. */
#ifndef VIC_PATTERN_LIMITS_H
#define VIC_PATTERN_LIMITS_H

#include "contract/pattern.h"

static const double max_coordinate = 1e12; /* A; beyond, doubles are coarser than 1e-4 A */
static const double max_cutoff = 1e9;      /* A; its square is finite in float */

enum {
    MAX_ATOMS = INT32_MAX - STRIP, /* of a side, so that a row and a strip more fit 32 bits */
    MAX_IMAGES = 1 << 22,          /* 300 A around one small molecule's cell; more is a slip of units, and 100 MB */
    MAX_WRAP = 1 << 29,            /* of an atom, and of the image of a pair in terms of the positions as given */
    MAX_IMAGE = 1 << 30,           /* of a block: with two wraps the sum fits 32 bits */
};

#endif
